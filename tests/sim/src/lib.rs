//! The world in a seed: whole nodes (`towpath_node::stepped`) on virtual time, with every fault of links, disks, clocks and
//! peers, callers who want channels and payments, and an auditor who checks after every step what must hold.
//!
//! `towpath-sim --seeds N` runs N worlds; a failing one is printed as the command that repeats it.

mod audit;
mod books;
mod genesis;
mod machine;
mod network;
mod plan;
mod promises;
mod rng;
mod rogue;
mod run;
mod station;
mod tally;
mod trace;
mod violation;
mod work;
mod world;

pub use plan::{Plan, Vice};
pub use run::{Outcome, Sabotage, run, run_sabotaged};
pub use tally::{Fault, Tally, Work};
pub use violation::Violation;
