//! Known bugs of openings and recoveries, put back: the tests of these must find them (docs/reports/canaries.md).

#![cfg(feature = "canaries")]

#[path = "opening.rs"]
mod opening;
#[path = "recovery.rs"]
mod recovery;
#[path = "recovery_random.rs"]
mod recovery_random;

use towpath_protocol::canary::{Canary, what_hears};

/// Stories of random losses; the gate's run without a bug has as many.
const STORIES: u64 = 400;

fn is_found(canary: Canary, test: fn()) {
    let by = what_hears(canary, test).unwrap_or_else(|| panic!("{canary:?} sings, and nobody hears it"));
    println!("CANARY {canary:?}: {by}");
}

#[test]
fn canary_c1_a_funding_of_another_amount_is_taken() {
    is_found(Canary::FundingUnverified, opening::c1_a_fake_funding_never_makes_a_channel_active);
}

#[test]
fn canary_c7_an_acceptance_is_not_written() {
    is_found(Canary::AcceptanceNotWritten, opening::c18_c7_a_restart_of_either_node_between_any_two_steps);
}

#[test]
fn canary_c17_a_peer_that_shows_less_is_believed() {
    is_found(Canary::LessIsTaken, recovery::c17_a_peer_that_shows_less_than_another_source_is_refused);
}

#[test]
fn canary_c16_a_proof_of_lost_data_is_passed_over() {
    is_found(
        Canary::LossNotBelieved,
        recovery::s10_a_peer_that_lost_more_than_it_knows_learns_it_from_the_question,
    );
}

#[test]
fn canary_s10_a_recovery_goes_on_where_the_lost_data_may_have_signed() {
    let canary = Canary::RecoversTooLow;
    let story = |seed| {
        let _losses = recovery_random::run(seed);
    };
    let hears = |seed| Some((seed, what_hears(canary, || story(seed))?));
    let (seed, by) =
        (0..STORIES).find_map(hears).unwrap_or_else(|| panic!("{canary:?} sings, and nobody hears it"));
    println!("CANARY {canary:?}: story {seed}: {by}");
}
