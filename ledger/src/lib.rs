//! The ledger's types and rules, all pure: what a transaction and a block are, when they are valid, what they change.

pub mod types;

pub use types::*;
