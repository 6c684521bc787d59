//! What readers see of the channels: immutable views, put up only once they are durable. A worker is never asked.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use towpath_api::ChannelTotals;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;
use towpath_protocol::Life;

use super::view::ChannelView;

/// The views of all channels of a node.
#[derive(Default)]
pub struct Board {
    views: RwLock<BTreeMap<ChannelId, Arc<ChannelView>>>,
    /// Channels whose rows cannot be used, and why. They have no view, and must not be forgotten for that.
    damaged: RwLock<BTreeMap<ChannelId, String>>,
}

impl Board {
    /// Puts up newer views.
    pub(super) fn publish(&self, views: impl IntoIterator<Item = Arc<ChannelView>>) {
        let any_damaged = !self.damaged.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        let mut board = self.views.write().unwrap_or_else(PoisonError::into_inner);
        for view in views {
            if any_damaged {
                // It was recovered from what others have.
                self.damaged.write().unwrap_or_else(PoisonError::into_inner).remove(&view.id);
            }
            board.insert(view.id, view);
        }
    }

    /// Puts up a channel that cannot be restored.
    pub(super) fn publish_damaged(&self, channel: ChannelId, reason: String) {
        self.damaged.write().unwrap_or_else(PoisonError::into_inner).insert(channel, reason);
    }

    /// Channels that cannot be restored, and why; at most `limit`, ascending by id.
    #[must_use]
    pub fn damaged(&self, limit: usize, wanted: impl Fn(&ChannelId) -> bool) -> Vec<(ChannelId, String)> {
        let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner);
        let found = damaged.iter().filter(|(channel, _)| wanted(channel));
        found.take(limit).map(|(channel, reason)| (*channel, reason.clone())).collect()
    }

    /// Takes down the views of channels that are forgotten.
    pub(super) fn forget(&self, channels: impl IntoIterator<Item = ChannelId>) {
        let mut board = self.views.write().unwrap_or_else(PoisonError::into_inner);
        for channel in channels {
            board.remove(&channel);
        }
    }

    /// One channel.
    #[must_use]
    pub fn get(&self, channel: &ChannelId) -> Option<Arc<ChannelView>> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// All channels after `after`, ascending by id, that `wanted` wants, at most `limit`.
    #[must_use]
    pub fn page(
        &self,
        after: Option<ChannelId>,
        limit: usize,
        wanted: impl Fn(&ChannelView) -> bool,
    ) -> Vec<Arc<ChannelView>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let board = self.views.read().unwrap_or_else(PoisonError::into_inner);
        let from = after.map_or(Unbounded, Excluded);
        board
            .range((from, Unbounded))
            .map(|(_, view)| view)
            .filter(|view| wanted(view))
            .take(limit)
            .cloned()
            .collect()
    }

    /// How many channels are in each state.
    #[must_use]
    pub fn totals(&self) -> ChannelTotals {
        let board = self.views.read().unwrap_or_else(PoisonError::into_inner);
        let mut totals = ChannelTotals::default();
        for view in board.values() {
            view.count_into(&mut totals);
        }
        let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner).len();
        totals.damaged = u64::try_from(damaged).unwrap_or(u64::MAX);
        totals
    }

    /// The other parties of all channels; a node may be named more than once.
    #[must_use]
    pub fn peers(&self) -> Vec<PublicKey> {
        let board = self.views.read().unwrap_or_else(PoisonError::into_inner);
        board.values().map(|view| view.peer).collect()
    }

    /// How many channels are in recovery.
    #[must_use]
    pub fn lost(&self) -> usize {
        let board = self.views.read().unwrap_or_else(PoisonError::into_inner);
        board.values().filter(|view| view.is_lost).count()
    }

    /// How many channels there are with `peer` that are not settled.
    #[must_use]
    pub fn open_with(&self, peer: &PublicKey) -> usize {
        let board = self.views.read().unwrap_or_else(PoisonError::into_inner);
        board.values().filter(|view| view.peer == *peer && !view.is_settled()).count()
    }

    /// What this node owns in channels that are funded and not settled, in base units. Before the funding is final nothing
    /// of it counts, least of all what an opener promises (FAULTS C1).
    #[must_use]
    pub fn balance(&self) -> u64 {
        let board = self.views.read().unwrap_or_else(PoisonError::into_inner);
        board
            .values()
            .filter(|view| !view.is_settled() && view.life != Life::Opening)
            .fold(0, |sum, view| sum.saturating_add(view.balance.units()))
    }
}
