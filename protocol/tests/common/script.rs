//! Scripts: what two parties do, step by step, so that a fault can be put at every one of their turns and messages.

use towpath_protocol::{Command, Pacing, Receive, Reject};

use super::world::{Crypto, Cut, Faults, World};

/// One step.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Pay(usize, u64),
    /// Many payments in one turn.
    Burst(usize, &'static [u64]),
    Take(usize),
    Give(usize),
    /// It takes no payments from now on, or does again; a crash forgets it.
    Shut(usize),
    Unshut(usize),
    Pace(usize, u64),
    Close(usize),
    /// So many messages arrive, in one turn.
    Hear(usize, usize),
    /// Both hear one message at a time, until all is said.
    Talk,
    /// Time passes: claims are acknowledged.
    Wait,
}

/// What a side does.
fn step(world: &mut World, step: Step) {
    match step {
        Step::Pay(side, amount) => allowed(world.pay(side, amount).map(drop)),
        Step::Burst(side, amounts) => {
            for reject in world.pay_many(side, amounts) {
                allowed(Err(reject));
            }
        }
        Step::Take(side) => command(world, side, Command::TakeSequencer),
        Step::Give(side) => command(world, side, Command::HandOver),
        Step::Shut(side) => command(world, side, Command::SetReceive(Receive::Nothing)),
        Step::Unshut(side) => command(world, side, Command::SetReceive(Receive::Any)),
        Step::Pace(side, ack_every) => command(world, side, Command::SetPacing(Pacing { ack_every })),
        Step::Close(side) => command(world, side, Command::Close),
        Step::Hear(side, count) => drop(world.deliver(side, count, Cut::Nowhere)),
        Step::Talk => {
            for _ in 0..100 {
                for side in 0..2 {
                    if !world.wires[side].is_empty() {
                        world.deliver(side, 1, Cut::Nowhere);
                    }
                }
            }
        }
        Step::Wait => {
            world.now.local_ms += 1_000;
            for side in 0..2 {
                world.turn(side, Vec::new(), Cut::Nowhere);
            }
        }
    }
}

pub fn command(world: &mut World, side: usize, command: Command) {
    allowed(world.command(side, command).map(drop));
}

/// What a caller may be told while things go wrong.
pub fn allowed(answer: Result<(), Reject>) {
    match answer {
        Ok(()) | Err(Reject::Offline | Reject::Closing | Reject::Balance { .. } | Reject::Fee { .. }) => {}
        Err(other) => panic!("a caller is told: {other}"),
    }
}

/// When a broken session begins again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Return {
    /// After the step in which it broke.
    AtOnce,
    /// When the script is over.
    AtTheEnd,
}

/// Plays a script with these faults, lets everything come to rest over a working session, and checks that both agree.
pub fn play(sequencer: usize, script: &[Step], faults: Faults, back: Return) -> World {
    let mut world = World::open(Crypto::Fast, 1_000, 1_000, 10);
    if sequencer == 1 {
        command(&mut world, 1, Command::TakeSequencer);
        world.settle();
    }
    (world.turns, world.messages, world.faults) = (0, 0, faults);
    for each in script {
        step(&mut world, *each);
        world.mend();
        if back == Return::AtOnce {
            world.connect();
        }
    }
    world.faults = Faults::default();
    rest(&mut world);
    world
}

/// Sessions until nobody blames anybody, and nothing moves.
pub fn rest(world: &mut World) {
    for _ in 0..8 {
        world.mend();
        world.connect();
        world.settle_in_session();
        if world.connected {
            // What a wire lost within a session is only missed in the next one.
            world.disconnect();
            world.connect();
            world.settle_in_session();
            if world.connected {
                return;
            }
        }
    }
    panic!("the parties never come to rest");
}
