//! One slot of the anchor: 40 bytes that are either whole or recognisably not.
//!
//! Layout: magic with version (8) ‖ sequence (u64 LE) ‖ session (16) ‖ zero (4) ‖ CRC-32C of all before (u32 LE).

use towpath_crypto::codec::Readable;

use crate::condition::{Mark, Sequence, Session};

/// The bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 40;

const MAGIC: [u8; 8] = *b"towpanc\x01";
const SEQUENCE_AT: usize = 8;
const SESSION_AT: usize = 16;
const CHECKSUM_AT: usize = 36;

/// The bytes of `mark`.
pub(crate) fn encode(mark: &Mark) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..SEQUENCE_AT].copy_from_slice(&MAGIC);
    bytes[SEQUENCE_AT..SESSION_AT].copy_from_slice(&mark.sequence.0.to_le_bytes());
    bytes[SESSION_AT..SESSION_AT + 16].copy_from_slice(&mark.session.0);
    let checksum = crc32c(&bytes[..CHECKSUM_AT]);
    bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The mark in `bytes`, if they are whole.
pub(crate) fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Mark> {
    let mut sequence = [0; 8];
    sequence.copy_from_slice(&bytes[SEQUENCE_AT..SESSION_AT]);
    let mut session = [0; 16];
    session.copy_from_slice(&bytes[SESSION_AT..SESSION_AT + 16]);
    let mark = Mark { sequence: Sequence(u64::from_le_bytes(sequence)), session: Session(session) };
    (encode(&mark) == *bytes).then_some(mark)
}

/// How a slot is read.
pub(crate) fn decoder() -> Readable {
    let read = |bytes: &[u8]| Some(encode(&decode(bytes.try_into().ok()?)?).to_vec());
    Readable { name: "towpath_store::anchor::slot::decode", limit: SLOT_BYTES, read }
}

/// CRC-32C (Castagnoli), bit by bit: 36 bytes a write need no table.
fn crc32c(bytes: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ REVERSED_POLYNOMIAL } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc32c() {
        // The check value of RFC 3720 and of every list of CRCs.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn s4_each_flipped_bit_of_a_slot_is_noticed() {
        let mark = Mark { sequence: Sequence(7), session: Session([9; 16]) };
        let bytes = encode(&mark);
        assert_eq!(decode(&bytes), Some(mark));
        for bit in 0..SLOT_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None, "bit {bit}");
        }
        assert_eq!(decode(&[0; SLOT_BYTES]), None);
    }

    #[test]
    fn s3_each_torn_slot_is_noticed_or_one_of_the_two() {
        let old = encode(&Mark { sequence: Sequence(7), session: Session([9; 16]) });
        let new = encode(&Mark { sequence: Sequence(9), session: Session([9; 16]) });
        for written in 0..=SLOT_BYTES {
            let mut torn = old;
            torn[..written].copy_from_slice(&new[..written]);
            let read = decode(&torn);
            assert!(read.is_none() || torn == old || torn == new, "after {written} bytes: {read:?}");
        }
    }

    #[test]
    fn a_slot_is_a_promise() {
        let bytes = encode(&Mark { sequence: Sequence(258), session: Session([0xab; 16]) });
        let hex: String = bytes[..CHECKSUM_AT].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "746f7770616e6301".to_owned() + "0201000000000000" + &"ab".repeat(16) + "00000000");
    }
}
