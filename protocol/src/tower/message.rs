//! What a tower and its clients say to each other, inside the session of their two nodes, which proves who speaks
//! (SPEC T-20 to T-26). Each message stands for itself: a lost one is asked for again, a repeated one changes nothing.

use bincode::{Decode, Encode};
use towpath_crypto::codec::CodecError;

use super::record::{Locator, Sealed, Sequence};
use crate::limits::TOWER_ENTRIES_MAX;

/// A record, and where it belongs.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Entry {
    /// Where.
    pub locator: Locator,
    /// How new.
    pub sequence: Sequence,
    /// What.
    pub sealed: Sealed,
}

/// What became of one record that a client gave.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Receipt {
    /// Where it belongs.
    pub locator: Locator,
    /// How new it was.
    pub sequence: Sequence,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Outcome {
    /// It is kept: on the tower's disk, synced.
    Kept,
    /// The tower has one of this client that is at least as new, and other bytes; that one stays.
    Older {
        /// How new the one is that stays.
        kept: Sequence,
    },
    /// The tower does not take it.
    Refused(Refusal),
}

/// Why a tower takes no record.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug, thiserror::Error)]
pub enum Refusal {
    /// The node serves nobody.
    #[error("the node is no watchtower; it serves nobody")]
    NotServing,
    /// The client has as many records as it may have.
    #[error("this tower keeps at most {records_max} records for this client")]
    ClientFull {
        /// How many it may have.
        records_max: u64,
    },
    /// The tower has as many records as it keeps.
    #[error("the tower is full")]
    Full,
}

/// What a client has at a tower, and may have.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Quota {
    /// Records of this client.
    pub records: u64,
    /// The most of them.
    pub records_max: u64,
}

/// A message. What a client asks is answered with the message of the same subject.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum TowerMessage {
    /// Client: keep these.
    Keep(Vec<Entry>),
    /// Tower: what became of them, in their order.
    Receipts(Vec<Receipt>),
    /// Client: show what you keep for me, behind this locator.
    List {
        /// None: from the start.
        after: Option<Locator>,
    },
    /// Tower: what it keeps for this client, ascending by locator.
    Page {
        /// What was asked for.
        after: Option<Locator>,
        /// The next ones.
        entries: Vec<Entry>,
        /// Whether nothing follows them.
        is_last: bool,
    },
    /// Client: how much may I give you?
    AskQuota,
    /// Tower: so much; `None`: it serves nobody.
    Quota(Option<Quota>),
}

impl TowerMessage {
    /// Whether it is for a node in its role as a tower; else it is for a tower's client.
    #[must_use]
    pub const fn is_for_tower(&self) -> bool {
        match self {
            Self::Keep(_) | Self::List { .. } | Self::AskQuota => true,
            Self::Receipts(_) | Self::Page { .. } | Self::Quota(_) => false,
        }
    }

    pub(crate) fn check_bounds(&self) -> Result<(), CodecError> {
        let length = match self {
            Self::Keep(entries) | Self::Page { entries, .. } => entries.len(),
            Self::Receipts(receipts) => receipts.len(),
            Self::List { .. } | Self::AskQuota | Self::Quota(_) => 0,
        };
        if length > TOWER_ENTRIES_MAX {
            return Err(CodecError::TooLong { length, limit: TOWER_ENTRIES_MAX });
        }
        Ok(())
    }
}
