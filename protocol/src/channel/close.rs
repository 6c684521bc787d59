//! Posting closes: what is signed last, and never again after.

use towpath_crypto::Amount;
use towpath_ledger::{CloseIntent, CoSigned};

use super::machine::Channel;
use super::state::Posted;
use crate::canary::{Canary, sings};
use crate::effect::{Alarm, Effect};
use crate::error::Reject;
use crate::journal::EventKind;
use crate::life::{ClosingStage, Life};

impl Channel {
    /// A cooperative close that both signed, if it is to be posted in this turn.
    pub(super) fn submit(&mut self) {
        if !std::mem::take(&mut self.memory.turn.submit) || self.life != Life::Closing(ClosingStage::Agreed) {
            return;
        }
        let (Some(funding), Some(state)) = (self.funding, self.complete()) else { return };
        self.effect(Effect::SubmitClose { funding, state: Box::new(state) });
    }

    /// A unilateral close, if it is wanted (SPEC P-21): the newest state, signed by its author. All who asked are answered.
    pub(super) fn post(&mut self) {
        let Some((token, fee)) = self.memory.wishes.post.take() else { return };
        let others = std::mem::take(&mut self.memory.wishes.post_too);
        let posted = self.try_post(fee);
        for token in std::iter::once(token).chain(others) {
            match posted {
                Ok(()) => self.done(token),
                Err(reason) => self.effect(Effect::Declined { token, reason }),
            }
        }
    }

    fn try_post(&mut self, fee: Amount) -> Result<(), Reject> {
        let may_post = match self.life {
            Life::Active | Life::Closing(ClosingStage::Draining | ClosingStage::Finishing) => true,
            // Posted before; or the other party closes, and there is nothing left to close.
            Life::Closing(ClosingStage::Unilateral) => self.posted.is_some(),
            Life::Closing(ClosingStage::Agreed) | Life::Opening | Life::Disputed | Life::Settled(_) => false,
        };
        let at_risk = std::mem::take(&mut self.memory.wishes.at_risk);
        if !may_post || (self.lost.is_some() && !at_risk) {
            return Err(Reject::Closing);
        }
        if self.posted.is_none() {
            let posted = self.sign_posting(fee)?;
            self.posted = Some(posted);
            self.record(EventKind::Posted { version: posted.version, fee });
            self.decline_waiting();
            self.become_life(Life::Closing(ClosingStage::Unilateral));
        }
        self.post_again();
        Ok(())
    }

    /// What was paid in this very turn may have left too little for the fee, and the ledger would never take the close.
    pub(super) fn sign_posting(&mut self, fee: Amount) -> Result<Posted, Reject> {
        if !sings(Canary::FeeUnchecked) {
            self.check_close_fee(fee)?;
        }
        let CoSigned { state, .. } = self.complete().ok_or(Reject::Signer)?;
        let intent = CloseIntent { state, author: self.fixed.me, fee };
        match self.guard.sign_close_intent(&self.fixed.chain, &intent) {
            Ok(signature) => Ok(Posted { version: intent.state.version, fee, signature }),
            Err(error) => {
                self.effect(Effect::Alarm(Alarm::Signer(error)));
                Err(Reject::Signer)
            }
        }
    }

    /// The same close, the same bytes: while the ledger does not show it.
    pub(super) fn post_again(&mut self) {
        let (Some(Posted { fee, signature, .. }), Some(funding)) = (self.posted, self.funding) else {
            return;
        };
        let Some(state) = self.held.co_signed(self.fixed.me) else { return };
        let (state, author) = (Box::new(state), self.fixed.me);
        self.effect(Effect::PostClose { funding, state, author, fee, signature });
    }
}
