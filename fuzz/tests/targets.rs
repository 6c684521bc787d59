//! Each target holds out for a while (FAULTS F9, L8, N3). One test in a file of its own, because the allocator that counts is
//! the whole process's.

use peak_alloc::PeakAlloc;
use towpath_fuzz::{Campaign, Regressions, all};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

#[test]
fn f9_l8_n3_each_target_takes_hostile_bytes() {
    let regressions = Regressions::read(Regressions::path()).expect("a readable file");
    let mut accepted_none = Vec::new();
    for target in all() {
        let mut campaign = Campaign::new(&target, 1, Some(&ALLOCATOR));
        let outcome = campaign.begin(&regressions).and_then(|()| campaign.go_on(target.gate_inputs));
        if let Err(finding) = outcome {
            panic!("{}: {} on {}", target.name, finding.what, hex::encode(&finding.input));
        }
        if campaign.tally().accepted == 0 {
            accepted_none.push(target.name);
        }
    }
    assert_eq!(accepted_none, [""; 0], "a target that accepts nothing tries nothing but its first check");
}
