//! The follower's half of a turn's end: acknowledgements, refusals, requests (SPEC P-13, P-15).

use towpath_ledger::CoSigned;

use super::machine::Channel;
use super::state::{Queued, Turnholder};
use crate::canary::{Canary, sings};
use crate::effect::{Alarm, Effect};
use crate::life::{ClosingStage, Life};
use crate::limits::{ACK_DELAY_MS_MAX, REQUESTS_MAX};
use crate::message::{Ack, ChannelMessage, Message, Refuse, Request, Role};
use crate::row::Key;
use crate::update::Transfer;

impl Channel {
    pub(super) fn message(&self, message: ChannelMessage) -> Message {
        Message::Channel(self.id(), message)
    }

    pub(super) fn send(&mut self, message: ChannelMessage) {
        let message = self.message(message);
        self.effect(Effect::Send(message));
    }

    /// Completes the newest state with this party's own signature; the row is written before anything is sent.
    pub(super) fn complete(&mut self) -> Option<CoSigned> {
        if self.held.mine.is_none() {
            let state = &self.held.content.state;
            match self.guard.sign_state(&self.fixed.chain, state, state.version) {
                Ok(signature) => self.held.mine = Some(signature),
                Err(error) => self.effect(Effect::Alarm(Alarm::Signer(error))),
            }
            self.memory.turn.dirty = true;
        }
        self.held.co_signed(self.fixed.me)
    }

    /// Acknowledges the newest version, if that is due: at most once a turn, however many proposals it answers.
    pub(super) fn acknowledge(&mut self) {
        let overdue = self
            .memory
            .claim_since_ms
            .is_some_and(|since| since.saturating_add(ACK_DELAY_MS_MAX) <= self.memory.now.local_ms);
        let link = &self.memory.link;
        if !(self.memory.turn.ack_due || overdue) || !link.received || !self.may_sign() {
            return;
        }
        self.memory.claim_since_ms = None;
        if let Some(co_signed) = self.complete() {
            let signature = *co_signed.signature(self.fixed.me);
            self.send(ChannelMessage::Ack(Ack { version: co_signed.state.version, signature }));
        }
    }

    /// Signs the newest version for a watchtower, without telling the peer: the signature says what an acknowledgement would,
    /// and will (SPEC T-51).
    pub(super) fn complete_for_towers(&mut self) {
        if self.memory.turn.complete && self.may_sign() {
            self.complete();
        }
    }

    /// Whether states may be signed at all: not once a close was posted, nor after data was lost.
    pub(super) fn may_sign(&self) -> bool {
        let lives = match self.life {
            Life::Active => true,
            Life::Closing(stage) => match stage {
                ClosingStage::Draining | ClosingStage::Finishing | ClosingStage::Agreed => true,
                ClosingStage::Unilateral => sings(Canary::SignsAfterClose),
            },
            Life::Opening | Life::Disputed | Life::Settled(_) => false,
        };
        lives && self.lost.is_none()
    }

    /// Tells the peer what was refused in this turn.
    pub(super) fn refuse(&mut self) {
        for (what, reason) in std::mem::take(&mut self.memory.turn.refusals) {
            self.send(ChannelMessage::Refuse(Refuse { what, reason }));
        }
        if let Some(from) = self.memory.turn.missing.take() {
            self.send(ChannelMessage::Resend(from));
        }
    }

    /// Asks the sequencer for what waits here.
    pub(super) fn request(&mut self) {
        let open = matches!(self.life, Life::Active | Life::Closing(ClosingStage::Draining));
        if !self.memory.link.up || !open || self.turnholder() != Turnholder::Follower {
            return;
        }
        self.number_queue();
        let transfers: Vec<Transfer> =
            self.outgoing.after(self.memory.link.requested).take(REQUESTS_MAX).cloned().collect();
        let takes = self.memory.wishes.take && !self.memory.link.role_requested;
        if let Some(last) = transfers.last() {
            self.memory.link.requested = last.number;
        }
        if takes || !transfers.is_empty() {
            self.memory.link.role_requested |= takes;
            let role = if takes { Role::Take } else { Role::Keep };
            self.send(ChannelMessage::Request(Request { transfers, role }));
        }
        if self.life == Life::Closing(ClosingStage::Draining) && !self.memory.link.close_sent {
            self.memory.link.close_sent = true;
            self.send(ChannelMessage::Close);
        }
    }

    /// Payments of callers become requests: durable, with a number.
    fn number_queue(&mut self) {
        while self.outgoing.len() < REQUESTS_MAX {
            let Some(Queued { token, amount, memo }) = self.pop_queue() else { return };
            let transfer = Transfer { from: self.fixed.me, number: self.next_number, amount, memo };
            let number = transfer.number;
            self.next_number += 1;
            self.memory.turn.dirty = true;
            self.put(Key::Request(number), &transfer);
            self.outgoing.insert(transfer);
            self.effect(Effect::Sent { token, number });
        }
    }
}
