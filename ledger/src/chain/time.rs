//! Ledger time from one block to the next (SPEC B-5 to B-7b).

use super::params::BlockParams;
use crate::types::Time;

/// How many times faster than real time ledger time may run. Not faster: windows and expiries are for people and machines
/// that need real time to answer. Faster than one at all: after a halt ledger time catches up with the clocks, as an
/// idle ledger does anyway, whose heartbeat comes at half a step.
const CATCH_UP: u64 = 2;

/// Keeps ledger time, where it is behind the clocks, from running away: without it, a ledger that was halted for a day
/// would make up for the day at a step a block, and a dispute window of a day would be over within minutes (FAULTS L23).
///
/// A rise of ledger time is paid for with real time. It is each validator's own account, by its own clock: a reason to
/// vote for nothing, never against what a quorum decided. What is too fast now is not a moment later, so a proposal that a
/// quorum is bound to becomes acceptable to all within half a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    credit_ms: u64,
    at: Time,
}

impl Pace {
    /// At the start of a node, whose clock says `now`. How long ago the last block was, it does not know.
    #[must_use]
    pub const fn new(now: Time, params: &BlockParams) -> Self {
        Self { credit_ms: params.block_step_ms_max, at: now }
    }

    /// By how many milliseconds the next block may be later than its parent.
    #[must_use]
    pub fn rise_ms_max(&self, now: Time, params: &BlockParams) -> u64 {
        let earned = now.ms_since(self.at).saturating_mul(CATCH_UP);
        self.credit_ms.saturating_add(earned).min(params.block_step_ms_max)
    }

    /// A block was applied that is `rise_ms` later than its parent.
    pub fn applied(&mut self, rise_ms: u64, now: Time, params: &BlockParams) {
        self.credit_ms = self.rise_ms_max(now, params).saturating_sub(rise_ms);
        self.at = now;
    }
}

/// The time that an honest proposer whose clock says `now` gives to the block after one of time `parent`: its own, as
/// near as the bounds allow. It uses three quarters of what its pace allows: other validators may have applied the parent
/// a little later.
#[must_use]
pub fn next_time(parent: Time, now: Time, pace: &Pace, params: &BlockParams) -> Time {
    let rise = pace.rise_ms_max(now, params) / 4 * 3;
    now.min(parent.plus_ms(rise)).max(parent.plus_ms(1))
}

/// The time of a block by which a network for tests travels to `target`: none if it is there already, if it is out of
/// one block's reach, or if this ledger does not travel (B-7a).
#[must_use]
pub fn travel_time(parent: Time, target: Time, params: &BlockParams) -> Option<Time> {
    let rise = target.ms_since(parent);
    (params.time_travel && rise > params.block_step_ms_max && rise <= params.rise_ms_max()).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> BlockParams {
        BlockParams { block_step_ms_max: 100, ..BlockParams::default() }
    }

    #[test]
    fn l22_time_rises_and_not_too_fast() {
        for (now, next) in
            [(0, 501), (500, 501), (501, 501), (550, 550), (575, 575), (576, 575), (u64::MAX, 575)]
        {
            let pace = Pace::new(Time(0), &params());
            assert_eq!(next_time(Time(500), Time(now), &pace, &params()), Time(next), "clock at {now}");
        }
    }

    /// FAULTS L23: whatever the proposers do, a rise of ledger time takes half as long in real time, but for one step.
    #[test]
    fn l23_ledger_time_never_runs_faster_than_twice_real_time() {
        let params = params();
        for between_ms in [1, 7, 40, 100, 5_000] {
            let mut pace = Pace::new(Time(0), &params);
            let (mut ledger, mut honest) = (0, Time(0));
            let start = 1_000_000_000;
            for block in 1..1_000 {
                let now = Time(start + block * between_ms);
                let most = pace.rise_ms_max(now, &params);
                assert!(most <= params.block_step_ms_max);
                let next = next_time(honest, now, &pace, &params);
                assert!(
                    next > honest && next.ms_since(honest) <= most.max(1),
                    "an honest block is never too fast"
                );
                // The greediest proposer.
                pace.applied(most, now, &params);
                (ledger, honest) = (ledger + most, next);
                let passed = block * between_ms;
                let bound = CATCH_UP * passed + params.block_step_ms_max;
                assert!(ledger <= bound, "{ledger} ms in {passed}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_costs_no_more_than_its_credit() {
        let params = params();
        let mut pace = Pace::new(Time(10_000), &params);
        pace.applied(100, Time(9_000), &params);
        assert_eq!(pace.rise_ms_max(Time(9_000), &params), 0);
        assert_eq!(pace.rise_ms_max(Time(9_020), &params), 40);
        assert_eq!(pace.rise_ms_max(Time(8_000), &params), 0);
        assert_eq!(pace.rise_ms_max(Time(u64::MAX), &params), 100);
    }

    #[test]
    fn l22_only_a_network_for_tests_travels() {
        let real = BlockParams { block_step_ms_max: 100, ..BlockParams::default() };
        let local = BlockParams { time_travel: true, ..real };
        let day = Time(86_400_000);
        assert_eq!(travel_time(Time(500), day, &real), None);
        assert_eq!(travel_time(Time(500), day, &local), Some(day));
        assert_eq!(travel_time(day, Time(500), &local), None, "never back");
        assert_eq!(travel_time(Time(500), Time(550), &local), None, "time gets there by itself");
        assert_eq!(travel_time(Time(500), Time(u64::MAX), &local), None, "out of reach");
        let pace = Pace::new(Time(0), &local);
        assert_eq!(
            next_time(Time(500), Time(9_000), &pace, &local),
            Time(575),
            "a halt stops the clock there, too"
        );
    }
}
