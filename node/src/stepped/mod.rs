//! A whole node without threads or a clock of its own: its parts are the real ones, in the wiring of [`crate::run`], and
//! whoever owns it steps them and decides when the disk syncs. Nothing of a real node uses this.
//!
//! Two kinds, for the two layers of the simulator: [`Process`] has no network (`tests/sim` carries what it sends, and gives
//! it its time), [`Networked`] has the real one, over a carrier in place of sockets (`tests/turmoil`). In both the parts
//! are [`Wired`].
//!
//! What is left out: the API and its callers' time-outs, and the task that searches the ledger after a loss of data
//! ([`crate::recovery::Task`]), which waits in real time.

mod networked;
mod process;
mod wired;

use towpath_consensus::Config as EngineConfig;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::genesis::Genesis;

pub use networked::{Networked, Wires};
pub use process::Process;
pub use wired::Wired;

pub use crate::clock::Stepped as Moment;
use crate::worker::Policy;

/// What stays the same over a node's restarts, beside its disk.
#[derive(Clone)]
pub struct Host {
    /// Its keys.
    pub seed: Seed,
    /// The ledger.
    pub genesis: Genesis,
    /// The consensus engine's waits; its session is set at each start.
    pub engine: EngineConfig,
    /// How many workers it has.
    pub workers: usize,
    /// Which channels it wants.
    pub policy: Policy,
    /// Whether it is a watchtower for others.
    pub serves: bool,
    /// Its watchtowers.
    pub towers: Vec<PublicKey>,
    /// How many of them must have a version before its payments are final; zero: none.
    pub confirmations: u64,
}

/// What is drawn anew for each process of a node.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Tells this process from all others.
    pub instance: [u8; 16],
    /// The same, for idempotency keys.
    pub run: u64,
}

/// What a process ends with that found out that it runs on an old copy: started again, it is in recovery.
pub const BEGINS_AGAIN: &str = "it runs on an old copy of its data, and begins again in recovery";

/// Why a process ended, or did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Ended(pub String);

fn ended(error: impl ToString) -> Ended {
    Ended(error.to_string())
}
