//! Nodes without a network: workers, wallets and replicas of one ledger, stepped by the test. A turn is durable at once;
//! messages arrive when the test says so; blocks come when it makes one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use towpath_api::EventBody;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::{Amount, Block, ChannelId, Time, Transaction};
use towpath_protocol::tower::Record;
use towpath_protocol::{Accepts, Life, Message, Now};
use towpath_store::{Batch, Column, GroupWriter, MemoryStore, Scan, Store};

use super::super::accept::Policy;
use super::super::history::Retention;
use super::super::open::{ChannelKeys, find};
use super::super::run::{Parts, Start, Worker};
use super::super::tally::Tally;
use super::super::turn::Turn;
use super::super::{
    Board, Call, CallError, Input, Load, OpenRequest, Opened, Paid, PayRequest, Risk, Wait, WorkerStats,
    Workers,
};
use crate::epoch::OwnEpoch;
use crate::idempotency::{Claim, IdempotencyKeys};
use crate::journal::Journal;
use crate::ledger::testing::{TestLedger, genesis};
use crate::ledger::{FundsCall, Input as LedgerInput, Purpose};
use crate::net::{Credit, NetHandle, SessionId};
use crate::recovery::Sources;
use crate::tower::TowerHandle;

/// How far apart blocks are unless a test says otherwise.
pub(crate) const BLOCK_MS: u64 = 1_000;

/// The dispute window of channels here.
pub(crate) const WINDOW_MS: u64 = 3_600_000;

/// What nodes here agree to unless a test says otherwise.
pub(crate) const POLICY: Policy = Policy {
    contribute_max: Amount::ZERO,
    contribute_peer_max: Amount::ZERO,
    contribute_opening_max: Amount::ZERO,
    capacity_min: Amount::ZERO,
    accepts: Accepts {
        penalty_basis_points_min: 2_500,
        dispute_window_ms_min: WINDOW_MS,
        dispute_window_ms_max: 7 * 24 * 3_600_000,
    },
};

/// How a process ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// Another one begins, in recovery.
    Again,
    /// For ever, and why.
    Fatal(String),
}

/// One node.
pub(crate) struct Node {
    pub id: PublicKey,
    pub seed: Seed,
    pub worker: Worker,
    pub ledger: TestLedger,
    pub store: Arc<dyn Store>,
    pub board: Arc<Board>,
    /// What it said and nobody took yet.
    pub said: VecDeque<(PublicKey, Message)>,
    pub events: Vec<EventBody>,
    /// Rows that the last turns wrote.
    pub written: Batch,
    pub clock_ms: u64,
    pub parts: Parts,
    /// Whether its replica of the ledger is up to date.
    pub is_current: watch::Sender<bool>,
    /// How its process ended, if it did.
    pub ended: Arc<Mutex<Option<Ended>>>,
    inbox: mpsc::Receiver<Input>,
}

impl Node {
    fn new(seed: Seed, genesis: towpath_ledger::genesis::Genesis, policy: Policy) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let ledger = TestLedger::new(seed.clone(), genesis, Arc::clone(&store));
        let writer = GroupWriter::start(Arc::clone(&store), |error| panic!("no write fails here: {error}"));
        let journal =
            Journal::open(Arc::clone(&store), writer.expect("threads"), 1_000).expect("an empty log");
        let (workers, mut inboxes) = Workers::inboxes(1);
        let params = ledger.genesis.params.rules.clone();
        let keys = ChannelKeys::open(seed.clone(), &*store, params).expect("no keys yet");
        let id = seed.node_key().public();
        let board = Arc::new(Board::default());
        let chain = ledger.chain.chain();
        let ended: Arc<Mutex<Option<Ended>>> = Arc::default();
        let end = |ended: &Arc<Mutex<Option<Ended>>>| {
            let ended = Arc::clone(ended);
            move |how: Ended| *ended.lock().expect("no panic before") = Some(how)
        };
        let (again, fatal) = (end(&ended), end(&ended));
        let is_current = watch::Sender::new(true);
        let epoch = OwnEpoch::begin(&*store, &seed.node_key(), &chain, (1_000, [1; 16])).expect("it writes");
        let parts = Parts {
            chain_id: ledger.chain.chain(),
            chain: Arc::clone(&ledger.chain),
            journal: Arc::new(journal),
            net: NetHandle::silent(id),
            ledger: ledger.handle.clone(),
            workers,
            board: Arc::clone(&board),
            tower: TowerHandle::inbox().0,
            confirmations: 0,
            stats: Arc::new(WorkerStats::new(1)),
            keys: Arc::new(keys),
            policy,
            tally: Arc::new(Tally::new(1)),
            idempotency: IdempotencyKeys::open(&*store, 1).expect("no keys yet"),
            retention: Retention { payments: 16, log: 16 },
            sources: Sources::default(),
            unclaimed: Arc::default(),
            epoch: Arc::new(epoch),
            fatal: Arc::new(move |reason| fatal(Ended::Fatal(reason))),
            again: Arc::new(move || again(Ended::Again)),
            current: is_current.subscribe(),
            searching: Arc::default(),
            runtime: tokio::runtime::Handle::current(),
        };
        let worker = Worker::new(parts.clone(), start(&parts, Vec::new(), Vec::new()));
        let inbox = inboxes.pop().expect("one worker");
        let (said, events, written) = (VecDeque::new(), Vec::new(), Batch::new());
        let clock_ms = 1_000;
        Self {
            id,
            seed,
            worker,
            ledger,
            store,
            board,
            said,
            events,
            written,
            clock_ms,
            parts,
            is_current,
            ended,
            inbox,
        }
    }

    fn now(&self) -> Now {
        Now { local_ms: self.clock_ms, ledger: self.worker.ledger_time }
    }

    /// One turn, written and said.
    pub(crate) fn turn(&mut self, inputs: Vec<Input>) {
        let turn = self.begin_turn(inputs);
        self.release(turn);
    }

    /// One turn, of which nothing is written yet.
    pub(super) fn begin_turn(&mut self, inputs: Vec<Input>) -> Turn {
        assert_eq!(self.ended(), None, "a process that has ended takes no turn");
        let mut turn = Turn::new(self.now(), Instant::now());
        drop(self.worker.run_turn(inputs, &mut turn));
        turn
    }

    pub(super) fn release(&mut self, turn: Turn) {
        let Turn { entry, release, .. } = turn;
        self.written.append(entry.batch.clone());
        self.store.commit(entry.batch).expect("no write fails here");
        if let Some(last) = release.last {
            return last();
        }
        self.events.extend(entry.events);
        for (peer, messages) in release.messages {
            let decoded = messages.iter().map(|bytes| Message::decode(bytes).expect("our own messages"));
            self.said.extend(decoded.map(|message| (peer, message)));
        }
        self.board.publish(release.views);
        release.claimed.iter().for_each(|channel| self.parts.unclaimed.settle(channel));
        self.board.forget(release.forgotten);
        release.answers.into_iter().for_each(|answer| answer());
        for input in release.ledger {
            // A full inbox loses it, as at a real node.
            let _ = self.ledger.handle.offer(input);
        }
    }

    /// Takes what came back from the driver and its own tasks; whether there was anything.
    pub(crate) fn stir(&mut self) -> bool {
        if self.ended().is_some() {
            return false;
        }
        let mut inputs = Vec::new();
        let served = self.ledger.serve();
        while let Ok(input) = self.inbox.try_recv() {
            inputs.push(input);
        }
        let is_any = served > 0 || !inputs.is_empty();
        if !inputs.is_empty() {
            self.turn(inputs);
        }
        is_any
    }

    /// Hears something from a peer.
    pub(crate) fn hear(&mut self, peer: PublicKey, messages: Vec<Message>) {
        // A stranger has said which of its processes it is.
        if !messages.iter().any(|message| matches!(message, Message::Hello(_) | Message::Stale(_))) {
            self.worker.sessions.insert(peer);
        }
        self.turn(vec![heard(peer, messages)]);
    }

    /// How its process ended, if it did.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended.lock().expect("no panic before").clone()
    }

    /// Another process starts on its disk: it has a number of its own, and no peer has spoken with it.
    pub(super) fn start_anew(&mut self, instance: u8) {
        let (store, key, chain) = (&*self.store, self.seed.node_key(), self.parts.chain_id);
        let epoch = OwnEpoch::begin(store, &key, &chain, (self.clock_ms, [instance; 16]));
        self.parts.epoch = Arc::new(epoch.expect("it writes"));
        *self.ended.lock().expect("no panic before") = None;
        self.restart();
    }

    /// Loses its memory, and starts again from its disk.
    pub(crate) fn restart(&mut self) {
        let run = self.parts.idempotency.run() + 1;
        self.parts.idempotency = IdempotencyKeys::open(&*self.store, run).expect("it reads");
        let found = find(&*self.store, &self.parts.keys, self.now()).expect("it reads");
        assert!(found.damaged.is_empty(), "{:?}", found.damaged);
        let start = start(&self.parts, found.channels, found.acceptances);
        self.worker = Worker::new(self.parts.clone(), start);
        let mut turn = Turn::new(self.now(), Instant::now());
        self.worker.catch_up(&mut turn);
        self.release(turn);
    }

    /// As a process that begins in recovery.
    pub(super) fn distrust(&mut self) {
        self.worker.distrusts = true;
        let mut turn = Turn::new(self.now(), Instant::now());
        self.worker.distrust_all(&mut turn);
        self.worker.end(&mut turn);
        self.release(turn);
    }

    /// Rows of a channel on disk, in all columns.
    pub(crate) fn rows_of(&self, channel: &ChannelId) -> usize {
        let rows = |column| self.store.scan(column, &Scan::prefix(&channel.0.0)).expect("it reads").len();
        rows(Column::Channels) + rows(Column::ChannelEvents)
    }

    /// What it gives to its watchtowers of a channel.
    pub(crate) fn record(&self, channel: &ChannelId) -> Record {
        let channel = &self.worker.channels[channel].channel;
        let held = channel.held();
        Record {
            party: channel.me(),
            newest: held.co_signed(channel.me()).expect("both signed"),
            sent_a: held.content.sent_a,
            sent_b: held.content.sent_b,
            peer: *channel.peer(),
            key_index: channel.key_index(),
        }
    }

    pub(crate) fn life(&self, channel: &ChannelId) -> Option<Life> {
        self.worker.channels.get(channel).map(|held| held.channel.life())
    }
}

/// What a peer says, as an input.
pub(crate) fn heard(peer: PublicKey, messages: Vec<Message>) -> Input {
    let permits = Arc::new(Semaphore::new(1));
    let credit = Credit { _permit: Arc::new(permits.try_acquire_owned().expect("one permit")) };
    let load = Load::of(messages.len(), 0);
    Input::Messages { peer, messages, credit, load }
}

/// Where a caller hears what became of its wish.
pub(crate) type Answer<T> = oneshot::Receiver<Result<T, CallError>>;

fn start(
    parts: &Parts,
    channels: Vec<super::super::held::Held>,
    acceptances: Vec<towpath_protocol::Acceptance>,
) -> Start {
    let seen_height = parts.chain.tip().height();
    Start { channels, acceptances, place: 0, seen_height, distrusts: false }
}

/// Some nodes, and the ledger that they share.
pub(crate) struct Town {
    pub nodes: Vec<Node>,
}

impl Town {
    /// So many nodes with so many coins each; all are connected.
    pub(crate) fn new(count: u8, coins: usize, policy: Policy) -> Self {
        let seeds: Vec<Seed> = (1..=count).map(|number| Seed::from_entropy(&[number; 32])).collect();
        let genesis = genesis(&seeds.iter().collect::<Vec<_>>(), coins);
        let nodes = seeds.into_iter().map(|seed| Node::new(seed, genesis.clone(), policy)).collect();
        let mut town = Self { nodes };
        let ids: Vec<PublicKey> = town.nodes.iter().map(|node| node.id).collect();
        for node in &mut town.nodes {
            let others = ids.iter().filter(|id| **id != node.id);
            let sessions = others.map(|id| Input::SessionUp(*id, SessionId(1))).collect();
            node.turn(sessions);
        }
        // Each says which of its processes it is.
        town.deliver_all();
        town
    }

    /// Delivers what was said; whether there was anything.
    fn deliver_all(&mut self) -> bool {
        let mut moved = false;
        for from in 0..self.nodes.len() {
            let sender = self.nodes[from].id;
            let mut letters: BTreeMap<PublicKey, Vec<Message>> = BTreeMap::new();
            for (to, message) in self.nodes[from].said.drain(..) {
                letters.entry(to).or_default().push(message);
            }
            for (to, messages) in letters {
                if let Some(to) = self.index(&to) {
                    moved = true;
                    self.nodes[to].hear(sender, messages);
                }
            }
        }
        moved
    }

    pub(crate) fn index(&self, id: &PublicKey) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == *id)
    }

    /// Delivers everything, until nothing moves.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..1_000 {
            // The nodes' tasks wait for answers that are there by now.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            let mut moved = false;
            for node in &mut self.nodes {
                moved |= node.stir();
            }
            moved |= self.deliver_all();
            // Closes that wait for company get a moment of time when there is nothing else to do.
            for node in &mut self.nodes {
                if let Some(due) = node.worker.gathering.due_ms().filter(|_| !moved) {
                    node.clock_ms = node.clock_ms.max(due);
                    node.turn(Vec::new());
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the nodes never come to rest");
    }

    /// A block of all that waits anywhere, so long after the last; then everything settles.
    pub(crate) async fn block_after(&mut self, after_ms: u64) -> Vec<Transaction> {
        let mut waiting: Vec<Transaction> = Vec::new();
        for transaction in self.nodes.iter_mut().flat_map(|node| node.ledger.take_waiting()) {
            if !waiting.iter().any(|known| known.id() == transaction.id()) {
                waiting.push(transaction);
            }
        }
        let block = self.nodes[0].ledger.build(&waiting, after_ms);
        for node in &mut self.nodes {
            node.clock_ms += after_ms;
            let notice = node.ledger.apply(&block);
            node.turn(vec![Input::Block(notice)]);
        }
        self.settle().await;
        block.transactions
    }

    pub(crate) async fn block(&mut self) -> Vec<Transaction> {
        self.block_after(BLOCK_MS).await
    }

    /// The first asks its node for a channel with the second; what the caller hears.
    pub(crate) async fn ask_to_open(
        &mut self,
        sides: (usize, usize),
        amounts: (u64, u64),
    ) -> Option<Result<Opened, CallError>> {
        let mut answer = self.begin_to_open(sides, amounts);
        self.settle().await;
        answer.try_recv().ok()
    }

    /// The same, up to the first message, which waits to be delivered.
    pub(crate) fn begin_to_open(&mut self, sides: (usize, usize), amounts: (u64, u64)) -> Answer<Opened> {
        let (answer, call) = self.open_input(sides, amounts, None);
        self.nodes[sides.0].turn(vec![call]);
        answer
    }

    /// A caller that wants a channel; its coins are set aside.
    pub(crate) fn open_input(
        &mut self,
        (from, to): (usize, usize),
        (amount, peer_amount): (u64, u64),
        claim: Option<Claim>,
    ) -> (Answer<Opened>, Input) {
        let (peer, deadline) = (self.nodes[to].id, self.nodes[from].ledger.time().plus_ms(300_000));
        let purpose = Purpose { amount: Amount(amount), inputs_max: 32, until: deadline };
        let (reply, mut coins) = oneshot::channel();
        let node = &mut self.nodes[from];
        node.ledger.handle.offer(LedgerInput::Funds(FundsCall::Reserve { purpose, reply })).expect("room");
        node.ledger.serve();
        let coins = coins.try_recv().expect("an answer").expect("coins");
        let request = OpenRequest {
            peer,
            amount: Amount(amount),
            peer_amount: Amount(peer_amount),
            dispute_window_ms: Some(WINDOW_MS),
            reserve: Amount::ZERO,
            coins,
            deadline,
            expiry: None,
            claim,
        };
        let (reply, answer) = oneshot::channel();
        (answer, Input::Call(Box::new(Call::Open { request, reply })))
    }

    /// Delivers what one node said to another so far, and lets it do what it can alone.
    pub(crate) async fn deliver_to(&mut self, from: usize, to: usize) {
        let sender = self.nodes[from].id;
        let messages = self.nodes[from].said.drain(..).map(|(_, message)| message).collect();
        self.nodes[to].hear(sender, messages);
        for _ in 0..20 {
            tokio::task::yield_now().await;
            self.nodes[to].stir();
        }
    }

    /// An open channel.
    pub(crate) async fn open(&mut self, from: usize, to: usize, amount: u64) -> ChannelId {
        let opened = self.ask_to_open((from, to), (amount, 0)).await.expect("an answer");
        let channel = opened.expect("the terms are fine").channel;
        self.block().await;
        for side in [from, to] {
            assert_eq!(self.nodes[side].life(&channel), Some(Life::Active));
        }
        channel
    }

    /// One node sees a block that others made.
    pub(crate) fn apply_to(&mut self, node: usize, block: &Block) {
        let node = &mut self.nodes[node];
        node.clock_ms += BLOCK_MS;
        let notice = node.ledger.apply(block);
        node.turn(vec![Input::Block(notice)]);
    }

    /// All see it.
    pub(crate) async fn apply(&mut self, block: &Block) {
        for node in 0..self.nodes.len() {
            self.apply_to(node, block);
        }
        self.settle().await;
    }

    /// A payment, as a caller's input.
    pub(crate) fn pay_input(&self, channel: &ChannelId, amount: u64) -> (Answer<Paid>, Input) {
        let (reply, answer) = oneshot::channel();
        let (channel, amount) = (*channel, Amount(amount));
        let request = PayRequest { channel, amount, memo: None, claim: None, wait: Wait::Settled };
        (answer, Input::Call(Box::new(Call::Pay { request, reply })))
    }

    /// A node is asked to pay; nothing is delivered yet.
    pub(crate) fn call_pay(
        &mut self,
        node: usize,
        channel: &ChannelId,
        amount: u64,
    ) -> (Answer<Paid>, usize) {
        let (answer, input) = self.pay_input(channel, amount);
        self.nodes[node].turn(vec![input]);
        (answer, node)
    }

    /// A node pays, until that is settled.
    pub(crate) async fn pay(
        &mut self,
        node: usize,
        channel: &ChannelId,
        amount: u64,
    ) -> Result<Paid, CallError> {
        let (mut answer, _) = self.call_pay(node, channel, amount);
        self.settle().await;
        answer.try_recv().expect("an answer")
    }

    /// A caller that wants a channel closed alone.
    pub(crate) fn force_close_input(channel: &ChannelId) -> (Answer<()>, Input) {
        let (reply, answer) = oneshot::channel();
        (answer, Input::Call(Box::new(Call::ForceClose { channel: *channel, risk: Risk::None, reply })))
    }

    pub(crate) async fn force_close(&mut self, node: usize, channel: &ChannelId) -> Result<(), CallError> {
        let (mut answer, input) = Self::force_close_input(channel);
        self.nodes[node].turn(vec![input]);
        self.settle().await;
        answer.try_recv().expect("an answer")
    }

    /// Both close together; the ledger shows it with the next block.
    pub(crate) async fn close(&mut self, node: usize, channel: &ChannelId) {
        let (reply, mut answer) = oneshot::channel();
        let call = Call::Close { channel: *channel, force_after_ms: None, reply };
        self.nodes[node].turn(vec![Input::Call(Box::new(call))]);
        self.settle().await;
        answer.try_recv().expect("an answer").expect("it begins");
    }

    pub(crate) fn time(&self) -> Time {
        self.nodes[0].ledger.time()
    }
}
