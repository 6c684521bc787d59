//! Group commit: one thread writes, and whatever waits meanwhile shares the next sync.
//!
//! ```text
//! submit → queue → writer: merge, write, sync → anchor thread: anchor, sync → callbacks, in order of submission
//! ```
//! While the anchor of group n is written, the writer writes group n+1. That is right because of two orders that stay:
//! a group is anchored only after its own write is synced, and its callbacks run only after its anchor is
//! (`docs/decisions/anchor.md`).
//!
//! A write that fails, and a panic in the store or in a callback, are the end: what was to follow a write did not all
//! happen, and nobody knows which part. Nothing more is written, everyone who waits is told, and the owner ends the process.

mod queue;
mod stats;
#[cfg(test)]
mod tests;
mod writer;

pub use stats::{GroupSizes, GroupStats, SyncTimes};
pub use writer::GroupWriter;
