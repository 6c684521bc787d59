//! BIP 340 as its own vectors have it.

use super::*;

/// A vector of BIP 340. Those with a key that is no point have no signature.
struct Vector {
    number: u64,
    key: WalletKey,
    signed: Option<(Digest, WalletSignature, bool)>,
    secret: Option<[u8; 32]>,
    aux_is_zero: bool,
}

fn vectors() -> Vec<Vector> {
    fn bytes<const N: usize>(text: &serde_json::Value) -> [u8; N] {
        hex::decode(text.as_str().unwrap()).unwrap().try_into().unwrap()
    }
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../tests/vectors/bip340.json")).unwrap();
    let vector = |case: &serde_json::Value| Vector {
        number: case["number"].as_u64().unwrap(),
        key: WalletKey(bytes(&case["key"])),
        signed: case["valid"].as_bool().map(|valid| {
            (Digest(bytes(&case["message"])), WalletSignature(bytes(&case["signature"])), valid)
        }),
        secret: case.get("secret").map(bytes),
        aux_is_zero: case["aux"].as_str().is_some_and(|aux| aux.bytes().all(|digit| digit == b'0')),
    };
    cases.iter().map(vector).collect()
}

#[test]
fn l10_each_signature_has_the_verdict_of_bip_340() {
    let signed: Vec<_> = vectors().into_iter().filter(|vector| vector.signed.is_some()).collect();
    assert_eq!(signed.len(), 13);
    for Vector { number, key, signed, .. } in signed {
        let (digest, signature, valid) = signed.unwrap();
        assert_eq!(Check { key, digest, signature }.verify(), valid, "vector {number}");
        assert!(key.is_valid(), "vector {number}");
    }
}

/// SPEC L-7: nobody can sign for what is no point, so no output may name it.
#[test]
fn l7_a_key_that_is_no_point_is_known_and_signs_nothing() {
    let (digest, signature, _) = vectors()[0].signed.unwrap();
    let unusable: Vec<_> = vectors().into_iter().filter(|vector| vector.signed.is_none()).collect();
    assert_eq!(unusable.len(), 2);
    for Vector { number, key, .. } in unusable {
        assert!(!key.is_valid(), "vector {number}");
        assert!(!Check { key, digest, signature }.verify(), "vector {number}");
    }
}

#[test]
fn a_secret_has_the_key_and_the_signature_of_bip_340() {
    let mut signed_alike = 0;
    for vector in vectors() {
        let Some(secret) = vector.secret else { continue };
        let secret = WalletSecret::from_bytes(secret).unwrap();
        assert_eq!(secret.public(), vector.key, "vector {}", vector.number);
        let (digest, signature, _) = vector.signed.unwrap();
        let check = Check { key: vector.key, digest, signature: secret.sign_digest(&digest) };
        assert!(check.verify(), "vector {}", vector.number);
        // Ours sign without auxiliary randomness, which BIP 340 hashes as zeros.
        if vector.aux_is_zero {
            assert_eq!(check.signature, signature, "vector {}", vector.number);
            signed_alike += 1;
        }
    }
    assert_eq!(signed_alike, 1, "vector 0");
}

#[test]
fn a_secret_that_is_no_scalar_is_refused() {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order: [u8; 32] = hex::decode(order).unwrap().try_into().unwrap();
    let mut last = order;
    last[31] -= 1;
    assert!(WalletSecret::from_bytes(last).is_ok());
    for bytes in [[0; 32], order, [0xff; 32]] {
        assert_eq!(WalletSecret::from_bytes(bytes).err(), Some(BadSecret));
    }
}

/// What is printed of a key or a signature tells which it is, and of a secret only whose.
#[test]
fn what_is_printed_names_the_key_alone() {
    let secret = WalletSecret::from_bytes([3; 32]).unwrap();
    let key = secret.public();
    assert_eq!(format!("{key:?}"), hex::encode(&key.0[..6]));
    assert_eq!(format!("{secret:?}"), format!("WalletSecret(of {key:?})"));
    assert_eq!(format!("{:?}", WalletSignature([0xab; 64])), "abababababab");
}
