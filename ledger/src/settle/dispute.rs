//! Disputes: what the other party answers, and what anyone may show.

use towpath_crypto::ed25519::Signature;

use super::close::{NO_SIGNATURE, NOWHERE, unsigned};
use super::{Place, SettleError, account_of, deadline_of};
use crate::types::{
    Amount, Closing, CoSigned, Deadline, Lock, OutPoint, Party, SignedState, Time, Transaction, Witness,
};

/// What the other party answers a closing with.
#[derive(Clone, Debug)]
pub struct Answer {
    /// A newer state than the posted one.
    pub state: Option<Box<CoSigned>>,
    /// The proof that the author knew better.
    pub proof: Option<Box<SignedState>>,
    /// Out of the answering party's balance.
    pub fee: Amount,
    /// The answering party's.
    pub signature: Signature,
}

/// Settles a closing at once, in the name of the party that did not close.
///
/// # Errors
/// [`SettleError`] if that party's balance, or what is left of its bound, does not bear the fee.
pub fn answer(
    place: &Place<'_>,
    outpoint: OutPoint,
    closing: &Closing,
    answer: &Answer,
) -> Result<Transaction, SettleError> {
    let mut settled = closing.clone();
    settled.penalized |= answer.proof.is_some();
    if let Some(state) = &answer.state {
        settled.state = state.state.clone();
    }
    let mut account = account_of(&settled)?;
    account.draw(closing.author.other(), answer.fee, closing.terms.close_fee_max)?;
    let outputs = place.pays(&closing.terms, &account)?;
    let witness = Witness::Answer {
        state: answer.state.clone(),
        proof: answer.proof.clone(),
        pending: Vec::new(),
        fee: answer.fee,
        signature: answer.signature,
    };
    Ok(place.transaction(outpoint, witness, outputs))
}

/// The fee of the largest answer to `closing`: with a newer state, a proof and an output for each party. It is signed
/// before it is known which of them are needed, and what is too little would be refused.
#[must_use]
pub fn answer_fee(place: &Place<'_>, closing: &Closing) -> Amount {
    let state = unsigned(closing.state.clone());
    let proof = SignedState { state: closing.state.clone(), signature: state.a };
    let outputs = [Party::A, Party::B]
        .map(|party| place.output(closing.capacity, Lock::Wallet(closing.terms.payout(party).clone())));
    let witness = Witness::Answer {
        state: Some(Box::new(state)),
        proof: Some(Box::new(proof)),
        pending: Vec::new(),
        fee: Amount::ZERO,
        signature: NO_SIGNATURE,
    };
    place.fee_of(&place.transaction(NOWHERE, witness, outputs.to_vec()))
}

/// Replaces the posted state by a newer one; the deadline stays. `created` and `amount` are those of the closing's
/// output.
///
/// # Errors
/// [`SettleError`] if the other party's balance, or half of its bound, does not bear the fee.
pub fn supersede(
    place: &Place<'_>,
    outpoint: OutPoint,
    (created, amount): (Time, Amount),
    closing: &Closing,
    state: &CoSigned,
) -> Result<Transaction, SettleError> {
    let disputed = Closing { state: state.state.clone(), ..closing.clone() };
    go_on(place, outpoint, (created, amount), &disputed, |fee| Witness::Supersede {
        state: Box::new(state.clone()),
        fee,
    })
}

/// Penalizes the author of a closing, with a newer state if there is one; the deadline stays.
///
/// # Errors
/// [`SettleError`] if the other party's balance, or half of its bound, does not bear the fee.
pub fn penalize(
    place: &Place<'_>,
    outpoint: OutPoint,
    (created, amount): (Time, Amount),
    closing: &Closing,
    (state, proof): (Option<&CoSigned>, &SignedState),
) -> Result<Transaction, SettleError> {
    let settles = state.map_or(&closing.state, |state| &state.state).clone();
    let disputed = Closing { state: settles, penalized: true, ..closing.clone() };
    go_on(place, outpoint, (created, amount), &disputed, |fee| Witness::Penalize {
        state: state.map(|state| Box::new(state.clone())),
        proof: Box::new(proof.clone()),
        fee,
    })
}

fn go_on(
    place: &Place<'_>,
    outpoint: OutPoint,
    (created, amount): (Time, Amount),
    disputed: &Closing,
    witness: impl Fn(Amount) -> Witness,
) -> Result<Transaction, SettleError> {
    let other = disputed.author.other();
    let unsigned_max = disputed.terms.close_fee_max.share(5_000);
    place.cheapest(|fee| {
        let mut account = account_of(disputed)?;
        account.draw(other, fee, unsigned_max)?;
        let next = Closing {
            deadline: Deadline::At(deadline_of(disputed, created)),
            other_fees: account.fees(other),
            ..disputed.clone()
        };
        let left = amount.checked_sub(fee).ok_or(SettleError::Overflow)?;
        let output = place.output(left, Lock::Closing(Box::new(next)));
        Ok(place.transaction(outpoint, witness(fee), vec![output]))
    })
}
