//! Lies on a local network of real nodes: one on stage, told act by act; or hundreds, audited to the unit.
//!
//! Here is nothing that cheats. What a cheating party does with its own keys is in the program `towpath-cheat`, which
//! lies beside this one on a developer's machine and is no part of a node.

mod act;
mod audit;
mod cast;
mod liar;
mod report;
mod scene;
mod trail;
mod trials;
mod wait;

pub use act::{Act, Cue, Settled, Shares, Why};
pub use report::{CheatReport, Spread};
pub use scene::{ScenePlan, play};
pub use trials::{TrialsPlan, run as trials};

/// Whether the victim is there while it is lied about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Victim {
    /// It answers for itself.
    Online,
    /// Its process is stopped; only watchtowers can answer.
    Offline,
}
