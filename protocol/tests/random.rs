//! Random schedules of everything at once, with an auditor that knows nothing of versions: it only adds up what callers
//! were told, and what the ledger paid (FAULTS C6, C7, C10, C15, C25).

mod common;

use common::harbour::Harbour;
use common::script::{allowed, command};
use common::world::{Crypto, Cut};
use proptest::prelude::*;
use proptest::test_runner::Config;
use towpath_protocol::{Command, Life, Pacing, Receive, Settlement};

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
    /// One of both goes silent, and the other closes.
    Silent(usize),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Open),
        side().prop_map(End::Together),
        side().prop_map(End::Alone),
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
        Action::Block(ms) => harbour.block(ms),
        Action::Tell(side) => harbour.tell(side),
    }
    harbour.world.mend();
}

/// Ends the channel, and checks what the ledger paid against what everybody was told.
fn finish(mut harbour: Harbour, end: End) {
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
        // The close was refused because its author could not bear the fee.
        assert!(harbour.world.sides.iter().any(|side| side.channel.view().balance.0 < 2), "it never ended");
        return;
    };
    assert_ne!(outcome, Settlement::Penalized, "I6: no honest party is penalized");
    for side in 0..2 {
        let me = &harbour.world.sides[side];
        assert!(matches!(me.channel.life(), Life::Settled(_)));
        assert_eq!(me.alarms(), [], "I3: nobody loses");
        fees[side] = me.told() - harbour.paid(side);
        assert!(
            fees[side] <= 5,
            "paid what it was told, less the fees: {fees:?} by version {version}, {outcome:?}"
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

proptest! {
    #![proptest_config(Config { cases: 400, max_shrink_iters: 4_000, ..Config::default() })]

    #[test]
    fn c6_c7_c10_c15_c25_any_schedule(
        (a, b, reserve) in prop_oneof![Just((1_000, 500, 0)), Just((1_000, 500, 10)), Just((60, 700, 5)), Just((300, 0, 0))],
        actions in proptest::collection::vec(action(), 1..60),
        end in end(),
    ) {
        let mut harbour = Harbour::open(Crypto::Fast, a, b, reserve);
        for action in actions {
            act(&mut harbour, action);
        }
        finish(harbour, end);
    }
}
