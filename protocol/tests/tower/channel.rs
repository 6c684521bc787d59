//! What a channel's machine does for watchtowers: complete what it holds, and believe proofs only (T-45, T-51).

use towpath_ledger::{CoSigned, Party};
use towpath_protocol::{Event, Reject};

use super::common::world::{Crypto, Cut, World};

/// A channel in which A has paid B, as a claim that B has not answered.
fn claimed() -> World {
    let mut world = World::open(Crypto::Real, 100_000, 100_000, 0);
    world
        .command(0, towpath_protocol::Command::SetPacing(towpath_protocol::Pacing { ack_every: 16 }))
        .unwrap();
    world.pay(0, 100).unwrap();
    world.deliver(1, 1, Cut::Nowhere);
    assert!(world.sides[1].channel.held().mine.is_none(), "a claim");
    world
}

fn held(world: &World, side: usize) -> Option<CoSigned> {
    world.sides[side].channel.held().co_signed(if side == 0 { Party::A } else { Party::B })
}

#[test]
fn t51_a_claim_is_completed_without_a_word_to_the_peer() {
    let mut world = claimed();
    assert_eq!(held(&world, 1), None);
    let said = world.messages;
    assert_eq!(world.turn(1, vec![Event::Complete], Cut::Nowhere), []);
    let completed = held(&world, 1).expect("both signatures");
    assert_eq!(completed.state.version, 2);
    assert_eq!(completed.b.held, 2, "it says what an acknowledgement would");
    assert_eq!(world.messages, said);
    // The same signature is the acknowledgement when that is due.
    world.settle();
    world.assert_quiescent();
    assert_eq!(held(&world, 0), Some(completed));
}

#[test]
fn t51_what_is_complete_or_cannot_be_signed_stays_as_it_is() {
    let mut world = World::open(Crypto::Real, 100_000, 100_000, 0);
    let before = held(&world, 1);
    world.turn(1, vec![Event::Complete], Cut::Nowhere);
    assert_eq!(held(&world, 1), before);
    // A crash between the write and the effects changes nothing either.
    let mut world = claimed();
    world.turn(1, vec![Event::Complete], Cut::BeforeEffects);
    assert!(held(&world, 1).is_some());
    world.connect();
    world.settle();
    world.assert_quiescent();
}

#[test]
fn t45_a_state_that_proves_lost_data_is_believed_by_its_signatures() {
    let mut world = World::open(Crypto::Real, 100_000, 100_000, 0);
    world.pay(0, 100).unwrap();
    world.settle();
    let backup = world.sides[1].clone();
    world.pay(0, 200).unwrap();
    world.settle();
    let newest = held(&world, 1).expect("both signatures");
    world.put_back(1, backup);
    let mut forged = newest.clone();
    forged.b.held -= 1;
    let rejects = world.turn(1, vec![Event::Shown(Box::new(forged))], Cut::Nowhere);
    assert_eq!(rejects, [Reject::Signature]);
    assert_eq!(world.sides[1].channel.recovered(), None);
    assert_eq!(world.turn(1, vec![Event::Shown(Box::new(newest.clone()))], Cut::Nowhere), []);
    assert_eq!(world.sides[1].channel.recovered(), Some(newest.clone()));
    assert_eq!(world.pay(1, 1), Err(Reject::Lost), "it signs nothing any more");
}

#[test]
fn t45_what_is_known_already_changes_nothing() {
    let mut world = World::open(Crypto::Real, 100_000, 100_000, 0);
    let old = held(&world, 1).expect("both signatures");
    world.pay(0, 100).unwrap();
    world.settle();
    let newest = held(&world, 1).expect("both signatures");
    for shown in [old, newest] {
        assert_eq!(world.turn(1, vec![Event::Shown(Box::new(shown))], Cut::Nowhere), []);
        assert_eq!(world.sides[1].channel.recovered(), None);
    }
    let mut other = held(&world, 0).expect("both signatures");
    other.state.channel = towpath_ledger::ChannelId(towpath_ledger::Digest([1; 32]));
    let rejects = world.turn(1, vec![Event::Shown(Box::new(other))], Cut::Nowhere);
    assert_eq!(rejects, [Reject::WrongChannel]);
}
