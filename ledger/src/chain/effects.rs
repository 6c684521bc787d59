//! What a block changes, in the shape in which a store applies it as one batch.

use crate::rules::Changes;
use crate::tree::TreeBatch;
use crate::types::{Amount, Digest, Entry, OutPoint, Secret, Time, TxId};

/// What a valid block changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEffects {
    /// The block's height.
    pub height: u64,
    /// Its time.
    pub time: Time,
    /// The outputs of earlier blocks that it spends.
    pub spent: Vec<(OutPoint, Entry)>,
    /// The outputs that it makes and leaves unspent.
    pub created: Vec<(OutPoint, Entry)>,
    /// The secrets that it records: the condition's key, its own time, the secret.
    pub secrets: Vec<(Digest, Time, Secret)>,
    /// The secrets whose retention has passed: when they were recorded, and the condition's key.
    pub forgotten: Vec<(Time, Digest)>,
    /// The fees of all its transactions, which are burnt.
    pub fees: Amount,
    /// The root of the state tree after it.
    pub state_root: Digest,
    /// What the state tree's storage takes up.
    pub tree: TreeBatch,
    /// What each of its transactions does, in their order.
    pub transactions: Vec<TransactionResult>,
}

/// What one transaction of a block does. Outputs made and spent within the block show up here alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionResult {
    /// The transaction.
    pub id: TxId,
    /// What it changes.
    pub changes: Changes,
}
