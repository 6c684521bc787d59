//! The two seams of the engine: the ledger that it orders blocks for, and the log that keeps it from signing twice.

use std::sync::Arc;

use towpath_ledger::chain::{CommitCertificate, ValidatorSet};
use towpath_ledger::{Block, BlockId};

use crate::error::{HostError, LogError};
use crate::evidence::Evidence;

/// The last applied block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Its height; zero for genesis.
    pub height: u64,
    /// Its id.
    pub block: BlockId,
}

/// For what a block is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Before a vote for it: all rules, and its time against this node's clock.
    Proposal,
    /// A quorum has decided it: all rules of the ledger, but nothing that depends on this node's clock. A validator
    /// that found the time too far off must still follow the quorum that did not.
    Decided,
}

/// What the ledger says about a block on top of its tip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Validity {
    /// It can be applied.
    Valid,
    /// It cannot, and why.
    Invalid(String),
}

/// A decision, to be applied in one atomic write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The block.
    pub block: Arc<Block>,
    /// Who decided it.
    pub certificate: CommitCertificate,
    /// Who was caught signing twice at this height; part of the same write, since it exists nowhere else.
    pub evidence: Vec<Evidence>,
}

/// The ledger. Any error is fatal to the engine, so a peer's block must lead to a [`Validity`], never to an error.
pub trait Host {
    /// The last applied block.
    fn tip(&self) -> Tip;

    /// The validators that decide, or decided, `height`: any height up to one above the tip.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn validator_set(&self, height: u64) -> Result<ValidatorSet, HostError>;

    /// Whether `block` may follow the tip. Called for blocks of height `tip + 1` only; the header's id, height and
    /// transactions root have been checked. Blocks of this node are checked too, so keep the result of building.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn validate(&mut self, block: &Arc<Block>, check: Check) -> Result<Validity, HostError>;

    /// Applies a decision: the block, its certificate, the evidence and the removal of the consensus log up to its
    /// height, in **one** atomic and synced write.
    ///
    /// # Errors
    /// When the write failed, or may have failed. The engine then stops; a restart finds either tip.
    fn commit(&mut self, decided: &Decided) -> Result<(), HostError>;

    /// An applied block with its certificate; none if it is unknown or pruned.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn decided(&self, height: u64) -> Result<Option<(Arc<Block>, CommitCertificate)>, HostError>;
}

/// The log of the height being decided. It is a safety requirement, not an optimisation: without it a restarted
/// validator signs twice (SPEC N-5).
pub trait Wal {
    /// Stores `records` at `height` as numbers `first`, `first + 1`, …; all or none, **synced when it returns**.
    ///
    /// # Errors
    /// When they may not be durable. The engine then stops.
    fn append(&mut self, height: u64, first: u64, records: &[Vec<u8>]) -> Result<(), LogError>;

    /// The records of `height`, in their order.
    ///
    /// # Errors
    /// When they cannot be read in full.
    fn load(&self, height: u64) -> Result<Vec<Vec<u8>>, LogError>;
}
