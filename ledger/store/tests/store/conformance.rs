//! The same operations on the store on disk and on the one in memory have the same answers.

use crate::common::temporary_folder;
use proptest::prelude::*;
use towpath_store::{
    Batch, Column, Condition, Direction, MemoryDisk, MemoryStore, RocksOptions, RocksStore, Scan, Store,
};

#[derive(Clone, Debug)]
enum Operation {
    Put(Column, Vec<u8>, Vec<u8>),
    Delete(Column, Vec<u8>),
    DeleteRange(Column, Vec<u8>, Vec<u8>),
    Commit,
    Get(Column, Vec<u8>),
    Scan(Column, Scan),
    Reopen,
}

fn column() -> impl Strategy<Value = Column> {
    prop::sample::select(vec![Column::Channels, Column::Blocks, Column::ConsensusLog])
}

/// Few keys, so that operations meet; some are prefixes of others.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, 2, 0xff]), 0..3)
}

fn scan() -> impl Strategy<Value = Scan> {
    let direction = prop::sample::select(vec![Direction::Forward, Direction::Backward]);
    (key(), prop::option::of(key()), direction, 0_usize..6).prop_map(|(from, to, direction, limit)| Scan {
        from,
        to,
        direction,
        limit,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (column(), key(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(column, key, value)| Operation::Put(column, key, value)),
        3 => (column(), key()).prop_map(|(column, key)| Operation::Delete(column, key)),
        1 => (column(), key(), key()).prop_map(|(column, from, to)| Operation::DeleteRange(column, from, to)),
        2 => Just(Operation::Commit),
        4 => (column(), key()).prop_map(|(column, key)| Operation::Get(column, key)),
        4 => (column(), scan()).prop_map(|(column, scan)| Operation::Scan(column, scan)),
        1 => Just(Operation::Reopen),
    ]
}

fn check(operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let folder = temporary_folder();
    let how = RocksOptions::new(folder.path());
    let disk = MemoryDisk::new();
    let mut rocks = RocksStore::open(&how).expect("it opens").store;
    let mut memory = MemoryStore::open(&disk).expect("it opens").store;
    let mut batch = Batch::new();
    for operation in operations {
        match operation {
            Operation::Put(column, key, value) => batch.put(column, key, value),
            Operation::Delete(column, key) => batch.delete(column, key),
            Operation::DeleteRange(column, from, to) => batch.delete_range(column, from, to),
            Operation::Commit => {
                let batch = std::mem::take(&mut batch);
                prop_assert_eq!(rocks.commit(batch.clone()), memory.commit(batch));
            }
            Operation::Get(column, key) => {
                prop_assert_eq!(rocks.get(column, &key), memory.get(column, &key));
            }
            Operation::Scan(column, scan) => {
                prop_assert_eq!(rocks.scan(column, &scan), memory.scan(column, &scan));
            }
            Operation::Reopen => {
                drop(rocks);
                let opened = RocksStore::open(&how).expect("it opens");
                prop_assert_eq!(opened.condition, Condition::Healthy);
                rocks = opened.store;
                let opened = MemoryStore::open(&disk).expect("it opens");
                prop_assert_eq!(opened.condition, Condition::Healthy);
                memory = opened.store;
                prop_assert_eq!(rocks.sequence(), memory.sequence());
            }
        }
    }
    for column in Column::ALL {
        let all = Scan::prefix(&[]);
        prop_assert_eq!(rocks.scan(column, &all), memory.scan(column, &all));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_answer_alike(operations in prop::collection::vec(operation(), 1..60)) {
        check(operations)?;
    }
}
