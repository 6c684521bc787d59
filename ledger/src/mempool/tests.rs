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
    let lane_bytes = world.genesis.params.blocks.reserved_bytes();
    Mempool::new(PoolLimits { lane_bytes, reserved_bytes: 160_000, general_bytes: general * each })
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

/// Several transactions as one; none of their witnesses covers the body.
fn joined(transactions: &[Transaction]) -> Transaction {
    let mut whole = transactions[0].clone();
    for other in &transactions[1..] {
        whole.body.inputs.extend(&other.body.inputs);
        whole.body.outputs.extend(other.body.outputs.iter().cloned());
        whole.witnesses.extend(other.witnesses.iter().cloned());
    }
    whole
}

/// Opens a channel of each of the first wallets with its neighbour.
fn open_channels(world: &mut World, count: u32) -> Vec<(OutPoint, Channel)> {
    let opened: Vec<_> = (0..count).map(|number| world.open(number)).collect();
    for some in opened.chunks(200) {
        let opens: Vec<Transaction> = some.iter().map(|(open, _)| open.clone()).collect();
        world.step(&opens);
    }
    let at = |open: Transaction| OutPoint { tx: open.id(), index: 0 };
    opened.into_iter().map(|(open, channel)| (at(open), channel)).collect()
}

fn with_channels(count: u32, wallets: u32) -> (World, Vec<(OutPoint, Channel)>) {
    let mut world = World::new(wallets);
    let channels = open_channels(&mut world, count);
    (world, channels)
}

/// A reveal of 240 secrets: nearly as large as they get.
fn large_reveal(world: &World, number: u32) -> Transaction {
    let secret = |n: u8| {
        let mut bytes = [n; 32];
        bytes[28..].copy_from_slice(&number.to_be_bytes());
        Secret::Preimage(bytes)
    };
    let outputs = vec![paid(number, Amount(COIN.units() - FEE.units()))];
    let payload = Payload::Reveal((0..240).map(secret).collect());
    world.spend(number, world.coin(number), outputs, Some(payload))
}

/// Counted by transactions, turns would give the lane to whoever sends the largest ones. They are counted in bytes.
#[test]
fn l20_each_reserved_queue_has_its_part_of_the_lane_in_bytes() {
    let mut world = World::with(360, smallest_blocks());
    let channels = open_channels(&mut world, 310);
    let close = |some: std::ops::Range<usize>| -> Vec<Transaction> {
        channels[some].iter().map(|(at, channel)| channel.close(*at, 1)).collect()
    };
    let disputed = close(0..150);
    world.step(&disputed);
    let mut pool = pool(&world);
    let lane = world.genesis.params.blocks.reserved_bytes();
    // Closes come first, and in one transaction of more bytes than their part.
    let batch = joined(&close(150..230));
    assert!(candidate(&batch).bytes > lane / 4, "{} bytes of {lane}", candidate(&batch).bytes);
    insert(&mut pool, &world, &batch).expect("valid");
    close(230..310).iter().for_each(|close| drop(insert(&mut pool, &world, close).expect("valid")));
    (320..360)
        .for_each(|number| drop(insert(&mut pool, &world, &large_reveal(&world, number)).expect("valid")));
    for (close, (_, channel)) in disputed.iter().zip(&channels) {
        let closing = OutPoint { tx: close.id(), index: 0 };
        let dispute = channel.supersede(closing, &world.view.entries[&closing], 50);
        insert(&mut pool, &world, &dispute).expect("valid");
    }
    let mut bytes = std::collections::BTreeMap::<Queue, u64>::new();
    let mut all = 0;
    for candidate in pool.candidates(2 * lane).reserved {
        let queue = match candidate.transaction.witnesses[0] {
            Witness::Supersede { .. } => Queue::Dispute,
            Witness::Unilateral { .. } => Queue::Close,
            _ => Queue::Reveal,
        };
        all += candidate.bytes;
        if all <= lane {
            *bytes.entry(queue).or_default() += candidate.bytes;
        }
    }
    assert!(all > lane, "there is more than fits");
    for (queue, quarters) in [(Queue::Dispute, 2), (Queue::Reveal, 1), (Queue::Close, 1)] {
        let used = bytes.get(&queue).copied().unwrap_or(0);
        assert!(used + 12_000 >= lane / 4 * quarters, "{queue}: {used} of {lane}");
    }
}

/// The transaction, with coins of these wallets spent beside it, and changed.
fn beside(
    world: &World,
    transaction: &Transaction,
    wallets: &[u32],
    change: impl FnOnce(&mut TxBody),
) -> Transaction {
    let mut body = transaction.body.clone();
    for number in wallets {
        body.inputs.push(world.coin(*number));
        body.outputs.push(paid(*number, Amount(COIN.units() - FEE.units())));
    }
    change(&mut body);
    let spent = body.inputs.iter().map(|input| world.view.entries[input].output.clone()).collect();
    let spend = Spend { transaction: body.id(), spent };
    let mut witnesses = transaction.witnesses.clone();
    for number in wallets {
        let key = wallet(*number);
        witnesses.push(Witness::Wallet(vec![(key.public(), key.sign(&world.chain, &spend))]));
    }
    Transaction { body, witnesses }
}

/// The cheat puts the honest answer in itself, so that it will never be decided: where it pays too little, or with an
/// end. The honest one must get in all the same, and stay.
fn check_pinning(world: &World, honest: &Transaction, pins: &[Transaction]) {
    for pin in pins {
        let mut pool = pool(world);
        insert(&mut pool, world, pin).expect("the pin is valid by itself");
        let admitted = insert(&mut pool, world, honest).expect("nothing pins it");
        assert_eq!(admitted.replaced, [pin.id()]);
        assert_eq!(insert(&mut pool, world, pin), Err(Refusal::Conflict { with: honest.id() }));
        check(&pool);
        let built = build_block(world.tip(), &pool.candidates(u64::MAX), world.proposal(), &pool);
        let built = built.expect("everything is in memory");
        assert_eq!(built.block.transactions, std::slice::from_ref(honest));
    }
}

#[test]
fn l20_c22_a_dispute_is_not_pinned() {
    let (mut world, channels) = with_channels(2, 9);
    let (first, second) = (channels[0].1.close(channels[0].0, 1), channels[1].1.close(channels[1].0, 1));
    world.step(std::slice::from_ref(&second));
    world.step(std::slice::from_ref(&first));
    let answer = |close: &Transaction, channel: &Channel, version| {
        let closing = OutPoint { tx: close.id(), index: 0 };
        channel.supersede(closing, &world.view.entries[&closing], version)
    };
    let honest = answer(&first, &channels[0].1, 9);
    let now = world.context().time;
    let pins = [
        beside(&world, &honest, &[4, 5], |_| {}),
        beside(&world, &honest, &[4], |body| body.expiry = Some(now)),
        beside(&world, &honest, &[4], |body| body.payload = Some(Payload::Anchor(Digest::ZERO))),
        joined(&[honest.clone(), answer(&second, &channels[1].1, 2)]),
        // It may even show more: what is never decided shows nothing.
        beside(&world, &answer(&first, &channels[0].1, 12), &[4, 5], |_| {}),
    ];
    check_pinning(&world, &honest, &pins);
    // Of two that nothing keeps out the first stays, and nobody replaces its own for ever.
    let mut pool = pool(&world);
    insert(&mut pool, &world, &honest).expect("valid");
    let twin = beside(&world, &honest, &[4], |_| {});
    assert_eq!(insert(&mut pool, &world, &twin), Err(Refusal::Conflict { with: honest.id() }));
    for ms in 0..3 {
        let ending = beside(&world, &honest, &[4], |body| body.expiry = Some(now.plus_ms(ms)));
        assert_eq!(insert(&mut pool, &world, &ending), Err(Refusal::Conflict { with: honest.id() }));
    }
}

#[test]
fn l20_c22_a_close_is_not_pinned() {
    let (world, channels) = with_channels(1, 9);
    let (at, channel) = &channels[0];
    let honest = channel.close(*at, 9);
    let stale = channel.close(*at, 1);
    let now = world.context().time;
    let pins = [
        beside(&world, &stale, &[4, 5], |_| {}),
        beside(&world, &stale, &[4], |body| body.expiry = Some(now)),
    ];
    check_pinning(&world, &honest, &pins);
}

#[test]
fn l20_h1_a_reveal_is_not_pinned() {
    let world = World::new(9);
    let honest = world.reveal(0, 7);
    let now = world.context().time;
    let pin = |change: &dyn Fn(&mut TxBody)| {
        let mut body = world.reveal(1, 7).body;
        change(&mut body);
        world.sign(1, body)
    };
    let pins = [
        pin(&|body| {
            body.outputs[0].amount = Amount(body.outputs[0].amount.units() - 5_000);
            body.outputs.push(paid(1, Amount(5_000)));
        }),
        pin(&|body| body.expiry = Some(now)),
    ];
    check_pinning(&world, &honest, &pins);
    // A coin is never spent again because of what comes with it.
    let mut pool = pool(&world);
    let payment = world.pay(0, 1, FEE);
    insert(&mut pool, &world, &payment).expect("valid");
    assert_eq!(insert(&mut pool, &world, &honest), Err(Refusal::Conflict { with: payment.id() }));
}

#[test]
fn a_dispute_leaves_when_its_window_is_over() {
    let (mut world, channels) = with_channels(1, 3);
    let close = channels[0].1.close(channels[0].0, 1);
    world.step(std::slice::from_ref(&close));
    let closing = OutPoint { tx: close.id(), index: 0 };
    let entry = world.view.entries[&closing].clone();
    let dispute = channels[0].1.supersede(closing, &entry, 2);
    let mut pool = pool(&world);
    insert(&mut pool, &world, &dispute).expect("valid");
    let window = world.genesis.params.rules.dispute_window_ms_min;
    let mut effects = world.step(&[]);
    effects.time = entry.time.plus_ms(window - 1);
    assert_eq!(pool.on_block(&effects), [], "the block at the deadline itself may still have it");
    effects.time = entry.time.plus_ms(window);
    assert_eq!(pool.on_block(&effects), [Removed { id: dispute.id(), reason: Removal::Expired }]);
    assert!(pool.is_empty());
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
