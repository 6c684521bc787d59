//! The parts of a node and the wiring between them, without a network.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use towpath_crypto::ed25519::PublicKey;
use towpath_protocol::tower::{LedgerRules, Sponsor};
use towpath_store::{Condition, GroupWriter, MemoryDisk, MemoryStore, Store};

use super::{BEGINS_AGAIN, Draw, Ended, Host, ended};
use crate::backend::issued;
use crate::clock;
use crate::epoch::OwnEpoch;
use crate::idempotency::IdempotencyKeys;
use crate::journal::Journal;
use crate::ledger::{Chain, DriverConfig, LedgerHandle, Notice, SteppedDriver};
use crate::limits;
use crate::net::NetHandle;
use crate::recovery::{self, Pending, Sources};
use crate::tower::{self, Input as TowerInput, Listed, SteppedTower, TowerHandle};
use crate::worker::{
    Board, ChannelKeys, Parts, Retention, SteppedWorkers, Tally, Trust, WorkerStats, Workers,
};

/// See the module. Its steps are called by the node that it is a part of.
pub struct Wired {
    id: PublicKey,
    parts: Parts,
    workers: SteppedWorkers,
    tower: SteppedTower,
    driver: SteppedDriver,
    notices: Notices,
    fatal: Fatal,
}

/// Blocks that were applied, and that the workers and the tower have not heard of.
type Notices = Arc<Mutex<VecDeque<Arc<Notice>>>>;

/// Why the process must end.
type Fatal = Arc<Mutex<Option<String>>>;

/// What is on a disk, and what is to be done if it misses what was acknowledged.
pub(super) struct Loaded {
    store: Arc<dyn Store>,
    pending: Option<Pending>,
}

impl Wired {
    /// Starts the parts on what is on the disk. Must be called within a tokio runtime of this thread.
    ///
    /// # Errors
    /// [`Ended`]: what kept it from starting.
    pub(super) fn start(host: &Host, loaded: Loaded, net: NetHandle, draw: Draw) -> Result<Self, Ended> {
        let Loaded { store, pending } = loaded;
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
        let (ledger, ledger_inbox) = LedgerHandle::inbox();
        let of_workers = Arc::clone(&fatal);
        let surroundings = (Arc::clone(&chain), Arc::clone(&journal), net.clone());
        let (workers, inboxes) = Workers::inboxes(host.workers);
        let (tower, tower_inbox) = TowerHandle::inbox();
        let handles = (net, ledger.clone(), workers, tower);
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
        Ok(Self { id, parts, workers, tower, driver, notices, fatal })
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

    pub(super) const fn driver_mut(&mut self) -> &mut SteppedDriver {
        &mut self.driver
    }

    /// How many batches were written since the start.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.parts.journal.writer().stats().batches
    }

    /// How many batches wait to be written.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.parts.journal.writer().stats().waiting
    }

    pub(super) fn step_ledger(&mut self) -> Result<bool, Ended> {
        let is_any = self.driver.step().map_err(Ended)?;
        self.pass_on_blocks();
        self.check()?;
        Ok(is_any)
    }

    pub(super) fn step_workers(&mut self) -> Result<bool, Ended> {
        let is_any = self.workers.step();
        self.check()?;
        Ok(is_any)
    }

    pub(super) fn step_tower(&mut self) -> Result<bool, Ended> {
        let is_any = self.tower.step().map_err(ended)?;
        self.check()?;
        Ok(is_any)
    }

    pub(super) fn write(&mut self) -> Result<bool, Ended> {
        let is_any = self.parts.journal.writer().write_group();
        self.check()?;
        Ok(is_any)
    }

    pub(super) fn due_in(&self) -> Option<Duration> {
        let due = [self.driver.due_in(), self.workers.due_in(), self.tower.due_in()];
        due.into_iter().flatten().min()
    }

    fn check(&self) -> Result<(), Ended> {
        let fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        fatal.map_or(Ok(()), |reason| Err(Ended(reason)))
    }

    /// A real driver waits while an inbox is full; here a block waits for the next step.
    fn pass_on_blocks(&self) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        while self.parts.workers.has_room()
            && self.parts.tower.has_room()
            && let Some(notice) = notices.pop_front()
        {
            self.parts.workers.offer_block(&notice);
            self.parts.tower.offer(TowerInput::Block(notice));
        }
    }
}

/// Opens the disk; what is to be done if it misses what was acknowledged.
pub(super) fn load(disk: &MemoryDisk) -> Result<Loaded, Ended> {
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
    Ok(Loaded { store: Arc::new(store), pending })
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
    (settings, tower::Parts::of(parts))
}
