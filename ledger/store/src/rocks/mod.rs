//! The store on disk: RocksDB, with what its defaults leave open closed.

mod errors;
mod open;
mod options;
mod own;
mod store;

pub use open::RocksOptions;
pub use options::MemoryBudget;
pub use store::RocksStore;
