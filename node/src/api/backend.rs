//! What the API needs of a node.

use futures::future::BoxFuture;
use towpath_api::{
    AddTower, ApiError, BackupPage, BackupQuery, Block, Channel, ChannelEventPage, ChannelPage, ChannelQuery,
    CloseChannel, Closed, ConnectPeer, EventItem, HeaderPage, HeaderQuery, HistoryPage, HistoryQuery, Info,
    LedgerInfo, LedgerTip, NewAddress, OpenChannel, OpenChannels, OpenedChannels, OutputInfo, OutputProof,
    PageQuery, Pay, Payment, PaymentPage, Peer, Peers, Ready, ResizeChannel, Resized, ServeTower,
    StartStream, Stats, Stream, Submitted, TowerChannels, TowerClients, TowerDropped, TowerInfo, TowerQuery,
    Transaction, Travel, Wallet, WalletSend, WalletSent,
};

/// Who uses the API now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ApiUsage {
    /// Open event streams.
    pub listeners: u64,
    /// Open connections, those of the event streams included.
    pub connections: u64,
}

/// An answer that is on its way.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, ApiError>>;

/// A node as its API sees it.
///
/// Requests arrive checked for form (sizes, ranges, non-zero amounts) but not for meaning. **An answer may be dropped
/// before it is ready**: the caller went away, or its time is over. What it asked for then goes on all the same, so an
/// implementation hands work to a task of its own and only waits here. No error carries a secret or a path.
pub trait Backend: Send + Sync + 'static {
    /// What this node is and how it does.
    fn info(&self) -> Reply<'_, Info>;
    /// Whether it serves, and if not, why.
    fn ready(&self) -> Reply<'_, Ready>;
    /// Counters since its start.
    fn stats(&self) -> Reply<'_, Stats>;
    /// Moves the time of a network for tests forward; any other ledger refuses.
    fn travel(&self, to: Travel) -> Reply<'_, LedgerTip>;
    /// The next part of a backup.
    fn backup(&self, query: BackupQuery) -> Reply<'_, BackupPage>;
    /// All metrics in Prometheus' text format, with what the API itself counts.
    fn metrics(&self, api: ApiUsage) -> Reply<'_, String>;

    /// The wallet's balances.
    fn wallet(&self) -> Reply<'_, Wallet>;
    /// A fresh address.
    fn new_address(&self) -> Reply<'_, NewAddress>;
    /// Pays on the ledger.
    fn send(&self, request: WalletSend) -> Reply<'_, WalletSent>;
    /// The wallet's transactions.
    fn history(&self, query: HistoryQuery) -> Reply<'_, HistoryPage>;

    /// The known peers.
    fn peers(&self) -> Reply<'_, Peers>;
    /// Connects to a node and stays connected.
    fn connect(&self, request: ConnectPeer) -> Reply<'_, Peer>;
    /// Disconnects from a node and stays disconnected.
    fn disconnect(&self, node: String) -> Reply<'_, ()>;

    /// The channels.
    fn channels(&self, query: ChannelQuery) -> Reply<'_, ChannelPage>;
    /// Opens a channel.
    fn open_channel(&self, request: OpenChannel) -> Reply<'_, Channel>;
    /// Opens many channels by one transaction.
    fn open_channels(&self, request: OpenChannels) -> Reply<'_, OpenedChannels>;
    /// The channel with this id, or the only one whose id starts so.
    fn channel(&self, id: String) -> Reply<'_, Channel>;
    /// Pays through a channel.
    fn pay(&self, channel: String, request: Pay) -> Reply<'_, Payment>;
    /// A channel's payments.
    fn payments(&self, channel: String, query: PageQuery) -> Reply<'_, PaymentPage>;
    /// A channel's log.
    fn channel_events(&self, channel: String, query: PageQuery) -> Reply<'_, ChannelEventPage>;
    /// Closes a channel.
    fn close_channel(&self, channel: String, request: CloseChannel) -> Reply<'_, Closed>;

    /// Resizes a channel.
    fn resize_channel(&self, channel: String, request: ResizeChannel) -> Reply<'_, Resized>;

    /// Starts a stream of payments.
    fn start_stream(&self, channel: String, request: StartStream) -> Reply<'_, Stream>;
    /// A stream as it is now.
    fn stream(&self, id: String) -> Reply<'_, Stream>;
    /// Ends a stream.
    fn stop_stream(&self, id: String) -> Reply<'_, Stream>;

    /// This node as a watchtower, and those that it uses.
    fn tower(&self) -> Reply<'_, TowerInfo>;
    /// Takes records of others, or no more.
    fn serve_tower(&self, request: ServeTower) -> Reply<'_, TowerInfo>;
    /// Uses a watchtower.
    fn add_tower(&self, request: AddTower) -> Reply<'_, TowerInfo>;
    /// What a watchtower has of each channel.
    fn tower_channels(&self, tower: String, query: TowerQuery) -> Reply<'_, TowerChannels>;
    /// Uses a watchtower no more.
    fn remove_tower(&self, tower: String) -> Reply<'_, ()>;
    /// The nodes for which this one keeps most records.
    fn tower_clients(&self) -> Reply<'_, TowerClients>;
    /// Drops what a node gave to this watchtower.
    fn drop_tower_client(&self, node: String) -> Reply<'_, TowerDropped>;

    /// The ledger's tip and parameters.
    fn ledger(&self) -> Reply<'_, LedgerInfo>;
    /// The block of this height or id, or the `latest`.
    fn block(&self, block: String) -> Reply<'_, Block>;
    /// A waiting or final transaction.
    fn transaction(&self, id: String) -> Reply<'_, Transaction>;
    /// Checks an encoded transaction and sends it to the validators.
    fn submit_transaction(&self, encoded: Vec<u8>) -> Reply<'_, Submitted>;
    /// An unspent output.
    fn output(&self, outpoint: String) -> Reply<'_, OutputInfo>;

    /// Proof that an output is unspent, or that there is none.
    fn output_proof(&self, outpoint: String) -> Reply<'_, OutputProof>;

    /// Decided headers with their certificates.
    fn headers(&self, query: HeaderQuery) -> Reply<'_, HeaderPage>;

    /// The events after this index; from now on without one.
    fn events(&self, after: Option<u64>) -> Reply<'_, Box<dyn EventFeed>>;
}

/// A place in the node's log of events.
pub trait EventFeed: Send {
    /// The index up to which everything was given out.
    fn place(&self) -> u64;

    /// The next events, as soon as there are some; a gap first if some are no longer kept. Dropping the answer before
    /// it is ready loses nothing. An error ends the feed.
    fn next(&mut self) -> Reply<'_, Vec<EventItem>>;
}
