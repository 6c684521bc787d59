//! A worker's thread: it waits, takes what is there, runs a turn, and hands the turn to the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver as Tokens, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChainId, ChannelId, Time};
use towpath_protocol::{Hello, Now, OpenId, Token};

use super::board::Board;
use super::held::Held;
use super::history::Retention;
use super::open::{Awaited, Policy};
use super::streams::Running;
use super::turn::Turn;
use super::{Input, Workers};
use crate::clock;
use crate::epoch::OwnEpoch;
use crate::journal::{Entry, Journal};
use crate::ledger::{Chain, LedgerHandle};
use crate::limits;
use crate::net::NetHandle;
use crate::recovery::{Sources, Unclaimed};

/// How long a worker sleeps when nothing is due: time-outs of openings are looked at this often.
const IDLE: Duration = Duration::from_millis(500);

/// Counters of all workers of a node, for readers.
#[derive(Debug)]
pub struct WorkerStats {
    /// Payments by this node that are settled.
    pub payments_sent: AtomicU64,
    /// Payments to this node that are final.
    pub payments_received: AtomicU64,
    /// Payments by this node that failed.
    pub payments_failed: AtomicU64,
    /// Turns.
    pub turns: AtomicU64,
    /// Inputs of all turns.
    pub inputs: AtomicU64,
    /// The largest turn.
    pub inputs_max: AtomicU64,
    /// Batches of signatures that were verified.
    pub batches: AtomicU64,
    /// Signatures in them.
    pub signatures: AtomicU64,
    /// The largest batch.
    pub signatures_max: AtomicU64,
    /// Messages sent.
    pub messages_sent: AtomicU64,
    /// Messages received.
    pub messages_received: AtomicU64,
    /// From the hand-over of a turn to its durability, in microseconds.
    pub durable_us: Mutex<Histogram<u64>>,
}

impl Default for WorkerStats {
    fn default() -> Self {
        let durable_us =
            Histogram::new_with_bounds(1, limits::LATENCY_US_MAX, 2).expect("the bounds are valid");
        Self {
            payments_sent: AtomicU64::new(0),
            payments_received: AtomicU64::new(0),
            payments_failed: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            inputs: AtomicU64::new(0),
            inputs_max: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            signatures: AtomicU64::new(0),
            signatures_max: AtomicU64::new(0),
            messages_sent: AtomicU64::new(0),
            messages_received: AtomicU64::new(0),
            durable_us: Mutex::new(durable_us),
        }
    }
}

/// What all workers of a node share.
#[derive(Clone)]
pub struct Parts {
    /// The ledger's id.
    pub chain_id: ChainId,
    /// The chain on disk.
    pub chain: Arc<Chain>,
    /// The way to disk.
    pub journal: Arc<Journal>,
    /// The network.
    pub net: NetHandle,
    /// The ledger driver.
    pub ledger: LedgerHandle,
    /// The other workers, and this one: for answers of the wallet.
    pub workers: Workers,
    /// The views.
    pub board: Arc<Board>,
    /// The counters.
    pub stats: Arc<WorkerStats>,
    /// Where channel keys and payouts come from.
    pub keys: Arc<super::open::ChannelKeys>,
    /// Which channels this node wants.
    pub policy: Policy,
    /// How much history is kept.
    pub retention: Retention,
    /// Where states of channels may be kept, besides their peers.
    pub sources: Sources,
    /// Channels on the ledger that wait for their peers.
    pub unclaimed: Arc<Unclaimed>,
    /// Which process of this node this is.
    pub epoch: Arc<OwnEpoch>,
    /// Ends the node, with the reason.
    pub fatal: Arc<dyn Fn(String) + Send + Sync>,
    /// The ledger is still to be searched for this node's channels: until then no new one is opened.
    pub searching: Arc<AtomicBool>,
    /// For waiting on the wallet's answers.
    pub runtime: tokio::runtime::Handle,
}

/// What a worker begins with.
pub(super) struct Start {
    /// Its channels.
    pub channels: Vec<Held>,
    /// Acceptances that wait for their openers.
    pub acceptances: Vec<towpath_protocol::Acceptance>,
    /// The callers' words that it remembers.
    pub idempotency: super::pay::Idempotency,
    /// Its own place among the workers, from zero.
    pub place: u8,
    /// The last block that it saw.
    pub seen_height: u64,
    /// Whether its channels come from data that may be old.
    pub distrusts: bool,
}

/// One worker.
pub struct Worker {
    pub(super) parts: Parts,
    pub(super) channels: BTreeMap<ChannelId, Held>,
    /// Which channels belong to which peer.
    pub(super) by_peer: BTreeMap<PublicKey, BTreeSet<ChannelId>>,
    /// Openings that have no channel yet.
    pub(super) awaited: BTreeMap<OpenId, Awaited>,
    /// Peers with a session, to whom this process said which one it is.
    pub(super) hailed: BTreeSet<PublicKey>,
    /// Of those, peers who said it too, and are the newest of their node.
    pub(super) sessions: BTreeSet<PublicKey>,
    /// The newest word of each peer that came in this process's life.
    pub(super) heard: BTreeMap<PublicKey, Hello>,
    /// The number of this process under which everything was distrusted.
    pub(super) said: Option<u64>,
    pub(super) streams: BTreeMap<u64, Running>,
    /// Which stream runs on which channel, and the idempotency keys of streams.
    pub(super) stream_channels: BTreeMap<u64, ChannelId>,
    pub(super) stream_keys: BTreeMap<[u8; 32], u64>,
    /// Streams of which payments were settled in this turn.
    pub(super) roomy: BTreeSet<u64>,
    pub(super) idempotency: super::pay::Idempotency,
    /// Callers that wait for commands other than payments.
    pub(super) commands: BTreeMap<Token, super::call::Reply<()>>,
    pub(super) ledger_time: Time,
    pub(super) next_token: Token,
    pub(super) next_stream: u64,
    pub(super) place: u8,
    pub(super) seen_height: u64,
    pub(super) distrusts: bool,
    /// Channels that asked for a turn at a local time, in milliseconds.
    pub(super) deadlines: BTreeSet<(u64, ChannelId)>,
    free: Tokens<()>,
    give_back: SyncSender<()>,
}

impl Worker {
    /// A worker with the channels that it owns.
    #[must_use]
    pub(super) fn new(parts: Parts, start: Start) -> Self {
        let (give_back, free) = sync_channel(limits::TURNS_IN_FLIGHT);
        for _ in 0..limits::TURNS_IN_FLIGHT {
            give_back.send(()).expect("the channel has room for each token");
        }
        let ledger_time = parts.chain.tip().header().time;
        let mut worker = Self {
            parts,
            channels: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            awaited: BTreeMap::new(),
            hailed: BTreeSet::new(),
            sessions: BTreeSet::new(),
            heard: BTreeMap::new(),
            said: None,
            streams: BTreeMap::new(),
            stream_channels: BTreeMap::new(),
            stream_keys: BTreeMap::new(),
            roomy: BTreeSet::new(),
            idempotency: start.idempotency,
            commands: BTreeMap::new(),
            ledger_time,
            next_token: 1,
            next_stream: u64::from(start.place),
            place: start.place,
            seen_height: start.seen_height,
            distrusts: start.distrusts,
            deadlines: BTreeSet::new(),
            free,
            give_back,
        };
        for held in start.channels {
            worker.adopt(held);
        }
        for acceptance in start.acceptances {
            let open = *acceptance.open_id();
            let acceptance = Box::new(acceptance);
            worker.awaited.insert(open, Awaited::Acceptance { acceptance, first_input: None });
        }
        worker
    }

    /// Takes a channel into its care.
    pub(super) fn adopt(&mut self, held: Held) {
        let (id, peer) = (held.channel.id(), held.channel.view().peer);
        self.by_peer.entry(peer).or_default().insert(id);
        self.channels.insert(id, held);
    }

    /// Runs until it is stopped.
    pub fn run(mut self, mut inbox: mpsc::Receiver<Input>) {
        let runtime = self.parts.runtime.clone();
        self.reconcile();
        loop {
            let wait = self.wait();
            let first = runtime.block_on(async { tokio::time::timeout(wait, inbox.recv()).await });
            let mut inputs = Vec::new();
            match first {
                Ok(Some(Input::Stop) | None) => return self.drain_turns(),
                Ok(Some(input)) => inputs.push(input),
                Err(_elapsed) => {}
            }
            let mut stop = false;
            while inputs.len() < limits::TURN_INPUTS {
                match inbox.try_recv() {
                    Ok(Input::Stop) => {
                        stop = true;
                        break;
                    }
                    Ok(input) => inputs.push(input),
                    Err(_) => break,
                }
            }
            self.turn(inputs);
            if stop {
                return self.drain_turns();
            }
        }
    }

    /// Until the next thing is due.
    fn wait(&self) -> Duration {
        let now = clock::now_ms();
        self.deadlines
            .first()
            .map_or(IDLE, |(due, _)| Duration::from_millis(due.saturating_sub(now)))
            .clamp(Duration::from_millis(1), IDLE)
    }

    pub(super) fn now(&self) -> Now {
        Now { local_ms: clock::now_ms(), ledger: self.ledger_time }
    }

    /// One turn: everything that came in, then one batch.
    fn turn(&mut self, inputs: Vec<Input>) {
        let count = u64::try_from(inputs.len()).unwrap_or(u64::MAX);
        let now = self.now();
        let mut turn = Turn::new(now, Instant::now());
        let mut credits = Vec::new();
        for input in inputs {
            self.take(input, &mut turn, &mut credits);
        }
        self.due(&mut turn);
        self.expire_openings(&mut turn);
        self.verify(&mut turn);
        self.top_up_streams(&mut turn);
        self.end(&mut turn);
        // What was settled just now makes room for more of each stream, in this very write.
        if self.top_up_settled(&mut turn) {
            self.end(&mut turn);
        }
        let Turn { entry, release, .. } = turn;
        if count > 0 {
            let stats = &self.parts.stats;
            stats.turns.fetch_add(1, Ordering::Relaxed);
            stats.inputs.fetch_add(count, Ordering::Relaxed);
            stats.inputs_max.fetch_max(count, Ordering::Relaxed);
        }
        self.hand_over(entry, release);
        drop(credits);
    }

    /// Gives what the turn wrote to the journal; its messages follow once it is durable.
    pub(super) fn hand_over(&self, entry: Entry, release: super::release::Release) {
        if entry.batch.is_empty() && entry.events.is_empty() {
            // Nothing was written, so nothing depends on a sync; but what an earlier turn wrote comes first.
            if release.is_empty() {
                return;
            }
        }
        // Waits while two turns are being written: then the next turn is larger, and shares one sync.
        if self.free.recv().is_err() {
            return;
        }
        let (give_back, began) = (self.give_back.clone(), Instant::now());
        let Parts { net, ledger, board, stats, .. } = self.parts.clone();
        self.parts.journal.submit(entry, clock::now_ms(), move || {
            let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            stats.durable_us.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(us);
            let messages: usize = release.messages.values().map(Vec::len).sum();
            stats.messages_sent.fetch_add(u64::try_from(messages).unwrap_or(u64::MAX), Ordering::Relaxed);
            release.run(&net, &ledger, &board);
            // The worker may have ended.
            let _ = give_back.try_send(());
        });
    }

    /// Waits until all that was handed over is durable.
    fn drain_turns(&self) {
        for _ in 0..limits::TURNS_IN_FLIGHT {
            if self.free.recv_timeout(limits::SHUTDOWN).is_err() {
                return;
            }
        }
    }
}
