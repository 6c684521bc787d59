//! What a client knows about one tower: what it acknowledged, what is on its way, and whether it keeps its word.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use towpath_ledger::ChannelId;

use super::message::{Quota, Refusal};
use super::record::{Locator, Sequence};
use crate::limits::{TOWER_ANSWER_MS, TOWER_AUDIT_MS};

/// What a tower was found out in. Its receipts count for nothing until it has shown everything that it acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It does not have what it acknowledged, or only something older: it lost data, or lied.
    Lost(ChannelId),
    /// It says that it has something newer than this node knows. Unless it shows that, it lies; if it does, this node has lost data.
    Boast(ChannelId),
}

/// How a tower does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// It has the newest state of every channel, or will in a moment.
    Good,
    /// There is no session with it.
    Unreachable,
    /// It does not answer.
    Silent,
    /// It takes no more.
    Refusing(Refusal),
    /// It was found out.
    Faulty(Fault),
}

/// What a client can tell about one tower.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standings {
    /// How it does.
    pub health: Health,
    /// Channels whose newest state it has acknowledged.
    pub current: u64,
    /// Channels for which it has an older one, or none.
    pub behind: u64,
    /// The client's clock at its last receipt.
    pub last_receipt_ms: Option<u64>,
    /// What it said about this client's quota.
    pub quota: Option<Quota>,
}

/// Channels in the order in which they came, each once: a busy one waits behind all others for its next turn.
#[derive(Clone, Default, Debug)]
pub(super) struct Queue {
    order: BTreeMap<u64, ChannelId>,
    places: BTreeMap<ChannelId, u64>,
    next: u64,
}

impl Queue {
    pub(super) fn push(&mut self, channel: ChannelId) {
        if self.places.contains_key(&channel) {
            return;
        }
        self.places.insert(channel, self.next);
        self.order.insert(self.next, channel);
        self.next += 1;
    }

    pub(super) fn pop(&mut self) -> Option<ChannelId> {
        let (_, channel) = self.order.pop_first()?;
        self.places.remove(&channel);
        Some(channel)
    }

    pub(super) fn remove(&mut self, channel: &ChannelId) {
        if let Some(place) = self.places.remove(channel) {
            self.order.remove(&place);
        }
    }
}

/// Channels whose newest state is not confirmed, and since when nothing of them was.
#[derive(Clone, Default, Debug)]
pub(super) struct Lag {
    since: BTreeMap<ChannelId, u64>,
    order: BTreeSet<(u64, ChannelId)>,
}

impl Lag {
    /// Something new waits, from now on unless it did before.
    pub(super) fn begin(&mut self, channel: ChannelId, now_ms: u64) {
        if let Entry::Vacant(place) = self.since.entry(channel) {
            place.insert(now_ms);
            self.order.insert((now_ms, channel));
        }
    }

    pub(super) fn end(&mut self, channel: &ChannelId) {
        if let Some(since) = self.since.remove(channel) {
            self.order.remove(&(since, *channel));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.since.len()
    }

    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.order.first().map(|(since, _)| *since)
    }
}

/// A record on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) channel: ChannelId,
    pub(super) sequence: Sequence,
    pub(super) sent_ms: u64,
}

/// See the module.
#[derive(Clone, Default, Debug)]
pub(super) struct Books {
    pub(super) session: bool,
    /// Whether its word counts where payments wait for towers: the operator named it.
    pub(super) is_named: bool,
    pub(super) acknowledged: BTreeMap<ChannelId, Sequence>,
    /// Channels with something that this tower has not acknowledged, and that is not on its way.
    pub(super) waiting: Queue,
    /// Channels of which it may have lost what it acknowledged in an earlier session; sent after what waits.
    pub(super) again: Queue,
    pub(super) flights: BTreeMap<Locator, Flight>,
    pub(super) silent: bool,
    pub(super) refusal: Option<Refusal>,
    pub(super) fault: Option<Fault>,
    pub(super) last_receipt_ms: Option<u64>,
    pub(super) quota: Option<Quota>,
    pub(super) quota_asked: bool,
    pub(super) audit: Audit,
}

/// A walk over what the tower keeps, page by page, for ever.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Audit {
    /// What was shown so far.
    pub(super) after: Option<Locator>,
    /// When the page that is on its way was asked for.
    pub(super) asked_ms: Option<u64>,
    /// When the next one is due.
    pub(super) due_ms: u64,
    /// Whether this walk began at the beginning, and found nothing wrong so far.
    pub(super) clean: bool,
}

impl Books {
    pub(super) fn up(&mut self, channels: impl Iterator<Item = ChannelId>) {
        self.down();
        self.session = true;
        self.refusal = None;
        // What an earlier session acknowledged may be lost since (FAULTS W3): it is given again, behind what is new. The tower
        // writes only what it does not have.
        channels.for_each(|channel| self.again.push(channel));
    }

    pub(super) fn down(&mut self) {
        self.session = false;
        self.silent = false;
        self.quota_asked = false;
        for flight in std::mem::take(&mut self.flights).into_values() {
            self.waiting.push(flight.channel);
        }
        self.audit = Audit { clean: true, ..Audit::default() };
    }

    /// Calls a tower silent that left something unanswered for too long; what was on its way goes out again.
    pub(super) fn check_silence(&mut self, now_ms: u64) {
        let overdue = |sent_ms: u64| sent_ms.saturating_add(TOWER_ANSWER_MS) <= now_ms;
        let late: Vec<Locator> = self
            .flights
            .iter()
            .filter(|(_, flight)| overdue(flight.sent_ms))
            .map(|(locator, _)| *locator)
            .collect();
        self.silent |= !late.is_empty();
        for locator in late {
            if let Some(flight) = self.flights.remove(&locator) {
                self.waiting.push(flight.channel);
            }
        }
        if self.audit.asked_ms.is_some_and(overdue) {
            self.silent = true;
            self.audit.asked_ms = None;
            self.audit.due_ms = now_ms.saturating_add(TOWER_AUDIT_MS);
        }
    }

    pub(super) fn forget(&mut self, channel: &ChannelId, locator: &Locator) {
        self.acknowledged.remove(channel);
        self.waiting.remove(channel);
        self.again.remove(channel);
        self.flights.remove(locator);
    }

    pub(super) fn health(&self) -> Health {
        match (self.fault, self.session, self.refusal) {
            (Some(fault), _, _) => Health::Faulty(fault),
            (None, false, _) => Health::Unreachable,
            (None, true, _) if self.silent => Health::Silent,
            (None, true, Some(refusal)) => Health::Refusing(refusal),
            (None, true, None) => Health::Good,
        }
    }

    /// When something of this tower is due, by the client's clock.
    pub(super) fn next_ms(&self) -> Option<u64> {
        if !self.session {
            return None;
        }
        let answers = self.flights.values().map(|flight| flight.sent_ms);
        let answer = answers.chain(self.audit.asked_ms).min();
        let answer = answer.map(|sent_ms| sent_ms.saturating_add(TOWER_ANSWER_MS));
        let audit = self.audit.asked_ms.is_none().then_some(self.audit.due_ms);
        answer.into_iter().chain(audit).min()
    }
}
