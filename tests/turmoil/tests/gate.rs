//! Networked worlds at every change: those that once failed, and the first ones. `./x sim --layer 2 --seeds N` runs more.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each runs in two processes.
const SEEDS: &str = "20";

#[test]
fn f3_no_invariant_breaks_in_any_networked_world_and_f2_each_is_the_same_in_two_processes() {
    let arguments = ["--seeds", SEEDS, "--twice", "--hashes", "--jobs", "2"];
    let run =
        Command::new(env!("CARGO_BIN_EXE_towpath-sim-net")).args(arguments).output().expect("it starts");
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{text}");
    let hashes = text.lines().filter_map(|line| line.split(' ').nth(1).filter(|word| word.len() == 32));
    let hashes: BTreeSet<&str> = hashes.collect();
    assert!(hashes.len() >= 20, "every seed is another world: {text}");
}

/// What the simulated node is made of is what the shipped one is made of, but for the crates that are patched.
#[test]
fn the_simulated_node_has_the_versions_of_the_shipped_one() {
    let (ours, shipped) =
        (versions(include_str!("../Cargo.lock")), versions(include_str!("../../../Cargo.lock")));
    let differ: Vec<_> = ours
        .iter()
        .filter(|(name, ours)| shipped.get(*name).is_some_and(|theirs| !ours.is_subset(theirs)))
        .collect();
    assert!(differ.is_empty(), "take them over with `cargo update --precise`: {differ:?}");
}

fn versions(lock: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let lines: Vec<&str> = lock.lines().collect();
    for pair in lines.windows(2) {
        if let (Some(name), Some(version)) =
            (pair[0].strip_prefix("name = "), pair[1].strip_prefix("version = "))
        {
            versions.entry(name.trim_matches('"')).or_default().insert(version.trim_matches('"'));
        }
    }
    versions
}
