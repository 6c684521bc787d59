//! Messages of an established session: sealed and opened strictly in order, rekeyed on a schedule that both sides know.

use snow::TransportState;

use super::SessionError;
use crate::ed25519::PublicKey;

/// The authentication tag of each message, in bytes.
pub const TAG_BYTES: usize = 16;

/// The longest plain text of one message, in bytes: Noise allows 65,535 with the tag.
pub const CHUNK_BYTES_MAX: usize = 65_535 - TAG_BYTES;

/// Messages in one direction under one key. The cipher could take far more; a stolen key opens no more than these.
const REKEY_EVERY: u64 = 1 << 16;

/// An established session.
pub struct Session {
    noise: TransportState,
    peer: PublicKey,
    sealed: u64,
    opened: u64,
    is_poisoned: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) const fn new(noise: TransportState, peer: PublicKey) -> Self {
        Self { noise, peer, sealed: 0, opened: 0, is_poisoned: false }
    }

    /// The node at the other end; proven.
    #[must_use]
    pub const fn peer(&self) -> PublicKey {
        self.peer
    }

    /// Appends the cipher text of `plain`, which is [`TAG_BYTES`] longer, to `wire`.
    ///
    /// # Errors
    /// [`SessionError::TooLong`] for more than [`CHUNK_BYTES_MAX`]; [`SessionError::Poisoned`].
    pub fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), SessionError> {
        self.check(plain.len(), CHUNK_BYTES_MAX)?;
        let start = wire.len();
        wire.resize(start + plain.len() + TAG_BYTES, 0);
        let written = self.noise.write_message(plain, &mut wire[start..]).map_err(|_| self.poison())?;
        wire.truncate(start + written);
        self.sealed += 1;
        if self.sealed.is_multiple_of(REKEY_EVERY) {
            self.noise.rekey_outgoing();
        }
        Ok(())
    }

    /// Appends the plain text of one message to `plain`.
    ///
    /// # Errors
    /// [`SessionError::Message`] for anything but the very next message of the peer; nothing is opened afterwards.
    pub fn open(&mut self, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), SessionError> {
        self.check(sealed.len(), CHUNK_BYTES_MAX + TAG_BYTES)?;
        let start = plain.len();
        plain.resize(start + sealed.len(), 0);
        let Ok(read) = self.noise.read_message(sealed, &mut plain[start..]) else {
            plain.truncate(start);
            return Err(self.poison());
        };
        plain.truncate(start + read);
        self.opened += 1;
        if self.opened.is_multiple_of(REKEY_EVERY) {
            self.noise.rekey_incoming();
        }
        Ok(())
    }

    fn check(&self, length: usize, limit: usize) -> Result<(), SessionError> {
        if self.is_poisoned {
            return Err(SessionError::Poisoned);
        }
        if length > limit { Err(SessionError::TooLong { length, limit }) } else { Ok(()) }
    }

    const fn poison(&mut self) -> SessionError {
        self.is_poisoned = true;
        SessionError::Message
    }
}
