//! The end-to-end session of a channel stream: the handshake, and what seals and opens frames after it.
//!
//! The stream already runs inside libp2p's own Noise or TLS. This session is inside it, keyed by the nodes' session keys
//! and bound to their ids, so that neither a relay nor another protocol of the same connection sees or forges a channel
//! message (FAULTS N7, N8). The handshake expects the peer that libp2p knows and nobody else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::hash::ChainId;
use towpath_crypto::session::{
    CHUNK_BYTES_MAX, HANDSHAKE_BYTES_MAX, Handshake, Role, Session, SessionError, TAG_BYTES,
};

use super::slots::Side;
use super::wire::PREFIX;
use crate::net::identity::NodeId;
use crate::net::limits::FRAME_BYTES_MAX;

/// The shortest sealed frame: a message of one byte behind its length.
pub(crate) const SEALED_BYTES_MIN: usize = 5 + TAG_BYTES;

/// The longest sealed frame.
pub(crate) const SEALED_BYTES_MAX: usize =
    FRAME_BYTES_MAX + TAG_BYTES * FRAME_BYTES_MAX.div_ceil(CHUNK_BYTES_MAX);

/// What this node proves itself with.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) node: SecretKey,
    pub(crate) session: [u8; 32],
    pub(crate) chain: ChainId,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the handshake took too long")]
    TooSlow,
    #[error("the stream broke: {0}")]
    Stream(#[from] std::io::Error),
    #[error("a handshake message of {0} bytes")]
    Length(usize),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the session proves {proven:?}, the connection {expected:?}")]
    OtherNode { proven: NodeId, expected: NodeId },
}

/// Seals frames, in order.
pub(crate) struct Sealer(Arc<Mutex<Session>>);

/// Opens frames, in order.
pub(crate) struct Opener(Arc<Mutex<Session>>);

impl Sealer {
    /// Appends the length and the cipher text of a frame to `wire`: full chunks, and a last one that may be shorter.
    pub(crate) fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), SessionError> {
        let sealed = plain.len() + TAG_BYTES * plain.len().div_ceil(CHUNK_BYTES_MAX);
        let length = u32::try_from(sealed).expect("a sealed frame is shorter than its bound");
        wire.extend_from_slice(&length.to_le_bytes());
        let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plain.chunks(CHUNK_BYTES_MAX).try_for_each(|chunk| session.seal(chunk, wire))
    }
}

impl Opener {
    /// Appends the plain text of a sealed frame to `plain`.
    pub(crate) fn open(&mut self, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), SessionError> {
        let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sealed.chunks(CHUNK_BYTES_MAX + TAG_BYTES).try_for_each(|chunk| session.open(chunk, plain))
    }
}

/// Runs the handshake on a fresh stream with the peer that libp2p knows as `expected`, all of it within `limit`.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    side: Side,
    keys: &Keys,
    expected: NodeId,
    limit: Duration,
) -> Result<(Sealer, Opener), HandshakeError> {
    let exchange = timeout(limit, exchange(stream, side, keys)).await;
    let session = exchange.map_err(|_| HandshakeError::TooSlow)??;
    let proven = session.peer();
    if proven != expected {
        return Err(HandshakeError::OtherNode { proven, expected });
    }
    let session = Arc::new(Mutex::new(session));
    Ok((Sealer(Arc::clone(&session)), Opener(session)))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    side: Side,
    keys: &Keys,
) -> Result<Session, HandshakeError> {
    let role = match side {
        Side::Opener => Role::Initiator,
        Side::Accepter => Role::Responder,
    };
    let mut handshake = Handshake::new(role, &keys.session, &keys.node, &keys.chain)?;
    while !handshake.is_done() {
        if handshake.is_my_turn() {
            write(stream, &handshake.write()?).await?;
        } else {
            handshake.read(&read(stream).await?)?;
        }
    }
    Ok(handshake.finish()?)
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, message: &[u8]) -> Result<(), HandshakeError> {
    let length = u32::try_from(message.len()).map_err(|_| HandshakeError::Length(message.len()))?;
    stream.write_all(&length.to_le_bytes()).await?;
    stream.write_all(message).await?;
    stream.flush().await?;
    Ok(())
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, HandshakeError> {
    let mut prefix = [0; PREFIX];
    stream.read_exact(&mut prefix).await?;
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if !(1..=HANDSHAKE_BYTES_MAX).contains(&length) {
        return Err(HandshakeError::Length(length));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Both ends of a session, for tests: handshaken by hand.
#[cfg(test)]
pub(crate) fn pair(a: &Keys, b: &Keys) -> ((Sealer, Opener), (Sealer, Opener)) {
    let mut calling = Handshake::new(Role::Initiator, &a.session, &a.node, &a.chain).unwrap();
    let mut called = Handshake::new(Role::Responder, &b.session, &b.node, &b.chain).unwrap();
    while !calling.is_done() || !called.is_done() {
        let (from, to) =
            if calling.is_my_turn() { (&mut calling, &mut called) } else { (&mut called, &mut calling) };
        to.read(&from.write().unwrap()).unwrap();
    }
    let end = |handshake: Handshake| {
        let session = Arc::new(Mutex::new(handshake.finish().unwrap()));
        (Sealer(Arc::clone(&session)), Opener(session))
    };
    (end(calling), end(called))
}
