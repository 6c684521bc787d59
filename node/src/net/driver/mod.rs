//! The one task that owns the swarm, in pieces by what they handle.

mod channels;
mod core;
mod gossip;
mod peers;
mod start;
mod sync;

pub use start::{spawn, spawn_over};
