//! Channels that the ledger shows with a key of this node, and whose peer is not known yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use towpath_ledger::ChannelId;

use super::Found;

/// See the module. All workers look here when a peer speaks of a channel that they do not have.
#[derive(Default, Debug)]
pub struct Unclaimed(Mutex<BTreeMap<ChannelId, Found>>);

impl Unclaimed {
    /// One more, unless it waits already.
    pub fn insert(&self, found: Found) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(found.channel).or_insert(found);
    }

    /// Takes a channel out, if it is there and `wanted`: it has one owner from then on.
    pub fn take(&self, channel: &ChannelId, wanted: impl FnOnce(&Found) -> bool) -> Option<Found> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted(waiting.get(channel)?) { waiting.remove(channel) } else { None }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
