//! Known bugs, put back one at a time: the worlds must find them (docs/reports/canaries.md).

#![cfg(feature = "canaries")]

use towpath_protocol::canary::{Canary, let_sing};
use towpath_sim::{Sabotage, run, run_sabotaged};

/// The bugs of a channel's machine.
const ALL: [Canary; 15] = [
    Canary::ClaimNotWritten,
    Canary::VersionUsedAgain,
    Canary::RefusedFailsAtOnce,
    Canary::ProposedAgainFailsAtOnce,
    Canary::BurntNotWritten,
    Canary::BurntAckCounts,
    Canary::ReserveIgnored,
    Canary::HandoverDoesNotWait,
    Canary::ReceivedWhenProposed,
    Canary::SessionTakesBack,
    Canary::AdoptsAfterClose,
    Canary::SignsAfterClose,
    Canary::AgreesToOld,
    Canary::FeeUnchecked,
    Canary::UnaskedIsSigned,
];

/// The first seed, counted from one, in which the bug is found, and by what.
fn found(canary: Canary, most: u64) -> Option<String> {
    (1..=most).find_map(|seed| {
        let outcome = let_sing(canary, || run(seed));
        outcome.violation.map(|violation| format!("seed {seed}: {violation}"))
    })
}

fn must_be_found(canary: Canary, most: u64) {
    let by = found(canary, most)
        .unwrap_or_else(|| panic!("{canary:?} sings, and nobody hears it in {most} worlds"));
    println!("CANARY {canary:?}: {by}");
}

#[test]
fn canary_s2_syncs_that_lie() {
    let found = (1..=40).find_map(|seed| {
        let outcome = run_sabotaged(seed, Sabotage::SyncsLie);
        outcome.violation.map(|violation| format!("seed {seed}: {violation}"))
    });
    println!("CANARY syncs that lie: {}", found.expect("a build without syncs must fail"));
}

#[test]
fn canary_a_claim_is_told_and_not_written_in_a_world() {
    must_be_found(Canary::ClaimNotWritten, 40);
}

#[test]
fn canary_p4_received_is_told_at_the_proposal_in_a_world() {
    must_be_found(Canary::ReceivedWhenProposed, 40);
}

/// All of them, with more worlds than a gate has time for: for the report.
#[test]
#[ignore = "takes many minutes; run by hand for the report"]
fn measured() {
    for canary in ALL {
        let by = found(canary, 200).unwrap_or_else(|| "not found in 200 worlds".to_owned());
        println!("CANARY {canary:?}: {by}");
    }
}
