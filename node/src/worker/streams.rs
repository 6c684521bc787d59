//! Payment streams: the node itself makes `count` payments of one amount, keeping so many of them unacknowledged.
//! They live in memory only: a restarted node does not go on paying by itself, and every payment that was made stands.

use std::collections::VecDeque;
use std::time::Instant;

use hdrhistogram::Histogram;
use towpath_api::{Latency, Stream, StreamState, Units};
use towpath_ledger::Amount;

use crate::limits;
use crate::metrics::Buckets;

/// What a caller asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Of each payment.
    pub amount: Amount,
    /// How many.
    pub count: u64,
    /// How many may be unacknowledged at a time.
    pub in_flight: u32,
}

/// A stream while it runs, or how it ended.
pub(super) struct Running {
    id: u64,
    channel: String,
    plan: Plan,
    state: StreamState,
    started: u64,
    settled: u64,
    failed: u64,
    /// When each unacknowledged payment was asked for, oldest first, with its number once it has one.
    open: VecDeque<(u64, Instant)>,
    asked: u64,
    latency_us: Histogram<u64>,
    started_ms: u64,
    began: Instant,
    ended: Option<(u64, Instant)>,
    reason: Option<String>,
}

impl Running {
    pub(super) fn new(id: u64, channel: String, plan: Plan, now_ms: u64, now: Instant) -> Self {
        let latency_us =
            Histogram::new_with_bounds(1, limits::LATENCY_US_MAX, 3).expect("the bounds are valid");
        Self {
            id,
            channel,
            plan,
            state: StreamState::Running,
            started: 0,
            settled: 0,
            failed: 0,
            open: VecDeque::new(),
            asked: 0,
            latency_us,
            started_ms: now_ms,
            began: now,
            ended: None,
            reason: None,
        }
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == StreamState::Running
    }

    /// How many payments to ask for now.
    pub(super) fn wanted(&self) -> u64 {
        if !self.is_running() {
            return 0;
        }
        let open = self.asked - self.settled - self.failed;
        let room = u64::from(self.plan.in_flight).saturating_sub(open);
        room.min(self.plan.count - self.asked)
    }

    /// A payment was asked for.
    pub(super) fn asked(&mut self) {
        self.asked += 1;
    }

    /// A payment that was asked for is durable and has a number.
    pub(super) fn sent(&mut self, number: u64, asked_at: Instant) {
        self.started += 1;
        self.open.push_back((number, asked_at));
    }

    /// All payments up to `number` are acknowledged; `latencies` counts how long each took.
    pub(super) fn settled(&mut self, upto: u64, (now_ms, now): (u64, Instant), latencies: &Buckets) {
        while let Some((number, asked_at)) = self.open.front().copied()
            && number <= upto
        {
            self.open.pop_front();
            self.settled += 1;
            let latency = now.duration_since(asked_at);
            self.latency_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
            latencies.record_time(latency);
        }
        if self.is_running() && self.settled + self.failed == self.plan.count {
            self.end(StreamState::Done, None, now_ms, now);
        }
    }

    /// A payment was not made: the stream goes no further.
    pub(super) fn failed(&mut self, number: Option<u64>, reason: String, now_ms: u64, now: Instant) {
        self.failed += 1;
        if let Some(number) = number {
            self.open.retain(|(open, _)| *open != number);
        }
        if self.is_running() {
            self.end(StreamState::Failed, Some(reason), now_ms, now);
        }
    }

    /// The channel takes no payment now: the stream goes no further.
    pub(super) fn refused(&mut self, reason: String, now_ms: u64, now: Instant) {
        if self.is_running() {
            self.end(StreamState::Failed, Some(reason), now_ms, now);
        }
    }

    /// Makes no further payment.
    pub(super) fn cancel(&mut self, now_ms: u64, now: Instant) {
        if self.is_running() {
            self.end(StreamState::Cancelled, None, now_ms, now);
        }
    }

    fn end(&mut self, state: StreamState, reason: Option<String>, now_ms: u64, now: Instant) {
        self.state = state;
        self.reason = reason;
        self.ended = Some((now_ms, now));
    }

    /// For readers.
    pub(super) fn view(&self, now: Instant) -> Stream {
        let until = self.ended.map_or(now, |(_, ended)| ended);
        Stream {
            id: stream_id(self.id),
            channel: self.channel.clone(),
            amount: Units(self.plan.amount.units()),
            count: self.plan.count,
            in_flight: self.plan.in_flight,
            state: self.state,
            sent: self.started,
            settled: self.settled,
            failed: self.failed,
            latency: latency(&self.latency_us),
            started_ms: self.started_ms,
            ended_ms: self.ended.map(|(ended_ms, _)| ended_ms),
            elapsed_us: u64::try_from(until.duration_since(self.began).as_micros()).unwrap_or(u64::MAX),
            reason: self.reason.clone(),
        }
    }
}

/// The text by which a stream is known: it lives no longer than the process, so a number does.
pub fn stream_id(number: u64) -> String {
    format!("stream{number}")
}

/// The figures of a histogram of microseconds.
pub(crate) fn latency(histogram: &Histogram<u64>) -> Latency {
    Latency {
        count: histogram.len(),
        // Microseconds below the histogram's bound: exact in both directions.
        mean_us: histogram
            .iter_recorded()
            .map(|step| step.value_iterated_to() * step.count_at_value())
            .sum::<u64>()
            / histogram.len().max(1),
        p50_us: histogram.value_at_quantile(0.50),
        p95_us: histogram.value_at_quantile(0.95),
        p99_us: histogram.value_at_quantile(0.99),
        max_us: histogram.max(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stream(count: u64, in_flight: u32, now: Instant) -> Running {
        Running::new(7, "chan1x".into(), Plan { amount: Amount(5), count, in_flight }, 1_000, now)
    }

    #[test]
    fn a_stream_keeps_its_payments_in_flight_and_ends_when_all_are_settled() {
        let now = Instant::now();
        let mut stream = stream(5, 3, now);
        assert_eq!(stream.wanted(), 3);
        for number in 1..=3 {
            stream.asked();
            stream.sent(number, now);
        }
        assert_eq!(stream.wanted(), 0);
        let latencies = Buckets::default();
        stream.settled(2, (1_001, now + Duration::from_micros(150)), &latencies);
        assert_eq!(stream.wanted(), 2, "two were settled and two are left to ask for");
        for number in 4..=5 {
            stream.asked();
            stream.sent(number, now);
        }
        assert_eq!(stream.wanted(), 0, "no more than the plan");
        stream.settled(5, (1_002, now + Duration::from_micros(150)), &latencies);
        assert_eq!((latencies.read().count(), latencies.read().sum), (5, 750));
        let view = stream.view(now + Duration::from_secs(9));
        assert_eq!((view.state, view.settled, view.sent, view.latency.count), (StreamState::Done, 5, 5, 5));
        assert_eq!(view.latency.p50_us, 150);
        assert_eq!(view.elapsed_us, 150, "time stands still after the end");
    }

    #[test]
    fn a_failed_payment_ends_the_stream_and_says_why() {
        let now = Instant::now();
        let mut stream = stream(5, 2, now);
        stream.asked();
        stream.sent(1, now);
        stream.failed(Some(1), "the peer refused it".into(), 1_003, now);
        assert_eq!(stream.wanted(), 0);
        let view = stream.view(now);
        assert_eq!(
            (view.state, view.failed, view.reason.as_deref()),
            (StreamState::Failed, 1, Some("the peer refused it"))
        );
    }
}
