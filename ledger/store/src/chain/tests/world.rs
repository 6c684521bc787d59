//! A small ledger: real blocks, made and executed by the ledger's own rules, kept in a store and in a model beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_crypto::codec;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::chain::{
    BlockEffects, Candidate, Candidates, ChainParams, Checks, CommitCertificate, NoneVerified, Proposal, Tip,
    Validator, ValidatorSet, build_block, execute_block,
};
use towpath_ledger::genesis::{Allocation, AssetName, Genesis};
use towpath_ledger::{
    Amount, AssetId, Block, Entry, Lock, MemoryView, OutPoint, Output, Payload, Payout, Spend, Time,
    Transaction, TxBody, Witness, merkle,
};

use super::super::{ChainStore, Retention};
use crate::{MemoryStore, Store, StoreError};

pub const FEE: u64 = 2_000;
pub const START: u64 = 1_000_000_000;

pub fn secret(name: u8) -> WalletSecret {
    WalletSecret::from_bytes([name; 32]).expect("a scalar")
}

pub fn payout(name: u8) -> Payout {
    Payout::Key(secret(name).public())
}

pub fn genesis() -> Genesis {
    let validator = Validator { key: SecretKey::from_bytes(&[9; 32]).public(), power: 1 };
    let mut params = ChainParams::default();
    params.rules.secret_retention_ms = 5_000;
    Genesis {
        name: "canal-1".into(),
        time: Time(1_790_000_000_000),
        native: AssetName { symbol: "TOW".into(), decimals: 6 },
        params,
        validators: ValidatorSet::new(vec![validator]).expect("a proper set"),
        assets: Vec::new(),
        allocations: (1..=3)
            .map(|name| Allocation { payout: payout(name), asset: None, amount: Amount(START) })
            .collect(),
    }
}

/// A block that is ready to be applied.
pub struct Decided {
    pub block: Block,
    pub certificate: CommitCertificate,
    pub effects: BlockEffects,
}

/// A ledger in a store.
pub struct Ledger<S> {
    pub genesis: Genesis,
    pub chain: ChainStore<S>,
}

impl<S: Store> Ledger<S> {
    pub fn open(store: S, retention: Retention) -> Result<Self, StoreError> {
        let genesis = genesis();
        Ok(Self { chain: ChainStore::open(store, &genesis, retention)?, genesis })
    }

    fn tip<'a>(&'a self, parent: &'a towpath_ledger::Header) -> Tip<'a, ChainStore<S>, ChainStore<S>> {
        Tip {
            chain: self.chain.chain(),
            params: &self.genesis.params,
            validators: &self.genesis.validators,
            parent,
            view: &self.chain,
            nodes: &self.chain,
        }
    }

    /// The next block of these transactions, a second after the last; each must be valid.
    pub fn decide(&self, transactions: &[Transaction]) -> Decided {
        let parent = self.chain.tip().header().clone();
        let candidate = |transaction: &Transaction| Candidate {
            transaction: Arc::new(transaction.clone()),
            leaf: merkle::leaf(transaction),
            bytes: codec::encode(transaction).len() as u64,
        };
        let candidates =
            Candidates { reserved: Vec::new(), general: transactions.iter().map(candidate).collect() };
        let proposer = self.genesis.validators.members()[0].key;
        let proposal = Proposal { proposer, time: parent.time.plus_ms(1_000) };
        let built = build_block(self.tip(&parent), &candidates, proposal, &NoneVerified).expect("it builds");
        assert_eq!(built.dropped, []);
        let effects =
            execute_block(self.tip(&parent), &built.block, Checks::Replay, &NoneVerified).expect("valid");
        assert_eq!(effects, built.effects);
        let certificate = CommitCertificate {
            height: built.block.header.height,
            round: 0,
            block: built.block.id(),
            signatures: Vec::new(),
        };
        Decided { block: built.block, certificate, effects }
    }

    /// Applies a block and commits it.
    pub fn apply(&self, decided: &Decided) -> Result<(), StoreError> {
        let Decided { block, certificate, effects } = decided;
        let batch = self.chain.apply(block, certificate, effects)?;
        self.chain.store().commit(batch)?;
        self.chain.applied(block, effects)
    }

    /// Decides and applies.
    pub fn advance(&self, transactions: &[Transaction]) -> Decided {
        let decided = self.decide(transactions);
        self.apply(&decided).expect("it is applied");
        decided
    }

    /// A payment from the largest output of `from`; the change goes back.
    pub fn pay(&self, from: u8, to: &Payout, amount: u64, payload: Option<Payload>) -> Transaction {
        let (outpoint, entry) = self
            .chain
            .outputs_of(&payout(from))
            .expect("it reads")
            .into_iter()
            .max_by_key(|(_, entry)| entry.output.amount)
            .expect("it has coins");
        let rest = entry.output.amount.units() - amount - FEE;
        let output = |payout: &Payout, amount| Output {
            asset: AssetId::NATIVE,
            amount: Amount(amount),
            lock: Lock::Wallet(payout.clone()),
        };
        let outputs = vec![output(to, amount), output(&payout(from), rest)];
        sign(from, self.chain.chain(), (outpoint, entry), outputs, payload)
    }
}

/// Signs a transaction with one input.
pub fn sign(
    from: u8,
    chain: towpath_ledger::ChainId,
    (outpoint, entry): (OutPoint, Entry),
    outputs: Vec<Output>,
    payload: Option<Payload>,
) -> Transaction {
    let body = TxBody { chain, inputs: vec![outpoint], outputs, not_before: None, expiry: None, payload };
    let spend = Spend { transaction: body.id(), spent: vec![entry.output] };
    let secret = secret(from);
    let witness = Witness::Wallet(vec![(secret.public(), secret.sign(&chain, &spend))]);
    Transaction { body, witnesses: vec![witness] }
}

/// The unspent outputs of the ledger, as the model has them.
#[derive(Default)]
pub struct Model(pub BTreeMap<OutPoint, Entry>);

impl Model {
    pub fn genesis(genesis: &Genesis) -> Self {
        Self(genesis.start().expect("it starts").entries.into_iter().collect())
    }

    pub fn apply(&mut self, effects: &BlockEffects) {
        let mut view = MemoryView { entries: std::mem::take(&mut self.0), ..MemoryView::default() };
        for result in &effects.transactions {
            view.apply(&result.changes);
        }
        self.0 = view.entries;
    }

    /// Compares all that a store says about outputs.
    #[track_caller]
    pub fn check<S: Store>(&self, chain: &ChainStore<S>, spent: &[OutPoint]) {
        for (outpoint, entry) in &self.0 {
            assert_eq!(chain.output(outpoint).as_ref(), Ok(&Some(entry.clone())));
        }
        for outpoint in spent {
            assert_eq!(chain.output(outpoint), Ok(None));
        }
        for name in 1..=4 {
            let expected: Vec<(OutPoint, Entry)> = (self.0.iter())
                .filter(|(_, entry)| entry.output.lock == Lock::Wallet(payout(name)))
                .map(|(outpoint, entry)| (*outpoint, entry.clone()))
                .collect();
            assert_eq!(chain.outputs_of(&payout(name)), Ok(expected));
        }
    }
}

pub fn in_memory() -> Ledger<MemoryStore> {
    Ledger::open(MemoryStore::new(), Retention::default()).expect("it opens")
}
