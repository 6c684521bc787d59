//! What a channel is to the ledger: its terms, its states, and the signatures that speak about them.

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{Check, PublicKey, SecretKey, Signature};
use towpath_crypto::hash::digest;
use towpath_crypto::{Amount, ChainId, Digest, Domain, Signable, codec};

use super::lock::Payout;
use super::time::Time;
use super::transaction::{OutPoint, TxId};

/// A channel's id: it exists before the funding is signed, and never returns, since an input is spent only once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub struct ChannelId(pub Digest);

impl ChannelId {
    /// The id of the channel at output `index` of the transaction whose first input is `first_input` (DESIGN 4).
    #[must_use]
    pub fn derive(
        chain: &ChainId,
        first_input: &OutPoint,
        index: u32,
        key_a: &PublicKey,
        key_b: &PublicKey,
    ) -> Self {
        let funding = codec::encode(&(*first_input, index));
        Self(digest(Domain::ChannelId, &[&chain.0.0, &funding, &key_a.0, &key_b.0]))
    }
}

/// A secret of a channel's two parties, the same in each of its states, by which a watchtower finds and opens what it
/// keeps once a close shows it (SPEC P-25, T-1). It is 32 bytes to the ledger, without meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ChannelTag(pub Digest);

impl ChannelTag {
    /// The tag of `channel`, as the party with `secret` computes it from the other's channel key, and the other from
    /// this one's: no message is needed, so it comes back from the seed and the ledger alone. `None` for a weak key.
    #[must_use]
    pub fn derive(secret: &SecretKey, other: &PublicKey, channel: &ChannelId) -> Option<Self> {
        secret.shared_digest(other, Domain::ChannelTag, &[&channel.0.0]).map(Self)
    }
}

/// Hides the secret: states are printed where people look for faults.
impl std::fmt::Debug for ChannelTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChannelTag(..)")
    }
}

/// The two parties of a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub enum Party {
    /// The one who opened it.
    A,
    /// The one who accepted it.
    B,
}

impl Party {
    /// The other party.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What both parties agreed on when the channel was opened.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct ChannelTerms {
    /// The channel.
    pub id: ChannelId,
    /// Zero when opened, one more with each resize.
    pub generation: u32,
    /// A's key for this channel alone.
    pub key_a: PublicKey,
    /// B's key for this channel alone.
    pub key_b: PublicKey,
    /// Where A is paid.
    pub payout_a: Payout,
    /// Where B is paid.
    pub payout_b: Payout,
    /// How long a close can be answered, in milliseconds of ledger time.
    pub dispute_window_ms: u64,
    /// The share of its balance that a penalized author forfeits, in hundredths of a percent.
    pub penalty_basis_points: u16,
    /// What each party keeps in the channel at every version after it first had as much; may be zero.
    pub reserve: Amount,
    /// The most that ledger fees may take out of one party's balance when the channel is closed.
    pub close_fee_max: Amount,
    /// When the parties' nodes close it; none = never. The ledger refuses an expiry that has passed when the channel is
    /// opened or resized; either party may close at any time, before or after it.
    pub expiry: Option<Time>,
}

impl ChannelTerms {
    /// The channel key of `party`.
    #[must_use]
    pub const fn key(&self, party: Party) -> &PublicKey {
        match party {
            Party::A => &self.key_a,
            Party::B => &self.key_b,
        }
    }

    /// The payout lock of `party`.
    #[must_use]
    pub const fn payout(&self, party: Party) -> &Payout {
        match party {
            Party::A => &self.payout_a,
            Party::B => &self.payout_b,
        }
    }
}

/// What both parties sign. Its encoding has a fixed size. The chain id is part of what is signed, not of the bytes.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct ChannelState {
    /// The channel.
    pub channel: ChannelId,
    /// The same in every state of the channel; not shown by the ledger before one is posted.
    pub tag: ChannelTag,
    /// The generation of its terms; a state of one is not valid in another.
    pub generation: u32,
    /// Counts up from one.
    pub version: u64,
    /// Whether these balances are final, for a cooperative close.
    pub is_final: bool,
    /// Who proposes the next version.
    pub sequencer: Party,
    /// A's.
    pub balance_a: Amount,
    /// B's.
    pub balance_b: Amount,
    /// In conditional payments.
    pub pending_total: Amount,
    /// The Merkle root of the conditional payments; zero when there are none.
    pub pending_root: Digest,
}

impl ChannelState {
    /// The balance of `party`.
    #[must_use]
    pub const fn balance(&self, party: Party) -> Amount {
        match party {
            Party::A => self.balance_a,
            Party::B => self.balance_b,
        }
    }

    /// Balances and pending payments together; `None` past the largest amount.
    #[must_use]
    pub fn total(&self) -> Option<Amount> {
        Amount::checked_sum([self.balance_a, self.balance_b, self.pending_total])
    }
}

/// What a party's signature says: this state, and the highest version for which it holds the other's signature.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct StateClaim {
    /// The state.
    pub state: ChannelState,
    /// The signer holds the other party's signature on this version; zero = on none.
    pub held: u64,
}

impl Signable for StateClaim {
    const DOMAIN: Domain = Domain::ChannelState;
}

/// One party's signature on a state, with the `held` that it covers.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct StateSignature {
    /// See [`StateClaim::held`].
    pub held: u64,
    /// Over the [`StateClaim`].
    pub signature: Signature,
}

impl StateSignature {
    /// Signs `state`, saying `held`.
    #[must_use]
    pub fn sign(secret: &SecretKey, chain: &ChainId, state: &ChannelState, held: u64) -> Self {
        let signature = secret.sign(chain, &StateClaim { state: state.clone(), held });
        Self { held, signature }
    }

    /// The check that this is `key`'s signature on `state`.
    #[must_use]
    pub fn check(&self, key: &PublicKey, chain: &ChainId, state: &ChannelState) -> Check {
        let claim = StateClaim { state: state.clone(), held: self.held };
        Check { key: *key, digest: claim.signing_digest(chain), signature: self.signature }
    }
}

/// A state with one party's signature: a claim, or the proof of what its signer held.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct SignedState {
    /// The state.
    pub state: ChannelState,
    /// The signature on it.
    pub signature: StateSignature,
}

/// A state that both parties signed.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct CoSigned {
    /// The state.
    pub state: ChannelState,
    /// A's signature.
    pub a: StateSignature,
    /// B's signature.
    pub b: StateSignature,
}

impl CoSigned {
    /// The signature of `party`.
    #[must_use]
    pub const fn signature(&self, party: Party) -> &StateSignature {
        match party {
            Party::A => &self.a,
            Party::B => &self.b,
        }
    }
}

/// What the author of a unilateral close signs, so that a stale close has an author.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct CloseIntent {
    /// The state that is posted.
    pub state: ChannelState,
    /// Who signs.
    pub author: Party,
    /// The ledger fee taken out of the author's balance.
    pub fee: Amount,
}

impl Signable for CloseIntent {
    const DOMAIN: Domain = Domain::CloseIntent;
}

/// What the other party signs to settle a closing at once, with the state that it holds to be the newest.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct CloseAnswer {
    /// The closing that is answered.
    pub closing: OutPoint,
    /// The state by which it settles.
    pub state: ChannelState,
    /// Whether it settles with the penalty: without this, a cheater could strip the proof from the answer.
    pub penalized: bool,
    /// The ledger fee taken out of the answering party's balance.
    pub fee: Amount,
}

impl Signable for CloseAnswer {
    const DOMAIN: Domain = Domain::CloseAnswer;
}

/// What both parties sign to resize a channel: the transaction that does it.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct ResizeIntent {
    /// The resizing transaction.
    pub transaction: TxId,
    /// The channel that it resizes.
    pub channel: ChannelId,
}

impl Signable for ResizeIntent {
    const DOMAIN: Domain = Domain::Resize;
}
