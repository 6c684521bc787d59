//! Closing together and alone (SPEC C-20 to C-26).

use towpath_crypto::Amount;

use super::world::*;
use crate::rules::{ChannelFault, StateFault, TxError};
use crate::types::*;

fn refused(fault: impl Into<ChannelFault>) -> TxError {
    TxError::Channel { input: 0, fault: fault.into() }
}

#[test]
fn a_final_state_is_paid_at_once() {
    let mut world = World::new();
    let channel = world.open(0);
    let (a, b) = (world.holdings(&alice()), world.holdings(&bob()));
    let state = cosign(&channel.final_state(9, 400_000));
    world.submit(&channel.cooperative(&state, CLOSE_FEE)).expect("a healthy close");
    assert_eq!(world.holdings(&alice()), a + 400_000 - CLOSE_FEE);
    assert_eq!(world.holdings(&bob()), b + 600_000);
}

#[test]
fn c11_only_a_final_state_closes_at_once() {
    let mut world = World::new();
    let channel = world.open(0);
    let open = cosign(&channel.state(9, 400_000));
    assert_eq!(world.submit(&channel.cooperative(&open, CLOSE_FEE)), Err(refused(ChannelFault::NotFinal)));
    let pending = [hash_payment(1, 5_000, &Secret::Preimage([1; 32]), Time(u64::MAX))];
    let state = ChannelState { is_final: true, ..channel.state_with(9, 400_000, &pending) };
    let result = world.submit(&channel.cooperative(&cosign(&state), CLOSE_FEE));
    assert_eq!(result, Err(refused(StateFault::FinalPending)));
}

#[test]
fn nobody_gets_less_than_its_balance_in_a_cooperative_close() {
    let mut world = World::new();
    let channel = world.open(0);
    let state = cosign(&channel.final_state(9, 400_000));
    let healthy = channel.cooperative(&state, CLOSE_FEE);
    for index in 0..2 {
        let mut less = healthy.clone();
        less.outputs[index].amount = minus(less.outputs[index].amount, Amount(1));
        assert!(matches!(world.submit(&less), Err(TxError::Underpaid(_))));
        let mut none = healthy.clone();
        none.outputs.remove(index);
        assert!(matches!(world.submit(&none), Err(TxError::Underpaid(_))));
        let mut stolen = healthy.clone();
        stolen.outputs[index].lock = Lock::Wallet(carol().payout());
        assert!(matches!(world.submit(&stolen), Err(TxError::Underpaid(_))));
    }
    let mut swapped = healthy.clone();
    swapped.outputs[0].lock = healthy.outputs[1].lock.clone();
    swapped.outputs[1].lock = healthy.outputs[0].lock.clone();
    assert!(matches!(world.submit(&swapped), Err(TxError::Underpaid(_))));
    world.submit(&healthy).expect("a healthy close");
}

#[test]
fn one_output_is_never_counted_for_two_channels() {
    let mut world = World::new();
    let (one, two) = (world.open(0), world.open(1));
    let first = one.cooperative(&cosign(&one.final_state(3, 400_000)), CLOSE_FEE);
    let second = two.cooperative(&cosign(&two.final_state(3, 400_000)), CLOSE_FEE);
    // Both owe Alice 399,400 and Bob 600,000: paid once, Carol would keep the rest.
    let mut theft = first.clone();
    theft.inputs.extend(second.inputs.clone());
    theft.outputs.push(carol().paid(Amount(2_000_000 - 2 * CLOSE_FEE - 999_440)));
    assert!(matches!(world.submit(&theft), Err(TxError::Underpaid(_))));
    // Merged into one output each, it is settlement batching.
    let mut batch = first;
    batch.inputs.extend(second.inputs);
    batch.outputs = vec![alice().paid(Amount(2 * 399_440)), bob().paid(Amount(1_200_000))];
    world.submit(&batch).expect("a healthy batch");
}

#[test]
fn nobody_is_paid_in_crumbs() {
    let mut world = World::new();
    let channel = world.open(0);
    let healthy = channel.cooperative(&cosign(&channel.final_state(9, 400_000)), CLOSE_FEE);
    // Carol even pays for the bytes, so that Bob has to pay more to gather his funds again.
    let mut crumbs = healthy.clone().with(coin(3, 0), How::Key(carol().wallet));
    crumbs.outputs[1].amount = Amount(300_000);
    crumbs.outputs.push(bob().paid(Amount(300_000)));
    crumbs.outputs.push(carol().paid(minus(COIN, FEE)));
    assert_eq!(world.submit(&crumbs), Err(TxError::Underpaid(Amount(600_000))));
    crumbs.outputs.remove(2);
    crumbs.outputs[1].amount = Amount(600_000);
    world.submit(&crumbs).expect("at once");
}

#[test]
fn hundreds_of_channels_close_in_one_transaction() {
    let mut world = World::new();
    let template = world.open(0);
    world.view.entries.remove(&template.outpoint);
    let mut draft = Draft { inputs: Vec::new(), outputs: Vec::new(), payload: None };
    for index in 0..300 {
        let mut channel = template.clone();
        channel.terms.id =
            ChannelId::derive(&CHAIN, &coin(8, index), 0, &channel.terms.key_a, &channel.terms.key_b);
        channel.outpoint = coin(9, index);
        let lock = Lock::Channel(Box::new(channel.terms.clone()));
        let output = Output { asset: AssetId::NATIVE, amount: channel.capacity, lock };
        world.view.entries.insert(channel.outpoint, Entry { output, height: 0, time: Time(0) });
        draft.inputs.extend(channel.cooperative(&cosign(&channel.final_state(2, 400_000)), 500).inputs);
    }
    draft.outputs = vec![alice().paid(Amount(300 * 399_500)), bob().paid(Amount(300 * 600_000))];
    let changes = world.check(&draft.sign(&world.view)).expect("a healthy batch");
    assert_eq!(changes.spent.len(), 300);
    assert_eq!(changes.created.len(), 2);
}

#[test]
fn c9_both_parties_sign_a_state_each_with_its_own_key() {
    let mut world = World::new();
    let channel = world.open(0);
    let state = channel.final_state(9, 400_000);
    let good = cosign(&state);
    let other_state = cosign(&channel.final_state(8, 400_000));
    let carols = StateSignature::sign(&carol().channel, &CHAIN, &state, 8);
    let elsewhere = StateSignature::sign(&alice().channel, &ChainId(Digest([0; 32])), &state, 8);
    let bad = [
        CoSigned { a: good.b, b: good.a, ..good.clone() },
        CoSigned { a: good.b, ..good.clone() },
        CoSigned { b: good.a, ..good.clone() },
        CoSigned { a: carols, ..good.clone() },
        CoSigned { b: carols, ..good.clone() },
        CoSigned { a: elsewhere, ..good.clone() },
        CoSigned { a: other_state.a, ..good.clone() },
        CoSigned { a: StateSignature { held: good.a.held + 1, ..good.a }, ..good.clone() },
        CoSigned { b: StateSignature { held: 0, ..good.b }, ..good.clone() },
    ];
    for state in bad {
        assert_eq!(world.submit(&channel.cooperative(&state, CLOSE_FEE)), Err(TxError::BadSignature(0)));
        let alone = channel.unilateral(Party::A, &state, 1_000);
        assert_eq!(world.submit(&alone), Err(TxError::BadSignature(0)));
    }
    world.submit(&channel.cooperative(&good, CLOSE_FEE)).expect("a healthy close");
}

#[test]
fn c9_the_author_signs_the_close() {
    let mut world = World::new();
    let channel = world.open(0);
    let state = cosign(&channel.state(9, 400_000));
    let honest = channel.unilateral(Party::A, &state, 1_000).sign(&world.view);
    let Witness::Unilateral { signature, .. } = honest.witnesses[0].clone() else { panic!("a close") };
    // Bob shows Alice's state, and even her signature, as a close of his; or a close of hers that she never signed.
    let framed = [
        (channel.unilateral(Party::B, &state, 1_000), signature),
        (channel.unilateral(Party::A, &state, 999), signature),
        (channel.unilateral(Party::A, &cosign(&channel.state(8, 400_000)), 1_000), signature),
    ];
    for (draft, signature) in framed {
        let mut transaction = draft.sign(&world.view);
        let Witness::Unilateral { signature: place, .. } = &mut transaction.witnesses[0] else { panic!() };
        *place = signature;
        assert_eq!(world.apply(&transaction), Err(TxError::BadSignature(0)));
    }
    world.apply(&honest).expect("a healthy close");
}

#[test]
fn c10_a_state_must_be_of_this_channel_and_add_up() {
    let mut world = World::new();
    let channel = world.open(0);
    let other = world.open(1);
    let healthy = channel.state(9, 400_000);
    let check = |change: &dyn Fn(&mut ChannelState), fault: StateFault| {
        let mut state = healthy.clone();
        change(&mut state);
        let alone = channel.unilateral(Party::B, &cosign(&state), 1_000);
        assert_eq!(world.check(&alone.sign(&world.view)), Err(refused(fault)), "{state:?}");
        state.is_final = true;
        let witness = Witness::Cooperative { state: Box::new(cosign(&state)), fee: Amount::ZERO };
        let outputs = vec![alice().paid(Amount(400_000)), bob().paid(Amount(600_000))];
        let together = Draft::of(channel.outpoint, How::Witness(witness), outputs);
        assert_eq!(world.check(&together.sign(&world.view)), Err(refused(fault)), "{state:?}");
    };
    check(&|state| state.channel = other.terms.id, StateFault::OtherChannel);
    let generation = StateFault::OtherGeneration { current: 0, shown: 1 };
    check(&|state| state.generation = 1, generation);
    check(&|state| state.version = 0, StateFault::VersionZero);
    let total = StateFault::Total(CAPACITY);
    check(&|state| state.balance_a = Amount(400_001), total);
    check(&|state| state.balance_b = Amount(599_999), total);
    check(&|state| state.balance_a = Amount::MAX, total);
    check(&|state| state.pending_total = Amount(1), total);
    check(&|state| state.pending_root = Digest([1; 32]), StateFault::PendingRoot);
    check(
        &|state| {
            state.balance_a = Amount(399_999);
            state.pending_total = Amount(1);
        },
        StateFault::PendingRoot,
    );
}

#[test]
fn c20_balances_always_bear_the_fees_of_a_close() {
    let mut world = World::new();
    let channel = world.open(0);
    let cost = 2 * channel.terms.close_fee_max.units();
    let state = |left: u64| {
        let amount = CAPACITY.units() - left;
        let pending = [hash_payment(1, amount, &Secret::Preimage([1; 32]), Time(u64::MAX))];
        let mut state = channel.state_with(9, CAPACITY.units(), &pending);
        state.balance_a = Amount(left);
        state
    };
    let short = channel.unilateral(Party::A, &cosign(&state(cost - 1)), 1_000);
    let fault = StateFault::ClosingCost(Amount(cost));
    assert_eq!(world.submit(&short), Err(refused(fault)));
    let enough = channel.unilateral(Party::A, &cosign(&state(cost)), 1_000);
    world.submit(&enough).expect("a healthy close");
}

#[test]
fn c8_any_version_that_both_signed_can_be_posted() {
    for version in [1, 2, 1_000, u64::MAX] {
        let mut world = World::new();
        let channel = world.open(0);
        let state = cosign(&channel.state(version, 400_000));
        world.submit(&channel.unilateral(Party::B, &state, 1_000)).expect("a healthy close");
    }
}

#[test]
fn a_unilateral_close_becomes_exactly_its_closing() {
    let mut world = World::new();
    let channel = world.open(0);
    let state = cosign(&channel.state(9, 400_000));
    let healthy = channel.unilateral(Party::A, &state, 1_000);
    let changes: [fn(&mut Closing); 9] = [
        |closing| closing.terms.payout_b = carol().payout(),
        |closing| closing.capacity = Amount(999_999),
        |closing| closing.state.balance_a = Amount(500_000),
        |closing| closing.posted_version += 1,
        |closing| closing.author = Party::B,
        |closing| closing.deadline = Deadline::At(START),
        |closing| closing.penalized = true,
        |closing| closing.author_fees = Amount::ZERO,
        |closing| closing.other_fees = Amount(1),
    ];
    for change in changes {
        let mut draft = healthy.clone();
        let Lock::Closing(closing) = &mut draft.outputs[0].lock else { panic!("a closing") };
        change(closing);
        assert_eq!(world.submit(&draft), Err(TxError::WrongSuccessor(0)));
    }
    let mut cheaper = healthy.clone();
    cheaper.outputs[0].amount = minus(cheaper.outputs[0].amount, Amount(1));
    assert_eq!(world.submit(&cheaper), Err(TxError::WrongSuccessor(0)));
    let mut twice = healthy.clone();
    twice.outputs.push(twice.outputs[0].clone());
    assert_eq!(world.submit(&twice), Err(TxError::Undemanded(1)));
    let mut none = healthy.clone();
    none.outputs = vec![alice().paid(Amount(999_000))];
    assert_eq!(world.submit(&none), Err(TxError::NotContinued(channel.terms.id)));
    world.submit(&healthy).expect("a healthy close");
}

#[test]
fn c24_a_channel_is_closed_once() {
    let mut world = World::new();
    let channel = world.open(0);
    let state = cosign(&channel.final_state(9, 400_000));
    let together = channel.cooperative(&state, CLOSE_FEE);
    let alone = channel.unilateral(Party::A, &state, 1_000);
    let posted = Posted::of(&world.submit(&alone).expect("a healthy close"));
    assert_eq!(world.submit(&together), Err(TxError::MissingInput(channel.outpoint)));
    assert_eq!(world.submit(&alone), Err(TxError::MissingInput(channel.outpoint)));
    world.wait_ms(WINDOW_MS + 1);
    let outputs = vec![alice().paid(Amount(399_000 - SETTLE_FEE)), bob().paid(Amount(600_000))];
    let finalize = posted.finalize(&[], SETTLE_FEE, outputs);
    world.submit(&finalize).expect("a healthy settlement");
    assert_eq!(world.submit(&finalize), Err(TxError::MissingInput(posted.outpoint)));
    let newer = cosign(&channel.state(10, 1));
    assert_eq!(world.submit(&posted.supersede(&newer, 0)), Err(TxError::MissingInput(posted.outpoint)));
}

#[test]
fn c11_a_final_state_settles_a_closing_too_but_never_goes_back() {
    let mut world = World::new();
    let channel = world.open(0);
    let posted = channel.unilateral(Party::A, &cosign(&channel.state(9, 400_000)), 1_000);
    let posted = Posted::of(&world.submit(&posted).expect("a healthy close"));
    let together = |version, a: u64| {
        let state = cosign(&channel.final_state(version, a));
        let witness = Witness::Cooperative { state: Box::new(state), fee: Amount(CLOSE_FEE) };
        let outputs =
            vec![alice().paid(Amount(a - 1_000 - CLOSE_FEE)), bob().paid(Amount(CAPACITY.units() - a))];
        Draft::of(posted.outpoint, How::Witness(witness), outputs)
    };
    let fault = ChannelFault::NotNewer { posted: 9, shown: 8 };
    assert_eq!(world.submit(&together(8, 300_000)), Err(refused(fault)));
    world.submit(&together(10, 300_000)).expect("both agreed after all");
}

#[test]
fn a_witness_of_the_wrong_kind_opens_nothing() {
    let mut world = World::new();
    let channel = world.open(0);
    let signed = Draft::of(channel.outpoint, How::Key(alice().wallet), vec![alice().paid(Amount(900_000))]);
    assert_eq!(world.submit(&signed), Err(TxError::WitnessKind(0)));
    let state = Box::new(cosign(&channel.final_state(9, 400_000)));
    let proof = Box::new(claim(Party::A, &state.state, 9));
    let fee = Amount::ZERO;
    let witnesses = [
        Witness::Supersede { state: state.clone(), fee },
        Witness::Penalize { state: None, proof, fee },
        Witness::Finalize { pending: Vec::new(), fee },
        Witness::Resolve { fee },
    ];
    for witness in witnesses {
        let outputs = vec![alice().paid(Amount(400_000)), bob().paid(Amount(599_000))];
        let draft = Draft::of(channel.outpoint, How::Witness(witness), outputs);
        assert_eq!(world.submit(&draft), Err(TxError::WitnessKind(0)));
    }
    let witness = Witness::Cooperative { state, fee };
    let draft = Draft::of(coin(1, 3), How::Witness(witness), vec![carol().paid(minus(COIN, FEE))]);
    assert_eq!(world.submit(&draft), Err(TxError::WitnessKind(0)));
}
