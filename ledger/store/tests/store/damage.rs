//! Whatever is done to the files of a store, it is noticed or harmless: never an older state without a word.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Verdict, copy, edit, files, numbered, open, record_ends, temporary_folder, verdict};
use towpath_store::{Cause, Condition, Faults, RocksOptions, RocksStore, Store as _, StoreError, WritePoint};

/// Rows in tables; as many again are in the log.
const ROWS: u64 = 60;

/// A store with rows 1 to `rows` in tables and as many again in the log, all acknowledged.
fn build(folder: &Path, rows: u64) -> u64 {
    let (store, _) = open(folder);
    for number in 1..=rows {
        store.commit(numbered(number)).expect("written");
    }
    drop(store);
    // Opening it moves the rows of the log to tables.
    let (store, condition) = open(folder);
    assert_eq!(condition, Condition::Healthy);
    for number in rows + 1..=2 * rows {
        store.commit(numbered(number)).expect("written");
    }
    2 * rows
}

pub struct Scene {
    pub root: tempfile::TempDir,
    acknowledged: u64,
    copies: u64,
}

impl Scene {
    fn new() -> Self {
        Self::of(ROWS)
    }

    /// With so many rows in tables, and as many in the log.
    pub fn of(rows: u64) -> Self {
        let root = temporary_folder();
        let acknowledged = build(&root.path().join("whole"), rows);
        Self { root, acknowledged, copies: 0 }
    }

    /// What is found after `damage` is done to a copy.
    pub fn after(&mut self, damage: impl FnOnce(&Path)) -> Verdict {
        self.copies += 1;
        let folder = self.root.path().join(format!("copy-{}", self.copies));
        copy(&self.root.path().join("whole"), &folder);
        damage(&folder);
        let verdict = verdict(&folder, self.acknowledged);
        std::fs::remove_dir_all(&folder).expect("it goes");
        verdict
    }

    #[track_caller]
    fn assert_behind(&mut self, cause: Cause, damage: impl FnOnce(&Path)) {
        match self.after(damage) {
            Verdict::Behind(behind) => assert_eq!(behind.cause, cause, "{behind}"),
            other => panic!("{other:?}, expected {cause:?}"),
        }
    }

    #[track_caller]
    fn assert_noticed(&mut self, what: &str, damage: impl FnOnce(&Path)) {
        match self.after(damage) {
            Verdict::Behind(_) | Verdict::Refused(_) => {}
            other => panic!("{what}: {other:?}"),
        }
    }

    #[track_caller]
    fn assert_noticed_or_harmless(&mut self, what: &str, damage: impl FnOnce(&Path)) {
        if let Verdict::SilentlyOlder(how) = self.after(damage) {
            panic!("{what}: {how}");
        }
    }
}

fn log(folder: &Path) -> std::path::PathBuf {
    files(folder, ".log").pop().expect("there is a log")
}

#[test]
fn an_undamaged_copy_is_whole() {
    assert_eq!(Scene::new().after(|_| {}), Verdict::Whole);
}

#[test]
fn s5_a_deleted_log_is_noticed() {
    Scene::new()
        .assert_behind(Cause::LostWrites, |folder| std::fs::remove_file(log(folder)).expect("it goes"));
}

#[test]
fn s5_an_emptied_log_is_noticed() {
    Scene::new().assert_behind(Cause::LostWrites, |folder| edit(&log(folder), Vec::clear));
}

#[test]
fn s5_a_log_cut_at_a_record_boundary_is_noticed() {
    let mut scene = Scene::new();
    let ends = record_ends(&log(&scene.root.path().join("whole")));
    assert_eq!(ends.len(), usize::try_from(ROWS).expect("it fits"), "one record a commit");
    for end in [ends[0], ends[ends.len() / 2], ends[ends.len() - 2]] {
        scene.assert_behind(Cause::LostWrites, |folder| edit(&log(folder), |bytes| bytes.truncate(end)));
    }
}

#[test]
fn s3_a_log_cut_inside_an_acknowledged_record_is_noticed_and_kept_for_inspection() {
    let mut scene = Scene::new();
    scene.assert_behind(Cause::LostWrites, |folder| {
        edit(&log(folder), |bytes| bytes.truncate(bytes.len() - 7));
    });
    let folder = scene.root.path().join("whole");
    edit(&log(&folder), |bytes| bytes.truncate(bytes.len() - 7));
    let (_store, _) = open(&folder);
    assert!(folder.join("damaged-1").exists());
}

#[test]
fn s4_a_log_with_a_zeroed_page_is_noticed() {
    let mut scene = Scene::new();
    let length = std::fs::metadata(log(&scene.root.path().join("whole"))).expect("it is there").len();
    let pages = usize::try_from(length).expect("it fits") / 4_096;
    for page in 0..pages {
        scene.assert_noticed(&format!("page {page} of {pages}"), |folder| {
            edit(&log(folder), |bytes| bytes[page * 4_096..(page + 1) * 4_096].fill(0));
        });
    }
}

/// Flips one bit at `steps` places of each file whose name contains `part`.
fn flip(part: &str, steps: usize) {
    let mut scene = Scene::new();
    for file in files(&scene.root.path().join("whole"), part) {
        let name = file.file_name().expect("a file").to_owned();
        let length = usize::try_from(std::fs::metadata(&file).expect("it is there").len()).expect("it fits");
        for step in 0..steps.min(length) {
            let at = step * length / steps.min(length);
            scene.assert_noticed_or_harmless(&format!("bit of byte {at} of {}", name.display()), |folder| {
                edit(&folder.join("db").join(&name), |bytes| bytes[at] ^= 1 << (at % 8));
            });
        }
    }
}

#[test]
fn s4_a_flipped_bit_in_the_log_is_noticed() {
    let mut scene = Scene::new();
    let length =
        usize::try_from(std::fs::metadata(log(&scene.root.path().join("whole"))).expect("there").len())
            .expect("it fits");
    for step in 0..12 {
        let at = step * length / 12;
        scene.assert_noticed(&format!("byte {at}"), |folder| edit(&log(folder), |bytes| bytes[at] ^= 0x10));
    }
}

#[test]
fn s4_a_flipped_bit_in_a_table_is_noticed_or_harmless() {
    flip(".sst", 12);
}

#[test]
fn s4_a_flipped_bit_in_the_manifest_is_noticed_or_harmless() {
    flip("MANIFEST", 24);
}

#[test]
fn s4_a_flipped_bit_in_current_or_identity_is_noticed_or_harmless() {
    flip("CURRENT", 16);
    flip("IDENTITY", 2);
}

#[test]
fn s4_a_flipped_bit_in_the_anchor_is_noticed_or_harmless() {
    let mut scene = Scene::new();
    for at in (0..40).chain(4_096..4_136).step_by(5) {
        scene.assert_noticed_or_harmless(&format!("byte {at}"), |folder| {
            edit(&folder.join("anchor"), |bytes| bytes[at] ^= 1);
        });
    }
}

#[test]
fn s5_each_deleted_or_cut_file_is_noticed_or_harmless() {
    let mut scene = Scene::new();
    for file in files(&scene.root.path().join("whole"), "") {
        let name = file.file_name().expect("a file").to_owned();
        let path = |folder: &Path| folder.join("db").join(&name);
        scene.assert_noticed_or_harmless(&format!("{} deleted", name.display()), |folder| {
            std::fs::remove_file(path(folder)).expect("it goes");
        });
        scene.assert_noticed_or_harmless(&format!("{} cut in half", name.display()), |folder| {
            edit(&path(folder), |bytes| bytes.truncate(bytes.len() / 2));
        });
    }
}

#[test]
fn s5_a_manifest_cut_at_a_record_boundary_is_noticed_or_harmless() {
    let mut scene = Scene::new();
    let manifest = files(&scene.root.path().join("whole"), "MANIFEST").pop().expect("there is one");
    for end in record_ends(&manifest) {
        let name = manifest.file_name().expect("a file").to_owned();
        scene.assert_noticed_or_harmless(&format!("cut at {end}"), |folder| {
            edit(&folder.join("db").join(name), |bytes| bytes.truncate(end));
        });
    }
}

#[test]
fn s5_a_removed_database_is_noticed() {
    Scene::new().assert_behind(Cause::DatabaseMissing, |folder| {
        std::fs::remove_dir_all(folder.join("db")).expect("it goes");
    });
}

#[test]
fn s5_a_removed_or_unreadable_anchor_is_noticed() {
    let mut scene = Scene::new();
    scene.assert_behind(Cause::AnchorMissing, |folder| {
        std::fs::remove_file(folder.join("anchor")).expect("it goes");
    });
    scene.assert_behind(Cause::AnchorUnreadable, |folder| edit(&folder.join("anchor"), Vec::clear));
}

#[test]
fn s5_a_database_without_current_is_not_made_anew() {
    let mut scene = Scene::new();
    let verdict = scene.after(|folder| std::fs::remove_file(folder.join("db/CURRENT")).expect("it goes"));
    assert!(matches!(verdict, Verdict::Refused(StoreError::Corrupt { .. })), "{verdict:?}");
}

#[test]
fn s10_an_older_database_with_the_newer_anchor_is_noticed_until_resolved() {
    let root = temporary_folder();
    let (folder, backup) = (root.path().join("node"), root.path().join("backup"));
    let (store, _) = open(&folder);
    store.commit(numbered(1)).expect("written");
    drop(store);
    copy(&folder.join("db"), &backup);
    let (store, _) = open(&folder);
    for number in 2..=10 {
        store.commit(numbered(number)).expect("written");
    }
    drop(store);
    std::fs::remove_dir_all(folder.join("db")).expect("it goes");
    copy(&backup, &folder.join("db"));

    let (store, condition) = open(&folder);
    let Condition::Behind(behind) = condition else { panic!("{condition:?}") };
    assert_eq!(behind.cause, Cause::LostWrites);
    for number in 11..=40 {
        store.commit(numbered(number)).expect("recovery may write");
    }
    drop(store);
    let (store, again) = open(&folder);
    assert_eq!(again, condition, "more writes do not make it whole");
    store.resolve().expect("resolved");
    drop(store);
    assert_eq!(open(&folder).1, Condition::Healthy);
}

#[test]
fn s11_the_database_of_a_copy_that_went_on_is_noticed() {
    let root = temporary_folder();
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    let (store, _) = open(&first);
    store.commit(numbered(1)).expect("written");
    drop(store);
    copy(&first, &second);
    for folder in [&first, &second] {
        open(folder).0.commit(numbered(2)).expect("written");
    }
    std::fs::copy(second.join("anchor"), first.join("anchor")).expect("it copies");
    let Condition::Behind(behind) = open(&first).1 else { panic!("it should be noticed") };
    assert_eq!(behind.cause, Cause::OtherHistory);
}

/// Fails once at one step, as if the disk had, and works again afterwards.
struct FailOnce {
    point: WritePoint,
    armed: AtomicBool,
}

impl Faults for FailOnce {
    fn at(&self, point: WritePoint) -> Result<(), StoreError> {
        if point == self.point && self.armed.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Io { action: "syncing", detail: "injected".to_owned() });
        }
        Ok(())
    }
}

/// A store with one acknowledged row whose next write fails at `point`.
fn failing_at(folder: &Path, point: WritePoint) -> RocksStore {
    open(folder).0.commit(numbered(1)).expect("written");
    let faults: Arc<dyn Faults> = Arc::new(FailOnce { point, armed: AtomicBool::new(true) });
    let how = RocksOptions { faults: Some(faults), ..RocksOptions::new(folder) };
    RocksStore::open(&how).expect("it opens").healthy().expect("it is whole")
}

#[test]
fn s6_a_sync_that_fails_once_ends_all_writing() {
    for point in [WritePoint::Write, WritePoint::Written, WritePoint::Anchor, WritePoint::Anchored] {
        let root = temporary_folder();
        let store = failing_at(root.path(), point);
        assert!(matches!(store.commit(numbered(2)), Err(StoreError::Io { .. })), "{point:?}");
        assert!(matches!(store.commit(numbered(3)), Err(StoreError::Poisoned { .. })), "{point:?}");
        assert!(matches!(store.resolve(), Err(StoreError::Poisoned { .. })), "{point:?}");
        assert!(
            store.get(towpath_store::Column::Channels, &1_u64.to_be_bytes()).is_ok_and(|row| row.is_some())
        );
        drop(store);
        assert_eq!(verdict(root.path(), 1), Verdict::Whole, "{point:?}");
    }
}

#[test]
fn s3_a_torn_tail_that_nobody_was_told_of_is_dropped() {
    let root = temporary_folder();
    let folder = root.path().join("node");
    let store = failing_at(&folder, WritePoint::Written);
    assert!(store.commit(numbered(2)).is_err(), "written, and not acknowledged");
    drop(store);
    let log_path = log(&folder);
    let ends = record_ends(&log_path);
    let end = *ends.last().expect("there is a record");
    let start = if ends.len() > 1 { ends[ends.len() - 2] } else { 0 };
    for (number, cut) in (start..=end).step_by(149).chain([end - 1]).enumerate() {
        for fill in [None, Some(0), Some(0xa5)] {
            let torn = root.path().join(format!("torn-{number}-{fill:?}"));
            copy(&folder, &torn);
            edit(&log(&torn), |bytes| {
                bytes.truncate(cut);
                bytes.resize(fill.map_or(cut, |_| end), fill.unwrap_or(0));
            });
            assert_eq!(
                verdict(&torn, 1),
                Verdict::Whole,
                "cut at {cut} of {start}..{end}, filled with {fill:?}"
            );
        }
    }
}

#[test]
fn s3_a_torn_anchor_slot_is_repaired() {
    let root = temporary_folder();
    let folder = root.path().join("node");
    // The second row is in the database; writing its anchor was cut short.
    let store = failing_at(&folder, WritePoint::Anchor);
    assert!(store.commit(numbered(2)).is_err());
    drop(store);
    edit(&folder.join("anchor"), |bytes| bytes[10..40].fill(0));
    assert_eq!(verdict(&folder, 2), Verdict::Whole);
    assert_eq!(verdict(&folder, 2), Verdict::Whole);
}

#[test]
fn s8_a_read_only_database_is_an_error_that_names_it() {
    let root = temporary_folder();
    std::fs::write(root.path().join("db"), b"not a folder").expect("it writes");
    let error = RocksStore::open(&RocksOptions::new(root.path())).expect_err("refused").to_string();
    assert!(error.contains("db"), "{error}");
}

#[test]
fn s12_a_checkpoint_holds_everything_and_is_known_to_be_a_copy() {
    let root = temporary_folder();
    let (folder, backup) = (root.path().join("node"), root.path().join("backup"));
    let (store, _) = open(&folder);
    for number in 1..=20 {
        store.commit(numbered(number)).expect("written");
    }
    std::fs::create_dir(&backup).expect("a folder");
    store.checkpoint(&backup.join("db")).expect("copied");
    store.verify().expect("it is whole");
    let (copy, condition) = open(&backup);
    let Condition::Behind(behind) = condition else { panic!("{condition:?}") };
    assert_eq!(behind.cause, Cause::AnchorMissing);
    copy.resolve().expect("the operator says so");
    drop(copy);
    assert_eq!(verdict(&backup, 20), Verdict::Whole);
}

#[test]
fn s1_a_machine_that_stops_while_the_database_is_made_starts_again() {
    let root = temporary_folder();
    drop(open(root.path()));
    // What RocksDB leaves before it has named its first manifest: files, and no CURRENT.
    std::fs::remove_file(root.path().join("db/CURRENT")).expect("it goes");
    for table in files(root.path(), ".sst").into_iter().chain(files(root.path(), ".log")) {
        std::fs::remove_file(table).expect("it goes");
    }
    let (store, condition) = open(root.path());
    assert_eq!(condition, Condition::Healthy);
    store.commit(numbered(1)).expect("written");
    drop(store);
    assert_eq!(verdict(root.path(), 1), Verdict::Whole);
}

/// Opens the database as a version that knows more than this one would.
fn as_newer_version(folder: &Path, schema: u32, column: Option<&str>) {
    let path = folder.join("db");
    let names = rocksdb::DB::list_cf(&rocksdb::Options::default(), &path).expect("it lists");
    let mut options = rocksdb::Options::default();
    options.create_missing_column_families(true);
    let mut plain = rocksdb::Options::default();
    plain.set_merge_operator_associative("towpath.count", |_, existing, _| existing.map(<[u8]>::to_vec));
    let families = names.iter().map(String::as_str).chain(column).map(|name| (name, plain.clone()));
    let database = rocksdb::DB::open_cf_with_opts(&options, &path, families).expect("it opens");
    database.put(b"schema", schema.to_le_bytes()).expect("written");
}

#[test]
fn s13_a_newer_schema_is_refused_whether_or_not_it_has_more_columns() {
    for column in [None, Some("invented-later")] {
        let root = temporary_folder();
        drop(open(root.path()));
        as_newer_version(root.path(), 2, column);
        let refused = RocksStore::open(&RocksOptions::new(root.path())).expect_err("too new");
        assert_eq!(refused, StoreError::SchemaNewer { found: 2, known: 1 });
    }
}

#[test]
fn s13_an_unknown_column_of_this_schema_is_damage() {
    let root = temporary_folder();
    drop(open(root.path()));
    as_newer_version(root.path(), 1, Some("invented-later"));
    let refused = RocksStore::open(&RocksOptions::new(root.path())).expect_err("not ours");
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
}

/// A file system of 24 MiB that is gone with this value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = temporary_folder();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(mount.is_ok_and(|status| status.success()), "it is mounted");
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg(self.0.path()).status().expect("it is unmounted");
    }
}

#[test]
#[ignore = "mounts a file system, which only root may"]
fn s7_a_full_disk_ends_all_writing_and_nothing_acknowledged_is_lost() {
    let disk = SmallDisk::mount();
    let folder = disk.0.path().join("node");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 12 << 20]).expect("it fits");
    let (store, _) = open(&folder);
    let mut acknowledged = 0;
    let error = loop {
        match store.commit(numbered(acknowledged + 1)) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert!(matches!(store.commit(numbered(1)), Err(StoreError::Poisoned { .. })));
    assert!(store.get(towpath_store::Column::Channels, &1_u64.to_be_bytes()).is_ok_and(|row| row.is_some()));
    drop(store);
    std::fs::remove_file(&ballast).expect("it goes");
    assert_eq!(verdict(&folder, acknowledged), Verdict::Whole, "{acknowledged} rows");
}
