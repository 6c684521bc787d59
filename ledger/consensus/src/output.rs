//! What the engine tells its driver.

use std::time::Duration;

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::BlockId;

use crate::evidence::Evidence;

/// A node, by its Ed25519 key.
pub type PeerId = PublicKey;

/// Something to do. The driver carries them out in their order; each is safe to lose, and to do late.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Gossip these bytes. Everything that they commit this node to is durable.
    Publish(Vec<u8>),
    /// Ask one peer; answer with `on_sync_response`.
    RequestSync {
        /// Whom.
        peer: PeerId,
        /// The request.
        bytes: Vec<u8>,
    },
    /// Call `on_timer(token)` after this time. Timers are never cancelled: an obsolete token does nothing.
    SetTimer {
        /// Unique among all timers of this engine.
        token: u64,
        /// From now.
        after: Duration,
    },
    /// Build a block on the tip and call `on_value_built`, the sooner the better and within the deadline.
    BuildValue {
        /// The height.
        height: u64,
        /// The round.
        round: u32,
        /// How long the other validators wait for it.
        deadline: Duration,
    },
    /// A block is applied.
    Committed {
        /// Its height.
        height: u64,
        /// The round that decided it.
        round: u32,
        /// Its id.
        block: BlockId,
        /// How it came.
        by: Decision,
    },
    /// A peer misbehaved or failed; lower its standing.
    BlamePeer {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: Blame,
    },
    /// A validator signed twice. The commit has stored it.
    Evidence(Box<Evidence>),
}

/// How a node learned of a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// By the votes.
    Votes,
    /// From one peer, with a certificate.
    Sync,
}

/// What a peer did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// It did not answer in time, or could not.
    NoAnswer,
    /// Its answer is not the encoding of what was asked for.
    Malformed,
    /// It sent a certificate that no quorum signed.
    ForgedCertificate,
    /// It said that it has what it does not.
    FalseStatus,
}

/// What a gossip layer does with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GossipVerdict {
    /// Forward it.
    Accept,
    /// Drop it; it is nobody's fault.
    Ignore,
    /// Drop it; no honest node sends it.
    Reject,
}

/// A verdict, and what else follows from a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gossiped {
    /// For the gossip layer.
    pub verdict: GossipVerdict,
    /// For the driver.
    pub outputs: Vec<Output>,
}

/// Whether a peer came or went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerChange {
    /// It can be asked from now on.
    Connected,
    /// It cannot be asked any more.
    Disconnected,
}

/// Why a sync request brought no bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncFailure {
    /// The peer is gone, refused, or took too long.
    Unreachable,
}

/// The answer to a peer's sync request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyncReply {
    /// Send these bytes.
    Blocks(Vec<u8>),
    /// The request has no meaning; answer nothing.
    Malformed,
}
