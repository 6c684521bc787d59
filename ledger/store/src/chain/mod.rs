//! The ledger in the database: what a block leaves there, as one batch, and how it is read.
//!
//! Which blocks are valid, and what they change, is decided by `towpath-ledger`; when a batch is written, by the node.
//! A block is applied in three steps: [`ChainStore::apply`] makes its batch, the node commits it (with whatever belongs
//! to the same moment), [`ChainStore::applied`] moves the tip.

mod apply;
mod cache;
mod find;
mod index;
mod keys;
mod log;
mod read;
mod store;
#[cfg(test)]
mod tests;
mod wallet;

pub use index::{HistoryRow, Movement};
pub use log::{ConsensusLog, append as consensus_log_batch};
pub use read::Place;
pub use store::{ChainStore, ChainTip, KeepBlocks, Retention};
pub use wallet::{HistoryPage, Position};

/// How the row that says where the ledger is is read.
pub(crate) fn tip_decoder() -> towpath_crypto::codec::Readable {
    towpath_crypto::readable![crate::limits::SMALL_ROW_BYTES_MAX => store::TipRow][0]
}
