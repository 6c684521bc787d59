//! Sides that lose their data, and what is true once they have it back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::Amount;
use towpath_protocol::{Alarm, Channel, Effect, Event, Evidence, Life, Online, Origin, RecoveryEvent};

use super::world::{Cut, World, chain};

/// The disk of a side at some moment: its rows, and what its node recorded with them.
pub struct Copy {
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub sent: BTreeMap<u64, Amount>,
    pub failed: BTreeSet<u64>,
    pub received: BTreeMap<u64, Amount>,
    pub settled: u64,
    pub first: Amount,
    pub version: u64,
}

pub fn copy(world: &World, side: usize) -> Copy {
    let side = &world.sides[side];
    Copy {
        rows: side.rows.clone(),
        sent: side.sent.clone(),
        failed: side.failed.clone(),
        received: side.received.clone(),
        settled: side.settled,
        first: side.first,
        version: side.channel.view().version,
    }
}

/// The side starts on an old copy of its disk.
pub fn put_back(world: &mut World, at: usize, copy: &Copy) {
    world.disconnect();
    world.forgetful = true;
    let side = &mut world.sides[at];
    side.rows = copy.rows.clone();
    (side.sent, side.failed, side.received) = (copy.sent.clone(), copy.failed.clone(), copy.received.clone());
    (side.settled, side.first) = (copy.settled, copy.first);
    restart(world, at);
}

pub fn restart(world: &mut World, side: usize) {
    world.sides[side].asked.clear();
    world.sides[side].channel = world.sides[side].restored();
}

pub fn recovery(world: &mut World, side: usize, event: RecoveryEvent) {
    world.turn(side, vec![Event::Recovery(event)], Cut::Nowhere);
}

/// Connects, and lets whoever has lost data ask no one but its peer.
pub fn recover(world: &mut World) {
    world.connect();
    for _ in 0..4 {
        world.settle();
        for side in 0..2 {
            if world.sides[side].channel.is_lost() {
                recovery(world, side, RecoveryEvent::Searched);
            }
        }
    }
    world.settle();
}

/// Both sides hold one state, each has what it was told, and payments flow in both directions.
pub fn assert_alive(world: &mut World, balances: (u64, u64)) {
    assert_eq!(world.sides[0].channel.state(), world.sides[1].channel.state(), "both hold the same state");
    let [a, b] = [0, 1].map(|side| world.sides[side].channel.view());
    assert_eq!((a.balance.0, b.balance.0), balances, "nothing is lost, nothing is won");
    for side in 0..2 {
        let view = world.sides[side].channel.view();
        assert!(!view.data_lost, "{side} is recovered");
        assert_eq!(
            (view.life, view.online, view.in_flight),
            (Life::Active, Online::Yes, 0),
            "{side} is alive"
        );
    }
    for side in 0..2 {
        world.pay(side, 3).expect("payments flow");
    }
    world.settle();
    assert_eq!(
        world.sides[0].channel.state(),
        world.sides[1].channel.state(),
        "and both hold the same state"
    );
    assert_eq!(world.sides[0].channel.view().balance.0, balances.0, "three there, three back");
    assert_eq!(world.blamed, 0, "no honest party is blamed");
    for orders in &world.orders {
        let posted =
            |effect: &Effect| matches!(effect, Effect::PostClose { .. } | Effect::SubmitClose { .. });
        assert!(!orders.iter().any(posted), "nothing was posted");
    }
}

pub fn pay_both_ways(world: &mut World, times: u64) {
    for number in 0..times {
        world.pay(usize::try_from(number % 2).expect("fits"), 2).expect("paid");
        world.settle();
    }
}

pub fn evidence(channel: &Channel) -> Evidence {
    let held = channel.held();
    let newest = held.co_signed(channel.me()).expect("it is complete");
    Evidence { content: held.content.clone(), a: newest.a, b: newest.b }
}

pub fn alarms(world: &World, side: usize) -> Vec<Alarm> {
    let alarm = |fact: &Effect| match fact {
        Effect::Alarm(alarm) => Some(alarm.clone()),
        _ => None,
    };
    world.sides[side].facts.iter().filter_map(alarm).collect()
}

/// A channel of which a side has nothing but its key and the ledger.
pub fn rebuilt(world: &World, side: usize) -> Channel {
    let (outpoint, entry) = World::funding_entry(&world.sides[side].channel);
    let origin =
        Origin { chain: chain(), outpoint, output: entry.output, peer: PublicKey([0; 32]), key_index: 1 };
    Channel::rebuild(origin, Arc::clone(&world.sides[side].keys), world.now).expect("its key is in it")
}

pub fn lose_everything(world: &mut World, side: usize) {
    world.disconnect();
    world.forgetful = true;
    let channel = rebuilt(world, side);
    world.sides[side].rows.clear();
    world.sides[side].asked.clear();
    world.sides[side].channel = channel;
    world.turn(side, Vec::new(), Cut::Nowhere);
}
