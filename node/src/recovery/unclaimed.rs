//! Channels that the ledger shows with a key of this node, and whose peer is not known yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use towpath_ledger::ChannelId;

use super::Found;

/// A channel until its own rows are durable.
#[derive(Debug)]
struct Waiting {
    found: Found,
    /// A worker has it, and writes it.
    taken: bool,
}

/// See the module. All workers look here when a peer speaks of a channel that they do not have.
#[derive(Default, Debug)]
pub struct Unclaimed(Mutex<BTreeMap<ChannelId, Waiting>>);

impl Unclaimed {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, unless it waits already.
    pub fn insert(&self, found: Found) {
        self.waiting().entry(found.channel).or_insert(Waiting { found, taken: false });
    }

    /// Hands a channel out, if it is there and `wanted`: it has one owner from then on. It counts as waiting until
    /// [`Unclaimed::settle`]: a node that is killed before its rows are durable has to look for it again.
    pub fn take(&self, channel: &ChannelId, wanted: impl FnOnce(&Found) -> bool) -> Option<Found> {
        let mut waiting = self.waiting();
        let it = waiting.get_mut(channel).filter(|it| !it.taken && wanted(&it.found))?;
        it.taken = true;
        Some(it.found.clone())
    }

    /// The channel's own rows are durable.
    pub fn settle(&self, channel: &ChannelId) {
        self.waiting().remove(channel);
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
