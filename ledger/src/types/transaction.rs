//! Transactions.

use bincode::{Decode, Encode};
use towpath_crypto::hash::{digest, sha256};
use towpath_crypto::schnorr::WalletSecret;
use towpath_crypto::{ChainId, Digest, Domain, Signable, codec};

use super::lock::{AssetId, Condition, Output};
use super::time::Time;
use super::witness::Witness;

/// A transaction's id: the hash of its body. Witnesses are left out, so that nobody else can change it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub struct TxId(pub Digest);

/// One output of one transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub struct OutPoint {
    /// The transaction.
    pub tx: TxId,
    /// The position of the output in it.
    pub index: u32,
}

/// A body and one witness for each of its inputs.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Transaction {
    /// What it does.
    pub body: TxBody,
    /// Why it may; as many as there are inputs, in their order.
    pub witnesses: Vec<Witness>,
}

impl Transaction {
    /// The id of the body.
    #[must_use]
    pub fn id(&self) -> TxId {
        self.body.id()
    }
}

/// What a transaction does.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct TxBody {
    /// The ledger that it is for.
    pub chain: ChainId,
    /// The outputs that it spends; distinct.
    pub inputs: Vec<OutPoint>,
    /// The outputs that it makes.
    pub outputs: Vec<Output>,
    /// The first block time at which it is valid.
    pub not_before: Option<Time>,
    /// The last block time at which it is valid.
    pub expiry: Option<Time>,
    /// What else it records.
    pub payload: Option<Payload>,
}

impl TxBody {
    /// The id.
    #[must_use]
    pub fn id(&self) -> TxId {
        TxId(digest(Domain::Transaction, &[&codec::encode(self)]))
    }
}

/// What a wallet key signs: the whole body, and the outputs that it spends, in the order of the inputs.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Spend {
    /// The transaction.
    pub transaction: TxId,
    /// The spent outputs.
    pub spent: Vec<Output>,
}

impl Signable for Spend {
    const DOMAIN: Domain = Domain::Spend;
}

/// What a transaction records beside its outputs.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Payload {
    /// Secrets, recorded with the block time of their first appearance.
    Reveal(Vec<Secret>),
    /// Issues `amount` units of a new asset to the transaction's outputs; its id is a hash over the first input.
    Issue {
        /// How much; never more of this asset can exist.
        amount: towpath_crypto::Amount,
        /// A short name, for people.
        symbol: String,
    },
    /// Commits to an audit log's root.
    Anchor(Digest),
}

/// The secret of a conditional payment: a preimage or a scalar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub enum Secret {
    /// The preimage of a hash lock.
    Preimage([u8; 32]),
    /// The discrete logarithm of a point lock.
    Scalar([u8; 32]),
}

impl Secret {
    /// The condition that this secret opens; `None` for a scalar that is zero or past the group order.
    ///
    /// A point lock is x-only, so a scalar and its negation open the same one; whoever reads a recorded scalar tries both.
    #[must_use]
    pub fn condition(&self) -> Option<Condition> {
        match self {
            Self::Preimage(bytes) => Some(Condition::Hash(sha256(bytes))),
            Self::Scalar(bytes) => {
                WalletSecret::from_bytes(*bytes).ok().map(|secret| Condition::Point(secret.public()))
            }
        }
    }
}

/// An output that is not spent, with the block that made it.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Entry {
    /// The output.
    pub output: Output,
    /// The height of the block that made it.
    pub height: u64,
    /// That block's time; dispute windows count from it.
    pub time: Time,
}

impl AssetId {
    /// The id of the asset that a transaction with this first input issues.
    #[must_use]
    pub fn issued_by(chain: &ChainId, first_input: &OutPoint) -> Self {
        Self(digest(Domain::Asset, &[&chain.0.0, &codec::encode(first_input)]))
    }
}
