//! The beginning of a recovery: what must be on disk before anything else of the node runs.

use towpath_store::{Batch, Behind, Cause as StoreCause, Column, Store, StoreError};

use super::{Cause, Pending};

/// One past every key that the node writes.
const END: [u8; 23] = [0xff; 23];

/// Columns that hold the ledger: they can be fetched again from any peer.
const LEDGER: [Column; 6] = [
    Column::Outputs,
    Column::Blocks,
    Column::TxIndex,
    Column::Secrets,
    Column::StateTree,
    Column::WalletIndex,
];

/// Rows of `Meta` that belong to the ledger.
const LEDGER_META: &[u8] = b"chain/";

/// The database misses what was acknowledged. From now on everything in it is distrusted, whatever becomes of this
/// process. Votes may be missing, so the consensus log goes; and where writes are missing from the middle, so does the
/// ledger: it is fetched again.
///
/// # Errors
/// As [`Store::commit`].
pub fn begin(store: &dyn Store, behind: &Behind) -> Result<Pending, StoreError> {
    let pending = Pending::new(Cause::Behind);
    let mut batch = Batch::new();
    drop_votes(&mut batch);
    match behind.cause {
        StoreCause::Hole | StoreCause::OtherHistory => {
            for column in LEDGER {
                batch.delete_range(column, [], END);
            }
            let end = towpath_store::after_prefix(LEDGER_META).unwrap_or_default();
            batch.delete_range(Column::Meta, LEDGER_META, end);
        }
        StoreCause::LostWrites
        | StoreCause::DatabaseMissing
        | StoreCause::AnchorMissing
        | StoreCause::AnchorUnreadable => {}
    }
    pending.put(&mut batch);
    store.commit(batch)?;
    Ok(pending)
}

/// The operator says that the other process of this node is gone. What it did is not here: everything is distrusted.
///
/// # Errors
/// As [`Store::commit`].
pub fn take_over(store: &dyn Store) -> Result<Pending, StoreError> {
    let mut batch = Batch::new();
    crate::epoch::take_over(&mut batch);
    let pending = put_copy(&mut batch);
    store.commit(batch)?;
    Ok(pending)
}

/// What is on disk turns out to be an old copy, while the node runs. One batch says it of everything: a process that is
/// killed before or after has all of it to do, or none.
pub fn put_copy(batch: &mut Batch) -> Pending {
    let pending = Pending::new(Cause::Copy);
    drop_votes(batch);
    pending.put(batch);
    pending
}

/// The consensus log may miss votes that were given, so none of it is gone on from.
fn drop_votes(batch: &mut Batch) {
    for column in [Column::ConsensusLog, Column::Proposals] {
        batch.delete_range(column, [], END);
    }
}
