//! Updates, and what they do to a state: the one function by which both parties compute the content of a version.

use bincode::{Decode, Encode};
use towpath_crypto::Amount;
use towpath_ledger::{ChannelState, ChannelTag, ChannelTerms, Party};

use crate::canary::{Canary, sings};

/// A payment inside a channel. `number` counts up in each direction and is never used twice, so that a payment
/// cannot be made twice, for ever, in constant space.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Transfer {
    /// Who pays.
    pub from: Party,
    /// Its number in this direction, from one; rising, with gaps where payments failed.
    pub number: u64,
    /// How much; not zero.
    pub amount: Amount,
    /// 32 bytes for the payee: an invoice's id, or any mark that both sides understand.
    pub memo: Option<[u8; 32]>,
}

/// One change of a channel's state.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Update {
    /// A payment.
    Transfer(Transfer),
    /// From this version on the other party proposes; the last update of its proposal.
    Handover,
    /// These balances are final, for a cooperative close; the last update of its proposal.
    Finish,
}

/// A state and the newest payment numbers in it: what a version contains.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Content {
    /// What is signed.
    pub state: ChannelState,
    /// The highest number of a payment by A.
    pub sent_a: u64,
    /// The highest number of a payment by B.
    pub sent_b: u64,
}

/// Why an update does not apply.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug, thiserror::Error)]
pub enum UpdateError {
    /// A payment of nothing.
    #[error("a payment of nothing")]
    Zero,
    /// A number that was used before.
    #[error("payment number was used before")]
    Number,
    /// More than the payer has above its reserve.
    #[error("more than the payer has above its reserve")]
    Balance,
    /// Something follows a handover or a finish, or the state is final.
    #[error("an update after the last possible one")]
    AfterLast,
    /// A final state with payments that still depend on a condition.
    #[error("payments are pending, so no balance is final")]
    Pending,
    /// No version number is left.
    #[error("the version is out of range")]
    Version,
}

impl Content {
    /// The content of a channel's first version. Every later one is made out of it, so that all have its tag.
    #[must_use]
    pub const fn first(
        terms: &ChannelTerms,
        tag: ChannelTag,
        (balance_a, balance_b): (Amount, Amount),
        sequencer: Party,
    ) -> Self {
        let state = ChannelState {
            channel: terms.id,
            tag,
            generation: terms.generation,
            version: 1,
            is_final: false,
            sequencer,
            balance_a,
            balance_b,
            pending_total: Amount::ZERO,
            pending_root: towpath_crypto::Digest::ZERO,
        };
        Self { state, sent_a: 0, sent_b: 0 }
    }

    /// The highest number of a payment by `party`.
    #[must_use]
    pub const fn sent(&self, party: Party) -> u64 {
        match party {
            Party::A => self.sent_a,
            Party::B => self.sent_b,
        }
    }

    /// What `party` can spend: its balance above the reserve.
    #[must_use]
    pub fn spendable(&self, party: Party, terms: &ChannelTerms) -> Amount {
        if sings(Canary::ReserveIgnored) {
            return self.state.balance(party);
        }
        self.state.balance(party).checked_sub(terms.reserve).unwrap_or(Amount::ZERO)
    }

    /// Applies one update in place (SPEC P-2). On an error the content is unchanged.
    ///
    /// # Errors
    /// [`UpdateError`] says why it does not apply.
    pub fn apply(&mut self, update: &Update, terms: &ChannelTerms) -> Result<(), UpdateError> {
        if self.state.is_final {
            return Err(UpdateError::AfterLast);
        }
        match update {
            Update::Transfer(transfer) => self.transfer(transfer, terms),
            Update::Handover => {
                self.state.sequencer = self.state.sequencer.other();
                Ok(())
            }
            Update::Finish if self.state.pending_total.is_zero() => {
                self.state.is_final = true;
                Ok(())
            }
            Update::Finish => Err(UpdateError::Pending),
        }
    }

    fn transfer(&mut self, transfer: &Transfer, terms: &ChannelTerms) -> Result<(), UpdateError> {
        let (payer, payee, sent) = match transfer.from {
            Party::A => (&mut self.state.balance_a, &mut self.state.balance_b, &mut self.sent_a),
            Party::B => (&mut self.state.balance_b, &mut self.state.balance_a, &mut self.sent_b),
        };
        if transfer.amount.is_zero() {
            return Err(UpdateError::Zero);
        }
        if transfer.number <= *sent {
            return Err(UpdateError::Number);
        }
        let rest = payer
            .checked_sub(transfer.amount)
            .filter(|rest| *rest >= terms.reserve || sings(Canary::ReserveIgnored));
        let (Some(rest), Some(gained)) = (rest, payee.checked_add(transfer.amount)) else {
            return Err(UpdateError::Balance);
        };
        (*payer, *payee, *sent) = (rest, gained, transfer.number);
        Ok(())
    }

    /// The content of `version`: this one plus `updates`, in order (SPEC P-3).
    ///
    /// # Errors
    /// The index of the first update that does not apply, and why.
    pub fn next(
        &self,
        version: u64,
        updates: &[Update],
        terms: &ChannelTerms,
    ) -> Result<Self, (usize, UpdateError)> {
        if version <= self.state.version || version > crate::limits::VERSION_MAX {
            return Err((0, UpdateError::Version));
        }
        let mut content = self.clone();
        for (index, update) in updates.iter().enumerate() {
            let last = index + 1 == updates.len();
            match update {
                Update::Transfer(_) => {}
                Update::Handover | Update::Finish if last => {}
                Update::Handover | Update::Finish => return Err((index, UpdateError::AfterLast)),
            }
            content.apply(update, terms).map_err(|error| (index, error))?;
        }
        content.state.version = version;
        Ok(content)
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
