//! The ledger of a world.

use towpath_consensus::Config;
use towpath_crypto::seed::Seed;
use towpath_ledger::chain::{ChainParams, Validator, ValidatorSet};
use towpath_ledger::genesis::{Allocation, AssetName, Genesis};
use towpath_ledger::{Amount, ChainId, Payout, Time};

/// When a world begins, in milliseconds since 1970.
pub const GENESIS_MS: u64 = 1_790_000_000_000;

/// What each coin of a wallet holds at the start.
pub const COIN: u64 = 5_000_000;

/// Coins of each wallet at the start.
pub const COINS: u64 = 8;

/// By how much ledger time rises at most from one block to the next: a heartbeat comes at half of it.
const BLOCK_STEP_MS: u64 = 60_000;

/// A ledger that the first `validators` of these decide, with coins for all of them.
///
/// # Panics
/// Never with at least one validator: the set is a proper one.
#[must_use]
pub fn genesis(seeds: &[Seed], validators: usize) -> Genesis {
    let mut params = ChainParams::default();
    params.blocks.block_step_ms_max = BLOCK_STEP_MS;
    params.rules.dispute_window_ms_min = 9 * BLOCK_STEP_MS;
    let members = seeds[..validators].iter();
    let members = members.map(|seed| Validator { key: seed.node_key().public(), power: 1 }).collect();
    let allocation = |seed: &Seed| Allocation {
        payout: Payout::Key(seed.wallet_key(0).public()),
        asset: None,
        amount: Amount(COIN),
    };
    Genesis {
        name: "world".into(),
        time: Time(GENESIS_MS),
        native: AssetName { symbol: "TOW".into(), decimals: 6 },
        params,
        validators: ValidatorSet::new(members).expect("distinct keys with power"),
        assets: Vec::new(),
        allocations: (0..COINS).flat_map(|_| seeds.iter().map(allocation)).collect(),
    }
}

/// The engine's waits: those of a wide network, and fewer words when nothing happens.
#[must_use]
pub const fn engine(chain: ChainId) -> Config {
    let mut config = Config::wan(chain);
    config.heartbeat = std::time::Duration::from_millis(BLOCK_STEP_MS / 2);
    config.status = std::time::Duration::from_secs(10);
    config
}
