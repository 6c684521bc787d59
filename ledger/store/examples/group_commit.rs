//! How many synced records a second the group writer takes, with and without the anchor.
//!
//! `cargo run --release -p towpath-store --example group_commit [folder]`
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use towpath_store::{
    Batch, Change, Column, GroupWriter, RocksOptions, RocksStore, Row, Scan, Sequence, Store, StoreError,
};

const RECORD_BYTES: usize = 300;
const TIME: Duration = Duration::from_secs(3);

/// A bare RocksDB with the same synced batches and nothing else: what the anchor and the counts cost is the difference.
struct Bare {
    database: rocksdb::DB,
    sequence: AtomicU64,
}

impl Bare {
    fn open(folder: &Path) -> Result<Self, rocksdb::Error> {
        Ok(Self { database: rocksdb::DB::open_default(folder)?, sequence: AtomicU64::new(0) })
    }
}

fn failed(error: &rocksdb::Error) -> StoreError {
    StoreError::Io { action: "writing", detail: error.to_string() }
}

impl Store for Bare {
    fn get(&self, _column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.get(key).map_err(|error| failed(&error))
    }

    fn scan(&self, _column: Column, _scan: &Scan) -> Result<Vec<Row>, StoreError> {
        Ok(Vec::new())
    }

    fn write(&self, batch: Batch) -> Result<Sequence, StoreError> {
        let mut write = rocksdb::WriteBatch::default();
        for change in batch.changes() {
            if let Change::Put { key, value, .. } = change {
                write.put(key, value);
            }
        }
        let mut synced = rocksdb::WriteOptions::default();
        synced.set_sync(true);
        self.database.write_opt(write, &synced).map_err(|error| failed(&error))?;
        Ok(Sequence(self.sequence.fetch_add(1, Ordering::Relaxed) + 1))
    }

    fn acknowledge(&self, _sequence: Sequence) -> Result<(), StoreError> {
        Ok(())
    }

    fn sequence(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::Relaxed))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    println!(
        "{:>9} {:>9} {:>12} {:>12} {:>9} {:>9} {:>11}",
        "anchor", "in flight", "records/s", "groups/s", "p50 us", "p99 us", "per group"
    );
    for in_flight in [1, 16, 64, 256, 1_024] {
        for anchored in ["no", "yes"] {
            run(&folder.join(format!("towpath-group-commit-{}", std::process::id())), anchored, in_flight)?;
        }
    }
    Ok(())
}

fn run(folder: &Path, anchored: &str, in_flight: usize) -> Result<(), Box<dyn std::error::Error>> {
    let store: Arc<dyn Store> = if anchored == "yes" {
        Arc::new(RocksStore::open(&RocksOptions::new(folder))?.healthy()?)
    } else {
        Arc::new(Bare::open(folder)?)
    };
    let writer = GroupWriter::start(store, |error| eprintln!("{error}"))?;
    let (done, finished) = sync_channel::<(Instant, Result<Sequence, StoreError>)>(in_flight);
    let (start, mut open, mut number) = (Instant::now(), 0, 0_u64);
    let mut latencies = Vec::new();
    while open > 0 || start.elapsed() < TIME {
        while open < in_flight && start.elapsed() < TIME {
            let (done, submitted) = (done.clone(), Instant::now());
            number += 1;
            let mut batch = Batch::new();
            batch.put(Column::Channels, (number % 100_000).to_be_bytes(), vec![1; RECORD_BYTES]);
            writer.submit(batch, move |result| {
                // The benchmark has ended if nobody listens.
                let _ended = done.send((submitted, result));
            });
            open += 1;
        }
        let (submitted, result) = finished.recv()?;
        result?;
        latencies.push(submitted.elapsed());
        open -= 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    latencies.sort();
    let percentile =
        |share: usize| latencies.get(latencies.len() * share / 100).map_or(0, Duration::as_micros);
    let stats = writer.stats();
    println!(
        "{anchored:>9} {in_flight:>9} {:>12.0} {:>12.0} {:>9} {:>9} {:>11.1}",
        stats.batches as f64 / seconds,
        stats.groups as f64 / seconds,
        percentile(50),
        percentile(99),
        stats.batches as f64 / stats.groups as f64,
    );
    writer.close();
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
