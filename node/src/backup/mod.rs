//! Backups of what cannot be fetched again: the channels, the counters of keys and addresses, the configuration. Taken
//! while the node runs, sealed with a key of the seed, restored with the passphrase alone (SPEC ).
//!
//! The ledger is not in it: any peer has it. What a backup says of a channel is old by the time it is read, and a node that
//! starts from one knows that: it asks before it signs.

mod create;
mod format;
mod restore;

pub use create::{Page, Place, page};
pub use format::{About, Summary};
pub use restore::{begin_again, restore, verify};

use std::path::PathBuf;

use towpath_crypto::keyfile::KeyFileError;
use towpath_store::StoreError;

/// How what is kept here is read.
pub(crate) fn decoders() -> Vec<towpath_crypto::codec::Readable> {
    format::decoders()
}

/// Why a backup is not made, read or restored. No error contains key material.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else, or of another version.
    #[error("{0}")]
    Foreign(&'static str),
    /// The file was changed, or cut.
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    /// The key file in it.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// There is something already where it would be restored.
    #[error("{} exists; a node is restored into a folder of its own, and nothing is overwritten", .0.display())]
    Exists(PathBuf),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A place in a backup that nobody gave out.
    #[error("`next` is not of an earlier answer")]
    Place,
}
