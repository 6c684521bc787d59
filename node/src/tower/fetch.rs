//! What towers keep of one channel, asked of all of them at once: for a party that lost its data (SPEC T-46).

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
}

/// By slot.
pub(super) type Fetches = BTreeMap<Locator, Fetching>;

impl Thread {
    pub(super) fn fetch(&mut self, slot: Slot, reply: Reply<Vec<Record>>) {
        let locator = slot.locator;
        if let Some(fetching) = self.fetches.get_mut(&locator) {
            return fetching.replies.push(reply);
        }
        if self.fetches.len() >= limits::TOWER_FETCHES {
            return drop(reply.send(Err(CallError::Busy)));
        }
        let until_ms = clock::now_ms().saturating_add(TOWER_ANSWER_MS);
        let fetching =
            Fetching { replies: vec![reply], found: Vec::new(), waiting: BTreeSet::new(), until_ms };
        self.fetches.insert(locator, fetching);
        // Whoever is there may keep it.
        self.employ();
        let waiting: BTreeSet<_> = self.client.towers().copied().collect();
        if let Some(fetching) = self.fetches.get_mut(&locator) {
            fetching.waiting = waiting;
        }
        self.client.fetch(slot);
    }

    pub(super) fn on_fetched(&mut self, locator: &Locator, tower: &PublicKey, record: Option<Box<Record>>) {
        let Some(fetching) = self.fetches.get_mut(locator) else { return };
        fetching.waiting.remove(tower);
        fetching.found.extend(record.map(|record| *record));
    }

    /// Answers those of whom all towers have spoken, or had their time.
    pub(super) fn end_fetches(&mut self, now_ms: u64) {
        let is_over = |fetching: &Fetching| fetching.waiting.is_empty() || fetching.until_ms <= now_ms;
        let over: Vec<Locator> = self
            .fetches
            .iter()
            .filter(|(_, fetching)| is_over(fetching))
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
