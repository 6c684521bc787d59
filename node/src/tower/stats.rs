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

/// What they show at one moment; see [`TowerStats`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(missing_docs, reason = "each field is described at the counter that it shows")]
pub struct TowerTotals {
    pub records: u64,
    pub clients: u64,
    pub cases: u64,
    pub contested: u64,
    pub penalized: u64,
    pub kept: u64,
    pub refused: u64,
    pub towers: u64,
    pub towers_good: u64,
    pub behind: u64,
}

impl TowerStats {
    /// All of them.
    #[must_use]
    pub fn totals(&self) -> TowerTotals {
        TowerTotals {
            records: load(&self.records),
            clients: load(&self.clients),
            cases: load(&self.cases),
            contested: load(&self.contested),
            penalized: load(&self.penalized),
            kept: load(&self.kept),
            refused: load(&self.refused),
            towers: load(&self.towers),
            towers_good: load(&self.towers_good),
            behind: load(&self.behind),
        }
    }

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

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
