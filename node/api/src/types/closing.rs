//! Why a channel is closed, how far that is, and the evidence.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::channels::Side;
use super::units::Units;

/// Why a channel is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CloseReason {
    /// This node's operator asked to close it, together with the peer.
    Asked,
    /// This node's operator asked to close it alone.
    AskedAlone,
    /// The peer asked to close it.
    PeerAsked,
    /// The peer closed it alone.
    PeerAlone,
    /// The peer did not close together within the time that it was given, so this node closed it alone.
    PeerUnresponsive {
        /// That time.
        after_ms: u64,
    },
    /// The peer closed it alone with a state that it knew to be replaced.
    PeerCheated {
        /// The version that it posted.
        posted: u64,
        /// The version that it had signed that it held.
        held: u64,
    },
    /// The channel's term was over.
    Expired {
        /// When it was, in ledger time.
        expiry_ms: u64,
    },
    /// A reason that is not known here: an older program, or a node that lost data.
    #[serde(other)]
    Unrecognised,
}

/// How far a close is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseStage {
    /// The peer is asked to sign final balances.
    Asking,
    /// Both signed; the transaction is on its way.
    Agreed,
    /// This node closes alone; the transaction is on its way.
    Posting,
    /// One party closed alone; it can be answered until the deadline.
    Posted,
    /// The deadline is over; the payout is on its way.
    Due,
    /// Paid out.
    Settled,
}

/// What one party posted when it closed alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PostedState {
    /// Who.
    pub by: Side,
    /// The version.
    pub version: u64,
    /// The transaction.
    pub tx: String,
    /// The ledger time of its block.
    pub time_ms: u64,
    /// Until when it can be answered, in ledger time.
    pub deadline_ms: u64,
}

/// A newer state that was shown on the ledger after that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplacedState {
    /// Its version.
    pub version: u64,
    /// The transaction.
    pub tx: String,
    /// The ledger time of its block.
    pub time_ms: u64,
}

/// A party posted a state that it knew to be replaced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Penalty {
    /// Who.
    pub by: Side,
    /// The version that it posted.
    pub posted: u64,
    /// The version that it had signed that it held, if this node saw the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
    /// What it forfeited, once the channel is paid out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Units>,
}

/// What paid a channel out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettledBy {
    /// Final balances that both signed.
    Together,
    /// The answer of the party that did not close.
    Answer,
    /// The end of the dispute window.
    Deadline,
    /// Something that is not known here.
    #[serde(other)]
    Unrecognised,
}

/// How a channel was paid out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Settlement {
    /// By what.
    pub by: SettledBy,
    /// The transaction.
    pub tx: String,
    /// The height of its block.
    pub height: u64,
    /// The ledger time of its block.
    pub time_ms: u64,
    /// The version by which the channel was divided.
    pub version: u64,
    /// What this node got.
    pub paid: Units,
    /// What the peer got.
    pub paid_peer: Units,
    /// What ledger fees took, over all closing transactions of the channel.
    pub fees: Units,
}

/// Why a channel is closed, how far that is, and the evidence. It is kept as long as the channel is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
    /// How far.
    pub stage: CloseStage,
    /// When this node first knew of it, by its clock.
    pub began_ms: u64,
    /// The newest version that this node held then.
    pub held: u64,
    /// When this node closes alone unless both have signed by then, by its clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_at_ms: Option<u64>,
    /// The unilateral close, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted: Option<PostedState>,
    /// The newest state that replaced the posted one before the channel was paid out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<ReplacedState>,
    /// That the author of the close knew better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<Penalty>,
    /// The end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<Settlement>,
}
