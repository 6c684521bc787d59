//! One seed, from its beginning to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::plan::Plan;
use crate::rng::Rng;
use crate::tally::Tally;
use crate::violation::Violation;
use crate::world::World;

/// What became of a world.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What it was about.
    pub plan: Plan,
    /// The hash of all its steps.
    pub digest: String,
    /// How many there were.
    pub steps: u64,
    /// How long it lasted, in virtual milliseconds.
    pub virtual_ms: u64,
    /// What happened in it.
    pub tally: Tally,
    /// What did not hold; none if everything did.
    pub violation: Option<Violation>,
}

/// A fault of the house that is put in on purpose, to see that it is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// None.
    No,
    /// Every disk says that it has synced, and has not: as if the syncs had been taken out of the program.
    SyncsLie,
}

/// Runs the world of a seed. A panic in it is a violation.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    run_sabotaged(seed, Sabotage::No)
}

/// The same, with a fault of the house.
#[must_use]
pub fn run_sabotaged(seed: u64, sabotage: Sabotage) -> Outcome {
    #[cfg(feature = "quick")]
    if !has_real_signatures(seed) {
        return towpath_crypto::quick::quickly(|| run_as_it_is(seed, sabotage));
    }
    run_as_it_is(seed, sabotage)
}

/// Whether a world is run with the signatures that are shipped: a tenth of them, and all where no others are compiled.
#[must_use]
pub const fn has_real_signatures(seed: u64) -> bool {
    !towpath_crypto::quick::COMPILED || seed.is_multiple_of(10)
}

fn run_as_it_is(seed: u64, sabotage: Sabotage) -> Outcome {
    let mut world = World::new(seed, sabotage);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match ran {
        Ok(ran) => ran.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
            Some(Violation { at_ms: world.now_ms, ..Violation::new("nothing panics", text) })
        }
    };
    Outcome {
        seed,
        plan: Plan::draw(&mut Rng::new(seed).fork()),
        digest: world.trace.digest(),
        steps: world.trace.steps,
        virtual_ms: world.now_ms,
        tally: world.tally.clone(),
        violation,
    }
}
