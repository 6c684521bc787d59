//! Blocks: what is built is valid everywhere, and whatever is wrong with one is found.

use proptest::prelude::*;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::{Digest, codec};

use super::*;
use crate::proof::{StateEntry, StateKey, prove};
use crate::rules::{Lane, TxError};
use crate::testing::*;
use crate::tree::{MemoryNodes, NodeSource, TreeError};
use crate::types::*;
use crate::view::{MemoryView, View, ViewError};
use crate::{limits, merkle};

/// The next block with these transactions, as it is; nothing is checked.
fn raw(world: &World, transactions: Vec<Transaction>) -> Block {
    let built = world.build(&[]);
    let leaves: Vec<Digest> = transactions.iter().map(merkle::leaf).collect();
    Block { header: Header { transactions_root: merkle::root(&leaves), ..built.block.header }, transactions }
}

fn execute(world: &World, block: &Block) -> Result<BlockEffects, BlockError> {
    execute_block(world.tip(), block, Checks::Full { now: block.header.time }, &NoneVerified)
}

fn refused(world: &World, block: &Block) -> BlockError {
    let error = execute(world, block).expect_err("not valid");
    assert!(!error.is_local(), "{error}");
    error
}

#[test]
fn what_is_built_is_valid_and_says_the_same() {
    let mut world = World::new(6);
    let (open, channel) = world.open(0);
    let first = world.step(&[open.clone(), world.pay(2, 2, FEE)]);
    assert_eq!((first.spent.len(), first.created.len(), first.fees), (2, 4, Amount(2 * FEE.units())));
    let close = channel.close(OutPoint { tx: open.id(), index: 0 }, 3);
    let built = world.build(&[close, world.reveal(4, 9)]);
    let effects = execute(&world, &built.block).expect("it was built");
    assert_eq!(effects, built.effects);
    assert_eq!(effects.secrets.len(), 1);
    assert_eq!(effects.transactions.len(), 2);
}

#[test]
fn an_empty_block_moves_time_alone() {
    let mut world = World::new(1);
    let root = world.parent.state_root;
    let effects = world.step(&[]);
    assert_eq!((effects.state_root, effects.fees, effects.spent.len()), (root, Amount::ZERO, 0));
    assert_eq!(world.parent.time, START.plus_ms(1_000));
}

#[test]
fn l13_a_wrong_state_root_is_refused() {
    let world = World::new(2);
    let mut block = world.build(&[world.pay(0, 1, FEE)]).block;
    let found = block.header.state_root;
    block.header.state_root = world.parent.state_root;
    assert_eq!(refused(&world, &block), BlockError::StateRoot { claimed: world.parent.state_root, found });
}

#[test]
fn a_header_must_follow_its_parent() {
    let world = World::new(1);
    let good = world.build(&[]).block;
    let with = |change: &dyn Fn(&mut Header)| {
        let mut block = good.clone();
        change(&mut block.header);
        refused(&world, &block)
    };
    let other = ChainId(Digest::ZERO);
    assert_eq!(with(&|h| h.chain = other), BlockError::OtherChain(other));
    assert_eq!(with(&|h| h.height = 2), BlockError::Height { found: 2, expected: 1 });
    assert_eq!(with(&|h| h.parent = BlockId(Digest::ZERO)), BlockError::Parent(BlockId(Digest::ZERO)));
    assert_eq!(with(&|h| h.validators = Digest::ZERO), BlockError::Validators(Digest::ZERO));
    let nobody = PublicKey([0; 32]);
    assert_eq!(with(&|h| h.proposer = nobody), BlockError::Proposer(nobody));
    assert_eq!(with(&|h| h.transactions_root = Digest([1; 32])), BlockError::TransactionsRoot);
}

#[test]
fn l22_block_time_is_bounded_both_ways() {
    let world = World::new(1);
    let step = world.genesis.params.blocks.block_step_ms_max;
    let at = |ms: u64, checks| {
        let mut block = world.build(&[]).block;
        block.header.time = Time(START.0 + ms);
        execute_block(world.tip(), &block, checks, &NoneVerified)
    };
    for ms in [1, step] {
        assert!(at(ms, Checks::Replay).is_ok(), "{ms} ms");
    }
    for ms in [0, step + 1, u64::MAX - START.0] {
        assert!(matches!(at(ms, Checks::Replay), Err(BlockError::Time { .. })), "{ms} ms");
    }
    let drift = world.genesis.params.blocks.clock_drift_ms_max;
    let now = |now: u64| Checks::Full { now: Time(START.0 + now) };
    assert!(at(drift + 5, now(5)).is_ok());
    assert!(matches!(at(drift + 6, now(5)), Err(BlockError::Clock { .. })));
    assert!(at(drift + 6, Checks::Replay).is_ok(), "what a quorum decided is followed");
    assert!(at(1, now(u64::MAX - START.0)).is_ok(), "a block from an earlier round stays valid");
}

#[test]
fn l1_one_coin_is_spent_once_in_a_block_and_across_blocks() {
    let mut world = World::new(3);
    let (one, two) = (world.pay(0, 1, FEE), world.pay(0, 2, FEE));
    let built = world.build(&[one.clone(), two.clone()]);
    assert_eq!(built.block.transactions, std::slice::from_ref(&one));
    let missing = TxError::MissingInput(world.coin(0));
    assert_eq!(built.dropped, [Dropped { id: two.id(), error: missing.clone() }]);
    let both = raw(&world, vec![one.clone(), two.clone()]);
    assert_eq!(refused(&world, &both), BlockError::Transaction { index: 1, error: missing.clone() });
    world.step(&[one]);
    let again = raw(&world, vec![two]);
    assert_eq!(refused(&world, &again), BlockError::Transaction { index: 0, error: missing });
}

#[test]
fn a_block_may_spend_what_it_makes() {
    let mut world = World::new(2);
    let first = world.pay(0, 1, FEE);
    let made = OutPoint { tx: first.id(), index: 0 };
    let key = Amount(COIN.units() - FEE.units());
    let rest = Amount(key.units() - FEE.units());
    let mut second = world.spend(1, made, vec![paid(5, rest)], None);
    // The coin is not in the view yet: sign with what it will be.
    let spend = Spend { transaction: second.id(), spent: vec![paid(1, key)] };
    second.witnesses =
        vec![Witness::Wallet(vec![(wallet(1).public(), wallet(1).sign(&world.chain, &spend))])];
    let effects = world.step(&[first, second]);
    assert_eq!((effects.spent.len(), effects.created.len()), (1, 1), "what came and went cancels out");
    assert_eq!(effects.transactions[0].changes.created.len(), 1);
    let key = StateKey::Output(made);
    let proof = prove(&world.nodes, 1, &key).expect("version 1");
    assert_eq!(proof.verify(&world.parent.state_root, &key, None), Ok(()));
}

#[test]
fn a_bad_signature_is_found_unless_it_was_verified_before() {
    struct All;
    impl Verified for All {
        fn is_verified(&self, _: &Digest) -> bool {
            true
        }
    }
    let world = World::new(3);
    let mut forged = world.pay(0, 1, FEE);
    forged.witnesses = world.pay(1, 1, FEE).witnesses;
    let Witness::Wallet(signatures) = &mut forged.witnesses[0] else { panic!("a wallet witness") };
    signatures[0].0 = wallet(0).public();
    let candidates = Candidates { reserved: Vec::new(), general: vec![candidate(&forged)] };
    let built = build_block(world.tip(), &candidates, world.proposal(), &All).expect("in memory");
    let error = TxError::BadSignature(0);
    assert_eq!(refused(&world, &built.block), BlockError::Transaction { index: 0, error });
    assert_eq!(execute_block(world.tip(), &built.block, Checks::Replay, &All), Ok(built.effects));
}

/// Blocks of a little over half a megabyte, of which each lane holds a few large transactions.
fn small_blocks() -> ChainParams {
    let mut params = ChainParams::default();
    params.blocks.block_bytes_max = 600 << 10;
    params.blocks.reserved_basis_points = 5_000;
    params
}

#[test]
fn l20_ordinary_transactions_leave_the_reserved_lane_free() {
    let mut world = World::with(40, small_blocks());
    let (open, channel) = world.open(30);
    world.step(std::slice::from_ref(&open));
    let large: Vec<_> = (0..20).map(|n| candidate(&world.pay(n, 400, Amount(900_000)))).collect();
    let close = channel.close(OutPoint { tx: open.id(), index: 0 }, 1);
    let mut candidates = Candidates { reserved: vec![candidate(&close)], general: large };
    let built = build_block(world.tip(), &candidates, world.proposal(), &NoneVerified).expect("in memory");
    assert_eq!(built.dropped, []);
    assert_eq!(built.block.transactions[0], close);
    let lanes: Vec<Lane> = built.effects.transactions.iter().map(|t| t.changes.lane).collect();
    assert_eq!(lanes[0], Lane::Reserved);
    let general: u64 = built.effects.transactions[1..].iter().map(|t| t.changes.bytes).sum();
    let most = world.genesis.params.blocks.general_bytes_max();
    assert!(general <= most && general + candidates.general[0].bytes > most, "{general} of {most}");
    assert!(execute(&world, &built.block).is_ok());
    // A proposer that lets them in all the same.
    candidates.general.truncate(built.block.transactions.len());
    let transactions = candidates.general.iter().map(|c| c.transaction.as_ref().clone()).collect();
    let greedy = raw(&world, transactions);
    assert!(codec::encode(&greedy).len() <= 600 << 10, "the block as a whole is not too large");
    assert!(matches!(refused(&world, &greedy), BlockError::ReservedLane { limit, .. } if limit == most));
}

#[test]
fn l9_a_block_fills_its_bytes_and_no_more() {
    let world = World::with(40, small_blocks());
    let most = u64::from(world.genesis.params.blocks.block_bytes_max);
    let reveals: Vec<_> = (0..30_u8).map(|n| candidate(&world.reveal(n.into(), n))).collect();
    let large = (30..40).map(|n| candidate(&world.pay(n, 700, Amount(900_000)))).collect();
    let candidates = Candidates { reserved: reveals, general: large };
    let built = build_block(world.tip(), &candidates, world.proposal(), &NoneVerified).expect("in memory");
    let bytes = codec::encode(&built.block);
    assert!(bytes.len() as u64 <= most);
    assert_eq!(codec::decode::<Block>(&bytes, limits::BLOCK_BYTES_MAX as usize), Ok(built.block.clone()));
    let sum: u64 = built.effects.transactions.iter().map(|t| t.changes.bytes).sum();
    assert_eq!(
        bytes.len() as u64,
        sum + params::BLOCK_OVERHEAD_BYTES,
        "the size is what the parts add up to"
    );
    let mut block = built.block;
    while codec::encode(&block).len() as u64 <= most {
        block.transactions.push(world.pay(1, 1_000, FEE));
    }
    let bytes = codec::encode(&block).len() as u64;
    assert_eq!(refused(&world, &block), BlockError::TooLarge { bytes, limit: most });
}

#[test]
fn l9_the_largest_transaction_fits_a_block_of_any_genesis() {
    for (bytes, share) in [(526_000, 5_000), (600 << 10, 4_500), (2 << 20, 1_500), (2 << 20, 8_500)] {
        let mut params = ChainParams::default();
        params.blocks.block_bytes_max = bytes;
        params.blocks.reserved_basis_points = share;
        let most = u64::from(params.rules.transaction_bytes_max);
        let fits = params.blocks.general_bytes_max() >= most && params.blocks.reserved_bytes() >= most;
        assert_eq!(params.check(1).is_ok(), fits, "{bytes} bytes, {share} basis points");
    }
}

#[test]
fn l8_too_many_transactions_are_refused_before_they_are_looked_at() {
    let world = World::new(1);
    let transaction = Transaction {
        body: TxBody {
            chain: world.chain,
            inputs: vec![],
            outputs: vec![],
            not_before: None,
            expiry: None,
            payload: None,
        },
        witnesses: vec![],
    };
    let limit = limits::BLOCK_TRANSACTIONS_MAX;
    let block = Block { transactions: vec![transaction; limit + 1], ..world.build(&[]).block };
    assert_eq!(refused(&world, &block), BlockError::TooMany { count: limit + 1, limit });
}

#[test]
fn secrets_are_forgotten_after_their_retention() {
    let mut world = World::new(3);
    world.step(&[world.reveal(0, 7)]);
    let (key, recorded) = world.view.secrets.first_key_value().map(|(k, t)| (*k, *t)).expect("recorded");
    let state_key = StateKey::Secret(key);
    let proven = |world: &World, entry: Option<&StateEntry>| {
        let proof = prove(&world.nodes, world.parent.height, &state_key).expect("the newest version");
        proof.verify(&world.parent.state_root, &state_key, entry).is_ok()
    };
    assert!(!proven(&world, None));
    // Ledger time would need months of blocks: let the last one be that late.
    let retention = world.genesis.params.rules.secret_retention_ms;
    world.parent.time = recorded.plus_ms(retention - 1_000);
    assert_eq!(world.step(&[]).forgotten, [], "to the millisecond");
    assert_eq!(world.step(&[]).forgotten, [(recorded, key)]);
    assert!(world.view.secrets.is_empty());
    assert!(proven(&world, None));
    assert_eq!(world.step(&[]).forgotten, []);
}

/// A ledger that can't be read.
struct Broken;

impl View for Broken {
    fn entry(&self, _: &OutPoint) -> Result<Option<Entry>, ViewError> {
        Err(ViewError("gone".into()))
    }
    fn secret_time(&self, _: &Digest) -> Result<Option<Time>, ViewError> {
        Err(ViewError("gone".into()))
    }
    fn secrets_until(&self, _: Time, _: usize) -> Result<Vec<(Time, Digest)>, ViewError> {
        Err(ViewError("gone".into()))
    }
}

impl NodeSource for Broken {
    fn node(&self, _: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        Err(TreeError::Storage("gone".into()))
    }
}

#[test]
fn a_storage_that_fails_says_nothing_about_a_block() {
    let world = World::new(2);
    let built = world.build(&[world.pay(0, 1, FEE)]);
    let tip = world.tip();
    let no_view = Tip {
        view: &Broken,
        nodes: tip.nodes,
        chain: tip.chain,
        params: tip.params,
        validators: tip.validators,
        parent: tip.parent,
    };
    let no_nodes = Tip {
        view: tip.view,
        nodes: &Broken,
        chain: tip.chain,
        params: tip.params,
        validators: tip.validators,
        parent: tip.parent,
    };
    let candidates = Candidates { reserved: vec![], general: vec![candidate(&built.block.transactions[0])] };
    let errors = [
        execute_block(no_view, &built.block, Checks::Replay, &NoneVerified).expect_err("unreadable"),
        execute_block(no_nodes, &built.block, Checks::Replay, &NoneVerified).expect_err("unreadable"),
        build_block(no_view, &candidates, world.proposal(), &NoneVerified).expect_err("unreadable"),
        build_block(no_nodes, &candidates, world.proposal(), &NoneVerified).expect_err("unreadable"),
    ];
    for error in errors {
        assert!(error.is_local(), "{error}");
    }
}

/// A view that keeps its entries in the order of their creation, newest first.
struct Unsorted(Vec<(OutPoint, Entry)>, Vec<(Digest, Time)>);

impl View for Unsorted {
    fn entry(&self, outpoint: &OutPoint) -> Result<Option<Entry>, ViewError> {
        Ok(self.0.iter().find(|(other, _)| other == outpoint).map(|(_, entry)| entry.clone()))
    }
    fn secret_time(&self, condition: &Digest) -> Result<Option<Time>, ViewError> {
        Ok(self.1.iter().find(|(other, _)| other == condition).map(|(_, time)| *time))
    }
    fn secrets_until(&self, time: Time, limit: usize) -> Result<Vec<(Time, Digest)>, ViewError> {
        let sorted = MemoryView { entries: [].into(), secrets: self.1.iter().copied().collect() };
        sorted.secrets_until(time, limit)
    }
}

#[derive(Clone, Debug)]
enum Act {
    Pay { wallet: u32, outputs: u32 },
    Open { wallet: u32 },
    Close { wallet: u32, version: u64 },
    Reveal { wallet: u32, secret: u8 },
}

fn act() -> impl Strategy<Value = Act> {
    let wallet = 0_u32..12;
    prop_oneof![
        (wallet.clone(), 1_u32..5).prop_map(|(wallet, outputs)| Act::Pay { wallet, outputs }),
        wallet.clone().prop_map(|wallet| Act::Open { wallet }),
        (wallet.clone(), 1_u64..5).prop_map(|(wallet, version)| Act::Close { wallet, version }),
        (wallet, 0_u8..6).prop_map(|(wallet, secret)| Act::Reveal { wallet, secret }),
    ]
}

fn transaction(world: &World, act: &Act) -> Transaction {
    match act {
        Act::Pay { wallet, outputs } => world.pay(*wallet, *outputs, FEE),
        Act::Open { wallet } => world.open(*wallet).0,
        Act::Close { wallet, version } => {
            let (open, channel) = world.open(*wallet);
            channel.close(OutPoint { tx: open.id(), index: 0 }, *version)
        }
        Act::Reveal { wallet, secret } => world.reveal(*wallet, *secret),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn l14_what_is_built_is_executed_alike_on_any_node(
        blocks in proptest::collection::vec(proptest::collection::vec(act(), 0..10), 1..5),
    ) {
        let mut world = World::new(12);
        let supply = u128::from(COIN.units()) * 12;
        let mut fees = 0_u128;
        for acts in blocks {
            let transactions: Vec<_> = acts.iter().map(|act| transaction(&world, act)).collect();
            let built = world.build(&transactions);
            prop_assert_eq!(built.dropped.len() + built.block.transactions.len(), transactions.len());
            prop_assert_eq!(&execute(&world, &built.block)?, &built.effects);
            let entries = world.view.entries.iter().rev().map(|(k, e)| (*k, e.clone())).collect();
            let secrets = world.view.secrets.iter().rev().map(|(k, t)| (*k, *t)).collect();
            let other = Unsorted(entries, secrets);
            let tip = world.tip();
            let tip = Tip {
                view: &other,
                nodes: tip.nodes,
                chain: tip.chain,
                params: tip.params,
                validators: tip.validators,
                parent: tip.parent,
            };
            prop_assert_eq!(&execute_block(tip, &built.block, Checks::Replay, &NoneVerified)?, &built.effects);
            world.apply(&built.block, &built.effects);
            fees += u128::from(built.effects.fees.units());
            // FAULTS I1: nothing comes or goes but the fees.
            let left: u128 = world.view.entries.values().map(|e| u128::from(e.output.amount.units())).sum();
            prop_assert_eq!(left + fees, supply);
            // FAULTS L14: a node that starts from the entries alone has the same root.
            let come = world.view.entries.iter().map(|(k, e)| (StateKey::Output(*k), StateEntry::Output(e.clone())));
            if world.view.secrets.is_empty() {
                let changes = crate::proof::tree_changes(come, []);
                let (root, _) = crate::tree::update(&MemoryNodes::new(), None, 5, &changes)?;
                prop_assert_eq!(root, world.parent.state_root);
            }
        }
    }
}

#[test]
fn golden_block() {
    let mut world = World::new(4);
    let (open, channel) = world.open(0);
    world.step(std::slice::from_ref(&open));
    let close = channel.close(OutPoint { tx: open.id(), index: 0 }, 3);
    let block = world.build(&[world.pay(2, 2, FEE), close]).block;
    let bytes = codec::encode(&block);
    assert_eq!(block.transactions.len(), 2);
    assert_eq!(bytes.len(), 1_456);
    let content = towpath_crypto::hash::digest(towpath_crypto::Domain::Test, &[&bytes]);
    let found = [content, block.id().0, block.header.transactions_root].map(|digest| digest.to_string());
    let golden = [
        "7429c615ae440312447c9e1c91bc3172bbefef893ef43d0eb1a3ff83ae2fb37b",
        "fa7b197909f2f3abcd6350170cdb17ca62cd08660117b7adecbb26e8976dd4b2",
        "b59fdcdb93094cde6dc095b79556821611bcd608a35daa74d4525ccf433b9d6b",
    ];
    assert_eq!(found, golden);
}
