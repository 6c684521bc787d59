//! What the writer has done so far; cheap to keep and to read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::SYNC_BUCKETS;

/// How long syncs took. Bucket n counts those of less than 2ⁿ microseconds that were in no bucket before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncTimes {
    /// The counts; the last bucket has no upper end.
    pub buckets: [u64; SYNC_BUCKETS],
    /// The sum, in microseconds.
    pub total_us: u64,
    /// The longest, in microseconds.
    pub longest_us: u64,
}

impl SyncTimes {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// An upper bound of the time in which this many hundredths of them were done, in microseconds; zero for none.
    #[must_use]
    pub fn percentile_us(&self, hundredths: u64) -> u64 {
        let wanted = self.count().saturating_mul(hundredths.min(100)).div_ceil(100);
        let mut seen = 0;
        for (exponent, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && wanted > 0 {
                return (1_u64 << exponent).min(self.longest_us);
            }
        }
        0
    }
}

/// What the writer has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupStats {
    /// Groups that were written and synced.
    pub groups: u64,
    /// Batches in them.
    pub batches: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Batches that wait now.
    pub waiting: u64,
    /// How long the database took for a group.
    pub database: SyncTimes,
    /// How long the anchor took for a group.
    pub anchor: SyncTimes,
}

#[derive(Default)]
pub(super) struct Times {
    buckets: [AtomicU64; SYNC_BUCKETS],
    total_us: AtomicU64,
    longest_us: AtomicU64,
}

impl Times {
    pub(super) fn record(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let exponent = usize::try_from(u64::BITS - us.leading_zeros()).unwrap_or(usize::MAX);
        if let Some(bucket) = self.buckets.get(exponent.min(SYNC_BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.total_us.fetch_add(us, Ordering::Relaxed);
        self.longest_us.fetch_max(us, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> SyncTimes {
        let mut buckets = [0; SYNC_BUCKETS];
        for (copy, bucket) in buckets.iter_mut().zip(&self.buckets) {
            *copy = bucket.load(Ordering::Relaxed);
        }
        SyncTimes {
            buckets,
            total_us: self.total_us.load(Ordering::Relaxed),
            longest_us: self.longest_us.load(Ordering::Relaxed),
        }
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) groups: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) database: Times,
    pub(super) anchor: Times,
}

impl Counters {
    pub(super) fn snapshot(&self, waiting: usize) -> GroupStats {
        GroupStats {
            groups: self.groups.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            database: self.database.snapshot(),
            anchor: self.anchor.snapshot(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_buckets_by_powers_of_two() {
        let times = Times::default();
        for us in [0, 1, 3, 100, 1 << 40] {
            times.record(Duration::from_micros(us));
        }
        let snapshot = times.snapshot();
        assert_eq!((snapshot.count(), snapshot.longest_us), (5, 1 << 40));
        assert_eq!(snapshot.buckets[..3], [1, 1, 1]);
        assert_eq!(snapshot.buckets[7], 1, "100 is less than 128");
        assert_eq!(snapshot.percentile_us(60), 4);
        assert_eq!(SyncTimes::default().percentile_us(99), 0);
    }
}
