//! Each known bug is put back, and the schedules must find it (docs/reports/canaries.md).

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use towpath_protocol::canary::{Canary, what_hears};

use super::{schedule, schedules};

/// So many schedules find any of these bugs; the gate's run without one has as many.
const CASES_MAX: u32 = 2_048;

/// Plays schedules, the same ones in each run, until one fails.
fn is_found(canary: Canary) {
    let mut runner = TestRunner::deterministic();
    for case in 1..=CASES_MAX {
        let tree = schedules().new_tree(&mut runner).expect("schedules can always be made");
        let (start, actions, end) = tree.current();
        if let Some(said) = what_hears(canary, || schedule(start, actions, end)) {
            return println!("CANARY {canary:?}: schedule {case}: {said}");
        }
    }
    panic!("{canary:?} sings, and nobody hears it in {CASES_MAX} schedules");
}

#[test]
fn canary_c7_a_driver_speaks_before_it_writes() {
    is_found(Canary::SpokenBeforeWritten);
}

#[test]
fn canary_a_claim_is_told_and_not_written() {
    is_found(Canary::ClaimNotWritten);
}

#[test]
fn canary_c7_the_number_of_a_burnt_version_is_used_again() {
    is_found(Canary::VersionUsedAgain);
}

#[test]
fn canary_p12_a_refused_payment_fails_at_once() {
    is_found(Canary::RefusedFailsAtOnce);
}

#[test]
fn canary_a_burnt_version_is_not_written() {
    is_found(Canary::BurntNotWritten);
}

#[test]
fn canary_c10_the_reserve_is_ignored() {
    is_found(Canary::ReserveIgnored);
}

#[test]
fn canary_p5_a_handover_does_not_wait() {
    is_found(Canary::HandoverDoesNotWait);
}

#[test]
fn canary_p4_received_is_told_at_the_proposal() {
    is_found(Canary::ReceivedWhenProposed);
}

#[test]
fn canary_c17_a_session_takes_back_what_is_held() {
    is_found(Canary::SessionTakesBack);
}

#[test]
fn canary_p22_an_old_state_is_agreed_to() {
    is_found(Canary::AgreesToOld);
}

#[test]
fn canary_c23_of_two_equal_payments_one_is_forgotten() {
    is_found(Canary::EqualTakenForOne);
}

#[test]
fn canary_p61_payments_are_made_during_a_resize() {
    is_found(Canary::PaysDuringResize);
}

#[test]
fn canary_p64_a_resize_is_given_up_while_it_can_become_final() {
    is_found(Canary::ResizeGivenUpEarly);
}
