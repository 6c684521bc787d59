//! The node behind its API: each call is handed to who owns what it is about; what is only read is read from views
//! and from the database, never from a worker.

mod backup;
mod channels;
mod events;
mod find;
mod history;
mod ledger;
mod log;
mod once;
mod open_many;
mod proof;
mod resize;
mod tower;
mod wallet;

pub use ledger::lock_of;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use towpath_api::{
    AddTower, ApiError, BackupPage, BackupQuery, Block, Channel, ChannelEventPage, ChannelPage, ChannelQuery,
    CloseChannel, Closed, Code, ConnectPeer, HeaderPage, HeaderQuery, HistoryPage, HistoryQuery, Info,
    LedgerInfo, LedgerTip, Mode, NewAddress, OpenChannel, OpenChannels, OpenedChannels, OutputInfo,
    OutputProof, PageQuery, Pay, Payment, PaymentPage, Peer, Peers, Ready, RecoveryInfo, ResizeChannel,
    Resized, ServeTower, StartStream, Stats, Stream, Submitted, TowerChannels, TowerClients, TowerDropped,
    TowerInfo, TowerQuery, Transaction, Travel, Wallet, WalletSend, WalletSent,
};
use towpath_ledger::Time;
use towpath_ledger::genesis::Genesis;
use towpath_store::StoreError;

use crate::api::{ApiUsage, Backend, EventFeed, Reply};
use crate::clock;
use crate::idempotency::IdempotencyKeys;
use crate::journal::Journal;
use crate::ledger::{Chain, Input, LedgerBusy, LedgerHandle, Status, read_fees};
use crate::metrics::{Reading, Waiting, usage};
use crate::net::NetHandle;
use crate::recovery::{Cause, Unclaimed};
use crate::tower::TowerHandle;
use crate::worker::{Board, Busy, WorkerStats, Workers, node_text};

/// Why a node that recovers opens and pays nothing yet.
const SEARCHING: &str = "the node recovers: it looks for its channels and payments on the ledger first";

/// Everything that the API reads or hands calls to.
pub struct Node {
    /// What the operator calls the node.
    pub name: String,
    /// Whether it takes part in deciding blocks.
    pub validator: bool,
    /// The ledger's beginning.
    pub genesis: Genesis,
    /// The database's folder.
    pub database: PathBuf,
    /// The folder with the keys and, as a rule, the configuration.
    pub data_dir: PathBuf,
    /// The chain on disk.
    pub chain: Arc<Chain>,
    /// The way to disk.
    pub journal: Arc<Journal>,
    /// The network.
    pub net: NetHandle,
    /// The ledger driver.
    pub ledger: LedgerHandle,
    /// How the ledger driver does.
    pub status: watch::Receiver<Status>,
    /// The channels' owners.
    pub workers: Workers,
    /// The channels as readers see them.
    pub board: Arc<Board>,
    /// This node as a watchtower, and its books about others.
    pub tower: TowerHandle,
    /// The callers' words, and what became of their calls.
    pub idempotency: IdempotencyKeys,
    /// The workers' counters.
    pub worker_stats: Arc<WorkerStats>,
    /// When the node started.
    pub started: Instant,
    /// The wallet's keys, which seal backups.
    pub seed: towpath_crypto::seed::Seed,
    /// What is left to be recovered.
    pub recovery: Recovering,
    /// Whether everything has started.
    pub ready: AtomicBool,
    /// For work that outlives its caller.
    pub runtime: tokio::runtime::Handle,
}

/// What is left to be recovered after a loss of data.
pub struct Recovering {
    /// Why the node began to recover; none if it did not.
    pub cause: Option<Cause>,
    /// The ledger is still to be searched for this node's channels.
    pub searching: Arc<AtomicBool>,
    /// Channels on the ledger whose peers are not known.
    pub unclaimed: Arc<Unclaimed>,
}

/// The API's backend: the node, shared.
#[derive(Clone)]
pub struct NodeBackend(pub Arc<Node>);

impl NodeBackend {
    /// Runs a call on a task of its own: it goes on when its caller goes away.
    fn run<T, F>(&self, call: impl FnOnce(Arc<Node>) -> F) -> BoxFuture<'static, Result<T, ApiError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
    {
        let task = self.0.runtime.spawn(call(Arc::clone(&self.0)));
        async move { task.await.unwrap_or_else(|error| Err(ApiError::new(Code::Internal, error.to_string()))) }.boxed()
    }
}

fn store_error(error: &StoreError) -> ApiError {
    tracing::error!(%error, "the database cannot be read");
    ApiError::new(Code::Internal, "the database cannot be read")
}

fn busy(_: Busy) -> ApiError {
    ApiError::new(Code::TooManyRequests, "the channel's worker is busy")
}

fn ledger_busy(_: LedgerBusy) -> ApiError {
    ApiError::new(Code::TooManyRequests, "the ledger is busy")
}

impl Node {
    async fn info(&self) -> Result<Info, ApiError> {
        let wallet = self.wallet().await?;
        Ok(Info {
            node: node_text(&self.net.local()),
            name: self.name.clone(),
            chain: self.chain.chain().to_string(),
            chain_name: self.genesis.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: if self.recovery().is_some() { Mode::Recovery } else { Mode::Running },
            recovery: self.recovery(),
            validator: self.validator,
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            listen: self.net.listening().iter().map(ToString::to_string).collect(),
            peers: u32::try_from(self.net.peers().len()).unwrap_or(u32::MAX),
            channels: self.board.totals(),
            ledger: self.tip(),
            wallet,
        })
    }

    /// Moves this node's clock, and asks the ledger to follow (SPEC B-7a).
    async fn travel(&self, to: Travel) -> Result<LedgerTip, ApiError> {
        let blocks = &self.genesis.params.blocks;
        let tip = self.tip();
        if !blocks.time_travel {
            let detail = "this ledger does not travel in time";
            return Err(
                ApiError::new(Code::InvalidRequest, detail).with_hint("only a local test network does")
            );
        }
        let target = Time(to.time_ms);
        if target.ms_since(Time(tip.time_ms)) > blocks.rise_ms_max() {
            let most = blocks.rise_ms_max() / 86_400_000;
            return Err(ApiError::new(Code::InvalidRequest, format!("at most {most} days at once")));
        }
        clock::travel_to(target);
        self.ledger.offer(Input::Travel(target)).map_err(ledger_busy)?;
        Ok(tip)
    }

    fn tip(&self) -> LedgerTip {
        let tip = self.chain.tip();
        LedgerTip {
            height: tip.height(),
            time_ms: tip.header().time.0,
            tip_age_ms: clock::now().ms_since(tip.header().time),
        }
    }

    /// Everything that is counted, now. What the API itself counts comes from the API.
    fn reading(&self, api: ApiUsage) -> Reading {
        let tip = self.chain.tip();
        Reading {
            uptime: self.started.elapsed(),
            recovering: self.recovery().is_some(),
            workers: self.worker_stats.total(),
            channels: self.board.totals(),
            net: self.net.metrics(),
            writes: self.journal.writer().stats(),
            ledger: *self.status.borrow(),
            tower: self.tower.stats().totals(),
            height: tip.height(),
            tip_age: Duration::from_millis(clock::now().ms_since(tip.header().time)),
            api,
            waiting: Waiting {
                workers: self.workers.waiting(),
                ledger: self.ledger.waiting(),
                net: self.net.waiting_commands(),
                unsent_bytes: self.net.unsent_bytes(),
            },
            database_bytes: folder_bytes(&self.database),
            usage: usage(),
        }
    }

    /// What keeps the node from serving, if anything does.
    fn not_ready(&self) -> Option<String> {
        if !self.ready.load(Ordering::Acquire) {
            return Some("the node is starting".to_owned());
        }
        self.is_searching().then(|| SEARCHING.to_owned())
    }

    fn is_searching(&self) -> bool {
        self.recovery.searching.load(Ordering::Acquire)
    }

    /// What is left to be recovered, if anything is.
    fn recovery(&self) -> Option<RecoveryInfo> {
        let Recovering { cause, searching: _, unclaimed } = &self.recovery;
        let (searching, lost) = (self.is_searching(), self.board.lost());
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let any = searching || lost > 0 || !unclaimed.is_empty();
        any.then(|| RecoveryInfo {
            cause: cause.map_or("a peer proved that data was lost", Cause::text).to_owned(),
            searching,
            channels: count(lost),
            unclaimed: count(unclaimed.len()),
        })
    }

    /// Until the ledger was searched, coins and keys may be used that this node only does not remember.
    fn check_signing(&self) -> Result<(), ApiError> {
        if self.is_searching() { Err(ApiError::new(Code::Recovery, SEARCHING)) } else { Ok(()) }
    }

    /// What the genesis made of the native asset.
    fn issued(&self) -> u64 {
        issued(&self.genesis)
    }

    fn fees(&self) -> Result<u64, ApiError> {
        read_fees(&self.chain).map_err(|error| store_error(&error))
    }
}

/// What a genesis makes of the native asset.
#[must_use]
pub fn issued(genesis: &Genesis) -> u64 {
    let native = genesis.allocations.iter().filter(|allocation| allocation.asset.is_none());
    native.fold(0, |sum, allocation| sum.saturating_add(allocation.amount.units()))
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

impl Backend for NodeBackend {
    fn info(&self) -> Reply<'_, Info> {
        self.run(|node| async move { node.info().await })
    }

    fn ready(&self) -> Reply<'_, Ready> {
        let reason = self.0.not_ready();
        async move { Ok(Ready { ready: reason.is_none(), reason }) }.boxed()
    }

    fn stats(&self) -> Reply<'_, Stats> {
        async move { Ok(self.0.reading(ApiUsage::default()).stats()) }.boxed()
    }

    fn backup(&self, query: BackupQuery) -> Reply<'_, BackupPage> {
        self.run(|node| async move { node.backup_page(query).await })
    }

    fn metrics(&self, api: ApiUsage) -> Reply<'_, String> {
        async move { Ok(self.0.reading(api).encode()) }.boxed()
    }

    fn wallet(&self) -> Reply<'_, Wallet> {
        self.run(|node| async move { node.wallet().await })
    }

    fn new_address(&self) -> Reply<'_, NewAddress> {
        self.run(|node| async move { node.new_address().await })
    }

    fn send(&self, request: WalletSend) -> Reply<'_, WalletSent> {
        self.run(|node| async move { node.send(request).await })
    }

    fn history(&self, query: HistoryQuery) -> Reply<'_, HistoryPage> {
        self.run(|node| async move { node.history(query).await })
    }

    fn travel(&self, to: Travel) -> Reply<'_, LedgerTip> {
        self.run(|node| async move { node.travel(to).await })
    }

    fn peers(&self) -> Reply<'_, Peers> {
        async move { Ok(self.0.peer_list()) }.boxed()
    }

    fn connect(&self, request: ConnectPeer) -> Reply<'_, Peer> {
        self.run(|node| async move { node.connect(&request.address).await })
    }

    fn disconnect(&self, peer: String) -> Reply<'_, ()> {
        self.run(|node| async move { node.disconnect(&peer).await })
    }

    fn channels(&self, query: ChannelQuery) -> Reply<'_, ChannelPage> {
        async move { self.0.channel_page(&query) }.boxed()
    }

    fn open_channel(&self, request: OpenChannel) -> Reply<'_, Channel> {
        self.run(|node| async move { node.open_channel(request).await })
    }

    fn open_channels(&self, request: OpenChannels) -> Reply<'_, OpenedChannels> {
        self.run(|node| async move { node.open_channels(request).await })
    }

    fn channel(&self, id: String) -> Reply<'_, Channel> {
        async move { self.0.one_channel(&id) }.boxed()
    }

    fn pay(&self, channel: String, request: Pay) -> Reply<'_, Payment> {
        self.run(|node| async move { node.pay(&channel, request).await })
    }

    fn payments(&self, channel: String, query: PageQuery) -> Reply<'_, PaymentPage> {
        async move { self.0.payment_page(&channel, &query) }.boxed()
    }

    fn channel_events(&self, channel: String, query: PageQuery) -> Reply<'_, ChannelEventPage> {
        async move { self.0.event_page(&channel, &query) }.boxed()
    }

    fn close_channel(&self, channel: String, request: CloseChannel) -> Reply<'_, Closed> {
        self.run(|node| async move { node.close_channel(&channel, request).await })
    }

    fn resize_channel(&self, channel: String, request: ResizeChannel) -> Reply<'_, Resized> {
        self.run(|node| async move { node.resize_channel(&channel, request).await })
    }

    fn start_stream(&self, channel: String, request: StartStream) -> Reply<'_, Stream> {
        self.run(|node| async move { node.start_stream(&channel, request).await })
    }

    fn stream(&self, id: String) -> Reply<'_, Stream> {
        self.run(|node| async move { node.stream(&id).await })
    }

    fn stop_stream(&self, id: String) -> Reply<'_, Stream> {
        self.run(|node| async move { node.stop_stream(&id).await })
    }

    fn tower(&self) -> Reply<'_, TowerInfo> {
        self.run(|node| async move { node.tower_info().await })
    }

    fn serve_tower(&self, request: ServeTower) -> Reply<'_, TowerInfo> {
        self.run(move |node| async move { node.serve_tower(request).await })
    }

    fn add_tower(&self, request: AddTower) -> Reply<'_, TowerInfo> {
        self.run(move |node| async move { node.add_tower(&request).await })
    }

    fn tower_channels(&self, tower: String, query: TowerQuery) -> Reply<'_, TowerChannels> {
        self.run(move |node| async move { node.tower_channels(&tower, &query).await })
    }

    fn remove_tower(&self, tower: String) -> Reply<'_, ()> {
        self.run(move |node| async move { node.remove_tower(&tower).await })
    }

    fn tower_clients(&self) -> Reply<'_, TowerClients> {
        self.run(|node| async move { node.tower_clients().await })
    }

    fn drop_tower_client(&self, text: String) -> Reply<'_, TowerDropped> {
        self.run(move |node| async move { node.drop_tower_client(&text).await })
    }

    fn ledger(&self) -> Reply<'_, LedgerInfo> {
        async move { self.0.ledger_info() }.boxed()
    }

    fn block(&self, block: String) -> Reply<'_, Block> {
        async move { self.0.block(&block) }.boxed()
    }

    fn transaction(&self, id: String) -> Reply<'_, Transaction> {
        self.run(|node| async move { node.transaction(&id).await })
    }

    fn submit_transaction(&self, encoded: Vec<u8>) -> Reply<'_, Submitted> {
        self.run(|node| async move { node.submit(&encoded).await })
    }

    fn output(&self, outpoint: String) -> Reply<'_, OutputInfo> {
        async move { self.0.output(&outpoint) }.boxed()
    }

    fn output_proof(&self, outpoint: String) -> Reply<'_, OutputProof> {
        async move { self.0.output_proof(&outpoint) }.boxed()
    }

    fn headers(&self, query: HeaderQuery) -> Reply<'_, HeaderPage> {
        async move { self.0.headers(&query) }.boxed()
    }

    fn events(&self, after: Option<u64>) -> Reply<'_, Box<dyn EventFeed>> {
        let feed: Box<dyn EventFeed> = Box::new(events::Feed::new(&self.0.journal, after));
        async move { Ok(feed) }.boxed()
    }
}
