//! The canonical encoding: the one meaning per byte string of DESIGN 1.5.
//!
//! bincode 2 with fixed-width little-endian integers and `u64` lengths (the layout of bincode 1's default, which other
//! crates speak too). Decoding takes a size limit, must use the whole buffer, and accepts only what re-encodes to the
//! same bytes. Nothing outside this file names bincode's configuration.

use bincode::{Decode, Encode, config};

/// The largest byte string that is ever decoded, in bytes; callers pass tighter limits.
pub const DECODE_LIMIT: usize = crate::limits::DECODE_BYTES_MAX;

type Config = config::Configuration<config::LittleEndian, config::Fixint, config::Limit<DECODE_LIMIT>>;

const CONFIG: Config = config::standard().with_fixed_int_encoding().with_limit::<DECODE_LIMIT>();

/// Why bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// More bytes than the caller allows.
    #[error("{length} bytes, more than the limit of {limit}")]
    TooLong {
        /// Bytes received.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not a value of this type.
    #[error("malformed: {0}")]
    Malformed(String),
    /// A value, followed by more bytes.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// A value whose one encoding differs from these bytes.
    #[error("not the canonical encoding")]
    NotCanonical,
}

/// The one encoding of `value`.
///
/// # Panics
/// Never for the types of this workspace: encoding into a vector fails only for types that refuse to be encoded.
#[must_use]
pub fn encode<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, CONFIG.with_no_limit()).expect("our types always encode")
}

/// Decodes a value of at most `limit` bytes that fills `bytes` and is canonical.
///
/// # Errors
/// [`CodecError`] says what is wrong; nothing larger than the limit is ever allocated.
pub fn decode<T: Decode<()> + Encode>(bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    let limit = limit.min(DECODE_LIMIT);
    if bytes.len() > limit {
        return Err(CodecError::TooLong { length: bytes.len(), limit });
    }
    let (value, used) = bincode::decode_from_slice::<T, _>(bytes, CONFIG)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if used != bytes.len() {
        return Err(CodecError::Trailing(bytes.len() - used));
    }
    if encode(&value) != bytes {
        return Err(CodecError::NotCanonical);
    }
    Ok(value)
}
