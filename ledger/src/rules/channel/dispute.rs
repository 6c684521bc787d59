//! Disputing a closing: a higher version, or the proof that its author knew one (SPEC C-30 to C-36).
//!
//! Anyone may, so no signature binds the fee: it comes out of the other party's balance, the one that gains, and all such
//! fees of a closing together stay within half of its bound. The other half is only for what that party signs itself.

use towpath_crypto::Amount;

use super::account::Account;
use super::fault::ChannelFault;
use super::spot::Spot;
use super::state::{check_state, newer};
use crate::rules::demands::Demands;
use crate::rules::error::TxError;
use crate::types::{Closing, CoSigned, Deadline, Lock, SignedState, Time};

/// The last block time at which `closing` can be disputed. It never moves.
pub(super) const fn deadline(spot: &Spot<'_>, closing: &Closing) -> Time {
    closing.deadline(spot.entry.time)
}

/// Refuses what comes after the deadline; the block at the deadline itself is in time (FAULTS C13).
pub(super) fn in_time(spot: &Spot<'_>, closing: &Closing) -> Result<(), TxError> {
    let deadline = deadline(spot, closing);
    if spot.context.time > deadline { Err(spot.refuse(ChannelFault::WindowOver(deadline))) } else { Ok(()) }
}

/// The closing with a newer co-signed state.
pub(super) fn with_newer(
    spot: &Spot<'_>,
    closing: &Closing,
    state: &CoSigned,
    demands: &mut Demands,
) -> Result<Closing, TxError> {
    newer(closing.state.version, state.state.version).map_err(|fault| spot.refuse(fault))?;
    check_state(&closing.terms, closing.capacity, &state.state).map_err(|fault| spot.refuse(fault))?;
    spot.both_sign(&closing.terms, state, demands);
    Ok(Closing { state: state.state.clone(), ..closing.clone() })
}

/// The closing with its author penalized: it signed that it held a higher version than the one that it posted.
pub(super) fn with_proof(
    spot: &Spot<'_>,
    closing: &Closing,
    proof: &SignedState,
    demands: &mut Demands,
) -> Result<Closing, TxError> {
    if closing.penalized {
        return Err(spot.refuse(ChannelFault::Penalized));
    }
    let terms = &closing.terms;
    let of_this = proof.state.channel == terms.id && proof.state.generation == terms.generation;
    if !of_this || proof.signature.held <= closing.posted_version {
        return Err(spot.refuse(ChannelFault::NoProof));
    }
    let key = terms.key(closing.author);
    spot.sign(proof.signature.check(key, &spot.context.chain, &proof.state), demands);
    Ok(Closing { penalized: true, ..closing.clone() })
}

/// Anyone shows a higher version.
pub(in crate::rules) fn supersede(
    spot: &Spot<'_>,
    closing: &Closing,
    state: &CoSigned,
    fee: Amount,
    demands: &mut Demands,
) -> Result<(), TxError> {
    in_time(spot, closing)?;
    let disputed = with_newer(spot, closing, state, demands)?;
    go_on(spot, disputed, fee, demands)
}

/// Anyone shows that the author held a higher version than it posted, and may show a higher version too.
pub(in crate::rules) fn penalize(
    spot: &Spot<'_>,
    closing: &Closing,
    (state, proof): (Option<&CoSigned>, &SignedState),
    fee: Amount,
    demands: &mut Demands,
) -> Result<(), TxError> {
    in_time(spot, closing)?;
    let mut disputed = with_proof(spot, closing, proof, demands)?;
    if let Some(state) = state {
        disputed = with_newer(spot, &disputed, state, demands)?;
    }
    go_on(spot, disputed, fee, demands)
}

fn go_on(spot: &Spot<'_>, disputed: Closing, fee: Amount, demands: &mut Demands) -> Result<(), TxError> {
    let other = disputed.author.other();
    let unsigned_max = disputed.terms.close_fee_max.share(5_000);
    let mut account = Account::of_closing(&disputed).ok_or(TxError::Overflow)?;
    account.draw(other, fee, unsigned_max).map_err(|fault| spot.refuse(fault))?;
    demands.draw(fee)?;
    let id = disputed.terms.id;
    let next = Closing {
        deadline: Deadline::At(deadline(spot, &disputed)),
        other_fees: account.fees(other),
        ..disputed
    };
    let amount = spot.entry.output.amount.checked_sub(fee).ok_or(TxError::Overflow)?;
    demands.continue_as(id, spot.output(amount, Lock::Closing(Box::new(next))))
}
