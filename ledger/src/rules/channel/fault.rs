//! Why a step of a channel is refused.

use towpath_crypto::Amount;

use crate::types::{LockFault, Time};

/// Why an input that is a channel, a closing or a conditional payment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelFault {
    /// The state is not one of this channel.
    #[error(transparent)]
    State(#[from] StateFault),
    /// A cooperative close with a state that is not final.
    #[error("the state is not final")]
    NotFinal,
    /// A state that is not newer than the one shown before.
    #[error("version {shown} is not above {posted}")]
    NotNewer {
        /// The version shown before.
        posted: u64,
        /// The version shown now.
        shown: u64,
    },
    /// Too late to dispute.
    #[error("the dispute window ended at {0}; finalize instead")]
    WindowOver(Time),
    /// Too early to finalize.
    #[error("the dispute window lasts until {0}")]
    WindowOpen(Time),
    /// A proof that is not about this channel, or proves nothing.
    #[error("the author's claim does not prove that it held more than it posted")]
    NoProof,
    /// Penalized before.
    #[error("the author is penalized already")]
    Penalized,
    /// A fee larger than what may be taken at this step.
    #[error("takes a fee of {fee}, but {most} may be taken here")]
    Fee {
        /// The fee.
        fee: Amount,
        /// What may be taken.
        most: Amount,
    },
    /// Payments that are not those of the state.
    #[error("the payments listed are not those of the state")]
    Pending,
    /// A conditional payment that is still open.
    #[error("neither is its secret recorded nor has it expired; it expires at {0}")]
    Unresolved(Time),
    /// A channel that was resized as often as can be counted.
    #[error("the channel was resized too often; close it")]
    Generations,
}

/// Why a state does not belong to a channel, or can't be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// Of another channel (FAULTS L4).
    #[error("the state is of another channel")]
    OtherChannel,
    /// Of another generation.
    #[error("the state is of generation {shown}, the channel of {current}")]
    OtherGeneration {
        /// The channel's.
        current: u32,
        /// The state's.
        shown: u32,
    },
    /// Versions count from one.
    #[error("there is no version zero")]
    VersionZero,
    /// Balances and pending payments are not the capacity.
    #[error("balances and pending payments do not add up to the capacity of {0}")]
    Total(Amount),
    /// A pending total without a root, or a root without a total.
    #[error("the pending payments' total and root contradict each other")]
    PendingRoot,
    /// A final state with pending payments.
    #[error("a final state can't have pending payments")]
    FinalPending,
    /// The balances could not bear the fees of a close.
    #[error("the balances together are below {0}, what both parties' closing fees may take")]
    ClosingCost(Amount),
}

/// Why the terms of a channel are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsFault {
    /// Not the id that follows from the funding and the keys.
    #[error("the channel id is not that of this funding and these keys")]
    Id,
    /// One key for both parties.
    #[error("both parties have the same key")]
    SameKey,
    /// A channel key that is no usable key.
    #[error("a channel key that is no usable key")]
    WeakKey,
    /// A payout lock that is refused.
    #[error("a payout lock: {0}")]
    Payout(#[from] LockFault),
    /// A dispute window out of bounds.
    #[error("a dispute window of {shown} ms; choose it from {least} to {most}")]
    Window {
        /// The window.
        shown: u64,
        /// The shortest.
        least: u64,
        /// The longest.
        most: u64,
    },
    /// A penalty out of bounds.
    #[error("a penalty of {shown} basis points; at most {most}")]
    Penalty {
        /// The penalty.
        shown: u16,
        /// The largest.
        most: u16,
    },
    /// A reserve that both parties could not keep.
    #[error("a reserve above half of the capacity")]
    Reserve,
    /// Closing fees out of bounds.
    #[error("closing fees of up to {shown} a party; at most {most} for this capacity and asset")]
    CloseFee {
        /// The terms'.
        shown: Amount,
        /// The most.
        most: Amount,
    },
    /// An expiry that has passed (FAULTS C21).
    #[error("expired at {0}")]
    Expired(Time),
    /// A capacity below the least output.
    #[error("a capacity below the least amount of {0}")]
    Capacity(Amount),
}
