//! Hostile bytes for what the store and the node read from their own disk (FAULTS F9, S4). The crates below are tried by
//! `fuzz/`.

use towpath_fuzz::{Campaign, Regressions, Target};

/// New inputs for each.
const INPUTS: u64 = 5_000;

#[test]
fn f9_s4_each_row_takes_hostile_bytes() {
    let regressions = Regressions::read(Regressions::path()).expect("a readable file");
    let decoders = [towpath_store::decoders(), towpath_node::decoders()].concat();
    assert!(decoders.len() > 10, "there are rows to read");
    for target in decoders.into_iter().map(Target::of) {
        let mut campaign = Campaign::new(&target, 1, None);
        if let Err(finding) = campaign.begin(&regressions).and_then(|()| campaign.go_on(INPUTS)) {
            panic!("{}: {} on {}", target.name, finding.what, hex_of(&finding.input));
        }
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
