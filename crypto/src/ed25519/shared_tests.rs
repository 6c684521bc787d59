//! What two keys share: the same for both, by libsodium's conversion, and nothing with a weak key.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::montgomery::MontgomeryPoint;

use super::*;
use crate::hash::digest;

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32])
}

fn bytes(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn shared(own: &SecretKey, other: &PublicKey) -> Option<Digest> {
    own.shared_digest(other, Domain::Test, &[b"context"])
}

#[test]
fn both_sides_share_the_same_and_only_they() {
    let (a, b, c) = (key(1), key(2), key(3));
    let ab = shared(&a, &b.public()).unwrap();
    assert_eq!(shared(&b, &a.public()), Some(ab));
    assert_ne!(shared(&a, &c.public()), Some(ab));
    assert_ne!(shared(&c, &a.public()), Some(ab));
}

#[test]
fn domain_and_context_keep_apart_what_two_keys_share() {
    let (a, b) = (key(1), key(2).public());
    let one = a.shared_digest(&b, Domain::Test, &[b"1"]);
    assert_ne!(one, a.shared_digest(&b, Domain::Test, &[b"2"]));
    assert_ne!(one, a.shared_digest(&b, Domain::ChannelTag, &[b"1"]));
}

/// The key pair of libsodium's test of `crypto_sign_ed25519_sk_to_curve25519`.
#[test]
fn keys_convert_as_libsodium_converts_them() {
    let seed = bytes("421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee");
    let converted_public = bytes("f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50");
    let converted_secret = bytes("8052030376d47112be7f73ed7a019293dd12ad910b654455798b4667d73de166");
    let (sodium, other) = (SecretKey::from_bytes(&seed), key(7));
    let ours = MontgomeryPoint(converted_public).mul_clamped(other.0.to_scalar_bytes()).to_bytes();
    let theirs = CompressedEdwardsY(other.public().0).decompress().unwrap().to_montgomery();
    let theirs = theirs.mul_clamped(converted_secret).to_bytes();
    assert_eq!(ours, theirs);
    let expected = Some(digest(Domain::Test, &[&ours, b"context"]));
    assert_eq!(shared(&sodium, &other.public()), expected);
    assert_eq!(shared(&other, &sodium.public()), expected);
}

#[test]
fn l10_a_weak_key_shares_nothing() {
    let own = key(1);
    for point in EIGHT_TORSION {
        assert_eq!(shared(&own, &PublicKey(point.compress().0)), None);
    }
    let no_point = (0..=255).map(|byte| PublicKey([byte; 32])).find(PublicKey::is_weak).unwrap();
    assert_eq!(shared(&own, &no_point), None);
}

/// A peer that adds a point of small order to its key gets no second name for what it shares with us.
#[test]
fn a_part_of_small_order_changes_nothing() {
    let (own, peer) = (key(1), key(2).public());
    let point = CompressedEdwardsY(peer.0).decompress().unwrap();
    let twisted = PublicKey((point + EIGHT_TORSION[1]).compress().0);
    assert_ne!(twisted, peer);
    assert!(!twisted.is_weak());
    assert_eq!(shared(&own, &twisted), shared(&own, &peer));
}
