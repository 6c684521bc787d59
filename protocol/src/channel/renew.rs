//! What becomes of a resize (SPEC P-63 to P-67): the ledger shows the next generation, and both go on in it; or it can't
//! become final any more, and they go on in the one that there is. And a generation of which nothing is known here.

use std::sync::Arc;

use towpath_crypto::Amount;
use towpath_crypto::ed25519::Signature;
use towpath_ledger::{ChannelTerms, OutPoint, Party, StateSignature};

use super::machine::Channel;
use super::state::{Fixed, Held, Link, Resizing};
use crate::canary::{Canary, sings};
use crate::effect::{Effect, ResizeFailure};
use crate::error::Reject;
use crate::journal::EventKind;
use crate::life::{ClosingStage, Life};
use crate::message::ChannelMessage;
use crate::row::Key;
use crate::update::Content;
use crate::verify::Verifier;

/// What a channel's output on the ledger is, next to what this node knows of the channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// This generation.
    This,
    /// The one that a resize, which this party signed, leads to.
    Next,
    /// A later one, of which nothing is known here: data was lost.
    Unknown,
    /// Not this channel, or not as it was agreed.
    Foreign,
}

impl Channel {
    /// Which generation terms and capacity on the ledger are of.
    pub(super) fn shown(&self, terms: &ChannelTerms, capacity: Amount) -> Shown {
        let own = &self.fixed.terms;
        if terms == own {
            return if capacity == self.fixed.capacity { Shown::This } else { Shown::Foreign };
        }
        let is_later = terms.generation > own.generation;
        let same = ChannelTerms { generation: own.generation, ..terms.clone() } == *own;
        if !is_later || !same {
            return Shown::Foreign;
        }
        match &self.resize {
            Some(resize)
                if resize.is_sealed()
                    && resize.content.state.generation == terms.generation
                    && resize.content.state.total() == Some(capacity) =>
            {
                Shown::Next
            }
            Some(_) | None => Shown::Unknown,
        }
    }

    /// The resize is final, whether its output is still there or not: what was signed for it is the newest state.
    pub(super) fn renew(&mut self, verifier: &mut dyn Verifier) {
        let Some(resize) = self.resize.take() else { return };
        let Resizing { by, plan, content, mine, theirs: Some(theirs), .. } = (*resize).clone() else {
            return;
        };
        let (generation, version) = (content.state.generation, content.state.version);
        let Some(body) = self.resize_body(&plan, &content) else { return };
        let capacity = content.state.total().unwrap_or(self.fixed.capacity);
        self.delete(Key::Resize);
        self.fix(|fixed| {
            fixed.terms.generation = generation;
            fixed.capacity = capacity;
        });
        self.funding = Some(OutPoint { tx: body.id(), index: 0 });
        self.held = Held { content, theirs, mine: Some(mine) };
        self.guard.renew();
        self.seen = self.seen.max(version);
        self.memory.expected = version.saturating_add(1);
        self.memory.turn.held_changed = true;
        self.record(EventKind::Resized { generation, capacity, version });
        self.effect(Effect::Resized { by, change: plan.change, capacity });
        self.close_anew();
        self.begin_anew();
        self.hear_early(verifier);
    }

    fn fix(&mut self, change: impl FnOnce(&mut Fixed)) {
        change(Arc::make_mut(&mut self.fixed));
        let fixed = Arc::clone(&self.fixed);
        self.put(Key::Fixed, fixed.as_ref());
        self.memory.turn.dirty = true;
    }

    /// A close that this party posted is worth nothing in another generation; whoever wanted it still wants it.
    fn close_anew(&mut self) {
        if let Some(posted) = self.posted.take() {
            self.memory.turn.post_anew = Some(posted.fee);
        }
    }

    /// Both say anew what they hold: the session goes on, in the new generation. What was said in the old one is void.
    fn begin_anew(&mut self) {
        let memory = &mut self.memory;
        let Link { connected, up, renewing, .. } = memory.link;
        let renewing = (up || renewing) && self.life.carries_updates();
        if up && !renewing {
            memory.turn.effects.push(Effect::Online(crate::effect::Online::No));
        }
        memory.link = Link { connected, renewing, ..Link::default() };
        memory.inbox.clear();
        memory.buffered.clear();
        memory.claim_since_ms = None;
        let turn = &mut memory.turn;
        turn.refusals.clear();
        (turn.missing, turn.resend_from, turn.recover) = (None, None, None);
        (turn.ack_due, turn.resize_again, turn.resize) = (false, false, None);
    }

    /// What the peer, whose replica was faster, said of this generation.
    fn hear_early(&mut self, verifier: &mut dyn Verifier) {
        match self.memory.early.take() {
            // A word that does not fit counts for nothing, as if it were of the session before.
            Some(ChannelMessage::Reestablish(theirs)) => drop(self.on_reestablish(*theirs, verifier)),
            Some(ChannelMessage::Recover(theirs)) => drop(self.on_recover(*theirs, verifier)),
            Some(_) | None => {}
        }
    }

    /// A word about a generation that is not this one: kept if this node's own replica may show that generation soon.
    pub(super) fn on_other_generation(
        &mut self,
        generation: u32,
        message: ChannelMessage,
    ) -> Result<(), Reject> {
        let own = self.fixed.terms.generation;
        if Some(generation) == own.checked_add(1) {
            self.memory.early = Some(message);
            return Ok(());
        }
        // One of the two replicas is behind, or that party has lost data: the ledger will tell it.
        Err(Reject::NotReestablished(message.name()))
    }

    /// A resize that this ledger time, or the ledger, makes impossible.
    pub(super) fn expire_resize(&mut self) {
        let now = self.memory.now.ledger;
        let gives_up = sings(Canary::ResizeGivenUpEarly) && self.is_sealed();
        if gives_up || self.resize.as_ref().is_some_and(|resize| now > resize.plan.expiry) {
            self.end_resize(ResizeFailure::Expired);
        }
    }

    /// The resize can't become final: this generation goes on.
    pub(super) fn end_resize(&mut self, why: ResizeFailure) {
        let Some(resize) = self.resize.take() else { return };
        self.delete(Key::Resize);
        self.guard.unseal();
        let (by, version) = (resize.by, resize.version());
        self.record(EventKind::ResizeEnded { version, why });
        self.effect(Effect::ResizeEnded { by, why });
        if std::mem::take(&mut self.memory.link.missed) {
            self.memory.turn.missing = Some(self.memory.expected);
        }
        // Where to go on could not be signed before.
        if !self.memory.link.resumed && self.memory.turn.recover.is_none() {
            self.memory.turn.recover = self.memory.link.floor_peer;
        }
    }

    /// Posts the newest state of this generation, in the place of one of the generation before.
    pub(super) fn post_anew(&mut self) {
        let Some(fee) = self.memory.turn.post_anew.take() else { return };
        let lives = self.life == Life::Closing(ClosingStage::Unilateral);
        if !lives || self.posted.is_some() || self.lost.is_some() {
            return;
        }
        let balance = self.held.content.state.balance(self.fixed.me);
        let fee = fee.min(self.fixed.terms.close_fee_max).min(balance);
        if let Ok(posted) = self.sign_posting(fee) {
            self.posted = Some(posted);
            self.record(EventKind::Posted { version: posted.version, fee });
            self.post_again();
        }
    }

    /// The ledger shows a generation of which nothing is known here, so data was lost: nothing of what is held counts in
    /// it. As with a channel that was found on the ledger (SPEC P-50), but that its life and its payments are known.
    pub(super) fn lose_to_ledger(&mut self, terms: &ChannelTerms, capacity: Amount) {
        let generation = terms.generation;
        if let Some(resize) = self.resize.take() {
            self.delete(Key::Resize);
            self.effect(Effect::ResizeEnded { by: resize.by, why: ResizeFailure::Lost });
        }
        self.record(EventKind::Overtaken { generation });
        if self.lost.is_none() {
            let (mine, proven) = (self.guard.mark().version, self.held.version());
            self.effect(Effect::Alarm(crate::effect::Alarm::DataLost { mine, proven }));
        }
        if self.lost.is_none() {
            // Before what is held goes, so that all of it lies below what is signed after the recovery.
            self.lose(self.held.version());
        }
        self.fix(|fixed| {
            fixed.terms.generation = generation;
            fixed.capacity = capacity;
        });
        let me = self.fixed.me;
        let balances = match me {
            Party::A => (Amount::ZERO, capacity),
            Party::B => (capacity, Amount::ZERO),
        };
        let known = &self.held.content;
        let mut content = Content { sent_a: known.sent_a, sent_b: known.sent_b, ..known.clone() };
        (content.state.generation, content.state.version, content.state.is_final) = (generation, 0, false);
        (content.state.balance_a, content.state.balance_b) = balances;
        let nobody = StateSignature { held: 0, signature: Signature([0; 64]) };
        self.held = Held { content, theirs: nobody, mine: Some(nobody) };
        self.guard.forget(generation);
        if let Some(lost) = &mut self.lost {
            lost.proven = 0;
        }
        (self.posted, self.funding) = (None, None);
        self.memory.early = None;
        self.memory.unanswered = None;
        self.begin_anew();
        self.memory.link.renewing = false;
    }
}
