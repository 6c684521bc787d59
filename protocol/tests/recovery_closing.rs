//! Data that is lost while a channel is being closed (SPEC P-54, P-56): what is answered, what is learned, and who closes
//! alone.

mod common;

use common::loss::{copy, evidence, lose_everything, pay_both_ways, put_back, recover, recovery, restart};
use common::world::{Crypto, Cut, World};
use towpath_ledger::{Amount, Closing, Deadline, OutPoint, Party, Time};
use towpath_protocol::{
    ClosingStage, Command, Effect, Event, Evidence, Failure, Immediate, LedgerEvent, Life, RecoveryEvent,
    Reject, Settlement,
};

fn closing(world: &World, side: usize, version: u64) -> Box<Closing> {
    let channel = &world.sides[side].channel;
    let mut state = channel.state().clone();
    state.version = version;
    Box::new(Closing {
        terms: channel.terms().clone(),
        capacity: channel.capacity(),
        state,
        posted_version: version,
        author: Party::B,
        deadline: Deadline::FromCreation,
        penalized: false,
        author_fees: Amount(0),
        other_fees: Amount(0),
    })
}

#[test]
fn s10_a_party_that_signed_final_balances_closes_alone_when_the_other_has_lost_its_data() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 4);
    let old = copy(&world, 1);
    pay_both_ways(&mut world, 4);
    // A signs the end; B never hears of it.
    world.command(0, Command::Close).expect("it drains");
    assert_eq!(world.sides[0].channel.view().life, Life::Closing(ClosingStage::Finishing));
    let held = world.sides[0].channel.view().version;
    put_back(&mut world, 1, &old);
    recover(&mut world);
    assert!(world.sides[1].channel.is_lost(), "A signs nothing above the end, so B cannot go on");
    assert_eq!(world.sides[1].channel.view().version, held, "but it knows what A holds");
    let wants = |orders: &[Effect]| orders.contains(&Effect::CloseAlone);
    assert!(wants(&world.orders[0]));
    // A driver that was stopped before it did so is told again, with the next question.
    world.orders[0].clear();
    world.disconnect();
    restart(&mut world, 0);
    recover(&mut world);
    assert!(wants(&world.orders[0]));

    world.command(0, Command::ForceClose { fee: Amount(1) }).expect("it closes alone");
    let posted = world.orders[0].iter().find_map(|effect| match effect {
        Effect::PostClose { state, .. } => Some(state.clone()),
        _ => None,
    });
    let posted = posted.expect("it posts");
    assert_eq!((posted.state.version, posted.state.is_final), (held, false));
    // Nothing that A ever signed says that it held more: no proof against it can exist.
    let mut closing = closing(&world, 0, held);
    closing.author = Party::A;
    let outpoint = OutPoint { tx: towpath_ledger::TxId(towpath_ledger::Digest([6; 32])), index: 0 };
    for side in 0..2 {
        let closing = closing.clone();
        let event = LedgerEvent::Closing { outpoint, created: Time(3_000), closing, fee: Amount(0) };
        world.turn(side, vec![Event::Ledger(event)], Cut::Nowhere);
        let contests = |effect: &Effect| {
            matches!(
                effect,
                Effect::Answer { state: Some(_), .. }
                    | Effect::Answer { proof: Some(_), .. }
                    | Effect::Supersede { .. }
            )
        };
        assert!(!world.orders[side].iter().any(contests), "{side}");
    }
}

#[test]
fn s10_what_was_learned_after_a_loss_is_still_there_once_the_channel_is_settled() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 4);
    let old = copy(&world, 1);
    pay_both_ways(&mut world, 4);
    // A signs the end, so B can't go on: it knows what it signed before the loss from A alone.
    world.command(0, Command::Close).expect("it drains");
    put_back(&mut world, 1, &old);
    recover(&mut world);
    let held = world.sides[0].channel.view().version;
    assert!(world.sides[1].channel.is_lost() && world.sides[1].channel.view().version == held);
    let settled = LedgerEvent::Settled { version: held, outcome: Settlement::Unilateral };
    world.turn(1, vec![Event::Ledger(settled)], Cut::Nowhere);
    assert_eq!(world.sides[1].channel.check(), Ok(()));
    restart(&mut world, 1);
    let view = world.sides[1].channel.view();
    assert_eq!((view.life, view.version), (Life::Settled(Settlement::Unilateral), held));
}

#[test]
fn c3_a_closing_is_answered_once_something_newer_is_found_and_never_with_less() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 3);
    let posted = world.sides[0].channel.view().version;
    pay_both_ways(&mut world, 4);
    let tower = evidence(&world.sides[0].channel);
    let closing = closing(&world, 1, posted);
    lose_everything(&mut world, 0);
    let outpoint = OutPoint { tx: towpath_ledger::TxId(towpath_ledger::Digest([6; 32])), index: 0 };
    let fee = Amount(0);
    let event = LedgerEvent::Closing { outpoint, created: Time(3_000), closing, fee };
    let answered = |world: &World| {
        let answer = |effect: &&Effect| matches!(effect, Effect::Answer { .. } | Effect::Supersede { .. });
        world.orders[0].iter().find(answer).cloned()
    };
    world.turn(0, vec![Event::Ledger(event)], Cut::Nowhere);
    recovery(&mut world, 0, RecoveryEvent::Searched);
    assert_eq!(answered(&world), None, "it has nothing to answer with");
    assert!(world.orders[0].iter().any(|effect| matches!(effect, Effect::Finalize { .. })));
    recovery(&mut world, 0, RecoveryEvent::Found(Box::new(tower.clone())));
    let Some(Effect::Answer { state: Some(state), proof: Some(_), .. }) = answered(&world) else {
        panic!("the tower's state answers, and proves that the author knew better")
    };
    assert_eq!(*state, tower.co_signed());
    assert_eq!(world.sides[0].channel.view().life, Life::Disputed);
}

#[test]
fn an_operator_with_no_one_left_to_ask_can_take_the_risk() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 4);
    world.disconnect();
    recovery(&mut world, 0, RecoveryEvent::Distrust);
    recovery(&mut world, 0, RecoveryEvent::Searched);
    let fee = Amount(1);
    assert_eq!(world.command(0, Command::ForceClose { fee }), Err(Reject::Lost));
    world.command(0, Command::CloseAtRisk { fee }).expect("the operator says so");
    assert!(world.orders[0].iter().any(|effect| matches!(effect, Effect::PostClose { .. })));
    assert_eq!(world.sides[0].channel.view().life, Life::Closing(ClosingStage::Unilateral));
    // It was posted: no other close follows it.
    let again = world.command(0, Command::CloseAtRisk { fee });
    assert!(matches!(again, Err(Reject::Unproven(_))), "{again:?}");
    // Of a channel of which nothing is known there is nothing to close with.
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    lose_everything(&mut world, 0);
    let unknown = world.command(0, Command::CloseAtRisk { fee: Amount(0) });
    assert!(matches!(unknown, Err(Reject::Unproven(_))), "{unknown:?}");
}

#[test]
fn a_recovered_channel_closes_cooperatively() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 4);
    // The peer began to close while the data was lost.
    world.disconnect();
    world.command(1, Command::Close).expect("it drains");
    lose_everything(&mut world, 0);
    recover(&mut world);
    for side in 0..2 {
        assert_eq!(world.sides[side].channel.view().life, Life::Closing(ClosingStage::Agreed), "{side}");
    }
}

#[test]
fn a_final_state_is_learned_like_any_other() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 4);
    let old = copy(&world, 0);
    world.command(1, Command::Close).expect("it drains");
    world.settle();
    put_back(&mut world, 0, &old);
    recover(&mut world);
    assert!(!world.sides[0].channel.is_lost());
    assert_eq!(world.sides[0].channel.view().life, Life::Closing(ClosingStage::Agreed));
    assert!(world.sides[0].channel.state().is_final);
}

/// What is learned may contain payments that only the others remember; it is read again after a restart like anything else.
#[test]
fn s10_final_balances_with_forgotten_payments_survive_a_restart() {
    for lost in 0..2 {
        let mut world = World::open(Crypto::Real, 1_000, 500, 0);
        pay_both_ways(&mut world, 4);
        let old = copy(&world, lost);
        pay_both_ways(&mut world, 4);
        world.command(1 - lost, Command::Close).expect("it drains");
        world.settle();
        put_back(&mut world, lost, &old);
        recover(&mut world);
        for _ in 0..2 {
            let channel = &world.sides[lost].channel;
            assert!(!channel.is_lost() && channel.state().is_final);
            assert_eq!(channel.view().life, Life::Closing(ClosingStage::Agreed));
            restart(&mut world, lost);
        }
    }
}

/// How a party takes the end of its channel, while it has an old copy and was shown a state by somebody else.
fn settled_while_lost(world: &World, shown: Evidence, version: u64) -> Vec<Effect> {
    let mut channel = world.sides[0].channel.clone();
    let end = LedgerEvent::Settled { version, outcome: Settlement::Unilateral };
    let found = RecoveryEvent::Found(Box::new(shown));
    for event in [RecoveryEvent::Distrust, found].map(Event::Recovery).into_iter().chain([Event::Ledger(end)])
    {
        channel.step(event, world.now, &mut Immediate).expect("it is taken");
    }
    let outcome = channel.step(Event::TurnEnd, world.now, &mut Immediate).expect("a turn ends");
    channel.check().expect("it can be read again");
    assert!(matches!(channel.life(), Life::Settled(Settlement::Unilateral)) && !channel.is_lost());
    outcome.effects
}

#[test]
fn p23_an_end_while_data_is_lost_says_of_each_payment_what_is_known() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    world.pay(0, 10).expect("paid");
    world.deliver(1, 1, Cut::Nowhere);
    world.pay(0, 11).expect("paid");
    // Two are open in the copy: one arrived, the other never left.
    let shown = evidence(&world.sides[1].channel);
    let known = shown.content.state.version;
    let one = Effect::Unknown { number: 1 };
    let effects = settled_while_lost(&world, shown.clone(), known);
    assert!(effects.contains(&one), "{effects:?}");
    assert!(effects.contains(&Effect::Failed { number: 2, reason: Failure::Lost }), "{effects:?}");
    // A settlement by a state that nobody showed may contain either.
    let effects = settled_while_lost(&world, shown, known + 1);
    assert!(effects.contains(&one) && effects.contains(&Effect::Unknown { number: 2 }), "{effects:?}");
}

#[test]
fn s10_an_end_with_forgotten_payments_can_be_read_again() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    let old = copy(&world, 0);
    pay_both_ways(&mut world, 4);
    let shown = evidence(&world.sides[1].channel);
    let known = shown.content.state.version;
    put_back(&mut world, 0, &old);
    settled_while_lost(&world, shown, known);
}
