//! Why a genesis is refused, said to the person who wrote the file.

use towpath_crypto::Amount;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::id::IdError;

use crate::chain::ValidatorError;
use crate::limits;
use crate::rules::ParamsError;
use crate::types::LockFault;
use crate::types::Time;

/// Why a genesis is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// A larger file than any genesis needs.
    #[error("the file has {0} bytes, more than {max}", max = limits::GENESIS_BYTES_MAX)]
    TooLong(usize),
    /// Not TOML, or not the keys of a genesis; says where, and which keys there are.
    #[error("{0}")]
    Toml(String),
    /// A name that is empty, too long, or has other characters.
    #[error("the name {0:?} is not 1 to 32 lower-case letters, digits and hyphens")]
    Name(String),
    /// A time past what can be written.
    #[error("the time {0:?} is past the largest one")]
    Time(Time),
    /// A parameter out of its bounds.
    #[error("in params: {0}")]
    Params(#[from] ParamsError),
    /// Validators that are no set.
    #[error(transparent)]
    Validators(#[from] ValidatorError),
    /// A validator's id that is none.
    #[error("validator {index}: {error}")]
    ValidatorId {
        /// Its position, from zero.
        index: usize,
        /// What is wrong.
        error: IdError,
    },
    /// A validator for which nobody, or anybody, could sign.
    #[error("validator {0:?} has a key that is no usable key")]
    ValidatorKey(PublicKey),
    /// Too many of something, or none.
    #[error("{count} {what}; up to {assets} assets and 1 to {allocations} allocations are allowed",
        assets = limits::GENESIS_ASSETS_MAX, allocations = limits::GENESIS_ALLOCATIONS_MAX)]
    Count {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A symbol that is empty, too long, or has other characters.
    #[error("the symbol {0:?} is not 1 to 12 ASCII letters and digits")]
    Symbol(String),
    /// A symbol of two assets.
    #[error("the symbol {0:?} is used twice")]
    SymbolTwice(String),
    /// Assets of a hand-made genesis out of order.
    #[error("the assets are not in the order of their symbols")]
    UnsortedAssets,
    /// More decimals than amounts have digits.
    #[error("asset {0:?} has more than 18 decimals")]
    Decimals(String),
    /// An address that is none.
    #[error("allocation {index}: {error}")]
    Address {
        /// Its position, from zero.
        index: usize,
        /// What is wrong.
        error: IdError,
    },
    /// An address whose bytes are no payout lock.
    #[error("allocation {index}: the address holds no payout that this version knows")]
    AddressContent {
        /// Its position, from zero.
        index: usize,
    },
    /// An address from which nobody, or anybody, could spend.
    #[error("allocation {index}: {fault}")]
    Payout {
        /// Its position, from zero.
        index: usize,
        /// What is wrong.
        fault: LockFault,
    },
    /// An asset that is not listed.
    #[error(
        "allocation {index}: asset {symbol:?} is not listed; add it under [[assets]], or leave it out for the native one"
    )]
    UnknownAsset {
        /// Its position, from zero.
        index: usize,
        /// Its asset.
        symbol: String,
    },
    /// Less than an output may hold.
    #[error("allocation {index}: less than the least amount of {least}")]
    TooSmall {
        /// Its position, from zero.
        index: usize,
        /// The least.
        least: Amount,
    },
    /// More of an asset than can be.
    #[error("more than 9223372036854775807 base units of {0:?} are allocated")]
    Supply(String),
}
