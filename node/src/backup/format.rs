//! The bytes of a backup (`docs/format/backup.md`): a header that anyone can read, and sealed frames.

use bincode::{Decode, Encode};
use towpath_crypto::codec;
use towpath_crypto::codec::Readable;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::hash::{ChainId, Domain, digest};
use towpath_crypto::readable;
use towpath_crypto::sealed::SealKey;
use towpath_crypto::seed::Seed;
use towpath_store::Column;

use super::BackupError;

pub(super) const MAGIC: &[u8; 8] = b"TOWPATHB";
pub(super) const VERSION: u32 = 1;

/// Bytes of the header in front of the key file.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 16 + 4;

/// Bytes of a key file, at most; it has 112.
pub(super) const KEY_FILE_BYTES_MAX: usize = 4_096;

/// Bytes of one sealed frame, at most: one channel with everything that is open, or a page of others.
pub(super) const FRAME_BYTES_MAX: usize = 4 << 20;

/// Which backup: 16 random bytes.
pub(super) type BackupId = [u8; 16];

/// What the node was when the backup was begun.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct About {
    /// The node's clock, in milliseconds.
    pub created_ms: u64,
    /// The program's version.
    pub version: String,
    /// The ledger.
    pub chain: ChainId,
    /// The node.
    pub node: PublicKey,
    /// What its operator calls it.
    pub name: String,
    /// The ledger's height.
    pub height: u64,
    /// The genesis file.
    pub genesis: String,
    /// The configuration file; empty if there was none.
    pub config: String,
}

/// What a whole backup holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// What the node was.
    pub about: About,
    /// Rows.
    pub rows: u64,
    /// Channels that are not settled, and openings.
    pub channels: u64,
    /// Of those, channels whose rows cannot be read by this program.
    pub unreadable: u64,
}

/// A row of the database.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Row {
    pub column: Kept,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// The columns of which rows are kept.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) enum Kept {
    Channels,
    Meta,
}

impl Kept {
    pub(super) const fn column(self) -> Column {
        match self {
            Self::Channels => Column::Channels,
            Self::Meta => Column::Meta,
        }
    }
}

/// One sealed frame: its place is part of it, so none can be left out, doubled or taken from another backup.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Frame {
    pub backup: BackupId,
    pub index: u64,
    pub part: Part,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) enum Part {
    /// The first.
    About(Box<About>),
    /// Some rows; all rows of a channel are in one frame, as of one moment.
    Rows(Vec<Row>),
    /// The last, with the number of rows.
    End(u64),
}

pub(super) fn header(id: &BackupId, key_file: &[u8]) -> Vec<u8> {
    let length = u32::try_from(key_file.len()).unwrap_or(u32::MAX);
    [MAGIC.as_slice(), &VERSION.to_le_bytes(), id, &length.to_le_bytes(), key_file].concat()
}

/// The key that seals the frames of one backup.
pub(super) fn key(seed: &Seed, id: &BackupId) -> SealKey {
    SealKey::new(&digest(Domain::BackupKey, &[&*seed.backup_key(), id]))
}

/// The frame as it is written: its length, then sealed.
pub(super) fn seal(key: &SealKey, frame: &Frame) -> Vec<u8> {
    let sealed = key.seal(&codec::encode(frame));
    let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
    [length.to_le_bytes().as_slice(), &sealed].concat()
}

pub(super) fn open(key: &SealKey, sealed: &[u8], id: &BackupId, index: u64) -> Result<Part, BackupError> {
    let bytes = key.open(sealed).ok_or(BackupError::Damaged("a part of it was changed"))?;
    let frame: Frame = codec::decode(&bytes, FRAME_BYTES_MAX)
        .map_err(|_| BackupError::Damaged("a part of it is not what this program writes"))?;
    if frame.backup != *id || frame.index != index {
        return Err(BackupError::Damaged("a part of it is missing, doubled, or of another backup"));
    }
    Ok(frame.part)
}

/// How a frame is read, once it is opened.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![FRAME_BYTES_MAX => Frame]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s12_frames_are_bound_to_their_backup_and_their_place() {
        let seed = Seed::from_entropy(&[7; 32]);
        let (id, other) = ([1; 16], [2; 16]);
        let rows = vec![Row { column: Kept::Meta, key: vec![1], value: vec![2] }];
        let sealed = seal(&key(&seed, &id), &Frame { backup: id, index: 3, part: Part::Rows(rows.clone()) });
        let body = &sealed[4..];
        assert_eq!(open(&key(&seed, &id), body, &id, 3).unwrap(), Part::Rows(rows));
        assert!(open(&key(&seed, &id), body, &id, 4).is_err(), "another place");
        assert!(open(&key(&seed, &other), body, &other, 3).is_err(), "another backup");
        let thief = Seed::from_entropy(&[8; 32]);
        assert!(open(&key(&thief, &id), body, &id, 3).is_err(), "another seed");
        for position in 0..body.len() {
            let mut changed = body.to_vec();
            changed[position] ^= 1;
            assert!(open(&key(&seed, &id), &changed, &id, 3).is_err());
        }
    }

    #[test]
    fn the_bytes_are_settled() {
        let seed = Seed::from_entropy(&[7; 32]);
        let end = Frame { backup: [1; 16], index: 2, part: Part::End(9) };
        let plain =
            "01010101010101010101010101010101020000000000000002000000 0900000000000000".replace(' ', "");
        assert_eq!(hex::encode(codec::encode(&end)), plain);
        assert_eq!(seal(&key(&seed, &[1; 16]), &end).len(), 4 + 36 + 40);
        assert_eq!(hex::encode(&header(&[1; 16], &[5, 6])[..8]), hex::encode(MAGIC));
        assert_eq!(header(&[1; 16], &[5, 6]).len(), HEADER_BYTES + 2);
    }
}
