//! What a block leaves in the database, as one batch: after a crash all of it is there, or nothing of it.

use towpath_ledger::chain::{BlockEffects, CommitCertificate};
use towpath_ledger::genesis::{Genesis, GenesisState};
use towpath_ledger::proof::RecordedSecret;
use towpath_ledger::tree::{self, TreeBatch};
use towpath_ledger::{Block, ChainId, Entry, Header, OutPoint};

use super::index;
use super::keys::{self, VERSION};
use super::log;
use super::read::Place;
use super::store::{ChainStore, ChainTip, KeepBlocks, TipRow};
use crate::batch::Batch;
use crate::column::Column;
use crate::error::StoreError;
use crate::row;
use crate::store::Store;

/// Everything of block 0.
pub(super) fn genesis_batch(genesis: &Genesis) -> Result<Batch, StoreError> {
    let start = genesis.start().map_err(|error| StoreError::Corrupt { what: error.to_string() })?;
    let GenesisState { block, entries, tree } = &start;
    let mut batch = Batch::new();
    batch.put(Column::Meta, keys::CHAIN_KEY, row::encode::<ChainId>(VERSION, &block.header.chain));
    put_block(&mut batch, block)?;
    put_tree(&mut batch, tree);
    put_outputs(&mut batch, entries);
    index::genesis(&mut batch, &block.header, entries);
    Ok(batch)
}

impl<S: Store> ChainStore<S> {
    /// The batch that applies `block` on the tip: outputs, secrets, state tree, block and certificate, indexes, tip, and
    /// the removal of the consensus log up to its height. The caller commits it, with whatever else belongs to that
    /// moment, and then calls [`ChainStore::applied`].
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`] if the block, its certificate and its effects do not belong together or not on this
    /// tip; others if what is to be pruned cannot be read.
    pub fn apply(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
        effects: &BlockEffects,
    ) -> Result<Batch, StoreError> {
        self.check_follows(block, certificate, effects)?;
        let height = effects.height;
        let mut batch = Batch::new();
        put_block(&mut batch, block)?;
        batch.put(Column::Blocks, keys::certificate(height), row::encode(VERSION, certificate));
        for (outpoint, _) in &effects.spent {
            batch.delete(Column::Outputs, keys::outpoint(outpoint));
        }
        put_outputs(&mut batch, &effects.created);
        put_secrets(&mut batch, effects);
        put_tree(&mut batch, &effects.tree);
        index::block(&mut batch, effects)?;
        log::prune(&mut batch, height);
        self.prune_tree(&mut batch, height)?;
        self.prune_block(&mut batch, height)?;
        Ok(batch)
    }

    /// Moves the tip to `block`, whose batch has been committed.
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`] if it does not follow the tip.
    pub fn applied(&self, block: &Block, effects: &BlockEffects) -> Result<(), StoreError> {
        check_on_tip(&self.tip(), &block.header)?;
        self.cache().apply(&effects.spent, &effects.created);
        self.set_tip(ChainTip::new(block.header.clone()));
        Ok(())
    }

    fn check_follows(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
        effects: &BlockEffects,
    ) -> Result<(), StoreError> {
        let header = &block.header;
        check_on_tip(&self.tip(), header)?;
        if certificate.height != header.height || certificate.block != header.id() {
            return Err(out_of_order(header, "its certificate is for another block"));
        }
        let same_block = effects.height == header.height
            && effects.state_root == header.state_root
            && effects.transactions.len() == block.transactions.len();
        if same_block { Ok(()) } else { Err(out_of_order(header, "its effects are those of another block")) }
    }

    fn prune_tree(&self, batch: &mut Batch, height: u64) -> Result<(), StoreError> {
        let Some(version) = (height + 1).checked_sub(self.retention.tree_versions) else { return Ok(()) };
        let plan =
            tree::prune(self, version).map_err(|error| StoreError::Corrupt { what: error.to_string() })?;
        for key in plan.delete {
            batch.delete(Column::StateTree, key);
        }
        Ok(())
    }

    /// Removes the block that is now too old, and where its transactions are. Block 0 stays: it has no transactions.
    fn prune_block(&self, batch: &mut Batch, height: u64) -> Result<(), StoreError> {
        let kept = match self.retention.blocks {
            KeepBlocks::All => return Ok(()),
            KeepBlocks::Newest(kept) => kept.max(1),
        };
        let Some(old) = height.checked_sub(kept).filter(|old| *old > 0) else { return Ok(()) };
        let Some(block) = self.block(old)? else { return Ok(()) };
        for transaction in &block.transactions {
            batch.delete(Column::TxIndex, keys::transaction(&transaction.id()));
        }
        batch.delete(Column::Blocks, keys::block(old));
        batch.delete(Column::Blocks, keys::certificate(old));
        Ok(())
    }
}

fn check_on_tip(tip: &ChainTip, header: &Header) -> Result<(), StoreError> {
    if header.height != tip.height() + 1 || header.parent != tip.id() || header.chain != tip.header().chain {
        return Err(out_of_order(header, &format!("the last block is {}", tip.height())));
    }
    Ok(())
}

fn out_of_order(header: &Header, why: &str) -> StoreError {
    StoreError::OutOfOrder(format!("block {} can't be applied: {why}", header.height))
}

/// The block, its header apart, its id, its transactions' places, and the tip.
fn put_block(batch: &mut Batch, block: &Block) -> Result<(), StoreError> {
    let (height, id) = (block.header.height, block.id());
    batch.put(Column::Blocks, keys::block(height), row::encode(VERSION, block));
    batch.put(Column::Blocks, keys::header(height), row::encode(VERSION, &block.header));
    batch.put(Column::Blocks, keys::height_of(&id), row::encode(VERSION, &height));
    for (index, transaction) in block.transactions.iter().enumerate() {
        let index =
            u32::try_from(index).map_err(|_| out_of_order(&block.header, "it has too many transactions"))?;
        let place = row::encode(VERSION, &Place { height, index });
        batch.put(Column::TxIndex, keys::transaction(&transaction.id()), place);
    }
    batch.put(Column::Meta, keys::TIP_KEY, row::encode(VERSION, &TipRow { height, block: id }));
    Ok(())
}

fn put_outputs(batch: &mut Batch, created: &[(OutPoint, Entry)]) {
    for (outpoint, entry) in created {
        batch.put(Column::Outputs, keys::outpoint(outpoint), row::encode(VERSION, entry));
    }
}

fn put_secrets(batch: &mut Batch, effects: &BlockEffects) {
    for (time, condition) in &effects.forgotten {
        batch.delete(Column::Secrets, keys::secret(condition));
        batch.delete(Column::Secrets, keys::secret_by_time(*time, condition));
    }
    for (condition, time, secret) in &effects.secrets {
        let recorded = RecordedSecret { time: *time, secret: *secret };
        batch.put(Column::Secrets, keys::secret(condition), row::encode(VERSION, &recorded));
        batch.put(Column::Secrets, keys::secret_by_time(*time, condition), [VERSION]);
    }
}

/// The tree's rows carry their own format.
fn put_tree(batch: &mut Batch, tree: &TreeBatch) {
    for (key, row) in &tree.rows {
        batch.put(Column::StateTree, key.clone(), row.clone());
    }
}
