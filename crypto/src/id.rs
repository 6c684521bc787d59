//! The textual ids that people and the API see: bech32m (BIP 350), one human-readable part for each kind of thing.
//!
//! The kind stands in the text and is covered by the checksum, so that a transaction id pasted where a channel id
//! belongs is refused with both kinds named. There is one text for each value: decoding refuses what does not encode
//! to the same text (upper case as a whole is accepted, as BIP 173 asks for QR codes). What the bytes mean is left to
//! the crates that own the types; only their length is checked here.
//!
//! BIP 350 stops at 90 characters, where the checksum finds any four wrong characters. Ids of 32 and 36 bytes stay
//! within it; a long address (a payout to many keys) does not, and has the weaker promise that a random mistake
//! passes with probability 2⁻³⁰.

use bech32::primitives::decode::{
    CharError, CheckedHrpstring, CheckedHrpstringError, UncheckedHrpstringError,
};
use bech32::{Bech32m, Checksum, Fe1024, Hrp};

use crate::hash::{ChainId, Digest};
use crate::limits::{ADDRESS_BYTES_MAX, ID_TEXT_MAX};

/// The kind of thing that an id names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A node: its Ed25519 public key.
    Node,
    /// A channel id.
    Channel,
    /// A transaction id.
    Transaction,
    /// A block id.
    Block,
    /// An outpoint: transaction id and output index.
    Output,
    /// A payout lock, canonically encoded.
    Address,
    /// An asset id.
    Asset,
    /// A chain id.
    Chain,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Node,
        Self::Channel,
        Self::Transaction,
        Self::Block,
        Self::Output,
        Self::Address,
        Self::Asset,
        Self::Chain,
    ];

    /// The human-readable part, which stands before the `1`.
    #[must_use]
    pub const fn hrp(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Channel => "chan",
            Self::Transaction => "tx",
            Self::Block => "block",
            Self::Output => "out",
            Self::Address => "addr",
            Self::Asset => "asset",
            Self::Chain => "chain",
        }
    }

    /// The name in sentences, with its article.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "a node id",
            Self::Channel => "a channel id",
            Self::Transaction => "a transaction id",
            Self::Block => "a block id",
            Self::Output => "an output",
            Self::Address => "an address",
            Self::Asset => "an asset id",
            Self::Chain => "a chain id",
        }
    }

    /// The kind that `text` (an id, or the beginning of one) claims to be; nothing else of it is checked.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let (hrp, _) = text.split_once('1')?;
        Self::ALL.into_iter().find(|kind| hrp.eq_ignore_ascii_case(kind.hrp()))
    }

    const fn allows(self, length: usize) -> bool {
        match self {
            Self::Node | Self::Channel | Self::Transaction | Self::Block | Self::Asset | Self::Chain => {
                length == 32
            }
            Self::Output => length == 36,
            Self::Address => length > 0 && length <= ADDRESS_BYTES_MAX,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}1…)", self.name(), self.hrp())
    }
}

/// Why a text is not the id that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// An id of another kind.
    #[error("expected {expected}, got {found}")]
    WrongKind {
        /// The kind that belongs here.
        expected: Kind,
        /// The kind that came.
        found: Kind,
    },
    /// No kind that is known.
    #[error("expected {expected}, got something that is not an id")]
    NotAnId {
        /// The kind that belongs here.
        expected: Kind,
    },
    /// A character that no id contains, at this place (counted in bytes from 0).
    #[error("expected {expected}, but {character:?} is never part of an id; check what was copied")]
    BadCharacter {
        /// The kind that belongs here.
        expected: Kind,
        /// The character.
        character: char,
    },
    /// Upper and lower case in one id.
    #[error("expected {expected} in lower case throughout")]
    MixedCase {
        /// The kind that belongs here.
        expected: Kind,
    },
    /// The checksum does not fit: a typing mistake, or a text that was cut.
    #[error("this {} has a typing mistake or is incomplete; copy it again", .expected.hrp())]
    Checksum {
        /// The kind that belongs here.
        expected: Kind,
    },
    /// A valid checksum over a number of bytes that this kind never has.
    #[error("expected {expected}, but it holds {length} bytes")]
    WrongLength {
        /// The kind that belongs here.
        expected: Kind,
        /// The bytes that it holds.
        length: usize,
    },
    /// A valid checksum over a text that is not the one text of its bytes.
    #[error("expected {expected} in its one canonical form")]
    NotCanonical {
        /// The kind that belongs here.
        expected: Kind,
    },
}

/// Bech32m without the bound on the length, for addresses; the same text as Bech32m where that is defined.
enum LongBech32m {}

impl Checksum for LongBech32m {
    type MidstateRepr = <Bech32m as Checksum>::MidstateRepr;
    type CorrectionField = Fe1024;
    const ROOT_GENERATOR: Self::CorrectionField = Bech32m::ROOT_GENERATOR;
    const ROOT_EXPONENTS: std::ops::RangeInclusive<usize> = Bech32m::ROOT_EXPONENTS;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32m::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = Bech32m::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = Bech32m::TARGET_RESIDUE;
}

/// The text of the `bytes` of an id of this kind. The caller passes as many bytes as the kind has.
///
/// # Panics
/// Never: the human-readable parts are valid and no length is refused.
#[must_use]
pub fn encode(kind: Kind, bytes: &[u8]) -> String {
    debug_assert!(kind.allows(bytes.len()), "{kind} of {} bytes", bytes.len());
    let hrp = Hrp::parse_unchecked(kind.hrp());
    bech32::encode::<LongBech32m>(hrp, bytes).expect("no length is refused")
}

/// The bytes of the id `text`, which must be of this kind.
///
/// # Errors
/// [`IdError`] says which kind was expected and which came, or what is wrong with the text.
pub fn decode(expected: Kind, text: &str) -> Result<Vec<u8>, IdError> {
    match Kind::of(text) {
        Some(found) if found != expected => return Err(IdError::WrongKind { expected, found }),
        None => return Err(IdError::NotAnId { expected }),
        Some(_) => {}
    }
    if text.len() > ID_TEXT_MAX {
        return Err(IdError::WrongLength { expected, length: text.len() * 5 / 8 });
    }
    let checked = CheckedHrpstring::new::<LongBech32m>(text).map_err(|error| refuse(expected, &error))?;
    let bytes: Vec<u8> = checked.byte_iter().collect();
    if !expected.allows(bytes.len()) {
        return Err(IdError::WrongLength { expected, length: bytes.len() });
    }
    // Padding bits that are set would be a second text for the same bytes.
    if !encode(expected, &bytes).eq_ignore_ascii_case(text) {
        return Err(IdError::NotCanonical { expected });
    }
    Ok(bytes)
}

/// [`decode`] into an array, for the kinds whose length is fixed.
///
/// # Errors
/// As [`decode`]; [`IdError::WrongLength`] if the kind does not have `N` bytes.
pub fn decode_array<const N: usize>(expected: Kind, text: &str) -> Result<[u8; N], IdError> {
    let bytes = decode(expected, text)?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| IdError::WrongLength { expected, length })
}

fn refuse(expected: Kind, error: &CheckedHrpstringError) -> IdError {
    match error {
        CheckedHrpstringError::Parse(UncheckedHrpstringError::Char(CharError::InvalidChar(character))) => {
            IdError::BadCharacter { expected, character: *character }
        }
        CheckedHrpstringError::Parse(UncheckedHrpstringError::Char(CharError::MixedCase)) => {
            IdError::MixedCase { expected }
        }
        // A checksum of something else, or a text too short to hold one; the enums are another crate's and not exhaustive.
        _ => IdError::Checksum { expected },
    }
}

/// The ellipsis that [`shorten`] ends with and [`matches_prefix`] ignores.
const ELLIPSIS: char = '…';

/// Whether `prefix` is the beginning of the id `full`: the kind, the `1` and at least one more character, in either
/// case, with or without the ellipsis of [`shorten`]. Whether it is unique is for the caller, who knows all ids.
#[must_use]
pub fn matches_prefix(full: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches(ELLIPSIS);
    let Some((_, data)) = prefix.split_once('1') else { return false };
    let one_case = !prefix.contains(|c: char| c.is_ascii_uppercase())
        || !prefix.contains(|c: char| c.is_ascii_lowercase());
    let begins = full.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    !data.is_empty() && one_case && begins
}

/// The lowest and the highest bytes of an id of this kind whose text can begin with `prefix`: where to look for it in a
/// sorted index. What is found there is compared by [`matches_prefix`], which sees the checksum, too.
///
/// # Errors
/// [`IdError`] if `prefix` is the beginning of no id of this kind.
pub fn prefix_range(expected: Kind, prefix: &str) -> Result<(Vec<u8>, Vec<u8>), IdError> {
    let prefix = prefix.trim_end_matches(ELLIPSIS);
    match Kind::of(prefix) {
        Some(found) if found != expected => return Err(IdError::WrongKind { expected, found }),
        None => return Err(IdError::NotAnId { expected }),
        Some(_) => {}
    }
    let data = prefix.split_once('1').map_or("", |(_, data)| data);
    let length = match expected {
        Kind::Output => 36,
        Kind::Node | Kind::Channel | Kind::Transaction | Kind::Block | Kind::Asset | Kind::Chain => 32,
        // Addresses have no fixed length, and are never guessed from a part: money goes there.
        Kind::Address => return Err(IdError::Checksum { expected }),
    };
    let (mut low, mut high) = (vec![0_u8; length], vec![0xff_u8; length]);
    for (place, character) in data.chars().enumerate() {
        let value = bech32::Fe32::from_char(character)
            .map_err(|_| IdError::BadCharacter { expected, character })?
            .to_u8();
        for bit in 0..5 {
            let at = place * 5 + bit;
            // What follows the bytes is padding and checksum.
            let (Some(low), Some(high)) = (low.get_mut(at / 8), high.get_mut(at / 8)) else { break };
            let mask = 0x80 >> (at % 8);
            if value & (0x10 >> bit) == 0 { *high &= !mask } else { *low |= mask }
        }
    }
    Ok((low, high))
}

/// The kind, eight characters and an ellipsis: enough for a table, and good as a prefix.
#[must_use]
pub fn shorten(full: &str) -> String {
    let kept = full.find('1').map_or(8, |separator| separator + 9);
    match full.get(..kept) {
        Some(start) if start.len() < full.len() => format!("{start}{ELLIPSIS}"),
        Some(_) | None => full.to_owned(),
    }
}

impl std::fmt::Display for ChainId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&encode(Kind::Chain, self.0.as_bytes()))
    }
}

impl std::str::FromStr for ChainId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        decode_array(Kind::Chain, text).map(|bytes| Self(Digest(bytes)))
    }
}

#[cfg(test)]
#[path = "id_tests.rs"]
mod tests;
