//! Two parties of a channel, their wires, disks and ledger: payments, handovers, resizes and closes; messages that are lost,
//! doubled and late; crashes before a write and after it; replicas that lag. As LDK's `chanmon_consistency`, with the kit of
//! the protocol's random schedules: after any script both were told what the ledger paid (FAULTS C6, C7, C10, C15, C25).

#[path = "../../../protocol/tests/common/mod.rs"]
mod common;

use common::schedule::{Action, End, schedule};
use common::world::Cut;
use towpath_ledger::Amount;
use towpath_protocol::Change;

use crate::script::Script;

/// Actions of a script; more of them only take longer.
const ACTIONS_MAX: usize = 120;

/// Balances of both, and the reserve.
const STARTS: [(u64, u64, u64); 4] = [(1_000, 500, 0), (1_000, 500, 10), (60, 700, 5), (300, 0, 0)];

/// Whether the script said anything.
pub fn run(bytes: &[u8]) -> bool {
    let mut script = Script::new(bytes);
    let Some((start, end)) = beginning(&mut script) else { return false };
    let actions: Vec<Action> = std::iter::from_fn(|| action(&mut script)).take(ACTIONS_MAX).collect();
    let any = !actions.is_empty();
    schedule(start, actions, end);
    any
}

fn beginning(script: &mut Script<'_>) -> Option<((u64, u64, u64), End)> {
    let start = STARTS[script.below(STARTS.len())?];
    let end = match script.below(8)? {
        0 => End::Open,
        side @ (1 | 2) => End::Together(side - 1),
        side @ (3 | 4) => End::Alone(side - 3),
        5 => End::BothAlone,
        side => End::Silent(side - 6),
    };
    Some((start, end))
}

/// The next action. Deliveries are frequent, or nothing ever gets far.
fn action(script: &mut Script<'_>) -> Option<Action> {
    let kind = script.below(32)?;
    let side = script.below(2)?;
    Some(match kind {
        0..5 => Action::Pay(side, 1 + script.number()? % 200),
        5 => {
            let count = 1 + script.below(5)?;
            Action::Burst(side, script.bytes(count).iter().map(|byte| 1 + u64::from(*byte) % 90).collect())
        }
        6 | 7 => Action::Command(side, script.byte()? % 6),
        8..16 => Action::Deliver(side, 1 + script.below(4)?, cut(script)?),
        16 => Action::Lose(side),
        17 => Action::Double(side),
        18 => Action::Crash(side),
        19 => Action::Disconnect,
        20..23 => Action::Connect,
        23 => Action::Wait,
        24 => Action::Close(side),
        25 => Action::ForceClose(side),
        26..28 => Action::Block(1 + script.number()? % 6_000),
        28 | 29 => Action::Tell(side),
        _ => {
            let amount = Amount(1 + script.number()? % 300);
            let change = if script.flip()? { Change::Add(amount) } else { Change::PayOut(amount) };
            Action::Resize(side, change, 1 + script.number()? % 20_000)
        }
    })
}

fn cut(script: &mut Script<'_>) -> Option<Cut> {
    Some(match script.below(10)? {
        0 => Cut::BeforeWrite,
        1 => Cut::BeforeEffects,
        _ => Cut::Nowhere,
    })
}
