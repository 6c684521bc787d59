//! The token that lets a program use a node's API: 32 random bytes in hex, in a file that only the node's user reads.
//!
//! This module decides its form and how it is read and compared; making the file is the node's.

use std::io::Read;
use std::path::{Path, PathBuf};

/// The name of the token file in a node's data folder.
pub const TOKEN_FILE: &str = "api.token";

/// Hex digits of a token.
const HEX_DIGITS: usize = 64;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file can't be read.
    #[error(
        "cannot read the API token file {path}: {source}; is this the node's data folder, and has the node run?"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a token.
    #[error(
        "an API token has {HEX_DIGITS} hexadecimal digits; delete the token file and restart the node for a new one"
    )]
    Malformed,
}

/// An API token. It doesn't print itself.
#[derive(Clone)]
pub struct Token([u8; HEX_DIGITS]);

impl Token {
    /// The token made of 32 random bytes.
    #[must_use]
    pub fn from_entropy(bytes: [u8; 32]) -> Self {
        let mut digits = [0; HEX_DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        Self(digits)
    }

    /// Reads a token's text; white space around it is ignored.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] unless it is 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let digits: [u8; HEX_DIGITS] =
            text.trim().as_bytes().try_into().map_err(|_wrong_length| TokenError::Malformed)?;
        if digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(digits))
        } else {
            Err(TokenError::Malformed)
        }
    }

    /// Reads a token file.
    ///
    /// # Errors
    /// [`TokenError`] if it can't be read or holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let read = || {
            let mut text = String::new();
            // A few bytes more than a token and a line break, so that a wrong file is never read whole.
            std::fs::File::open(path)?.take(HEX_DIGITS as u64 + 16).read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|source| TokenError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// The 64 digits, for the `Authorization` header and the token file.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    /// Whether `candidate` is this token, in a time that depends on nothing but the candidate's length.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        if candidate.len() != HEX_DIGITS {
            return false;
        }
        let difference = self
            .0
            .iter()
            .zip(candidate)
            .fold(0_u8, |sum, (ours, theirs)| std::hint::black_box(sum | (ours ^ theirs)));
        difference == 0
    }
}

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{HEX_DIGITS, Token};

    #[test]
    fn a_token_reads_what_it_writes_and_nothing_else() {
        let token = Token::from_entropy(std::array::from_fn(|i| u8::try_from(i * 8).expect("below 256")));
        assert_eq!(token.expose(), "0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8");
        let read = Token::parse(&format!(" {}\n", token.expose())).expect("reads");
        assert!(read.matches(token.expose().as_bytes()));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"G".repeat(64), &"A".repeat(64)] {
            assert!(Token::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a1_a_token_differs_from_every_other_at_every_digit() {
        let token = Token::from_entropy([0xa5; 32]);
        for place in 0..HEX_DIGITS {
            let mut other = token.expose().as_bytes().to_vec();
            other[place] ^= 1;
            assert!(!token.matches(&other), "digit {place}");
        }
        assert!(!token.matches(b""));
        assert!(!token.matches(&[token.expose().as_bytes(), b"0"].concat()));
    }

    #[test]
    fn a8_a_token_does_not_print_itself() {
        assert_eq!(format!("{:?}", Token::from_entropy([7; 32])), "Token(…)");
    }
}
