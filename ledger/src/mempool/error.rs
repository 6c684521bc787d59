//! Why a transaction does not get to wait.

use super::queue::Queue;
use crate::rules::TxError;
use crate::types::{OutPoint, TxId};

/// Why a transaction is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It waits already.
    #[error("transaction {0:?} waits already")]
    Known(TxId),
    /// Another one that waits spends the same output or reveals the same secret. The first stays.
    #[error("conflicts with {with:?}, which waits already; let it be decided, or use other outputs")]
    Conflict {
        /// The one that waits.
        with: TxId,
    },
    /// It spends an output of a transaction that still waits.
    #[error("spends {0:?}, which is not final yet; send it again after the next block")]
    NotFinal(OutPoint),
    /// It is not valid.
    #[error(transparent)]
    Invalid(#[from] TxError),
    /// Its queue is full of others that were there first, or that pay more for each byte.
    #[error("the queue of {queue} is full; {hint}", hint = .queue.hint_when_full())]
    Full {
        /// The queue.
        queue: Queue,
    },
    /// Its source uses all that one source may.
    #[error(
        "too much from one peer waits in the queue of {queue}; send it after the next block, or by another peer"
    )]
    SourceShare {
        /// The queue.
        queue: Queue,
    },
}
