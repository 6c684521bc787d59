//! The nodes that this one talks to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who opened the connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerDirection {
    /// This node did.
    Outbound,
    /// The peer did.
    Inbound,
}

/// A known peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its id.
    pub node: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Its addresses, the one in use first.
    pub addresses: Vec<String>,
    /// Who opened the connection, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<PeerDirection>,
    /// What it says it runs; escaped and cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The newest round-trip time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
    /// Since when it is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_ms: Option<u64>,
    /// Channels with it that are not settled.
    pub channels: u32,
}

/// `GET /v1/peers`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    /// By id.
    pub peers: Vec<Peer>,
}

/// `POST /v1/peers`: connect to a node, and stay connected.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectPeer {
    /// A multiaddress that ends in `/p2p/…`, or `node1…@host:port`.
    pub address: String,
}
