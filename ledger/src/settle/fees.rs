//! What a channel must set aside for its close, so that nobody depends on a wallet (`docs/decisions/close-fees.md`).

use super::close::{NO_SIGNATURE, NOWHERE, Posting, unilateral, unsigned};
use super::dispute::{answer_fee, penalize};
use super::finalize::finalize;
use super::{Place, SettleError};
use crate::rules::Params;
use crate::types::{Amount, ChannelState, ChannelTerms, Digest, Party, SignedState, StateSignature, Time};

/// The least `close_fee_max` with which a channel of these terms can be closed and defended out of itself alone:
/// - all of it pays for the largest unilateral close and the payout after it: an author needs nobody;
/// - half of it pays for the largest dispute by anyone (a newer state and a proof), and the other half for the largest
///   answer: whatever was burnt of the unsigned half (C-44), the victim can still answer.
///
/// The terms' own `close_fee_max` is left out of account: all its values have one size.
///
/// # Errors
/// [`SettleError`] for amounts that no channel has.
pub fn close_fee_min(place: &Place<'_>, terms: &ChannelTerms) -> Result<Amount, SettleError> {
    // With room for any fee, so that only sizes count.
    let capacity = Amount(u64::MAX / 2);
    let half = capacity.share(5_000);
    let terms = ChannelTerms { close_fee_max: half, ..terms.clone() };
    let state = unsigned(ChannelState {
        channel: terms.id,
        generation: terms.generation,
        version: 1,
        is_final: false,
        sequencer: Party::A,
        balance_a: half,
        balance_b: half,
        pending_total: Amount::ZERO,
        pending_root: Digest::ZERO,
        tag: crate::types::ChannelTag(Digest::ZERO),
    });
    let posting = Posting {
        funding: NOWHERE,
        capacity,
        terms: &terms,
        state: &state,
        author: Party::A,
        fee: Amount::ZERO,
        signature: NO_SIGNATURE,
    };
    let (closing, signature) = (posting.closing(), StateSignature { held: 0, signature: NO_SIGNATURE });
    let proof = SignedState { state: state.state.clone(), signature };
    let close = place.fee_of(&unilateral(place, &posting)?);
    let payout = place.fee_of(&finalize(place, NOWHERE, &closing)?);
    let made = (Time(0), capacity);
    let dispute = place.fee_of(&penalize(place, NOWHERE, made, &closing, (Some(&state), &proof))?);
    let alone = close.checked_add(payout).ok_or(SettleError::Overflow)?;
    let defence = dispute.max(answer_fee(place, &closing));
    let defence = defence.checked_add(defence).ok_or(SettleError::Overflow)?;
    Ok(alone.max(defence))
}

/// The least capacity of which the ledger lets `close_fee` be set aside for each party; `None` where it lets nothing be
/// set aside.
#[must_use]
pub fn capacity_min(params: &Params, close_fee: Amount) -> Option<Amount> {
    if close_fee.is_zero() {
        return Some(params.output_min);
    }
    let share = u128::from(params.close_fee_basis_points_max);
    let scaled = u128::from(close_fee.units()) * 10_000;
    // Rounded up, since a share is rounded down.
    let needed = scaled.checked_add(share.saturating_sub(1))?.checked_div(share)?;
    Some(Amount(u64::try_from(needed).ok()?).max(params.output_min))
}
