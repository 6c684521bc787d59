//! What `settle` makes, the rules take; and what a channel sets aside for its close is enough, whatever the other does.

use proptest::prelude::*;
use towpath_crypto::Amount;
use towpath_crypto::schnorr::{WalletKey, WalletSecret};

use super::world::*;
use crate::rules::{ChannelFault, TxError};
use crate::settle::{self, Answer, Place, Posting, SettleError};
use crate::types::*;

fn place(world: &World) -> Place<'_> {
    Place { chain: CHAIN, params: &world.params, asset: AssetId::NATIVE }
}

/// A payout of so many keys.
fn multisig(first: u8, keys: u8) -> Payout {
    let mut keys: Vec<WalletKey> = (first..first + keys)
        .map(|number| WalletSecret::from_bytes([number; 32]).expect("a scalar").public())
        .collect();
    keys.sort();
    Payout::Multisig(Multisig { required: 1, keys })
}

/// A channel of Alice's coin of this index, with terms of its own.
fn open_with(
    world: &mut World,
    index: u32,
    capacity: Amount,
    change: impl FnOnce(&mut ChannelTerms),
) -> Open {
    let mut terms = World::terms(&coin(1, index));
    terms.reserve = Amount::ZERO;
    change(&mut terms);
    let draft = opening(coin(1, index), terms.clone(), capacity);
    let changes = world.submit(&draft).expect("a healthy opening");
    Open { outpoint: changes.created[0].0, terms, capacity }
}

fn post(world: &World, channel: &Open, state: &CoSigned, author: Party, fee: Amount) -> Transaction {
    let intent = CloseIntent { state: state.state.clone(), author, fee };
    let posting = Posting {
        funding: channel.outpoint,
        capacity: channel.capacity,
        terms: &channel.terms,
        state,
        author,
        fee,
        signature: person(author).channel.sign(&CHAIN, &intent),
    };
    settle::unilateral(&place(world), &posting).expect("the author can pay")
}

fn posted(world: &mut World, channel: &Open, state: &CoSigned, author: Party) -> Posted {
    let fee = settle::unilateral_fee(&place(world), &channel.terms, (&state.state, channel.capacity), author);
    let close = post(world, channel, state, author, fee.expect("a fee"));
    Posted::of(&world.apply(&close).expect("a healthy close"))
}

/// B's answer with this state and proof, at the fee that a node signs.
fn answer(
    world: &World,
    posted: &Posted,
    (state, proof): (&CoSigned, Option<&SignedState>),
) -> Result<Transaction, SettleError> {
    let fee = settle::answer_fee(&place(world), &posted.closing);
    let signed = CloseAnswer {
        closing: posted.outpoint,
        state: state.state.clone(),
        penalized: posted.closing.penalized || proof.is_some(),
        fee,
    };
    let shown = Answer {
        state: Some(Box::new(state.clone())),
        proof: proof.map(|proof| Box::new(proof.clone())),
        fee,
        signature: person(posted.closing.author.other()).channel.sign(&CHAIN, &signed),
    };
    settle::answer(&place(world), posted.outpoint, &posted.closing, &shown)
}

/// The output's time and amount, as the builders of disputes want them.
fn made(world: &World, posted: &Posted) -> (Time, Amount) {
    let entry = &world.view.entries[&posted.outpoint];
    (entry.time, entry.output.amount)
}

/// A channel with the least fees that `settle` asks for, or `less` than that.
fn frugal(world: &mut World, payouts: (Payout, Payout), less: u64) -> Open {
    let mut terms = World::terms(&coin(1, 0));
    (terms.payout_a, terms.payout_b) = payouts;
    let least = settle::close_fee_min(&place(world), &terms).expect("terms");
    open_with(world, 0, Amount(1_000_000), |changed| {
        *changed = ChannelTerms { reserve: Amount::ZERO, close_fee_max: minus(least, Amount(less)), ..terms };
    })
}

fn key_payouts() -> (Payout, Payout) {
    (alice().payout(), bob().payout())
}

#[test]
fn a_stranger_that_sets_aside_nothing_robs_who_accepts_it() {
    // What a node that accepts any terms agreed to before: no closing fees, no penalty.
    let mut world = World::new();
    let channel = open_with(&mut world, 0, Amount(1_000_000), |terms| {
        terms.close_fee_max = Amount::ZERO;
        terms.penalty_basis_points = 0;
    });
    // Alice has paid all to Bob, and posts the first state, where she had it; a coin of hers pays the fee.
    let (first, newest) = (cosign(&channel.state(1, 1_000_000)), cosign(&channel.state(9, 0)));
    let mut theft = channel.unilateral(Party::A, &first, 0);
    theft.outputs.push(alice().paid(minus(COIN, FEE)));
    let theft = theft.with(coin(1, 1), How::Key(alice().wallet));
    let posted = Posted::of(&world.submit(&theft).expect("the ledger takes it"));
    // Bob holds a newer state and no coin: he can't answer at any fee.
    for fee in [0, 1, 800] {
        let attempt =
            posted.answer((Some(&newest), None), &[], fee, vec![bob().paid(Amount(1_000_000 - fee))]);
        let refused = world.submit(&attempt);
        assert!(
            matches!(
                refused,
                Err(TxError::FeeTooLow { .. } | TxError::Channel { fault: ChannelFault::Fee { .. }, .. })
            ),
            "{refused:?}"
        );
    }
    // These are the terms that a node must not agree to.
    let least = settle::close_fee_min(&place(&world), &channel.terms).expect("terms");
    assert!(channel.terms.close_fee_max < least, "{least}");
}

#[test]
fn the_least_fees_pay_for_every_way_to_close() {
    let payouts = [key_payouts(), (multisig(10, 16), multisig(30, 16)), (multisig(10, 16), bob().payout())];
    for payouts in payouts {
        for author in [Party::A, Party::B] {
            defended(payouts.clone(), author);
            closed_alone(payouts.clone(), author);
        }
    }
}

/// The author posts the past, and burns all that it may of the victim's fees with its old states; the answer still pays.
fn defended(payouts: (Payout, Payout), author: Party) {
    let mut world = World::new();
    let channel = frugal(&mut world, payouts, 0);
    let past = |version| cosign(&channel.state(version, 500_000));
    let mut posted = posted(&mut world, &channel, &past(1), author);
    let most = channel.terms.close_fee_max.share(5_000);
    let burnt = posted.supersede(&past(2), most.units());
    posted = Posted::of(&world.submit(&burnt).expect("anyone may"));
    let newest = cosign(&channel.state(9, 400_000));
    let proof = claim(author, &channel.state(9, 400_000), 8);
    for proof in [Some(&proof), None] {
        let answer = answer(&world, &posted, (&newest, proof)).expect("the victim can pay");
        world.check(&answer).expect("the ledger takes the largest answer");
    }
}

/// A dispute by anyone is paid for; and the author needs nobody to be paid out.
fn closed_alone(payouts: (Payout, Payout), author: Party) {
    let mut world = World::new();
    let channel = frugal(&mut world, payouts, 0);
    let state = |version| cosign(&channel.state(version, 500_000));
    let posted = posted(&mut world, &channel, &state(5), author);
    let proof = claim(author, &channel.state(9, 400_000), 8);
    let closing = &posted.closing;
    let shown = (Some(&state(9)), &proof);
    let penalty = settle::penalize(&place(&world), posted.outpoint, made(&world, &posted), closing, shown);
    world.check(&penalty.expect("half of the fees is enough")).expect("the ledger takes it");
    let newer = settle::supersede(&place(&world), posted.outpoint, made(&world, &posted), closing, &state(9));
    world.check(&newer.expect("half of the fees is enough")).expect("the ledger takes it");

    world.wait_ms(WINDOW_MS + 1);
    let payout = settle::finalize(&place(&world), posted.outpoint, closing).expect("it pays for itself");
    let before = channel.capacity;
    world.apply(&payout).expect("the ledger takes it");
    let paid = Amount::checked_sum(payout.body.outputs.iter().map(|output| output.amount)).expect("amounts");
    let cost = minus(before, paid);
    assert!(cost <= channel.terms.close_fee_max, "{cost} of the author's {}", channel.terms.close_fee_max);
}

#[test]
fn one_less_than_the_least_fees_leaves_a_victim_without_an_answer() {
    for payouts in [key_payouts(), (multisig(10, 16), multisig(30, 16))] {
        let mut world = World::new();
        // Half is rounded down, so that two less are one less in each half.
        let channel = frugal(&mut world, payouts, 2);
        let posted = posted(&mut world, &channel, &cosign(&channel.state(1, 500_000)), Party::A);
        let newest = cosign(&channel.state(9, 400_000));
        let proof = claim(Party::A, &channel.state(9, 400_000), 8);
        let shown = (Some(&newest), &proof);
        let (place, made) = (place(&world), made(&world, &posted));
        let penalty = settle::penalize(&place, posted.outpoint, made, &posted.closing, shown);
        assert!(matches!(penalty, Err(SettleError::Fault(ChannelFault::Fee { .. }))), "{penalty:?}");
    }
}

#[test]
fn the_answers_fee_follows_the_payouts() {
    // FAULTS C21: the size of an answer is the opener's choice. From twelve keys on a fixed 1,100 bytes were too few.
    for keys in 1..=16 {
        let mut world = World::new();
        let channel = open_with(&mut world, 0, Amount(1_000_000), |terms| {
            terms.payout_a = multisig(10, keys);
        });
        let posted = posted(&mut world, &channel, &cosign(&channel.state(1, 500_000)), Party::A);
        let newest = cosign(&channel.state(9, 400_000));
        let proof = claim(Party::A, &channel.state(9, 400_000), 8);
        let answer = answer(&world, &posted, (&newest, Some(&proof))).expect("an answer");
        world.check(&answer).unwrap_or_else(|error| panic!("{keys} keys: {error}"));
    }
}

#[test]
fn a_channel_of_the_least_capacity_closes_in_every_way() {
    // FAULTS C20: a fee is shared as the ledger shares it, so that no small channel is stuck.
    let world = World::new();
    let least = settle::close_fee_min(&place(&world), &World::terms(&coin(1, 0))).expect("terms");
    let capacity = settle::capacity_min(&world.params, least).expect("fees may be set aside");
    let share = |capacity: Amount| capacity.share(world.params.close_fee_basis_points_max);
    assert!(share(capacity) >= least && share(minus(capacity, Amount(1))) < least);

    for a in [0, 1, 100, least.units(), capacity.units() / 2, capacity.units() - 1, capacity.units()] {
        let mut world = World::new();
        let channel = open_with(&mut world, 0, capacity, |terms| terms.close_fee_max = least);
        let state = cosign(&channel.final_state(9, a));
        let close = settle::cooperative(
            &place(&world),
            &settle::Agreed { funding: channel.outpoint, terms: &channel.terms, state: &state },
        );
        world.check(&close.expect("both together can pay")).expect("the ledger takes it");
        let author = if a >= capacity.units() / 2 { Party::A } else { Party::B };
        let posted = posted(&mut world, &channel, &cosign(&channel.state(8, a)), author);
        world.wait_ms(WINDOW_MS + 1);
        let payout = settle::finalize(&place(&world), posted.outpoint, &posted.closing);
        world.apply(&payout.expect("the rest pays")).expect("the ledger takes it");
    }
}

#[test]
fn nothing_can_be_set_aside_where_the_ledger_allows_no_closing_fees() {
    let params = crate::rules::Params { close_fee_basis_points_max: 0, ..World::new().params };
    assert_eq!(settle::capacity_min(&params, Amount(1)), None);
    assert_eq!(settle::capacity_min(&params, Amount::ZERO), Some(params.output_min));
}

#[test]
fn payouts_of_many_closings_share_one_transaction() {
    let mut world = World::new();
    let mut due = Vec::new();
    for index in 0..6 {
        let channel = open_with(&mut world, index, Amount(200_000), |_| {});
        let author = if index % 2 == 0 { Party::A } else { Party::B };
        due.push(posted(&mut world, &channel, &cosign(&channel.state(5, 90_000)), author));
    }
    world.wait_ms(WINDOW_MS + 1);
    let closings = due.iter().map(|posted| (posted.outpoint, &posted.closing));
    let together = settle::finalize_all(&place(&world), closings);
    assert_eq!((together.transactions.len(), together.refused.len()), (1, 0));
    let transaction = &together.transactions[0];
    assert_eq!(transaction.body.inputs.len(), 6);
    assert_eq!(transaction.body.outputs.len(), 2, "one output for each lock");
    let alone: u64 = due
        .iter()
        .map(|posted| settle::finalize(&place(&world), posted.outpoint, &posted.closing).expect("alone"))
        .flat_map(|alone| alone.body.outputs)
        .map(|output| output.amount.units())
        .sum();
    let paid: u64 = transaction.body.outputs.iter().map(|output| output.amount.units()).sum();
    assert!(paid > alone, "nobody pays more than alone: {paid} and {alone}");
    world.apply(transaction).expect("the ledger takes it");
}

#[test]
fn a_full_transaction_starts_the_next_one() {
    let mut world = World::new();
    let channel = open_with(&mut world, 0, Amount(1_000_000), |terms| terms.payout_a = multisig(10, 16));
    let one = posted(&mut world, &channel, &cosign(&channel.state(5, 500_000)), Party::A);
    // The bytes count, not the entries: so the same closing at other places will do.
    let many: Vec<(OutPoint, Closing)> = (0..600_u16)
        .map(|index| {
            let mut closing = one.closing.clone();
            let first = u8::try_from(10 + index % 200).expect("small");
            closing.terms.payout_b = multisig(first, 16);
            (OutPoint { index: index.into(), ..one.outpoint }, closing)
        })
        .collect();
    let done =
        settle::finalize_all(&place(&world), many.iter().map(|(outpoint, closing)| (*outpoint, closing)));
    assert!(done.transactions.len() > 1 && done.refused.is_empty());
    let mut inputs = 0;
    for transaction in &done.transactions {
        inputs += transaction.body.inputs.len();
        let bytes = towpath_crypto::codec::encode(transaction).len();
        assert!(bytes <= usize::try_from(world.params.transaction_bytes_max).expect("fits"), "{bytes}");
    }
    assert_eq!(inputs, 600);
}

#[test]
fn what_can_not_be_paid_out_keeps_nothing_else_waiting() {
    let mut world = World::new();
    let channel = open_with(&mut world, 0, Amount(1_000_000), |_| {});
    let good = posted(&mut world, &channel, &cosign(&channel.state(5, 500_000)), Party::A);
    let mut poor = good.closing.clone();
    poor.terms.close_fee_max = Amount::ZERO;
    let mut pending = good.closing.clone();
    pending.state.pending_total = Amount(7);
    let (first, second) = (OutPoint { index: 7, ..good.outpoint }, OutPoint { index: 8, ..good.outpoint });
    let closings = [(first, &poor), (second, &pending), (good.outpoint, &good.closing)];
    let done = settle::finalize_all(&place(&world), closings);
    assert_eq!(done.transactions.len(), 1);
    assert!(matches!(
        done.refused[..],
        [(one, SettleError::Fault(ChannelFault::Fee { .. })), (two, SettleError::Pending(Amount(7)))]
            if one == first && two == second
    ));
    world.wait_ms(WINDOW_MS + 1);
    world.apply(&done.transactions[0]).expect("the ledger takes it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the balances and the bound: what is made is valid, and what is not made nobody could make.
    #[test]
    fn c20_what_is_made_is_valid(a in 0_u64..=40_000, max in 0_u64..=2_000, author in 0_u8..2) {
        let capacity = Amount(40_000);
        let mut world = World::new();
        let channel = open_with(&mut world, 0, capacity, |terms| terms.close_fee_max = Amount(max));
        let state = cosign(&channel.final_state(9, a));
        match settle::cooperative(&place(&world), &settle::Agreed { funding: channel.outpoint, terms: &channel.terms, state: &state }) {
            Ok(close) => { world.check(&close).expect("the ledger takes it"); }
            Err(error) => {
                let is_fee = matches!(error, SettleError::Fault(ChannelFault::Fee { .. }));
                prop_assert!(is_fee);
                // Each bears no more than the terms say, and than it has.
                prop_assert!(max.min(a) + max.min(40_000 - a) < 600, "{error}");
            }
        }
        let author = if author == 0 { Party::A } else { Party::B };
        let state = cosign(&channel.state(8, a));
        let fee = settle::unilateral_fee(&place(&world), &channel.terms, (&state.state, capacity), author);
        let fee = fee.expect("a fee");
        if state.state.balance(author) < fee || fee > Amount(max) {
            return Ok(());
        }
        let posted = posted(&mut world, &channel, &state, author);
        world.wait_ms(WINDOW_MS + 1);
        match settle::finalize(&place(&world), posted.outpoint, &posted.closing) {
            Ok(payout) => { world.apply(&payout).expect("the ledger takes it"); }
            Err(error) => prop_assert!(max.min(a) + max.min(40_000 - a) - fee.units() < 320, "{error}"),
        }
    }
}
