//! Domain-separated hashing: one tag for each kind of byte string that is ever hashed or signed.
//!
//! `digest(domain, parts) = SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ parts…)`, the tagged hash of BIP 340. Parts are
//! concatenated, so callers pass fixed-size parts, or one canonical encoding, never two variable ones.

use bincode::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::codec;

/// A SHA-256 digest, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of nothing: used where a field has no value (a tree without leaves, the parent of genesis).
    pub const ZERO: Self = Self([0; 32]);

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

/// Identifies a ledger: the hash of its genesis file. It is part of everything that is signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub struct ChainId(pub Digest);

/// What a hashed or signed byte string means. Two kinds never share a tag, so that no signature over one can be
/// shown as a signature over another (FAULTS L5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Genesis file → chain id.
    Genesis,
    /// Transaction body → transaction id.
    Transaction,
    /// Transaction body and the outputs that it spends → what a wallet key signs.
    Spend,
    /// Block header → block id.
    Block,
    /// One leaf of the transactions tree of a block.
    TransactionsLeaf,
    /// An inner node of the transactions tree of a block.
    TransactionsNode,
    /// Outpoint or secret → key in the state tree.
    StateKey,
    /// Ledger entry → value in the state tree.
    StateValue,
    /// A node of the state tree.
    StateTree,
    /// Validator set → its id in a block header.
    ValidatorSet,
    /// Consensus vote.
    Vote,
    /// Consensus proposal.
    Proposal,
    /// Funding outpoint and channel keys → channel id.
    ChannelId,
    /// The secret that a channel's two keys share → the tag in its states.
    ChannelTag,
    /// Channel state with `held`, signed by one party.
    ChannelState,
    /// A party closes alone.
    CloseIntent,
    /// The other party answers a close with its own signature.
    CloseAnswer,
    /// Both parties resize a channel.
    Resize,
    /// One leaf of the pending-payments tree of a channel state.
    PendingLeaf,
    /// An inner node of the pending-payments tree of a channel state.
    PendingNode,
    /// The running hash of a channel's events.
    ChannelEvent,
    /// Binds a Noise static key to a node's identity.
    SessionIdentity,
    /// Coefficients of a batch verification.
    BatchVerify,
    /// Issuance payload → asset id.
    Asset,
    /// Content that others keep → the nonce with which it is sealed.
    SealNonce,
    /// Channel tag → where a watchtower keeps a party's record.
    TowerLocator,
    /// Channel tag → the key that seals a party's record.
    TowerKey,
    /// The seed's backup key → the key that seals one backup.
    BackupKey,
    /// A process of a node says which one it is.
    SessionEpoch,
    /// Anything that tests sign.
    Test,
}

impl Domain {
    /// Every domain, for tests over all pairs.
    pub const ALL: [Self; 30] = [
        Self::Genesis,
        Self::Transaction,
        Self::Spend,
        Self::Block,
        Self::TransactionsLeaf,
        Self::TransactionsNode,
        Self::StateKey,
        Self::StateValue,
        Self::StateTree,
        Self::ValidatorSet,
        Self::Vote,
        Self::Proposal,
        Self::ChannelId,
        Self::ChannelTag,
        Self::ChannelState,
        Self::CloseIntent,
        Self::CloseAnswer,
        Self::Resize,
        Self::PendingLeaf,
        Self::PendingNode,
        Self::ChannelEvent,
        Self::SessionIdentity,
        Self::BatchVerify,
        Self::Asset,
        Self::SealNonce,
        Self::TowerLocator,
        Self::TowerKey,
        Self::BackupKey,
        Self::SessionEpoch,
        Self::Test,
    ];

    /// The tag as bytes; its text is part of the format and never changes.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Genesis => "towpath/genesis/1",
            Self::Transaction => "towpath/transaction/1",
            Self::Spend => "towpath/spend/1",
            Self::Block => "towpath/block/1",
            Self::TransactionsLeaf => "towpath/transactions-leaf/1",
            Self::TransactionsNode => "towpath/transactions-node/1",
            Self::StateKey => "towpath/state-key/1",
            Self::StateValue => "towpath/state-value/1",
            Self::StateTree => "towpath/state-tree/1",
            Self::ValidatorSet => "towpath/validator-set/1",
            Self::Vote => "towpath/vote/1",
            Self::Proposal => "towpath/proposal/1",
            Self::ChannelId => "towpath/channel-id/1",
            Self::ChannelTag => "towpath/channel-tag/1",
            Self::ChannelState => "towpath/channel-state/1",
            Self::CloseIntent => "towpath/close-intent/1",
            Self::CloseAnswer => "towpath/close-answer/1",
            Self::Resize => "towpath/resize/1",
            Self::PendingLeaf => "towpath/pending-leaf/1",
            Self::PendingNode => "towpath/pending-node/1",
            Self::ChannelEvent => "towpath/channel-event/1",
            Self::SessionIdentity => "towpath/session-identity/1",
            Self::BatchVerify => "towpath/batch-verify/1",
            Self::Asset => "towpath/asset/1",
            Self::SealNonce => "towpath/seal-nonce/1",
            Self::TowerLocator => "towpath/tower-locator/1",
            Self::TowerKey => "towpath/tower-key/1",
            Self::BackupKey => "towpath/backup-key/1",
            Self::SessionEpoch => "towpath/session-epoch/1",
            Self::Test => "towpath/test/1",
        }
    }
}

/// An incremental tagged hash.
#[derive(Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts a hash in `domain`.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        let tag = Sha256::digest(domain.tag().as_bytes());
        let mut inner = Sha256::new();
        inner.update(tag);
        inner.update(tag);
        Self(inner)
    }

    /// Appends bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was appended.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Hashes the concatenation of `parts` in `domain`.
#[must_use]
pub fn digest(domain: Domain, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new(domain);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// Plain SHA-256, for hash locks (compatible with Interledger conditions) and nothing else.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// A value that a key signs. What is signed is `signing_digest(chain)`: the tag, the chain id and the one encoding.
pub trait Signable: bincode::Encode {
    /// The kind of this value; no other type shares it.
    const DOMAIN: Domain;

    /// The 32 bytes that are signed: `digest(DOMAIN, chain ‖ encode(self))`.
    fn signing_digest(&self, chain: &ChainId) -> Digest {
        digest(Self::DOMAIN, &[&chain.0.0, &codec::encode(self)])
    }
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
