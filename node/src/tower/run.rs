//! The tower's thread: it takes what waits, steps both machines, writes what they wrote, and only then answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;
use towpath_protocol::Message;
use towpath_protocol::tower::{
    At, Client, Fault, Health, LedgerRules, News, Quotas, Sequence, Serving, ShelfError, Sighting, Sponsor,
    Standing, Tower, TowerMessage,
};
use towpath_store::{Batch, Column, StoreError};

use super::call::Reply;
use super::contest::alarm;
use super::fetch::Fetches;
use super::list::{self, Listed};
use super::mailbox::{Mailbox, Offered};
use super::peers::Unnamed;
use super::shelf::{Rows, batch};
use super::stats::TowerStats;
use super::{Input, StartError, sight};
use crate::clock;
use crate::entropy;
use crate::journal::{Entry, Journal};
use crate::ledger::{Chain, LedgerHandle, Notice};
use crate::limits;
use crate::net::{Credit, NetHandle};
use crate::worker::{Board, Busy, Input as WorkerInput, Workers, node_text};

/// How long the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(1);

/// The row of `Meta` with the height up to which the tower has seen the ledger.
const HEIGHT_ROW: &[u8] = b"tower/height";

/// Blocks between two writes of that row, when nothing else is to be written: so many are read again at a start.
const HEIGHT_EVERY: u64 = 64;

/// For how long it is remembered whether a node has a channel: looking goes through all channels.
const STANDING_MS: u64 = 10_000;

/// What the tower shares with the node.
#[derive(Clone)]
pub struct Parts {
    /// The chain on disk.
    pub chain: Arc<Chain>,
    /// The way to disk.
    pub journal: Arc<Journal>,
    /// The network.
    pub net: NetHandle,
    /// The ledger driver.
    pub ledger: LedgerHandle,
    /// The channels' owners.
    pub workers: Workers,
    /// The channels as readers see them: with whom there are some.
    pub board: Arc<Board>,
    /// For waiting on the network.
    pub runtime: tokio::runtime::Handle,
}

impl Parts {
    /// What it shares with the workers.
    #[must_use]
    pub fn of(workers: &crate::worker::Parts) -> Self {
        Self {
            chain: Arc::clone(&workers.chain),
            journal: Arc::clone(&workers.journal),
            net: workers.net.clone(),
            ledger: workers.ledger.clone(),
            workers: workers.workers.clone(),
            board: Arc::clone(&workers.board),
            runtime: workers.runtime.clone(),
        }
    }
}

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the node serves, unless that was decided at run time.
    pub serve: bool,
    /// How many records it keeps in all.
    pub records_max: u64,
    /// Clients that it knows beside those with channels.
    pub clients: BTreeSet<PublicKey>,
    /// Whether its wallet adds what a channel lacks for a fee.
    pub sponsor: Sponsor,
    /// Towers that it uses, unless that was decided at run time.
    pub towers: Vec<Listed>,
    /// Whether peers that it has channels with are towers, too.
    pub peers: bool,
    /// How many of them must have a version before its payments are final; zero: none.
    pub confirmations: u64,
    /// By how much ledger time rises at most in a block, and its other rules.
    pub rules: LedgerRules,
}

impl Settings {
    /// A tower's quotas: strangers together get a sixteenth, and each as many as a person has channels; whoever has channels
    /// with this node some more for each. Only whom the operator named gets a quarter.
    const fn quotas(&self) -> Quotas {
        Quotas {
            records_max: self.records_max,
            known_max: self.records_max / 4,
            per_channel: limits::TOWER_RECORDS_PER_CHANNEL,
            stranger_max: limits::TOWER_RECORDS_PER_STRANGER,
            strangers_max: self.records_max / 16,
        }
    }
}

/// A node's place among those with a session: drawn anew for each.
pub(super) type Lot = [u8; 32];

/// The thread.
pub(super) struct Thread {
    pub(super) parts: Parts,
    pub(super) settings: Settings,
    pub(super) tower: Tower,
    pub(super) client: Client,
    pub(super) towers: BTreeMap<PublicKey, Listed>,
    /// Towers that nobody named: peers with a session.
    pub(super) unnamed: Unnamed,
    pub(super) stats: Arc<TowerStats>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) sessions: BTreeMap<PublicKey, Lot>,
    /// Who is known, and until when that is remembered; of nodes with a session only.
    standings: BTreeMap<PublicKey, (u64, Standing)>,
    /// Whose worker a channel belongs to.
    peers: BTreeMap<ChannelId, PublicKey>,
    /// What workers are still to be told: they were busy.
    confirmed: BTreeMap<ChannelId, Sequence>,
    pub(super) fetches: Fetches,
    height: u64,
    /// When clients' standings are looked at again, by the node's clock.
    pub(super) review_at_ms: u64,
    /// What was told last, while it holds.
    pub(super) alarm: Option<String>,
}

/// One turn.
#[derive(Default)]
pub(super) struct Turn {
    batch: Batch,
    answers: Vec<(PublicKey, TowerMessage)>,
    /// Lists are answered from what is on disk, after the turn's rows are.
    lists: Vec<(PublicKey, TowerMessage)>,
    /// Clients that the operator wants nothing kept for: dropped once the turn's rows are on disk.
    pub(super) drops: Vec<(PublicKey, Reply<u64>)>,
    credits: Vec<Credit>,
    last_block: Option<At>,
    events: Vec<towpath_api::EventBody>,
}

impl Thread {
    pub(super) fn open(
        parts: Parts,
        settings: Settings,
        mailbox: Arc<Mailbox>,
        stats: Arc<TowerStats>,
    ) -> Result<Self, StartError> {
        let store = Arc::clone(parts.journal.store());
        let serving = if list::serves(&*store, settings.serve)? { Serving::Yes } else { Serving::No };
        let shelf = Rows(&*store);
        let quotas = (serving, settings.quotas());
        let tower = Tower::open(quotas, settings.rules.clone(), settings.sponsor, &shelf)?;
        let needed = usize::try_from(settings.confirmations).unwrap_or(usize::MAX);
        let mut client = Client::new(needed);
        let own = parts.net.local();
        let listed = list::towers(&*store, &settings.towers)?.into_iter().filter(|tower| tower.node != own);
        let towers: BTreeMap<_, _> = listed.map(|tower| (tower.node, tower)).collect();
        for node in towers.keys() {
            client.add(*node);
            mailbox.want();
        }
        let height = store.get(Column::Meta, HEIGHT_ROW)?;
        let height = height.and_then(|row| row.try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Self {
            parts,
            settings,
            tower,
            client,
            towers,
            unnamed: Unnamed::default(),
            stats,
            mailbox,
            sessions: BTreeMap::new(),
            standings: BTreeMap::new(),
            peers: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            fetches: Fetches::new(),
            height,
            review_at_ms: 0,
            alarm: None,
        })
    }

    /// Runs until it is stopped, or the database fails, which stops the node.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Input>) -> Result<(), ShelfError> {
        let runtime = self.parts.runtime.clone();
        self.want_all();
        self.catch_up()?;
        loop {
            let wait = self.wait();
            let first = runtime.block_on(async { tokio::time::timeout(wait, inbox.recv()).await });
            let mut inputs = Vec::new();
            match first {
                Ok(Some(Input::Stop) | None) => return Ok(()),
                Ok(Some(input)) => inputs.push(input),
                Err(_elapsed) => {}
            }
            while inputs.len() < limits::TOWER_TURN_INPUTS {
                match inbox.try_recv() {
                    Ok(Input::Stop) => return Ok(()),
                    Ok(input) => inputs.push(input),
                    Err(_) => break,
                }
            }
            self.turn(inputs)?;
        }
    }

    /// Keeps a session with each of its towers.
    pub(super) fn want_all(&self) {
        self.towers.values().for_each(|tower| self.want(tower));
    }

    fn wait(&self) -> Duration {
        self.due_in().map_or(IDLE, |wait| wait.clamp(Duration::from_millis(1), IDLE))
    }

    /// Until the next thing is due; none if nothing is.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let due = self.client.next_deadline_ms().into_iter().chain(self.fetches_due_ms()).min();
        due.map(|due| Duration::from_millis(due.saturating_sub(clock::now_ms())))
    }

    /// At the start: every closing that the ledger shows, and what was settled since the tower last looked.
    pub(super) fn catch_up(&mut self) -> Result<(), ShelfError> {
        if self.tower.usage().records == 0 && self.tower.serving() == Serving::No {
            return Ok(());
        }
        let chain = Arc::clone(&self.parts.chain);
        let settled = sight::settled_since(&chain, self.height.saturating_add(1), self.tower.cases());
        self.see(settled.map_err(unreadable)?)?;
        self.see_open_closings()?;
        let mut turn = Turn { last_block: Some(self.at()), ..Turn::default() };
        self.end(&mut turn)
    }

    /// Every closing that the ledger shows now: a record for one of them can still come in.
    pub(super) fn see_open_closings(&mut self) -> Result<(), ShelfError> {
        let open = sight::open_closings(&self.parts.chain).map_err(unreadable)?;
        self.see(open)
    }

    fn at(&self) -> At {
        let tip = self.parts.chain.tip();
        At { height: tip.height(), time: tip.header().time }
    }

    fn see(&mut self, seen: Vec<Sighting>) -> Result<(), ShelfError> {
        let store = Arc::clone(self.parts.journal.store());
        seen.into_iter().try_for_each(|sighting| self.tower.see(sighting, &Rows(&*store)))
    }

    pub(super) fn turn(&mut self, inputs: Vec<Input>) -> Result<(), ShelfError> {
        let mut turn = Turn::default();
        for input in inputs {
            match input {
                Input::Message { peer, message, credit } => {
                    self.hear(peer, message, &mut turn)?;
                    turn.credits.push(credit);
                }
                Input::SessionUp(peer) => {
                    let lot = if self.settings.peers { entropy::draw() } else { Lot::default() };
                    self.sessions.insert(peer, lot);
                    self.client.up(&peer);
                    self.unnamed.is_due = true;
                }
                Input::SessionDown(peer) => {
                    self.sessions.remove(&peer);
                    self.standings.remove(&peer);
                    self.client.down(&peer);
                    self.dismiss(&peer);
                }
                Input::Block(notice) => self.on_block(&notice, &mut turn)?,
                Input::Call(call) => self.on_call(call, &mut turn),
                Input::Mail | Input::Stop => {}
            }
        }
        self.end(&mut turn)
    }

    fn hear(&mut self, peer: PublicKey, message: TowerMessage, turn: &mut Turn) -> Result<(), ShelfError> {
        match message {
            TowerMessage::List { .. } => turn.lists.push((peer, message)),
            message if message.is_for_tower() => {
                let store = Arc::clone(self.parts.journal.store());
                let standing = self.standing(&peer);
                let answer = self.tower.hear(&peer, standing, &message, &Rows(&*store))?;
                if let Some(TowerMessage::Receipts(receipts)) = &answer {
                    self.stats.count(receipts);
                }
                turn.answers.extend(answer.map(|answer| (peer, answer)));
            }
            message => self.client.hear(&peer, message, clock::now_ms()),
        }
        Ok(())
    }

    fn standing(&mut self, peer: &PublicKey) -> Standing {
        if self.settings.clients.contains(peer) {
            return Standing::Named;
        }
        let now_ms = clock::now_ms();
        let found = self.standings.get(peer).filter(|(until_ms, _)| *until_ms > now_ms);
        if let Some((_, standing)) = found {
            return *standing;
        }
        // What a session said at its end comes after that end.
        if self.standings.len() >= limits::TOWER_INBOX {
            self.standings.clear();
        }
        let standing = Standing::of_channels(self.parts.board.funded_with(peer));
        self.standings.insert(*peer, (now_ms.saturating_add(STANDING_MS), standing));
        standing
    }

    /// Now and then, counts what each client has where it stands: its channels may be gone, and it says nothing of that.
    fn review(&mut self) {
        let now_ms = clock::now_ms();
        self.employ_if_due(now_ms);
        if now_ms < self.review_at_ms {
            return;
        }
        self.review_at_ms = now_ms.saturating_add(limits::TOWER_REVIEW_MS);
        self.review_unnamed();
        if self.tower.usage().records > 0 {
            let (funded, named) = (self.parts.board.funded_by_peer(), &self.settings.clients);
            self.tower.review(&|client| {
                let channels = || funded.get(client).copied().unwrap_or(0);
                if named.contains(client) { Standing::Named } else { Standing::of_channels(channels()) }
            });
        }
    }

    fn on_block(&mut self, notice: &Notice, turn: &mut Turn) -> Result<(), ShelfError> {
        // A channel may have become one.
        self.unnamed.is_due = true;
        let seen = sight::in_notice(&self.parts.chain, notice).map_err(unreadable)?;
        self.see(seen)?;
        turn.last_block = Some(At { height: notice.height, time: notice.time });
        Ok(())
    }

    /// Writes the turn, and then says what follows from it.
    fn end(&mut self, turn: &mut Turn) -> Result<(), ShelfError> {
        self.review();
        turn.batch = batch(self.tower.end_turn());
        if let Some(at) = turn.last_block
            && (!turn.batch.is_empty() || at.height >= self.height + HEIGHT_EVERY)
        {
            self.height = at.height;
            turn.batch.put(Column::Meta, HEIGHT_ROW, at.height.to_be_bytes());
        }
        self.run_client(turn);
        let (batch, events) = (std::mem::take(&mut turn.batch), std::mem::take(&mut turn.events));
        if !batch.is_empty() || !events.is_empty() {
            self.parts.journal.commit(Entry { batch, events }, clock::now_ms()).map_err(unreadable)?;
        }
        for (client, reply) in std::mem::take(&mut turn.drops) {
            let dropped = self.drop_client(&client)?;
            // A caller that is gone needs no answer.
            drop(reply.send(Ok(dropped)));
        }
        let store = Arc::clone(self.parts.journal.store());
        for (peer, list) in std::mem::take(&mut turn.lists) {
            let standing = self.standing(&peer);
            let page = self.tower.hear(&peer, standing, &list, &Rows(&*store))?;
            turn.answers.extend(page.map(|page| (peer, page)));
        }
        for (peer, answer) in std::mem::take(&mut turn.answers) {
            self.send(peer, answer);
        }
        if let Some(at) = turn.last_block {
            let orders = self.tower.act(at);
            self.carry_out(orders);
        }
        self.tell_workers();
        self.show();
        Ok(())
    }

    /// Drops all records of a client, a part at a time.
    fn drop_client(&mut self, client: &PublicKey) -> Result<u64, ShelfError> {
        let store = Arc::clone(self.parts.journal.store());
        let mut all = 0;
        loop {
            let dropped = self.tower.drop_client(client, limits::TOWER_DROPS, &Rows(&*store))?;
            if dropped == 0 {
                tracing::warn!(client = %node_text(client), records = all, "the operator dropped a client's records");
                return Ok(all);
            }
            let entry = Entry { batch: batch(self.tower.end_turn()), ..Entry::default() };
            self.parts.journal.commit(entry, clock::now_ms()).map_err(unreadable)?;
            all += dropped;
        }
    }

    /// The client's part: what is new goes out, and what was learned goes to those whom it concerns.
    fn run_client(&mut self, turn: &mut Turn) {
        let now_ms = clock::now_ms();
        for offered in self.mailbox.take() {
            match offered {
                Offered::Newest(record) => {
                    let channel = record.newest.state.channel;
                    self.peers.insert(channel, record.peer);
                    self.client.offer(channel, *record, now_ms);
                }
                Offered::Settled(channel) => {
                    self.peers.remove(&channel);
                    self.client.settled(&channel);
                }
            }
        }
        for (tower, message) in self.client.poll(now_ms) {
            self.send(tower, message);
        }
        for news in self.client.take_news() {
            match news {
                News::Confirmed { channel, sequence } => {
                    self.confirmed.insert(channel, sequence);
                }
                News::Ahead { channel, record } => self.tell_ahead(channel, record),
                News::Fetched { locator, tower, record } => self.on_fetched(&locator, &tower, record),
                News::Faulty { tower, fault } => {
                    let (channel, reason) = fault_in_words(fault);
                    tracing::error!(tower = %node_text(&tower), %channel, reason, "a watchtower does not keep its word");
                    turn.events.push(alarm(
                        Some(node_text(&tower)),
                        Some(channel.to_string()),
                        reason.to_owned(),
                    ));
                }
            }
        }
        self.ask_peers(now_ms);
        self.end_fetches(now_ms);
        self.watch_lag(now_ms, turn);
    }

    fn tell_ahead(&self, channel: ChannelId, record: Box<towpath_protocol::tower::Record>) {
        tracing::error!(%channel, version = record.newest.state.version, "a watchtower has a newer state than this node");
        let peer = record.peer;
        if self.parts.workers.offer(&peer, WorkerInput::Shown { channel, record }).is_err() {
            tracing::warn!(%channel, "the channel's worker is busy; the tower shows it again in a while");
        }
    }

    /// Workers learn which versions are confirmed, if payments wait for that; one that is busy is told again.
    fn tell_workers(&mut self) {
        if self.settings.confirmations == 0 {
            self.confirmed.clear();
            return;
        }
        self.confirmed.retain(|channel, sequence| {
            let Some(peer) = self.peers.get(channel) else { return false };
            let input = WorkerInput::Confirmed { channel: *channel, sequence: *sequence };
            matches!(self.parts.workers.offer(peer, input), Err(Busy))
        });
    }

    /// An alarm when some channel's newest state lacks towers for too long.
    fn watch_lag(&mut self, now_ms: u64, turn: &mut Turn) {
        let lag = self.client.lag().filter(|_| !self.towers.is_empty());
        let behind = lag.map_or(0, |(behind, _)| count(behind));
        self.stats.behind.store(behind, Ordering::Relaxed);
        match lag {
            Some((_, since_ms)) if now_ms.saturating_sub(since_ms) >= limits::TOWER_LAG_MS => {
                let reason = format!("the newest state of {behind} channels is at too few watchtowers");
                if self.alarm.replace(reason.clone()).is_none() {
                    tracing::error!("{reason}");
                    turn.events.push(alarm(None, None, reason));
                }
            }
            Some(_) | None => self.alarm = None,
        }
    }

    pub(super) fn send(&self, peer: PublicKey, message: TowerMessage) {
        if let Err(error) = self.parts.net.send(peer, vec![Message::Tower(message).encode()]) {
            tracing::debug!(?peer, %error, "a tower's message was not sent; it is asked for again");
        }
    }

    /// Keeps a session with a tower.
    pub(super) fn want(&self, tower: &Listed) {
        let (net, node) = (self.parts.net.clone(), tower.node);
        let addresses = tower.address.iter().cloned().collect();
        self.parts.runtime.spawn(async move {
            if let Err(error) = net.want(node, addresses).await {
                tracing::error!(tower = %node_text(&node), %error, "no session is kept with a watchtower");
            }
        });
    }

    /// Whether there is a session with this node now.
    pub(super) fn has_session(&self, node: &PublicKey) -> bool {
        self.sessions.contains_key(node)
    }

    fn show(&self) {
        let usage = self.tower.usage();
        let good = self.towers.keys().filter(|node| self.client.health(node) == Some(Health::Good));
        self.stats.towers_good.store(count(good.count()), Ordering::Relaxed);
        self.stats.towers.store(count(self.towers.len()), Ordering::Relaxed);
        self.stats.records.store(usage.records, Ordering::Relaxed);
        self.stats.clients.store(usage.clients, Ordering::Relaxed);
        self.stats.cases.store(count(self.tower.open_cases()), Ordering::Relaxed);
    }
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn unreadable(error: StoreError) -> ShelfError {
    ShelfError(error.to_string())
}

const fn fault_in_words(fault: Fault) -> (ChannelId, &'static str) {
    match fault {
        Fault::Lost(channel) => (channel, "it lost, or never kept, what it acknowledged"),
        Fault::Boast(channel) => {
            (channel, "it says that it has a newer state than this node; unless it shows it, it lies")
        }
    }
}
