//! What the workers count. Each has counters of its own, which only its thread and the journal's writer touch; a reader
//! adds them up.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::{Buckets, Distribution};

/// The counters of one worker. On cache lines of their own, so that no worker waits for another one's memory.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCounters {
    payments_sent: AtomicU64,
    payments_received: AtomicU64,
    payments_failed: AtomicU64,
    /// Inputs of each turn that had any.
    pub(super) turn_inputs: Buckets,
    /// Signatures of each verification.
    pub(super) signatures: Buckets,
    /// From a payment's request to its acknowledgement, in microseconds.
    pub(super) payment_latency_us: Buckets,
    /// From a turn's hand-over to its durability, in microseconds.
    pub(super) durable_us: Buckets,
}

impl WorkerCounters {
    pub(super) fn sent(&self, payments: u64) {
        self.payments_sent.fetch_add(payments, Ordering::Relaxed);
    }

    pub(super) fn received(&self, payments: u64) {
        self.payments_received.fetch_add(payments, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, payments: u64) {
        self.payments_failed.fetch_add(payments, Ordering::Relaxed);
    }
}

/// The counters of all workers of a node.
#[derive(Debug)]
pub struct WorkerStats(Box<[WorkerCounters]>);

impl WorkerStats {
    /// For so many workers; at least one.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| WorkerCounters::default()).collect())
    }

    /// Those of the worker at a place; the first one's for a place that there is not.
    pub(super) fn of(&self, place: u8) -> &WorkerCounters {
        self.0.get(usize::from(place)).unwrap_or(&self.0[0])
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> WorkerTotals {
        let mut total = WorkerTotals::default();
        for worker in &self.0 {
            total.payments_sent += worker.payments_sent.load(Ordering::Relaxed);
            total.payments_received += worker.payments_received.load(Ordering::Relaxed);
            total.payments_failed += worker.payments_failed.load(Ordering::Relaxed);
            total.turn_inputs.add(&worker.turn_inputs.read());
            total.signatures.add(&worker.signatures.read());
            total.payment_latency_us.add(&worker.payment_latency_us.read());
            total.durable_us.add(&worker.durable_us.read());
        }
        total
    }
}

/// What all workers together have counted since the node started.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct WorkerTotals {
    /// Payments by this node that are settled.
    pub payments_sent: u64,
    /// Payments to this node that are final.
    pub payments_received: u64,
    /// Payments by this node that failed.
    pub payments_failed: u64,
    /// Inputs of each turn that had any.
    pub turn_inputs: Distribution,
    /// Signatures of each verification.
    pub signatures: Distribution,
    /// From a payment's request to its acknowledgement, in microseconds; of those that somebody waited for.
    pub payment_latency_us: Distribution,
    /// From a turn's hand-over to its durability, in microseconds.
    pub durable_us: Distribution,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_worker_counts_is_in_the_total_once() {
        let stats = WorkerStats::new(3);
        for (place, payments) in [(0, 1), (1, 10), (2, 100)] {
            let worker = stats.of(place);
            worker.sent(payments);
            worker.received(2 * payments);
            worker.failed(3 * payments);
            worker.turn_inputs.record(payments);
            worker.signatures.record(payments);
        }
        let total = stats.total();
        assert_eq!((total.payments_sent, total.payments_received, total.payments_failed), (111, 222, 333));
        assert_eq!((total.turn_inputs.count(), total.turn_inputs.sum, total.turn_inputs.max), (3, 111, 100));
        assert_eq!((total.signatures.count(), total.payment_latency_us.count()), (3, 0));
    }
}
