//! A replica of the ledger: outputs and secrets in one of two arrangements, the state tree, the mempool and what came too
//! early, beside a second, simpler set of books about the pool.

use std::collections::{BTreeMap, BTreeSet};

use towpath_crypto::codec;
use towpath_ledger::chain::{
    BlockEffects, BlockError, Built, Candidates, ChainParams, Checks, NoneVerified, Proposal, Tip,
    ValidatorSet, Verified, build_block, execute_block,
};
use towpath_ledger::limits;
use towpath_ledger::mempool::{Awaited, Early, Mempool, PoolLimits, Queue, Refusal, Source};
use towpath_ledger::merkle;
use towpath_ledger::proof::{RecordedSecret, StateEntry, StateKey, prove, tree_changes};
use towpath_ledger::rules::{BlockContext, Changes, Signatures, TxError, apply_transaction};
use towpath_ledger::tree::{self, MemoryNodes, TreeError};
use towpath_ledger::{
    Block, ChainId, Digest, Entry, Header, MemoryView, OutPoint, Time, Transaction, TxId, View, ViewError,
};

/// A row of an output is no larger than the transaction that made it.
const ROW_BYTES_MAX: usize = limits::TRANSACTION_BYTES_MAX as usize;

/// A mistake that a replica makes: what the target must find, or it shows little.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The first output that a block spends stays where it was.
    KeepsSpent,
    /// A restart loses when secrets were recorded.
    ForgetsSecrets,
    /// One version of the state tree more than was agreed is pruned.
    PrunesTooMuch,
    /// A transaction counts as verified when one of its id is, whatever its witnesses.
    VerifiesById,
    /// Blocks do not reach the mempool.
    KeepsDecided,
}

/// What all replicas have in common.
pub struct Chain {
    pub id: ChainId,
    pub params: ChainParams,
    pub validators: ValidatorSet,
    pub pool: PoolLimits,
}

impl Chain {
    /// The next block, as soon as it can be.
    pub fn context(&self, parent: &Header) -> BlockContext<'_> {
        let (height, time) = (parent.height + 1, parent.time.plus_ms(1));
        BlockContext { chain: self.id, height, time, params: &self.params.rules }
    }
}

/// How a replica keeps outputs and secrets.
pub trait Kept: View {
    /// What the genesis made.
    fn begin(entries: &[(OutPoint, Entry)]) -> Self;
    /// What a block changes.
    fn take_in(&mut self, effects: &BlockEffects);
}

impl Kept for MemoryView {
    fn begin(entries: &[(OutPoint, Entry)]) -> Self {
        Self { entries: entries.iter().cloned().collect(), secrets: BTreeMap::new() }
    }

    fn take_in(&mut self, effects: &BlockEffects) {
        for (outpoint, _) in &effects.spent {
            self.entries.remove(outpoint);
        }
        self.entries.extend(effects.created.iter().cloned());
        self.secrets.extend(effects.secrets.iter().map(|(key, time, _)| (*key, *time)));
        for (_, key) in &effects.forgotten {
            self.secrets.remove(key);
        }
    }
}

/// Everything as rows of bytes, as a store has it: outputs and secrets by their keys, and secrets by their times as well.
#[derive(Default)]
pub struct Rows {
    outputs: BTreeMap<Vec<u8>, Vec<u8>>,
    secrets: BTreeMap<Digest, Vec<u8>>,
    by_time: BTreeSet<(Time, Digest)>,
    keeps_spent: bool,
}

impl Rows {
    /// All of it, as the state tree has it.
    pub fn state(&self) -> Vec<(StateKey, StateEntry)> {
        let outputs = self.outputs.iter().map(|(key, row)| {
            let outpoint: OutPoint = codec::decode(key, ROW_BYTES_MAX).expect("it was encoded");
            let entry: Entry = codec::decode(row, ROW_BYTES_MAX).expect("it was encoded");
            (StateKey::Output(outpoint), StateEntry::Output(entry))
        });
        let secrets = self.secrets.iter().map(|(key, row)| {
            let secret: RecordedSecret = codec::decode(row, ROW_BYTES_MAX).expect("it was encoded");
            (StateKey::Secret(*key), StateEntry::Secret(secret))
        });
        outputs.chain(secrets).collect()
    }
}

impl View for Rows {
    fn entry(&self, outpoint: &OutPoint) -> Result<Option<Entry>, ViewError> {
        let row = self.outputs.get(&codec::encode(outpoint));
        row.map(|row| codec::decode(row, ROW_BYTES_MAX).map_err(|error| ViewError(error.to_string())))
            .transpose()
    }

    fn secret_time(&self, condition: &Digest) -> Result<Option<Time>, ViewError> {
        let row = self.secrets.get(condition);
        let read = |row: &Vec<u8>| codec::decode::<RecordedSecret>(row, ROW_BYTES_MAX);
        row.map(|row| read(row).map(|secret| secret.time).map_err(|error| ViewError(error.to_string())))
            .transpose()
    }

    fn secrets_until(&self, time: Time, limit: usize) -> Result<Vec<(Time, Digest)>, ViewError> {
        Ok(self.by_time.iter().take_while(|(recorded, _)| *recorded <= time).take(limit).copied().collect())
    }
}

impl Kept for Rows {
    fn begin(entries: &[(OutPoint, Entry)]) -> Self {
        let outputs = entries.iter().map(|(key, entry)| (codec::encode(key), codec::encode(entry)));
        Self { outputs: outputs.collect(), ..Self::default() }
    }

    fn take_in(&mut self, effects: &BlockEffects) {
        for (outpoint, _) in effects.spent.iter().skip(usize::from(self.keeps_spent)) {
            self.outputs.remove(&codec::encode(outpoint)).expect("what is spent was there");
        }
        for (outpoint, entry) in &effects.created {
            self.outputs.insert(codec::encode(outpoint), codec::encode(entry));
        }
        for (key, time, secret) in &effects.secrets {
            let recorded = RecordedSecret { time: *time, secret: *secret };
            self.secrets.insert(*key, codec::encode(&recorded));
            self.by_time.insert((*time, *key));
        }
        for (time, key) in &effects.forgotten {
            self.secrets.remove(key);
            self.by_time.remove(&(*time, *key));
        }
    }
}

/// What the second set of books says about a transaction that waits.
struct Waiting {
    source: Source,
    queue: Queue,
    cost: u64,
}

/// See the module.
pub struct Replica<L> {
    pub view: L,
    pub nodes: MemoryNodes,
    pub parent: Header,
    pub pool: Mempool,
    early: Early,
    waiting: BTreeMap<TxId, Waiting>,
    /// Versions of the state tree that are kept; none: all of them.
    retains: Option<u64>,
    fault: Option<Fault>,
}

impl<L: Kept> Replica<L> {
    /// Behind the genesis.
    pub fn new(chain: &Chain, genesis: &towpath_ledger::genesis::GenesisState, retains: Option<u64>) -> Self {
        let mut nodes = MemoryNodes::new();
        nodes.apply(genesis.tree.clone());
        Self {
            view: L::begin(&genesis.entries),
            nodes,
            parent: genesis.block.header.clone(),
            pool: Mempool::new(chain.pool),
            early: Early::default(),
            waiting: BTreeMap::new(),
            retains,
            fault: None,
        }
    }

    pub fn tip<'a>(&'a self, chain: &'a Chain) -> Tip<'a, L, MemoryNodes> {
        Tip {
            chain: chain.id,
            params: &chain.params,
            validators: &chain.validators,
            parent: &self.parent,
            view: &self.view,
            nodes: &self.nodes,
        }
    }

    /// What the rules say about a transaction in the next block.
    pub fn verdict(&self, chain: &Chain, transaction: &Transaction) -> Result<Changes, TxError> {
        apply_transaction(transaction, &self.view, &chain.context(&self.parent), Signatures::Verify)
    }

    /// Somebody brings a transaction. The pool takes nothing that is not valid, and refuses what is for no reason but its
    /// bounds and what waits already.
    pub fn hand(&mut self, chain: &Chain, transaction: Transaction, source: Source) {
        let verdict = self.verdict(chain, &transaction);
        let (id, before) = (transaction.id(), self.pool.len());
        let context = chain.context(&self.parent);
        match self.pool.insert(transaction.clone(), source, &self.view, &context, Signatures::Verify) {
            Ok(admitted) => {
                let changes = verdict.unwrap_or_else(|error| panic!("B-60: {error} waits"));
                for gone in &admitted.replaced {
                    assert!(self.waiting.remove(gone).is_some(), "only what waited is replaced");
                }
                let cost = changes.bytes + limits::POOL_OVERHEAD_BYTES;
                self.waiting.insert(id, Waiting { source, queue: admitted.queue, cost });
            }
            Err(refusal) => {
                assert_eq!(self.pool.len(), before, "a refusal changes nothing");
                match (&refusal, &verdict) {
                    (Refusal::Invalid(said), Err(error)) => assert_eq!(said, error, "one reason"),
                    (Refusal::NotFinal(point), Err(TxError::MissingInput(missing))) => {
                        assert_eq!(point, missing, "one reason");
                    }
                    (Refusal::Invalid(_) | Refusal::NotFinal(_), _) => {
                        panic!("valid, and refused as {refusal}")
                    }
                    (
                        Refusal::Known(_)
                        | Refusal::Conflict { .. }
                        | Refusal::Full { .. }
                        | Refusal::SourceShare { .. },
                        _,
                    ) => {}
                }
                if let Err(TxError::MissingInput(waits_for)) = verdict {
                    let since = self.parent.height;
                    self.early.keep(Awaited { transaction, source, waits_for, since });
                }
            }
        }
        self.check(chain);
    }

    /// A block out of what waits, or of these candidates. What does not get in has been overtaken by time or by a secret; nothing else
    /// makes what waits invalid (B-60).
    pub fn build(&mut self, chain: &Chain, others: Option<&Candidates>, step_ms: u64) -> Built {
        let proposer = chain.validators.members()[0].key;
        let proposal = Proposal { proposer, time: self.parent.time.plus_ms(step_ms) };
        let waiting = self.pool.candidates(chain.params.blocks.block_bytes_max.into());
        let candidates = others.unwrap_or(&waiting);
        let built = build_block(self.tip(chain), candidates, proposal, &self.pool);
        let built = built.expect("everything can be read");
        for dropped in &built.dropped {
            let (id, error) = (dropped.id, &dropped.error);
            if others.is_none() {
                assert!(is_overtaken(error), "B-60: {error} was among the candidates");
            }
            if self.waiting.contains_key(&id) && is_overtaken(error) {
                assert!(self.pool.remove(&id) && self.waiting.remove(&id).is_some());
            }
        }
        built
    }

    /// What a block does here, as one that only its own pool saves from verifying signatures.
    pub fn execute(&self, chain: &Chain, block: &Block) -> Result<BlockEffects, BlockError> {
        let tip = self.tip(chain);
        match self.fault {
            Some(Fault::VerifiesById) => {
                let known = |tx: &&Transaction| self.pool.transaction(&tx.id()).is_some();
                let leaves = block.transactions.iter().filter(known).map(merkle::leaf).collect();
                execute_block(tip, block, Checks::Replay, &These(leaves))
            }
            Some(Fault::KeepsSpent | Fault::ForgetsSecrets | Fault::PrunesTooMuch | Fault::KeepsDecided)
            | None => execute_block(tip, block, Checks::Replay, &self.pool),
        }
    }

    /// The same as one who verifies everything.
    pub fn execute_anew(&self, chain: &Chain, block: &Block) -> Result<BlockEffects, BlockError> {
        execute_block(self.tip(chain), block, Checks::Replay, &NoneVerified)
    }

    /// A block was decided.
    pub fn apply(&mut self, chain: &Chain, block: &Block, effects: &BlockEffects) {
        self.view.take_in(effects);
        self.nodes.apply(effects.tree.clone());
        self.parent = block.header.clone();
        self.prune();
        if self.fault != Some(Fault::KeepsDecided) {
            for removed in self.pool.on_block(effects) {
                assert!(self.waiting.remove(&removed.id).is_some(), "only what waited leaves");
            }
        }
        for id in self.waiting.keys() {
            let transaction = self.pool.transaction(id).expect("the books agree");
            let overtaken = |error| assert!(is_overtaken(&error), "B-65: {error} waits behind a block");
            self.verdict(chain, transaction).map_or_else(overtaken, drop);
        }
        let Self { early, view, .. } = self;
        let is_there = |outpoint: &OutPoint| view.entry(outpoint).map(|entry| entry.is_some());
        let ripe = early.ripe(block.header.height, is_there).expect("everything can be read");
        for awaited in ripe {
            self.hand(chain, awaited.transaction, awaited.source);
        }
        self.check(chain);
    }

    fn prune(&mut self) {
        let Some(retains) = self.retains else { return };
        let more = u64::from(self.fault == Some(Fault::PrunesTooMuch));
        let Some(version) = (self.parent.height + 1 + more).checked_sub(retains) else { return };
        let plan = tree::prune(&self.nodes, version).expect("everything can be read");
        self.nodes.prune(&plan);
    }

    /// The pool is within its bounds (I9), and what the second set of books says.
    pub fn check(&self, chain: &Chain) {
        assert_eq!(self.pool.len(), self.waiting.len(), "the books agree");
        let mut sums: BTreeMap<(Queue, Option<Source>), u64> = BTreeMap::new();
        for (id, Waiting { source, queue, cost }) in &self.waiting {
            assert!(self.pool.transaction(id).is_some(), "the books agree");
            *sums.entry((*queue, None)).or_default() += cost;
            *sums.entry((*queue, Some(*source))).or_default() += cost;
        }
        for queue in Queue::ALL {
            let (used, most) = self.pool.usage(queue);
            assert_eq!(used, sums.get(&(queue, None)).copied().unwrap_or(0), "the books agree");
            assert!(used <= most, "I9: {used} of {most} bytes wait in the queue of {queue}");
        }
        for ((queue, source), used) in sums {
            let (_, most) = self.pool.usage(queue);
            let is_peer = matches!(source, Some(Source::Peer(_)));
            assert!(!is_peer || used <= most / limits::POOL_SOURCE_SHARE, "B-63: {used} of {most}");
        }
        assert!(self.early.bytes() <= 3 * limits::EARLY_SHELF_BYTES, "I9: what came too early");
        assert_eq!(chain.id, self.parent.chain);
    }

    /// Proves what the ledger says about a key, at the tip and as far back as is kept.
    pub fn prove(&self, back: u64, key: &StateKey) -> Result<towpath_ledger::proof::StateProof, TreeError> {
        prove(&self.nodes, self.parent.height.saturating_sub(back), key)
    }

    /// Whether the version so far back is kept.
    pub fn keeps(&self, back: u64) -> bool {
        back <= self.parent.height && self.retains.is_none_or(|retains| back < retains)
    }
}

impl Replica<Rows> {
    /// Makes a mistake from now on.
    pub fn goes_wrong(&mut self, fault: Option<Fault>) {
        self.fault = fault;
        self.view.keeps_spent = fault == Some(Fault::KeepsSpent);
    }

    /// Starts again with what is stored: rows and nodes. The root follows from the rows alone (B-14).
    pub fn restart(&mut self, chain: &Chain) {
        let (root, _) = tree::update(&MemoryNodes::new(), None, 0, &tree_changes(self.view.state(), []))
            .expect("nothing is read");
        assert_eq!(root, self.parent.state_root, "I5: the rows are those of the root");
        self.pool = Mempool::new(chain.pool);
        self.early = Early::default();
        self.waiting.clear();
        if self.fault == Some(Fault::ForgetsSecrets) {
            self.view.secrets.clear();
            self.view.by_time.clear();
        }
    }
}

/// Leaves that count as verified.
struct These(BTreeSet<Digest>);

impl Verified for These {
    fn is_verified(&self, leaf: &Digest) -> bool {
        self.0.contains(leaf)
    }
}

/// Whether time alone, or a secret that was recorded meanwhile, can make a transaction that waits invalid in this way.
const fn is_overtaken(error: &TxError) -> bool {
    matches!(
        error,
        TxError::Expired(_)
            | TxError::Channel { .. }
            | TxError::BadTerms { .. }
            | TxError::Undemanded(_)
            | TxError::Dust { .. }
            | TxError::Underpaid(_)
            | TxError::NotContinued(_)
    )
}
