//! Many channels by one funding: who is in it, and what those who are not can do about it (SPEC P-70 to P-74, FAULTS C12).

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::Random;
use common::ledger::{Ledger, body, native, wallet, witness};
use common::world::{Crypto, bounds, contribution, identity, open};
use towpath_crypto::{Amount, Digest};
use towpath_ledger::{ChannelTag, Lock, OutPoint, Output, Time, Transaction, TxBody, TxId, Witness};
use towpath_protocol::limits::{AGREE_TIMEOUT_MS, FUNDED_TOGETHER_MAX};
use towpath_protocol::{
    Accept, Acceptance, Agreed, Batch, BatchEvent, BatchOrder, Channel, Command, DeclineReason, Effect,
    Event, Funding, Immediate, LedgerEvent, LeftOut, Life, Message, Now, Offer, OpenId, Outcome, Settlement,
    Share,
};

const COIN: u64 = 10_000;
const NOW: Now = Now { local_ms: 1_000, ledger: Time(1_000) };

fn coin(number: u8) -> OutPoint {
    OutPoint { tx: TxId(Digest([number; 32])), index: 0 }
}

/// What one peer answers to an offer of this amount at this place; the keys are those of the attempt.
fn agreement(amount: u64, place: u32, attempt: u8) -> (Agreed, Acceptance) {
    let keys = 10 * attempt + 10 + u8::try_from(place).expect("small");
    let mut wanted = open(Crypto::Real, amount, 0, 0);
    let me = identity(Crypto::Real, keys);
    wanted.open = OpenId([keys; 32]);
    wanted.key = me.keys.public();
    wanted.funding = Funding::Single { first_input: coin(3), index: place };
    let offer = Offer::new(wanted.clone(), me, &bounds(), NOW).expect("fine terms");
    let accepted =
        Acceptance::new(&wanted, contribution(), &identity(Crypto::Real, keys + 40), &bounds(), NOW);
    let (acceptance, _) = accepted.expect("fine terms");
    let agreed = offer.agreed(&accept(&acceptance), NOW, &mut Immediate).expect("it fits");
    (agreed, acceptance)
}

fn accept(acceptance: &Acceptance) -> Accept {
    common::world::accept_message(acceptance.message())
}

/// Signs, and ends the first turn: what is written, and what is said and ordered after it.
fn signed(agreed: Agreed) -> (Channel, Outcome) {
    let mut channel = agreed.sign(NOW);
    let outcome = channel.step(Event::TurnEnd, NOW, &mut Immediate).expect("a turn ends");
    channel.check().expect("its invariants hold");
    (channel, outcome)
}

fn output(channel: &Channel) -> Output {
    native(channel.capacity(), Lock::Channel(Box::new(channel.terms().clone())))
}

/// The one transaction: change first, then the shares in their places.
fn funding(first: OutPoint, shares: &[Share]) -> Transaction {
    let mut outputs = vec![native(Amount(0), Lock::Wallet(wallet(0)))];
    outputs.extend(shares.iter().map(|share| match share {
        Share::Channel(output) => (**output).clone(),
        Share::Back(amount) => native(*amount, Lock::Wallet(wallet(0))),
    }));
    let paid: u64 = outputs.iter().map(|output| output.amount.0).sum();
    outputs[0].amount = Amount(COIN - paid);
    let body = TxBody { expiry: Some(Time(100_000)), ..body(first, outputs) };
    let spent = vec![native(Amount(COIN), Lock::Wallet(wallet(0)))];
    let witnesses = vec![Witness::Wallet(witness(0, &body, spent))];
    Transaction { body, witnesses }
}

fn force_close(channel: &mut Channel) -> Effect {
    let command = Command::ForceClose { fee: Amount(0) };
    channel.step(Event::Command { token: 1, command }, NOW, &mut Immediate).expect("it is taken");
    let outcome = channel.step(Event::TurnEnd, NOW, &mut Immediate).expect("a turn ends");
    let mut posts = outcome.effects.into_iter().filter(|effect| matches!(effect, Effect::PostClose { .. }));
    posts.next().expect("a close")
}

#[test]
fn c12_who_is_left_out_holds_up_nobody_and_its_channel_can_never_be() {
    let amounts = [1_000, 900, 800, 700].map(Amount);
    let mut batch = Batch::new(&amounts, 0).expect("four are not too many");
    let mut agreed: BTreeMap<u32, (Agreed, Acceptance)> =
        [1, 3, 4].map(|place| (place, agreement(amounts[place as usize - 1].0, place, 0))).into();
    assert_eq!(batch.step(BatchEvent::Agreed(1)), []);
    assert_eq!(batch.step(BatchEvent::Left(2, LeftOut::Declined(DeclineReason::Unwanted))), []);
    assert_eq!(batch.step(BatchEvent::Agreed(4)), []);
    let orders = batch.step(BatchEvent::Agreed(3));
    assert_eq!(orders, [1, 3, 4].map(BatchOrder::Sign), "only now anything is signed");

    // The third agreed, and was gone before its turn came.
    let (mad, _) = agreed.remove(&3).expect("it agreed");
    assert_eq!(batch.step(BatchEvent::Left(3, LeftOut::Vanished)), []);
    let mut channels = Vec::new();
    let mut shares = Vec::new();
    for (place, (agreed, acceptance)) in agreed {
        let (channel, outcome) = signed(agreed);
        assert!(!outcome.write.is_empty(), "it is durable before it counts");
        for order in batch.step(BatchEvent::Signed(place, Box::new(output(&channel)))) {
            let BatchOrder::Fund(made) = order else { panic!("{order:?}") };
            shares = made;
        }
        channels.push((place, channel, outcome, acceptance));
    }
    assert!(batch.is_decided());
    let backs: Vec<bool> = shares.iter().map(|share| matches!(share, Share::Back(_))).collect();
    assert_eq!(backs, [false, true, true, false], "each keeps the place that its id was made of");
    assert_eq!(shares[1..3], [Share::Back(Amount(900)), Share::Back(Amount(800))]);

    let coins = [(coin(3), 0, COIN), (coin(4), 0, COIN)];
    let mut ledger = Ledger::new(Crypto::Real, &coins);
    let transaction = funding(coin(3), &shares);
    let events = ledger.apply(&transaction, Time(2_000)).expect("one transaction funds both");
    for (place, channel, outcome, acceptance) in &mut channels {
        let funded = events
            .iter()
            .find(|event| matches!(event, LedgerEvent::Funded { outpoint, .. } if outpoint.index == *place));
        let funded = Event::Ledger(funded.expect("its output").clone());
        channel.step(funded.clone(), NOW, &mut Immediate).expect("it is as agreed");
        assert_eq!(channel.life(), Life::Active);
        // Its peer needs no more than A's signature, which it was sent.
        let created = outcome.effects.iter().find_map(|effect| match effect {
            Effect::Send(Message::Channel(_, created)) => Some(created),
            _ => None,
        });
        let peer = acceptance.on_message(created.expect("A tells B"), NOW, &mut Immediate);
        let mut peer = peer.expect("it fits");
        peer.step(funded, NOW, &mut Immediate).expect("it is as agreed");
        assert_eq!(peer.life(), Life::Active);
        // A can take back what it put in with no help from a peer that says nothing any more.
        let close = force_close(channel);
        let close = ledger.transaction(channel, &close).expect("a transaction");
        ledger.apply(&close, Time(3_000)).expect("the first state can be posted");
    }
    left_out_never_is(mad, &mut ledger, transaction.id());
}

/// Even if A, against its rule, signed the first state of a channel that was left out, nobody could ever use it.
fn left_out_never_is(mad: Agreed, ledger: &mut Ledger, funding_id: TxId) {
    let (mut channel, _) = signed(mad);
    // Some other coin pays exactly its output, at its place: the id is made of the first input.
    let shares = [Share::Back(Amount(1)), Share::Back(Amount(1)), Share::Channel(Box::new(output(&channel)))];
    let again = funding(coin(4), &shares);
    ledger.apply(&again, Time(4_000)).expect_err("an id that was made of another first input");
    ledger.apply(&funding(coin(3), &shares), Time(4_000)).expect_err("that coin is spent, once and for all");
    // And its first state closes nothing that the funding paid in its place.
    let outpoint = OutPoint { tx: funding_id, index: 3 };
    let entry = ledger.view.entries.get(&outpoint).expect("A has its money back").clone();
    assert_eq!(entry.output, native(Amount(800), Lock::Wallet(wallet(0))));
    let lie = towpath_ledger::Entry { output: output(&channel), ..entry };
    let funded = LedgerEvent::Funded { outpoint, entry: Box::new(lie) };
    channel.step(Event::Ledger(funded), NOW, &mut Immediate).expect("the machine believes its replica");
    let close = force_close(&mut channel);
    let close = ledger.transaction(&channel, &close).expect("a transaction");
    ledger.apply(&close, Time(5_000)).expect_err("there is no such channel on the ledger");
}

#[test]
fn what_never_was_funded_is_over_at_its_deadline() {
    let (agreed, _) = agreement(1_000, 1, 0);
    let (mut channel, outcome) = signed(agreed);
    let asks = outcome.effects.iter().any(|effect| matches!(effect, Effect::Fund { index: 1, .. }));
    assert!(asks, "whoever made it durable is told which transaction it waits for");
    let late = Now { ledger: Time(100_001), ..NOW };
    let ended = channel.step(Event::TurnEnd, late, &mut Immediate).expect("a turn ends");
    assert_eq!(channel.life(), Life::Settled(Settlement::NeverFunded));
    assert!(ended.effects.contains(&Effect::FundingReleased));
}

#[test]
fn no_two_attempts_share_an_id_whatever_input_and_place_they_have() {
    let mut ids = BTreeSet::new();
    let mut tags: BTreeSet<[u8; 32]> = BTreeSet::new();
    for attempt in 0..2 {
        for place in 1..=4 {
            let (agreed, _) = agreement(1_000, place, attempt);
            assert!(ids.insert(agreed.id()), "attempt {attempt}, place {place}");
            let (channel, _) = signed(agreed);
            let ChannelTag(Digest(tag)) = channel.state().tag;
            tags.insert(tag);
        }
    }
    assert_eq!(tags.len(), 8);
}

#[test]
fn an_acceptance_of_another_place_or_with_a_false_signature_is_no_agreement() {
    let (_, acceptance) = agreement(1_000, 1, 0);
    let mut wanted = open(Crypto::Real, 1_000, 0, 0);
    let me = identity(Crypto::Real, 11);
    (wanted.open, wanted.key) = (OpenId([11; 32]), me.keys.public());
    wanted.funding = Funding::Single { first_input: coin(3), index: 2 };
    let offer = Offer::new(wanted, me, &bounds(), NOW).expect("fine terms");
    assert!(offer.agreed(&accept(&acceptance), NOW, &mut Immediate).is_err(), "signed for another place");
    let (_, acceptance) = agreement(1_000, 2, 0);
    let mut forged = accept(&acceptance);
    forged.signature.signature.0[0] ^= 1;
    assert!(offer.agreed(&forged, NOW, &mut Immediate).is_err());
}

#[test]
fn a_batch_has_somebody_in_it_and_not_too_many() {
    assert!(Batch::new(&[], 0).is_none());
    assert!(Batch::new(&[Amount(1); FUNDED_TOGETHER_MAX], 0).is_some());
    assert!(Batch::new(&[Amount(1); FUNDED_TOGETHER_MAX + 1], 0).is_none());
}

#[test]
fn nobody_agrees_and_nothing_is_funded() {
    let mut batch = Batch::new(&[Amount(5), Amount(6)], 100).expect("two");
    assert_eq!(batch.step(BatchEvent::Left(1, LeftOut::Offline)), []);
    assert_eq!(batch.step(BatchEvent::Time(100 + AGREE_TIMEOUT_MS - 1)), []);
    assert_eq!(batch.step(BatchEvent::Time(100 + AGREE_TIMEOUT_MS)), [BatchOrder::Drop(2)]);
    assert!(batch.is_decided());
    assert_eq!((batch.left_out(1), batch.left_out(2)), (Some(LeftOut::Offline), Some(LeftOut::Silent)));
}

/// A second, simpler account of a batch: what was answered to whom.
#[derive(Default)]
struct Account {
    agreed: BTreeSet<u32>,
    signing: BTreeSet<u32>,
    dropped: BTreeSet<u32>,
    signed: BTreeSet<u32>,
    funded: Option<Vec<Share>>,
}

fn some_output(template: &Output, amount: Amount) -> Output {
    Output { amount, ..template.clone() }
}

#[test]
fn every_order_of_answers_funds_exactly_those_who_agreed_and_were_signed() {
    let template = output(&signed(agreement(1_000, 1, 0).0).0);
    for seed in 0..3_000 {
        let mut random = Random::new(seed);
        let count = 1 + u32::try_from(random.below(6)).expect("small");
        let amounts: Vec<Amount> = (1..=count).map(|place| Amount(u64::from(place) * 10)).collect();
        let mut batch = Batch::new(&amounts, 0).expect("some");
        let mut account = Account::default();
        for step in 0..600_u64 {
            let place = u32::try_from(random.below(u64::from(count) + 2)).expect("small");
            let amount = amounts.get(place.wrapping_sub(1) as usize).copied().unwrap_or(Amount(1));
            let event = match random.below(8) {
                0..3 => BatchEvent::Agreed(place),
                3 => BatchEvent::Left(place, LeftOut::Declined(DeclineReason::Terms)),
                4..7 => BatchEvent::Signed(place, Box::new(some_output(&template, amount))),
                _ => BatchEvent::Time(step * AGREE_TIMEOUT_MS / 50),
            };
            match &event {
                BatchEvent::Agreed(place) if batch.deadline_ms().is_some() => {
                    account.agreed.insert(*place);
                }
                BatchEvent::Signed(place, _) if account.signing.contains(place) => {
                    account.signed.insert(*place);
                }
                _ => {}
            }
            for order in batch.step(event) {
                check_order(&mut account, order, seed);
            }
        }
        assert!(batch.is_decided(), "seed {seed}: time alone ends it");
        check_end(&batch, &account, &amounts, seed);
    }
}

fn check_order(account: &mut Account, order: BatchOrder, seed: u64) {
    assert!(account.funded.is_none(), "seed {seed}: nothing after the funding");
    match order {
        BatchOrder::Sign(place) => {
            assert!(account.agreed.contains(&place), "seed {seed}: {place} never agreed");
            assert!(!account.dropped.contains(&place), "seed {seed}: {place} was given up");
            assert!(account.signing.insert(place), "seed {seed}: {place} twice");
        }
        BatchOrder::Drop(place) => {
            assert!(account.signing.is_empty(), "seed {seed}: {place} is dropped before anything is signed");
            assert!(account.dropped.insert(place), "seed {seed}: {place} twice");
        }
        BatchOrder::Fund(shares) => account.funded = Some(shares),
    }
}

fn check_end(batch: &Batch, account: &Account, amounts: &[Amount], seed: u64) {
    let funded: BTreeSet<u32> = (1_u32..)
        .zip(amounts)
        .filter(|(place, _)| batch.left_out(*place).is_none())
        .map(|(place, _)| place)
        .collect();
    assert!(funded.is_subset(&account.signed), "seed {seed}: {funded:?} of {:?}", account.signed);
    let shares = account.funded.as_deref().unwrap_or_default();
    assert_eq!(funded.is_empty(), shares.is_empty(), "seed {seed}");
    assert_eq!(
        funded.last().map_or(0, |last| *last as usize),
        shares.len(),
        "seed {seed}: no gap at the end"
    );
    for ((place, amount), share) in (1_u32..).zip(amounts).zip(shares) {
        match share {
            Share::Channel(output) => {
                assert!(funded.contains(&place) && output.amount == *amount, "seed {seed}: {place}");
            }
            Share::Back(back) => {
                assert!(!funded.contains(&place) && back == amount, "seed {seed}: {place}")
            }
        }
    }
}
