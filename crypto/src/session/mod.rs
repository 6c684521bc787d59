//! The end-to-end session between two nodes: Noise XX, keyed by their session keys, bound to their identities
//! (FAULTS N7, N8; DESIGN 5).
//!
//! `Noise_XX_25519_ChaChaPoly_SHA256`: neither side knows the other's session key beforehand, and XX reveals identities
//! only to whom they are meant for. The prologue holds the chain id and the protocol version, so nodes of different
//! chains, or one that was talked into an older version, never agree on keys. Each side signs its session key, its role
//! and the transcript so far with its node key, inside the encrypted part of the handshake: a proof is worth nothing in
//! another session, and not to a third party in the middle.
//!
//! XX and not IK: a node is known by its Ed25519 id alone, so the caller can't have the other's session key before. It
//! costs half a round trip more, once a connection. Framing is left to the network; a message that is missing, also the
//! last part of a long one, shows at the next one, which does not decrypt.
//!
//! This module is at the edge of the pure core: the library draws the ephemeral keys from the system's randomness.

mod handshake;
#[cfg(test)]
mod tests;
mod transport;

pub(crate) use handshake::proof_decoder;
pub use handshake::{Handshake, Role};
pub use transport::{CHUNK_BYTES_MAX, Session, TAG_BYTES};

/// The version of the protocol inside the session; part of the prologue.
pub const PROTOCOL_VERSION: u16 = 1;

/// The longest handshake message, in bytes.
pub const HANDSHAKE_BYTES_MAX: usize = 1_024;

/// Why a session does not come to be, or ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A handshake message that does not decrypt: another chain or version, or not meant for us.
    #[error("the handshake failed: the peer is on another chain or version, or its message was changed")]
    Handshake,
    /// A handshake call out of turn; a mistake of the caller.
    #[error("it is not this side's turn in the handshake")]
    OutOfTurn,
    /// A proof of identity that does not hold.
    #[error("the peer's session key is not signed by the node that it says it is")]
    Identity,
    /// The peer proved to be this very node: our own messages came back.
    #[error("the peer proves this node's own identity: its messages were reflected")]
    Reflected,
    /// A message that does not decrypt: changed, replayed, out of order, or cut.
    #[error("a message does not decrypt; the session is over")]
    Message,
    /// A message beyond its bound.
    #[error("{length} bytes do not fit a message of at most {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most.
        limit: usize,
    },
    /// An earlier message failed; the session takes and makes nothing any more.
    #[error("the session is over since an earlier message failed")]
    Poisoned,
}
