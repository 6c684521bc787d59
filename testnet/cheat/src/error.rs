//! Why a cheat does not come about.

use std::path::PathBuf;

use towpath_crypto::id::IdError;
use towpath_ledger::settle::SettleError;
use towpath_protocol::{Reject, RestoreError};
use towpath_store::StoreError;

/// The one error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum CheatError {
    /// A name whose keys nobody knows.
    #[error("`{0}` is no node of a local network: only their keys are known")]
    UnknownName(String),
    /// The genesis file.
    #[error("the genesis {} cannot be used: {reason}", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A text that is no channel's id.
    #[error("`{text}` is no channel: {source}")]
    Id {
        /// The text.
        text: String,
        /// Why.
        source: IdError,
    },
    /// A database that cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rows that make no channel.
    #[error("the copy has no such channel: {0}")]
    Restore(#[from] RestoreError),
    /// The channel's machine does not close.
    #[error("the channel cannot be closed with that state: {0}")]
    Reject(#[from] Reject),
    /// The close cannot be made.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The machine closes, and posts nothing.
    #[error("the channel posts nothing: it is not active in the copy")]
    NotPosted,
}
