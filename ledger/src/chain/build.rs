//! Makes a block out of what waits: first what the reserved part is kept for, then the rest, each in the order in which
//! it is given; what does not fit waits on, what is not valid is dropped and named.

use std::sync::Arc;

use towpath_crypto::ed25519::PublicKey;

use super::apply::{Applier, Tip, Verified};
use super::effects::BlockEffects;
use super::error::BlockError;
use crate::limits;
use crate::merkle;
use crate::rules::{Changes, Lane, TxError};
use crate::tree::NodeSource;
use crate::types::{Block, Digest, Header, Time, Transaction, TxId};
use crate::view::View;

/// A transaction that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// The [leaf](merkle::leaf) that names its bytes.
    pub leaf: Digest,
    /// Its encoded size; only saves looking at what can't fit.
    pub bytes: u64,
}

/// What waits, each part in the order in which it should go into blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidates {
    /// For the reserved part, and for any room that is left.
    pub reserved: Vec<Candidate>,
    /// For the rest.
    pub general: Vec<Candidate>,
}

/// Who proposes, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// The proposing validator.
    pub proposer: PublicKey,
    /// The block's time; see [`super::next_time`].
    pub time: Time,
}

/// A transaction that is not valid any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The transaction.
    pub id: TxId,
    /// Why.
    pub error: TxError,
}

/// A block that is valid on top of its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The block.
    pub block: Block,
    /// What it changes; as executing it would say.
    pub effects: BlockEffects,
    /// Candidates to remove from where they wait.
    pub dropped: Vec<Dropped>,
}

/// Makes the next block. An empty one is valid too: the heartbeat by which ledger time goes on.
///
/// # Errors
/// [`BlockError`] only if it [is local](BlockError::is_local).
pub fn build_block<V: View, S: NodeSource>(
    tip: Tip<'_, V, S>,
    candidates: &Candidates,
    proposal: Proposal,
    verified: &impl Verified,
) -> Result<Built, BlockError> {
    let blocks = &tip.params.blocks;
    let mut packer = Packer::new(tip, proposal.time, verified);
    let mut reserved = candidates.reserved.iter().peekable();
    while let Some(candidate) = reserved.next_if(|_| packer.applier.bytes < blocks.reserved_bytes()) {
        packer.offer(candidate)?;
    }
    packer.misses = 0;
    for candidate in &candidates.general {
        packer.offer(candidate)?;
    }
    packer.misses = 0;
    for candidate in reserved {
        packer.offer(candidate)?;
    }
    let Packer { applier, transactions, leaves, dropped, .. } = packer;
    let effects = applier.finish()?;
    let header = Header {
        chain: tip.chain,
        height: effects.height,
        parent: tip.parent.id(),
        time: proposal.time,
        transactions_root: merkle::root(&leaves),
        state_root: effects.state_root,
        validators: tip.validators.digest(),
        proposer: proposal.proposer,
    };
    Ok(Built { block: Block { header, transactions }, effects, dropped })
}

struct Packer<'a, V: View, S, F> {
    applier: Applier<'a, V, S>,
    verified: &'a F,
    transactions: Vec<Transaction>,
    leaves: Vec<Digest>,
    dropped: Vec<Dropped>,
    /// Candidates in a row that did not fit: the block is as good as full.
    misses: usize,
    /// Bytes for all transactions.
    all: u64,
    /// Bytes for those outside of the reserved lane.
    general: u64,
}

impl<'a, V: View, S: NodeSource, F: Verified> Packer<'a, V, S, F> {
    fn new(tip: Tip<'a, V, S>, time: Time, verified: &'a F) -> Self {
        Self {
            applier: Applier::new(tip, time),
            verified,
            transactions: Vec::new(),
            leaves: Vec::new(),
            dropped: Vec::new(),
            misses: 0,
            all: tip.params.blocks.transactions_bytes_max(),
            general: tip.params.blocks.general_bytes_max(),
        }
    }

    fn offer(&mut self, candidate: &Candidate) -> Result<(), BlockError> {
        if self.is_full() {
            return Ok(());
        }
        if self.applier.bytes + candidate.bytes > self.all {
            self.misses += 1;
            return Ok(());
        }
        let transaction = candidate.transaction.as_ref();
        let changes = match self.applier.examine(transaction, &candidate.leaf, self.verified) {
            Ok(changes) => changes,
            Err(TxError::View(error)) => return Err(BlockError::View(error)),
            Err(error) => {
                self.dropped.push(Dropped { id: transaction.id(), error });
                return Ok(());
            }
        };
        if !self.fits(&changes) {
            self.misses += 1;
            return Ok(());
        }
        self.misses = 0;
        self.applier.push(transaction, changes)?;
        self.transactions.push(transaction.clone());
        self.leaves.push(candidate.leaf);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.transactions.len() >= limits::BLOCK_TRANSACTIONS_MAX || self.misses >= limits::PACKING_MISSES_MAX
    }

    fn fits(&self, changes: &Changes) -> bool {
        let general = match changes.lane {
            Lane::General => changes.bytes,
            Lane::Reserved => 0,
        };
        self.applier.bytes + changes.bytes <= self.all && self.applier.general_bytes + general <= self.general
    }
}
