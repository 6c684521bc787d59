//! What a peer says that it holds when a session begins: the truth, less, more, or something else (FAULTS C7, C15, C16,
//! C17; SPEC P-18).

mod common;

use common::forge::{Taken, propose, sign, state, tell};
use common::harbour::Harbour;
use common::world::{Crypto, Cut, World};
use towpath_ledger::{Amount, ChannelState, CoSigned, Party};
use towpath_protocol::limits::IN_FLIGHT_MAX;
use towpath_protocol::{
    Alarm, Change, Channel, ChannelMessage, Command, Effect, Event, Pacing, Propose, Reestablish, Reject,
    Transfer, Turnholder, Update,
};

const A: usize = 0;
const B: usize = 1;

/// Both hold version 5; A has proposed 6 and 7, of which B heard nothing. A new session: both have spoken, and neither
/// was heard.
fn moment(crypto: Crypto) -> (World, [Reestablish; 2]) {
    let mut world = World::open(crypto, 1_000, 500, 10);
    for _ in 0..4 {
        world.pay(A, 10).expect("paid");
        world.settle();
    }
    world.command(A, Command::SetPacing(Pacing { ack_every: 9 })).expect("fine");
    world.pay(A, 1).expect("paid");
    world.pay(A, 2).expect("paid");
    world.disconnect();
    world.connect();
    let said = [0, 1].map(|side| match world.wires[1 - side].front() {
        Some(ChannelMessage::Reestablish(said)) => (**said).clone(),
        other => panic!("not what it holds: {other:?}"),
    });
    (world, said)
}

fn hear(world: &World, side: usize, said: &Reestablish) -> Taken {
    tell(
        world.crypto,
        &world.sides[side].channel,
        ChannelMessage::Reestablish(Box::new(said.clone())),
        world.now,
    )
}

/// A state with both signatures: of what the honest machines would never sign.
fn co_signed(crypto: Crypto, state: ChannelState) -> CoSigned {
    let version = state.version;
    let (a, b) = (sign(crypto, A, &state, version), sign(crypto, B, &state, version));
    CoSigned { state, a, b }
}

fn is_lost(taken: &Taken) -> bool {
    taken.outcome.effects.iter().any(|effect| matches!(effect, Effect::Alarm(Alarm::DataLost { .. })))
}

/// Nothing that a machine which lost data must not do.
fn assert_silent(taken: &Taken, before: &Channel) {
    assert_eq!(taken.after.mark(), before.mark(), "signs nothing");
    let speaks = |effect: &Effect| {
        matches!(
            effect,
            Effect::Send(_) | Effect::PostClose { .. } | Effect::SubmitClose { .. } | Effect::Answer { .. }
        )
    };
    assert!(!taken.outcome.effects.iter().any(speaks), "says and posts nothing");
}

#[test]
fn the_truth_brings_the_channel_up() {
    for crypto in [Crypto::Real, Crypto::Fast] {
        let (mut world, _) = moment(crypto);
        world.settle();
        world.assert_quiescent();
        assert_eq!(world.sides[B].channel.state().version, 7);
    }
}

#[test]
fn c16_a_higher_version_with_proof_means_lost_data() {
    for crypto in [Crypto::Real, Crypto::Fast] {
        let (world, said) = moment(crypto);
        for side in 0..2 {
            let victim = &world.sides[side].channel;
            for above in [1, 2, 70, 1_000] {
                // It was signed by this party, above all that it remembers.
                let version = victim.mark().version + above;
                let proof = ChannelState { version, ..victim.state().clone() };
                let proof = Reestablish { newest: co_signed(crypto, proof), ..said[1 - side].clone() };
                let taken = hear(&world, side, &proof);
                assert_eq!(taken.verdict, Ok(()));
                assert!(is_lost(&taken) && taken.after.view().data_lost);
                assert_silent(&taken, victim);
                then_nothing(&world, side, &taken.after);
            }
        }
    }
}

/// A machine that lost data refuses to close, to pay and to hear, also after a restart.
fn then_nothing(world: &World, side: usize, lost: &Channel) {
    let mut lost = lost.clone();
    let mark = *lost.mark();
    let pay = Command::Pay { amount: Amount(1), memo: None };
    for command in [pay, Command::ForceClose { fee: Amount(0) }] {
        let refused =
            lost.step(Event::Command { token: 1, command }, world.now, &mut towpath_protocol::Immediate);
        assert_eq!(refused.map(drop), Err(Reject::Lost));
    }
    for event in [Event::Disconnected, Event::Connected, Event::TurnEnd] {
        let outcome = lost.step(event, world.now, &mut towpath_protocol::Immediate).expect("taken");
        let posts = |effect: &Effect| matches!(effect, Effect::PostClose { .. } | Effect::SubmitClose { .. });
        assert!(!outcome.effects.iter().any(posts));
    }
    assert_eq!(*lost.mark(), mark, "side {side} signs nothing");
}

#[test]
fn c16_another_content_of_a_version_with_proof_means_lost_data() {
    for crypto in [Crypto::Real, Crypto::Fast] {
        let (world, said) = moment(crypto);
        for side in 0..2 {
            let victim = &world.sides[side].channel;
            let held = victim.state().clone();
            let other = ChannelState { balance_a: Amount(1), balance_b: Amount(1_499), ..held };
            let mut lies = vec![other.clone()];
            if side == A {
                // A signed 6 and 7, with a content that it knows.
                lies.push(ChannelState { version: 6, ..other.clone() });
                lies.push(ChannelState { version: 7, ..other });
            }
            for other in lies {
                let proof = Reestablish { newest: co_signed(crypto, other), ..said[1 - side].clone() };
                let taken = hear(&world, side, &proof);
                assert!(is_lost(&taken));
                assert_silent(&taken, victim);
            }
        }
    }
}

#[test]
fn c16_a_higher_version_without_proof_is_refused() {
    for crypto in [Crypto::Real, Crypto::Fast] {
        let (world, said) = moment(crypto);
        for side in 0..2 {
            let victim = &world.sides[side].channel;
            let liar = 1 - side;
            for version in [6, 7, 8, 100, u64::MAX] {
                let higher = ChannelState { version, ..victim.state().clone() };
                let by = |a, b| CoSigned {
                    state: higher.clone(),
                    a: sign(crypto, a, &higher, version),
                    b: sign(crypto, b, &higher, version),
                };
                // Signed by the liar alone, by a stranger in the victim's place, or swapped.
                let forged = match side {
                    A => [by(liar, liar), by(3, liar), by(B, A)],
                    _ => [by(liar, liar), by(liar, 3), by(B, A)],
                };
                for newest in forged {
                    let lie = Reestablish { newest, ..said[liar].clone() };
                    assert_eq!(hear(&world, side, &lie).verdict, Err(Reject::Signature));
                }
            }
        }
    }
}

#[test]
fn c17_less_than_the_truth_takes_nothing_back() {
    for crypto in [Crypto::Real, Crypto::Fast] {
        let (world, said) = moment(crypto);
        for side in 0..2 {
            let victim = &world.sides[side].channel;
            for version in 1..=4 {
                let (a, b) = (1_000 - 10 * (version - 1), 500 + 10 * (version - 1));
                let old = ChannelState {
                    version,
                    balance_a: Amount(a),
                    balance_b: Amount(b),
                    ..victim.state().clone()
                };
                let lie = Reestablish {
                    newest: co_signed(crypto, old),
                    next: 1,
                    seen: 0,
                    ..said[1 - side].clone()
                };
                let taken = hear(&world, side, &lie);
                assert_eq!(taken.verdict, Ok(()));
                assert_eq!(taken.after.held(), victim.held());
                assert!(taken.after.mark().version >= victim.mark().version);
                if side == A {
                    // What is open is sent again, the same bytes.
                    let proposed = |said: &ChannelMessage| match said {
                        ChannelMessage::Propose(propose) => Some(propose.version),
                        _ => None,
                    };
                    let again: Vec<u64> = taken.said().iter().filter_map(proposed).collect();
                    assert_eq!(again, [6, 7]);
                }
            }
        }
    }
}

#[test]
fn c16_numbers_without_proof_are_believed_within_the_pipeline() {
    let (world, said) = moment(Crypto::Fast);
    for side in 0..2 {
        let honest = &said[1 - side];
        let limit = world.sides[side].channel.mark().version.max(5) + IN_FLIGHT_MAX;
        for (next, seen, claimed) in [
            (limit + 2, 0, limit + 1),
            (u64::MAX, 0, u64::MAX - 1),
            (6, limit + 1, limit + 1),
            (6, u64::MAX, u64::MAX),
        ] {
            let lie = Reestablish { next, seen, ..honest.clone() };
            assert_eq!(hear(&world, side, &lie).verdict, Err(Reject::Unproven(claimed)));
        }
        for (next, seen) in [(0, 0), (limit + 1, 0), (6, limit)] {
            let taken = hear(&world, side, &Reestablish { next, seen, ..honest.clone() });
            assert_eq!(taken.verdict, Ok(()));
            assert_eq!(taken.after.held(), world.sides[side].channel.held());
        }
    }
}

#[test]
fn another_channel_generation_or_capacity_is_refused() {
    let (world, said) = moment(Crypto::Fast);
    for side in 0..2 {
        let held = world.sides[side].channel.state().clone();
        let mut other = held.clone();
        other.channel.0.0[7] ^= 1;
        let states = [
            other,
            ChannelState { generation: 1, ..held.clone() },
            ChannelState { balance_a: Amount(held.balance_a.0 + 1), ..held.clone() },
            ChannelState { balance_a: Amount(u64::MAX), ..held.clone() },
            ChannelState { pending_total: Amount(1), ..held.clone() },
        ];
        for state in states {
            let lie = Reestablish { newest: co_signed(Crypto::Fast, state), ..said[1 - side].clone() };
            assert_eq!(hear(&world, side, &lie).verdict, Err(Reject::WrongChannel));
        }
        // Two further on: this party's replica may be that far behind, so it is no lie, and counts for nothing.
        let far = Reestablish { generation: 2, ..said[1 - side].clone() };
        assert!(matches!(hear(&world, side, &far).verdict, Err(Reject::NotReestablished(_))));
        // The ledger may show the next one at any moment; until then it is only kept.
        let early = hear(&world, side, &Reestablish { generation: 1, ..said[1 - side].clone() });
        assert_eq!(early.verdict, Ok(()));
        assert_eq!(early.after.held(), world.sides[side].channel.held());
        assert_eq!(early.after.view().online, world.sides[side].channel.view().online);
    }
}

#[test]
fn what_is_shown_of_an_open_version_is_an_acknowledgement_only_if_it_says_so() {
    let (world, said) = moment(Crypto::Fast);
    let victim = &world.sides[A].channel;
    let pays = |number, amount| {
        Update::Transfer(Transfer { from: Party::A, number, amount: Amount(amount), memo: None })
    };
    let six = state(victim, 6, &[pays(5, 1)]);
    for held in [0, 5, 7] {
        let (a, b) = (sign(Crypto::Fast, A, &six, 5), sign(Crypto::Fast, B, &six, held));
        let lie = Reestablish { newest: CoSigned { state: six.clone(), a, b }, ..said[B].clone() };
        assert_eq!(hear(&world, A, &lie).verdict, Err(Reject::Held { held }));
    }
    let (a, b) = (sign(Crypto::Fast, A, &six, 5), sign(Crypto::Fast, B, &six, 6));
    let honest = Reestablish { newest: CoSigned { state: six, a, b }, ..said[B].clone() };
    let taken = hear(&world, A, &honest);
    assert_eq!((taken.verdict, taken.after.state().version), (Ok(()), 6));
    assert!(taken.outcome.effects.contains(&Effect::Settled { upto: 5 }));
}

#[test]
fn messages_before_the_sender_has_spoken_are_dropped() {
    let (world, _) = moment(Crypto::Fast);
    let proposal: Propose = common::forge::propose(Crypto::Fast, &world.sides[B].channel, (6, 5), &[], 5);
    for message in [ChannelMessage::Propose(proposal), ChannelMessage::Resend(0), ChannelMessage::Close] {
        let name = message.name();
        let taken = tell(Crypto::Fast, &world.sides[B].channel, message, world.now);
        assert_eq!(taken.verdict, Err(Reject::NotReestablished(name)));
    }
}

#[test]
fn what_a_peer_says_twice_counts_once() {
    let (mut world, said) = moment(Crypto::Fast);
    world.settle();
    let mut lie = said[A].clone();
    lie.seen = u64::MAX;
    for said in [said[A].clone(), lie] {
        let taken = tell(
            Crypto::Fast,
            &world.sides[B].channel,
            ChannelMessage::Reestablish(Box::new(said)),
            world.now,
        );
        assert_eq!((taken.verdict, taken.said().len()), (Ok(()), 0));
    }
}

/// What a party's disk looked like, and what became of it.
fn restored_from_before(side: usize, before: impl Fn(&mut World), after: impl Fn(&mut World)) -> World {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 10);
    before(&mut world);
    let backup = world.sides[side].clone();
    after(&mut world);
    world.put_back(side, backup);
    world
}

#[test]
fn c7_an_old_backup_is_found_out_before_anything_is_signed() {
    // Whatever both have signed since: the peer shows it, and the old copy signs nothing new.
    let afters: [fn(&mut World); 4] = [
        |world| {
            world.pay(A, 10).expect("paid");
            world.settle();
        },
        |world| {
            world.pay(B, 10).expect("paid");
            world.settle();
        },
        |world| {
            world.command(B, Command::TakeSequencer).expect("fine");
            world.settle();
        },
        // Proposed and heard, not answered.
        |world| {
            world.pay(A, 10).expect("paid");
            world.deliver(B, 1, Cut::Nowhere);
        },
    ];
    for side in 0..2 {
        for (case, after) in afters.iter().enumerate() {
            let mut world = restored_from_before(side, |_| {}, after);
            let mark = *world.sides[side].channel.mark();
            world.connect();
            world.settle();
            if (side, case) == (B, 3) {
                // A never got B's signature, and B makes the same one again.
                assert_eq!(world.sides[A].channel.state(), world.sides[B].channel.state());
                continue;
            }
            assert!(world.sides[side].channel.view().data_lost, "side {side}, case {case}");
            assert_eq!(*world.sides[side].channel.mark(), mark, "nothing new was signed");
            let force = Command::ForceClose { fee: Amount(0) };
            assert_eq!(world.command(side, force), Err(Reject::Lost));
        }
    }
}

#[test]
fn c7_an_old_backup_does_not_use_a_burnt_number_again() {
    // A proposed a version that B refused and did not sign; then A's disk is put back. B cannot prove anything, but it
    // says which numbers it has seen, and A uses none of them for another content: the auditor compares all signatures.
    let mut world = restored_from_before(
        A,
        |_| {},
        |world| {
            world.command(B, Command::SetReceive(towpath_protocol::Receive::Nothing)).expect("fine");
            world.pay(A, 10).expect("paid");
            world.deliver(B, 1, Cut::Nowhere);
        },
    );
    world.command(B, Command::SetReceive(towpath_protocol::Receive::Any)).expect("fine");
    world.connect();
    world.settle();
    world.pay(A, 33).expect("payments flow");
    world.settle();
    assert_eq!(world.sides[A].channel.state(), world.sides[B].channel.state());
    assert_eq!(world.sides[B].channel.view().balance.0, 533);
    assert_eq!(world.blamed, 0);
}

#[test]
fn who_holds_the_role_is_what_both_can_prove() {
    // The handover is acknowledged by what is said at the beginning of the next session.
    let mut world = World::open(Crypto::Fast, 1_000, 500, 10);
    world.command(A, Command::HandOver).expect("fine");
    world.deliver(B, 1, Cut::Nowhere);
    assert_eq!(world.sides[A].channel.turnholder(), Turnholder::HandingOver);
    assert_eq!(world.sides[B].channel.turnholder(), Turnholder::Sequencer);
    world.disconnect();
    world.connect();
    world.settle();
    assert_eq!(world.sides[A].channel.turnholder(), Turnholder::Follower);
    world.pay(B, 5).expect("paid");
    world.pay(A, 6).expect("paid");
    world.settle();
    world.assert_quiescent();
}

/// C7: B agreed to a resize that came to nothing. The sequencer, lying, says that it used no number for it, and pays with that
/// one: B could never complete such a claim, nor close with anything else, and whatever it gave for the payment would be lost.
#[test]
fn c7_a_number_that_was_signed_for_a_resize_is_used_up_whatever_the_sequencer_says() {
    let crypto = Crypto::Fast;
    let mut harbour = Harbour::open(crypto, 1_000, 500, 10);
    harbour.resize(A, Change::PayOut(Amount(100))).expect("it is wanted");
    harbour.world.deliver(B, 1, Cut::Nowhere);
    let base = harbour.world.sides[B].channel.state().version;
    assert!(harbour.world.sides[B].channel.resizing().is_some(), "it agreed");
    let signed = base + 1;
    harbour.world.disconnect();
    harbour.block(20_001);
    harbour.tell_all();
    assert!(harbour.world.sides.iter().all(|side| side.channel.resizing().is_none()), "it expired");
    harbour.world.connect();
    let Some(ChannelMessage::Reestablish(honest)) = harbour.world.wires[B].front().cloned() else {
        panic!("{:?}", harbour.world.wires[B])
    };
    assert_eq!(honest.next, signed + 1, "an honest sequencer goes on above it");
    let (victim, now) = (harbour.world.sides[B].channel.clone(), harbour.world.now);
    let pays = Update::Transfer(Transfer { from: Party::A, number: 1, amount: Amount(500), memo: None });
    for next in [base, signed, signed + 1] {
        let says = ChannelMessage::Reestablish(Box::new(Reestablish { next, ..(*honest).clone() }));
        let heard = tell(crypto, &victim, says, now).after;
        let received = |version: u64| {
            let propose = propose(crypto, &heard, (version, base), std::slice::from_ref(&pays), base);
            let taken = tell(crypto, &heard, ChannelMessage::Propose(propose), now);
            let is_told = |effect: &Effect| matches!(effect, Effect::Received { .. });
            let is_acknowledged = taken.said().iter().any(|said| matches!(said, ChannelMessage::Ack(_)));
            (taken.outcome.effects.iter().any(is_told), is_acknowledged)
        };
        assert_eq!(received(signed), (false, false), "next {next}");
        assert_eq!(received(signed + 1), (true, true), "next {next}");
    }
}

#[test]
fn p18_nothing_but_what_is_held_is_said_before_the_peer_has_spoken() {
    // Each has something to say: A a proposal, B a request, and both an answer.
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.pay(A, 10).expect("paid");
    world.pay(B, 20).expect("requested");
    world.disconnect();
    let before = world.messages;
    for side in [A, B] {
        world.now.local_ms += 10_000;
        world.turn(side, Vec::new(), Cut::Nowhere);
    }
    assert_eq!(world.messages, before, "nothing is said where nobody hears it");
    world.connect();
    for side in [A, B] {
        world.turn(side, Vec::new(), Cut::Nowhere);
        let said: Vec<_> = world.wires[1 - side].iter().collect();
        assert!(matches!(said[..], [ChannelMessage::Reestablish(_)]), "{said:?}");
    }
    world.settle();
    world.assert_quiescent();
}
