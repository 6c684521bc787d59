//! Whether what is paid to a lock can be spent by somebody, and not by just anybody (SPEC L-7, L-8).

use towpath_crypto::schnorr::WalletKey;

use super::lock::{Condition, Conditional, Multisig, Payout};
use crate::limits;

/// Why a lock is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LockFault {
    /// Not a point of the curve, or a point for which anybody can sign.
    #[error("a key that is no usable key")]
    WeakKey,
    /// Keys of a multisig that are not ascending and distinct.
    #[error("multisig keys that are not ascending and distinct")]
    UnsortedKeys,
    /// More keys than allowed, or none.
    #[error("a multisig of none or too many keys")]
    KeyCount,
    /// A multisig that needs no key, or more than it has.
    #[error("a multisig that requires no key, or more than it has")]
    Threshold,
}

impl Payout {
    /// Checks the keys, and that a multisig has one form.
    ///
    /// # Errors
    /// [`LockFault`] says what is wrong.
    pub fn check(&self) -> Result<(), LockFault> {
        match self {
            Self::Key(key) => check_key(key),
            Self::Timelock(timelock) => check_key(&timelock.key),
            Self::Multisig(multisig) => check_multisig(multisig),
        }
    }
}

impl Conditional {
    /// Checks the condition and both payouts.
    ///
    /// # Errors
    /// [`LockFault`] says what is wrong.
    pub fn check(&self) -> Result<(), LockFault> {
        match &self.condition {
            Condition::Hash(_) => {}
            Condition::Point(point) => check_key(point)?,
        }
        self.payee.check()?;
        self.payer.check()
    }
}

fn check_key(key: &WalletKey) -> Result<(), LockFault> {
    if key.is_valid() { Ok(()) } else { Err(LockFault::WeakKey) }
}

fn check_multisig(multisig: &Multisig) -> Result<(), LockFault> {
    let keys = &multisig.keys;
    if !(1..=limits::MULTISIG_KEYS_MAX).contains(&keys.len()) {
        return Err(LockFault::KeyCount);
    }
    if !(1..=keys.len()).contains(&usize::from(multisig.required)) {
        return Err(LockFault::Threshold);
    }
    if !keys.is_sorted_by(|left, right| left < right) {
        return Err(LockFault::UnsortedKeys);
    }
    keys.iter().try_for_each(check_key)
}
