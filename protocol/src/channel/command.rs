//! What callers ask for: checked at once against everything that waits, carried out at the end of the turn.

use towpath_crypto::Amount;

use super::machine::Channel;
use super::state::{Queued, Turnholder};
use crate::effect::Effect;
use crate::error::Reject;
use crate::event::Token;
use crate::life::{ClosingStage, Life};
use crate::limits::QUEUE_MAX;

impl Channel {
    /// A payment: what was accepted before it is set aside, so that the sum of all never exceeds the balance
    /// (FAULTS C25).
    pub(super) fn on_pay(
        &mut self,
        token: Token,
        amount: Amount,
        memo: Option<[u8; 32]>,
    ) -> Result<(), Reject> {
        self.check_usable()?;
        if !self.memory.link.up && !self.memory.link.renewing {
            return Err(Reject::Offline);
        }
        if amount.is_zero() {
            return Err(Reject::ZeroAmount);
        }
        if self.memory.queue.len() >= QUEUE_MAX {
            return Err(Reject::Busy);
        }
        let spendable = self.spendable();
        let total = self.memory.queue_total.checked_add(amount).filter(|_| amount <= spendable);
        let Some(total) = total else { return Err(Reject::Balance { wanted: amount, spendable }) };
        self.memory.queue_total = total;
        self.memory.queue.push_back(Queued { token, amount, memo });
        Ok(())
    }

    pub(super) fn pop_queue(&mut self) -> Option<Queued> {
        let queued = self.memory.queue.pop_front()?;
        self.memory.queue_total = self
            .memory
            .queue_total
            .checked_sub(queued.amount)
            .expect("the total is the sum of what is in the queue");
        Some(queued)
    }

    pub(super) fn check_usable(&self) -> Result<(), Reject> {
        if self.lost.is_some() {
            return Err(Reject::Lost);
        }
        match self.life {
            Life::Active => Ok(()),
            Life::Opening => Err(Reject::NotActive),
            Life::Closing(_) | Life::Disputed | Life::Settled(_) => Err(Reject::Closing),
        }
    }

    /// Asks for the sequencer's role.
    pub(super) fn on_take_sequencer(&mut self, token: Token) -> Result<(), Reject> {
        self.check_usable()?;
        if self.turnholder() == Turnholder::Sequencer {
            self.memory.wishes.hand_over = false;
        } else {
            self.memory.wishes.take = true;
        }
        self.done(token);
        Ok(())
    }

    /// Gives the sequencer's role away.
    pub(super) fn on_hand_over(&mut self, token: Token) -> Result<(), Reject> {
        self.check_usable()?;
        self.memory.wishes.take = false;
        self.memory.wishes.hand_over = self.turnholder() == Turnholder::Sequencer;
        self.done(token);
        Ok(())
    }

    /// Starts a cooperative close: nothing new from now on; what is open is settled first.
    pub(super) fn on_close_command(&mut self, token: Token) -> Result<(), Reject> {
        match self.check_usable() {
            Ok(()) => {
                self.become_life(Life::Closing(ClosingStage::Draining));
            }
            // Asked again: it goes on.
            Err(Reject::Closing) if self.may_sign() => {
                self.memory.turn.submit = self.life == Life::Closing(ClosingStage::Agreed);
            }
            Err(reject) => return Err(reject),
        }
        self.done(token);
        Ok(())
    }

    /// The peer wants to close together.
    pub(super) fn on_close(&mut self) -> Result<(), Reject> {
        if self.life == Life::Active {
            self.become_life(Life::Closing(ClosingStage::Draining));
        }
        Ok(())
    }

    /// Closes alone, with the newest state that this party holds. It is signed and posted at the end of the turn.
    pub(super) fn on_force_close(&mut self, token: Token, fee: Amount) -> Result<(), Reject> {
        if self.lost.is_some() {
            return Err(Reject::Lost);
        }
        if self.funding.is_none() {
            return Err(Reject::NotActive);
        }
        match self.life {
            Life::Closing(ClosingStage::Agreed) => {
                self.memory.turn.submit = true;
                self.done(token);
                Ok(())
            }
            Life::Closing(ClosingStage::Unilateral) if self.posted.is_none() => Err(Reject::Closing),
            Life::Active | Life::Closing(_) => {
                self.check_close_fee(fee)?;
                match self.memory.wishes.post {
                    // One close is posted, with the fee that was asked for first; everybody hears of it.
                    Some(_) => self.memory.wishes.post_too.push(token),
                    None => self.memory.wishes.post = Some((token, fee)),
                }
                Ok(())
            }
            Life::Opening => Err(Reject::NotActive),
            Life::Disputed | Life::Settled(_) => Err(Reject::Closing),
        }
    }

    /// What a close may cost: what the terms say, and no more than this party has.
    pub(super) fn check_close_fee(&self, fee: Amount) -> Result<(), Reject> {
        let balance = self.held.content.state.balance(self.fixed.me);
        let limit = self.fixed.terms.close_fee_max.min(balance);
        if fee > limit { Err(Reject::Fee { fee, limit }) } else { Ok(()) }
    }

    /// Closes alone with the newest state that is known, although data was lost: the operator says so.
    pub(super) fn on_close_at_risk(&mut self, token: Token, fee: Amount) -> Result<(), Reject> {
        let Some(lost) = self.lost else { return self.on_force_close(token, fee) };
        if !self.held.is_known() || self.funding.is_none() || !self.life.carries_updates() {
            return Err(Reject::Unproven(lost.proven));
        }
        self.check_close_fee(fee)?;
        match self.memory.wishes.post {
            Some(_) => self.memory.wishes.post_too.push(token),
            None => self.memory.wishes.post = Some((token, fee)),
        }
        self.memory.wishes.at_risk = true;
        Ok(())
    }

    /// Nothing that waits for a version will get one.
    pub(super) fn decline_waiting(&mut self) {
        self.memory.decline_queue(Reject::Closing);
    }

    /// Both signed final balances: one way only (FAULTS C11).
    pub(super) fn agreed(&mut self) {
        self.decline_waiting();
        let open: Vec<u64> = self.outgoing.numbers().collect();
        for number in open {
            self.outgoing.remove(number);
            self.delete(crate::row::Key::Request(number));
            self.effect(Effect::Failed { number, reason: crate::effect::Failure::Closed });
        }
        self.become_life(Life::Closing(ClosingStage::Agreed));
        self.memory.turn.submit = true;
    }
}
