//! Links: channel sessions that are in order and whole until they break, gossip that is neither, and requests for blocks.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;
use towpath_crypto::codec;
use towpath_node::net::{NetError, Sent, Topic, Verdict};

use crate::cheat::Half;
use crate::tally::Fault;
use crate::violation::Violation;
use crate::world::{What, World};

/// Where the answer to a request for blocks goes.
pub type Answer = oneshot::Sender<Result<Vec<u8>, NetError>>;

/// Gossip messages that are remembered, to be passed on.
const GOSSIP_KEPT: usize = 512;

/// A link between two nodes.
#[derive(Clone, Debug, Default)]
struct Link {
    /// Nothing goes through.
    is_cut: bool,
    /// The session that is up, if one is.
    session: Option<u64>,
    /// A session is being made.
    is_connecting: bool,
    /// When the last frame arrives, in each direction: none overtakes another.
    last_ms: [u64; 2],
    /// Until when nothing arrives, in each direction.
    stalled_ms: [u64; 2],
}

/// A gossip message on its way.
struct Gossip {
    topic: Topic,
    bytes: Vec<u8>,
    /// Who has it.
    seen: BTreeSet<usize>,
}

/// See the module.
pub struct Network {
    links: BTreeMap<(usize, usize), Link>,
    gossip: BTreeMap<u64, Gossip>,
    last_gossip: u64,
    last_session: u64,
    /// When the last gossip that was sent between two nodes arrives.
    newest: BTreeMap<(usize, usize), u64>,
}

impl Network {
    /// Links between all of so many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        let pairs = (0..nodes).flat_map(|one| (one + 1..nodes).map(move |other| (one, other)));
        Self {
            links: pairs.map(|pair| (pair, Link::default())).collect(),
            gossip: BTreeMap::new(),
            last_gossip: 0,
            last_session: 0,
            newest: BTreeMap::new(),
        }
    }

    fn link(&mut self, one: usize, other: usize) -> &mut Link {
        self.links.entry((one.min(other), one.max(other))).or_default()
    }

    fn is_cut(&self, one: usize, other: usize) -> bool {
        self.links.get(&(one.min(other), one.max(other))).is_none_or(|link| link.is_cut)
    }

    fn stalled_ms(&self, from: usize, to: usize) -> u64 {
        let link = self.links.get(&(from.min(to), from.max(to)));
        link.map_or(0, |link| link.stalled_ms[usize::from(from > to)])
    }
}

impl World {
    fn delay(&mut self) -> u64 {
        let (low, high) = self.plan.delay_ms;
        self.rng.between(low, high)
    }

    fn is_up(&self, node: usize) -> bool {
        self.stations[node].process.is_some()
    }

    /// Tells everyone who is connected with whom, and has sessions made where they are missing.
    fn tend(&mut self) {
        let nodes = self.stations.len();
        for node in 0..nodes {
            let there = (0..nodes).filter(|other| *other != node);
            let there = there.filter(|other| self.is_up(*other) && !self.network.is_cut(node, *other));
            let ids: BTreeSet<_> = there.map(|other| self.stations[other].id).collect();
            if let Some(process) = self.stations[node].process.as_mut() {
                let _entered = self.runtime.enter();
                process.connected(&ids);
            }
        }
        for one in 0..nodes {
            for other in one + 1..nodes {
                let can = self.is_up(one) && self.is_up(other);
                let link = self.network.link(one, other);
                if can && !link.is_cut && link.session.is_none() && !link.is_connecting {
                    link.is_connecting = true;
                    let wait = self.rng.between(20, 2_000);
                    self.after(wait + self.plan.delay_ms.1, What::Connect(one, other));
                }
            }
        }
    }

    /// A node is there again.
    pub fn join(&mut self, _node: usize) {
        self.tend();
    }

    /// A node is gone: its peers notice that after a while.
    pub fn leave(&mut self, node: usize) {
        for other in (0..self.stations.len()).filter(|other| *other != node).collect::<Vec<_>>() {
            self.end_session(node, other);
        }
        self.tend();
    }

    /// A session between two nodes ends, if there is one; each end learns it in its own time.
    fn end_session(&mut self, one: usize, other: usize) {
        let Some(number) = self.network.link(one, other).session.take() else { return };
        for (node, peer) in [(one, other), (other, one)] {
            let wait = self.delay();
            self.after(wait, What::Down(node, peer, number));
        }
    }

    /// Two nodes make a session, if they still can.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn connect(&mut self, one: usize, other: usize) -> Result<(), Violation> {
        let can = self.is_up(one) && self.is_up(other);
        self.network.last_session += 1;
        let (number, now_ms) = (self.network.last_session, self.now_ms);
        let link = self.network.link(one, other);
        link.is_connecting = false;
        if !can || link.is_cut || link.session.is_some() {
            return Ok(());
        }
        link.session = Some(number);
        link.last_ms = [now_ms; 2];
        for (node, peer) in [(one, other), (other, one)] {
            let up_ms = self.now_ms + self.delay();
            // Nothing arrives before the session is up where it arrives.
            let link = self.network.link(one, other);
            let last_ms = &mut link.last_ms[usize::from(peer > node)];
            *last_ms = (*last_ms).max(up_ms);
            self.at(up_ms, What::Up(node, peer, number));
        }
        Ok(())
    }

    /// One end of a session is up.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn session_up(&mut self, node: usize, peer: usize, number: u64) -> Result<(), Violation> {
        if self.network.link(node, peer).session != Some(number) {
            return Ok(());
        }
        let peer_id = self.stations[peer].id;
        let station = &mut self.stations[node];
        let Some(process) = station.process.as_mut() else { return Ok(()) };
        station.sessions.insert(peer, number);
        process.session_up(peer_id);
        self.trace.step("up", self.now_ms, node, &number.to_le_bytes());
        self.step(node)
    }

    /// One end of a session learns that it is down.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn session_down(&mut self, node: usize, peer: usize, number: u64) -> Result<(), Violation> {
        let peer_id = self.stations[peer].id;
        let station = &mut self.stations[node];
        if station.sessions.get(&peer) == Some(&number)
            && let Some(process) = station.process.as_mut()
        {
            station.sessions.remove(&peer);
            process.session_down(peer_id);
            self.trace.step("down", self.now_ms, node, &number.to_le_bytes());
            self.step(node)?;
        }
        self.tend();
        Ok(())
    }

    /// Channel messages arrive.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn frame(
        &mut self,
        from: usize,
        to: usize,
        number: u64,
        messages: &[Vec<u8>],
    ) -> Result<(), Violation> {
        if self.stations[to].sessions.get(&from) != Some(&number) {
            return Ok(());
        }
        self.trace.step("frame", self.now_ms, to, &codec::encode(&messages.to_vec()));
        self.rogue_hears(from, to, messages);
        let from_id = self.stations[from].id;
        let Some(process) = self.stations[to].process.as_mut() else { return Ok(()) };
        if !process.hear(from_id, messages) {
            return Err(Violation::new(
                "I9 queues are within their bounds",
                format!("node {to} has no room"),
            ));
        }
        self.step(to)
    }

    /// Takes what a node says, and sends it on its way.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn carry(&mut self, node: usize) -> Result<(), Violation> {
        let Some(process) = self.stations[node].process.as_mut() else { return Ok(()) };
        for sent in process.sent() {
            match sent {
                Sent::Messages { to, messages } => {
                    if let Some(peer) = self.place_of(&to) {
                        let messages = self.say(node, peer, messages)?;
                        self.send_frame(node, peer, messages);
                    }
                }
                Sent::Ended(peer) => {
                    if let Some(peer) = self.place_of(&peer) {
                        self.end_session(node, peer);
                    }
                }
                Sent::Published { topic, bytes } => {
                    for (bytes, half) in self.utter(node, topic, bytes)? {
                        self.publish_to(node, topic, bytes, half);
                    }
                }
                Sent::Judged { number, verdict } => {
                    if verdict == Verdict::Accept {
                        self.pass_on(node, number);
                    }
                }
                Sent::Asked { node: of, bytes, done } => {
                    if let Some(peer) = self.place_of(&of)
                        && !self.is_lost(node, peer)
                    {
                        let wait = self.delay();
                        self.after(wait, What::Ask(node, peer, bytes, done));
                    }
                }
                // All nodes keep sessions with all others.
                Sent::Wanted(_) => {}
            }
        }
        Ok(())
    }

    /// Where a node is, if it is in this world.
    #[must_use]
    pub fn place_of(&self, id: &towpath_crypto::ed25519::PublicKey) -> Option<usize> {
        self.stations.iter().position(|station| station.id == *id)
    }

    /// Sends a frame in the session that is up.
    pub fn send_frame(&mut self, from: usize, to: usize, messages: Vec<Vec<u8>>) {
        let Some(number) = self.stations[from].sessions.get(&to).copied() else { return };
        if messages.is_empty() {
            return;
        }
        let arrives_ms = (self.now_ms + self.delay()).max(self.network.stalled_ms(from, to));
        let last_ms = &mut self.network.link(from, to).last_ms[usize::from(from > to)];
        *last_ms = (*last_ms).max(arrives_ms);
        let at_ms = *last_ms;
        self.at(at_ms, What::Frame(from, to, number, messages));
    }

    /// Whether something that nobody repeats by itself is lost between two nodes.
    fn is_lost(&mut self, from: usize, to: usize) -> bool {
        if self.network.is_cut(from, to) || self.network.stalled_ms(from, to) > self.now_ms {
            return true;
        }
        let is_lost = !self.is_calm && self.rng.chance(self.plan.loss);
        if is_lost {
            self.tally.fault(Fault::Loss);
        }
        is_lost
    }

    /// A node publishes something.
    pub fn publish(&mut self, node: usize, topic: Topic, bytes: Vec<u8>) {
        self.publish_to(node, topic, bytes, Half::Both);
    }

    /// The same, at first to some of the others only.
    fn publish_to(&mut self, node: usize, topic: Topic, bytes: Vec<u8>, half: Half) {
        if self.is_muted(node, topic) {
            return;
        }
        self.network.last_gossip += 1;
        let number = self.network.last_gossip;
        self.network.gossip.insert(number, Gossip { topic, bytes, seen: BTreeSet::from([node]) });
        while self.network.gossip.len() > GOSSIP_KEPT {
            self.network.gossip.pop_first();
        }
        self.pass_on_to(node, number, half);
    }

    fn pass_on(&mut self, node: usize, number: u64) {
        self.pass_on_to(node, number, Half::Both);
    }

    fn pass_on_to(&mut self, node: usize, number: u64, half: Half) {
        let Some(gossip) = self.network.gossip.get(&number) else { return };
        let others = (0..self.stations.len()).filter(|other| !gossip.seen.contains(other));
        let others = others.filter(|other| half.contains(*other));
        for other in others.collect::<Vec<_>>() {
            if self.is_lost(node, other) {
                continue;
            }
            let times = if !self.is_calm && self.rng.chance(self.plan.duplicates) { 2 } else { 1 };
            for _ in 0..times {
                let at_ms = self.now_ms + self.delay();
                let newest = self.network.newest.entry((node, other)).or_default();
                if at_ms < *newest {
                    self.tally.fault(Fault::Reordered);
                }
                *newest = at_ms.max(*newest);
                self.at(at_ms, What::Gossip(node, other, number));
            }
            if times > 1 {
                self.tally.fault(Fault::Duplicate);
            }
        }
    }

    /// Gossip arrives.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn gossip_arrives(&mut self, from: usize, to: usize, number: u64) -> Result<(), Violation> {
        let from_id = self.stations[from].id;
        let Some(gossip) = self.network.gossip.get_mut(&number) else { return Ok(()) };
        let moment = self.stations[to].moment(self.now_ms);
        let Some(process) = self.stations[to].process.as_mut() else { return Ok(()) };
        gossip.seen.insert(to);
        if gossip.topic == Topic::Transactions && self.rogue.as_ref().is_some_and(|rogue| rogue.ignores(to)) {
            self.tally.fault(Fault::Censored);
            return Ok(());
        }
        self.trace.step(gossip.topic.name(), self.now_ms, to, &gossip.bytes);
        process.gossip(gossip.topic, from_id, number, gossip.bytes.clone(), moment);
        self.step(to)
    }

    /// A node is asked for blocks.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn asked(&mut self, from: usize, to: usize, bytes: &[u8], answer: Answer) -> Result<(), Violation> {
        let Some(process) = self.stations[to].process.as_ref() else { return Ok(()) };
        let blocks = process.serve(bytes);
        if !self.is_lost(to, from) {
            let wait = self.delay();
            self.after(wait, What::Reply(from, blocks, answer));
        }
        Ok(())
    }

    /// The answer arrives.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn replied(&mut self, node: usize, blocks: Option<Vec<u8>>, answer: Answer) -> Result<(), Violation> {
        self.trace.step("blocks", self.now_ms, node, blocks.as_deref().unwrap_or_default());
        let Some(blocks) = blocks else { return Ok(()) };
        // The process that asked may be gone, and its answer's end with it.
        let _ = answer.send(Ok(blocks));
        self.step(node)
    }

    /// Some session breaks.
    ///
    /// # Errors
    /// None by itself.
    pub fn break_any(&mut self) -> Result<(), Violation> {
        let (one, other) = self.any_pair();
        if self.network.link(one, other).session.is_some() {
            self.tally.fault(Fault::SessionBroken);
            self.end_session(one, other);
        }
        Ok(())
    }

    /// Some link is cut, or stalls in one direction.
    ///
    /// # Errors
    /// None by itself.
    pub fn cut_any(&mut self) -> Result<(), Violation> {
        let (one, other) = self.any_pair();
        let lasts = self.rng.between(200, self.plan.away_ms);
        if self.network.is_cut(one, other) || !self.may_befall(one) || !self.may_befall(other) {
            return Ok(());
        }
        for node in [one, other] {
            self.stations[node].spared_until = self.now_ms + lasts + self.spare_ms();
        }
        if self.plan.one_way && self.rng.chance(600) {
            self.tally.fault(Fault::OneWay);
            let direction = usize::from(self.rng.chance(500));
            let until = self.now_ms + lasts;
            self.network.link(one, other).stalled_ms[direction] = until;
            // A session in which nothing comes back is given up.
            if lasts > 20_000 {
                self.end_session(one, other);
            }
            return Ok(());
        }
        self.tally.fault(Fault::Cut);
        self.network.link(one, other).is_cut = true;
        self.end_session(one, other);
        self.tend();
        self.after(lasts, What::Heal(one, other));
        Ok(())
    }

    fn any_pair(&mut self) -> (usize, usize) {
        let one = self.rng.index(self.stations.len());
        let other = self.rng.index(self.stations.len() - 1);
        let other = if other >= one { other + 1 } else { other };
        (one.min(other), one.max(other))
    }

    /// A link is whole again.
    pub fn heal(&mut self, one: usize, other: usize) {
        self.network.link(one, other).is_cut = false;
        self.tend();
    }

    /// All links are whole again.
    pub fn heal_all(&mut self) {
        for link in self.network.links.values_mut() {
            link.is_cut = false;
            link.stalled_ms = [0; 2];
        }
        self.tend();
    }
}
