//! Domains keep kinds of hashes and signatures apart (FAULTS L3, L5).

use bincode::{Decode, Encode};

use super::*;
use crate::ed25519::{self, SecretKey};
use crate::schnorr::{self, WalletSecret};

#[test]
fn l5_tags_are_unique_and_all_listed() {
    for (at, domain) in Domain::ALL.into_iter().enumerate() {
        assert_eq!(domain as usize, at, "{domain:?} stands in its place");
        assert!(Domain::ALL[..at].iter().all(|other| other.tag() != domain.tag()), "{domain:?}");
        assert!(domain.tag().starts_with("towpath/") && domain.tag().ends_with("/1"), "{domain:?}");
    }
    assert_eq!(Domain::ALL.len(), Domain::Test as usize + 1, "`Test` is the last domain");
}

/// The same bytes, signed in each domain, against each domain.
#[test]
fn l5_a_signature_verifies_in_its_own_domain_only() {
    let (chain, bytes) = (ChainId(Digest([1; 32])), [7_u8; 32]);
    let digests: Vec<Digest> =
        Domain::ALL.iter().map(|domain| digest(*domain, &[&chain.0.0, &bytes])).collect();
    let secret = SecretKey::from_bytes(&[2; 32]);
    let wallet = WalletSecret::from_bytes([3; 32]).unwrap();
    for signed in &digests {
        let (signature, wallet_signature) = (secret.sign_digest(signed), wallet.sign_digest(signed));
        for shown in &digests {
            let check = ed25519::Check { key: secret.public(), digest: *shown, signature };
            assert_eq!(check.verify(), signed == shown);
            let check = schnorr::Check { key: wallet.public(), digest: *shown, signature: wallet_signature };
            assert_eq!(check.verify(), signed == shown);
        }
    }
}

#[derive(Encode, Decode)]
struct One(u64);
impl Signable for One {
    const DOMAIN: Domain = Domain::Test;
}

#[derive(Encode, Decode)]
struct Other(u64);
impl Signable for Other {
    const DOMAIN: Domain = Domain::ChannelState;
}

#[test]
fn l5_types_of_the_same_bytes_do_not_share_signatures() {
    let chain = ChainId(Digest([1; 32]));
    let secret = SecretKey::from_bytes(&[2; 32]);
    let signature = secret.sign(&chain, &One(5));
    assert!(ed25519::verify(&secret.public(), &chain, &One(5), &signature));
    assert!(!ed25519::verify(&secret.public(), &chain, &Other(5), &signature));
    assert!(!ed25519::verify(&secret.public(), &chain, &One(6), &signature));
}

#[test]
fn l3_a_signature_verifies_on_its_own_chain_only() {
    let (here, there) = (ChainId(Digest([1; 32])), ChainId(Digest([2; 32])));
    let secret = SecretKey::from_bytes(&[2; 32]);
    let signature = secret.sign(&here, &One(5));
    assert!(!ed25519::verify(&secret.public(), &there, &One(5), &signature));
    let wallet = WalletSecret::from_bytes([3; 32]).unwrap();
    let signature = wallet.sign(&here, &One(5));
    assert!(schnorr::verify(&wallet.public(), &here, &One(5), &signature));
    assert!(!schnorr::verify(&wallet.public(), &there, &One(5), &signature));
}

#[test]
fn a_digest_is_its_bytes() {
    assert_eq!(Digest([7; 32]).as_bytes(), &[7; 32]);
}

#[test]
fn golden_digests() {
    let chain = ChainId(Digest([1; 32]));
    let digests = [
        digest(Domain::Transaction, &[]),
        digest(Domain::Test, &[b"ab", b"c"]),
        One(5).signing_digest(&chain),
    ];
    assert_eq!(
        digests.map(|digest| digest.to_string()),
        [
            "7de1090b7d526694aeb8c151745a8c1eb421dd43ffcf2b5690a453b682a86fdc",
            "d9d78977a48511110d27d60472f5646b8e0b09bb1170853bed74ce95942948bf",
            "3606014f911be996f987fd3b04037cdc29c71de63d331eec5ebbfb3dfa0a25ca"
        ]
    );
    assert_eq!(digest(Domain::Test, &[b"abc"]), digests[1], "parts are concatenated");
    assert_eq!(
        sha256(b"abc").to_string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
