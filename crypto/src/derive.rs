//! SLIP-0010: hardened derivation of Ed25519 and secp256k1 keys out of a seed. For secp256k1 it is BIP 32, but that an
//! invalid key (probability 2⁻¹²⁷) is hashed again instead of skipped. Only hardened children exist here: no public
//! key ever derives another, so a leaked child key says nothing of its parent.

use hmac::{Hmac, KeyInit, Mac};
use secp256k1::{Scalar, SecretKey};
use sha2::Sha512;
use zeroize::Zeroizing;

/// The curve that a tree of keys is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Curve {
    Ed25519,
    Secp256k1,
}

impl Curve {
    const fn salt(self) -> &'static [u8] {
        match self {
            Self::Ed25519 => b"ed25519 seed",
            Self::Secp256k1 => b"Bitcoin seed",
        }
    }
}

/// A private key with its chain code, from which its children derive.
pub(crate) struct Extended {
    curve: Curve,
    key: Zeroizing<[u8; 32]>,
    chain_code: Zeroizing<[u8; 32]>,
}

/// The bit of an index that makes a child hardened.
const HARDENED: u32 = 1 << 31;

impl Extended {
    /// The root of the tree.
    pub(crate) fn master(curve: Curve, seed: &[u8]) -> Self {
        let (mut left, mut right) = hmac_sha512(curve.salt(), &[seed]);
        while curve == Curve::Secp256k1 && SecretKey::from_secret_bytes(*left).is_err() {
            (left, right) = hmac_sha512(curve.salt(), &[&*left, &*right]);
        }
        Self { curve, key: left, chain_code: right }
    }

    /// The hardened child `index'`; the highest bit of `index` is set for it.
    pub(crate) fn child(&self, index: u32) -> Self {
        let index = (index | HARDENED).to_be_bytes();
        let (mut left, mut right) = hmac_sha512(&*self.chain_code, &[&[0], &*self.key, &index]);
        let key = loop {
            match self.combine(&left) {
                Some(key) => break key,
                None => (left, right) = hmac_sha512(&*self.chain_code, &[&[1], &*right, &index]),
            }
        };
        Self { curve: self.curve, key, chain_code: right }
    }

    fn combine(&self, left: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        match self.curve {
            Curve::Ed25519 => Some(Zeroizing::new(*left)),
            Curve::Secp256k1 => {
                let tweak = Scalar::from_be_bytes(*left).ok()?;
                let mut parent = SecretKey::from_secret_bytes(*self.key).ok()?;
                let child = parent.add_tweak(&tweak);
                parent.non_secure_erase();
                let mut child = child.ok()?;
                let bytes = Zeroizing::new(child.to_secret_bytes());
                child.non_secure_erase();
                Some(bytes)
            }
        }
    }

    /// The descendant at `path`, each step hardened.
    pub(crate) fn at(self, path: &[u32]) -> Self {
        path.iter().fold(self, |node, index| node.child(*index))
    }

    /// The private key.
    pub(crate) fn key(&self) -> Zeroizing<[u8; 32]> {
        self.key.clone()
    }
}

type Half = Zeroizing<[u8; 32]>;

fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> (Half, Half) {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    let output: Zeroizing<[u8; 64]> = Zeroizing::new(mac.finalize().into_bytes().into());
    let (mut left, mut right) = (Half::default(), Half::default());
    left.copy_from_slice(&output[..32]);
    right.copy_from_slice(&output[32..]);
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED_1: &str = "000102030405060708090a0b0c0d0e0f";
    const SEED_2: &str = "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2\
                          9f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542";

    fn check(curve: Curve, seed: &str, path: &[u32], chain_code: &str, key: &str) {
        let node = Extended::master(curve, &hex::decode(seed).unwrap()).at(path);
        assert_eq!(hex::encode(*node.chain_code), chain_code, "{path:?}");
        assert_eq!(hex::encode(*node.key), key, "{path:?}");
    }

    /// Test vectors 1 and 2 for ed25519 of SLIP-0010.
    #[test]
    fn slip_0010_ed25519() {
        let curve = Curve::Ed25519;
        let (chain, key) = (
            "90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb",
            "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
        );
        check(curve, SEED_1, &[], chain, key);
        let (chain, key) = (
            "8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69",
            "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
        );
        check(curve, SEED_1, &[0], chain, key);
        let (chain, key) = (
            "68789923a0cac2cd5a29172a475fe9e0fb14cd6adb5ad98a3fa70333e7afa230",
            "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
        );
        check(curve, SEED_1, &[0, 1, 2, 2, 1_000_000_000], chain, key);
        let (chain, key) = (
            "ef70a74db9c3a5af931b5fe73ed8e1a53464133654fd55e7a66f8570b8e33c3b",
            "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012",
        );
        check(curve, SEED_2, &[], chain, key);
        let (chain, key) = (
            "73bd9fff1cfbde33a1b846c27085f711c0fe2d66fd32e139d3ebc28e5a4a6b90",
            "3757c7577170179c7868353ada796c839135b3d30554bbb74a4b1e4a5a58505c",
        );
        check(curve, SEED_2, &[0, 2_147_483_647, 1], chain, key);
    }

    /// Test vectors 1, 3 and 4 of BIP 32, as far as they are hardened; 3 and 4 have keys that begin with zeros.
    #[test]
    fn bip_32_hardened() {
        let curve = Curve::Secp256k1;
        let (chain, key) = (
            "873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508",
            "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35",
        );
        check(curve, SEED_1, &[], chain, key);
        let seed_3 = "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acb\
                      a45d239319ac14f863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be";
        let (chain, key) = (
            "01d28a3e53cffa419ec122c968b3259e16b65076495494d97cae10bbfec3c36f",
            "00ddb80b067e0d4993197fe10f2657a844a384589847602d56f0c629c81aae32",
        );
        check(curve, seed_3, &[], chain, key);
        let (chain, key) = (
            "e5fea12a97b927fc9dc3d2cb0d1ea1cf50aa5a1fdc1f933e8906bb38df3377bd",
            "491f7a2eebc7b57028e0d3faa0acda02e75c33b03c48fb288c41e2ea44e1daef",
        );
        check(curve, seed_3, &[0], chain, key);
        let seed_4 = "3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678";
        let (chain, key) = (
            "d0c8a1f6edf2500798c3e0b54f1b56e45f6d03e6076abd36e5e2f54101e44ce6",
            "12c0d59c7aa3a10973dbd3f478b65f2516627e3fe61e00c345be9a477ad2e215",
        );
        check(curve, seed_4, &[], chain, key);
        let (chain, key) = (
            "cdc0f06456a14876c898790e0b3b1a41c531170aec69da44ff7b7265bfe7743b",
            "00d948e9261e41362a688b916f297121ba6bfb2274a3575ac0e456551dfd7f7e",
        );
        check(curve, seed_4, &[0], chain, key);
        let (chain, key) = (
            "a48ee6674c5264a237703fd383bccd9fad4d9378ac98ab05e6e7029b06360c0d",
            "3a2086edd7d9df86c3487a5905a1712a9aa664bce8cc268141e07549eaa8661d",
        );
        check(curve, seed_4, &[0, 1], chain, key);
    }
    /// An index names one child, with or without the bit: no path leads to a child that is not hardened.
    #[test]
    fn every_child_is_hardened() {
        let root = || Extended::master(Curve::Ed25519, &[1; 32]);
        assert_eq!(*root().child(5).key(), *root().child(5 | HARDENED).key());
        assert_ne!(*root().child(5).key(), *root().child(6).key());
    }
}
