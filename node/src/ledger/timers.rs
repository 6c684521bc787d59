//! The driver's alarm clock: tokens that the engine asked for, by the time at which they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Pending timers. None is ever cancelled: the engine ignores tokens that it no longer knows.
#[derive(Default)]
pub(super) struct Timers {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Timers {
    pub(super) fn set(&mut self, token: u64, at: Instant) {
        self.due.push(Reverse((at, token)));
    }

    /// How long until the next one; none if there is none.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.peek().map(|Reverse((at, _))| at.saturating_duration_since(now))
    }

    /// The next one that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<u64> {
        match self.due.peek() {
            Some(Reverse((at, _))) if *at <= now => self.due.pop().map(|Reverse((_, token))| token),
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_the_order_of_their_times() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.set(1, now + Duration::from_millis(20));
        timers.set(2, now + Duration::from_millis(10));
        assert_eq!(timers.pop(now), None);
        assert_eq!(timers.wait(now), Some(Duration::from_millis(10)));
        let later = now + Duration::from_millis(30);
        assert_eq!([timers.pop(later), timers.pop(later), timers.pop(later)], [Some(2), Some(1), None]);
    }
}
