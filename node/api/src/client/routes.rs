//! One method a route; what each does is said in the types and in the node's OpenAPI document.

use std::time::Duration;

use reqwest::Method;

use super::error::ClientError;
use super::events::EventReader;
use super::http::{Client, Request};
use crate::limits;
use crate::types::{
    AddTower, BackupPage, BackupQuery, Block, Channel, ChannelEventPage, ChannelPage, ChannelQuery,
    CloseChannel, Closed, ConnectPeer, EventQuery, HeaderPage, HeaderQuery, Health, HistoryPage,
    HistoryQuery, Info, LedgerInfo, LedgerTip, NewAddress, OpenChannel, OpenChannels, OpenedChannels,
    OutputInfo, OutputProof, PageQuery, Pay, Payment, PaymentPage, Peer, Peers, Ready, ResizeChannel,
    Resized, ServeTower, StartStream, Stats, Stream, SubmitTransaction, Submitted, TowerChannels,
    TowerClients, TowerDropped, TowerInfo, TowerQuery, Transaction, Travel, Wallet, WalletSend, WalletSent,
};

fn get<'a>(path: &'a [&'a str]) -> Request<'a> {
    Request { method: Method::GET, path, timeout: None }
}

fn post<'a>(path: &'a [&'a str]) -> Request<'a> {
    Request { method: Method::POST, path, timeout: None }
}

fn delete<'a>(path: &'a [&'a str]) -> Request<'a> {
    Request { method: Method::DELETE, path, timeout: None }
}

/// A request that the node itself may hold for `timeout_ms`; the client waits a little longer than the node.
fn post_and_wait<'a>(path: &'a [&'a str], timeout_ms: Option<u64>) -> Request<'a> {
    let wait_ms = timeout_ms.unwrap_or(limits::WAIT_MS_DEFAULT).min(limits::WAIT_MS_MAX);
    Request { timeout: Some(Duration::from_millis(wait_ms) + limits::ANSWER_TIMEOUT), ..post(path) }
}

/// Each method fails with [`ClientError`]: the node's refusal, or why it could not be asked.
impl Client {
    /// `GET /health`: whether the process answers.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.call(get(&["health"]), &()).await
    }

    /// `GET /ready`: fails with [`crate::Code::NotReady`] while the node doesn't serve.
    pub async fn ready(&self) -> Result<Ready, ClientError> {
        self.call(get(&["ready"]), &()).await
    }

    /// `GET /v1/info`.
    pub async fn info(&self) -> Result<Info, ClientError> {
        self.call(get(&["v1", "info"]), &()).await
    }

    /// `GET /v1/backup`: page by page.
    pub async fn backup(&self, query: &BackupQuery) -> Result<BackupPage, ClientError> {
        self.call(get(&["v1", "backup"]), query).await
    }

    /// `GET /v1/stats`.
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        self.call(get(&["v1", "stats"]), &()).await
    }

    /// `GET /v1/wallet`.
    pub async fn wallet(&self) -> Result<Wallet, ClientError> {
        self.call(get(&["v1", "wallet"]), &()).await
    }

    /// `POST /v1/wallet/addresses`.
    pub async fn new_address(&self) -> Result<NewAddress, ClientError> {
        self.call_with(post(&["v1", "wallet", "addresses"]), &serde_json::Map::new()).await
    }

    /// `POST /v1/wallet/send`.
    pub async fn send(&self, request: &WalletSend) -> Result<WalletSent, ClientError> {
        self.call_with(post(&["v1", "wallet", "send"]), request).await
    }

    /// `GET /v1/wallet/history`.
    pub async fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, ClientError> {
        self.call(get(&["v1", "wallet", "history"]), query).await
    }

    /// `GET /v1/peers`.
    pub async fn peers(&self) -> Result<Peers, ClientError> {
        self.call(get(&["v1", "peers"]), &()).await
    }

    /// `POST /v1/peers`.
    pub async fn connect(&self, request: &ConnectPeer) -> Result<Peer, ClientError> {
        self.call_with(post_and_wait(&["v1", "peers"], None), request).await
    }

    /// `DELETE /v1/peers/{node}`.
    pub async fn disconnect(&self, node: &str) -> Result<(), ClientError> {
        self.call(delete(&["v1", "peers", node]), &()).await
    }

    /// `GET /v1/channels`.
    pub async fn channels(&self, query: &ChannelQuery) -> Result<ChannelPage, ClientError> {
        self.call(get(&["v1", "channels"]), query).await
    }

    /// `POST /v1/channels`.
    pub async fn open_channel(&self, request: &OpenChannel) -> Result<Channel, ClientError> {
        self.call_with(post_and_wait(&["v1", "channels"], request.timeout_ms), request).await
    }

    /// `POST /v1/channels/batch`.
    pub async fn open_channels(&self, request: &OpenChannels) -> Result<OpenedChannels, ClientError> {
        self.call_with(post_and_wait(&["v1", "channels", "batch"], request.timeout_ms), request).await
    }

    /// `GET /v1/channels/{id}`; the id, or a prefix of it that fits no other.
    pub async fn channel(&self, id: &str) -> Result<Channel, ClientError> {
        self.call(get(&["v1", "channels", id]), &()).await
    }

    /// `POST /v1/channels/{id}/pay`.
    pub async fn pay(&self, channel: &str, request: &Pay) -> Result<Payment, ClientError> {
        self.call_with(post_and_wait(&["v1", "channels", channel, "pay"], request.timeout_ms), request).await
    }

    /// `GET /v1/channels/{id}/payments`.
    pub async fn payments(&self, channel: &str, query: &PageQuery) -> Result<PaymentPage, ClientError> {
        self.call(get(&["v1", "channels", channel, "payments"]), query).await
    }

    /// `GET /v1/channels/{id}/events`.
    pub async fn channel_events(
        &self,
        channel: &str,
        query: &PageQuery,
    ) -> Result<ChannelEventPage, ClientError> {
        self.call(get(&["v1", "channels", channel, "events"]), query).await
    }

    /// `POST /v1/channels/{id}/close`.
    pub async fn close_channel(&self, channel: &str, request: &CloseChannel) -> Result<Closed, ClientError> {
        self.call_with(post_and_wait(&["v1", "channels", channel, "close"], request.timeout_ms), request)
            .await
    }

    /// `POST /v1/channels/{id}/resize`.
    pub async fn resize_channel(
        &self,
        channel: &str,
        request: &ResizeChannel,
    ) -> Result<Resized, ClientError> {
        self.call_with(post_and_wait(&["v1", "channels", channel, "resize"], request.timeout_ms), request)
            .await
    }

    /// `POST /v1/channels/{id}/streams`.
    pub async fn start_stream(&self, channel: &str, request: &StartStream) -> Result<Stream, ClientError> {
        self.call_with(post(&["v1", "channels", channel, "streams"]), request).await
    }

    /// `GET /v1/streams/{id}`.
    pub async fn stream(&self, id: &str) -> Result<Stream, ClientError> {
        self.call(get(&["v1", "streams", id]), &()).await
    }

    /// `DELETE /v1/streams/{id}`: no new payments; answers with the stream as it is then.
    pub async fn stop_stream(&self, id: &str) -> Result<Stream, ClientError> {
        self.call(delete(&["v1", "streams", id]), &()).await
    }

    /// `GET /v1/tower`.
    pub async fn tower(&self) -> Result<TowerInfo, ClientError> {
        self.call(get(&["v1", "tower"]), &()).await
    }

    /// `POST /v1/tower/serve`.
    pub async fn serve_tower(&self, request: &ServeTower) -> Result<TowerInfo, ClientError> {
        self.call_with(post(&["v1", "tower", "serve"]), request).await
    }

    /// `POST /v1/tower/towers`.
    pub async fn add_tower(&self, request: &AddTower) -> Result<TowerInfo, ClientError> {
        self.call_with(post(&["v1", "tower", "towers"]), request).await
    }

    /// `GET /v1/tower/towers/{node}`.
    pub async fn tower_channels(&self, node: &str, query: &TowerQuery) -> Result<TowerChannels, ClientError> {
        self.call(get(&["v1", "tower", "towers", node]), query).await
    }

    /// `DELETE /v1/tower/towers/{node}`.
    pub async fn remove_tower(&self, node: &str) -> Result<(), ClientError> {
        self.call(delete(&["v1", "tower", "towers", node]), &()).await
    }

    /// `GET /v1/tower/clients`.
    pub async fn tower_clients(&self) -> Result<TowerClients, ClientError> {
        self.call(get(&["v1", "tower", "clients"]), &()).await
    }

    /// `DELETE /v1/tower/clients/{node}`.
    pub async fn drop_tower_client(&self, node: &str) -> Result<TowerDropped, ClientError> {
        self.call(delete(&["v1", "tower", "clients", node]), &()).await
    }

    /// `GET /v1/ledger`.
    pub async fn ledger(&self) -> Result<LedgerInfo, ClientError> {
        self.call(get(&["v1", "ledger"]), &()).await
    }

    /// `GET /v1/ledger/blocks/{height|id|latest}`.
    pub async fn block(&self, block: &str) -> Result<Block, ClientError> {
        self.call(get(&["v1", "ledger", "blocks", block]), &()).await
    }

    /// `GET /v1/ledger/transactions/{id}`.
    pub async fn transaction(&self, id: &str) -> Result<Transaction, ClientError> {
        self.call(get(&["v1", "ledger", "transactions", id]), &()).await
    }

    /// `POST /v1/ledger/transactions`.
    pub async fn submit_transaction(&self, request: &SubmitTransaction) -> Result<Submitted, ClientError> {
        self.call_with(post(&["v1", "ledger", "transactions"]), request).await
    }

    /// `GET /v1/ledger/outputs/{outpoint}`.
    pub async fn output(&self, outpoint: &str) -> Result<OutputInfo, ClientError> {
        self.call(get(&["v1", "ledger", "outputs", outpoint]), &()).await
    }

    /// `GET /v1/ledger/outputs/{outpoint}/proof`.
    pub async fn output_proof(&self, outpoint: &str) -> Result<OutputProof, ClientError> {
        self.call(get(&["v1", "ledger", "outputs", outpoint, "proof"]), &()).await
    }

    /// `GET /v1/ledger/headers`.
    pub async fn headers(&self, query: &HeaderQuery) -> Result<HeaderPage, ClientError> {
        self.call(get(&["v1", "ledger", "headers"]), query).await
    }

    /// `GET /v1/events`: opens the stream, so that nothing that happens after this is missed.
    pub async fn events(&self, query: EventQuery) -> Result<EventReader, ClientError> {
        EventReader::open(self.clone(), query).await
    }

    /// `POST /v1/testnet/time`: answers with the tip as it is before the block that goes there.
    pub async fn travel(&self, request: &Travel) -> Result<LedgerTip, ClientError> {
        self.call_with(post(&["v1", "testnet", "time"]), request).await
    }

    /// `GET /metrics`, in Prometheus' text format.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.call_text(get(&["metrics"])).await
    }

    /// `GET /openapi.json`.
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.call(get(&["openapi.json"]), &()).await
    }
}
