//! Closing alone, and what the other side makes of it: by the real rules of the ledger (FAULTS C3, C5, C7, C13, C14;
//! SPEC P-21 to P-23).

mod common;

use common::harbour::Harbour;
use common::ledger::ANSWER_FEE;
use common::world::{Crypto, Cut, World};
use towpath_ledger::{Transaction, Witness};
use towpath_protocol::{
    Alarm, Channel, ClosingStage, Command, Effect, Event, Immediate, LedgerEvent, Life, Pacing, Reject,
    Settlement,
};

const ALONE: Command = Command::ForceClose { fee: towpath_ledger::Amount(2) };
const WINDOW_MS: u64 = 10_000;

/// The side with the machine's newest state signs and orders a close; nothing else is told.
fn posted_by(channel: &Channel, world: &World) -> Effect {
    let mut channel = channel.clone();
    let force = Event::Command { token: 0, command: ALONE };
    channel.step(force, world.now, &mut Immediate).expect("closes alone");
    let outcome = channel.step(Event::TurnEnd, world.now, &mut Immediate).expect("a turn ends");
    let post = outcome.effects.into_iter().find(|effect| matches!(effect, Effect::PostClose { .. }));
    post.expect("it posts")
}

/// A channel with so many payments of 10 by A, each acknowledged, and a copy of both machines after each.
fn with_history(crypto: Crypto, payments: usize) -> (Harbour, Vec<[Channel; 2]>) {
    let mut harbour = Harbour::open(crypto, 1_000, 500, 10);
    let mut history = Vec::new();
    for _ in 0..payments {
        let copy = |side: usize| harbour.world.sides[side].channel.clone();
        history.push([copy(0), copy(1)]);
        harbour.world.pay(0, 10).expect("paid");
        harbour.world.settle();
    }
    (harbour, history)
}

/// The transaction that a cheater makes of an old machine.
fn stale(harbour: &Harbour, old: &Channel) -> Transaction {
    let post = posted_by(old, &harbour.world);
    harbour.ledger.transaction(old, &post).expect("it can be posted")
}

#[test]
fn c3_every_stale_close_is_answered_and_costs_who_knew_better() {
    let payments = 5;
    for cheater in 0..2 {
        for age in 1..=payments {
            let (mut harbour, history) = with_history(Crypto::Fast, payments);
            let told = [0, 1].map(|side| harbour.world.sides[side].told());
            let old = &history[payments - age][cheater];
            harbour.apply(&stale(&harbour, old)).expect("the ledger takes any co-signed state");
            harbour.tell_all();
            harbour.world.disconnect();
            harbour.run_to_rest();
            let (version, outcome) = harbour.end.expect("it ended");
            assert_eq!(
                version,
                harbour.world.sides[1 - cheater].channel.state().version,
                "the latest state wins"
            );
            // The follower's signature says that it holds what it signs; the sequencer's is one behind.
            let provable = cheater == 1 || age > 1;
            if provable {
                assert_eq!(outcome, Settlement::Penalized);
                let forfeit = told[cheater] / 2;
                assert_eq!(harbour.paid(cheater), told[cheater] - forfeit - 2);
                assert_eq!(harbour.paid(1 - cheater), told[1 - cheater] + forfeit - ANSWER_FEE);
            } else {
                assert_eq!(outcome, Settlement::Resolved);
                assert_eq!(harbour.paid(cheater), told[cheater] - 2);
                assert_eq!(harbour.paid(1 - cheater), told[1 - cheater] - ANSWER_FEE);
            }
        }
    }
}

#[test]
fn c3_a_stale_close_is_answered_after_a_crash_and_by_real_signatures() {
    let (mut harbour, history) = with_history(Crypto::Real, 3);
    harbour.apply(&stale(&harbour, &history[0][1])).expect("posted");
    harbour.world.crash(0);
    harbour.tell(0);
    // The answer left in no block yet: the machine starts again, the replica shows the closing again.
    harbour.world.orders[0].clear();
    let again = seen(&harbour);
    harbour.world.crash(0);
    assert_eq!(harbour.world.turn(0, vec![Event::Ledger(again)], Cut::Nowhere), []);
    harbour.block(1_000);
    assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Penalized));
}

/// The closing that the ledger shows now.
fn seen(harbour: &Harbour) -> LedgerEvent {
    let found = harbour.ledger.view.entries.keys().find_map(|outpoint| {
        harbour.ledger.closing(outpoint).map(|(entry, closing)| LedgerEvent::Closing {
            outpoint: *outpoint,
            created: entry.time,
            closing: Box::new(closing),
            fee: common::amount(ANSWER_FEE),
        })
    });
    found.expect("a closing")
}

#[test]
fn c5_a_framed_proposer_is_not_penalized() {
    // A proposes; B signs and keeps its signature to itself; A can only close with what it holds; B shows more.
    for unanswered in 1..4 {
        let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
        harbour.world.command(0, Command::SetPacing(Pacing { ack_every: 1 })).expect("fine");
        for _ in 0..unanswered {
            harbour.world.pay(0, 50).expect("paid");
        }
        harbour.world.deliver(1, 9, Cut::Nowhere);
        harbour.world.disconnect();
        harbour.world.command(0, ALONE).expect("closes alone");
        harbour.block(1_000);
        harbour.tell_all();
        harbour.run_to_rest();
        let (version, outcome) = harbour.end.expect("it ended");
        assert_eq!(outcome, Settlement::Resolved, "never a penalty");
        assert_eq!(version, harbour.world.sides[1].channel.state().version);
        let paid = 50 * unanswered;
        assert_eq!((harbour.paid(0), harbour.paid(1)), (1_000 - paid - 2, 500 + paid - ANSWER_FEE));
        // What the other completed is made, and reported so (SPEC P-23).
        assert_eq!(harbour.world.sides[0].told(), 1_000 - paid);
        assert!(harbour.world.sides[0].failed.is_empty());
    }
}

#[test]
fn c5_what_nobody_completes_fails_at_the_end() {
    let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
    harbour.world.pay(0, 50).expect("paid");
    harbour.world.disconnect();
    harbour.world.command(0, ALONE).expect("closes alone");
    harbour.run_to_rest();
    assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Unilateral));
    assert_eq!(harbour.world.sides[0].failed.len(), 1);
    assert_eq!(harbour.world.sides[0].told(), 1_000);
}

#[test]
fn p23_a_refused_version_that_is_completed_after_all_counts() {
    // A proposes two payments; B refuses the first, keeps A's signature, and completes it when the channel is closed.
    for settled_by in 0..2 {
        let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
        let before = harbour.world.sides[1].channel.clone();
        harbour.world.pay_many(0, &[50, 7]);
        let burnt = harbour.world.wires[1].front().cloned().expect("a proposal");
        let refuse = towpath_protocol::Command::SetReceive(towpath_protocol::Receive::Nothing);
        harbour.world.command(1, refuse).expect("fine");
        harbour.world.deliver(1, 1, Cut::Nowhere);
        harbour.world.deliver(0, 1, Cut::Nowhere);
        assert!(harbour.world.sides[0].failed.is_empty(), "it could still be completed");
        // B's other self accepts it: what a dishonest B would sign.
        let mut completing = before;
        completing
            .step(Event::Message(burnt), harbour.world.now, &mut common::fast::FastVerifier)
            .expect("fine");
        completing.step(Event::TurnEnd, harbour.world.now, &mut Immediate).expect("a turn ends");
        let poster = [&harbour.world.sides[0].channel, &completing][settled_by].clone();
        harbour.world.disconnect();
        harbour.apply(&stale(&harbour, &poster)).expect("posted");
        harbour.tell(0);
        harbour.collect();
        harbour.pool.retain(|(side, _)| *side == 0);
        harbour.world.orders[1].clear();
        harbour.news[1].clear();
        for _ in 0..3 {
            harbour.block(6_000);
        }
        harbour.tell(0);
        let made = if settled_by == 1 { 57 } else { 0 };
        assert_eq!(harbour.world.sides[0].told(), 1_000 - made, "what the settled state says");
        assert_eq!(harbour.world.sides[0].failed.len(), if settled_by == 1 { 0 } else { 2 });
        let fee = if settled_by == 0 { 2 } else { ANSWER_FEE };
        assert_eq!(harbour.paid(0), 1_000 - made - fee);
    }
}

#[test]
fn c13_the_last_block_of_the_window_counts_and_the_next_does_not() {
    for late_ms in [0, 1] {
        let (mut harbour, history) = with_history(Crypto::Fast, 3);
        harbour.apply(&stale(&harbour, &history[0][0])).expect("posted");
        harbour.tell(1);
        harbour.collect();
        let (_, answer) = harbour.pool.pop_front().expect("an answer");
        assert!(matches!(answer.witnesses[..], [Witness::Answer { .. }]));
        let (_, finalize) = harbour.pool.pop_front().expect("an order to finalize");
        harbour.world.now.ledger = harbour.world.now.ledger.plus_ms(WINDOW_MS + late_ms);
        if late_ms == 0 {
            assert!(harbour.apply(&finalize).is_err(), "no block is both in time and late");
            harbour.apply(&answer).expect("in time");
            assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Penalized));
        } else {
            assert!(harbour.apply(&answer).is_err(), "too late");
            harbour.apply(&finalize).expect("finalized");
            harbour.tell(1);
            assert!(
                matches!(harbour.world.sides[1].alarms()[..], [Alarm::Loss { .. }]),
                "a person must know that less was paid"
            );
        }
    }
}

#[test]
fn c14_an_author_that_supersedes_itself_moves_no_deadline() {
    let (mut harbour, history) = with_history(Crypto::Fast, 4);
    harbour.apply(&stale(&harbour, &history[0][0])).expect("posted");
    let deadline = harbour.world.now.ledger.plus_ms(WINDOW_MS);
    // A's newer selves show one version after the other.
    for version in &history[1..] {
        harbour.world.now.ledger = harbour.world.now.ledger.plus_ms(1_000);
        let mut author = version[0].clone();
        author.step(Event::Ledger(seen(&harbour)), harbour.world.now, &mut Immediate).expect("seen");
        let outcome = author.step(Event::TurnEnd, harbour.world.now, &mut Immediate).expect("a turn ends");
        let raise = outcome.effects.iter().find(|effect| matches!(effect, Effect::Supersede { .. }));
        let raise =
            harbour.ledger.transaction(&author, raise.expect("it supersedes")).expect("a transaction");
        harbour.apply(&raise).expect("each raises the version");
    }
    harbour.tell(1);
    let due = harbour.world.orders[1].iter().find_map(|order| match order {
        Effect::Finalize { deadline, .. } => Some(*deadline),
        _ => None,
    });
    assert_eq!(due, Some(deadline), "it never moves");
    harbour.run_to_rest();
    assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Penalized), "superseding clears nobody");
}

#[test]
fn c7_a_close_survives_a_crash_between_being_signed_and_being_seen() {
    for cut in [Cut::BeforeWrite, Cut::BeforeEffects, Cut::Nowhere] {
        let mut harbour = Harbour::open(Crypto::Real, 1_000, 500, 0);
        harbour.world.pay(1, 100).expect("paid");
        harbour.world.settle();
        let force = Event::Command { token: 77, command: ALONE };
        harbour.world.turn(0, vec![force], cut);
        harbour.world.orders[0].clear();
        harbour.world.crash(0);
        if cut == Cut::BeforeWrite {
            assert_eq!(harbour.world.sides[0].channel.life(), Life::Active, "it never was");
            continue;
        }
        assert_eq!(harbour.world.sides[0].channel.life(), Life::Closing(ClosingStage::Unilateral));
        // From now on it signs no state, whatever the peer says.
        harbour.world.connect();
        let mark = *harbour.world.sides[0].channel.mark();
        harbour.world.pay(1, 5).expect_err("the peer waits for a session that never comes up");
        harbour.world.settle();
        assert_eq!(*harbour.world.sides[0].channel.mark(), mark);
        harbour.run_to_rest();
        assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Unilateral));
        assert_eq!((harbour.paid(0), harbour.paid(1)), (1_098, 400 - ANSWER_FEE));
    }
}

#[test]
fn p21_a_close_that_crossed_an_acknowledgement_can_be_posted_again() {
    // A posts; then it learns from its peer that what it proposed before was signed; then it restarts.
    let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
    harbour.world.pay(0, 50).expect("paid");
    harbour.world.deliver(1, 1, Cut::Nowhere);
    harbour.world.disconnect();
    harbour.world.command(0, ALONE).expect("closes alone");
    harbour.world.orders[0].clear();
    harbour.world.connect();
    harbour.world.settle();
    harbour.world.crash(0);
    harbour.run_to_rest();
    assert!(harbour.end.is_some(), "the close that was signed is posted: {:?}", harbour.refused);
    assert_eq!((harbour.paid(0), harbour.paid(1)), (948, 550 - ANSWER_FEE));
}

#[test]
fn p21_no_close_is_posted_that_its_fee_makes_invalid() {
    // The balance that the fee comes out of is spent in the very turn of the close.
    let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
    harbour.world.pay(0, 999).expect("paid");
    harbour.world.deliver(1, 1, Cut::Nowhere);
    let ack = harbour.world.wires[0].pop_front().expect("an acknowledgement");
    let events = vec![Event::Command { token: 9, command: ALONE }, Event::Message(ack)];
    assert_eq!(harbour.world.turn(0, events, Cut::Nowhere), []);
    harbour.run_to_rest();
    assert!(harbour.refused.is_empty(), "{:?}", harbour.refused);
    assert_eq!(
        harbour.world.sides[0].channel.life(),
        Life::Active,
        "declined: the caller asks again with less"
    );
    harbour.world.command(0, Command::ForceClose { fee: common::amount(1) }).expect("closes alone");
    harbour.run_to_rest();
    assert_eq!((harbour.paid(0), harbour.paid(1)), (0, 1_499 - ANSWER_FEE));
}

#[test]
fn both_sides_close_alone_at_once() {
    for first in 0..2 {
        let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
        harbour.world.pay(0, 100).expect("paid");
        harbour.world.settle();
        harbour.world.command(0, ALONE).expect("closes");
        harbour.world.command(1, ALONE).expect("closes");
        harbour.collect();
        if first == 1 {
            harbour.pool.make_contiguous().reverse();
        }
        harbour.run_to_rest();
        assert_eq!(harbour.end.map(|end| end.1), Some(Settlement::Unilateral));
        let mut due = [900, 600];
        due[first] -= 2;
        due[1 - first] -= ANSWER_FEE;
        assert_eq!([harbour.paid(0), harbour.paid(1)], due);
    }
}

#[test]
fn who_sees_a_close_of_the_other_signs_none_of_its_own() {
    let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
    harbour.world.command(0, ALONE).expect("closes");
    harbour.block(1_000);
    harbour.tell_all();
    assert_eq!(harbour.world.command(1, ALONE), Err(Reject::Closing));
    // In one turn with the report, too.
    let mut other = Harbour::open(Crypto::Fast, 1_000, 500, 0);
    other.world.command(0, ALONE).expect("closes");
    other.block(1_000);
    let force = Event::Command { token: 9, command: ALONE };
    let news: Vec<Event> = [force].into_iter().chain(other.news[1].drain(..).map(Event::Ledger)).collect();
    other.world.turn(1, news, Cut::Nowhere);
    let posts = other.world.orders[1].iter().any(|order| matches!(order, Effect::PostClose { .. }));
    assert!(!posts, "there is nothing to close any more");
}

#[test]
fn p22_a_foreign_closing_is_an_alarm_and_nothing_else() {
    let mut harbour = Harbour::open(Crypto::Fast, 1_000, 500, 0);
    harbour.world.command(0, ALONE).expect("closes");
    harbour.block(1_000);
    let LedgerEvent::Closing { outpoint, created, mut closing, fee } = seen(&harbour) else {
        panic!("a closing")
    };
    closing.capacity = common::amount(2_000);
    let foreign = LedgerEvent::Closing { outpoint, created, closing, fee };
    let life = harbour.world.sides[1].channel.life();
    assert_eq!(harbour.world.turn(1, vec![Event::Ledger(foreign)], Cut::Nowhere), []);
    assert_eq!(harbour.world.sides[1].channel.life(), life);
    assert!(matches!(harbour.world.sides[1].alarms()[..], [Alarm::ForeignClosing(_)]));
}

#[test]
fn an_unfinished_turn_of_the_ledger_shows_the_newest_closing_only() {
    // A replica that was away shows the close, what replaced it, and the end in one turn.
    let (mut harbour, history) = with_history(Crypto::Fast, 3);
    harbour.apply(&stale(&harbour, &history[0][0])).expect("posted");
    harbour.tell(1);
    harbour.block(1_000);
    assert!(harbour.end.is_some());
    harbour.tell(1);
    harbour.world.orders[0].clear();
    harbour.tell(0);
    let orders = &harbour.world.orders[0];
    assert!(
        !orders.iter().any(|order| matches!(order, Effect::Answer { .. } | Effect::Supersede { .. })),
        "nothing is ordered about what is gone: {orders:?}"
    );
    assert!(matches!(harbour.world.sides[0].channel.life(), Life::Settled(_)));
}

#[test]
fn p21_a_close_that_is_asked_for_again_is_posted_again_in_the_same_bytes() {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    world.command(0, ALONE).expect("closes alone");
    world.command(0, Command::ForceClose { fee: common::amount(1) }).expect("asks again, with another fee");
    let posts = world.orders[0].iter().filter(|order| matches!(order, Effect::PostClose { .. }));
    let [first, second] = posts.collect::<Vec<_>>()[..] else { panic!("posted twice") };
    assert_eq!(first, second);
}

#[test]
fn p21_what_waits_when_a_close_is_posted_is_declined_to_its_caller() {
    for side in 0..2 {
        let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
        let pay = Command::Pay { amount: common::amount(5), memo: None };
        world.sides[side].asked.insert(1, common::amount(5));
        let events = [(1, pay), (2, ALONE)].map(|(token, command)| Event::Command { token, command });
        assert_eq!(world.turn(side, events.into(), Cut::Nowhere), []);
        assert!(world.sides[side].asked.is_empty(), "the caller is answered");
        assert!(world.sides[side].sent.is_empty(), "and the payment was not made");
        assert_eq!(world.sides[side].channel.view().waiting, 0);
    }
}
