//! The sequencer's half of a turn's end: what waits becomes versions (SPEC P-6 to P-9).

use std::sync::Arc;

use super::machine::Channel;
use super::state::{OpenProposal, Turnholder};
use crate::canary::{Canary, sings};
use crate::effect::{Alarm, Effect, Failure};
use crate::error::Reject;
use crate::event::Token;
use crate::journal::EventKind;
use crate::life::{ClosingStage, Life};
use crate::limits::{ACK_AT_LATEST, IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MAX, OPEN_MAX, UPDATES_MAX, VERSION_MAX};
use crate::message::{Answer, ChannelMessage, Propose, RefuseReason, Refused};
use crate::row::Key;
use crate::update::{Content, Transfer, Update};

/// The updates of one version, and who is told.
struct Batch {
    updates: Vec<Update>,
    content: Content,
    sent: Vec<(Token, u64)>,
}

impl Channel {
    /// Proposes what waits, within the bounds of what may be in flight.
    pub(super) fn propose(&mut self) {
        self.resolve();
        while self.may_propose() {
            let Some(batch) = self.gather() else { return };
            if !self.sign_proposal(batch) {
                return;
            }
        }
    }

    /// After a refusal a version must be co-signed for what was burnt to count as undone (SPEC P-12). It comes first and is
    /// empty: nothing in it can be refused, so versions go on being co-signed however much is refused one by one, and
    /// however much was in flight. The last number in flight is kept for it.
    fn resolve(&mut self) {
        let due = self.is_burnt_last() || self.is_passed_over();
        if !due || !self.has_the_word() || self.next_version() > self.version_limit() {
            return;
        }
        let content = self.tip().clone();
        self.sign_proposal(Batch { updates: Vec::new(), content, sent: Vec::new() });
    }

    /// Whether the newest version was refused, or built on one that was.
    fn is_burnt_last(&self) -> bool {
        self.open.back().is_some_and(|open| open.is_burnt())
    }

    /// Whether the newest version was one of the next generation, of a resize that came to nothing: a version above it is
    /// co-signed, so that however often that happens the numbers that nobody uses don't add up.
    fn is_passed_over(&self) -> bool {
        self.resize.is_none() && self.guard.next().version > self.tip().state.version
    }

    fn has_the_word(&self) -> bool {
        self.memory.link.up
            && matches!(self.life, Life::Active | Life::Closing(ClosingStage::Draining))
            && (self.turnholder() == Turnholder::Sequencer
                || (sings(Canary::HandoverDoesNotWait) && self.turnholder() == Turnholder::HandingOver))
            && !self.tip().state.is_final
    }

    fn may_propose(&self) -> bool {
        let in_flight: usize = self.open.iter().map(|open| open.size()).sum();
        self.has_the_word()
            && (!self.is_frozen() || sings(Canary::ResizeDoesNotWait))
            && !self.is_burnt_last()
            && self.next_version() < self.version_limit()
            && self.open.len() < OPEN_MAX
            && in_flight < IN_FLIGHT_BYTES_MAX
    }

    /// The highest version that may be in flight.
    pub(super) fn version_limit(&self) -> u64 {
        (self.held.version() + IN_FLIGHT_MAX).min(VERSION_MAX)
    }

    /// The first version that this party has not signed.
    pub(super) fn next_version(&self) -> u64 {
        if sings(Canary::VersionUsedAgain) {
            return self.tip().state.version + 1;
        }
        self.guard.highest().max(self.held.version()).max(self.memory.floor) + 1
    }

    fn gather(&mut self) -> Option<Batch> {
        let content = self.tip().clone();
        let mut batch = Batch { updates: Vec::new(), content, sent: Vec::new() };
        self.gather_outgoing(&mut batch);
        self.gather_inbox(&mut batch);
        self.gather_queue(&mut batch);
        self.gather_last(&mut batch);
        (!batch.updates.is_empty()).then_some(batch)
    }

    /// Payments that have a number: they come first, since numbers only rise.
    fn gather_outgoing(&mut self, batch: &mut Batch) {
        while batch.updates.len() < UPDATES_MAX {
            let Some(number) = self.outgoing.first().map(|transfer| transfer.number) else { return };
            let Some(transfer) = self.outgoing.remove(number) else { return };
            self.delete(Key::Request(number));
            let update = Update::Transfer(transfer);
            match batch.content.apply(&update, &self.fixed.terms) {
                Ok(()) => batch.updates.push(update),
                Err(error) => self.fail(number, RefuseReason::Invalid(error)),
            }
        }
    }

    /// A payment of this party is not proposed again. It has failed once nothing that contains it can be completed.
    fn fail(&mut self, number: u64, reason: RefuseReason) {
        let contains = |open: &&Arc<OpenProposal>| self.own_numbers(open).any(|own| own == number);
        match self.open.iter().rev().find(contains).map(|open| open.version()) {
            Some(burnt) if !sings(Canary::ProposedAgainFailsAtOnce) => {
                self.memory.failing.insert(number, (burnt, reason));
            }
            Some(_) | None => self.effect(Effect::Failed { number, reason: Failure::Refused(reason) }),
        }
    }

    /// What the follower asked for.
    fn gather_inbox(&mut self, batch: &mut Batch) {
        while batch.updates.len() < UPDATES_MAX {
            let Some((number, transfer)) = self.memory.inbox.pop_first() else { return };
            let update = Update::Transfer(transfer);
            match batch.content.apply(&update, &self.fixed.terms) {
                Ok(()) => batch.updates.push(update),
                Err(error) => {
                    let refused = (Refused::Request { number }, RefuseReason::Invalid(error));
                    self.memory.turn.refusals.push(refused);
                }
            }
        }
    }

    /// What callers wait for: it gets its numbers now.
    fn gather_queue(&mut self, batch: &mut Batch) {
        while batch.updates.len() < UPDATES_MAX {
            let Some(queued) = self.pop_queue() else { return };
            let (from, number) = (self.fixed.me, self.next_number);
            let update =
                Update::Transfer(Transfer { from, number, amount: queued.amount, memo: queued.memo });
            let spendable = batch.content.spendable(from, &self.fixed.terms);
            if batch.content.apply(&update, &self.fixed.terms).is_err() {
                let reason = Reject::Balance { wanted: queued.amount, spendable };
                self.effect(Effect::Declined { token: queued.token, reason });
                continue;
            }
            self.next_number += 1;
            batch.updates.push(update);
            batch.sent.push((queued.token, number));
        }
    }

    /// What ends a party's turn, or the channel, once nothing else waits.
    fn gather_last(&mut self, batch: &mut Batch) {
        let waits =
            !self.outgoing.is_empty() || !self.memory.inbox.is_empty() || !self.memory.queue.is_empty();
        if waits || batch.updates.len() >= UPDATES_MAX {
            return;
        }
        let update = match self.life {
            Life::Active if self.memory.wishes.hand_over => Update::Handover,
            // A final state is proposed only when all else is settled: it can never be built on, nor burnt.
            Life::Closing(ClosingStage::Draining) if self.open.is_empty() && batch.updates.is_empty() => {
                Update::Finish
            }
            Life::Opening | Life::Active | Life::Closing(_) | Life::Disputed | Life::Settled(_) => return,
        };
        if batch.content.apply(&update, &self.fixed.terms).is_ok() {
            batch.updates.push(update);
        }
    }

    fn sign_proposal(&mut self, batch: Batch) -> bool {
        let Batch { updates, mut content, sent } = batch;
        let (version, base, held) = (self.next_version(), self.tip().state.version, self.held.version());
        content.state.version = version;
        let signature = match self.guard.sign_state(&self.fixed.chain, &content.state, held) {
            Ok(signature) => signature,
            Err(error) => {
                self.effect(Effect::Alarm(Alarm::Signer(error)));
                return false;
            }
        };
        if sings(Canary::ReceivedWhenProposed) {
            self.report_received(&updates);
        }
        let answer = self.choose_answer(version, &updates);
        let propose = Propose { version, base, updates, answer, signature };
        if self.memory.wishes.hand_over && content.state.sequencer != self.fixed.me {
            self.memory.wishes.hand_over = false;
        }
        self.record(EventKind::Proposed((&content).into()));
        if content.state.is_final {
            self.become_life(Life::Closing(ClosingStage::Finishing));
        }
        self.effect(Effect::Send(self.message(ChannelMessage::Propose(propose.clone()))));
        let sent = sent.into_iter().map(|(token, number)| Effect::Sent { token, number });
        self.memory.turn.effects.extend(sent);
        let proposal = OpenProposal { propose, content, burnt: None };
        self.put(Key::Proposal(version), &proposal);
        self.open.push_back(Arc::new(proposal));
        true
    }

    /// An answer is wanted at the pace that was set, and before anything that depends on it.
    fn choose_answer(&mut self, version: u64, updates: &[Update]) -> Answer {
        self.memory.unasked += 1;
        let peer = self.peer_party();
        let depends = updates.iter().any(|update| match update {
            Update::Transfer(transfer) => transfer.from == peer,
            Update::Handover | Update::Finish => true,
        });
        let now = depends
            || self.memory.unasked >= self.memory.pacing.ack_every
            || version >= self.held.version() + ACK_AT_LATEST
            || self.life == Life::Closing(ClosingStage::Draining)
            || self.is_burnt_last()
            || self.is_passed_over();
        if now {
            self.memory.unasked = 0;
            Answer::Now
        } else {
            Answer::Later
        }
    }
}
