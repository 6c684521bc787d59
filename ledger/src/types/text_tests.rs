//! Each id reads back from its text, and no text of one kind reads as another.

use towpath_crypto::schnorr::{WalletKey, WalletSecret};

use super::*;
use crate::types::{Multisig, Time, Timelock};

fn key(seed: u8) -> WalletKey {
    WalletSecret::from_bytes([seed; 32]).expect("a small number is a scalar").public()
}

fn check<T: Display + FromStr + PartialEq + std::fmt::Debug>(value: &T, hrp: &str) {
    let text = value.to_string();
    assert!(text.starts_with(hrp), "{text}");
    assert_eq!(text.parse::<T>().ok().as_ref(), Some(value));
    assert!(text[..text.len() - 1].parse::<T>().is_err(), "a cut text is refused");
}

#[test]
fn every_id_reads_back() {
    let digest = Digest([7; 32]);
    check(&ChannelId(digest), "chan1");
    check(&TxId(digest), "tx1");
    check(&BlockId(digest), "block1");
    check(&AssetId(digest), "asset1");
    check(&AssetId::NATIVE, "asset1");
    check(&OutPoint { tx: TxId(digest), index: 258 }, "out1");
    check(&Payout::Key(key(1)), "addr1");
    check(&Payout::Timelock(Timelock { not_before: Time(5), key: key(2) }), "addr1");
    let mut keys: Vec<_> = (1..=16).map(key).collect();
    keys.sort_unstable();
    check(&Payout::Multisig(Multisig { required: 9, keys }), "addr1");
}

#[test]
fn an_id_of_another_kind_is_refused() {
    let text = TxId(Digest([7; 32])).to_string();
    assert!(text.parse::<ChannelId>().is_err());
    assert!(text.parse::<Payout>().is_err());
}

#[test]
fn l10_an_address_of_a_weak_key_is_refused() {
    let text = Payout::Key(WalletKey([0xff; 32])).to_string();
    assert_eq!(text.parse::<Payout>(), Err(AddressError::Unusable(LockFault::WeakKey)));
}
