//! Length-prefixed frames out of a byte stream: `u32` little-endian length, then that many bytes.
//!
//! A frame may take its time to begin, but not to end. A length beyond the bound is refused before anything is allocated
//! for it, and the buffer grows with the bytes that arrive (FAULTS N2, N3).

use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::secure::{SEALED_BYTES_MAX, SEALED_BYTES_MIN};
use crate::net::event::DownReason;
use crate::net::limits::BUFFER_IDLE_BYTES;

/// The length before each frame.
pub(crate) const PREFIX: usize = 4;

/// Reads frames; holds a frame until the next one is asked for.
pub(crate) struct FrameReader<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Where the unread bytes begin and end in `buffer`.
    start: usize,
    end: usize,
    /// Length of the frame that was handed out last, with its prefix; it is still in front of the unread bytes.
    taken: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, end: 0, taken: 0 }
    }

    /// The next frame's content, which must be complete `limit` after its first byte.
    pub(crate) async fn next(&mut self, limit: Duration) -> Result<&[u8], DownReason> {
        self.start += self.taken;
        self.taken = 0;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.buffer.truncate(BUFFER_IDLE_BYTES);
            self.buffer.shrink_to(BUFFER_IDLE_BYTES);
            self.fill().await?;
        }
        let length = match timeout(limit, self.complete()).await {
            Ok(length) => length?,
            Err(_) => return Err(DownReason::TooSlow),
        };
        self.taken = PREFIX + length;
        self.buffer
            .get(self.start + PREFIX..self.start + PREFIX + length)
            .ok_or_else(|| DownReason::Violation("incomplete frame".to_owned()))
    }

    /// Reads until a whole frame is in the buffer; its length.
    async fn complete(&mut self) -> Result<usize, DownReason> {
        let length = loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(prefix) = unread.first_chunk::<PREFIX>() {
                break u32::from_le_bytes(*prefix);
            }
            self.fill().await?;
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(SEALED_BYTES_MIN..=SEALED_BYTES_MAX).contains(&length) {
            return Err(DownReason::Violation(format!("a frame of {length} bytes")));
        }
        while self.end - self.start < PREFIX + length {
            self.fill().await?;
        }
        Ok(length)
    }

    /// Reads once, after making room: first by moving the unread bytes to the front, then by doubling.
    async fn fill(&mut self) -> Result<(), DownReason> {
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end * 2 > self.buffer.len() || self.buffer.is_empty() {
                let size = (self.buffer.len() * 2).clamp(BUFFER_IDLE_BYTES, 2 * (PREFIX + SEALED_BYTES_MAX));
                self.buffer.resize(size, 0);
            }
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.stream.read(free).await {
            Ok(0) | Err(_) => Err(DownReason::Lost),
            Ok(read) => {
                self.end += read;
                Ok(())
            }
        }
    }
}
