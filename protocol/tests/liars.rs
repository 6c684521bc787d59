//! A peer that lies while payments flow: one change to an honest message at a time (FAULTS C8, C9, C10, C15). What is
//! wrong is refused with its reason, changes nothing and takes nothing.

mod common;

use common::forge::{Taken, ack, propose, sign, sign_on, state, tell};
use common::world::{Crypto, Cut, World};
use towpath_ledger::{Amount, ChainId, ChannelState, Digest, Party};
use towpath_protocol::limits::{BUFFERED_MAX, IN_FLIGHT_MAX, UPDATES_MAX, VERSION_MAX};
use towpath_protocol::{
    Ack, Answer, Channel, ChannelMessage, Command, Effect, Pacing, Propose, Receive, RefuseReason, Refused,
    Reject, Request, Role, Transfer, Update, UpdateError,
};

const A: usize = 0;
const B: usize = 1;

/// Version 5 is held by both; B has asked for a payment of 20, with the number 1.
fn moment(crypto: Crypto) -> World {
    let mut world = World::open(crypto, 1_000, 500, 10);
    for _ in 0..4 {
        world.pay(A, 10).expect("paid");
        world.settle();
    }
    world.pay(B, 20).expect("asked");
    assert_eq!(world.sides[B].channel.state().version, 5);
    world
}

fn from_a(number: u64, amount: u64) -> Update {
    Update::Transfer(Transfer { from: Party::A, number, amount: Amount(amount), memo: None })
}

fn from_b(number: u64, amount: u64) -> Update {
    Update::Transfer(Transfer { from: Party::B, number, amount: Amount(amount), memo: None })
}

fn follower(world: &World) -> &Channel {
    &world.sides[B].channel
}

fn told(world: &World, propose: Propose) -> Taken {
    tell(world.crypto, follower(world), ChannelMessage::Propose(propose), world.now)
}

#[test]
fn c8_versions_and_bases() {
    let world = moment(Crypto::Fast);
    let (held, seen) = (5, 5);
    let version = |version| Reject::Version { version, held, seen };
    let cases = [
        // Skipped, with nothing in between that was refused.
        ((7, 5), version(7)),
        ((8, 5), version(8)),
        ((7, 0), version(7)),
        // Built on itself, or on what comes later.
        ((6, 6), version(6)),
        ((6, 7), version(6)),
        ((6, u64::MAX), version(6)),
        // Far away.
        ((held + 2 * IN_FLIGHT_MAX + 1, held + 2 * IN_FLIGHT_MAX), version(held + 2 * IN_FLIGHT_MAX + 1)),
        ((VERSION_MAX, VERSION_MAX - 1), version(VERSION_MAX)),
        ((u64::MAX, u64::MAX - 1), version(u64::MAX)),
        ((u64::MAX, 5), version(u64::MAX)),
        // Taking back what is held.
        ((6, 4), Reject::Base { base: 4, held }),
        ((6, 1), Reject::Base { base: 1, held }),
        ((6, 0), Reject::Base { base: 0, held }),
    ];
    for (numbers, expected) in cases {
        let taken = told(&world, propose(Crypto::Fast, follower(&world), numbers, &[from_a(5, 1)], 5));
        assert_eq!(taken.verdict, Err(expected), "{numbers:?}");
    }
    let good = told(&world, propose(Crypto::Fast, follower(&world), (6, 5), &[from_a(5, 1)], 5));
    assert_eq!((good.verdict, good.after.state().version), (Ok(()), 6));
    // As far ahead as it may be, behind a gap.
    for far in [held + IN_FLIGHT_MAX + 3, held + 2 * IN_FLIGHT_MAX] {
        let ahead = told(&world, propose(Crypto::Fast, follower(&world), (far, far - 1), &[from_a(5, 1)], 5));
        assert_eq!((ahead.verdict, ahead.after.state().version), (Ok(()), 5), "it waits");
    }
}

#[test]
fn c8_c15_old_versions_are_answered_with_the_newest() {
    let world = moment(Crypto::Fast);
    for version in 0..=5 {
        // Even with another content than that version had.
        let taken = told(
            &world,
            propose(Crypto::Fast, follower(&world), (version, version.max(1) - 1), &[from_a(9, 7)], 4),
        );
        assert_eq!(taken.verdict, Ok(()));
        assert_eq!(taken.after.held(), follower(&world).held(), "nothing is taken back");
        assert!(matches!(taken.said()[..], [ChannelMessage::Ack(Ack { version: 5, .. })]));
    }
}

#[test]
fn c8_what_is_behind_a_gap_waits_within_a_bound() {
    let mut world = moment(Crypto::Fast);
    for (updates, verdict) in [(UPDATES_MAX, Ok(())), (UPDATES_MAX + 1, Err(Reject::Busy))] {
        let much: Vec<_> = (5..).take(updates).map(|number| from_a(number, 1)).collect();
        assert_eq!(told(&world, propose(Crypto::Fast, follower(&world), (7, 6), &much, 5)).verdict, verdict);
    }
    let far = |number| propose(Crypto::Fast, follower(&world), (number, number - 1), &[], 5);
    let gaps: Vec<_> = (7..8 + BUFFERED_MAX as u64).map(far).map(ChannelMessage::Propose).collect();
    for gap in &gaps[..BUFFERED_MAX] {
        world.wires[B].push_back(gap.clone());
        assert_eq!(world.deliver(B, 1, Cut::Nowhere), []);
        assert!(
            matches!(world.wires[A].pop_back(), Some(ChannelMessage::Resend(6))),
            "what is missing is asked for"
        );
    }
    world.wires[B].push_back(gaps[BUFFERED_MAX].clone());
    assert_eq!(world.deliver(B, 1, Cut::Nowhere), [Reject::Busy]);
    assert_eq!(world.sides[B].channel.state().version, 5, "and none counts");
    // The honest peer goes on over a new session.
    world.disconnect();
    world.connect();
    world.settle();
    world.assert_agreed();
}

#[test]
fn c9_signatures_of_others_and_on_other_things() {
    for crypto in [Crypto::Real, Crypto::Fast] {
        let world = moment(crypto);
        let victim = follower(&world);
        let updates = [from_a(5, 100)];
        let good = state(victim, 6, &updates);
        let less = ChannelState {
            balance_a: Amount(good.balance_a.0 + 1),
            balance_b: Amount(good.balance_b.0 - 1),
            ..good.clone()
        };
        let elsewhere = ChainId(Digest([8; 32]));
        let mut other_channel = good.clone();
        other_channel.channel.0.0[0] ^= 1;
        let states = [
            less,
            other_channel,
            ChannelState { generation: good.generation + 1, ..good.clone() },
            ChannelState { version: 7, ..good.clone() },
            ChannelState { is_final: true, ..good.clone() },
            ChannelState { sequencer: Party::B, ..good.clone() },
            ChannelState { pending_total: Amount(1), ..good.clone() },
            victim.held().content.state.clone(),
        ];
        let mut lies: Vec<_> = states.iter().map(|state| sign(crypto, A, state, 5)).collect();
        // Of the victim, of a stranger, for another ledger, over another `held`, of nobody.
        lies.extend([
            sign(crypto, B, &good, 5),
            sign(crypto, 3, &good, 5),
            sign_on(crypto, A, &elsewhere, &good, 5),
        ]);
        let mut other_held = sign(crypto, A, &good, 4);
        other_held.held = 5;
        lies.push(other_held);
        let mut nobody = sign(crypto, A, &good, 5);
        nobody.signature.0 = [0; 64];
        lies.push(nobody);
        for signature in lies {
            let lie =
                Propose { version: 6, base: 5, updates: updates.to_vec(), answer: Answer::Now, signature };
            assert_eq!(told(&world, lie).verdict, Err(Reject::Signature));
        }
        let signature = sign(crypto, A, &good, 5);
        let honest =
            Propose { version: 6, base: 5, updates: updates.to_vec(), answer: Answer::Now, signature };
        assert_eq!(told(&world, honest).verdict, Ok(()));
    }
}

#[test]
fn c9_acknowledgements_of_others_and_of_other_things() {
    for crypto in [Crypto::Real, Crypto::Fast] {
        let mut world = moment(crypto);
        world.settle();
        world.pay(A, 30).expect("paid");
        let victim = &world.sides[A].channel;
        let open = victim.mark().version;
        let held = victim.state().version;
        let good = state(victim, open, &[from_a(5, 30)]);
        let hear = |message| tell(crypto, victim, message, world.now).verdict;
        for lie in [
            ack(crypto, A, &good),
            ack(crypto, 3, &good),
            ack(crypto, B, &ChannelState { balance_a: Amount(1), balance_b: Amount(1_499), ..good.clone() }),
            ack(crypto, B, &ChannelState { is_final: true, ..good.clone() }),
            ack(crypto, B, &ChannelState { generation: 1, ..good.clone() }),
        ] {
            assert_eq!(hear(lie), Err(Reject::Signature));
        }
        for version in [open + 1, open + IN_FLIGHT_MAX, u64::MAX] {
            let lie = ack(crypto, B, &ChannelState { version, ..good.clone() });
            assert_eq!(hear(lie), Err(Reject::NotOpen(version)));
        }
        for said in [0, held, open + 1, u64::MAX] {
            let signature = sign(crypto, B, &good, said);
            let lie = ChannelMessage::Ack(Ack { version: open, signature });
            assert_eq!(hear(lie), Err(Reject::Held { held: said }), "an acknowledgement says that it holds");
        }
        // Of something old: whatever it says, it is a repetition.
        let old =
            tell(crypto, victim, ack(crypto, 3, &ChannelState { version: held, ..good.clone() }), world.now);
        assert_eq!((old.verdict, old.after.held() == victim.held()), (Ok(()), true));
        assert_eq!(hear(ack(crypto, B, &good)), Ok(()));
    }
}

#[test]
fn p16_what_the_sequencer_says_that_it_holds() {
    let world = moment(Crypto::Fast);
    // B's newest signature is on 5, and A said before that it held 4.
    for held in [0, 1, 3, 6, 7, u64::MAX] {
        let taken = told(&world, propose(Crypto::Fast, follower(&world), (6, 5), &[], held));
        assert_eq!(taken.verdict, Err(Reject::Held { held }));
    }
    for held in [4, 5] {
        let taken = told(&world, propose(Crypto::Fast, follower(&world), (6, 5), &[], held));
        assert_eq!(taken.verdict, Ok(()));
    }
}

#[test]
fn p16_a_statement_that_lags_too_far_is_refused() {
    // A takes acknowledgements and goes on saying that it holds 4.
    let mut world = moment(Crypto::Fast);
    let mut version = 6;
    let refused = loop {
        let lie = propose(Crypto::Fast, follower(&world), (version, version - 1), &[], 4);
        world.wires[B].push_back(ChannelMessage::Propose(lie));
        let rejects = world.deliver(B, 1, Cut::Nowhere);
        if !rejects.is_empty() {
            break rejects;
        }
        version += 1;
    };
    assert_eq!((refused, version), (vec![Reject::Held { held: 4 }], 4 + IN_FLIGHT_MAX + 1));
}

#[test]
fn c10_updates_that_do_not_apply() {
    let world = moment(Crypto::Fast);
    let spendable = 960 - 10;
    let asked = || from_b(1, 20);
    let cases: Vec<(Vec<Update>, UpdateError)> = vec![
        (vec![from_a(5, 0)], UpdateError::Zero),
        (vec![from_a(5, spendable + 1)], UpdateError::Balance),
        (vec![from_a(5, 1), from_a(6, spendable)], UpdateError::Balance),
        (vec![from_a(5, u64::MAX)], UpdateError::Balance),
        (vec![from_a(4, 1)], UpdateError::Number),
        (vec![from_a(0, 1)], UpdateError::Number),
        (vec![from_a(5, 1), from_a(5, 1)], UpdateError::Number),
        (vec![from_a(6, 1), from_a(5, 1)], UpdateError::Number),
        (vec![asked(), asked()], UpdateError::Number),
        (vec![Update::Handover, from_a(5, 1)], UpdateError::AfterLast),
        (vec![Update::Finish, from_a(5, 1)], UpdateError::AfterLast),
        (vec![Update::Handover, Update::Handover], UpdateError::AfterLast),
        (vec![Update::Finish, Update::Finish], UpdateError::AfterLast),
        (vec![Update::Handover, Update::Finish], UpdateError::AfterLast),
    ];
    for (updates, expected) in cases {
        let taken = told(&world, propose(Crypto::Fast, follower(&world), (6, 5), &updates, 5));
        assert_eq!(taken.verdict, Err(Reject::Update(expected)), "{updates:?}");
    }
    // All that it has above the reserve is fine; so is what B asked for.
    for updates in [vec![from_a(5, spendable)], vec![asked(), from_a(u64::MAX, 1)]] {
        let taken = told(&world, propose(Crypto::Fast, follower(&world), (6, 5), &updates, 5));
        assert_eq!((taken.verdict, taken.after.state().version), (Ok(()), 6));
    }
    let many = vec![from_a(5, 1); UPDATES_MAX + 1];
    let taken = told(&world, propose(Crypto::Fast, follower(&world), (6, 5), &many, 5));
    assert_eq!(taken.verdict, Err(Reject::Busy));
}

#[test]
fn c10_nothing_takes_the_followers_funds_that_it_did_not_ask_for() {
    let world = moment(Crypto::Fast);
    let with_memo =
        Update::Transfer(Transfer { from: Party::B, number: 1, amount: Amount(20), memo: Some([1; 32]) });
    let thefts = [
        vec![from_b(1, 21)],
        vec![from_b(1, 19)],
        vec![from_b(2, 20)],
        vec![from_b(u64::MAX, 20)],
        vec![with_memo],
        vec![from_a(5, 1), from_b(2, 1)],
        vec![from_b(1, 20), from_b(2, 20)],
        vec![from_b(2, 1), Update::Finish],
    ];
    for updates in thefts {
        let taken = told(&world, propose(Crypto::Fast, follower(&world), (6, 5), &updates, 5));
        assert_eq!(taken.verdict, Ok(()));
        assert_eq!(taken.after.held(), follower(&world).held());
        let [ChannelMessage::Refuse(refuse)] = taken.said()[..] else { panic!("{:?}", taken.said()) };
        assert_eq!(refuse.reason, RefuseReason::NotRequested);
        assert!(matches!(refuse.what, Refused::Proposal { version: 6, .. }));
        assert_eq!(taken.after.mark(), follower(&world).mark(), "nothing is signed");
    }
}

#[test]
fn p17_a_request_that_was_refused_or_passed_over_is_never_paid() {
    let world = moment(Crypto::Fast);
    let refuse =
        towpath_protocol::Refuse { what: Refused::Request { number: 1 }, reason: RefuseReason::Busy };
    let refused = tell(Crypto::Fast, follower(&world), ChannelMessage::Refuse(refuse), world.now);
    assert!(matches!(refused.outcome.effects[..], [Effect::Failed { number: 1, .. }]));
    // Now the sequencer includes it after all.
    let late = propose(Crypto::Fast, follower(&world), (6, 5), &[from_b(1, 20)], 5);
    let taken = tell(Crypto::Fast, &refused.after, ChannelMessage::Propose(late), world.now);
    assert!(matches!(taken.said()[..], [ChannelMessage::Refuse(_)]));
    assert_eq!(taken.after.state().version, 5);
}

#[test]
fn c6_who_follows_proposes_nothing_and_who_proposes_takes_no_proposal() {
    let mut world = moment(Crypto::Fast);
    world.settle();
    // B proposes although A has the role.
    let victim = &world.sides[A].channel;
    let next = victim.state().version + 1;
    for base in [next - 1, next - 2] {
        let usurped = propose(Crypto::Fast, victim, (next, base), &[], next - 1);
        let taken = tell(Crypto::Fast, victim, ChannelMessage::Propose(usurped), world.now);
        assert_eq!(taken.verdict, Err(Reject::NotSequencer));
    }
    // A hands over; until B has answered neither takes a proposal of the other.
    world.command(A, Command::HandOver).expect("fine");
    let victim = &world.sides[A].channel;
    let early = propose(Crypto::Fast, victim, (next + 1, next), &[], next);
    let taken = tell(Crypto::Fast, victim, ChannelMessage::Propose(early), world.now);
    assert_eq!(taken.verdict, Err(Reject::NotSequencer));
}

#[test]
fn requests_that_are_none() {
    let world = moment(Crypto::Fast);
    let victim = &world.sides[A].channel;
    let transfer = |from, number, amount| Transfer { from, number, amount: Amount(amount), memo: None };
    let hear = |transfers: Vec<Transfer>| {
        tell(
            Crypto::Fast,
            victim,
            ChannelMessage::Request(Request { transfers, role: Role::Keep }),
            world.now,
        )
    };
    for lie in [
        vec![transfer(Party::A, 1, 5)],
        vec![transfer(Party::B, 1, 5), transfer(Party::A, 2, 5)],
        vec![transfer(Party::B, 2, 5), transfer(Party::B, 1, 5)],
        vec![transfer(Party::B, 1, 5), transfer(Party::B, 1, 5)],
    ] {
        assert_eq!(hear(lie).verdict, Err(Reject::Unexpected("request")));
    }
    for (amount, expected) in
        [(0, UpdateError::Zero), (531, UpdateError::Balance), (u64::MAX, UpdateError::Balance)]
    {
        let taken = hear(vec![transfer(Party::B, 1, amount)]);
        let said = taken.said();
        let [ChannelMessage::Refuse(refuse)] = said[..] else { panic!("{said:?}") };
        assert_eq!(refuse.reason, RefuseReason::Invalid(expected));
        assert_eq!(taken.after.state(), victim.state());
    }
    assert!(
        hear(vec![transfer(Party::B, 1, 530)])
            .said()
            .iter()
            .any(|said| matches!(said, ChannelMessage::Propose(_)))
    );
}

#[test]
fn a_follower_that_floods_and_refuses_stays_within_the_bounds() {
    let mut world = World::open(Crypto::Fast, 1_000, 100_000, 10);
    let hear = |world: &mut World, message| {
        world.wires[A].push_back(message);
        world.deliver(A, 1, Cut::Nowhere)
    };
    let first = world.sides[A].channel.mark().version + 1;
    let request = |from: u64| {
        let transfers = (from..from + 1_024).map(|number| Transfer {
            from: Party::B,
            number,
            amount: Amount(1),
            memo: None,
        });
        ChannelMessage::Request(Request { transfers: transfers.collect(), role: Role::Keep })
    };
    for flood in 0..12 {
        // Each request is within its bound, and none is ever answered with a signature.
        assert_eq!(hear(&mut world, request(1 + 1_024 * flood)), []);
    }
    let what = Refused::Proposal { version: first, update: 0 };
    let refuse = towpath_protocol::Refuse { what, reason: RefuseReason::Unwanted };
    assert_eq!(hear(&mut world, ChannelMessage::Refuse(refuse)), []);
    world.crash(A);
}

#[test]
fn c15_every_message_of_a_conversation_replayed_in_every_later_moment() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 10);
    world.command(A, Command::SetPacing(Pacing { ack_every: 3 })).expect("fine");
    let mut heard: [Vec<ChannelMessage>; 2] = [Vec::new(), Vec::new()];
    for round in 0..12 {
        world.pay(round % 2, 3).expect("paid");
        if round % 5 == 4 {
            world.command(round % 2, Command::TakeSequencer).expect("fine");
        }
        for side in [1, 0, 1, 0] {
            heard[side].extend(world.wires[side].iter().cloned());
            world.deliver(side, usize::MAX, Cut::Nowhere);
        }
        for (side, heard) in world.sides.iter().zip(&heard) {
            let victim = &side.channel;
            for old in heard {
                let taken = tell(Crypto::Fast, victim, old.clone(), world.now);
                assert_eq!(
                    taken.after.held().content,
                    victim.held().content,
                    "an old {} changes nothing",
                    old.name()
                );
                assert!(taken.after.possible_balances().all(|balance| balance.0 >= side.told()));
            }
        }
    }
    world.settle();
    world.assert_quiescent();
}

#[test]
fn c9_c10_every_changed_byte_of_every_message_costs_nothing() {
    // Whatever bytes arrive in place of an honest message: no panic, no broken invariant, nothing lost.
    let mut world = World::open(Crypto::Fast, 1_000, 500, 10);
    let (mut tried, mut decoded) = (0, 0);
    for round in 0..6 {
        world.pay_many(round % 2, &[3, 4]);
        if round == 2 {
            world.command(B, Command::TakeSequencer).expect("fine");
        }
        for side in [1, 0, 1, 0] {
            while let Some(honest) = world.wires[side].front().cloned() {
                let victim = &world.sides[side].channel;
                let bytes = towpath_protocol::Message::Channel(victim.id(), honest).encode();
                for position in 0..bytes.len() {
                    for flip in [0x01, 0x80, 0xff] {
                        let mut changed = bytes.clone();
                        changed[position] ^= flip;
                        tried += 1;
                        let Ok(towpath_protocol::Message::Channel(_, lie)) =
                            towpath_protocol::Message::decode(&changed)
                        else {
                            continue;
                        };
                        decoded += 1;
                        let taken = tell(Crypto::Fast, victim, lie, world.now);
                        let told = world.sides[side].told();
                        let claimed = received(&taken);
                        assert!(taken.after.possible_balances().all(|balance| balance.0 >= told + claimed));
                    }
                }
                world.deliver(side, 1, Cut::Nowhere);
            }
        }
    }
    assert!(decoded > tried / 10, "{decoded} of {tried}");
    world.settle();
    world.assert_quiescent();
}

/// What a turn says was received.
fn received(taken: &Taken) -> u64 {
    let amount = |effect: &Effect| match effect {
        Effect::Received { amount, .. } => Some(amount.0),
        _ => None,
    };
    taken.outcome.effects.iter().filter_map(amount).sum()
}

#[test]
fn p17_requests_that_are_not_in_a_version_wait_or_have_failed_by_their_own_number() {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    assert!(world.pay_many(B, &[10, 20, 30]).is_empty());
    let failed = |taken: &Taken| -> Vec<u64> {
        let number = |effect: &Effect| match effect {
            Effect::Failed { number, .. } => Some(*number),
            _ => None,
        };
        taken.outcome.effects.iter().filter_map(number).collect()
    };
    // The first is in; a payment of A has the number of the second, which still waits, as the third does.
    let first = [from_a(2, 5), from_b(1, 10)];
    let taken = told(&world, propose(Crypto::Fast, follower(&world), (2, 1), &first, 1));
    assert_eq!((taken.verdict, taken.after.view().waiting), (Ok(()), 2));
    assert_eq!(failed(&taken), []);
    // The second is in: the first was passed over and can never be, the third waits.
    let taken = told(&world, propose(Crypto::Fast, follower(&world), (2, 1), &[from_b(2, 20)], 1));
    assert_eq!((taken.verdict, taken.after.view().waiting), (Ok(()), 1));
    assert_eq!(failed(&taken), [1]);
}

#[test]
fn p14_a_version_over_a_gap_is_not_taken_for_one_over_refused_ones() {
    // B refused version 2 in an earlier session, and A never heard of it.
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.command(B, Command::SetReceive(Receive::Nothing)).expect("fine");
    world.pay(A, 10).expect("paid");
    world.deliver(B, 1, Cut::Nowhere);
    world.disconnect();
    world.connect();
    world.deliver(B, 1, Cut::Nowhere);
    world.command(B, Command::SetReceive(Receive::Any)).expect("fine");
    // Version 4 on version 3, which B never saw: it waits. On version 1, which B holds, it is the next.
    let behind = told(&world, propose(Crypto::Fast, follower(&world), (4, 3), &[from_a(2, 1)], 1));
    assert_eq!((behind.verdict, behind.after.state().version), (Ok(()), 1));
    let over = told(&world, propose(Crypto::Fast, follower(&world), (4, 1), &[from_a(2, 1)], 1));
    assert_eq!((over.verdict, over.after.state().version), (Ok(()), 4));
}

/// Four versions of a payment each, on their way to B.
fn four_on_their_way() -> (World, Vec<ChannelMessage>) {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.command(A, Command::SetPacing(Pacing { ack_every: 1_000 })).expect("fine");
    for _ in 0..4 {
        world.pay(A, 10).expect("paid");
    }
    let messages: Vec<_> = world.wires[B].drain(..).collect();
    assert_eq!(messages.len(), 4);
    (world, messages)
}

#[test]
fn p14_what_waits_behind_a_gap_counts_as_soon_as_the_gap_is_closed() {
    let (mut world, messages) = four_on_their_way();
    for (place, version) in [(1, 1), (3, 1), (0, 3), (2, 5)] {
        world.wires[B].push_back(messages[place].clone());
        assert_eq!(world.deliver(B, 1, Cut::Nowhere), []);
        assert_eq!(world.sides[B].channel.state().version, version);
    }
}

#[test]
fn p14_nothing_is_missing_behind_a_refused_version() {
    let (mut world, messages) = four_on_their_way();
    world.command(B, Command::SetReceive(Receive::Nothing)).expect("fine");
    for (place, message) in messages.into_iter().enumerate() {
        world.wires[B].push_back(message);
        assert_eq!(world.deliver(B, 1, Cut::Nowhere), []);
        let said: Vec<_> = world.wires[A].drain(..).collect();
        match place {
            0 => assert!(matches!(said[..], [ChannelMessage::Refuse(_)]), "{said:?}"),
            _ => assert!(said.is_empty(), "what is built on it is burnt with it: {said:?}"),
        }
    }
}
