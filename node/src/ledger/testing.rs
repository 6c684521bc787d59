//! A ledger for tests of those who use it: real rules, real blocks and a real wallet, and nobody to agree with. What is
//! handed in waits until the test makes a block.

use std::sync::Arc;
use std::time::Duration;

use towpath_crypto::codec;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::chain::{
    Candidate, Candidates, ChainParams, Checks, CommitCertificate, NoneVerified, Proposal, Tip, Validator,
    ValidatorSet, build_block, execute_block,
};
use towpath_ledger::genesis::{Allocation, AssetName, Genesis};
use towpath_ledger::rules::{BlockContext, Signatures, apply_transaction};
use towpath_ledger::{Amount, Block, Header, Payout, Time, Transaction, TxId, merkle};
use towpath_store::{Batch, ChainRetention, Store};

use super::funds::Funds;
use super::notice::notice;
use super::sends::Made;
use super::{Chain, FundsCall, Input, LedgerHandle, LedgerInbox, Notice, SubmitError};
use crate::idempotency::{Claim, Kept, Opening, Outcome};

/// What each coin of a wallet holds at the start.
pub(crate) const COIN: u64 = 10_000_000;

/// A ledger on which each of these wallets has so many coins.
pub(crate) fn genesis(wallets: &[&Seed], coins: usize) -> Genesis {
    let validator = Validator { key: SecretKey::from_bytes(&[9; 32]).public(), power: 1 };
    let mut params = ChainParams::default();
    params.blocks.time_travel = true;
    let allocation = |seed: &Seed| Allocation {
        payout: Payout::Key(seed.wallet_key(0).public()),
        asset: None,
        amount: Amount(COIN),
    };
    Genesis {
        name: "test".into(),
        time: Time(1_790_000_000_000),
        native: AssetName { symbol: "TOW".into(), decimals: 6 },
        params,
        validators: ValidatorSet::new(vec![validator]).expect("a proper set"),
        assets: Vec::new(),
        allocations: (0..coins).flat_map(|_| wallets.iter().map(|seed| allocation(seed))).collect(),
    }
}

/// One node's replica, its wallet, and the end of its driver's inbox.
pub(crate) struct TestLedger {
    pub(crate) chain: Arc<Chain>,
    pub(crate) handle: LedgerHandle,
    pub(crate) genesis: Genesis,
    /// Everything that was handed in, and taken.
    pub(crate) handed_in: Vec<Transaction>,
    /// How often something was handed in, whatever became of it.
    pub(crate) tries: usize,
    /// Whether everything is refused, as by a full pool.
    pub(crate) is_full: bool,
    waiting: Vec<Transaction>,
    pub(super) funds: Funds,
    inbox: LedgerInbox,
}

impl TestLedger {
    pub(crate) fn new(seed: Seed, genesis: Genesis, store: Arc<dyn Store>) -> Self {
        let chain = Chain::open(store, &genesis, ChainRetention::default()).expect("a ledger");
        let mut funds = Funds::open(seed, &chain, genesis.params.rules.clone()).expect("a wallet");
        drop(funds.sends().catch_up(&chain).expect("it reads"));
        let (handle, inbox) = LedgerHandle::inbox();
        Self {
            chain: Arc::new(chain),
            handle,
            genesis,
            handed_in: Vec::new(),
            tries: 0,
            is_full: false,
            waiting: Vec::new(),
            funds,
            inbox,
        }
    }

    pub(crate) fn time(&self) -> Time {
        self.chain.tip().header().time
    }

    /// What can be spent now, and what is set aside, in base units.
    pub(crate) fn wallet(&self) -> (u64, u64) {
        let view = self.funds.view(&self.chain, self.time()).expect("it reads");
        (view.available, view.reserved)
    }

    /// Takes what waits in the inbox; how much that was.
    pub(crate) fn serve(&mut self) -> usize {
        let mut count = 0;
        while let Some(input) = self.inbox.take(Duration::ZERO) {
            count += 1;
            match input {
                Input::Submit { transaction, reply } => {
                    let taken = self.submit(*transaction);
                    if let Some(reply) = reply {
                        drop(reply.send(taken));
                    }
                }
                Input::Funds(call) => self.funds_call(call),
                other => panic!("no worker sends {other:?}"),
            }
        }
        count
    }

    fn submit(&mut self, transaction: Transaction) -> Result<towpath_ledger::TxId, SubmitError> {
        self.tries += 1;
        let id = transaction.id();
        if self.is_full {
            return Err(SubmitError::Refused("the pool is full".to_owned()));
        }
        let tip = self.chain.tip();
        let context = BlockContext {
            chain: self.chain.chain(),
            height: tip.height() + 1,
            time: tip.header().time.plus_ms(1_000),
            params: &self.genesis.params.rules,
        };
        apply_transaction(&transaction, &*self.chain, &context, Signatures::Verify)
            .map_err(|error| SubmitError::Refused(error.to_string()))?;
        self.funds.waits(id, &transaction);
        self.handed_in.push(transaction.clone());
        if !self.waiting.iter().any(|waits| waits.id() == id) {
            self.waiting.push(transaction);
        }
        Ok(id)
    }

    fn funds_call(&mut self, call: FundsCall) {
        let now = self.time();
        match call {
            FundsCall::Reserve { purpose, reply } => {
                drop(reply.send(self.funds.reserve(&self.chain, now, purpose)));
            }
            FundsCall::Fund { first_input, index, output, expiry, reply } => {
                let made = match index {
                    0 => self.funds.fund(&self.chain, now, first_input, *output, expiry).map(Some),
                    _ => self.funds.shared_again(&self.chain, &first_input, (index, &output)),
                };
                let taken = made.and_then(|made| {
                    let taken = made.map(|made| self.submit(made)).transpose();
                    taken.map_err(|error| super::FundsError::Refused(error.to_string()))
                });
                drop(reply.send(taken));
            }
            FundsCall::ReserveShared { purpose, channels, reply } => {
                drop(reply.send(self.funds.reserve_shared(&self.chain, now, purpose, channels)));
            }
            FundsCall::FundShared { plan, claim, reply } => {
                drop(reply.send(self.fund_shared(&plan, claim)));
            }
            FundsCall::SignFunding { body, spent, from, to, reply } => {
                drop(reply.send(self.funds.sign_funding(&body, &spent, from..to)));
            }
            FundsCall::Send { to, amount, claim: _, reply } => {
                let made = self.funds.send(&self.chain, now, to, amount);
                drop(reply.send(made.map(|(transaction, fee)| {
                    let mut batch = Batch::new();
                    let when = Made { time_ms: 0, height: self.chain.tip().height() };
                    let id = self.funds.promise(&mut batch, (transaction.clone(), fee), when);
                    self.chain.store().commit(batch).expect("no write fails here");
                    // It is owed, whether or not it is taken now.
                    let _ = self.submit(transaction);
                    (id, fee)
                })));
            }
            FundsCall::Pending(reply) => drop(reply.send(self.funds.pending())),
            FundsCall::Keep { coins, until } => self.funds.keep(&coins, until),
            FundsCall::Release { first_input } => self.funds.release(&first_input),
            other => panic!("no worker sends {other:?}"),
        }
    }

    fn fund_shared(
        &mut self,
        plan: &super::SharedFunding,
        claim: Option<(Claim, Vec<Opening>)>,
    ) -> Result<(TxId, Amount), super::FundsError> {
        let (transaction, fee) = self.funds.plan_shared(plan)?;
        let (mut batch, tx) = (Batch::new(), transaction.id());
        let height = self.chain.tip().height();
        self.funds.promise_shared(&mut batch, height, transaction.body.clone());
        let kept =
            claim.map(|(claim, openings)| claim.keep(&mut batch, Outcome::Openings { tx, fee, openings }, 0));
        self.chain.store().commit(batch).expect("no write fails here");
        kept.into_iter().for_each(Kept::show);
        // It is owed, whether or not it is taken now.
        let _ = self.submit(transaction);
        Ok((tx, fee))
    }

    /// The wallet forgets what it has in mind, and starts again from its disk.
    pub(crate) fn restart_wallet(&mut self, seed: Seed) {
        let params = self.genesis.params.rules.clone();
        self.funds = Funds::open(seed, &self.chain, params).expect("a wallet");
        self.waiting.clear();
        let mut batch = Batch::new();
        self.funds.forget_shared(&mut batch);
        self.chain.store().commit(batch).expect("no write fails here");
    }

    fn tip<'a>(&'a self, parent: &'a Header) -> Tip<'a, Chain, Chain> {
        Tip {
            chain: self.chain.chain(),
            params: &self.genesis.params,
            validators: &self.genesis.validators,
            parent,
            view: &self.chain,
            nodes: &self.chain,
        }
    }

    /// What waits here, and waits no more.
    pub(crate) fn take_waiting(&mut self) -> Vec<Transaction> {
        std::mem::take(&mut self.waiting)
    }

    /// A block of those of these transactions that are valid, so long after the last.
    pub(crate) fn build(&self, transactions: &[Transaction], after_ms: u64) -> Block {
        let parent = self.chain.tip().header().clone();
        let candidate = |transaction: &Transaction| Candidate {
            transaction: Arc::new(transaction.clone()),
            leaf: merkle::leaf(transaction),
            bytes: u64::try_from(codec::encode(transaction).len()).expect("small"),
        };
        let general = transactions.iter().map(candidate).collect();
        let candidates = Candidates { reserved: Vec::new(), general };
        let proposer = self.genesis.validators.members()[0].key;
        let proposal = Proposal { proposer, time: parent.time.plus_ms(after_ms) };
        build_block(self.tip(&parent), &candidates, proposal, &NoneVerified).expect("it builds").block
    }

    /// Applies a block: what it means to the rest of the node.
    pub(crate) fn apply(&mut self, block: &Block) -> Arc<Notice> {
        let parent = self.chain.tip().header().clone();
        let effects =
            execute_block(self.tip(&parent), block, Checks::Replay, &NoneVerified).expect("a valid block");
        let certificate = CommitCertificate {
            height: block.header.height,
            round: 0,
            block: block.id(),
            signatures: Vec::new(),
        };
        let batch = self.chain.apply(block, &certificate, &effects).expect("it applies");
        self.chain.store().commit(batch).expect("no write fails here");
        self.chain.applied(block, &effects).expect("it is applied");
        for transaction in &block.transactions {
            drop(self.funds.is_final(transaction));
        }
        self.funds.keep_waiting(|_| false);
        self.funds.expire(self.time());
        let mut batch = Batch::new();
        self.funds.forget_shared(&mut batch);
        self.chain.store().commit(batch).expect("no write fails here");
        Arc::new(notice(block, &effects))
    }
}
