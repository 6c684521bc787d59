//! Posting closes: what is signed last, and never again after.

use towpath_ledger::{CloseIntent, CoSigned};

use super::machine::Channel;
use super::state::Posted;
use crate::effect::{Alarm, Effect};
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

    /// A unilateral close, if it is wanted (SPEC P-21): the newest state, signed by its author.
    pub(super) fn post(&mut self) {
        let Some((token, fee)) = self.memory.wishes.post.take() else { return };
        let may_post = matches!(
            self.life,
            Life::Active
                | Life::Closing(ClosingStage::Draining | ClosingStage::Finishing | ClosingStage::Unilateral)
        );
        let at_risk = std::mem::take(&mut self.memory.wishes.at_risk);
        if !may_post || (self.lost.is_some() && !at_risk) {
            let reason = crate::error::Reject::Closing;
            self.effect(Effect::Declined { token, reason });
            return;
        }
        if self.posted.is_none() {
            let Some(posted) = self.sign_posting(fee) else { return };
            self.posted = Some(posted);
            self.record(EventKind::Posted { version: posted.version, fee });
            self.decline_waiting();
            self.become_life(Life::Closing(ClosingStage::Unilateral));
        }
        self.post_again();
        self.done(token);
    }

    fn sign_posting(&mut self, fee: towpath_crypto::Amount) -> Option<Posted> {
        let CoSigned { state, .. } = self.complete()?;
        let intent = CloseIntent { state, author: self.fixed.me, fee };
        match self.guard.sign_close_intent(&self.fixed.chain, &intent) {
            Ok(signature) => Some(Posted { version: intent.state.version, fee, signature }),
            Err(error) => {
                self.effect(Effect::Alarm(Alarm::Signer(error)));
                None
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
