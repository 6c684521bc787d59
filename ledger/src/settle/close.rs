//! Closing: together, or alone.

use towpath_crypto::ed25519::Signature;

use super::batch::{self, Batched, Payable};
use super::{Place, SettleError};
use crate::rules::Account;
use crate::types::{
    Amount, ChannelState, ChannelTerms, Closing, CoSigned, Deadline, Digest, Lock, OutPoint, Party,
    StateSignature, Transaction, TxId, Witness,
};

/// A channel whose parties signed final balances.
#[derive(Clone, Copy, Debug)]
pub struct Agreed<'a> {
    /// The channel's output.
    pub funding: OutPoint,
    /// Its terms.
    pub terms: &'a ChannelTerms,
    /// The final balances.
    pub state: &'a CoSigned,
}

impl Payable for Agreed<'_> {
    fn outpoint(&self) -> OutPoint {
        self.funding
    }

    fn terms(&self) -> &ChannelTerms {
        self.terms
    }

    fn pay(&self, fee: Amount) -> Result<(Witness, Account), SettleError> {
        let mut account = Account::of_channel(self.terms, &self.state.state);
        account.draw_from_both(Party::A, fee)?;
        Ok((Witness::Cooperative { state: Box::new(self.state.clone()), fee }, account))
    }
}

/// Both signed final balances. Both parties build the same bytes, so it does not matter who posts it.
///
/// # Errors
/// [`SettleError`] if the balances do not bear the fee.
pub fn cooperative(place: &Place<'_>, agreed: &Agreed<'_>) -> Result<Transaction, SettleError> {
    batch::one(place, agreed)
}

/// Many such channels at once. What they owe to one lock is one output.
#[must_use]
pub fn cooperative_all<'a>(place: &Place<'_>, channels: impl IntoIterator<Item = Agreed<'a>>) -> Batched {
    batch::all(place, channels)
}

/// What the author of a unilateral close posts.
#[derive(Clone, Copy, Debug)]
pub struct Posting<'a> {
    /// The channel's output.
    pub funding: OutPoint,
    /// Its amount.
    pub capacity: Amount,
    /// Its terms.
    pub terms: &'a ChannelTerms,
    /// The newest state.
    pub state: &'a CoSigned,
    /// Who closes.
    pub author: Party,
    /// Out of the author's balance.
    pub fee: Amount,
    /// The author's.
    pub signature: Signature,
}

impl Posting<'_> {
    /// The closing that it makes.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing {
            terms: self.terms.clone(),
            capacity: self.capacity,
            state: self.state.state.clone(),
            posted_version: self.state.state.version,
            author: self.author,
            deadline: Deadline::FromCreation,
            penalized: false,
            author_fees: self.fee,
            other_fees: Amount::ZERO,
        }
    }
}

/// One party closes alone.
///
/// # Errors
/// [`SettleError`] if the author's balance, or the terms, do not bear the fee.
pub fn unilateral(place: &Place<'_>, posting: &Posting<'_>) -> Result<Transaction, SettleError> {
    let Posting { terms, author, fee, .. } = *posting;
    Account::of_channel(terms, &posting.state.state).draw(author, fee, terms.close_fee_max)?;
    let amount = posting.capacity.checked_sub(fee).ok_or(SettleError::Overflow)?;
    let closing = place.output(amount, Lock::Closing(Box::new(posting.closing())));
    let state = Box::new(posting.state.clone());
    let witness = Witness::Unilateral { state, author, fee, signature: posting.signature };
    Ok(place.transaction(posting.funding, witness, vec![closing]))
}

/// The least fee of a unilateral close, which its author signs before the transaction can be made.
///
/// # Errors
/// [`SettleError`] for a state that is none of this channel.
pub fn unilateral_fee(
    place: &Place<'_>,
    terms: &ChannelTerms,
    (state, capacity): (&ChannelState, Amount),
    author: Party,
) -> Result<Amount, SettleError> {
    let state = unsigned(state.clone());
    let posting = Posting {
        funding: NOWHERE,
        capacity,
        terms,
        state: &state,
        author,
        fee: Amount::ZERO,
        signature: NO_SIGNATURE,
    };
    Ok(place.fee_of(&unilateral(place, &posting)?))
}

/// Everything that counts has a fixed size, so to measure a transaction any outpoint will do ..
pub(super) const NOWHERE: OutPoint = OutPoint { tx: TxId(Digest::ZERO), index: 0 };

/// .. and any signature.
pub(super) const NO_SIGNATURE: Signature = Signature([0; 64]);

/// A state as large as with both signatures.
pub(super) const fn unsigned(state: ChannelState) -> CoSigned {
    let signed = StateSignature { held: 0, signature: NO_SIGNATURE };
    CoSigned { state, a: signed, b: signed }
}
