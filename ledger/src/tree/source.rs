//! Where the tree's rows are read from, and why an operation on the tree fails.

/// The rows of the state tree, as some storage keeps them.
///
/// A row's key says its kind and version; both are opaque here. A source is read only: what changes comes back as a
/// [`super::TreeBatch`], to be written in the same atomic batch as the outputs.
pub trait NodeSource {
    /// The row under `key`, or `None` if there is none.
    ///
    /// # Errors
    /// What the storage says; the operation is abandoned.
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError>;
}

/// Why the tree can't be read. None of these is a peer's fault: the storage is incomplete, damaged or unreachable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// No tree is kept for this height.
    #[error("no state tree of height {0}: it was pruned, or is not reached yet")]
    NoVersion(u64),
    /// A node that its parent names is not there.
    #[error("the state tree lacks node {key}; the database is damaged, restore it from a snapshot")]
    Missing {
        /// The row's key, in hex.
        key: String,
    },
    /// A row that is no node, or not the one that its parent names.
    #[error("node {key} of the state tree is damaged ({reason}); restore the database from a snapshot")]
    Damaged {
        /// The row's key, in hex.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A version that does not follow the one which it changes.
    #[error("version {version} of the state tree can't follow version {parent}")]
    NotAfter {
        /// The version to make.
        version: u64,
        /// The version to start from.
        parent: u64,
    },
    /// The storage failed.
    #[error("the state tree can't be read: {0}")]
    Storage(String),
}

impl TreeError {
    pub(super) fn missing(key: &[u8]) -> Self {
        Self::Missing { key: hex::encode(key) }
    }

    pub(super) fn damaged(key: &[u8], reason: &'static str) -> Self {
        Self::Damaged { key: hex::encode(key), reason }
    }
}
