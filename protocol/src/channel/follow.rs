//! What the follower does with a proposal: where it belongs, what it does, whether it is wanted (SPEC P-14 to P-17).

use towpath_ledger::StateSignature;

use super::machine::Channel;
use super::state::{Held, Turnholder};
use crate::canary::{Canary, sings};
use crate::effect::{Effect, Failure};
use crate::error::Reject;
use crate::event::Receive;
use crate::limits::{ACK_AT_LATEST, BUFFERED_MAX, IN_FLIGHT_MAX, UPDATES_MAX};
use crate::message::{Answer, Propose, RefuseReason, Refused};
use crate::row::Key;
use crate::update::{Content, Update};
use crate::verify::Verifier;

/// Where a proposal belongs.
enum Place {
    /// It was accepted before.
    Repeated,
    /// It was refused, or built on something that was.
    Burnt,
    /// Something before it is missing.
    Gap,
    /// It is the next one, on the newest version.
    Next,
}

impl Channel {
    /// A proposal of the sequencer.
    pub(super) fn on_propose(&mut self, propose: Propose, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        if self.open_jump().is_some() {
            // It crossed the jump, and counts for nothing: the peer proposes it again above.
            return Ok(());
        }
        if self.is_sealed() {
            // The next generation would not have it; if there is none, it is asked for again.
            self.memory.link.missed = true;
            return Ok(());
        }
        match self.place(&propose)? {
            Place::Repeated => {
                self.memory.turn.ack_due = true;
                Ok(())
            }
            Place::Burnt => {
                self.burnt_seen(propose.version);
                Ok(())
            }
            Place::Gap => self.buffer(propose),
            Place::Next => {
                self.evaluate(&propose, verifier)?;
                self.follow_buffered(verifier);
                Ok(())
            }
        }
    }

    fn place(&self, propose: &Propose) -> Result<Place, Reject> {
        let (version, base, held) = (propose.version, propose.base, self.held.version());
        let expected = self.memory.expected;
        if version <= held {
            return Ok(Place::Repeated);
        }
        if self.turnholder() != Turnholder::Follower {
            return Err(Reject::NotSequencer);
        }
        if base >= version || version - held > 2 * IN_FLIGHT_MAX {
            return Err(Reject::Version { version, held, seen: expected - 1 });
        }
        if version < expected {
            return Ok(Place::Burnt);
        }
        if version > expected && base == held && expected <= self.seen {
            // The first number that is skipped was seen and refused, in an earlier session maybe: so all that was built on
            // it is burnt, and the sequencer goes on above it.
            return Ok(Place::Next);
        }
        if version > expected {
            // A gap is behind something missing, not over it: what it is built on must be something not seen yet.
            return if base >= expected {
                Ok(Place::Gap)
            } else {
                Err(Reject::Version { version, held, seen: expected - 1 })
            };
        }
        if base < held {
            return Err(Reject::Base { base, held });
        }
        Ok(if base == held { Place::Next } else { Place::Burnt })
    }

    fn buffer(&mut self, propose: Propose) -> Result<(), Reject> {
        if self.memory.buffered.len() >= BUFFERED_MAX || propose.updates.len() > UPDATES_MAX {
            return Err(Reject::Busy);
        }
        self.memory.turn.missing = Some(self.memory.expected);
        self.memory.buffered.insert(propose.version, propose);
        Ok(())
    }

    fn follow_buffered(&mut self, verifier: &mut dyn Verifier) {
        while let Some(next) = self.memory.buffered.remove(&self.memory.expected) {
            // What is wrong with a buffered proposal is found again when it is sent again: nothing is lost by dropping it.
            let placed = self.place(&next);
            match placed {
                Ok(Place::Next) => {
                    if self.evaluate(&next, verifier).is_err() {
                        return;
                    }
                }
                Ok(Place::Burnt) => self.burnt_seen(next.version),
                Ok(Place::Repeated | Place::Gap) | Err(_) => return,
            }
        }
        let expected = self.memory.expected;
        self.memory.buffered.retain(|version, _| *version > expected);
        if self.memory.buffered.is_empty() {
            self.memory.turn.missing = None;
        }
    }

    fn burnt_seen(&mut self, version: u64) {
        self.memory.expected = self.memory.expected.max(version + 1);
        self.see(version);
    }

    pub(super) fn see(&mut self, version: u64) {
        if version > self.seen {
            self.seen = version;
            self.memory.turn.dirty = true;
        }
    }

    /// Accepts or refuses the next proposal on the newest version.
    fn evaluate(&mut self, propose: &Propose, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        self.check_held(propose)?;
        // An honest sequencer is above all that either party ever signed. What this party cannot sign it could neither
        // acknowledge nor close with, so it is no claim to anything (SPEC P-14).
        let (version, held) = (propose.version, self.held.version());
        if version <= self.guard.highest() {
            return Err(Reject::Version { version, held, seen: self.seen });
        }
        if propose.updates.len() > UPDATES_MAX {
            return Err(Reject::Busy);
        }
        if let Some((index, reason)) = self.unwanted(&propose.updates) {
            let update = u16::try_from(index).map_err(|_| Reject::Busy)?;
            let refused = Refused::Proposal { version: propose.version, update };
            self.memory.turn.refusals.push((refused, reason));
            self.burnt_seen(propose.version);
            return Ok(());
        }
        let content = self
            .held
            .content
            .next(propose.version, &propose.updates, &self.fixed.terms)
            .map_err(|(_, error)| error)?;
        let key = self.fixed.terms.key(self.peer_party());
        if !verifier.verify_newest(propose.signature.check(key, &self.fixed.chain, &content.state)) {
            return Err(Reject::Signature);
        }
        self.accept(content, propose);
        Ok(())
    }

    /// What the sequencer says that it holds: something that this party signed, never less than before, and not far
    /// behind, or its statement would be worth nothing as a proof (SPEC P-16).
    fn check_held(&self, propose: &Propose) -> Result<(), Reject> {
        let StateSignature { held, .. } = propose.signature;
        let true_and_rising = held <= self.guard.mark().version && held >= self.held.theirs.held;
        let near = propose.version.checked_sub(held).is_some_and(|lag| lag <= IN_FLIGHT_MAX);
        if true_and_rising && near { Ok(()) } else { Err(Reject::Held { held }) }
    }

    /// The first update that this party does not want: one that takes its funds unasked, or pays it when it takes no
    /// payments.
    fn unwanted(&self, updates: &[Update]) -> Option<(usize, RefuseReason)> {
        let reason = |update: &Update| match update {
            Update::Transfer(transfer) if transfer.from == self.fixed.me => {
                let requested =
                    self.outgoing.get(transfer.number) == Some(transfer) || sings(Canary::UnaskedIsSigned);
                (!requested).then_some(RefuseReason::NotRequested)
            }
            Update::Transfer(_) => {
                (self.memory.receive == Receive::Nothing).then_some(RefuseReason::Unwanted)
            }
            Update::Handover | Update::Finish => None,
        };
        updates.iter().enumerate().find_map(|(index, update)| Some((index, reason(update)?)))
    }

    /// The proposal is this party's newest state: a claim, until it signs.
    fn accept(&mut self, content: Content, propose: &Propose) {
        let me = self.fixed.me;
        let (before, upto) = (self.held.content.sent(me), content.sent(me));
        self.report_received(&propose.updates);
        if upto > before {
            self.settle_outgoing(&propose.updates, upto);
        }
        self.held = Held { content, theirs: propose.signature, mine: None };
        self.memory.expected = propose.version + 1;
        self.see(propose.version);
        let turn = &mut self.memory.turn;
        turn.dirty = true;
        turn.held_changed = true;
        // A payee waits for the follower's signature on what the follower pays.
        let waits = upto > before
            || propose.answer == Answer::Now
            || propose.version >= propose.signature.held + ACK_AT_LATEST
            || self.held.content.state.sequencer == me;
        turn.ack_due |= waits;
        if !waits {
            self.memory.claim_since_ms.get_or_insert(self.memory.now.local_ms);
        }
        if self.held.content.state.sequencer == me {
            self.memory.wishes.take = false;
            self.memory.buffered.clear();
        }
        if self.held.content.state.is_final {
            self.memory.turn.ack_due = true;
            self.agreed();
        }
    }

    /// This party's payments up to `upto` are in, or were passed over and can never be.
    fn settle_outgoing(&mut self, updates: &[Update], upto: u64) {
        for update in updates {
            match update {
                Update::Transfer(transfer) if transfer.from == self.fixed.me => {
                    self.outgoing.remove(transfer.number);
                    self.delete(Key::Request(transfer.number));
                }
                Update::Transfer(_) | Update::Handover | Update::Finish => {}
            }
        }
        let skipped: Vec<u64> = self.outgoing.numbers().take_while(|number| *number <= upto).collect();
        for number in skipped {
            self.outgoing.remove(number);
            self.delete(Key::Request(number));
            self.effect(Effect::Failed { number, reason: Failure::Skipped });
        }
        self.effect(Effect::Settled { upto });
    }
}
