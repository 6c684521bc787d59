//! What the node tells those who listen. Each event has an index that only rises, so that a listener can go on where it stopped.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::channels::{ChannelState, Outcome, ResizeState, Side};
use super::info::Mode;
use super::payments::{Direction, StreamState};
use super::units::Units;

/// The kinds of event, for filters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// See [`EventBody::Channel`].
    Channel,
    /// See [`EventBody::Payment`].
    Payment,
    /// See [`EventBody::PaymentSent`].
    PaymentSent,
    /// See [`EventBody::PaymentFailed`].
    PaymentFailed,
    /// See [`EventBody::Stream`].
    Stream,
    /// See [`EventBody::Peer`].
    Peer,
    /// See [`EventBody::Block`].
    Block,
    /// See [`EventBody::Wallet`].
    Wallet,
    /// See [`EventBody::Cheat`].
    Cheat,
    /// See [`EventBody::Mode`].
    Mode,
    /// See [`EventBody::TowerAnswer`].
    TowerAnswer,
    /// See [`EventBody::TowerAlarm`].
    TowerAlarm,
    /// See [`EventBody::Resize`].
    Resize,
}

impl EventType {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Channel,
        Self::Payment,
        Self::PaymentSent,
        Self::PaymentFailed,
        Self::Stream,
        Self::Peer,
        Self::Block,
        Self::Wallet,
        Self::Cheat,
        Self::Mode,
        Self::TowerAnswer,
        Self::TowerAlarm,
        Self::Resize,
    ];

    /// The name that travels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Payment => "payment",
            Self::PaymentSent => "payment_sent",
            Self::PaymentFailed => "payment_failed",
            Self::Stream => "stream",
            Self::Peer => "peer",
            Self::Block => "block",
            Self::Wallet => "wallet",
            Self::Cheat => "cheat",
            Self::Mode => "mode",
            Self::TowerAnswer => "tower_answer",
            Self::TowerAlarm => "tower_alarm",
            Self::Resize => "resize",
        }
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// A channel came to be or changed its state.
    Channel {
        /// The channel.
        channel: String,
        /// With whom.
        peer: String,
        /// Its state now.
        state: ChannelState,
        /// How it was settled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
        /// The transaction that did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tx: Option<String>,
    },
    /// A payment to this node is final.
    Payment {
        /// The payment.
        payment: String,
        /// The channel.
        channel: String,
        /// Which way.
        direction: Direction,
        /// How much.
        amount: Units,
        /// The version that contains it.
        version: u64,
        /// What the payer wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memo: Option<String>,
    },
    /// Payments of this node are settled: those of one channel that the payee acknowledged together. One event tells
    /// of all of them, so that a stream of payments makes no stream of events.
    PaymentSent {
        /// The last of them; the others have the numbers before it, but for those that failed.
        payment: String,
        /// The channel.
        channel: String,
        /// How many.
        count: u64,
        /// Their sum.
        amount: Units,
    },
    /// A payment failed; nothing was paid. One to this node fails if it was confirming, and the ledger settled the channel by a
    /// state without it.
    PaymentFailed {
        /// The payment.
        payment: String,
        /// The channel.
        channel: String,
        /// Which way.
        #[serde(default)]
        direction: Direction,
        /// How much it would have been.
        amount: Units,
        /// Why.
        reason: String,
    },
    /// A stream ended.
    Stream {
        /// The stream.
        stream: String,
        /// The channel.
        channel: String,
        /// How it ended.
        state: StreamState,
    },
    /// A peer came or went.
    Peer {
        /// The peer.
        peer: String,
        /// Whether it is connected now.
        connected: bool,
    },
    /// A block is final and applied.
    Block {
        /// The block.
        block: String,
        /// Its height.
        height: u64,
        /// Its ledger time.
        time_ms: u64,
        /// How many transactions it holds.
        transactions: u64,
    },
    /// A final transaction changed the wallet.
    Wallet {
        /// The transaction.
        tx: String,
        /// Whether the wallet has more or less.
        direction: Direction,
        /// How much more or less.
        amount: Units,
    },
    /// The peer closed with a state that it knew to be replaced, and this node answered.
    Cheat {
        /// The channel.
        channel: String,
        /// The version that it posted.
        posted: u64,
        /// The version that it held.
        held: u64,
        /// This node's answer.
        tx: String,
    },
    /// This node, as a watchtower, contests a close for a client.
    TowerAnswer {
        /// The channel.
        channel: String,
        /// The version that was posted.
        posted: u64,
        /// The version that this node shows.
        shown: u64,
        /// Whether the author is proven to have known better.
        penalized: bool,
    },
    /// Something about watchtowers that a person should look at.
    TowerAlarm {
        /// The tower that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tower: Option<String>,
        /// The channel that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
        /// What it is.
        reason: String,
    },
    /// The ledger decided a resize: the channel goes on with another capacity, or as it was.
    Resize {
        /// The channel.
        channel: String,
        /// Who asked for it.
        by: Side,
        /// How it ended.
        state: ResizeState,
        /// All that is in the channel now.
        capacity: Units,
        /// Why it came to nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The node works again, or stopped signing.
    Mode {
        /// What it does now.
        mode: Mode,
    },
    /// A kind that this version doesn't know; only ever seen by a client that is older than its node.
    #[serde(other)]
    Unrecognised,
}

impl EventBody {
    /// Its kind; none for one that this version doesn't know.
    #[must_use]
    pub const fn event_type(&self) -> Option<EventType> {
        match self {
            Self::Channel { .. } => Some(EventType::Channel),
            Self::Payment { .. } => Some(EventType::Payment),
            Self::PaymentSent { .. } => Some(EventType::PaymentSent),
            Self::PaymentFailed { .. } => Some(EventType::PaymentFailed),
            Self::Stream { .. } => Some(EventType::Stream),
            Self::Resize { .. } => Some(EventType::Resize),
            Self::Peer { .. } => Some(EventType::Peer),
            Self::Block { .. } => Some(EventType::Block),
            Self::Wallet { .. } => Some(EventType::Wallet),
            Self::Cheat { .. } => Some(EventType::Cheat),
            Self::Mode { .. } => Some(EventType::Mode),
            Self::TowerAnswer { .. } => Some(EventType::TowerAnswer),
            Self::TowerAlarm { .. } => Some(EventType::TowerAlarm),
            Self::Unrecognised => None,
        }
    }

    /// The channel that it is about.
    #[must_use]
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::Channel { channel, .. }
            | Self::Payment { channel, .. }
            | Self::PaymentSent { channel, .. }
            | Self::PaymentFailed { channel, .. }
            | Self::Stream { channel, .. }
            | Self::Resize { channel, .. }
            | Self::TowerAnswer { channel, .. }
            | Self::Cheat { channel, .. } => Some(channel),
            Self::TowerAlarm { channel, .. } => channel.as_deref(),
            Self::Peer { .. }
            | Self::Block { .. }
            | Self::Wallet { .. }
            | Self::Mode { .. }
            | Self::Unrecognised => None,
        }
    }
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the node's log of events; rises, by one or more.
    pub index: u64,
    /// When it happened, by the node's clock.
    pub time_ms: u64,
    /// What happened.
    pub body: EventBody,
}

/// The node does not have what the listener asked for: it keeps it no longer, or its log is another one and ends before
/// that index (`resumed_after` is the lower one then). Look at the state itself, then go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// The listener asked for what comes after this index.
    pub after: u64,
    /// The next event comes after this index.
    pub resumed_after: u64,
}

/// What a listener gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventItem {
    /// An event.
    Event(Event),
    /// Events are missing here.
    Gap(Gap),
}

/// Which events, and from where.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// Only these kinds, separated by commas: `payment,channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<String>,
    /// Only about this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Events after this index; without it only those to come. `Last-Event-ID` goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}
