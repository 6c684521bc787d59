//! Opening and resizing channels (SPEC C-1 to C-9, C-60 to C-62).

use towpath_crypto::Amount;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::schnorr::WalletKey;

use super::world::*;
use crate::rules::{TermsFault, TxError};
use crate::types::*;

fn open_with(change: impl FnOnce(&mut ChannelTerms)) -> Result<(), TermsFault> {
    open_capacity(CAPACITY, change)
}

/// Opens a channel whose id is right for its changed keys.
fn open_capacity(capacity: Amount, change: impl FnOnce(&mut ChannelTerms)) -> Result<(), TermsFault> {
    let world = World::new();
    let mut terms = World::terms(&coin(1, 0));
    change(&mut terms);
    terms.id = ChannelId::derive(&CHAIN, &coin(1, 0), 0, &terms.key_a, &terms.key_b);
    let draft = opening(coin(1, 0), terms, capacity);
    match world.check(&draft.sign(&world.view)) {
        Ok(_) => Ok(()),
        Err(TxError::BadTerms { index: 0, fault }) => Err(fault),
        Err(other) => panic!("refused for another reason: {other}"),
    }
}

#[test]
fn a_channel_is_opened_with_healthy_terms() {
    assert_eq!(open_with(|_| {}), Ok(()));
}

#[test]
fn l4_a_channel_id_belongs_to_one_funding() {
    let world = World::new();
    let elsewhere = World::terms(&coin(1, 1));
    let draft = opening(coin(1, 0), elsewhere, CAPACITY);
    let refused = Err(TxError::BadTerms { index: 0, fault: TermsFault::Id });
    assert_eq!(world.check(&draft.sign(&world.view)), refused);

    // At another position of the same transaction.
    let mut draft = opening(coin(1, 0), World::terms(&coin(1, 0)), CAPACITY);
    draft.outputs.swap(0, 1);
    let refused = Err(TxError::BadTerms { index: 1, fault: TermsFault::Id });
    assert_eq!(world.check(&draft.sign(&world.view)), refused);

    // Twice in one transaction.
    let mut draft = opening(coin(1, 0), World::terms(&coin(1, 0)), CAPACITY);
    draft.outputs[1] = draft.outputs[0].clone();
    assert!(world.check(&draft.sign(&world.view)).is_err());
}

#[test]
fn c1_a_channel_can_not_be_opened_without_its_funds() {
    let mut world = World::new();
    let nowhere = OutPoint { tx: TxId(Digest::ZERO), index: 0 };
    let draft = opening(nowhere, World::terms(&nowhere), CAPACITY);
    assert_eq!(world.submit(&draft), Err(TxError::MissingInput(nowhere)));

    let mut larger = opening(coin(1, 0), World::terms(&coin(1, 0)), CAPACITY);
    larger.outputs[0].amount = Amount(10 * CAPACITY.units());
    assert!(matches!(world.submit(&larger), Err(TxError::Unbalanced { .. })));

    world.open(0);
    let again = opening(coin(1, 0), World::terms(&coin(1, 0)), CAPACITY);
    assert_eq!(world.submit(&again), Err(TxError::MissingInput(coin(1, 0))));
}

#[test]
fn c21_windows_are_bounded() {
    let world = World::new();
    let (least, most) = (world.params.dispute_window_ms_min, world.params.dispute_window_ms_max);
    for (window, good) in
        [(0, false), (least - 1, false), (least, true), (most, true), (most + 1, false), (u64::MAX, false)]
    {
        let result = open_with(|terms| terms.dispute_window_ms = window);
        assert_eq!(result.is_ok(), good, "{window}: {result:?}");
    }
}

#[test]
fn c21_penalty_reserve_fees_and_expiry_are_bounded() {
    assert_eq!(open_with(|terms| terms.penalty_basis_points = 10_000), Ok(()));
    let penalty = TermsFault::Penalty { shown: 10_001, most: 10_000 };
    assert_eq!(open_with(|terms| terms.penalty_basis_points = 10_001), Err(penalty));

    let half = CAPACITY.units() / 2;
    assert_eq!(open_with(|terms| terms.reserve = Amount(half)), Ok(()));
    assert_eq!(open_with(|terms| terms.reserve = Amount(half + 1)), Err(TermsFault::Reserve));

    let most = CAPACITY.share(World::new().params.close_fee_basis_points_max);
    assert_eq!(open_with(|terms| terms.close_fee_max = most), Ok(()));
    let shown = Amount(most.units() + 1);
    let refused = Err(TermsFault::CloseFee { shown, most });
    assert_eq!(open_with(|terms| terms.close_fee_max = shown), refused);

    assert_eq!(open_with(|terms| terms.expiry = Some(START.plus_ms(1))), Ok(()));
    assert_eq!(open_with(|terms| terms.expiry = Some(START)), Err(TermsFault::Expired(START)));
    let past = Time(0);
    assert_eq!(open_with(|terms| terms.expiry = Some(past)), Err(TermsFault::Expired(past)));

    let least = World::new().params.output_min;
    let tiny = |terms: &mut ChannelTerms| {
        terms.reserve = Amount::ZERO;
        terms.close_fee_max = Amount::ZERO;
    };
    assert_eq!(open_capacity(least, tiny), Ok(()));
    assert_eq!(open_capacity(minus(least, Amount(1)), tiny), Err(TermsFault::Capacity(least)));
}

#[test]
fn l10_channel_keys_are_distinct_and_usable() {
    let same = |terms: &mut ChannelTerms| terms.key_b = terms.key_a;
    assert_eq!(open_with(same), Err(TermsFault::SameKey));
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut identity_again = identity;
    identity_again[31] = 0x80;
    let not_a_point = [0x02; 32];
    let not_reduced = [0xff; 32];
    for weak in [identity, identity_again, [0; 32], not_a_point, not_reduced] {
        assert_eq!(open_with(|terms| terms.key_a = PublicKey(weak)), Err(TermsFault::WeakKey));
        assert_eq!(open_with(|terms| terms.key_b = PublicKey(weak)), Err(TermsFault::WeakKey));
    }
    let weak = Payout::Key(WalletKey([0; 32]));
    let refused = Err(TermsFault::Payout(LockFault::WeakKey));
    assert_eq!(open_with(|terms| terms.payout_a = weak.clone()), refused);
    assert_eq!(open_with(|terms| terms.payout_b = weak), refused);
}

#[test]
fn a_channel_of_another_asset_bears_no_fees() {
    let mut world = World::new();
    let asset = AssetId::issued_by(&CHAIN, &coin(1, 0));
    let units = |amount, lock| Output { asset, amount: Amount(amount), lock };
    let wallet = Lock::Wallet(alice().payout());
    let issue = Draft {
        inputs: vec![(coin(1, 0), How::Key(alice().wallet))],
        outputs: vec![units(50, wallet), alice().paid(minus(COIN, FEE))],
        payload: Some(Payload::Issue { amount: Amount(50), symbol: "GOLD".to_owned() }),
    };
    let gold = world.submit(&issue).expect("a healthy issue").created[0].0;
    let mut open = |fee: u64| {
        let terms = ChannelTerms { close_fee_max: Amount(fee), reserve: Amount::ZERO, ..World::terms(&gold) };
        let lock = Lock::Channel(Box::new(terms));
        let outputs = vec![units(50, lock), alice().paid(minus(COIN, FEE))];
        let draft = Draft::of(gold, How::Key(alice().wallet), outputs);
        world.submit(&draft.with(coin(1, 1), How::Key(alice().wallet)))
    };
    let fault = TermsFault::CloseFee { shown: Amount(1), most: Amount::ZERO };
    assert_eq!(open(1), Err(TxError::BadTerms { index: 0, fault }));
    let opened = open(0).expect("a healthy opening").created[0].0;

    let channel = Open {
        outpoint: opened,
        terms: ChannelTerms { close_fee_max: Amount::ZERO, reserve: Amount::ZERO, ..World::terms(&gold) },
        capacity: Amount(50),
    };
    let state = cosign(&channel.final_state(1, 20));
    let paid = |person: &Person, amount| units(amount, Lock::Wallet(person.payout()));
    let mut draft = channel.cooperative(&state, 0);
    draft.outputs = vec![paid(&alice(), 20), paid(&bob(), 30), carol().paid(minus(COIN, FEE))];
    let draft = draft.with(coin(3, 0), How::Key(carol().wallet));
    world.submit(&draft).expect("somebody else pays the fee");
}

fn resize(channel: &Open, capacity: u64, change: impl FnOnce(&mut ChannelTerms)) -> Draft {
    let mut terms = ChannelTerms { generation: channel.terms.generation + 1, ..channel.terms.clone() };
    change(&mut terms);
    let lock = Lock::Channel(Box::new(terms));
    let output = Output { asset: AssetId::NATIVE, amount: Amount(capacity), lock };
    let rest = channel.capacity.units() + COIN.units() - capacity - FEE.units();
    Draft::of(channel.outpoint, How::Resize(channel.terms.id), vec![output, alice().paid(Amount(rest))])
        .with(coin(1, 5), How::Key(alice().wallet))
}

#[test]
fn a_resize_changes_capacity_and_generation_alone() {
    let mut world = World::new();
    let channel = world.open(0);
    let refused = |change: fn(&mut ChannelTerms)| {
        let draft = resize(&channel, 2_000_000, change);
        assert!(world.check(&draft.sign(&world.view)).is_err());
    };
    refused(|terms| terms.generation = 2);
    refused(|terms| terms.generation = 0);
    refused(|terms| terms.payout_b = alice().payout());
    refused(|terms| terms.payout_a = bob().payout());
    refused(|terms| std::mem::swap(&mut terms.key_a, &mut terms.key_b));
    refused(|terms| terms.dispute_window_ms += 1);
    refused(|terms| terms.penalty_basis_points = 0);
    refused(|terms| terms.reserve = Amount::ZERO);
    refused(|terms| terms.close_fee_max = Amount(1));
    refused(|terms| terms.expiry = Some(Time(u64::MAX)));
    refused(|terms| terms.id = ChannelId(Digest([1; 32])));
    let resized = resize(&channel, 2_000_000, |_| {});
    world.submit(&resized).expect("a healthy resize");
}

#[test]
fn l4_no_state_of_one_generation_is_valid_in_another() {
    let mut world = World::new();
    let mut channel = world.open(0);
    let old = cosign(&channel.final_state(7, 400_000));
    let changes = world.submit(&resize(&channel, CAPACITY.units(), |_| {})).expect("a healthy resize");
    channel.outpoint = changes.created[0].0;
    channel.terms.generation = 1;
    assert!(world.submit(&channel.cooperative(&old, 0)).is_err());
    assert!(world.submit(&channel.unilateral(Party::A, &old, 1_000)).is_err());
    let new = cosign(&channel.final_state(1, 400_000));
    world.submit(&channel.cooperative(&new, CLOSE_FEE)).expect("a state of this generation");
}

#[test]
fn c9_a_resize_needs_both_parties_on_this_very_transaction() {
    let mut world = World::new();
    let channel = world.open(0);
    let good = resize(&channel, 2_000_000, |_| {}).sign(&world.view);
    let Witness::Resize { a, b } = good.witnesses[0] else { panic!("a resize") };
    for witness in [Witness::Resize { a: b, b: a }, Witness::Resize { a, b: a }, Witness::Resize { a: b, b }]
    {
        let mut bad = good.clone();
        bad.witnesses[0] = witness;
        assert_eq!(world.apply(&bad), Err(TxError::BadSignature(0)));
    }
    // The signatures of one resize under another body.
    let mut other = resize(&channel, 1_500_000, |_| {}).sign(&world.view);
    other.witnesses[0] = good.witnesses[0].clone();
    assert_eq!(world.apply(&other), Err(TxError::BadSignature(0)));
    world.apply(&good).expect("a healthy resize");
}

#[test]
fn a_channel_output_without_its_input_is_refused() {
    let world = World::new();
    let terms = ChannelTerms { generation: 1, ..World::terms(&coin(1, 0)) };
    let draft = opening(coin(1, 0), terms, CAPACITY);
    assert_eq!(world.check(&draft.sign(&world.view)), Err(TxError::Undemanded(0)));

    let conditional = Conditional {
        condition: Condition::Hash(Digest([1; 32])),
        expiry: Time(u64::MAX),
        payee: bob().payout(),
        payer: alice().payout(),
    };
    let lock = Lock::Conditional(Box::new(conditional));
    let output = Output { lock, ..bob().paid(minus(COIN, FEE)) };
    let draft = Draft::of(coin(1, 0), How::Key(alice().wallet), vec![output]);
    assert_eq!(world.check(&draft.sign(&world.view)), Err(TxError::Undemanded(0)));
}
