//! What can go wrong in the network shell, as its callers see it.

use std::io;

use libp2p::Multiaddr;

use super::identity::NodeId;

/// Why the network refused or failed to do something.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The identity bytes are no Ed25519 secret.
    #[error("the node's identity key is not usable: restore the key file")]
    Identity,
    /// A node id that is no Ed25519 point, or this node's own.
    #[error("{0:?} is not the id of another node")]
    NotANode(NodeId),
    /// A bootstrap address without `/p2p/..`.
    #[error("the bootstrap address {0} names no node: end it with /p2p/ and the peer id")]
    BootstrapWithoutPeer(Multiaddr),
    /// An address of a kind that this build cannot listen on or dial.
    #[error("cannot use the address {address}: {reason}")]
    Address {
        /// The address.
        address: Multiaddr,
        /// What the transport says.
        reason: String,
    },
    /// The operating system refused something at the start.
    #[error("cannot start the network: {0}")]
    Start(#[from] io::Error),
    /// A library refused its configuration; a defect.
    #[error("the network's configuration is refused: {0}")]
    Configuration(String),
    /// The network has been shut down.
    #[error("the network is shut down")]
    Closed,
    /// Too much is under way already.
    #[error("too much waits to be sent already: try again later")]
    Busy,
    /// More nodes are to be kept connected than the bound allows.
    #[error("no more than {limit} nodes are kept connected: close channels first")]
    TooManyWanted {
        /// The bound.
        limit: usize,
    },
    /// Not connected to that node.
    #[error("not connected to {0:?}")]
    NotConnected(NodeId),
    /// No channel session with that node.
    #[error("no channel session with {0:?}")]
    NoSession(NodeId),
    /// The peer does not take what is sent to it; the session has been ended.
    #[error("{0:?} does not read fast enough: the session is ended")]
    QueueFull(NodeId),
    /// A message beyond its bound, or an empty one.
    #[error("a message of {length} bytes cannot be sent: it must have 1 to {limit}")]
    MessageLength {
        /// Its length.
        length: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// The peer did not answer in time.
    #[error("{0:?} did not answer in time")]
    Timeout(NodeId),
    /// The peer has too many requests of ours, or we took our share.
    #[error("{0:?} is busy: ask another node")]
    PeerBusy(NodeId),
    /// The peer broke off, does not speak the protocol, or answered beyond the bound.
    #[error("the request to {node:?} failed: {reason}")]
    Request {
        /// The node asked.
        node: NodeId,
        /// Why, cut and escaped.
        reason: String,
    },
}
