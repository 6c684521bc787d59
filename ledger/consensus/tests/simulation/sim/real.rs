//! The real ledger behind a simulated node: its genesis, rules, mempool and packer. It lives in memory and is made again
//! out of the chain on the node's disk when the node starts.

use std::rc::Rc;
use std::sync::Arc;

use towpath_consensus::{Check, Validity};
use towpath_crypto::ChainId;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::chain::{
    BlockEffects, Candidate, Checks, Pace, Proposal, Tip, build_block, execute_block, next_time,
};
use towpath_ledger::genesis::Genesis;
use towpath_ledger::mempool::{Admitted, Mempool, PoolLimits, Refusal, Source};
use towpath_ledger::rules::{BlockContext, Signatures};
use towpath_ledger::tree::MemoryNodes;
use towpath_ledger::{Block, Header, MemoryView, Time, Transaction, Witness};

use super::disk::{Clock, Disk};

/// The ledger after the last block on the disk, and what waits for the next.
pub struct Real {
    pub genesis: Rc<Genesis>,
    pub chain: ChainId,
    pub view: MemoryView,
    pub parent: Header,
    pub pool: Mempool,
    nodes: MemoryNodes,
    pace: Pace,
}

impl Real {
    /// Replays what is on the disk.
    pub fn open(genesis: &Rc<Genesis>, disk: &Disk, now: Time) -> Self {
        let start = genesis.start().expect("an empty tree");
        let mut nodes = MemoryNodes::new();
        nodes.apply(start.tree);
        let mut view = MemoryView::default();
        view.entries.extend(start.entries);
        let mut real = Self {
            chain: genesis.chain_id(),
            pool: Mempool::new(PoolLimits::for_chain(&genesis.params)),
            pace: Pace::new(now, &genesis.params.blocks),
            genesis: genesis.clone(),
            view,
            parent: start.block.header,
            nodes,
        };
        for (block, _) in &disk.chain {
            let effects =
                real.execute(block, Checks::Replay).expect("what is on the disk was applied before");
            real.apply(block, &effects, now);
        }
        real
    }

    fn tip(&self) -> Tip<'_, MemoryView, MemoryNodes> {
        Tip {
            chain: self.chain,
            params: &self.genesis.params,
            validators: &self.genesis.validators,
            parent: &self.parent,
            view: &self.view,
            nodes: &self.nodes,
        }
    }

    fn execute(&self, block: &Block, checks: Checks) -> Result<BlockEffects, String> {
        execute_block(self.tip(), block, checks, &self.pool).map_err(|error| {
            assert!(!error.is_local(), "memory can be read: {error}");
            error.to_string()
        })
    }

    fn apply(&mut self, block: &Block, effects: &BlockEffects, now: Time) {
        for (outpoint, _) in &effects.spent {
            self.view.entries.remove(outpoint);
        }
        self.view.entries.extend(effects.created.iter().cloned());
        self.view.secrets.extend(effects.secrets.iter().map(|(key, time, _)| (*key, *time)));
        self.nodes.apply(effects.tree.clone());
        self.pool.on_block(effects);
        self.pace.applied(effects.time.ms_since(self.parent.time), now, &self.genesis.params.blocks);
        self.parent = block.header.clone();
    }

    /// Applies a decided block.
    pub fn commit(&mut self, block: &Block, now: Time) {
        let effects = self.execute(block, Checks::Replay).expect("the engine has asked before");
        self.apply(block, &effects, now);
    }

    /// Whether a block may follow.
    pub fn validate(&self, block: &Block, check: Check, now: Time) -> Validity {
        let rise_ms_max = self.pace.rise_ms_max(now, &self.genesis.params.blocks);
        let checks = match check {
            Check::Proposal => Checks::Full { now, rise_ms_max },
            Check::Decided => Checks::Replay,
        };
        self.execute(block, checks).map_or_else(Validity::Invalid, |_| Validity::Valid)
    }

    /// Lets a transaction wait.
    pub fn submit(&mut self, transaction: Transaction, now: Time) -> Result<Admitted, Refusal> {
        let params = &self.genesis.params;
        let context = BlockContext {
            chain: self.chain,
            height: self.parent.height + 1,
            time: next_time(self.parent.time, now, &self.pace, &params.blocks),
            params: &params.rules,
        };
        self.pool.insert(transaction, Source::Local, &self.view, &context, Signatures::Verify)
    }

    /// A block on the tip, as `clock` has it, without what `leave_out` names.
    pub fn build(
        &self,
        proposer: PublicKey,
        clock: Clock,
        now: Time,
        leave_out: impl Fn(&Transaction) -> bool,
    ) -> Block {
        let params = &self.genesis.params;
        let mut candidates = self.pool.candidates(params.blocks.transactions_bytes_max());
        let wanted = |candidate: &Candidate| !leave_out(&candidate.transaction);
        candidates.reserved.retain(wanted);
        candidates.general.retain(wanted);
        let before = self.parent.time;
        let time = match clock {
            Clock::Right => next_time(before, now, &self.pace, &params.blocks),
            Clock::AheadByAnHour => now.plus_ms(3_600_000),
            Clock::BackByAnHour => Time(before.0 - 3_600_000),
            Clock::Still => before,
            Clock::Slow => before.plus_ms(1),
            Clock::Fast => now
                .plus_ms(params.blocks.clock_drift_ms_max)
                .min(before.plus_ms(self.pace.rise_ms_max(now, &params.blocks))),
        };
        let proposal = Proposal { proposer, time };
        let built = build_block(self.tip(), &candidates, proposal, &self.pool);
        let mut block = built.expect("memory can be read").block;
        block.header.time = time;
        block
    }
}

/// Whether somebody answers a close with it.
pub fn is_dispute(transaction: &Transaction) -> bool {
    let disputes = |witness: &Witness| {
        matches!(witness, Witness::Supersede { .. } | Witness::Penalize { .. } | Witness::Answer { .. })
    };
    transaction.witnesses.iter().any(disputes)
}

/// Whether a block does.
pub fn has_dispute(block: &Arc<Block>) -> bool {
    block.transactions.iter().any(is_dispute)
}
