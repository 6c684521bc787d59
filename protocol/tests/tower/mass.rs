//! A thousand stale closes in one block, while others flood the ledger (W5, L20).

use towpath_crypto::Digest;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::mempool::Source;
use towpath_ledger::{Lock, Party};
use towpath_protocol::tower::{Sponsor, TowerMessage};

use super::answers::entry;
use super::ledger::Ledger;
use super::towers::Host;

const CHANNELS: usize = 1_000;
const CLIENT: PublicKey = PublicKey([42; 32]);

/// Channels of which the ledger shows version 900 and the penalty, and those that it shows being closed at all.
fn answered(ledger: &Ledger) -> (usize, usize) {
    let closings = ledger.view.entries.values().filter_map(|entry| match &entry.output.lock {
        Lock::Closing(closing) => Some(closing),
        _ => None,
    });
    closings.fold((0, 0), |(done, all), closing| {
        (done + usize::from(closing.state.version == 900 && closing.penalized), all + 1)
    })
}

/// Answers a thousand, with the reserved part of each block alone if the ledger is flooded; in how many blocks.
fn blocks_to_answer(flood: bool) -> u64 {
    let mut ledger = Ledger::new();
    let pairs = ledger.open(CHANNELS);
    let mut host = Host::new(&ledger, Sponsor::Yes);
    for pair in &pairs {
        host.hear(&CLIENT, &TowerMessage::Keep(vec![entry(&pair.record(Party::B, 900))]));
    }
    for pair in &pairs {
        ledger.submit(pair.close(&ledger, Party::A, 300)).expect("a valid one");
    }
    let (seen, bytes) = ledger.block(1_000);
    assert_eq!(answered(&ledger), (0, CHANNELS), "all in one block");
    println!("{CHANNELS} closes: one block of {bytes} bytes");
    if flood {
        ledger.flood();
    }
    host.see(seen);
    let reserved = ledger.genesis.params.blocks.reserved_bytes();
    let mut blocks = 0;
    loop {
        // What comes from a tower reaches a proposer through a peer, which has only a part of the pool.
        host.act(&mut ledger, Source::Peer(PublicKey([77; 32])));
        let (seen, bytes) = ledger.block(10_000);
        blocks += 1;
        let (done, _) = answered(&ledger);
        println!("block {blocks}: {done} answered, {bytes} bytes, {reserved} reserved");
        host.see(seen);
        if done == CHANNELS {
            return blocks;
        }
        assert!(blocks < 60, "within the window");
    }
}

/// A quarter of the shortest window, in blocks of the longest step.
fn quarter(ledger: &Ledger) -> u64 {
    ledger.genesis.params.rules.dispute_window_ms_min / 4 / ledger.genesis.params.blocks.block_step_ms_max
}

#[test]
fn w5_a_thousand_stale_closes_in_one_block_are_answered_within_a_quarter_of_the_window() {
    let blocks = blocks_to_answer(false);
    assert!(blocks <= quarter(&Ledger::new()), "{blocks} blocks");
}

#[test]
fn l20_a_flooded_ledger_does_not_keep_the_answers_out() {
    let blocks = blocks_to_answer(true);
    assert!(blocks <= quarter(&Ledger::new()), "{blocks} blocks");
}

/// The flood is one: without the reserved part nothing else would get in for as long.
#[test]
fn l20_the_flood_fills_every_block() {
    let mut ledger = Ledger::new();
    ledger.flood();
    let general = ledger.genesis.params.blocks.general_bytes_max();
    for _ in 0..10 {
        let (_, bytes) = ledger.block(1_000);
        assert!(bytes * 10 >= general * 7, "{bytes} of {general} bytes");
    }
    assert_ne!(ledger.parent.state_root, Digest::ZERO);
}
