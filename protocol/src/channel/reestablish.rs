//! A session with the peer begins: both say what they hold, and go on from the newest state that either can prove
//! (SPEC P-18).

use towpath_ledger::CoSigned;

use super::machine::Channel;
use super::state::{Link, Turnholder};
use crate::canary::{Canary, sings};
use crate::effect::{Effect, Online};
use crate::error::Reject;
use crate::life::{ClosingStage, Life};
use crate::limits::IN_FLIGHT_MAX;
use crate::message::{ChannelMessage, Reestablish};
use crate::verify::Verifier;

impl Channel {
    pub(super) fn on_connected(&mut self) {
        self.on_disconnected();
        self.memory.link.connected = true;
        if self.life == Life::Opening {
            self.say_opening();
        }
    }

    pub(super) fn on_disconnected(&mut self) {
        self.go_offline();
        self.memory.link = Link::default();
        self.memory.early = None;
        // The follower asks again for what it asked, and the sequencer proposes again what it proposed.
        self.memory.inbox.clear();
        self.memory.buffered.clear();
        let turn = &mut self.memory.turn;
        turn.refusals.clear();
        turn.missing = None;
        turn.resend_from = None;
        turn.recover = None;
        turn.ack_due = false;
        (turn.resize, turn.resize_again) = (None, false);
    }

    /// Says what this party holds: once a session, as soon as the channel is funded. The newest claim is completed
    /// for it, so that what is said is proof, acknowledgement and recovery in one.
    pub(super) fn say_held(&mut self) {
        let link = &self.memory.link;
        if !link.connected || link.sent || !self.may_sign() {
            return;
        }
        let Some(newest) = self.complete() else { return };
        self.memory.link.sent = true;
        self.memory.claim_since_ms = None;
        let next = match self.open.iter().find(|open| !open.is_burnt()) {
            // A jump is no proposal: it is said by itself, and only then known to the peer.
            Some(open) if open.is_jump() => self.held.version() + 1,
            Some(open) => open.version(),
            None => self.next_version(),
        };
        let generation = self.fixed.terms.generation;
        let theirs = Reestablish { generation, newest, next, seen: self.seen };
        self.send(ChannelMessage::Reestablish(Box::new(theirs)));
    }

    /// What the peer holds.
    pub(super) fn on_reestablish(
        &mut self,
        theirs: Reestablish,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        if theirs.generation != self.fixed.terms.generation {
            let generation = theirs.generation;
            return self.on_other_generation(generation, ChannelMessage::Reestablish(Box::new(theirs)));
        }
        let speaks = match self.life {
            Life::Opening | Life::Active | Life::Closing(_) => true,
            Life::Disputed | Life::Settled(_) => false,
        };
        if self.memory.link.received || !speaks {
            return Ok(());
        }
        self.check_shown(&theirs.newest, verifier)?;
        if self.proves_loss(&theirs.newest) {
            self.lose_by_proof(theirs.newest.state.version);
        }
        if self.lost.is_some() {
            self.learn(&theirs.newest, None);
            return Ok(());
        }
        if self.life == Life::Closing(ClosingStage::Unilateral) && !sings(Canary::AdoptsAfterClose) {
            // The posted state settles the channel, and the other party may have seen to that already: what it holds
            // beyond it is for the ledger to show, and nothing is reported before (SPEC P-21).
            return Ok(());
        }
        self.check_numbers(&theirs)?;
        self.adopt(&theirs.newest)?;
        if self.turnholder() == Turnholder::Follower {
            // What this party signed for a generation that never came is used up, whatever the sequencer says: a claim with that
            // number could never be completed.
            let used = self.held.version().max(self.guard.highest());
            self.memory.expected = theirs.next.max(used + 1);
        }
        self.memory.floor = self.memory.floor.max(theirs.seen);
        self.memory.link.received = true;
        Ok(())
    }

    /// Both signatures on what the peer shows, unless it is byte by byte what is held here.
    pub(super) fn check_newest(&self, newest: &CoSigned, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        if self.held.co_signed(self.fixed.me).as_ref() == Some(newest) {
            return Ok(());
        }
        let terms = &self.fixed.terms;
        let a = newest.a.check(&terms.key_a, &self.fixed.chain, &newest.state);
        let b = newest.b.check(&terms.key_b, &self.fixed.chain, &newest.state);
        if verifier.verify(a) && verifier.verify(b) { Ok(()) } else { Err(Reject::Signature) }
    }

    /// Whether this party signed something that it does not know: a higher version, or another content (FAULTS C16). All
    /// that it knows to have signed above the newest version is among its proposals.
    pub(super) fn proves_loss(&self, newest: &CoSigned) -> bool {
        let version = newest.state.version;
        if sings(Canary::LossNotBelieved) {
            return false;
        }
        match version.cmp(&self.held.version()) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => newest.state != self.held.content.state,
            std::cmp::Ordering::Greater => {
                self.proposed(version).is_none_or(|open| open.content.state != newest.state)
            }
        }
    }

    /// Numbers that come without a proof are believed only within what may be in flight.
    fn check_numbers(&self, theirs: &Reestablish) -> Result<(), Reject> {
        let (version, held) = (theirs.newest.state.version, self.held.version());
        if version > held && self.completable(version).is_none() {
            return Err(Reject::NotOpen(version));
        }
        let limit = held.max(version).max(self.guard.mark().version) + IN_FLIGHT_MAX;
        for claimed in [theirs.next.saturating_sub(1), theirs.seen] {
            if claimed > limit {
                return Err(Reject::Unproven(claimed));
            }
        }
        Ok(())
    }

    /// The peer holds an open proposal, signed by both: an acknowledgement. What it lacks is sent again; nothing is
    /// ever taken back because a peer says less (FAULTS C17).
    pub(super) fn adopt(&mut self, newest: &CoSigned) -> Result<(), Reject> {
        let version = newest.state.version;
        if sings(Canary::SessionTakesBack) && version < self.held.version() {
            let (mine, peers) = (*newest.signature(self.fixed.me), *newest.signature(self.peer_party()));
            self.held.content.state = newest.state.clone();
            (self.held.mine, self.held.theirs) = (Some(mine), peers);
            self.memory.turn.dirty = true;
            return Ok(());
        }
        // After a close was posted what is held stays what was posted: the same bytes are posted until the ledger has them.
        let may = self.life.carries_updates() || sings(Canary::AdoptsAfterClose);
        if version <= self.held.version() || !may {
            return Ok(());
        }
        let open = self.completable(version).cloned().ok_or(Reject::NotOpen(version))?;
        let signature = *newest.signature(self.peer_party());
        if signature.held != version {
            return Err(Reject::Held { held: signature.held });
        }
        if open.is_burnt() {
            self.revive(&open);
        }
        self.acknowledged(&open, signature);
        Ok(())
    }

    /// Once both have spoken: what is open is sent again, the same bytes, and payments flow.
    pub(super) fn come_up(&mut self) {
        let link = self.memory.link;
        let agree = link.sent && link.received && self.lost.is_none() && self.open_jump().is_none();
        if !link.up && agree && self.life.carries_updates() {
            self.memory.link.up = true;
            self.memory.turn.resend_from = Some(0);
            self.memory.turn.resize_again = true;
            if !std::mem::take(&mut self.memory.link.renewing) {
                self.effect(Effect::Online(Online::Yes));
            }
        }
        if let Some(from) = self.memory.turn.resend_from.take().filter(|_| self.memory.link.up) {
            let again: Vec<_> = self
                .open
                .iter()
                .filter(|open| !open.is_burnt() && open.version() >= from)
                .map(|open| ChannelMessage::Propose(open.propose.clone()))
                .collect();
            for message in again {
                self.send(message);
            }
        }
    }
}
