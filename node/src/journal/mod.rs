//! The node's one way to disk: what a turn or a block wrote, together with the events that tell of it, in one batch.
//!
//! Events get their index here, in the order in which batches are written, so that a listener that resumes after an
//! index misses nothing. What depends on a batch (messages, answers, views) is released by its `release` closure,
//! which runs only once the batch is synced and anchored: persist before you speak (DESIGN 1.2).

mod listen;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use towpath_api::{Event, EventBody};
use towpath_store::{Batch, Column, GroupWriter, Scan, Store, StoreError};

pub use listen::{Listener, Page};

/// Events between two prunings of the event log: a range delete is cheap, but not free.
const PRUNE_EVERY: u64 = 1_000;

/// See the module.
pub struct Journal {
    store: Arc<dyn Store>,
    writer: GroupWriter,
    /// Held while a batch is handed to the writer, so that indices rise in its order.
    line: Mutex<Line>,
    durable: watch::Sender<u64>,
    retention: u64,
}

/// Where the journal stands.
struct Line {
    /// The index of the next event.
    next: u64,
    /// Nothing more is written by this process.
    ends: bool,
}

/// What is written and told together.
#[derive(Default)]
pub struct Entry {
    /// The rows.
    pub batch: Batch,
    /// What happened.
    pub events: Vec<EventBody>,
}

impl Journal {
    /// A journal over `store`, which keeps at least `retention` events.
    ///
    /// # Errors
    /// When the event log cannot be read.
    pub fn open(store: Arc<dyn Store>, writer: GroupWriter, retention: u64) -> Result<Self, StoreError> {
        let last = store.scan(Column::Events, &Scan::prefix(&[]).backward().limit(1))?;
        let next = last.first().and_then(|(key, _)| index_of(key)).map_or(1, |index| index + 1);
        let line = Mutex::new(Line { next, ends: false });
        Ok(Self { store, writer, line, durable: watch::Sender::new(next - 1), retention })
    }

    /// Hands over what a turn wrote. `release` runs on the writer's thread once it is durable, and not at all if it
    /// never is: a store that fails stops the process, and nothing is written after [`Journal::submit_last`].
    pub fn submit(self: &Arc<Self>, entry: Entry, time_ms: u64, release: impl FnOnce() + Send + 'static) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&mut line, entry, time_ms, release);
    }

    /// As [`Journal::submit`], and the last that this process writes: what it knew no longer holds, so no part of it may
    /// sign or vote on it any more. Whoever hands over something after this is never released.
    pub fn submit_last(
        self: &Arc<Self>,
        entry: Entry,
        time_ms: u64,
        release: impl FnOnce() + Send + 'static,
    ) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&mut line, entry, time_ms, release);
        line.ends = true;
    }

    fn write(
        self: &Arc<Self>,
        line: &mut Line,
        entry: Entry,
        time_ms: u64,
        release: impl FnOnce() + Send + 'static,
    ) {
        if line.ends {
            return;
        }
        let Entry { mut batch, events } = entry;
        let first = line.next;
        for body in events {
            let event = Event { index: line.next, time_ms, body };
            let value = serde_json::to_vec(&event).expect("an event is plain data");
            batch.put(Column::Events, line.next.to_be_bytes(), value);
            line.next += 1;
        }
        let last = line.next - 1;
        if first / PRUNE_EVERY != line.next / PRUNE_EVERY
            && let Some(oldest) = line.next.checked_sub(self.retention)
        {
            batch.delete_range(Column::Events, 0_u64.to_be_bytes(), oldest.to_be_bytes());
        }
        let journal = Arc::clone(self);
        self.writer.submit(batch, move |written| {
            if written.is_ok() {
                // First: whoever is told can go on reading from there.
                if last >= first {
                    journal.durable.send_replace(last);
                }
                release();
            }
        });
    }

    /// Writes and waits: for the ledger driver, which applies one block at a time.
    ///
    /// # Errors
    /// When the batch may not be durable; nothing may be said that depends on it.
    pub fn commit(self: &Arc<Self>, entry: Entry, time_ms: u64) -> Result<(), StoreError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.submit(entry, time_ms, move || {
            // The receiver waits below; it is gone only if this thread is.
            let _ = sender.send(());
        });
        // Where nobody else writes, this does.
        while self.writer.write_group() {}
        receiver.recv().map_err(|_| StoreError::Closed)
    }

    /// The database, for readers.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What the writer did so far.
    #[must_use]
    pub fn writer(&self) -> &GroupWriter {
        &self.writer
    }
}

fn index_of(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}
