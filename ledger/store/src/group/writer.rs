//! The writer's two threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use super::queue::{Callback, Queue, Submission};
use super::stats::{Counters, GroupStats};
use crate::batch::Batch;
use crate::condition::Sequence;
use crate::error::StoreError;
use crate::store::Store;

/// Called once, with the first failure: nothing more will be stored, and the process must end (FAULTS S6).
type OnFatal = Box<dyn Fn(&StoreError) + Send + Sync>;

/// Owns all writing of a node. Dropping it writes what still waits.
pub struct GroupWriter {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    store: Arc<dyn Store>,
    queue: Queue,
    counters: Counters,
    /// Groups that were handed to the anchor thread and whose callbacks have not run.
    anchoring: AtomicU64,
    on_fatal: OnFatal,
    /// The first failure.
    failure: OnceLock<StoreError>,
}

/// A written group that waits for its anchor.
struct Written {
    sequence: Sequence,
    callbacks: Vec<Callback>,
}

impl std::fmt::Debug for GroupWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupWriter").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl GroupWriter {
    /// Starts the threads. `on_fatal` is called once, from one of them, when a write has failed or something has
    /// panicked: it should end the process.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system gives no thread.
    pub fn start(
        store: Arc<dyn Store>,
        on_fatal: impl Fn(&StoreError) + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(store, Box::new(on_fatal)));
        // No room between the threads: a group that cannot be anchored yet keeps the writer from going further ahead.
        let (hand_over, written) = sync_channel(0);
        let for_writer = Arc::clone(&shared);
        let for_anchor = Arc::clone(&shared);
        let writer = spawn("store-writer", move || for_writer.write_groups(&hand_over))?;
        let anchor = spawn("store-anchor", move || for_anchor.anchor_groups(&written))?;
        Ok(Self { shared, threads: vec![writer, anchor] })
    }

    /// A writer without threads, for whoever steps a whole node by hand (the simulator): what is submitted waits until
    /// [`Self::write_group`], and is lost with the writer, as in a crash.
    pub fn by_hand(store: Arc<dyn Store>, on_fatal: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        let shared = Shared::new(store, Box::new(on_fatal));
        Self { shared: Arc::new(shared), threads: Vec::new() }
    }

    /// Without threads of its own: writes what waits as one group, anchors it and runs its callbacks, as the threads
    /// would. Whether anything waited; never anything for a writer that has threads.
    pub fn write_group(&self) -> bool {
        if !self.threads.is_empty() || self.shared.queue.is_empty() {
            return false;
        }
        let Some(group) = self.shared.queue.take_group() else { return false };
        let (batch, callbacks) = merge(group);
        match self.shared.write(batch, callbacks.len()) {
            Ok(sequence) => self.shared.anchor(Written { sequence, callbacks }),
            Err(error) => self.shared.fail(&error, callbacks),
        }
        true
    }

    /// Queues a batch; waits while the queue is full. `callback` is called once, on one of the writer's threads, in
    /// the order of submission: with the sequence when the batch is synced and anchored, so that its effects may leave
    /// the node, or with the error that ended the store. It must be quick: everyone behind it waits.
    pub fn submit(&self, batch: Batch, callback: impl FnOnce(Result<Sequence, StoreError>) + Send + 'static) {
        let submission = Submission { batch, callback: Box::new(callback) };
        if let Err((refused, reason)) = self.shared.queue.push(submission) {
            (refused.callback)(Err(reason));
        }
    }

    /// Queues a batch if there is room at once; else gives it back. For callers that must not wait.
    ///
    /// # Errors
    /// The batch; the callback was dropped, and not called.
    pub fn try_submit<F>(&self, batch: Batch, callback: F) -> Result<(), Batch>
    where
        F: FnOnce(Result<Sequence, StoreError>) + Send + 'static,
    {
        let submission = Submission { batch, callback: Box::new(callback) };
        self.shared.queue.try_push(submission).map_err(|refused| refused.batch)
    }

    /// Writes a batch with whatever else waits, and waits until it is acknowledged.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit(&self, batch: Batch) -> Result<Sequence, StoreError> {
        let (answer, answered) = sync_channel(1);
        self.submit(batch, move |result| {
            // Nobody waits any more only if this very call has ended.
            let _gone = answer.send(result);
        });
        while self.write_group() {}
        answered.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> GroupStats {
        self.shared.counters.snapshot(self.shared.queue.len())
    }

    /// Takes no more, writes what waits, runs all callbacks and ends the threads.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        self.shared.queue.close(StoreError::Closed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store's writer has panicked");
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| StoreError::io("starting the store's writer", &error))
}

impl Shared {
    fn new(store: Arc<dyn Store>, on_fatal: OnFatal) -> Self {
        Self {
            store,
            queue: Queue::default(),
            counters: Counters::default(),
            anchoring: AtomicU64::new(0),
            on_fatal,
            failure: OnceLock::new(),
        }
    }

    /// The writer thread.
    fn write_groups(&self, hand_over: &SyncSender<Written>) {
        while let Some(group) = self.queue.take_group() {
            let (batch, callbacks) = merge(group);
            match self.write(batch, callbacks.len()) {
                Ok(sequence) => self.pass_on(Written { sequence, callbacks }, hand_over),
                Err(error) => self.fail(&error, callbacks),
            }
        }
    }

    /// Anchors here if nobody waits for this thread and nothing is before it: that spares a lone writer the way
    /// through the other thread. Else hands over, to go on writing.
    fn pass_on(&self, written: Written, hand_over: &SyncSender<Written>) {
        if self.anchoring.load(Ordering::Acquire) == 0 && self.queue.is_empty() {
            self.anchor(written);
            return;
        }
        self.anchoring.fetch_add(1, Ordering::AcqRel);
        if let Err(returned) = hand_over.send(written) {
            self.fail(&poisoned("the anchor's thread has ended"), returned.0.callbacks);
        }
    }

    /// The anchor thread.
    fn anchor_groups(&self, groups: &Receiver<Written>) {
        while let Ok(written) = groups.recv() {
            self.anchor(written);
            self.anchoring.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn write(&self, batch: Batch, batches: usize) -> Result<Sequence, StoreError> {
        self.alive()?;
        let bytes = batch.size_bytes();
        let start = Instant::now();
        let sequence = caught(|| self.store.write(batch), "the store has panicked")??;
        self.counters.written(batches, bytes, start.elapsed());
        Ok(sequence)
    }

    fn anchor(&self, written: Written) {
        let Written { sequence, callbacks } = written;
        let start = Instant::now();
        let anchored = self
            .alive()
            .and_then(|()| caught(|| self.store.acknowledge(sequence), "the store has panicked").flatten());
        match anchored {
            Ok(()) => {
                self.counters.anchor.record(start.elapsed());
                self.tell(sequence, callbacks);
            }
            Err(error) => self.fail(&error, callbacks),
        }
    }

    /// Releases what waited for the write. What a callback that panicked left undone is unknown, so nothing follows it.
    fn tell(&self, sequence: Sequence, callbacks: Vec<Callback>) {
        let mut callbacks = callbacks.into_iter();
        while let Some(callback) = callbacks.next() {
            if let Err(error) = caught(|| callback(Ok(sequence)), "what waited for a write has panicked") {
                return self.fail(&error, callbacks.collect());
            }
        }
    }

    /// Nothing is written, anchored or released after a failure.
    fn alive(&self) -> Result<(), StoreError> {
        match self.failure.get() {
            None => Ok(()),
            Some(StoreError::Poisoned { cause }) => Err(StoreError::Poisoned { cause: cause.clone() }),
            Some(error) => Err(StoreError::Poisoned { cause: error.to_string() }),
        }
    }

    /// Ends all writing: first nobody can submit, then the node is told, then those who waited.
    fn fail(&self, error: &StoreError, callbacks: Vec<Callback>) {
        let is_first = self.failure.set(error.clone()).is_ok();
        self.queue.close(match error {
            StoreError::Poisoned { .. } => error.clone(),
            _ => StoreError::Poisoned { cause: error.to_string() },
        });
        if is_first {
            tracing::error!(%error, "the store has failed; the node must end");
            (self.on_fatal)(error);
        }
        for callback in callbacks {
            // Each of the others must still be told; what this one does no longer matters.
            let _panicked = caught(|| callback(Err(error.clone())), "");
        }
    }
}

fn poisoned(cause: &str) -> StoreError {
    StoreError::Poisoned { cause: cause.to_owned() }
}

/// Runs `work`; a panic in it is an error. Whatever it left half done is never looked at again: the writer ends.
fn caught<T>(work: impl FnOnce() -> T, cause: &str) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_panic| poisoned(cause))
}

fn merge(group: Vec<Submission>) -> (Batch, Vec<Callback>) {
    let mut merged = Batch::new();
    let mut callbacks = Vec::with_capacity(group.len());
    for submission in group {
        merged.append(submission.batch);
        callbacks.push(submission.callback);
    }
    (merged, callbacks)
}
