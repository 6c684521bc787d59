//! What a genesis chooses about blocks, and the bounds within which it may.

use bincode::{Decode, Encode};

use crate::limits;
use crate::rules::{Params, ParamsError};

/// Everything that a genesis chooses about the rules; part of the chain id.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug, Default)]
pub struct ChainParams {
    /// About transactions.
    pub rules: Params,
    /// About blocks.
    pub blocks: BlockParams,
}

/// What a genesis chooses about blocks.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct BlockParams {
    /// The largest encoded block.
    pub block_bytes_max: u32,
    /// The share of a block that only closes, disputes and reveals may use, in basis points.
    pub reserved_basis_points: u16,
    /// By how much ledger time rises at most from one block to the next, in milliseconds.
    pub block_step_ms_max: u64,
    /// How far a block's time may be ahead of a validator's own clock, in milliseconds.
    pub clock_drift_ms_max: u64,
    /// Whether a block's time may jump past `block_step_ms_max`: for local test networks, where somebody wants to see
    /// the end of a dispute window of a day (B-7a). A ledger with money on it never has this.
    pub time_travel: bool,
}

impl Default for BlockParams {
    /// What a new ledger starts with unless its genesis says otherwise.
    fn default() -> Self {
        Self {
            block_bytes_max: 1 << 20,
            reserved_basis_points: 3_000,
            block_step_ms_max: 10_000,
            clock_drift_ms_max: 1_000,
            time_travel: false,
        }
    }
}

/// A block's encoding beside its transactions: the header and their count.
pub(super) const BLOCK_OVERHEAD_BYTES: u64 = 32 + 8 + 32 + 8 + 32 + 32 + 32 + 32 + 8;

impl BlockParams {
    /// By how much a block's time may really rise: the step, or any jump on a network for tests.
    #[must_use]
    pub const fn rise_ms_max(&self) -> u64 {
        if self.time_travel { limits::TIME_TRAVEL_MS_MAX } else { self.block_step_ms_max }
    }

    /// The bytes of a block that all transactions together may use.
    #[must_use]
    pub fn transactions_bytes_max(&self) -> u64 {
        u64::from(self.block_bytes_max).saturating_sub(BLOCK_OVERHEAD_BYTES)
    }

    /// The bytes of a block that only closes, disputes and reveals may use.
    #[must_use]
    pub fn reserved_bytes(&self) -> u64 {
        self.transactions_bytes_max() * u64::from(self.reserved_basis_points.min(10_000)) / 10_000
    }

    /// The bytes of a block that all other transactions together may use.
    #[must_use]
    pub fn general_bytes_max(&self) -> u64 {
        self.transactions_bytes_max() - self.reserved_bytes()
    }
}

impl ChainParams {
    /// Checks that the rules work with these, for a ledger of which at most `faulty_max` validators are faulty.
    ///
    /// # Errors
    /// [`ParamsError`] names the first parameter that is out of its bounds.
    pub fn check(&self, faulty_max: usize) -> Result<(), ParamsError> {
        self.rules.check()?;
        let blocks = &self.blocks;
        let transaction = u64::from(self.rules.transaction_bytes_max);
        // Each lane of a block holds the largest transaction, or that one could never be decided.
        let most = u64::from(limits::BLOCK_BYTES_MAX);
        within(
            "block_bytes_max",
            blocks.block_bytes_max.into(),
            2 * transaction + BLOCK_OVERHEAD_BYTES + 2,
            most,
        )?;
        let room = blocks.transactions_bytes_max();
        let least = (transaction * 10_000).div_ceil(room);
        within("reserved_basis_points", blocks.reserved_basis_points.into(), least, 10_000 - least)?;
        within("block_step_ms_max", blocks.block_step_ms_max, 2, limits::BLOCK_STEP_MS_MAX)?;
        within("clock_drift_ms_max", blocks.clock_drift_ms_max, 1, limits::CLOCK_DRIFT_MS_MAX)?;
        let turns = u64::try_from(faulty_max).unwrap_or(u64::MAX).saturating_add(2);
        let least = turns.saturating_mul(3).saturating_mul(blocks.block_step_ms_max);
        within(
            "dispute_window_ms_min",
            self.rules.dispute_window_ms_min,
            least,
            self.rules.dispute_window_ms_max,
        )
    }
}

fn within(name: &'static str, value: u64, least: u64, most: u64) -> Result<(), ParamsError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(ParamsError { name, value, least, most }) }
}
