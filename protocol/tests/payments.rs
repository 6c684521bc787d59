//! Payments between two honest parties, over wires that work.

mod common;

use common::world::{Crypto, World};
use towpath_protocol::{Command, Pacing, Receive, Reject, Turnholder};

#[test]
fn payments_in_both_directions_settle() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    world.pay(0, 100).expect("A pays");
    world.pay(1, 30).expect("B pays");
    world.settle();
    world.assert_quiescent();
    assert_eq!(world.sides[0].channel.view().balance.0, 930);
}

#[test]
fn many_payments_of_a_turn_share_a_proposal() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    let before = world.messages;
    assert!(world.pay_many(0, &[1; 300]).is_empty());
    world.settle();
    world.assert_quiescent();
    assert_eq!(world.messages - before, 2, "one proposal, one acknowledgement");
}

#[test]
fn a_stream_needs_no_answer_within_its_pace() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.command(0, Command::SetPacing(Pacing { ack_every: 16 })).expect("fine");
    let before = world.messages;
    for _ in 0..15 {
        world.pay(0, 1).expect("paid");
        world.deliver(1, 1, common::world::Cut::Nowhere);
    }
    assert_eq!(world.messages - before, 15, "claims only");
    assert_eq!(world.sides[1].received.len(), 15, "each is final at once");
    world.settle();
    world.assert_quiescent();
}

#[test]
fn c25_the_sum_of_accepted_payments_never_exceeds_the_balance() {
    for side in 0..2 {
        let mut world = World::open(Crypto::Fast, 1_000, 1_000, 100);
        let rejects = world.pay_many(side, &[7; 1_000]);
        let accepted = 1_000 - rejects.len();
        assert_eq!(accepted, 900 / 7);
        assert!(rejects.iter().all(|reject| matches!(reject, Reject::Balance { .. })));
        world.settle();
        world.assert_quiescent();
    }
}

#[test]
fn the_role_changes_hands_in_both_ways() {
    let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
    world.command(1, Command::TakeSequencer).expect("fine");
    world.pay(1, 5).expect("paid");
    world.pay(0, 6).expect("paid");
    world.settle();
    assert_eq!(world.sides[1].channel.turnholder(), Turnholder::Sequencer);
    world.assert_quiescent();
    world.command(1, Command::HandOver).expect("fine");
    world.pay(0, 7).expect("paid");
    world.settle();
    assert_eq!(world.sides[0].channel.turnholder(), Turnholder::Sequencer);
    world.assert_quiescent();
}

#[test]
fn a_refused_payment_fails_and_the_rest_goes_on() {
    for side in 0..2 {
        let mut world = World::open(Crypto::Fast, 1_000, 1_000, 0);
        world.command(1 - side, Command::SetReceive(Receive::Nothing)).expect("fine");
        for _ in 0..3 {
            world.pay_many(side, &[5, 6]);
        }
        world.pay(1 - side, 9).expect("the other direction is open");
        world.settle();
        world.assert_quiescent();
        assert_eq!(world.sides[side].failed.len(), 6);
        world.command(1 - side, Command::SetReceive(Receive::Any)).expect("fine");
        world.pay(side, 8).expect("paid");
        world.settle();
        world.assert_quiescent();
    }
}
