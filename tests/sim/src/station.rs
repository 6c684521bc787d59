//! A node's machine in the world: what stays when its process dies, and the process while there is one.

use std::collections::BTreeMap;

use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::hash::sha256;
use towpath_crypto::seed::Seed;
use towpath_node::stepped::{Draw, Ended, Host, Moment, Process};
use towpath_store::MemoryDisk;

use crate::genesis::GENESIS_MS;
use crate::rng::Rng;

/// See the module.
pub struct Station {
    /// What stays the same over restarts.
    pub host: Host,
    /// Who it is.
    pub id: PublicKey,
    /// Its disk.
    pub disk: MemoryDisk,
    /// Its process.
    pub process: Option<Process>,
    /// How often it was started.
    pub runs: u64,
    /// By how much its clock is ahead of the world's, in milliseconds.
    pub ahead_ms: u64,
    /// By how much it is behind.
    pub behind_ms: u64,
    /// Sessions that it knows of, by the other end, each with its number in the world.
    pub sessions: BTreeMap<usize, u64>,
    /// When it is to be stepped next.
    pub wake_at: Option<u64>,
    /// When its waiting turns are to be written.
    pub write_at: Option<u64>,
    /// A fault of its disk is to come: that it ends is no surprise.
    pub is_armed: bool,
    /// It never comes back.
    pub is_gone: bool,
    /// It is to be spared until then: what happened to it last is not long ago.
    pub spared_until: u64,
}

impl Station {
    /// A machine with an empty disk, which is off.
    #[must_use]
    pub fn new(host: Host) -> Self {
        let id = host.seed.node_key().public();
        Self {
            host,
            id,
            disk: MemoryDisk::new(),
            process: None,
            runs: 0,
            ahead_ms: 0,
            behind_ms: 0,
            sessions: BTreeMap::new(),
            wake_at: None,
            write_at: None,
            is_armed: false,
            is_gone: false,
            spared_until: 0,
        }
    }

    /// What its clock shows, and how much time has passed.
    #[must_use]
    pub const fn moment(&self, now_ms: u64) -> Moment {
        let clock_ms = GENESIS_MS + now_ms + self.ahead_ms - self.behind_ms;
        Moment { clock_ms, passed_ms: now_ms }
    }

    /// Starts a process on what is on the disk.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start(&mut self, now_ms: u64, rng: &mut Rng) -> Result<(), Ended> {
        self.runs += 1;
        let mut instance = [0; 16];
        instance[..8].copy_from_slice(&rng.draw().to_le_bytes());
        instance[8..].copy_from_slice(&self.runs.to_le_bytes());
        let draw = Draw { instance, run: rng.draw() };
        self.process = None;
        self.process = Some(Process::start(&self.host, &self.disk, self.moment(now_ms), draw)?);
        Ok(())
    }

    /// Kills the process: what it had not synced is lost. How many turns that were.
    pub fn kill(&mut self) -> u64 {
        let lost = self.process.take().map_or(0, |process| process.unwritten());
        self.sessions.clear();
        (self.wake_at, self.write_at, self.is_armed) = (None, None, false);
        lost
    }
}

/// The keys of the node at `place` in the world of `seed`.
#[must_use]
pub fn seed_of(seed: u64, place: usize) -> Seed {
    Seed::from_entropy(&sha256(format!("a world of chance, {seed}, {place}").as_bytes()).0)
}
