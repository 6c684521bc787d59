//! The bounded queue in front of the writer. A full one makes its submitters wait: that is how a slow disk slows the
//! node down instead of filling its memory.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::batch::Batch;
use crate::condition::Sequence;
use crate::error::StoreError;
use crate::limits::{GROUP_BYTES_MAX, QUEUED_BATCHES_MAX, QUEUED_BYTES_MAX};

/// What is called when a batch is acknowledged, or is known never to be.
pub(super) type Callback = Box<dyn FnOnce(Result<Sequence, StoreError>) + Send>;

/// A batch that waits.
pub(super) struct Submission {
    pub batch: Batch,
    pub callback: Callback,
}

#[derive(Default)]
struct Waiting {
    submissions: VecDeque<Submission>,
    bytes: usize,
    closed: Option<StoreError>,
}

impl Waiting {
    fn has_room(&self, bytes: usize) -> bool {
        let fits = self.bytes.saturating_add(bytes) <= QUEUED_BYTES_MAX;
        self.submissions.is_empty() || (fits && self.submissions.len() < QUEUED_BATCHES_MAX)
    }

    fn push(&mut self, submission: Submission) {
        self.bytes += submission.batch.size_bytes();
        self.submissions.push_back(submission);
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    room: Condvar,
}

impl Queue {
    /// Appends, waiting for room. Gives the submission back with the reason if the queue is closed.
    pub(super) fn push(&self, submission: Submission) -> Result<(), (Submission, StoreError)> {
        let mut waiting = self.waiting();
        loop {
            if let Some(reason) = &waiting.closed {
                return Err((submission, reason.clone()));
            }
            if waiting.has_room(submission.batch.size_bytes()) {
                waiting.push(submission);
                self.changed.notify_one();
                return Ok(());
            }
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Appends if there is room now.
    pub(super) fn try_push(&self, submission: Submission) -> Result<(), Submission> {
        let mut waiting = self.waiting();
        if waiting.closed.is_some() || !waiting.has_room(submission.batch.size_bytes()) {
            return Err(submission);
        }
        waiting.push(submission);
        self.changed.notify_one();
        Ok(())
    }

    /// The next group: waits for one submission, then takes what is there, up to a group's bytes. `None` once the
    /// queue is closed and empty.
    pub(super) fn take_group(&self) -> Option<Vec<Submission>> {
        let mut waiting = self.waiting();
        while waiting.submissions.is_empty() {
            if waiting.closed.is_some() {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Vec::new();
        let mut bytes = 0_usize;
        while let Some(submission) = waiting.submissions.pop_front() {
            bytes = bytes.saturating_add(submission.batch.size_bytes());
            group.push(submission);
            if bytes >= GROUP_BYTES_MAX {
                break;
            }
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        self.room.notify_all();
        Some(group)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().submissions.is_empty()
    }

    /// How many batches wait.
    pub(super) fn len(&self) -> usize {
        self.waiting().submissions.len()
    }

    /// Takes no more, for this reason; what waits is still handed out.
    pub(super) fn close(&self, reason: StoreError) {
        let mut waiting = self.waiting();
        waiting.closed.get_or_insert(reason);
        self.changed.notify_all();
        self.room.notify_all();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
