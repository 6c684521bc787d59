//! Closing: together, or alone (SPEC C-20 to C-26).

use towpath_crypto::ed25519::{Check, Signature};
use towpath_crypto::{Amount, Signable};

use super::account::Account;
use super::fault::ChannelFault;
use super::settle::{pay_out, within_least_cost};
use super::spot::Spot;
use super::state::check_state;
use crate::rules::demands::Demands;
use crate::rules::error::TxError;
use crate::types::{ChannelTerms, CloseIntent, Closing, CoSigned, Deadline, Lock, Party};

/// A channel's final balances, signed by both, are paid at once.
pub(in crate::rules) fn cooperative_channel(
    spot: &Spot<'_>,
    terms: &ChannelTerms,
    state: &CoSigned,
    fee: Amount,
    demands: &mut Demands,
) -> Result<(), TxError> {
    check_final(spot, terms, spot.entry.output.amount, state, demands)?;
    let account = Account::of_channel(terms, &state.state);
    cooperate(spot, terms, account, fee, demands)
}

/// The same for a channel that is being closed alone, at any time before it is settled. The penalty sticks: a final state
/// that was signed before the cheat must not undo it.
pub(in crate::rules) fn cooperative_closing(
    spot: &Spot<'_>,
    closing: &Closing,
    state: &CoSigned,
    fee: Amount,
    demands: &mut Demands,
) -> Result<(), TxError> {
    check_final(spot, &closing.terms, closing.capacity, state, demands)?;
    let (posted, shown) = (closing.state.version, state.state.version);
    if shown < posted {
        return Err(spot.refuse(ChannelFault::NotNewer { posted, shown }));
    }
    let settled = Closing { state: state.state.clone(), ..closing.clone() };
    let account = Account::of_closing(&settled).ok_or(TxError::Overflow)?;
    cooperate(spot, &closing.terms, account, fee, demands)
}

fn check_final(
    spot: &Spot<'_>,
    terms: &ChannelTerms,
    capacity: Amount,
    state: &CoSigned,
    demands: &mut Demands,
) -> Result<(), TxError> {
    check_state(terms, capacity, &state.state).map_err(|fault| spot.refuse(fault))?;
    if !state.state.is_final {
        return Err(spot.refuse(ChannelFault::NotFinal));
    }
    spot.both_sign(terms, state, demands);
    Ok(())
}

fn cooperate(
    spot: &Spot<'_>,
    terms: &ChannelTerms,
    mut account: Account,
    fee: Amount,
    demands: &mut Demands,
) -> Result<(), TxError> {
    within_least_cost(spot, terms, &account, &[], fee)?;
    account.draw_from_both(Party::A, fee).map_err(|fault| spot.refuse(fault))?;
    demands.draw(fee)?;
    pay_out(spot, terms, &account, &[], demands)
}

/// One party closes alone with a co-signed state, and signs that it does.
pub(in crate::rules) fn unilateral(
    spot: &Spot<'_>,
    terms: &ChannelTerms,
    (state, author, fee): (&CoSigned, Party, Amount),
    signature: &Signature,
    demands: &mut Demands,
) -> Result<(), TxError> {
    let capacity = spot.entry.output.amount;
    check_state(terms, capacity, &state.state).map_err(|fault| spot.refuse(fault))?;
    spot.both_sign(terms, state, demands);
    let intent = CloseIntent { state: state.state.clone(), author, fee };
    let digest = intent.signing_digest(&spot.context.chain);
    spot.sign(Check { key: *terms.key(author), digest, signature: *signature }, demands);

    let mut account = Account::of_channel(terms, &state.state);
    account.draw(author, fee, terms.close_fee_max).map_err(|fault| spot.refuse(fault))?;
    demands.draw(fee)?;
    let closing = Closing {
        terms: terms.clone(),
        capacity,
        state: state.state.clone(),
        posted_version: state.state.version,
        author,
        deadline: Deadline::FromCreation,
        penalized: false,
        author_fees: fee,
        other_fees: Amount::ZERO,
    };
    let amount = capacity.checked_sub(fee).ok_or(TxError::Overflow)?;
    demands.continue_as(terms.id, spot.output(amount, Lock::Closing(Box::new(closing))))
}
