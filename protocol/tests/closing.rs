//! Closing together: from every point of a channel's life, by either side and by both at once (FAULTS C11, SPEC P-20),
//! paid by the real rules of the ledger.

mod common;

use common::harbour::Harbour;
use common::script::{Return, Step, Step::*, play, rest};
use common::world::{Crypto, Cut, Faults, WireFault, World};
use towpath_protocol::{ClosingStage, Command, Effect, Event, Life, Receive, Reject, Settlement};

const AGREED: Life = Life::Closing(ClosingStage::Agreed);

/// Both have signed the same final balances, and each has what it was told.
fn assert_final(world: &World) {
    world.assert_agreed();
    for side in &world.sides {
        assert_eq!(side.channel.life(), AGREED);
        assert!(side.channel.state().is_final);
        assert!(side.channel.held().co_signed(side.party).is_some(), "each can post it");
    }
}

/// Lets a channel that is being closed end on the ledger, and checks that everybody was paid what the final state says.
fn settle_on_ledger(mut harbour: Harbour) {
    let told = [0, 1].map(|side| harbour.world.sides[side].told());
    harbour.run_to_rest();
    let (version, outcome) = harbour.end.expect("it ended");
    assert_eq!(outcome, Settlement::Cooperative);
    for (side, told) in told.into_iter().enumerate() {
        assert_eq!(harbour.paid(side), told, "paid what it was told");
        let channel = &harbour.world.sides[side].channel;
        assert_eq!(channel.life(), Life::Settled(Settlement::Cooperative));
        assert_eq!(channel.state().version, version);
        assert_eq!(harbour.world.sides[side].told(), told, "the end changes nothing");
        assert!(harbour.world.sides[side].alarms().is_empty());
    }
}

#[test]
fn c11_either_side_and_both_at_once_close_with_what_is_open() {
    for closers in [&[0][..], &[1], &[0, 1], &[1, 0]] {
        for first in 0..2 {
            let mut harbour = Harbour::open(Crypto::Real, 1_000, 500, 10);
            let world = &mut harbour.world;
            // Payments of both are under way when the close begins.
            world.pay(first, 20).expect("paid");
            world.pay(1 - first, 30).expect("paid");
            for side in closers {
                world.command(*side, Command::Close).expect("closes");
                assert_eq!(world.pay(*side, 1), Err(Reject::Closing));
            }
            world.settle();
            assert_final(world);
            assert_eq!(
                world.sides[0].received.len() + world.sides[1].received.len(),
                2,
                "accepted before it"
            );
            settle_on_ledger(harbour);
        }
    }
}

#[test]
fn c11_a_close_crosses_payments_a_handover_and_refusals() {
    for closer in 0..2 {
        for giver in 0..3 {
            let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
            let world = &mut harbour.world;
            world.command(1, Command::SetReceive(Receive::Nothing)).expect("fine");
            world.pay_many(0, &[1, 2]);
            world.pay_many(1, &[3, 4]);
            if giver < 2 {
                world.command(giver, [Command::HandOver, Command::TakeSequencer][giver]).expect("fine");
            }
            world.deliver(1, 1, Cut::Nowhere);
            world.command(closer, Command::Close).expect("closes");
            world.command(1, Command::SetReceive(Receive::Any)).expect("fine");
            world.settle();
            assert_final(world);
            assert_eq!(world.sides[1].sent.len(), 2);
            settle_on_ledger(harbour);
        }
    }
}

#[test]
fn c11_nothing_follows_a_final_state() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.command(0, Command::Close).expect("closes");
    world.settle();
    let version = world.sides[0].channel.state().version;
    for side in 0..2 {
        assert_eq!(world.pay(side, 1), Err(Reject::Closing));
        assert_eq!(world.command(side, Command::TakeSequencer), Err(Reject::Closing));
        assert_eq!(world.command(side, Command::HandOver), Err(Reject::Closing));
        world.command(side, Command::Close).expect("asking again is fine");
        // Closing alone is not needed: both can post the final state.
        world.command(side, Command::ForceClose { fee: common::amount(0) }).expect("posts what is agreed");
    }
    world.crash(0);
    world.crash(1);
    world.connect();
    world.settle();
    assert_final(&world);
    assert_eq!(world.sides[0].channel.mark().version, version, "nothing was signed after it");
    let posts = world.orders.iter().flatten();
    assert!(posts.clone().any(|order| matches!(order, Effect::SubmitClose { .. })));
    assert!(!posts.clone().any(|order| matches!(order, Effect::PostClose { .. })));
}

#[test]
fn what_crosses_a_final_state_is_answered() {
    // The follower asks for payments while the final state is on its way to it.
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.command(0, Command::Close).expect("closes");
    world.pay(1, 5).expect("it does not know yet");
    world.pay(1, 6).expect("it does not know yet");
    world.settle();
    assert_final(&world);
    assert_eq!(world.sides[1].failed.len(), 2, "each payment fails by name");
}

const CLOSES: [&[Step]; 3] = [
    &[Pay(0, 10), Close(0), Pay(1, 20), Talk],
    &[Pace(0, 9), Pay(0, 1), Pay(0, 2), Burst(1, &[3, 4]), Close(1), Hear(0, 1), Close(0), Talk],
    &[Pace(0, 9), Shut(1), Pay(0, 1), Pay(0, 2), Close(0), Hear(1, 1), Unshut(1), Talk],
];

/// Plays the closes with a fault, and lets the ledger end what both agreed on.
fn close_with(faults: impl Fn(&World) -> Vec<Faults>) {
    for script in CLOSES {
        for sequencer in 0..2 {
            let clean = play(sequencer, script, Faults::default(), Return::AtOnce);
            assert_final(&clean);
            for fault in faults(&clean) {
                let mut world = play(sequencer, script, fault, Return::AtOnce);
                // A crash before the write of a command forgets it: the caller was not answered, and asks again.
                world.command(sequencer, Command::Close).expect("again");
                rest(&mut world);
                assert_final(&world);
            }
        }
    }
}

#[test]
fn c11_c15_a_crash_in_every_turn_of_a_close() {
    close_with(|clean| {
        let cuts = [Cut::BeforeWrite, Cut::BeforeEffects];
        let faults = |turn| cuts.map(|cut| Faults { cut: Some((turn, cut)), wire: None });
        (1..=clean.turns).flat_map(faults).collect()
    });
}

#[test]
fn c11_c15_a_wire_that_fails_at_every_message_of_a_close() {
    let kinds = [WireFault::Break, WireFault::Drop, WireFault::Duplicate, WireFault::Delay(1)];
    close_with(|clean| {
        let faults = |number| kinds.map(|kind| Faults { cut: None, wire: Some((number, kind)) });
        (1..=clean.messages).flat_map(faults).collect()
    });
}

#[test]
fn c11_a_side_that_alone_knows_of_the_agreement_is_enough() {
    // B signs the final state, and its acknowledgement never arrives: B posts, A learns of it from the ledger.
    let mut harbour = Harbour::open(Crypto::Real, 1_000, 500, 0);
    harbour.world.pay(0, 100).expect("paid");
    harbour.world.settle();
    harbour.world.command(0, Command::Close).expect("closes");
    harbour.world.deliver(1, 1, Cut::Nowhere);
    assert_eq!(harbour.world.sides[1].channel.life(), AGREED);
    harbour.world.disconnect();
    settle_on_ledger_of_one(harbour);
}

fn settle_on_ledger_of_one(mut harbour: Harbour) {
    harbour.run_to_rest();
    assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Cooperative));
    assert_eq!((harbour.paid(0), harbour.paid(1)), (900, 600));
    for side in &harbour.world.sides {
        assert_eq!(side.channel.life(), Life::Settled(Settlement::Cooperative));
        assert!(side.alarms().is_empty());
    }
}

#[test]
fn c11_a_final_state_that_is_never_signed_leaves_the_way_alone() {
    // B goes silent on the final state: A closes alone with the newest state that both signed.
    let mut harbour = Harbour::open(Crypto::Real, 1_000, 500, 0);
    harbour.world.pay(0, 100).expect("paid");
    harbour.world.settle();
    harbour.world.command(0, Command::Close).expect("closes");
    assert_eq!(harbour.world.sides[0].channel.life(), Life::Closing(ClosingStage::Finishing));
    harbour.world.disconnect();
    harbour.world.command(0, Command::ForceClose { fee: common::amount(2) }).expect("closes alone");
    harbour.run_to_rest();
    assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Unilateral));
    assert_eq!(harbour.paid(0), 898);
    assert!(harbour.paid(1) >= 600 - common::ledger::ANSWER_FEE);
}

#[test]
fn c24_reports_after_the_end_change_nothing() {
    let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
    harbour.world.command(1, Command::Close).expect("closes");
    harbour.world.settle();
    harbour.block(1_000);
    let news: Vec<_> = harbour.news[0].iter().cloned().collect();
    harbour.tell_all();
    let rows = harbour.world.sides[0].rows.clone();
    let facts = harbour.world.sides[0].facts.len();
    for event in news {
        assert_eq!(harbour.world.turn(0, vec![Event::Ledger(event)], Cut::Nowhere), []);
    }
    harbour.world.crash(0);
    assert_eq!(harbour.world.sides[0].rows, rows, "the same event again, and a restart");
    assert_eq!(harbour.world.sides[0].facts.len(), facts);
    assert_eq!(harbour.world.pay(0, 1), Err(Reject::Closing));
    let force = Command::ForceClose { fee: common::amount(0) };
    assert_eq!(harbour.world.command(0, force), Err(Reject::Closing));
}

#[test]
fn c11_what_is_agreed_is_posted_when_it_is_agreed_and_when_somebody_asks() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    let posts = |world: &World, side: usize| {
        let posts = |order: &&Effect| matches!(order, Effect::SubmitClose { .. });
        world.orders[side].iter().filter(posts).count()
    };
    world.command(0, Command::Close).expect("closes");
    world.settle();
    assert_final(&world);
    for side in 0..2 {
        assert_eq!(posts(&world, side), 1, "once, although turns have passed since");
        world.turn(side, Vec::new(), Cut::Nowhere);
        assert_eq!(posts(&world, side), 1);
        world.command(side, Command::Close).expect("asking again is fine");
        assert_eq!(posts(&world, side), 2);
        world.command(side, Command::ForceClose { fee: common::amount(0) }).expect("posts what is agreed");
        assert_eq!(posts(&world, side), 3);
    }
}

#[test]
fn c11_a_channel_that_is_closed_alone_is_not_closed_together() {
    let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
    harbour.world.command(0, Command::ForceClose { fee: common::amount(0) }).expect("closes alone");
    assert_eq!(harbour.world.command(0, Command::Close), Err(Reject::Closing));
    harbour.block(1_000);
    harbour.tell_all();
    for side in 0..2 {
        assert_eq!(harbour.world.command(side, Command::Close), Err(Reject::Closing), "{side}");
    }
    harbour.run_to_rest();
    assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Unilateral));
    assert_eq!(harbour.world.command(1, Command::Close), Err(Reject::Closing), "it is over");
}

#[test]
fn c15_an_answer_to_final_balances_that_was_lost_is_given_again() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.command(0, Command::Close).expect("closes");
    let last = world.wires[1].back().cloned().expect("final balances");
    world.deliver(1, 9, Cut::Nowhere);
    assert_eq!(world.sides[1].channel.life(), AGREED);
    world.wires[0].clear();
    world.wires[1].push_back(last);
    assert_eq!(world.deliver(1, 1, Cut::Nowhere), []);
    world.settle();
    assert_final(&world);
}
