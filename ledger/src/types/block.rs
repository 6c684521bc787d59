//! Blocks.

use bincode::{Decode, Encode};
use towpath_crypto::hash::digest;
use towpath_crypto::{ChainId, Digest, Domain, codec};

use super::time::Time;
use super::transaction::Transaction;

/// A block's id: the hash of its header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub struct BlockId(pub Digest);

/// What a block commits to.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Header {
    /// The ledger.
    pub chain: ChainId,
    /// One more than the parent's; genesis is zero.
    pub height: u64,
    /// The parent; zero for genesis.
    pub parent: BlockId,
    /// Ledger time, past the parent's by at most the genesis' `max_block_step_ms`.
    pub time: Time,
    /// The Merkle root of the transactions, witnesses included.
    pub transactions_root: Digest,
    /// The root of the state tree after this block.
    pub state_root: Digest,
    /// The hash of the validator set that decides this block.
    pub validators: Digest,
    /// The validator that made it (its Ed25519 key).
    pub proposer: towpath_crypto::ed25519::PublicKey,
}

impl Header {
    /// The id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId(digest(Domain::Block, &[&codec::encode(self)]))
    }
}

/// A header and its transactions, in the order in which they are applied.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Block {
    /// What it commits to.
    pub header: Header,
    /// What it does.
    pub transactions: Vec<Transaction>,
}

impl Block {
    /// The id of its header.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.id()
    }
}
