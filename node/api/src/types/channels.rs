//! Channels: opening, listing, closing, and their log.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::closing::Close;
use super::units::Units;
use crate::error::ApiError;

/// Where a channel is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// Being negotiated, or its funding is not final.
    Opening,
    /// Payments flow.
    Active,
    /// A close is on its way.
    Closing,
    /// The close was contested; the ledger decides.
    Disputed,
    /// Paid out.
    Settled,
}

/// How a channel was settled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Both signed.
    Cooperative,
    /// One closed alone, and the other had nothing newer.
    Unilateral,
    /// One closed alone with a state that an honest race had replaced.
    Resolved,
    /// One closed with a state that it knew to be replaced, and forfeited a share.
    Penalized,
    /// It never came to be: no funds were ever in it.
    Abandoned,
}

/// Who opened the channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// This node did.
    Opener,
    /// The peer did.
    Acceptor,
}

/// One of the two sides of a channel, seen from this node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// This node.
    Local,
    /// The peer.
    Remote,
}

/// A channel as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Channel {
    /// Its id.
    pub id: String,
    /// The other party's node.
    pub peer: String,
    /// Whether there is a working channel session with it.
    pub online: bool,
    /// Where it is in its life.
    pub state: ChannelState,
    /// How it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// This node's data of it is not known to be the newest: nothing is signed or closed before it is recovered, and the
    /// balances are those of the newest state that was found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovering: bool,
    /// Who opened it.
    pub role: Role,
    /// Who orders the updates now.
    pub sequencer: Side,
    /// The newest version that is final for both.
    pub version: u64,
    /// How often it was resized.
    pub generation: u32,
    /// Balances and pending payments together.
    pub capacity: Units,
    /// This node's balance.
    pub balance: Units,
    /// The peer's balance.
    pub peer_balance: Units,
    /// In conditional payments.
    pub pending: Units,
    /// What this node can pay now: its balance without the reserve and what is on its way.
    pub spendable: Units,
    /// What each party keeps in the channel.
    pub reserve: Units,
    /// How long a close can be answered, in ledger time.
    pub dispute_window_ms: u64,
    /// The output that holds the funds, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding: Option<String>,
    /// When it was asked for.
    pub opened_ms: u64,
    /// While it is being closed alone: until when that can be answered, in ledger time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The transaction that paid it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<String>,
    /// Why it is closed, how far that is, and the evidence; once it is being closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<Close>,
    /// Payments that this node made.
    pub payments_sent: u64,
    /// Payments that this node received.
    pub payments_received: u64,
    /// Their sum.
    pub sent_total: Units,
    /// Their sum.
    pub received_total: Units,
    /// Payments to this node that wait for watchtowers; they are not among those received.
    #[serde(default)]
    pub payments_confirming: u64,
    /// Their sum.
    #[serde(default)]
    pub confirming_total: Units,
    /// A resize that both may have signed, and that the ledger has not decided: payments wait for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resizing: Option<Resizing>,
    /// What this node keeps of it on disk; only where one channel is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredBytes>,
}

/// What a resize does to the balance of the side that asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is topped up by so much, out of that side's wallet.
    Add(Units),
    /// So much of it is paid out to that side's wallet, less the ledger's fee.
    PayOut(Units),
}

/// A resize under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Resizing {
    /// Whose balance changes.
    pub by: Side,
    /// How.
    pub change: Change,
    /// The transaction.
    pub tx: String,
    /// Until when it can become final, in ledger time; after that the channel goes on as it is.
    pub expires_ms: u64,
}

/// Until when the answer to a resize waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResizeWait {
    /// It is proposed to the peer.
    Proposed,
    /// The ledger has decided.
    #[default]
    Final,
}

/// How a resize stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResizeState {
    /// The ledger has not decided.
    Pending,
    /// The channel has its new capacity.
    Final,
    /// It came to nothing: the peer refused it, or it was not final in time. Nothing was spent.
    Void,
    /// Something that is not known here.
    #[serde(other)]
    Unrecognised,
}

/// `POST /v1/channels/{id}/resize`: tops up this node's balance, or pays some of it out, without closing the channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeChannel {
    /// How.
    pub change: Change,
    /// Until when the answer waits.
    #[serde(default)]
    pub wait: ResizeWait,
    /// For how long it waits; 30 s if not given. A resize that takes longer goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// A repeated call with the same key is the same resize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The answer to a resize.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Resized {
    /// The channel as it is now.
    pub channel: Channel,
    /// How the resize stands.
    pub state: ResizeState,
    /// The transaction.
    pub tx: String,
}

/// What a node keeps of one channel: keys and values, before the database compresses them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StoredBytes {
    /// What the channel's safety needs: terms, newest state, what is on its way.
    pub state: u64,
    /// Payments and log entries for people, as many as the retention allows.
    pub history: u64,
}

/// How many channels are in each state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ChannelTotals {
    /// See [`ChannelState::Opening`].
    pub opening: u64,
    /// See [`ChannelState::Active`].
    pub active: u64,
    /// See [`ChannelState::Closing`].
    pub closing: u64,
    /// See [`ChannelState::Disputed`].
    pub disputed: u64,
    /// See [`ChannelState::Settled`].
    pub settled: u64,
    /// Channels that are in no state, because what is stored of them cannot be used: see [`DamagedChannel`].
    #[serde(default)]
    pub damaged: u64,
}

/// A channel of which the node cannot use what it has stored. It signs nothing and closes nothing for it, until the
/// channel is recovered from what others hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DamagedChannel {
    /// Its id.
    pub id: String,
    /// What is wrong with what is stored.
    pub reason: String,
    /// Its output on the ledger, if that is unspent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Which channels.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelQuery {
    /// Only in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<ChannelState>,
    /// Only with this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// At most so many, up to 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// After where the last page ended (its `next`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// `GET /v1/channels`, by id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelPage {
    /// The channels.
    pub channels: Vec<Channel>,
    /// Over all channels, whatever was asked for.
    pub totals: ChannelTotals,
    /// Channels in need of recovery, on the first page, whatever was asked for; at most 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedChannel>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Until when the answer to an opening waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenWait {
    /// The peer accepted and the funding transaction is on its way.
    #[default]
    Accepted,
    /// The funding is final and payments can flow.
    Active,
}

/// `POST /v1/channels`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenChannel {
    /// The node to open it with.
    pub peer: String,
    /// Where it is, if this node doesn't know: a multiaddress or `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What this node puts in.
    pub amount: Units,
    /// What the peer is asked to put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_amount: Option<Units>,
    /// How long a close can be answered; the ledger's default if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute_window_ms: Option<u64>,
    /// What each party keeps in the channel; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<Units>,
    /// When the channel's term is over, in ledger time: both nodes close it then. Never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Until when the answer waits.
    #[serde(default)]
    pub wait: OpenWait,
    /// For how long it waits; 30 s if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// A request with the same key and content is done once: it gives the same channel. Remembered for 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// One of many channels that are opened by one transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenOne {
    /// The node to open it with.
    pub peer: String,
    /// Where it is, if this node doesn't know: a multiaddress or `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What this node puts in.
    pub amount: Units,
}

/// `POST /v1/channels/batch`. The peers put nothing in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenChannels {
    /// With whom, and for how much: 1 to 128. A node accepts few openings of one peer at a time.
    pub channels: Vec<OpenOne>,
    /// How long a close can be answered; the ledger's default if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute_window_ms: Option<u64>,
    /// What each party keeps in the channel; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<Units>,
    /// When the channels' term is over, in ledger time: both nodes close them then. Never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Until when the answer waits.
    #[serde(default)]
    pub wait: OpenWait,
    /// For how long it waits; 30 s if not given. What is not active by then is shown as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// A request with the same key and content is done once: it gives the same channels, and leaves out the same peers.
    /// Remembered for 24 hours. If no channel was opened, nothing is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The answer to an opening of many channels.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OpenedChannels {
    /// The transaction that funds them; absent if none was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<String>,
    /// Its fee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Units>,
    /// What became of each, in the order of the request.
    pub openings: Vec<OpenedOne>,
}

/// What became of one of many openings: a channel, or an error.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OpenedOne {
    /// The node that was asked.
    pub peer: String,
    /// What this node was to put in.
    pub amount: Units,
    /// The channel's id, if the peer agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The channel as it is now; absent if it is forgotten by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Why there is no channel, and no money in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
}

/// How to close.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseMode {
    /// With the peer's signature: paid at once.
    Cooperative,
    /// Alone: paid after the dispute window, or as soon as the peer answers.
    Force,
    /// Alone, although this node has lost data of the channel and a newer state may exist: if the peer holds one, this
    /// costs the penalty. For when there is no one left to ask.
    ForceAtRisk,
}

/// Until when the answer to a close waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseWait {
    /// The close is on its way.
    #[default]
    Sent,
    /// The channel is paid out.
    Settled,
}

/// `POST /v1/channels/{id}/close`. Closing a channel that is being closed the same way is no error.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseChannel {
    /// How.
    pub mode: CloseMode,
    /// With the cooperative mode: close alone if the peer has not signed final balances after so long. The node keeps to
    /// it across restarts. Never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_after_ms: Option<u64>,
    /// Until when the answer waits.
    #[serde(default)]
    pub wait: CloseWait,
    /// For how long it waits; 30 s if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// The answer to a close.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Closed {
    /// The channel as it is now.
    pub channel: Channel,
    /// The transaction that closes it, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<String>,
}

/// Which part of a channel's payments or log.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct PageQuery {
    /// At most so many, up to 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Older than where the last page ended (its `next`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// One entry of a channel's log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelEvent {
    /// Its place in the log, from one.
    pub index: u64,
    /// When this node wrote it, by its clock.
    pub time_ms: u64,
    /// What happened, in snake case.
    pub kind: String,
    /// The version that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The particulars, for people.
    pub detail: String,
    /// The running hash of the log up to and with this entry, in hex.
    pub hash: String,
}

/// `GET /v1/channels/{id}/events`, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelEventPage {
    /// The entries.
    pub events: Vec<ChannelEvent>,
    /// Give this as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
