//! Who is owed what when a channel is settled: balances, the penalty, and the fees that were taken
//! (SPEC C-40 to C-46, `docs/decisions/close-fees.md`). Pending payments are apart: they are always paid in full.
//! Whoever makes a closing transaction counts with this, too: two counts of one debt would differ one day.

use towpath_crypto::Amount;

use super::fault::ChannelFault;
use crate::types::{ChannelState, ChannelTerms, Closing, Party};

/// A value for each party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PerParty {
    a: Amount,
    b: Amount,
}

impl PerParty {
    pub(super) const fn of(&self, party: Party) -> Amount {
        match party {
            Party::A => self.a,
            Party::B => self.b,
        }
    }

    const fn set(&mut self, party: Party, amount: Amount) {
        match party {
            Party::A => self.a = amount,
            Party::B => self.b = amount,
        }
    }
}

/// What is left for each party, and which fees were taken out of it so far.
#[derive(Debug, Clone)]
pub struct Account {
    left: PerParty,
    fees: PerParty,
    fee_max: Amount,
}

impl Account {
    /// Of a channel that is closed by `state`.
    #[must_use]
    pub const fn of_channel(terms: &ChannelTerms, state: &ChannelState) -> Self {
        Self {
            left: PerParty { a: state.balance_a, b: state.balance_b },
            fees: PerParty { a: Amount::ZERO, b: Amount::ZERO },
            fee_max: terms.close_fee_max,
        }
    }

    /// Of a closing as it stands: the author's forfeit goes to the other party, then each bears the fees taken in its
    /// name, and where it has too little the other does. `check_state` saw to it that both together have enough; `None`
    /// for a closing that no rule made.
    #[must_use]
    pub fn of_closing(closing: &Closing) -> Option<Self> {
        let mut account = Self::of_channel(&closing.terms, &closing.state);
        let (author, other) = (closing.author, closing.author.other());
        if closing.penalized {
            let forfeit = account.left.of(author).share(closing.terms.penalty_basis_points);
            account.left.set(author, account.left.of(author).checked_sub(forfeit)?);
            account.left.set(other, account.left.of(other).checked_add(forfeit)?);
        }
        account.bear(author, closing.author_fees)?;
        account.bear(other, closing.other_fees)?;
        Some(account)
    }

    fn bear(&mut self, party: Party, fee: Amount) -> Option<()> {
        let own = fee.min(self.left.of(party));
        let rest = fee.checked_sub(own)?;
        self.left.set(party, self.left.of(party).checked_sub(own)?);
        self.left.set(party.other(), self.left.of(party.other()).checked_sub(rest)?);
        self.fees.set(party, self.fees.of(party).checked_add(fee)?);
        Some(())
    }

    /// What is left for `party`.
    #[must_use]
    pub const fn left(&self, party: Party) -> Amount {
        self.left.of(party)
    }

    /// The fees taken in the name of `party`.
    #[must_use]
    pub const fn fees(&self, party: Party) -> Amount {
        self.fees.of(party)
    }

    /// Takes a fee out of what is left for `party`, as far as all its fees together stay within `fees_max`, which is at
    /// most the terms' bound.
    ///
    /// # Errors
    /// [`ChannelFault::Fee`] with the most that can be taken.
    pub fn draw(&mut self, party: Party, fee: Amount, fees_max: Amount) -> Result<(), ChannelFault> {
        let most = self.room(party, fees_max);
        let left = self.left.of(party).checked_sub(fee);
        let fees = self.fees.of(party).checked_add(fee);
        match (left, fees) {
            (Some(left), Some(fees)) if fee <= most => {
                self.left.set(party, left);
                self.fees.set(party, fees);
                Ok(())
            }
            _ => Err(ChannelFault::Fee { fee, most }),
        }
    }

    /// Takes a fee out of what is left for `first`, and for the other party when that share is used up.
    ///
    /// # Errors
    /// [`ChannelFault::Fee`] if both together cannot bear it.
    pub fn draw_from_both(&mut self, first: Party, fee: Amount) -> Result<(), ChannelFault> {
        let own = fee.min(self.room(first, self.fee_max));
        let rest = fee.checked_sub(own).unwrap_or(Amount::ZERO);
        self.draw(first, own, self.fee_max)?;
        self.draw(first.other(), rest, self.fee_max)
    }

    /// The most that can be taken out of what is left for `party`, as far as all its fees together stay within
    /// `fees_max`.
    #[must_use]
    pub fn room(&self, party: Party, fees_max: Amount) -> Amount {
        let allowed = fees_max.checked_sub(self.fees.of(party)).unwrap_or(Amount::ZERO);
        allowed.min(self.left.of(party))
    }
}
