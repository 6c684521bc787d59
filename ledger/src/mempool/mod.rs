//! The transactions that wait for a block (SPEC B-60 to B-65).
//!
//! Any set of waiting transactions is valid together: each is valid on top of the last block, no two spend one output or
//! reveal one secret, and none spends what is not final yet. So there are no orphans and no packages, eviction never
//! takes descendants along, and a block is packed in any order. What was seen first stays; nothing is replaced by a
//! higher fee (FAULTS C22); a close, a dispute or a reveal is only replaced by one that stands better (`standing`).
//!
//! Four queues with a bound each: disputes, reveals, closes, and all else. The first three are first come, first served,
//! and each has its part of the reserved lane: what got in is decided within as many blocks as the queue holds, whatever
//! others pay. Only the last gives way to higher fee rates. Gossip, and when to build a block, are left to the node.

mod early;
mod error;
mod pool;
mod queue;
mod standing;

#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod tests;

pub use early::{Awaited, Early};
pub use error::Refusal;
pub use pool::{Admitted, Mempool, Removal, Removed, Source};
pub use queue::{PoolLimits, Queue};
