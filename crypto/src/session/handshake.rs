//! Three messages, and two proofs of identity inside them.
//!
//! ```text
//! → e                                     32 bytes
//! ← e, ee, s, es, proof(responder)       192 bytes
//! → s, se, proof(initiator)              160 bytes
//! proof = node id (32) ‖ signature (64) of { role, own session key, handshake hash before this message }
//! ```
//! The hash covers the prologue and all messages so far, so a proof fits one handshake, one role and one key: recorded,
//! relayed or reflected it is refused. `es` and `se` prove that each side has the key that its identity signed for.

use bincode::{Decode, Encode};
use curve25519_dalek::montgomery::MontgomeryPoint;
use snow::resolvers::{DefaultResolver, FallbackResolver, RingResolver};
use snow::{Builder, HandshakeState};

use super::transport::{Session, TAG_BYTES};
use super::{HANDSHAKE_BYTES_MAX, PROTOCOL_VERSION, SessionError};
use crate::codec;
use crate::codec::Readable;
use crate::ed25519::{PublicKey, SecretKey, Signature, verify};
use crate::hash::{ChainId, Domain, Signable};
use crate::readable;

/// What the library calls this handshake.
const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// The encoded length of a proof.
const PROOF_BYTES: usize = 32 + 64;

/// The lengths of the three messages; any other is refused before anything is computed.
const MESSAGE_BYTES: [usize; 3] =
    [32, 32 + (32 + TAG_BYTES) + (PROOF_BYTES + TAG_BYTES), (32 + TAG_BYTES) + (PROOF_BYTES + TAG_BYTES)];

/// Who began.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Role {
    /// The side that speaks first.
    Initiator,
    /// The other.
    Responder,
}

impl Role {
    const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// What a node signs to bind its session key to its identity.
#[derive(Encode, Debug)]
struct Binding {
    role: Role,
    session_key: [u8; 32],
    transcript: [u8; 32],
}

impl Signable for Binding {
    const DOMAIN: Domain = Domain::SessionIdentity;
}

/// A node's identity, and its signature on its [`Binding`].
#[derive(Encode, Decode, Debug)]
struct Proof {
    node: PublicKey,
    signature: Signature,
}

/// How a proof is read, behind the decryption.
pub(crate) fn proof_decoder() -> Readable {
    readable![PROOF_BYTES => Proof][0]
}

/// A handshake under way. It does no I/O: messages go in and come out.
pub struct Handshake {
    noise: HandshakeState,
    role: Role,
    pub(super) node: SecretKey,
    pub(super) own_session_key: [u8; 32],
    chain: ChainId,
    peer: Option<PublicKey>,
    /// Messages so far; the handshake has three.
    step: u8,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake")
            .field("role", &self.role)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl Handshake {
    /// Begins as `role`, with this node's X25519 session key and its identity.
    ///
    /// # Errors
    /// [`SessionError::Handshake`] when the system has no randomness to give.
    pub fn new(
        role: Role,
        session_key: &[u8; 32],
        node: &SecretKey,
        chain: &ChainId,
    ) -> Result<Self, SessionError> {
        let mut prologue = chain.0.0.to_vec();
        prologue.extend(PROTOCOL_VERSION.to_be_bytes());
        Self::with_prologue(role, session_key, node, chain, &prologue)
    }

    pub(super) fn with_prologue(
        role: Role,
        session_key: &[u8; 32],
        node: &SecretKey,
        chain: &ChainId,
        prologue: &[u8],
    ) -> Result<Self, SessionError> {
        // Named here rather than left to features: ring's ChaCha20-Poly1305 is assembly, several times as fast as the
        // portable one; the default resolver remains for X25519 only, and randomness comes through ring, too.
        let resolver = FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver));
        let build = || {
            let builder = Builder::with_resolver(PATTERN.parse()?, Box::new(resolver))
                .local_private_key(session_key)?
                .prologue(prologue)?;
            match role {
                Role::Initiator => builder.build_initiator(),
                Role::Responder => builder.build_responder(),
            }
        };
        let noise = build().map_err(|_: snow::Error| SessionError::Handshake)?;
        let own_session_key = MontgomeryPoint::mul_base_clamped(*session_key).to_bytes();
        Ok(Self { noise, role, node: node.clone(), own_session_key, chain: *chain, peer: None, step: 0 })
    }

    /// Whether this side writes next.
    #[must_use]
    pub fn is_my_turn(&self) -> bool {
        !self.is_done() && self.noise.is_my_turn()
    }

    /// Whether all three messages are through.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.step == 3
    }

    /// The next message to send.
    ///
    /// # Errors
    /// [`SessionError::OutOfTurn`].
    pub fn write(&mut self) -> Result<Vec<u8>, SessionError> {
        if !self.is_my_turn() {
            return Err(SessionError::OutOfTurn);
        }
        // The first message is not encrypted yet: identities travel in the second and the third.
        let payload = if self.step == 0 { Vec::new() } else { self.proof() };
        let mut message = vec![0; HANDSHAKE_BYTES_MAX];
        let length = self.noise.write_message(&payload, &mut message).map_err(|_| SessionError::Handshake)?;
        message.truncate(length);
        self.step += 1;
        Ok(message)
    }

    /// Takes the peer's next message.
    ///
    /// # Errors
    /// [`SessionError`]; the handshake is over then.
    pub fn read(&mut self, message: &[u8]) -> Result<(), SessionError> {
        if self.is_done() || self.noise.is_my_turn() {
            return Err(SessionError::OutOfTurn);
        }
        if message.len() > HANDSHAKE_BYTES_MAX {
            return Err(SessionError::TooLong { length: message.len(), limit: HANDSHAKE_BYTES_MAX });
        }
        let expected = MESSAGE_BYTES.get(usize::from(self.step));
        if expected != Some(&message.len()) || !self.ephemeral_contributes(message) {
            return Err(SessionError::Handshake);
        }
        let transcript = self.transcript();
        let mut payload = vec![0; HANDSHAKE_BYTES_MAX];
        let length = self.noise.read_message(message, &mut payload).map_err(|_| SessionError::Handshake)?;
        payload.truncate(length);
        if self.step > 0 {
            self.peer = Some(self.check(&payload, transcript)?);
        } else if !payload.is_empty() {
            return Err(SessionError::Handshake);
        }
        self.step += 1;
        Ok(())
    }

    /// The finished session.
    ///
    /// # Errors
    /// [`SessionError::OutOfTurn`] before the handshake is done.
    pub fn finish(self) -> Result<Session, SessionError> {
        let Some(peer) = self.peer.filter(|_| self.is_done()) else { return Err(SessionError::OutOfTurn) };
        let transport = self.noise.into_transport_mode().map_err(|_| SessionError::Handshake)?;
        Ok(Session::new(transport, peer))
    }

    /// The first two messages begin with an ephemeral key.
    fn ephemeral_contributes(&self, message: &[u8]) -> bool {
        self.step == 2 || message.first_chunk().is_some_and(contributes)
    }

    fn transcript(&self) -> [u8; 32] {
        let mut transcript = [0; 32];
        transcript.copy_from_slice(self.noise.get_handshake_hash());
        transcript
    }

    fn proof(&self) -> Vec<u8> {
        let binding =
            Binding { role: self.role, session_key: self.own_session_key, transcript: self.transcript() };
        codec::encode(&Proof { node: self.node.public(), signature: self.node.sign(&self.chain, &binding) })
    }

    /// Checks the peer's proof over its static key and the transcript as it was before its message.
    fn check(&self, payload: &[u8], transcript: [u8; 32]) -> Result<PublicKey, SessionError> {
        let proof: Proof = codec::decode(payload, PROOF_BYTES).map_err(|_| SessionError::Identity)?;
        let session_key = self.noise.get_remote_static().and_then(|key| key.try_into().ok());
        let Some(session_key) = session_key else { return Err(SessionError::Identity) };
        // Anybody can sign for a weak key, so it proves nothing.
        if proof.node.is_weak() || !contributes(&session_key) {
            return Err(SessionError::Identity);
        }
        let binding = Binding { role: self.role.other(), session_key, transcript };
        if !verify(&proof.node, &self.chain, &binding, &proof.signature) {
            return Err(SessionError::Identity);
        }
        if proof.node == self.node.public() { Err(SessionError::Reflected) } else { Ok(proof.node) }
    }
}

/// Whether a Diffie-Hellman with this public key depends on our secret: with the few points of small order the result
/// is always zero, and a peer that sends one wants a session that others can read (RFC 7748, section 6.1).
fn contributes(public: &[u8; 32]) -> bool {
    MontgomeryPoint(*public).mul_clamped([0; 32]).to_bytes() != [0; 32]
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
