//! Recovery, the other side (SPEC P-51, P-54): a party that has lost data asks; it is told the newest state, and offered
//! the same content again under a version far above all that either can have signed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::machine::Channel;
use super::onchain::own;
use super::recover::plausible;
use super::state::{Burnt, Lost, OpenProposal};
use crate::effect::{Alarm, Effect, Failure, ResizeFailure};
use crate::error::Reject;
use crate::journal::EventKind;
use crate::life::{ClosingStage, Life};
use crate::limits::{OPEN_MAX, RECOVERY_GAP, VERSION_MAX};
use crate::message::{Answer, ChannelMessage, Jump, Propose, Recover, Resume};
use crate::row::Key;
use crate::verify::Verifier;

impl Channel {
    /// The peer has lost data.
    pub(super) fn on_recover(&mut self, theirs: Recover, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        if theirs.generation != self.fixed.terms.generation {
            return self.on_other_generation(theirs.generation, ChannelMessage::Recover(Box::new(theirs)));
        }
        let newest = theirs.newest.as_ref().map(|newest| (newest.co_signed(), &newest.content));
        if let Some((newest, _)) = &newest {
            self.check_shown(newest, verifier)?;
        }
        let known = self.guard.mark().version.max(self.held.version());
        if theirs.floor > plausible(known, self.memory.now) {
            return Err(Reject::Unproven(theirs.floor));
        }
        match self.life {
            Life::Opening => return Err(Reject::NotReestablished("recover")),
            Life::Settled(_) => return Ok(()),
            Life::Active | Life::Closing(_) | Life::Disputed => {}
        }
        if let Some((newest, content)) = newest {
            if self.proves_loss(&newest) {
                self.lose_by_proof(newest.state.version);
            }
            if self.lost.is_some() {
                self.learn(&newest, Some(content));
            } else {
                self.adopt(&newest)?;
            }
        }
        self.memory.link.floor_peer = Some(theirs.floor);
        self.memory.link.question_peer = theirs.question;
        if self.lost.is_none() {
            self.go_offline();
            self.memory.link.received = true;
            self.memory.link.resumed = false;
            self.memory.turn.recover = Some(theirs.floor);
        }
        Ok(())
    }

    /// Tells the peer where to go on, if it asked, or if it was told and has not acknowledged it.
    pub(super) fn say_resume(&mut self) {
        let asked = self.memory.turn.recover.take();
        if self.lost.is_some() {
            return;
        }
        if self.is_sealed() {
            // A state of this generation can't be signed before the ledger has decided; then it is said.
            return;
        }
        if let Some(floor) = asked {
            self.make_jump(floor);
            if self.life == Life::Closing(ClosingStage::Finishing) {
                // Nothing is signed above final balances, and the other will not sign them: it cannot know whether it
                // signed another content under their version.
                self.effect(Effect::CloseAlone);
            }
        }
        let jump =
            self.open_jump().map(|open| Jump { version: open.version(), signature: open.propose.signature });
        let link = &self.memory.link;
        let due = asked.is_some() || (jump.is_some() && link.received);
        if !link.connected || link.resumed || !due {
            return;
        }
        if self.may_sign() {
            let _then_it_is_complete = self.complete();
        }
        let Some(newest) = self.held.evidence(self.fixed.me) else { return };
        self.memory.link.resumed = true;
        let (generation, question) = (self.fixed.terms.generation, self.memory.link.question_peer);
        let resume = Resume { generation, question, newest, jump };
        self.send(ChannelMessage::Resume(Box::new(resume)));
    }

    /// The jump that waits for its acknowledgement.
    pub(super) fn open_jump(&self) -> Option<&Arc<OpenProposal>> {
        self.last_open().filter(|open| open.is_jump())
    }

    /// Signs the newest content again, above `floor`. What was open is burnt: the side that asked will never sign it.
    fn make_jump(&mut self, floor: u64) {
        let signs = match self.life {
            Life::Active | Life::Closing(ClosingStage::Draining) => !self.guard.mark().is_final,
            Life::Opening | Life::Closing(_) | Life::Disputed | Life::Settled(_) => false,
        };
        let held = self.held.version();
        let fits = |open: &Arc<OpenProposal>| open.version() > floor && open.propose.base == held;
        if !signs || self.open_jump().is_some_and(fits) {
            return;
        }
        self.end_resize(ResizeFailure::Lost);
        self.burn_open();
        self.memory.inbox.clear();
        let version = self.next_version().max(floor + 1).max(held.saturating_add(RECOVERY_GAP + 1));
        if version > VERSION_MAX || self.open.len() >= OPEN_MAX {
            return;
        }
        // Its own signature on what it holds comes first: nobody builds on a claim that it did not take.
        if self.complete().is_none() {
            return;
        }
        let mut content = self.held.content.clone();
        content.state.version = version;
        let signature = match self.guard.sign_state(&self.fixed.chain, &content.state, held) {
            Ok(signature) => signature,
            Err(error) => return self.effect(Effect::Alarm(Alarm::Signer(error))),
        };
        self.record(EventKind::Proposed((&content).into()));
        let propose = Propose { version, base: held, updates: Vec::new(), answer: Answer::Now, signature };
        let proposal = OpenProposal { propose, content, burnt: None };
        self.put(Key::Proposal(version), &proposal);
        self.open.push_back(Arc::new(proposal));
    }

    /// The proposal of `version`, if the peer may show it completed: it was not refused, and it is not burnt, or only
    /// because the peer seemed to have lost it.
    pub(super) fn completable(&self, version: u64) -> Option<&Arc<OpenProposal>> {
        let after_loss = self.open.iter().any(|open| open.is_jump());
        let shown = self.proposed(version)?;
        let revivable = |open: &Arc<OpenProposal>| match open.burnt {
            None => true,
            Some(Burnt::Dependent) => after_loss,
            Some(Burnt::Refused { .. }) => false,
        };
        let chain = self.chain_of(version);
        let whole = self.open.iter().filter(|open| chain.contains(&open.version())).all(revivable);
        (whole && revivable(shown)).then_some(shown)
    }

    /// The versions that `version` is built on, above the held one, and itself.
    pub(super) fn chain_of(&self, version: u64) -> BTreeSet<u64> {
        let (mut chain, mut next) = (BTreeSet::new(), version);
        for open in self.open.iter().rev() {
            if open.version() == next {
                chain.insert(next);
                next = open.propose.base;
            }
        }
        chain
    }

    /// A version that was burnt when the peer had lost it, and which the peer found again, signed by both: it counts, and
    /// what was proposed in its place does not (SPEC P-12).
    pub(super) fn revive(&mut self, shown: &OpenProposal) {
        let chain = self.chain_of(shown.version());
        for position in 0..self.open.len() {
            if !self.open.get(position).is_some_and(|open| chain.contains(&open.version())) {
                self.burn(position, Burnt::Dependent);
            }
        }
        let mut made = BTreeSet::new();
        for open in self.open.iter_mut().filter(|open| chain.contains(&open.version())) {
            Arc::make_mut(open).burnt = None;
            made.extend(own(&open.propose.updates, self.fixed.me));
        }
        let (me, peer) = (self.fixed.me, self.peer_party());
        self.memory.failing.retain(|number, _| !made.contains(number));
        self.memory.inbox.retain(|number, _| *number > shown.content.sent(peer));
        let past: Vec<u64> =
            self.outgoing.numbers().filter(|number| *number <= shown.content.sent(me)).collect();
        for number in past {
            self.outgoing.remove(number);
            self.delete(Key::Request(number));
            if !made.contains(&number) {
                self.effect(Effect::Failed { number, reason: Failure::Skipped });
            }
        }
    }

    /// What is open is not acknowledged any more; what it contained waits again.
    fn burn_open(&mut self) {
        let Some(first) = self.open.iter().find(|open| !open.is_burnt()).map(|open| open.version()) else {
            return;
        };
        for position in 0..self.open.len() {
            self.burn(position, Burnt::Dependent);
        }
        self.record(EventKind::Burnt { version: first });
    }

    /// Where the peer wants to go on.
    pub(super) fn on_resume(&mut self, theirs: Resume, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        if theirs.generation != self.fixed.terms.generation {
            return Err(Reject::NotReestablished("resume"));
        }
        if self.lost.is_some() {
            return self.on_answer_to_lost(&theirs, verifier);
        }
        // Not asked: this node recovered once, and came back from a copy that is older than that. The peer shows no more
        // than what is held here, and may hide what both signed above that jump since: only a floor of now is above all of
        // it, so the peer is asked (SPEC P-55).
        let Some(jump) = &theirs.jump else { return Ok(()) };
        let signs = matches!(self.life, Life::Active | Life::Closing(ClosingStage::Draining));
        let known = theirs.newest.content.state == self.held.content.state;
        let lower = self.open_jump().is_some_and(|own| own.version() >= jump.version);
        if !signs || !self.memory.link.received || jump.version <= self.held.version() || lower {
            return Ok(());
        }
        if !known {
            return Err(Reject::Base {
                base: theirs.newest.content.state.version,
                held: self.held.version(),
            });
        }
        self.check_jump(jump, &theirs.newest.content, verifier)?;
        self.lose(self.held.version());
        self.lost = self.lost.map(|lost| Lost { floor: lost.floor.max(jump.version), ..lost });
        Ok(())
    }
}
