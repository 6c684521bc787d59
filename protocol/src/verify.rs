//! Who checks signatures, and when: at once, or many of a turn in one batch. The machine only says what must hold.

use std::collections::BTreeMap;

use towpath_crypto::ed25519::{Check, PublicKey, verify_batch};

/// Answers whether a signature is valid, or promises that its driver will find out before anything becomes durable.
pub trait Verifier {
    /// Whether `check` holds.
    fn verify(&mut self, check: Check) -> bool;

    /// As [`Verifier::verify`], for the newest state that `check.key` signed: it makes earlier ones given to this
    /// function in the same turn irrelevant, because the newest state contains what they contained.
    fn verify_newest(&mut self, check: Check) -> bool {
        self.verify(check)
    }
}

/// Checks each signature when it is met.
#[derive(Clone, Copy, Default, Debug)]
pub struct Immediate;

impl Verifier for Immediate {
    fn verify(&mut self, check: Check) -> bool {
        check.verify()
    }
}

/// Says yes, and collects the checks: the driver runs [`Deferred::holds`] after the turn's events and **before**
/// `TurnEnd`. If it fails, the driver puts back the clones that it took, and steps the events again with [`Immediate`].
///
/// Of several states that one key signed in a turn only the newest is checked: a receiver that falls behind pays
/// one verification for all that it missed.
#[derive(Clone, Default, Debug)]
pub struct Deferred {
    checks: Vec<Check>,
    newest: BTreeMap<PublicKey, Check>,
}

impl Deferred {
    /// How many signatures wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.checks.len() + self.newest.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.newest.is_empty()
    }

    /// All that wait, taken out; for a driver that batches over many channels.
    pub fn take(&mut self) -> Vec<Check> {
        let mut checks = std::mem::take(&mut self.checks);
        checks.extend(std::mem::take(&mut self.newest).into_values());
        checks
    }

    /// Whether all that wait are valid, as one batch; nothing waits afterwards.
    #[must_use]
    pub fn holds(&mut self) -> bool {
        let checks = self.take();
        checks.is_empty() || verify_batch(&checks)
    }
}

impl Verifier for Deferred {
    fn verify(&mut self, check: Check) -> bool {
        self.checks.push(check);
        true
    }

    fn verify_newest(&mut self, check: Check) -> bool {
        self.newest.insert(check.key, check);
        true
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
