//! Records: one size, sealed, opened by the tag of their channel alone, and their bytes for ever.

use proptest::prelude::*;
use towpath_crypto::Digest;
use towpath_ledger::{ChannelTag, Party};
use towpath_protocol::tower::{Locator, RECORD_BYTES, RecordError, Sealed, Slot};

use super::ledger::{CAPACITY, Ledger, Pair};

fn pair() -> (Ledger, Pair) {
    let mut ledger = Ledger::new();
    let pair = ledger.open(1).remove(0);
    (ledger, pair)
}

#[test]
fn both_parties_and_whoever_sees_a_posted_state_find_the_same_slots() {
    let (_, pair) = pair();
    let theirs = ChannelTag::derive(&pair.b, &pair.terms.key_a, &pair.id()).unwrap();
    assert_eq!(theirs, pair.tag());
    for party in [Party::A, Party::B] {
        let record = pair.record(party, 3);
        let posted = pair.state(1).tag;
        let sealed = record.seal(&record.slot());
        assert_eq!(Slot::new(&posted, party).open(&sealed), Ok(record.clone()));
        assert_eq!(Slot::new(&posted, party.other()).open(&sealed), Err(RecordError::Seal));
    }
}

#[test]
fn nothing_shows_that_two_records_are_of_one_channel() {
    let (_, pair) = pair();
    let [a, b] = [Party::A, Party::B].map(|party| pair.record(party, 3));
    assert_ne!(a.slot().locator, b.slot().locator);
    assert_ne!(a.seal(&a.slot()), b.seal(&b.slot()));
}

#[test]
fn w1_a_record_holds_only_for_its_channel_and_with_both_signatures() {
    let mut ledger = Ledger::new();
    let mut pairs = ledger.open(2);
    let (other, pair) = (pairs.remove(1), pairs.remove(0));
    let holds = |record: &towpath_protocol::tower::Record| record.holds(&pair.chain, &pair.terms, CAPACITY);
    let good = pair.record(Party::A, 3);
    assert!(holds(&good));
    assert!(!holds(&other.record(Party::A, 3)), "another channel");
    let mut forged = good.clone();
    forged.newest.state.version = 9;
    assert!(!holds(&forged), "another content");
    let mut half = good.clone();
    half.newest.b = half.newest.a;
    assert!(!holds(&half), "one signer twice");
    let mut swapped = good.clone();
    std::mem::swap(&mut swapped.newest.a, &mut swapped.newest.b);
    assert!(!holds(&swapped), "swapped");
    let mut claimed = good;
    claimed.newest.a.held += 1;
    assert!(!holds(&claimed), "another held");
    let mut resized = pair.terms.clone();
    resized.generation = 1;
    assert!(!pair.record(Party::A, 3).holds(&pair.chain, &resized, CAPACITY), "another generation");
}

#[test]
fn w1_what_lies_in_a_slot_and_is_no_record_is_refused() {
    let (_, pair) = pair();
    let record = pair.record(Party::A, 3);
    let slot = record.slot();
    let sealed = record.seal(&slot);
    for position in [0, 23, 24, 200, RECORD_BYTES - 1] {
        let mut bad = sealed.clone();
        bad.0[position] ^= 1;
        assert_eq!(slot.open(&bad), Err(RecordError::Seal), "byte {position}");
    }
    assert_eq!(slot.open(&Sealed(Box::new([0; RECORD_BYTES]))), Err(RecordError::Seal));
}

#[test]
fn the_locator_before_one_is_the_next_lower() {
    let at = |bytes: [u8; 32]| Locator(Digest(bytes));
    let mut high = [0; 32];
    high[30] = 1;
    let mut low = [0; 32];
    low[31] = 255;
    assert_eq!(at(high).before(), Some(at(low)));
    assert_eq!(at([0; 32]).before(), None);
}

proptest! {
    /// Whatever is in a record, it has one size, comes back as it was, and is sealed to the same bytes.
    #[test]
    fn records_come_back(
        version in 1_u64..900,
        (sent_a, sent_b) in any::<(u64, u64)>(),
        peer in any::<[u8; 32]>(),
        key_index in any::<u32>(),
        is_a in any::<bool>(),
    ) {
        let (_, pair) = pair();
        let party = if is_a { Party::A } else { Party::B };
        let mut record = pair.record(party, version);
        record.sent_a = sent_a;
        record.sent_b = sent_b;
        record.peer = towpath_crypto::ed25519::PublicKey(peer);
        record.key_index = key_index;
        let slot = record.slot();
        let sealed = record.seal(&slot);
        prop_assert_eq!(slot.open(&sealed), Ok(record.clone()));
        prop_assert_eq!(record.seal(&slot), sealed);
    }
}
