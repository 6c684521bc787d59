//! The funding, once both hold version 1: who signs what in which order, and when it is over (SPEC P-19).

use std::sync::Arc;

use towpath_ledger::{Amount, Lock, Output, Party, StateSignature, Transaction, TxBody, Witness};

use super::machine::Channel;
use super::state::{Fixed, Plan};
use crate::effect::Effect;
use crate::error::Reject;
use crate::life::{Life, Settlement};
use crate::message::{ChannelMessage, FundingInput, WalletWitness};
use crate::row::Key;

impl Fixed {
    /// The channel's output on the ledger.
    pub(crate) fn output(&self) -> Output {
        let lock = Lock::Channel(Box::new(self.terms.clone()));
        Output { asset: self.asset, amount: self.capacity, lock }
    }

    /// What this party put into the channel when it was opened; nothing is known of that in a channel that was found on the ledger.
    pub(crate) fn brought(&self) -> Amount {
        match (&self.plan, self.me) {
            (Plan::Single { .. }, Party::A) => self.first.state.total().unwrap_or(self.capacity),
            (Plan::Single { .. }, Party::B) | (Plan::Found, _) => Amount::ZERO,
            (Plan::Dual { .. }, me) => self.first.state.balance(me),
        }
    }

    /// The inputs of both, in the order of the funding transaction; none if A funds alone.
    pub(crate) fn inputs(&self) -> (&[FundingInput], &[FundingInput]) {
        match &self.plan {
            Plan::Single { .. } | Plan::Found => (&[], &[]),
            Plan::Dual { inputs_a, inputs_b, .. } => (inputs_a, inputs_b),
        }
    }

    /// The funding by both, as both assemble it: A's inputs, then B's; the channel, then A's change, then B's.
    pub(crate) fn body(&self) -> TxBody {
        let (a, b) = self.inputs();
        let mut outputs = vec![self.output()];
        match &self.plan {
            Plan::Single { .. } | Plan::Found => {}
            Plan::Dual { change_a, change_b, .. } => {
                outputs.extend_from_slice(change_a);
                outputs.extend_from_slice(change_b);
            }
        }
        TxBody {
            chain: self.chain,
            inputs: a.iter().chain(b).map(|input| input.outpoint).collect(),
            outputs,
            not_before: None,
            expiry: Some(self.funding_deadline),
            payload: None,
        }
    }
}

impl Channel {
    pub(super) fn funding_body(&self) -> TxBody {
        self.fixed.body()
    }

    /// What the funding needs next from this node's wallet; safe to ask again.
    pub(crate) fn ask_funding(&mut self) {
        if self.life != Life::Opening {
            return;
        }
        let (a, b) = self.fixed.inputs();
        let (from, to) = match self.fixed.me {
            Party::A => (0, a.len()),
            Party::B => (a.len(), a.len() + b.len()),
        };
        match (&self.fixed.plan, self.fixed.me) {
            (Plan::Single { first_input, index }, Party::A) => {
                let (first_input, index) = (*first_input, *index);
                let (output, expiry) = (self.fixed.output(), self.fixed.funding_deadline);
                self.effect(Effect::Fund { first_input, index, output, expiry });
            }
            (Plan::Single { .. }, Party::B) | (Plan::Found, _) => {}
            (Plan::Dual { .. }, Party::A) => match (&self.witnesses.a, &self.witnesses.b) {
                // B signs first: it holds version 1 by then, and A can only complete what B agreed to.
                (_, None) => {}
                (None, Some(_)) => self.sign_funding(from, to),
                (Some(a), Some(b)) => {
                    let witnesses = a.iter().chain(b).cloned().map(Witness::Wallet).collect();
                    let transaction = Transaction { body: self.funding_body(), witnesses };
                    self.effect(Effect::Broadcast(transaction));
                }
            },
            (Plan::Dual { .. }, Party::B) if self.witnesses.b.is_none() => self.sign_funding(from, to),
            (Plan::Dual { .. }, Party::B) => {}
        }
    }

    fn sign_funding(&mut self, from: usize, to: usize) {
        let (a, b) = self.fixed.inputs();
        let spent = a.iter().chain(b).map(|input| input.output.clone()).collect();
        let body = self.funding_body();
        self.effect(Effect::SignFunding { body, spent, from, to });
    }

    /// What this party said last about the opening, again.
    pub(super) fn say_opening(&mut self) {
        match (self.fixed.me, self.held.mine) {
            (Party::A, Some(mine)) => self.send(ChannelMessage::Created(mine)),
            (Party::B, _) => {
                if let Some(witnesses) = self.witnesses.b.clone() {
                    self.send(ChannelMessage::Witnesses(witnesses));
                }
            }
            (Party::A, None) => {}
        }
    }

    /// A repeats its signature on version 1: it may have missed the answer.
    pub(super) fn on_created_again(&mut self, signature: &StateSignature) -> Result<(), Reject> {
        if self.fixed.me == Party::A {
            return Err(Reject::Unexpected("created"));
        }
        if self.life == Life::Opening && self.held.theirs == *signature {
            self.say_opening();
        }
        Ok(())
    }

    /// B's witnesses. The ledger judges them: a wrong one only makes a transaction that nobody accepts.
    pub(super) fn on_witnesses(&mut self, witnesses: Vec<WalletWitness>) -> Result<(), Reject> {
        if self.fixed.me == Party::B || witnesses.len() != self.fixed.inputs().1.len() || witnesses.is_empty()
        {
            return Err(Reject::Unexpected("witnesses"));
        }
        if self.life == Life::Opening && self.witnesses.b.is_none() {
            Arc::make_mut(&mut self.witnesses).b = Some(witnesses);
            self.keep_witnesses();
            self.ask_funding();
        }
        Ok(())
    }

    /// This node's wallet signed.
    pub(super) fn on_funding_signed(&mut self, witnesses: Vec<WalletWitness>) -> Result<(), Reject> {
        if self.life != Life::Opening {
            return self.on_resize_witnesses(witnesses);
        }
        let (a, b) = self.fixed.inputs();
        let expected = match self.fixed.me {
            Party::A => a.len(),
            Party::B => b.len(),
        };
        if witnesses.len() != expected || expected == 0 {
            return Err(Reject::Report("other witnesses than were asked for"));
        }
        match self.fixed.me {
            Party::A if self.witnesses.b.is_none() => {
                return Err(Reject::Report("witnesses that were not asked for"));
            }
            Party::A => {
                Arc::make_mut(&mut self.witnesses).a.get_or_insert(witnesses);
                self.keep_witnesses();
                self.ask_funding();
            }
            Party::B => {
                Arc::make_mut(&mut self.witnesses).b.get_or_insert(witnesses);
                self.keep_witnesses();
                if self.memory.link.connected {
                    self.say_opening();
                }
            }
        }
        Ok(())
    }

    fn keep_witnesses(&mut self) {
        let witnesses = Arc::clone(&self.witnesses);
        self.put(Key::Witnesses, witnesses.as_ref());
    }

    /// Past its deadline the funding transaction is not valid, and nothing was lost (FAULTS C12).
    pub(super) fn expire_opening(&mut self) {
        if self.life == Life::Opening && self.memory.now.ledger > self.fixed.funding_deadline {
            self.become_life(Life::Settled(Settlement::NeverFunded));
            self.effect(Effect::FundingReleased);
        }
    }
}
