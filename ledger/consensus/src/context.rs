//! The core's vocabulary, filled with ours: a value is a block behind an `Arc` with its id, an address is an Ed25519
//! key. Nothing here does anything but name, compare and choose a proposer.

use std::fmt;
use std::sync::Arc;

use arc_malachitebft_core_types as mt;
use mt::{NilOrVal, Round, VoteType};
use towpath_crypto::ed25519::{PublicKey, SecretKey, Signature};
use towpath_ledger::chain::{Validator, ValidatorSet};
use towpath_ledger::{Block, BlockId};

/// A block height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl mt::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// A validator's key, which is its address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address(pub PublicKey);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl mt::Address for Address {}

/// A block id, as the core prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Id(pub BlockId);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.0, f)
    }
}

/// A block with its id, compared by id; cheap to clone, as the core clones it often.
#[derive(Clone, Debug)]
pub struct Value {
    id: Id,
    block: Arc<Block>,
}

impl Value {
    /// Computes the id: it is never taken from a peer.
    pub fn new(block: Arc<Block>) -> Self {
        Self { id: Id(block.id()), block }
    }

    /// The block.
    pub const fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// The id.
    pub const fn block_id(&self) -> BlockId {
        self.id.0
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl mt::Value for Value {
    type Id = Id;

    fn id(&self) -> Id {
        self.id
    }
}

/// A proposal, the whole block within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its height.
    pub height: Height,
    /// Its round.
    pub round: Round,
    /// The block.
    pub value: Value,
    /// The earlier round in which a quorum prevoted for it.
    pub pol_round: Round,
    /// Whose it is.
    pub proposer: Address,
}

impl mt::Proposal<Ctx> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

/// A vote with its voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// Prevote or precommit.
    pub kind: VoteType,
    /// Its height.
    pub height: Height,
    /// Its round.
    pub round: Round,
    /// The block, or nil.
    pub value: NilOrVal<Id>,
    /// Whose it is.
    pub validator: Address,
}

impl mt::Vote<Ctx> for Ballot {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<Id> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<Id> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }

    // Vote extensions are not used: the policy of every height is `Disabled`.
    fn extension(&self) -> Option<&mt::SignedExtension<Ctx>> {
        None
    }

    fn take_extension(&mut self) -> Option<mt::SignedExtension<Ctx>> {
        None
    }

    fn extend(self, _: mt::SignedExtension<Ctx>) -> Self {
        self
    }
}

/// Blocks travel whole inside a proposal, so there are no parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPart {}

impl mt::ProposalPart<Ctx> for NoPart {
    fn is_first(&self) -> bool {
        match *self {}
    }

    fn is_last(&self) -> bool {
        match *self {}
    }
}

/// A validator under its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    address: Address,
    power: u64,
}

impl mt::Validator<Ctx> for Member {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &Address {
        &self.address
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

/// The validators of one height: at least one, each once, sorted by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    members: Arc<[Member]>,
    power: u64,
}

impl Set {
    /// The ledger's set as the core takes it; `None` if thrice its power is past the largest number, which the core
    /// computes and would panic on.
    pub fn new(validators: &ValidatorSet) -> Option<Self> {
        let power = validators.total_power();
        power.checked_mul(3)?;
        let member = |v: &Validator| Member { address: Address(v.key), power: v.power };
        Some(Self { members: validators.members().iter().map(member).collect(), power })
    }

    /// Whether `key` is a validator.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.find(&Address(*key)).is_some()
    }

    fn find(&self, address: &Address) -> Option<&Member> {
        let at = self.members.binary_search_by_key(address, |member| member.address).ok()?;
        self.members.get(at)
    }

    /// Who proposes at `height` and `round`: turns by key order, one a height and one more a round, whatever the
    /// powers (SPEC N-9). Total: any round that a peer can name has an answer.
    pub fn proposer(&self, height: u64, round: Round) -> &Member {
        let count = u64::try_from(self.members.len()).unwrap_or(u64::MAX);
        let turn = (height % count + u64::from(round.as_u32().unwrap_or(0)) % count) % count;
        usize::try_from(turn)
            .ok()
            .and_then(|at| self.members.get(at))
            .expect("a set has at least one member and the turn is taken modulo their number")
    }
}

impl mt::ValidatorSet<Ctx> for Set {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.power
    }

    fn get_by_address(&self, address: &Address) -> Option<&Member> {
        self.find(address)
    }

    fn get_by_index(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }
}

/// Ed25519, for the core's bookkeeping; signing and verifying go through [`crate::keys`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ed25519;

impl mt::SigningScheme for Ed25519 {
    type DecodingError = &'static str;
    type Signature = Signature;
    type PublicKey = Address;
    type PrivateKey = SecretKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, &'static str> {
        bytes.try_into().map(Signature).map_err(|_| "a signature has 64 bytes")
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<Address, &'static str> {
        bytes.try_into().map(|bytes| Address(PublicKey(bytes))).map_err(|_| "a key has 32 bytes")
    }

    fn encode_public_key(key: &Address) -> Vec<u8> {
        key.0.0.to_vec()
    }
}

/// The core's context.
#[derive(Clone, Copy, Debug)]
pub struct Ctx;

impl mt::Context for Ctx {
    type Address = Address;
    type Height = Height;
    type ProposalPart = NoPart;
    type Proposal = Proposal;
    type Validator = Member;
    type ValidatorSet = Set;
    type Timeouts = mt::LinearTimeouts;
    type Value = Value;
    type Vote = Ballot;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, set: &'a Set, height: Height, round: Round) -> &'a Member {
        set.proposer(height.0, round)
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Value,
        pol_round: Round,
        proposer: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, proposer }
    }

    fn new_prevote(&self, height: Height, round: Round, value: NilOrVal<Id>, validator: Address) -> Ballot {
        Ballot { kind: VoteType::Prevote, height, round, value, validator }
    }

    fn new_precommit(&self, height: Height, round: Round, value: NilOrVal<Id>, validator: Address) -> Ballot {
        Ballot { kind: VoteType::Precommit, height, round, value, validator }
    }
}
