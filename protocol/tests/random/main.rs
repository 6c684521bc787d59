//! Random schedules of everything at once, with an auditor that knows nothing of versions: it only adds up what callers
//! were told, and what the ledger paid (FAULTS C6, C7, C10, C15, C25).

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "canaries")]
mod canaries;

use common::harbour::Harbour;
use common::script::{allowed, command};
use common::world::{Crypto, Cut};
use proptest::prelude::*;
use proptest::test_runner::Config;
use towpath_protocol::{Change, Command, LedgerEvent, Life, Pacing, Receive, Reject, Settlement};

/// What can happen next.
#[derive(Clone, Debug)]
enum Action {
    Pay(usize, u64),
    Burst(usize, Vec<u64>),
    Command(usize, u8),
    /// So many messages arrive in one turn; it may be the last of the side.
    Deliver(usize, usize, Cut),
    Lose(usize),
    Double(usize),
    Crash(usize),
    Disconnect,
    Connect,
    Wait,
    /// Together, or alone.
    Close(usize),
    ForceClose(usize),
    Block(u64),
    /// A replica tells its machine what it shows.
    Tell(usize),
    /// A top-up or a pay-out, which expires so much later.
    Resize(usize, Change, u64),
}

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

/// How a channel ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It goes on.
    Open,
    Together(usize),
    Alone(usize),
    BothAlone,
    /// One of both goes silent, and the other closes.
    Silent(usize),
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

const ALONE: Command = Command::ForceClose { fee: towpath_ledger::Amount(2) };

fn act(harbour: &mut Harbour, action: Action) {
    let world = &mut harbour.world;
    match action {
        Action::Pay(side, amount) => allowed(world.pay(side, amount).map(drop)),
        Action::Burst(side, amounts) => {
            world.pay_many(side, &amounts).into_iter().for_each(|reject| allowed(Err(reject)))
        }
        Action::Command(side, which) => {
            let which = match which {
                0 => Command::TakeSequencer,
                1 => Command::HandOver,
                2 => Command::SetReceive(Receive::Nothing),
                3 => Command::SetReceive(Receive::Any),
                4 => Command::SetPacing(Pacing { ack_every: 1 }),
                _ => Command::SetPacing(Pacing { ack_every: 40 }),
            };
            command(world, side, which);
        }
        Action::Deliver(side, count, cut) => drop(world.deliver(side, count, cut)),
        Action::Lose(side) => drop(world.wires[side].pop_front()),
        Action::Double(side) => {
            if let Some(first) = world.wires[side].front().cloned() {
                world.wires[side].push_front(first);
            }
        }
        Action::Crash(side) => world.crash(side),
        Action::Disconnect => world.disconnect(),
        Action::Connect => world.connect(),
        Action::Wait => {
            world.now.local_ms += 700;
            for side in 0..2 {
                world.turn(side, Vec::new(), Cut::Nowhere);
            }
        }
        Action::Close(side) => command(world, side, Command::Close),
        Action::ForceClose(side) => command(world, side, ALONE),
        Action::Block(ms) => {
            // Who is not told of a closing within its window is not protected: a replica is at most a block late with that. And no
            // machine is told of a time before what the blocks up to then did: a resize that is final has not expired.
            let is_owed = |event: &LedgerEvent| {
                matches!(event, LedgerEvent::Closing { .. } | LedgerEvent::Funded { .. })
            };
            if harbour.news.iter().flatten().any(is_owed) {
                harbour.tell_all();
            }
            harbour.block(ms);
        }
        Action::Tell(side) => harbour.tell(side),
        Action::Resize(side, change, ms) => {
            if let Some(plan) = harbour.plan(side, change, ms) {
                match harbour.world.resize(side, plan) {
                    Err(Reject::Resize(_) | Reject::LedgerTerms(_) | Reject::LedgerState(_)) => {}
                    other => allowed(other),
                }
            }
        }
    }
    harbour.world.mend();
}

/// Blocks, until a resize that is under way is final, or has expired.
fn decide(harbour: &mut Harbour) {
    for _ in 0..6 {
        common::script::rest(&mut harbour.world);
        harbour.block(4_000);
        harbour.tell_all();
    }
}

/// Ends the channel, and checks what the ledger paid against what everybody was told.
fn finish(mut harbour: Harbour, end: End) {
    if matches!(end, End::Open | End::Together(_)) {
        decide(&mut harbour);
    }
    let world = &mut harbour.world;
    match end {
        End::Open => {
            common::script::rest(world);
            if world.sides.iter().all(|side| side.channel.life() == Life::Active) {
                return world.assert_agreed();
            }
        }
        End::Together(side) => {
            command(world, side, Command::Close);
            common::script::rest(world);
        }
        End::Alone(side) => command(world, side, ALONE),
        End::BothAlone => {
            command(world, 0, ALONE);
            command(world, 1, ALONE);
        }
        End::Silent(side) => {
            world.disconnect();
            command(world, 1 - side, Command::Close);
            command(world, 1 - side, ALONE);
        }
    }
    harbour.run_to_rest();
    if harbour.end.is_none() {
        // Who could not bear the fee of a close asks the other.
        common::script::rest(&mut harbour.world);
        harbour.run_to_rest();
    }
    assert_paid(&harbour);
}

fn assert_paid(harbour: &Harbour) {
    let mut fees = [0; 2];
    let Some((version, outcome)) = harbour.end else {
        // The close was refused because its author could not bear the fee then: the channel goes on.
        assert!(harbour.world.sides.iter().all(|side| side.channel.life() == Life::Active), "it never ended");
        return harbour.world.assert_agreed();
    };
    assert_ne!(outcome, Settlement::Penalized, "I6: no honest party is penalized");
    for (side, fee) in fees.iter_mut().enumerate() {
        let me = &harbour.world.sides[side];
        assert!(matches!(me.channel.life(), Life::Settled(_)));
        assert_eq!(me.alarms(), [], "I3: nobody loses");
        *fee = me.told().wrapping_sub(harbour.paid(side));
        assert!(
            *fee <= 5,
            "{side} was told {} and paid {}, by version {version}, {outcome:?}",
            me.told(),
            harbour.paid(side)
        );
        let open = me.sent.keys().filter(|number| **number > me.settled && !me.failed.contains(number));
        assert_eq!(open.count(), 0, "every payment is settled or failed");
    }
    let [a, b] = &harbour.world.sides;
    for (payer, payee) in [(a, b), (b, a)] {
        let made = payer.sent.iter().filter(|(number, _)| !payer.failed.contains(number));
        assert!(made.eq(payee.received.iter()), "the same payments were made for both");
    }
}

/// First balances and the reserve, what happens, and how it ends.
type Schedule = ((u64, u64, u64), Vec<Action>, End);

fn schedules() -> impl Strategy<Value = Schedule> {
    let start =
        prop_oneof![Just((1_000, 500, 0)), Just((1_000, 500, 10)), Just((60, 700, 5)), Just((300, 0, 0))];
    (start, proptest::collection::vec(action(), 1..60), end())
}

/// Plays a schedule, and ends the channel.
fn schedule((a, b, reserve): (u64, u64, u64), actions: Vec<Action>, end: End) {
    let mut harbour = Harbour::open(Crypto::Fast, a, b, reserve);
    for action in actions {
        act(&mut harbour, action);
    }
    finish(harbour, end);
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
