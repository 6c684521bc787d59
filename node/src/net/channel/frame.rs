//! The plain content of a frame: a batch of messages, each behind its length (`u32`, little-endian). Pure.
//!
//! A batch is packed in order and cut where the next message would pass the bound, so the receiver sees the messages in
//! the order in which they were sent, however they were framed.

use crate::net::limits::{FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, MESSAGE_BYTES_MAX};

/// The length before each message.
const PREFIX: usize = 4;

/// Why a decrypted frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame without messages")]
    Empty,
    #[error("a message of length zero")]
    EmptyMessage,
    #[error("a message longer than the rest of its frame, or than allowed")]
    Length,
    #[error("too many messages in one frame")]
    TooMany,
}

/// A frame being filled; its buffer is used again.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    bytes: Vec<u8>,
    messages: usize,
}

impl Packer {
    /// Whether `message` still goes into this frame. An empty frame takes any message of allowed length.
    pub(crate) fn fits(&self, message: &[u8]) -> bool {
        self.messages < FRAME_MESSAGES_MAX && self.bytes.len() + PREFIX + message.len() <= FRAME_BYTES_MAX
    }

    /// Appends a message of 1 to [`MESSAGE_BYTES_MAX`] bytes that fits.
    pub(crate) fn push(&mut self, message: &[u8]) {
        let length =
            u32::try_from(message.len()).expect("a message is shorter than its bound, checked when queued");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(message);
        self.messages += 1;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Starts the next frame, keeping at most `keep` bytes of buffer.
    pub(crate) fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.messages = 0;
    }
}

/// The messages of a decrypted frame.
///
/// # Errors
/// [`FrameError`] unless the frame is one or more whole messages and nothing else.
pub(crate) fn unpack(mut frame: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = frame.split_first_chunk::<PREFIX>() {
        let length = usize::try_from(u32::from_le_bytes(*prefix)).map_err(|_| FrameError::Length)?;
        if length == 0 {
            return Err(FrameError::EmptyMessage);
        }
        if length > MESSAGE_BYTES_MAX {
            return Err(FrameError::Length);
        }
        let (message, rest) = rest.split_at_checked(length).ok_or(FrameError::Length)?;
        if messages.len() == FRAME_MESSAGES_MAX {
            return Err(FrameError::TooMany);
        }
        messages.push(message.to_vec());
        frame = rest;
    }
    match (messages.is_empty(), frame.is_empty()) {
        (true, true) => Err(FrameError::Empty),
        (false, true) => Ok(messages),
        (_, false) => Err(FrameError::Length),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(messages: &[&[u8]]) -> Vec<u8> {
        let mut packer = Packer::default();
        for message in messages {
            assert!(packer.fits(message));
            packer.push(message);
        }
        packer.bytes().to_vec()
    }

    #[test]
    fn the_bytes_of_a_frame() {
        let frame = packed(&[b"ab", b"c"]);
        assert_eq!(frame, [2, 0, 0, 0, b'a', b'b', 1, 0, 0, 0, b'c']);
        assert_eq!(unpack(&frame).unwrap(), [b"ab".to_vec(), b"c".to_vec()]);
    }

    #[test]
    fn n3_malformed_frames_are_refused() {
        assert_eq!(unpack(&[]), Err(FrameError::Empty));
        assert_eq!(unpack(&[0, 0, 0, 0]), Err(FrameError::EmptyMessage));
        assert_eq!(unpack(&[1, 0, 0]), Err(FrameError::Length));
        assert_eq!(unpack(&[2, 0, 0, 0, 9]), Err(FrameError::Length));
        assert_eq!(unpack(&[0xff, 0xff, 0xff, 0xff, 9]), Err(FrameError::Length));
        assert_eq!(unpack(&[1, 0, 0, 0, 9, 7]), Err(FrameError::Length));
        let many = [1, 0, 0, 0, 9].repeat(FRAME_MESSAGES_MAX + 1);
        assert_eq!(unpack(&many), Err(FrameError::TooMany));
        assert_eq!(unpack(&many[5..]).unwrap().len(), FRAME_MESSAGES_MAX);
    }

    #[test]
    fn a_full_frame_takes_no_more_and_the_longest_message_fits_an_empty_one() {
        let mut packer = Packer::default();
        let longest = vec![1; MESSAGE_BYTES_MAX];
        assert!(packer.fits(&longest));
        packer.push(&longest);
        assert!(!packer.fits(&[1]));
        packer.clear(0);
        for _ in 0..FRAME_MESSAGES_MAX {
            assert!(packer.fits(&[1]));
            packer.push(&[1]);
        }
        assert!(!packer.fits(&[1]));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 1..50)) {
            let views: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(unpack(&packed(&views)).unwrap(), messages);
        }

        #[test]
        fn n4_any_bytes_are_refused_or_have_one_meaning(frame in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(messages) = unpack(&frame) {
                let views: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
                prop_assert_eq!(packed(&views), frame);
            }
        }
    }
}
