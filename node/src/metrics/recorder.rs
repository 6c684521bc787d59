//! Latencies with their percentiles, in constant memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use towpath_api::Latency;

/// The longest latency that is told apart, in microseconds: ten minutes, the longest that a caller may wait.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Digits that percentiles are exact to: 3 digits cost 100 kB, 2 cost 12 kB.
const DIGITS: u8 = 2;

/// Records latencies. The lock is held for nanoseconds.
pub struct Recorder(Mutex<Recorded>);

struct Recorded {
    histogram: Histogram<u64>,
    sum_us: u128,
}

impl Default for Recorder {
    fn default() -> Self {
        let histogram =
            Histogram::new_with_max(LATENCY_US_MAX, DIGITS).expect("a range above 2 with 2 digits is valid");
        Self(Mutex::new(Recorded { histogram, sum_us: 0 }))
    }
}

impl Recorder {
    /// Counts one latency.
    pub fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).min(LATENCY_US_MAX);
        let mut recorded = self.lock();
        recorded.histogram.saturating_record(us);
        recorded.sum_us += u128::from(us);
    }

    /// What was recorded so far. Percentiles are at most 1 % too high, `max_us` too.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let recorded = self.lock();
        let count = recorded.histogram.len();
        if count == 0 {
            return Latency::default();
        }
        Latency {
            count,
            mean_us: u64::try_from(recorded.sum_us / u128::from(count)).unwrap_or(u64::MAX),
            p50_us: recorded.histogram.value_at_quantile(0.50),
            p95_us: recorded.histogram.value_at_quantile(0.95),
            p99_us: recorded.histogram.value_at_quantile(0.99),
            max_us: recorded.histogram.max(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        // A panic can't leave it half changed in a way that matters: these are statistics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use towpath_api::Latency;

    use super::{LATENCY_US_MAX, Recorder};

    #[test]
    fn percentiles_are_within_one_percent() {
        let recorder = Recorder::default();
        assert_eq!(recorder.latency(), Latency::default());
        for us in 1..=10_000 {
            recorder.record(Duration::from_micros(us));
        }
        let latency = recorder.latency();
        assert_eq!((latency.count, latency.mean_us), (10_000, 5_000));
        for (measured, exact) in [
            (latency.p50_us, 5_000),
            (latency.p95_us, 9_500),
            (latency.p99_us, 9_900),
            (latency.max_us, 10_000),
        ] {
            assert!(measured >= exact && measured <= exact + exact / 100 + 1, "{measured} for {exact}");
        }
    }

    #[test]
    fn what_is_longer_than_the_range_counts_as_its_end() {
        let recorder = Recorder::default();
        recorder.record(Duration::MAX);
        assert_eq!(recorder.latency().count, 1);
        assert!(recorder.latency().max_us >= LATENCY_US_MAX);
    }
}
