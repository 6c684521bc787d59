//! A whole node without threads, sockets or a clock of its own: its parts are the real ones, in the wiring of
//! [`crate::run`], and whoever owns it (the simulator, `tests/sim`) steps them, carries what they send, and decides when
//! the disk syncs and what time it is. Nothing of a real node uses this.
//!
//! What is left out: the API and its callers' time-outs, libp2p, and the task that searches the ledger after a loss of
//! data ([`crate::recovery::Task`]), which waits in real time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use towpath_consensus::Config as EngineConfig;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::genesis::Genesis;
use towpath_protocol::Message;
use towpath_protocol::tower::{LedgerRules, Sponsor};
use towpath_store::{Condition, GroupWriter, MemoryDisk, MemoryStore, Store};

use crate::backend::issued;
use crate::clock;
pub use crate::clock::Stepped as Moment;
use crate::entropy;
use crate::epoch::OwnEpoch;
use crate::idempotency::IdempotencyKeys;
use crate::journal::Journal;
use crate::ledger::{Chain, DriverConfig, LedgerHandle, Notice, SteppedDriver};
use crate::limits;
use crate::net::{NetHandle, Offence, Sent, SteppedNet, Topic};
use crate::recovery::{self, Pending, Sources};
use crate::tower::{self, Input as TowerInput, Listed, SteppedTower, TowerHandle};
use crate::worker::{
    Board, ChannelKeys, Input, Load, Parts, Policy, Retention, SteppedWorkers, Tally, Trust, WorkerStats,
    Workers,
};

/// What stays the same over a node's restarts, beside its disk.
#[derive(Clone)]
pub struct Host {
    /// Its keys.
    pub seed: Seed,
    /// The ledger.
    pub genesis: Genesis,
    /// The consensus engine's waits; its session is set at each start.
    pub engine: EngineConfig,
    /// How many workers it has.
    pub workers: usize,
    /// Which channels it wants.
    pub policy: Policy,
    /// Whether it is a watchtower for others.
    pub serves: bool,
    /// Its watchtowers.
    pub towers: Vec<PublicKey>,
    /// How many of them must have a version before its payments are final; zero: none.
    pub confirmations: u64,
}

/// What is drawn anew for each process of a node.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Tells this process from all others.
    pub instance: [u8; 16],
    /// The same, for idempotency keys.
    pub run: u64,
}

/// What a process ends with that found out that it runs on an old copy: started again, it is in recovery.
pub const BEGINS_AGAIN: &str = "it runs on an old copy of its data, and begins again in recovery";

/// Why a process ended, or did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Ended(pub String);

/// One process of a node; dropped, it is as if it had been killed.
pub struct Process {
    id: PublicKey,
    parts: Parts,
    workers: SteppedWorkers,
    tower: SteppedTower,
    driver: SteppedDriver,
    net: SteppedNet,
    notices: Notices,
    fatal: Fatal,
}

/// Blocks that were applied, and that the workers and the tower have not heard of.
type Notices = Arc<Mutex<VecDeque<Arc<Notice>>>>;

/// Why the process must end.
type Fatal = Arc<Mutex<Option<String>>>;

fn ended(error: impl ToString) -> Ended {
    Ended(error.to_string())
}

impl Process {
    /// Starts a node on what is on its disk, at `time`. Must be called within a tokio runtime of this thread, which is to
    /// be run between steps.
    ///
    /// # Errors
    /// [`Ended`]: what kept it from starting.
    pub fn start(host: &Host, disk: &MemoryDisk, time: Moment, draw: Draw) -> Result<Self, Ended> {
        clock::step_to(time);
        entropy::step_from(draw.run);
        let (store, pending) = load(disk)?;
        let fatal = Fatal::default();
        let report = |fatal: &Fatal, reason: String| {
            fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        };
        let of_writer = Arc::clone(&fatal);
        let writer =
            GroupWriter::by_hand(Arc::clone(&store), move |error| report(&of_writer, error.to_string()));
        let journal = Arc::new(Journal::open(Arc::clone(&store), writer, 64).map_err(ended)?);
        let chain = Chain::open(Arc::clone(&store), &host.genesis, towpath_store::ChainRetention::default());
        let chain = Arc::new(chain.map_err(ended)?);
        let id = host.seed.node_key().public();
        let (handle, net) = SteppedNet::new(id);
        let (ledger, ledger_inbox) = LedgerHandle::inbox();
        let of_workers = Arc::clone(&fatal);
        let surroundings = (Arc::clone(&chain), Arc::clone(&journal), handle.clone());
        let (workers, inboxes) = Workers::inboxes(host.workers);
        let (tower, tower_inbox) = TowerHandle::inbox();
        let handles = (handle.clone(), ledger.clone(), workers, tower);
        let ends = Arc::new(move |reason| report(&of_workers, reason));
        let (is_current, current) = watch::channel(false);
        let parts = parts(host, &store, (&chain, &journal), handles, (draw, ends, current))?;
        let (heights, height) = watch::channel(chain.tip().height());
        let step_ms_max = host.genesis.params.blocks.block_step_ms_max;
        parts.runtime.spawn(recovery::watch_current((Arc::clone(&chain), height), step_ms_max, is_current));
        let notices = Notices::default();
        let told = Arc::clone(&notices);
        let driver = SteppedDriver::start(
            driver_config(host, &parts, pending.is_some()),
            surroundings,
            (ledger, ledger_inbox),
            Box::new(move |notice| {
                heights.send_replace(notice.height);
                told.lock().unwrap_or_else(PoisonError::into_inner).push_back(notice);
            }),
        );
        let driver = driver.map_err(Ended)?;
        let trust =
            if pending.is_some_and(|pending| pending.distrust) { Trust::MayBeOld } else { Trust::Newest };
        let workers = SteppedWorkers::start(&parts, inboxes, trust).map_err(ended)?;
        let (settings, of_tower) = tower_settings(host, &parts);
        let tower = SteppedTower::start(of_tower, settings, &parts.tower, tower_inbox).map_err(ended)?;
        Ok(Self { id, parts, workers, tower, driver, net, notices, fatal })
    }

    /// Whose it is.
    #[must_use]
    pub const fn id(&self) -> &PublicKey {
        &self.id
    }

    /// What its parts share: handles for callers, and what readers see.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Its channels, as they are in memory.
    #[must_use]
    pub const fn workers(&self) -> &SteppedWorkers {
        &self.workers
    }

    /// Its ledger driver.
    #[must_use]
    pub const fn driver(&self) -> &SteppedDriver {
        &self.driver
    }

    /// Lets the ledger driver do what it can. What it decides is written at once, and with it whatever waits.
    ///
    /// # Errors
    /// [`Ended`]: the process must end.
    pub fn step_ledger(&mut self, time: Moment) -> Result<bool, Ended> {
        clock::step_to(time);
        let is_any = self.driver.step().map_err(Ended)?;
        self.pass_on_blocks();
        self.check()?;
        Ok(is_any)
    }

    /// One turn of each worker, which is not written before [`Self::write`].
    ///
    /// # Errors
    /// [`Ended`]: the process must end.
    pub fn step_workers(&mut self, time: Moment) -> Result<bool, Ended> {
        clock::step_to(time);
        let is_any = self.workers.step();
        self.check()?;
        Ok(is_any)
    }

    /// One turn of the tower, which writes at once, and with it whatever waits.
    ///
    /// # Errors
    /// [`Ended`]: the process must end.
    pub fn step_tower(&mut self, time: Moment) -> Result<bool, Ended> {
        clock::step_to(time);
        let is_any = self.tower.step().map_err(ended)?;
        self.check()?;
        Ok(is_any)
    }

    /// Writes what waits as one group, synced, and releases what depends on it. Whether anything waited.
    ///
    /// # Errors
    /// [`Ended`]: the disk failed, and the process must end.
    pub fn write(&mut self, time: Moment) -> Result<bool, Ended> {
        clock::step_to(time);
        let is_any = self.parts.journal.writer().write_group();
        self.check()?;
        Ok(is_any)
    }

    /// How many batches wait to be written.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.parts.journal.writer().stats().waiting
    }

    fn check(&self) -> Result<(), Ended> {
        let fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        fatal.map_or(Ok(()), |reason| Err(Ended(reason)))
    }

    fn pass_on_blocks(&self) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(notice) = notices.pop_front() {
            self.parts.workers.offer_block(&notice);
            // It has room: it is stepped after each block.
            self.parts.tower.offer(TowerInput::Block(notice));
        }
    }

    /// Until the next thing is due; none if nothing is. A real node looks around by itself every half second all the same.
    #[must_use]
    pub fn due_in(&self, time: Moment) -> Option<Duration> {
        clock::step_to(time);
        let due = [self.driver.due_in(), self.workers.due_in(), self.tower.due_in()];
        due.into_iter().flatten().min()
    }

    /// What it wants of the network by now.
    pub fn sent(&mut self) -> Vec<Sent> {
        self.net.take()
    }

    /// A channel session with `node` begins.
    pub fn session_up(&mut self, node: PublicKey) {
        let session = self.net.open(node);
        self.parts.tower.offer(TowerInput::SessionUp(node));
        self.to_worker(&node, Input::SessionUp(node, session));
    }

    /// It ended.
    pub fn session_down(&mut self, node: PublicKey) {
        self.net.close(&node);
        self.parts.tower.offer(TowerInput::SessionDown(node));
        self.to_worker(&node, Input::SessionDown(node));
    }

    /// These nodes are connected, and no others.
    pub fn connected(&mut self, nodes: &BTreeSet<PublicKey>) {
        self.net.connect(nodes);
        self.driver.peers();
    }

    /// Channel messages of a peer, in one frame; they are routed as those of a real network. Whether all of them found
    /// room: the real network waits where this one does not.
    pub fn hear(&mut self, peer: PublicKey, messages: &[Vec<u8>]) -> bool {
        let load = Load::of(messages.len(), messages.iter().map(Vec::len).sum());
        let decoded: Result<Vec<_>, _> = messages.iter().map(|bytes| Message::decode(bytes)).collect();
        let Ok(messages) = decoded else {
            self.parts.net.end_session(peer, Offence::Malformed);
            return true;
        };
        let Some(credit) = SteppedNet::credit() else { return false };
        let mut for_channels = Vec::with_capacity(messages.len());
        for message in messages {
            match message {
                // The tower may be busy: its peers say again what is lost.
                Message::Tower(message) => drop(self.parts.tower.hear(peer, message, credit.clone())),
                message => for_channels.push(message),
            }
        }
        for_channels.is_empty()
            || self.to_worker(&peer, Input::Messages { peer, messages: for_channels, credit, load })
    }

    fn to_worker(&self, peer: &PublicKey, input: Input) -> bool {
        self.parts.workers.offer(peer, input).is_ok()
    }

    /// A gossip message with a number of the caller's.
    pub fn gossip(&self, topic: Topic, from: PublicKey, number: u64, bytes: Vec<u8>, time: Moment) {
        clock::step_to(time);
        if let Some(id) = SteppedNet::name(number, &from) {
            self.driver.gossip(topic, from, id, bytes);
        }
    }

    /// The answer to a peer that asks for blocks.
    #[must_use]
    pub fn serve(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.driver.serve(bytes)
    }
}

/// Opens the disk; what is to be done if it misses what was acknowledged.
fn load(disk: &MemoryDisk) -> Result<(Arc<dyn Store>, Option<Pending>), Ended> {
    let opened = MemoryStore::open(disk).map_err(ended)?;
    let (store, condition) = (opened.store, opened.condition);
    let pending = match condition {
        Condition::Healthy => Pending::read(&store).map_err(ended)?,
        Condition::Behind(behind) => {
            let pending = recovery::begin(&store, &behind).map_err(ended)?;
            store.resolve().map_err(ended)?;
            Some(pending)
        }
    };
    if crate::epoch::is_superseded(&store).map_err(ended)? {
        return Err(Ended("another process with this node's key has taken over".to_owned()));
    }
    Ok((Arc::new(store), pending))
}

/// The ways to the parts of a node.
type Handles = (NetHandle, LedgerHandle, Workers, TowerHandle);

/// Ends the process, with the reason.
type Ends = Arc<dyn Fn(String) + Send + Sync>;

fn parts(
    host: &Host,
    store: &Arc<dyn Store>,
    (chain, journal): (&Arc<Chain>, &Arc<Journal>),
    (net, ledger, workers, tower): Handles,
    (draw, fatal, current): (Draw, Ends, watch::Receiver<bool>),
) -> Result<Parts, Ended> {
    let rules = host.genesis.params.rules.clone();
    let keys = Arc::new(ChannelKeys::open(host.seed.clone(), &**store, rules).map_err(ended)?);
    let sources = Sources::default();
    sources.add(Arc::new(recovery::Towers::new(tower.clone(), Arc::clone(&keys))));
    let instance = (clock::now_ms(), draw.instance);
    let epoch = OwnEpoch::begin(&**store, &host.seed.node_key(), &chain.chain(), instance).map_err(ended)?;
    let again = Arc::clone(&fatal);
    Ok(Parts {
        chain_id: chain.chain(),
        chain: Arc::clone(chain),
        journal: Arc::clone(journal),
        net,
        ledger,
        board: Arc::new(Board::default()),
        tower,
        confirmations: host.confirmations,
        stats: Arc::new(WorkerStats::new(workers.count())),
        keys,
        policy: host.policy,
        tally: Arc::new(Tally::new(workers.count())),
        workers,
        idempotency: IdempotencyKeys::open(&**store, draw.run).map_err(ended)?,
        retention: Retention { payments: 16, log: 16 },
        sources,
        unclaimed: Arc::default(),
        searching: Arc::new(AtomicBool::new(false)),
        epoch: Arc::new(epoch),
        fatal,
        again: Arc::new(move || again(BEGINS_AGAIN.to_owned())),
        current,
        runtime: tokio::runtime::Handle::current(),
    })
}

fn driver_config(host: &Host, parts: &Parts, is_recovering: bool) -> DriverConfig {
    let genesis = &host.genesis;
    let mut engine = host.engine.clone();
    engine.session = clock::now_ms();
    // After a loss of data votes may be missing: it follows, under a key that is no validator's.
    let identity = if is_recovering {
        towpath_crypto::ed25519::SecretKey::from_bytes(&towpath_crypto::hash::sha256(&parts.net.local().0).0)
    } else {
        host.seed.node_key()
    };
    DriverConfig {
        params: genesis.params.clone(),
        validators: genesis.validators.clone(),
        identity,
        seed: host.seed.clone(),
        issued: issued(genesis),
        engine,
        idempotency: parts.idempotency.clone(),
    }
}

fn tower_settings(host: &Host, parts: &Parts) -> (tower::Settings, tower::Parts) {
    let params = &host.genesis.params;
    let settings = tower::Settings {
        serve: host.serves,
        records_max: limits::TOWER_RECORDS_PER_STRANGER * 64,
        clients: BTreeSet::new(),
        sponsor: Sponsor::Yes,
        towers: host.towers.iter().map(|node| Listed { node: *node, address: None }).collect(),
        peers: false,
        confirmations: host.confirmations,
        rules: LedgerRules {
            chain: parts.chain_id,
            params: params.rules.clone(),
            block_step_ms_max: params.blocks.block_step_ms_max,
        },
    };
    let parts = tower::Parts {
        chain: Arc::clone(&parts.chain),
        journal: Arc::clone(&parts.journal),
        net: parts.net.clone(),
        ledger: parts.ledger.clone(),
        workers: parts.workers.clone(),
        board: Arc::clone(&parts.board),
        runtime: parts.runtime.clone(),
    };
    (settings, parts)
}
