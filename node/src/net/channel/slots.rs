//! Which session attempts go on and which session is live, a slot a node. Pure: the driver runs what it decides.
//!
//! Either side may open a stream. If both do so at once, the one of the node with the lower id stands: that node refuses
//! the other's, and the other gives up its own when it sees it. A live session is replaced only by one whose handshake
//! has succeeded: the peer itself opened it, so it has lost the old one; and the new one starts only when the old one's
//! task has ended, so that what the node sees is up, messages, down, up.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::net::dialer::delay;
use crate::net::event::DownReason;
use crate::net::identity::{NodeId, peer_of};
use crate::net::schedule::Schedule;

/// How long a session must last for its node's delays to start from the bottom again.
const GOOD_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

/// Who opened a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// This node: it begins the handshake.
    Opener,
    /// The peer.
    Accepter,
}

/// An attempt to get a session: the stream, then the handshake.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// Names the attempt, and the stream that is being opened for it.
    pub(crate) id: u64,
    /// Fires when it is given up.
    pub(crate) cancel: CancellationToken,
    side: Side,
}

impl Attempt {
    /// An attempt of this node whose stream is open.
    pub(crate) const fn opened(id: u64, cancel: CancellationToken) -> Self {
        Self { id, cancel, side: Side::Opener }
    }
}

#[derive(Debug)]
struct Live<P> {
    id: u64,
    since: Instant,
    stop: Option<oneshot::Sender<DownReason>>,
    successor: Option<P>,
}

#[derive(Debug)]
struct Slot<P> {
    attempt: Option<Attempt>,
    live: Option<Live<P>>,
    failures: u32,
}

/// A session that is to be run now.
#[derive(Debug)]
pub(crate) struct Start<P> {
    /// Names the session.
    pub(crate) id: u64,
    /// Fires with the reason when it is to stop.
    pub(crate) stop: oneshot::Receiver<DownReason>,
    /// What the handshake gave.
    pub(crate) payload: P,
}

/// All slots; `P` is what a handshake gives.
#[derive(Debug)]
pub(crate) struct Slots<P> {
    local: NodeId,
    seed: u64,
    next: u64,
    slots: BTreeMap<NodeId, Slot<P>>,
    retries: Schedule<NodeId>,
}

impl<P> Slots<P> {
    pub(crate) fn new(local: NodeId, seed: u64) -> Self {
        Self { local, seed, next: 0, slots: BTreeMap::new(), retries: Schedule::new() }
    }

    fn slot(&mut self, node: NodeId) -> &mut Slot<P> {
        self.slots.entry(node).or_insert(Slot { attempt: None, live: None, failures: 0 })
    }

    fn begin(&mut self, node: NodeId, side: Side) -> Attempt {
        self.next += 1;
        let attempt = Attempt { id: self.next, cancel: CancellationToken::new(), side };
        self.slot(node).attempt = Some(attempt.clone());
        self.retries.clear(&node);
        attempt
    }

    /// This node would open a session: none if there is one, or an attempt at one.
    pub(crate) fn open(&mut self, node: NodeId) -> Option<Attempt> {
        let slot = self.slot(node);
        (slot.attempt.is_none() && slot.live.is_none()).then(|| self.begin(node, Side::Opener))
    }

    /// The peer opened a stream: none if it is to be dropped.
    pub(crate) fn on_inbound(&mut self, node: NodeId) -> Option<Attempt> {
        let local = self.local;
        if let Some(attempt) = &self.slot(node).attempt {
            match attempt.side {
                Side::Opener if local < node => return None,
                // Ours gives way; or the peer has given up its earlier one.
                Side::Opener | Side::Accepter => attempt.cancel.cancel(),
            }
        }
        Some(self.begin(node, Side::Accepter))
    }

    /// Whether the attempt still counts.
    pub(crate) fn is_current(&self, node: &NodeId, id: u64) -> bool {
        self.slots.get(node).and_then(|slot| slot.attempt.as_ref()).is_some_and(|attempt| attempt.id == id)
    }

    /// An attempt failed. Says whether it still counted.
    pub(crate) fn on_failed(&mut self, node: NodeId, id: u64, now: Instant) -> bool {
        if !self.is_current(&node, id) {
            return false;
        }
        let slot = self.slot(node);
        slot.attempt = None;
        if slot.live.is_none() {
            self.schedule(node, now);
        }
        true
    }

    /// A handshake succeeded: a session to start now, or none if it no longer counts or has to wait for the old one.
    pub(crate) fn on_done(&mut self, node: NodeId, id: u64, payload: P, now: Instant) -> Option<Start<P>> {
        if !self.is_current(&node, id) {
            return None;
        }
        let slot = self.slot(node);
        slot.attempt = None;
        match &mut slot.live {
            Some(live) => {
                live.successor = Some(payload);
                if let Some(stop) = live.stop.take() {
                    // A task that has ended already reports that by itself.
                    let _ = stop.send(DownReason::Replaced);
                }
                None
            }
            None => Some(self.start(node, payload, now)),
        }
    }

    fn start(&mut self, node: NodeId, payload: P, now: Instant) -> Start<P> {
        self.next += 1;
        let id = self.next;
        let (stop, stopped) = oneshot::channel();
        self.slot(node).live = Some(Live { id, since: now, stop: Some(stop), successor: None });
        self.retries.clear(&node);
        Start { id, stop: stopped, payload }
    }

    /// A session's task has ended: its successor, if one waits.
    pub(crate) fn on_ended(&mut self, node: NodeId, id: u64, now: Instant) -> Option<Start<P>> {
        let slot = self.slots.get_mut(&node)?;
        let live = slot.live.take_if(|live| live.id == id)?;
        if now.saturating_duration_since(live.since) >= GOOD_AFTER {
            slot.failures = 0;
        }
        if let Some(payload) = live.successor {
            return Some(self.start(node, payload, now));
        }
        if slot.attempt.is_none() {
            self.schedule(node, now);
        }
        None
    }

    fn schedule(&mut self, node: NodeId, now: Instant) {
        let seed = self.seed;
        let slot = self.slot(node);
        let failures = slot.failures;
        slot.failures = failures.saturating_add(1);
        // A session is tried again sooner than a dial: the connection stands.
        let wait = peer_of(&node).map_or_else(|_| GOOD_AFTER, |peer| delay(seed, &peer, failures) / 4);
        self.retries.set(node, now + wait);
    }

    /// A node for which it is time to try again.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<NodeId> {
        self.retries.pop_due(now)
    }

    /// When [`Self::pop_due`] next has something.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.retries.next()
    }

    /// Gives up attempts, stops the session.
    pub(crate) fn close(&mut self, node: &NodeId) {
        self.retries.clear(node);
        let Some(slot) = self.slots.get_mut(node) else { return };
        if let Some(attempt) = slot.attempt.take() {
            attempt.cancel.cancel();
        }
        if let Some(live) = &mut slot.live {
            live.successor = None;
            if let Some(stop) = live.stop.take() {
                let _ = stop.send(DownReason::Closed);
            }
        }
        self.tidy(node);
    }

    /// Forgets a slot in which nothing goes on, for a node that is not wanted or not connected.
    pub(crate) fn tidy(&mut self, node: &NodeId) {
        if self.slots.get(node).is_some_and(|slot| slot.attempt.is_none() && slot.live.is_none()) {
            self.slots.remove(node);
            self.retries.clear(node);
        }
    }

    /// Closes all.
    pub(crate) fn close_all(&mut self) {
        let nodes: Vec<NodeId> = self.slots.keys().copied().collect();
        for node in nodes {
            self.close(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(seed: u8) -> NodeId {
        towpath_crypto::ed25519::SecretKey::from_bytes(&[seed; 32]).public()
    }

    /// Two nodes, the lower id first.
    fn pair() -> (NodeId, NodeId) {
        let (a, b) = (node(1), node(2));
        if a < b { (a, b) } else { (b, a) }
    }

    #[test]
    fn a_simultaneous_open_leaves_the_stream_of_the_lower_id_on_both_sides() {
        let (low, high) = pair();
        let (mut lower, mut higher) = (Slots::<()>::new(low, 0), Slots::<()>::new(high, 0));
        let ours = lower.open(high).unwrap();
        let theirs = higher.open(low).unwrap();
        assert!(lower.on_inbound(high).is_none());
        let accepted = higher.on_inbound(low).unwrap();
        assert!(theirs.cancel.is_cancelled());
        assert!(!ours.cancel.is_cancelled());
        let now = Instant::now();
        assert!(!higher.on_failed(low, theirs.id, now), "the attempt that gave way changes nothing");
        assert!(lower.on_done(high, ours.id, (), now).is_some());
        assert!(higher.on_done(low, accepted.id, (), now).is_some());
    }

    #[test]
    fn n7_a_live_session_is_replaced_only_after_a_successful_handshake_and_only_when_it_has_ended() {
        let (low, high) = pair();
        let mut slots = Slots::new(low, 0);
        let now = Instant::now();
        let first = slots.on_inbound(high).unwrap();
        let mut live = slots.on_done(high, first.id, 'a', now).unwrap();
        let failing = slots.on_inbound(high).unwrap();
        assert!(slots.on_failed(high, failing.id, now));
        assert!(live.stop.try_recv().is_err(), "untouched by a failed attempt");
        let second = slots.on_inbound(high).unwrap();
        assert!(slots.on_done(high, second.id, 'b', now).is_none(), "waits");
        assert_eq!(live.stop.try_recv(), Ok(DownReason::Replaced));
        assert_eq!(slots.on_ended(high, live.id, now).unwrap().payload, 'b');
    }

    #[test]
    fn one_attempt_at_a_time_and_the_peers_newest_counts() {
        let (low, high) = pair();
        let mut slots = Slots::<()>::new(low, 0);
        let first = slots.on_inbound(high).unwrap();
        assert!(slots.open(high).is_none());
        let second = slots.on_inbound(high).unwrap();
        assert!(first.cancel.is_cancelled());
        assert!(slots.on_done(high, first.id, (), Instant::now()).is_none());
        assert!(slots.on_done(high, second.id, (), Instant::now()).is_some());
        assert!(slots.open(high).is_none());
    }

    #[test]
    fn failures_are_retried_with_growing_delays() {
        let (low, high) = pair();
        let mut slots = Slots::<()>::new(low, 0);
        let mut now = Instant::now();
        let mut last = Duration::ZERO;
        for _ in 0..6 {
            let attempt = slots.open(high).unwrap();
            slots.on_failed(high, attempt.id, now);
            let next = slots.next_deadline().unwrap();
            assert!(next - now > last / 2);
            last = next - now;
            now = next;
            assert_eq!(slots.pop_due(now), Some(high));
            assert_eq!(slots.pop_due(now), None);
        }
        assert!(last > Duration::from_secs(1));
    }

    #[test]
    fn a_session_that_ends_at_once_does_not_reset_the_delays() {
        let (low, high) = pair();
        let mut slots = Slots::new(low, 0);
        let now = Instant::now();
        for _ in 0..8 {
            let attempt = slots.open(high).unwrap();
            let live = slots.on_done(high, attempt.id, (), now).unwrap();
            assert!(slots.on_ended(high, live.id, now).is_none());
        }
        assert!(slots.next_deadline().unwrap() - now > Duration::from_secs(5));
        let attempt = slots.open(high).unwrap();
        let live = slots.on_done(high, attempt.id, (), now).unwrap();
        let later = now + GOOD_AFTER;
        slots.on_ended(high, live.id, later);
        assert!(slots.next_deadline().unwrap() - later < Duration::from_secs(1));
    }

    #[test]
    fn closing_cancels_attempts_stops_the_session_and_forgets_the_node() {
        let (low, high) = pair();
        let mut slots = Slots::new(low, 0);
        let now = Instant::now();
        let attempt = slots.on_inbound(high).unwrap();
        let mut live = slots.on_done(high, attempt.id, (), now).unwrap();
        let second = slots.on_inbound(high).unwrap();
        slots.close(&high);
        assert!(second.cancel.is_cancelled());
        assert_eq!(live.stop.try_recv(), Ok(DownReason::Closed));
        slots.on_ended(high, live.id, now);
        slots.tidy(&high);
        assert!(slots.slots.is_empty());
        assert_eq!(slots.next_deadline(), None);
    }
}
