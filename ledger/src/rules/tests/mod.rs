//! Tests of the rules, by subject; `world` is the ledger that they play on.

mod audit;
mod closing;
mod disputes;
mod fees;
mod forms;
mod healthy;
mod lanes;
mod mutation;
mod opening;
mod paths;
mod pending;
mod random;
mod replay;
mod settling;
mod wallets;
mod world;
