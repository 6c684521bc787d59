//! Settling a closing: at once when the other party answers, else after the deadline (SPEC C-40 to C-49).

use towpath_crypto::ed25519::{Check, Signature};
use towpath_crypto::{Amount, Signable};

use super::account::Account;
use super::dispute::{deadline, in_time, with_newer, with_proof};
use super::fault::ChannelFault;
use super::pending::distribute;
use super::spot::Spot;
use crate::rules::demands::{Demands, Due};
use crate::rules::error::TxError;
use crate::types::{ChannelTerms, CloseAnswer, Closing, CoSigned, Party, PendingPayment, SignedState};

/// What the other party shows when it answers.
pub(in crate::rules) struct Answer<'a> {
    pub(in crate::rules) state: Option<&'a CoSigned>,
    pub(in crate::rules) proof: Option<&'a SignedState>,
    pub(in crate::rules) pending: &'a [PendingPayment],
    pub(in crate::rules) fee: Amount,
    pub(in crate::rules) signature: &'a Signature,
}

/// The other party agrees to settle by the state that it shows, or by the one posted. Its signature covers the state,
/// the penalty and the fee, so that nobody can settle by less than it says.
pub(in crate::rules) fn answer(
    spot: &Spot<'_>,
    closing: &Closing,
    answer: &Answer<'_>,
    demands: &mut Demands,
) -> Result<(), TxError> {
    in_time(spot, closing)?;
    let mut settled = closing.clone();
    if let Some(proof) = answer.proof {
        settled = with_proof(spot, &settled, proof, demands)?;
    }
    if let Some(state) = answer.state {
        settled = with_newer(spot, &settled, state, demands)?;
    }
    let other = settled.author.other();
    let signed = CloseAnswer {
        closing: *spot.outpoint,
        state: settled.state.clone(),
        penalized: settled.penalized,
        fee: answer.fee,
    };
    let digest = signed.signing_digest(&spot.context.chain);
    spot.sign(Check { key: *settled.terms.key(other), digest, signature: *answer.signature }, demands);

    let mut account = Account::of_closing(&settled).ok_or(TxError::Overflow)?;
    let fee_max = settled.terms.close_fee_max;
    account.draw(other, answer.fee, fee_max).map_err(|fault| spot.refuse(fault))?;
    demands.draw(answer.fee)?;
    let pending = distribute(spot, &settled, answer.pending)?;
    pay_out(spot, &settled.terms, &account, &pending, demands)
}

/// After the deadline anyone settles by the newest state shown.
pub(in crate::rules) fn finalize(
    spot: &Spot<'_>,
    closing: &Closing,
    pending: &[PendingPayment],
    fee: Amount,
    demands: &mut Demands,
) -> Result<(), TxError> {
    let deadline = deadline(spot, closing);
    if spot.context.time <= deadline {
        return Err(spot.refuse(ChannelFault::WindowOpen(deadline)));
    }
    let mut account = Account::of_closing(closing).ok_or(TxError::Overflow)?;
    let pending = distribute(spot, closing, pending)?;
    within_least_cost(spot, &closing.terms, &account, &pending, fee)?;
    account.draw_from_both(closing.author, fee).map_err(|fault| spot.refuse(fault))?;
    demands.draw(fee)?;
    pay_out(spot, &closing.terms, &account, &pending, demands)
}

/// Demands that each party is paid what is left for it, and each pending payment in full.
pub(super) fn pay_out(
    spot: &Spot<'_>,
    terms: &ChannelTerms,
    account: &Account,
    pending: &[Due],
    demands: &mut Demands,
) -> Result<(), TxError> {
    shares(spot, terms, account).iter().chain(pending).try_for_each(|due| demands.owe(due))
}

/// Refuses a fee above what this settlement alone would cost at the least: nobody signed for it, and whoever makes the
/// transaction could be the one who earns it.
pub(super) fn within_least_cost(
    spot: &Spot<'_>,
    terms: &ChannelTerms,
    account: &Account,
    pending: &[Due],
    fee: Amount,
) -> Result<(), TxError> {
    let mut dues = shares(spot, terms, account);
    dues.extend_from_slice(pending);
    let most = spot.least_cost(&dues);
    if fee > most { Err(spot.refuse(ChannelFault::Fee { fee, most })) } else { Ok(()) }
}

fn shares(spot: &Spot<'_>, terms: &ChannelTerms, account: &Account) -> Vec<Due> {
    [Party::A, Party::B]
        .into_iter()
        .filter(|party| !account.left(*party).is_zero())
        .map(|party| spot.due(account.left(party), terms.payout(party)))
        .collect()
}
