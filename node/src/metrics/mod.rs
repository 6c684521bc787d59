//! Counting what the node does: for `/metrics` (Prometheus) and for `/v1/stats`.
//!
//! No label names a channel or a peer: a hub has very many, and each series costs memory here and in the reader.

mod process;
mod recorder;
mod registry;

pub use process::{Usage, usage};
pub use recorder::Recorder;
pub use registry::{Metrics, Snapshot};
