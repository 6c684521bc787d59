//! Known bugs of watchtowers and their clients, put back: the storm, or a test of what it is about, must find them
//! (docs/reports/canaries.md).

use towpath_protocol::canary::{Canary, what_hears};

use super::{answers, storm};

/// The storms of the gate's run without a bug.
fn is_found(canary: Canary) {
    let found = (0..storm::SEEDS).find_map(|seed| Some((seed, what_hears(canary, || storm::check(seed))?)));
    let (seed, by) = found.unwrap_or_else(|| panic!("{canary:?} sings, and nobody hears it"));
    println!("CANARY {canary:?}: storm {seed}: {by}");
}

#[test]
fn canary_w3_a_tower_keeps_the_older_record() {
    is_found(Canary::TowerKeepsOlder);
}

#[test]
fn canary_c4_a_tower_tries_once() {
    is_found(Canary::TowerTriesOnce);
}

#[test]
fn canary_c4_a_tower_shows_no_proof() {
    is_found(Canary::TowerShowsNoProof);
}

#[test]
fn canary_w6_the_first_receipt_confirms() {
    is_found(Canary::FirstReceiptConfirms);
}

#[test]
fn canary_w1_a_tower_believes_forged_records() {
    let canary = Canary::TowerBelievesForgeries;
    let by = what_hears(canary, answers::w1_forged_records_in_a_slot_change_nothing)
        .unwrap_or_else(|| panic!("{canary:?} sings, and nobody hears it"));
    println!("CANARY {canary:?}: {by}");
}
