//! A ledger with its mempool, and channels whose parties can post any state that they ever signed.

use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::chain::{BlockEffects, ChainParams, Proposal, Tip, Validator, ValidatorSet, build_block};
use towpath_ledger::genesis::{Allocation, AssetName, Genesis};
use towpath_ledger::mempool::{Mempool, PoolLimits, Refusal, Source};
use towpath_ledger::rules::{BlockContext, Signatures};
use towpath_ledger::settle::{self, Place, Posting};
use towpath_ledger::tree::MemoryNodes;
use towpath_ledger::*;
use towpath_protocol::tower::{At, Posted, Record, Sighting};

/// What each channel holds, and what the wallet brings for each.
pub const CAPACITY: Amount = Amount(1_000_000);

/// The bound on fees of the channels here.
pub const CLOSE_FEE_MAX: Amount = Amount(10_000);

/// Channels opened by one transaction.
const OPENINGS: usize = 400;

fn wallet() -> WalletSecret {
    WalletSecret::from_bytes([9; 32]).expect("a scalar")
}

/// See the module.
pub struct Ledger {
    pub genesis: Genesis,
    pub chain: ChainId,
    pub view: MemoryView,
    nodes: MemoryNodes,
    pub parent: Header,
    pub pool: Mempool,
    coin: (OutPoint, Output),
    opened: u32,
}

impl Ledger {
    pub fn new() -> Self {
        let key = SecretKey::from_bytes(&[200; 32]).public();
        let genesis = Genesis {
            name: "towers".into(),
            time: Time(1_790_000_000_000),
            native: AssetName { symbol: "TOW".into(), decimals: 6 },
            params: ChainParams::default(),
            validators: ValidatorSet::new(vec![Validator { key, power: 1 }]).expect("a proper set"),
            assets: Vec::new(),
            allocations: vec![Allocation {
                payout: Payout::Key(wallet().public()),
                asset: None,
                amount: Amount(1 << 50),
            }],
        };
        genesis.check().expect("a proper genesis");
        let state = genesis.start().expect("an empty tree");
        let mut nodes = MemoryNodes::new();
        nodes.apply(state.tree);
        let mut view = MemoryView::default();
        view.entries.extend(state.entries);
        let (outpoint, entry) = view.entries.iter().next().expect("one allocation");
        Self {
            chain: genesis.chain_id(),
            coin: (*outpoint, entry.output.clone()),
            pool: Mempool::new(PoolLimits::for_chain(&genesis.params)),
            genesis,
            nodes,
            parent: state.block.header,
            view,
            opened: 0,
        }
    }

    pub fn rules(&self) -> towpath_protocol::tower::LedgerRules {
        towpath_protocol::tower::LedgerRules {
            chain: self.chain,
            params: self.genesis.params.rules.clone(),
            block_step_ms_max: self.genesis.params.blocks.block_step_ms_max,
        }
    }

    pub fn place(&self) -> Place<'_> {
        Place { chain: self.chain, params: &self.genesis.params.rules, asset: AssetId::NATIVE }
    }

    pub const fn at(&self) -> At {
        At { height: self.parent.height, time: self.parent.time }
    }

    /// So many channels, on the ledger.
    pub fn open(&mut self, count: usize) -> Vec<Pair> {
        let mut pairs = Vec::with_capacity(count);
        while pairs.len() < count {
            pairs.extend(self.open_some((count - pairs.len()).min(OPENINGS)));
        }
        pairs
    }

    fn open_some(&mut self, count: usize) -> Vec<Pair> {
        let (first_input, spent) = self.coin.clone();
        let mut pairs: Vec<Pair> = (0..count)
            .map(|index| {
                self.opened += 1;
                Pair::new(self.chain, self.opened, first_input, u32::try_from(index).expect("few"))
            })
            .collect();
        let mut outputs: Vec<Output> = pairs.iter().map(Pair::output).collect();
        let fee = 1_000_000;
        let rest = spent.amount.units() - CAPACITY.units() * count as u64 - fee;
        outputs.push(Output { amount: Amount(rest), ..spent.clone() });
        let opening = self.sign(first_input, &spent, outputs);
        let id = opening.id();
        for (index, pair) in pairs.iter_mut().enumerate() {
            pair.funding = OutPoint { tx: id, index: u32::try_from(index).expect("few") };
        }
        self.coin = (
            OutPoint { tx: id, index: u32::try_from(count).expect("few") },
            Output { amount: Amount(rest), ..spent },
        );
        self.submit(opening).expect("an opening is taken");
        self.block(1_000);
        assert!(pairs.iter().all(|pair| self.view.entries.contains_key(&pair.funding)), "all are open");
        pairs
    }

    /// Hands a transaction to the pool, as one's own node does.
    pub fn submit(&mut self, transaction: Transaction) -> Result<(), Refusal> {
        self.submit_from(transaction, Source::Local)
    }

    pub fn submit_from(&mut self, transaction: Transaction, source: Source) -> Result<(), Refusal> {
        let context = BlockContext {
            chain: self.chain,
            height: self.parent.height + 1,
            time: self.parent.time.plus_ms(1_000),
            params: &self.genesis.params.rules,
        };
        self.pool.insert(transaction, source, &self.view, &context, Signatures::Verify).map(drop)
    }

    /// The next block, so much later: what it did to channels, and how large it was.
    pub fn block(&mut self, step_ms: u64) -> (Vec<Sighting>, u64) {
        let tip = Tip {
            chain: self.chain,
            params: &self.genesis.params,
            validators: &self.genesis.validators,
            parent: &self.parent,
            view: &self.view,
            nodes: &self.nodes,
        };
        let proposer = SecretKey::from_bytes(&[200; 32]).public();
        let proposal = Proposal { proposer, time: self.parent.time.plus_ms(step_ms) };
        let bytes = u64::from(self.genesis.params.blocks.block_bytes_max);
        let built = build_block(tip, &self.pool.candidates(bytes), proposal, &self.pool).expect("in memory");
        for dropped in &built.dropped {
            self.pool.remove(&dropped.id);
        }
        self.apply(&built.block, &built.effects);
        self.pool.on_block(&built.effects);
        let used = built.block.transactions.iter().map(codec_len).sum();
        (sightings(&built.block, &built.effects), used)
    }

    fn apply(&mut self, block: &Block, effects: &BlockEffects) {
        for (outpoint, _) in &effects.spent {
            self.view.entries.remove(outpoint);
        }
        self.view.entries.extend(effects.created.iter().cloned());
        self.nodes.apply(effects.tree.clone());
        self.parent = block.header.clone();
    }

    /// Fills the pool with ten blocks' worth of ordinary transactions that pay ten times the least fee.
    pub fn flood(&mut self) {
        let general = self.genesis.params.blocks.general_bytes_max();
        let outputs = 2_800;
        let key = wallet();
        let paid =
            |amount| Output { asset: AssetId::NATIVE, amount, lock: Lock::Wallet(Payout::Key(key.public())) };
        let each = Amount(10_000_000);
        let count = usize::try_from(general * 10 / (80 * outputs)).expect("some dozens") + 1;
        let (coin, output) = self.coin.clone();
        let rest = output.amount.units() - each.units() * count as u64 - 1_000_000;
        let mut split = vec![paid(each); count];
        split.push(paid(Amount(rest)));
        let split = self.sign(coin, &output, split);
        let id = split.id();
        self.coin = (OutPoint { tx: id, index: u32::try_from(count).expect("few") }, paid(Amount(rest)));
        self.submit(split).expect("a split is taken");
        self.block(1_000);
        for index in 0..count {
            let from = OutPoint { tx: id, index: u32::try_from(index).expect("few") };
            let dust = Amount((each.units() - 2_300_000) / outputs);
            let crumbs = vec![paid(dust); usize::try_from(outputs).expect("few")];
            let flood = self.sign(from, &paid(each), crumbs);
            self.submit(flood).expect("the pool holds more than this");
        }
    }

    fn sign(&self, input: OutPoint, spent: &Output, outputs: Vec<Output>) -> Transaction {
        let body = TxBody {
            chain: self.chain,
            inputs: vec![input],
            outputs,
            not_before: None,
            expiry: None,
            payload: None,
        };
        let spend = Spend { transaction: body.id(), spent: vec![spent.clone()] };
        let key = wallet();
        let witness = Witness::Wallet(vec![(key.public(), key.sign(&self.chain, &spend))]);
        Transaction { body, witnesses: vec![witness] }
    }

    /// The closing of a channel, if it is being closed.
    pub fn closing(&self, channel: ChannelId) -> Option<Posted> {
        self.view.entries.iter().find_map(|(outpoint, entry)| match &entry.output.lock {
            Lock::Closing(closing) if closing.terms.id == channel => Some(posted(*outpoint, entry, closing)),
            _ => None,
        })
    }

    /// What lies in the wallet of a channel's party.
    pub fn paid(&self, payout: &Payout) -> u64 {
        let lock = Lock::Wallet(payout.clone());
        self.view.entries.values().filter(|e| e.output.lock == lock).map(|e| e.output.amount.units()).sum()
    }

    /// Every closing there is: what a tower looks at when it starts.
    pub fn closings(&self) -> Vec<Sighting> {
        let closings = self.view.entries.iter().filter_map(|(outpoint, entry)| match &entry.output.lock {
            Lock::Closing(closing) => Some(Sighting::Posted(Box::new(posted(*outpoint, entry, closing)))),
            _ => None,
        });
        closings.collect()
    }

    /// Adds what a dispute lacks, out of the wallet that opened the channels, and submits it: as a tower's own node does.
    pub fn sponsor(
        &mut self,
        mut transaction: Transaction,
        short: Amount,
        source: Source,
    ) -> Result<(), Refusal> {
        let (coin, output) = self.coin.clone();
        let more = self.genesis.params.rules.fee_min(36 + 108 + 80);
        let change =
            Output { amount: Amount(output.amount.units() - short.units() - more.units()), ..output };
        let mut inputs = transaction.body.inputs.clone();
        inputs.push(coin);
        let spent = inputs.iter().map(|input| self.view.entries[input].output.clone()).collect();
        transaction.body.inputs = inputs;
        transaction.body.outputs.push(change.clone());
        let spend = Spend { transaction: transaction.body.id(), spent };
        let key = wallet();
        transaction.witnesses.push(Witness::Wallet(vec![(key.public(), key.sign(&self.chain, &spend))]));
        let index = u32::try_from(transaction.body.outputs.len() - 1).expect("few");
        let next = (OutPoint { tx: transaction.id(), index }, change);
        self.submit_from(transaction, source)?;
        self.coin = next;
        Ok(())
    }
}

fn codec_len(transaction: &Transaction) -> u64 {
    towpath_crypto::codec::encode(transaction).len() as u64
}

fn posted(outpoint: OutPoint, entry: &Entry, closing: &Closing) -> Posted {
    Posted {
        outpoint,
        created: entry.time,
        asset: entry.output.asset,
        amount: entry.output.amount,
        closing: Box::new(closing.clone()),
    }
}

/// What a block did to channels, as a node reads it off.
fn sightings(block: &Block, effects: &BlockEffects) -> Vec<Sighting> {
    let mut seen = Vec::new();
    for (transaction, result) in block.transactions.iter().zip(&effects.transactions) {
        for ((_, entry), witness) in result.changes.spent.iter().zip(&transaction.witnesses) {
            let (channel, tag) = match (&entry.output.lock, witness) {
                (Lock::Closing(closing), Witness::Finalize { .. } | Witness::Answer { .. }) => {
                    (closing.terms.id, closing.state.tag)
                }
                (_, Witness::Cooperative { state, .. }) => (state.state.channel, state.state.tag),
                _ => continue,
            };
            seen.push(Sighting::Settled { channel, tag });
        }
        for (outpoint, entry) in &result.changes.created {
            if let Lock::Closing(closing) = &entry.output.lock {
                seen.push(Sighting::Posted(Box::new(posted(*outpoint, entry, closing))));
            }
        }
    }
    seen
}

/// A channel and both parties' keys.
#[derive(Clone)]
pub struct Pair {
    pub chain: ChainId,
    pub terms: ChannelTerms,
    pub capacity: Amount,
    pub funding: OutPoint,
    pub a: SecretKey,
    pub b: SecretKey,
    /// The tag of another channel, which the ledger does not mind.
    pub borrowed_tag: Option<ChannelTag>,
}

impl Pair {
    fn new(chain: ChainId, number: u32, first_input: OutPoint, index: u32) -> Self {
        let key = |side: u8| {
            let mut bytes = [side; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            bytes
        };
        let (a, b) = (SecretKey::from_bytes(&key(1)), SecretKey::from_bytes(&key(2)));
        let payout = |side| Payout::Key(WalletSecret::from_bytes(key(side)).expect("a scalar").public());
        let (key_a, key_b) = (a.public(), b.public());
        let terms = ChannelTerms {
            id: ChannelId::derive(&chain, &first_input, index, &key_a, &key_b),
            generation: 0,
            key_a,
            key_b,
            payout_a: payout(3),
            payout_b: payout(4),
            dispute_window_ms: 600_000,
            penalty_basis_points: 5_000,
            reserve: Amount::ZERO,
            close_fee_max: CLOSE_FEE_MAX,
            expiry: None,
        };
        Self { chain, terms, capacity: CAPACITY, funding: first_input, a, b, borrowed_tag: None }
    }

    fn output(&self) -> Output {
        let lock = Lock::Channel(Box::new(self.terms.clone()));
        Output { asset: AssetId::NATIVE, amount: self.capacity, lock }
    }

    pub fn id(&self) -> ChannelId {
        self.terms.id
    }

    pub fn key(&self, party: Party) -> &SecretKey {
        match party {
            Party::A => &self.a,
            Party::B => &self.b,
        }
    }

    pub fn tag(&self) -> ChannelTag {
        let own = || ChannelTag::derive(&self.a, &self.terms.key_b, &self.terms.id).expect("no weak key");
        self.borrowed_tag.unwrap_or_else(own)
    }

    /// The state of a version: A pays B a thousand with each.
    pub fn state(&self, version: u64) -> ChannelState {
        let paid = version * 1_000;
        ChannelState {
            channel: self.terms.id,
            tag: self.tag(),
            generation: self.terms.generation,
            version,
            is_final: false,
            sequencer: Party::A,
            balance_a: Amount(self.capacity.units() - paid),
            balance_b: Amount(paid),
            pending_total: Amount::ZERO,
            pending_root: Digest::ZERO,
        }
    }

    /// Signed by both. The sequencer A says that it held the version before, the follower B that it holds this one.
    pub fn co_signed(&self, version: u64) -> CoSigned {
        let state = self.state(version);
        let a = StateSignature::sign(&self.a, &self.chain, &state, version - 1);
        let b = StateSignature::sign(&self.b, &self.chain, &state, version);
        CoSigned { state, a, b }
    }

    pub fn record(&self, party: Party, version: u64) -> Record {
        Record {
            party,
            newest: self.co_signed(version),
            sent_a: version,
            sent_b: 0,
            peer: PublicKey([7; 32]),
            key_index: 5,
        }
    }

    /// `author` closes alone with this version, for the least fee.
    pub fn close(&self, ledger: &Ledger, author: Party, version: u64) -> Transaction {
        let place = ledger.place();
        let state = self.co_signed(version);
        let fee = settle::unilateral_fee(&place, &self.terms, (&state.state, self.capacity), author);
        let fee = fee.expect("balances cover it");
        let intent = CloseIntent { state: state.state.clone(), author, fee };
        let signature = self.key(author).sign(&self.chain, &intent);
        let posting = Posting {
            funding: self.funding,
            capacity: self.capacity,
            terms: &self.terms,
            state: &state,
            author,
            fee,
            signature,
        };
        settle::unilateral(&place, &posting).expect("a close")
    }

    /// A is paid so much out of the channel: the transaction, and the channel as it is afterwards. Versions count on.
    pub fn resize(&self, paid_out: Amount) -> (Transaction, Self) {
        let mut next = self.clone();
        next.terms.generation += 1;
        next.capacity = self.capacity.checked_sub(paid_out).expect("so much is there");
        // Two signatures, an input and two outputs.
        let fee = Amount(2_000);
        let amount = paid_out.checked_sub(fee).expect("more than the fee");
        let lock = Lock::Wallet(self.terms.payout_a.clone());
        let body = TxBody {
            chain: self.chain,
            inputs: vec![self.funding],
            outputs: vec![next.output(), Output { asset: AssetId::NATIVE, amount, lock }],
            not_before: None,
            expiry: None,
            payload: None,
        };
        let intent = ResizeIntent { transaction: body.id(), channel: self.id() };
        let (a, b) = (self.a.sign(&self.chain, &intent), self.b.sign(&self.chain, &intent));
        next.funding = OutPoint { tx: body.id(), index: 0 };
        (Transaction { body, witnesses: vec![Witness::Resize { a, b }] }, next)
    }

    /// Anyone supersedes with this version, taking `fee` out of the other party's balance.
    pub fn supersede(&self, ledger: &Ledger, version: u64, fee: Amount) -> Transaction {
        let posted = ledger.closing(self.id()).expect("it is being closed");
        let state = self.co_signed(version);
        let mut next = (*posted.closing).clone();
        next.state = state.state.clone();
        next.deadline = Deadline::At(posted.deadline());
        next.other_fees = next.other_fees.checked_add(fee).expect("small");
        let amount = posted.amount.checked_sub(fee).expect("enough");
        let output = Output { asset: AssetId::NATIVE, amount, lock: Lock::Closing(Box::new(next)) };
        let body = TxBody {
            chain: self.chain,
            inputs: vec![posted.outpoint],
            outputs: vec![output],
            not_before: None,
            expiry: None,
            payload: None,
        };
        Transaction { body, witnesses: vec![Witness::Supersede { state: Box::new(state), fee }] }
    }
}
