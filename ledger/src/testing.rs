//! A small ledger for the tests of blocks, mempool and light client: wallets with one coin each, channels between them.

use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::schnorr::WalletSecret;

use crate::chain::*;
use crate::genesis::{Allocation, AssetName, Genesis};
use crate::rules::BlockContext;
use crate::tree::MemoryNodes;
use crate::types::*;
use crate::view::MemoryView;

/// What each wallet starts with.
pub const COIN: Amount = Amount(1_000_000_000);
/// The capacity of each channel.
pub const CAPACITY: Amount = Amount(100_000_000);
/// Enough for any transaction made here.
pub const FEE: Amount = Amount(20_000);
/// When the ledger starts.
pub const START: Time = Time(1_790_000_000_000);

/// The wallet key with this number.
pub fn wallet(number: u32) -> WalletSecret {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&(number + 1).to_be_bytes());
    WalletSecret::from_bytes(bytes).expect("a small number above zero is a scalar")
}

/// The validator with this number.
pub fn validator(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[200 + number; 32])
}

pub fn paid(number: u32, amount: Amount) -> Output {
    Output { asset: AssetId::NATIVE, amount, lock: Lock::Wallet(Payout::Key(wallet(number).public())) }
}

/// The ledger after its last block.
#[derive(Clone)]
pub struct World {
    pub genesis: Genesis,
    pub chain: ChainId,
    pub view: MemoryView,
    pub nodes: MemoryNodes,
    pub parent: Header,
}

impl World {
    /// Four validators, and so many wallets.
    pub fn new(wallets: u32) -> Self {
        Self::with(wallets, ChainParams::default())
    }

    pub fn with(wallets: u32, params: ChainParams) -> Self {
        let members = (1..=4).map(|n| Validator { key: validator(n).public(), power: 1 }).collect();
        let allocation =
            |number| Allocation { payout: Payout::Key(wallet(number).public()), asset: None, amount: COIN };
        let genesis = Genesis {
            name: "test".into(),
            time: START,
            native: AssetName { symbol: "TOW".into(), decimals: 6 },
            params,
            validators: ValidatorSet::new(members).expect("a proper set"),
            assets: Vec::new(),
            allocations: (0..wallets).map(allocation).collect(),
        };
        genesis.check().expect("a proper genesis");
        let state = genesis.start().expect("an empty tree");
        let mut nodes = MemoryNodes::new();
        nodes.apply(state.tree);
        let mut view = MemoryView::default();
        view.entries.extend(state.entries);
        Self { chain: genesis.chain_id(), genesis, view, nodes, parent: state.block.header }
    }

    pub fn tip(&self) -> Tip<'_, MemoryView, MemoryNodes> {
        Tip {
            chain: self.chain,
            params: &self.genesis.params,
            validators: &self.genesis.validators,
            parent: &self.parent,
            view: &self.view,
            nodes: &self.nodes,
        }
    }

    /// The next block's.
    pub fn context(&self) -> BlockContext<'_> {
        BlockContext {
            chain: self.chain,
            height: self.parent.height + 1,
            time: self.parent.time.plus_ms(1_000),
            params: &self.genesis.params.rules,
        }
    }

    /// A proposal for a second later.
    pub fn proposal(&self) -> Proposal {
        Proposal { proposer: validator(1).public(), time: self.parent.time.plus_ms(1_000) }
    }

    pub fn build(&self, transactions: &[Transaction]) -> Built {
        let general = transactions.iter().map(candidate).collect();
        let candidates = Candidates { reserved: Vec::new(), general };
        build_block(self.tip(), &candidates, self.proposal(), &NoneVerified).expect("everything is in memory")
    }

    pub fn apply(&mut self, block: &Block, effects: &BlockEffects) {
        for (outpoint, _) in &effects.spent {
            self.view.entries.remove(outpoint);
        }
        self.view.entries.extend(effects.created.iter().cloned());
        self.view.secrets.extend(effects.secrets.iter().map(|(key, time, _)| (*key, *time)));
        for (_, key) in &effects.forgotten {
            self.view.secrets.remove(key);
        }
        self.nodes.apply(effects.tree.clone());
        self.parent = block.header.clone();
    }

    /// Builds, executes and applies a block; all of the transactions must be in it.
    pub fn step(&mut self, transactions: &[Transaction]) -> BlockEffects {
        let built = self.build(transactions);
        assert_eq!(built.dropped, []);
        assert_eq!(built.block.transactions.len(), transactions.len());
        self.apply(&built.block, &built.effects);
        built.effects
    }

    /// The coin of a wallet.
    pub fn coin(&self, number: u32) -> OutPoint {
        OutPoint { tx: TxId(self.chain.0), index: number }
    }

    /// Wallet `number` spends what it owns at `outpoint`.
    pub fn spend(
        &self,
        number: u32,
        outpoint: OutPoint,
        outputs: Vec<Output>,
        payload: Option<Payload>,
    ) -> Transaction {
        let body = TxBody {
            chain: self.chain,
            inputs: vec![outpoint],
            outputs,
            not_before: None,
            expiry: None,
            payload,
        };
        self.sign(number, body)
    }

    pub fn sign(&self, number: u32, body: TxBody) -> Transaction {
        let output =
            |outpoint| self.view.entries.get(outpoint).map_or(paid(number, COIN), |e| e.output.clone());
        let spend = Spend { transaction: body.id(), spent: body.inputs.iter().map(output).collect() };
        let key = wallet(number);
        let witness = Witness::Wallet(vec![(key.public(), key.sign(&self.chain, &spend))]);
        Transaction { witnesses: vec![witness; body.inputs.len()], body }
    }

    /// Wallet `number` pays its coin to another, in so many outputs, for this fee.
    pub fn pay(&self, number: u32, outputs: u32, fee: Amount) -> Transaction {
        let rest = COIN.units() - fee.units();
        let each = rest / u64::from(outputs);
        let mut made = vec![paid(number + 1, Amount(each)); usize::try_from(outputs).expect("few")];
        made[0].amount = Amount(each + rest % u64::from(outputs));
        self.spend(number, self.coin(number), made, None)
    }

    /// Wallet `number` reveals a secret of its own.
    pub fn reveal(&self, number: u32, secret: u8) -> Transaction {
        let payload = Payload::Reveal(vec![Secret::Preimage([secret; 32])]);
        let outputs = vec![paid(number, Amount(COIN.units() - FEE.units()))];
        self.spend(number, self.coin(number), outputs, Some(payload))
    }

    /// Wallet `number` opens a channel.
    pub fn open(&self, number: u32) -> (Transaction, Channel) {
        let channel = Channel::new(self, number);
        let output = Output {
            asset: AssetId::NATIVE,
            amount: CAPACITY,
            lock: Lock::Channel(Box::new(channel.terms.clone())),
        };
        let rest = Amount(COIN.units() - CAPACITY.units() - FEE.units());
        (self.spend(number, self.coin(number), vec![output, paid(number, rest)], None), channel)
    }
}

pub fn candidate(transaction: &Transaction) -> Candidate {
    Candidate {
        transaction: std::sync::Arc::new(transaction.clone()),
        leaf: crate::merkle::leaf(transaction),
        bytes: towpath_crypto::codec::encode(transaction).len() as u64,
    }
}

/// A channel, and both parties' keys.
#[derive(Clone)]
pub struct Channel {
    pub chain: ChainId,
    pub terms: ChannelTerms,
    a: SecretKey,
    b: SecretKey,
}

impl Channel {
    fn new(world: &World, number: u32) -> Self {
        let key = |side: u8| {
            let mut bytes = [side; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            SecretKey::from_bytes(&bytes)
        };
        let (a, b) = (key(1), key(2));
        let (key_a, key_b) = (a.public(), b.public());
        let terms = ChannelTerms {
            id: ChannelId::derive(&world.chain, &world.coin(number), 0, &key_a, &key_b),
            generation: 0,
            key_a,
            key_b,
            payout_a: Payout::Key(wallet(number).public()),
            payout_b: Payout::Key(wallet(number + 1).public()),
            dispute_window_ms: world.genesis.params.rules.dispute_window_ms_min,
            penalty_basis_points: 5_000,
            reserve: Amount::ZERO,
            close_fee_max: Amount(1_000_000),
            expiry: None,
        };
        Self { chain: world.chain, terms, a, b }
    }

    /// The state of this version, signed by both.
    pub fn state(&self, version: u64) -> CoSigned {
        let state = ChannelState {
            channel: self.terms.id,
            tag: ChannelTag::derive(&self.a, &self.terms.key_b, &self.terms.id).expect("no weak key"),
            generation: 0,
            version,
            is_final: false,
            sequencer: Party::A,
            balance_a: Amount(CAPACITY.units() - version * 1_000_000),
            balance_b: Amount(version * 1_000_000),
            pending_total: Amount::ZERO,
            pending_root: Digest::ZERO,
        };
        let a = StateSignature::sign(&self.a, &self.chain, &state, version - 1);
        let b = StateSignature::sign(&self.b, &self.chain, &state, version);
        CoSigned { state, a, b }
    }

    /// A closes alone with this version.
    pub fn close(&self, channel: OutPoint, version: u64) -> Transaction {
        let posted = self.state(version);
        let intent = CloseIntent { state: posted.state.clone(), author: Party::A, fee: FEE };
        let closing = Closing {
            terms: self.terms.clone(),
            capacity: CAPACITY,
            state: posted.state.clone(),
            posted_version: version,
            author: Party::A,
            deadline: Deadline::FromCreation,
            penalized: false,
            author_fees: FEE,
            other_fees: Amount::ZERO,
        };
        let signature = self.a.sign(&self.chain, &intent);
        let witness = Witness::Unilateral { state: Box::new(posted), author: Party::A, fee: FEE, signature };
        self.go_on(channel, Amount(CAPACITY.units() - FEE.units()), closing, witness)
    }

    /// Anyone shows a higher version of the closing that is `entry`.
    pub fn supersede(&self, closing: OutPoint, entry: &Entry, version: u64) -> Transaction {
        let Lock::Closing(old) = &entry.output.lock else { panic!("a closing") };
        let newer = self.state(version);
        let next = Closing {
            state: newer.state.clone(),
            deadline: Deadline::At(entry.time.plus_ms(self.terms.dispute_window_ms)),
            other_fees: FEE,
            ..old.as_ref().clone()
        };
        let witness = Witness::Supersede { state: Box::new(newer), fee: FEE };
        self.go_on(closing, Amount(entry.output.amount.units() - FEE.units()), next, witness)
    }

    fn go_on(&self, input: OutPoint, amount: Amount, closing: Closing, witness: Witness) -> Transaction {
        let output = Output { asset: AssetId::NATIVE, amount, lock: Lock::Closing(Box::new(closing)) };
        let body = TxBody {
            chain: self.chain,
            inputs: vec![input],
            outputs: vec![output],
            not_before: None,
            expiry: None,
            payload: None,
        };
        Transaction { body, witnesses: vec![witness] }
    }
}
