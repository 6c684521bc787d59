//! A process that is killed at any moment loses nothing that it had acknowledged (FAULTS S1, F6).
//!
//! The child is this same test binary, told by the environment what to do. A kill counts only if the signal is what ended the
//! child, so that one which had come to its own end before does not pass for a kill.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
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
const STOP_AT: &str = "TOWPATH_TEST_STOP_AT";
const ROWS: &str = "TOWPATH_TEST_ROWS";
const WAITING_MAX: &str = "TOWPATH_TEST_WAITING_MAX";
/// Kills after some acknowledgement, of one store.
const KILLS_ANY: u64 = 60;
/// Kills at a step of a write of a new store: four steps a write, of which the last come in either order with the next
/// write's first.
const KILLS_NEW: u64 = 16;
/// The same of one store that has a history.
const KILLS_STEP: u64 = 64;
/// Rounds of two kills: of one that writes, and of the next while it opens what the first left.
const ROUNDS_OPENING: u64 = 25;
/// Kills while a store is made.
const KILLS_MAKING: u64 = 10;
/// Kills of nodes under traffic in the same gate (`tests/tests/crash.rs`).
const KILLS_OF_NODES: u64 = 10;
/// What is due for each change (FAULTS F6).
const _: () =
    assert!(KILLS_ANY + KILLS_NEW + KILLS_STEP + 2 * ROUNDS_OPENING + KILLS_MAKING + KILLS_OF_NODES >= 200);
/// More than a child writes before it is killed, which is looked for after each of its words, or each change of its files that a
/// busy machine lets one see.
const ROWS_MAX: u64 = 400;
const ROWS_MAX_UNHEARD: u64 = 20_000;

/// Says so at the n-th step of its writes, and stays there until it is killed.
struct StopAt {
    left: AtomicU64,
}

impl Faults for StopAt {
    fn at(&self, _point: WritePoint) -> Result<(), StoreError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            println!("here");
            loop {
                std::thread::park();
            }
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
    if let Some(at) = number_in(STOP_AT) {
        how.faults = Some(Arc::new(StopAt { left: AtomicU64::new(at) }));
    }
    let store = Arc::new(RocksStore::open(&how).expect("it opens").healthy().expect("it is whole"));
    let newest = store.scan(Column::Channels, &Scan::prefix(&[]).backward().limit(1)).expect("it reads");
    let first = newest.first().map_or(1, |(key, _)| number_of(key) + 1);
    let writer = GroupWriter::start(store, |error| panic!("{error}")).expect("it starts");
    let (tell, told) = std::sync::mpsc::channel();
    let waiting_max: u64 = number_in(WAITING_MAX).expect("the parent says how many");
    for number in first..first + number_in(ROWS).expect("the parent says how many") {
        let tell = tell.clone();
        writer.submit(numbered(number), move |result| {
            result.expect("it is written");
            println!("ack {number}");
            tell.send(()).expect("somebody waits for it");
        });
        if number + 1 - first >= waiting_max {
            told.recv().expect("one of those before is acknowledged");
        }
    }
    drop(writer);
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn number_of(key: &[u8]) -> u64 {
    u64::from_be_bytes(key.try_into().expect("keys have eight bytes"))
}

fn spawn(folder: &Path, when: When) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env_remove(STOP_AT);
    let (rows, waiting_max) = match when {
        // All at once, of which many are merged into one write.
        When::Acknowledged(_) => (ROWS_MAX, ROWS_MAX),
        // A few, so that there are many writes, and one begins while the last is being anchored.
        When::Step(_) => (ROWS_MAX, 3),
        When::Changed(_) => (ROWS_MAX_UNHEARD, 3),
    };
    command.env(ROWS, rows.to_string()).env(WAITING_MAX, waiting_max.to_string());
    if let When::Step(step) = when {
        command.env(STOP_AT, step.to_string());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a child")
}

/// When a child is killed.
#[derive(Clone, Copy, Debug)]
enum When {
    /// At so many acknowledgements.
    Acknowledged(u64),
    /// At this step of its writes.
    Step(u64),
    /// While it opens the store: once the files of the database were found to have changed so many times.
    Changed(u64),
}

/// The kills of a test, and what they left acknowledged.
#[derive(Default)]
struct Kills {
    /// Children that the signal ended.
    count: u64,
    /// The highest number that any of them acknowledged.
    highest: u64,
    /// Of these, children that had not yet said a word.
    silent: u64,
}

impl Kills {
    /// Starts a child on `folder`, and kills it.
    fn kill(&mut self, folder: &Path, when: When) {
        let before = database_files(folder);
        let mut child = spawn(folder, when);
        if let When::Changed(times) = when {
            await_changes(&mut child, folder, before, times);
            child.kill().expect("it is alive");
        }
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (mut acknowledged, mut last) = (0, 0);
        for line in lines.map_while(Result::ok) {
            if line.contains("here") {
                child.kill().expect("it is alive");
            }
            // The first line of a test shares its line with the harness.
            let told = line.split("ack ").nth(1).and_then(|text| text.trim().parse::<u64>().ok());
            let Some(number) = told else { continue };
            assert!(number > last, "{number} was acknowledged after {last}");
            (acknowledged, last) = (acknowledged + 1, number);
            if matches!(when, When::Acknowledged(count) if count == acknowledged) {
                child.kill().expect("it is alive");
            }
        }
        let ended = child.wait().expect("it has ended");
        assert_eq!(ended.signal(), Some(9), "{when:?}: it came to its own end: {ended}");
        self.count += 1;
        self.silent += u64::from(acknowledged == 0);
        self.highest = self.highest.max(last);
    }

    /// Opens the store: every row up to the highest that was acknowledged is there, and of no batch a half.
    fn audit(&self, folder: &Path, what: &str) {
        let (store, condition) = open(folder);
        assert_eq!(condition, Condition::Healthy, "{what}");
        let rows = |column| store.scan(column, &Scan::prefix(&[])).expect("it reads");
        let channels = rows(Column::Channels);
        assert!(channels.len() as u64 >= self.highest, "{what}: {} of {}", channels.len(), self.highest);
        for (row, number) in channels.iter().zip(1_u64..) {
            assert_eq!(*row, (number.to_be_bytes().to_vec(), value(number)), "{what}");
        }
        assert_eq!(channels, rows(Column::ChannelEvents), "{what}: half of a batch");
    }
}

/// The files of the database, with their lengths.
fn database_files(folder: &Path) -> BTreeSet<(OsString, u64)> {
    let Ok(entries) = std::fs::read_dir(folder.join("db")) else { return BTreeSet::new() };
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        // One that is gone between the two calls is a change that the next look sees.
        let entry = entry.ok()?;
        Some((entry.file_name(), entry.metadata().ok()?.len()))
    };
    entries.filter_map(file).collect()
}

/// Waits until the files of the database were seen to be others than before, so many times.
fn await_changes(child: &mut Child, folder: &Path, mut before: BTreeSet<(OsString, u64)>, times: u64) {
    let mut changes = 0;
    while changes < times {
        let ended = child.try_wait().expect("it is a child of this process");
        assert!(ended.is_none(), "it ended after {changes} changes of its files: {ended:?}");
        let now = database_files(folder);
        changes += u64::from(now != before);
        before = now;
        std::thread::yield_now();
    }
}

#[test]
fn s1_f6_killed_again_and_again_it_loses_nothing_acknowledged() {
    let root = temporary_folder();
    let mut kills = Kills::default();
    for kill in 0..KILLS_ANY {
        kills.kill(root.path(), When::Acknowledged(1 + kill * kill % 37));
        kills.audit(root.path(), &format!("after kill {kill}"));
    }
    assert_eq!(kills.count, KILLS_ANY);
    assert!(kills.highest >= KILLS_ANY);
}

#[test]
fn s1_f6_killed_at_each_step_of_a_first_write_it_loses_nothing_acknowledged() {
    let mut count = 0;
    for step in 1..=KILLS_NEW {
        let (root, mut kills) = (temporary_folder(), Kills::default());
        kills.kill(root.path(), When::Step(step));
        assert_eq!(verdict(root.path(), kills.highest), Verdict::Whole, "killed at step {step}");
        count += kills.count;
    }
    assert_eq!(count, KILLS_NEW);
}

#[test]
fn s1_f6_killed_at_each_step_of_later_writes_it_loses_nothing_acknowledged() {
    let root = temporary_folder();
    let mut kills = Kills::default();
    for step in 1..=KILLS_STEP {
        kills.kill(root.path(), When::Step(step));
        kills.audit(root.path(), &format!("killed at step {step}"));
    }
    assert_eq!(kills.count, KILLS_STEP);
    assert!(kills.highest > KILLS_STEP, "it goes on between the kills");
}

#[test]
fn s1_f6_killed_while_it_opens_what_a_kill_has_left_it_loses_nothing_acknowledged() {
    let root = temporary_folder();
    let mut kills = Kills::default();
    for round in 0..ROUNDS_OPENING {
        kills.kill(root.path(), When::Acknowledged(1 + round % 7));
        kills.kill(root.path(), When::Changed(1 + round % 10));
        kills.audit(root.path(), &format!("after round {round}"));
    }
    assert_eq!(kills.count, 2 * ROUNDS_OPENING);
    assert!(kills.silent >= ROUNDS_OPENING / 2, "{} of them had not come to write", kills.silent);
}

#[test]
fn s1_f6_killed_while_it_makes_a_store_it_can_make_it_again() {
    let mut count = 0;
    for times in 1..=KILLS_MAKING {
        let (root, mut kills) = (temporary_folder(), Kills::default());
        kills.kill(root.path(), When::Changed(times));
        assert_eq!(verdict(root.path(), kills.highest), Verdict::Whole, "killed at change {times}");
        count += kills.count;
    }
    assert_eq!(count, KILLS_MAKING);
}

#[test]
fn s9_a_killed_holder_leaves_no_lock_behind() {
    let root = temporary_folder();
    Kills::default().kill(root.path(), When::Acknowledged(1));
    assert!(root.path().join("lock").exists());
    assert_eq!(open(root.path()).1, Condition::Healthy);
}
