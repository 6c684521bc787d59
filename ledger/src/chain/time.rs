//! Ledger time from one block to the next (SPEC B-5 to B-7).

use super::params::BlockParams;
use crate::types::Time;

/// The time that an honest proposer whose clock says `now` gives to the block after one of time `parent`: its own, as
/// near as the bounds allow.
#[must_use]
pub fn next_time(parent: Time, now: Time, params: &BlockParams) -> Time {
    now.max(parent.plus_ms(1)).min(parent.plus_ms(params.block_step_ms_max))
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
}
