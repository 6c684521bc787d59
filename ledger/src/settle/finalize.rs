//! Paying out closings whose deadline is over: one, or as many as fit into one transaction.

use super::batch::{self, Batched, Payable};
use super::{Place, SettleError, account_of};
use crate::rules::Account;
use crate::types::{Amount, ChannelTerms, Closing, OutPoint, Transaction, Witness};

struct Due<'a> {
    outpoint: OutPoint,
    closing: &'a Closing,
}

impl Payable for Due<'_> {
    fn outpoint(&self) -> OutPoint {
        self.outpoint
    }

    fn terms(&self) -> &ChannelTerms {
        &self.closing.terms
    }

    fn pay(&self, fee: Amount) -> Result<(Witness, Account), SettleError> {
        let pending = self.closing.state.pending_total;
        if !pending.is_zero() {
            return Err(SettleError::Pending(pending));
        }
        let mut account = account_of(self.closing)?;
        account.draw_from_both(self.closing.author, fee)?;
        Ok((Witness::Finalize { pending: Vec::new(), fee }, account))
    }
}

/// Pays out a closing whose deadline is over.
///
/// # Errors
/// [`SettleError`] if its balances do not bear the fee, or conditional payments are pending.
pub fn finalize(
    place: &Place<'_>,
    outpoint: OutPoint,
    closing: &Closing,
) -> Result<Transaction, SettleError> {
    batch::one(place, &Due { outpoint, closing })
}

/// Pays out closings whose deadlines are over. What they owe to one lock is one output.
#[must_use]
pub fn finalize_all<'a>(
    place: &Place<'_>,
    closings: impl IntoIterator<Item = (OutPoint, &'a Closing)>,
) -> Batched {
    batch::all(place, closings.into_iter().map(|(outpoint, closing)| Due { outpoint, closing }))
}
