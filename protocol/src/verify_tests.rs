//! Signatures that are checked later: none is forgotten, and only a newer state of the same key makes one irrelevant.

use towpath_crypto::ed25519::{Check, SecretKey};
use towpath_crypto::{ChainId, Digest, Signable};
use towpath_ledger::{ChannelId, ResizeIntent, TxId};

use super::{Deferred, Immediate, Verifier};

/// A valid signature of a key on something with a number.
fn check(seed: u8, number: u8) -> Check {
    let (key, chain) = (SecretKey::from_bytes(&[seed; 32]), ChainId(Digest([7; 32])));
    let signed =
        ResizeIntent { transaction: TxId(Digest([number; 32])), channel: ChannelId(Digest([9; 32])) };
    Check { key: key.public(), digest: signed.signing_digest(&chain), signature: key.sign(&chain, &signed) }
}

/// The same, said to be by another key.
fn forged(seed: u8, number: u8) -> Check {
    Check { key: SecretKey::from_bytes(&[seed; 32]).public(), ..check(seed + 100, number) }
}

#[test]
fn what_is_checked_at_once_is_told_at_once() {
    assert!(Immediate.verify(check(1, 1)) && Immediate.verify_newest(check(1, 1)));
    assert!(!Immediate.verify(forged(1, 1)) && !Immediate.verify_newest(forged(1, 1)));
}

#[test]
fn what_is_checked_later_is_not_forgotten() {
    let mut later = Deferred::default();
    assert!(later.is_empty() && later.holds(), "nothing waits");
    assert!(later.verify(check(1, 1)) && later.verify(check(1, 2)), "it says yes, and collects");
    assert_eq!((later.len(), later.is_empty()), (2, false));
    assert!(later.verify_newest(check(1, 3)));
    assert_eq!(later.len(), 3);
    assert!(later.clone().holds());
    let mut newest = Deferred::default();
    assert!(newest.verify_newest(check(1, 3)));
    assert_eq!((newest.len(), newest.is_empty()), (1, false));

    for place in 0..3 {
        let mut later = Deferred::default();
        for number in 0..3 {
            let of = if number == place { forged } else { check };
            assert!(later.verify(of(1, number)), "it says yes before it knows");
        }
        assert!(!later.holds(), "the forged one is number {place}");
        assert!(later.is_empty() && later.holds(), "nothing waits afterwards");
    }
}

#[test]
fn only_the_newest_state_of_each_key_is_checked() {
    let mut later = Deferred::default();
    for key in [1, 2] {
        assert!(later.verify_newest(forged(key, 1)) && later.verify_newest(check(key, 2)));
    }
    assert_eq!(later.len(), 2);
    assert!(later.holds());
    // One key's newest state says nothing for another's, and nothing for what was not said to be the newest.
    for (first, second) in [(1, 2), (2, 1)] {
        let mut later = Deferred::default();
        assert!(later.verify_newest(forged(first, 1)) && later.verify_newest(check(second, 2)));
        assert!(!later.holds());
        let mut later = Deferred::default();
        assert!(later.verify(forged(first, 1)) && later.verify_newest(check(first, 2)));
        assert!(!later.holds());
    }
}
