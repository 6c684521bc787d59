//! Resizing a channel, by the real rules of the ledger: what both have afterwards, whatever crashes, gets lost, comes late
//! or lies in the middle (SPEC P-60 to P-67; FAULTS C4, C7, C10, C11, C15, L4).

mod common;
#[path = "resize/lies.rs"]
mod lies;

use common::harbour::Harbour;
use common::script::{command, rest};
use common::world::{Crypto, Cut, Faults, WireFault};
use towpath_ledger::{Amount, Transaction, Witness};
use towpath_protocol::{
    Change, ChannelMessage, ClosingStage, Command, Event, Life, Reject, ResizeFailure, Settlement,
};

const A: usize = 0;
const B: usize = 1;
const ALONE: Command = Command::ForceClose { fee: Amount(2) };

fn add(amount: u64) -> Change {
    Change::Add(Amount(amount))
}

fn out(amount: u64) -> Change {
    Change::PayOut(Amount(amount))
}

fn harbour() -> Harbour {
    Harbour::open(Crypto::Fast, 1_000, 500, 10)
}

/// Blocks and messages until no resize waits.
fn decide(harbour: &mut Harbour) {
    for _ in 0..12 {
        harbour.tell_all();
        rest(&mut harbour.world);
        harbour.block(3_000);
        harbour.tell_all();
        rest(&mut harbour.world);
        if harbour.world.sides.iter().all(|side| side.channel.resizing().is_none()) {
            return;
        }
    }
    panic!("a resize is never decided");
}

/// Generation, capacity and balances, on which both agree.
fn agreed(harbour: &Harbour) -> (u32, u64, u64, u64) {
    harbour.world.assert_agreed();
    let [a, b] = &harbour.world.sides;
    assert_eq!(a.channel.terms(), b.channel.terms());
    assert_eq!((a.channel.capacity(), a.channel.funding()), (b.channel.capacity(), b.channel.funding()));
    let state = a.channel.state();
    (state.generation, a.channel.capacity().0, state.balance_a.0, state.balance_b.0)
}

/// Ends the channel, and says what each was paid.
fn close(harbour: &mut Harbour) -> (u64, u64) {
    command(&mut harbour.world, A, Command::Close);
    rest(&mut harbour.world);
    harbour.run_to_rest();
    assert_eq!(harbour.end.expect("it ended").1, Settlement::Cooperative);
    (harbour.paid(A), harbour.paid(B))
}

#[test]
fn either_side_tops_up_and_pays_out_and_nothing_else_changes() {
    for crypto in [Crypto::Fast, Crypto::Real] {
        let mut harbour = Harbour::open(crypto, 1_000, 500, 10);
        harbour.world.pay(A, 300).expect("paid");
        for (side, change, expected) in [
            (A, add(700), (1, 2_200, 1_400, 800)),
            (B, add(200), (2, 2_400, 1_400, 1_000)),
            (B, out(990), (3, 1_410, 1_400, 10)),
            (A, out(400), (4, 1_010, 1_000, 10)),
        ] {
            harbour.resize(side, change).expect("it is wanted");
            decide(&mut harbour);
            assert_eq!(agreed(&harbour), expected);
        }
        // More than was ever there before the first.
        harbour.world.pay(A, 900).expect("paid");
        harbour.world.settle();
        assert_eq!(agreed(&harbour), (4, 1_010, 100, 910));
        harbour.world.assert_quiescent();
        assert_eq!(harbour.refused, []);
        assert_eq!(close(&mut harbour), (100, 910));
    }
}

#[test]
fn c10_what_cannot_be_is_refused_before_anything_is_signed() {
    let mut harbour = harbour();
    harbour.world.pay(A, 100).expect("paid");
    let marks = [A, B].map(|side| *harbour.world.sides[side].channel.mark());
    for (change, why) in [
        (out(891), Reject::Balance { wanted: Amount(891), spendable: Amount(890) }),
        (out(0), Reject::ZeroAmount),
        (add(0), Reject::ZeroAmount),
    ] {
        assert_eq!(harbour.resize(A, change), Err(why));
    }
    let honest = harbour.plan(A, add(5), 20_000).expect("a coin");
    for (plan, why) in [
        (
            towpath_protocol::ResizePlan { change: add(2_000), ..honest.clone() },
            "less is brought than is promised",
        ),
        (towpath_protocol::ResizePlan { change: add(u64::MAX), ..honest.clone() }, "amounts too large"),
        (
            towpath_protocol::ResizePlan { expiry: harbour.world.now.ledger, ..honest.clone() },
            "it expires too soon, or too late",
        ),
        (
            towpath_protocol::ResizePlan {
                expiry: harbour.world.now.ledger.plus_ms(120_001),
                ..honest.clone()
            },
            "it expires too soon, or too late",
        ),
        (
            towpath_protocol::ResizePlan {
                inputs: [honest.inputs.clone(), honest.inputs.clone()].concat(),
                ..honest
            },
            "one input twice",
        ),
    ] {
        assert_eq!(harbour.world.resize(A, plan), Err(Reject::Resize(why)));
    }
    assert_eq!([A, B].map(|side| *harbour.world.sides[side].channel.mark()), marks);
    harbour.resize(A, add(5)).expect("fine");
    assert_eq!(harbour.resize(A, add(5)), Err(Reject::Resize("another resize is under way")));
}

#[test]
fn payments_wait_for_the_ledger_and_are_made_then() {
    for proposer in [A, B] {
        for change in [add(100), out(100)] {
            for expires in [false, true] {
                let mut harbour = harbour();
                harbour.resize(proposer, change).expect("it is wanted");
                harbour.world.settle();
                assert!(
                    harbour.world.sides.iter().all(|side| side.channel.resizing().is_some()),
                    "both signed"
                );
                let version = harbour.world.sides[A].channel.state().version;
                for side in [A, B, A, B] {
                    harbour.world.pay(side, 7).expect("it is queued");
                }
                harbour.world.pay(A, 11).expect("it is queued");
                harbour.world.settle();
                assert_eq!(
                    harbour.world.sides[A].channel.state().version,
                    version,
                    "nothing is signed meanwhile"
                );
                assert!(harbour.world.sides.iter().all(|side| side.received.is_empty()), "nor told");
                if expires {
                    harbour.collect();
                    harbour.pool.clear();
                    harbour.block(20_001);
                }
                decide(&mut harbour);
                assert_eq!(
                    harbour.world.sides.iter().map(|side| side.resized).sum::<u64>(),
                    if expires { 0 } else { 2 }
                );
                harbour.world.assert_quiescent();
                assert_eq!([A, B].map(|side| harbour.world.sides[side].received.len()), [2, 3]);
                let (.., a, b) = agreed(&harbour);
                assert_eq!(close(&mut harbour), (a, b));
            }
        }
    }
}

/// The resize that a side broadcasts, kept from the ledger.
fn withheld(harbour: &mut Harbour) -> Transaction {
    harbour.collect();
    let is_resize =
        |transaction: &Transaction| matches!(transaction.witnesses[..], [Witness::Resize { .. }, ..]);
    let place = harbour.pool.iter().position(|(_, transaction)| is_resize(transaction));
    harbour.pool.remove(place.expect("it is broadcast")).expect("it is there").1
}

#[test]
fn l4_a_resize_that_expires_leaves_the_old_generation_and_its_states_are_worth_nothing() {
    let mut harbour = harbour();
    let mut late = Vec::new();
    for _ in 0..3 {
        harbour.resize(B, add(100)).expect("it is wanted");
        harbour.world.settle();
        late.push(withheld(&mut harbour));
        harbour.block(20_001);
        decide(&mut harbour);
        harbour.world.pay(A, 10).expect("paid");
        harbour.world.settle();
    }
    assert_eq!(harbour.world.sides[A].ended, [ResizeFailure::Expired; 3]);
    assert_eq!(agreed(&harbour), (0, 1_500, 970, 530));
    for transaction in late {
        harbour.apply(&transaction).expect_err("it has expired");
    }
    // The same capacity as the ones before: what was signed for them is older than what was signed for this one.
    harbour.resize(B, add(100)).expect("it is wanted");
    decide(&mut harbour);
    assert_eq!(agreed(&harbour), (1, 1_600, 970, 630));
    assert_eq!(close(&mut harbour), (970, 630));
}

#[test]
fn one_replica_may_be_slower_than_the_other() {
    for fast in [A, B] {
        for restart in [None, Some(A), Some(B)] {
            let mut harbour = harbour();
            harbour.resize(A, add(100)).expect("it is wanted");
            harbour.world.settle();
            harbour.block(1_000);
            harbour.tell(fast);
            harbour.world.settle();
            for side in [A, B] {
                harbour.world.pay(side, 3).expect("it is queued");
            }
            harbour.world.settle();
            if let Some(side) = restart {
                harbour.world.crash(side);
                harbour.world.connect();
                harbour.world.settle();
            }
            assert_eq!(harbour.world.sides[fast].channel.terms().generation, 1);
            assert_eq!(harbour.world.sides[1 - fast].channel.terms().generation, 0);
            harbour.tell(1 - fast);
            harbour.world.settle();
            // What had no number yet is forgotten with the process.
            rest(&mut harbour.world);
            harbour.world.assert_quiescent();
            let (generation, capacity, ..) = agreed(&harbour);
            assert_eq!((generation, capacity), (1, 1_600));
        }
    }
}

/// Something that a side does while a resize is under way.
type Deed = fn(&mut Harbour);

fn script(harbour: &mut Harbour, deeds: &[Deed]) {
    for deed in deeds {
        deed(harbour);
        harbour.world.mend();
        harbour.world.connect();
    }
}

const DEEDS: [Deed; 12] = [
    |harbour| {
        let _or_refused = harbour.world.pay(A, 20);
    },
    |harbour| {
        let _or_refused = harbour.resize(B, Change::Add(Amount(300)));
    },
    |harbour| {
        let _or_refused = harbour.world.pay(B, 5);
    },
    |harbour| harbour.world.settle_in_session(),
    |harbour| {
        let _or_refused = harbour.world.pay(A, 30);
    },
    |harbour| harbour.block(1_000),
    |harbour| harbour.tell(B),
    |harbour| harbour.world.settle_in_session(),
    |harbour| harbour.tell(A),
    |harbour| {
        let _or_refused = harbour.resize(A, Change::PayOut(Amount(200)));
    },
    |harbour| harbour.world.settle_in_session(),
    |harbour| harbour.block(1_000),
];

/// Plays the deeds with one fault, and checks that both agree, and are paid what they were told.
fn with_fault(faults: Faults) -> (u64, u64) {
    let mut harbour = harbour();
    (harbour.world.turns, harbour.world.messages, harbour.world.faults) = (0, 0, faults);
    script(&mut harbour, &DEEDS);
    let done = (harbour.world.turns, harbour.world.messages);
    harbour.world.faults = Faults::default();
    decide(&mut harbour);
    let (_, capacity, a, b) = agreed(&harbour);
    assert_eq!(capacity, a + b, "{faults:?}");
    assert_eq!(close(&mut harbour), (a, b), "{faults:?}");
    done
}

#[test]
fn c7_c15_any_crash_and_any_fault_of_the_wire_leaves_both_in_one_generation() {
    let (turns, messages) = with_fault(Faults::default());
    assert!(turns > 20 && messages > 15, "{turns} turns, {messages} messages");
    for turn in 1..=turns {
        for cut in [Cut::BeforeWrite, Cut::BeforeEffects] {
            with_fault(Faults { cut: Some((turn, cut)), wire: None });
        }
    }
    let wires =
        [WireFault::Drop, WireFault::Duplicate, WireFault::Delay(1), WireFault::Delay(3), WireFault::Break];
    for message in 1..=messages {
        for fault in wires {
            with_fault(Faults { cut: None, wire: Some((message, fault)) });
        }
    }
}

#[test]
fn a_close_that_is_faster_than_the_resize_settles_the_old_generation() {
    for proposer in [A, B] {
        for closer in [A, B] {
            let mut harbour = harbour();
            harbour.world.pay(A, 40).expect("paid");
            harbour.resize(proposer, add(100)).expect("it is wanted");
            harbour.world.settle();
            let resize = withheld(&mut harbour);
            command(&mut harbour.world, closer, ALONE);
            harbour.block(1_000);
            harbour.apply(&resize).expect_err("its input is spent");
            harbour.run_to_rest();
            assert!(matches!(harbour.end, Some((_, Settlement::Unilateral))), "{:?}", harbour.end);
            let fees = [A, B].map(|side| harbour.world.sides[side].told() - harbour.paid(side));
            assert!(fees.iter().all(|fee| *fee <= 3), "{fees:?}");
            assert!(harbour.world.sides.iter().all(|side| side.ended == [ResizeFailure::Closed]));
            assert!(harbour.world.sides.iter().all(|side| side.alarms().is_empty()));
        }
    }
}

#[test]
fn a_resize_that_is_faster_than_the_close_is_closed_in_the_new_generation() {
    for proposer in [A, B] {
        for closer in [A, B] {
            for crash in [false, true] {
                let mut harbour = harbour();
                harbour.resize(proposer, out(100)).expect("it is wanted");
                harbour.world.settle();
                let resize = withheld(&mut harbour);
                command(&mut harbour.world, closer, ALONE);
                harbour.collect();
                let stale = harbour.pool.clone();
                harbour.apply(&resize).expect("the ledger takes it");
                harbour.block(1_000);
                assert_eq!(harbour.refused.len(), stale.len(), "the old close is worth nothing");
                if crash {
                    harbour.world.crash(closer);
                }
                harbour.run_to_rest();
                let (version, outcome) = harbour.end.expect("it ended");
                assert_eq!(
                    (version, outcome),
                    (harbour.world.sides[closer].channel.state().version, Settlement::Unilateral)
                );
                let fees = [A, B].map(|side| harbour.world.sides[side].told() - harbour.paid(side));
                assert!(fees.iter().all(|fee| *fee <= 3), "{fees:?}");
                assert!(harbour.world.sides.iter().all(|side| side.alarms().is_empty() && side.resized == 1));
            }
        }
    }
}

/// P-31: what is owed for a close is not replaced by a resize that the wallet signs late.
#[test]
fn l4_a_resize_whose_coins_are_signed_after_a_close_is_not_handed_in() {
    let mut harbour = harbour();
    harbour.resize(A, add(100)).expect("it is wanted");
    harbour.world.deliver(B, 1, Cut::Nowhere);
    // A is sealed, and its wallet is asked for the coins that it adds: nothing else may spend them meanwhile.
    harbour.world.deliver(A, 1, Cut::Nowhere);
    let [adds, other] = [A, B].map(|side| &harbour.world.sides[side].channel);
    assert!(adds.awaits_block() && other.awaits_block(), "it expires with the ledger's time");
    let (coins, until) = adds.coins_to_add().expect("coins");
    assert_eq!((coins.len(), until), (1, harbour.world.now.ledger.plus_ms(20_000)));
    assert!(other.coins_to_add().is_none());
    command(&mut harbour.world, A, ALONE);
    harbour.collect();
    let made = |witness: fn(&Witness) -> bool| {
        harbour.pool.iter().filter(|(_, transaction)| transaction.witnesses.iter().any(witness)).count()
    };
    assert_eq!(made(|witness| matches!(witness, Witness::Resize { .. })), 0, "{:?}", harbour.pool);
    assert_eq!(made(|witness| matches!(witness, Witness::Unilateral { .. })), 1, "{:?}", harbour.pool);
    harbour.run_to_rest();
    assert!(matches!(harbour.end, Some((_, Settlement::Unilateral))), "{:?}", harbour.end);
}

/// A replica that shows the resize, and the peer's close in the new generation, at once: the answer is what is owed, and
/// no close of this party's own, whose output is spent.
#[test]
fn a_close_is_not_posted_anew_once_the_peer_has_closed_the_new_generation() {
    let mut harbour = harbour();
    harbour.resize(A, out(100)).expect("it is wanted");
    harbour.world.settle();
    let resize = withheld(&mut harbour);
    command(&mut harbour.world, B, ALONE);
    harbour.collect();
    harbour.pool.clear();
    harbour.apply(&resize).expect("the ledger takes it");
    harbour.tell(A);
    command(&mut harbour.world, A, ALONE);
    harbour.block(1_000);
    assert_eq!(harbour.refused, []);
    let news: Vec<Event> = harbour.news[B].drain(..).map(Event::Ledger).collect();
    assert_eq!(news.len(), 2, "{news:?}");
    harbour.world.turn(B, news, Cut::Nowhere);
    harbour.collect();
    let closes =
        |transaction: &Transaction| matches!(transaction.witnesses[..], [Witness::Unilateral { .. }]);
    assert!(!harbour.pool.iter().any(|(_, transaction)| closes(transaction)), "{:?}", harbour.pool);
    harbour.run_to_rest();
    assert!(
        matches!(harbour.end, Some((_, Settlement::Unilateral | Settlement::Resolved))),
        "{:?}",
        harbour.end
    );
}

#[test]
fn a_resize_right_after_another_waits_for_the_slower_replica() {
    for fast in [A, B] {
        let mut harbour = harbour();
        harbour.resize(A, add(100)).expect("it is wanted");
        harbour.world.settle();
        harbour.block(1_000);
        harbour.tell(fast);
        harbour.world.settle();
        assert_eq!(harbour.world.sides[fast].channel.terms().generation, 1);
        harbour.resize(fast, add(50)).expect("it waits");
        harbour.tell(1 - fast);
        decide(&mut harbour);
        assert_eq!(agreed(&harbour).0, 2, "{fast} is faster");
    }
}

#[test]
fn c11_a_close_together_waits_for_the_ledger() {
    for closer in [A, B] {
        for expires in [false, true] {
            let mut harbour = harbour();
            harbour.resize(A, add(100)).expect("it is wanted");
            harbour.world.settle();
            command(&mut harbour.world, closer, Command::Close);
            harbour.world.settle();
            let lives = [A, B].map(|side| harbour.world.sides[side].channel.life());
            assert!(lives.contains(&Life::Closing(ClosingStage::Draining)), "{lives:?}");
            if expires {
                withheld(&mut harbour);
                harbour.block(20_001);
            }
            harbour.run_to_rest();
            assert_eq!(harbour.end.expect("it ended").1, Settlement::Cooperative);
            let told = [A, B].map(|side| harbour.world.sides[side].told());
            assert_eq!(told, [if expires { 1_000 } else { 1_100 }, 500]);
            assert_eq!([harbour.paid(A), harbour.paid(B)], told);
        }
    }
}

#[test]
fn c16_who_lost_its_data_before_a_resize_is_told_by_the_ledger_and_recovers_in_the_new_generation() {
    for victim in [A, B] {
        for proposer in [A, B] {
            let mut harbour = harbour();
            harbour.world.pay(A, 50).expect("paid");
            harbour.world.settle();
            let backup = harbour.world.sides[victim].clone();
            harbour.resize(proposer, add(200)).expect("it is wanted");
            decide(&mut harbour);
            harbour.world.pay(B, 30).expect("paid");
            harbour.world.settle();
            let state = harbour.world.sides[1 - victim].channel.state().clone();
            harbour.world.put_back(victim, backup);
            // The replica shows the channel's output again, as it does after every start.
            let funding = harbour.world.sides[1 - victim].channel.funding().expect("funded");
            let entry = Box::new(harbour.ledger.view.entries[&funding].clone());
            let report = towpath_protocol::LedgerEvent::Funded { outpoint: funding, entry };
            harbour.world.turn(victim, vec![Event::Ledger(report)], Cut::Nowhere);
            assert!(harbour.world.sides[victim].channel.is_lost());
            let searched = Event::Recovery(towpath_protocol::RecoveryEvent::Searched);
            harbour.world.turn(victim, vec![searched], Cut::Nowhere);
            harbour.world.connect();
            harbour.world.settle();
            let found = harbour.world.sides[victim].channel.state().clone();
            assert!(!harbour.world.sides[victim].channel.is_lost(), "it goes on");
            assert!(found.version > state.version);
            assert_eq!(
                (found.balance_a, found.balance_b, found.generation),
                (state.balance_a, state.balance_b, 1)
            );
            harbour.world.pay(victim, 5).expect("paid");
            harbour.world.settle();
            assert_eq!(harbour.world.sides[A].channel.state(), harbour.world.sides[B].channel.state());
        }
    }
}

/// P-64: the proposer has the other's agreement, and closes in the same turn: it never signed the resize.
#[test]
fn p64_a_resize_that_was_never_signed_is_never_taken_for_final() {
    for (version, outcome) in [(9, Settlement::Cooperative), (2, Settlement::Unilateral)] {
        let mut harbour = harbour();
        harbour.world.pay(A, 40).expect("paid");
        harbour.world.settle();
        harbour.resize(A, add(100)).expect("it is wanted");
        harbour.world.deliver(B, 1, Cut::Nowhere);
        let agreed = harbour.world.wires[A].pop_front().expect("it agrees");
        assert!(matches!(agreed, ChannelMessage::ResizeAgreed(_)), "{agreed:?}");
        let close = Event::Command { token: 7, command: ALONE };
        assert_eq!(harbour.world.turn(A, vec![Event::Message(agreed), close], Cut::Nowhere), []);
        let channel = &harbour.world.sides[A].channel;
        assert_eq!(channel.life(), Life::Closing(ClosingStage::Unilateral));
        assert!(channel.resizing().is_some(), "the agreement is known");
        let settled = towpath_protocol::LedgerEvent::Settled { version, outcome };
        harbour.world.turn(A, vec![Event::Ledger(settled)], Cut::Nowhere);
        let side = &harbour.world.sides[A];
        assert_eq!((side.resized, side.ended.as_slice()), (0, [ResizeFailure::Closed].as_slice()));
        assert_eq!((side.channel.terms().generation, side.channel.capacity()), (0, Amount(1_500)));
        assert_eq!(side.channel.life(), Life::Settled(outcome));
    }
}
