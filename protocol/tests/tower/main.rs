//! Watchtowers against the ledger's own rules, blocks and mempool.

#[path = "../common/mod.rs"]
mod common;

mod answers;
#[cfg(feature = "canaries")]
mod canaries;
mod channel;
mod client;
mod ledger;
mod mass;
mod quotas;
mod records;
mod resized;
mod storm;
mod towers;
