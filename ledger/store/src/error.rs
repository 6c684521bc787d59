//! Why the store refused. Fragments say what to do next where a person reads them.

use std::path::PathBuf;

use crate::condition::Behind;

/// Why the store refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk did not do as it was asked.
    #[error("{action} failed: {detail}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        detail: String,
    },
    /// There is no space left (FAULTS S7). Nothing was written; after making space the node starts again by itself.
    #[error("{action} failed: the disk is full; make space, then start the node again")]
    DiskFull {
        /// What was tried.
        action: &'static str,
    },
    /// The folder cannot be written to (FAULTS S8).
    #[error("{path} is not writable ({detail}); check its owner, its permissions and that the disk is not mounted read-only", path = path.display())]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The folder belongs to another user (FAULTS S8).
    #[error("{path} belongs to user {owner}, the node runs as user {user}; run it as that user or change the owner", path = path.display())]
    WrongOwner {
        /// The folder.
        path: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// Our id.
        user: u32,
    },
    /// Another process uses the folder (FAULTS S9).
    #[error("{path} is in use by {holder}; one folder serves one node, stop that one first", path = path.display(), holder = holder_name(*.pid))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The process that holds it, if it has said so.
        pid: Option<u32>,
    },
    /// The disk's answer is not what was written (FAULTS S4).
    #[error(
        "the database is damaged: {what}; set its folder (db) aside and start again: the node then recovers from its peers"
    )]
    Corrupt {
        /// What was found.
        what: String,
    },
    /// The database misses writes that were acknowledged (FAULTS S5, S10).
    #[error("{0}")]
    Behind(Behind),
    /// The database was written by a newer version (FAULTS S13).
    #[error("the database has schema {found}, this version knows schemas up to {known}; use a newer version")]
    SchemaNewer {
        /// The schema on disk.
        found: u32,
        /// The newest schema that this version knows.
        known: u32,
    },
    /// The database belongs to another ledger.
    #[error("the database holds another ledger: {found}, not {expected}")]
    OtherChain {
        /// The chain id on disk.
        found: String,
        /// The chain id of the genesis file.
        expected: String,
    },
    /// What was asked does not follow from what is stored; nothing was written.
    #[error("{0}")]
    OutOfOrder(String),
    /// An earlier write failed, and nobody knows what is on the disk: the process must end (FAULTS S6).
    #[error("the store takes no more writes since one failed: {cause}; start the node again")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The writer was closed; the batch was not written.
    #[error("the store is closed")]
    Closed,
}

fn holder_name(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl StoreError {
    /// From what the system said of `path`.
    #[must_use]
    pub fn io(action: &'static str, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { action },
            _ => Self::Io { action, detail: error.to_string() },
        }
    }

    /// The same, where being refused means that the folder is not ours to write.
    #[must_use]
    pub fn io_at(action: &'static str, path: &std::path::Path, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path: path.to_owned(), detail: error.to_string() }
            }
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { action },
            _ => Self::Io { action, detail: format!("{}: {error}", path.display()) },
        }
    }

    /// A row that does not decode.
    #[must_use]
    pub fn corrupt_row(column: &str, error: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: format!("a row of {column}: {error}") }
    }
}
