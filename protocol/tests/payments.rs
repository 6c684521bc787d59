//! Payments between two honest parties, over wires that work.

mod common;

use common::world::{Crypto, Cut, World};
use towpath_protocol::limits::{ACK_AT_LATEST, ACK_DELAY_MS_MAX, IN_FLIGHT_MAX, QUEUE_MAX};
use towpath_protocol::{
    Answer, ChannelEvent, ChannelMessage, Command, Effect, Journal, Pacing, Receive, Reject, Turnholder,
};

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
        world.deliver(1, 1, Cut::Nowhere);
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

#[test]
fn p8_p9_a_silent_follower_stops_a_stream_at_its_bound_and_not_before() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.command(0, Command::SetPacing(Pacing { ack_every: 1_000 })).expect("fine");
    for _ in 0..80 {
        world.pay(0, 1).expect("accepted, and waits");
    }
    let asks: Vec<bool> = world.wires[1]
        .iter()
        .map(|message| matches!(message, ChannelMessage::Propose(propose) if propose.answer == Answer::Now))
        .collect();
    let bound = usize::try_from(IN_FLIGHT_MAX).expect("small") - 1;
    assert_eq!(asks.len(), bound, "what is more waits for an answer");
    let first = asks.iter().position(|asked| *asked);
    assert_eq!(first, usize::try_from(ACK_AT_LATEST).ok().map(|at| at - 1), "an answer is asked for in time");
    world.settle();
    world.assert_quiescent();
    assert_eq!(world.sides[1].received.len(), 80);
}

#[test]
fn p15_a_claim_is_answered_after_its_delay() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.command(0, Command::SetPacing(Pacing { ack_every: 1_000 })).expect("fine");
    world.pay(0, 1).expect("paid");
    assert_eq!(world.sides[1].channel.next_deadline_ms(), None);
    world.deliver(1, 1, Cut::Nowhere);
    let due = world.now.local_ms + ACK_DELAY_MS_MAX;
    assert_eq!(world.sides[1].channel.next_deadline_ms(), Some(due));
    for (now, answers) in [(due - 1, 0), (due, 1)] {
        world.now.local_ms = now;
        world.turn(1, Vec::new(), Cut::Nowhere);
        assert_eq!(world.wires[0].len(), answers);
    }
    assert_eq!(world.sides[1].channel.next_deadline_ms(), None);
    world.settle();
    world.assert_quiescent();
}

#[test]
fn callers_are_told_why_a_payment_is_not_taken() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 100);
    for side in 0..2 {
        assert_eq!(world.pay(side, 0), Err(Reject::ZeroAmount));
        let spendable = [900, 400][side];
        for wanted in [spendable + 1, u64::MAX] {
            let expected =
                Reject::Balance { wanted: common::amount(wanted), spendable: common::amount(spendable) };
            assert_eq!(world.pay(side, wanted), Err(expected));
        }
    }
    world.disconnect();
    assert_eq!(world.pay(0, 1), Err(Reject::Offline));
    let flood = vec![1; QUEUE_MAX + 1];
    let mut rich = World::open(Crypto::Fast, 100_000, 500, 0);
    assert_eq!(rich.pay_many(0, &flood), [Reject::Busy]);
    rich.settle();
    rich.assert_quiescent();
}

#[test]
fn c10_every_unit_can_be_paid_to_and_fro() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 100);
    for round in 0..6 {
        let payer = round % 2;
        let all = world.sides[payer].channel.spendable().0;
        world.pay(payer, all).expect("all above the reserve");
        assert_eq!(world.sides[payer].channel.spendable().0, 0);
        world.settle();
        world.assert_quiescent();
        assert_eq!(world.sides[payer].channel.view().balance.0, 100, "the reserve stays");
    }
}

#[test]
fn p24_the_log_is_a_chain_that_no_crash_breaks() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    for round in 0..12 {
        world.pay(round % 2, 3).expect("paid");
        world.deliver(1, 1, [Cut::Nowhere, Cut::BeforeWrite, Cut::BeforeEffects][round % 3]);
        world.connect();
        world.settle();
    }
    for side in &world.sides {
        let log: Vec<ChannelEvent> = side
            .facts
            .iter()
            .filter_map(|fact| match fact {
                Effect::Event(event) => Some((**event).clone()),
                _ => None,
            })
            .collect();
        let mut reader = Journal::default();
        assert!(log.iter().all(|event| reader.verify(event)), "each entry follows the one before");
        assert_eq!(reader, *side.channel.journal(), "and the last is the one that the machine knows");
        for (position, event) in log.iter().enumerate() {
            let mut changed = event.clone();
            changed.local_ms += 1;
            let mut reader = Journal::default();
            log[..position].iter().for_each(|event| assert!(reader.verify(event)));
            assert!(!reader.verify(&changed), "a changed entry is found");
            if let Some(next) = log.get(position + 1) {
                assert!(!reader.verify(next), "a missing one, too");
            }
        }
    }
}

#[test]
fn every_command_that_is_carried_out_is_answered() {
    let commands = [
        Command::SetPacing(Pacing { ack_every: 2 }),
        Command::SetReceive(Receive::Any),
        Command::TakeSequencer,
        Command::HandOver,
        Command::Close,
        Command::ForceClose { fee: towpath_ledger::Amount(1) },
    ];
    for side in 0..2 {
        let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
        for command in commands {
            let token = world.command(side, command).expect("carried out");
            let done = world.orders[side].iter().filter(|order| **order == Effect::Done { token });
            assert_eq!(done.count(), 1, "{command:?}");
        }
    }
}
