//! Tests of the textual ids: golden texts, each kind against each other, and every way to mistype.

use bech32::Checksum as _;
use proptest::prelude::*;

use super::*;

fn length(kind: Kind) -> usize {
    if kind == Kind::Output { 36 } else { 32 }
}

#[test]
fn the_checksum_constants_agree() {
    LongBech32m::sanity_check();
    let short = bech32::encode::<Bech32m>(Hrp::parse_unchecked("chan"), &[7; 32]).unwrap();
    assert_eq!(encode(Kind::Channel, &[7; 32]), short, "the same text as plain bech32m");
}

/// Made by the reference code of BIP 350.
#[test]
fn golden_texts() {
    let texts: Vec<String> = Kind::ALL.iter().map(|kind| encode(*kind, &vec![0xab; length(*kind)])).collect();
    let golden = [
        "node14w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w4sv695lw",
        "chan14w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w4shqevea",
        "tx14w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w4s7mufv7",
        "block14w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w4skmu4wq",
        "out14w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4vvzuylm",
        "addr14w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w4sggvhts",
        "asset14w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w4scna302",
        "chain14w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w4ssxzwz2",
    ];
    assert_eq!(texts, golden);
}

#[test]
fn each_kind_refuses_each_other_and_names_both() {
    for kind in Kind::ALL {
        let text = encode(kind, &vec![1; length(kind)]);
        assert_eq!(Kind::of(&text), Some(kind));
        for expected in Kind::ALL {
            let result = decode(expected, &text);
            if expected == kind {
                assert_eq!(result, Ok(vec![1; length(kind)]));
            } else {
                assert_eq!(result, Err(IdError::WrongKind { expected, found: kind }));
            }
        }
    }
    let error = decode(Kind::Channel, &encode(Kind::Transaction, &[1; 32])).unwrap_err();
    assert_eq!(error.to_string(), "expected a channel id (chan1…), got a transaction id (tx1…)");
}

#[test]
fn what_is_not_an_id_is_refused() {
    let expected = Kind::Node;
    for text in ["", "1", "node", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "nœde1qqqq", "42"] {
        assert_eq!(decode(expected, text), Err(IdError::NotAnId { expected }), "{text:?}");
    }
    for text in ["node1", "node1qqqq", "node1qqqqqq"] {
        assert_eq!(decode(expected, text), Err(IdError::Checksum { expected }), "{text:?}");
    }
    assert_eq!(decode(expected, "node1qb"), Err(IdError::BadCharacter { expected, character: 'b' }));
    assert_eq!(decode(expected, "node1qQ"), Err(IdError::MixedCase { expected }));
    let expected = Kind::Address;
    let long = |length: usize| decode(expected, &format!("addr1{}", "q".repeat(length - "addr1".len())));
    assert_eq!(long(ID_TEXT_MAX), Err(IdError::Checksum { expected }));
    assert_eq!(long(ID_TEXT_MAX + 1), Err(IdError::WrongLength { expected, length: 1_125 }));
}

#[test]
fn lengths_are_exact() {
    for kind in [Kind::Node, Kind::Output] {
        for length in [0, 31, 33, 35, 37, 64] {
            let hrp = Hrp::parse_unchecked(kind.hrp());
            let text = bech32::encode::<Bech32m>(hrp, &vec![0; length]).unwrap();
            assert_eq!(decode(kind, &text), Err(IdError::WrongLength { expected: kind, length }));
        }
    }
    let expected = Kind::Address;
    for length in [0, ADDRESS_BYTES_MAX + 1] {
        let hrp = Hrp::parse_unchecked(expected.hrp());
        let text = bech32::encode::<LongBech32m>(hrp, &vec![9; length]).unwrap();
        assert_eq!(decode(expected, &text), Err(IdError::WrongLength { expected, length }));
    }
    let longest = vec![9; ADDRESS_BYTES_MAX];
    assert_eq!(decode(Kind::Address, &encode(Kind::Address, &longest)), Ok(longest));
}

#[test]
fn the_older_checksum_and_set_padding_are_refused() {
    let expected = Kind::Node;
    let hrp = Hrp::parse_unchecked("node");
    let older = bech32::encode::<bech32::Bech32>(hrp, &[3; 32]).unwrap();
    assert_eq!(decode(expected, &older), Err(IdError::Checksum { expected }));
    // 32 bytes are 51 characters and one bit; the other four bits of the 52nd are padding and must be zero.
    use bech32::{ByteIterExt as _, Fe32, Fe32IterExt as _};
    let mut symbols: Vec<Fe32> = [0_u8; 32].into_iter().bytes_to_fes().collect();
    symbols[51] = Fe32::P;
    let padded: String = symbols.into_iter().with_checksum::<Bech32m>(&hrp).chars().collect();
    assert_eq!(decode(expected, &padded), Err(IdError::NotCanonical { expected }));
}

#[test]
fn prefixes_match_as_git_does() {
    let full = encode(Kind::Channel, &[0xab; 32]);
    for good in [&full[..6], &full[..12], &full, &full[..9].to_uppercase(), &shorten(&full)] {
        assert!(matches_prefix(&full, good), "{good}");
    }
    let other = encode(Kind::Channel, &[0xac; 32]);
    for bad in ["", "chan", "chan1", "c", "Chan1", &format!("{full}q"), &other[..12], "node14", "…"] {
        assert!(!matches_prefix(&full, bad), "{bad}");
    }
    assert!(!matches_prefix(&full, &format!("CHAN1{}", &full[5..9])), "mixed case");
    assert_eq!(shorten(&full).chars().count(), 14);
    assert_eq!(shorten("tx1abc"), "tx1abc");
}

proptest! {
    #[test]
    fn any_bytes_round_trip(bytes in prop::array::uniform32(any::<u8>()), kind in 0..Kind::ALL.len()) {
        let kind = Kind::ALL[kind];
        prop_assume!(kind != Kind::Output);
        let text = encode(kind, &bytes);
        prop_assert_eq!(decode_array::<32>(kind, &text), Ok(bytes));
        prop_assert_eq!(decode_array::<32>(kind, &text.to_uppercase()), Ok(bytes));
    }

    #[test]
    fn any_one_wrong_character_is_found(bytes in prop::array::uniform32(any::<u8>()), at in 5_usize..63, to in 0_usize..32) {
        let text = encode(Kind::Channel, &bytes);
        let to = char::from(b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"[to]);
        prop_assume!(text.chars().nth(at) != Some(to));
        let wrong: String = text.chars().enumerate().map(|(i, c)| if i == at { to } else { c }).collect();
        prop_assert_eq!(decode(Kind::Channel, &wrong), Err(IdError::Checksum { expected: Kind::Channel }));
    }

    #[test]
    fn any_text_is_refused_or_canonical(text in "[ -~]{0,80}") {
        for kind in Kind::ALL {
            if let Ok(bytes) = decode(kind, &text) {
                prop_assert!(encode(kind, &bytes).eq_ignore_ascii_case(&text));
            }
        }
    }
}

#[test]
fn the_range_of_a_prefix_holds_exactly_the_ids_that_begin_with_it() {
    let ids: Vec<[u8; 32]> =
        (0..=255_u8).map(|seed| crate::hash::sha256(&[seed]).0).chain([[0; 32], [0xff; 32]]).collect();
    for id in &ids {
        let full = encode(Kind::Transaction, id);
        for length in "tx1".len()..=full.len() {
            let prefix = &full[..length];
            let (low, high) = prefix_range(Kind::Transaction, prefix).expect("a beginning of an id");
            for other in &ids {
                let inside = low.as_slice() <= other.as_slice() && other.as_slice() <= high.as_slice();
                let begins = encode(Kind::Transaction, other).starts_with(prefix);
                assert!(inside || !begins, "{prefix} misses an id");
                // Past the bytes the checksum decides, which only the text shows.
                assert!(begins || !inside || length > "tx1".len() + 51, "{prefix} holds another id");
            }
        }
    }
}

#[test]
fn what_is_short_enough_stays_whole() {
    assert_eq!(shorten("node1qqqqqqqqq"), "node1qqqqqqqq…");
    for whole in ["node1qqqqqqqq", "node1qqq", "node", ""] {
        assert_eq!(shorten(whole), whole);
    }
}

#[test]
fn what_begins_no_id_of_the_kind_has_no_range() {
    let range = |text| prefix_range(Kind::Transaction, text);
    assert!(matches!(range("chan1qq"), Err(IdError::WrongKind { .. })));
    assert!(matches!(range("hello"), Err(IdError::NotAnId { .. })));
    assert!(matches!(range("tx1qqb"), Err(IdError::BadCharacter { character: 'b', .. })));
    assert!(matches!(prefix_range(Kind::Address, "addr1qq"), Err(IdError::Checksum { .. })));
    assert_eq!(range("tx1qq…").ok(), range("TX1QQ").ok());
}
