//! What the ledger shows of a channel, and what this party does about it (SPEC P-22, P-23).

use std::collections::BTreeMap;

use towpath_crypto::Amount;
use towpath_ledger::rules::Account;
use towpath_ledger::{
    ChannelState, ChannelTerms, CloseAnswer, Closing, Deadline, Entry, Lock, OutPoint, Party, SignedState,
    Time,
};

use super::machine::Channel;
use super::renew::Shown;
use super::state::{Plan, Resizing, SeenClosing};
use crate::canary::{Canary, sings};
use crate::effect::{Alarm, Effect, Failure, ResizeFailure};
use crate::error::Reject;
use crate::journal::EventKind;
use crate::life::{ClosingStage, Life, Settlement};
use crate::row::Key;
use crate::update::Update;
use crate::verify::Verifier;

impl Channel {
    /// The funding: nothing counts before this node's own replica shows exactly what was agreed (FAULTS C1).
    pub(super) fn on_funded(
        &mut self,
        outpoint: OutPoint,
        entry: &Entry,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        if self.funding == Some(outpoint) {
            return Ok(());
        }
        if let Lock::Channel(terms) = &entry.output.lock
            && entry.output.asset == self.fixed.asset
        {
            let (own, capacity) = (self.fixed.terms.generation, entry.output.amount);
            match self.shown(terms, capacity) {
                shown @ (Shown::Next | Shown::Unknown) => {
                    return self.on_resized(outpoint, (terms, capacity), shown, verifier);
                }
                // An old report, repeated.
                Shown::Foreign if terms.id == self.id() && terms.generation < own => return Ok(()),
                Shown::This | Shown::Foreign => {}
            }
        }
        if self.life != Life::Opening {
            return Err(Reject::Report("a second funding"));
        }
        let output = &entry.output;
        if output.asset != self.fixed.asset {
            return Err(Reject::Funding("asset"));
        }
        if output.amount != self.fixed.capacity && !sings(Canary::FundingUnverified) {
            return Err(Reject::Funding("amount"));
        }
        match &output.lock {
            Lock::Channel(terms) if **terms == self.fixed.terms => {}
            Lock::Channel(_) | Lock::Wallet(_) | Lock::Closing(_) | Lock::Conditional(_) => {
                return Err(Reject::Funding("terms"));
            }
        }
        let expected_outpoint = match &self.fixed.plan {
            Plan::Single { index, .. } => OutPoint { tx: outpoint.tx, index: *index },
            Plan::Dual { .. } => OutPoint { tx: self.funding_body().id(), index: 0 },
            Plan::Found => outpoint,
        };
        if outpoint != expected_outpoint {
            return Err(Reject::Funding("outpoint"));
        }
        self.funding = Some(outpoint);
        self.record(EventKind::Funded(outpoint));
        self.become_life(Life::Active);
        Ok(())
    }

    /// The ledger shows a later generation of the channel.
    fn on_resized(
        &mut self,
        outpoint: OutPoint,
        (terms, capacity): (&ChannelTerms, Amount),
        shown: Shown,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        match self.life {
            Life::Active | Life::Closing(_) => {}
            Life::Opening => {
                self.become_life(Life::Active);
            }
            Life::Disputed | Life::Settled(_) => return Err(Reject::Report("a resize of a closed channel")),
        }
        let body = |resize: &std::sync::Arc<Resizing>| self.resize_body(&resize.plan, &resize.content);
        let expected = self.resize.as_ref().and_then(body).map(|body| OutPoint { tx: body.id(), index: 0 });
        if shown == Shown::Next && expected == Some(outpoint) {
            self.renew(verifier);
        } else {
            self.lose_to_ledger(terms, capacity);
            self.funding = Some(outpoint);
        }
        Ok(())
    }

    /// A closing output: by either party, or a newer one that replaced it.
    pub(super) fn on_closing(
        &mut self,
        (outpoint, created): (OutPoint, Time),
        closing: Closing,
        fee: Amount,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        if matches!(self.life, Life::Settled(_)) {
            return Ok(());
        }
        match self.shown(&closing.terms, closing.capacity) {
            Shown::This => {}
            Shown::Next => self.renew(verifier),
            Shown::Unknown => self.lose_to_ledger(&closing.terms, closing.capacity),
            Shown::Foreign => {
                let id = self.id();
                self.effect(Effect::Alarm(Alarm::ForeignClosing(id)));
                return Ok(());
            }
        }
        match self.life {
            Life::Active | Life::Closing(_) | Life::Disputed => {}
            // The ledger makes a closing of these terms out of a channel only: it was funded while nobody looked.
            Life::Opening => {
                self.become_life(Life::Active);
            }
            Life::Settled(_) => return Ok(()),
        }
        let deadline = match closing.deadline {
            Deadline::FromCreation => created.plus_ms(self.fixed.terms.dispute_window_ms),
            Deadline::At(time) => time,
        };
        self.record(EventKind::ClosingSeen { version: closing.state.version, author: closing.author });
        self.memory.turn.closing = Some(Box::new(SeenClosing { outpoint, closing, deadline, fee }));
        Ok(())
    }

    /// Reacts to the newest closing that this turn showed.
    pub(super) fn react(&mut self) {
        let Some(seen) = self.memory.turn.closing.take().filter(|_| !matches!(self.life, Life::Settled(_)))
        else {
            return;
        };
        // Its output is spent, so no resize can spend it, nor a close that was to be posted in it.
        self.end_resize(ResizeFailure::Closed);
        self.memory.turn.post_anew = None;
        let (posted, held) = (seen.closing.state.version, self.held.version());
        if posted > held && self.proposed(posted).is_none() {
            // The ledger shows a state with this party's signature that this node does not know.
            self.lose_by_proof(posted);
        }
        if let Some(lost) = &mut self.lost {
            lost.proven = lost.proven.max(posted);
            self.memory.turn.dirty = true;
        }
        let by_peer = seen.closing.author != self.fixed.me;
        let proof =
            (by_peer && !seen.closing.penalized && self.held.theirs.held > seen.closing.posted_version)
                .then(|| SignedState { state: self.held.content.state.clone(), signature: self.held.theirs });
        let contested = held > posted || proof.is_some();
        self.decline_waiting();
        self.become_life(if contested { Life::Disputed } else { Life::Closing(ClosingStage::Unilateral) });
        self.go_offline();
        let (closing, deadline) = (seen.outpoint, seen.deadline);
        // After a loss of data only what was found since is shown, once all sources were asked: it can only be better.
        if self.lost.is_some() && (held <= posted || !self.memory.searched) {
            self.memory.unanswered = Some(seen);
        } else if by_peer {
            self.answer_closing(&seen, proof);
        } else if held > posted
            && let Some(state) = self.complete()
        {
            self.effect(Effect::Supersede { closing, state: Box::new(state) });
        }
        self.effect(Effect::Finalize { closing, deadline });
    }

    /// Settles at once: by a newer state if this party holds one, else by the posted one, with the proof if the
    /// author knew better.
    fn answer_closing(&mut self, seen: &SeenClosing, proof: Option<SignedState>) {
        let posted = &seen.closing.state;
        let agrees = sings(Canary::AgreesToOld);
        let newer = if self.held.version() > posted.version && !agrees { self.complete() } else { None };
        if newer.is_none() && !agrees && self.held.version() > posted.version {
            // An alarm told that it can't be signed. To agree to the older state would give the difference away.
            return;
        }
        let settles: ChannelState =
            newer.as_ref().map_or_else(|| posted.clone(), |newer| newer.state.clone());
        let penalized = seen.closing.penalized || proof.is_some();
        let fee = seen.fee.min(answer_fee_max(&seen.closing, &settles, penalized));
        let answer = CloseAnswer { closing: seen.outpoint, state: settles, penalized, fee };
        match self.guard.sign_answer(&self.fixed.chain, &answer) {
            Ok(signature) => self.effect(Effect::Answer {
                closing: seen.outpoint,
                state: newer.map(Box::new),
                proof: proof.map(Box::new),
                settles: Box::new(answer.state),
                fee,
                signature,
            }),
            Err(error) => self.effect(Effect::Alarm(Alarm::Signer(error))),
        }
    }

    /// The end: what is in the settled version is paid, what is not never will be.
    pub(super) fn on_settled(
        &mut self,
        version: u64,
        outcome: Settlement,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        if matches!(self.life, Life::Settled(_)) {
            return Ok(());
        }
        if !self.life.may_become(Life::Settled(outcome)) {
            return Err(Reject::Report("a settlement before the funding"));
        }
        // Versions count on through the generations: this one tells whether the resize came first. One that this party never
        // signed did not.
        let agreed = self.resize.as_ref().filter(|resize| resize.is_sealed());
        if agreed.is_some_and(|resize| version >= resize.version()) {
            self.renew(verifier);
        }
        self.end_resize(ResizeFailure::Closed);
        self.memory.turn.post_anew = None;
        self.decline_waiting();
        if self.lost.is_some() {
            self.settle_lost(version);
        } else {
            self.settle_open(version);
        }
        let held = self.held.version();
        if version < held {
            self.effect(Effect::Alarm(Alarm::Loss { version, held, outcome }));
        }
        self.become_life(Life::Settled(outcome));
        Ok(())
    }

    /// Resolves what is open after a loss of data: with the settled state, if it is the one that is known.
    fn settle_lost(&mut self, version: u64) {
        // What was learned since stands after the loss, too, also on a disk that is read again: the signer and the numbers
        // rise to it. A claim that a resize kept from being signed stays above all that was signed.
        if self.held.mine.is_some() {
            self.end_loss();
        }
        self.lost = None;
        let sent = self.held.content.sent(self.fixed.me);
        self.number_past(sent);
        let is_known = version == self.held.version();
        // Otherwise any payment may be in it.
        self.resolve_lost(if is_known { sent } else { u64::MAX });
    }

    /// Resolves what is open: the peer may have completed any open proposal, a burnt one too.
    fn settle_open(&mut self, version: u64) {
        let included = self.chain_of(version);
        let open = std::mem::take(&mut self.open);
        let me = self.fixed.me;
        let mut failed: BTreeMap<u64, Failure> =
            self.outgoing.numbers().map(|number| (number, Failure::Closed)).collect();
        failed.extend(
            open.iter().flat_map(|open| own(&open.propose.updates, me)).map(|n| (n, Failure::Closed)),
        );
        let failing = std::mem::take(&mut self.memory.failing);
        failed.extend(failing.into_iter().map(|(number, (_, reason))| (number, Failure::Refused(reason))));
        let mut upto = None;
        for proposal in &open {
            self.delete(Key::Proposal(proposal.version()));
            if included.contains(&proposal.version()) {
                self.report_received(&proposal.propose.updates);
                for number in own(&proposal.propose.updates, me) {
                    failed.remove(&number);
                    upto = upto.max(Some(number));
                }
            }
        }
        for number in self.outgoing.numbers().collect::<Vec<_>>() {
            self.outgoing.remove(number);
            self.delete(Key::Request(number));
        }
        let failed = failed.into_iter().map(|(number, reason)| Effect::Failed { number, reason });
        self.memory.turn.effects.extend(failed);
        if let Some(upto) = upto {
            self.effect(Effect::Settled { upto });
        }
    }
}

/// The most that the other party than the author can pay out of its balance to settle `closing` by `settles`: what is
/// left of it, and of its bound (ledger SPEC C-41 to C-43).
fn answer_fee_max(closing: &Closing, settles: &ChannelState, penalized: bool) -> Amount {
    let settled = Closing { state: settles.clone(), penalized, ..closing.clone() };
    let (other, fees_max) = (closing.author.other(), closing.terms.close_fee_max);
    Account::of_closing(&settled).map_or(Amount::ZERO, |account| account.room(other, fees_max))
}

/// The numbers of the payments by `me`.
pub(super) fn own(updates: &[Update], me: Party) -> impl Iterator<Item = u64> + '_ {
    updates.iter().filter_map(move |update| match update {
        Update::Transfer(transfer) if transfer.from == me => Some(transfer.number),
        Update::Transfer(_) | Update::Handover | Update::Finish => None,
    })
}
