//! What waits to be written to one peer: a queue of batches, bounded in number and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::net::event::SessionId;
use crate::net::limits::{OUTBOX_BATCHES_MAX, OUTBOX_BYTES_MAX};

/// Messages that were sent together.
pub(crate) type Batch = Vec<Vec<u8>>;

/// Why a batch was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutboxError {
    /// More waits than the bound allows; the session is ending because of it.
    Full,
    /// The session has ended.
    Closed,
}

/// The sending end; every session has one.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    session: SessionId,
    queue: mpsc::Sender<Batch>,
    waiting: Arc<AtomicUsize>,
    overflow: CancellationToken,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct OutboxReader {
    queue: mpsc::Receiver<Batch>,
    waiting: Arc<AtomicUsize>,
    overflow: CancellationToken,
}

fn bytes_of(batch: &Batch) -> usize {
    batch.iter().map(Vec::len).sum()
}

/// Both ends of a new queue.
pub(crate) fn outbox(session: SessionId) -> (Outbox, OutboxReader) {
    let (sender, receiver) = mpsc::channel(OUTBOX_BATCHES_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let overflow = CancellationToken::new();
    (
        Outbox { session, queue: sender, waiting: Arc::clone(&waiting), overflow: overflow.clone() },
        OutboxReader { queue: receiver, waiting, overflow },
    )
}

impl Outbox {
    /// Queues a batch. A full queue ends the session: the batch would be missing in the middle of it.
    pub(crate) fn push(&self, batch: Batch) -> Result<(), OutboxError> {
        if self.overflow.is_cancelled() {
            return Err(OutboxError::Closed);
        }
        let bytes = bytes_of(&batch);
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > OUTBOX_BYTES_MAX {
            self.overflow.cancel();
            return Err(OutboxError::Full);
        }
        match self.queue.try_send(batch) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.overflow.cancel();
                Err(OutboxError::Full)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(OutboxError::Closed),
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        u64::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }

    /// Which session it belongs to.
    pub(crate) const fn session(&self) -> SessionId {
        self.session
    }

    /// Ends the session.
    pub(crate) fn end(&self) {
        self.overflow.cancel();
    }

    /// Whether both are the same queue.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.queue.same_channel(&other.queue)
    }
}

impl OutboxReader {
    /// Takes up to `room` batches, waiting for the first; none are left when it returns 0.
    pub(crate) async fn take(&mut self, batches: &mut Vec<Batch>, room: usize) -> usize {
        let taken = self.queue.recv_many(batches, room).await;
        let bytes: usize = batches.iter().map(bytes_of).sum();
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        taken
    }

    /// Takes a batch if one waits.
    pub(crate) fn try_take(&mut self) -> Option<Batch> {
        let batch = self.queue.try_recv().ok()?;
        self.waiting.fetch_sub(bytes_of(&batch), Ordering::Relaxed);
        Some(batch)
    }

    /// Whether nothing waits right now.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Fires when the queue has overflowed.
    pub(crate) fn overflow(&self) -> CancellationToken {
        self.overflow.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n2_bytes_are_bounded_and_an_overflow_ends_the_session() {
        let (outbox, reader) = outbox(SessionId(1));
        let megabyte = vec![vec![0; 1 << 20]];
        for _ in 0..OUTBOX_BYTES_MAX >> 20 {
            outbox.push(megabyte.clone()).unwrap();
        }
        assert_eq!(outbox.push(vec![vec![0]]), Err(OutboxError::Full));
        assert!(reader.overflow().is_cancelled());
        assert_eq!(outbox.push(vec![vec![0]]), Err(OutboxError::Closed));
    }

    #[tokio::test]
    async fn what_was_taken_makes_room() {
        let (outbox, mut reader) = outbox(SessionId(1));
        for round in 0..10 {
            for _ in 0..OUTBOX_BYTES_MAX >> 21 {
                outbox.push(vec![vec![0; 1 << 20]]).unwrap_or_else(|_| panic!("room in round {round}"));
            }
            let mut batches = Vec::new();
            while !reader.is_empty() {
                batches.clear();
                reader.take(&mut batches, 3).await;
            }
        }
    }

    #[test]
    fn n2_batches_are_bounded() {
        let (outbox, _reader) = outbox(SessionId(1));
        for _ in 0..OUTBOX_BATCHES_MAX {
            outbox.push(vec![vec![0]]).unwrap();
        }
        assert_eq!(outbox.push(vec![vec![0]]), Err(OutboxError::Full));
    }
}
