//! What an update does to a content, at its bounds (SPEC P-2, P-3).

use towpath_crypto::Digest;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::schnorr::WalletKey;
use towpath_ledger::{ChannelId, Payout};

use super::*;
use crate::limits::VERSION_MAX;

fn terms() -> ChannelTerms {
    let payout = Payout::Key(WalletKey([7; 32]));
    ChannelTerms {
        id: ChannelId(Digest([0xcd; 32])),
        generation: 0,
        key_a: PublicKey([1; 32]),
        key_b: PublicKey([2; 32]),
        payout_a: payout.clone(),
        payout_b: payout,
        dispute_window_ms: 1_000,
        penalty_basis_points: 5_000,
        reserve: Amount(10),
        close_fee_max: Amount::ZERO,
        expiry: None,
    }
}

/// A has 60, B 40, of which each keeps 10.
fn content() -> Content {
    Content::first(&terms(), ChannelTag(Digest([3; 32])), (Amount(60), Amount(40)), Party::A)
}

fn pay(from: Party, number: u64, units: u64) -> Update {
    Update::Transfer(Transfer { from, number, amount: Amount(units), memo: None })
}

fn apply(content: &mut Content, update: &Update) -> Result<(), UpdateError> {
    let before = content.clone();
    let result = content.apply(update, &terms());
    assert_eq!(content.state.total(), before.state.total(), "funds are conserved");
    assert!(result.is_ok() || *content == before, "what does not apply changes nothing");
    result
}

#[test]
fn p2_a_payer_keeps_its_reserve() {
    for (from, most) in [(Party::A, 50), (Party::B, 30)] {
        let mut one = content();
        assert_eq!(one.spendable(from, &terms()), Amount(most));
        assert_eq!(apply(&mut one, &pay(from, 1, most + 1)), Err(UpdateError::Balance));
        assert_eq!(apply(&mut one, &pay(from, 1, 1_000)), Err(UpdateError::Balance));
        assert_eq!(apply(&mut one, &pay(from, 1, most)), Ok(()));
        assert_eq!(one.state.balance(from), Amount(10));
        assert_eq!(one.state.balance(from.other()), Amount(90));
        assert_eq!(one.spendable(from, &terms()), Amount::ZERO);
    }
    let mut poor = content();
    poor.state.balance_a = Amount(9);
    assert_eq!(poor.spendable(Party::A, &terms()), Amount::ZERO, "less than the reserve is nothing to spend");
    let mut rich = content();
    rich.state.balance_b = Amount::MAX;
    let before = rich.clone();
    assert_eq!(rich.apply(&pay(Party::A, 1, 1), &terms()), Err(UpdateError::Balance));
    assert_eq!(rich, before);
}

#[test]
fn p2_a_payment_is_of_something_and_its_number_is_used_once_in_its_direction() {
    let mut one = content();
    assert_eq!(apply(&mut one, &pay(Party::A, 1, 0)), Err(UpdateError::Zero));
    assert_eq!(apply(&mut one, &pay(Party::A, 0, 1)), Err(UpdateError::Number));
    assert_eq!(apply(&mut one, &pay(Party::A, 5, 1)), Ok(()), "numbers of failed payments are gaps");
    assert_eq!(apply(&mut one, &pay(Party::A, 5, 1)), Err(UpdateError::Number));
    assert_eq!(apply(&mut one, &pay(Party::A, 4, 1)), Err(UpdateError::Number));
    assert_eq!(apply(&mut one, &pay(Party::B, 1, 1)), Ok(()));
    assert_eq!((one.sent(Party::A), one.sent(Party::B)), (5, 1));
}

#[test]
fn p2_nothing_is_built_on_a_final_state_and_none_has_pending_payments() {
    let mut pending = content();
    (pending.state.balance_a, pending.state.pending_total) = (Amount(50), Amount(10));
    assert_eq!(apply(&mut pending, &Update::Finish), Err(UpdateError::Pending));
    let mut one = content();
    assert_eq!(apply(&mut one, &Update::Handover), Ok(()));
    assert_eq!(one.state.sequencer, Party::B);
    assert_eq!(apply(&mut one, &Update::Handover), Ok(()));
    assert_eq!(one.state.sequencer, Party::A);
    assert_eq!(apply(&mut one, &Update::Finish), Ok(()));
    assert!(one.state.is_final);
    for update in [pay(Party::A, 1, 1), Update::Handover, Update::Finish] {
        assert_eq!(apply(&mut one, &update), Err(UpdateError::AfterLast));
    }
}

#[test]
fn p3_a_version_is_above_its_base_and_within_its_range() {
    let base = Content { state: ChannelState { version: 7, ..content().state }, ..content() };
    let next = |version| base.next(version, &[], &terms());
    for version in [0, 6, 7, VERSION_MAX + 1, u64::MAX] {
        assert_eq!(next(version), Err((0, UpdateError::Version)), "{version}");
    }
    for version in [8, VERSION_MAX] {
        let made = next(version).expect("above its base");
        assert_eq!(made.state, ChannelState { version, ..base.state.clone() });
    }
}

#[test]
fn p3_what_ends_a_turn_is_last_and_the_first_fault_is_named() {
    let base = content();
    let next = |updates: &[Update]| base.next(2, updates, &terms());
    let one = pay(Party::A, 1, 5);
    for last in [Update::Handover, Update::Finish] {
        assert!(next(&[one.clone(), last.clone()]).is_ok());
        assert!(next(std::slice::from_ref(&last)).is_ok());
        assert_eq!(next(&[last.clone(), one.clone()]), Err((0, UpdateError::AfterLast)));
        assert_eq!(next(&[one.clone(), last.clone(), last]), Err((1, UpdateError::AfterLast)));
    }
    assert_eq!(next(&[one.clone(), one.clone()]), Err((1, UpdateError::Number)));
    let made = next(&[one, pay(Party::B, 1, 2), pay(Party::A, 2, 1)]).expect("they apply in order");
    assert_eq!((made.state.balance_a, made.state.balance_b), (Amount(56), Amount(44)));
    assert_eq!((made.sent_a, made.sent_b, made.state.version), (2, 1, 2));
}
