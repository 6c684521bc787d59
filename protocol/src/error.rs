//! Why the machine refuses an event. A refusal changes nothing; how bad it is says what the node does about the peer.

use towpath_crypto::Amount;
use towpath_ledger::rules::{StateFault, TermsFault};

use crate::accepts::Unacceptable;
use crate::update::UpdateError;

/// What a node does about a refused event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Tell the caller; the peer did nothing wrong.
    Caller,
    /// Drop the message: late, or from an earlier connection.
    Ignore,
    /// The peer broke the protocol: drop the connection and score it.
    Disconnect,
}

/// Why an event was refused; the machine's state is what it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reject {
    /// A payment while the peer is away.
    #[error("the peer is not connected; try again when the channel is online")]
    Offline,
    /// The channel does not carry payments now.
    #[error("the channel is not active")]
    NotActive,
    /// The channel is being closed.
    #[error("the channel is being closed")]
    Closing,
    /// This node has lost data.
    #[error("this node lost data of the channel, and signs nothing; recover the channel first")]
    Lost,
    /// The signer refuses what it should sign: a fault of this program, of which an alarm tells more.
    #[error("the signer refuses; see the node's log")]
    Signer,
    /// A bound is reached.
    #[error("too much waits on this channel; try again later")]
    Busy,
    /// A payment of nothing.
    #[error("a payment of nothing")]
    ZeroAmount,
    /// More than can be spent.
    #[error(
        "{wanted} is more than the {spendable} that can be spent; the reserve and payments that wait are set aside"
    )]
    Balance {
        /// What was asked.
        wanted: Amount,
        /// What there is, above the reserve, less what waits.
        spendable: Amount,
    },
    /// A fee above the channel's limit, or above the payer's balance.
    #[error("a fee of {fee} is above {limit}, the most that this close may cost")]
    Fee {
        /// What was asked.
        fee: Amount,
        /// What is allowed.
        limit: Amount,
    },
    /// A message before the sender said what it holds.
    #[error("{0} before the sender said what it holds")]
    NotReestablished(&'static str),
    /// A message that does not belong here.
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    /// A message for another channel or generation.
    #[error("for another channel or generation")]
    WrongChannel,
    /// A signature that does not hold.
    #[error("a signature does not hold")]
    Signature,
    /// A proposal by the party whose turn it is not.
    #[error("a proposal by the follower")]
    NotSequencer,
    /// A version out of order.
    #[error("version {version} does not follow {held}, of which {seen} were seen")]
    Version {
        /// Proposed.
        version: u64,
        /// Held.
        held: u64,
        /// The highest that was seen.
        seen: u64,
    },
    /// A proposal on another base than the newest version held.
    #[error("base {base} takes back version {held}")]
    Base {
        /// Proposed.
        base: u64,
        /// Held.
        held: u64,
    },
    /// A `held` that is false, falls, or lags too far.
    #[error("a false statement of what is held: {held}")]
    Held {
        /// Stated.
        held: u64,
    },
    /// An acknowledgement or refusal of something that is not open.
    #[error("version {0} is not open")]
    NotOpen(u64),
    /// An update that does not apply.
    #[error("an update does not apply: {0}")]
    Update(#[from] UpdateError),
    /// A claim of a newer version without proof.
    #[error("version {0} is claimed to be newer, without proof")]
    Unproven(u64),
    /// The ledger's output is not the channel that was agreed (FAULTS C1).
    #[error("the funding on the ledger differs from what was agreed in its {0}")]
    Funding(&'static str),
    /// Terms that this node, or the ledger, does not allow.
    #[error("the terms are not acceptable: {0}")]
    Terms(&'static str),
    /// Terms that the ledger does not allow.
    #[error("the ledger does not allow these terms: {0}")]
    LedgerTerms(#[from] TermsFault),
    /// Terms that this node does not agree to, although the ledger allows them.
    #[error("the terms are not acceptable: {0}")]
    Unacceptable(#[from] Unacceptable),
    /// A state that the ledger could not settle.
    #[error("the ledger could not settle this: {0}")]
    LedgerState(#[from] StateFault),
    /// A resize that is not possible: the reason.
    #[error("the channel cannot be resized so: {0}")]
    Resize(&'static str),
    /// What the wallet or the ledger reported does not fit the channel.
    #[error("the report does not fit the channel: {0}")]
    Report(&'static str),
}

impl Reject {
    /// What to do about the peer.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Offline
            | Self::NotActive
            | Self::Closing
            | Self::Lost
            | Self::Signer
            | Self::Busy
            | Self::ZeroAmount
            | Self::Balance { .. }
            | Self::Fee { .. }
            | Self::Funding(_)
            | Self::Resize(_)
            | Self::Report(_) => Severity::Caller,
            Self::NotReestablished(_) => Severity::Ignore,
            Self::Unexpected(_)
            | Self::WrongChannel
            | Self::Signature
            | Self::NotSequencer
            | Self::Version { .. }
            | Self::Base { .. }
            | Self::Held { .. }
            | Self::NotOpen(_)
            | Self::Update(_)
            | Self::Unproven(_)
            | Self::Terms(_)
            | Self::LedgerTerms(_)
            | Self::Unacceptable(_)
            | Self::LedgerState(_) => Severity::Disconnect,
        }
    }
}

/// Why stored rows do not make a channel. The node must not sign or close; the channel needs recovery.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// A row is missing.
    #[error("the channel's {0} row is missing")]
    Missing(&'static str),
    /// A row that is not what it should be.
    #[error("the channel's {row} row is damaged: {error}")]
    Damaged {
        /// Which kind of row.
        row: &'static str,
        /// How.
        error: String,
    },
    /// A row of a later version of this program.
    #[error("the channel's {row} row has version {version}; this program reads {known}")]
    Version {
        /// Which kind of row.
        row: &'static str,
        /// Found.
        version: u8,
        /// Known.
        known: u8,
    },
    /// The key is not the one of the channel's terms.
    #[error("the key is not this channel's")]
    Key,
    /// The rows contradict each other.
    #[error("the channel's rows contradict each other: {0}")]
    Inconsistent(&'static str),
}
