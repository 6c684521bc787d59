//! Which of two transactions that cannot both be decided waits on (SPEC L-24, L-25).
//!
//! What was seen first stays, but for closes, disputes and reveals: somebody loses if those are late, so whoever profits
//! would put one of its own in their place that is never decided, in a queue where it pays too little, or with an end of
//! its validity before its turn ("pinning", FAULTS C22, L20). So of two such transactions the one that nothing can keep out is
//! kept, and of two alike the one that shows more.

use crate::rules::{Changes, Evidence, Lane};
use crate::types::{Entry, Lock, Time, Transaction, Witness};

/// What a transaction has to say about one output that it spends, or one secret that it reveals. Ordered; each part can
/// be raised only so often, so nobody can replace its own for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    /// It has its part of each block.
    reserved: bool,
    /// It stays valid for as long as it is of use.
    lasting: bool,
    /// What it shows.
    evidence: Evidence,
}

/// How a transaction as a whole stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footing {
    lane: Lane,
    /// The last block time at which it can be valid: its expiry, or the end of a window in which it disputes.
    pub(super) until: Time,
}

impl Footing {
    /// Of a valid transaction.
    pub(super) fn of(transaction: &Transaction, changes: &Changes) -> Self {
        let windows = changes.spent.iter().zip(&transaction.witnesses);
        let windows = windows.filter_map(|((_, entry), witness)| window(entry, witness));
        let expiry = transaction.body.expiry.unwrap_or(FOREVER);
        Self { lane: changes.lane, until: windows.fold(expiry, Time::min) }
    }

    /// Where it stands with the output that is `entry` by this witness.
    pub(super) fn with_output(&self, entry: &Entry, witness: &Witness) -> Standing {
        let evidence = Evidence::of(witness);
        if !is_urgent(witness) {
            return Standing { reserved: false, lasting: false, evidence };
        }
        let lasting = self.until >= window(entry, witness).unwrap_or(FOREVER);
        Standing { reserved: self.lane == Lane::Reserved, lasting, evidence }
    }

    /// Where it stands with the secrets that it reveals.
    pub(super) fn with_secrets(&self) -> Standing {
        let reserved = self.lane == Lane::Reserved;
        Standing { reserved, lasting: self.until == FOREVER, evidence: Evidence::None }
    }
}

/// No block has this time.
pub(super) const FOREVER: Time = Time(u64::MAX);

/// The end of the window in which this witness spends a closing; none if it may do so at any time.
fn window(entry: &Entry, witness: &Witness) -> Option<Time> {
    match (&entry.output.lock, witness) {
        (
            Lock::Closing(closing),
            Witness::Supersede { .. } | Witness::Penalize { .. } | Witness::Answer { .. },
        ) => Some(closing.deadline(entry.time)),
        (Lock::Closing(_) | Lock::Wallet(_) | Lock::Channel(_) | Lock::Conditional(_), _) => None,
    }
}

/// Whether somebody loses if it is late.
pub(super) const fn is_urgent(witness: &Witness) -> bool {
    match witness {
        Witness::Unilateral { .. }
        | Witness::Supersede { .. }
        | Witness::Penalize { .. }
        | Witness::Answer { .. } => true,
        Witness::Wallet(_)
        | Witness::Cooperative { .. }
        | Witness::Finalize { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => false,
    }
}
