//! Counters of the tower and of the node as a client, for readers.

use std::sync::atomic::{AtomicU64, Ordering};

use towpath_protocol::tower::{Outcome, Receipt};

/// See the module.
#[derive(Default, Debug)]
pub struct TowerStats {
    /// Records kept for others.
    pub records: AtomicU64,
    /// Nodes that have some.
    pub clients: AtomicU64,
    /// Closings for which there are records.
    pub cases: AtomicU64,
    /// Closings that this node contested for others.
    pub contested: AtomicU64,
    /// Of those, with the proof that the author knew better.
    pub penalized: AtomicU64,
    /// Records taken, replaced ones included.
    pub kept: AtomicU64,
    /// Records refused.
    pub refused: AtomicU64,
    /// Towers that this node uses.
    pub towers: AtomicU64,
    /// Of those, in good health.
    pub towers_good: AtomicU64,
    /// Channels whose newest state as many towers as are needed have not acknowledged.
    pub behind: AtomicU64,
}

impl TowerStats {
    /// Counts what became of records.
    pub(super) fn count(&self, receipts: &[Receipt]) {
        for receipt in receipts {
            let counter = match receipt.outcome {
                Outcome::Kept => &self.kept,
                Outcome::Older { .. } | Outcome::Refused(_) => &self.refused,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A counter's value.
#[must_use]
pub fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
