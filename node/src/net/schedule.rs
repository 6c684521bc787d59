//! One deadline a key: set, cleared, and taken in order of time. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

/// The deadlines.
#[derive(Debug)]
pub(crate) struct Schedule<K> {
    at: BTreeMap<K, Instant>,
    queue: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Schedule<K> {
    pub(crate) fn new() -> Self {
        Self { at: BTreeMap::new(), queue: BTreeSet::new() }
    }

    /// Sets the deadline of `key`, in place of an earlier one.
    pub(crate) fn set(&mut self, key: K, at: Instant) {
        self.clear(&key);
        self.at.insert(key, at);
        self.queue.insert((at, key));
    }

    /// Forgets the deadline of `key`.
    pub(crate) fn clear(&mut self, key: &K) {
        if let Some(at) = self.at.remove(key) {
            self.queue.remove(&(at, *key));
        }
    }

    /// Takes the first key whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.clear(&key);
        Some(key)
    }

    /// The first deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_come_in_order_of_time_and_each_has_one_deadline() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut schedule = Schedule::new();
        schedule.set('a', after(3));
        schedule.set('b', after(2));
        schedule.set('c', after(1));
        schedule.set('a', after(1));
        schedule.clear(&'b');
        assert_eq!(schedule.next(), Some(after(1)));
        assert_eq!(schedule.pop_due(now), None);
        assert_eq!(schedule.pop_due(after(9)), Some('a'));
        assert_eq!(schedule.pop_due(after(9)), Some('c'));
        assert_eq!(schedule.pop_due(after(9)), None);
        assert_eq!(schedule.next(), None);
    }
}
