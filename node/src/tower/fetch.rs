//! What towers keep of one channel, asked of all of them at once: for a party that lost its data (SPEC T-46). With
//! `tower.peers` everybody else who is there is asked, too, a few at a time (T-48).

use std::collections::{BTreeMap, BTreeSet};

use towpath_crypto::ed25519::PublicKey;
use towpath_protocol::limits::TOWER_ANSWER_MS;
use towpath_protocol::tower::{Locator, Record, Slot};

use super::call::{CallError, Reply};
use super::run::Thread;
use crate::{clock, limits};

/// Who asked, and what is known so far.
pub(super) struct Fetching {
    replies: Vec<Reply<Vec<Record>>>,
    found: Vec<Record>,
    /// Towers that have not answered.
    waiting: BTreeSet<PublicKey>,
    until_ms: u64,
    /// When more peers are to be asked although none of the last ones has answered, if some are left.
    more_ms: Option<u64>,
}

impl Fetching {
    /// Whether nobody waits for it any more, or there is nothing more to wait for. With peers that is the end of its time
    /// alone: whoever keeps a copy may come only now, and what others keep may be older.
    fn is_over(&self, peers: bool, now_ms: u64) -> bool {
        let all_answered = !peers && self.waiting.is_empty();
        all_answered || self.until_ms <= now_ms || self.replies.iter().all(Reply::is_closed)
    }
}

/// By slot.
pub(super) type Fetches = BTreeMap<Locator, Fetching>;

impl Thread {
    pub(super) fn fetch(&mut self, slot: Slot, reply: Reply<Vec<Record>>) {
        let locator = slot.locator;
        let until_ms = clock::now_ms().saturating_add(TOWER_ANSWER_MS);
        if let Some(fetching) = self.fetches.get_mut(&locator) {
            // Whoever asks later has as much time.
            fetching.until_ms = until_ms;
            return fetching.replies.push(reply);
        }
        if self.fetches.len() >= limits::TOWER_FETCHES {
            return drop(reply.send(Err(CallError::Busy)));
        }
        let waiting = self.client.towers().copied().collect();
        let (replies, found) = (vec![reply], Vec::new());
        self.fetches.insert(locator, Fetching { replies, found, waiting, until_ms, more_ms: None });
        self.client.fetch(slot);
    }

    /// Asks peers that are no towers of this node, a few at a time: who answers, or takes too long, makes room for the
    /// next. An answer that comes late is heard all the same.
    pub(super) fn ask_peers(&mut self, now_ms: u64) {
        if !self.settings.peers || self.fetches.is_empty() {
            return;
        }
        let guests = self.guests();
        let since_ms = now_ms.saturating_sub(limits::TOWER_PEER_TURN_MS);
        let mut questions = Vec::new();
        for (locator, fetching) in &mut self.fetches {
            let mut room =
                limits::TOWER_PEERS_ASKED.saturating_sub(self.client.unanswered(locator, since_ms));
            fetching.more_ms = None;
            for guest in &guests {
                if room == 0 {
                    fetching.more_ms = Some(now_ms.saturating_add(limits::TOWER_PEER_TURN_MS));
                    break;
                }
                if let Some(question) = self.client.ask(locator, *guest, now_ms) {
                    questions.push((*guest, question));
                    room -= 1;
                }
            }
        }
        questions.into_iter().for_each(|(guest, question)| self.send(guest, question));
    }

    /// Nodes with a session that are no towers of this one, in the order in which they are asked: first those with channels,
    /// as keepers have or had some, and strangers can be many; among these and those by lot, so that nobody's id buys it a place.
    fn guests(&self) -> Vec<PublicKey> {
        let funded = self.parts.board.funded_by_peer();
        let guests = self.sessions.iter().filter(|(peer, _)| self.client.health(peer).is_none());
        let mut guests: Vec<_> =
            guests.map(|(peer, lot)| (!funded.contains_key(peer), *lot, *peer)).collect();
        guests.sort_unstable();
        guests.into_iter().map(|(_, _, peer)| peer).collect()
    }

    /// When a fetch has something to do although nothing happened.
    pub(super) fn fetches_due_ms(&self) -> Option<u64> {
        let due = |fetching: &Fetching| {
            fetching.more_ms.map_or(fetching.until_ms, |more| more.min(fetching.until_ms))
        };
        self.fetches.values().map(due).min()
    }

    pub(super) fn on_fetched(&mut self, locator: &Locator, tower: &PublicKey, record: Option<Box<Record>>) {
        let Some(fetching) = self.fetches.get_mut(locator) else { return };
        fetching.waiting.remove(tower);
        let Some(record) = record.map(|record| *record) else { return };
        if !fetching.found.contains(&record) {
            fetching.found.push(record);
        }
    }

    /// Answers those of whom all have spoken, or had their time.
    pub(super) fn end_fetches(&mut self, now_ms: u64) {
        let peers = self.settings.peers;
        let over: Vec<Locator> = self
            .fetches
            .iter()
            .filter(|(_, fetching)| fetching.is_over(peers, now_ms))
            .map(|(locator, _)| *locator)
            .collect();
        for locator in over {
            self.client.end_fetch(&locator);
            let Some(Fetching { replies, found, .. }) = self.fetches.remove(&locator) else { continue };
            // A caller that is gone needs no answer.
            replies.into_iter().for_each(|reply| drop(reply.send(Ok(found.clone()))));
        }
    }
}
