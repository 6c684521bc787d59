//! What callers ask of the tower's thread, and what they are told.

use tokio::sync::oneshot;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;
use towpath_protocol::tower::{Record, Sequence, Serving, Slot, Standings, Usage};

use super::list::Listed;

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, CallError>>;

/// A call.
#[derive(Debug)]
pub enum Call {
    /// How this node does as a tower, and how its towers do.
    Status(Reply<OwnTowers>),
    /// Take records of others from now on, or no more.
    Serve {
        /// Which.
        serving: Serving,
        /// When it is decided for good.
        reply: Reply<()>,
    },
    /// Use a tower.
    Add {
        /// Which.
        tower: Listed,
        /// When it is decided for good.
        reply: Reply<()>,
    },
    /// Use it no more.
    Remove {
        /// Which.
        node: PublicKey,
        /// When it is decided for good.
        reply: Reply<()>,
    },
    /// Who has most records here.
    Clients(Reply<Vec<Kept>>),
    /// Keep nothing for a client any more.
    Drop {
        /// Whose records.
        node: PublicKey,
        /// How many those were, once they are gone for good.
        reply: Reply<u64>,
    },
    /// What every tower keeps in a slot.
    Fetch {
        /// Where.
        slot: Box<Slot>,
        /// What opened, in any order, once all have answered or had their time; nothing of it is verified.
        reply: Reply<Vec<Record>>,
    },
    /// What a tower has of each channel, behind one.
    Versions {
        /// Which tower.
        node: PublicKey,
        /// Behind this channel.
        after: Option<ChannelId>,
        /// So many at most.
        limit: usize,
        /// The channels.
        reply: Reply<Vec<Version>>,
    },
}

/// What a tower has of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// The channel.
    pub channel: ChannelId,
    /// What it acknowledged.
    pub acknowledged: Option<Sequence>,
    /// The newest.
    pub newest: Sequence,
}

/// What this node keeps for a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Whose.
    pub client: PublicKey,
    /// How many records.
    pub records: u64,
    /// Whether they count among the strangers'.
    pub is_stranger: bool,
}

/// A tower that this node uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnTower {
    /// Which.
    pub tower: Listed,
    /// Whether the operator named it; else it is a peer, used as long as it is there.
    pub is_named: bool,
    /// How it does.
    pub standings: Standings,
}

/// This node as a tower, and as a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnTowers {
    /// Whether it serves.
    pub serving: Serving,
    /// What it keeps.
    pub usage: Usage,
    /// What it keeps at most.
    pub records_max: u64,
    /// Closings for which it has records.
    pub cases: u64,
    /// The towers that it uses.
    pub towers: Vec<OwnTower>,
    /// How many of them must have a version before its payments are final.
    pub confirmations: u64,
    /// What a person should look at.
    pub alarm: Option<String>,
}

/// Why a call fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Too many towers.
    #[error("this node uses as many towers as it can ({limit}); remove one first")]
    TooMany {
        /// How many.
        limit: usize,
    },
    /// Not one of this node's towers.
    #[error("this node does not use that tower")]
    Unknown,
    /// A node is no tower of its own.
    #[error("a node cannot be its own tower: when it is down, so is the tower")]
    Own,
    /// Payments wait for towers.
    #[error(
        "payments are final only with {needed} towers; change tower.confirmations first, or add another tower"
    )]
    Needed {
        /// How many.
        needed: u64,
    },
    /// The database.
    #[error("the decision could not be stored: {0}")]
    Store(String),
    /// The node is stopping, or its queue is full.
    #[error("the node is busy or stopping; try again")]
    Busy,
}
