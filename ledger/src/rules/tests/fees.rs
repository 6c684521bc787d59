//! Who bears which fee, and how much a stranger can burn (SPEC C-43 to C-46, `docs/decisions/close-fees.md`).

use towpath_crypto::Amount;

use super::world::*;
use crate::rules::{ChannelFault, TxError};
use crate::types::*;

fn is_fee_fault(result: &Result<crate::rules::Changes, TxError>) -> bool {
    matches!(result, Err(TxError::Channel { fault: ChannelFault::Fee { .. }, .. }))
}

fn pays(a: u64, b: u64) -> Vec<Output> {
    vec![alice().paid(Amount(a)), bob().paid(Amount(b))]
}

fn post(world: &mut World, a: u64, fee: u64) -> (Open, Posted) {
    let channel = world.open(0);
    let draft = channel.unilateral(Party::A, &cosign(&channel.state(5, a)), fee);
    let posted = Posted::of(&world.submit(&draft).expect("a healthy close"));
    (channel, posted)
}

#[test]
fn c20_an_author_pays_out_of_its_own_balance_up_to_the_terms() {
    let world = {
        let mut world = World::new();
        world.open(0);
        world
    };
    let channel = Open {
        outpoint: world
            .view
            .entries
            .iter()
            .find(|(_, entry)| matches!(entry.output.lock, Lock::Channel(_)))
            .map(|(outpoint, _)| *outpoint)
            .expect("it was opened"),
        terms: World::terms(&coin(1, 0)),
        capacity: CAPACITY,
    };
    let close = |a: u64, fee: u64| {
        let draft = channel.unilateral(Party::A, &cosign(&channel.state(5, a)), fee);
        world.check(&draft.sign(&world.view))
    };
    assert!(close(500_000, 10_000).is_ok());
    assert!(is_fee_fault(&close(500_000, 10_001)));
    assert!(close(2_000, 2_000).is_ok());
    assert!(is_fee_fault(&close(2_000, 2_001)), "Bob's balance is not the author's to spend");
    assert!(is_fee_fault(&close(0, 1_000)));
    assert!(matches!(close(500_000, 0), Err(TxError::FeeTooLow { .. })));
}

#[test]
fn declared_fees_are_paid_as_fee_and_not_pocketed() {
    let mut world = World::new();
    let (_, posted) = post(&mut world, 500_000, 1_000);
    world.wait_ms(WINDOW_MS + 1);
    // Carol brings a coin that pays the ledger, and keeps what she takes out of the channel as fee.
    let healthy = posted.finalize(&[], SETTLE_FEE, pays(499_000 - SETTLE_FEE, 500_000));
    let mut pocket = healthy.clone();
    pocket.outputs.push(carol().paid(COIN));
    let pocket = pocket.with(coin(3, 0), How::Key(carol().wallet));
    assert!(matches!(world.submit(&pocket), Err(TxError::FeeTooLow { .. })));
    // Nor can she settle for less than she takes.
    let mut less = posted.finalize(&[], SETTLE_FEE, pays(499_000 - SETTLE_FEE, 500_000));
    less.outputs.push(carol().paid(Amount(COIN.units() - 500)));
    let less = less.with(coin(3, 0), How::Key(carol().wallet));
    world.submit(&less).expect("she adds to the fee");
}

#[test]
fn drawn_fees_can_not_come_out_again_as_an_output() {
    let mut world = World::new();
    let (channel, posted) = post(&mut world, 500_000, 1_000);
    // 5,000 are taken out of Bob's balance for a supersede that costs some 1,000: the rest may not go to Carol.
    let mut draft = posted.supersede(&cosign(&channel.state(9, 400_000)), 5_000);
    draft.outputs.push(carol().paid(Amount(3_000)));
    let drawn = Amount(5_000);
    assert_eq!(world.submit(&draft), Err(TxError::FeePocketed { drawn, fee: Amount(2_000) }));
}

#[test]
fn c20_a_stranger_burns_no_more_than_the_settlement_costs() {
    let mut world = World::new();
    let (_, posted) = post(&mut world, 500_000, 1_000);
    world.wait_ms(WINDOW_MS + 1);
    let settle = |fee: u64| {
        let draft = posted.finalize(&[], fee, pays(499_000 - fee, 500_000));
        world.check(&draft.sign(&world.view))
    };
    let fees: Vec<u64> = (0..2_000).filter(|fee| settle(*fee).is_ok()).collect();
    let (least, most) = (fees[0], *fees.last().expect("some fee is accepted"));
    assert!(least < most && most - least < 100, "{least} to {most}");
    assert!(is_fee_fault(&settle(most + 1)));
    assert!(matches!(settle(least - 1), Err(TxError::FeeTooLow { .. })));
}

#[test]
fn c20_a_cooperative_close_takes_no_more_than_it_costs() {
    let mut world = World::new();
    let channel = world.open(0);
    let close = |fee: u64| {
        let draft = channel.cooperative(&cosign(&channel.final_state(5, 400_000)), fee);
        world.check(&draft.sign(&world.view))
    };
    let fees: Vec<u64> = (0..2_000).filter(|fee| close(*fee).is_ok()).collect();
    let most = *fees.last().expect("some fee is accepted");
    assert!(most - fees[0] < 100);
    assert!(is_fee_fault(&close(most + 1)));
}

#[test]
fn a_cooperative_fee_is_a_and_then_b() {
    let mut world = World::new();
    let channel = world.open(0);
    let mut draft = channel.cooperative(&cosign(&channel.final_state(5, 250)), 250);
    let Witness::Cooperative { fee, .. } = witness(&mut draft) else { panic!("a close") };
    *fee = Amount(CLOSE_FEE);
    draft.outputs = vec![bob().paid(Amount(999_750 - (CLOSE_FEE - 250)))];
    world.submit(&draft).expect("Bob bears what Alice has not");
}

fn witness(draft: &mut Draft) -> &mut Witness {
    let How::Witness(witness) = &mut draft.inputs[0].1 else { panic!("a witness") };
    witness
}

#[test]
fn c20_disputes_take_half_of_the_bound_and_leave_half_for_the_answer() {
    let mut world = World::new();
    let (channel, posted) = post(&mut world, 700_000, 1_000);
    let state = |version| cosign(&channel.state(version, 600_000));
    assert!(is_fee_fault(&world.submit(&posted.supersede(&state(6), 5_001))));
    // Alice burns what she can of Bob's share, with states of their past.
    let draft = posted.supersede(&state(6), 5_000);
    let posted = Posted::of(&world.submit(&draft).expect("a healthy answer"));
    assert!(is_fee_fault(&world.submit(&posted.supersede(&state(7), 1))));
    let proof = claim(Party::A, &channel.state(9, 200_000), 8);
    assert!(is_fee_fault(&world.submit(&posted.penalize(None, &proof, 1))));
    // Bob needs no wallet: the other half is his signature's.
    let newest = cosign(&channel.state(9, 200_000));
    let shown = (Some(&newest), Some(&proof));
    let too_much = posted.answer(shown, &[], 5_001, pays(99_000, 889_999));
    assert!(is_fee_fault(&world.submit(&too_much)));
    let answer = posted.answer(shown, &[], 5_000, pays(99_000, 890_000));
    world.submit(&answer).expect("a healthy answer");
}

#[test]
fn c20_a_fee_that_its_party_can_no_longer_bear_falls_on_the_other() {
    let mut world = World::new();
    let (channel, posted) = post(&mut world, 700_000, 10_000);
    // In the newest state Alice has 4,000 left, and 10,000 were taken in her name.
    let newest = cosign(&channel.state(9, 4_000));
    let draft = posted.supersede(&newest, 2_000);
    let posted = Posted::of(&world.submit(&draft).expect("a healthy answer"));
    world.wait_ms(WINDOW_MS + 1);
    let due = 996_000 - 6_000 - 2_000 - 230;
    let healthy = posted.finalize(&[], 230, vec![bob().paid(Amount(due))]);
    world.submit(&healthy).expect("a healthy settlement");
}

#[test]
fn a_party_never_bears_a_dispute_that_it_can_not_pay() {
    let mut world = World::new();
    let channel = world.open(0);
    let draft = channel.unilateral(Party::A, &cosign(&channel.state(5, 999_000)), 1_000);
    let posted = Posted::of(&world.submit(&draft).expect("a healthy close"));
    let all_alice = cosign(&channel.state(6, 999_500));
    assert!(is_fee_fault(&world.submit(&posted.supersede(&all_alice, 501))));
    // With the penalty Bob gains enough to pay for it.
    let proof = claim(Party::A, &channel.state(9, 999_500), 8);
    let punished = posted.penalize(Some(&all_alice), &proof, 2_000);
    world.submit(&punished).expect("a healthy penalty");
}

#[test]
fn what_a_channel_owes_may_be_dust() {
    let mut world = World::new();
    let channel = world.open(0);
    let draft = channel.cooperative(&cosign(&channel.final_state(5, CAPACITY.units() - 7)), CLOSE_FEE);
    world.submit(&draft).expect("Bob gets his 7 units");
}
