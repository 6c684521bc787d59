//! The seed words, and every key that a node derives from them: back up the words, and all keys come back.
//!
//! 24 English words (BIP 39, without passphrase) give a 64-byte seed; keys derive from it by SLIP-0010 at
//! `m/21591'/role'/…` (21591 is `TW` in ASCII), each role in a branch of its own, so that no key serves two purposes.
//! Random bytes come in as a value; where the words are kept is left to [`crate::keyfile`] and the user.

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::derive::{Curve, Extended};
use crate::ed25519::SecretKey;
use crate::schnorr::WalletSecret;

/// How many words a seed has.
pub const WORDS: usize = 24;

/// The branch of all keys: `TW`.
const PURPOSE: u32 = 0x5457;

/// The branch of each role; part of the format.
#[derive(Clone, Copy)]
enum Role {
    Node = 0,
    Channel = 1,
    Wallet = 2,
    Session = 3,
    Backup = 4,
}

/// Why words are not a seed. The words themselves are never repeated: they are secret even when mistyped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// Another number of words.
    #[error("expected {WORDS} seed words, got {0}")]
    WordCount(usize),
    /// A word that is not in the list.
    #[error("word {0} of the seed is not in the BIP 39 word list; check its spelling")]
    UnknownWord(usize),
    /// Words of the list, but not a seed.
    #[error("the seed words do not fit together; check their order and that none is exchanged")]
    Checksum,
}

/// What all keys of a node derive from. Erased from memory when dropped, and never printed but by [`Seed::words`].
#[derive(Clone)]
pub struct Seed {
    entropy: Zeroizing<[u8; 32]>,
    /// The BIP 39 seed; kept because it takes 2,048 rounds of HMAC to compute.
    root: Zeroizing<[u8; 64]>,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(secret)")
    }
}

impl Seed {
    /// From 32 bytes of entropy, which must be random.
    ///
    /// # Panics
    /// Never: 32 bytes are 24 words.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; 32]) -> Self {
        let words = Mnemonic::from_entropy_in(Language::English, entropy).expect("256 bits are 24 words");
        Self::of(&words, Zeroizing::new(*entropy))
    }

    /// From 24 words, in any case and with any white space between them.
    ///
    /// # Errors
    /// [`SeedError`] says which word to look at.
    pub fn parse(words: &str) -> Result<Self, SeedError> {
        let words = Zeroizing::new(words.to_ascii_lowercase());
        let count = words.split_whitespace().count();
        if count != WORDS {
            return Err(SeedError::WordCount(count));
        }
        let mnemonic =
            Mnemonic::parse_in_normalized(Language::English, &words).map_err(|error| match error {
                bip39::Error::UnknownWord(at) => SeedError::UnknownWord(at + 1),
                bip39::Error::BadWordCount(count) => SeedError::WordCount(count),
                bip39::Error::InvalidChecksum
                | bip39::Error::BadEntropyBitCount(_)
                | bip39::Error::AmbiguousLanguages(_) => SeedError::Checksum,
            })?;
        let bytes = Zeroizing::new(mnemonic.to_entropy());
        let mut entropy = Zeroizing::new([0; 32]);
        if bytes.len() != entropy.len() {
            return Err(SeedError::WordCount(count));
        }
        entropy.copy_from_slice(&bytes);
        Ok(Self::of(&mnemonic, entropy))
    }

    fn of(words: &Mnemonic, entropy: Zeroizing<[u8; 32]>) -> Self {
        Self { entropy, root: Zeroizing::new(words.to_seed_normalized("")) }
    }

    /// The entropy, for the key file.
    #[must_use]
    pub fn entropy(&self) -> &[u8; 32] {
        &self.entropy
    }

    /// The 24 words, to be shown once.
    ///
    /// # Panics
    /// Never: 32 bytes are 24 words.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        let mnemonic =
            Mnemonic::from_entropy_in(Language::English, &*self.entropy).expect("256 bits are 24 words");
        // The longest word has eight letters; with the room reserved no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
        for word in mnemonic.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    fn derive(&self, curve: Curve, role: Role, rest: &[u32]) -> Zeroizing<[u8; 32]> {
        Extended::master(curve, &*self.root).at(&[PURPOSE, role as u32]).at(rest).key()
    }

    /// The node's identity: `m/21591'/0'`, Ed25519.
    #[must_use]
    pub fn node_key(&self) -> SecretKey {
        SecretKey::from_bytes(&self.derive(Curve::Ed25519, Role::Node, &[]))
    }

    /// The bytes of the same key, for the transport, which makes its own of them.
    #[must_use]
    pub fn node_secret(&self) -> Zeroizing<[u8; 32]> {
        self.derive(Curve::Ed25519, Role::Node, &[])
    }

    /// The key of the channel number `index`: `m/21591'/1'/high'/low'`, Ed25519. The number is split in two halves of
    /// 16 bits, since a hardened step has only 31.
    #[must_use]
    pub fn channel_key(&self, index: u32) -> SecretKey {
        SecretKey::from_bytes(&self.derive(Curve::Ed25519, Role::Channel, &halves(index)))
    }

    /// The wallet key number `index`: `m/21591'/2'/high'/low'`, secp256k1.
    ///
    /// # Panics
    /// Never: derivation hashes on until the scalar is valid.
    #[must_use]
    pub fn wallet_key(&self, index: u32) -> WalletSecret {
        let bytes = self.derive(Curve::Secp256k1, Role::Wallet, &halves(index));
        WalletSecret::from_bytes(*bytes).expect("derived scalars are valid")
    }

    /// The X25519 secret of end-to-end sessions: `m/21591'/3'`.
    #[must_use]
    pub fn session_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive(Curve::Ed25519, Role::Session, &[])
    }

    /// The key that encrypts the copies which other nodes keep: `m/21591'/4'`.
    #[must_use]
    pub fn backup_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive(Curve::Ed25519, Role::Backup, &[])
    }
}

const fn halves(index: u32) -> [u32; 2] {
    [index >> 16, index & 0xffff]
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::montgomery::MontgomeryPoint;

    use super::*;

    /// From the vectors of BIP 39 (the entropy and the words; those seeds have a passphrase, ours have none).
    #[test]
    fn bip_39_words() {
        let entropy =
            hex::decode("68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c").unwrap();
        let words = "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy \
                     gospel tennis maple dilemma loan word shrug inflict delay length";
        let seed = Seed::from_entropy(&entropy.clone().try_into().unwrap());
        assert_eq!(*seed.words(), words);
        assert_eq!(seed.entropy().as_slice(), entropy);
        let spaced = format!("  {}\n", words.to_uppercase().replace(' ', "\t "));
        assert_eq!(*Seed::parse(&spaced).unwrap().root, *seed.root);
    }

    #[test]
    fn mistyped_words_are_refused_with_their_place() {
        let words = Seed::from_entropy(&[1; 32]).words();
        let mut list: Vec<&str> = words.split(' ').collect();
        list[4] = "towpath";
        assert_eq!(Seed::parse(&list.join(" ")).unwrap_err(), SeedError::UnknownWord(5));
        let mut list: Vec<&str> = words.split(' ').collect();
        list.swap(0, 1);
        assert_eq!(Seed::parse(&list.join(" ")).unwrap_err(), SeedError::Checksum);
        list.truncate(12);
        assert_eq!(Seed::parse(&list.join(" ")).unwrap_err(), SeedError::WordCount(12));
        assert_eq!(Seed::parse("").unwrap_err(), SeedError::WordCount(0));
        let message = Seed::parse(&["secretword"; 24].join(" ")).unwrap_err().to_string();
        assert!(!message.contains("secretword"), "{message}");
    }

    /// The paths are part of the format: other keys would lose funds. Checked against an independent implementation.
    #[test]
    fn golden_keys() {
        let seed = Seed::from_entropy(&[7; 32]);
        let keys = [
            hex::encode(seed.node_key().public().0),
            hex::encode(seed.channel_key(0).public().0),
            hex::encode(seed.channel_key(0x0001_0002).public().0),
            hex::encode(seed.wallet_key(0).public().0),
            hex::encode(seed.wallet_key(u32::MAX).public().0),
            hex::encode(MontgomeryPoint::mul_base_clamped(*seed.session_key()).to_bytes()),
            hex::encode(*seed.backup_key()),
        ];
        assert_eq!(
            keys,
            [
                "3ae52141c98d27bf9eb4003e921d58079bbcf87bf71d9e6f726932665c0b442d",
                "e6da8b61b66510bfcea0622f7bd70a8fad44ec8170c016c6984402348f579fdd",
                "e087c487403c2fe9799e0916b3dc709ceb175709daa20aac327550a76c8644b7",
                "59f6d56b592dbae99eff4a61bb310783eb0fabb64588044fe8150afe1bcc40f8",
                "e9beecf395e5e8ff494b19daab2c217acff17394cd224da8787799c1f24bf074",
                "2c732c64a90ec6c1e71744e5eeaef4107b8a13ab2056c60413492098195a9257",
                "dd61359cc67da841888d45cf8d27d89c5fc89946d90ce277625fc98cf470c06d",
            ]
        );
    }

    /// The transport makes its own key of the bytes: the peer id and the node id must be one identity.
    #[test]
    fn the_transport_has_the_key_of_the_node() {
        let seed = Seed::from_entropy(&[7; 32]);
        assert_eq!(SecretKey::from_bytes(&seed.node_secret()).public(), seed.node_key().public());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let seed = Seed::from_entropy(&[7; 32]);
        assert_eq!(format!("{seed:?}"), "Seed(secret)");
        let printed = format!("{:?} {:?}", seed.node_key(), seed.wallet_key(1));
        let secrets = [
            seed.derive(Curve::Ed25519, Role::Node, &[]),
            seed.derive(Curve::Secp256k1, Role::Wallet, &halves(1)),
        ];
        for secret in secrets {
            assert!(!printed.contains(&hex::encode(&secret[..4])));
        }
    }
}
