//! The reserved lane, and which of two disputes is kept (SPEC L-23 to L-25).

use towpath_crypto::Amount;

use super::world::*;
use crate::rules::{Evidence, Lane};
use crate::types::*;

fn lane(world: &World, draft: &Draft) -> Lane {
    world.check(&draft.sign(&world.view)).expect("a healthy transaction").lane
}

fn transfer(index: u32) -> Draft {
    let half = Amount((COIN.units() - FEE.units()) / 2);
    Draft::of(coin(3, index), How::Key(carol().wallet), vec![bob().paid(half), carol().paid(half)])
}

#[test]
fn l20_closes_disputes_and_reveals_have_their_own_part_of_a_block() {
    let mut world = World::new();
    let channel = world.open(0);
    let close = channel.unilateral(Party::A, &cosign(&channel.state(5, 700_000)), 1_000);
    assert_eq!(lane(&world, &close), Lane::Reserved);
    let together = channel.cooperative(&cosign(&channel.final_state(5, 700_000)), CLOSE_FEE);
    assert_eq!(lane(&world, &together), Lane::General);
    let posted = Posted::of(&world.submit(&close).expect("a healthy close"));
    let newer = cosign(&channel.state(9, 200_000));
    assert_eq!(lane(&world, &posted.supersede(&newer, 2_000)), Lane::Reserved);
    let proof = claim(Party::A, &newer.state, 8);
    assert_eq!(lane(&world, &posted.penalize(None, &proof, 2_000)), Lane::Reserved);
    let outputs = vec![alice().paid(Amount(699_000)), bob().paid(Amount(299_000))];
    assert_eq!(lane(&world, &posted.answer((None, None), &[], 1_000, outputs)), Lane::Reserved);
    let reveal = |mut draft: Draft| {
        draft.payload = Some(Payload::Reveal(vec![Secret::Preimage([1; 32])]));
        draft
    };
    let alone = Draft::of(coin(3, 0), How::Key(carol().wallet), vec![carol().paid(minus(COIN, FEE))]);
    assert_eq!(lane(&world, &alone), Lane::General);
    assert_eq!(lane(&world, &reveal(alone)), Lane::Reserved);
    assert_eq!(lane(&world, &transfer(0)), Lane::General);
}

#[test]
fn l20_nothing_else_rides_in_the_reserved_lane() {
    let mut world = World::new();
    let (one, two) = (world.open(0), world.open(1));
    let close = one.unilateral(Party::A, &cosign(&one.state(5, 700_000)), 1_000);
    let ride = |extra: Draft| {
        let mut draft = close.clone();
        draft.inputs.extend(extra.inputs);
        draft.outputs.extend(extra.outputs);
        draft
    };
    let single = Draft::of(coin(3, 0), How::Key(carol().wallet), vec![carol().paid(minus(COIN, FEE))]);
    assert_eq!(lane(&world, &ride(single.clone())), Lane::Reserved, "it may pay the fee");
    assert_eq!(lane(&world, &ride(transfer(0))), Lane::General, "two free outputs");
    let two_coins = single.clone().with(coin(3, 1), How::Key(carol().wallet));
    assert_eq!(lane(&world, &ride(two_coins)), Lane::General, "two wallet inputs");
    let together = two.cooperative(&cosign(&two.final_state(5, 700_000)), CLOSE_FEE);
    assert_eq!(lane(&world, &ride(together)), Lane::General, "something that can wait");
    let mut anchored = close.clone();
    anchored.payload = Some(Payload::Anchor(Digest([1; 32])));
    assert_eq!(lane(&world, &anchored), Lane::General);
    let mut opens = opening(coin(1, 4), World::terms(&coin(1, 4)), CAPACITY);
    opens.payload = Some(Payload::Reveal(vec![Secret::Preimage([1; 32])]));
    assert_eq!(lane(&world, &opens), Lane::General);
}

#[test]
fn c22_what_shows_more_is_kept_whatever_it_pays() {
    let mut world = World::new();
    let channel = world.open(0);
    let close = channel.unilateral(Party::A, &cosign(&channel.state(5, 700_000)), 1_000);
    let posted = Posted::of(&world.submit(&close).expect("a healthy close"));
    let state = |version| cosign(&channel.state(version, 600_000));
    let proof = claim(Party::A, &channel.state(9, 1), 8);
    let evidence = |draft: Draft| Evidence::of(&draft.sign(&world.view).witnesses[0]);
    let ranked = [
        evidence(posted.finalize(&[], 0, Vec::new())),
        evidence(posted.penalize(None, &proof, 0)),
        evidence(posted.supersede(&state(6), 5_000)),
        evidence(posted.supersede(&state(9), 0)),
        evidence(posted.penalize(Some(&state(9)), &proof, 0)),
        evidence(posted.answer((None, None), &[], 0, Vec::new())),
    ];
    assert!(ranked.is_sorted_by(|left, right| left < right), "{ranked:?}");
}
