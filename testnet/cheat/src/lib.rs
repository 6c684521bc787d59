//! What a cheating party can do with its own keys and an old copy of its data: close with a state that was replaced, or
//! put the old state back into its node. No node does this, and nothing that a node is made of depends on this crate.
//!
//! It has the well-known keys of local networks alone (`towpath_node::devnet`), which nodes refuse anywhere else.

mod close;
mod error;
mod old;
mod rewind;

pub use close::{StaleClose, stale_close};
pub use error::CheatError;
pub use old::OldCopy;
pub use rewind::rewind;
