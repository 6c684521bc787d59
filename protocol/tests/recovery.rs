//! Data loss and recovery (SPEC P-50 to P-57): restored backups, channels of which nothing is left, liars, and crashes at
//! each step of the recovery itself.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::world::{Crypto, Cut, World, chain, keys};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, Closing, Deadline, Lock, OutPoint, Output, Party, Time};
use towpath_protocol::{
    Alarm, Channel, ChannelMessage, ClosingStage, Command, Effect, Event, EventKind, Evidence, Failure,
    LedgerEvent, Life, Online, Origin, RecoveryEvent, Reject,
};

/// The disk of a side at some moment: its rows, and what its node recorded with them.
struct Copy {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    sent: BTreeMap<u64, Amount>,
    failed: BTreeSet<u64>,
    received: BTreeMap<u64, Amount>,
    settled: u64,
    first: Amount,
    version: u64,
}

fn copy(world: &World, side: usize) -> Copy {
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
fn put_back(world: &mut World, at: usize, copy: &Copy) {
    world.disconnect();
    world.forgetful = true;
    let side = &mut world.sides[at];
    side.rows = copy.rows.clone();
    (side.sent, side.failed, side.received) = (copy.sent.clone(), copy.failed.clone(), copy.received.clone());
    (side.settled, side.first) = (copy.settled, copy.first);
    restart(world, at);
}

fn restart(world: &mut World, side: usize) {
    world.sides[side].asked.clear();
    world.sides[side].channel = world.sides[side].restored();
}

fn recovery(world: &mut World, side: usize, event: RecoveryEvent) {
    world.turn(side, vec![Event::Recovery(event)], Cut::Nowhere);
}

/// Connects, and lets whoever has lost data ask no one but its peer.
fn recover(world: &mut World) {
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
fn assert_alive(world: &mut World, balances: (u64, u64)) {
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

fn pay_both_ways(world: &mut World, times: u64) {
    for number in 0..times {
        world.pay(usize::try_from(number % 2).expect("fits"), 2).expect("paid");
        world.settle();
    }
}

fn evidence(channel: &Channel) -> Evidence {
    let held = channel.held();
    let newest = held.co_signed(channel.me()).expect("it is complete");
    Evidence { content: held.content.clone(), a: newest.a, b: newest.b }
}

fn alarms(world: &World, side: usize) -> Vec<Alarm> {
    let alarm = |fact: &Effect| match fact {
        Effect::Alarm(alarm) => Some(alarm.clone()),
        _ => None,
    };
    world.sides[side].facts.iter().filter_map(alarm).collect()
}

/// A channel of which a side has nothing but its key and the ledger.
fn rebuilt(world: &World, side: usize) -> Channel {
    let (outpoint, entry) = World::funding_entry(&world.sides[side].channel);
    let origin =
        Origin { chain: chain(), outpoint, output: entry.output, peer: PublicKey([0; 32]), key_index: 1 };
    Channel::rebuild(origin, Arc::clone(&world.sides[side].keys), world.now).expect("its key is in it")
}

fn lose_everything(world: &mut World, side: usize) {
    world.disconnect();
    world.forgetful = true;
    let channel = rebuilt(world, side);
    world.sides[side].rows.clear();
    world.sides[side].asked.clear();
    world.sides[side].channel = channel;
    world.turn(side, Vec::new(), Cut::Nowhere);
}

#[test]
fn s10_c16_a_backup_a_thousand_payments_old_goes_on_alive() {
    for side in 0..2 {
        let mut world = World::open(Crypto::Fast, 100_000, 50_000, 100);
        pay_both_ways(&mut world, 6);
        let old = copy(&world, side);
        for number in 0..1_000 {
            world.pay(usize::from(number % 3 == 0), 7).expect("paid");
            world.settle();
        }
        let balances = [0, 1].map(|side| world.sides[side].channel.view().balance.0);
        put_back(&mut world, side, &old);
        recover(&mut world);
        let noticed = alarms(&world, side);
        assert!(
            noticed
                .iter()
                .any(|alarm| matches!(alarm, Alarm::DataLost { proven, .. } if *proven > old.version)),
            "the loss is noticed: {noticed:?}"
        );
        assert_alive(&mut world, (balances[0], balances[1]));
    }
}

#[test]
fn s10_nothing_is_signed_closed_or_paid_before_the_recovery() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 4);
    let old = copy(&world, 0);
    pay_both_ways(&mut world, 4);
    put_back(&mut world, 0, &old);
    recovery(&mut world, 0, RecoveryEvent::Distrust);
    world.connect();
    world.settle();
    assert!(world.sides[0].channel.is_lost());
    assert_eq!(world.pay(0, 1), Err(Reject::Lost));
    assert_eq!(world.command(0, Command::Close), Err(Reject::Lost));
    let fee = Amount(1);
    assert_eq!(world.command(0, Command::ForceClose { fee }), Err(Reject::Lost));
    assert!(world.pay(1, 1).is_ok() || !world.sides[1].channel.is_lost());
    world.settle();
    recovery(&mut world, 0, RecoveryEvent::Searched);
    world.settle();
    assert!(!world.sides[0].channel.is_lost());
    assert_eq!(world.sides[0].channel.state(), world.sides[1].channel.state());
}

#[test]
fn s10_a_channel_of_which_nothing_is_left_comes_back_from_ledger_and_peer() {
    for side in 0..2 {
        let mut world = World::open(Crypto::Real, 1_000, 500, 10);
        pay_both_ways(&mut world, 5);
        let balances = [0, 1].map(|side| world.sides[side].channel.view().balance.0);
        lose_everything(&mut world, side);
        let view = world.sides[side].channel.view();
        assert_eq!(
            (view.version, view.balance.0, view.spendable.0),
            (0, 0, 0),
            "nothing counts as its own yet"
        );
        restart(&mut world, side);
        recover(&mut world);
        assert_alive(&mut world, (balances[0], balances[1]));
        restart(&mut world, side);
        world.disconnect();
        world.connect();
        world.settle();
        assert_eq!(world.sides[side].channel.view().online, Online::Yes, "what was recovered is durable");
    }
}

#[test]
fn s10_an_old_copy_that_has_lost_nothing_goes_on_too() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 10);
    pay_both_ways(&mut world, 5);
    for side in 0..2 {
        recovery(&mut world, side, RecoveryEvent::Distrust);
        world.disconnect();
        recover(&mut world);
        let balances = [0, 1].map(|side| world.sides[side].channel.view().balance.0);
        assert_alive(&mut world, (balances[0], balances[1]));
    }
}

/// What a run of the recovery does, cut at its `at`-th turn: how many turns it took.
fn cut_recovery(lost: usize, crashing: usize, cut: Cut, at: usize) -> usize {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 10);
    pay_both_ways(&mut world, 4);
    let old = copy(&world, lost);
    pay_both_ways(&mut world, 6);
    // Something is under way when the data is lost.
    world.pay(0, 5).expect("paid");
    world.pay(1, 4).expect("paid");
    put_back(&mut world, lost, &old);
    let mut turns = 0;
    for _ in 0..60 {
        world.connect();
        for side in 0..2 {
            let mut events: Vec<Event> = world.wires[side].drain(..).map(Event::Message).collect();
            if side == lost && world.sides[side].channel.is_lost() {
                events.push(Event::Recovery(RecoveryEvent::Searched));
            }
            let here = if side == crashing && turns == at { cut } else { Cut::Nowhere };
            world.turn(side, events, here);
            turns += 1;
        }
    }
    world.connect();
    recover(&mut world);
    let balances = [0, 1].map(|side| world.sides[side].channel.view().balance.0);
    assert_eq!(balances.iter().sum::<u64>(), 1_500);
    assert_eq!(world.sides[1 - lost].told(), balances[1 - lost], "whoever lost nothing has what it was told");
    assert_alive(&mut world, (balances[0], balances[1]));
    turns
}

#[test]
fn s10_s1_a_crash_at_each_step_of_the_recovery_loses_nothing() {
    for lost in 0..2 {
        for crashing in 0..2 {
            for cut in [Cut::BeforeWrite, Cut::BeforeEffects] {
                for at in 0..16 {
                    cut_recovery(lost, crashing, cut, at);
                }
            }
        }
    }
}

#[test]
fn c17_a_peer_that_shows_less_than_another_source_is_refused() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 3);
    let liar = copy(&world, 1);
    pay_both_ways(&mut world, 4);
    let tower = evidence(&world.sides[0].channel);
    lose_everything(&mut world, 0);
    // The peer shows what it had four payments ago, and does as if it had signed nothing since.
    put_back(&mut world, 1, &liar);
    world.connect();
    recovery(&mut world, 0, RecoveryEvent::Searched);
    let Some(ChannelMessage::Recover(question)) = world.wires[1].pop_back() else { panic!("it asks") };
    world.wires[1].clear();
    world.wires[0].clear();
    world.turn(1, vec![Event::Message(ChannelMessage::Recover(question))], Cut::Nowhere);
    let answer = world.wires[0].pop_back().expect("it answers");
    assert!(matches!(&answer, ChannelMessage::Resume(resume) if resume.jump.is_some()));
    // The tower was slower than the peer, but within the time that it has.
    recovery(&mut world, 0, RecoveryEvent::Found(Box::new(tower.clone())));
    world.turn(0, vec![Event::Message(answer.clone())], Cut::Nowhere);
    assert!(world.sides[0].channel.is_lost(), "an answer to an earlier question counts for nothing");
    let ChannelMessage::Resume(mut resume) = answer else { panic!("a resume") };
    resume.question = 2;
    world.turn(0, vec![Event::Message(ChannelMessage::Resume(resume))], Cut::Nowhere);
    assert!(world.sides[0].channel.is_lost(), "and one that shows less than the tower is refused");
    let version = tower.content.state.version;
    assert!(
        alarms(&world, 0)
            .iter()
            .any(|alarm| matches!(alarm, Alarm::ShownLess { proven, .. } if *proven == version))
    );
    assert_eq!(world.sides[0].channel.view().version, version, "the tower's state is kept");
    assert_eq!(world.sides[0].channel.recovered(), Some(tower.co_signed()));
}

#[test]
fn s10_both_sides_lost_everything_and_go_on_from_what_the_towers_have() {
    for (of_a, of_b) in [(true, true), (true, false), (false, true)] {
        let mut world = World::open(Crypto::Real, 1_000, 500, 0);
        pay_both_ways(&mut world, 3);
        let older = evidence(&world.sides[1].channel);
        pay_both_ways(&mut world, 4);
        let newer = evidence(&world.sides[0].channel);
        let balances = [0, 1].map(|side| world.sides[side].channel.view().balance.0);
        lose_everything(&mut world, 0);
        lose_everything(&mut world, 1);
        if of_a {
            recovery(&mut world, 0, RecoveryEvent::Found(Box::new(newer.clone())));
        }
        if of_b {
            let found = if of_a { older } else { newer };
            recovery(&mut world, 1, RecoveryEvent::Found(Box::new(found)));
        }
        recover(&mut world);
        assert_alive(&mut world, (balances[0], balances[1]));
    }
}

#[test]
fn s10_two_sides_without_any_state_stay_in_recovery() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 3);
    lose_everything(&mut world, 0);
    lose_everything(&mut world, 1);
    recover(&mut world);
    assert!(world.sides.iter().all(|side| side.channel.is_lost()), "nobody can know the balances");
    assert_eq!(world.blamed, 0);
}

#[test]
fn s10_a_peer_that_lost_more_than_it_knows_learns_it_from_the_question() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 3);
    let old = copy(&world, 1);
    pay_both_ways(&mut world, 4);
    let balances = [0, 1].map(|side| world.sides[side].channel.view().balance.0);
    let tower = evidence(&world.sides[0].channel);
    lose_everything(&mut world, 0);
    put_back(&mut world, 1, &old);
    recovery(&mut world, 0, RecoveryEvent::Found(Box::new(tower)));
    recover(&mut world);
    assert!(alarms(&world, 1).iter().any(|alarm| matches!(alarm, Alarm::DataLost { .. })));
    assert_alive(&mut world, (balances[0], balances[1]));
}

#[test]
fn s10_a_second_loss_goes_above_the_first_recovery_even_if_the_peer_hides_it() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    // Time as it is: then no answer can bring the versions of one recovery back in another.
    world.now.local_ms = 1_790_000_000_000;
    world.now.ledger = Time(world.now.local_ms);
    pay_both_ways(&mut world, 3);
    let (mine, theirs) = (copy(&world, 0), copy(&world, 1));
    put_back(&mut world, 0, &mine);
    recovery(&mut world, 0, RecoveryEvent::Distrust);
    recover(&mut world);
    pay_both_ways(&mut world, 10);
    let highest = world.sides[0].channel.mark().version;
    assert!(highest < 1 << 53, "versions are exact in every JSON reader");
    world.now.ledger = Time(world.now.ledger.0 + 1);
    world.now.local_ms += 1;
    put_back(&mut world, 0, &mine);
    put_back(&mut world, 1, &theirs);
    recovery(&mut world, 0, RecoveryEvent::Distrust);
    recover(&mut world);
    assert!(!world.sides[0].channel.is_lost(), "there is nobody but the peer to ask");
    assert!(
        world.sides[0].channel.view().version > highest,
        "no version is signed again: {} was signed",
        highest
    );
}

#[test]
fn s10_a_jump_that_nobody_remembers_to_have_asked_for_is_not_gone_on_from() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.now.local_ms = 1_790_000_000_000;
    world.now.ledger = Time(world.now.local_ms);
    pay_both_ways(&mut world, 3);
    let mine = copy(&world, 0);
    put_back(&mut world, 0, &mine);
    recovery(&mut world, 0, RecoveryEvent::Distrust);
    world.connect();
    recovery(&mut world, 0, RecoveryEvent::Searched);
    // The peer's copy is of the moment in which it waits for the acknowledgement of its jump.
    world.deliver(1, usize::MAX, Cut::Nowhere);
    let theirs = copy(&world, 1);
    world.settle();
    assert!(!world.sides[0].channel.is_lost());
    pay_both_ways(&mut world, 10);
    let highest = world.sides[0].channel.mark().version;
    // A folder that was copied back by hand is trusted, and a peer that lies tells it of that jump alone.
    world.now.local_ms += 1_000;
    world.now.ledger = Time(world.now.local_ms);
    put_back(&mut world, 0, &mine);
    put_back(&mut world, 1, &theirs);
    world.connect();
    world.settle();
    let side = &world.sides[0].channel;
    assert!(side.is_lost(), "it may have signed past that jump");
    assert_eq!(side.mark().version, mine.version, "so it signs nothing");
    assert!(alarms(&world, 0).is_empty(), "and nothing is proven");
    recover(&mut world);
    assert!(world.sides[0].channel.view().version > highest, "no version is signed again");
    assert_eq!(world.sides[0].channel.state(), world.sides[1].channel.state());
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
fn c8_a_question_cannot_use_up_the_versions() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 3);
    recovery(&mut world, 0, RecoveryEvent::Distrust);
    world.disconnect();
    world.connect();
    world.settle();
    recovery(&mut world, 0, RecoveryEvent::Searched);
    let Some(ChannelMessage::Recover(mut question)) = world.wires[1].pop_front() else { panic!("it asks") };
    for floor in [u64::MAX, u64::MAX - 128, 1 << 60] {
        question.floor = floor;
        let message = ChannelMessage::Recover(question.clone());
        let rejects = world.turn(1, vec![Event::Message(message)], Cut::Nowhere);
        assert_eq!(rejects, [Reject::Unproven(floor)]);
    }
    // Asking again and again is answered, and piles up nothing but what is bounded.
    for more in 0..400 {
        question.floor = world.sides[1].channel.mark().version + more % 2;
        question.question += 1;
        let message = ChannelMessage::Recover(question.clone());
        world.turn(1, vec![Event::Message(message)], Cut::Nowhere);
        world.wires[0].clear();
    }
    assert!(world.sides[1].rows.len() < 200, "{} rows", world.sides[1].rows.len());
}

#[test]
fn payments_without_an_end_are_reported_as_they_are() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.pay(0, 10).expect("paid");
    world.deliver(1, 1, Cut::Nowhere);
    world.pay(0, 11).expect("paid");
    // Two are open in the copy: one arrived, the other never left.
    let old = copy(&world, 0);
    world.wires[1].clear();
    put_back(&mut world, 0, &old);
    recovery(&mut world, 0, RecoveryEvent::Distrust);
    recover(&mut world);
    let facts = &world.sides[0].facts;
    assert!(facts.contains(&Effect::Unknown { number: 1 }), "{facts:?}");
    assert!(facts.contains(&Effect::Failed { number: 2, reason: Failure::Lost }), "{facts:?}");
    assert_alive(&mut world, (990, 510));
}

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
    // Of a channel of which nothing is known there is nothing to close with.
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    lose_everything(&mut world, 0);
    assert!(world.command(0, Command::CloseAtRisk { fee }).is_err());
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

#[test]
fn forged_evidence_counts_for_nothing() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 4);
    let good = evidence(&world.sides[0].channel);
    lose_everything(&mut world, 0);
    let mut forged = Vec::new();
    let mut richer = good.clone();
    richer.content.state.balance_a.0 += 1;
    richer.content.state.balance_b.0 -= 1;
    forged.push(richer);
    let mut swapped = good.clone();
    std::mem::swap(&mut swapped.a, &mut swapped.b);
    forged.push(swapped);
    let mut newer = good.clone();
    newer.content.state.version += 1;
    forged.push(newer);
    let mut other = good.clone();
    other.content.state.generation += 1;
    forged.push(other);
    for evidence in forged {
        let event = Event::Recovery(RecoveryEvent::Found(Box::new(evidence)));
        let rejects = world.turn(0, vec![event], Cut::Nowhere);
        assert_eq!(rejects.len(), 1);
        assert!(!world.sides[0].channel.held().is_known());
    }
    let event = Event::Recovery(RecoveryEvent::Found(Box::new(good.clone())));
    assert!(world.turn(0, vec![event], Cut::Nowhere).is_empty());
    assert_eq!(world.sides[0].channel.state(), &good.content.state);
}

#[test]
fn the_output_of_a_stranger_is_not_rebuilt() {
    let world = World::open(Crypto::Real, 1_000, 500, 0);
    let (outpoint, entry) = World::funding_entry(&world.sides[0].channel);
    let origin =
        |output: Output| Origin { chain: chain(), outpoint, output, peer: PublicKey([0; 32]), key_index: 9 };
    assert!(Channel::rebuild(origin(entry.output.clone()), keys(Crypto::Real, 9), world.now).is_err());
    let mut wallet = entry.output;
    let Lock::Channel(terms) = wallet.lock else { panic!("a channel") };
    wallet.lock = Lock::Wallet(terms.payout_a);
    assert!(Channel::rebuild(origin(wallet), keys(Crypto::Real, 1), world.now).is_err());
}

#[test]
fn the_log_says_what_was_lost_and_what_came_back() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    pay_both_ways(&mut world, 2);
    let old = copy(&world, 1);
    pay_both_ways(&mut world, 2);
    put_back(&mut world, 1, &old);
    recover(&mut world);
    let kinds: Vec<_> = world.sides[1]
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Effect::Event(event) => Some(event.kind.clone()),
            _ => None,
        })
        .collect();
    assert!(kinds.iter().any(|kind| matches!(kind, EventKind::DataLost { .. })));
    assert!(kinds.iter().any(|kind| matches!(kind, EventKind::Recovered(_))));
}
