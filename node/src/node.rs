//! A node from start to end: open what is stored, start the parts in the order in which they need each other, wait for
//! the signal, stop them in the other order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use towpath_consensus::Config as EngineConfig;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::keyfile::{self, KeyFileError};
use towpath_crypto::seed::Seed;
use towpath_ledger::Amount;
use towpath_ledger::genesis::{Genesis, GenesisError};
use towpath_protocol::Accepts;
use towpath_protocol::tower::{LedgerRules, Sponsor};
use towpath_store::{Condition, GroupWriter, Opened, RocksOptions, RocksStore, Store, StoreError};

use crate::api::{Access, Reach, SecretFileError, Server, ServerError, load_or_create};
use crate::backend::{Node, NodeBackend, Recovering, issued};
use crate::clock;
use crate::config::{Channels, Config, Retention};
use crate::epoch::{self, OwnEpoch};
use crate::idempotency::IdempotencyKeys;
use crate::journal::Journal;
use crate::ledger::{self, Chain, DriverConfig, Ingress, Input as LedgerInput, LedgerHandle, Status};
use crate::logging::LoggingError;
use crate::net::{self, ConnectionLimits, Mdns, NetConfig, NetError, NetEvents, NetHandle};
use crate::recovery::{self, Pending, Role, Sources, Task};
use crate::route::route;
use crate::stop::{Stop, signals};
use crate::tower::{self, Input as TowerInput, TowerHandle};
use crate::worker::{self, Board, ChannelKeys, Input, Parts, Policy, Tally, Trust, WorkerStats, Workers};

/// The key file in the data folder.
pub const KEY_FILE: &str = "keys";

/// The database's folder in the data folder.
pub(crate) const STORE_FOLDER: &str = "store";

/// Events that are kept unless the configuration says more or less: about 30 MB.
const EVENTS_KEPT: u64 = 100_000;

/// Payments of each direction, and log entries, that are kept for each channel.
const HISTORY_KEPT: u32 = 256;

/// Why a node does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The log.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The genesis file is not one.
    #[error("{}: {source}", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// Why.
        source: GenesisError,
    },
    /// The key file.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// A key that everybody knows, outside of a local test network.
    #[error(
        "these keys are those of local test networks, which everybody knows; make your own with `towpath init`"
    )]
    PublicKeys,
    /// A validator that is none.
    #[error(
        "this node is configured as a validator, but the genesis does not list {0}; set validator = false"
    )]
    NotAValidator(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The API.
    #[error(transparent)]
    Api(#[from] ServerError),
    /// The API's token.
    #[error(transparent)]
    Token(#[from] SecretFileError),
    /// The ledger's driver.
    #[error("the ledger cannot start: {0}")]
    Ledger(String),
    /// The watchtower.
    #[error("the watchtower cannot start: {0}")]
    Tower(#[from] tower::StartError),
    /// The workers.
    #[error(transparent)]
    Workers(#[from] worker::StartError),
    /// Another process of this node took over.
    #[error(
        "another process with this node's key has taken over; two must never run. If the other one is gone for good, \
         start this one with `towpath node --take-over`: it then asks its peers for what is newer"
    )]
    Superseded,
    /// The operator's word on votes is not taken.
    #[error(transparent)]
    VoteFrom(#[from] recovery::VoteFromError),
    /// The data turned out to be an old copy while the node ran.
    #[error("the node's data is an old copy; it recovers its channels when it is started again")]
    OldCopy,
    /// The runtime.
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
    /// Something after which the node must not go on.
    #[error("the node stopped: {0}")]
    Fatal(String),
}

/// Runs a node until it is told to stop, with the passphrase of its key file.
///
/// # Errors
/// [`NodeError`]: what kept it from starting, or why it stopped.
pub fn run(config: Config, passphrase: &[u8]) -> Result<(), NodeError> {
    crate::logging::start(&config.log)?;
    abort_on_panic();
    let (mut config, mut asked) = (config, signals()?);
    loop {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(NodeError::Runtime)?;
        let ended = runtime.block_on(run_parts(&config, passphrase, &mut asked));
        runtime.shutdown_timeout(crate::limits::SHUTDOWN);
        match ended {
            // What it knew is void, and on disk it says so: the same process begins anew, like one that was just started.
            Err(NodeError::OldCopy) => {
                tracing::warn!("the node begins again, in recovery");
                // The operator's words were about what was known then.
                (config.take_over, config.vote_from) = (false, None);
            }
            ended => return ended,
        }
    }
}

/// A panic in any thread ends the process: no part may go on behind the back of one that is gone (FAULTS N14).
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// What is read before anything starts.
struct Loaded {
    genesis: Genesis,
    seed: Seed,
    store: Arc<dyn Store>,
    /// What is to be done after a loss of data.
    pending: Option<Pending>,
}

fn load(config: &Config, passphrase: &[u8]) -> Result<Loaded, NodeError> {
    let path = config.genesis.clone();
    let text =
        std::fs::read_to_string(&path).map_err(|source| NodeError::Read { path: path.clone(), source })?;
    let genesis = Genesis::parse(&text).map_err(|source| NodeError::Genesis { path, source })?;
    let seed = keyfile::open(&config.data_dir.join(KEY_FILE), passphrase)?;
    let node = seed.node_key().public();
    if config.validator && genesis.validators.power(&node).is_none() {
        return Err(NodeError::NotAValidator(worker::node_text(&node)));
    }
    if !config.testnet && crate::devnet::is_known(&seed) {
        return Err(NodeError::PublicKeys);
    }
    let Opened { store, condition } =
        RocksStore::open(&RocksOptions::new(config.data_dir.join(STORE_FOLDER)))?;
    let pending = match condition {
        Condition::Healthy => Pending::read(&store)?,
        Condition::Behind(behind) => {
            tracing::error!(%behind, "the database misses what was acknowledged");
            // From here on what is to be done is in a row of its own, and every channel is distrusted.
            let pending = recovery::begin(&store, &behind)?;
            store.resolve()?;
            Some(pending)
        }
    };
    let pending = match (epoch::is_superseded(&store)?, config.take_over) {
        (false, _) => pending,
        (true, false) => return Err(NodeError::Superseded),
        (true, true) => Some(recovery::take_over(&store)?),
    };
    Ok(Loaded { genesis, seed, store: Arc::new(store), pending })
}

async fn run_parts(
    config: &Config,
    passphrase: &[u8],
    asked: &mut watch::Receiver<bool>,
) -> Result<(), NodeError> {
    let stop = Stop::new();
    let mut loaded = load(config, passphrase)?;
    let identity = loaded.seed.node_key();
    tracing::info!(node = %worker::node_text(&identity.public()), chain = %loaded.genesis.chain_id(), "the node starts");
    if let Some(pending) = &loaded.pending {
        tracing::warn!(
            cause = pending.cause.text(),
            "the node is in recovery: a channel signs and closes nothing before its newest state is known"
        );
    }
    let (journal, chain) = open_chain(config, &loaded, &stop)?;
    take_word(config, &mut loaded, &chain)?;
    let (net, events) = start_net(config, &loaded, &chain)?;
    let (tower, tower_inbox) = TowerHandle::inbox();
    let (ledger, ledger_inbox) = LedgerHandle::inbox();
    let (workers, inboxes) = Workers::inboxes(config.workers);
    let handles = Handles { net: net.clone(), ledger: ledger.clone(), workers: workers.clone(), tower };
    let (is_current, current) = watch::channel(false);
    let parts = parts(config, &loaded, (&chain, &journal), &handles, (&stop, current))?;
    let tower = &parts.tower;
    if loaded.genesis.params.blocks.time_travel {
        // Where this network for tests has travelled to, its nodes' clocks have been before.
        clock::travel_to(chain.tip().header().time);
    }
    let driver = driver_config(&loaded, voter(&loaded, &chain, identity), parts.idempotency.clone());
    let (fatal, blocks, watched) = (stop.clone(), workers.clone(), tower.clone());
    let (heights, height) = watch::channel(chain.tip().height());
    let params = loaded.genesis.params.clone();
    let (ingress, ingress_threads) = Ingress::start(&chain, params, ledger.clone(), net.clone())
        .map_err(|error| NodeError::Ledger(error.to_string()))?;
    let bell = ingress.blocks();
    let (driver_thread, status) = ledger::spawn(
        driver,
        (Arc::clone(&chain), Arc::clone(&journal), net.clone()),
        (ledger.clone(), ledger_inbox),
        Box::new(move |notice| {
            blocks.push_block(&notice);
            watched.push_block(&notice);
            bell.ring();
            heights.send_replace(notice.height);
        }),
        move |reason| fatal.fatal(reason),
    )
    .map_err(NodeError::Ledger)?;
    let (threads, recovery) = start_workers(&loaded, &parts, inboxes, (height.clone(), &stop)).await?;
    let step_ms_max = loaded.genesis.params.blocks.block_step_ms_max;
    let watching_ledger =
        tokio::spawn(recovery::watch_current((Arc::clone(&chain), height), step_ms_max, is_current));
    // A tower that lost data may have forgotten records that it promised to keep: its clients find that out, and give
    // them again (FAULTS W3).
    let watching = start_tower(config, &loaded, &parts, (tower, tower_inbox), stop.clone())?;
    let router = tokio::spawn(route(events, net.clone(), (workers.clone(), tower.clone()), ingress));
    let node = Arc::new(node(config, &loaded, &parts, status));
    let server = start_api(config, Arc::clone(&node), &stop).await?;

    stop.wait(asked).await;
    node.ready.store(false, Ordering::Release);
    // In the order in which messages flow: nobody hands anything to a part that has ended. After a failure a part may
    // wait for another one for ever, and what is not durable by then never will be.
    let flow = async {
        let _ended = server.await;
        net.shutdown().await;
        let _ended = router.await;
        watching_ledger.abort();
        if let Some(recovery) = recovery {
            let _ended = recovery.await;
        }
        workers.stop().await;
        tower.push(TowerInput::Stop).await;
    };
    if tokio::time::timeout(crate::limits::SHUTDOWN, flow).await.is_err() {
        tracing::warn!("some parts of the node did not end in time; they are cut off");
    }
    let threads = threads.into_iter().chain([watching, driver_thread]).chain(ingress_threads);
    let threads: Vec<_> = threads.collect();
    let joined = tokio::task::spawn_blocking(move || {
        ledger.push(LedgerInput::Stop);
        threads.into_iter().for_each(|thread| drop(thread.join()));
    });
    let _in_time = tokio::time::timeout(crate::limits::SHUTDOWN, joined).await;
    tracing::info!("the node has stopped");
    stop.ended()
}

/// The ways to the parts of the node.
struct Handles {
    net: NetHandle,
    ledger: LedgerHandle,
    workers: Workers,
    tower: TowerHandle,
}

fn open_chain(
    config: &Config,
    loaded: &Loaded,
    stop: &Stop,
) -> Result<(Arc<Journal>, Arc<Chain>), NodeError> {
    let fatal = stop.clone();
    let store = || Arc::clone(&loaded.store);
    let writer = GroupWriter::start(store(), move |error| fatal.fatal(error.to_string()))?;
    let journal = Arc::new(Journal::open(store(), writer, events_kept(config.retention.events))?);
    let retention = towpath_store::ChainRetention::default();
    Ok((journal, Arc::new(Chain::open(store(), &loaded.genesis, retention)?)))
}

/// What all workers share.
fn parts(
    config: &Config,
    loaded: &Loaded,
    (chain, journal): (&Arc<Chain>, &Arc<Journal>),
    handles: &Handles,
    (stop, current): (&Stop, watch::Receiver<bool>),
) -> Result<Parts, NodeError> {
    let Handles { net, ledger, workers, tower } = handles;
    let (store, seed) = (&*loaded.store, &loaded.seed);
    let keys = Arc::new(ChannelKeys::open(seed.clone(), store, loaded.genesis.params.rules.clone())?);
    let sources = Sources::default();
    sources.add(Arc::new(recovery::Towers::new(tower.clone(), Arc::clone(&keys))));
    let instance = (clock::now_ms(), rand::random());
    let (fatal, again) = (stop.clone(), stop.clone());
    Ok(Parts {
        chain_id: chain.chain(),
        chain: Arc::clone(chain),
        journal: Arc::clone(journal),
        net: net.clone(),
        ledger: ledger.clone(),
        workers: workers.clone(),
        board: Arc::new(Board::default()),
        tower: tower.clone(),
        confirmations: config.tower.confirmations,
        stats: Arc::new(WorkerStats::new(workers.count())),
        keys,
        policy: policy(&config.channels),
        tally: Arc::new(Tally::new(workers.count())),
        idempotency: IdempotencyKeys::open(store, rand::random())?,
        retention: worker::Retention {
            payments: payments_kept(config.retention.payments),
            log: HISTORY_KEPT,
        },
        sources,
        unclaimed: Arc::default(),
        searching: Arc::new(AtomicBool::new(loaded.pending.is_some_and(|pending| pending.search))),
        epoch: Arc::new(OwnEpoch::begin(store, &seed.node_key(), &chain.chain(), instance)?),
        fatal: Arc::new(move |reason| fatal.fatal(reason)),
        again: Arc::new(move || again.again()),
        current,
        runtime: tokio::runtime::Handle::current(),
    })
}

/// The workers' threads, and the task that recovers what was lost.
type Started = (Vec<std::thread::JoinHandle<()>>, Option<tokio::task::JoinHandle<()>>);

async fn start_workers(
    loaded: &Loaded,
    parts: &Parts,
    inboxes: Vec<tokio::sync::mpsc::Receiver<Input>>,
    (height, stop): (watch::Receiver<u64>, &Stop),
) -> Result<Started, NodeError> {
    let pending = loaded.pending;
    let distrusts = pending.is_some_and(|pending| pending.distrust);
    let trust = if distrusts { Trust::MayBeOld } else { Trust::Newest };
    let started = worker::start(parts, inboxes, trust)?;
    for (channel, why) in &started.damaged {
        tracing::error!(%channel, %why, "a channel cannot be restored; it is looked for on the ledger");
    }
    for peer in &started.peers {
        parts.net.want(*peer, Vec::new()).await?;
    }
    let damaged = !started.damaged.is_empty();
    let recovery = pending.or_else(|| damaged.then(Pending::damaged)).map(|pending| {
        recovery::spawn(Task {
            pending,
            parts: parts.clone(),
            seed: loaded.seed.clone(),
            height,
            stop: stop.token.clone(),
        })
    });
    Ok((started.threads, recovery))
}

/// What the API reads, and hands calls to.
fn node(config: &Config, loaded: &Loaded, parts: &Parts, status: watch::Receiver<Status>) -> Node {
    Node {
        name: config.name.clone(),
        validator: config.validator,
        genesis: loaded.genesis.clone(),
        database: config.data_dir.join(STORE_FOLDER).join("db"),
        data_dir: config.data_dir.clone(),
        chain: Arc::clone(&parts.chain),
        journal: Arc::clone(&parts.journal),
        net: parts.net.clone(),
        ledger: parts.ledger.clone(),
        status,
        workers: parts.workers.clone(),
        board: Arc::clone(&parts.board),
        tower: parts.tower.clone(),
        idempotency: parts.idempotency.clone(),
        worker_stats: Arc::clone(&parts.stats),
        started: std::time::Instant::now(),
        seed: loaded.seed.clone(),
        recovery: Recovering {
            cause: loaded.pending.map(|pending| pending.cause),
            searching: Arc::clone(&parts.searching),
            unclaimed: Arc::clone(&parts.unclaimed),
        },
        ready: AtomicBool::new(true),
        runtime: tokio::runtime::Handle::current(),
    }
}

fn policy(channels: &Channels) -> Policy {
    Policy {
        contribute_max: Amount(channels.contribute_max),
        contribute_peer_max: Amount(channels.contribute_peer_max),
        contribute_opening_max: Amount(channels.contribute_opening_max),
        capacity_min: Amount(channels.capacity_min),
        accepts: Accepts {
            penalty_basis_points_min: channels.penalty_min,
            dispute_window_ms_min: millis(channels.dispute_window_min),
            dispute_window_ms_max: millis(channels.dispute_window_max),
        },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn start_tower(
    config: &Config,
    loaded: &Loaded,
    parts: &Parts,
    (handle, inbox): (&TowerHandle, tokio::sync::mpsc::Receiver<TowerInput>),
    stop: Stop,
) -> Result<std::thread::JoinHandle<()>, NodeError> {
    let params = &loaded.genesis.params;
    let own = &config.tower;
    let settings = tower::Settings {
        serve: own.serve,
        records_max: own.records_max,
        clients: own.clients.iter().copied().collect(),
        sponsor: if own.sponsor { Sponsor::Yes } else { Sponsor::No },
        towers: own.towers.clone(),
        peers: own.peers,
        confirmations: own.confirmations,
        rules: LedgerRules {
            chain: parts.chain_id,
            params: params.rules.clone(),
            block_step_ms_max: params.blocks.block_step_ms_max,
        },
    };
    Ok(tower::start(tower::Parts::of(parts), settings, handle, inbox, move |reason| stop.fatal(reason))?)
}

/// The key with which this node takes part in deciding blocks: its own, unless its log may miss votes that it gave. Then it
/// follows, under a key that is no validator's, until the chain is past them and it is started again.
fn voter(loaded: &Loaded, chain: &Chain, own: SecretKey) -> SecretKey {
    let tip = chain.tip().height();
    match recovery::role(loaded.pending.as_ref(), tip) {
        Role::Votes => own,
        Role::Follows => {
            if loaded.genesis.validators.power(&own.public()).is_some() {
                tracing::warn!(
                    "votes of this validator may be lost: it follows, and votes again after its next start. Only if the \
                     ledger stands still because it waits for this validator: once this node has all blocks that any \
                     node has, start it with `towpath node --vote-from HEIGHT`, the height after the newest one"
                );
            }
            SecretKey::from_bytes(&rand::random())
        }
    }
}

/// Takes the operator's word that this validator may vote again, if it is given.
fn take_word(config: &Config, loaded: &mut Loaded, chain: &Chain) -> Result<(), NodeError> {
    let Some(asked) = config.vote_from else { return Ok(()) };
    let tip = chain.tip().height();
    let is_validator = loaded.genesis.validators.power(&loaded.seed.node_key().public()).is_some();
    loaded.pending = recovery::vote_from(&*loaded.store, loaded.pending, (is_validator, tip), asked)?;
    tracing::warn!(height = asked, "this validator votes again, as its operator says");
    Ok(())
}

fn driver_config(loaded: &Loaded, identity: SecretKey, idempotency: IdempotencyKeys) -> DriverConfig {
    let genesis = &loaded.genesis;
    let mut engine = EngineConfig::lan(genesis.chain_id());
    engine.heartbeat = std::time::Duration::from_millis(genesis.params.blocks.block_step_ms_max / 2);
    engine.session = clock::now_ms();
    DriverConfig {
        params: genesis.params.clone(),
        validators: genesis.validators.clone(),
        identity,
        seed: loaded.seed.clone(),
        issued: issued(genesis),
        engine,
        idempotency,
    }
}

fn start_net(config: &Config, loaded: &Loaded, chain: &Chain) -> Result<(NetHandle, NetEvents), NodeError> {
    let most = config.network.max_peers;
    let limits =
        ConnectionLimits { incoming: most.saturating_mul(2), outgoing: most, ..ConnectionLimits::default() };
    let net_config = NetConfig {
        identity: *loaded.seed.node_secret(),
        session_key: *loaded.seed.session_key(),
        chain: chain.chain(),
        listen: config.network.listen.clone(),
        bootstrap: config.network.bootstrap.clone(),
        mdns: if config.network.mdns { Mdns::On } else { Mdns::Off },
        limits,
        subscribe_timeout: net::limits::SUBSCRIBE_TIMEOUT,
        seed: rand::random(),
    };
    Ok(net::spawn(net_config)?)
}

async fn start_api(
    config: &Config,
    node: Arc<Node>,
    stop: &Stop,
) -> Result<tokio::task::JoinHandle<()>, NodeError> {
    let token = load_or_create(&config.api.token_file)?;
    let access = Access {
        token,
        hosts: config.api.hosts.clone(),
        reach: if config.api.allow_remote { Reach::Remote } else { Reach::Loopback },
        public: config.api.public.clone(),
    };
    let address: SocketAddr = config.api.listen;
    let server = Server::bind(address, access, Arc::new(NodeBackend(node)), stop.token.clone()).await?;
    server.announce(&config.data_dir)?;
    tracing::info!(url = %server.url(), "the API listens");
    Ok(tokio::spawn(server.run()))
}

const fn events_kept(retention: Retention) -> u64 {
    match retention {
        Retention::All => u64::MAX,
        Retention::None => 0,
        // An event is some 300 bytes.
        Retention::Bytes(bytes) => bytes / 300,
        Retention::Age(_) => EVENTS_KEPT,
    }
}

fn payments_kept(retention: Retention) -> u32 {
    match retention {
        Retention::All => u32::MAX,
        Retention::None => 0,
        // A payment is some 100 bytes.
        Retention::Bytes(bytes) => u32::try_from(bytes / 100).unwrap_or(u32::MAX),
        Retention::Age(_) => HISTORY_KEPT,
    }
}

/// Where the key file of a data folder is.
#[must_use]
pub fn key_file(data_dir: &Path) -> PathBuf {
    data_dir.join(KEY_FILE)
}
