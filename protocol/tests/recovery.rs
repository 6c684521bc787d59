//! Data loss and recovery (SPEC P-50 to P-57): restored backups, channels of which nothing is left, liars, and crashes at
//! each step of the recovery itself.

mod common;

use common::loss::{
    alarms, assert_alive, copy, evidence, lose_everything, pay_both_ways, put_back, recover, recovery,
    restart,
};
use common::world::{Crypto, Cut, World, chain, keys};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, Lock, Output, Time};
use towpath_protocol::{
    Alarm, Channel, ChannelMessage, Command, Effect, Event, EventKind, Failure, Online, Origin,
    RecoveryEvent, Reject,
};

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

/// Also what must find a known bug (`canaries.rs`).
#[test]
pub fn c17_a_peer_that_shows_less_than_another_source_is_refused() {
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

/// Also what must find a known bug (`canaries.rs`).
#[test]
pub fn s10_a_peer_that_lost_more_than_it_knows_learns_it_from_the_question() {
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
