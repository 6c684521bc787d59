//! Channel messages between two nodes: one stream, one end-to-end session on it, and frames that carry batches.

pub(crate) mod frame;
pub(crate) mod outbox;
pub(crate) mod secure;
pub(crate) mod session;
pub(crate) mod slots;
pub(crate) mod streams;
pub(crate) mod wire;
