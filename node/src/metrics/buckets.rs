//! Distributions that many threads may read while one or two write: a counter for each power of two, no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use towpath_api::BatchStats;

/// How many powers of two are told apart: 2²⁶ microseconds are a minute, 2²⁶ items more than fit into anything.
pub const BUCKETS: usize = 27;

/// Counts values by powers of two: bucket n holds those of at most 2ⁿ that are in no bucket before it, the last one
/// everything larger. Recording costs three additions to memory that other threads seldom touch.
#[derive(Debug)]
pub struct Buckets {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl Buckets {
    /// Counts a value.
    pub fn record(&self, value: u64) {
        let bits = u64::BITS - value.saturating_sub(1).leading_zeros();
        let bucket = usize::try_from(bits).unwrap_or(BUCKETS).min(BUCKETS - 1);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// Counts a time in whole microseconds, rounded up so that it is in no bucket below it.
    pub fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX));
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let mut counts = [0; BUCKETS];
        for (copy, count) in counts.iter_mut().zip(&self.counts) {
            *copy = count.load(Ordering::Relaxed);
        }
        Distribution {
            counts: counts.to_vec(),
            sum: self.sum.load(Ordering::Relaxed),
            max: self.max.load(Ordering::Relaxed),
        }
    }
}

/// What [`Buckets`] have counted.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Distribution {
    /// How many values were in each bucket.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
    /// The largest.
    pub max: u64,
}

impl Distribution {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Takes in what somebody else counted.
    pub fn add(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// As `/v1/stats` shows sizes of batches.
    #[must_use]
    pub fn batches(&self) -> BatchStats {
        BatchStats { count: self.count(), items: self.sum, max: self.max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_that_is_not_below_it() {
        let buckets = Buckets::default();
        for value in [0, 1, 2, 3, 4, 5, u64::MAX >> 1] {
            buckets.record(value);
        }
        let read = buckets.read();
        assert_eq!(read.counts[..4], [2, 1, 2, 1]);
        assert_eq!((read.counts[BUCKETS - 1], read.count(), read.max), (1, 7, u64::MAX >> 1));
    }

    #[test]
    fn times_are_microseconds_rounded_up() {
        let buckets = Buckets::default();
        buckets.record_time(Duration::from_nanos(2_001));
        let read = buckets.read();
        assert_eq!((read.sum, read.counts[2]), (3, 1), "more than 2 µs");
    }

    #[test]
    fn sums_of_several_threads_are_the_sum_of_all() {
        let (one, two) = (Buckets::default(), Buckets::default());
        one.record(3);
        two.record(3);
        two.record(100);
        let mut all = Distribution::default();
        all.add(&one.read());
        all.add(&two.read());
        assert_eq!(all.batches(), BatchStats { count: 3, items: 106, max: 100 });
        assert_eq!((all.counts[2], all.counts[7]), (2, 1));
    }
}
