//! Replicas and validators that go wrong on purpose: scripts by chance must find each, or `machine::ledger` and `machine::light` show little (FAULTS F13).

use std::collections::BTreeMap;

use towpath_fuzz::{Campaign, Finding, Random, Regressions, Target, controls, ledger_reach};

/// Scripts that are tried, each some changes to those before it.
const SCRIPTS: u64 = 2_000;

fn is_found(target: &Target) {
    let none = Regressions::read("no such file".into()).expect("no file is no regressions");
    let mut campaign = Campaign::new(target, 1, None);
    let outcome = campaign.begin(&none).and_then(|()| campaign.go_on(SCRIPTS));
    let Err(Finding { what, .. }) = outcome else { panic!("{} is not found", target.name) };
    let what: String = what.chars().take(120).collect();
    println!("{}: script {}: {}", target.name, campaign.tally().tried, what.replace('\n', " "));
}

#[test]
fn canary_i5_l16_what_goes_wrong_on_purpose_is_found_by_scripts() {
    let all = controls();
    assert_eq!(all.len(), 6);
    all.iter().for_each(is_found);
}

/// A target whose transactions are all refused tries nothing but the refusals.
#[test]
fn scripts_by_chance_decide_inputs_of_eight_kinds() {
    let mut random = Random::new(1, "reach");
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..200 {
        let script: Vec<u8> = (0..1_024).map(|_| random.number().to_le_bytes()[7]).collect();
        for (kind, count) in ledger_reach(&script) {
            *reached.entry(kind).or_default() += count;
        }
    }
    println!("{reached:?}");
    // What waits for a secret on the ledger is settled by a ninth, which takes a longer script than chance writes.
    assert!(reached.len() >= 8, "{reached:?}");
}
