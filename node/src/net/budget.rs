//! Token buckets for what one peer may cost: full at first, refilled by the second, and remembered only while not full.
//! Pure: time comes in.

use std::collections::BTreeMap;

use libp2p::PeerId;
use tokio::time::Instant;

/// A bucket a peer, with one size and one rate.
#[derive(Debug)]
pub(crate) struct Budgets {
    size: u64,
    per_second: u64,
    peers_max: usize,
    buckets: BTreeMap<PeerId, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    at: Instant,
}

impl Budgets {
    pub(crate) fn new(size: u64, per_second: u64, peers_max: usize) -> Self {
        Self { size, per_second, peers_max, buckets: BTreeMap::new() }
    }

    /// Whether `peer` has anything left.
    pub(crate) fn has_any(&mut self, peer: &PeerId, now: Instant) -> bool {
        self.left(peer, now) > 0
    }

    /// Takes `amount`; what is not there is forgiven, since it has been spent already.
    pub(crate) fn spend(&mut self, peer: &PeerId, amount: u64, now: Instant) {
        let left = self.left(peer, now).saturating_sub(amount);
        if !self.buckets.contains_key(peer) && self.buckets.len() >= self.peers_max {
            self.forget_fullest(now);
        }
        self.buckets.insert(*peer, Bucket { left, at: now });
    }

    /// Takes one if there is one.
    pub(crate) fn take(&mut self, peer: &PeerId, now: Instant) -> bool {
        let has = self.has_any(peer, now);
        if has {
            self.spend(peer, 1, now);
        }
        has
    }

    fn left(&self, peer: &PeerId, now: Instant) -> u64 {
        self.buckets.get(peer).map_or(self.size, |bucket| self.refilled(bucket, now))
    }

    fn refilled(&self, bucket: &Bucket, now: Instant) -> u64 {
        let millis = u64::try_from(now.saturating_duration_since(bucket.at).as_millis()).unwrap_or(u64::MAX);
        let gained = millis.saturating_mul(self.per_second) / 1000;
        bucket.left.saturating_add(gained).min(self.size)
    }

    /// Drops all full buckets, or, if none is, the fullest: it costs its peer's creditors the least.
    fn forget_fullest(&mut self, now: Instant) {
        let (size, rate) = (self.size, self.per_second);
        let view = Self { size, per_second: rate, peers_max: 0, buckets: BTreeMap::new() };
        let before = self.buckets.len();
        self.buckets.retain(|_, bucket| view.refilled(bucket, now) < size);
        if self.buckets.len() == before
            && let Some(peer) =
                self.buckets.iter().max_by_key(|(_, bucket)| bucket.left).map(|(peer, _)| *peer)
        {
            self.buckets.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn peer(seed: u8) -> PeerId {
        crate::net::identity::keypair(&[seed; 32]).unwrap().public().to_peer_id()
    }

    #[test]
    fn n11_a_budget_is_spent_and_refilled() {
        let now = Instant::now();
        let mut budgets = Budgets::new(10, 2, 4);
        for _ in 0..10 {
            assert!(budgets.take(&peer(1), now));
        }
        assert!(!budgets.take(&peer(1), now));
        assert!(budgets.take(&peer(2), now), "each has its own");
        assert!(!budgets.take(&peer(1), now + Duration::from_millis(499)));
        assert!(budgets.take(&peer(1), now + Duration::from_millis(500)));
    }

    #[test]
    fn n11_asking_while_empty_does_not_delay_the_refill() {
        let start = Instant::now();
        let mut budgets = Budgets::new(1, 1, 4);
        assert!(budgets.take(&peer(1), start));
        for step in 1..10 {
            assert!(!budgets.take(&peer(1), start + Duration::from_millis(100 * step)));
        }
        assert!(budgets.take(&peer(1), start + Duration::from_secs(1)));
    }

    #[test]
    fn n11_the_table_is_bounded_and_keeps_the_greediest() {
        let now = Instant::now();
        let mut budgets = Budgets::new(10, 1, 3);
        budgets.spend(&peer(1), 10, now);
        for seed in 2..50 {
            budgets.spend(&peer(seed), 1, now);
        }
        assert_eq!(budgets.buckets.len(), 3);
        assert!(!budgets.has_any(&peer(1), now));
    }
}
