//! Targets that drive whole machines: the bytes are a script of what happens, and whatever they say, what must hold holds.
//! The machines stand in the kits of their own crates' tests, which audit every step.

mod channel;
mod consensus;
mod tower;

use crate::target::Target;

/// All of them.
pub fn machines() -> Vec<Target> {
    vec![
        Target::machine("machine::channel", 600, channel::run),
        Target::machine("machine::consensus", 200, consensus::run),
        Target::machine("machine::tower", 200, tower::run),
    ]
}
