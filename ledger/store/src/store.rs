//! The seam between everything that is stored and where: six methods, with a file and a memory version.
//!
//! A store decides that a write is atomic, synced and, once acknowledged, never silently lost. What rows mean is left
//! to the callers.

use std::sync::Arc;

use crate::batch::Batch;
use crate::column::Column;
use crate::condition::{Condition, Sequence};
use crate::error::StoreError;
use crate::scan::Scan;

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// The one database of a node.
pub trait Store: Send + Sync {
    /// The value of a row.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] or [`StoreError::Io`]; never an older value.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The rows of a range, as of one moment.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan(&self, column: Column, scan: &Scan) -> Result<Vec<Row>, StoreError>;

    /// Writes a batch: atomic, and synced when this returns. Nothing that depends on it may leave the node before it
    /// is [acknowledged](Store::acknowledge); [`Store::commit`] does both, and [`crate::GroupWriter`] for many at once.
    ///
    /// # Errors
    /// After any failure the store is poisoned: it answers reads, and every later write is
    /// [`StoreError::Poisoned`], since nobody knows what a failed sync has left on the disk (FAULTS S6).
    fn write(&self, batch: Batch) -> Result<Sequence, StoreError>;

    /// Records in the anchor that everything up to `sequence` is about to be acknowledged; synced when this returns.
    ///
    /// # Errors
    /// As [`Store::write`].
    fn acknowledge(&self, sequence: Sequence) -> Result<(), StoreError>;

    /// The newest write.
    fn sequence(&self) -> Sequence;

    /// Writes a batch, atomic, synced and anchored: when this returns, its effects may leave the node.
    ///
    /// # Errors
    /// As [`Store::write`].
    fn commit(&self, batch: Batch) -> Result<Sequence, StoreError> {
        let sequence = self.write(batch)?;
        self.acknowledge(sequence)?;
        Ok(sequence)
    }
}

/// A shared store is a store.
macro_rules! forward_to_shared {
    ($shared:ty) => {
        impl<S: Store + ?Sized> Store for $shared {
            fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
                (**self).get(column, key)
            }

            fn scan(&self, column: Column, scan: &Scan) -> Result<Vec<Row>, StoreError> {
                (**self).scan(column, scan)
            }

            fn write(&self, batch: Batch) -> Result<Sequence, StoreError> {
                (**self).write(batch)
            }

            fn acknowledge(&self, sequence: Sequence) -> Result<(), StoreError> {
                (**self).acknowledge(sequence)
            }

            fn sequence(&self) -> Sequence {
                (**self).sequence()
            }
        }
    };
}

forward_to_shared!(Arc<S>);
forward_to_shared!(&S);

/// An opened store, and what is known of it.
#[derive(Debug)]
#[must_use = "a store that is behind must not be used for signing"]
pub struct Opened<S> {
    /// The store.
    pub store: S,
    /// Whether it holds everything that was acknowledged.
    pub condition: Condition,
}

impl<S> Opened<S> {
    /// The store, if it is healthy: for whoever cannot recover.
    ///
    /// # Errors
    /// [`StoreError::Behind`].
    pub fn healthy(self) -> Result<S, StoreError> {
        match self.condition {
            Condition::Healthy => Ok(self.store),
            Condition::Behind(behind) => Err(StoreError::Behind(behind)),
        }
    }
}
