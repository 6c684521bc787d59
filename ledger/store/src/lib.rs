//! The one database of a node: atomic, synced, anchored writes; the same store in memory with faults; and what the
//! ledger keeps in it.
//!
//! RocksDB alone can lose acknowledged writes without a word. What is done about it is in `docs/spec/storage.md`; the
//! rows are in `docs/format/storage.md`.

mod anchor;
mod batch;
mod chain;
mod column;
mod condition;
#[cfg(test)]
mod condition_tests;
mod decoders;
mod error;
mod faults;
mod folder;
mod group;
pub mod limits;
mod memory;
mod rocks;
mod row;
mod scan;
mod store;

pub use batch::{Batch, Change};
pub use chain::{
    ChainStore, ChainTip, ConsensusLog, HistoryPage, HistoryRow, KeepBlocks, Movement, Place, Position,
    Retention as ChainRetention, consensus_log_batch,
};
pub use column::Column;
pub use condition::{Behind, Cause, Condition, Sequence, Session};
pub use decoders::decoders;
pub use error::StoreError;
pub use faults::{Faults, WritePoint};
pub use group::{GroupSizes, GroupStats, GroupWriter, SyncTimes};
pub use memory::{CrashPoint, MemoryDisk, MemoryImage, MemoryStore};
pub use rocks::{MemoryBudget, RocksOptions, RocksStore};
pub use scan::{Direction, Scan, after_prefix};
pub use store::{Opened, Row, Store};
