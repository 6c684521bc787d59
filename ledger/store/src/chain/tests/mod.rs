//! The ledger in a store, against a plain model of it, through restarts and crashes.

mod blocks;
mod indexes;
mod world;
