//! The rows of a tower: their keys, their encodings, and how they are read (`docs/format/tower.md`).

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::Bound::{Excluded, Unbounded};

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::{Digest, codec};
use towpath_ledger::ChannelId;

use super::record::{Locator, RECORD_BYTES, Sealed, Sequence};

/// A row to write; `None` deletes it.
pub type Row = (Vec<u8>, Option<Vec<u8>>);

/// A row as it was read: its key and its value.
pub type Read = (Vec<u8>, Vec<u8>);

/// The version of every row: its first byte.
const ROW_VERSION: u8 = 1;

/// Bytes of a row, at most.
const ROW_BYTES_MAX: usize = 64 + RECORD_BYTES;

/// The database could not be read, or holds what no tower wrote. Whoever asked must not take it for an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tower's records could not be read: {0}")]
pub struct ShelfError(pub String);

/// The tower's rows, as they are on disk.
pub trait Shelf {
    /// One row.
    ///
    /// # Errors
    /// [`ShelfError`] if it cannot be read.
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError>;

    /// The rows whose keys begin with `prefix` and are above `after`, ascending, at most `limit`.
    ///
    /// # Errors
    /// [`ShelfError`] if they cannot be read.
    fn rows(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Read>, ShelfError>;
}

/// Rows in memory: for tests, and for whoever wants a tower without a disk.
impl Shelf for BTreeMap<Vec<u8>, Vec<u8>> {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        Ok(self.get(key).cloned())
    }

    fn rows(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Read>, ShelfError> {
        let from = match after {
            Some(after) if after >= prefix => Excluded(after),
            Some(_) | None => std::ops::Bound::Included(prefix),
        };
        let rows = self.range::<[u8], _>((from, Unbounded));
        let rows = rows.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// Which row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Key {
    /// A record.
    Record(Locator, PublicKey),
    /// That a client has a record there.
    Index(PublicKey, Locator),
    /// What a client has.
    Account(PublicKey),
    /// A channel that is being closed, for which there are records.
    Case(ChannelId),
}

impl Key {
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Record(locator, client) => [b"r".as_slice(), &locator.0.0, &client.0].concat(),
            Self::Index(client, locator) => [b"c".as_slice(), &client.0, &locator.0.0].concat(),
            Self::Account(client) => [b"n".as_slice(), &client.0].concat(),
            Self::Case(channel) => [b"o".as_slice(), &channel.0.0].concat(),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (first, rest) = rest.split_first_chunk::<32>()?;
        let second = || rest.try_into().ok();
        match (kind, rest.is_empty()) {
            (b'r', false) => Some(Self::Record(Locator(Digest(*first)), PublicKey(second()?))),
            (b'c', false) => Some(Self::Index(PublicKey(*first), Locator(Digest(second()?)))),
            (b'n', true) => Some(Self::Account(PublicKey(*first))),
            (b'o', true) => Some(Self::Case(ChannelId(Digest(*first)))),
            _ => None,
        }
    }

    /// The beginning of the keys of all records at `locator`.
    pub(super) fn records_at(locator: &Locator) -> Vec<u8> {
        [b"r".as_slice(), &locator.0.0].concat()
    }

    /// The beginning of the index of `client`.
    pub(super) fn index_of(client: &PublicKey) -> Vec<u8> {
        [b"c".as_slice(), &client.0].concat()
    }

    /// The beginning of all accounts.
    pub(super) const ACCOUNTS: &'static [u8] = b"n";

    /// The beginning of all cases.
    pub(super) const CASES: &'static [u8] = b"o";
}

/// A record as it is kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Kept {
    pub(super) sequence: Sequence,
    pub(super) sealed: Sealed,
}

/// What a client is to a tower.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The operator named it.
    Named,
    /// It has channels with the tower's node.
    Peer {
        /// So many, funded and not settled. Each has cost it a transaction and locked funds, and buys it a little room.
        channels: NonZeroU64,
    },
    /// It may be one of very many that one person made.
    Stranger,
}

impl Standing {
    /// Of a client with so many channels with the tower's node.
    #[must_use]
    pub fn of_channels(channels: u64) -> Self {
        NonZeroU64::new(channels).map_or(Self::Stranger, |channels| Self::Peer { channels })
    }
}

/// In which part of a tower's room a client's records are.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) enum Part {
    /// Of those that it knows.
    Known,
    /// Of strangers, who share it.
    Strangers,
}

impl Part {
    pub(super) const fn of(standing: Standing) -> Self {
        match standing {
            Standing::Named | Standing::Peer { .. } => Self::Known,
            Standing::Stranger => Self::Strangers,
        }
    }
}

/// What a client has.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Account {
    pub(super) records: u64,
    pub(super) part: Part,
}

impl Account {
    /// How many of its records count among the strangers'.
    pub(super) const fn of_strangers(self) -> u64 {
        match self.part {
            Part::Known => 0,
            Part::Strangers => self.records,
        }
    }
}

pub(super) fn value(value: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![ROW_VERSION];
    bytes.extend(codec::encode(value));
    bytes
}

pub(super) fn read<T: Decode<()> + Encode>(bytes: &[u8]) -> Result<T, ShelfError> {
    match bytes.split_first() {
        Some((&ROW_VERSION, body)) => {
            codec::decode(body, ROW_BYTES_MAX).map_err(|error| ShelfError(error.to_string()))
        }
        Some((version, _)) => Err(ShelfError(format!("a row of version {version}"))),
        None => Err(ShelfError("an empty row".to_owned())),
    }
}
