//! Peers as towers that nobody named: whoever has a channel with this node, is there and serves keeps sealed copies of the
//! other channels (SPEC T-48). Their word counts for no payment; what they keep is there when this node has lost its data.

use std::collections::BTreeSet;

use towpath_crypto::ed25519::PublicKey;
use towpath_protocol::limits::TOWERS_MAX;
use towpath_protocol::tower::{Health, Refusal};

use super::run::Thread;
use crate::limits;

/// Who they are.
#[derive(Default)]
pub(super) struct Unnamed {
    pub(super) used: BTreeSet<PublicKey>,
    /// Peers that serve nobody, as long as their session lasts.
    unwilling: BTreeSet<PublicKey>,
    /// Whether somebody came, or something was found to be lost, since peers were last looked at.
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

    /// Uses peers that are there as towers, as many as there is room for: those with channels; when something is looked
    /// for that this node has lost, anyone.
    pub(super) fn employ(&mut self) {
        if !self.settings.peers || self.sessions.is_empty() {
            return;
        }
        let is_lost = !self.fetches.is_empty();
        let most = if is_lost { limits::TOWER_PEERS_ASKED } else { limits::TOWER_PEERS };
        if self.unnamed.used.len() >= most || self.client.towers().count() >= TOWERS_MAX {
            return;
        }
        let funded = self.parts.board.funded_by_peer();
        let may = |peer: &&PublicKey| {
            (is_lost || funded.contains_key(*peer))
                && !self.towers.contains_key(*peer)
                && !self.unnamed.used.contains(*peer)
                && !self.unnamed.unwilling.contains(*peer)
        };
        let room = most - self.unnamed.used.len();
        let chosen: Vec<PublicKey> = self.sessions.iter().filter(may).take(room).copied().collect();
        for peer in chosen {
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
        if self.fetches.is_empty() {
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
