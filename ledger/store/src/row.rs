//! Rows: one version byte, then the canonical encoding. Each kind of row counts its own versions.

use bincode::{Decode, Encode};
use towpath_crypto::codec;

use crate::error::StoreError;

/// The bytes of `value` as a row of `version`.
#[must_use]
pub fn encode<T: Encode>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![version];
    bytes.extend_from_slice(&codec::encode(value));
    bytes
}

/// The value of a row of `version` that is at most `limit` bytes long.
///
/// # Errors
/// [`StoreError::Corrupt`] for any other bytes: what the disk says is checked like what a peer says.
pub fn decode<T: Decode<()> + Encode>(
    kind: &'static str,
    version: u8,
    bytes: &[u8],
    limit: usize,
) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((found, rest)) if *found == version => {
            codec::decode(rest, limit).map_err(|error| StoreError::corrupt_row(kind, error))
        }
        Some((found, _)) => Err(StoreError::corrupt_row(kind, format!("version {found}, not {version}"))),
        None => Err(StoreError::corrupt_row(kind, "empty")),
    }
}
