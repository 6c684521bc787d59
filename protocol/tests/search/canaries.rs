//! Each known bug is put back, and the search must find it (docs/reports/canaries.md).

use towpath_protocol::canary::{Canary, let_sing};

use super::config::{Budget, Config, Fees, Turns};
use super::explore::{Until, explore};
use super::{NONE, show};

/// Searches until anything is broken.
fn is_found(canary: Canary, config: Config) {
    let_sing(canary, || {
        let (mut store, report) = explore(config, Until::Found);
        println!("{}", show::figures(&store, &report));
        let found = report.found.values().next();
        let found = found.unwrap_or_else(|| panic!("{canary:?} sings, and the search does not hear it"));
        println!(
            "CANARY {canary:?}: world {}: {:?}: {}",
            report.worlds, found.violation.kind, found.violation.detail
        );
        println!("{}", store.explain(found));
    });
}

/// An honest A, the sequencer, with this much to do.
fn opener(budget: Budget) -> Config {
    Config { versions_max: 4, ..Config::duel("canary", budget) }
}

#[test]
fn canary_p12_a_refused_payment_fails_at_once() {
    is_found(Canary::RefusedFailsAtOnce, opener(Budget { pays: [1, 0], ..NONE }));
}

#[test]
fn canary_p12_what_no_longer_applies_fails_at_once() {
    let config = opener(Budget { pays: [1, 1], ..NONE });
    is_found(Canary::ProposedAgainFailsAtOnce, Config { balances: [0, 64], ..config });
}

#[test]
fn canary_p10_an_acknowledgement_of_a_burnt_version_counts() {
    is_found(Canary::BurntAckCounts, opener(Budget { pays: [2, 0], ..NONE }));
}

#[test]
fn canary_c7_the_number_of_a_burnt_version_is_used_again() {
    is_found(Canary::VersionUsedAgain, opener(Budget { pays: [1, 0], ..NONE }));
}

#[test]
fn canary_p4_received_is_told_at_the_proposal() {
    is_found(Canary::ReceivedWhenProposed, opener(Budget { pays: [0, 1], ..NONE }));
}

#[test]
fn canary_c17_a_session_takes_back_what_is_held() {
    let budget = Budget { pays: [0, 1], sessions: 2, ..NONE };
    is_found(Canary::SessionTakesBack, opener(budget).against_a());
}

#[test]
fn canary_p21_what_the_peer_holds_is_taken_in_after_a_close() {
    let budget = Budget { pays: [1, 0], forces: 1, sessions: 2, ..NONE };
    is_found(Canary::AdoptsAfterClose, Config { versions_max: 3, ..opener(budget) });
}

#[test]
fn canary_p21_states_are_signed_after_a_close() {
    let budget = Budget { forces: 1, ..NONE };
    is_found(Canary::SignsAfterClose, Config { versions_max: 3, ..opener(budget).against_a() });
}

#[test]
fn canary_p22_an_old_state_is_agreed_to() {
    is_found(Canary::AgreesToOld, opener(Budget { pays: [0, 1], ..NONE }).against_a());
}

#[test]
fn canary_p21_a_fee_is_not_checked_against_what_its_turn_left() {
    let config = opener(Budget { pays: [1, 0], forces: 1, ..NONE });
    let config = Config { balances: [4, 60], versions_max: 3, turns: Turns::Two, fees: Fees::Both, ..config };
    is_found(Canary::FeeUnchecked, config);
}

#[test]
fn canary_p63_payments_go_on_while_a_resize_may_become_final() {
    let budget = Budget { pays: [1, 0], resizes: [1, 0], expiries: 1, ..NONE };
    let config = Config { changes: &[super::config::PAY_OUT], ..opener(budget) };
    is_found(Canary::ResizeDoesNotWait, config);
}

#[test]
fn canary_p17_payments_that_nobody_asked_for_are_signed() {
    is_found(Canary::UnaskedIsSigned, opener(NONE).against_a());
}
