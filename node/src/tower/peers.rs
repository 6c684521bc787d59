//! Peers as towers that nobody named: whoever has a channel with this node, is there and serves keeps sealed copies of the
//! other channels (SPEC T-48). Their word counts for no payment; what they keep is there when this node has lost its data,
//! and is then asked for in `fetch`.

use std::collections::BTreeSet;

use towpath_crypto::ed25519::PublicKey;
use towpath_protocol::limits::TOWERS_MAX;
use towpath_protocol::tower::{Health, Refusal};

use super::run::{Lot, Thread};
use crate::limits;

/// Who they are.
#[derive(Default)]
pub(super) struct Unnamed {
    pub(super) used: BTreeSet<PublicKey>,
    /// Peers that serve nobody, as long as their session lasts.
    unwilling: BTreeSet<PublicKey>,
    /// Whether somebody came since peers were last looked at.
    pub(super) is_due: bool,
    /// When they may be looked at again, by the node's clock: it goes through all channels.
    pub(super) next_ms: u64,
}

/// How long that is.
const LOOK_EVERY_MS: u64 = 5_000;

impl Thread {
    /// Looks for peers to use, if there may be some.
    pub(super) fn employ_if_due(&mut self, now_ms: u64) {
        if self.unnamed.is_due && self.unnamed.next_ms <= now_ms {
            self.unnamed.is_due = false;
            self.unnamed.next_ms = now_ms.saturating_add(LOOK_EVERY_MS);
            self.employ();
        }
    }

    /// Uses peers that are there and have channels as towers, as many as there is room for, by lot.
    fn employ(&mut self) {
        let room = limits::TOWER_PEERS.saturating_sub(self.unnamed.used.len());
        if !self.settings.peers || self.sessions.is_empty() || room == 0 {
            return;
        }
        let funded = self.parts.board.funded_by_peer();
        let may = |(peer, _): &(&PublicKey, &Lot)| {
            funded.contains_key(*peer)
                && !self.towers.contains_key(*peer)
                && !self.unnamed.used.contains(*peer)
                && !self.unnamed.unwilling.contains(*peer)
        };
        let mut chosen: Vec<_> = self.sessions.iter().filter(may).map(|(peer, lot)| (*lot, *peer)).collect();
        chosen.sort_unstable();
        for (_, peer) in chosen.into_iter().take(room) {
            if !self.client.add_unnamed(peer) {
                return;
            }
            self.client.up(&peer);
            self.unnamed.used.insert(peer);
            self.want_mail();
        }
    }

    /// A peer is gone: when it is back, it is asked anew, and given everything.
    pub(super) fn dismiss(&mut self, peer: &PublicKey) {
        self.unnamed.unwilling.remove(peer);
        if self.unnamed.used.remove(peer) {
            self.client.remove(peer);
        }
    }

    /// Now and then: who serves nobody makes room for others, and so does who has no channel with this node any more.
    pub(super) fn review_unnamed(&mut self) {
        let funded = self.parts.board.funded_by_peer();
        let useless = |peer: &&PublicKey| {
            !funded.contains_key(*peer)
                || self.client.health(peer) == Some(Health::Refusing(Refusal::NotServing))
        };
        for peer in self.unnamed.used.iter().filter(useless).copied().collect::<Vec<_>>() {
            self.unnamed.used.remove(&peer);
            self.client.remove(&peer);
            if funded.contains_key(&peer) {
                self.unnamed.unwilling.insert(peer);
            }
        }
        self.unnamed.is_due = true;
    }

    /// The operator names a tower, or needs its place.
    pub(super) fn make_room_for(&mut self, tower: &PublicKey) {
        if self.unnamed.used.remove(tower) {
            self.client.remove(tower);
        }
        if self.client.towers().count() >= TOWERS_MAX
            && let Some(other) = self.unnamed.used.pop_first()
        {
            self.client.remove(&other);
        }
    }

    /// Channels' newest states are wanted from now on.
    pub(super) fn want_mail(&self) {
        if !self.mailbox.is_wanted() {
            self.mailbox.want();
            // The channels were not asked before.
            self.parts.workers.push_guard();
        }
    }
}
