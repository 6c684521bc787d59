//! The world in a seed: whole nodes (`towpath_node::stepped`) on virtual time, with every fault of links, disks, clocks and
//! peers, callers who want channels and payments, and an auditor who checks after every step what must hold.
//!
//! Rules, books and chance are also those of the second layer (`tests/turmoil`).
//!
//! `towpath-sim --seeds N` runs N worlds; a failing one is printed as the command that repeats it.

pub mod audit;
pub mod books;
mod cheat;
pub mod disk;
pub mod genesis;
mod machine;
mod network;
mod plan;
mod promises;
pub mod rng;
mod rogue;
mod run;
mod settle;
mod station;
mod tally;
pub mod trace;
pub mod violation;
mod work;
mod world;

pub use plan::{Plan, Vice};
pub use run::{Outcome, Sabotage, has_real_signatures, run, run_sabotaged};
pub use station::seed_of;
pub use tally::{Fault, Tally, Work};
pub use violation::Violation;
pub use work::open;
