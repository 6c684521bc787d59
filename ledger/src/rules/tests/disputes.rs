//! Superseding, penalizing, answering, finalizing (SPEC C-30 to C-49).

use towpath_crypto::Amount;

use super::world::*;
use crate::rules::{ChannelFault, TxError};
use crate::types::*;

fn refused(fault: ChannelFault) -> TxError {
    TxError::Channel { input: 0, fault }
}

/// Alice closes alone with this version, in which she has 700,000; the fee is 1,000.
fn alice_posts(world: &mut World, version: u64) -> (Open, Posted) {
    let channel = world.open(0);
    let draft = channel.unilateral(Party::A, &cosign(&channel.state(version, 700_000)), 1_000);
    let posted = Posted::of(&world.submit(&draft).expect("a healthy close"));
    (channel, posted)
}

fn pays(a: u64, b: u64) -> Vec<Output> {
    vec![alice().paid(Amount(a)), bob().paid(Amount(b))]
}

#[test]
fn c3_the_newest_state_wins_over_every_older_one() {
    for stale in 1..9 {
        let mut world = World::new();
        let (channel, posted) = alice_posts(&mut world, stale);
        let newest = cosign(&channel.state(9, 200_000));
        let answered = world.submit(&posted.supersede(&newest, 2_000)).expect("a healthy answer");
        let answered = Posted::of(&answered);
        world.wait_ms(WINDOW_MS + 1);
        let bob_before = world.holdings(&bob());
        let stolen = answered.finalize(&[], SETTLE_FEE, pays(699_000 - SETTLE_FEE, 298_000));
        assert!(matches!(world.submit(&stolen), Err(TxError::Underpaid(_))));
        let settled = answered.finalize(&[], SETTLE_FEE, pays(199_000 - SETTLE_FEE, 798_000));
        world.submit(&settled).expect("a healthy settlement");
        assert_eq!(world.holdings(&bob()), bob_before + 798_000);
    }
}

#[test]
fn c3_an_author_that_said_it_held_more_forfeits_its_share() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    let newest = cosign_held(&channel.state(9, 200_000), 8, 9);
    // Alice's own signature on version 9 says that she held 8: she knew when she posted 5.
    let proof = claim(Party::A, &newest.state, 8);
    let draft = posted.penalize(Some(&newest), &proof, 2_000);
    let punished = Posted::of(&world.submit(&draft).expect("a healthy penalty"));
    assert!(punished.closing.penalized);
    assert_eq!(punished.closing.posted_version, 5);
    world.wait_ms(WINDOW_MS + 1);
    // Half of her 200,000 goes to Bob; the fees are each one's own.
    let settled = punished.finalize(&[], SETTLE_FEE, pays(99_000 - SETTLE_FEE, 900_000 - 2_000));
    world.submit(&settled).expect("a healthy settlement");
}

#[test]
fn c5_no_claim_that_an_honest_author_can_have_made_penalizes_it() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 9);
    // She posted 9, the newest that she held. She may have proposed 10, 11, ... whose answers never came: all of them
    // say that she held at most 9.
    for version in 1..40 {
        for held in 0..=9 {
            let proof = claim(Party::A, &channel.state(version, 100_000), held);
            let draft = posted.penalize(None, &proof, 1_000);
            assert_eq!(world.submit(&draft), Err(refused(ChannelFault::NoProof)), "{version} {held}");
        }
    }
    // Bob completes 10 and wins, as he should; she loses nothing but what 10 says.
    let newer = cosign_held(&channel.state(10, 650_000), 9, 9);
    let superseded = world.submit(&posted.supersede(&newer, 1_000)).expect("a healthy answer");
    let superseded = Posted::of(&superseded);
    // What she posted is what counts, not what the closing shows now.
    assert_eq!(superseded.closing.posted_version, 9);
    let proof = claim(Party::A, &newer.state, 9);
    let draft = superseded.penalize(None, &proof, 1_000);
    assert_eq!(world.submit(&draft), Err(refused(ChannelFault::NoProof)));
    world.wait_ms(WINDOW_MS + 1);
    let settled = superseded.finalize(&[], SETTLE_FEE, pays(649_000 - SETTLE_FEE, 350_000 - 1_000));
    world.submit(&settled).expect("a healthy settlement");
}

#[test]
fn c3_superseding_does_not_clear_the_author() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    // Alice herself raises her stale state, so that version 8 is no longer above what is shown.
    let raised = world.submit(&posted.supersede(&cosign(&channel.state(8, 690_000)), 0));
    assert!(matches!(raised, Err(TxError::FeeTooLow { .. })), "somebody pays");
    let raised = posted.supersede(&cosign(&channel.state(8, 690_000)), 2_000);
    let raised = Posted::of(&world.submit(&raised).expect("a healthy answer"));
    let proof = claim(Party::A, &channel.state(9, 200_000), 8);
    let punished = raised.penalize(None, &proof, 2_000);
    world.submit(&punished).expect("8 is above the 5 that she posted");
}

#[test]
fn a_proof_is_the_authors_and_of_this_channel() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    let other = world.open(1);
    let state = channel.state(9, 200_000);
    let bad_state = [
        ChannelState { generation: 1, ..state.clone() },
        ChannelState { channel: other.terms.id, ..state.clone() },
    ];
    for state in bad_state {
        let draft = posted.penalize(None, &claim(Party::A, &state, 8), 1_000);
        assert_eq!(world.submit(&draft), Err(refused(ChannelFault::NoProof)));
    }
    let bobs = posted.penalize(None, &claim(Party::B, &state, 8), 1_000);
    assert_eq!(world.submit(&bobs), Err(TxError::BadSignature(0)));
    let mut forged = claim(Party::A, &state, 4);
    forged.signature.held = 8;
    assert_eq!(world.submit(&posted.penalize(None, &forged, 1_000)), Err(TxError::BadSignature(0)));
    let elsewhere = StateSignature::sign(&alice().channel, &ChainId(Digest([0; 32])), &state, 8);
    let elsewhere = SignedState { state: state.clone(), signature: elsewhere };
    assert_eq!(world.submit(&posted.penalize(None, &elsewhere, 1_000)), Err(TxError::BadSignature(0)));
    let good = posted.penalize(None, &claim(Party::A, &state, 6), 2_000);
    world.submit(&good).expect("a healthy penalty");
}

#[test]
fn a_penalty_is_given_once_and_the_closing_can_still_be_superseded() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    let proof = claim(Party::A, &channel.state(9, 200_000), 8);
    let punished = world.submit(&posted.penalize(None, &proof, 2_000)).expect("a healthy penalty");
    let punished = Posted::of(&punished);
    let again = punished.penalize(None, &proof, 2_000);
    assert_eq!(world.submit(&again), Err(refused(ChannelFault::Penalized)));
    let raised = punished.supersede(&cosign(&channel.state(9, 200_000)), 2_000);
    let raised = Posted::of(&world.submit(&raised).expect("a healthy answer"));
    assert!(raised.closing.penalized);
    // A final state that was signed before does not undo it either.
    let state = cosign(&channel.final_state(9, 200_000));
    let witness = Witness::Cooperative { state: Box::new(state), fee: Amount(CLOSE_FEE) };
    let escape =
        Draft::of(raised.outpoint, How::Witness(witness.clone()), pays(199_000 - CLOSE_FEE, 796_000));
    assert!(matches!(world.submit(&escape), Err(TxError::Underpaid(_))));
    let settled = Draft::of(raised.outpoint, How::Witness(witness), pays(99_000 - CLOSE_FEE, 896_000));
    world.submit(&settled).expect("the penalty sticks");
}

#[test]
fn c14_each_dispute_raises_the_version_and_none_moves_the_deadline() {
    let mut world = World::new();
    let (channel, first) = alice_posts(&mut world, 5);
    let mut posted = first.clone();
    for version in 6..12 {
        world.wait_ms(60_000);
        for stale in [1, version - 1] {
            let draft = posted.supersede(&cosign(&channel.state(stale, 700_000)), 0);
            let fault = ChannelFault::NotNewer { posted: version - 1, shown: stale };
            assert_eq!(world.submit(&draft), Err(refused(fault)));
        }
        let mut later = posted.supersede(&cosign(&channel.state(version, 600_000)), 0);
        later.outputs.push(carol().paid(minus(COIN, FEE)));
        let later = later.with(coin(3, u32::try_from(version).expect("small") - 6), How::Key(carol().wallet));
        let mut moved = later.clone();
        let Lock::Closing(closing) = &mut moved.outputs[0].lock else { panic!("a closing") };
        closing.deadline = Deadline::At(first.deadline.plus_ms(1));
        assert_eq!(world.submit(&moved), Err(TxError::WrongSuccessor(0)));
        posted = Posted::of(&world.submit(&later).expect("a healthy answer"));
        assert_eq!(posted.deadline, first.deadline);
    }
}

#[test]
fn c13_the_block_at_the_deadline_is_in_time_and_the_next_is_not() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    let newest = cosign(&channel.state(9, 200_000));
    let proof = claim(Party::A, &newest.state, 8);
    let supersede = posted.supersede(&newest, 2_000);
    let penalize = posted.penalize(None, &proof, 2_000);
    let answer = posted.answer((Some(&newest), None), &[], 2_000, pays(199_000, 798_000));
    let finalize = posted.finalize(&[], SETTLE_FEE, pays(699_000 - SETTLE_FEE, 300_000));
    let over = Err(refused(ChannelFault::WindowOver(posted.deadline)));
    let open = Err(refused(ChannelFault::WindowOpen(posted.deadline)));
    let sign = |draft: &Draft| draft.sign(&world.view);
    let disputes = [sign(&supersede), sign(&penalize), sign(&answer)];
    let finalize = sign(&finalize);

    world.wait_ms(WINDOW_MS);
    assert_eq!(world.time, posted.deadline);
    assert_eq!(world.check(&finalize), open, "not at the deadline itself");
    for dispute in &disputes {
        assert!(world.check(dispute).is_ok());
    }
    world.wait_ms(1);
    for dispute in &disputes {
        assert_eq!(world.check(dispute), over);
    }
    assert!(world.check(&finalize).is_ok());
}

#[test]
fn the_other_party_can_settle_at_once() {
    let mut world = World::new();
    let (_, posted) = alice_posts(&mut world, 9);
    let answer = posted.answer((None, None), &[], 800, pays(699_000, 299_200));
    world.submit(&answer).expect("a healthy answer");
}

#[test]
fn an_answer_carries_a_newer_state_and_the_penalty() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    let newest = cosign(&channel.state(9, 200_000));
    let proof = claim(Party::A, &newest.state, 8);
    let answer = posted.answer((Some(&newest), Some(&proof)), &[], 2_000, pays(99_000, 898_000));
    world.submit(&answer).expect("a healthy answer");
}

#[test]
fn c22_nobody_can_weaken_an_answer() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    let newest = cosign(&channel.state(9, 200_000));
    let proof = claim(Party::A, &newest.state, 8);
    let full = posted.answer((Some(&newest), Some(&proof)), &[], 2_000, pays(99_000, 898_000));
    let good = full.sign(&world.view);
    let weaken = |change: fn(&mut Witness), outputs: Vec<Output>| {
        let mut weaker = good.clone();
        change(&mut weaker.witnesses[0]);
        weaker.body.outputs = outputs;
        assert_eq!(world.check(&weaker), Err(TxError::BadSignature(0)));
    };
    // Alice strips the proof, or the newer state, or the fee is raised.
    weaken(
        |witness| {
            let Witness::Answer { proof, .. } = witness else { panic!("an answer") };
            *proof = None;
        },
        pays(199_000, 798_000),
    );
    weaken(
        |witness| {
            let Witness::Answer { state, .. } = witness else { panic!("an answer") };
            *state = None;
        },
        pays(350_000 - 1_000, 650_000 - 2_000),
    );
    weaken(
        |witness| {
            let Witness::Answer { fee, .. } = witness else { panic!("an answer") };
            *fee = Amount(9_000);
        },
        pays(99_000, 891_000),
    );
    // Alice answers her own close.
    let signed = CloseAnswer {
        closing: posted.outpoint,
        state: posted.closing.state.clone(),
        penalized: false,
        fee: Amount(2_000),
    };
    let witness = Witness::Answer {
        state: None,
        proof: None,
        pending: Vec::new(),
        fee: Amount(2_000),
        signature: alice().channel.sign(&CHAIN, &signed),
    };
    let own = Draft::of(posted.outpoint, How::Witness(witness), pays(699_000, 298_000));
    assert_eq!(world.submit(&own), Err(TxError::BadSignature(0)));
    world.apply(&good).expect("a healthy answer");
}

#[test]
fn c22_an_answer_is_for_one_closing() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    let raised = posted.supersede(&cosign(&channel.state(6, 500_000)), 1_500);
    let answer = posted.answer((None, None), &[], 800, pays(699_000, 299_200));
    let raised = Posted::of(&world.submit(&raised).expect("a healthy answer"));
    let mut replayed = answer.clone();
    replayed.inputs[0].0 = raised.outpoint;
    replayed.outputs = pays(499_000, 500_000 - 1_500 - 800);
    assert_eq!(world.submit(&replayed), Err(TxError::BadSignature(0)));
}

#[test]
fn c24_states_of_a_settled_channel_open_nothing_in_its_successor() {
    let mut world = World::new();
    let old = world.open(0);
    let stale = cosign(&old.final_state(9, 990_000));
    let settled = old.cooperative(&cosign(&old.final_state(10, 100_000)), CLOSE_FEE);
    world.submit(&settled).expect("a healthy close");
    // The same two reopen with the same keys: another funding, so another id.
    let new = world.open(1);
    assert_ne!(old.terms.id, new.terms.id);
    assert!(world.submit(&new.cooperative(&stale, CLOSE_FEE)).is_err());
    assert!(world.submit(&new.unilateral(Party::A, &stale, 1_000)).is_err());
    let posted = new.unilateral(Party::A, &cosign(&new.state(1, 500_000)), 1_000);
    let posted = Posted::of(&world.submit(&posted).expect("a healthy close"));
    assert!(world.submit(&posted.supersede(&stale, 1_000)).is_err());
    let proof = claim(Party::A, &stale.state, 9);
    assert_eq!(world.submit(&posted.penalize(None, &proof, 1_000)), Err(refused(ChannelFault::NoProof)));
}

#[test]
fn a_dispute_keeps_everything_but_what_it_changes() {
    let mut world = World::new();
    let (channel, posted) = alice_posts(&mut world, 5);
    let healthy = posted.supersede(&cosign(&channel.state(9, 200_000)), 2_000);
    let changes: [fn(&mut Closing); 9] = [
        |closing| closing.terms.payout_b = carol().payout(),
        |closing| closing.capacity = Amount(999_999),
        |closing| closing.state.balance_a = Amount(500_000),
        |closing| closing.posted_version = 9,
        |closing| closing.author = Party::B,
        |closing| closing.deadline = Deadline::FromCreation,
        |closing| closing.penalized = true,
        |closing| closing.author_fees = Amount::ZERO,
        |closing| closing.other_fees = Amount(1_999),
    ];
    for change in changes {
        let mut draft = healthy.clone();
        let Lock::Closing(closing) = &mut draft.outputs[0].lock else { panic!("a closing") };
        change(closing);
        assert_eq!(world.submit(&draft), Err(TxError::WrongSuccessor(0)));
    }
    world.submit(&healthy).expect("a healthy answer");
}
