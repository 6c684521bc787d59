//! One live session: frames in, frames out, until either fails or the driver stops it.
//!
//! Reading and writing go on side by side in one task, so a peer that does not read is still heard, and a node that does
//! not take its messages still sends. What is read waits for the node's credit before the next frame is read, and a
//! writer that is stuck ends the session.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::frame::{Packer, unpack};
use super::outbox::OutboxReader;
use super::secure::{Opener, Sealer};
use crate::net::event::{Credit, DownReason, NetEvent, SessionId};
use crate::net::identity::NodeId;
use crate::net::limits::{BUFFER_IDLE_BYTES, FRAME_TIMEOUT, FRAMES_UNFINISHED_MAX, WRITE_TIMEOUT};
use crate::net::metrics::Counters;

use super::wire::FrameReader;

/// Batches that are taken from the queue in one go.
const TAKE_MAX: usize = 64;

/// All that a session's task owns.
pub(crate) struct Session<S> {
    pub(crate) id: SessionId,
    pub(crate) node: NodeId,
    pub(crate) stream: S,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) outbox: OutboxReader,
    pub(crate) events: mpsc::Sender<NetEvent>,
    pub(crate) stop: oneshot::Receiver<DownReason>,
    /// Fires when the connection under the stream is closed: a reader is not always told.
    pub(crate) gone: CancellationToken,
    /// Fires when the network shuts down and nobody may take events any more.
    pub(crate) shutdown: CancellationToken,
    pub(crate) counters: Arc<Counters>,
    pub(crate) patience: Patience,
}

/// How long a session waits for a slow peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From a frame's first byte to its last.
    pub(crate) frame: Duration,
    /// For a write.
    pub(crate) write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { frame: FRAME_TIMEOUT, write: WRITE_TIMEOUT }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Session<S> {
    /// Runs the session: up, messages, down.
    pub(crate) async fn run(self) -> DownReason {
        let Self { id, node, stream, sealer, opener, .. } = self;
        let Self { outbox, events, mut stop, gone, shutdown, counters, patience, .. } = self;
        let stopped = async {
            tokio::select! {
                // The driver drops its end only when it is gone itself.
                reason = &mut stop => reason.unwrap_or(DownReason::Closed),
                () = gone.cancelled() => DownReason::Lost,
                () = shutdown.cancelled() => DownReason::Closed,
            }
        };
        let overflow = outbox.overflow();
        let work = async {
            if events.send(NetEvent::SessionUp { node, session: id }).await.is_err() {
                return DownReason::Closed;
            }
            let (read, write) = stream.split();
            let reader = Reader {
                node,
                stream: FrameReader::new(read),
                opener,
                events: &events,
                counters: &counters,
                patience,
            };
            let writer = Writer { stream: write, sealer, outbox, counters: &counters, patience };
            tokio::select! {
                reason = reader.run() => reason,
                reason = writer.run() => reason,
                () = overflow.cancelled() => DownReason::QueueFull,
            }
        };
        let reason = tokio::select! {
            reason = work => reason,
            reason = stopped => reason,
        };
        let down = NetEvent::SessionDown { node, reason: reason.clone() };
        tokio::select! {
            // A node that has dropped its receiver wants to know nothing.
            _ = events.send(down) => {}
            () = shutdown.cancelled() => {}
        }
        reason
    }
}

struct Reader<'a, R> {
    node: NodeId,
    stream: FrameReader<R>,
    opener: Opener,
    events: &'a mpsc::Sender<NetEvent>,
    counters: &'a Counters,
    patience: Patience,
}

impl<R: AsyncRead + Unpin> Reader<'_, R> {
    async fn run(mut self) -> DownReason {
        let credits = Arc::new(Semaphore::new(FRAMES_UNFINISHED_MAX));
        let mut plain = Vec::new();
        loop {
            let Ok(permit) = Arc::clone(&credits).acquire_owned().await else { return DownReason::Closed };
            let messages = match self.next(&mut plain).await {
                Ok(messages) => messages,
                Err(reason) => return reason,
            };
            let credit = Credit { _permit: std::sync::Arc::new(permit) };
            if self.events.send(NetEvent::Messages { node: self.node, messages, credit }).await.is_err() {
                return DownReason::Closed;
            }
        }
    }

    async fn next(&mut self, plain: &mut Vec<u8>) -> Result<Vec<Vec<u8>>, DownReason> {
        let counters = self.counters;
        let frame = self.stream.next(self.patience.frame).await.inspect_err(|reason| match reason {
            DownReason::Violation(_) => counters.frames_wrong_length.add(1),
            DownReason::TooSlow => counters.frames_too_slow.add(1),
            DownReason::Lost | DownReason::Replaced | DownReason::QueueFull | DownReason::Closed => {}
        })?;
        plain.clear();
        self.opener.open(frame, plain).map_err(|error| {
            counters.frames_not_decrypted.add(1);
            DownReason::Violation(error.to_string())
        })?;
        let messages = unpack(plain).map_err(|error| {
            counters.frames_wrong_content.add(1);
            DownReason::Violation(error.to_string())
        })?;
        self.counters.frames_received.add(1);
        self.counters.messages_received.add(messages.len());
        self.counters.bytes_received.add(plain.len());
        plain.shrink_to(BUFFER_IDLE_BYTES);
        Ok(messages)
    }
}

struct Writer<'a, W> {
    stream: W,
    sealer: Sealer,
    outbox: OutboxReader,
    counters: &'a Counters,
    patience: Patience,
}

impl<W: AsyncWrite + Unpin> Writer<'_, W> {
    async fn run(mut self) -> DownReason {
        match self.write_all().await {
            Ok(()) => DownReason::Closed,
            Err(reason) => reason,
        }
    }

    async fn write_all(&mut self) -> Result<(), DownReason> {
        let (mut batches, mut frame, mut wire) = (Vec::new(), Packer::default(), Vec::new());
        loop {
            if self.outbox.take(&mut batches, TAKE_MAX).await == 0 {
                return Ok(());
            }
            for message in batches.drain(..).flatten() {
                if !frame.fits(&message) {
                    self.write(&mut frame, &mut wire).await?;
                }
                frame.push(&message);
            }
            if !frame.is_empty() {
                self.write(&mut frame, &mut wire).await?;
            }
            if self.outbox.is_empty() {
                in_time(self.patience.write, self.stream.flush()).await?;
                frame.clear(BUFFER_IDLE_BYTES);
                wire.shrink_to(BUFFER_IDLE_BYTES);
            }
        }
    }

    async fn write(&mut self, frame: &mut Packer, wire: &mut Vec<u8>) -> Result<(), DownReason> {
        wire.clear();
        self.sealer.seal(frame.bytes(), wire).map_err(|error| DownReason::Violation(error.to_string()))?;
        in_time(self.patience.write, self.stream.write_all(wire)).await?;
        self.counters.frames_sent.add(1);
        self.counters.messages_sent.add(frame.messages());
        self.counters.bytes_sent.add(frame.bytes().len());
        frame.clear(usize::MAX);
        wire.clear();
        Ok(())
    }
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, DownReason> {
    match timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(DownReason::Lost),
        Err(_) => Err(DownReason::TooSlow),
    }
}

#[cfg(test)]
#[path = "../tests/session.rs"]
mod tests;
