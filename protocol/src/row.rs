//! The rows of a channel: their keys, their versions, their encodings (`docs/format/channel.md`).

use bincode::{Decode, Encode};
use towpath_crypto::codec;
use towpath_ledger::OutPoint;

use crate::channel::{Fixed, Held, Lost, OpenProposal, Posted, Resizing, Witnesses};
use crate::error::RestoreError;
use crate::journal::Journal;
use crate::life::Life;
use crate::limits::ROW_BYTES_MAX;
use crate::signer::Mark;
use crate::update::Transfer;

/// The version of every row: its first byte.
pub(crate) const ROW_VERSION: u8 = 2;

/// Which row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Key {
    /// What was agreed: it changes with a resize only.
    Fixed,
    /// What changes with each turn; of constant size.
    Live,
    /// An open proposal.
    Proposal(u64),
    /// A payment of this party that is in no version yet.
    Request(u64),
    /// The witnesses of a funding by both.
    Witnesses,
    /// An opening that B accepted and A has not signed.
    Acceptance,
    /// A resize that is not decided.
    Resize,
}

impl Key {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let (tag, number) = match self {
            Self::Fixed => (0, None),
            Self::Live => (1, None),
            Self::Proposal(version) => (2, Some(version)),
            Self::Request(number) => (3, Some(number)),
            Self::Witnesses => (4, None),
            Self::Acceptance => (5, None),
            Self::Resize => (6, None),
        };
        let mut bytes = vec![tag];
        bytes.extend(number.into_iter().flat_map(u64::to_be_bytes));
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let number = || rest.try_into().ok().map(u64::from_be_bytes);
        match (tag, rest.is_empty()) {
            (0, true) => Some(Self::Fixed),
            (1, true) => Some(Self::Live),
            (2, false) => number().map(Self::Proposal),
            (3, false) => number().map(Self::Request),
            (4, true) => Some(Self::Witnesses),
            (5, true) => Some(Self::Acceptance),
            (6, true) => Some(Self::Resize),
            _ => None,
        }
    }

    /// Whether the live row says how many rows of this kind there are.
    pub(crate) const fn is_counted(self) -> bool {
        match self {
            Self::Proposal(_) | Self::Request(_) | Self::Resize => true,
            Self::Fixed | Self::Live | Self::Witnesses | Self::Acceptance => false,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Live => "live",
            Self::Proposal(_) => "proposal",
            Self::Request(_) => "request",
            Self::Witnesses => "witnesses",
            Self::Acceptance => "acceptance",
            Self::Resize => "resize",
        }
    }

    /// The stored value: the version, then the one encoding.
    pub(crate) fn value(self, value: &impl Encode) -> Vec<u8> {
        let mut bytes = vec![ROW_VERSION];
        bytes.extend(codec::encode(value));
        bytes
    }

    pub(crate) fn read<T: Decode<()> + Encode>(self, bytes: &[u8]) -> Result<T, RestoreError> {
        let damaged = |error: String| RestoreError::Damaged { row: self.name(), error };
        let (version, body) = bytes.split_first().ok_or_else(|| damaged("empty".into()))?;
        if *version != ROW_VERSION {
            return Err(RestoreError::Version { row: self.name(), version: *version, known: ROW_VERSION });
        }
        codec::decode(body, ROW_BYTES_MAX).map_err(|error| damaged(error.to_string()))
    }
}

/// The live row.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) struct Live {
    pub(crate) life: Life,
    pub(crate) funding: Option<OutPoint>,
    pub(crate) held: Held,
    pub(crate) mark: Mark,
    /// The same for first states of the next generation, of resizes that came to nothing too.
    pub(crate) mark_next: Mark,
    pub(crate) seen: u64,
    pub(crate) next_number: u64,
    pub(crate) posted: Option<Posted>,
    pub(crate) lost: Option<Lost>,
    pub(crate) journal: Journal,
    /// How many rows of open proposals there are: none can be missing without a word.
    pub(crate) proposals: u32,
    /// And how many of requests.
    pub(crate) requests: u32,
    /// And of a resize.
    pub(crate) resizes: u32,
}

/// All rows of a channel, read and sorted.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) fixed: Option<Fixed>,
    pub(crate) live: Option<Live>,
    pub(crate) proposals: Vec<OpenProposal>,
    pub(crate) requests: Vec<Transfer>,
    pub(crate) witnesses: Witnesses,
    pub(crate) resize: Option<Resizing>,
}

impl Rows {
    /// Reads the rows of one channel, in any order.
    pub(crate) fn read<'a>(
        rows: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, RestoreError> {
        let mut read = Self::default();
        for (key, value) in rows {
            let parsed = Key::parse(key)
                .ok_or_else(|| RestoreError::Damaged { row: "unknown", error: "not a row's key".into() })?;
            match parsed {
                Key::Fixed => read.fixed = Some(parsed.read(value)?),
                Key::Live => read.live = Some(parsed.read(value)?),
                Key::Proposal(version) => {
                    let proposal: OpenProposal = parsed.read(value)?;
                    if proposal.version() != version || proposal.content.state.version != version {
                        return Err(RestoreError::Inconsistent("a proposal's key and version differ"));
                    }
                    read.proposals.push(proposal);
                }
                Key::Request(number) => {
                    let transfer: Transfer = parsed.read(value)?;
                    if transfer.number != number {
                        return Err(RestoreError::Inconsistent("a request's key and number differ"));
                    }
                    read.requests.push(transfer);
                }
                Key::Witnesses => read.witnesses = parsed.read(value)?,
                Key::Resize => read.resize = Some(parsed.read(value)?),
                Key::Acceptance => {
                    return Err(RestoreError::Inconsistent("an acceptance among the rows of a channel"));
                }
            }
        }
        read.proposals.sort_by_key(OpenProposal::version);
        Ok(read)
    }
}
