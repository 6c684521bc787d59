//! Schedules: everything that can happen to a channel, in any order, until it ends; and what must hold then, by an auditor
//! that knows nothing of versions: it adds up what callers were told, and what the ledger paid.

use towpath_protocol::{Change, Command, LedgerEvent, Life, Pacing, Receive, Reject, Settlement};

use super::harbour::Harbour;
use super::script::{allowed, command};
use super::world::{Crypto, Cut};

/// What can happen next.
#[derive(Clone, Debug)]
pub enum Action {
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

/// How a channel ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// It goes on.
    Open,
    Together(usize),
    Alone(usize),
    BothAlone,
    /// One of both goes silent, and the other closes.
    Silent(usize),
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
        super::script::rest(&mut harbour.world);
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
            super::script::rest(world);
            if world.sides.iter().all(|side| side.channel.life() == Life::Active) {
                return world.assert_agreed();
            }
        }
        End::Together(side) => {
            command(world, side, Command::Close);
            super::script::rest(world);
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
        super::script::rest(&mut harbour.world);
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

/// Plays a schedule, and ends the channel.
pub fn schedule((a, b, reserve): (u64, u64, u64), actions: Vec<Action>, end: End) {
    let mut harbour = Harbour::open(Crypto::Fast, a, b, reserve);
    for action in actions {
        act(&mut harbour, action);
    }
    finish(harbour, end);
}
