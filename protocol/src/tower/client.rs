//! A client's side: the newest state of each channel goes to each tower, coalesced, so that a thousand payments cost a
//! tower one record; and no tower's word is taken for longer than it can show what it keeps (SPEC T-40 to T-49;
//! FAULTS W3, W6).
//!
//! Nothing here is durable: after a restart, and with each new session, everything is given again. A tower writes only
//! what it does not have.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;

use super::books::{Audit, Books, Fault, Flight, Health, Lag, Standings};
use super::message::{Entry, Outcome, Receipt, TowerMessage};
use super::record::{Locator, Record, Sequence, Slot};
use crate::canary::{Canary, sings};
use crate::limits::{
    TOWER_ANSWER_MS, TOWER_ASKED_MAX, TOWER_AUDIT_MS, TOWER_AUDIT_PAUSE_MS, TOWER_ENTRIES_MAX,
    TOWER_IN_FLIGHT_MAX, TOWERS_MAX,
};

/// What a client learns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// As many towers in good standing as are needed have this state of the channel, or a newer one.
    Confirmed {
        /// The channel.
        channel: ChannelId,
        /// Up to here.
        sequence: Sequence,
    },
    /// A tower shows a state that this node does not know. If its signatures hold, this node has lost data; who owns
    /// the channel checks them (FAULTS S10).
    Ahead {
        /// The channel.
        channel: ChannelId,
        /// What the tower shows.
        record: Box<Record>,
    },
    /// A tower answered what was asked for by [`Client::fetch`].
    Fetched {
        /// Where it was to look.
        locator: Locator,
        /// The tower.
        tower: PublicKey,
        /// What it has there, if that opens; its signatures are not checked.
        record: Option<Box<Record>>,
    },
    /// A tower was found out.
    Faulty {
        /// The tower.
        tower: PublicKey,
        /// In what.
        fault: Fault,
    },
}

/// The newest state of a channel.
#[derive(Clone, Debug)]
struct Newest {
    record: Record,
    slot: Slot,
    /// The newest that as many towers in good standing as are needed have acknowledged.
    confirmed: Option<Sequence>,
}

impl Newest {
    /// Whether a tower's word counts for this: the other party of the channel is the last that would answer its own cheat.
    fn is_for(&self, tower: &PublicKey) -> bool {
        self.record.peer != *tower
    }
}

/// What lies in one slot, asked of every tower.
#[derive(Clone, Debug)]
struct Fetch {
    slot: Slot,
    /// Who was asked, and when; `None`: it has answered.
    asked: BTreeMap<PublicKey, Option<u64>>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Client {
    /// How many towers must have a state before it counts as confirmed.
    needed: usize,
    towers: BTreeMap<PublicKey, Books>,
    channels: BTreeMap<ChannelId, Newest>,
    by_locator: BTreeMap<Locator, ChannelId>,
    /// By the locator behind which a tower is asked.
    fetches: BTreeMap<Option<Locator>, Fetch>,
    lag: Lag,
    news: Vec<News>,
}

impl Client {
    /// A client without towers or channels. A state counts as confirmed once `needed` towers have it, at least one.
    #[must_use]
    pub fn new(needed: usize) -> Self {
        Self {
            needed: needed.max(1),
            towers: BTreeMap::new(),
            channels: BTreeMap::new(),
            by_locator: BTreeMap::new(),
            fetches: BTreeMap::new(),
            lag: Lag::default(),
            news: Vec::new(),
        }
    }

    /// Uses a tower that the operator named, from now on; whether there is room for it.
    pub fn add(&mut self, tower: PublicKey) -> bool {
        self.begin(tower).map(|books| books.is_named = true).is_some()
    }

    /// Uses a node as a tower that nobody named: it is given everything, and its word counts for no payment (SPEC T-48).
    pub fn add_unnamed(&mut self, tower: PublicKey) -> bool {
        self.begin(tower).is_some()
    }

    fn begin(&mut self, tower: PublicKey) -> Option<&mut Books> {
        if self.towers.len() >= TOWERS_MAX && !self.towers.contains_key(&tower) {
            return None;
        }
        let books = self.towers.entry(tower).or_default();
        self.channels.keys().for_each(|channel| books.waiting.push(*channel));
        Some(books)
    }

    /// Uses it no more.
    pub fn remove(&mut self, tower: &PublicKey) {
        self.towers.remove(tower);
    }

    /// The towers.
    pub fn towers(&self) -> impl Iterator<Item = &PublicKey> {
        self.towers.keys()
    }

    /// A channel has a newer co-signed state, durable here.
    pub fn offer(&mut self, channel: ChannelId, record: Record, now_ms: u64) {
        match self.channels.get_mut(&channel) {
            Some(newest) if record.sequence() <= newest.record.sequence() => return,
            Some(newest) => newest.record = record,
            None => {
                let slot = record.slot();
                self.by_locator.insert(slot.locator, channel);
                self.channels.insert(channel, Newest { record, slot, confirmed: None });
            }
        }
        self.lag.begin(channel, now_ms);
        for books in self.towers.values_mut() {
            books.waiting.push(channel);
        }
    }

    /// The channel is settled: the towers see that by themselves.
    pub fn settled(&mut self, channel: &ChannelId) {
        let Some(newest) = self.channels.remove(channel) else { return };
        self.by_locator.remove(&newest.slot.locator);
        self.lag.end(channel);
        for books in self.towers.values_mut() {
            books.forget(channel, &newest.slot.locator);
        }
    }

    /// Asks every tower, now or when its session begins, for what it keeps in `slot` (SPEC T-46).
    pub fn fetch(&mut self, slot: Slot) {
        self.fetches.insert(slot.locator.before(), Fetch { slot, asked: BTreeMap::new() });
    }

    /// Asks a node, too, that is none of the towers: what to say to it; nothing if it was asked before, or enough were. It is
    /// given nothing to keep (SPEC T-48).
    pub fn ask(&mut self, locator: &Locator, node: PublicKey, now_ms: u64) -> Option<TowerMessage> {
        let after = locator.before();
        let asked = &mut self.fetches.get_mut(&after)?.asked;
        if asked.len() >= TOWER_ASKED_MAX || asked.contains_key(&node) {
            return None;
        }
        asked.insert(node, Some(now_ms));
        Some(TowerMessage::List { after })
    }

    /// How many of those that were asked for a slot after `since_ms` have not answered.
    #[must_use]
    pub fn unanswered(&self, locator: &Locator, since_ms: u64) -> usize {
        let Some(fetch) = self.fetches.get(&locator.before()) else { return 0 };
        fetch.asked.values().flatten().filter(|asked_ms| **asked_ms > since_ms).count()
    }

    /// Asks no more.
    pub fn end_fetch(&mut self, locator: &Locator) {
        self.fetches.remove(&locator.before());
    }

    /// A session with a node began; nothing happens if it is none of the towers.
    pub fn up(&mut self, node: &PublicKey) {
        if let Some(books) = self.towers.get_mut(node) {
            books.up(self.channels.keys().copied());
        }
    }

    /// It ended. What the node did not answer it is asked again when it is back.
    pub fn down(&mut self, node: &PublicKey) {
        for fetch in self.fetches.values_mut() {
            if fetch.asked.get(node).is_some_and(Option::is_some) {
                fetch.asked.remove(node);
            }
        }
        if let Some(books) = self.towers.get_mut(node) {
            books.down();
        }
    }

    /// A tower answered, or who was asked as if it were one. What nobody asked for is passed over.
    pub fn hear(&mut self, tower: &PublicKey, message: TowerMessage, now_ms: u64) {
        match message {
            TowerMessage::Receipts(receipts) => {
                receipts.iter().for_each(|receipt| self.on_receipt(tower, receipt, now_ms));
            }
            TowerMessage::Page { after, entries, is_last } => {
                self.on_fetched(tower, after, &entries);
                self.on_page(tower, (after, &entries, is_last), now_ms);
            }
            TowerMessage::Quota(quota) => {
                if let Some(books) = self.towers.get_mut(tower) {
                    books.quota = quota;
                }
            }
            TowerMessage::Keep(_) | TowerMessage::List { .. } | TowerMessage::AskQuota => {}
        }
    }

    fn on_receipt(&mut self, tower: &PublicKey, receipt: &Receipt, now_ms: u64) {
        let Some(books) = self.towers.get_mut(tower) else { return };
        let asked = books.flights.get(&receipt.locator).copied();
        let Some(flight) = asked.filter(|flight| flight.sequence == receipt.sequence) else { return };
        books.flights.remove(&receipt.locator);
        books.silent = false;
        books.last_receipt_ms = Some(now_ms);
        match receipt.outcome {
            Outcome::Kept => {
                books.refusal = None;
                self.acknowledged(tower, flight, now_ms);
            }
            Outcome::Older { kept } => {
                // Ahead of this node: it must show that. Otherwise other bytes of the same state, as good as these.
                let Some(newest) = self.channels.get(&flight.channel) else { return };
                if kept > newest.record.sequence() {
                    // Either this node has lost data, or the tower lies: both are for people, at once. Once, until it is cleared.
                    let fault = Fault::Boast(flight.channel);
                    if books.fault.replace(fault).is_none() {
                        self.news.push(News::Faulty { tower: *tower, fault });
                    }
                    // Asked for now, and not as a part of a whole walk.
                    books.audit = Audit { after: receipt.locator.before(), ..Audit::default() };
                } else if kept == flight.sequence {
                    self.acknowledged(tower, flight, now_ms);
                } else {
                    books.waiting.push(flight.channel);
                }
            }
            // Asked again with the next session, or when something newer waits.
            Outcome::Refused(refusal) => books.refusal = Some(refusal),
        }
    }

    fn acknowledged(&mut self, tower: &PublicKey, flight: Flight, now_ms: u64) {
        let Some(books) = self.towers.get_mut(tower) else { return };
        let Some(newest) = self.channels.get(&flight.channel) else { return };
        books.acknowledged.insert(flight.channel, flight.sequence);
        if newest.record.sequence() > flight.sequence {
            books.waiting.push(flight.channel);
        }
        self.confirm(flight.channel, now_ms);
    }

    /// Counts the towers that have a state; those that were found out do not count.
    fn confirm(&mut self, channel: ChannelId, now_ms: u64) {
        let Some(newest) = self.channels.get(&channel) else { return };
        let counts = |(tower, books): &(&PublicKey, &Books)| {
            books.fault.is_none() && books.is_named && newest.is_for(tower)
        };
        let good = self.towers.iter().filter(counts);
        let mut kept: Vec<Sequence> =
            good.filter_map(|(_, books)| books.acknowledged.get(&channel).copied()).collect();
        kept.sort_unstable_by(|a, b| b.cmp(a));
        let Some(newest) = self.channels.get_mut(&channel) else { return };
        let needed = if sings(Canary::FirstReceiptConfirms) { 1 } else { self.needed };
        let Some(sequence) = kept.get(needed - 1).copied() else { return };
        if newest.confirmed.is_none_or(|confirmed| confirmed < sequence) {
            newest.confirmed = Some(sequence);
            self.lag.end(&channel);
            if newest.record.sequence() > sequence {
                self.lag.begin(channel, now_ms);
            }
            self.news.push(News::Confirmed { channel, sequence });
        }
    }

    fn on_fetched(&mut self, tower: &PublicKey, after: Option<Locator>, entries: &[Entry]) {
        let Some(fetch) = self.fetches.get_mut(&after) else { return };
        let Some(asked) = fetch.asked.get_mut(tower).filter(|asked| asked.is_some()) else { return };
        *asked = None;
        let locator = fetch.slot.locator;
        let entry = entries.iter().find(|entry| entry.locator == locator);
        let record = entry.and_then(|entry| fetch.slot.open(&entry.sealed).ok()).map(Box::new);
        self.news.push(News::Fetched { locator, tower: *tower, record });
    }

    /// What was not asked of this tower yet, or not answered in time.
    fn ask_for_fetches(&mut self, tower: PublicKey, now_ms: u64, out: &mut Vec<(PublicKey, TowerMessage)>) {
        for (after, fetch) in &mut self.fetches {
            let overdue = |asked: &Option<u64>| {
                asked.is_some_and(|asked_ms| asked_ms.saturating_add(TOWER_ANSWER_MS) <= now_ms)
            };
            if fetch.asked.get(&tower).is_none_or(overdue) {
                fetch.asked.insert(tower, Some(now_ms));
                out.push((tower, TowerMessage::List { after: *after }));
            }
        }
    }

    /// A page of what a tower keeps, held against what it acknowledged.
    fn on_page(
        &mut self,
        tower: &PublicKey,
        (after, entries, is_last): (Option<Locator>, &[Entry], bool),
        now_ms: u64,
    ) {
        let Some(books) = self.towers.get_mut(tower) else { return };
        if books.audit.asked_ms.is_none() || books.audit.after != after {
            return;
        }
        books.silent = false;
        let ascending = entries.windows(2).all(|pair| pair[0].locator < pair[1].locator)
            && entries.first().is_none_or(|first| after.is_none_or(|after| first.locator > after));
        let last = entries.last().map(|entry| entry.locator);
        if !ascending || (entries.is_empty() && !is_last) {
            return;
        }
        let shown: BTreeMap<Locator, &Entry> = entries.iter().map(|entry| (entry.locator, entry)).collect();
        let from = after.map_or(Unbounded, Excluded);
        let to = if is_last { Unbounded } else { last.map_or(Unbounded, std::ops::Bound::Included) };
        let own: Vec<(Locator, ChannelId)> =
            self.by_locator.range((from, to)).map(|(locator, channel)| (*locator, *channel)).collect();
        for (locator, channel) in own {
            self.audit_one(tower, channel, shown.get(&locator).copied());
        }
        let pages = (self.channels.len() / TOWER_ENTRIES_MAX) as u64 + 1;
        let Some(books) = self.towers.get_mut(tower) else { return };
        let audit = &mut books.audit;
        if is_last {
            if audit.clean {
                books.fault = None;
            }
            *audit = Audit { clean: true, ..Audit::default() };
        } else {
            audit.after = last;
            audit.asked_ms = None;
        }
        audit.due_ms = now_ms.saturating_add((TOWER_AUDIT_MS / pages).max(TOWER_AUDIT_PAUSE_MS));
    }

    fn audit_one(&mut self, tower: &PublicKey, channel: ChannelId, shown: Option<&Entry>) {
        let Some(books) = self.towers.get_mut(tower) else { return };
        let Some(newest) = self.channels.get(&channel) else { return };
        let own = newest.record.sequence();
        // The record must open, and be what its sequence says: a tower could show any bytes.
        let record = shown.and_then(|entry| {
            let record = newest.slot.open(&entry.sealed).ok()?;
            (record.sequence() == entry.sequence).then_some(record)
        });
        let sequence = record.as_ref().map(Record::sequence);
        match record {
            Some(record) if record.sequence() > own => {
                self.news.push(News::Ahead { channel, record: Box::new(record) });
            }
            Some(_) | None => {
                let acknowledged = books.acknowledged.get(&channel).copied();
                if acknowledged.is_some_and(|acknowledged| sequence.is_none_or(|shown| shown < acknowledged))
                {
                    let fault = Fault::Lost(channel);
                    books.acknowledged.remove(&channel);
                    books.waiting.push(channel);
                    books.fault = Some(fault);
                    books.audit.clean = false;
                    self.news.push(News::Faulty { tower: *tower, fault });
                }
            }
        }
    }

    /// What goes out now: to each tower as much as may be on its way, the newest states first.
    pub fn poll(&mut self, now_ms: u64) -> Vec<(PublicKey, TowerMessage)> {
        let mut out = Vec::new();
        let sessions = self.towers.iter().filter(|(_, books)| books.session).map(|(tower, _)| *tower);
        for tower in sessions.collect::<Vec<_>>() {
            self.ask_for_fetches(tower, now_ms, &mut out);
        }
        for (tower, books) in &mut self.towers {
            if !books.session {
                continue;
            }
            books.check_silence(now_ms);
            if !std::mem::replace(&mut books.quota_asked, true) {
                out.push((*tower, TowerMessage::AskQuota));
            }
            let mut entries = Vec::new();
            while books.flights.len() < TOWER_IN_FLIGHT_MAX {
                let Some(channel) = books.waiting.pop().or_else(|| books.again.pop()) else { break };
                let Some(newest) = self.channels.get(&channel) else { continue };
                let (locator, sequence) = (newest.slot.locator, newest.record.sequence());
                // One at a time for each channel: what is newer waits for the receipt, and then goes out as it is then.
                if books.flights.contains_key(&locator) {
                    continue;
                }
                books.flights.insert(locator, Flight { channel, sequence, sent_ms: now_ms });
                entries.push(Entry { locator, sequence, sealed: newest.record.seal(&newest.slot) });
            }
            let messages =
                entries.chunks(TOWER_ENTRIES_MAX).map(|entries| TowerMessage::Keep(entries.to_vec()));
            out.extend(messages.map(|message| (*tower, message)));
            if books.audit.asked_ms.is_none() && books.audit.due_ms <= now_ms {
                books.audit.asked_ms = Some(now_ms);
                out.push((*tower, TowerMessage::List { after: books.audit.after }));
            }
        }
        out
    }

    /// What was learned since the last call.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// When [`Client::poll`] has something to do although nothing happened.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.towers.values().filter_map(Books::next_ms).min()
    }

    /// How a tower does.
    #[must_use]
    pub fn standings(&self, tower: &PublicKey) -> Option<Standings> {
        let books = self.towers.get(tower)?;
        let has = |(channel, newest): &(&ChannelId, &Newest)| {
            books.acknowledged.get(channel).is_some_and(|kept| *kept >= newest.record.sequence())
        };
        let current = self.channels.iter().filter(has).count() as u64;
        Some(Standings {
            health: books.health(),
            current,
            behind: self.channels.len() as u64 - current,
            last_receipt_ms: books.last_receipt_ms,
            quota: books.quota,
        })
    }

    /// How a tower does, in one word.
    #[must_use]
    pub fn health(&self, tower: &PublicKey) -> Option<Health> {
        self.towers.get(tower).map(Books::health)
    }

    /// Channels whose newest state is not confirmed, and since when nothing of the worst of them was.
    #[must_use]
    pub fn lag(&self) -> Option<(usize, u64)> {
        self.lag.oldest_ms().map(|since_ms| (self.lag.count(), since_ms))
    }

    /// What a tower has acknowledged, and what the newest is, for each channel behind `after`.
    pub fn versions(
        &self,
        tower: &PublicKey,
        after: Option<ChannelId>,
    ) -> impl Iterator<Item = (ChannelId, Option<Sequence>, Sequence)> {
        let acknowledged = self.towers.get(tower).map(|books| &books.acknowledged);
        let from = after.map_or(Unbounded, Excluded);
        self.channels.range((from, Unbounded)).map(move |(channel, newest)| {
            let kept = acknowledged.and_then(|kept| kept.get(channel).copied());
            (*channel, kept, newest.record.sequence())
        })
    }

    /// The newest state of a channel that as many towers in good standing as are needed have.
    #[must_use]
    pub fn confirmed(&self, channel: &ChannelId) -> Option<Sequence> {
        self.channels.get(channel)?.confirmed
    }
}
