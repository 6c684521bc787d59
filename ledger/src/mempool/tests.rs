//! The pool against crowds, conflicts and time.

use proptest::prelude::*;
use towpath_crypto::ed25519::PublicKey;

use super::*;
use crate::chain::{NoneVerified, build_block};
use crate::limits;
use crate::rules::{Signatures, TxError};
use crate::testing::*;
use crate::types::*;

fn pool(world: &World) -> Mempool {
    Mempool::new(PoolLimits::for_chain(&world.genesis.params))
}

/// A pool with room for so many payments of one output by one peer.
fn small_pool(world: &World, general: u64) -> Mempool {
    let each = queue::cost(candidate(&world.pay(0, 1, FEE)).bytes);
    Mempool::new(PoolLimits { reserved_bytes: 40_000, general_bytes: general * each })
}

fn insert(pool: &mut Mempool, world: &World, transaction: &Transaction) -> Result<Admitted, Refusal> {
    insert_from(pool, world, transaction, Source::Local)
}

fn insert_from(
    pool: &mut Mempool,
    world: &World,
    transaction: &Transaction,
    source: Source,
) -> Result<Admitted, Refusal> {
    pool.insert(transaction.clone(), source, &world.view, &world.context(), Signatures::Verify)
}

fn peer(number: u8) -> Source {
    Source::Peer(PublicKey([number; 32]))
}

/// Checks the pool's indexes against its content.
fn check(pool: &Mempool) {
    for queue in Queue::ALL {
        let (used, most) = pool.usage(queue);
        assert!(used <= most, "{queue}: {used} of {most}");
    }
    let candidates = pool.candidates(u64::MAX);
    assert_eq!(candidates.reserved.len() + candidates.general.len(), pool.len());
    for candidate in candidates.reserved.iter().chain(&candidates.general) {
        let id = candidate.transaction.id();
        assert_eq!(pool.transaction(&id), Some(&candidate.transaction));
        for input in &candidate.transaction.body.inputs {
            assert_eq!(pool.spender(input), Some(id));
        }
    }
}

#[test]
fn a_transaction_waits_once() {
    let world = World::new(2);
    let mut pool = pool(&world);
    let transaction = world.pay(0, 1, FEE);
    let admitted = insert(&mut pool, &world, &transaction).expect("valid");
    assert_eq!((admitted.id, admitted.queue), (transaction.id(), Queue::General));
    assert_eq!(insert(&mut pool, &world, &transaction), Err(Refusal::Known(transaction.id())));
    check(&pool);
    assert!(pool.remove(&transaction.id()) && !pool.remove(&transaction.id()));
    assert_eq!((pool.len(), pool.usage(Queue::General).0), (0, 0));
}

#[test]
fn c22_the_first_stays_whatever_the_second_pays() {
    let world = World::new(2);
    let mut pool = pool(&world);
    let first = world.pay(0, 1, FEE);
    insert(&mut pool, &world, &first).expect("valid");
    let second = world.pay(0, 1, Amount(50 * FEE.units()));
    assert_eq!(insert(&mut pool, &world, &second), Err(Refusal::Conflict { with: first.id() }));
}

#[test]
fn c22_of_two_disputes_the_one_that_shows_more_stays() {
    let mut world = World::new(2);
    let (open, channel) = world.open(0);
    world.step(std::slice::from_ref(&open));
    let close = channel.close(OutPoint { tx: open.id(), index: 0 }, 1);
    world.step(std::slice::from_ref(&close));
    let closing = OutPoint { tx: close.id(), index: 0 };
    let dispute = |version| channel.supersede(closing, &world.view.entries[&closing], version);
    let mut pool = pool(&world);
    let (older, newer) = (dispute(2), dispute(9));
    assert_eq!(insert(&mut pool, &world, &older).map(|a| a.queue), Ok(Queue::Dispute));
    assert_eq!(insert(&mut pool, &world, &newer).map(|a| a.replaced), Ok(vec![older.id()]));
    for version in [2, 8] {
        let refused = insert(&mut pool, &world, &dispute(version));
        assert_eq!(refused, Err(Refusal::Conflict { with: newer.id() }), "version {version}");
    }
    // A newer one that is not signed replaces nothing.
    let mut forged = dispute(11);
    let Witness::Supersede { state, .. } = &mut forged.witnesses[0] else { panic!("a supersede") };
    state.a = channel.state(10).a;
    assert_eq!(insert(&mut pool, &world, &forged), Err(Refusal::Invalid(TxError::BadSignature(0))));
    check(&pool);
    assert_eq!(pool.spender(&closing), Some(newer.id()));
}

#[test]
fn what_is_not_final_is_not_spent() {
    let world = World::new(2);
    let mut pool = pool(&world);
    let parent = world.pay(0, 1, FEE);
    insert(&mut pool, &world, &parent).expect("valid");
    let made = OutPoint { tx: parent.id(), index: 0 };
    let child = world.spend(1, made, vec![paid(2, Amount(1_000))], None);
    assert_eq!(insert(&mut pool, &world, &child), Err(Refusal::NotFinal(made)));
    let nowhere = OutPoint { tx: TxId(Digest([9; 32])), index: 0 };
    let orphan = world.spend(1, nowhere, vec![paid(2, Amount(1_000))], None);
    assert_eq!(insert(&mut pool, &world, &orphan), Err(Refusal::Invalid(TxError::MissingInput(nowhere))));
}

#[test]
fn two_reveals_of_one_secret_do_not_both_wait() {
    let world = World::new(3);
    let mut pool = pool(&world);
    let first = world.reveal(0, 7);
    assert_eq!(insert(&mut pool, &world, &first).map(|a| a.queue), Ok(Queue::Reveal));
    let refused = insert(&mut pool, &world, &world.reveal(1, 7));
    assert_eq!(refused, Err(Refusal::Conflict { with: first.id() }));
    insert(&mut pool, &world, &world.reveal(1, 8)).expect("another secret");
}

#[test]
fn l21_a_full_queue_gives_way_to_higher_fee_rates_only() {
    let world = World::new(10);
    let mut pool = small_pool(&world, 4);
    let fee = |n: u32| Amount(FEE.units() + u64::from(n));
    let waiting: Vec<_> = (1..5).map(|n| world.pay(n, 1, fee(n))).collect();
    for transaction in &waiting {
        insert(&mut pool, &world, transaction).expect("there is room");
    }
    let full = Err(Refusal::Full { queue: Queue::General });
    assert_eq!(insert(&mut pool, &world, &world.pay(5, 1, FEE)), full);
    assert_eq!(insert(&mut pool, &world, &world.pay(5, 1, fee(1))), full, "equal is not higher");
    let better = world.pay(6, 1, fee(9));
    assert_eq!(insert(&mut pool, &world, &better).map(|a| a.replaced), Ok(vec![waiting[0].id()]));
    check(&pool);
    let order: Vec<TxId> = pool.candidates(u64::MAX).general.iter().map(|c| c.transaction.id()).collect();
    let expected = [&better, &waiting[3], &waiting[2], &waiting[1]].map(Transaction::id);
    assert_eq!(order, expected);
    // A large one must pay more than each of those that it pushes out.
    let large = world.pay(7, 6, Amount(10 * FEE.units()));
    assert_eq!(insert(&mut pool, &world, &large).map(|a| a.replaced.len()), Ok(2));
    check(&pool);
}

#[test]
fn l21_a_peer_fills_a_part_of_a_queue_alone() {
    let world = World::new(20);
    let mut pool = small_pool(&world, 16);
    let mut from =
        |number, source| insert_from(&mut pool, &world, &world.pay(number, 1, FEE), source).map(drop);
    assert_eq!((from(0, peer(1)), from(1, peer(1))), (Ok(()), Ok(())));
    assert_eq!(from(2, peer(1)), Err(Refusal::SourceShare { queue: Queue::General }));
    assert_eq!((from(2, peer(2)), from(3, Source::Local)), (Ok(()), Ok(())));
    check(&pool);
    pool.remove(&world.pay(0, 1, FEE).id());
    assert!(insert_from(&mut pool, &world, &world.pay(4, 1, FEE), peer(1)).is_ok(), "its part is free again");
}

#[test]
fn l20_ordinary_transactions_never_fill_the_reserved_queues() {
    let mut world = World::new(30);
    let (open, channel) = world.open(0);
    world.step(std::slice::from_ref(&open));
    let mut pool = small_pool(&world, 4);
    for number in 2..20 {
        let fee = Amount(FEE.units() * u64::from(number));
        let _ = insert(&mut pool, &world, &world.pay(number, 1, fee));
    }
    let close = channel.close(OutPoint { tx: open.id(), index: 0 }, 1);
    assert_eq!(insert(&mut pool, &world, &close).map(|a| a.replaced), Ok(vec![]));
    // Reveals fill their own queue, not that of closes or disputes, and push nothing out.
    let mut refused = 0;
    for number in 0..100_u8 {
        let reveal = world.reveal(20 + u32::from(number % 9), number);
        refused += u32::from(insert(&mut pool, &world, &reveal).is_err());
    }
    assert!(refused > 0);
    assert!(pool.transaction(&close.id()).is_some());
    check(&pool);
}

#[test]
fn l20_the_reserved_queues_take_turns() {
    let mut world = World::new(30);
    let channels: Vec<_> = (0..6).map(|n| world.open(n)).collect();
    let opens: Vec<_> = channels.iter().map(|(open, _)| open.clone()).collect();
    world.step(&opens);
    let mut pool = pool(&world);
    for (open, channel) in &channels {
        insert(&mut pool, &world, &channel.close(OutPoint { tx: open.id(), index: 0 }, 1)).expect("valid");
    }
    let reveals: Vec<_> = (10..13_u8).map(|n| world.reveal(n.into(), n)).collect();
    for reveal in &reveals {
        insert(&mut pool, &world, reveal).expect("valid");
    }
    let order = pool.candidates(u64::MAX).reserved;
    let places: Vec<usize> =
        order.iter().enumerate().filter(|(_, c)| reveals.contains(&c.transaction)).map(|(n, _)| n).collect();
    assert_eq!(places, [0, 2, 4]);
    assert!(pool.candidates(1).reserved.len() <= 3, "what does not go into the next block stays here");
}

#[test]
fn a_decided_block_takes_out_what_it_includes_or_contradicts() {
    let mut world = World::new(9);
    let mut pool = pool(&world);
    let (included, conflicting, stays) = (world.pay(0, 1, FEE), world.pay(1, 1, FEE), world.pay(2, 1, FEE));
    let (known, expiring) = (world.reveal(3, 7), {
        let mut body = world.pay(4, 1, FEE).body;
        body.expiry = Some(world.context().time);
        world.sign(4, body)
    });
    for transaction in [&included, &conflicting, &stays, &known, &expiring] {
        insert(&mut pool, &world, transaction).expect("valid");
    }
    let effects = world.step(&[included.clone(), world.pay(1, 2, FEE), world.reveal(5, 7)]);
    let mut removed = pool.on_block(&effects);
    let mut expected = vec![
        Removed { id: included.id(), reason: Removal::Included },
        Removed { id: conflicting.id(), reason: Removal::Conflict },
        Removed { id: known.id(), reason: Removal::Conflict },
        Removed { id: expiring.id(), reason: Removal::Expired },
    ];
    removed.sort_by_key(|r| r.id);
    expected.sort_by_key(|r| r.id);
    assert_eq!(removed, expected);
    assert_eq!(pool.len(), 1);
    check(&pool);
    let mut later = world.step(&[]);
    later.height += limits::POOL_HEIGHTS_MAX;
    assert_eq!(pool.on_block(&later), [Removed { id: stays.id(), reason: Removal::Stale }]);
    assert_eq!(pool.usage(Queue::General).0, 0);
}

#[test]
fn refused_transactions_leave_nothing_behind() {
    let world = World::new(4);
    let mut pool = pool(&world);
    let mut forged = world.pay(0, 1, FEE);
    forged.witnesses = world.pay(1, 1, FEE).witnesses;
    assert!(matches!(insert(&mut pool, &world, &forged), Err(Refusal::Invalid(_))));
    assert!(matches!(insert(&mut pool, &world, &world.pay(0, 1, Amount(1))), Err(Refusal::Invalid(_))));
    assert_eq!((pool.len(), pool.spender(&world.coin(0))), (0, None));
    insert(&mut pool, &world, &world.pay(0, 1, FEE)).expect("the input is still free");
}

#[test]
fn fees_are_told_by_what_waits() {
    let world = World::new(12);
    let mut pool = pool(&world);
    assert_eq!(pool.fee_per_byte_for(0), Amount::ZERO);
    let mut bytes = 0;
    for number in 1..10 {
        let transaction = world.pay(number, 1, Amount(FEE.units() * u64::from(number)));
        bytes = candidate(&transaction).bytes;
        insert(&mut pool, &world, &transaction).expect("valid");
    }
    let rate = |rank: u64| Amount(FEE.units() * rank / bytes + 1);
    assert_eq!(pool.fee_per_byte_for(1), rate(9));
    assert_eq!(pool.fee_per_byte_for(3 * bytes), rate(7));
    assert_eq!(pool.fee_per_byte_for(10 * bytes), Amount::ZERO);
}

#[derive(Clone, Debug)]
enum Act {
    Pay { wallet: u32, outputs: u32, fee: u64 },
    Reveal { wallet: u32, secret: u8 },
    Open { wallet: u32 },
    Close { wallet: u32, version: u64 },
    Block,
}

fn act() -> impl Strategy<Value = Act> {
    let wallet = 0_u32..12;
    prop_oneof![
        4 => (wallet.clone(), 1_u32..9, 1_u64..9).prop_map(|(wallet, outputs, fee)| Act::Pay { wallet, outputs, fee }),
        2 => (wallet.clone(), 0_u8..9).prop_map(|(wallet, secret)| Act::Reveal { wallet, secret }),
        2 => wallet.clone().prop_map(|wallet| Act::Open { wallet }),
        2 => (wallet, 1_u64..9).prop_map(|(wallet, version)| Act::Close { wallet, version }),
        1 => Just(Act::Block),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn l21_what_waits_is_bounded_and_valid_together(acts in proptest::collection::vec(act(), 1..60)) {
        let mut world = World::new(12);
        let mut pool = small_pool(&world, 5);
        for (number, act) in (0_u8..).zip(&acts) {
            let transaction = match act {
                Act::Pay { wallet, outputs, fee } => world.pay(*wallet, *outputs, Amount(fee * FEE.units())),
                Act::Reveal { wallet, secret } => world.reveal(*wallet, *secret),
                Act::Open { wallet } => world.open(*wallet).0,
                Act::Close { wallet, version } => {
                    let (open, channel) = world.open(*wallet);
                    channel.close(OutPoint { tx: open.id(), index: 0 }, *version)
                }
                Act::Block => {
                    let candidates = pool.candidates(u64::MAX);
                    let built = build_block(world.tip(), &candidates, world.proposal(), &pool)?;
                    prop_assert_eq!(&built.dropped, &[]);
                    prop_assert_eq!(built.block.transactions.len(), pool.len());
                    let checks = crate::chain::Checks::Replay;
                    let executed = crate::chain::execute_block(world.tip(), &built.block, checks, &NoneVerified)?;
                    prop_assert_eq!(&executed, &built.effects);
                    world.apply(&built.block, &built.effects);
                    prop_assert_eq!(pool.on_block(&built.effects).len(), built.block.transactions.len());
                    prop_assert!(pool.is_empty());
                    continue;
                }
            };
            let _ = insert_from(&mut pool, &world, &transaction, peer(number % 3));
            check(&pool);
        }
    }
}
