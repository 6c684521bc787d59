//! A transaction on every path that it can take into the ledger: the rules, the pool, a block that is built, a block that
//! is proposed, a block that is replayed. All must say the same (FAULTS L7, L9, F11).

use towpath_crypto::ed25519::{PublicKey, SecretKey};

use super::world::*;
use crate::chain::*;
use crate::mempool::{Mempool, PoolLimits, Refusal, Source};
use crate::merkle;
use crate::proof::{StateEntry, StateKey, tree_changes};
use crate::rules::{Changes, Signatures, TxError};
use crate::tree::{self, MemoryNodes};
use crate::types::*;

/// A world, with everything that blocks need.
pub struct Ground {
    world: World,
    params: ChainParams,
    validators: ValidatorSet,
    nodes: MemoryNodes,
    parent: Header,
    /// The next block, empty.
    empty: Block,
}

fn proposer() -> PublicKey {
    SecretKey::from_bytes(&[99; 32]).public()
}

impl Ground {
    pub fn new(world: &World) -> Self {
        let params = ChainParams { rules: world.params.clone(), blocks: BlockParams::default() };
        let members = vec![Validator { key: proposer(), power: 1 }];
        let validators = ValidatorSet::new(members).expect("a proper set");
        let come = world.view.entries.iter();
        let come = come.map(|(at, entry)| (StateKey::Output(*at), StateEntry::Output(entry.clone())));
        let mut nodes = MemoryNodes::new();
        let height = world.height - 1;
        let (state_root, batch) =
            tree::update(&nodes, None, height, &tree_changes(come, [])).expect("everything is in memory");
        nodes.apply(batch);
        let parent = Header {
            chain: CHAIN,
            height,
            parent: BlockId(Digest::ZERO),
            time: Time(world.time.0 - 1),
            transactions_root: Digest::ZERO,
            state_root,
            validators: validators.digest(),
            proposer: proposer(),
        };
        let header = Header {
            height: world.height,
            parent: parent.id(),
            time: world.time,
            transactions_root: merkle::root(&[]),
            ..parent.clone()
        };
        let empty = Block { header, transactions: Vec::new() };
        Self { world: world.clone(), params, validators, nodes, parent, empty }
    }

    fn tip(&self) -> Tip<'_, crate::MemoryView, MemoryNodes> {
        Tip {
            chain: CHAIN,
            params: &self.params,
            validators: &self.validators,
            parent: &self.parent,
            view: &self.world.view,
            nodes: &self.nodes,
        }
    }

    /// What all paths say.
    pub fn verdict(&self, transaction: &Transaction) -> Result<Changes, TxError> {
        let verdict = self.world.check(transaction);
        assert_eq!(
            self.pooled(transaction),
            verdict.as_ref().map(drop).map_err(Clone::clone),
            "the pool differs"
        );
        match &verdict {
            Ok(changes) => self.all_accept(transaction, changes),
            Err(error) => self.all_refuse(transaction, error),
        }
        verdict
    }

    fn pooled(&self, transaction: &Transaction) -> Result<(), TxError> {
        let mut pool = Mempool::new(PoolLimits::for_chain(&self.params));
        let context = self.world.context();
        let admitted =
            pool.insert(transaction.clone(), Source::Local, &self.world.view, &context, Signatures::Verify);
        match admitted {
            Ok(_) => Ok(()),
            Err(Refusal::Invalid(error)) => Err(error),
            Err(other) => panic!("an empty pool refuses for another reason: {other}"),
        }
    }

    fn built(&self, transaction: &Transaction) -> Built {
        let candidate = Candidate {
            transaction: std::sync::Arc::new(transaction.clone()),
            leaf: merkle::leaf(transaction),
            bytes: towpath_crypto::codec::encode(transaction).len() as u64,
        };
        let candidates = Candidates { reserved: Vec::new(), general: vec![candidate] };
        let proposal = Proposal { proposer: proposer(), time: self.world.time };
        build_block(self.tip(), &candidates, proposal, &NoneVerified).expect("everything is in memory")
    }

    fn executed(&self, block: &Block) -> [Result<BlockEffects, BlockError>; 2] {
        [Checks::Full { now: self.world.time, rise_ms_max: u64::MAX }, Checks::Replay]
            .map(|checks| execute_block(self.tip(), block, checks, &NoneVerified))
    }

    fn all_accept(&self, transaction: &Transaction, changes: &Changes) {
        let built = self.built(transaction);
        assert_eq!(built.dropped, []);
        assert_eq!(&built.effects.transactions[0].changes, changes);
        for executed in self.executed(&built.block) {
            assert_eq!(executed.as_ref(), Ok(&built.effects));
        }
        // The audit in `apply` counts the supply.
        assert_eq!(self.world.clone().apply(transaction).as_ref(), Ok(changes));
    }

    fn all_refuse(&self, transaction: &Transaction, error: &TxError) {
        let built = self.built(transaction);
        assert_eq!(built.block.transactions, []);
        assert_eq!(built.dropped, [Dropped { id: transaction.id(), error: error.clone() }]);
        let mut block = self.empty.clone();
        block.header.transactions_root = merkle::root(&[merkle::leaf(transaction)]);
        block.transactions.push(transaction.clone());
        let refused = Err(BlockError::Transaction { index: 0, error: error.clone() });
        for executed in self.executed(&block) {
            assert_eq!(executed, refused);
        }
    }
}
