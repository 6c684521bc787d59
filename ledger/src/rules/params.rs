//! What a genesis chooses about the rules, and the bounds within which it may.

use std::ops::RangeInclusive;

use bincode::{Decode, Encode};
use towpath_crypto::Amount;

use crate::limits;

/// The longest dispute window that a genesis may allow: 30 days of ledger time.
const DISPUTE_WINDOW_LIMIT_MS: u64 = 30 * DAY_MS;

/// The longest lifetime of a conditional payment that a genesis may allow: 30 days of ledger time.
const CONDITIONAL_EXPIRY_LIMIT_MS: u64 = 30 * DAY_MS;

/// The largest share of a channel that a genesis may allow as closing fees of one party, in basis points: a quarter, so
/// that both parties' fees leave at least half to pay.
const CLOSE_FEE_LIMIT_BASIS_POINTS: u16 = 2_500;

/// The highest fee rate that a genesis may choose: its product with a transaction's bytes always fits.
const FEE_PER_BYTE_LIMIT: u64 = 0xffff_ffff;

const DAY_MS: u64 = 86_400_000;

/// The parameters of the rules; part of the genesis, so of the chain id.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Params {
    /// The least fee for each encoded byte of a transaction, in native base units.
    pub fee_per_byte: Amount,
    /// The smallest native output that a wallet may make; what a channel owes may be smaller.
    pub output_min: Amount,
    /// The largest encoded transaction.
    pub transaction_bytes_max: u32,
    /// The shortest dispute window of a channel, in milliseconds of ledger time.
    pub dispute_window_ms_min: u64,
    /// The longest.
    pub dispute_window_ms_max: u64,
    /// The largest share that the terms of a channel may let a penalized author forfeit, in basis points.
    pub penalty_basis_points_max: u16,
    /// The largest `close_fee_max` of a channel, in basis points of its capacity.
    pub close_fee_basis_points_max: u16,
    /// How far ahead a conditional payment may expire when its channel is settled.
    pub conditional_expiry_ms_max: u64,
    /// How long a recorded secret is kept; at least the longest expiry and two of the longest dispute windows.
    pub secret_retention_ms: u64,
}

/// Why parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}; choose it from {least} to {most}")]
pub struct ParamsError {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// The least that it may be, given the others.
    pub least: u64,
    /// The most that it may be, given the others.
    pub most: u64,
}

impl Default for Params {
    /// What a new chain starts with unless its genesis says otherwise.
    fn default() -> Self {
        Self {
            fee_per_byte: Amount(1),
            output_min: Amount(1_000),
            transaction_bytes_max: limits::TRANSACTION_BYTES_MAX,
            dispute_window_ms_min: 10 * 60_000,
            dispute_window_ms_max: 14 * DAY_MS,
            penalty_basis_points_max: 10_000,
            close_fee_basis_points_max: 500,
            conditional_expiry_ms_max: 7 * DAY_MS,
            secret_retention_ms: 60 * DAY_MS,
        }
    }
}

impl Params {
    /// Checks that the rules work with these.
    ///
    /// # Errors
    /// [`ParamsError`] names the first parameter that is out of its bounds.
    pub fn check(&self) -> Result<(), ParamsError> {
        let bytes = u64::from(limits::TRANSACTION_BYTES_MIN)..=u64::from(limits::TRANSACTION_BYTES_MAX);
        within("transaction_bytes_max", self.transaction_bytes_max.into(), &bytes)?;
        within("fee_per_byte", self.fee_per_byte.units(), &(0..=FEE_PER_BYTE_LIMIT))?;
        within("output_min", self.output_min.units(), &(1..=u64::MAX))?;
        let (shortest, longest) = (self.dispute_window_ms_min, self.dispute_window_ms_max);
        within("dispute_window_ms_max", longest, &(1..=DISPUTE_WINDOW_LIMIT_MS))?;
        within("dispute_window_ms_min", shortest, &(1..=longest))?;
        within("penalty_basis_points_max", self.penalty_basis_points_max.into(), &(0..=10_000))?;
        let fees = 0..=u64::from(CLOSE_FEE_LIMIT_BASIS_POINTS);
        within("close_fee_basis_points_max", self.close_fee_basis_points_max.into(), &fees)?;
        let expiry = self.conditional_expiry_ms_max;
        within("conditional_expiry_ms_max", expiry, &(1..=CONDITIONAL_EXPIRY_LIMIT_MS))?;
        let retention = expiry + 2 * longest..=u64::MAX;
        within("secret_retention_ms", self.secret_retention_ms, &retention)
    }

    /// The least fee of a transaction of `bytes` bytes; stops at the largest amount, which nobody can pay.
    #[must_use]
    pub const fn fee_min(&self, bytes: u64) -> Amount {
        Amount(self.fee_per_byte.units().saturating_mul(bytes))
    }
}

fn within(name: &'static str, value: u64, range: &RangeInclusive<u64>) -> Result<(), ParamsError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(ParamsError { name, value, least: *range.start(), most: *range.end() })
}
