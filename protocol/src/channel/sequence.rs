//! What the sequencer does with its follower's answers and requests (SPEC P-10 to P-13).

use std::sync::Arc;

use towpath_ledger::StateSignature;

use super::machine::Channel;
use super::state::{Burnt, Held, OpenProposal, Turnholder};
use crate::canary::{Canary, sings};
use crate::effect::{Effect, Failure};
use crate::error::Reject;
use crate::event::Receive;
use crate::journal::EventKind;
use crate::life::{ClosingStage, Life};
use crate::limits::REQUESTS_MAX;
use crate::message::{Ack, Refuse, RefuseReason, Refused, Request, Role};
use crate::row::Key;
use crate::update::{Transfer, Update};
use crate::verify::Verifier;

impl Channel {
    /// An acknowledgement: the follower signed `version`, and with it everything before it.
    pub(super) fn on_ack(&mut self, ack: &Ack, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        if ack.signature.held != ack.version {
            return Err(Reject::Held { held: ack.signature.held });
        }
        if ack.version <= self.held.version() {
            return Ok(());
        }
        let open = self.open_proposal(ack.version).cloned().ok_or(Reject::NotOpen(ack.version))?;
        let key = self.fixed.terms.key(self.peer_party());
        if !verifier.verify_newest(ack.signature.check(key, &self.fixed.chain, &open.content.state)) {
            return Err(Reject::Signature);
        }
        self.acknowledged(&open, ack.signature);
        Ok(())
    }

    /// The open proposal of `version`, if it was not refused: a follower that refused a version can't sign it later.
    pub(super) fn open_proposal(&self, version: u64) -> Option<&Arc<OpenProposal>> {
        self.proposed(version).filter(|open| !open.is_burnt() || sings(Canary::BurntAckCounts))
    }

    /// What this party proposed as `version`, refused or not.
    pub(super) fn proposed(&self, version: u64) -> Option<&Arc<OpenProposal>> {
        let index = self.open.binary_search_by_key(&version, |open| open.version()).ok()?;
        self.open.get(index)
    }

    /// The follower's signature on an open proposal is held: what it contains is final for both.
    pub(super) fn acknowledged(&mut self, acked: &OpenProposal, theirs: StateSignature) {
        let version = acked.version();
        let sent_before = self.held.content.sent(self.fixed.me);
        self.drop_upto(version);
        let upto = acked.content.sent(self.fixed.me);
        if upto > sent_before {
            self.effect(Effect::Settled { upto });
        }
        self.held = Held { content: acked.content.clone(), theirs, mine: Some(acked.propose.signature) };
        self.memory.expected = version + 1;
        self.memory.turn.dirty = true;
        self.memory.turn.held_changed = true;
        let follows = acked.content.state.sequencer != self.fixed.me;
        if follows || acked.is_jump() {
            self.request_anew();
        }
        if follows {
            self.memory.wishes.hand_over = false;
        }
        if acked.content.state.is_final {
            self.agreed();
        }
    }

    /// Proposals up to `version` are decided: those that were not refused are part of it.
    pub(super) fn drop_upto(&mut self, version: u64) {
        self.report_failed(version);
        while let Some(open) = self.open.front().filter(|open| open.version() <= version).cloned() {
            self.open.pop_front();
            self.delete(Key::Proposal(open.version()));
            if !open.is_burnt() && !sings(Canary::ReceivedWhenProposed) {
                self.report_received(&open.propose.updates);
            }
        }
    }

    /// What burnt versions contained counts as undone once a later one is co-signed (SPEC P-12): until then the
    /// follower could still have completed them.
    fn report_failed(&mut self, acked: u64) {
        let (failed, failing) =
            std::mem::take(&mut self.memory.failing).into_iter().partition(|(_, (burnt, _))| *burnt < acked);
        self.memory.failing = failing;
        let failed: std::collections::BTreeMap<_, _> = failed;
        for (number, (_, reason)) in failed {
            self.effect(Effect::Failed { number, reason: Failure::Refused(reason) });
        }
    }

    /// Payments to this party that are final from now on.
    pub(super) fn report_received(&mut self, updates: &[Update]) {
        let peer = self.peer_party();
        let mut amounts = std::collections::BTreeSet::new();
        let received = updates.iter().filter_map(|update| match update {
            Update::Transfer(Transfer { from, amount, .. })
                if sings(Canary::EqualTakenForOne) && *from == peer && !amounts.insert(*amount) =>
            {
                None
            }
            Update::Transfer(Transfer { from, number, amount, memo }) if *from == peer => {
                Some(Effect::Received { number: *number, amount: *amount, memo: *memo })
            }
            Update::Transfer(_) | Update::Handover | Update::Finish => None,
        });
        self.memory.turn.effects.extend(received);
    }

    /// The role is the other party's, or the other has forgotten what was asked: what is kept of its requests goes, and
    /// our own are to be requested anew.
    fn request_anew(&mut self) {
        self.memory.inbox.clear();
        self.memory.buffered.clear();
        self.memory.link.requested = 0;
        self.memory.link.role_requested = false;
        self.memory.link.close_sent = false;
    }

    /// A refusal.
    pub(super) fn on_refuse(&mut self, refuse: &Refuse) -> Result<(), Reject> {
        match refuse.what {
            Refused::Proposal { version, update } => self.on_proposal_refused(version, update, refuse.reason),
            Refused::Request { number } => {
                self.on_request_refused(number, refuse.reason);
                Ok(())
            }
            Refused::Resize { version } => self.on_resize_refused(version, refuse.reason),
        }
    }

    /// One update of `version` is not wanted: it is dropped, the version and all that was built on it are burnt, and
    /// everything else is proposed anew.
    fn on_proposal_refused(&mut self, version: u64, update: u16, reason: RefuseReason) -> Result<(), Reject> {
        let index = self.open.binary_search_by_key(&version, |open| open.version());
        let Ok(index) = index else { return Err(Reject::NotOpen(version)) };
        let refused = self.open.get(index).ok_or(Reject::NotOpen(version))?;
        if refused.is_burnt() {
            return Ok(());
        }
        // A final state takes nothing from anybody: there is no reason to refuse it, and no way back from it.
        match refused.propose.updates.get(usize::from(update)) {
            Some(Update::Transfer(_) | Update::Handover) => {}
            Some(Update::Finish) | None => return Err(Reject::Unexpected("refusal")),
        }
        for position in index..self.open.len() {
            let refused = position == index;
            self.burn(position, if refused { Burnt::Refused { update, reason } } else { Burnt::Dependent });
        }
        self.record(EventKind::Burnt { version });
        Ok(())
    }

    pub(super) fn burn(&mut self, position: usize, burnt: Burnt) {
        let Some(open) = self.open.get_mut(position).filter(|open| !open.is_burnt()) else { return };
        Arc::make_mut(open).burnt = Some(burnt);
        let open = Arc::clone(open);
        if !sings(Canary::BurntNotWritten) {
            self.put(Key::Proposal(open.version()), open.as_ref());
        }
        for (index, update) in open.propose.updates.iter().enumerate() {
            match burnt {
                Burnt::Refused { update: refused, reason } if usize::from(refused) == index => {
                    self.drop_update(open.version(), update, reason);
                }
                Burnt::Refused { .. } | Burnt::Dependent => self.propose_again(update),
            }
        }
    }

    fn drop_update(&mut self, version: u64, update: &Update, reason: RefuseReason) {
        match update {
            Update::Transfer(transfer) if transfer.from == self.fixed.me => {
                if sings(Canary::RefusedFailsAtOnce) {
                    let reason = Failure::Refused(reason);
                    return self.effect(Effect::Failed { number: transfer.number, reason });
                }
                self.memory.failing.insert(transfer.number, (version, reason));
            }
            Update::Transfer(_) | Update::Handover | Update::Finish => {}
        }
    }

    fn propose_again(&mut self, update: &Update) {
        match update {
            Update::Transfer(transfer) if transfer.from == self.fixed.me => {
                self.put(Key::Request(transfer.number), transfer);
                self.outgoing.insert(transfer.clone());
            }
            Update::Transfer(transfer) => self.keep_request(transfer.clone()),
            Update::Handover => self.memory.wishes.hand_over = true,
            Update::Finish => {}
        }
    }

    /// The sequencer does not include a payment of ours. We signed nothing that contains it, and sign nothing that
    /// does from now on, so it has failed at once.
    fn on_request_refused(&mut self, number: u64, reason: RefuseReason) {
        if self.turnholder() != Turnholder::Follower || self.outgoing.remove(number).is_none() {
            return;
        }
        self.delete(Key::Request(number));
        self.memory.turn.dirty = true;
        self.effect(Effect::Failed { number, reason: Failure::Refused(reason) });
    }

    /// The follower asks for payments of its own, or for the role.
    pub(super) fn on_request(&mut self, request: Request) -> Result<(), Reject> {
        let peer = self.peer_party();
        let ascending = request.transfers.windows(2).all(|pair| pair[0].number < pair[1].number);
        if !ascending || request.transfers.iter().any(|transfer| transfer.from != peer) {
            return Err(Reject::Unexpected("request"));
        }
        match self.turnholder() {
            // It crossed a handover: the other party has the role, and proposes its payments itself.
            Turnholder::Follower => return Ok(()),
            Turnholder::Sequencer | Turnholder::HandingOver => {}
        }
        if self.life == Life::Closing(ClosingStage::Finishing) {
            return Ok(());
        }
        let known = self.tip().sent(peer);
        for transfer in request.transfers.into_iter().filter(|transfer| transfer.number > known) {
            self.keep_request(transfer);
        }
        if request.role == Role::Take && self.turnholder() == Turnholder::Sequencer {
            self.memory.wishes.hand_over = true;
        }
        Ok(())
    }

    fn keep_request(&mut self, transfer: Transfer) {
        let number = transfer.number;
        let full = self.memory.inbox.len() >= REQUESTS_MAX && !self.memory.inbox.contains_key(&number);
        let reason = match (full, self.memory.receive) {
            (true, _) => RefuseReason::Busy,
            (false, Receive::Nothing) => RefuseReason::Unwanted,
            (false, Receive::Any) => {
                self.memory.inbox.insert(number, transfer);
                return;
            }
        };
        self.memory.turn.refusals.push((Refused::Request { number }, reason));
    }

    /// The follower misses proposals: the same bytes again, once a turn.
    pub(super) fn on_resend(&mut self, from: u64) -> Result<(), Reject> {
        let earlier = self.memory.turn.resend_from.unwrap_or(u64::MAX);
        self.memory.turn.resend_from = Some(earlier.min(from));
        Ok(())
    }
}
