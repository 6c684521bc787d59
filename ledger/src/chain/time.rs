//! Ledger time from one block to the next (SPEC B-5 to B-7).

use super::params::BlockParams;
use crate::types::Time;

/// The time that an honest proposer whose clock says `now` gives to the block after one of time `parent`: its own, as
/// near as the bounds allow.
#[must_use]
pub fn next_time(parent: Time, now: Time, params: &BlockParams) -> Time {
    now.max(parent.plus_ms(1)).min(parent.plus_ms(params.block_step_ms_max))
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

    #[test]
    fn l22_time_rises_and_not_too_fast() {
        let params = BlockParams { block_step_ms_max: 100, ..BlockParams::default() };
        for (now, next) in
            [(0, 501), (500, 501), (501, 501), (550, 550), (600, 600), (601, 600), (u64::MAX, 600)]
        {
            assert_eq!(next_time(Time(500), Time(now), &params), Time(next), "clock at {now}");
        }
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
        assert_eq!(next_time(Time(500), Time(9_000), &local), Time(600), "a halt stops the clock there, too");
    }
}
