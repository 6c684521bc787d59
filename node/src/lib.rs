//! One node: its pure decisions (`wallet`) and the shell around them.

pub mod api;
pub mod backend;
pub mod backup;
pub mod clock;
pub mod config;
mod decoders;
pub mod devnet;
mod entropy;
pub mod epoch;
pub mod idempotency;
pub mod journal;
pub mod ledger;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod net;
pub mod recovery;
pub mod stepped;
pub mod tower;
pub mod wallet;
pub mod worker;

mod node;
mod route;
mod stop;

/// Whether this is what users are given: neither quick signatures nor known bugs were compiled in for tests.
pub const AS_SHIPPED: bool = !towpath_crypto::quick::COMPILED && towpath_protocol::AS_SHIPPED;

pub use api::ADDRESS_FILE as API_ADDRESS_FILE;
pub use decoders::decoders;
pub(crate) use node::STORE_FOLDER;
pub use node::{KEY_FILE, NodeError, key_file, run};
