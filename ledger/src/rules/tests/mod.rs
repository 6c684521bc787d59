//! Tests of the rules, by subject; `world` is the ledger that they play on.

mod closing;
mod disputes;
mod fees;
mod forms;
mod lanes;
mod opening;
mod pending;
mod wallets;
mod world;
