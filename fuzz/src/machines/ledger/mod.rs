//! The ledger and its mempool: transactions of every kind, healthy ones and ones with one change, in any order, early, twice,
//! against each other, at two replicas that keep the same ledger in different ways. One holds it in maps and for ever; the other as
//! rows of bytes, prunes its tree, falls behind, forgets its pool at restarts. Blocks come out of either's pool, out of any list of
//! candidates, and out of a proposer that lies.
//!
//! Whatever the script says: the supply is what was issued less the fees (I1), roots and verdicts are the same on both (I5, L14),
//! pools keep their bounds and hold nothing that contradicts the ledger (I9, B-60 to B-66), what a builder picks is valid for those who
//! verify everything, and state proofs hold (FAULTS L1, L6, L7, L9, L21).

mod makers;
mod replica;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use makers::{Ground, Makers, WALLETS, key_of};
use replica::{Chain, Kept as _, Replica, Rows};
use towpath_crypto::codec;
use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_ledger::chain::{
    BlockEffects, BlockError, Candidate, Candidates, ChainParams, Validator, ValidatorSet,
};
use towpath_ledger::genesis::{Allocation, AssetName, Genesis};
use towpath_ledger::limits;
use towpath_ledger::mempool::{PoolLimits, Source};
use towpath_ledger::merkle;
use towpath_ledger::proof::{StateEntry, StateKey};
use towpath_ledger::rules::audit::Supply;
use towpath_ledger::tree::TreeError;
use towpath_ledger::*;

use crate::script::Script;

pub use replica::Fault;

/// Actions of a script: each may sign and verify a dozen times.
const ACTIONS_MAX: usize = 70;

/// When the ledger begins.
const START: Time = Time(1_790_000_000_000);

/// Coins of each wallet at the start, and what each holds.
const COINS: u32 = 2;
const COIN: Amount = Amount(2_000_000);

/// Transactions that were made and can be handed in again, changed, or built upon before they are on the ledger.
const KNOWN_MAX: usize = 40;

/// Blocks by which the second replica may be behind.
const BEHIND_MAX: usize = 4;

/// Versions of the state tree that it keeps.
const RETAINS: u64 = 3;

/// The longest step of ledger time but for journeys: a dispute window is six of them.
const STEP_MS_MAX: u64 = 2_000;

struct Scene {
    chain: Chain,
    makers: Makers,
    first: Replica<MemoryView>,
    second: Replica<Rows>,
    /// What the second has not applied yet.
    behind: VecDeque<(Block, BlockEffects)>,
    supply: Supply,
    known: VecDeque<Transaction>,
    /// How many inputs of each kind were decided.
    reached: BTreeMap<&'static str, u64>,
}

/// Whether the script said anything.
pub fn run(bytes: &[u8]) -> bool {
    run_with(bytes, None)
}

/// The same with a replica that goes wrong.
pub fn run_with(bytes: &[u8], fault: Option<Fault>) -> bool {
    play(bytes, fault).is_some_and(|(_, acted)| acted)
}

/// How many inputs of each kind a script has decided.
pub fn decided(bytes: &[u8]) -> BTreeMap<&'static str, u64> {
    play(bytes, None).map_or_else(BTreeMap::new, |(scene, _)| scene.reached)
}

/// Plays a script: what came of it, and whether anything happened.
fn play(bytes: &[u8], fault: Option<Fault>) -> Option<(Scene, bool)> {
    let mut script = Script::new(bytes);
    let mut scene = Scene::new(script.below(3)?);
    scene.second.goes_wrong(fault);
    let mut acted = false;
    for _ in 0..ACTIONS_MAX {
        if scene.act(&mut script).is_none() {
            break;
        }
        acted = true;
    }
    scene.catch_up(usize::MAX);
    scene.second.restart(&scene.chain);
    Some((scene, acted))
}

/// A ledger's bounds: those of any ledger, or so small that pools, shares and blocks are full after a few transactions.
fn sizes(size: usize) -> (ChainParams, PoolLimits) {
    let mut params = ChainParams::default();
    params.rules.dispute_window_ms_min = 6 * STEP_MS_MAX;
    params.rules.dispute_window_ms_max = 12 * STEP_MS_MAX;
    params.rules.conditional_expiry_ms_max = 300 * STEP_MS_MAX;
    params.rules.secret_retention_ms = 324 * STEP_MS_MAX;
    params.blocks.block_step_ms_max = STEP_MS_MAX;
    params.blocks.time_travel = true;
    params.blocks.reserved_basis_points = 5_000;
    if size > 0 {
        params.rules.transaction_bytes_max = 1_800;
        params.blocks.block_bytes_max = 4_096;
    }
    let mut pool = PoolLimits::for_chain(&params);
    if size > 1 {
        (pool.reserved_bytes, pool.general_bytes) = (64 << 10, 24 << 10);
    }
    (params, pool)
}

fn genesis(params: ChainParams) -> Genesis {
    let validator = Validator { key: SecretKey::from_bytes(&[99; 32]).public(), power: 1 };
    let allocation = |wallet, asset| Allocation { payout: key_of(wallet), asset, amount: COIN };
    let coins = (0..WALLETS).flat_map(|wallet| (0..COINS).map(move |_| allocation(wallet, None)));
    Genesis {
        name: "script".into(),
        time: START,
        native: AssetName { symbol: "TOW".into(), decimals: 6 },
        params,
        validators: ValidatorSet::new(vec![validator]).expect("a proper set"),
        assets: vec![AssetName { symbol: "GOLD".into(), decimals: 0 }],
        allocations: coins.chain([allocation(0, Some("GOLD".into()))]).collect(),
    }
}

impl Scene {
    fn new(size: usize) -> Self {
        let (params, pool) = sizes(size);
        let genesis = genesis(params);
        assert!(size > 0 || genesis.check().is_ok(), "any ledger may begin like this");
        let state = genesis.start().expect("an empty tree");
        let chain = Chain {
            id: genesis.chain_id(),
            params: genesis.params.clone(),
            validators: genesis.validators.clone(),
            pool,
        };
        Self {
            makers: Makers::default(),
            first: Replica::new(&chain, &state, None),
            second: Replica::new(&chain, &state, Some(RETAINS)),
            behind: VecDeque::new(),
            supply: Supply::at_genesis(&MemoryView::begin(&state.entries)),
            known: VecDeque::new(),
            reached: BTreeMap::new(),
            chain,
        }
    }

    fn act(&mut self, script: &mut Script<'_>) -> Option<()> {
        match script.below(32)? {
            0..13 => {
                let outputs = self.outputs();
                let now = self.first.parent.time;
                let ground = Ground { chain: &self.chain, outputs, start: START, now };
                if let Some(made) = self.makers.make(&ground, script)? {
                    self.hand(made, script)?;
                }
            }
            13 | 14 => {
                if let Some(mutant) = self.pick(script)?.and_then(|healthy| mutant(&healthy, script)) {
                    self.hand(mutant, script)?;
                }
            }
            15 | 16 => {
                if let Some(again) = self.pick(script)? {
                    self.hand(again, script)?;
                }
            }
            17..24 => self.block(script)?,
            24 | 25 => self.own_block(script)?,
            26 => self.hostile_block(script)?,
            27 | 28 => self.catch_up(1 + script.below(BEHIND_MAX)?),
            29 => {
                self.catch_up(usize::MAX);
                self.second.restart(&self.chain);
            }
            _ => self.proofs(script)?,
        }
        Some(())
    }

    /// What there is to spend: the ledger's outputs, and those of the last transactions that are not on it.
    fn outputs(&self) -> BTreeMap<OutPoint, Entry> {
        let next = self.chain.context(&self.first.parent);
        let hoped = self.known.iter().rev().take(4).flat_map(|transaction| {
            let id = transaction.id();
            (0..).zip(&transaction.body.outputs).map(move |(index, output)| {
                let entry = Entry { output: output.clone(), height: next.height, time: next.time };
                (OutPoint { tx: id, index }, entry)
            })
        });
        let mut outputs: BTreeMap<OutPoint, Entry> = hoped.collect();
        outputs.extend(self.first.view.entries.iter().map(|(point, entry)| (*point, entry.clone())));
        outputs
    }

    /// A transaction that was made before.
    fn pick(&self, script: &mut Script<'_>) -> Option<Option<Transaction>> {
        let at = script.below(self.known.len())?;
        Some(self.known.get(at).cloned())
    }

    /// Hands a transaction to one replica, the other, or both. On one tip both say the same about it.
    fn hand(&mut self, transaction: Transaction, script: &mut Script<'_>) -> Option<()> {
        if self.behind.is_empty() {
            let here = self.first.verdict(&self.chain, &transaction);
            let there = self.second.verdict(&self.chain, &transaction);
            assert_eq!(here, there, "I5: one verdict on one tip");
        }
        let (to, from) = (script.below(4)?, script.byte()?);
        let source = match from % 4 {
            0 => Source::Local,
            peer => Source::Peer(PublicKey([peer; 32])),
        };
        if to != 1 {
            self.first.hand(&self.chain, transaction.clone(), source);
        }
        if to > 0 {
            self.second.hand(&self.chain, transaction.clone(), source);
        }
        if to > 2 {
            self.first.hand(&self.chain, transaction.clone(), Source::Local);
        }
        self.known.push_back(transaction);
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
        Some(())
    }

    /// A block out of what waits at one of them.
    fn block(&mut self, script: &mut Script<'_>) -> Option<()> {
        let (by_first, step_ms) = (script.flip()?, step_ms(script)?);
        let built = if by_first {
            self.first.build(&self.chain, None, step_ms)
        } else {
            self.catch_up(usize::MAX);
            self.second.build(&self.chain, None, step_ms)
        };
        self.decide(built.block, Some(built.effects));
        Some(())
    }

    /// A block out of any transactions in any order, of which some build on others: what is not valid is left out.
    fn own_block(&mut self, script: &mut Script<'_>) -> Option<()> {
        let step_ms = step_ms(script)?;
        let mut candidates = Candidates::default();
        for _ in 0..script.below(8)? {
            let Some(transaction) = self.pick(script)? else { continue };
            let candidate = Candidate {
                leaf: merkle::leaf(&transaction),
                bytes: u64::try_from(codec::encode(&transaction).len()).unwrap_or(u64::MAX),
                transaction: Arc::new(transaction),
            };
            if script.flip()? { &mut candidates.reserved } else { &mut candidates.general }.push(candidate);
        }
        let built = self.first.build(&self.chain, Some(&candidates), step_ms);
        self.decide(built.block, Some(built.effects));
        Some(())
    }

    /// A block as a proposer that lies may make it: both say the same about it, and what both accept may be decided.
    fn hostile_block(&mut self, script: &mut Script<'_>) -> Option<()> {
        self.catch_up(usize::MAX);
        let mut block = self.first.build(&self.chain, None, step_ms(script)?).block;
        let other = self.pick(script)?;
        let (kind, place) = (script.below(8)?, script.byte()?);
        let transactions = &mut block.transactions;
        let at = usize::from(place) % transactions.len().max(1);
        match kind {
            0 => transactions.extend(transactions.get(at).cloned()),
            1 => transactions.reverse(),
            2 => transactions.rotate_left(at),
            3 => transactions.truncate(at),
            4 => transactions.extend(other),
            5 => transactions.extend(other.and_then(|healthy| mutant(&healthy, script))),
            6 => {
                if let Some(transaction) = transactions.get_mut(at) {
                    *transaction = mutant(transaction, script).unwrap_or_else(|| transaction.clone());
                }
            }
            _ => header(&mut block.header, script)?,
        }
        let leaves: Vec<Digest> = block.transactions.iter().map(merkle::leaf).collect();
        block.header.transactions_root = merkle::root(&leaves);
        // With the root that the others would find.
        if let Err(BlockError::StateRoot { found, .. }) = self.first.execute_anew(&self.chain, &block) {
            block.header.state_root = found;
        }
        let here = self.first.execute_anew(&self.chain, &block);
        let there = self.second.execute(&self.chain, &block);
        assert_eq!(here, there, "I5: one verdict on one tip");
        if let Ok(effects) = here {
            self.decide(block, Some(effects));
        }
        Some(())
    }

    /// A decided block: the first applies it at once, as one who verifies everything; the second when it gets to it.
    fn decide(&mut self, block: Block, built: Option<BlockEffects>) {
        let effects = self.first.execute_anew(&self.chain, &block);
        let effects = effects.unwrap_or_else(|error| panic!("what was built is refused: {error}"));
        if let Some(built) = built {
            assert_eq!(built, effects, "building and executing say the same");
        }
        for (transaction, result) in block.transactions.iter().zip(&effects.transactions) {
            self.supply.record(transaction, &result.changes);
            for witness in &transaction.witnesses {
                *self.reached.entry(kind(witness)).or_default() += 1;
            }
        }
        self.first.apply(&self.chain, &block, &effects);
        self.supply.check(&self.first.view).unwrap_or_else(|error| panic!("I1: {error}"));
        self.behind.push_back((block, effects));
        self.catch_up(self.behind.len().saturating_sub(BEHIND_MAX));
    }

    /// The second replica applies so many blocks of those that it has not yet.
    fn catch_up(&mut self, blocks: usize) {
        for _ in 0..blocks {
            let Some((block, effects)) = self.behind.pop_front() else { break };
            let found = self.second.execute(&self.chain, &block);
            assert_eq!(found.as_ref(), Ok(&effects), "I5: one block does the same on both");
            self.second.apply(&self.chain, &block, &effects);
        }
        if self.behind.is_empty() {
            assert_eq!(self.first.parent, self.second.parent, "I5: one tip");
            let here = self.first.view.entries.iter();
            let here =
                here.map(|(point, entry)| (StateKey::Output(*point), StateEntry::Output(entry.clone())));
            let there = self.second.view.state().into_iter();
            let there = there.filter(|(key, _)| matches!(key, StateKey::Output(_)));
            assert!(here.eq(there), "I5: the same outputs on both");
        }
    }

    /// Proofs about an output that is there, or was: at the tip, and as far back as each keeps its tree.
    fn proofs(&self, script: &mut Script<'_>) -> Option<()> {
        let (place, back) = (script.byte()?, u64::from(script.byte()? % 6));
        let outputs = self.outputs();
        let point = outputs.keys().nth(usize::from(place) % outputs.len().max(1));
        let Some(point) = point else { return Some(()) };
        let key = StateKey::Output(*point);
        let entry = self.first.view.entries.get(point).cloned().map(StateEntry::Output);
        let proof = self.first.prove(0, &key).expect("the tip is kept");
        let root = self.first.parent.state_root;
        assert_eq!(proof.verify(&root, &key, entry.as_ref()), Ok(()), "a proof of what is");
        let other = Some(StateEntry::Output(Entry {
            output: Output { asset: AssetId::NATIVE, amount: Amount(1), lock: Lock::Wallet(key_of(0)) },
            height: u64::MAX,
            time: START,
        }));
        assert!(proof.verify(&root, &key, other.as_ref()).is_err(), "no proof of what is not");
        if self.behind.is_empty() {
            assert_eq!(self.second.prove(0, &key), Ok(proof), "one tree on both");
        }
        match self.second.prove(back, &key) {
            Ok(_) => assert!(self.second.keeps(back) || back > self.second.parent.height, "{back} is pruned"),
            Err(TreeError::NoVersion(_)) => assert!(!self.second.keeps(back), "{back} blocks back is kept"),
            Err(error) => panic!("the tree has a hole {back} blocks back: {error}"),
        }
        Some(())
    }
}

const fn kind(witness: &Witness) -> &'static str {
    match witness {
        Witness::Wallet(_) => "wallet",
        Witness::Cooperative { .. } => "cooperative",
        Witness::Unilateral { .. } => "unilateral",
        Witness::Supersede { .. } => "supersede",
        Witness::Penalize { .. } => "penalize",
        Witness::Answer { .. } => "answer",
        Witness::Finalize { .. } => "finalize",
        Witness::Resize { .. } => "resize",
        Witness::Resolve { .. } => "resolve",
    }
}

/// By how much a block is later: mostly one step, at times past windows, expiries, and the end of what is remembered.
fn step_ms(script: &mut Script<'_>) -> Option<u64> {
    let byte = u64::from(script.byte()?);
    Some(if byte < 200 { 1 + byte * STEP_MS_MAX / 200 } else { (byte - 199) * 4 * STEP_MS_MAX })
}

/// Something else in a header.
fn header(header: &mut Header, script: &mut Script<'_>) -> Option<()> {
    let byte = script.byte()?;
    match script.below(8)? {
        0 => header.time = Time(header.time.0 ^ 1 << (byte % 64)),
        1 => header.height ^= 1 << (byte % 64),
        2 => header.parent.0.0[usize::from(byte % 32)] ^= 1,
        3 => header.chain.0.0[usize::from(byte % 32)] ^= 1,
        4 => header.validators.0[usize::from(byte % 32)] ^= 1,
        5 => header.proposer.0[usize::from(byte % 32)] ^= 1,
        _ => header.state_root.0[usize::from(byte % 32)] ^= 1,
    }
    Some(())
}

/// One change to the bytes of a healthy transaction; none if that makes it unreadable.
fn mutant(healthy: &Transaction, script: &mut Script<'_>) -> Option<Transaction> {
    let mut bytes = codec::encode(healthy);
    let (at, what) = (usize::try_from(script.number()?).ok()? % bytes.len(), script.byte()?);
    let number = bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map(u64::from_le_bytes);
    let changed = match (what % 8, number) {
        (0..3, _) | (_, None) => {
            bytes[at] ^= 1 << (what / 8 % 8);
            None
        }
        (3, Some(number)) => Some(number.wrapping_add(1)),
        (4, Some(number)) => Some(number.wrapping_sub(1)),
        (5, Some(_)) => Some(u64::MAX),
        (6, Some(_)) => Some(0),
        (_, Some(number)) => Some(number << 1),
    };
    if let Some(changed) = changed {
        bytes[at..at + 8].copy_from_slice(&changed.to_le_bytes());
    }
    codec::decode(&bytes, limits::TRANSACTION_BYTES_MAX as usize).ok()
}
