//! Resizing, the side that proposes it (SPEC P-60 to P-64): once nothing is open, the sequencer offers the first state of
//! the next generation, and signs the transaction only when it holds the other's signature on that state.

use std::collections::BTreeSet;
use std::sync::Arc;

use towpath_crypto::Amount;
use towpath_crypto::ed25519::{Check, Signature};
use towpath_crypto::{Digest, Signable};
use towpath_ledger::rules::{check_state, check_terms};
use towpath_ledger::{
    ChannelTerms, Lock, OutPoint, Output, Party, ResizeIntent, StateSignature, Transaction, TxBody, Witness,
};

use super::machine::Channel;
use super::state::{Resizing, Turnholder};
use crate::canary::{Canary, sings};
use crate::effect::{Alarm, Effect, ResizeFailure};
use crate::error::Reject;
use crate::event::Token;
use crate::journal::EventKind;
use crate::life::{ClosingStage, Life};
use crate::limits::RESIZE_MS_MAX;
use crate::message::{
    Change, ChannelMessage, FundingInput, RefuseReason, Resize, ResizeAgreed, ResizePlan, WalletWitness,
    check_funding,
};
use crate::row::Key;
use crate::update::Content;
use crate::verify::Verifier;

/// The proposer brings what it adds, or takes no more than it is paid out.
fn check_sums(plan: &ResizePlan, asset: towpath_ledger::AssetId) -> Result<(), Reject> {
    let of_asset = |output: &Output| (output.asset == asset).then_some(output.amount);
    let brought = Amount::checked_sum(plan.inputs.iter().filter_map(|input| of_asset(&input.output)));
    let taken = Amount::checked_sum(plan.outputs.iter().filter_map(of_asset));
    let (Some(brought), Some(taken)) = (brought, taken) else {
        return Err(Reject::Resize("amounts too large"));
    };
    let (has, needs) = match plan.change {
        Change::Add(amount) => (Some(brought), taken.checked_add(amount)),
        Change::PayOut(amount) => (brought.checked_add(amount), Some(taken)),
    };
    match (has, needs) {
        (Some(has), Some(needs)) if has >= needs => Ok(()),
        (Some(_), Some(_)) => Err(Reject::Resize("less is brought than is promised")),
        (None, _) | (_, None) => Err(Reject::Resize("amounts too large")),
    }
}

fn check_inputs(inputs: &[FundingInput], funding: &OutPoint) -> Result<(), Reject> {
    if inputs.iter().any(|input| !matches!(input.output.lock, Lock::Wallet(_))) {
        return Err(Reject::Resize("an input that is not a wallet's"));
    }
    let distinct: BTreeSet<&OutPoint> = inputs.iter().map(|input| &input.outpoint).chain([funding]).collect();
    if distinct.len() != inputs.len() + 1 {
        return Err(Reject::Resize("one input twice"));
    }
    Ok(())
}

impl Channel {
    /// Whether a resize is under way: then no payment gets into a version, since the next generation would not have it.
    pub(super) fn is_frozen(&self) -> bool {
        (self.resize.is_some() && !sings(Canary::PaysDuringResize)) || self.memory.wishes.resize.is_some()
    }

    /// Whether this party signed a resize that may become final.
    pub(super) fn is_sealed(&self) -> bool {
        self.resize.as_ref().is_some_and(|resize| resize.is_sealed())
    }

    /// What this party pays out of the channel, if the resize becomes final: nobody is promised it.
    pub(super) fn paid_out(&self) -> Amount {
        let mine = self.resize.as_ref().filter(|resize| resize.by == self.fixed.me);
        let wish = self.memory.wishes.resize.as_ref().map(|(_, plan)| plan.change);
        match mine.map(|resize| resize.plan.change).or(wish) {
            Some(Change::PayOut(amount)) => amount,
            Some(Change::Add(_)) | None => Amount::ZERO,
        }
    }

    /// What the next generation is, and the first content in it: nobody's balance but that of `by` changes (SPEC P-60).
    pub(super) fn next_generation(
        &self,
        by: Party,
        plan: &ResizePlan,
        version: u64,
    ) -> Result<Content, Reject> {
        let funding = self.funding.ok_or(Reject::NotActive)?;
        if plan.change.amount().is_zero() {
            return Err(Reject::ZeroAmount);
        }
        if let Change::PayOut(wanted) = plan.change {
            let spendable = self.held.content.spendable(by, &self.fixed.terms);
            if wanted > spendable {
                return Err(Reject::Balance { wanted, spendable });
            }
        }
        if check_funding(&plan.inputs, &plan.outputs).is_err() {
            return Err(Reject::Resize("too many inputs or outputs"));
        }
        check_inputs(&plan.inputs, &funding)?;
        check_sums(plan, self.fixed.asset)?;
        let now = self.memory.now.ledger;
        if plan.expiry <= now || plan.expiry.ms_since(now) > RESIZE_MS_MAX {
            return Err(Reject::Resize("it expires too soon, or too late"));
        }
        let mut content = self.held.content.clone();
        let state = &mut content.state;
        let balance = match by {
            Party::A => &mut state.balance_a,
            Party::B => &mut state.balance_b,
        };
        *balance = plan.change.of(*balance).ok_or(Reject::Resize("amounts too large"))?;
        let terms = self.next_terms().ok_or(Reject::Resize("it was resized too often"))?;
        (state.generation, state.version) = (terms.generation, version);
        let capacity = state.total().ok_or(Reject::Resize("amounts too large"))?;
        self.check_next(&terms, capacity, &content)?;
        Ok(content)
    }

    /// What the ledger asks of the resized channel, and what this node does.
    fn check_next(&self, terms: &ChannelTerms, capacity: Amount, content: &Content) -> Result<(), Reject> {
        let Some(bounds) = &self.memory.bounds else { return Err(Reject::Busy) };
        check_terms(terms, (self.fixed.asset, capacity), &bounds.params, self.memory.now.ledger)?;
        bounds.accepts.check(terms, (self.fixed.asset, capacity), (self.fixed.chain, &bounds.params))?;
        check_state(terms, capacity, &content.state)?;
        Ok(())
    }

    fn next_terms(&self) -> Option<ChannelTerms> {
        let generation = self.fixed.terms.generation.checked_add(1)?;
        Some(ChannelTerms { generation, ..self.fixed.terms.clone() })
    }

    /// The transaction, as both assemble it.
    pub(super) fn resize_body(&self, plan: &ResizePlan, content: &Content) -> Option<TxBody> {
        let (funding, terms) = (self.funding?, self.next_terms()?);
        let amount = content.state.total()?;
        let channel = Output { asset: self.fixed.asset, amount, lock: Lock::Channel(Box::new(terms)) };
        let inputs = plan.inputs.iter().map(|input| input.outpoint);
        Some(TxBody {
            chain: self.fixed.chain,
            inputs: std::iter::once(funding).chain(inputs).collect(),
            outputs: std::iter::once(channel).chain(plan.outputs.iter().cloned()).collect(),
            not_before: None,
            expiry: Some(plan.expiry),
            payload: None,
        })
    }

    pub(super) fn resize_intent(&self, plan: &ResizePlan, content: &Content) -> Option<ResizeIntent> {
        Some(ResizeIntent { transaction: self.resize_body(plan, content)?.id(), channel: self.id() })
    }

    /// A caller resizes the channel: it waits until this party proposes, and nothing is open.
    pub(super) fn on_resize_wish(&mut self, token: Token, plan: Box<ResizePlan>) -> Result<(), Reject> {
        self.check_usable()?;
        // Right after a resize the session goes on as soon as both replicas show it.
        if !self.memory.link.up && !self.memory.link.renewing {
            return Err(Reject::Offline);
        }
        if self.is_frozen() {
            return Err(Reject::Resize("another resize is under way"));
        }
        if let Change::PayOut(wanted) = plan.change {
            // What waits was promised before.
            let spendable = self.spendable();
            if wanted > spendable {
                return Err(Reject::Balance { wanted, spendable });
            }
        }
        self.next_generation(self.fixed.me, &plan, self.held.version().saturating_add(1))?;
        self.memory.wishes.resize = Some((token, plan));
        if self.turnholder() == Turnholder::Sequencer {
            self.memory.wishes.hand_over = false;
        } else {
            self.memory.wishes.take = true;
        }
        Ok(())
    }

    /// The end of a turn: what can be offered is, what is agreed on is signed, and what must be said is said.
    pub(super) fn resize(&mut self) {
        self.agree_to_resize();
        self.drop_resize_wish();
        self.offer_resize();
        self.sign_resize();
        let again = std::mem::take(&mut self.memory.turn.resize_again);
        if !again || !self.memory.link.up {
            return;
        }
        let Some(resize) = self.resize.clone() else { return };
        if resize.by != self.fixed.me {
            self.send_agreed(&resize);
        } else if !resize.is_sealed() {
            self.send_offer(&resize);
        }
    }

    /// A wish that can't be carried out any more is declined; nothing was signed for it.
    fn drop_resize_wish(&mut self) {
        let Some((_, plan)) = &self.memory.wishes.resize else { return };
        let link = &self.memory.link;
        let reason = if self.lost.is_some() {
            Reject::Lost
        } else if self.life != Life::Active {
            Reject::Closing
        } else if !link.up && !link.renewing {
            Reject::Offline
        } else if self.memory.now.ledger >= plan.expiry {
            Reject::Resize("it expired before the channel was ready for it")
        } else {
            return;
        };
        self.decline_resize_wish(reason);
    }

    fn decline_resize_wish(&mut self, reason: Reject) {
        if let Some((token, _)) = self.memory.wishes.resize.take() {
            self.effect(Effect::Declined { token, reason });
        }
    }

    fn offer_resize(&mut self) {
        let ready = self.memory.link.up
            && self.resize.is_none()
            && self.turnholder() == Turnholder::Sequencer
            && self.open.is_empty()
            && self.next_version() < self.version_limit();
        if !ready || self.memory.wishes.resize.is_none() || self.complete().is_none() {
            return;
        }
        let Some((token, plan)) = self.memory.wishes.resize.take() else { return };
        match self.try_offer(*plan) {
            Ok(()) => self.done(token),
            Err(reason) => self.effect(Effect::Declined { token, reason }),
        }
    }

    fn try_offer(&mut self, plan: ResizePlan) -> Result<(), Reject> {
        let (me, base) = (self.fixed.me, self.held.version());
        let content = self.next_generation(me, &plan, self.next_version())?;
        // It holds nothing of the next generation yet.
        let mine = self.sign_next(&content, 0)?;
        let resize = Resizing {
            by: me,
            base,
            plan,
            content,
            mine,
            theirs: None,
            intent: None,
            intent_theirs: None,
            witnesses: None,
        };
        self.record_resize(&resize);
        self.keep_resize(resize);
        self.memory.turn.resize_again = true;
        Ok(())
    }

    pub(super) fn sign_next(&mut self, content: &Content, held: u64) -> Result<StateSignature, Reject> {
        self.memory.turn.dirty = true;
        self.guard.sign_state(&self.fixed.chain, &content.state, held).map_err(|error| {
            self.effect(Effect::Alarm(Alarm::Signer(error)));
            Reject::Signer
        })
    }

    pub(super) fn record_resize(&mut self, resize: &Resizing) {
        if let Some(body) = self.resize_body(&resize.plan, &resize.content) {
            let (by, change) = (resize.by, resize.plan.change);
            let (version, transaction) = (resize.version(), body.id());
            self.record(EventKind::ResizeSigned { by, change, version, transaction });
        }
    }

    pub(super) fn keep_resize(&mut self, resize: Resizing) {
        self.put(Key::Resize, &resize);
        self.resize = Some(Arc::new(resize));
    }

    fn send_offer(&mut self, resize: &Resizing) {
        let (base, version, plan) = (resize.base, resize.version(), resize.plan.clone());
        let offer = Resize { base, version, plan, signature: resize.mine };
        self.send(ChannelMessage::Resize(Box::new(offer)));
    }

    /// The follower agrees.
    pub(super) fn on_resize_agreed(
        &mut self,
        agreed: &ResizeAgreed,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        let pending = self.resize.clone().filter(|resize| resize.by == self.fixed.me);
        let Some(resize) = pending.filter(|resize| resize.version() == agreed.version) else {
            // To an offer that has expired since, or that this party never made.
            let is_late = agreed.version <= self.guard.highest();
            return if is_late { Ok(()) } else { Err(Reject::NotOpen(agreed.version)) };
        };
        if resize.theirs.is_some() {
            return Ok(());
        }
        if agreed.signature.held != agreed.version {
            return Err(Reject::Held { held: agreed.signature.held });
        }
        let key = *self.fixed.terms.key(self.peer_party());
        let Some(intent) = self.resize_intent(&resize.plan, &resize.content) else { return Ok(()) };
        let digest: Digest = intent.signing_digest(&self.fixed.chain);
        let state = agreed.signature.check(&key, &self.fixed.chain, &resize.content.state);
        // Both: a state of the next generation makes none of this one irrelevant.
        if !verifier.verify(state) || !verifier.verify(Check { key, digest, signature: agreed.intent }) {
            return Err(Reject::Signature);
        }
        let (theirs, intent_theirs) = (Some(agreed.signature), Some(agreed.intent));
        self.keep_resize(Resizing { theirs, intent_theirs, ..(*resize).clone() });
        Ok(())
    }

    /// Both hold the first state of the next generation: now, and not before, the transaction may exist.
    fn sign_resize(&mut self) {
        let Some(resize) = self.resize.clone() else { return };
        let agreed = resize.by == self.fixed.me && resize.intent_theirs.is_some();
        if !agreed || resize.is_sealed() || !self.goes_on() || self.lost.is_some() {
            return;
        }
        let Some(intent) = self.resize_intent(&resize.plan, &resize.content) else { return };
        let signature: Signature = match self.guard.sign_resize(&self.fixed.chain, &intent) {
            Ok(signature) => signature,
            Err(error) => return self.effect(Effect::Alarm(Alarm::Signer(error))),
        };
        self.keep_resize(Resizing { intent: Some(signature), ..(*resize).clone() });
        self.owe_resize();
    }

    /// Whether the channel is not being ended: a close that this party posted is what it owes to the ledger, and no resize.
    fn goes_on(&self) -> bool {
        matches!(self.life, Life::Active | Life::Closing(ClosingStage::Draining))
    }

    /// What an agreed resize needs next of the wallet, or of the ledger; safe to ask again.
    pub(super) fn owe_resize(&mut self) {
        if !self.goes_on() {
            return;
        }
        let Some(resize) = self.resize.clone().filter(|resize| resize.by == self.fixed.me) else { return };
        let (Some(mine), Some(theirs)) = (resize.intent, resize.intent_theirs) else { return };
        let Some(body) = self.resize_body(&resize.plan, &resize.content) else { return };
        let inputs = &resize.plan.inputs;
        let Some(wallet) = resize.witnesses.clone().or_else(|| inputs.is_empty().then(Vec::new)) else {
            let spent = std::iter::once(self.fixed.output());
            let spent = spent.chain(inputs.iter().map(|input| input.output.clone())).collect();
            return self.effect(Effect::SignFunding { body, spent, from: 1, to: inputs.len() + 1 });
        };
        let (a, b) = match self.fixed.me {
            Party::A => (mine, theirs),
            Party::B => (theirs, mine),
        };
        let wallet = wallet.into_iter().map(Witness::Wallet);
        let witnesses = std::iter::once(Witness::Resize { a, b }).chain(wallet).collect();
        self.effect(Effect::Broadcast(Transaction { body, witnesses }));
    }

    /// The wallet signed this party's inputs.
    pub(super) fn on_resize_witnesses(&mut self, witnesses: Vec<WalletWitness>) -> Result<(), Reject> {
        let Some(resize) = self.resize.clone().filter(|resize| resize.by == self.fixed.me) else {
            return Ok(());
        };
        if witnesses.len() != resize.plan.inputs.len() {
            return Err(Reject::Report("witnesses of another number of inputs"));
        }
        if resize.is_sealed() && resize.witnesses.is_none() {
            self.keep_resize(Resizing { witnesses: Some(witnesses), ..(*resize).clone() });
            self.owe_resize();
        }
        Ok(())
    }

    /// The peer refused the offer. It can't have signed the transaction, or it would be the one that waits for it.
    pub(super) fn on_resize_refused(&mut self, version: u64, reason: RefuseReason) -> Result<(), Reject> {
        let mine = self.resize.as_ref().filter(|resize| resize.by == self.fixed.me);
        match mine {
            Some(resize) if resize.version() == version && !resize.is_sealed() => {
                self.end_resize(ResizeFailure::Refused(reason));
                Ok(())
            }
            Some(_) | None if version <= self.guard.highest() => Ok(()),
            Some(_) | None => Err(Reject::NotOpen(version)),
        }
    }
}
