//! The crash harness: kills nodes at random moments under traffic, and audits with a model far simpler than the nodes
//! that no unit and no acknowledged payment was lost, doubled or made up.

mod audit;
mod book;
mod closing;
mod payers;
mod report;
mod run;

pub use report::{CrashReport, Kills, Recovery};
pub use run::{CrashPlan, run};
