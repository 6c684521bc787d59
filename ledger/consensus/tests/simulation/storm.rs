//! Crashes at every point, on networks of every kind: nobody forks, nobody signs twice, nobody stays behind.

use super::sim::{CrashPoint, LogKept, Sim, config};

/// One storm: 60 crashes over 4 validators, between turns, within turns and within disk writes.
pub fn storm(seed: u64, loss_percent: u64, log_kept: LogKept) -> (Sim, bool) {
    let mut sim = Sim::new(4, config(), (loss_percent << 32) | seed);
    sim.network.loss_percent = loss_percent;
    sim.log_kept = log_kept;
    sim.boot_all();
    let mut at = 0;
    for _ in 0..60 {
        at += 100 + sim.rng.below(400);
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
    (sim, reached)
}

fn check_storms(loss_percent: u64) {
    let (mut traces, mut replayed, mut synced) = (std::collections::BTreeSet::new(), 0, 0);
    for seed in 0..100 {
        let (sim, reached) = storm(seed, loss_percent, LogKept::Synced);
        let again =
            format!("cargo run --release -p towpath-consensus --example storm -- 1 {loss_percent} {seed}");
        assert!(sim.agrees(), "fork at {:?}: {again}", sim.audit.forks);
        assert_eq!(sim.audit.double_signs(), 0, "an honest validator signed twice: {again}");
        assert_eq!(sim.audit.rejected, 0, "an honest message was rejected: {again}");
        let faults: Vec<_> = sim.nodes.iter().filter_map(|node| node.fault.as_ref()).collect();
        assert!(faults.is_empty(), "a node stopped: {faults:?}: {again}");
        assert!(reached, "a node stays behind: {again}");
        traces.insert(sim.trace());
        replayed += sim.replayed();
        synced += sim.synced();
    }
    assert_eq!(traces.len(), 100, "each seed is a run of its own");
    assert!(
        replayed > 1_000 && synced > 50,
        "the storm must hit: {replayed} records replayed, {synced} blocks synced"
    );
}

#[test]
fn l15_l17_storm_without_loss_never_forks_or_signs_twice() {
    check_storms(0);
}

#[test]
fn l15_l17_storm_with_some_loss_never_forks_or_signs_twice() {
    check_storms(5);
}

#[test]
fn l15_l17_storm_with_heavy_loss_never_forks_or_signs_twice() {
    check_storms(20);
}
