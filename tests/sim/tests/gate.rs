//! The first worlds, with the signatures that are shipped in all of them. `./x test` then runs thousands with quick ones.

use std::path::Path;
use std::process::Command;

/// Besides those that once failed.
const SEEDS: &str = "12";

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
    let hashes = |name: &str| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let file = path.to_str().expect("a path of letters");
        let (is_good, text) = sim(&["--seed", "1", "--seeds", "5", "--hashes", file]);
        assert!(is_good, "{text}");
        std::fs::read_to_string(path).expect("it was written")
    };
    let first = hashes("first");
    assert_eq!(first.lines().count(), 5);
    assert_eq!(first, hashes("second"));
}
