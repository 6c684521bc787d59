//! What the node counts, for `/metrics` (Prometheus) and for `/v1/stats`.
//!
//! Whoever does something counts it where it does it, in memory of its own; everything is added up only when someone
//! asks ([`Reading`]). All metrics with their units are listed in `docs/metrics.md`.
//!
//! No label names a channel or a peer: a hub has very many, and each series costs memory here and in the reader.

mod buckets;
mod process;
mod reading;
mod text;

pub use buckets::{BUCKETS, Buckets, Distribution};
pub use process::{Usage, usage};
pub use reading::{Reading, Waiting};
