//! When blocks are made: on demand, not too often, and now and then anyway.

use std::time::Duration;

use towpath_consensus::Config;

use super::sim::{Sim, config};

fn paced() -> Config {
    Config { interval_min: Duration::from_millis(100), heartbeat: Duration::from_secs(5), ..config() }
}

#[test]
fn l23_an_idle_ledger_makes_a_block_a_heartbeat() {
    for count in [1, 4] {
        let mut sim = Sim::new(count, paced(), 1);
        sim.boot_all();
        sim.run(51, |_| false);
        let tip = sim.tip(0);
        assert!((9..=12).contains(&tip), "{count} validators: {tip} blocks in 51 s");
        assert_eq!(sim.audit.round_max(), 0, "nobody's idleness costs a round");
    }
}

#[test]
fn a_waiting_transaction_makes_a_block_at_once() {
    let mut sim = Sim::new(4, paced(), 2);
    sim.boot_all();
    sim.run(2, |_| false);
    assert_eq!(sim.tip(0), 1, "the first block comes at the start");
    for node in 0..4 {
        sim.with(node, |engine| engine.wake());
    }
    assert!(sim.run(1, |sim| (0..4).all(|node| sim.tip(node) == 2)), "well before the heartbeat");
}

/// Only one validator knows of the transaction, and it is not the proposer: its voice wakes the others.
#[test]
fn one_waking_validator_wakes_all() {
    for node in 0..4 {
        let mut sim = Sim::new(4, paced(), 3);
        sim.boot_all();
        sim.run(2, |_| false);
        sim.with(node, |engine| engine.wake());
        assert!(sim.run(2, |sim| (0..4).all(|node| sim.tip(node) >= 2)), "woken by {node}");
    }
}

#[test]
fn the_least_interval_holds_however_much_waits() {
    let mut sim = Sim::new(1, paced(), 4);
    sim.boot_all();
    for _ in 0..1_000 {
        sim.with(0, |engine| engine.wake());
        let now = sim.now;
        sim.run(1, |sim| sim.now >= now + 10_000);
    }
    let most = sim.now / 100_000 + 1;
    assert!(sim.tip(0) <= most, "{} blocks in {} ms", sim.tip(0), sim.now / 1_000);
    assert!(sim.tip(0) >= most / 2, "and not much fewer: {}", sim.tip(0));
}
