//! Which of the terms that the ledger allows a node agrees to, as opener and as acceptor: an honest party must be able to
//! close and to defend itself out of the channel alone, whatever the other one does (SPEC P-30).

use std::ops::RangeInclusive;

use towpath_crypto::Amount;
use towpath_ledger::rules::Params;
use towpath_ledger::settle::{Place, SettleError, capacity_min, close_fee_min};
use towpath_ledger::{AssetId, ChainId, ChannelTerms};

/// A node's own bounds. Where they are out of the ledger's, the ledger's hold: nobody can agree to anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepts {
    /// The least share that a penalized author forfeits, in basis points: with none, trying an old state is free.
    pub penalty_basis_points_min: u16,
    /// The shortest dispute window, in milliseconds: how long this node may be away.
    pub dispute_window_ms_min: u64,
    /// The longest: how long its funds are tied by a peer that closes alone.
    pub dispute_window_ms_max: u64,
}

impl Default for Accepts {
    /// All that the ledger allows.
    fn default() -> Self {
        Self { penalty_basis_points_min: 0, dispute_window_ms_min: 0, dispute_window_ms_max: u64::MAX }
    }
}

/// Why a node does not agree to terms that its ledger allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unacceptable {
    /// The channel could not pay for its own close or for its defence.
    #[error(
        "closing fees of up to {shown} a party; with these payouts a close or an answer can take {least}"
    )]
    CloseFee {
        /// The terms'.
        shown: Amount,
        /// The least.
        least: Amount,
    },
    /// The ledger lets too little of such a small channel be set aside for its close.
    #[error("a capacity of {shown}; {least} is the least of which enough can be set aside to close it")]
    Capacity {
        /// The capacity.
        shown: Amount,
        /// The least.
        least: Amount,
    },
    /// Trying an old state would cost too little.
    #[error("a penalty of {shown} basis points; this node wants at least {least}")]
    Penalty {
        /// The terms'.
        shown: u16,
        /// The least.
        least: u16,
    },
    /// Too short to answer in, or too long to wait for.
    #[error("a dispute window of {shown} ms; this node wants {least} to {most}")]
    Window {
        /// The terms'.
        shown: u64,
        /// The shortest.
        least: u64,
        /// The longest.
        most: u64,
    },
    /// Amounts that no channel has.
    #[error("amounts past the largest one")]
    Overflow,
}

impl From<SettleError> for Unacceptable {
    fn from(_: SettleError) -> Self {
        Self::Overflow
    }
}

impl Accepts {
    /// From the shortest dispute window to the longest.
    #[must_use]
    pub fn windows_ms(&self, params: &Params) -> RangeInclusive<u64> {
        let shortest = params.dispute_window_ms_min;
        let longest = params.dispute_window_ms_max.max(shortest);
        let least = self.dispute_window_ms_min.clamp(shortest, longest);
        least..=self.dispute_window_ms_max.clamp(least, longest)
    }

    /// Checks terms that the ledger allows.
    ///
    /// # Errors
    /// [`Unacceptable`] says what is wrong, and what would not be.
    pub fn check(
        &self,
        terms: &ChannelTerms,
        (asset, capacity): (AssetId, Amount),
        (chain, params): (ChainId, &Params),
    ) -> Result<(), Unacceptable> {
        let least = self.penalty_basis_points_min.min(params.penalty_basis_points_max);
        let shown = terms.penalty_basis_points;
        if shown < least {
            return Err(Unacceptable::Penalty { shown, least });
        }
        let (windows, shown) = (self.windows_ms(params), terms.dispute_window_ms);
        if !windows.contains(&shown) {
            let (least, most) = windows.into_inner();
            return Err(Unacceptable::Window { shown, least, most });
        }
        let least = close_fee_min(&Place { chain, params, asset }, terms)?;
        let shown = terms.close_fee_max;
        if shown >= least {
            return Ok(());
        }
        match capacity_min(params, least) {
            Some(least) if capacity < least => Err(Unacceptable::Capacity { shown: capacity, least }),
            Some(_) | None => Err(Unacceptable::CloseFee { shown, least }),
        }
    }
}
