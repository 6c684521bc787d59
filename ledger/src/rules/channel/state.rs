//! Which states the ledger accepts for a channel (SPEC C-10 to C-14).
//!
//! The same check serves the nodes: a state that the ledger would refuse must never be signed.

use towpath_crypto::{Amount, Digest};

use super::fault::{ChannelFault, StateFault};
use crate::types::{ChannelState, ChannelTerms};

/// Checks that `state` is one of the channel with these terms and this capacity, and can be settled whatever fees its
/// close takes.
///
/// # Errors
/// [`StateFault`] says what is wrong.
pub fn check_state(terms: &ChannelTerms, capacity: Amount, state: &ChannelState) -> Result<(), StateFault> {
    if state.channel != terms.id {
        return Err(StateFault::OtherChannel);
    }
    let (current, shown) = (terms.generation, state.generation);
    if current != shown {
        return Err(StateFault::OtherGeneration { current, shown });
    }
    if state.version == 0 {
        return Err(StateFault::VersionZero);
    }
    if state.total() != Some(capacity) {
        return Err(StateFault::Total(capacity));
    }
    if state.pending_total.is_zero() != (state.pending_root == Digest::ZERO) {
        return Err(StateFault::PendingRoot);
    }
    if state.is_final && !state.pending_total.is_zero() {
        return Err(StateFault::FinalPending);
    }
    check_closing_cost(terms, state)
}

/// Pending payments are paid in full whatever happens, so the balances must bear the fees of both parties.
fn check_closing_cost(terms: &ChannelTerms, state: &ChannelState) -> Result<(), StateFault> {
    let cost = terms.close_fee_max.checked_add(terms.close_fee_max).unwrap_or(Amount::MAX);
    match state.balance_a.checked_add(state.balance_b) {
        Some(balances) if balances >= cost => Ok(()),
        Some(_) | None => Err(StateFault::ClosingCost(cost)),
    }
}

/// Checks that `shown` raises the version `posted` (FAULTS C14).
///
/// # Errors
/// [`ChannelFault::NotNewer`] if it does not.
pub(super) const fn newer(posted: u64, shown: u64) -> Result<(), ChannelFault> {
    if shown > posted { Ok(()) } else { Err(ChannelFault::NotNewer { posted, shown }) }
}
