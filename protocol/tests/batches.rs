//! Signatures checked late: a turn believes them, its driver checks them as one batch before the turn ends, and puts the
//! machine back if one is bad (SPEC P-1, `Deferred`).

mod common;

use common::forge::{propose, sign};
use common::world::{Crypto, World};
use towpath_ledger::{Amount, Party};
use towpath_protocol::{
    Channel, ChannelMessage, Command, Deferred, Effect, Event, Immediate, Outcome, Pacing, Reject, Transfer,
    Update,
};

const B: usize = 1;

/// B, and so many proposals on the way to it.
fn stream(count: usize) -> (World, Vec<Event>) {
    let mut world = World::open(Crypto::Real, 1_000, 500, 10);
    world.command(0, Command::SetPacing(Pacing { ack_every: 1_000 })).expect("fine");
    for _ in 0..count {
        world.pay(0, 1).expect("paid");
    }
    let events = world.wires[B].drain(..).map(Event::Message).collect();
    (world, events)
}

/// A driver's turn, as the crate's documentation has it.
fn turn(channel: &mut Channel, events: &[Event], world: &World) -> (Outcome, Vec<Reject>, usize) {
    let before = channel.clone();
    let mut deferred = Deferred::default();
    let step = |channel: &mut Channel, verifier: &mut dyn towpath_protocol::Verifier| {
        let refused = |event: &Event| channel.step(event.clone(), world.now, verifier).err();
        events.iter().filter_map(refused).collect::<Vec<_>>()
    };
    let mut rejects = step(channel, &mut deferred);
    let checks = deferred.len();
    if !deferred.holds() {
        *channel = before;
        rejects = step(channel, &mut Immediate);
    }
    let outcome = channel.step(Event::TurnEnd, world.now, &mut Immediate).expect("a turn always ends");
    channel.check().expect("the machine's invariants hold");
    (outcome, rejects, checks)
}

fn received(outcome: &Outcome) -> usize {
    outcome.effects.iter().filter(|effect| matches!(effect, Effect::Received { .. })).count()
}

#[test]
fn one_verification_pays_for_all_that_was_missed() {
    let (world, events) = stream(40);
    let mut channel = world.sides[B].channel.clone();
    let (outcome, rejects, checks) = turn(&mut channel, &events, &world);
    assert_eq!((rejects, checks, received(&outcome)), (vec![], 1, 40));
    assert!(outcome.effects.iter().any(|effect| matches!(effect, Effect::Send(_))), "and one answer");
    // One by one it comes to the same.
    let mut single = world.sides[B].channel.clone();
    for event in &events {
        single.step(event.clone(), world.now, &mut Immediate).expect("honest");
    }
    single.step(Event::TurnEnd, world.now, &mut Immediate).expect("a turn always ends");
    assert_eq!((single.held(), single.mark()), (channel.held(), channel.mark()));
}

#[test]
fn c9_a_bad_signature_at_the_end_of_a_turn_takes_only_itself_back() {
    let (world, mut events) = stream(5);
    let forged = match events.last_mut() {
        Some(Event::Message(ChannelMessage::Propose(propose))) => {
            propose.signature.signature.0[10] ^= 1;
            propose.version
        }
        other => panic!("a proposal: {other:?}"),
    };
    let mut channel = world.sides[B].channel.clone();
    let (outcome, rejects, _) = turn(&mut channel, &events, &world);
    assert_eq!((rejects, received(&outcome)), (vec![Reject::Signature], 4));
    assert_eq!(channel.state().version, forged - 1);
}

#[test]
fn c9_a_bad_signature_under_a_good_one_is_covered_by_it() {
    // The newest state that the peer signed contains what the others contained: what is held is signed.
    let (world, mut events) = stream(5);
    if let Some(Event::Message(ChannelMessage::Propose(propose))) = events.get_mut(2) {
        propose.signature.signature.0[10] ^= 1;
    }
    let mut channel = world.sides[B].channel.clone();
    let (outcome, rejects, _) = turn(&mut channel, &events, &world);
    assert_eq!((rejects, received(&outcome)), (vec![], 5));
    let held = channel.held();
    let check = held.theirs.check(&channel.terms().key_a, &common::world::chain(), &held.content.state);
    assert!(check.verify(), "what is held can be posted");
}

#[test]
fn c9_nothing_is_said_or_written_of_a_turn_that_was_put_back() {
    let world = World::open(Crypto::Real, 1_000, 500, 10);
    let mut channel = world.sides[B].channel.clone();
    let pays = Update::Transfer(Transfer { from: Party::A, number: 1, amount: Amount(700), memo: None });
    let mut lie = propose(Crypto::Real, &channel, (2, 1), &[pays], 1);
    lie.signature = sign(Crypto::Real, B, channel.state(), 1);
    let before = format!("{channel:?}");
    let (outcome, rejects, checks) =
        turn(&mut channel, &[Event::Message(ChannelMessage::Propose(lie))], &world);
    assert_eq!((outcome, rejects, checks), (Outcome::default(), vec![Reject::Signature], 1));
    assert_eq!(format!("{channel:?}"), before);
}
