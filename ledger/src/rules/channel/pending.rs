//! Conditional payments, in a channel that is settled and on the ledger (SPEC C-50 to C-56).

use towpath_crypto::Amount;

use super::fault::ChannelFault;
use super::spot::Spot;
use crate::limits;
use crate::rules::demands::{Creditor, Demands, Due};
use crate::rules::error::TxError;
use crate::types::{Closing, Condition, Conditional, PendingPayment, Time};

/// Where a conditional payment goes.
enum Outcome {
    Payee,
    Payer,
    Open,
}

/// What the pending payments of the settled state make due.
pub(super) fn distribute(
    spot: &Spot<'_>,
    settled: &Closing,
    payments: &[PendingPayment],
) -> Result<Vec<Due>, TxError> {
    check_list(settled, payments).map_err(|fault| spot.refuse(fault))?;
    payments.iter().map(|payment| due(spot, settled, payment)).collect()
}

/// Exactly the payments that both parties signed: the root names each, in its place.
fn check_list(settled: &Closing, payments: &[PendingPayment]) -> Result<(), ChannelFault> {
    let bounded = payments.len() <= limits::PENDING_PAYMENTS_MAX;
    let ascending = payments.is_sorted_by(|left, right| left.number < right.number);
    let total = PendingPayment::total(payments) == Some(settled.state.pending_total);
    if bounded && ascending && total && PendingPayment::root(payments) == settled.state.pending_root {
        Ok(())
    } else {
        Err(ChannelFault::Pending)
    }
}

fn due(spot: &Spot<'_>, settled: &Closing, payment: &PendingPayment) -> Result<Due, TxError> {
    let payee = settled.terms.payout(payment.payer.other());
    let payer = settled.terms.payout(payment.payer);
    // No node signs a longer expiry; if two did, the registry's retention must still cover it.
    let longest = spot.context.time.plus_ms(spot.context.params.conditional_expiry_ms_max);
    let expiry = payment.expiry.min(longest);
    Ok(match outcome(spot, &payment.condition, expiry)? {
        Outcome::Payee => spot.due(payment.amount, payee),
        Outcome::Payer => spot.due(payment.amount, payer),
        Outcome::Open => Due {
            creditor: Creditor::Conditional(Box::new(Conditional {
                condition: payment.condition,
                expiry,
                payee: payee.clone(),
                payer: payer.clone(),
            })),
            asset: spot.entry.output.asset,
            amount: payment.amount,
        },
    })
}

/// The payee's if the secret was recorded at or before the expiry, whenever that is asked.
fn outcome(spot: &Spot<'_>, condition: &Condition, expiry: Time) -> Result<Outcome, TxError> {
    match spot.registry.time(condition)? {
        Some(recorded) if recorded <= expiry => Ok(Outcome::Payee),
        Some(_) => Ok(Outcome::Payer),
        None if spot.context.time > expiry || !can_be_met(condition) => Ok(Outcome::Payer),
        None => Ok(Outcome::Open),
    }
}

fn can_be_met(condition: &Condition) -> bool {
    match condition {
        Condition::Hash(_) => true,
        Condition::Point(point) => point.is_valid(),
    }
}

/// A conditional payment on the ledger goes to whom the registry says; by anyone, who can take no more than it costs.
pub(in crate::rules) fn resolve(
    spot: &Spot<'_>,
    conditional: &Conditional,
    fee: Amount,
    demands: &mut Demands,
) -> Result<(), TxError> {
    let payout = match outcome(spot, &conditional.condition, conditional.expiry)? {
        Outcome::Payee => &conditional.payee,
        Outcome::Payer => &conditional.payer,
        Outcome::Open => return Err(spot.refuse(ChannelFault::Unresolved(conditional.expiry))),
    };
    let amount = spot.entry.output.amount;
    let most = spot.least_cost(&[spot.due(amount, payout)]).min(amount);
    match amount.checked_sub(fee) {
        Some(rest) if fee <= most => {
            demands.draw(fee)?;
            demands.owe(&spot.due(rest, payout))
        }
        Some(_) | None => Err(spot.refuse(ChannelFault::Fee { fee, most })),
    }
}
