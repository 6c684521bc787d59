//! A minute of worlds at every change: those that once failed, and the first ones. `./x sim --seeds N` runs more.

use std::process::Command;

/// Sized to take about a minute of one core.
const SEEDS: &str = "40";

fn sim(arguments: &[&str]) -> (bool, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_towpath-sim")).args(arguments).output().expect("it starts");
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    (run.status.success(), text)
}

#[test]
fn f1_no_invariant_breaks_in_any_world() {
    let (is_good, text) = sim(&["--seeds", SEEDS]);
    assert!(is_good, "{text}");
}

#[test]
fn f2_a_seed_is_the_same_world_in_two_processes() {
    let hashes = || {
        let (is_good, text) = sim(&["--seed", "1", "--seeds", "5", "--hashes"]);
        assert!(is_good, "{text}");
        let hashes = text.lines().filter(|line| line.split(' ').nth(1).is_some_and(|hash| hash.len() == 32));
        hashes.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = hashes();
    assert_eq!(first.len(), 5);
    assert_eq!(first, hashes());
}
