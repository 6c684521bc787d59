//! Signatures as values, so that a node can verify the signatures of many transactions as one batch, and cache verdicts.

use towpath_crypto::{ed25519, schnorr};

/// One signature that a transaction rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureCheck {
    /// The position of the input that it authorizes.
    pub input: usize,
    /// Who signed what.
    pub signed: Signed,
}

/// A signature of either kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// Of a channel key.
    Channel(ed25519::Check),
    /// Of a wallet key, over the whole transaction.
    Wallet(schnorr::Check),
}

impl SignatureCheck {
    /// Whether the signature is valid.
    #[must_use]
    pub fn verify(&self) -> bool {
        match &self.signed {
            Signed::Channel(check) => check.verify(),
            Signed::Wallet(check) => check.verify(),
        }
    }
}
