//! The ledger's types and rules, all pure: what a transaction and a block are, when they are valid, what they change.

pub mod limits;
pub mod rules;
pub mod types;
pub mod view;

pub use types::*;
pub use view::{MemoryView, Overlay, View, ViewError};
