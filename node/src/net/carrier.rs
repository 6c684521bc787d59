//! What carries the bytes of connections where there are no sockets: the network of a simulation (`tests/turmoil`) has
//! streams of its own, and everything above them, from the encryption up, is the node's. Nothing of a real node uses this.

use std::pin::Pin;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::transport::Boxed;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Duplex for S {}

/// One connection of a carrier.
pub type Line = Pin<Box<dyn Duplex>>;

/// Listens, dials, and gives plain connections.
pub type Carrier = Boxed<Line>;
