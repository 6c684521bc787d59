//! What readers see of the channels: immutable views, put up only once they are durable. A worker is never asked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use towpath_api::ChannelTotals;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;
use towpath_protocol::Life;

use super::view::ChannelView;

/// Views that are taken off the board under one lock.
const STRETCH: usize = 512;

/// The views of all channels of a node.
#[derive(Default)]
pub struct Board {
    views: RwLock<BTreeMap<ChannelId, Arc<ChannelView>>>,
    /// Channels whose rows cannot be used, and why. They have no view, and must not be forgotten for that.
    damaged: RwLock<BTreeMap<ChannelId, String>>,
    /// Peers that are spoken with. The network has a session a moment before the worker that owns the peer uses it.
    spoken_with: RwLock<BTreeSet<PublicKey>>,
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

    /// A worker speaks with a peer from now on.
    pub(super) fn speaks_with(&self, peer: PublicKey) {
        self.spoken_with.write().unwrap_or_else(PoisonError::into_inner).insert(peer);
    }

    /// It does no longer.
    pub(super) fn speaks_no_more(&self, peer: &PublicKey) {
        self.spoken_with.write().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }

    /// Whether the worker that owns this peer has a session with it, and takes calls that need one.
    #[must_use]
    pub fn is_spoken_with(&self, peer: &PublicKey) -> bool {
        self.spoken_with.read().unwrap_or_else(PoisonError::into_inner).contains(peer)
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
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.after(from).filter(|view| wanted(view)).take(limit).collect()
    }

    /// The same of the channels whose ids lie between two others, these included.
    #[must_use]
    pub fn between(
        &self,
        (low, high): (ChannelId, ChannelId),
        limit: usize,
        wanted: impl Fn(&ChannelView) -> bool,
    ) -> Vec<Arc<ChannelView>> {
        let in_between = self.after(Bound::Included(low)).take_while(|view| view.id <= high);
        in_between.filter(|view| wanted(view)).take(limit).collect()
    }

    /// Views, ascending by id. They are taken off the board a stretch at a time, and what a reader does with them is done
    /// while nobody waits: the writer that makes turns durable puts up what they changed.
    fn after(&self, from: Bound<ChannelId>) -> impl Iterator<Item = Arc<ChannelView>> + '_ {
        let mut next = Some(from);
        let stretches = std::iter::from_fn(move || {
            let from = next.take()?;
            let board = self.views.read().unwrap_or_else(PoisonError::into_inner);
            let views = board.range((from, Bound::Unbounded)).take(STRETCH);
            let stretch: Vec<Arc<ChannelView>> = views.map(|(_, view)| Arc::clone(view)).collect();
            next = stretch.last().map(|last| Bound::Excluded(last.id));
            Some(stretch)
        });
        stretches.flatten()
    }

    /// How many channels are in each state.
    #[must_use]
    pub fn totals(&self) -> ChannelTotals {
        let mut totals = ChannelTotals::default();
        for view in self.after(Bound::Unbounded) {
            view.count_into(&mut totals);
        }
        let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner).len();
        totals.damaged = u64::try_from(damaged).unwrap_or(u64::MAX);
        totals
    }

    /// The other parties of all channels.
    #[must_use]
    pub fn peers(&self) -> BTreeSet<PublicKey> {
        self.after(Bound::Unbounded).map(|view| view.peer).collect()
    }

    /// How many channels are in recovery.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.after(Bound::Unbounded).filter(|view| view.is_lost).count()
    }

    /// How many channels with `peer` are funded and not settled: before that they have cost the peer nothing.
    #[must_use]
    pub fn funded_with(&self, peer: &PublicKey) -> u64 {
        self.funded().filter(|view| view.peer == *peer).fold(0, |count, _| count + 1)
    }

    /// The same of every peer that has some.
    #[must_use]
    pub fn funded_by_peer(&self) -> BTreeMap<PublicKey, u64> {
        let mut funded: BTreeMap<PublicKey, u64> = BTreeMap::new();
        for view in self.funded() {
            *funded.entry(view.peer).or_default() += 1;
        }
        funded
    }

    fn funded(&self) -> impl Iterator<Item = Arc<ChannelView>> + '_ {
        self.after(Bound::Unbounded).filter(|view| !view.is_settled() && view.life != Life::Opening)
    }

    /// With whom there are channels that are not settled, and how many.
    #[must_use]
    pub fn open_by_peer(&self) -> BTreeMap<PublicKey, u32> {
        let mut open: BTreeMap<PublicKey, u32> = BTreeMap::new();
        for view in self.after(Bound::Unbounded).filter(|view| !view.is_settled()) {
            let count = open.entry(view.peer).or_default();
            *count = count.saturating_add(1);
        }
        open
    }

    /// What this node owns in channels that are funded and not settled, in base units. Before the funding is final nothing
    /// of it counts, least of all what an opener promises (FAULTS C1).
    #[must_use]
    pub fn balance(&self) -> u64 {
        self.funded().fold(0, |sum, view| sum.saturating_add(view.balance.units()))
    }
}
