//! The ledger's types and rules, all pure: what a transaction and a block are, when they are valid, what they change.

pub mod chain;
mod decoders;
pub mod genesis;
pub mod light;
pub mod limits;
pub mod mempool;
pub mod merkle;
pub mod proof;
pub mod rules;
pub mod settle;
pub mod tree;
pub mod types;
pub mod view;

#[cfg(test)]
mod testing;

pub use decoders::decoders;
pub use types::*;
pub use view::{MemoryView, Overlay, View, ViewError};
