//! What is refused, and burnt with it: numbers, finality, limits (SPEC P-8, P-11, P-12, P-14).

mod common;

use common::forge::{ack, state};
use common::world::{Crypto, Cut, World};
use towpath_protocol::limits::{QUEUE_MAX, REQUESTS_MAX, UPDATES_MAX};
use towpath_protocol::{
    ChannelMessage, Command, Event, Pacing, Receive, Refuse, RefuseReason, Refused, Reject,
};

const NO: Command = Command::SetReceive(Receive::Nothing);
const YES: Command = Command::SetReceive(Receive::Any);

fn refuse(version: u64, update: u16) -> ChannelMessage {
    ChannelMessage::Refuse(Refuse {
        what: Refused::Proposal { version, update },
        reason: RefuseReason::Unwanted,
    })
}

fn hear(world: &mut World, side: usize, message: ChannelMessage) -> Vec<Reject> {
    world.turn(side, vec![Event::Message(message)], Cut::Nowhere)
}

/// The version that `side` signed last.
fn newest(world: &World, side: usize) -> u64 {
    world.sides[side].channel.mark().version
}

#[test]
fn c15_a_session_that_ends_after_a_refusal_goes_on() {
    // Accepted, refused, proposed anew: then the session ends, at every point in between.
    for delivered in 0..12 {
        let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
        world.command(0, Command::SetPacing(Pacing { ack_every: 9 })).expect("fine");
        world.pay(0, 1).expect("paid");
        world.deliver(1, 9, Cut::Nowhere);
        world.command(1, NO).expect("fine");
        world.pay(0, 2).expect("paid");
        world.pay(0, 3).expect("paid");
        for step in 0..delivered {
            world.deliver(1 - step % 2, 1, Cut::Nowhere);
            if step == 2 {
                world.command(1, YES).expect("fine");
            }
        }
        world.disconnect();
        world.connect();
        world.settle();
        world.assert_quiescent();
        world.pay(0, 5).expect("payments flow");
        world.settle();
        world.assert_quiescent();
    }
}

#[test]
fn more_refusals_than_versions_in_flight_do_not_stop_a_channel() {
    for side in 0..2 {
        let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
        world.command(1 - side, NO).expect("fine");
        assert!(world.pay_many(side, &[1; 200]).is_empty());
        world.settle();
        world.assert_quiescent();
        assert_eq!(world.sides[side].failed.len(), 200);
        world.command(1 - side, YES).expect("fine");
        world.pay(side, 7).expect("payments flow");
        world.settle();
        world.assert_quiescent();
    }
}

#[test]
fn a_full_pipeline_that_is_refused_goes_on() {
    let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
    world.command(0, Command::SetPacing(Pacing { ack_every: 1_000 })).expect("fine");
    world.command(1, NO).expect("fine");
    for _ in 0..100 {
        world.pay(0, 1).expect("accepted, and waits");
    }
    assert!(world.sides[0].channel.view().in_flight >= 60, "up to the bound");
    world.deliver(1, usize::MAX, Cut::Nowhere);
    world.command(1, YES).expect("fine");
    world.settle();
    world.assert_quiescent();
    assert_eq!(world.sides[0].failed.len(), 1, "the one that was refused");
    assert_eq!(world.sides[1].received.len(), 99);
}

#[test]
fn a_pipeline_full_of_bytes_that_is_refused_goes_on() {
    let mut world = World::open(Crypto::Fast, 10_000, 1_000, 0);
    world.command(1, NO).expect("fine");
    assert!(world.pay_many(0, &[1; 4_090]).is_empty());
    assert!(world.wires[1].len() >= 7, "as many as fit");
    world.deliver(1, usize::MAX, Cut::Nowhere);
    world.command(1, YES).expect("fine");
    world.settle();
    world.assert_quiescent();
    assert_eq!(world.sides[0].failed.len(), 1);
}

/// A sequencer with 50 proposes to take 100 and pay 5, and then to pay 120 out of that; both are burnt.
fn spent_before_it_was_got() -> World {
    let mut world = World::open(Crypto::Fast, 50, 1_000, 0);
    world.pay(1, 100).expect("B pays");
    world.command(0, Command::SetPacing(Pacing { ack_every: 9 })).expect("fine");
    let request = world.wires[0].drain(..).map(Event::Message);
    let mut events: Vec<Event> = request.collect();
    world.token += 1;
    let (token, amount) = (world.token, common::amount(5));
    world.sides[0].asked.insert(token, amount);
    events.push(Event::Command { token, command: Command::Pay { amount, memo: None } });
    assert_eq!(world.turn(0, events, Cut::Nowhere), []);
    world.pay(0, 120).expect("what was proposed can be promised on");
    world.command(1, NO).expect("fine");
    world
}

#[test]
fn what_was_burnt_fails_only_once_it_is_undone() {
    let mut world = spent_before_it_was_got();
    // The follower refuses what pays it. Its refusal burns its own payment too, so 120 can't be proposed again at once,
    // yet the follower could still complete the version that contains it.
    world.deliver(1, 1, Cut::Nowhere);
    world.deliver(0, 1, Cut::Nowhere);
    assert_eq!(world.sides[0].failed.len(), 0, "nothing is undone yet");
    world.command(1, YES).expect("fine");
    world.settle();
    world.assert_quiescent();
}

#[test]
fn what_was_burnt_can_be_restored_whatever_waits() {
    for cut in [Cut::Nowhere, Cut::BeforeEffects] {
        let mut world = spent_before_it_was_got();
        world.deliver(1, 1, Cut::Nowhere);
        // The session ends in the turn in which the refusal arrives: nothing can be proposed in it.
        let refusal = world.wires[0].drain(..).map(Event::Message).chain([Event::Disconnected]).collect();
        world.turn(0, refusal, cut);
        if cut == Cut::Nowhere {
            world.disconnect();
            world.crash(0);
        }
        world.connect();
        world.settle();
        world.assert_quiescent();
    }
}

#[test]
fn a_payment_that_was_burnt_twice_waits_for_the_later_version() {
    for crash in [false, true] {
        let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
        world.command(0, Command::SetPacing(Pacing { ack_every: 9 })).expect("fine");
        world.pay(0, 1).expect("paid");
        world.pay_many(0, &[2, 3]);
        // Version 2 is refused, and 3 is burnt with it: its payments are proposed again in 5, on the empty version 4.
        assert_eq!(hear(&mut world, 0, refuse(2, 0)), []);
        assert_eq!(newest(&world, 0), 5);
        // Then payment 3 is refused in version 5, while 4 is open: 6 is empty, and 7 has what is left.
        assert_eq!(hear(&mut world, 0, refuse(5, 1)), []);
        assert_eq!(newest(&world, 0), 7);
        if crash {
            world.crash(0);
            world.connect();
            world.deliver(0, 1, Cut::Nowhere);
        }
        // Once 4 is co-signed nobody can complete 2 or 3; but 5 is built on 4, and the follower could still sign it.
        for (version, failed) in [(4, vec![1]), (6, vec![1, 3])] {
            let signed = state(&world.sides[0].channel, version, &[]);
            assert_eq!(hear(&mut world, 0, ack(Crypto::Fast, 1, &signed)), []);
            assert_eq!(world.sides[0].channel.held().version(), version);
            assert_eq!(world.sides[0].failed.iter().copied().collect::<Vec<u64>>(), failed);
        }
        assert_eq!(world.sides[0].unsettled().keys().copied().collect::<Vec<u64>>(), [2], "it is in 7");
    }
}

#[test]
fn a_late_acknowledgement_of_a_burnt_version_is_a_breach() {
    let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
    world.pay(0, 1).expect("paid");
    let version = newest(&world, 0);
    // The follower signs it, and then refuses it.
    world.deliver(1, 1, Cut::Nowhere);
    let ack = world.wires[0].pop_front().expect("an acknowledgement");
    assert!(matches!(ack, ChannelMessage::Ack(_)));
    assert_eq!(hear(&mut world, 0, refuse(version, 0)), []);
    assert_eq!(hear(&mut world, 0, ack), [Reject::NotOpen(version)]);
    assert!(world.sides[0].failed.is_empty(), "it was signed by both: the follower can post it");
}

#[test]
fn a_refusal_of_what_is_not_there_is_a_breach() {
    let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
    world.pay(0, 1).expect("paid");
    let version = newest(&world, 0);
    assert_eq!(hear(&mut world, 0, refuse(version + 1, 0)), [Reject::NotOpen(version + 1)]);
    assert_eq!(hear(&mut world, 0, refuse(version, 1)), [Reject::Unexpected("refusal")]);
    assert_eq!(hear(&mut world, 0, refuse(1, 0)), [Reject::NotOpen(1)]);
    world.settle();
    world.assert_agreed();
}

#[test]
fn refusals_of_requests_count_once() {
    let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
    world.command(0, NO).expect("fine");
    world.pay_many(1, &[4, 5]);
    let request = world.wires[0].front().cloned().expect("a request");
    world.settle();
    assert_eq!(world.sides[1].failed.len(), 2);
    world.command(0, YES).expect("fine");
    // The same request again, from the same session: the sequencer would include it, the payer does not.
    assert_eq!(hear(&mut world, 0, request), []);
    world.settle();
    world.assert_quiescent();
    assert_eq!(world.sides[0].received.len(), 0);
}

#[test]
fn p13_a_follower_has_no_more_requests_open_than_its_bound() {
    let mut world = World::open(Crypto::Fast, 1_000, 2_000, 0);
    assert!(world.pay_many(1, &[1; REQUESTS_MAX + 1]).is_empty());
    assert_eq!(world.sides[1].sent.len(), REQUESTS_MAX, "the others wait, without a number");
    assert_eq!(world.sides[1].channel.view().waiting, REQUESTS_MAX + 1);
    world.settle();
    world.assert_quiescent();
    assert_eq!(world.sides[0].received.len(), REQUESTS_MAX + 1);
}

#[test]
fn p8_no_more_bytes_are_in_flight_than_the_bound() {
    let mut world = World::open(Crypto::Fast, 10_000, 1_000, 0);
    assert!(world.pay_many(0, &[1; QUEUE_MAX]).is_empty());
    let full = world.wires[1].len();
    assert_eq!(full, QUEUE_MAX / UPDATES_MAX, "each as large as it may be");
    assert!(world.pay_many(0, &[1; 9]).is_empty());
    assert_eq!(world.wires[1].len(), full, "what comes now waits");
    assert_eq!(world.sides[0].channel.view().waiting, 9);
    world.settle();
    world.assert_quiescent();
    assert_eq!(world.sides[1].received.len(), QUEUE_MAX + 9);
}
