//! The bytes of records, messages and rows, as they are for ever: one line each in `golden.txt`, the name and a hash or
//! the hex of the bytes. A line that changes breaks every record that was ever given away.

use std::fmt::Write as _;

use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_crypto::hash::sha256;
use towpath_crypto::{Digest, codec};
use towpath_ledger::{Amount, ChannelId, ChannelState, ChannelTag, CoSigned, Party, StateSignature};

use super::shelf::{Account, Kept, Key, Part, value};
use super::*;
use crate::Message;

fn record() -> Record {
    let state = ChannelState {
        channel: ChannelId(Digest([0xcd; 32])),
        tag: ChannelTag(Digest([0x7a; 32])),
        generation: 3,
        version: 5,
        is_final: false,
        sequencer: Party::B,
        balance_a: Amount(100),
        balance_b: Amount(200),
        pending_total: Amount::ZERO,
        pending_root: Digest::ZERO,
    };
    let signed = |byte| StateSignature { held: 4, signature: Signature([byte; 64]) };
    Record {
        party: Party::B,
        newest: CoSigned { state, a: signed(0xa3), b: signed(0xb3) },
        sent_a: 7,
        sent_b: 9,
        peer: PublicKey([0x4e; 32]),
        key_index: 0x0102_0304,
    }
}

fn entry() -> Entry {
    let slot = record().slot();
    Entry { locator: slot.locator, sequence: record().sequence(), sealed: record().seal(&slot) }
}

fn messages() -> Vec<(&'static str, TowerMessage)> {
    let Entry { locator, sequence, .. } = entry();
    let receipt = |outcome| Receipt { locator, sequence, outcome };
    let older = Outcome::Older { kept: Sequence { generation: 3, version: 6 } };
    let receipts = vec![
        receipt(Outcome::Kept),
        receipt(older),
        receipt(Outcome::Refused(Refusal::NotServing)),
        receipt(Outcome::Refused(Refusal::ClientFull { records_max: 8 })),
        receipt(Outcome::Refused(Refusal::Full)),
    ];
    let quota = Quota { records: 1, records_max: 8 };
    vec![
        ("receipts", TowerMessage::Receipts(receipts)),
        ("list", TowerMessage::List { after: None }),
        ("list behind", TowerMessage::List { after: Some(locator) }),
        ("page", TowerMessage::Page { after: None, entries: Vec::new(), is_last: true }),
        ("ask quota", TowerMessage::AskQuota),
        ("quota", TowerMessage::Quota(Some(quota))),
        ("no quota", TowerMessage::Quota(None)),
    ]
}

fn line(text: &mut String, name: &str, bytes: &[u8]) {
    write!(text, "{name}: ").expect("a string takes everything");
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes everything"));
    text.push('\n');
}

#[test]
fn the_bytes_are_settled() {
    let mut text = String::new();
    let Entry { locator, sequence, sealed } = entry();
    line(&mut text, "locator of A", &Slot::new(&record().newest.state.tag, Party::A).locator.0.0);
    line(&mut text, "locator of B", &locator.0.0);
    line(&mut text, "record", &codec::encode(&record()));
    line(&mut text, "sealed record, hashed", &sha256(sealed.0.as_slice()).0);
    let keep = Message::Tower(TowerMessage::Keep(vec![entry()]));
    line(&mut text, "keep, hashed", &sha256(&keep.encode()).0);
    for (name, message) in messages() {
        line(&mut text, name, &Message::Tower(message).encode());
    }
    let client = PublicKey([0x22; 32]);
    for (name, key) in [
        ("key of a record", Key::Record(locator, client)),
        ("key of an index", Key::Index(client, locator)),
        ("key of an account", Key::Account(client)),
        ("key of a case", Key::Case(ChannelId(Digest([0xcd; 32])))),
    ] {
        line(&mut text, name, &key.bytes());
        assert_eq!(Key::parse(&key.bytes()), Some(key));
    }
    line(&mut text, "row of a record, hashed", &sha256(&value(&Kept { sequence, sealed })).0);
    line(&mut text, "row of an account", &value(&Account { records: 3, part: Part::Strangers }));
    line(&mut text, "row of a case", &value(&record().newest.state.tag));
    for (settled, now) in include_str!("golden.txt").lines().zip(text.lines()) {
        assert_eq!(settled, now);
    }
    assert_eq!(include_str!("golden.txt").lines().count(), text.lines().count(), "{text}");
}

#[test]
fn every_message_comes_back_and_lists_are_bounded() {
    for (name, message) in messages() {
        let message = Message::Tower(message);
        assert_eq!(Message::decode(&message.encode()), Ok(message), "{name}");
    }
    let most = crate::limits::TOWER_ENTRIES_MAX;
    let full = Message::Tower(TowerMessage::Keep(vec![entry(); most]));
    assert_eq!(Message::decode(&full.encode()), Ok(full));
    let over = Message::Tower(TowerMessage::Keep(vec![entry(); most + 1]));
    assert!(Message::decode(&over.encode()).is_err());
    let receipt = Receipt { locator: entry().locator, sequence: entry().sequence, outcome: Outcome::Kept };
    let over = Message::Tower(TowerMessage::Receipts(vec![receipt; most + 1]));
    assert!(Message::decode(&over.encode()).is_err());
}

/// Elements of lists reserve no more memory than their bytes pay for (SPEC K-4).
#[test]
fn lists_always_decode() {
    let receipt = Receipt { locator: entry().locator, sequence: entry().sequence, outcome: Outcome::Kept };
    assert!(codec::fits(&entry()) && codec::fits(&receipt));
}
