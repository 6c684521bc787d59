//! Conditional payments: in a settled channel, on the ledger, and the registry of secrets (SPEC C-50 to C-56, L-20).

use towpath_crypto::Amount;
use towpath_crypto::schnorr::WalletSecret;

use super::world::*;
use crate::limits;
use crate::rules::{ChannelFault, PayloadFault, TxError};
use crate::types::*;

/// The fees that settling a closing takes out of it: with one payment that is decided, with three, with one that is
/// still open, with two such; and that resolving one takes.
const DECIDED_FEE: u64 = 370;
const THREE_FEE: u64 = 500;
const OPEN_FEE: u64 = 550;
const TWO_OPEN_FEE: u64 = 790;
const RESOLVE_FEE: u64 = 220;

const SECRET: Secret = Secret::Preimage([0x51; 32]);

/// A payment of 100,000 from Alice to Bob, in a closing of Alice's whose window is over at `deadline`.
fn posted_with(world: &mut World, pending: &[PendingPayment]) -> Posted {
    let channel = world.open(0);
    let state = cosign(&channel.state_with(9, 700_000, pending));
    let draft = channel.unilateral(Party::A, &state, 1_000);
    Posted::of(&world.submit(&draft).expect("a healthy close"))
}

fn reveal(index: u32, secrets: &[Secret]) -> Draft {
    Draft {
        inputs: vec![(coin(3, index), How::Key(carol().wallet))],
        outputs: vec![carol().paid(minus(COIN, FEE))],
        payload: Some(Payload::Reveal(secrets.to_vec())),
    }
}

fn pays(a: u64, b: u64) -> Vec<Output> {
    vec![alice().paid(Amount(a)), bob().paid(Amount(b))]
}

fn held(condition: Condition, expiry: Time) -> Output {
    let conditional = Conditional { condition, expiry, payee: bob().payout(), payer: alice().payout() };
    Output { lock: Lock::Conditional(Box::new(conditional)), ..bob().paid(Amount(100_000)) }
}

#[test]
fn h4_a_secret_recorded_in_time_pays_the_payee_whenever_it_is_settled() {
    let mut world = World::new();
    let expiry = START.plus_ms(10_000);
    let pending = [hash_payment(1, 100_000, &SECRET, expiry)];
    let posted = posted_with(&mut world, &pending);
    world.wait_ms(10_000);
    let changes = world.submit(&reveal(0, &[SECRET])).expect("at the expiry itself is in time");
    assert_eq!(changes.secrets.len(), 1);
    world.wait_ms(WINDOW_MS);
    let to_alice = posted.finalize(&pending, DECIDED_FEE, pays(699_000 - DECIDED_FEE, 300_000));
    assert!(matches!(world.submit(&to_alice), Err(TxError::Underpaid(_))));
    let to_bob = posted.finalize(&pending, DECIDED_FEE, pays(599_000 - DECIDED_FEE, 400_000));
    world.submit(&to_bob).expect("a healthy settlement");
}

#[test]
fn h4_a_secret_recorded_late_pays_the_payer() {
    let mut world = World::new();
    let pending = [hash_payment(1, 100_000, &SECRET, START.plus_ms(10_000))];
    let posted = posted_with(&mut world, &pending);
    world.wait_ms(10_001);
    world.submit(&reveal(0, &[SECRET])).expect("late, but a record");
    world.wait_ms(WINDOW_MS);
    let to_bob = posted.finalize(&pending, DECIDED_FEE, pays(599_000 - DECIDED_FEE, 400_000));
    assert!(matches!(world.submit(&to_bob), Err(TxError::Underpaid(_))));
    let to_alice = posted.finalize(&pending, DECIDED_FEE, pays(699_000 - DECIDED_FEE, 300_000));
    world.submit(&to_alice).expect("a healthy settlement");
}

#[test]
fn a_payment_that_outlives_its_channel_is_resolved_on_the_ledger() {
    let expiry = START.plus_ms(2 * WINDOW_MS);
    let condition = SECRET.condition().expect("a preimage");
    let pending = [hash_payment(1, 100_000, &SECRET, expiry)];
    let mut world = World::new();
    let posted = posted_with(&mut world, &pending);
    world.wait_ms(WINDOW_MS + 1);
    let mut outputs = pays(599_000 - OPEN_FEE, 300_000);
    let stolen = posted.finalize(&pending, OPEN_FEE, pays(599_000 - OPEN_FEE, 400_000));
    assert!(matches!(world.submit(&stolen), Err(TxError::Underpaid(_))));
    let mut longer = outputs.clone();
    longer.push(held(condition, expiry.plus_ms(1)));
    assert_eq!(world.submit(&posted.finalize(&pending, OPEN_FEE, longer)), Err(TxError::Undemanded(2)));
    outputs.push(held(condition, expiry));
    let settled = posted.finalize(&pending, OPEN_FEE, outputs);
    let open = world.submit(&settled).expect("a healthy settlement").created[2].0;

    let resolve = |payout: &Person, fee: u64| {
        let witness = Witness::Resolve { fee: Amount(fee) };
        Draft::of(open, How::Witness(witness), vec![payout.paid(Amount(100_000 - fee))])
    };
    let unresolved = TxError::Channel { input: 0, fault: ChannelFault::Unresolved(expiry) };
    assert_eq!(world.submit(&resolve(&bob(), RESOLVE_FEE)), Err(unresolved.clone()));

    // The secret and the payment in one transaction.
    let mut claimed = world.clone();
    let mut draft = resolve(&bob(), 0).with(coin(3, 0), How::Key(carol().wallet));
    draft.outputs.push(carol().paid(minus(COIN, FEE)));
    draft.payload = Some(Payload::Reveal(vec![SECRET]));
    claimed.submit(&draft).expect("the payee claims");

    // Expired: the payer's, and nobody takes more than it costs.
    world.time = expiry;
    assert_eq!(world.submit(&resolve(&alice(), RESOLVE_FEE)), Err(unresolved));
    world.wait_ms(1);
    assert!(matches!(world.submit(&resolve(&bob(), RESOLVE_FEE)), Err(TxError::Underpaid(_))));
    assert!(matches!(world.submit(&resolve(&alice(), 0)), Err(TxError::FeeTooLow { .. })));
    let greedy = world.submit(&resolve(&alice(), 5_000));
    assert!(matches!(greedy, Err(TxError::Channel { fault: ChannelFault::Fee { .. }, .. })));
    world.submit(&resolve(&alice(), RESOLVE_FEE)).expect("the payer claims back");
}

#[test]
fn the_payments_listed_are_exactly_those_signed() {
    let mut world = World::new();
    let other = Secret::Preimage([0x52; 32]);
    let pending = [
        hash_payment(1, 60_000, &SECRET, START),
        hash_payment(2, 30_000, &other, START),
        hash_payment(7, 10_000, &SECRET, START),
    ];
    let posted = posted_with(&mut world, &pending);
    world.wait_ms(WINDOW_MS + 1);
    let check = |list: &[PendingPayment]| {
        let draft = posted.finalize(list, THREE_FEE, pays(699_000 - THREE_FEE, 300_000));
        world.check(&draft.sign(&world.view)).map(|_| ())
    };
    let refused = Err(TxError::Channel { input: 0, fault: ChannelFault::Pending });
    assert_eq!(check(&pending), Ok(()));
    assert_eq!(check(&[]), refused);
    assert_eq!(check(&pending[..2]), refused);
    let with = |change: &dyn Fn(&mut Vec<PendingPayment>)| {
        let mut list = pending.to_vec();
        change(&mut list);
        check(&list)
    };
    assert_eq!(with(&|list| list.swap(0, 1)), refused);
    assert_eq!(with(&|list| list.push(list[2].clone())), refused);
    assert_eq!(with(&|list| list[1] = list[0].clone()), refused);
    assert_eq!(with(&|list| list[0].number = 0), refused);
    assert_eq!(with(&|list| list[0].payer = Party::B), refused);
    assert_eq!(with(&|list| list[0].amount = Amount(60_001)), refused);
    assert_eq!(with(&|list| list[0].condition = list[1].condition), refused);
    assert_eq!(with(&|list| list[0].expiry = Time(0)), refused);
}

/// SPEC C-50: not even if both signed it; a number names one payment.
#[test]
fn c23_a_list_whose_numbers_do_not_rise_is_never_settled() {
    let settle = |numbers: [u64; 2]| {
        let mut world = World::new();
        let pending = numbers.map(|number| hash_payment(number, 50_000, &SECRET, START));
        let posted = posted_with(&mut world, &pending);
        world.wait_ms(WINDOW_MS + 1);
        let draft = posted.finalize(&pending, DECIDED_FEE, pays(699_000 - DECIDED_FEE, 300_000));
        world.submit(&draft).map(drop)
    };
    let refused = Err(TxError::Channel { input: 0, fault: ChannelFault::Pending });
    assert_eq!(settle([1, 1]), refused);
    assert_eq!(settle([2, 1]), refused);
    // A list that rises gets as far as its fee, which here is that of one payment.
    assert!(matches!(settle([1, 2]), Err(TxError::FeeTooLow { .. })));
}

#[test]
fn c23_payments_with_the_same_condition_and_amount_are_each_paid() {
    let mut world = World::new();
    let expiry = START.plus_ms(2 * WINDOW_MS);
    let pending: Vec<_> = (1..=2).map(|number| hash_payment(number, 50_000, &SECRET, expiry)).collect();
    let posted = posted_with(&mut world, &pending);
    world.wait_ms(WINDOW_MS + 1);
    let half =
        |amount| Output { amount: Amount(amount), ..held(SECRET.condition().expect("a preimage"), expiry) };
    let settle = |held: Vec<Output>| {
        let mut outputs = pays(599_000 - TWO_OPEN_FEE, 300_000);
        outputs.extend(held);
        posted.finalize(&pending, TWO_OPEN_FEE, outputs)
    };
    let mut once = settle(vec![half(50_000)]);
    once.outputs.push(carol().paid(Amount(50_000)));
    assert_eq!(world.submit(&once), Err(TxError::Undemanded(2)));
    once.outputs.remove(2);
    assert_eq!(world.submit(&once), Err(TxError::Underpaid(Amount(100_000))));
    let apart = settle(vec![half(50_000), half(50_000)]);
    assert_eq!(world.submit(&apart), Err(TxError::Undemanded(2)), "one output for one lock");
    world.submit(&settle(vec![half(100_000)])).expect("both, merged");
}

#[test]
fn the_largest_list_with_the_largest_payouts_can_be_settled() {
    let mut world = World::new();
    let mut keys: Vec<_> = (1..=16).map(|number| Person::new(number).wallet.public()).collect();
    keys.sort_unstable();
    let wide = |required| Payout::Multisig(Multisig { required, keys: keys.clone() });
    let mut terms = World::terms(&coin(1, 0));
    (terms.payout_a, terms.payout_b) = (wide(9), wide(10));
    terms.close_fee_max = CAPACITY.share(500);
    let opened = world.submit(&opening(coin(1, 0), terms.clone(), CAPACITY)).expect("a healthy opening");
    let channel = Open { outpoint: opened.created[0].0, terms: terms.clone(), capacity: CAPACITY };
    let expiry = START.plus_ms(2 * WINDOW_MS);
    let pending: Vec<_> = (0u8..u8::try_from(limits::PENDING_PAYMENTS_MAX).expect("128"))
        .map(|number| hash_payment(number.into(), 1_000, &Secret::Preimage([number; 32]), expiry))
        .collect();
    let state = cosign(&channel.state_with(9, 700_000, &pending));
    let posted = channel.unilateral(Party::A, &state, 2_000);
    let posted = Posted::of(&world.submit(&posted).expect("a healthy close"));
    world.wait_ms(WINDOW_MS + 1);
    let wallet =
        |payout: &Payout, amount| Output { lock: Lock::Wallet(payout.clone()), ..bob().paid(Amount(amount)) };
    let mut outputs =
        vec![wallet(&terms.payout_a, 700_000 - 128_000 - 2_000), wallet(&terms.payout_b, 300_000)];
    outputs.extend(pending.iter().map(|payment| {
        let conditional = Conditional {
            condition: payment.condition,
            expiry,
            payee: terms.payout_b.clone(),
            payer: terms.payout_a.clone(),
        };
        Output { lock: Lock::Conditional(Box::new(conditional)), ..bob().paid(payment.amount) }
    }));
    outputs.push(carol().paid(Amount(COIN.units() - 200_000)));
    let draft = posted.finalize(&pending, 0, outputs).with(coin(3, 0), How::Key(carol().wallet));
    let bytes = world.submit(&draft).expect("a healthy settlement").bytes;
    assert!(bytes < u64::from(limits::TRANSACTION_BYTES_MIN), "{bytes}");
}

#[test]
fn a_secret_is_recorded_once() {
    let mut world = World::new();
    let key = SECRET.condition().expect("a preimage").key();
    world.submit(&reveal(0, &[SECRET])).expect("a healthy reveal");
    let recorded = world.view.secrets[&key];
    assert_eq!(recorded, START);
    world.wait_ms(5);
    assert_eq!(world.submit(&reveal(1, &[SECRET])), Err(TxError::SecretKnown(key)));
    assert_eq!(world.view.secrets[&key], START);
}

#[test]
fn a_point_lock_opens_with_either_scalar_and_is_recorded_once() {
    let scalar = Secret::Scalar([0x61; 32]);
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let mut negated = [0; 32];
    hex::decode_to_slice(order, &mut negated).expect("hex");
    let mut borrow = 0i16;
    for byte in negated.iter_mut().rev() {
        let digit = i16::from(*byte) - 0x61 - borrow;
        borrow = i16::from(digit < 0);
        *byte = u8::try_from(digit.rem_euclid(256)).expect("a byte");
    }
    let negated = Secret::Scalar(negated);
    assert_eq!(scalar.condition(), negated.condition());
    assert_eq!(Secret::Scalar([0; 32]).condition(), None);
    let point = WalletSecret::from_bytes([0x61; 32]).expect("a scalar").public();
    assert_eq!(scalar.condition(), Some(Condition::Point(point)));

    let mut world = World::new();
    let key = Condition::Point(point).key();
    assert_eq!(world.submit(&reveal(0, &[scalar, negated])), Err(TxError::SecretKnown(key)));
    let zero = Secret::Scalar([0; 32]);
    assert_eq!(world.submit(&reveal(0, &[zero])), Err(TxError::BadPayload(PayloadFault::BadScalar)));
    world.submit(&reveal(0, &[negated])).expect("a healthy reveal");
    assert_eq!(world.submit(&reveal(1, &[scalar])), Err(TxError::SecretKnown(key)));
}

#[test]
fn l5_a_hash_lock_and_a_point_lock_never_share_a_secret() {
    let bytes = [0x77; 32];
    let hash = Condition::Hash(Digest(bytes));
    let point = Condition::Point(towpath_crypto::schnorr::WalletKey(bytes));
    assert_ne!(hash.key(), point.key());
}

#[test]
fn a_condition_that_nobody_can_meet_goes_back() {
    let mut world = World::new();
    let condition = Condition::Point(towpath_crypto::schnorr::WalletKey([0; 32]));
    let payment = hash_payment(1, 100_000, &SECRET, Time(u64::MAX));
    let pending = [PendingPayment { condition, ..payment }];
    let posted = posted_with(&mut world, &pending);
    world.wait_ms(WINDOW_MS + 1);
    let settled = posted.finalize(&pending, DECIDED_FEE, pays(699_000 - DECIDED_FEE, 300_000));
    world.submit(&settled).expect("a healthy settlement");
}

#[test]
fn an_expiry_past_the_longest_is_cut() {
    let mut world = World::new();
    let pending = [hash_payment(1, 100_000, &SECRET, Time(u64::MAX))];
    let posted = posted_with(&mut world, &pending);
    world.wait_ms(WINDOW_MS + 1);
    let longest = world.time.plus_ms(world.params.conditional_expiry_ms_max);
    let condition = SECRET.condition().expect("a preimage");
    let mut outputs = pays(599_000 - OPEN_FEE, 300_000);
    outputs.push(held(condition, longest));
    world.submit(&posted.finalize(&pending, OPEN_FEE, outputs)).expect("a healthy settlement");
}
