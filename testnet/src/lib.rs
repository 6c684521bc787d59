//! Local networks of real node processes, on one machine: for developers, for tests, for the benchmark.

mod bench;
mod channels;
mod cheat;
mod crash;
mod error;
mod names;
mod network;
mod ports;
mod process;
mod setup;
mod state;
mod time;
mod topology;
mod traffic;
mod watch;

pub use bench::{BenchPlan, BenchReport, BenchRun, Machine, Ways, run as bench};
pub use channels::{DISPUTE_WINDOW_MS, Edge, open_all};
pub use cheat::{
    Act, CheatReport, Cue, ScenePlan, Settled, Shares, Spread, TrialsPlan, Victim, Why, play as cheat,
    trials as cheat_trials,
};
pub use crash::{CrashPlan, CrashReport, Kills, Recovery, run as crash};
pub use error::TestnetError;
pub use names::{NODES_MAX, names};
pub use network::{Found, Network, client, has_traffic, is_running};
pub use process::Ended;
pub use setup::{Plan, set_up};
pub use state::{NetworkState, NodeState, ProcessId, STATE_FILE};
pub use time::{Journey, advance};
pub use topology::{Topology, UnknownTopology};
pub use traffic::Traffic;
pub use watch::{ChannelView, NodeView, Said, Snapshot, Watch};
