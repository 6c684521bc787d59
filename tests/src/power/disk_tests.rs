//! Disks under made-up processes, and what is found on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use towpath_fuzz::Random;

use super::disk::{Disk, Syncs, Unsynced};
use super::trace::{Event, Fd, What};

/// What is in a folder, by name.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            (entry.file_name().into_string().expect("text"), fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

/// A disk with a file `old` on which `whats` were done, and what is found on it after a cut.
fn after(whats: &[What], syncs: Syncs, unsynced: Unsynced, seed: u64) -> BTreeMap<String, Vec<u8>> {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (start, end) = (root.path().join("start"), root.path().join("end"));
    fs::create_dir(&start).expect("made");
    fs::write(start.join("old"), b"old").expect("written");
    let mut disk = Disk::new(&start, Path::new("/node"), syncs);
    for what in whats {
        disk.apply(&Event { at_us: 0, what: what.clone() }).expect("understood");
    }
    disk.cut(unsynced, &mut Random::new(seed, "test"), &end);
    contents(&end)
}

fn open(fd: Fd, path: &str, flags: &str) -> What {
    What::Opened { fd, path: path.into(), flags: flags.to_owned() }
}

fn write(fd: Fd, data: &[u8]) -> What {
    What::Written { fd, at: None, data: data.to_vec() }
}

fn sync(fd: Fd) -> [What; 2] {
    [What::SyncBegun { thread: 1, fd }, What::SyncDone { thread: 1 }]
}

fn all(parts: &[&[What]]) -> Vec<What> {
    parts.concat()
}

#[test]
fn what_was_synced_with_its_name_is_certain_and_nothing_else() {
    let made = [open(5, "/node/new", "O_WRONLY|O_CREAT"), write(5, b"one")];
    let named = [open(6, "/node", "O_RDONLY|O_DIRECTORY")];
    let more = [write(5, b"two")];
    let old = ("old".to_owned(), b"old".to_vec());
    let new = |bytes: &[u8]| ("new".to_owned(), bytes.to_vec());
    let gone = |whats: &[What], syncs| after(whats, syncs, Unsynced::Gone, 1);
    let file_only = all(&[&made, &sync(5), &more]);
    assert_eq!(gone(&file_only, Syncs::Kept), [old.clone()].into(), "its name is not certain");
    let both = all(&[&made, &sync(5), &named, &sync(6), &more]);
    assert_eq!(gone(&both, Syncs::Kept), [new(b"one"), old.clone()].into());
    assert_eq!(gone(&both, Syncs::Ignored), [old.clone()].into());
    let name_only = all(&[&made, &named, &sync(6), &more]);
    assert_eq!(gone(&name_only, Syncs::Kept), [new(b""), old].into());
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let [begun, done] = sync(5);
    let whats = [open(5, "/node/old", "O_WRONLY|O_APPEND"), write(5, b"+"), begun, write(5, b"-"), done];
    assert_eq!(after(&whats, Syncs::Kept, Unsynced::Gone, 1)["old"], b"old+");
}

#[test]
fn what_was_not_synced_is_kept_in_parts() {
    let whats = [open(5, "/node/old", "O_WRONLY|O_APPEND"), write(5, b"12"), write(5, b"34")];
    let found = |unsynced| -> BTreeSet<Vec<u8>> {
        (0..500).map(|seed| after(&whats, Syncs::Kept, unsynced, seed)["old"].clone()).collect()
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<BTreeSet<_>>();
    assert_eq!(found(Unsynced::Torn), texts(&["old", "old1", "old12", "old123", "old1234"]));
    assert_eq!(found(Unsynced::Scattered), texts(&["old", "old12", "old\0\x0034", "old1234"]));
}

#[test]
fn a_new_name_is_there_or_the_old_one() {
    let moved = What::Moved { from: "/node/old".into(), to: "/node/new".into() };
    let names: BTreeSet<Vec<String>> = (0..100)
        .map(|seed| {
            after(std::slice::from_ref(&moved), Syncs::Kept, Unsynced::Torn, seed).into_keys().collect()
        })
        .collect();
    assert_eq!(names, [vec!["new".to_owned()], vec!["old".to_owned()]].into());
}

#[test]
fn what_is_not_understood_is_refused_if_it_concerns_the_folder() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let mut disk = Disk::new(root.path(), Path::new("/node"), Syncs::Kept);
    let mut apply = |what| disk.apply(&Event { at_us: 0, what });
    let link = |path: &str| What::Other {
        call: "link".to_owned(),
        fds: Vec::new(),
        paths: vec!["/elsewhere/a".into(), path.into()],
    };
    apply(link("/elsewhere/b")).expect("of no concern");
    apply(link("/node/b")).expect_err("a second name");
    apply(open(5, "/node/unseen", "O_RDWR")).expect_err("it was never made");
}
