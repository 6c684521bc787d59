//! Signing and verifying: the core's votes and proposals as the typed values that are signed, under ZIP 215, with a
//! memory of what was already verified.
#![expect(clippy::result_large_err, reason = "the core's own error, built when a certificate is bad only")]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use arc_malachitebft_core_types as mt;
use arc_malachitebft_signing::{Error, VerificationResult, Verifier, VerifierExt};
use async_trait::async_trait;
use futures::FutureExt as _;
use mt::{CertificateError, ThresholdParams};
use towpath_crypto::ed25519::{Check, PublicKey, SecretKey, Signature};
use towpath_crypto::{ChainId, Digest, Signable};

use crate::context::{Address, Ballot, Ctx, Proposal, Set};
use crate::convert;
use crate::limits;

/// This node's key, and the signatures that it has verified.
///
/// A signature is verified at the door, again when the core takes the message, and again in every certificate that it
/// becomes part of. The memory makes that once. It holds valid ones only, so it never turns a verdict.
#[derive(Debug)]
pub struct Keys {
    chain: ChainId,
    secret: SecretKey,
    public: PublicKey,
    /// Behind a lock because the core's certificate checks take `&self` and must be `Sync`; never contended.
    verified: Mutex<BTreeSet<(Signature, Digest, PublicKey)>>,
}

impl Keys {
    pub fn new(chain: ChainId, secret: SecretKey) -> Self {
        let public = secret.public();
        Self { chain, secret, public, verified: Mutex::default() }
    }

    /// This node's name.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs; only [`crate::guard::Guard`]'s consent makes that safe.
    pub fn sign<T: Signable>(&self, value: &T) -> Signature {
        self.secret.sign(&self.chain, value)
    }

    /// Whether `signature` is `key`'s over `value` on this chain.
    pub fn verify<T: Signable>(&self, key: &PublicKey, value: &T, signature: &Signature) -> bool {
        let digest = value.signing_digest(&self.chain);
        let entry = (*signature, digest, *key);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.contains(&entry) {
            return true;
        }
        let valid = Check { key: *key, digest, signature: *signature }.verify();
        if valid {
            if verified.len() >= limits::VERIFIED {
                verified.clear();
            }
            verified.insert(entry);
        }
        valid
    }

    /// Whether a vote in the core's form is signed by `key`.
    pub fn verify_ballot(&self, ballot: &Ballot, key: &PublicKey, signature: &Signature) -> bool {
        convert::vote_of(ballot).is_some_and(|vote| self.verify(key, &vote, signature))
    }

    /// Whether a proposal in the core's form is signed by `key`.
    pub fn verify_proposal(&self, proposal: &Proposal, key: &PublicKey, signature: &Signature) -> bool {
        convert::claim_of(proposal).is_some_and(|claim| self.verify(key, &claim, signature))
    }

    pub fn verify_commit(
        &self,
        certificate: &mt::CommitCertificate<Ctx>,
        set: &Set,
        thresholds: ThresholdParams,
    ) -> Result<(), CertificateError<Ctx>> {
        now(self.verify_commit_certificate(&Ctx, certificate, set, thresholds).now_or_never())
    }

    pub fn verify_extended_commit(
        &self,
        certificate: &mt::ExtendedCommitCertificate<Ctx>,
        set: &Set,
        thresholds: ThresholdParams,
        policy: mt::VoteExtensionPolicy,
    ) -> Result<(), CertificateError<Ctx>> {
        now(self
            .verify_extended_commit_certificate(&Ctx, certificate, set, thresholds, policy)
            .now_or_never())
    }

    pub fn verify_polka(
        &self,
        certificate: &mt::PolkaCertificate<Ctx>,
        set: &Set,
        thresholds: ThresholdParams,
    ) -> Result<(), CertificateError<Ctx>> {
        now(self.verify_polka_certificate(&Ctx, certificate, set, thresholds).now_or_never())
    }

    pub fn verify_round(
        &self,
        certificate: &mt::RoundCertificate<Ctx>,
        set: &Set,
        thresholds: ThresholdParams,
    ) -> Result<(), CertificateError<Ctx>> {
        now(self.verify_round_certificate(&Ctx, certificate, set, thresholds).now_or_never())
    }
}

/// The checks below never wait; were one to, its certificate would count as unverified.
fn now(result: Option<Result<(), CertificateError<Ctx>>>) -> Result<(), CertificateError<Ctx>> {
    result.unwrap_or(Err(CertificateError::VerificationError(None)))
}

#[async_trait]
impl Verifier<Ctx> for Keys {
    async fn verify_signed_vote(
        &self,
        vote: &Ballot,
        signature: &Signature,
        key: &Address,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::from_bool(self.verify_ballot(vote, &key.0, signature)))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &Address,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::from_bool(self.verify_proposal(proposal, &key.0, signature)))
    }

    // Vote extensions and validator proofs are not used, so nothing of their kind is ever valid.
    async fn verify_signed_vote_extension(
        &self,
        _: &mt::VoteExtensionScope<Ctx>,
        (): &(),
        _: &Signature,
        _: &Address,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(&self, _: &mt::ValidatorProof<Ctx>) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }
}
