//! The second wall: what the guard refuses although no machine of this program ever asks for it (FAULTS C7, C25, C26).

use towpath_crypto::Amount;
use towpath_crypto::ed25519::verify;
use towpath_crypto::schnorr::WalletKey;
use towpath_ledger::{ChannelTerms, OutPoint, Party, Payout, TxId};

use super::*;
use crate::update::Content;

const CHAIN: ChainId = ChainId(Digest([0xc0; 32]));

fn secret() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn guard() -> Guard {
    Guard::new(Arc::new(KeySigner::new(secret())), Mark::NONE)
}

fn state(generation: u32, version: u64) -> ChannelState {
    let payout = Payout::Key(WalletKey([7; 32]));
    let terms = ChannelTerms {
        id: ChannelId(Digest([0xcd; 32])),
        generation,
        key_a: secret().public(),
        key_b: PublicKey([2; 32]),
        payout_a: payout.clone(),
        payout_b: payout,
        dispute_window_ms: 1_000,
        penalty_basis_points: 5_000,
        reserve: Amount::ZERO,
        close_fee_max: Amount::ZERO,
        expiry: None,
    };
    let first = Content::first(&terms, ChannelTag(Digest([3; 32])), (Amount(60), Amount(40)), Party::A);
    ChannelState { version, ..first.state }
}

/// Another content for the same version.
fn other(generation: u32, version: u64) -> ChannelState {
    ChannelState { balance_a: Amount(40), balance_b: Amount(60), ..state(generation, version) }
}

fn last(version: u64) -> ChannelState {
    ChannelState { is_final: true, ..state(0, version) }
}

fn intent(state: ChannelState) -> CloseIntent {
    CloseIntent { state, author: Party::A, fee: Amount(1) }
}

fn answer(state: ChannelState) -> CloseAnswer {
    let closing = OutPoint { tx: TxId(Digest([4; 32])), index: 0 };
    CloseAnswer { closing, state, penalized: false, fee: Amount(1) }
}

fn resize() -> ResizeIntent {
    ResizeIntent { transaction: TxId(Digest([5; 32])), channel: ChannelId(Digest([0xcd; 32])) }
}

#[test]
fn c26_what_is_signed_is_what_was_asked_for_with_the_guards_own_key() {
    let (mut guard, key) = (guard(), secret().public());
    let signed = guard.sign_state(&CHAIN, &state(0, 5), 3).expect("above nothing");
    assert_eq!(signed.held, 3);
    let claim = StateClaim { state: state(0, 5), held: 3 };
    assert!(verify(&key, &CHAIN, &claim, &signed.signature));
    assert!(!verify(&key, &CHAIN, &StateClaim { held: 4, ..claim }, &signed.signature));
    let signature = guard.sign_close_intent(&CHAIN, &intent(state(0, 5))).expect("what it holds");
    assert!(verify(&key, &CHAIN, &intent(state(0, 5)), &signature));
    let signature = guard.sign_answer(&CHAIN, &answer(state(0, 5))).expect("what it holds");
    assert!(verify(&key, &CHAIN, &answer(state(0, 5)), &signature));
    guard.sign_state(&CHAIN, &state(1, 6), 0).expect("the next generation");
    let signature = guard.sign_resize(&CHAIN, &resize()).expect("prepared");
    assert!(verify(&key, &CHAIN, &resize(), &signature));
}

/// DESIGN 4: nobody ever signs two contents for one version, nor anything below what it signed.
#[test]
fn c7_a_version_has_one_content_and_none_goes_back() {
    let mut guard = guard();
    let signed = guard.sign_state(&CHAIN, &state(0, 5), 3).expect("above nothing");
    let below = |version| Err(SignError::NotAbove { version, mark: 5 });
    assert_eq!(guard.sign_state(&CHAIN, &other(0, 5), 3), below(5));
    assert_eq!(guard.sign_state(&CHAIN, &state(0, 5), 4), below(5), "what it says to hold is part of it");
    assert_eq!(guard.sign_state(&CHAIN, &state(0, 4), 3), below(4));
    assert_eq!(guard.sign_state(&CHAIN, &state(0, 5), 3), Ok(signed), "the same is said again");
    assert_eq!((guard.mark().version, guard.mark().held, guard.highest()), (5, 3, 5));
    guard.sign_state(&CHAIN, &state(0, 6), 2).expect("the next version");
    assert_eq!((guard.mark().version, guard.mark().held), (6, 3), "what was said to be held was said");
    let mark = *guard.mark();
    assert_eq!(guard.sign_state(&CHAIN, &other(0, 6), 2), Err(SignError::NotAbove { version: 6, mark: 6 }));
    assert_eq!(*guard.mark(), mark, "what is refused changes nothing");
}

/// SPEC C-24.
#[test]
fn nothing_is_signed_after_a_final_state() {
    let mut guard = guard();
    let signed = guard.sign_state(&CHAIN, &last(5), 4).expect("above nothing");
    assert_eq!(guard.sign_state(&CHAIN, &last(5), 4), Ok(signed), "the same is said again");
    assert_eq!(guard.sign_state(&CHAIN, &state(0, 6), 4), Err(SignError::Final));
    assert_eq!(guard.sign_state(&CHAIN, &state(1, 6), 0), Err(SignError::Final));
    assert_eq!(guard.sign_resize(&CHAIN, &resize()), Err(SignError::Final));
}

/// SPEC P-66: of all states that a party ever signed no two have one version, whichever generation they are of.
#[test]
fn versions_count_on_through_the_generations() {
    let mut guard = guard();
    guard.sign_state(&CHAIN, &state(0, 5), 5).expect("above nothing");
    assert_eq!(guard.sign_state(&CHAIN, &state(2, 6), 0), Err(SignError::Generation(2)));
    assert_eq!(guard.sign_state(&CHAIN, &state(1, 5), 0), Err(SignError::NotAbove { version: 5, mark: 5 }));
    guard.sign_state(&CHAIN, &state(1, 6), 0).expect("the next generation");
    assert_eq!((guard.mark().version, guard.next().version, guard.highest()), (5, 6, 6));
    assert_eq!(guard.sign_state(&CHAIN, &state(0, 6), 5), Err(SignError::NotAbove { version: 6, mark: 6 }));
    guard.sign_state(&CHAIN, &state(0, 7), 5).expect("the resize came to nothing");
    assert_eq!(guard.highest(), 7);
    guard.sign_state(&CHAIN, &state(1, 8), 0).expect("another try");
    guard.renew();
    assert_eq!((guard.mark().generation, guard.mark().version, guard.mark().held), (1, 8, 0));
    assert_eq!(*guard.next(), Mark::NONE);
    assert_eq!(guard.sign_state(&CHAIN, &state(0, 9), 0), Err(SignError::Generation(0)));
}

/// SPEC P-62, P-63.
#[test]
fn nothing_is_signed_while_a_resize_may_become_final() {
    let mut guard = guard();
    guard.sign_state(&CHAIN, &state(0, 5), 5).expect("above nothing");
    assert_eq!(guard.sign_resize(&CHAIN, &resize()), Err(SignError::Unprepared), "no state to go on with");
    guard.sign_state(&CHAIN, &state(1, 6), 0).expect("the next generation");
    guard.sign_state(&CHAIN, &state(0, 7), 5).expect("that one came to nothing");
    assert_eq!(guard.sign_resize(&CHAIN, &resize()), Err(SignError::Unprepared), "that state is an old one");
    let signed = guard.sign_state(&CHAIN, &state(1, 8), 0).expect("the next generation");
    assert!(!guard.is_sealed());
    guard.sign_resize(&CHAIN, &resize()).expect("prepared");
    assert!(guard.is_sealed());
    assert_eq!(guard.sign_state(&CHAIN, &state(0, 9), 5), Err(SignError::Sealed(0)));
    assert_eq!(guard.sign_state(&CHAIN, &state(1, 9), 0), Err(SignError::Sealed(0)));
    assert_eq!(guard.sign_state(&CHAIN, &state(1, 8), 0), Ok(signed), "the same is said again");
    assert!(guard.sign_close_intent(&CHAIN, &intent(state(0, 5))).is_ok(), "it can close alone");
    let mut renewed = guard.clone();
    renewed.renew();
    assert!(!renewed.is_sealed() && renewed.sign_state(&CHAIN, &state(1, 9), 8).is_ok());
    guard.unseal();
    assert!(!guard.is_sealed() && guard.sign_state(&CHAIN, &state(0, 9), 5).is_ok());
}

/// SPEC C-25: no signature that it made penalizes what it posts.
#[test]
fn c25_no_close_is_signed_below_what_was_said_to_be_held() {
    let mut guard = guard();
    guard.sign_state(&CHAIN, &state(0, 9), 7).expect("above nothing");
    let below = SignError::BelowHeld { version: 6, held: 7 };
    assert_eq!(guard.sign_close_intent(&CHAIN, &intent(state(0, 6))), Err(below));
    assert_eq!(guard.sign_answer(&CHAIN, &answer(state(0, 6))), Err(below));
    for version in [7, 8] {
        assert!(guard.sign_close_intent(&CHAIN, &intent(state(0, version))).is_ok());
        assert!(guard.sign_answer(&CHAIN, &answer(state(0, version))).is_ok());
    }
    let elsewhere = SignError::Generation(1);
    assert_eq!(guard.sign_close_intent(&CHAIN, &intent(state(1, 8))), Err(elsewhere));
    assert_eq!(guard.sign_answer(&CHAIN, &answer(state(1, 8))), Err(elsewhere));
}

/// SPEC P-53: nothing at or below the floor is signed, ever again.
#[test]
fn a_raised_mark_covers_all_that_may_have_been_signed() {
    let mut guard = guard();
    assert!(!guard.mark().is_raised(), "nothing was signed");
    guard.sign_state(&CHAIN, &state(0, 5), 4).expect("above nothing");
    let signed = *guard.mark();
    for floor in [0, 4, 5] {
        guard.raise(floor);
        assert_eq!(*guard.mark(), signed, "a floor of {floor} is below what is known");
    }
    assert!(!guard.mark().is_raised());
    guard.raise(6);
    assert!(guard.mark().is_raised());
    assert_eq!((guard.mark().version, guard.mark().held), (6, 4), "what was said to be held stays");
    for version in [5, 6] {
        let below = SignError::NotAbove { version, mark: 6 };
        assert_eq!(guard.sign_state(&CHAIN, &state(0, version), 4), Err(below));
    }
    guard.sign_state(&CHAIN, &state(0, 7), 4).expect("above the floor");
    assert!(!guard.mark().is_raised());
}

/// SPEC P-67: what was signed in a generation of which nothing is known lies above what was signed before it.
#[test]
fn an_unknown_generation_begins_above_all_that_was_signed() {
    let mut guard = guard();
    guard.sign_state(&CHAIN, &state(0, 5), 5).expect("above nothing");
    guard.sign_state(&CHAIN, &state(1, 6), 0).expect("the next generation");
    guard.sign_resize(&CHAIN, &resize()).expect("prepared");
    guard.forget(2);
    assert_eq!((guard.mark().generation, guard.mark().version, guard.mark().held), (2, 6, 0));
    assert!(guard.mark().is_raised() && !guard.is_sealed());
    assert_eq!(*guard.next(), Mark::NONE);
    let below = SignError::NotAbove { version: 6, mark: 6 };
    assert_eq!(guard.sign_state(&CHAIN, &state(2, 6), 0), Err(below));
    assert!(guard.sign_state(&CHAIN, &state(2, 7), 0).is_ok());
}
