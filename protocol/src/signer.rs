//! Who signs for a channel, and what it refuses: one content a version, never downwards, nothing after a final state.

use std::sync::Arc;

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{PublicKey, SecretKey, Signature};
use towpath_crypto::{ChainId, Digest, Signable};
use towpath_ledger::{
    ChannelId, ChannelState, ChannelTag, CloseAnswer, CloseIntent, StateClaim, StateSignature,
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
}

/// A [`StateSigner`] behind its mark: the only way in which the machine signs.
#[derive(Clone)]
pub(crate) struct Guard {
    keys: Arc<dyn StateSigner>,
    mark: Mark,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("mark", &self.mark).finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard that starts at `mark`, the stored one, or the one that a recovery sets.
    pub(crate) const fn new(keys: Arc<dyn StateSigner>, mark: Mark) -> Self {
        Self { keys, mark }
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

    /// Signs `state`, saying `held`, and moves the mark.
    pub(crate) fn sign_state(
        &mut self,
        chain: &ChainId,
        state: &ChannelState,
        held: u64,
    ) -> Result<StateSignature, SignError> {
        let claim = StateClaim { state: state.clone(), held };
        let digest = claim.signing_digest(chain);
        let (asked, mark) = ((state.generation, state.version), (self.mark.generation, self.mark.version));
        let same = asked == mark && digest == self.mark.digest;
        if !same {
            if self.mark.is_final {
                return Err(SignError::Final);
            }
            if asked <= mark && !sings(Canary::VersionUsedAgain) {
                return Err(SignError::NotAbove { version: state.version, mark: self.mark.version });
            }
        }
        let signature = self.keys.sign_state(chain, &claim);
        self.mark = Mark {
            generation: state.generation,
            version: state.version,
            digest,
            is_final: state.is_final,
            held: self.mark.held.max(held),
        };
        Ok(StateSignature { held, signature })
    }

    /// Signs the posting of a state.
    pub(crate) fn sign_close_intent(
        &self,
        chain: &ChainId,
        intent: &CloseIntent,
    ) -> Result<Signature, SignError> {
        if intent.state.version < self.mark.held {
            return Err(SignError::BelowHeld { version: intent.state.version, held: self.mark.held });
        }
        Ok(self.keys.sign_close_intent(chain, intent))
    }

    /// Signs the answer to a posting.
    pub(crate) fn sign_answer(&self, chain: &ChainId, answer: &CloseAnswer) -> Result<Signature, SignError> {
        if answer.state.version < self.mark.held {
            return Err(SignError::BelowHeld { version: answer.state.version, held: self.mark.held });
        }
        Ok(self.keys.sign_answer(chain, answer))
    }
}
