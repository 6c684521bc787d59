//! What hundreds of lies came to.

use serde::Serialize;
use towpath_api::Units;

use super::Victim;

/// How something is spread: of all values the middle one, the one that only one of a hundred passes, and the largest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Spread {
    /// The one in the middle.
    pub p50: u64,
    /// Only one of a hundred is above it.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// Of these values.
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        // The least value that so many of a hundred do not pass.
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100);
            values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

/// The outcome of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheatReport {
    /// Stale closes that were posted.
    pub trials: u32,
    /// Whether the victim was there.
    pub victim: Victim,
    /// Watchtowers that had the newest states.
    pub towers: u32,
    /// How many of them were dead when the lies were told.
    pub dead_towers: u32,
    /// Of the closes, those after which the victim has its share of the newest state, what the lie cost the cheater, and
    /// not a unit less or more.
    pub recovered: u32,
    /// Of the closes, those that the victim answered itself.
    pub by_victim: u32,
    /// Of the closes, those that a watchtower answered first.
    pub by_tower: u32,
    /// From the block with the lie to the block with the truth, by this machine's clock, in milliseconds.
    pub answer_ms: Spread,
    /// The same in ledger time.
    pub answer_ledger_ms: Spread,
    /// The same in blocks.
    pub answer_blocks: Spread,
    /// How long each close could be answered, in ledger time.
    pub dispute_window_ms: u64,
    /// What the cheater would have kept of the victim's, over all lies.
    pub at_stake: Units,
    /// What the lies cost the cheater beside its fees, over all.
    pub forfeited: Units,
    /// What the ledger took out of the channels, over all.
    pub fees: Units,
    /// The least by which the victim has more than without the lie.
    pub gained_min: Units,
    /// What is not as it must be; empty if all is well.
    pub wrong: Vec<String>,
    /// The seed of the run's choices.
    pub seed: u64,
    /// How long all of it took.
    pub elapsed_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_names_values_that_were_there() {
        assert_eq!(Spread::of((1..=200).rev().collect()), Spread { p50: 100, p99: 198, max: 200 });
        assert_eq!(Spread::of(vec![7]), Spread { p50: 7, p99: 7, max: 7 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
