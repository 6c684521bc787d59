//! Validators that cheat: up to a third of the power they achieve nothing and are caught; beyond that the fork that
//! they can make is noticed.

use towpath_consensus::Fault;

use super::sim::byzantine::Behaviour;
use super::sim::disk::mark;
use super::sim::{Sim, config, equal, secret};

#[test]
fn l11_an_equivocator_forks_nothing_and_is_caught() {
    for seed in 0..8 {
        let mut sim = Sim::new(4, config(), seed);
        sim.nodes[3].behaviour = Behaviour::Equivocator;
        sim.network.loss_percent = seed;
        sim.boot_all();
        assert!(sim.run_until(15, 120), "seed {seed}");
        assert!(sim.agrees(), "seed {seed}");
        assert_eq!(sim.audit.double_signs(), 0, "seed {seed}: honest ones sign once");
        let caught: Vec<_> = sim.culprits().into_iter().collect();
        assert_eq!(caught, [secret(3).public()], "seed {seed}");
    }
}

/// FAULTS "Twins": two copies of one validator, both by the rules, each unaware of the other.
#[test]
fn l11_twins_of_one_validator_fork_nothing() {
    for seed in 0..8 {
        let mut sim = Sim::with_validators(vec![0, 1, 2, 3, 3], equal(4), config(), seed);
        sim.nodes[3].behaviour = Behaviour::Twin;
        sim.nodes[4].behaviour = Behaviour::Twin;
        sim.boot_all();
        assert!(sim.run_until(15, 120), "seed {seed}");
        assert!(sim.agrees(), "seed {seed}");
        assert!(sim.culprits().iter().all(|key| *key == secret(3).public()), "seed {seed}");
    }
}

/// f + 1 = 2 cheats of 4 run twice, once on each side of a partition: both sides have a quorum. When the sides meet
/// again, both honest nodes stop, with the certificate of the other side, however often they are started again; and
/// nobody's applied blocks change.
#[test]
fn l12_a_fork_by_two_of_four_is_detected_and_stops_the_node() {
    let mut sim = Sim::with_validators(vec![0, 1, 2, 3, 2, 3], equal(4), config(), 7);
    for twin in 2..6 {
        sim.nodes[twin].behaviour = Behaviour::Twin;
    }
    sim.partition_at(0, &[0, 1, 0, 0, 1, 1]);
    sim.boot_all();
    assert!(sim.run(60, |sim| sim.tip(0) >= 5 && sim.tip(1) >= 5), "each side has a quorum");
    assert!(!sim.agrees(), "and decides for itself");
    let heal = sim.now / 1_000;
    sim.partition_at(heal, &[0; 6]);
    let mut noticed = [false; 2];
    for _ in 0..20 {
        let before: Vec<_> = (0..2).map(|node| sim.nodes[node].disk.borrow().chain.clone()).collect();
        sim.run(2, |_| false);
        for (node, before) in before.iter().enumerate() {
            let disk = sim.nodes[node].disk.clone();
            assert_eq!(&disk.borrow().chain[..before.len()], &before[..], "what is applied stays applied");
            if let Some(fault) = sim.nodes[node].fault.take() {
                check_fork(&fault);
                noticed[node] = true;
            }
        }
        // A supervisor starts again what has stopped.
        sim.nodes.iter_mut().for_each(|node| node.fault = None);
        sim.boot_all();
    }
    assert_eq!(noticed, [true; 2], "both notice");
}

fn check_fork(fault: &Fault) {
    match fault {
        Fault::Fork { culprits, ours, theirs, .. } => {
            assert_ne!(*ours, theirs.block);
            let mut cheats = [secret(2).public(), secret(3).public()];
            cheats.sort_unstable();
            assert_eq!(culprits[..], cheats, "both cheats, and nobody else, signed on both sides");
        }
        Fault::DecidedInvalid { certificate, .. } => assert!(certificate.height > 0),
        other => panic!("stopped for another reason: {other}"),
    }
}

#[test]
fn l13_trap_01_invalid_blocks_are_never_decided() {
    for seed in 0..4 {
        let mut sim = Sim::new(4, config(), seed);
        sim.nodes[2].traits.invalid = true;
        sim.boot_all();
        assert!(sim.run_until(15, 120), "seed {seed}");
        for node in sim.nodes.iter().filter(|node| node.is_honest()) {
            let disk = node.disk.borrow();
            assert!(disk.chain.iter().all(|(block, _)| block.header.state_root.0[mark::INVALID] == 0));
        }
        assert!(sim.audit.round_max() >= 1, "the cheat's turns fail, and the next proposer's succeed");
    }
}

/// f proposers leave a transaction out; of any f + 1 blocks in a row one has an honest proposer.
#[test]
fn l19_censors_delay_by_at_most_their_own_turns() {
    for (validators, censors) in [(4, 1), (7, 2)] {
        let mut sim = Sim::new(validators, config(), 3);
        for index in 0..censors {
            sim.nodes[index].traits.censor = true;
        }
        sim.boot_all();
        assert!(sim.run_until(30, 120));
        let disk = sim.nodes[0].disk.borrow();
        let carries: Vec<bool> =
            disk.chain.iter().map(|(block, _)| block.header.state_root.0[mark::DISPUTE] == 1).collect();
        assert!(carries.contains(&false), "the censors have their turns");
        assert!(carries.windows(censors + 1).all(|blocks| blocks.contains(&true)), "{carries:?}");
    }
}

/// A validator whose clock is slow votes against blocks that a quorum finds in time, and still follows the quorum.
#[test]
fn l22_a_slow_clock_does_not_stop_a_validator() {
    let mut sim = Sim::new(4, config(), 5);
    for node in 0..3 {
        sim.nodes[node].traits.ahead = true;
    }
    sim.nodes[3].traits.slow_clock = true;
    sim.boot_all();
    assert!(sim.run_until(10, 120));
    assert!(sim.agrees());
    assert!(
        sim.nodes[3].fault.is_none() && sim.nodes[3].synced > 0,
        "it follows by the others' certificates"
    );
}
