//! Opening the ledger in a database, and its tip.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bincode::{Decode, Encode};
use towpath_ledger::genesis::Genesis;
use towpath_ledger::tree;
use towpath_ledger::{BlockId, ChainId, Digest, Header};

use super::apply::genesis_batch;
use super::cache::HotOutputs;
use super::keys::{self, VERSION};
use crate::column::Column;
use crate::error::StoreError;
use crate::limits::{SMALL_ROW_BYTES_MAX, TREE_VERSIONS_MIN};
use crate::row;
use crate::store::Store;

/// Which blocks are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepBlocks {
    /// All: an archive, which can serve any of them to others.
    All,
    /// The newest so many, at least one. Headers are kept for ever.
    Newest(u64),
}

/// What of the past is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Blocks with their certificates and where their transactions are.
    pub blocks: KeepBlocks,
    /// Heights of which the state tree can give proofs; at least two.
    pub tree_versions: u64,
}

impl Default for Retention {
    /// Every block, and proofs of the last thousand heights.
    fn default() -> Self {
        Self { blocks: KeepBlocks::All, tree_versions: 1_000 }
    }
}

/// The last applied block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainTip {
    header: Header,
    id: BlockId,
}

impl ChainTip {
    pub(super) fn new(header: Header) -> Self {
        let id = header.id();
        Self { header, id }
    }

    /// Its header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.id
    }

    /// Its height.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.header.height
    }
}

/// The row that says where the ledger is.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct TipRow {
    pub height: u64,
    pub block: BlockId,
}

/// The ledger in a store.
pub struct ChainStore<S> {
    pub(super) store: S,
    pub(super) retention: Retention,
    chain: ChainId,
    tip: RwLock<Arc<ChainTip>>,
    cache: Mutex<HotOutputs>,
}

impl<S> std::fmt::Debug for ChainStore<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainStore")
            .field("chain", &self.chain)
            .field("tip", &self.tip())
            .finish_non_exhaustive()
    }
}

impl<S: Store> ChainStore<S> {
    /// Opens the ledger of `genesis` in `store`; an empty store gets its block 0, in one commit.
    ///
    /// # Errors
    /// [`StoreError::OtherChain`] if another ledger is in it; [`StoreError::Corrupt`] if its tip, its blocks and its
    /// state tree do not fit together.
    pub fn open(store: S, genesis: &Genesis, retention: Retention) -> Result<Self, StoreError> {
        let chain = genesis.chain_id();
        match store.get(Column::Meta, keys::CHAIN_KEY)? {
            None => {
                store.commit(genesis_batch(genesis)?)?;
            }
            Some(bytes) => {
                let found: ChainId = row::decode("the chain id", VERSION, &bytes, SMALL_ROW_BYTES_MAX)?;
                if found != chain {
                    let (found, expected) = (found.0.to_string(), chain.0.to_string());
                    return Err(StoreError::OtherChain { found, expected });
                }
            }
        }
        let retention =
            Retention { tree_versions: retention.tree_versions.max(TREE_VERSIONS_MIN), ..retention };
        let empty = Header {
            chain,
            height: 0,
            parent: BlockId(Digest::ZERO),
            time: genesis.time,
            transactions_root: Digest::ZERO,
            state_root: Digest::ZERO,
            validators: Digest::ZERO,
            proposer: towpath_crypto::ed25519::PublicKey([0; 32]),
        };
        let opened = Self {
            store,
            retention,
            chain,
            tip: RwLock::new(Arc::new(ChainTip::new(empty))),
            cache: Mutex::default(),
        };
        let tip = opened.read_tip()?;
        opened.set_tip(tip);
        Ok(opened)
    }

    /// Reads the tip, and checks that header, id and state tree agree on it.
    fn read_tip(&self) -> Result<ChainTip, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt { what: what.to_owned() };
        let bytes = self
            .store
            .get(Column::Meta, keys::TIP_KEY)?
            .ok_or_else(|| corrupt("there is a ledger without a tip"))?;
        let row: TipRow = row::decode("the ledger's tip", VERSION, &bytes, SMALL_ROW_BYTES_MAX)?;
        let header = self.header(row.height)?.ok_or_else(|| corrupt("the tip has no header"))?;
        let tip = ChainTip::new(header);
        if tip.id != row.block || tip.header.height != row.height || tip.header.chain != self.chain {
            return Err(corrupt("the tip names another block"));
        }
        let root =
            tree::root(self, row.height).map_err(|error| StoreError::Corrupt { what: error.to_string() })?;
        if root == tip.header.state_root {
            Ok(tip)
        } else {
            Err(corrupt("the state tree does not lead to the state root of the last block"))
        }
    }
}

impl<S> ChainStore<S> {
    /// The ledger.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The last applied block.
    #[must_use]
    pub fn tip(&self) -> Arc<ChainTip> {
        Arc::clone(&self.tip.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The store below.
    #[must_use]
    pub const fn store(&self) -> &S {
        &self.store
    }

    pub(super) fn set_tip(&self, tip: ChainTip) {
        *self.tip.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tip);
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, HotOutputs> {
        // A cache is whole between any two statements: a panic leaves it usable.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
