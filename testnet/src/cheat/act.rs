//! What happens on stage, as it is told.

use serde::Serialize;
use towpath_api::Units;

/// An act, and when it happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cue {
    /// Since the beginning, by this machine's clock.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// Who has how much of the channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Shares {
    /// The one who lies.
    pub cheater: Units,
    /// The one who is lied about.
    pub victim: Units,
}

/// Why a node is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It would correct the lie that is told in its name.
    Honest,
    /// It is to be away when it is lied about.
    Away,
}

/// One act.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// A new channel.
    Opened {
        /// It.
        channel: String,
        /// Who will lie.
        cheater: String,
        /// Who will be lied about.
        victim: String,
        /// The victim's watchtowers.
        towers: Vec<String>,
        /// What each put in.
        has: Shares,
        /// How long a close can be answered.
        dispute_window_ms: u64,
    },
    /// The cheater keeps a copy of its data.
    Kept {
        /// The newest version in it.
        version: u64,
        /// By that version.
        has: Shares,
    },
    /// The cheater pays, and gets a little back.
    Paid {
        /// How much it pays.
        amount: Units,
        /// How much it gets back.
        back: Units,
        /// The newest version now.
        version: u64,
        /// By that version.
        has: Shares,
    },
    /// A node's process is stopped.
    Stopped {
        /// Whose.
        node: String,
        /// Why.
        why: Why,
    },
    /// The cheater's node runs again, with the old state in place of the newest.
    Rewound {
        /// It.
        node: String,
        /// The version that it believes to be the newest.
        version: u64,
    },
    /// The ledger shows the old state.
    Posted {
        /// The transaction.
        tx: String,
        /// The height of its block.
        height: u64,
        /// The version that is claimed to be the newest.
        version: u64,
        /// The one that is.
        newest: u64,
        /// By the version that is claimed.
        has: Shares,
    },
    /// The ledger shows the truth.
    Answered {
        /// By whom: the victim, or watchtowers.
        by: Vec<String>,
        /// By what right: `answer`, `penalize`, `supersede`.
        how: String,
        /// The transaction.
        tx: String,
        /// The height of its block.
        height: u64,
        /// The version that is shown now.
        version: u64,
        /// Whether the lie is proven.
        penalized: bool,
        /// After the lie was final on the ledger, by this machine's clock.
        after_ms: u64,
        /// The same in blocks.
        blocks: u64,
        /// The same in ledger time.
        ledger_ms: u64,
    },
    /// The channel is paid out.
    PaidOut {
        /// By what right: `answer`, `finalize`.
        how: String,
        /// The transaction.
        tx: String,
        /// The height of its block.
        height: u64,
    },
    /// A node that was stopped runs again.
    Returned {
        /// It.
        node: String,
    },
    /// The end, in figures.
    Settled(Settled),
}

/// A lie, the truth, and what was paid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Settled {
    /// All that was in the channel.
    pub capacity: Units,
    /// By the version that was posted.
    pub lie: Shares,
    /// By the newest version.
    pub truth: Shares,
    /// What each got.
    pub paid: Shares,
    /// What the ledger took, over all transactions.
    pub fees: Units,
    /// Of these, those that were taken in the victim's name.
    pub victims_fees: Units,
    /// What the lie cost: it is among what the victim got.
    pub forfeited: Units,
    /// What is not as it must be; empty if all is well.
    pub wrong: Vec<String>,
}
