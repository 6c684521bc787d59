//! A deterministic cluster: the engine as the node runs it, under a virtual clock, on a network that delays, loses,
//! doubles and partitions, with disks that fail and processes that die between any two outputs. One seed, one run.
#![allow(dead_code, reason = "shared by tests and an example, and neither uses all of it")]

pub mod audit;
pub mod byzantine;
pub mod disk;
pub mod real;
pub mod rng;
pub mod storm;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use audit::Audit;
use byzantine::{Behaviour, contradict};
use disk::{CHAIN, Disk, DiskLog, Ledger, SharedDisk, Traits, Validators};
use real::Real;
use rng::Rng;
use towpath_consensus::{
    Config, Engine, EngineError, Fault, GossipVerdict, Host as _, Output, PeerChange, PeerId, SyncFailure,
    SyncReply,
};
use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_crypto::hash::{Domain, Hasher};
use towpath_ledger::BlockId;
use towpath_ledger::chain::{Validator, ValidatorSet};
use towpath_ledger::genesis::Genesis;

pub type SimEngine = Engine<Ledger, DiskLog>;

/// Messages that are kept for whoever says them again.
const OVERHEARD: usize = 64;

/// What happens at an instant.
enum Event {
    Gossip { from: usize, to: usize, bytes: Rc<[u8]> },
    Asked { from: usize, to: usize, bytes: Vec<u8> },
    Answered { from: usize, to: usize, answer: Result<Vec<u8>, SyncFailure> },
    Timer { node: usize, life: u32, token: u64 },
    Build { node: usize, life: u32, height: u64, round: u32 },
    Crash { node: usize, when: CrashPoint, back_after: Option<u64> },
    Restart { node: usize },
    Partition(Vec<u8>),
    Loss(u64),
}

/// Where a crash hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// Between two turns.
    Now,
    /// In the next turn, after some of its outputs.
    InTurn,
    /// In one of the next disk writes, which is then lost.
    WriteLost,
    /// In one of the next disk writes, which is then done.
    WriteDone,
}

/// What happens to the consensus log in a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogKept {
    /// What was synced survives: the promise of [`towpath_consensus::Wal`].
    Synced,
    /// It is lost: what the rule N-5 forbids. For the control experiment.
    Nothing,
}

/// One node.
pub struct Node {
    pub secret: SecretKey,
    pub behaviour: Behaviour,
    pub traits: Traits,
    pub disk: SharedDisk,
    pub engine: Option<SimEngine>,
    /// Why it stopped for good.
    pub fault: Option<Fault>,
    /// Counts its lives, so that a dead one's timers do not fire in the next.
    life: u32,
    crash_in_turn: bool,
    /// How long its supervisor takes to start it again.
    back_after: Option<u64>,
    /// Whom it blamed.
    pub blamed: Vec<Output>,
    /// Blocks that came by sync.
    pub synced: u64,
    /// Replayed bytes: whether a restart found a log.
    pub replayed: u64,
}

/// The network's ways.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// One-way delay in milliseconds, least and most.
    pub delay_ms: (u64, u64),
    pub loss_percent: u64,
    pub doubled_percent: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self { delay_ms: (5, 50), loss_percent: 0, doubled_percent: 2 }
    }
}

/// The cluster.
pub struct Sim {
    pub nodes: Vec<Node>,
    pub network: Network,
    pub log_kept: LogKept,
    pub rng: Rng,
    pub audit: Audit,
    /// What was published last, by anyone, for whoever says it again.
    pub overheard: VecDeque<Rc<[u8]>>,
    /// Microseconds.
    pub now: u64,
    pub events: u64,
    /// The same for those who may only look.
    clock: Rc<Cell<u64>>,
    /// Of the real ledger, if the nodes run that.
    genesis: Option<Rc<Genesis>>,
    config: Config,
    validators: Validators,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    /// Crashes and restarts that are still to come.
    crashes: u64,
    groups: Vec<u8>,
    trace: Hasher,
}

/// The key of validator `index`.
pub fn secret(index: u8) -> SecretKey {
    SecretKey::from_bytes(&[index + 1; 32])
}

/// These validators, with equal power.
pub fn set(indices: std::ops::Range<u8>) -> ValidatorSet {
    let member = |index| Validator { key: secret(index).public(), power: 1 };
    ValidatorSet::new(indices.map(member).collect()).expect("distinct keys")
}

/// `count` validators of equal power, at all heights.
pub fn equal(count: u8) -> Validators {
    Rc::new(move |_| set(0..count))
}

/// Short waits: simulated time is cheap, but each timeout is a few events.
pub fn config() -> Config {
    let ms = Duration::from_millis;
    Config {
        propose: ms(400),
        vote: ms(150),
        step: ms(100),
        rebroadcast: ms(700),
        interval_min: ms(60),
        heartbeat: ms(60),
        status: ms(500),
        sync: ms(200),
        ..Config::lan(CHAIN)
    }
}

impl Sim {
    /// A cluster of honest validators, not booted.
    pub fn new(count: u8, config: Config, seed: u64) -> Self {
        Self::with_validators((0..count).collect(), equal(count), config, seed)
    }

    /// A node for each of `keys`, not booted.
    pub fn with_validators(keys: Vec<u8>, validators: Validators, config: Config, seed: u64) -> Self {
        let nodes = keys.iter().map(|index| Node::new(secret(*index))).collect();
        Self {
            nodes,
            network: Network::default(),
            log_kept: LogKept::Synced,
            rng: Rng::new(seed),
            audit: Audit::default(),
            overheard: VecDeque::new(),
            now: 0,
            events: 0,
            clock: Rc::default(),
            genesis: None,
            config,
            validators,
            queue: BTreeMap::new(),
            sequence: 0,
            crashes: 0,
            groups: vec![0; keys.len()],
            trace: Hasher::new(Domain::Test),
        }
    }

    /// A cluster of the genesis' validators, `secret(0)` and so on, on the real ledger; not booted.
    pub fn real(genesis: Genesis, config: Config, seed: u64) -> Self {
        let count = u8::try_from(genesis.validators.members().len()).expect("few");
        let (chain, validators) = (genesis.chain_id(), genesis.validators.clone());
        let validators: Validators = Rc::new(move |_| validators.clone());
        let config = Config { chain, ..config };
        let mut sim = Self::with_validators((0..count).collect(), validators, config, seed);
        sim.genesis = Some(Rc::new(genesis));
        sim
    }

    /// The real ledger of a running node.
    pub fn ledger(&self, index: usize) -> &Real {
        let engine = self.nodes[index].engine.as_ref().expect("it runs");
        engine.host().real.as_ref().expect("the simulation has a real ledger")
    }

    /// Gives a transaction to every running node, as gossip would; how many take it.
    pub fn submit(&mut self, transaction: &towpath_ledger::Transaction) -> usize {
        let mut taken = 0;
        for index in 0..self.nodes.len() {
            let Some(engine) = self.nodes[index].engine.as_mut() else { continue };
            if engine.host_mut().submit(transaction.clone()).is_ok() {
                taken += 1;
                self.with(index, SimEngine::wake);
            }
        }
        taken
    }

    /// Boots every node that is not running.
    pub fn boot_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.boot(node);
        }
    }

    pub fn boot(&mut self, index: usize) {
        let peers: Vec<PeerId> = self.peers_of(index);
        let mut config = self.config.clone();
        config.session = self.rng.next();
        let validators = self.validators.clone();
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.engine.is_some() || node.fault.is_some() {
            return;
        }
        node.life += 1;
        node.disk.borrow_mut().fail_after = None;
        node.replayed += node.disk.borrow().log.values().map(|records| records.len() as u64).sum::<u64>();
        let own = node.secret.public();
        let now = self.clock.clone();
        let mut ledger =
            Ledger { disk: node.disk.clone(), own, validators, traits: node.traits, now, real: None };
        ledger.real = self.genesis.as_ref().map(|genesis| {
            Real::open(genesis, &node.disk.borrow(), genesis.time.plus_ms(self.clock.get() / 1_000))
        });
        let log = DiskLog(node.disk.clone());
        let mut engine =
            Engine::new(node.secret.clone(), ledger, log, config).expect("a simulated ledger can be read");
        let mut outputs = Ok(Vec::new());
        for peer in peers {
            engine.on_peer(peer, PeerChange::Connected).expect("connecting is never fatal");
        }
        if outputs.is_ok() {
            outputs = engine.start();
        }
        node.engine = Some(engine);
        self.carry_out(index, outputs);
    }

    fn peers_of(&self, index: usize) -> Vec<PeerId> {
        let own = self.nodes[index].secret.public();
        self.nodes.iter().map(|node| node.secret.public()).filter(|key| *key != own).collect()
    }

    fn push(&mut self, after_us: u64, event: Event) {
        self.sequence += 1;
        self.crashes += u64::from(matches!(event, Event::Crash { .. } | Event::Restart { .. }));
        self.queue.insert((self.now + after_us, self.sequence), event);
    }

    pub fn crash_at(&mut self, index: usize, at_ms: u64, when: CrashPoint, back_after_ms: Option<u64>) {
        let after = (at_ms * 1_000).saturating_sub(self.now);
        let back_after = back_after_ms.map(|back| back * 1_000);
        self.push(after, Event::Crash { node: index, when, back_after });
    }

    /// From `at_ms` on, nodes hear only those of their own group.
    pub fn partition_at(&mut self, at_ms: u64, groups: &[u8]) {
        let after = (at_ms * 1_000).saturating_sub(self.now);
        self.push(after, Event::Partition(groups.to_vec()));
    }

    /// From `at_ms` on, so many messages of a hundred are lost.
    pub fn loss_at(&mut self, at_ms: u64, percent: u64) {
        let after = (at_ms * 1_000).saturating_sub(self.now);
        self.push(after, Event::Loss(percent));
    }

    /// Calls an input of a running node.
    pub fn with(
        &mut self,
        index: usize,
        input: impl FnOnce(&mut SimEngine) -> Result<Vec<Output>, EngineError>,
    ) {
        let Some(engine) = self.nodes[index].engine.as_mut() else { return };
        let outputs = input(engine);
        self.carry_out(index, outputs);
    }

    pub fn tip(&self, index: usize) -> u64 {
        self.nodes[index].disk.borrow().tip()
    }

    /// Runs until every running honest node is at `height`; false when `limit_s` of simulated time pass before.
    pub fn run_until(&mut self, height: u64, limit_s: u64) -> bool {
        let reached = |sim: &Self| {
            let honest = || sim.nodes.iter().enumerate().filter(|(_, n)| n.is_honest() && n.engine.is_some());
            sim.crashes == 0 && honest().count() > 0 && honest().all(|(i, _)| sim.tip(i) >= height)
        };
        self.run(limit_s, reached)
    }

    /// Runs until `done`; false when `limit_s` of simulated time pass before.
    pub fn run(&mut self, limit_s: u64, done: impl Fn(&Self) -> bool) -> bool {
        let limit = self.now + limit_s * 1_000_000;
        loop {
            if done(self) {
                return true;
            }
            let Some(((at, _), event)) = self.queue.pop_first() else { return false };
            if at > limit {
                self.queue.insert((at, 0), event);
                self.now = limit;
                self.clock.set(limit);
                return false;
            }
            self.now = at;
            self.clock.set(at);
            self.events += 1;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        self.crashes -= u64::from(matches!(event, Event::Crash { .. } | Event::Restart { .. }));
        match event {
            Event::Gossip { from, to, bytes } => self.deliver(from, to, &bytes),
            Event::Asked { from, to, bytes } => self.answer(from, to, &bytes),
            Event::Answered { from, to, answer } => {
                let peer = self.nodes[from].secret.public();
                self.with(to, |engine| engine.on_sync_response(peer, answer));
            }
            Event::Timer { node, life, token } if self.nodes[node].life == life => {
                self.with(node, |engine| engine.on_timer(token));
            }
            Event::Build { node, life, height, round } if self.nodes[node].life == life => {
                self.with(node, |engine| {
                    let ledger = engine.host();
                    if ledger.takes_turn(height, round) && ledger.tip().height + 1 == height {
                        let block = ledger.build(height);
                        return engine.on_value_built(height, round, block);
                    }
                    Ok(Vec::new())
                });
            }
            Event::Timer { .. } | Event::Build { .. } => {}
            Event::Crash { node, when, back_after } => self.crash(node, when, back_after),
            Event::Restart { node } => self.boot(node),
            Event::Partition(groups) => self.groups = groups,
            Event::Loss(percent) => self.network.loss_percent = percent,
        }
    }

    fn crash(&mut self, index: usize, when: CrashPoint, back_after: Option<u64>) {
        let after = self.rng.below(3);
        let node = &mut self.nodes[index];
        node.back_after = back_after;
        match when {
            CrashPoint::Now => self.kill(index),
            CrashPoint::InTurn => node.crash_in_turn = true,
            CrashPoint::WriteLost => node.disk.borrow_mut().fail_after = Some((after, disk::Failure::Lost)),
            CrashPoint::WriteDone => {
                node.disk.borrow_mut().fail_after = Some((after, disk::Failure::Written))
            }
        }
    }

    fn kill(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.engine = None;
        node.crash_in_turn = false;
        if let Some(after) = node.back_after {
            self.push(after, Event::Restart { node: index });
        }
        let node = &mut self.nodes[index];
        if self.log_kept == LogKept::Nothing {
            node.disk.borrow_mut().log.clear();
        }
    }

    fn deliver(&mut self, from: usize, to: usize, bytes: &[u8]) {
        if self.groups[from] != self.groups[to] {
            return;
        }
        let honest = self.nodes[from].is_honest() && self.nodes[to].is_honest();
        let peer = self.nodes[from].secret.public();
        let Some(engine) = self.nodes[to].engine.as_mut() else { return };
        let result = engine.on_gossip(peer, bytes);
        if honest && result.as_ref().is_ok_and(|gossiped| gossiped.verdict == GossipVerdict::Reject) {
            self.audit.rejected += 1;
        }
        self.carry_out(to, result.map(|gossiped| gossiped.outputs));
    }

    fn answer(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let reachable = self.groups[from] == self.groups[to];
        let reply =
            match self.nodes[to].engine.as_mut().filter(|_| reachable).map(|e| e.on_sync_request(bytes)) {
                Some(Ok(SyncReply::Blocks(bytes))) => Ok(bytes),
                Some(Ok(SyncReply::Malformed)) | Some(Err(_)) | None => Err(SyncFailure::Unreachable),
            };
        let delay = self.delay();
        if !self.rng.chance(self.network.loss_percent) {
            self.push(delay, Event::Answered { from: to, to: from, answer: reply });
        }
    }

    fn delay(&mut self) -> u64 {
        let (least, most) = self.network.delay_ms;
        (least + self.rng.below(most - least + 1)) * 1_000 + self.rng.below(1_000)
    }

    /// The engine's outputs, or its end.
    fn carry_out(&mut self, index: usize, outputs: Result<Vec<Output>, EngineError>) {
        let mut outputs = match outputs {
            Ok(outputs) => outputs,
            Err(EngineError::Fatal(fault @ (Fault::Log(_) | Fault::Host(_)))) => {
                // A failed disk: the process ends, and its supervisor starts another.
                self.trace.update(format!("{} {index} {fault}", self.now).as_bytes());
                self.kill(index);
                return;
            }
            Err(EngineError::Fatal(fault)) => {
                self.nodes[index].fault = Some(fault);
                self.kill(index);
                return;
            }
            Err(EngineError::Halted) => unreachable!("a halted engine is dropped"),
        };
        let dies = self.nodes[index].crash_in_turn && !outputs.is_empty();
        if dies {
            let kept = self.rng.below(outputs.len() as u64 + 1);
            outputs.truncate(usize::try_from(kept).expect("fewer outputs than memory"));
        }
        for output in outputs {
            self.output(index, output);
        }
        if dies {
            self.kill(index);
        }
    }

    fn output(&mut self, index: usize, output: Output) {
        let life = self.nodes[index].life;
        match output {
            Output::Publish(bytes) => self.publish(index, &bytes),
            Output::SetTimer { token, after } => {
                let after = u64::try_from(after.as_micros()).expect("timers are short");
                self.push(after, Event::Timer { node: index, life, token });
            }
            Output::BuildValue { height, round, deadline } => {
                assert!(!deadline.is_zero(), "there is time to build");
                let delay = 1_000 + self.rng.below(20_000);
                self.push(delay, Event::Build { node: index, life, height, round });
            }
            Output::RequestSync { peer, bytes } => {
                let (delay, lost) = (self.delay(), self.rng.chance(self.network.loss_percent));
                if let Some(to) = self.nodes.iter().position(|node| node.secret.public() == peer)
                    && !lost
                {
                    self.push(delay, Event::Asked { from: index, to, bytes });
                }
            }
            Output::Committed { height, round, block, by } => {
                self.trace.update(format!("{} {index} {height} {round} {block:?}", self.now).as_bytes());
                let node = &mut self.nodes[index];
                node.synced += u64::from(by == towpath_consensus::Decision::Sync);
                if node.is_honest() {
                    self.audit.committed(height, round, block);
                }
            }
            blame @ Output::BlamePeer { .. } => self.nodes[index].blamed.push(blame),
            // The commit has stored it; the auditor reads it there.
            Output::Evidence(evidence) => evidence.verify(&CHAIN).expect("evidence proves what it says"),
        }
    }

    fn publish(&mut self, from: usize, bytes: &[u8]) {
        let node = &self.nodes[from];
        let (behaviour, own) = (node.behaviour, node.secret.public());
        let second = match behaviour {
            Behaviour::Silent => return,
            Behaviour::Equivocator => contradict(bytes, &node.secret),
            Behaviour::Honest | Behaviour::Twin => None,
        };
        if behaviour == Behaviour::Honest {
            self.audit.published(bytes);
        }
        let first: Rc<[u8]> = bytes.into();
        self.overheard.push_back(first.clone());
        if self.overheard.len() > OVERHEARD {
            self.overheard.pop_front();
        }
        let second: Option<Rc<[u8]>> = second.map(Into::into);
        for to in 0..self.nodes.len() {
            if to == from || self.nodes[to].secret.public() == own {
                continue;
            }
            // Even ones hear the contradiction first and the message after it, odd ones the message alone.
            if let Some(second) = second.as_ref().filter(|_| to % 2 == 0) {
                self.send(from, to, second);
            }
            self.send(from, to, &first);
        }
    }

    fn send(&mut self, from: usize, to: usize, bytes: &Rc<[u8]>) {
        let copies = 1 + u64::from(self.rng.chance(self.network.doubled_percent));
        for _ in 0..copies {
            let delay = self.delay();
            if self.groups[from] == self.groups[to] && !self.rng.chance(self.network.loss_percent) {
                self.push(delay, Event::Gossip { from, to, bytes: bytes.clone() });
            }
        }
    }

    /// Whether no two honest nodes differ at any height that both have, and every step so far agreed.
    pub fn agrees(&self) -> bool {
        let mut all: BTreeMap<usize, BlockId> = BTreeMap::new();
        let same = self.nodes.iter().filter(|node| node.is_honest()).all(|node| {
            let disk = node.disk.borrow();
            let mut blocks = disk.chain.iter().enumerate();
            blocks.all(|(at, (block, _))| *all.entry(at).or_insert_with(|| block.id()) == block.id())
        });
        same && self.audit.forks.is_empty()
    }

    /// A digest of every commit of every node, and when it happened.
    pub fn trace(&self) -> towpath_crypto::Digest {
        self.trace.clone().finish()
    }

    pub fn synced(&self) -> u64 {
        self.nodes.iter().map(|node| node.synced).sum()
    }

    pub fn replayed(&self) -> u64 {
        self.nodes.iter().map(|node| node.replayed).sum()
    }

    /// Who was caught, according to the disks of honest nodes.
    pub fn culprits(&self) -> std::collections::BTreeSet<PublicKey> {
        let honest = self.nodes.iter().filter(|node| node.is_honest());
        honest
            .flat_map(|node| node.disk.borrow().evidence.iter().map(|e| e.culprit()).collect::<Vec<_>>())
            .collect()
    }
}

impl Node {
    fn new(secret: SecretKey) -> Self {
        Self {
            secret,
            behaviour: Behaviour::Honest,
            traits: Traits::default(),
            disk: Rc::new(RefCell::new(Disk::default())),
            engine: None,
            fault: None,
            life: 0,
            crash_in_turn: false,
            back_after: None,
            blamed: Vec::new(),
            synced: 0,
            replayed: 0,
        }
    }

    pub fn is_honest(&self) -> bool {
        self.behaviour == Behaviour::Honest && !self.traits.invalid
    }
}
