//! One verdict for each signature on every code path: the public vectors alone, batched, and among others.

use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

use super::super::{Check, SecretKey, verify_batch, verify_bytes, verify_each};
use super::*;
use crate::Digest;

struct Vector {
    name: String,
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
    valid: bool,
    flags: Vec<String>,
}

impl Vector {
    fn claim(&self) -> Claim<'_> {
        Claim { key: &self.key, message: &self.message, signature: &self.signature }
    }
}

fn bytes<const N: usize>(text: &serde_json::Value) -> [u8; N] {
    hex::decode(text.as_str().unwrap()).unwrap().try_into().unwrap()
}

/// The 914 cases of CCTV. Under ZIP 215 all hold but those whose challenge hashes another encoding than the one sent;
/// and those hold too if the key has small order, since then the challenge does not matter.
fn cctv() -> Vec<Vector> {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../tests/vectors/ed25519-cctv.json")).unwrap();
    cases
        .iter()
        .map(|case| {
            let flags: Vec<String> = case["flags"]
                .as_array()
                .map(|flags| flags.iter().map(|flag| flag.as_str().unwrap().to_owned()).collect())
                .unwrap_or_default();
            let has = |name: &str| flags.iter().any(|flag| flag == name);
            Vector {
                name: format!("CCTV {}", case["number"]),
                key: PublicKey(bytes(&case["key"])),
                message: case["msg"].as_str().unwrap().as_bytes().to_vec(),
                signature: Signature(bytes(&case["sig"])),
                valid: !has("reencoded_k") || has("low_order_A"),
                flags,
            }
        })
        .collect()
}

/// The 12 cases of "Taming the many EdDSAs" (table 5), with the verdicts of ZIP 215.
fn speccheck() -> Vec<Vector> {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../tests/vectors/ed25519-speccheck.json")).unwrap();
    cases
        .iter()
        .enumerate()
        .map(|(number, case)| Vector {
            name: format!("speccheck {number}"),
            key: PublicKey(bytes(&case["pub_key"])),
            message: hex::decode(case["message"].as_str().unwrap()).unwrap(),
            signature: Signature(bytes(&case["signature"])),
            valid: !(6..=8).contains(&number),
            flags: Vec::new(),
        })
        .collect()
}

fn good(number: u8) -> Vector {
    let secret = SecretKey::from_bytes(&[number; 32]);
    let digest = Digest([number ^ 0x55; 32]);
    Vector {
        name: format!("good {number}"),
        key: secret.public(),
        message: digest.0.to_vec(),
        signature: secret.sign_digest(&digest),
        valid: true,
        flags: Vec::new(),
    }
}

fn all() -> Vec<Vector> {
    let mut vectors = cctv();
    vectors.extend(speccheck());
    vectors
}

fn batch(vectors: &[&Vector]) -> Batch {
    Batch::new(vectors.iter().map(|vector| vector.claim()))
}

#[test]
fn f17_the_vectors_have_the_known_verdicts_alone() {
    let vectors = all();
    assert_eq!(vectors.len(), 914 + 12);
    for vector in &vectors {
        let verdict = verify_bytes(&vector.key, &vector.message, &vector.signature);
        assert_eq!(verdict, vector.valid, "{}", vector.name);
    }
    let accepted = vectors[..914].iter().filter(|vector| vector.valid).count();
    assert_eq!(accepted, 826, "as an independent implementation counts");
}

#[test]
fn f17_the_vectors_have_the_same_verdicts_in_a_batch_of_one() {
    for vector in &all() {
        assert_eq!(batch(&[vector]).verify(), vector.valid, "{}", vector.name);
        assert_eq!(batch(&[vector]).verify_each(), [vector.valid], "{}", vector.name);
    }
}

#[test]
fn f17_the_vectors_have_the_same_verdicts_among_good_ones() {
    let others: Vec<Vector> = (1..5).map(good).collect();
    for (number, vector) in all().iter().enumerate() {
        let mut mixed: Vec<&Vector> = others.iter().collect();
        mixed.insert(number % 5, vector);
        assert_eq!(batch(&mixed).verify(), vector.valid, "{}", vector.name);
        let expected: Vec<bool> = mixed.iter().map(|vector| vector.valid).collect();
        assert_eq!(batch(&mixed).verify_each(), expected, "{}", vector.name);
    }
}

#[test]
fn f17_the_vectors_have_the_same_verdicts_together() {
    let vectors = all();
    let everything: Vec<&Vector> = vectors.iter().collect();
    assert!(!batch(&everything).verify());
    let expected: Vec<bool> = vectors.iter().map(|vector| vector.valid).collect();
    assert_eq!(batch(&everything).verify_each(), expected);
    let valid: Vec<&Vector> = vectors.iter().filter(|vector| vector.valid).collect();
    assert!(batch(&valid).verify(), "826 edge cases and nine others in one sum");
}

#[test]
fn f17_a_check_has_the_same_verdict_on_every_public_path() {
    // Speccheck messages are 32 bytes long, like our digests.
    for vector in &speccheck() {
        let digest = Digest(vector.message.as_slice().try_into().unwrap());
        let check = Check { key: vector.key, digest, signature: vector.signature };
        assert_eq!(check.verify(), vector.valid, "{}", vector.name);
        assert_eq!(verify_batch(&[check]), vector.valid, "{}", vector.name);
        assert_eq!(verify_batch(&[check, check]), vector.valid, "{}", vector.name);
        assert_eq!(verify_each(&[check, check, check]), [vector.valid; 3], "{}", vector.name);
    }
}

#[test]
fn l10_a_second_s_for_one_signature_is_refused() {
    let vector = good(1);
    let (r, s) = split(&vector.signature);
    // The group order, little-endian.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0_u16;
    let mut malleable = [0; 64];
    malleable[..32].copy_from_slice(&r);
    for (at, (ours, more)) in s.iter().zip(&order).enumerate() {
        let sum = u16::from(*ours) + u16::from(*more) + carry;
        malleable[32 + at] = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    let other = Vector { signature: Signature(malleable), valid: false, ..good(1) };
    assert!(verify_bytes(&vector.key, &vector.message, &vector.signature));
    assert!(!verify_bytes(&other.key, &other.message, &other.signature));
    assert_eq!(batch(&[&vector, &other]).verify_each(), [true, false]);
}

#[test]
fn l10_weak_keys_are_known() {
    for vector in cctv() {
        let has = |name: &str| vector.flags.iter().any(|flag| flag == name);
        assert_eq!(vector.key.is_weak(), has("low_order_A") || has("non_canonical_A"), "{}", vector.name);
    }
    let no_point =
        (0..=255).map(|y| PublicKey([y; 32])).find(|key| CompressedEdwardsY(key.0).decompress().is_none());
    assert!(no_point.unwrap().is_weak());
    assert!(!good(7).key.is_weak());
}

#[test]
fn coefficients_depend_on_every_input() {
    let first = |claims: &[Claim<'_>]| Coefficients::over(claims.iter().copied()).next().unwrap();
    let (one, two) = (good(1), good(2));
    let base = first(&[one.claim(), two.claim()]);
    assert_eq!(base, first(&[one.claim(), two.claim()]), "deterministic");
    let other_message = Vector { message: vec![1], ..good(2) };
    let other_signature = Vector { signature: Signature([1; 64]), ..good(2) };
    let other_key = Vector { key: PublicKey([1; 32]), ..good(2) };
    for changed in [&other_message, &other_signature, &other_key] {
        assert_ne!(base, first(&[one.claim(), changed.claim()]));
    }
    assert_ne!(base, first(&[one.claim()]));
    let many: Vec<Scalar> = Coefficients::over([one.claim()].into_iter()).take(100).collect();
    for (at, z) in many.iter().enumerate() {
        assert_eq!(z.to_bytes()[16..], [0; 16], "128 bits");
        assert!(!many[..at].contains(z), "each its own");
    }
}

#[test]
fn two_errors_that_cancel_in_a_plain_sum_are_found() {
    // R + P and R − P: without coefficients their errors add up to nothing.
    let digest = Digest([9; 32]);
    let tampered = |sign: EdwardsPoint| {
        let secret = Scalar::from(77_u64);
        let key = PublicKey((ED25519_BASEPOINT_POINT * secret).compress().0);
        let nonce = Scalar::from_bytes_mod_order_wide(&Sha512::digest(key.0).into());
        let r = (ED25519_BASEPOINT_POINT * nonce + sign).compress().0;
        let s = nonce + challenge(&r, &key, &digest.0) * secret;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(s.as_bytes());
        Check { key, digest, signature: Signature(signature) }
    };
    let checks = [tampered(ED25519_BASEPOINT_POINT), tampered(-ED25519_BASEPOINT_POINT)];
    assert!(!verify_batch(&checks));
    assert_eq!(verify_each(&checks), [false, false]);
}

#[test]
fn nothing_to_check_is_valid() {
    assert!(verify_batch(&[]));
    assert!(verify_each(&[]).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any mix of valid, edge and spoilt checks, with repeated keys: each path says what singles say.
    #[test]
    fn f17_every_path_agrees_on_any_mix(picks in prop::collection::vec((0_usize..926 + 20, 0_usize..4), 0..40)) {
        let mut vectors = all();
        vectors.extend((1..=20).map(good));
        let mut spoilt: Vec<Vector> = Vec::new();
        for (pick, damage) in picks {
            let source = &vectors[pick];
            let (mut message, mut signature) = (source.message.clone(), source.signature);
            match damage {
                1 => signature.0[pick % 64] ^= 1,
                2 => message.push(0),
                _ => {}
            }
            spoilt.push(Vector { name: source.name.clone(), key: source.key, message, signature, valid: false, flags: vec![] });
        }
        let singles: Vec<bool> = spoilt.iter().map(|v| verify_bytes(&v.key, &v.message, &v.signature)).collect();
        let refs: Vec<&Vector> = spoilt.iter().collect();
        prop_assert_eq!(batch(&refs).verify(), singles.iter().all(|valid| *valid));
        prop_assert_eq!(batch(&refs).verify_each(), singles);
    }
}
