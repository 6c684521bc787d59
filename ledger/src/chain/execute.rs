//! Whether a block is valid on top of its parent, and what it changes: the one door for proposals, for decided blocks
//! and for replay. Cheapest checks first.

use super::apply::{Applier, Tip, Verified};
use super::effects::BlockEffects;
use super::error::BlockError;
use super::params::{BLOCK_OVERHEAD_BYTES, BlockParams};
use crate::limits;
use crate::merkle;
use crate::tree::NodeSource;
use crate::types::{Block, Digest, Header, Time};
use crate::view::View;
use towpath_crypto::codec;

/// For what a block is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// Before a vote for it: everything, and its time against this validator's clock.
    Full {
        /// The clock.
        now: Time,
        /// By how much it may be later than its parent, at this validator's [`super::Pace`].
        rise_ms_max: u64,
    },
    /// A quorum decided it: everything that is the same on each node and at any time, so not the clock.
    Replay,
}

/// Executes `block` on top of `tip`. Nothing is changed; the effects say what is to be written.
///
/// # Errors
/// [`BlockError`] says why the block is refused. If [`BlockError::is_local`], nothing is known about it.
pub fn execute_block<V: View, S: NodeSource>(
    tip: Tip<'_, V, S>,
    block: &Block,
    checks: Checks,
    verified: &impl Verified,
) -> Result<BlockEffects, BlockError> {
    check_header(&tip, &block.header)?;
    check_time(tip.parent.time, block.header.time, &tip.params.blocks, checks)?;
    let leaves = check_transactions(&tip.params.blocks, block)?;
    let mut applier = Applier::new(tip, block.header.time);
    for (index, (transaction, leaf)) in block.transactions.iter().zip(&leaves).enumerate() {
        let changes = applier
            .examine(transaction, leaf, verified)
            .map_err(|error| BlockError::Transaction { index, error })?;
        applier.push(transaction, changes)?;
        let limit = tip.params.blocks.general_bytes_max();
        if applier.general_bytes > limit {
            return Err(BlockError::ReservedLane { bytes: applier.general_bytes, limit });
        }
    }
    let effects = applier.finish()?;
    let (claimed, found) = (block.header.state_root, effects.state_root);
    if claimed == found { Ok(effects) } else { Err(BlockError::StateRoot { claimed, found }) }
}

fn check_header<V, S>(tip: &Tip<'_, V, S>, header: &Header) -> Result<(), BlockError> {
    if header.chain != tip.chain {
        return Err(BlockError::OtherChain(header.chain));
    }
    let expected = tip.parent.height + 1;
    if header.height != expected {
        return Err(BlockError::Height { found: header.height, expected });
    }
    if header.parent != tip.parent.id() {
        return Err(BlockError::Parent(header.parent));
    }
    if header.validators != tip.validators.digest() {
        return Err(BlockError::Validators(header.validators));
    }
    match tip.validators.power(&header.proposer) {
        Some(_) => Ok(()),
        None => Err(BlockError::Proposer(header.proposer)),
    }
}

/// Ledger time rises strictly and by a bounded step; only a proposal is also held against a clock, and only against
/// being ahead of it, or catching up with it too fast. A time that lags cannot be refused: a proposal that was locked in an earlier round must stay
/// valid, and after a halt the ledger's time is behind until it has caught up.
fn check_time(parent: Time, found: Time, params: &BlockParams, checks: Checks) -> Result<(), BlockError> {
    let step_ms_max = params.rise_ms_max();
    if found <= parent || found.ms_since(parent) > step_ms_max {
        return Err(BlockError::Time { found, parent, step_ms_max });
    }
    let drift_ms_max = params.clock_drift_ms_max;
    match checks {
        Checks::Full { now, .. } if found.ms_since(now) > drift_ms_max => {
            Err(BlockError::Clock { found, now, drift_ms_max })
        }
        Checks::Full { rise_ms_max, .. }
            if !params.time_travel && found.ms_since(parent) > rise_ms_max.max(1) =>
        {
            Err(BlockError::Haste { found, parent, rise_ms_max })
        }
        Checks::Full { .. } | Checks::Replay => Ok(()),
    }
}

/// Counts, sizes and the root; the leaves of the transactions.
fn check_transactions(params: &BlockParams, block: &Block) -> Result<Vec<Digest>, BlockError> {
    let (count, limit) = (block.transactions.len(), limits::BLOCK_TRANSACTIONS_MAX);
    if count > limit {
        return Err(BlockError::TooMany { count, limit });
    }
    let mut bytes = BLOCK_OVERHEAD_BYTES;
    let mut leaves = Vec::with_capacity(count);
    for transaction in &block.transactions {
        let encoding = codec::encode(transaction);
        bytes += encoding.len() as u64;
        leaves.push(merkle::leaf_of_bytes(&encoding));
    }
    let limit = params.block_bytes_max.into();
    if bytes > limit {
        return Err(BlockError::TooLarge { bytes, limit });
    }
    if merkle::root(&leaves) != block.header.transactions_root {
        return Err(BlockError::TransactionsRoot);
    }
    Ok(leaves)
}
