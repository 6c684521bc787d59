//! What all workers of a node have under way, for limits that hold for the node as a whole. Each worker counts its own
//! after every turn; so between two turns of two workers a limit can be passed by one turn's worth, and no count drifts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one worker, or all of them, have under way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Openings by peers that are not funded.
    pub openings: u64,
    /// Channels that are not settled.
    pub channels: u64,
    /// What this node brings to those openings, in base units.
    pub contributed: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            openings: self.openings.saturating_add(other.openings),
            channels: self.channels.saturating_add(other.channels),
            contributed: self.contributed.saturating_add(other.contributed),
        }
    }
}

#[derive(Default, Debug)]
struct Slot {
    openings: AtomicU64,
    channels: AtomicU64,
    contributed: AtomicU64,
}

/// The counts of all workers.
#[derive(Debug)]
pub struct Tally(Box<[Slot]>);

impl Tally {
    /// For so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Slot::default()).collect())
    }

    /// What the worker at this place has now.
    pub fn show(&self, place: u8, counts: Counts) {
        if let Some(slot) = self.0.get(usize::from(place)) {
            slot.openings.store(counts.openings, Ordering::Relaxed);
            slot.channels.store(counts.channels, Ordering::Relaxed);
            slot.contributed.store(counts.contributed, Ordering::Relaxed);
        }
    }

    /// What all workers but the one at this place have.
    #[must_use]
    pub fn of_others(&self, place: u8) -> Counts {
        let others = self.0.iter().enumerate().filter(|(other, _)| *other != usize::from(place));
        others.fold(Counts::default(), |sum, (_, slot)| {
            sum.plus(Counts {
                openings: slot.openings.load(Ordering::Relaxed),
                channels: slot.channels.load(Ordering::Relaxed),
                contributed: slot.contributed.load(Ordering::Relaxed),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_count_and_a_worker_counts_itself() {
        let tally = Tally::new(3);
        tally.show(0, Counts { openings: 1, channels: 10, contributed: 100 });
        tally.show(1, Counts { openings: 2, channels: 20, contributed: 200 });
        tally.show(2, Counts { openings: 3, channels: 30, contributed: u64::MAX });
        tally.show(2, Counts { openings: 4, channels: 40, contributed: 400 });
        assert_eq!(tally.of_others(0), Counts { openings: 6, channels: 60, contributed: 600 });
        assert_eq!(tally.of_others(1), Counts { openings: 5, channels: 50, contributed: 500 });
    }
}
