//! The store in memory, on a disk that can be told to fail: what the simulator and the tests of other crates run on.
//!
//! It keeps the promises of [`crate::RocksStore`] by the same judgement of the same tip and anchor; a conformance test
//! compares the two. It survives a crash as long as its [`MemoryDisk`] does.

mod disk;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use disk::{CrashPoint, MemoryDisk, MemoryImage};
pub use store::MemoryStore;
