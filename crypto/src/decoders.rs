//! What this crate reads from bytes.

use crate::amount::Amount;
use crate::codec::Readable;
use crate::ed25519::{PublicKey, Signature};
use crate::hash::{ChainId, Digest};
use crate::id::{self, Kind};
use crate::limits::ID_TEXT_MAX;
use crate::schnorr::{WalletKey, WalletSignature};
use crate::session::Role;
use crate::{readable, session};

/// Every kind of bytes that this crate reads.
#[must_use]
pub fn decoders() -> Vec<Readable> {
    let mut all = readable![
        64 => Amount, ChainId, Digest, PublicKey, Signature, WalletKey, WalletSignature, Role
    ];
    all.push(session::proof_decoder());
    all.push(Readable { name: "towpath_crypto::id::decode", limit: ID_TEXT_MAX, read: read_id });
    all
}

/// A text is read as each kind of id; it is of one kind at most, and has one spelling in lower case.
fn read_id(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut read = Kind::ALL.iter().filter_map(|kind| Some((*kind, id::decode(*kind, text).ok()?)));
    let (kind, value) = read.next()?;
    assert!(read.next().is_none(), "{text} is an id of two kinds");
    let same = id::encode(kind, &value);
    // Upper case as a whole is accepted, and means the same.
    Some(if same.to_ascii_uppercase() == text { bytes.to_vec() } else { same.into_bytes() })
}
