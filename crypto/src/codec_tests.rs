//! One meaning per byte string: golden bytes, and every kind of bytes that is refused (FAULTS L7, N3).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{Amount, Digest};

#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
enum Shape {
    Empty,
    Number(u16),
    Named { list: Vec<u8>, maybe: Option<u64> },
}

#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
struct Sample {
    flag: bool,
    small: u8,
    amount: Amount,
    digest: Digest,
    shapes: Vec<Shape>,
    map: BTreeMap<u32, String>,
    set: BTreeSet<u16>,
    pair: (u16, i64),
    boxed: Option<Box<Shape>>,
}

fn sample() -> Sample {
    Sample {
        flag: true,
        small: 7,
        amount: Amount(0x0102_0304_0506_0708),
        digest: Digest([0xdd; 32]),
        shapes: vec![Shape::Empty, Shape::Number(258), Shape::Named { list: vec![1, 2], maybe: Some(3) }],
        map: BTreeMap::from([(1, "a".into()), (2, "ß".into())]),
        set: BTreeSet::from([5, 6]),
        pair: (9, -1),
        boxed: None,
    }
}

const GOLDEN: &str = concat!(
    "01",
    "07",
    "0807060504030201",
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "0300000000000000",
    "00000000",
    "010000000201",
    "0200000002000000000000000102010300000000000000",
    "0200000000000000",
    "01000000010000000000000061",
    "020000000200000000000000c39f",
    "0200000000000000",
    "05000600",
    "0900ffffffffffffffff",
    "00",
);

fn refuse<T: Decode<()> + Encode + std::fmt::Debug>(bytes: &[u8]) -> CodecError {
    decode::<T>(bytes, 1 << 20).unwrap_err()
}

#[test]
fn golden_bytes() {
    assert_eq!(hex::encode(encode(&sample())), GOLDEN);
    assert_eq!(decode::<Sample>(&hex::decode(GOLDEN).unwrap(), 1000), Ok(sample()));
    assert!(encode(&()).is_empty());
    assert_eq!(hex::encode(encode(&[1_u16, 2])), "01000200", "arrays have no length");
    assert_eq!(hex::encode(encode("é")), "0200000000000000c3a9");
}

#[test]
fn l7_trailing_bytes_are_refused() {
    let mut bytes = encode(&sample());
    bytes.extend([0, 0]);
    assert_eq!(refuse::<Sample>(&bytes), CodecError::Trailing(2));
    assert_eq!(refuse::<()>(&[0]), CodecError::Trailing(1));
}

#[test]
fn l7_every_truncation_is_refused() {
    let bytes = encode(&sample());
    for length in 0..bytes.len() {
        assert!(matches!(refuse::<Sample>(&bytes[..length]), CodecError::Malformed(_)), "{length}");
    }
}

#[test]
fn l7_tags_out_of_range_are_refused() {
    for tag in 2..=255 {
        assert!(matches!(refuse::<bool>(&[tag]), CodecError::Malformed(_)), "bool {tag}");
        assert!(matches!(refuse::<Option<u8>>(&[tag, 0]), CodecError::Malformed(_)), "option {tag}");
    }
    for tag in [3_u32, 256, 1 << 16, u32::MAX] {
        let bytes = [&tag.to_le_bytes()[..], &[0; 40]].concat();
        assert!(matches!(refuse::<Shape>(&bytes), CodecError::Malformed(_)), "enum {tag}");
    }
    assert!(matches!(refuse::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff]), CodecError::Malformed(_)), "utf-8");
}

#[test]
fn l7_maps_and_sets_have_one_order_and_no_duplicates() {
    let sorted = encode(&vec![(1_u32, 7_u8), (2, 8)]);
    assert!(decode::<BTreeMap<u32, u8>>(&sorted, 100).is_ok());
    for pairs in [vec![(2_u32, 8_u8), (1, 7)], vec![(1, 7), (1, 7)], vec![(1, 7), (1, 8)]] {
        assert_eq!(refuse::<BTreeMap<u32, u8>>(&encode(&pairs)), CodecError::NotCanonical);
    }
    for items in [vec![2_u16, 1], vec![1, 1]] {
        assert_eq!(refuse::<BTreeSet<u16>>(&encode(&items)), CodecError::NotCanonical);
    }
}

#[test]
fn n3_more_bytes_than_allowed_are_refused_unread() {
    let bytes = encode(&vec![0_u8; 100]);
    assert!(decode::<Vec<u8>>(&bytes, 108).is_ok());
    assert_eq!(decode::<Vec<u8>>(&bytes, 107), Err(CodecError::TooLong { length: 108, limit: 107 }));
    let huge = vec![0; DECODE_LIMIT + 1];
    let limit = DECODE_LIMIT;
    assert_eq!(decode::<Vec<u8>>(&huge, usize::MAX), Err(CodecError::TooLong { length: limit + 1, limit }));
}

/// A lying length is refused by the claim for its memory, before any is reserved; one within the bound runs out of
/// bytes.
#[test]
fn n3_lying_lengths_reserve_nothing() {
    let refused = |length: u64| {
        let bytes = [&length.to_le_bytes()[..], &[0; 92]].concat();
        [
            refuse::<Vec<u8>>(&bytes),
            refuse::<Vec<u64>>(&bytes),
            refuse::<Vec<Shape>>(&bytes),
            refuse::<Vec<Vec<Vec<u8>>>>(&bytes),
            refuse::<BTreeMap<u64, u64>>(&bytes),
            refuse::<String>(&bytes),
        ]
    };
    for length in [100 * 32, 1 << 16, 1 << 20, 1 << 32, 1 << 63, u64::MAX] {
        for error in refused(length) {
            let CodecError::Malformed(text) = &error else { panic!("{error:?}") };
            assert!(text.contains("LimitExceeded") || text.contains("OutsideUsizeRange"), "{length}: {text}");
        }
    }
    for error in refused(93) {
        assert!(matches!(error, CodecError::Malformed(_)), "{error:?}");
    }
}

/// The widest element that [`fits`] allows, as often as its encoding fits into the input, decodes.
#[test]
fn honest_collections_are_never_refused_for_their_memory() {
    let shapes = vec![Shape::Empty; 100_000];
    assert!(fits(&Shape::Empty));
    assert_eq!(decode::<Vec<Shape>>(&encode(&shapes), 1 << 20), Ok(shapes));

    #[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
    enum Wide {
        Tag,
        Bytes([u8; 127]),
    }
    assert_eq!(size_of::<Wide>(), 128);
    assert!(fits(&Wide::Tag));
    let wide = vec![vec![Wide::Tag; 1000]; 100];
    assert_eq!(decode::<Vec<Vec<Wide>>>(&encode(&wide), 1 << 20), Ok(wide));

    #[derive(Encode, Decode)]
    struct TooWide(Option<[u8; 40]>);
    assert!(!fits(&TooWide(None)));
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Empty),
        any::<u16>().prop_map(Shape::Number),
        (prop::collection::vec(any::<u8>(), 0..20), any::<Option<u64>>())
            .prop_map(|(list, maybe)| Shape::Named { list, maybe }),
    ]
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let first = (any::<bool>(), any::<u8>(), any::<u64>(), any::<[u8; 32]>());
    let lists = (
        prop::collection::vec(any_shape(), 0..8),
        prop::collection::btree_map(any::<u32>(), ".{0,5}", 0..5),
        prop::collection::btree_set(any::<u16>(), 0..5),
    );
    let last = (any::<(u16, i64)>(), prop::option::of(any_shape()));
    (first, lists, last).prop_map(|((flag, small, amount, digest), (shapes, map, set), (pair, boxed))| {
        Sample {
            flag,
            small,
            amount: Amount(amount),
            digest: Digest(digest),
            shapes,
            map,
            set,
            pair,
            boxed: boxed.map(Box::new),
        }
    })
}

proptest! {
    #[test]
    fn l7_what_is_encoded_decodes_to_itself(value in any_sample()) {
        prop_assert_eq!(decode::<Sample>(&encode(&value), 1 << 16), Ok(value));
    }

    /// Healthy bytes with one byte changed: refused, or another value that encodes to exactly these bytes.
    #[test]
    fn l7_what_decodes_encodes_to_the_same_bytes(value in any_sample(), at in any::<prop::sample::Index>(), xor in 1..=255_u8) {
        let mut bytes = encode(&value);
        let at = at.index(bytes.len());
        bytes[at] ^= xor;
        if let Ok(other) = decode::<Sample>(&bytes, 1 << 16) {
            prop_assert_ne!(&other, &value);
            prop_assert_eq!(encode(&other), bytes);
        }
    }

    #[test]
    fn l7_any_bytes_are_refused_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = decode::<Sample>(&bytes, 1 << 16) {
            prop_assert_eq!(encode(&value), bytes.clone());
        }
        if let Ok(value) = decode::<Vec<Shape>>(&bytes, 1 << 16) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }
}
