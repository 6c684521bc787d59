//! The state tree: a versioned sparse Merkle tree over all unspent outputs and recorded secrets (SPEC B-13 to B-15).
//!
//! Its hashes are those of a Jellyfish Merkle tree with Towpath's tagged SHA-256, so the root depends on the content
//! alone, never on its history; why the tree itself is ours is told in `docs/decisions/state-tree.md`. One version a
//! block height. This module decides what the nodes are and which become stale; where they are kept is the
//! [`NodeSource`]'s business, and what the keys and values stand for is `proof.rs`'s.

mod hash;
mod memory;
mod node;
mod prove;
mod prune;
mod source;
mod update;

#[cfg(test)]
mod tests;

pub use hash::PLACEHOLDER;
pub use memory::MemoryNodes;
pub use prove::{MerklePath, PathError, prove, root};
pub use prune::{PrunePlan, prune};
pub use source::{NodeSource, TreeError};
pub use update::{TreeBatch, update};

/// How the tree's rows are read, at their places.
pub(crate) fn decoders() -> [towpath_crypto::codec::Readable; 2] {
    [node::decoder(), prune::decoder()]
}
