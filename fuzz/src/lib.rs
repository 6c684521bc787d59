//! Hostile bytes for everything that reads bytes (FAULTS F9): a target for each decoder of each crate, taken from the crates'
//! own lists, and targets that drive whole machines. A campaign mutates what is known to be read, from a seed; the
//! binary `guided` hands the same targets to libFuzzer.

mod campaign;
mod corpus;
mod machines;
mod mutate;
mod random;
mod script;
mod target;
mod targets;

pub use campaign::{Campaign, Finding, Tally};
pub use corpus::{Regressions, folder_of, golden, kept};
pub use machines::{controls, ledger_reach};
pub use mutate::mutate;
pub use random::Random;
pub use script::Script;
pub use target::{Kind, Target};
pub use targets::{all, decoders};
