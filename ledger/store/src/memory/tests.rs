//! What a crash leaves, for each point at which it can come.

use super::{CrashPoint, MemoryDisk, MemoryStore};
use crate::{Batch, Behind, Cause, Column, Condition, Scan, Sequence, Store as _, StoreError};

fn put(key: u8) -> Batch {
    let mut batch = Batch::new();
    batch.put(Column::Channels, [key], [key]);
    batch
}

fn open(disk: &MemoryDisk) -> (MemoryStore, Condition) {
    let opened = MemoryStore::open(disk).expect("it opens");
    (opened.store, opened.condition)
}

fn keys(store: &MemoryStore) -> Vec<u8> {
    let rows = store.scan(Column::Channels, &Scan::prefix(&[])).expect("it reads");
    rows.into_iter().map(|(key, _)| key[0]).collect()
}

#[test]
fn s1_a_crash_at_each_write_point_keeps_what_was_acknowledged() {
    for nth in 1..=5_u8 {
        for point in [CrashPoint::BeforeWrite, CrashPoint::AfterWrite, CrashPoint::AfterAnchor] {
            let disk = MemoryDisk::new();
            let (store, _) = open(&disk);
            disk.crash_at(point(nth.into()));
            let acknowledged = (1..=5).take_while(|key| store.commit(put(*key)).is_ok()).count();
            assert_eq!(acknowledged, usize::from(nth) - 1);
            let (store, condition) = open(&disk);
            assert_eq!(condition, Condition::Healthy);
            assert!(keys(&store).len() >= acknowledged);
            assert!(keys(&store).len() <= acknowledged + 1, "nothing half, nothing more than the open write");
        }
    }
}

#[test]
fn s2_a_disk_that_lies_about_syncs_is_noticed() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk);
    store.commit(put(1)).expect("honest");
    disk.lie_about_syncs();
    store.commit(put(2)).expect("the disk says so");
    let (store, condition) = open(&disk);
    assert_eq!(keys(&store), [1]);
    let expected = Behind { anchor: Some(Sequence(2)), found: Sequence(1), cause: Cause::LostWrites };
    assert_eq!(condition, Condition::Behind(expected));
}

#[test]
fn s6_after_a_failed_write_none_is_accepted_and_reads_go_on() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk);
    store.commit(put(1)).expect("honest");
    disk.fail_write(1, StoreError::DiskFull { action: "writing" });
    assert_eq!(store.commit(put(2)), Err(StoreError::DiskFull { action: "writing" }));
    assert!(matches!(store.commit(put(3)), Err(StoreError::Poisoned { .. })));
    assert_eq!(keys(&store), [1]);
    let (store, condition) = open(&disk);
    assert_eq!((condition, keys(&store)), (Condition::Healthy, vec![1]));
}

#[test]
fn s10_a_restored_database_is_noticed_until_it_is_resolved() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk);
    store.commit(put(1)).expect("honest");
    let backup = disk.image();
    store.commit(put(2)).expect("honest");
    disk.restore_database(&backup);
    let (store, condition) = open(&disk);
    assert!(matches!(condition, Condition::Behind(Behind { cause: Cause::LostWrites, .. })));
    for key in 10..20 {
        store.commit(put(key)).expect("recovery may write");
    }
    let (store, again) = open(&disk);
    assert_eq!(again, condition, "writing more does not make it whole");
    store.resolve().expect("the operator accepts");
    assert_eq!(open(&disk).1, Condition::Healthy);
}

#[test]
fn s5_a_removed_database_or_anchor_is_noticed() {
    let disk = MemoryDisk::new();
    open(&disk).0.commit(put(1)).expect("honest");
    let image = disk.image();
    disk.remove_database();
    let (store, condition) = open(&disk);
    assert!(matches!(condition, Condition::Behind(Behind { cause: Cause::DatabaseMissing, .. })));
    assert_eq!(keys(&store), []);
    disk.restore(&image);
    assert_eq!(open(&disk).1, Condition::Healthy, "a whole backup cannot be told here");
    disk.remove_anchor();
    assert!(matches!(open(&disk).1, Condition::Behind(Behind { cause: Cause::AnchorMissing, .. })));
}

#[test]
fn a_read_can_fail_and_an_old_store_is_closed() {
    let disk = MemoryDisk::new();
    let (old, _) = open(&disk);
    disk.fail_read(2, StoreError::Corrupt { what: "a block".to_owned() });
    assert_eq!(old.get(Column::Meta, b"x"), Ok(None));
    assert!(matches!(old.get(Column::Meta, b"x"), Err(StoreError::Corrupt { .. })));
    let (_new, _) = open(&disk);
    assert_eq!(old.get(Column::Meta, b"x"), Err(StoreError::Closed));
    assert_eq!(old.commit(put(1)), Err(StoreError::Closed));
}
