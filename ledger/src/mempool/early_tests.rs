use towpath_crypto::ed25519::PublicKey;

use super::*;
use crate::limits::{EARLY_BLOCKS, EARLY_SHELF_BYTES, EARLY_SOURCE_BYTES};
use crate::testing::*;
use crate::types::{Amount, TxId};

fn peer(number: u16) -> Source {
    let mut key = [7; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    Source::Peer(PublicKey(key))
}

fn nowhere(number: u64) -> OutPoint {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    OutPoint { tx: TxId(Digest(id)), index: 0 }
}

/// An answer to a closing, a close and a payment, each before what it spends; the payment is of this size at least.
struct Kinds {
    world: World,
    answer: Transaction,
    close: Transaction,
}

impl Kinds {
    fn new() -> Self {
        let mut world = World::new(2);
        let (open, channel) = world.open(0);
        world.step(std::slice::from_ref(&open));
        let close = channel.close(OutPoint { tx: open.id(), index: 0 }, 1);
        world.step(std::slice::from_ref(&close));
        let closing = OutPoint { tx: close.id(), index: 0 };
        let answer = channel.supersede(closing, &world.view.entries[&closing], 2);
        Self { world, answer, close }
    }

    fn payment(&self, number: u64, outputs: usize) -> Transaction {
        let outputs = (0..outputs).map(|_| paid(2, Amount(1_000))).collect();
        self.world.spend(1, nowhere(number), outputs, None)
    }
}

fn awaited(transaction: &Transaction, source: Source, since: u64) -> Awaited {
    let waits_for = transaction.body.inputs[0];
    Awaited { transaction: transaction.clone(), source, waits_for, since }
}

fn all(early: &mut Early, height: u64) -> Vec<Transaction> {
    let ripe = early.ripe(height, |_| Ok::<_, ()>(true)).expect("it is there");
    check(early);
    ripe.into_iter().map(|awaited| awaited.transaction).collect()
}

/// The books against what is held.
fn check(early: &Early) {
    assert_eq!(early.leaves.len(), early.held.len());
    for shelf in Shelf::ALL {
        let on_it = || early.held.values().filter(|held| held.shelf == shelf);
        let line = early.lines.get(&shelf).cloned().unwrap_or_default();
        assert_eq!(line.bytes, on_it().map(|held| held.bytes).sum::<u64>());
        assert!(line.bytes <= EARLY_SHELF_BYTES, "a shelf is bounded");
        assert_eq!(line.by_source.values().map(|(_, numbers)| numbers.len()).sum::<usize>(), on_it().count());
        assert!(
            line.by_source.values().all(|(bytes, _)| *bytes <= EARLY_SOURCE_BYTES),
            "and each part of it"
        );
    }
}

#[test]
fn l20_what_came_too_early_leaves_when_it_can_be_tried_answers_first() {
    let kinds = Kinds::new();
    let mut early = Early::default();
    let payments = [kinds.payment(1, 1), kinds.payment(2, 1)];
    for transaction in [&payments[0], &kinds.close, &payments[1], &kinds.answer] {
        assert!(early.keep(awaited(transaction, peer(1), 5)));
        assert!(!early.keep(awaited(transaction, peer(2), 5)), "once, whoever repeats it");
    }
    let there = kinds.answer.body.inputs[0];
    let ripe = early.ripe(6, |outpoint| Ok::<_, ()>(*outpoint == there)).expect("it is there");
    assert_eq!(ripe, [awaited(&kinds.answer, peer(1), 5)], "the others go on waiting");
    assert!(early.keep(awaited(&kinds.answer, peer(3), 5)), "it can come again");
    assert_eq!(
        all(&mut early, 6),
        [kinds.answer, kinds.close, payments[0].clone(), payments[1].clone()],
        "by kind, then by arrival"
    );
    assert!(early.is_empty() && early.bytes() == 0);
}

#[test]
fn l20_what_never_comes_is_forgotten_after_a_few_blocks() {
    let kinds = Kinds::new();
    let mut early = Early::default();
    assert!(early.keep(awaited(&kinds.answer, peer(1), 5)));
    assert!(early.keep(awaited(&kinds.payment(1, 1), peer(1), 7)));
    let mut left = Vec::new();
    for height in 6..=7 + EARLY_BLOCKS {
        assert_eq!(early.ripe(height, |_| Ok::<_, ()>(false)), Ok(Vec::new()));
        check(&early);
        left.push(early.len());
    }
    let blocks = usize::try_from(EARLY_BLOCKS).expect("few");
    assert_eq!(left, [vec![2; blocks - 1], vec![1; 2], vec![0]].concat());
}

#[test]
fn one_peer_has_room_for_the_largest_transaction() {
    let largest = u64::from(crate::limits::TRANSACTION_BYTES_MAX);
    assert_eq!(cost(largest), EARLY_SOURCE_BYTES);
}

#[test]
fn a_ledger_that_cannot_be_read_loses_nothing() {
    let kinds = Kinds::new();
    let mut early = Early::default();
    assert!(early.keep(awaited(&kinds.answer, peer(1), 5)));
    assert_eq!(early.ripe(6, |_| Err("a disk")), Err("a disk"));
    check(&early);
    assert_eq!(all(&mut early, 6), [kinds.answer]);
}

#[test]
fn l20_strangers_fill_no_more_than_their_part_and_push_nobody_out() {
    let kinds = Kinds::new();
    let mut early = Early::default();
    assert!(early.keep(awaited(&kinds.answer, peer(0), 5)));
    // One peer has a part, whatever it sends; then as many as like.
    let mut number = 0;
    for stranger in 1..=12 {
        let mut kept = 0;
        for _ in 0..50 {
            number += 1;
            kept += u64::from(early.keep(awaited(&kinds.payment(number, 60), peer(stranger), 5)));
        }
        check(&early);
        assert!(kept > 0, "who has nothing there gets a place");
    }
    let full = early.bytes();
    assert!(full > EARLY_SHELF_BYTES - EARLY_SOURCE_BYTES, "they fill their shelf: {full}");
    // An honest peer comes when it is full, and stays whoever comes after it.
    let honest = kinds.payment(0, 1);
    assert!(early.keep(awaited(&honest, peer(0), 5)));
    for stranger in 13..=30 {
        for _ in 0..10 {
            number += 1;
            early.keep(awaited(&kinds.payment(number, 60), peer(stranger), 5));
        }
    }
    check(&early);
    let ripe = all(&mut early, 6);
    assert_eq!(ripe[0], kinds.answer, "the flood lies on another shelf");
    assert!(ripe.contains(&honest));
}
