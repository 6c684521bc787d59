//! The canonical encoding: the one meaning per byte string of DESIGN 1.5.
//!
//! bincode 2 with fixed-width little-endian integers and `u64` lengths (the layout of bincode 1's default, which other
//! crates speak too). Decoding takes a size limit, must use the whole buffer, and accepts only what re-encodes to the
//! same bytes. Nothing outside this file names bincode's configuration.
//!
//! A length is never believed: memory for a collection is reserved up to [`DECODE_EXPANSION_MAX`] times the bytes that
//! were received, and no further. That bound must not refuse an honest value either, or two builds that lay out memory
//! differently would disagree about a block; [`fits`] is the test for it that every crate runs over its types.

use bincode::de::read::SliceReader;
use bincode::de::{Decoder, DecoderImpl};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bincode::{Decode, Encode, config};

use crate::limits::{DECODE_BYTES_MAX, DECODE_EXPANSION_MAX};

/// The largest byte string that is ever decoded, in bytes; callers pass tighter limits.
pub const DECODE_LIMIT: usize = DECODE_BYTES_MAX;

/// The memory that the longest input may make a decoder reserve.
const RESERVE_MAX: usize = DECODE_LIMIT * DECODE_EXPANSION_MAX;

type Config = config::Configuration<config::LittleEndian, config::Fixint, config::Limit<RESERVE_MAX>>;

const CONFIG: Config = config::standard().with_fixed_int_encoding().with_limit::<RESERVE_MAX>();

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
/// [`CodecError`] says what is wrong; what is reserved on the way is bounded by the bytes received.
pub fn decode<T: Decode<()> + Encode>(bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    let limit = limit.min(DECODE_LIMIT);
    if bytes.len() > limit {
        return Err(CodecError::TooLong { length: bytes.len(), limit });
    }
    let mut decoder = DecoderImpl::new(SliceReader::new(bytes), CONFIG, ());
    // The library's limit is a constant. Claiming all but this input's share of it beforehand makes it a variable.
    decoder
        .claim_bytes_read(RESERVE_MAX - bytes.len() * DECODE_EXPANSION_MAX)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    let value = T::decode(&mut decoder).map_err(|error| CodecError::Malformed(error.to_string()))?;
    let mut same = Same { rest: bytes, equal: true };
    bincode::encode_into_writer(&value, &mut same, CONFIG.with_no_limit()).expect("our types always encode");
    match same {
        Same { rest: [], equal: true } => Ok(value),
        Same { rest, equal: true } => Err(CodecError::Trailing(rest.len())),
        Same { equal: false, .. } => Err(CodecError::NotCanonical),
    }
}

/// Whether collections of `T` always decode: a `T` takes no more than [`DECODE_EXPANSION_MAX`] times as much memory as
/// `shortest` encodes to. Tests ask it for every type that stands in a `Vec` or a map of a decoded type.
#[must_use]
pub fn fits<T: Encode>(shortest: &T) -> bool {
    size_of::<T>() <= encode(shortest).len() * DECODE_EXPANSION_MAX
}

/// One kind of bytes that this program reads: from a peer, a disk or a file. Each crate lists its own (`decoders()`), so
/// that whoever tries hostile bytes tries them on every kind.
#[derive(Clone, Copy)]
pub struct Readable {
    /// The type, or what reads it, by its path.
    pub name: &'static str,
    /// The longest that is read, in bytes.
    pub limit: usize,
    /// Reads `bytes`: what the value encodes to, or nothing when they are refused.
    pub read: fn(&[u8]) -> Option<Vec<u8>>,
}

/// The [`Readable`]s of types that are read as they are: `readable![LIMIT => Type, Type; OTHER_LIMIT => Type]`.
#[macro_export]
macro_rules! readable {
    ($($limit:expr => $($type:ty),+ $(,)?);+ $(;)?) => {
        vec![$($($crate::codec::Readable {
            name: ::std::any::type_name::<$type>(),
            limit: $limit,
            read: |bytes| $crate::codec::decode::<$type>(bytes, $limit).ok().map(|value| $crate::codec::encode(&value)),
        }),+),+]
    };
}

/// A writer that compares instead of writing, so that the check for the one encoding allocates nothing.
struct Same<'a> {
    rest: &'a [u8],
    equal: bool,
}

impl Writer for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.equal = false,
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
