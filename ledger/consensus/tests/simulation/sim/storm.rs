//! The storm: 60 crashes over four validators, between turns, within turns and within disk writes, and what came of it.

use std::fmt;

use towpath_crypto::Digest;

use super::{CHAIN, CrashPoint, LogKept, Sim, config, equal};

/// What came of a storm, or of several.
#[derive(Default)]
pub struct Storm {
    /// What must not happen and did.
    pub problem: Option<String>,
    pub forks: usize,
    pub double_signs: usize,
    pub stalls: usize,
    pub replayed: u64,
    pub synced: u64,
    pub round_max: u32,
    pub trace: Digest,
}

impl Storm {
    pub fn add(&mut self, other: &Self) {
        self.forks += other.forks;
        self.double_signs += other.double_signs;
        self.stalls += other.stalls;
        self.replayed += other.replayed;
        self.synced += other.synced;
        self.round_max = self.round_max.max(other.round_max);
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { forks, double_signs, stalls, replayed, synced, round_max, .. } = self;
        write!(
            f,
            "{forks} forks, {double_signs} double signs, {stalls} stalls; \
             {replayed} records replayed, {synced} blocks synced, highest round {round_max}"
        )
    }
}

/// One storm.
pub fn storm(seed: u64, loss_percent: u64, log_kept: LogKept) -> Storm {
    let mut sim = Sim::new(4, config(), (loss_percent << 32) | seed);
    sim.network.loss_percent = loss_percent;
    sim.log_kept = log_kept;
    sim.boot_all();
    let mut at = 0;
    for _ in 0..60 {
        at += 60 + sim.rng.below(200);
        let index = usize::try_from(sim.rng.below(4)).expect("below 4");
        let when = match sim.rng.below(4) {
            0 => CrashPoint::InTurn,
            1 => CrashPoint::WriteLost,
            2 => CrashPoint::WriteDone,
            _ => CrashPoint::Now,
        };
        let back = 20 + sim.rng.below(300);
        sim.crash_at(index, at, when, Some(back));
    }
    let reached = sim.run_until(40, 900);
    Storm {
        problem: problem(&sim, reached),
        forks: usize::from(!sim.agrees()),
        double_signs: sim.audit.double_signs(),
        stalls: usize::from(!reached),
        replayed: sim.replayed(),
        synced: sim.synced(),
        round_max: sim.audit.round_max(),
        trace: sim.trace(),
    }
}

fn problem(sim: &Sim, reached: bool) -> Option<String> {
    let faults: Vec<_> = sim.nodes.iter().filter_map(|node| node.fault.as_ref()).collect();
    if !sim.agrees() {
        Some(format!("fork at {:?}", sim.audit.forks))
    } else if sim.audit.double_signs() > 0 {
        Some(format!("{} double signs by honest validators", sim.audit.double_signs()))
    } else if sim.audit.rejected > 0 {
        Some(format!("{} honest messages were rejected", sim.audit.rejected))
    } else if !faults.is_empty() {
        Some(format!("stopped nodes: {faults:?}"))
    } else if !reached {
        Some("a node stays behind".to_owned())
    } else {
        uncertified(sim)
    }
}

/// Every block on every disk must convince a light client.
fn uncertified(sim: &Sim) -> Option<String> {
    let set = equal(4)(0);
    for node in &sim.nodes {
        for (block, certificate) in &node.disk.borrow().chain {
            let named = certificate.block == block.id() && certificate.height == block.header.height;
            if let Err(error) = certificate.verify(&CHAIN, &set) {
                return Some(format!("block {}: {error}", block.header.height));
            }
            if !named {
                return Some(format!("block {} has another's certificate", block.header.height));
            }
        }
    }
    None
}
