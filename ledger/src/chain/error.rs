//! Why a block is refused, or could not be judged.

use crate::rules::TxError;
use crate::tree::TreeError;
use crate::types::{AssetId, BlockId, ChainId, Digest, Time};
use crate::view::ViewError;
use towpath_crypto::ed25519::PublicKey;

/// Why a block is not valid on top of its parent. Where [`BlockError::is_local`] holds, nothing was found out about the
/// block: whoever asked must stop, and vote for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// For another ledger.
    #[error("made for chain {0:?}, not for this one")]
    OtherChain(ChainId),
    /// Not the next height.
    #[error("of height {found}, where {expected} comes next")]
    Height {
        /// What it says.
        found: u64,
        /// One more than its parent's.
        expected: u64,
    },
    /// On top of another block.
    #[error("on top of {0:?}, which is not the last block")]
    Parent(BlockId),
    /// A time that does not rise, or rises too fast.
    #[error("its time {found:?} is not after {parent:?} by 1 to {step_ms_max} ms")]
    Time {
        /// What it says.
        found: Time,
        /// Its parent's.
        parent: Time,
        /// The most that it may rise.
        step_ms_max: u64,
    },
    /// A time too far ahead of this node's clock; a decided block may have it all the same.
    #[error("its time {found:?} is more than {drift_ms_max} ms ahead of this node's clock, {now:?}")]
    Clock {
        /// What it says.
        found: Time,
        /// This node's clock.
        now: Time,
        /// How far ahead it may be.
        drift_ms_max: u64,
    },
    /// Ledger time catches up with the clocks faster than anybody could answer; a decided block may do so all the same.
    #[error(
        "its time {found:?} is after {parent:?} by more than the {rise_ms_max} ms that real time allows by now"
    )]
    Haste {
        /// What it says.
        found: Time,
        /// Its parent's.
        parent: Time,
        /// The most that it may rise.
        rise_ms_max: u64,
    },
    /// Decided by other validators.
    #[error("names validator set {0}, which is not the one that decides it")]
    Validators(Digest),
    /// Made by somebody who may not.
    #[error("made by {0:?}, which is not a validator")]
    Proposer(PublicKey),
    /// Too large.
    #[error("{bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its encoded size.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Too many transactions.
    #[error("{count} transactions, more than the limit of {limit}")]
    TooMany {
        /// How many.
        count: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Ordinary transactions in the part that is kept for closes, disputes and reveals.
    #[error("{bytes} bytes of ordinary transactions, more than their part of {limit}")]
    ReservedLane {
        /// What they use.
        bytes: u64,
        /// What they may.
        limit: u64,
    },
    /// A root that is not that of its transactions.
    #[error("its transactions have another root")]
    TransactionsRoot,
    /// A transaction that is not valid where it stands.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: TxError,
    },
    /// A state root that is not what its transactions lead to (FAULTS L13).
    #[error("its transactions lead to state root {found}, not to {claimed}")]
    StateRoot {
        /// What it says.
        claimed: Digest,
        /// What it is.
        found: Digest,
    },
    /// The ledger could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The state tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The rules let a transaction change a supply. They never do; the node must stop.
    #[error(
        "a fault in the rules: transaction {index} changes the supply of {asset:?}; stop this node and report it"
    )]
    Supply {
        /// The transaction.
        index: usize,
        /// The asset.
        asset: AssetId,
    },
}

impl BlockError {
    /// Whether this says nothing about the block, only about this node.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        match self {
            Self::View(_) | Self::Tree(_) | Self::Supply { .. } => true,
            Self::Transaction { error, .. } => matches!(error, TxError::View(_)),
            Self::OtherChain(_)
            | Self::Height { .. }
            | Self::Parent(_)
            | Self::Time { .. }
            | Self::Clock { .. }
            | Self::Haste { .. }
            | Self::Validators(_)
            | Self::Proposer(_)
            | Self::TooLarge { .. }
            | Self::TooMany { .. }
            | Self::ReservedLane { .. }
            | Self::TransactionsRoot
            | Self::StateRoot { .. } => false,
        }
    }
}
