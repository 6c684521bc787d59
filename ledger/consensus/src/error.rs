//! Why the engine stopped, and the errors of the two traits that it rests on.
//!
//! A peer's input never makes an error: it is accepted, ignored or rejected. What is an error here is final, because
//! going on could sign twice, or apply what was not decided.

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::BlockId;
use towpath_ledger::chain::{CommitCertificate, VoteKind};

/// What the ledger behind the engine could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

/// What the log behind the engine could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LogError(pub String);

/// The one error of the engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Something happened after which this node must not sign again: stop the process, then look at the cause.
    #[error("consensus stopped: {0}")]
    Fatal(Fault),
    /// An earlier input was fatal; nothing is taken since.
    #[error("consensus stopped earlier: restart the node")]
    Halted,
}

/// What makes the engine stop for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The log refused a record. Nothing that depends on it was sent.
    #[error("the consensus log cannot be written or read: {0}; check the disk, then restart")]
    Log(LogError),
    /// The log holds bytes that this version did not write.
    #[error(
        "record {index} of height {height} of the consensus log is damaged: {reason}; restore from a peer"
    )]
    LogDamaged {
        /// The height.
        height: u64,
        /// The record.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The ledger refused to commit, read or validate.
    #[error("the ledger failed: {0}")]
    Host(HostError),
    /// The core counts up to thrice the power of a validator set in 64 bits.
    #[error(
        "the validators of height {0} have more power than can be counted; divide all powers by the same number"
    )]
    TooMuchPower(u64),
    /// Replaying the log led to another message than the one recorded.
    #[error("replaying the consensus log led to another message than the one recorded: {0}")]
    ReplayDivergence(String),
    /// The core asked for a second signature over another content.
    #[error("refused to sign a second {kind:?} at height {height}, round {round}")]
    DoubleSign {
        /// What was to be signed.
        kind: Signed,
        /// Its height.
        height: u64,
        /// Its round.
        round: u32,
    },
    /// The core failed on an input that it should have dealt with.
    #[error("the consensus core failed: {0}")]
    Core(String),
    /// A quorum signed a block that this node finds invalid: more than a third of the validators cheat, or this node
    /// computes differently.
    #[error("a quorum decided block {block:?} of height {height}, which is invalid here: {reason}")]
    DecidedInvalid {
        /// The height.
        height: u64,
        /// The block.
        block: BlockId,
        /// The quorum's signatures.
        certificate: Box<CommitCertificate>,
        /// What this node finds wrong with it.
        reason: String,
    },
    /// Two quorums signed two blocks at one height: more than a third of the validators cheat. This node's own
    /// certificate is in its ledger.
    #[error("two blocks are decided at height {height}: {ours:?} here, {:?} elsewhere, by {culprits:?} on both sides; do not go on before the operators have agreed on one", theirs.block)]
    Fork {
        /// The height.
        height: u64,
        /// The block that this node applied.
        ours: BlockId,
        /// The certificate of the other.
        theirs: Box<CommitCertificate>,
        /// The validators that signed for both.
        culprits: Vec<PublicKey>,
    },
    /// A message with this node's valid signature that this node has no record of.
    #[error(
        "this node's key signed a message of height {height}, round {round} that this node did not: another node uses the same key, or the data here is older than what was sent; never run two, and restore the newest data"
    )]
    KeyInUse {
        /// The height.
        height: u64,
        /// The round.
        round: u32,
    },
}

/// What a validator signs at most once in a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Signed {
    /// A proposal.
    Proposal,
    /// A vote.
    Vote(VoteKind),
}
