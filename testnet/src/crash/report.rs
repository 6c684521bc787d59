//! What a run of the crash harness says in the end.

use std::time::Duration;

use serde::Serialize;

/// Kills by the role in which the victim was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Kills {
    /// A node that was paying.
    pub payer: u32,
    /// A node that was being paid.
    pub payee: u32,
    /// Any node that decides blocks.
    pub validator: u32,
    /// How many of all these came right after an acknowledgement.
    pub after_ack: u32,
}

/// How long nodes took from their start until they served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Recovery {
    /// The fastest.
    pub min_ms: u64,
    /// The one in the middle.
    pub median_ms: u64,
    /// The slowest.
    pub max_ms: u64,
}

impl Recovery {
    /// Of these times.
    #[must_use]
    pub fn of(times: &[Duration]) -> Self {
        let mut ms: Vec<u64> =
            times.iter().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).collect();
        ms.sort_unstable();
        let at = |index: usize| ms.get(index).copied().unwrap_or(0);
        Self { min_ms: at(0), median_ms: at(ms.len() / 2), max_ms: at(ms.len().saturating_sub(1)) }
    }
}

/// The outcome of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CrashReport {
    /// What was seen that must never be; empty = all is well.
    pub violations: Vec<String>,
    /// Kills.
    pub kills: Kills,
    /// Restarts; each of them served again.
    pub restarts: u32,
    /// Payments that a node acknowledged to their payer.
    pub payments_acked: u64,
    /// Payments that a node refused.
    pub payments_refused: u64,
    /// Payments of which nobody knows what became of them.
    pub payments_unresolved: u64,
    /// Payments of streams, counted by the channels.
    pub payments_streamed: u64,
    /// Channels that were closed with the balances to the unit.
    pub channels_closed: u32,
    /// Blocks at which all nodes were compared.
    pub heights_compared: u64,
    /// How long nodes took to serve again.
    pub recovery: Recovery,
    /// The seed of its choices.
    pub seed: u64,
    /// How long all of it took.
    pub elapsed_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_summed_up_by_three_numbers() {
        let times = [30, 10, 20].map(Duration::from_millis);
        assert_eq!(Recovery::of(&times), Recovery { min_ms: 10, median_ms: 20, max_ms: 30 });
        assert_eq!(Recovery::of(&[]), Recovery::default());
    }
}
