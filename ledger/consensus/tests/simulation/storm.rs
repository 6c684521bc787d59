//! Crashes at every point, on networks of every kind: nobody forks, nobody signs twice, nobody stays behind.

use std::collections::BTreeSet;

use super::sim::LogKept;
use super::sim::storm::{Storm, storm};

/// Storms for each loss rate.
const SEEDS: u64 = 34;

fn check_storms(loss_percent: u64) {
    let (mut traces, mut total) = (BTreeSet::new(), Storm::default());
    for seed in 0..SEEDS {
        let one = storm(seed, loss_percent, LogKept::Synced);
        assert_eq!(
            one.problem, None,
            "repeat with: cargo run --release -p towpath-consensus --example storm -- 1 {loss_percent} {seed}"
        );
        traces.insert(one.trace);
        total.add(&one);
    }
    assert_eq!(traces.len() as u64, SEEDS, "each seed is a run of its own");
    assert!(total.replayed > 400 && total.synced > 20, "the storm must hit: {total}");
}

#[test]
fn l15_l17_storm_without_loss_never_forks_or_signs_twice() {
    check_storms(0);
}

#[test]
fn l15_l17_storm_with_some_loss_never_forks_or_signs_twice() {
    check_storms(5);
}

#[test]
fn l15_l17_storm_with_heavy_loss_never_forks_or_signs_twice() {
    check_storms(20);
}

/// The auditor sees what it is there to see, and the log is what prevents it.
#[test]
fn l15_control_storm_without_log_signs_twice() {
    let mut total = Storm::default();
    (0..10).for_each(|seed| total.add(&storm(seed, 5, LogKept::Nothing)));
    assert!(total.double_signs > 0, "the control experiment found too little: {total}");
}

#[test]
fn same_seed_same_trace() {
    let trace = |seed| storm(seed, 5, LogKept::Synced).trace;
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}
