//! The transactions that close channels, made out of what the channels themselves signed. Nothing here needs a wallet:
//! fees come out of the channels' own balances (DESIGN 3), so that a party without coins is safe, too.
//!
//! All of them count with the rules' own [`Account`], so what is made here is what the ledger takes: either a transaction
//! that pays for itself, or the reason why the channel can't.

mod batch;
mod close;
mod dispute;
mod fees;
mod finalize;
mod paid;
#[cfg(test)]
mod tests;

use towpath_crypto::codec;

use crate::rules::{Account, ChannelFault, Params};
use crate::types::{
    Amount, AssetId, ChainId, ChannelTerms, Closing, Deadline, Lock, OutPoint, Output, Party, Time,
    Transaction, TxBody, Witness,
};

pub use batch::Batched;
pub use close::{Agreed, Posting, cooperative, cooperative_all, unilateral, unilateral_fee};
pub use dispute::{Answer, answer, answer_fee, penalize, supersede};
pub use fees::{capacity_min, close_fee_min};
pub use finalize::{finalize, finalize_all};
pub use paid::{PaidOut, paid_out};

/// Why a closing transaction can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The ledger would refuse it: most often because the channel's balances or terms do not bear the fee.
    #[error(transparent)]
    Fault(#[from] ChannelFault),
    /// The state has conditional payments, which are settled with their secrets.
    #[error("conditional payments of {0} are pending")]
    Pending(Amount),
    /// Amounts that no ledger ever shows.
    #[error("amounts past the largest one")]
    Overflow,
}

/// Where a closing transaction takes place, and what it costs there.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The ledger.
    pub chain: ChainId,
    /// Its parameters.
    pub params: &'a Params,
    /// The asset of the channel.
    pub asset: AssetId,
}

impl Place<'_> {
    fn transaction(&self, input: OutPoint, witness: Witness, outputs: Vec<Output>) -> Transaction {
        let body = TxBody {
            chain: self.chain,
            inputs: vec![input],
            outputs,
            not_before: None,
            expiry: None,
            payload: None,
        };
        Transaction { body, witnesses: vec![witness] }
    }

    fn output(&self, amount: Amount, lock: Lock) -> Output {
        Output { asset: self.asset, amount, lock }
    }

    /// What is left for each party, one output for each lock: the rule sums what is owed by lock.
    fn pays(&self, terms: &ChannelTerms, account: &Account) -> Result<Vec<Output>, SettleError> {
        let mut outputs: Vec<Output> = Vec::with_capacity(2);
        for party in [Party::A, Party::B] {
            let (amount, lock) = (account.left(party), Lock::Wallet(terms.payout(party).clone()));
            match outputs.iter_mut().find(|output| output.lock == lock) {
                Some(output) => {
                    output.amount = output.amount.checked_add(amount).ok_or(SettleError::Overflow)?;
                }
                None if amount.is_zero() => {}
                None => outputs.push(self.output(amount, lock)),
            }
        }
        Ok(outputs)
    }

    /// The least fee of a transaction of so many bytes, as far as it comes out of a channel of this asset.
    fn fee_of_bytes(&self, bytes: usize) -> Amount {
        if self.asset != AssetId::NATIVE {
            return Amount::ZERO;
        }
        self.params.fee_min(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn fee_of(&self, transaction: &Transaction) -> Amount {
        self.fee_of_bytes(codec::encode(transaction).len())
    }

    /// The transaction that pays its own least fee. Amounts have a fixed size, and a fee can only make an output vanish:
    /// so the fee of the one without a fee is enough for the one with it. Where an output does vanish it is more than
    /// needed, and the rules allow that (C-45 counts what is owed before the fee).
    fn cheapest(
        &self,
        make: impl Fn(Amount) -> Result<Transaction, SettleError>,
    ) -> Result<Transaction, SettleError> {
        let fee = self.fee_of(&make(Amount::ZERO)?);
        make(fee)
    }
}

/// The account of a closing, as the rules count it.
fn account_of(closing: &Closing) -> Result<Account, SettleError> {
    Account::of_closing(closing).ok_or(SettleError::Overflow)
}

/// The last ledger time at which a closing that was made at `created` can be disputed (SPEC C-30).
#[must_use]
pub const fn deadline_of(closing: &Closing, created: Time) -> Time {
    match closing.deadline {
        Deadline::FromCreation => created.plus_ms(closing.terms.dispute_window_ms),
        Deadline::At(deadline) => deadline,
    }
}
