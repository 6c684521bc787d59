//! Who signs for a channel, and what it refuses: one content a version, never downwards, nothing after a final state, and
//! nothing of a generation that a transaction may end at any moment.

use std::sync::Arc;

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{PublicKey, SecretKey, Signature};
use towpath_crypto::{ChainId, Digest, Signable};
use towpath_ledger::{
    ChannelId, ChannelState, ChannelTag, CloseAnswer, CloseIntent, ResizeIntent, StateClaim, StateSignature,
};

use crate::canary::{Canary, sings};

/// A channel's key. It signs typed values only, and derives its public half itself (FAULTS C26).
pub trait StateSigner: Send + Sync {
    /// The public half.
    fn public(&self) -> PublicKey;
    /// The tag of `channel` with the party whose key is `peer`; `None` for a weak key.
    fn tag(&self, peer: &PublicKey, channel: &ChannelId) -> Option<ChannelTag>;
    /// Signs a state with `held`.
    fn sign_state(&self, chain: &ChainId, claim: &StateClaim) -> Signature;
    /// Signs a unilateral close.
    fn sign_close_intent(&self, chain: &ChainId, intent: &CloseIntent) -> Signature;
    /// Signs the answer to a unilateral close.
    fn sign_answer(&self, chain: &ChainId, answer: &CloseAnswer) -> Signature;
    /// Signs a transaction that resizes the channel.
    fn sign_resize(&self, chain: &ChainId, intent: &ResizeIntent) -> Signature;
}

/// The signer of a real channel: an Ed25519 secret key.
#[derive(Debug)]
pub struct KeySigner {
    secret: SecretKey,
    public: PublicKey,
}

impl KeySigner {
    /// A signer with this key.
    #[must_use]
    pub fn new(secret: SecretKey) -> Self {
        let public = secret.public();
        Self { secret, public }
    }
}

impl StateSigner for KeySigner {
    fn public(&self) -> PublicKey {
        self.public
    }

    fn tag(&self, peer: &PublicKey, channel: &ChannelId) -> Option<ChannelTag> {
        ChannelTag::derive(&self.secret, peer, channel)
    }

    fn sign_state(&self, chain: &ChainId, claim: &StateClaim) -> Signature {
        self.secret.sign(chain, claim)
    }

    fn sign_close_intent(&self, chain: &ChainId, intent: &CloseIntent) -> Signature {
        self.secret.sign(chain, intent)
    }

    fn sign_answer(&self, chain: &ChainId, answer: &CloseAnswer) -> Signature {
        self.secret.sign(chain, answer)
    }

    fn sign_resize(&self, chain: &ChainId, intent: &ResizeIntent) -> Signature {
        self.secret.sign(chain, intent)
    }
}

/// The newest thing that was signed; durable before its signature is released.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Mark {
    /// The generation.
    pub generation: u32,
    /// The version; zero = nothing yet.
    pub version: u64,
    /// What was signed for it: the digest of the claim, `held` included.
    pub digest: Digest,
    /// Whether it was final: then nothing is signed after it.
    pub is_final: bool,
    /// The highest `held` that was ever signed; nothing below it is ever posted.
    pub held: u64,
}

impl Mark {
    /// Nothing signed yet.
    pub const NONE: Self = Self { generation: 0, version: 0, digest: Digest::ZERO, is_final: false, held: 0 };

    /// Whether it stands for all that may have been signed up to it: a recovery set it (SPEC P-53).
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.version > 0 && self.digest == Digest::ZERO
    }
}

/// Why the signer refused. An honest machine never meets these; they are the second wall (FAULTS C7, C26).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignError {
    /// A version at or below the mark, with a content that is not the one signed.
    #[error("version {version} is not above {mark}, the highest that was signed")]
    NotAbove {
        /// Asked for.
        version: u64,
        /// Signed before.
        mark: u64,
    },
    /// Something after a final state.
    #[error("a final state was signed: nothing is signed after it")]
    Final,
    /// A close with a state below what was said to be held.
    #[error("version {version} is below {held}, which was said to be held")]
    BelowHeld {
        /// Asked for.
        version: u64,
        /// Said before.
        held: u64,
    },
    /// A state of a generation that a transaction may end: both signed it, and it has not expired.
    #[error("a resize is signed: nothing of generation {0} is signed before the ledger decides")]
    Sealed(u32),
    /// A state of another generation than this one and the next.
    #[error("a state of generation {0}, which is neither this one nor the next")]
    Generation(u32),
    /// A resize before the first state of the next generation: the funds would be stuck.
    #[error("a resize without a state of the next generation")]
    Unprepared,
}

/// A [`StateSigner`] behind its marks: the only way in which the machine signs.
///
/// Versions count on through the generations of a channel, so that of all states that were ever signed no two have one
/// version, whichever generation they are of. What was said to be held counts within a generation: the ledger knows
/// nothing of another's states.
#[derive(Clone)]
pub(crate) struct Guard {
    keys: Arc<dyn StateSigner>,
    mark: Mark,
    /// The same for first states of the next generation.
    next: Mark,
    /// A resize is signed, and may become final.
    sealed: bool,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("mark", &self.mark)
            .field("next", &self.next)
            .field("sealed", &self.sealed)
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard that starts at `mark`, the stored one, or the one that a recovery sets.
    pub(crate) const fn new(keys: Arc<dyn StateSigner>, mark: Mark) -> Self {
        Self { keys, mark, next: Mark::NONE, sealed: false }
    }

    /// The same, as it was stored while or after a resize was tried.
    pub(crate) fn with_next(self, next: Mark, sealed: bool) -> Self {
        Self { next, sealed, ..self }
    }

    /// Nothing at or below `floor` is signed from now on: what was signed there is not known any more.
    pub(crate) fn raise(&mut self, floor: u64) {
        if floor > self.mark.version {
            self.mark = Mark { version: floor, digest: Digest::ZERO, ..self.mark };
        }
    }

    /// The newest thing that was signed.
    pub(crate) const fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The newest first state of the next generation that was signed.
    pub(crate) const fn next(&self) -> &Mark {
        &self.next
    }

    /// Whether a resize is signed that may become final.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The highest version that was signed, in whichever generation.
    pub(crate) fn highest(&self) -> u64 {
        self.mark.version.max(self.next.version)
    }

    /// Signs `state`, saying `held`, and moves the mark.
    pub(crate) fn sign_state(
        &mut self,
        chain: &ChainId,
        state: &ChannelState,
        held: u64,
    ) -> Result<StateSignature, SignError> {
        let claim = StateClaim { state: state.clone(), held };
        let digest = claim.signing_digest(chain);
        let is_next = Some(state.generation) == self.mark.generation.checked_add(1);
        if !is_next && state.generation != self.mark.generation {
            return Err(SignError::Generation(state.generation));
        }
        let mark = if is_next { self.next } else { self.mark };
        let same = state.version == mark.version && digest == mark.digest;
        if !same {
            if self.mark.is_final {
                return Err(SignError::Final);
            }
            if self.sealed && !sings(Canary::ResizeDoesNotWait) {
                return Err(SignError::Sealed(self.mark.generation));
            }
            if state.version <= self.highest() && !sings(Canary::VersionUsedAgain) {
                return Err(SignError::NotAbove { version: state.version, mark: self.highest() });
            }
        }
        let signature = self.keys.sign_state(chain, &claim);
        let moved = Mark {
            generation: state.generation,
            version: state.version,
            digest,
            is_final: state.is_final,
            held: mark.held.max(held),
        };
        *(if is_next { &mut self.next } else { &mut self.mark }) = moved;
        Ok(StateSignature { held, signature })
    }

    /// Signs the posting of a state.
    pub(crate) fn sign_close_intent(
        &self,
        chain: &ChainId,
        intent: &CloseIntent,
    ) -> Result<Signature, SignError> {
        self.check_posting(&intent.state)?;
        Ok(self.keys.sign_close_intent(chain, intent))
    }

    /// Signs the answer to a posting.
    pub(crate) fn sign_answer(&self, chain: &ChainId, answer: &CloseAnswer) -> Result<Signature, SignError> {
        self.check_posting(&answer.state)?;
        Ok(self.keys.sign_answer(chain, answer))
    }

    fn check_posting(&self, state: &ChannelState) -> Result<(), SignError> {
        if state.generation != self.mark.generation {
            return Err(SignError::Generation(state.generation));
        }
        if state.version < self.mark.held {
            return Err(SignError::BelowHeld { version: state.version, held: self.mark.held });
        }
        Ok(())
    }

    /// Signs a resize. From now on nothing of this generation is signed but its closes, until the ledger decides.
    pub(crate) fn sign_resize(
        &mut self,
        chain: &ChainId,
        intent: &ResizeIntent,
    ) -> Result<Signature, SignError> {
        if self.mark.is_final {
            return Err(SignError::Final);
        }
        if self.next.version <= self.mark.version {
            return Err(SignError::Unprepared);
        }
        self.sealed = true;
        Ok(self.keys.sign_resize(chain, intent))
    }

    /// The resize can't become final any more: the ledger's time is past its expiry, or its input is spent.
    pub(crate) const fn unseal(&mut self) {
        self.sealed = false;
    }

    /// The resize is final: what was signed for the next generation is the newest of this one.
    pub(crate) const fn renew(&mut self) {
        self.mark = self.next;
        self.next = Mark::NONE;
        self.sealed = false;
    }

    /// The ledger shows a generation of which nothing is known here: whatever was signed in it lies above what was
    /// signed before it, and is found by a recovery.
    pub(crate) fn forget(&mut self, generation: u32) {
        let version = self.highest();
        self.mark = Mark { generation, version, ..Mark::NONE };
        self.next = Mark::NONE;
        self.sealed = false;
    }
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
