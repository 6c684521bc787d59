//! What goes first: the part of a block that is kept for closes and disputes, and which of two disputes wins
//! (SPEC L-23 to L-25; FAULTS L20, C22).

use super::demands::Met;
use crate::types::{Payload, Transaction, Witness};

/// Which part of a block a transaction may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The part that is kept for closes, disputes and reveals; such a transaction may use the rest, too.
    Reserved,
    /// The rest.
    General,
}

/// How much a witness shows about the closing that it spends. Of two transactions that spend the same closing the one
/// that shows more is kept, whatever they pay: or an author with many old states could replace every answer by a
/// slightly newer state until the window is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Nothing new.
    None,
    /// A state, or the proof against the author.
    Shown {
        /// The version; zero for a proof alone.
        version: u64,
        /// Whether the author is penalized.
        penalty: Penalty,
    },
    /// The other party, or both, settle at once.
    Settled,
}

/// Whether a witness penalizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Penalty {
    /// It does not.
    No,
    /// It does.
    Yes,
}

impl Evidence {
    /// What `witness` shows.
    #[must_use]
    pub fn of(witness: &Witness) -> Self {
        match witness {
            Witness::Supersede { state, .. } => {
                Self::Shown { version: state.state.version, penalty: Penalty::No }
            }
            Witness::Penalize { state, .. } => {
                let version = state.as_ref().map_or(0, |state| state.state.version);
                Self::Shown { version, penalty: Penalty::Yes }
            }
            Witness::Answer { .. } | Witness::Cooperative { .. } => Self::Settled,
            Witness::Wallet(_)
            | Witness::Unilateral { .. }
            | Witness::Finalize { .. }
            | Witness::Resize { .. }
            | Witness::Resolve { .. } => Self::None,
        }
    }
}

/// How a witness counts for the lane.
enum Urgency {
    /// Somebody loses if it is late.
    Urgent,
    /// It may pay the fee of what is urgent.
    Wallet,
    /// It can wait.
    Other,
}

impl Lane {
    /// Reserved is only what does nothing else: no witness that could wait, one wallet input and one free output at most
    /// (the payer of the fee, and its change).
    pub(super) fn of(transaction: &Transaction, met: &Met) -> Self {
        let reveals = match &transaction.body.payload {
            Some(Payload::Reveal(_)) => true,
            Some(Payload::Issue { .. } | Payload::Anchor(_)) => return Self::General,
            None => false,
        };
        let (mut urgent, mut wallets) = (reveals, 0);
        for witness in &transaction.witnesses {
            match urgency(witness) {
                Urgency::Urgent => urgent = true,
                Urgency::Wallet => wallets += 1,
                Urgency::Other => return Self::General,
            }
        }
        if urgent && wallets <= 1 && met.free_outputs <= 1 && met.openings == 0 {
            Self::Reserved
        } else {
            Self::General
        }
    }
}

const fn urgency(witness: &Witness) -> Urgency {
    match witness {
        Witness::Unilateral { .. }
        | Witness::Supersede { .. }
        | Witness::Penalize { .. }
        | Witness::Answer { .. } => Urgency::Urgent,
        Witness::Wallet(_) => Urgency::Wallet,
        Witness::Cooperative { .. }
        | Witness::Finalize { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => Urgency::Other,
    }
}
