//! What the ledger owes to channels, through consensus and on the real ledger: an answer to a close is decided in time,
//! whoever censors, floods, lies about the time or halts (FAULTS L19, L20, L22, L23).

use std::collections::BTreeMap;
use std::time::Duration;

use towpath_consensus::Config;
use towpath_ledger::{BlockId, Header, Time};

use super::bench::proposer;
use super::money::{Channel, START, bulky, genesis};
use super::sim::disk::{Clock, mark};
use super::sim::{CrashPoint, Sim, config};

/// Blocks when there is something to decide, else at half of the ledger's step of ten seconds.
fn paced() -> Config {
    let (interval_min, heartbeat) = (Duration::from_millis(100), Duration::from_secs(5));
    Config { interval_min, heartbeat, ..config() }
}

/// The headers on a node's disk.
fn headers(sim: &Sim, index: usize) -> Vec<Header> {
    sim.nodes[index].disk.borrow().chain.iter().map(|(block, _)| block.header.clone()).collect()
}

/// For each block of a node, whether it carries what everybody waits for, and in which round it was decided.
fn carries(sim: &Sim, index: usize) -> Vec<(bool, u32)> {
    let disk = sim.nodes[index].disk.borrow();
    let carried = |root: [u8; 32]| root[mark::DISPUTE] == 1;
    disk.chain.iter().map(|(block, cert)| (carried(block.header.state_root.0), cert.round)).collect()
}

/// The worst that f faulty proposers can do: they are neighbours in the order of turns, leave the answer out, vote
/// against blocks that carry it, and let some of their turns pass. SPEC N-9: of any f + 1 blocks one carries it, and it takes at
/// most f (f + 1) / 2 + 1 turns.
#[test]
fn l19_censors_delay_by_no_more_than_their_number_of_blocks() {
    for (validators, faulty) in [(4_u8, 1_usize), (7, 2), (10, 3)] {
        for (seed, lazy) in [(1, false), (2, true), (3, true)] {
            let mut sim = Sim::new(validators, config(), seed);
            // The proposers of heights 3, 4, ... in the first round.
            for height in 0..faulty {
                let index = proposer(3 + height as u64, 0, validators);
                let traits = &mut sim.nodes[usize::from(index)].traits;
                (traits.censor, traits.lazy) = (true, lazy);
            }
            let honest = sim.nodes.iter().position(|node| !node.traits.censor).expect("most are");
            sim.boot_all();
            assert!(sim.run_until(40, 400), "{validators} validators, seed {seed}");
            let carries = carries(&sim, honest);
            assert!(carries.iter().any(|(carried, _)| !carried), "the censors have their turns");
            let blocks = |blocks: &[(bool, u32)]| blocks.iter().any(|(carried, _)| *carried);
            assert!(carries.windows(faulty + 1).all(blocks), "{validators}, {seed}: {carries:?}");
            let mut turns = 0;
            for (carried, round) in &carries {
                turns += *round as usize + 1;
                assert!(turns <= faulty * (faulty + 1) / 2 + 1, "{validators}, {seed}: {carries:?}");
                turns = if *carried { 0 } else { turns };
            }
        }
    }
}

/// One validator of four never lets an answer in and votes against all that do; the others' blocks are full of payments
/// with high fees. Every answer is decided within the blocks that the censor can delay, and as many as the lane needs.
#[test]
fn l19_l20_answers_are_decided_despite_a_censor_and_full_blocks() {
    let genesis = genesis(4, 220, |params| {
        params.rules.transaction_bytes_max = towpath_ledger::limits::TRANSACTION_BYTES_MIN;
        params.blocks.block_bytes_max = 2 * towpath_ledger::limits::TRANSACTION_BYTES_MIN + 4_096;
        params.blocks.reserved_basis_points = 5_000;
    });
    let channels: Vec<Channel> = (0..60).map(|number| Channel::new(&genesis, number)).collect();
    let chain = genesis.chain_id();
    let mut sim = Sim::real(genesis, paced(), 1);
    sim.nodes[2].traits.censor = true;
    sim.boot_all();
    channels.iter().for_each(|channel| assert_eq!(sim.submit(&channel.open), 4));
    assert!(sim.run_until(2, 60));
    channels.iter().for_each(|channel| assert_eq!(sim.submit(&channel.close()), 4));
    let closed = |sim: &Sim| {
        let mut views = (0..4).map(|node| &sim.ledger(node).view);
        views.all(|view| channels.iter().all(|channel| channel.stands(view).is_some()))
    };
    assert!(sim.run(60, closed), "all closes are decided");
    for number in 100..220 {
        sim.submit(&bulky(chain, number));
    }
    let before = sim.tip(0);
    let answers: Vec<_> =
        channels.iter().map(|channel| channel.answer(&sim.ledger(0).view).expect("closed")).collect();
    assert!(answers.iter().all(|answer| sim.submit(answer) == 4));
    let answered = |sim: &Sim| {
        let view = &sim.ledger(0).view;
        channels.iter().all(|channel| channel.stands(view).is_some_and(|(version, _)| version == 9))
    };
    assert!(sim.run(60, answered), "all answers are decided");
    assert!(
        sim.tip(0) - before <= 1 + 2,
        "a block that was under way, and f + 1 more: {}",
        sim.tip(0) - before
    );
    assert!(sim.ledger(0).pool.len() > 80, "most payments still wait");
    assert!(sim.agrees() && sim.audit.double_signs() == 0);
}

/// What holds for the time of every block, whoever proposed it (SPEC B-5, B-6).
fn check_times(sim: &Sim, index: usize, decided_at: &BTreeMap<u64, u64>) {
    let real = sim.ledger(index);
    let (step, drift) =
        (real.genesis.params.blocks.block_step_ms_max, real.genesis.params.blocks.clock_drift_ms_max);
    let mut before = START;
    for header in headers(sim, index) {
        let rise = header.time.ms_since(before);
        assert!((1..=step).contains(&rise), "height {}: a rise of {rise} ms", header.height);
        before = header.time;
        if let Some(at) = decided_at.get(&header.height) {
            let ahead = header.time.ms_since(START.plus_ms(*at));
            assert!(ahead <= drift, "height {}: {ahead} ms ahead of every clock", header.height);
        }
    }
}

/// Runs for so many seconds; when each height was first seen decided, in milliseconds.
fn watch(sim: &mut Sim, seconds: u64) -> BTreeMap<u64, u64> {
    let mut seen = BTreeMap::new();
    for _ in 0..seconds * 10 {
        let until = sim.now + 100_000;
        sim.run(1, |sim| sim.now >= until);
        // What was decided within this tenth was decided at its end at the latest.
        seen.entry(sim.tip(0)).or_insert(sim.now / 1_000);
    }
    seen
}

/// A proposer an hour ahead, an hour back, or standing still is passed over; one that takes what the rules allow bends
/// ledger time by no more than that, and honest proposers bend it back.
#[test]
fn l22_a_proposer_that_lies_about_the_time_achieves_nothing() {
    for clock in
        [Clock::AheadByAnHour, Clock::BackByAnHour, Clock::Still, Clock::Slow, Clock::Fast, Clock::Right]
    {
        let mut sim = Sim::real(genesis(4, 4, |_| {}), paced(), 7);
        sim.nodes[3].traits.clock = clock;
        sim.boot_all();
        let seen = watch(&mut sim, 120);
        assert!(sim.agrees(), "{clock:?}");
        assert!(sim.tip(0) > 15, "{clock:?}: {} blocks in two minutes", sim.tip(0));
        check_times(&sim, 0, &seen);
        let liar = sim.nodes[3].secret.public();
        let by_liar = headers(&sim, 0).iter().filter(|header| header.proposer == liar).count();
        let passes = matches!(clock, Clock::Slow | Clock::Fast | Clock::Right);
        assert_eq!(by_liar > 0, passes, "{clock:?}: {by_liar} blocks of the liar's");
        // Ledger time is never ahead, and at most the liar's turn and a heartbeat behind.
        let now = START.plus_ms(sim.now / 1_000);
        let tip = headers(&sim, 0).last().expect("blocks").time;
        assert!(now.ms_since(tip) <= 25_000, "{clock:?}: {} ms behind", now.ms_since(tip));
    }
}

/// All four halt for a day in the middle of a dispute window. Ledger time stands still meanwhile, and afterwards it does
/// not run away either, however busy the ledger is: the window still takes half of its time at least, so that whoever
/// answers can.
#[test]
fn l23_a_halt_of_a_day_eats_no_dispute_window() {
    const DAY_S: u64 = 24 * 60 * 60;
    let genesis = genesis(4, 100, |params| params.rules.dispute_window_ms_min = 180_000);
    let (window, step) =
        (genesis.params.rules.dispute_window_ms_min, genesis.params.blocks.block_step_ms_max);
    let channel = Channel::new(&genesis, 0);
    let chain = genesis.chain_id();
    let config = Config { interval_min: Duration::from_millis(500), ..paced() };
    let mut sim = Sim::real(genesis, config, 3);
    sim.boot_all();
    sim.submit(&channel.open);
    assert!(sim.run_until(2, 60));
    sim.submit(&channel.close());
    assert!(sim.run(60, |sim| (0..4).all(|node| channel.stands(&sim.ledger(node).view).is_some())));
    let (_, deadline) = channel.stands(&sim.ledger(0).view).expect("closed");
    let halted: Vec<Header> = headers(&sim, 0);
    let now = sim.now / 1_000;
    (0..4).for_each(|node| sim.crash_at(node, now, CrashPoint::Now, Some(DAY_S * 1_000)));
    assert!(!sim.run(DAY_S - 10, |sim| sim.tip(0) > halted.len() as u64 + 1), "nothing is decided meanwhile");
    assert!(sim.run_until(halted.len() as u64 + 1, 120), "it goes on by itself");
    let (back, first) = (sim.now / 1_000, headers(&sim, 0)[halted.len()].time);
    let last = halted.last().expect("blocks").time;
    assert!(first.ms_since(last) <= step, "the day is not in ledger time");
    assert!(deadline.ms_since(first) > window - 2 * step, "nor in the window");
    // As busy as it gets, with payments in every block, until half a minute of the window is left.
    let mut number = 1;
    let late = |sim: &Sim| deadline.ms_since(sim.ledger(0).parent.time) < 30_000;
    while !late(&sim) {
        number += 1;
        if number < 100 {
            sim.submit(&bulky(chain, number));
        }
        (0..4).for_each(|node| sim.with(node, |engine| engine.wake()));
        let until = sim.now + 500_000;
        sim.run(1, |sim| sim.now >= until);
    }
    let (passed, rose) = (sim.now / 1_000 - back, sim.ledger(0).parent.time.ms_since(first));
    assert!(rose <= 2 * passed + step, "{rose} ms of ledger time in {passed} ms");
    assert!(passed > (window - 30_000) / 2 - 2 * step, "{passed} ms to answer");
    assert!(sim.tip(0) > 100, "it was busy: {} blocks", sim.tip(0));
    let answer = channel.answer(&sim.ledger(0).view).expect("closed");
    assert_eq!(sim.submit(&answer), 4);
    let answered = |sim: &Sim| channel.stands(&sim.ledger(0).view).is_some_and(|(version, _)| version == 9);
    assert!(sim.run(5, answered), "the answer is in time");
    assert!(sim.agrees() && sim.audit.double_signs() == 0);
}

/// What the ledger says does not depend on who asks, or when: after restarts, each node is where the others are.
#[test]
fn l14_a_restarted_node_computes_the_same_ledger() {
    let genesis = genesis(4, 40, |_| {});
    let channels: Vec<Channel> = (0..12).map(|number| Channel::new(&genesis, number)).collect();
    let mut sim = Sim::real(genesis, paced(), 5);
    sim.boot_all();
    channels.iter().for_each(|channel| assert_eq!(sim.submit(&channel.open), 4));
    assert!(sim.run_until(2, 60));
    channels.iter().for_each(|channel| assert_eq!(sim.submit(&channel.close()), 4));
    assert!(sim.run_until(4, 60));
    let now = sim.now / 1_000;
    (1..4).for_each(|node| sim.crash_at(node, now + 100 * node as u64, CrashPoint::Now, Some(300)));
    assert!(sim.run_until(8, 120));
    let tip = (0..4).map(|node| sim.tip(node)).max().expect("four");
    assert!(sim.run_until(tip, 60));
    let state = |node: usize| {
        let real = sim.ledger(node);
        (real.parent.id(), real.view.clone())
    };
    let (first, view): (BlockId, _) = state(0);
    for node in 1..4 {
        if sim.ledger(node).parent.height == sim.ledger(0).parent.height {
            assert_eq!(state(node), (first, view.clone()));
        }
    }
    assert!(view.entries.len() > 12 && sim.agrees() && sim.ledger(0).parent.time > Time(START.0));
}
