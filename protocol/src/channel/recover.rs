//! Recovery, the side that has lost data (SPEC P-50 to P-56): it gathers what others can prove, asks the peer where to go
//! on, and signs nothing before both agree on a version far above all that it can have signed.

use towpath_ledger::CoSigned;

use super::machine::Channel;
use super::state::{Held, Lost};
use crate::canary::{Canary, sings};
use crate::effect::{Alarm, Effect, Failure, ResizeFailure};
use crate::error::Reject;
use crate::event::{Now, RecoveryEvent};
use crate::journal::EventKind;
use crate::life::{ClosingStage, Life};
use crate::limits::{
    CLOCK_LEAD_MS_MAX, JUMP_LEAD_MS_MAX, NUMBER_MAX, RECOVERY_GAP, VERSION_MAX, VERSIONS_PER_MS,
};
use crate::message::{ChannelMessage, Evidence, Jump, Recover, Resume};
use crate::row::Key;
use crate::update::{Content, Update};
use crate::verify::Verifier;

/// A version above all that can have been signed by now: past what is known, and past what time allows, since whoever
/// shows the newest state may show an older one (SPEC P-53).
fn floor(known: u64, now: Now) -> u64 {
    if sings(Canary::RecoversTooLow) {
        return known;
    }
    let local_max = now.ledger.0.saturating_add(CLOCK_LEAD_MS_MAX);
    let ms = now.local_ms.min(local_max).max(now.ledger.0);
    known.saturating_add(RECOVERY_GAP).max(ms.saturating_mul(VERSIONS_PER_MS)).min(VERSION_MAX)
}

/// The highest version that a peer's word is taken for, when `known` is the highest that is known here.
pub(super) fn plausible(known: u64, now: Now) -> u64 {
    let by_time = now.ledger.0.saturating_add(JUMP_LEAD_MS_MAX).saturating_mul(VERSIONS_PER_MS);
    known.saturating_add(4 * RECOVERY_GAP).max(by_time).min(VERSION_MAX)
}

impl Channel {
    /// Something about what this node has lost, or may have.
    pub(super) fn on_recovery(
        &mut self,
        event: RecoveryEvent,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        match event {
            RecoveryEvent::Distrust => {
                if self.lost.is_none() && self.may_sign_more() {
                    self.lose(self.held.version());
                }
                Ok(())
            }
            RecoveryEvent::Found(evidence) => self.on_found(&evidence, verifier),
            RecoveryEvent::Searched => {
                self.memory.searched = true;
                self.react_again();
                Ok(())
            }
        }
    }

    /// Whether this party would sign states with what it has. If not, an old copy of it can do no harm: after a final
    /// state or a posting nothing was signed.
    fn may_sign_more(&self) -> bool {
        let lives = match self.life {
            Life::Opening | Life::Active | Life::Closing(ClosingStage::Draining) => true,
            Life::Closing(ClosingStage::Finishing | ClosingStage::Agreed | ClosingStage::Unilateral)
            | Life::Disputed
            | Life::Settled(_) => false,
        };
        lives && !self.guard.mark().is_final
    }

    /// A source other than the peer shows a state.
    fn on_found(&mut self, evidence: &Evidence, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        self.take_shown(&evidence.co_signed(), Some(&evidence.content), verifier)
    }

    /// A state from somebody who need not be trusted, unasked: it counts by its signatures alone, and only if it proves that
    /// this party has lost data (SPEC T-45).
    pub(super) fn on_shown(&mut self, newest: &CoSigned, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        self.take_shown(newest, None, verifier)
    }

    fn take_shown(
        &mut self,
        shown: &CoSigned,
        content: Option<&Content>,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        self.check_shown(shown, verifier)?;
        if matches!(self.life, Life::Settled(_)) {
            return Ok(());
        }
        if self.proves_loss(shown) {
            self.lose_by_proof(shown.state.version);
        }
        if self.lost.is_some() && self.learn(shown, content) {
            // The peer is asked again, for more than that.
            self.memory.link.asked = false;
            self.react_again();
        }
        Ok(())
    }

    /// A closing that was left unanswered is looked at again, with what was found since.
    fn react_again(&mut self) {
        if self.memory.turn.closing.is_none() {
            self.memory.turn.closing = self.memory.unanswered.take();
        }
    }

    /// What this node has is an old copy, and somebody proved it.
    pub(super) fn lose_by_proof(&mut self, proven: u64) {
        if self.lost.is_none() {
            self.effect(Effect::Alarm(Alarm::DataLost { mine: self.guard.mark().version, proven }));
            self.lose(proven);
        }
    }

    /// What this node has may be an old copy: it signs and closes nothing until it is recovered.
    pub(super) fn lose(&mut self, proven: u64) {
        // The peer's signature on the newest claim was held before anything was lost, and no other content of that
        // version was ever accepted: completed, it can be shown.
        let _shown_later = self.complete();
        let known = self.guard.mark().version.max(self.held.version()).max(proven);
        let lost = Lost { proven, floor: floor(known, self.memory.now) };
        self.lost = Some(lost);
        self.decline_waiting();
        self.go_offline();
        if !self.is_sealed() {
            self.end_resize(ResizeFailure::Lost);
        }
        self.forget_turn();
        self.record(EventKind::DataLost { proven });
    }

    /// What this turn was about to say is void.
    fn forget_turn(&mut self) {
        let memory = &mut self.memory;
        memory.inbox.clear();
        memory.buffered.clear();
        memory.claim_since_ms = None;
        let turn = &mut memory.turn;
        turn.refusals.clear();
        (turn.missing, turn.resend_from, turn.recover) = (None, None, None);
        (turn.ack_due, turn.submit) = (false, false);
        (turn.resize, turn.resize_again, turn.post_anew) = (None, false, None);
    }

    /// A state that somebody shows: of this channel, and with both signatures.
    pub(super) fn check_shown(&self, shown: &CoSigned, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        let (state, terms) = (&shown.state, &self.fixed.terms);
        let same = state.channel == terms.id
            && state.generation == terms.generation
            && state.tag == self.fixed.first.state.tag
            && state.total() == Some(self.fixed.capacity)
            && state.version > 0;
        if !same {
            return Err(Reject::WrongChannel);
        }
        // Nobody honest signs a version below one that it says to hold.
        for held in [shown.a.held, shown.b.held] {
            if held > state.version {
                return Err(Reject::Held { held });
            }
        }
        self.check_newest(shown, verifier)?;
        if state.version > VERSION_MAX {
            return Err(Reject::Unproven(state.version));
        }
        Ok(())
    }

    /// Takes a state that was shown, with its payment numbers if they are known, into what is held; whether it is
    /// newer. Only after a loss: otherwise what is held comes by proposals and acknowledgements alone.
    pub(super) fn learn(&mut self, shown: &CoSigned, content: Option<&Content>) -> bool {
        let Some(mut lost) = self.lost else { return false };
        let version = shown.state.version;
        let held = &self.held.content;
        let (mut sent_a, mut sent_b) = (held.sent_a, held.sent_b);
        if let Some(content) = content.filter(|content| content.sent_a.max(content.sent_b) <= NUMBER_MAX) {
            (sent_a, sent_b) = (sent_a.max(content.sent_a), sent_b.max(content.sent_b));
        }
        let newer = version > self.held.version();
        if newer {
            let content = Content { state: shown.state.clone(), sent_a, sent_b };
            let (theirs, mine) = (*shown.signature(self.peer_party()), *shown.signature(self.fixed.me));
            self.held = Held { content, theirs, mine: Some(mine) };
            self.memory.expected = version.saturating_add(1);
            self.memory.turn.held_changed = true;
        } else if version == self.held.version() {
            (self.held.content.sent_a, self.held.content.sent_b) = (sent_a, sent_b);
        }
        lost.proven = lost.proven.max(version);
        lost.floor = lost.floor.max(version.saturating_add(RECOVERY_GAP));
        self.lost = Some(lost);
        self.memory.turn.dirty = true;
        newer
    }

    /// Asks the peer, once a session, when all others were asked.
    pub(super) fn ask(&mut self) {
        let (Some(lost), link) = (self.lost, &self.memory.link) else { return };
        let speaks = match self.life {
            Life::Active | Life::Closing(_) | Life::Disputed => true,
            Life::Opening | Life::Settled(_) => false,
        };
        // While a resize that this party signed may become final it could go on nowhere.
        if !link.connected || link.asked || !self.memory.searched || !speaks || self.is_sealed() {
            return;
        }
        let floor = self.raised_floor(lost);
        let link = &mut self.memory.link;
        (link.asked, link.answered) = (true, false);
        link.question += 1;
        let (generation, question) = (self.fixed.terms.generation, link.question);
        let newest = self.held.evidence(self.fixed.me);
        self.send(ChannelMessage::Recover(Box::new(Recover { generation, question, newest, floor })));
    }

    /// The rows may come out of a copy that was made while data was lost, before: time has gone on since. Once a process
    /// is enough, so that a session that breaks again and again asks for one and the same jump.
    fn raised_floor(&mut self, lost: Lost) -> u64 {
        if std::mem::replace(&mut self.memory.floor_raised, true) {
            return lost.floor;
        }
        let known = self.held.version().max(lost.proven);
        let floor = lost.floor.max(floor(known, self.memory.now));
        self.lost = Some(Lost { floor, ..lost });
        self.memory.turn.dirty = true;
        floor
    }

    /// The peer's answer, on the side that asked.
    pub(super) fn on_answer_to_lost(
        &mut self,
        theirs: &Resume,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        let (Some(lost), link) = (self.lost, &self.memory.link) else { return Ok(()) };
        if !link.asked || link.answered || theirs.question != link.question {
            return Err(Reject::NotReestablished("resume"));
        }
        let (newest, content) = (theirs.newest.co_signed(), &theirs.newest.content);
        self.check_shown(&newest, verifier)?;
        let (shown, held) = (newest.state.version, self.held.version());
        let other = shown == held && newest.state != self.held.content.state;
        if (shown < held || shown < lost.proven || other) && !sings(Canary::LessIsTaken) {
            self.memory.link.answered = true;
            self.effect(Effect::Alarm(Alarm::ShownLess { shown, proven: lost.proven.max(held) }));
            return Ok(());
        }
        self.check_payment_numbers(content)?;
        if let Some(jump) = &theirs.jump {
            self.check_jump(jump, content, verifier)?;
        }
        self.learn(&newest, Some(content));
        self.memory.link.answered = true;
        match &theirs.jump {
            Some(jump) if self.life.carries_updates() && !self.guard.mark().is_final => {
                self.resolve_lost(content.sent(self.fixed.me));
                self.go_on_from(content.clone(), jump);
                self.record(EventKind::Recovered((&self.held.content).into()));
            }
            None if newest.state.is_final && self.life.carries_updates() => {
                let sent = content.sent(self.fixed.me);
                self.end_loss();
                self.resolve_lost(sent);
                self.number_past(sent);
                self.agreed();
            }
            // The channel is being closed: what was learned may answer a closing, and nothing more is signed.
            Some(_) | None => self.react_again(),
        }
        Ok(())
    }

    /// Payment numbers have no signature: they are believed if they never fall, and leave room.
    fn check_payment_numbers(&self, theirs: &Content) -> Result<(), Reject> {
        let known = &self.held.content;
        if theirs.sent_a < known.sent_a || theirs.sent_b < known.sent_b {
            return Err(Reject::Unproven(theirs.state.version));
        }
        if theirs.sent_a > NUMBER_MAX || theirs.sent_b > NUMBER_MAX {
            return Err(Reject::Unproven(theirs.state.version));
        }
        Ok(())
    }

    /// Where the peer wants to go on: above all that this party can have signed, with a content that both signed.
    pub(super) fn check_jump(
        &self,
        jump: &Jump,
        content: &Content,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        let base = content.state.version;
        let floor = self.lost.map_or(0, |lost| lost.floor);
        let mark = self.guard.mark().version.max(floor).max(base.saturating_add(RECOVERY_GAP));
        if jump.version <= mark || jump.version > plausible(mark, self.memory.now) || content.state.is_final {
            return Err(Reject::Version { version: jump.version, held: base, seen: mark });
        }
        if jump.signature.held != base {
            return Err(Reject::Held { held: jump.signature.held });
        }
        let mut state = content.state.clone();
        state.version = jump.version;
        let key = self.fixed.terms.key(self.peer_party());
        if verifier.verify(jump.signature.check(key, &self.fixed.chain, &state)) {
            Ok(())
        } else {
            Err(Reject::Signature)
        }
    }

    /// The peer's jump is this party's newest state, and is acknowledged at the end of this turn. Both go on.
    pub(super) fn go_on_from(&mut self, content: Content, jump: &Jump) {
        let mut content = content;
        content.state.version = jump.version;
        self.end_loss();
        self.number_past(content.sent(self.fixed.me));
        self.held = Held { content, theirs: jump.signature, mine: None };
        self.see(jump.version);
        let memory = &mut self.memory;
        memory.expected = jump.version.saturating_add(1);
        memory.floor = 0;
        memory.unanswered = None;
        memory.link.received = true;
        memory.link.sent = true;
        memory.link.requested = 0;
        memory.turn.ack_due = true;
        memory.turn.dirty = true;
        memory.turn.held_changed = true;
    }

    /// Payment numbers that were given while data was lost are used, although nobody here remembers them.
    pub(super) fn number_past(&mut self, sent: u64) {
        self.next_number = self.next_number.max(sent.saturating_add(1));
    }

    /// What was lost does not matter any more: the signer goes on above all of it.
    pub(super) fn end_loss(&mut self) {
        if let Some(lost) = self.lost.take() {
            self.guard.raise(lost.floor);
        }
    }

    /// What became of this party's payments that had no end when data was lost: those past `sent`, the newest number that
    /// is made, never will be, since both go on without them; of the others only the lost data could tell.
    pub(super) fn resolve_lost(&mut self, sent: u64) {
        let mut numbers: Vec<u64> = self.outgoing.numbers().collect();
        for open in std::mem::take(&mut self.open) {
            self.delete(Key::Proposal(open.version()));
            numbers.extend(open.propose.updates.iter().filter_map(|update| match update {
                Update::Transfer(transfer) if transfer.from == self.fixed.me => Some(transfer.number),
                Update::Transfer(_) | Update::Handover | Update::Finish => None,
            }));
        }
        numbers.sort_unstable();
        numbers.dedup();
        for number in self.outgoing.numbers().collect::<Vec<_>>() {
            self.outgoing.remove(number);
            self.delete(Key::Request(number));
        }
        self.memory.failing.clear();
        for number in numbers {
            self.effect(if number > sent {
                Effect::Failed { number, reason: Failure::Lost }
            } else {
                Effect::Unknown { number }
            });
        }
    }

    /// Both sides have lost data, and each showed the newest state that it found. They go on from the newer of the two;
    /// A says where.
    pub(super) fn agree_as_lost(&mut self) {
        let (Some(lost), Some(floor_peer)) = (self.lost, self.memory.link.floor_peer) else { return };
        let both_said = self.memory.link.asked && self.memory.link.connected;
        let enough = self.held.is_known() && self.held.version() >= lost.proven;
        if self.fixed.me != towpath_ledger::Party::A || !both_said || !enough || !self.may_sign_more() {
            return;
        }
        let sent = self.held.content.sent(self.fixed.me);
        self.end_loss();
        self.resolve_lost(sent);
        self.number_past(sent);
        self.record(EventKind::Recovered((&self.held.content).into()));
        self.memory.link.received = true;
        self.memory.link.sent = true;
        self.memory.turn.recover = Some(floor_peer);
    }
}
