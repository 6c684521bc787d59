//! What the consensus engine must find again after a crash, by height and number. What the records mean, and that they
//! are synced before anything is said, is the engine's; here they are rows.

use super::keys;
use crate::batch::Batch;
use crate::column::Column;
use crate::condition::Sequence;
use crate::error::StoreError;
use crate::limits::SWEEP_ROWS;
use crate::scan::Scan;
use crate::store::Store;

/// The consensus log in a store.
#[derive(Clone, Debug)]
pub struct ConsensusLog<S> {
    store: S,
}

impl<S: Store> ConsensusLog<S> {
    /// The log in `store`.
    pub const fn new(store: S) -> Self {
        Self { store }
    }

    /// Stores records of `height` as numbers `first`, `first + 1`, …: all or none, synced and anchored when this returns.
    ///
    /// # Errors
    /// As [`Store::commit`]; the engine must stop.
    pub fn append(&self, height: u64, first: u64, records: &[Vec<u8>]) -> Result<Sequence, StoreError> {
        self.store.commit(append(height, first, records))
    }

    /// The records of `height`, in their order.
    ///
    /// # Errors
    /// As [`Store::get`]; [`StoreError::Corrupt`] if one in the middle is missing.
    pub fn load(&self, height: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut scan = Scan::prefix(&height.to_be_bytes()).limit(SWEEP_ROWS);
        loop {
            let rows = self.store.scan(Column::ConsensusLog, &scan)?;
            let Some((last, _)) = rows.last() else { return Ok(records) };
            scan = scan.after(last);
            for (key, record) in rows {
                let number = u64::try_from(records.len()).unwrap_or(u64::MAX);
                if key != keys::log_record(height, number) {
                    let what =
                        format!("record {number} of height {height} is missing from the consensus log");
                    return Err(StoreError::Corrupt { what });
                }
                records.push(record);
            }
        }
    }
}

/// The batch that stores records, for whoever commits it together with other things.
#[must_use]
pub fn append(height: u64, first: u64, records: &[Vec<u8>]) -> Batch {
    let mut batch = Batch::new();
    for (number, record) in (first..).zip(records) {
        batch.put(Column::ConsensusLog, keys::log_record(height, number), record.clone());
    }
    batch
}

/// Removes the records of all heights up to `height`.
pub(super) fn prune(batch: &mut Batch, height: u64) {
    batch.delete_range(
        Column::ConsensusLog,
        keys::log_record(0, 0),
        keys::log_record(height.saturating_add(1), 0),
    );
}
