//! The network shell: one task owns a libp2p swarm; the rest of the node sends commands and receives bounded events.
//!
//! Everything is opaque bytes here: transactions, consensus messages and announcements on gossip, sync requests, and
//! channel messages inside end-to-end sessions. A node's id is its Ed25519 public key, which is its libp2p identity too.
//! The rules are in `docs/spec/network.md`, the bytes in `docs/format/network.md`.

mod admission;
mod behaviour;
mod budget;
mod carrier;
mod channel;
mod closing;
pub mod config;
mod dialer;
mod driver;
pub mod error;
pub mod event;
mod gossip;
mod handle;
pub mod identity;
pub mod limits;
mod metrics;
mod schedule;
mod stepped;
mod sync;
mod text;

pub use carrier::{Carrier, Duplex, Line};
pub use config::{ConnectionLimits, Mdns, NetConfig};
pub use driver::{spawn, spawn_over};
pub use error::NetError;
pub use event::{Credit, DownReason, GossipId, NetEvent, NetEvents, Offence, SessionId, Verdict};
pub use gossip::Topic;
pub use handle::{Dialled, NetHandle, PeerInfo, SyncReply};
pub use identity::{NodeId, node_of, peer_of};
pub use metrics::NetMetrics;
pub use stepped::{Sent, SteppedNet};

#[cfg(test)]
mod tests;
