//! A worker's thread: it waits, takes what is there, runs a turn, and hands the turn to the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver as Tokens, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChainId, ChannelId, Time};
use towpath_protocol::{ChannelMessage, Event, Hello, Immediate, Life, Now, OpenId, Token};

use super::accept::{Policy, Refusals};
use super::board::Board;
use super::duties::Duty;
use super::held::Held;
use super::history::Retention;
use super::open::Awaited;
use super::resize::{Resizer, keep_coins};
use super::stats::{WorkerCounters, WorkerStats};
use super::streams::Running;
use super::tally::Tally;
use super::together::Gathering;
use super::turn::Turn;
use super::{Input, Load, Workers};
use crate::clock;
use crate::epoch::OwnEpoch;
use crate::idempotency::IdempotencyKeys;
use crate::journal::{Entry, Journal};
use crate::ledger::{Chain, LedgerHandle};
use crate::limits;
use crate::net::{Credit, NetHandle, SessionId};
use crate::recovery::{Sources, Unclaimed};
use crate::tower::TowerHandle;

/// How long a worker sleeps when nothing is due: time-outs of openings are looked at this often.
const IDLE: Duration = Duration::from_millis(500);

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
    /// The watchtowers' books.
    pub tower: TowerHandle,
    /// How many watchtowers must have a version before its payments are final; zero: none.
    pub confirmations: u64,
    /// The counters.
    pub stats: Arc<WorkerStats>,
    /// Where channel keys and payouts come from.
    pub keys: Arc<super::open::ChannelKeys>,
    /// Which channels this node wants.
    pub policy: Policy,
    /// What all workers have under way.
    pub tally: Arc<Tally>,
    /// The callers' words, and what became of their calls.
    pub idempotency: IdempotencyKeys,
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
    /// Ends this run of the node; another one begins, in recovery.
    pub again: Arc<dyn Fn() + Send + Sync>,
    /// Whether this node's replica of the ledger is up to date, or was since the start (SPEC R-6).
    pub current: watch::Receiver<bool>,
    /// The ledger is still to be searched for this node's channels: until then no new one is opened.
    pub searching: Arc<AtomicBool>,
    /// For waiting on the wallet's answers.
    pub runtime: tokio::runtime::Handle,
}

/// The right to one turn that is being written; it goes back when it is dropped, however the write ended.
struct TurnInFlight(SyncSender<()>);

impl Drop for TurnInFlight {
    fn drop(&mut self) {
        // The worker may have ended.
        let _ = self.0.try_send(());
    }
}

/// What a worker begins with.
pub(super) struct Start {
    /// Its channels.
    pub channels: Vec<Held>,
    /// Acceptances that wait for their openers.
    pub acceptances: Vec<towpath_protocol::Acceptance>,
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
    /// Which channels belong to which peer, of those that are not settled.
    pub(super) by_peer: BTreeMap<PublicKey, BTreeSet<ChannelId>>,
    /// Openings that have no channel yet.
    pub(super) awaited: BTreeMap<OpenId, Awaited>,
    /// Sessions that are up, in which this process said which one it is.
    pub(super) hailed: BTreeMap<PublicKey, SessionId>,
    /// Of these peers, those who said it too, and are the newest of their node.
    pub(super) sessions: BTreeSet<PublicKey>,
    /// What peers said in this session of channels that are not known here, or not yet: the ledger may still show them.
    pub(super) unknown: BTreeMap<PublicKey, BTreeMap<ChannelId, ChannelMessage>>,
    /// The newest word of each peer that came in this process's life: of those with a session, a channel or an opening.
    pub(super) heard: BTreeMap<PublicKey, Hello>,
    pub(super) streams: BTreeMap<u64, Running>,
    /// Which stream runs on which channel.
    pub(super) stream_channels: BTreeMap<u64, ChannelId>,
    /// Streams of which payments were settled in this turn.
    pub(super) roomy: BTreeSet<u64>,
    /// Callers whose resizes wait for their channels.
    pub(super) resizers: BTreeMap<Token, Resizer>,
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
    /// What the ledger is owed.
    pub(super) duties: BTreeMap<ChannelId, Duty>,
    /// Cooperative closes that wait to share a transaction.
    pub(super) gathering: Gathering,
    /// When what is owed is looked at again although no block came, by the node's clock.
    pub(super) insist_at_ms: u64,
    /// When the terms of channels are over, in ledger time.
    pub(super) expiries: BTreeSet<(Time, ChannelId)>,
    /// Channels that are not funded, by the last ledger time at which they can be.
    pub(super) openings: BTreeSet<(Time, ChannelId)>,
    /// What this node brought to channels that peers opened and that are not settled, in base units.
    pub(super) contributed: BTreeMap<PublicKey, u64>,
    /// Peers that had openings refused in their session.
    pub(super) refusals: BTreeMap<PublicKey, Refusals>,
    /// Channels that are over, the oldest first.
    pub(super) settled: BTreeSet<(Time, ChannelId)>,
    /// How many of them are kept: this worker's share of the node's.
    pub(super) settled_kept: usize,
    free: Tokens<()>,
    give_back: SyncSender<()>,
}

/// Whether the worker goes on after a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum More {
    Run,
    Stop,
}

/// Takes what waits for a turn, until it is long enough.
pub(super) fn gather(inputs: &mut Vec<Input>, inbox: &mut mpsc::Receiver<Input>) -> More {
    let mut cost: usize = inputs.iter().map(Input::cost).sum();
    while inputs.len() < limits::TURN_INPUTS && cost < limits::TURN_COST {
        match inbox.try_recv() {
            Ok(Input::Stop) => return More::Stop,
            Ok(input) => {
                cost = cost.saturating_add(input.cost());
                inputs.push(input);
            }
            Err(_) => break,
        }
    }
    More::Run
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
        let settled_kept = (limits::SETTLED_CHANNELS / parts.workers.count().max(1)).max(1);
        let mut worker = Self {
            parts,
            channels: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            awaited: BTreeMap::new(),
            hailed: BTreeMap::new(),
            sessions: BTreeSet::new(),
            unknown: BTreeMap::new(),
            heard: BTreeMap::new(),
            streams: BTreeMap::new(),
            stream_channels: BTreeMap::new(),
            roomy: BTreeSet::new(),
            resizers: BTreeMap::new(),
            commands: BTreeMap::new(),
            ledger_time,
            next_token: 1,
            next_stream: u64::from(start.place),
            place: start.place,
            seen_height: start.seen_height,
            distrusts: start.distrusts,
            deadlines: BTreeSet::new(),
            duties: BTreeMap::new(),
            gathering: Gathering::default(),
            insist_at_ms: 0,
            expiries: BTreeSet::new(),
            openings: BTreeSet::new(),
            contributed: BTreeMap::new(),
            refusals: BTreeMap::new(),
            settled: BTreeSet::new(),
            settled_kept,
            free,
            give_back,
        };
        for mut held in start.channels {
            held.resize_input = keep_coins(&worker.parts, &held.channel);
            worker.adopt(held);
        }
        for acceptance in start.acceptances {
            let open = *acceptance.open_id();
            let acceptance = Box::new(acceptance);
            worker
                .awaited
                .insert(open, Awaited::Acceptance { acceptance, first_input: None, is_funded: false });
        }
        worker
    }

    /// Takes a channel into its care.
    pub(super) fn adopt(&mut self, mut held: Held) {
        let id = held.channel.id();
        let told = held.channel.step(Event::Bounds(Arc::new(self.bounds())), self.now(), &mut Immediate);
        debug_assert!(told.is_ok(), "it only remembers them");
        self.index(&held);
        if !matches!(held.channel.life(), Life::Settled(_)) {
            self.expiries.extend(held.channel.terms().expiry.map(|expiry| (expiry, id)));
            let force_at = held.close.as_ref().and_then(|record| record.force_at_ms);
            self.deadlines.extend(force_at.map(|at| (at, id)));
        }
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
            let more = gather(&mut inputs, &mut inbox);
            self.turn(inputs);
            match more {
                More::Run => {}
                More::Stop => return self.drain_turns(),
            }
        }
    }

    /// Until the next thing is due, or it is time to look around.
    fn wait(&self) -> Duration {
        self.due_in().map_or(IDLE, |wait| wait.clamp(Duration::from_millis(1), IDLE))
    }

    /// Until the next thing is due; none if nothing is.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let now = clock::now_ms();
        let due = self.deadlines.first().map(|(due, _)| *due);
        let due = due.into_iter().chain(self.gathering.due_ms()).min();
        due.map(|due| Duration::from_millis(due.saturating_sub(now)))
    }

    /// This worker's own counters.
    pub(super) fn counters(&self) -> &WorkerCounters {
        self.parts.stats.of(self.place)
    }

    pub(super) fn now(&self) -> Now {
        Now { local_ms: clock::now_ms(), ledger: self.ledger_time }
    }

    /// One turn: everything that came in, then one batch.
    pub(super) fn turn(&mut self, inputs: Vec<Input>) {
        let count = u64::try_from(inputs.len()).unwrap_or(u64::MAX);
        let mut turn = Turn::new(self.now(), Instant::now());
        let credits = self.run_turn(inputs, &mut turn);
        let Turn { entry, release, .. } = turn;
        if count > 0 {
            self.counters().turn_inputs.record(count);
        }
        self.hand_over(entry, release);
        drop(credits);
    }

    /// What a turn does, short of writing and saying it.
    pub(super) fn run_turn(&mut self, inputs: Vec<Input>, turn: &mut Turn) -> Vec<(Credit, Load)> {
        let mut credits = Vec::new();
        for input in inputs {
            self.take(input, turn, &mut credits);
        }
        self.due(turn);
        self.expire_openings(turn);
        self.verify(turn);
        self.top_up_streams(turn);
        self.end(turn);
        // What was settled just now makes room for more of each stream, in this very write.
        if self.top_up_settled(turn) {
            self.end(turn);
        }
        self.close_gathered(turn);
        self.prune(turn);
        self.parts.tally.show(self.place, self.counts());
        credits
    }

    /// Gives what the turn wrote to the journal; its messages follow once it is durable.
    pub(super) fn hand_over(&self, entry: Entry, mut release: super::release::Release) {
        release.address(&self.hailed);
        if entry.batch.is_empty() && entry.events.is_empty() {
            // Nothing was written, so nothing depends on a sync; but what an earlier turn wrote comes first.
            if release.is_empty() {
                return;
            }
        }
        if let Some(last) = release.last.take() {
            return self.parts.journal.submit_last(entry, clock::now_ms(), last);
        }
        // Waits while two turns are being written: then the next turn is larger, and shares one sync.
        if self.free.recv().is_err() {
            return;
        }
        let in_flight = TurnInFlight(self.give_back.clone());
        let (began, place) = (Instant::now(), self.place);
        let Parts { net, ledger, board, unclaimed, tower, stats, .. } = self.parts.clone();
        self.parts.journal.submit(entry, clock::now_ms(), move || {
            stats.of(place).durable_us.record_time(began.elapsed());
            release.run(&net, &ledger, (&board, &unclaimed, &tower));
            drop(in_flight);
        });
    }

    /// Whether a turn could be handed over without waiting for an earlier one to be written.
    pub(super) fn has_room(&self) -> bool {
        self.free.try_recv().is_ok_and(|()| self.give_back.try_send(()).is_ok())
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    fn frame(messages: usize, bytes: usize) -> Input {
        let permits = Arc::new(Semaphore::new(1));
        let credit = Credit { _permit: Arc::new(permits.try_acquire_owned().expect("one permit")) };
        let peer = PublicKey([1; 32]);
        Input::Messages { peer, messages: Vec::new(), credit, load: Load::of(messages, bytes) }
    }

    /// Hands over, if that needs no waiting.
    fn push(workers: &Workers, input: Input) -> Option<()> {
        // Without the runtime's own idea of when a task has done enough at a time.
        tokio::task::unconstrained(workers.push(&PublicKey([1; 32]), input)).now_or_never()
    }

    #[tokio::test]
    async fn b4_what_waits_for_a_worker_is_bounded_in_messages_and_in_bytes() {
        for (messages, bytes) in [(1, 512 << 10), (4_096, 5 * 4_096)] {
            let (workers, mut inboxes) = Workers::inboxes(1);
            let (mut waiting, cost) = (0, frame(messages, bytes).cost());
            while push(&workers, frame(messages, bytes)).is_some() {
                waiting += 1;
            }
            assert_eq!(waiting, limits::INBOX_COST / cost, "and not thousands of frames");
            // A turn takes some, and holds their room until it is over.
            let mut turn = Vec::new();
            assert_eq!(gather(&mut turn, &mut inboxes[0]), More::Run);
            assert_eq!(turn.len(), limits::TURN_COST.div_ceil(cost));
            assert_eq!(push(&workers, frame(messages, bytes)), None);
            drop(turn);
            assert_eq!(push(&workers, frame(messages, bytes)), Some(()));
        }
    }

    #[tokio::test]
    async fn whoever_is_not_a_peer_needs_no_room() {
        let (workers, mut inboxes) = Workers::inboxes(1);
        let peer = PublicKey([1; 32]);
        while push(&workers, frame(1, 512 << 10)).is_some() {}
        workers.offer(&peer, Input::SessionDown(peer)).expect("there are places");
        workers.stop().await;
        let (mut all, mut turns) = (0, 0);
        loop {
            let mut turn = Vec::new();
            let more = gather(&mut turn, &mut inboxes[0]);
            (all, turns) = (all + turn.len(), turns + 1);
            if more == More::Stop {
                break;
            }
        }
        assert!(turns > 1 && all > turns, "{all} inputs in {turns} turns");
    }
}
