//! What the writer promises, on a store in memory.

use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};

use super::GroupWriter;
use crate::{Batch, Column, CrashPoint, MemoryStore, Row, Scan, Sequence, Store, StoreError};

fn put(key: u32) -> Batch {
    let mut batch = Batch::new();
    batch.put(Column::Channels, key.to_be_bytes(), [1; 32]);
    batch
}

fn no_failure(error: &StoreError) {
    panic!("no write should fail here: {error}");
}

/// Counts what it is asked, and lets a test hold up the first write.
struct Gated {
    inner: MemoryStore,
    gate: Barrier,
    log: Mutex<Vec<String>>,
}

impl Gated {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: MemoryStore::new(), gate: Barrier::new(2), log: Mutex::default() })
    }

    fn log(&self, line: String) {
        self.log.lock().expect("no test panics with it").push(line);
    }
}

impl Store for Gated {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(column, key)
    }

    fn scan(&self, column: Column, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.inner.scan(column, scan)
    }

    fn write(&self, batch: Batch) -> Result<Sequence, StoreError> {
        let sequence = self.inner.write(batch)?;
        self.log(format!("write {sequence}"));
        if sequence.0 == 1 {
            self.gate.wait();
        }
        Ok(sequence)
    }

    fn acknowledge(&self, sequence: Sequence) -> Result<(), StoreError> {
        self.log(format!("anchor {sequence}"));
        self.inner.acknowledge(sequence)
    }

    fn sequence(&self) -> Sequence {
        self.inner.sequence()
    }
}

#[test]
fn what_waits_is_written_together_and_told_in_order() {
    let store = Gated::new();
    let writer = GroupWriter::start(store.clone(), no_failure).expect("it starts");
    let (told, heard) = channel();
    for key in 0..100 {
        let told = told.clone();
        writer.submit(put(key), move |result| told.send((key, result)).expect("the test listens"));
    }
    store.gate.wait();
    writer.close();
    drop(told);
    let heard: Vec<_> = heard.iter().collect();
    let keys: Vec<_> = heard.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, (0..100).collect::<Vec<_>>());
    let groups = store.sequence().0;
    assert!(groups < 100, "{groups} groups");
    assert_eq!(heard.last().map(|(_, result)| result.clone()), Some(Ok(store.sequence())));
    let rows = store.scan(Column::Channels, &Scan::prefix(&[])).expect("it reads");
    assert_eq!(rows.len(), 100);
}

#[test]
fn s1_nobody_is_told_before_the_anchor() {
    let store = Gated::new();
    let writer = GroupWriter::start(store.clone(), no_failure).expect("it starts");
    for key in 0..50 {
        let store = store.clone();
        writer.submit(put(key), move |result| {
            store.log(format!("told {}", result.expect("written")));
        });
    }
    store.gate.wait();
    writer.close();
    let log = store.log.lock().expect("all threads have ended");
    let position = |line: String| log.iter().position(|found| *found == line).expect("it was logged");
    for sequence in 1..=store.sequence().0 {
        let (write, anchor) = (position(format!("write {sequence}")), position(format!("anchor {sequence}")));
        let told = position(format!("told {sequence}"));
        assert!(write < anchor && anchor < told, "{log:?}");
    }
}

#[test]
fn s6_after_a_failure_everyone_is_told_and_nothing_more_is_written() {
    let store = Arc::new(MemoryStore::new());
    store.disk().fail_write(2, StoreError::DiskFull { action: "writing" });
    let (fatal, fatal_heard) = channel();
    let writer = GroupWriter::start(store.clone(), move |error| {
        fatal.send(error.clone()).expect("the test listens");
    })
    .expect("it starts");
    assert_eq!(writer.commit(put(1)), Ok(Sequence(1)));
    assert_eq!(writer.commit(put(2)), Err(StoreError::DiskFull { action: "writing" }));
    assert!(matches!(writer.commit(put(3)), Err(StoreError::Poisoned { .. })));
    assert!(writer.try_submit(put(4), |_| {}).is_err());
    writer.close();
    assert_eq!(fatal_heard.iter().count(), 1, "the node is told once");
    assert_eq!(store.sequence(), Sequence(1));
}

#[test]
fn s1_a_crash_before_the_anchor_tells_nobody() {
    let store = Arc::new(MemoryStore::new());
    store.disk().crash_at(CrashPoint::AfterAnchor(2));
    let writer = GroupWriter::start(store.clone(), |_| {}).expect("it starts");
    assert_eq!(writer.commit(put(1)), Ok(Sequence(1)));
    assert!(writer.commit(put(2)).is_err());
    assert!(matches!(writer.commit(put(3)), Err(StoreError::Poisoned { .. })));
}

#[test]
fn statistics_count_what_was_written() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let writer = GroupWriter::start(store, no_failure).expect("it starts");
    for key in 0..10 {
        writer.commit(put(key)).expect("written");
    }
    let stats = writer.stats();
    assert_eq!((stats.batches, stats.groups, stats.waiting), (10, 10, 0));
    assert_eq!(stats.database.count(), 10);
    assert!(stats.bytes > 320, "{}", stats.bytes);
}

#[test]
fn closing_writes_what_waits() {
    let store: Arc<MemoryStore> = Arc::new(MemoryStore::new());
    let writer = GroupWriter::start(store.clone(), no_failure).expect("it starts");
    for key in 0..1_000 {
        writer.submit(put(key), |result| assert!(result.is_ok()));
    }
    drop(writer);
    let rows = store.scan(Column::Channels, &Scan::prefix(&[])).expect("it reads");
    assert_eq!(rows.len(), 1_000);
}

#[test]
fn s6_a_callback_that_panics_ends_all_writing() {
    let store = Gated::new();
    let (fatal, fatal_heard) = channel();
    let writer = GroupWriter::start(store.clone(), move |error| {
        fatal.send(error.clone()).expect("the test listens");
    })
    .expect("it starts");
    let (told, heard) = channel();
    // While the first write waits at the gate, the others gather into the second one.
    writer.submit(put(0), |_| {});
    for key in 1..=3 {
        let told = told.clone();
        writer.submit(put(key), move |result| {
            assert!(key != 2 || result.is_err(), "this one panics once it is released");
            told.send((key, result)).expect("the test listens");
        });
    }
    store.gate.wait();
    let error = fatal_heard.recv().expect("the owner is told");
    assert!(matches!(&error, StoreError::Poisoned { cause } if cause.contains("panicked")), "{error}");
    assert!(matches!(heard.recv(), Ok((1, Ok(_)))), "it came before the panic");
    assert_eq!(heard.recv(), Ok((3, Err(error.clone()))), "it came after it");
    let before = store.sequence();
    assert_eq!(writer.commit(put(4)), Err(error));
    writer.close();
    assert_eq!(store.sequence(), before, "nothing is written any more");
    assert_eq!(fatal_heard.iter().count(), 0, "the owner is told once");
}

#[test]
fn s6_what_waits_behind_a_panic_is_told_and_not_written() {
    let store = Gated::new();
    let writer = GroupWriter::start(store.clone(), |_| {}).expect("it starts");
    let (told, heard) = channel();
    writer.submit(put(0), |result| {
        assert!(result.is_err(), "this one panics once it is released");
    });
    // More than one group: the panic comes while some of it still waits in the queue.
    let large = crate::limits::GROUP_BYTES_MAX;
    for key in 1..=4_u32 {
        let told = told.clone();
        let mut batch = Batch::new();
        batch.put(Column::Channels, key.to_be_bytes(), vec![1; large]);
        writer.submit(batch, move |result| told.send((key, result.is_ok())).expect("the test listens"));
    }
    store.gate.wait();
    writer.close();
    drop(told);
    let heard: Vec<_> = heard.iter().collect();
    assert_eq!(
        heard,
        [(1, false), (2, false), (3, false), (4, false)],
        "each is told once, and none that all is well"
    );
    assert!(store.sequence() < Sequence(4), "the last groups are not written");
}

#[test]
fn by_hand_nothing_is_written_or_told_before_its_time_and_what_waits_is_lost_with_the_writer() {
    let store = Arc::new(MemoryStore::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = |key: u32| {
        let told = Arc::clone(&told);
        move |written: Result<Sequence, StoreError>| {
            told.lock().expect("no test panics with it").push((key, written.is_ok()));
        }
    };
    let heard = || told.lock().expect("no test panics with it").clone();
    let rows = || store.scan(Column::Channels, &Scan::prefix(&[])).expect("it reads").len();
    let writer = GroupWriter::by_hand(Arc::clone(&store) as Arc<dyn Store>, no_failure);
    assert!(!writer.write_group(), "nothing waits");
    writer.submit(put(1), tell(1));
    writer.submit(put(2), tell(2));
    assert_eq!((rows(), heard()), (0, Vec::new()));
    assert!(writer.write_group());
    assert_eq!((rows(), heard()), (2, vec![(1, true), (2, true)]), "both in one group, in order");
    writer.commit(put(3)).expect("who waits for a write makes it");
    writer.submit(put(4), tell(4));
    drop(writer);
    assert_eq!((rows(), heard().len()), (3, 2), "as in a crash");
}
