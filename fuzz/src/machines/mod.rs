//! Targets that drive whole machines: the bytes are a script of what happens, and whatever they say, what must hold holds.
//! The machines stand in the kits of their own crates' tests, which audit every step; the ledger and the light client have kits here.

mod channel;
mod consensus;
mod ledger;
mod light;
mod tower;

use std::collections::BTreeMap;

use crate::target::Target;
use ledger::Fault;
use light::Faulty;

/// All of them.
pub fn machines() -> Vec<Target> {
    vec![
        Target::machine("machine::channel", 600, channel::run),
        Target::machine("machine::consensus", 200, consensus::run),
        Target::machine("machine::ledger", 300, ledger::run),
        Target::machine("machine::light", 200, light::run),
        Target::machine("machine::tower", 200, tower::run),
    ]
}

/// How many inputs of each kind of transaction a script of `machine::ledger` has decided.
#[must_use]
pub fn ledger_reach(script: &[u8]) -> BTreeMap<&'static str, u64> {
    ledger::decided(script)
}

/// Replicas that go wrong, each in its own way: targets that must fail, or `machine::ledger` and `machine::light` show little.
pub fn controls() -> Vec<Target> {
    vec![
        Target::machine("control::keeps_what_is_spent", 0, |bytes| {
            ledger::run_with(bytes, Some(Fault::KeepsSpent))
        }),
        Target::machine("control::forgets_secrets", 0, |bytes| {
            ledger::run_with(bytes, Some(Fault::ForgetsSecrets))
        }),
        Target::machine("control::prunes_too_much", 0, |bytes| {
            ledger::run_with(bytes, Some(Fault::PrunesTooMuch))
        }),
        Target::machine("control::verifies_by_id", 0, |bytes| {
            ledger::run_with(bytes, Some(Fault::VerifiesById))
        }),
        Target::machine("control::keeps_what_is_decided", 0, |bytes| {
            ledger::run_with(bytes, Some(Fault::KeepsDecided))
        }),
        Target::machine("control::believes_in_a_fork", 0, |bytes| light::run_with(bytes, Faulty::ManyAsFew)),
    ]
}
