//! A campaign: one target, many inputs, from a seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use peak_alloc::PeakAlloc;

use crate::corpus::{Regressions, golden, kept};
use crate::mutate::mutate;
use crate::random::Random;
use crate::target::{Kind, Target};

/// Inputs that are kept because the target accepted them, at most.
const KEPT_MAX: usize = 512;

/// Inputs of zeros that are tried first: many values of a fixed size are read from zeros.
const ZEROS_MAX: usize = 600;

/// Scripts by chance that a machine's campaign begins with.
const SCRIPTS: usize = 24;

/// What a target did with its inputs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Inputs.
    pub tried: u64,
    /// Inputs that were accepted.
    pub accepted: u64,
    /// The most memory that one took, in bytes; zero where it is not looked at.
    pub memory: usize,
}

/// An input on which a target failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// What went wrong.
    pub what: String,
}

/// Tries one target.
pub struct Campaign<'a> {
    target: &'a Target,
    /// The process's allocator, if it counts.
    allocator: Option<&'a PeakAlloc>,
    random: Random,
    kept: Vec<Vec<u8>>,
    tally: Tally,
}

impl<'a> Campaign<'a> {
    /// A campaign against `target` from `seed`. Memory is looked at if `allocator` is the process's.
    #[must_use]
    pub fn new(target: &'a Target, seed: u64, allocator: Option<&'a PeakAlloc>) -> Self {
        Self {
            target,
            allocator,
            random: Random::new(seed, target.name),
            kept: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// What was tried so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Tries what is known: earlier failures, what is kept, and golden vectors and zeros, or the first scripts.
    ///
    /// # Errors
    /// The first [`Finding`].
    pub fn begin(&mut self, regressions: &Regressions) -> Result<(), Finding> {
        regressions.of(self.target.name).try_for_each(|input| self.attempt(input.to_vec()))?;
        kept(self.target.name).into_iter().try_for_each(|input| self.attempt(input))?;
        if self.target.kind == Kind::Machine {
            return (0..SCRIPTS).try_for_each(|_| {
                let length = self.random.below(self.target.limit);
                let script = (0..length).map(|_| self.random.number().to_le_bytes()[7]).collect();
                self.attempt(script)
            });
        }
        golden().into_iter().try_for_each(|input| self.attempt(input))?;
        (0..=ZEROS_MAX.min(self.target.limit)).try_for_each(|length| self.attempt(vec![0; length]))
    }

    /// Tries `count` new inputs.
    ///
    /// # Errors
    /// The first [`Finding`].
    pub fn go_on(&mut self, count: u64) -> Result<(), Finding> {
        (0..count).try_for_each(|_| {
            let mut input = self.random.pick(&self.kept).cloned().unwrap_or_default();
            let other = self.random.pick(&self.kept).cloned().unwrap_or_default();
            mutate(&mut self.random, &mut input, &other, self.target.limit);
            self.attempt(input)
        })
    }

    fn attempt(&mut self, input: Vec<u8>) -> Result<(), Finding> {
        self.tally.tried += 1;
        let before = self.allocator.map(|allocator| {
            allocator.reset_peak_usage();
            allocator.current_usage()
        });
        let accepted = match catch_unwind(AssertUnwindSafe(|| (self.target.run)(&input))) {
            Ok(accepted) => accepted,
            Err(panic) => return Err(Finding { input, what: text_of(&*panic) }),
        };
        if let (Some(allocator), Some(before), Some(most)) = (self.allocator, before, self.target.memory) {
            let peak = allocator.peak_usage().saturating_sub(before);
            self.tally.memory = self.tally.memory.max(peak);
            if peak > most(input.len()) {
                let what = format!(
                    "{peak} bytes of memory for {} bytes, more than {}",
                    input.len(),
                    most(input.len())
                );
                return Err(Finding { input, what });
            }
        }
        if accepted {
            self.tally.accepted += 1;
            self.keep(input);
        }
        Ok(())
    }

    fn keep(&mut self, input: Vec<u8>) {
        if self.kept.len() < KEPT_MAX {
            self.kept.push(input);
        } else {
            let at = self.random.below(KEPT_MAX);
            self.kept[at] = input;
        }
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
