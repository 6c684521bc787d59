//! A light client: follows headers by their commit certificates, and trusts nobody (SPEC B-40 to B-42).
//!
//! It starts from a genesis or from a pinned checkpoint, never from what a peer says. It need not see every header. Two
//! certified headers of one height are a fork, which more than a third of the validators must have signed: it is told
//! with its evidence, and the client follows neither branch any further (FAULTS L12, L16).

use std::collections::BTreeMap;

use towpath_crypto::ed25519::PublicKey;

use crate::chain::{CertificateError, CommitCertificate, SignedVote, ValidatorSet, double_signers};
use crate::limits;
use crate::types::{BlockId, ChainId, Digest, Header};

/// A header with the proof that it was decided.
#[derive(Clone, PartialEq, Eq, bincode::Encode, bincode::Decode, Debug)]
pub struct CertifiedHeader {
    /// The header.
    pub header: Header,
    /// Who decided it.
    pub certificate: CommitCertificate,
}

/// Why a header is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// Of another ledger.
    #[error("a header of chain {0:?}, not of this one")]
    OtherChain(ChainId),
    /// Decided by validators that are not known here.
    #[error("decided by validator set {0}, which is not known; upgrade, or pin a newer checkpoint")]
    OtherValidators(Digest),
    /// The certificate is one of another block.
    #[error("the certificate is not one of this header")]
    OtherBlock,
    /// The certificate proves nothing.
    #[error("the certificate of height {height}: {error}")]
    Certificate {
        /// The header's.
        height: u64,
        /// What is wrong.
        error: CertificateError,
    },
    /// It contradicts the genesis or the pinned checkpoint.
    #[error("height {height} is pinned to {pinned:?}, not to {found:?}; the peer follows another ledger")]
    Pinned {
        /// The height.
        height: u64,
        /// What is pinned.
        pinned: BlockId,
        /// What came.
        found: BlockId,
    },
    /// It contradicts a decided neighbour: its time is not between those around it, or it has another parent. Like a
    /// fork, only more than a third of the validators can bring this about.
    #[error(
        "height {0} contradicts the decided heights around it; stop, and compare with operators you trust"
    )]
    Contradiction(u64),
    /// Below everything that is still remembered.
    #[error("height {0} is below what is remembered; pin a checkpoint below it to check it")]
    TooOld(u64),
    /// A fork: more than a third of the validators signed two ledgers.
    #[error("two blocks of height {height} were decided; stop, and compare with operators you trust", height = .0.height)]
    Fork(Box<Fork>),
}

/// Two certified headers of one height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The height.
    pub height: u64,
    /// The one that was seen first.
    pub first: BlockId,
    /// The other.
    pub second: BlockId,
    /// Who signed for both, with both votes.
    pub double_signers: Vec<(PublicKey, SignedVote, SignedVote)>,
}

/// Checks that a quorum of `validators` decided `header`.
///
/// # Errors
/// [`LightError`] says why it is not believed.
pub fn verify_header(
    chain: &ChainId,
    validators: &ValidatorSet,
    certified: &CertifiedHeader,
) -> Result<BlockId, LightError> {
    let CertifiedHeader { header, certificate } = certified;
    if header.chain != *chain {
        return Err(LightError::OtherChain(header.chain));
    }
    if header.validators != validators.digest() {
        return Err(LightError::OtherValidators(header.validators));
    }
    let id = header.id();
    if certificate.block != id || certificate.height != header.height {
        return Err(LightError::OtherBlock);
    }
    let wrong = |error| LightError::Certificate { height: header.height, error };
    certificate.verify(chain, validators).map_err(wrong)?;
    Ok(id)
}

/// What a client trusts and remembers.
#[derive(Debug, Clone)]
pub struct LightClient {
    chain: ChainId,
    validators: ValidatorSet,
    pinned: Header,
    seen: BTreeMap<u64, CertifiedHeader>,
    halted: Option<LightError>,
}

impl LightClient {
    /// Trusts `pinned`, the header of block 0 or a later one that its user vouches for, and the validators that it names.
    ///
    /// # Errors
    /// [`LightError::OtherValidators`] if it names others than `validators`.
    pub fn new(validators: ValidatorSet, pinned: Header) -> Result<Self, LightError> {
        if pinned.validators != validators.digest() {
            return Err(LightError::OtherValidators(pinned.validators));
        }
        Ok(Self { chain: pinned.chain, validators, pinned, seen: BTreeMap::new(), halted: None })
    }

    /// The newest header that is believed.
    #[must_use]
    pub fn tip(&self) -> &Header {
        self.seen.last_key_value().map_or(&self.pinned, |(_, certified)| &certified.header)
    }

    /// The header of `height`, if it was accepted and is still remembered.
    #[must_use]
    pub fn header(&self, height: u64) -> Option<&Header> {
        if height == self.pinned.height {
            return Some(&self.pinned);
        }
        self.seen.get(&height).map(|certified| &certified.header)
    }

    /// Why nothing is accepted any more: a fork, or decided headers that contradict each other.
    #[must_use]
    pub const fn halted(&self) -> Option<&LightError> {
        self.halted.as_ref()
    }

    /// Believes a header once it is proven. State proofs then verify against its `state_root`.
    ///
    /// # Errors
    /// [`LightError`] says why it is not believed. After a [`LightError::Fork`] or [`LightError::Contradiction`] none is.
    pub fn accept(&mut self, certified: CertifiedHeader) -> Result<BlockId, LightError> {
        if let Some(reason) = &self.halted {
            return Err(reason.clone());
        }
        let height = certified.header.height;
        if height <= self.pinned.height {
            return self.check_pinned(&certified.header);
        }
        let id = verify_header(&self.chain, &self.validators, &certified)?;
        if let Some(known) = self.seen.get(&height) {
            let first = known.certificate.block;
            if first == id {
                return Ok(id);
            }
            let double_signers = double_signers(&known.certificate, &certified.certificate);
            return Err(self.halt(LightError::Fork(Box::new(Fork {
                height,
                first,
                second: id,
                double_signers,
            }))));
        }
        if !self.has_room_for(height) {
            return Err(LightError::TooOld(height));
        }
        if !self.fits_neighbours(&certified.header) {
            return Err(self.halt(LightError::Contradiction(height)));
        }
        self.seen.insert(height, certified);
        if self.seen.len() > limits::LIGHT_HEADERS_MAX {
            self.seen.pop_first();
        }
        Ok(id)
    }

    fn check_pinned(&self, header: &Header) -> Result<BlockId, LightError> {
        let (height, found, pinned) = (header.height, header.id(), self.pinned.id());
        if height < self.pinned.height {
            return Err(LightError::TooOld(height));
        }
        if found == pinned { Ok(found) } else { Err(LightError::Pinned { height, pinned, found }) }
    }

    /// Whether `height` is among those that are remembered.
    fn has_room_for(&self, height: u64) -> bool {
        let lowest = self.seen.first_key_value().map_or(0, |(lowest, _)| *lowest);
        self.seen.len() < limits::LIGHT_HEADERS_MAX || height > lowest
    }

    /// Time rises with the height, and neighbours name each other.
    fn fits_neighbours(&self, header: &Header) -> bool {
        let below = self.seen.range(..header.height).next_back().map_or(&self.pinned, |(_, c)| &c.header);
        let above = self.seen.range(header.height..).next().map(|(_, c)| &c.header);
        follows(below, header) && above.is_none_or(|above| follows(header, above))
    }

    fn halt(&mut self, reason: LightError) -> LightError {
        self.halted = Some(reason.clone());
        reason
    }
}

/// Whether both can be of one ledger.
fn follows(earlier: &Header, later: &Header) -> bool {
    let linked = earlier.height + 1 != later.height || later.parent == earlier.id();
    linked && earlier.time < later.time
}

#[cfg(test)]
#[path = "light_tests.rs"]
mod tests;
