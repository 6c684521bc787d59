//! Every block of every file of a store is harmed, one at a time (FAULTS S4, S5, F8): it is noticed or harmless, and never an older
//! state without a word. `tests/tests/damage.rs` does the same to random places of a whole node's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::{Verdict, edit};
use crate::damage::Scene;

/// What a disk loses at once.
const BLOCK: usize = 4_096;
/// Rows in tables, and as many again in the log.
const ROWS: u64 = 150;
/// Places in a whole node's folder, in the same gate.
const POSITIONS_OF_NODES: usize = 40;
/// What is due for each change (FAULTS F8).
const POSITIONS_DUE: usize = 200;

/// What is done to a block, or from it on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    /// One bit of it is another.
    Flip,
    /// It is zeros.
    Zero,
    /// The file ends where it begins.
    Cut,
    /// The file is gone.
    Delete,
}

/// What was made of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Outcome {
    Whole,
    Behind,
    Refused,
}

/// What a store keeps of itself: all its files, but for RocksDB's log for people, and the locks, which hold nothing.
fn kept(folder: &Path) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    for sub in ["", "db"] {
        for entry in std::fs::read_dir(folder.join(sub)).expect("it reads") {
            let entry = entry.expect("it reads");
            let name = entry.file_name().to_string_lossy().into_owned();
            let holds_nothing = name == "lock" || name.starts_with("LO");
            if entry.file_type().expect("it has a type").is_file() && !holds_nothing {
                let length = entry.metadata().expect("it has a size").len();
                found.push((Path::new(sub).join(name), usize::try_from(length).expect("it fits")));
            }
        }
    }
    found.sort();
    found
}

/// Every block of every file with each kind, and every file deleted. What RocksDB was set to is long, and of no consequence:
/// its first block stands for all.
fn positions(files: &[(PathBuf, usize)]) -> Vec<(PathBuf, usize, Kind)> {
    let mut positions = Vec::new();
    for (file, length) in files {
        let is_options = file.to_string_lossy().contains("OPTIONS");
        let blocks = if is_options { 1 } else { length.div_ceil(BLOCK).max(1) };
        for block in 0..blocks {
            positions.extend([Kind::Flip, Kind::Zero, Kind::Cut].map(|kind| (file.clone(), block, kind)));
        }
        positions.push((file.clone(), 0, Kind::Delete));
    }
    positions
}

fn harm(file: &Path, block: usize, kind: Kind) {
    let from = block * BLOCK;
    match kind {
        Kind::Delete => std::fs::remove_file(file).expect("it goes"),
        Kind::Cut => edit(file, |bytes| bytes.truncate(from)),
        Kind::Zero => edit(file, |bytes| bytes.iter_mut().skip(from).take(BLOCK).for_each(|byte| *byte = 0)),
        Kind::Flip => edit(file, |bytes| {
            // Another byte, and another bit, in each block.
            let within = (bytes.len() - from).min(BLOCK);
            if within > 0 {
                bytes[from + (block * 1_237 + 11) % within] ^= 1 << (block % 8);
            }
        }),
    }
}

#[test]
fn s4_s5_f8_each_block_of_each_file_harmed_is_noticed_or_harmless() {
    let mut scene = Scene::of(ROWS);
    let positions = positions(&kept(&scene.root.path().join("whole")));
    let mut tally: BTreeMap<(Kind, Outcome), usize> = BTreeMap::new();
    let (mut unnoticed, mut harmless) = (Vec::new(), Vec::new());
    for (file, block, kind) in &positions {
        let outcome = match scene.after(|folder| harm(&folder.join(file), *block, *kind)) {
            Verdict::Whole => {
                harmless.push(format!("{kind:?} of block {block} of {}", file.display()));
                Outcome::Whole
            }
            Verdict::Behind(_) => Outcome::Behind,
            Verdict::Refused(_) => Outcome::Refused,
            Verdict::SilentlyOlder(how) => {
                unnoticed.push(format!("{kind:?} of block {block} of {}: {how}", file.display()));
                continue;
            }
        };
        *tally.entry((*kind, outcome)).or_default() += 1;
    }
    println!("{} positions: {tally:?}\nharmless: {harmless:#?}", positions.len());
    assert_eq!(unnoticed, Vec::<String>::new());
    let tried: usize = tally.values().sum();
    assert!(tried + POSITIONS_OF_NODES >= POSITIONS_DUE, "only {tried} positions");
    for kind in [Kind::Flip, Kind::Zero, Kind::Cut, Kind::Delete] {
        let noticed =
            [Outcome::Behind, Outcome::Refused].into_iter().any(|how| tally.contains_key(&(kind, how)));
        assert!(noticed, "{kind:?} does no harm anywhere: {tally:?}");
    }
}
