//! The texts of ids and addresses (`towpath_crypto::id`): what people, the API and the command line see.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use towpath_crypto::codec::{self, CodecError};
use towpath_crypto::id::{self, IdError, Kind};
use towpath_crypto::limits::ADDRESS_BYTES_MAX;
use towpath_crypto::{Digest, codec::encode};

use super::block::BlockId;
use super::channel::ChannelId;
use super::lock::{AssetId, Payout};
use super::transaction::{OutPoint, TxId};
use super::usable::LockFault;

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not the text of an address.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The text of bytes that are no payout.
    #[error("not an address that this version knows: {0}")]
    Unknown(#[from] CodecError),
    /// A payout that nobody could spend, or anybody.
    #[error("an address that must not be paid: {0}")]
    Unusable(#[from] LockFault),
}

macro_rules! digest_text {
    ($name:ident, $kind:expr) => {
        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str(&id::encode($kind, self.0.as_bytes()))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                id::decode_array($kind, text).map(|bytes| Self(Digest(bytes)))
            }
        }
    };
}

digest_text!(ChannelId, Kind::Channel);
digest_text!(TxId, Kind::Transaction);
digest_text!(BlockId, Kind::Block);
digest_text!(AssetId, Kind::Asset);

impl Display for OutPoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&id::encode(Kind::Output, &encode(self)))
    }
}

impl FromStr for OutPoint {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; 36] = id::decode_array(Kind::Output, text)?;
        let (mut tx, mut index) = ([0; 32], [0; 4]);
        tx.copy_from_slice(&bytes[..32]);
        index.copy_from_slice(&bytes[32..]);
        Ok(Self { tx: TxId(Digest(tx)), index: u32::from_le_bytes(index) })
    }
}

impl Display for Payout {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&id::encode(Kind::Address, &encode(self)))
    }
}

impl FromStr for Payout {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bytes = id::decode(Kind::Address, text)?;
        let payout: Self = codec::decode(&bytes, ADDRESS_BYTES_MAX)?;
        payout.check()?;
        Ok(payout)
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
