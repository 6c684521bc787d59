//! What the network shell is told at its start. Nothing here is read from a file: the node does that.

use std::time::Duration;

use libp2p::Multiaddr;
use towpath_crypto::hash::ChainId;

/// Whether peers on the local network are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mdns {
    /// No multicast is sent or heard.
    #[default]
    Off,
    /// Nodes of the same chain on the local network find one another.
    On,
}

/// Bounds on connections. Nodes that are wanted (channel peers, pinned validators) stand outside all but `per_peer` and
/// `pending_*`, so that strangers cannot take their places (FAULTS N1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    /// Established connections that others opened.
    pub incoming: usize,
    /// Established connections that this node opened.
    pub outgoing: usize,
    /// Established connections with one node: it may reach us by TCP and QUIC, and both sides may dial at once.
    pub per_peer: usize,
    /// Connections, pending or established, that one IPv4 address or one IPv6 /64 opened. Loopback is exempt: a testnet
    /// lives there.
    pub per_address: usize,
    /// Connections that others are opening.
    pub pending_incoming: usize,
    /// Connections that this node is opening.
    pub pending_outgoing: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            incoming: 512,
            outgoing: 256,
            per_peer: 4,
            per_address: 16,
            pending_incoming: 128,
            pending_outgoing: 128,
        }
    }
}

/// All that the network shell needs.
#[derive(Clone)]
pub struct NetConfig {
    /// The Ed25519 secret of the node; its public half is the node's id and its libp2p identity.
    pub identity: [u8; 32],
    /// The X25519 secret that channel sessions are keyed with.
    pub session_key: [u8; 32],
    /// The chain that this node is on; peers of another chain are refused.
    pub chain: ChainId,
    /// Where to listen: `/ip4/../tcp/..` or `/ip4/../udp/../quic-v1`.
    pub listen: Vec<Multiaddr>,
    /// Nodes to find the others through; each ends in `/p2p/..`.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to look for peers on the local network.
    pub mdns: Mdns,
    /// Bounds on connections.
    pub limits: ConnectionLimits,
    /// How long a peer may take to say what gossip it listens to ([`SUBSCRIBE_TIMEOUT`](super::limits::SUBSCRIBE_TIMEOUT)).
    pub subscribe_timeout: Duration,
    /// Random bits that spread reconnection attempts of nodes that lost their peers at the same moment.
    pub seed: u64,
}

impl std::fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetConfig")
            .field("chain", &self.chain)
            .field("listen", &self.listen)
            .field("bootstrap", &self.bootstrap)
            .field("mdns", &self.mdns)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
