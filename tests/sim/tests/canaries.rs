//! Known bugs, put back one at a time: the worlds must find them (docs/reports/canaries.md).

#![cfg(feature = "canaries")]

use towpath_protocol::canary::{Canary, let_sing};
use towpath_sim::{Sabotage, run, run_sabotaged};

/// As many worlds as a measurement for the report tries.
const WORLDS: u64 = 60;

#[test]
fn canary_s2_syncs_that_lie() {
    let found = (1..=40).find_map(|seed| {
        let outcome = run_sabotaged(seed, Sabotage::SyncsLie);
        outcome.violation.map(|violation| format!("seed {seed}: {violation}"))
    });
    println!("CANARY syncs that lie: {}", found.expect("a build without syncs must fail"));
}

/// Which of the machines' bugs whole worlds find. That each is found by what is quicker is tested there.
#[test]
#[ignore = "takes an hour; run by hand for the report"]
fn measured() {
    let first = |canary| {
        (1..=WORLDS).find_map(|seed| {
            let violation = let_sing(canary, || run(seed)).violation?;
            Some(format!("seed {seed}: {violation}"))
        })
    };
    for canary in Canary::OF_MACHINES {
        let by = first(canary).unwrap_or_else(|| format!("not found in {WORLDS} worlds"));
        println!("CANARY {canary:?}: {by}");
    }
}
