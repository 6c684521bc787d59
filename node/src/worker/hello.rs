//! The beginning of a session with a peer: both say which of their processes they are, before anything is said of
//! channels (SPEC P-40 to P-44).

use std::sync::Arc;

use towpath_crypto::ed25519::PublicKey;
use towpath_protocol::{Event, Hello, Message, Rival, Standing};

use super::open::Awaited;
use super::run::Worker;
use super::turn::Turn;
use crate::epoch;
use crate::net::Offence;
use crate::recovery;

impl Worker {
    /// A session is up: this process says which one it is. Channels wait for the peer's word.
    pub(super) fn hail(&self, peer: PublicKey, turn: &mut Turn) {
        turn.send(peer, &Message::Hello(self.parts.epoch.hello()));
    }

    /// A peer says which of its processes it is.
    pub(super) fn on_hello(&mut self, peer: PublicKey, hello: Hello, turn: &mut Turn) {
        if !self.hailed.contains_key(&peer) || !hello.is_of(&peer, &self.parts.chain_id) {
            tracing::warn!(?peer, "a peer's word on its process is not signed by its key; its session ends");
            return self.parts.net.end_session(peer, Offence::Protocol);
        }
        let newest = match self.newest_of(&peer) {
            Ok(newest) => newest,
            Err(error) => return tracing::error!(?peer, %error, "nothing is said to this peer"),
        };
        match hello.standing(newest.as_ref()) {
            Standing::Newer => {
                self.heard.insert(peer, hello);
                self.keep_word(&peer, turn);
                self.greet(peer, turn);
            }
            Standing::Newest => self.greet(peer, turn),
            Standing::Stale => {
                tracing::warn!(
                    ?peer,
                    "an older process of a peer speaks; it is told, and nothing else is said to it"
                );
                if let Some(newest) = newest {
                    turn.send(peer, &Message::Stale(newest));
                }
            }
        }
    }

    /// Puts the row of a peer's word, if this node has something on disk in which two of its processes could contradict
    /// each other. A stranger leaves no row: there could be any number of them (FAULTS C2).
    pub(super) fn keep_word(&self, peer: &PublicKey, turn: &mut Turn) {
        if self.is_partner(peer)
            && let Some(hello) = self.heard.get(peer)
        {
            epoch::remember(&mut turn.entry.batch, peer, hello);
        }
    }

    /// The last channel or opening with a peer is over: its row goes with it.
    pub(super) fn drop_word(&mut self, peer: &PublicKey, turn: &mut Turn) {
        if !self.is_partner(peer) {
            epoch::forget(&mut turn.entry.batch, peer);
            self.forget_stranger(peer);
        }
    }

    /// Forgets what a peer said, if it has no session, and nothing with this node. Of others it stays in memory, too: their
    /// row may not be durable yet.
    pub(super) fn forget_stranger(&mut self, peer: &PublicKey) {
        let waits = || self.awaited.values().any(|awaited| awaited.peer() == peer);
        if !self.hailed.contains_key(peer) && !self.by_peer.contains_key(peer) && !waits() {
            self.heard.remove(peer);
        }
    }

    /// Whether a peer has a channel that is not settled, or an opening that is on disk.
    fn is_partner(&self, peer: &PublicKey) -> bool {
        let is_theirs = |awaited: &Awaited| match awaited {
            Awaited::Acceptance { acceptance, .. } => acceptance.peer() == peer,
            Awaited::Offer { .. } | Awaited::Agreed { .. } | Awaited::Coins { .. } => false,
        };
        self.by_peer.contains_key(peer) || self.awaited.values().any(is_theirs)
    }

    /// What was heard last of a peer: in this session, or before it.
    fn newest_of(&self, peer: &PublicKey) -> Result<Option<Hello>, towpath_store::StoreError> {
        match self.heard.get(peer) {
            Some(hello) => Ok(Some(*hello)),
            None => epoch::newest_of(&**self.parts.journal.store(), peer),
        }
    }

    fn greet(&mut self, peer: PublicKey, turn: &mut Turn) {
        if self.sessions.insert(peer) {
            self.parts.board.speaks_with(peer);
            for channel in self.channels_of(&peer) {
                self.step(channel, Event::Connected, turn).ok();
            }
        }
    }

    /// A peer has heard of another process of this node, which came later.
    pub(super) fn on_stale(&mut self, peer: PublicKey, theirs: &Hello, turn: &mut Turn) {
        let (own, node) = (self.parts.epoch.hello().epoch, *self.parts.epoch.node());
        let Rival::Proven(rival) = theirs.rival_of(&own, &node, &self.parts.chain_id) else {
            return tracing::warn!(?peer, "a peer says without proof that another process of this node runs");
        };
        if self.parts.epoch.is_accepted() {
            return self.give_way(turn);
        }
        tracing::error!("this folder is an old copy: a later process of this node is known to a peer");
        self.parts.epoch.rise_above(rival, &mut turn.entry.batch);
        self.begin_again(turn);
    }

    /// What this node has is proven to be an old copy, so none of it is known to be the newest. This turn's write says so,
    /// of everything at once, and is the last of this process: the next one begins in recovery, with nothing to believe.
    pub(super) fn begin_again(&self, turn: &mut Turn) {
        recovery::put_copy(&mut turn.entry.batch);
        turn.release.last = Some(Box::new({
            let again = Arc::clone(&self.parts.again);
            move || again()
        }));
    }

    /// Another process of this node took over while this one ran. Whatever this one would sign could contradict it: it ends,
    /// and does not start again by itself.
    fn give_way(&self, turn: &mut Turn) {
        let reason = "another process with this node's key has taken over; two must never run. If the other one is gone \
                      for good, start this one with `towpath node --take-over`";
        epoch::supersede(&mut turn.entry.batch);
        let fatal = Arc::clone(&self.parts.fatal);
        turn.release.last = Some(Box::new(move || fatal(reason.to_owned())));
    }
}
