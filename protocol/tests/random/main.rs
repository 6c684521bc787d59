//! Random schedules of everything at once, with an auditor that knows nothing of versions: it only adds up what callers
//! were told, and what the ledger paid (FAULTS C6, C7, C10, C15, C25).

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "canaries")]
mod canaries;

use common::schedule::{Action, End, schedule};
use common::world::Cut;
use proptest::prelude::*;
use proptest::test_runner::Config;
use towpath_protocol::Change;

fn side() -> impl Strategy<Value = usize> {
    0..2_usize
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![8 => Just(Cut::Nowhere), 1 => Just(Cut::BeforeWrite), 1 => Just(Cut::BeforeEffects)]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (side(), 1..200_u64).prop_map(|(side, amount)| Action::Pay(side, amount)),
        2 => (side(), proptest::collection::vec(1..90_u64, 1..6)).prop_map(|(side, many)| Action::Burst(side, many)),
        3 => (side(), 0..6_u8).prop_map(|(side, which)| Action::Command(side, which)),
        16 => (side(), 1..5_usize, cut()).prop_map(|(side, count, cut)| Action::Deliver(side, count, cut)),
        1 => side().prop_map(Action::Lose),
        1 => side().prop_map(Action::Double),
        1 => side().prop_map(Action::Crash),
        1 => Just(Action::Disconnect),
        3 => Just(Action::Connect),
        1 => Just(Action::Wait),
        1 => ending(),
        1 => resize(),
    ]
}

fn resize() -> impl Strategy<Value = Action> {
    let amount = || (1..300_u64).prop_map(towpath_ledger::Amount);
    let change = prop_oneof![amount().prop_map(Change::Add), amount().prop_map(Change::PayOut)];
    prop_oneof![
        3 => (side(), change, 1..20_000_u64).prop_map(|(side, change, ms)| Action::Resize(side, change, ms)),
        3 => (1..6_000_u64).prop_map(Action::Block),
        3 => side().prop_map(Action::Tell),
    ]
}

fn ending() -> impl Strategy<Value = Action> {
    prop_oneof![
        1 => side().prop_map(Action::Close),
        1 => side().prop_map(Action::ForceClose),
        3 => (1..6_000_u64).prop_map(Action::Block),
        3 => side().prop_map(Action::Tell),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Open),
        side().prop_map(End::Together),
        side().prop_map(End::Alone),
        Just(End::BothAlone),
        side().prop_map(End::Silent),
    ]
}

/// First balances and the reserve, what happens, and how it ends.
type Schedule = ((u64, u64, u64), Vec<Action>, End);

fn schedules() -> impl Strategy<Value = Schedule> {
    let start =
        prop_oneof![Just((1_000, 500, 0)), Just((1_000, 500, 10)), Just((60, 700, 5)), Just((300, 0, 0))];
    (start, proptest::collection::vec(action(), 1..60), end())
}

proptest! {
    // Eight times PROPTEST_CASES, which is 256 if it is not set.
    #![proptest_config(Config { cases: 8 * Config::default().cases, max_shrink_iters: 20_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn c6_c7_c10_c15_c25_any_schedule((start, actions, end) in schedules()) {
        schedule(start, actions, end);
    }
}

// What the schedules found, cut down to what matters (docs/reports/found.md).

#[test]
fn a_resize_that_is_final_just_before_it_expires_is_final() {
    use Action::{Block, Deliver, Resize};
    let here = Cut::Nowhere;
    let actions = vec![
        Resize(0, Change::Add(common::amount(1)), 5_786),
        Deliver(1, 1, here),
        Deliver(0, 1, here),
        Block(1_600),
        Block(4_187),
    ];
    schedule((1_000, 500, 0), actions, End::Open);
}

#[test]
fn a_settlement_by_a_proposal_that_was_never_acknowledged_is_told_as_it_is_paid() {
    use Action::{Connect, Deliver, Pay};
    let here = Cut::Nowhere;
    // A's proposal of B's payment outlives A's crash; B completes it, A never hears of that, and both close.
    let actions = vec![
        Pay(1, 1),
        Deliver(0, 1, Cut::BeforeEffects),
        Connect,
        Pay(0, 1),
        Deliver(0, 1, here),
        Deliver(1, 2, here),
        Pay(0, 1),
    ];
    schedule((1_000, 500, 0), actions, End::BothAlone);
    // B completes it, and closes with it while A is not there.
    let actions = vec![Pay(1, 1), Deliver(0, 1, here), Deliver(1, 1, here), Pay(0, 1)];
    schedule((1_000, 500, 0), actions, End::Silent(0));
}

#[test]
fn a_refused_message_leaves_no_trace_when_the_ledger_has_gone_on() {
    use Action::{Block, Burst, Connect, Crash, Deliver, Lose};
    let here = Cut::Nowhere;
    let actions = vec![
        Crash(0),
        Connect,
        Lose(0),
        Deliver(1, 1, here),
        Burst(1, vec![1]),
        Block(1),
        Deliver(0, 1, here),
    ];
    schedule((1_000, 500, 0), actions, End::Open);
}

#[test]
fn what_is_lost_behind_a_refusal_is_mended_by_the_next_session() {
    use Action::{Command, Deliver, Lose, Pay};
    let actions = vec![
        Pay(0, 1),
        Pay(0, 1),
        Command(1, 2),
        Pay(0, 1),
        Pay(0, 1),
        Deliver(1, 1, Cut::Nowhere),
        Pay(0, 1),
        Lose(1),
    ];
    schedule((1_000, 500, 0), actions, End::Open);
}
