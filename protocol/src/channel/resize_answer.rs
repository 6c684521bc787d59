//! Resizing, the side that agrees (SPEC P-61, P-62): it signs the first state of the next generation before the
//! transaction, stores both, and from then on nothing of the generation that the transaction may end.

use towpath_ledger::Party;

use super::machine::Channel;
use super::state::{Resizing, Turnholder};
use crate::effect::{Alarm, Effect};
use crate::error::Reject;
use crate::life::Life;
use crate::limits::IN_FLIGHT_MAX;
use crate::message::{ChannelMessage, Refuse, RefuseReason, Refused, Resize, ResizeAgreed};
use crate::update::Content;
use crate::verify::Verifier;

impl Channel {
    /// The sequencer offers a resize.
    pub(super) fn on_resize(&mut self, offer: Resize, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        let by = self.peer_party();
        if let Some(pending) = &self.resize {
            let same = pending.by == by && pending.version() == offer.version && pending.plan == offer.plan;
            if same {
                self.memory.turn.resize_again = true;
            } else {
                // One at a time: of two that spend one output either could become final.
                self.refuse_resize(offer.version, RefuseReason::Busy);
            }
            return Ok(());
        }
        if self.memory.turn.resize.as_ref().is_some_and(|offered| offered.0 == offer) {
            return Ok(());
        }
        if offer.version == self.guard.next().version {
            // It was agreed to, and has ended by what this replica shows: the answer was lost, and the sequencer's is behind.
            self.refuse_resize(offer.version, RefuseReason::Terms);
            return Ok(());
        }
        self.check_offer(&offer)?;
        let wanted = match self.want(&offer, by) {
            Ok(content) => content,
            Err(reason) => {
                self.refuse_resize(offer.version, reason);
                return Ok(());
            }
        };
        let key = self.fixed.terms.key(by);
        // A state of the next generation makes none of this one irrelevant, so this is not the newest of its key.
        if !verifier.verify(offer.signature.check(key, &self.fixed.chain, &wanted.state)) {
            return Err(Reject::Signature);
        }
        self.pass_over(offer.version);
        self.memory.turn.resize = Some(Box::new((offer, wanted)));
        Ok(())
    }

    /// What an honest sequencer's offer is like, whatever it offers.
    fn check_offer(&self, offer: &Resize) -> Result<(), Reject> {
        let (version, held) = (offer.version, self.held.version());
        if self.turnholder() != Turnholder::Follower {
            return Err(Reject::NotSequencer);
        }
        if !self.memory.link.sent || self.memory.turn.resize.is_some() {
            return Err(Reject::Unexpected("resize"));
        }
        // It stands on what both hold: this party signed it, and the sequencer has the signature.
        if offer.base != held || self.held.mine.is_none() {
            return Err(Reject::Base { base: offer.base, held });
        }
        if version <= held || version <= self.guard.highest() || version - held > 2 * IN_FLIGHT_MAX {
            return Err(Reject::Version { version, held, seen: self.seen });
        }
        if offer.signature.held != 0 {
            return Err(Reject::Held { held: offer.signature.held });
        }
        Ok(())
    }

    /// The content that the offer makes, if this party wants it.
    fn want(&self, offer: &Resize, by: Party) -> Result<Content, RefuseReason> {
        if self.life != Life::Active {
            return Err(RefuseReason::Closing);
        }
        self.next_generation(by, &offer.plan, offer.version)
            .map_err(|reject| if reject == Reject::Busy { RefuseReason::Busy } else { RefuseReason::Terms })
    }

    fn refuse_resize(&mut self, version: u64, reason: RefuseReason) {
        if version.saturating_sub(self.held.version()) <= 2 * IN_FLIGHT_MAX {
            self.pass_over(version);
        }
        self.memory.turn.refusals.push((Refused::Resize { version }, reason));
    }

    /// A version that is none of this generation: the sequencer goes on above it.
    fn pass_over(&mut self, version: u64) {
        if self.turnholder() == Turnholder::Follower {
            self.memory.expected = self.memory.expected.max(version + 1);
            self.see(version);
        }
    }

    /// Signs what was offered in this turn: first the state, then the transaction.
    pub(super) fn agree_to_resize(&mut self) {
        let Some(offered) = self.memory.turn.resize.take() else { return };
        let (offer, content) = *offered;
        let stands = self.life == Life::Active
            && self.lost.is_none()
            && self.held.version() == offer.base
            && self.held.mine.is_some()
            && self.memory.now.ledger <= offer.plan.expiry;
        if !stands || !self.memory.link.up {
            // Something of this turn came between; the offer is void, and the sequencer need not wait for its expiry.
            if self.memory.link.connected {
                let what = Refused::Resize { version: offer.version };
                self.send(ChannelMessage::Refuse(Refuse { what, reason: RefuseReason::Closing }));
            }
            return;
        }
        self.memory.turn.dirty = true;
        if let Err(error) = self.try_agree(offer, content) {
            self.effect(Effect::Alarm(Alarm::Signer(error)));
        }
    }

    fn try_agree(&mut self, offer: Resize, content: Content) -> Result<(), crate::signer::SignError> {
        let Some(intent) = self.resize_intent(&offer.plan, &content) else { return Ok(()) };
        let chain = self.fixed.chain;
        let mine = self.guard.sign_state(&chain, &content.state, offer.version)?;
        let signature = self.guard.sign_resize(&chain, &intent)?;
        let resize = Resizing {
            by: self.peer_party(),
            base: offer.base,
            plan: offer.plan,
            content,
            mine,
            theirs: Some(offer.signature),
            intent: Some(signature),
            intent_theirs: None,
            witnesses: None,
        };
        self.record_resize(&resize);
        self.keep_resize(resize);
        self.memory.turn.resize_again = true;
        Ok(())
    }

    pub(super) fn send_agreed(&mut self, resize: &Resizing) {
        if let Some(intent) = resize.intent {
            let agreed = ResizeAgreed { version: resize.version(), signature: resize.mine, intent };
            self.send(ChannelMessage::ResizeAgreed(agreed));
        }
    }
}
