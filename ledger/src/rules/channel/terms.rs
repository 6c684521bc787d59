//! Which terms a channel may have (SPEC C-1 to C-8; FAULTS C21).

use towpath_crypto::Amount;

use super::fault::TermsFault;
use crate::rules::{BlockContext, Params};
use crate::types::{AssetId, ChannelId, ChannelTerms, OutPoint, Time};

/// Checks the terms of a channel that is opened as output `index` of a transaction with this first input.
pub(in crate::rules) fn check_opening(
    terms: &ChannelTerms,
    (asset, capacity): (AssetId, Amount),
    (first_input, index): (&OutPoint, u32),
    context: &BlockContext<'_>,
) -> Result<(), TermsFault> {
    if terms.id != ChannelId::derive(&context.chain, first_input, index, &terms.key_a, &terms.key_b) {
        return Err(TermsFault::Id);
    }
    check_terms(terms, (asset, capacity), context.params, context.time)
}

/// Checks everything about terms but the id and the generation; also for a node that is offered a channel.
///
/// # Errors
/// [`TermsFault`] says what is wrong.
pub fn check_terms(
    terms: &ChannelTerms,
    (asset, capacity): (AssetId, Amount),
    params: &Params,
    now: Time,
) -> Result<(), TermsFault> {
    check_keys(terms)?;
    check_bounds(terms, params)?;
    check_amounts(terms, (asset, capacity), params)?;
    match terms.expiry {
        Some(expiry) if expiry <= now => Err(TermsFault::Expired(expiry)),
        Some(_) | None => Ok(()),
    }
}

fn check_keys(terms: &ChannelTerms) -> Result<(), TermsFault> {
    if terms.key_a == terms.key_b {
        return Err(TermsFault::SameKey);
    }
    if terms.key_a.is_weak() || terms.key_b.is_weak() {
        return Err(TermsFault::WeakKey);
    }
    terms.payout_a.check()?;
    terms.payout_b.check()?;
    Ok(())
}

fn check_bounds(terms: &ChannelTerms, params: &Params) -> Result<(), TermsFault> {
    let (least, most) = (params.dispute_window_ms_min, params.dispute_window_ms_max);
    let shown = terms.dispute_window_ms;
    if !(least..=most).contains(&shown) {
        return Err(TermsFault::Window { shown, least, most });
    }
    let (shown, most) = (terms.penalty_basis_points, params.penalty_basis_points_max);
    if shown > most { Err(TermsFault::Penalty { shown, most }) } else { Ok(()) }
}

fn check_amounts(
    terms: &ChannelTerms,
    (asset, capacity): (AssetId, Amount),
    params: &Params,
) -> Result<(), TermsFault> {
    let native = asset == AssetId::NATIVE;
    if native && capacity < params.output_min {
        return Err(TermsFault::Capacity(params.output_min));
    }
    if terms.reserve > capacity.share(5_000) {
        return Err(TermsFault::Reserve);
    }
    // Fees are native, so none can come out of another asset's channel.
    let most = if native { capacity.share(params.close_fee_basis_points_max) } else { Amount::ZERO };
    let shown = terms.close_fee_max;
    if shown > most { Err(TermsFault::CloseFee { shown, most }) } else { Ok(()) }
}
