//! Whole clusters: who may be missing, what happens meanwhile, and how they come back.

use std::rc::Rc;

use super::sim::byzantine::Behaviour;
use super::sim::{CrashPoint, Sim, config, equal, secret, set};

#[test]
fn one_of_one_decides_alone() {
    let mut sim = Sim::new(1, config(), 1);
    sim.boot_all();
    assert!(sim.run_until(50, 60));
    assert_eq!(sim.audit.round_max(), 0);
}

#[test]
fn three_of_four_go_on() {
    for behaviour in [None, Some(Behaviour::Silent)] {
        let mut sim = Sim::new(4, config(), 2);
        match behaviour {
            None => sim.crash_at(3, 1_000, CrashPoint::Now, None),
            Some(behaviour) => sim.nodes[3].behaviour = behaviour,
        }
        sim.boot_all();
        assert!(sim.run(120, |sim| (0..3).all(|node| sim.tip(node) >= 25)), "{behaviour:?}");
        assert!(sim.agrees());
        assert!(sim.audit.round_max() <= 1, "a missing proposer costs one round");
    }
}

/// SPEC N-12: without a quorum nothing is decided; with one again, no operator is needed.
#[test]
fn l18_two_of_four_halt_and_resume_by_themselves() {
    let mut sim = Sim::new(4, config(), 3);
    sim.boot_all();
    assert!(sim.run_until(5, 60));
    let now = sim.now / 1_000;
    sim.crash_at(2, now, CrashPoint::Now, Some(30_000));
    sim.crash_at(3, now, CrashPoint::Now, Some(31_000));
    assert!(!sim.run(25, |sim| sim.tip(0) > 8), "two of four decide nothing new");
    let halted = sim.tip(0).max(sim.tip(1));
    assert!(sim.run_until(halted + 10, 60), "and go on once they are four");
    assert!(sim.agrees() && sim.audit.double_signs() == 0);
}

/// XRPL 2025: everybody hears nobody, for long. Afterwards it takes at most ten rounds.
#[test]
fn l18_a_silent_network_resumes_within_ten_rounds() {
    for seed in 0..4 {
        let mut sim = Sim::new(4, config(), seed);
        sim.boot_all();
        assert!(sim.run_until(3, 60));
        let now = sim.now / 1_000;
        sim.loss_at(now, 100);
        sim.loss_at(now + 60_000, 0);
        assert!(!sim.run(60, |sim| (0..4).any(|node| sim.tip(node) > 5)), "silence decides nothing");
        let halted = (0..4).map(|node| sim.tip(node)).max().expect("four nodes");
        assert!(sim.run_until(halted + 5, 30), "seed {seed}");
        assert!(sim.audit.round_max() <= 10, "seed {seed}: round {}", sim.audit.round_max());
        assert!(sim.agrees() && sim.audit.double_signs() == 0);
    }
}

/// A partition without a quorum on either side, and one with a quorum on one side: finality is never taken back.
#[test]
fn l17_partitions_heal_without_undoing_anything() {
    for (seed, groups) in [(1, [0, 0, 1, 1]), (2, [0, 0, 0, 1])] {
        let mut sim = Sim::new(4, config(), seed);
        sim.boot_all();
        sim.partition_at(1_000, &groups);
        sim.partition_at(15_000, &[0; 4]);
        sim.run(14, |_| false);
        assert!(sim.agrees(), "while parted");
        let tip = sim.tip(0);
        assert!(sim.run_until(tip + 10, 60), "after healing");
        assert!(sim.agrees() && sim.audit.double_signs() == 0);
    }
}

#[test]
fn a_node_that_is_no_validator_follows_by_the_votes() {
    let mut sim = Sim::with_validators(vec![0, 1, 2, 3, 9], equal(4), config(), 4);
    sim.boot_all();
    assert!(sim.run_until(20, 60));
    let follower = &sim.nodes[4];
    let engine = follower.engine.as_ref().expect("it runs");
    assert!(!engine.progress().validator);
    assert!(follower.synced < 5, "it needs no sync: {}", follower.synced);
    assert!(sim.agrees());
}

#[test]
fn validators_come_and_go() {
    let validators = Rc::new(|height| match height {
        0..10 => set(0..4),
        10..20 => set(0..5),
        _ => set(1..5),
    });
    let mut sim = Sim::with_validators(vec![0, 1, 2, 3, 4], validators, config(), 5);
    sim.boot_all();
    assert!(sim.run_until(30, 60));
    assert!(sim.agrees() && sim.audit.double_signs() == 0);
    let disk = sim.nodes[0].disk.borrow();
    let signed = |height: usize, index| {
        disk.chain[height - 1].1.signatures.iter().any(|(key, _)| *key == secret(index).public())
    };
    assert!((1..10).all(|height| !signed(height, 4)), "not before it belongs to them");
    assert!((20..=30).all(|height| !signed(height, 0)), "not after");
    assert!((10..=30).any(|height| signed(height, 4)));
}

#[test]
fn ten_validators_decide() {
    let mut sim = Sim::new(10, config(), 6);
    sim.network.loss_percent = 3;
    sim.boot_all();
    assert!(sim.run_until(8, 120));
    assert!(sim.agrees() && sim.audit.double_signs() == 0 && sim.audit.rejected == 0);
}
