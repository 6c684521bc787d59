//! What the writer has done so far; cheap to keep and to read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::{SIZE_BUCKETS, SYNC_BUCKETS};

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

/// How many batches shared one sync. Bucket n counts groups of at most 2ⁿ batches that were in no bucket before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupSizes {
    /// The counts; the last bucket has no upper end.
    pub buckets: [u64; SIZE_BUCKETS],
    /// The largest group.
    pub largest: u64,
}

/// What the writer has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupStats {
    /// Groups that were written and synced.
    pub groups: u64,
    /// Batches in them.
    pub batches: u64,
    /// How many batches a group had.
    pub sizes: GroupSizes,
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
pub(super) struct Sizes {
    buckets: [AtomicU64; SIZE_BUCKETS],
    largest: AtomicU64,
}

impl Sizes {
    fn record(&self, size: u64) {
        // 1 is in bucket 0, 2 in bucket 1, 3 and 4 in bucket 2.
        let exponent =
            usize::try_from(u64::BITS - size.saturating_sub(1).leading_zeros()).unwrap_or(usize::MAX);
        if let Some(bucket) = self.buckets.get(exponent.min(SIZE_BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.largest.fetch_max(size, Ordering::Relaxed);
    }

    fn snapshot(&self) -> GroupSizes {
        let mut buckets = [0; SIZE_BUCKETS];
        for (copy, bucket) in buckets.iter_mut().zip(&self.buckets) {
            *copy = bucket.load(Ordering::Relaxed);
        }
        GroupSizes { buckets, largest: self.largest.load(Ordering::Relaxed) }
    }
}

#[derive(Default)]
pub(super) struct Counters {
    groups: AtomicU64,
    batches: AtomicU64,
    sizes: Sizes,
    bytes: AtomicU64,
    pub(super) database: Times,
    pub(super) anchor: Times,
}

impl Counters {
    /// A group was written and synced.
    pub(super) fn written(&self, batches: usize, bytes: usize, time: Duration) {
        let count = |amount: usize| u64::try_from(amount).unwrap_or(u64::MAX);
        self.database.record(time);
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.batches.fetch_add(count(batches), Ordering::Relaxed);
        self.sizes.record(count(batches));
        self.bytes.fetch_add(count(bytes), Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, waiting: usize) -> GroupStats {
        GroupStats {
            groups: self.groups.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            sizes: self.sizes.snapshot(),
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

    #[test]
    fn sizes_fall_into_buckets_that_include_their_bound() {
        let sizes = Sizes::default();
        for size in [1, 2, 3, 4, 5, 1 << 40] {
            sizes.record(size);
        }
        let snapshot = sizes.snapshot();
        assert_eq!(snapshot.buckets[..4], [1, 1, 2, 1]);
        assert_eq!((snapshot.buckets[SIZE_BUCKETS - 1], snapshot.largest), (1, 1 << 40));
    }
}
