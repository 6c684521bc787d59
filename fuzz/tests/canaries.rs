//! Known bugs, put back: scripts by chance must find them, or the targets that play scripts show little
//! (docs/reports/canaries.md).

#![cfg(feature = "canaries")]

use towpath_fuzz::{Campaign, Finding, Regressions, Target, all};
use towpath_protocol::canary::{Canary, let_sing};

/// Scripts that are tried, each some changes to those before it.
const SCRIPTS: u64 = 4_000;

fn target(name: &str) -> Target {
    all().into_iter().find(|target| target.name == name).expect("there is a target of this name")
}

fn is_found(canary: Canary, name: &str) {
    let target = target(name);
    let none = Regressions::read("no such file".into()).expect("no file is no regressions");
    let mut campaign = Campaign::new(&target, 1, None);
    let outcome = let_sing(canary, || campaign.begin(&none).and_then(|()| campaign.go_on(SCRIPTS)));
    let Err(Finding { what, input }) = outcome else {
        panic!("{canary:?} sings, and {name} does not hear it")
    };
    let what: String = what.chars().take(120).collect();
    println!("CANARY {canary:?}: {name}, input {}: {}", campaign.tally().tried, what.replace('\n', " "));
    println!("{}", hex::encode(input));
}

#[test]
fn canary_c7_a_driver_speaks_before_it_writes_in_a_script() {
    is_found(Canary::SpokenBeforeWritten, "machine::channel");
}

#[test]
fn canary_p4_received_is_told_at_the_proposal_in_a_script() {
    is_found(Canary::ReceivedWhenProposed, "machine::channel");
}

#[test]
fn canary_p61_payments_are_made_during_a_resize_in_a_script() {
    is_found(Canary::PaysDuringResize, "machine::channel");
}

#[test]
fn canary_w3_a_tower_keeps_the_older_record_in_a_script() {
    is_found(Canary::TowerKeepsOlder, "machine::tower");
}

#[test]
fn canary_c4_a_tower_shows_no_proof_in_a_script() {
    is_found(Canary::TowerShowsNoProof, "machine::tower");
}

#[test]
fn canary_w1_a_tower_believes_forged_records_in_a_script() {
    is_found(Canary::TowerBelievesForgeries, "machine::tower");
}
