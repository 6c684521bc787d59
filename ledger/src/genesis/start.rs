//! Block 0 and the ledger after it.

use towpath_crypto::Digest;
use towpath_crypto::ed25519::PublicKey;

use super::content::Genesis;
use crate::proof::{StateEntry, StateKey, tree_changes};
use crate::tree::{self, MemoryNodes, TreeBatch, TreeError};
use crate::types::{AssetId, Block, BlockId, Entry, Header, Lock, OutPoint, Output, TxId};

/// What a store begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenesisState {
    /// Block 0. It has no transactions, no proposer and no certificate: it follows from the genesis.
    pub block: Block,
    /// The outputs after it.
    pub entries: Vec<(OutPoint, Entry)>,
    /// The state tree after it: version 0.
    pub tree: TreeBatch,
}

impl Genesis {
    /// Block 0 and the ledger after it. The output of allocation `n` is number `n` of a transaction whose id is the chain
    /// id's hash, which no real transaction has.
    ///
    /// # Errors
    /// None that can be provoked: an empty tree in memory is read.
    pub fn start(&self) -> Result<GenesisState, TreeError> {
        let chain = self.chain_id();
        let entries: Vec<(OutPoint, Entry)> = (0_u32..)
            .zip(&self.allocations)
            .map(|(index, allocation)| {
                let asset = allocation.asset.as_ref().and_then(|symbol| self.asset_id(symbol));
                let output = Output {
                    asset: asset.unwrap_or(AssetId::NATIVE),
                    amount: allocation.amount,
                    lock: Lock::Wallet(allocation.payout.clone()),
                };
                (OutPoint { tx: TxId(chain.0), index }, Entry { output, height: 0, time: self.time })
            })
            .collect();
        let come = entries
            .iter()
            .map(|(outpoint, entry)| (StateKey::Output(*outpoint), StateEntry::Output(entry.clone())));
        let (state_root, tree) = tree::update(&MemoryNodes::new(), None, 0, &tree_changes(come, []))?;
        let header = Header {
            chain,
            height: 0,
            parent: BlockId(Digest::ZERO),
            time: self.time,
            transactions_root: Digest::ZERO,
            state_root,
            validators: self.validators.digest(),
            proposer: PublicKey([0; 32]),
        };
        Ok(GenesisState { block: Block { header, transactions: Vec::new() }, entries, tree })
    }
}
