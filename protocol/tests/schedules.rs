//! Every fault at every step: a crash in each turn, a break, loss, repetition and delay of each message (FAULTS C6, C7,
//! C10, C15). After it payments flow, the sums are exact, and each payment was reported once.

mod common;

use common::script::{Return, Step, Step::*, play};
use common::world::{Cut, Faults, WireFault, World};

/// Payments in both directions, answered one by one.
const TALK: &[Step] = &[Pay(0, 10), Talk, Pay(1, 20), Talk, Burst(0, &[1, 2, 3]), Burst(1, &[4, 5]), Talk];

/// A stream of claims with few answers, and requests in between.
const STREAM: &[Step] = &[
    Pace(0, 4),
    Pace(1, 4),
    Pay(0, 1),
    Hear(1, 1),
    Pay(0, 2),
    Pay(1, 9),
    Pay(0, 3),
    Hear(1, 2),
    Hear(0, 1),
    Pay(0, 4),
    Talk,
    Pay(1, 5),
    Pay(0, 6),
    Wait,
    Talk,
];

/// The role goes to and fro while payments cross it.
const HANDOVERS: &[Step] = &[
    Take(1),
    Pay(0, 10),
    Pay(1, 20),
    Talk,
    Pay(0, 3),
    Give(1),
    Pay(1, 4),
    Hear(0, 1),
    Take(0),
    Talk,
    Take(1),
    Burst(0, &[1, 2]),
    Take(0),
    Burst(1, &[3, 4]),
    Talk,
];

/// Refusals in both directions, with other payments around them.
const REFUSALS: &[Step] = &[
    Pace(0, 9),
    Pace(1, 9),
    Pay(0, 1),
    Shut(1),
    Pay(0, 2),
    Pay(1, 7),
    Burst(0, &[3, 4]),
    Hear(1, 2),
    Hear(0, 2),
    Pay(1, 8),
    Talk,
    Unshut(1),
    Shut(0),
    Burst(1, &[5, 6]),
    Pay(0, 9),
    Talk,
    Unshut(0),
    Pay(1, 30),
    Talk,
];

/// A handover in the midst of refusals.
const BURNT_HANDOVERS: &[Step] = &[
    Pace(0, 9),
    Pace(1, 9),
    Shut(1),
    Shut(0),
    Pay(0, 1),
    Give(0),
    Take(1),
    Pay(0, 2),
    Pay(1, 3),
    Hear(1, 1),
    Hear(0, 1),
    Unshut(1),
    Hear(1, 9),
    Hear(0, 9),
    Give(1),
    Unshut(0),
    Pay(1, 4),
    Talk,
];

const SCRIPTS: [&[Step]; 5] = [TALK, STREAM, HANDOVERS, REFUSALS, BURNT_HANDOVERS];

/// Plays everything once without faults, and then with each of the faults that `with` makes of the number of turns and
/// messages.
fn every(with: impl Fn(&World) -> Vec<Faults>) {
    for script in SCRIPTS {
        for sequencer in 0..2 {
            let clean = play(sequencer, script, Faults::default(), Return::AtOnce);
            clean.assert_quiescent();
            for faults in with(&clean) {
                for back in [Return::AtOnce, Return::AtTheEnd] {
                    play(sequencer, script, faults, back).assert_agreed();
                }
            }
        }
    }
}

fn cuts(cut: Cut) -> impl Fn(&World) -> Vec<Faults> {
    move |clean| (1..=clean.turns).map(|turn| Faults { cut: Some((turn, cut)), wire: None }).collect()
}

fn wires(fault: WireFault) -> impl Fn(&World) -> Vec<Faults> {
    move |clean| {
        (1..=clean.messages).map(|number| Faults { cut: None, wire: Some((number, fault)) }).collect()
    }
}

#[test]
fn c15_c7_a_crash_before_the_write_of_every_turn() {
    every(cuts(Cut::BeforeWrite));
}

#[test]
fn c15_c7_a_crash_between_the_write_and_the_effects_of_every_turn() {
    every(cuts(Cut::BeforeEffects));
}

#[test]
fn c15_a_session_that_ends_at_every_message() {
    every(wires(WireFault::Break));
}

#[test]
fn c15_every_message_lost() {
    every(wires(WireFault::Drop));
}

#[test]
fn c15_every_message_twice() {
    every(wires(WireFault::Duplicate));
}

#[test]
fn c15_every_message_behind_later_ones() {
    every(wires(WireFault::Delay(1)));
    every(wires(WireFault::Delay(3)));
}

#[test]
fn c15_c7_a_crash_of_one_side_while_the_other_misses_a_message() {
    for script in SCRIPTS {
        for sequencer in 0..2 {
            let clean = play(sequencer, script, Faults::default(), Return::AtOnce);
            for turn in 1..=clean.turns {
                let wire = Some((clean.messages * turn / clean.turns, WireFault::Drop));
                for cut in [Cut::BeforeWrite, Cut::BeforeEffects] {
                    let faults = Faults { cut: Some((turn, cut)), wire };
                    play(sequencer, script, faults, Return::AtOnce).assert_agreed();
                }
            }
        }
    }
}
