//! Which nodes to keep connected, and when to dial each again. Pure: time comes in, dials go out.
//!
//! A target is dialled at once, then after doubling delays with jitter, for ever. A connection must last a while before
//! its target's delay starts from the bottom again, so that a peer which accepts and hangs up is not dialled in a loop.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::limits::{ADDRESSES_PER_PEER_MAX, WANTED_MAX};
use super::schedule::Schedule;

/// The first delay; each further one is twice as long.
const DELAY_MIN: Duration = Duration::from_millis(500);

/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// How long a connection must last to count as good.
const GOOD_AFTER: Duration = Duration::from_secs(30);

/// The delay of a dial for which there was no room.
const NO_ROOM_DELAY: Duration = Duration::from_millis(200);

/// Why a target is kept connected; a node can be both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To find other nodes.
    Bootstrap,
    /// The node asked for it: a channel peer or a pinned validator.
    Wanted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    Dialing,
    Connected { since: Instant },
}

#[derive(Debug)]
struct Target {
    bootstrap: bool,
    wanted: bool,
    addresses: Vec<Multiaddr>,
    failures: u32,
    state: State,
}

/// The table of targets.
#[derive(Debug)]
pub(crate) struct Dialer {
    seed: u64,
    targets: BTreeMap<PeerId, Target>,
    /// When to dial; exactly the targets that wait are in it.
    waiting: Schedule<PeerId>,
}

/// No room for another target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Dialer {
    /// An empty table; `seed` spreads the delays.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, targets: BTreeMap::new(), waiting: Schedule::new() }
    }

    /// Keeps `peer` connected from now on.
    pub(crate) fn add(
        &mut self,
        peer: PeerId,
        purpose: Purpose,
        addresses: Vec<Multiaddr>,
        now: Instant,
    ) -> Result<(), TooMany> {
        if !self.targets.contains_key(&peer) && self.targets.len() >= WANTED_MAX {
            return Err(TooMany);
        }
        let target = self.targets.entry(peer).or_insert(Target {
            bootstrap: false,
            wanted: false,
            addresses: Vec::new(),
            failures: 0,
            state: State::Waiting,
        });
        match purpose {
            Purpose::Bootstrap => target.bootstrap = true,
            Purpose::Wanted => target.wanted = true,
        }
        let is_new = learn(&mut target.addresses, addresses) || target.failures == 0;
        // New addresses are worth a try at once.
        if is_new && target.state == State::Waiting {
            self.waiting.set(peer, now);
        }
        Ok(())
    }

    /// The node no longer asks for `peer`.
    pub(crate) fn unwant(&mut self, peer: &PeerId) {
        if let Some(target) = self.targets.get_mut(peer) {
            target.wanted = false;
            if !target.bootstrap {
                self.targets.remove(peer);
                self.waiting.clear(peer);
            }
        }
    }

    /// Whether the node asked for `peer`.
    pub(crate) fn is_wanted(&self, peer: &PeerId) -> bool {
        self.targets.get(peer).is_some_and(|target| target.wanted)
    }

    /// Another way to reach a target, as others tell.
    pub(crate) fn learn(&mut self, peer: &PeerId, addresses: Vec<Multiaddr>) {
        if let Some(target) = self.targets.get_mut(peer) {
            learn(&mut target.addresses, addresses);
        }
    }

    /// A first connection stands.
    pub(crate) fn on_connected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(target) = self.targets.get_mut(peer)
            && !matches!(target.state, State::Connected { .. })
        {
            target.state = State::Connected { since: now };
            self.waiting.clear(peer);
        }
    }

    /// The last connection is gone.
    pub(crate) fn on_disconnected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(target) = self.targets.get_mut(peer)
            && let State::Connected { since } = target.state
        {
            if now.saturating_duration_since(since) >= GOOD_AFTER {
                target.failures = 0;
            }
            self.retry(peer, now);
        }
    }

    /// A dial failed; nothing changes for a target that is connected by another way.
    /// Whether it was a dial that this table asked for.
    pub(crate) fn on_dial_failed(&mut self, peer: &PeerId, now: Instant) -> bool {
        let is_own = self.targets.get(peer).is_some_and(|target| target.state == State::Dialing);
        if is_own {
            self.retry(peer, now);
        }
        is_own
    }

    fn retry(&mut self, peer: &PeerId, now: Instant) {
        let Some(target) = self.targets.get_mut(peer) else { return };
        target.state = State::Waiting;
        self.waiting.set(*peer, now + delay(self.seed, peer, target.failures));
        target.failures = target.failures.saturating_add(1);
    }

    /// The targets to dial now, at most `room`; they count as being dialled from here on.
    pub(crate) fn due(&mut self, room: usize, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut dials = Vec::new();
        while let Some(peer) = self.waiting.pop_due(now) {
            let Some(target) = self.targets.get_mut(&peer) else { continue };
            if dials.len() < room {
                target.state = State::Dialing;
                dials.push((peer, target.addresses.clone()));
            } else {
                self.waiting.set(peer, now + NO_ROOM_DELAY);
            }
        }
        dials
    }

    /// When [`Self::due`] next has something.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.next()
    }
}

/// Adds what is new, the newest first, within the bound; says whether anything was.
fn learn(known: &mut Vec<Multiaddr>, addresses: Vec<Multiaddr>) -> bool {
    let mut fresh = false;
    for address in addresses {
        if !known.contains(&address) {
            known.insert(0, address);
            fresh = true;
        }
    }
    known.truncate(ADDRESSES_PER_PEER_MAX);
    fresh
}

/// The delay after `failures` failures: doubling, bounded, and between half and all of it by the seed.
pub(crate) fn delay(seed: u64, peer: &PeerId, failures: u32) -> Duration {
    let full = DELAY_MIN.saturating_mul(1 << failures.min(16)).min(DELAY_MAX);
    let mut hash = seed ^ u64::from(failures).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in peer.to_bytes() {
        hash = mix(hash ^ u64::from(byte));
    }
    let parts = u32::try_from(mix(hash) % 1000).unwrap_or(0);
    full / 2 + full / 2 * parts / 1000
}

/// SplitMix64's finalizer: spreads, and need not hide.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u8) -> PeerId {
        crate::net::identity::keypair(&[seed; 32]).unwrap().public().to_peer_id()
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    fn dialer(now: Instant) -> Dialer {
        let mut dialer = Dialer::new(7);
        dialer.add(peer(1), Purpose::Wanted, vec![address(1)], now).unwrap();
        dialer
    }

    #[test]
    fn a_target_is_dialled_at_once_and_again_with_growing_delays() {
        let start = Instant::now();
        let mut dialer = dialer(start);
        let mut now = start;
        let mut last = Duration::ZERO;
        for round in 0..12 {
            assert_eq!(dialer.due(10, now), vec![(peer(1), vec![address(1)])], "round {round}");
            assert_eq!(dialer.next_deadline(), None, "one dial at a time");
            dialer.on_dial_failed(&peer(1), now);
            let next = dialer.next_deadline().unwrap();
            let waited = next - now;
            assert!(waited <= DELAY_MAX && waited >= DELAY_MIN / 2);
            assert!(round > 5 || waited > last / 2, "grows");
            assert!(dialer.due(10, next - Duration::from_millis(1)).is_empty());
            last = waited;
            now = next;
        }
        assert!(last >= DELAY_MAX / 2);
    }

    /// Lookups dial, too: were each failure answered with a lookup, a node that is down would be dialled without a pause.
    #[test]
    fn n10_only_the_failure_of_an_own_dial_counts_and_once() {
        let start = Instant::now();
        let mut dialer = dialer(start);
        assert!(!dialer.on_dial_failed(&peer(1), start), "it was not dialled yet");
        assert_eq!(dialer.due(10, start).len(), 1);
        assert!(dialer.on_dial_failed(&peer(1), start));
        let next = dialer.next_deadline();
        for _of_lookups in 0..100 {
            assert!(!dialer.on_dial_failed(&peer(1), start));
        }
        assert_eq!(dialer.next_deadline(), next);
        assert!(!dialer.on_dial_failed(&peer(7), start), "nobody wants it");
    }

    #[test]
    fn a_connected_target_is_left_alone_and_a_lost_one_dialled_again() {
        let start = Instant::now();
        let mut dialer = dialer(start);
        dialer.due(10, start);
        dialer.on_connected(&peer(1), start);
        dialer.on_dial_failed(&peer(1), start); // a second dial, by another address
        assert_eq!(dialer.next_deadline(), None);
        let later = start + GOOD_AFTER;
        dialer.on_disconnected(&peer(1), later);
        assert!(dialer.next_deadline().unwrap() - later <= DELAY_MIN);
    }

    #[test]
    fn n10_a_flapping_peer_is_not_dialled_in_a_loop() {
        let mut now = Instant::now();
        let mut dialer = dialer(now);
        for _ in 0..10 {
            dialer.due(10, now);
            dialer.on_connected(&peer(1), now);
            dialer.on_disconnected(&peer(1), now);
            now = dialer.next_deadline().unwrap();
        }
        dialer.due(10, now);
        dialer.on_connected(&peer(1), now);
        dialer.on_disconnected(&peer(1), now);
        assert!(dialer.next_deadline().unwrap() - now >= DELAY_MAX / 2);
    }

    #[test]
    fn room_is_respected_and_the_rest_waits_a_little() {
        let now = Instant::now();
        let mut dialer = Dialer::new(1);
        for seed in 1..=5 {
            dialer.add(peer(seed), Purpose::Wanted, vec![], now).unwrap();
        }
        assert_eq!(dialer.due(2, now).len(), 2);
        assert!(dialer.due(2, now).is_empty());
        assert_eq!(dialer.due(9, now + NO_ROOM_DELAY).len(), 3);
    }

    #[test]
    fn unwanted_bootstrap_nodes_stay() {
        let now = Instant::now();
        let mut dialer = dialer(now);
        dialer.add(peer(1), Purpose::Bootstrap, vec![], now).unwrap();
        dialer.unwant(&peer(1));
        assert!(!dialer.is_wanted(&peer(1)));
        assert_eq!(dialer.due(9, now).len(), 1);
        let mut dialer = self::dialer(now);
        dialer.unwant(&peer(1));
        assert!(dialer.due(9, now).is_empty());
    }

    #[test]
    fn addresses_are_bounded_and_new_ones_come_first() {
        let now = Instant::now();
        let mut dialer = dialer(now);
        dialer.learn(&peer(1), (2..50).map(address).collect());
        let dials = dialer.due(1, now);
        assert_eq!(dials[0].1.len(), ADDRESSES_PER_PEER_MAX);
        assert_eq!(dials[0].1[0], address(49));
    }

    #[test]
    fn jitter_depends_on_seed_and_peer() {
        assert_ne!(delay(1, &peer(1), 5), delay(2, &peer(1), 5));
        assert_ne!(delay(1, &peer(1), 5), delay(1, &peer(2), 5));
        assert_eq!(delay(1, &peer(1), 5), delay(1, &peer(1), 5));
    }
}
