//! The genesis of a ledger: one TOML file that says all there is to say about it before its first block (SPEC B-50 to
//! B-56). The chain id is the hash of its content, so the file is the same for all nodes, but for comments and spacing.

mod content;
mod error;
mod file;
mod start;

#[cfg(test)]
mod tests;

pub use content::{Allocation, AssetName, Genesis};
pub use error::GenesisError;
pub use start::GenesisState;
