//! A process that is killed at any moment loses nothing that it had acknowledged (FAULTS S1).
//!
//! The child is this same test binary, told by the environment what to do.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Verdict, numbered, open, temporary_folder, value, verdict};
use towpath_store::{
    Column, Condition, Faults, GroupWriter, RocksOptions, RocksStore, Scan, Store as _, StoreError,
    WritePoint,
};

const FOLDER: &str = "TOWPATH_TEST_STORE";
const ABORT_AT: &str = "TOWPATH_TEST_ABORT_AT";
const KILLS: u64 = 30;
/// More than a child writes before it is killed.
const ROWS_MAX: u64 = 400;

/// Ends the process at the n-th step of its writes.
struct AbortAt {
    left: AtomicU64,
}

impl Faults for AbortAt {
    fn at(&self, _point: WritePoint) -> Result<(), StoreError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
        Ok(())
    }
}

/// Writes numbered rows through the group writer, and says each number once it is acknowledged.
#[test]
#[ignore = "run as a child process by the tests below"]
fn child() {
    let folder = std::env::var(FOLDER).expect("the parent says where");
    let mut how = RocksOptions::new(folder);
    if let Ok(at) = std::env::var(ABORT_AT) {
        how.faults = Some(Arc::new(AbortAt { left: AtomicU64::new(at.parse().expect("a number")) }));
    }
    let store = Arc::new(RocksStore::open(&how).expect("it opens").healthy().expect("it is whole"));
    let newest = store.scan(Column::Channels, &Scan::prefix(&[]).backward().limit(1)).expect("it reads");
    let first = newest.first().map_or(1, |(key, _)| number_of(key) + 1);
    let writer = GroupWriter::start(store, |error| panic!("{error}")).expect("it starts");
    for number in first..first + ROWS_MAX {
        writer.submit(numbered(number), move |result| {
            result.expect("it is written");
            println!("ack {number}");
        });
    }
}

fn number_of(key: &[u8]) -> u64 {
    u64::from_be_bytes(key.try_into().expect("keys have eight bytes"))
}

fn spawn(folder: &Path, abort_at: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env_remove(ABORT_AT);
    if let Some(at) = abort_at {
        command.env(ABORT_AT, at.to_string());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a child")
}

/// Kills the child after so many acknowledgements (or waits for its own end); returns the highest that it gave.
fn acknowledged_by(mut child: Child, kill_after: Option<u64>) -> u64 {
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let (mut highest, mut count) = (0, 0);
    for line in lines.map_while(Result::ok) {
        // The first line of a test shares its line with the harness.
        let Some(number) = line.split("ack ").nth(1).and_then(|text| text.trim().parse::<u64>().ok()) else {
            continue;
        };
        assert!(number > highest, "{number} was acknowledged after {highest}");
        highest = number;
        count += 1;
        if Some(count) == kill_after {
            child.kill().expect("it is alive");
        }
    }
    child.wait().expect("it has ended");
    highest
}

#[test]
fn s1_killed_again_and_again_it_loses_nothing_acknowledged() {
    let root = temporary_folder();
    let mut highest = 0;
    for kill in 0..KILLS {
        let kill_after = 1 + kill * kill % 37;
        highest = acknowledged_by(spawn(root.path(), None), Some(kill_after)).max(highest);
        let (store, condition) = open(root.path());
        assert_eq!(condition, Condition::Healthy, "after kill {kill}");
        let rows = |column| store.scan(column, &Scan::prefix(&[])).expect("it reads");
        let channels = rows(Column::Channels);
        assert!(channels.len() as u64 >= highest, "after kill {kill}: {} of {highest}", channels.len());
        for (row, number) in channels.iter().zip(1_u64..) {
            assert_eq!(*row, (number.to_be_bytes().to_vec(), value(number)), "after kill {kill}");
        }
        assert_eq!(channels, rows(Column::ChannelEvents), "no half of a batch");
    }
    assert!(highest >= KILLS);
}

#[test]
fn s1_aborted_at_each_step_of_a_write_it_loses_nothing_acknowledged() {
    // Four steps a write, of which the last come in either order with the next write's first.
    for step in 1..=12 {
        let root = temporary_folder();
        let highest = acknowledged_by(spawn(root.path(), Some(step)), None);
        assert_eq!(verdict(root.path(), highest), Verdict::Whole, "aborted at step {step}");
    }
}

#[test]
fn s9_a_killed_holder_leaves_no_lock_behind() {
    let root = temporary_folder();
    acknowledged_by(spawn(root.path(), None), Some(1));
    assert!(root.path().join("lock").exists());
    assert_eq!(open(root.path()).1, Condition::Healthy);
}
