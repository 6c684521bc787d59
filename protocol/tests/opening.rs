//! Openings: who risks what at which moment (FAULTS C1, C12, C18; SPEC P-19).

mod common;

use common::opening::{AMOUNTS, COIN, Opening, Payers, Stage};
use common::world::{Crypto, bounds, identity, open};
use towpath_crypto::Amount;
use towpath_ledger::{Lock, OutPoint, Time, TxId};
use towpath_protocol::{
    Acceptance, ChannelMessage, Command, Effect, Event, LedgerEvent, Life, Message, Now, Online, Reject,
    Settlement,
};

/// Both are active, in touch, and each has what was agreed.
fn assert_open(opening: &Opening) {
    for side in 0..2 {
        let channel = opening.channel(side).expect("a channel");
        assert_eq!(channel.life(), Life::Active);
        assert_eq!(channel.view().online, Online::Yes);
        assert_eq!((channel.state().balance_a.0, channel.state().balance_b.0), AMOUNTS);
        assert_eq!(channel.funding(), opening.channel(0).expect("a channel").funding());
        assert!(channel.held().co_signed(channel.me()).is_some(), "each can close alone from the start");
    }
}

fn paid(payers: Payers) -> [u64; 2] {
    match payers {
        Payers::A => [COIN - AMOUNTS.0 - AMOUNTS.1, COIN],
        Payers::Both => [COIN - AMOUNTS.0, COIN - AMOUNTS.1],
    }
}

#[test]
fn a_channel_opens_paid_by_one_or_by_both() {
    for payers in [Payers::A, Payers::Both] {
        let mut opening = Opening::new(Crypto::Real, payers);
        opening.offer();
        opening.run();
        assert_open(&opening);
        assert_eq!(opening.rejects, []);
        assert_eq!([opening.ledger.wealth(0), opening.ledger.wealth(1)], paid(payers));
        assert!(!opening.ends[1].rows.iter().any(|(key, _)| key[0] == 5), "the acceptance is gone");
        let brought = [0, 1].map(|side| opening.channel(side).expect("a channel").brought().0);
        match payers {
            Payers::A => assert_eq!(brought, [AMOUNTS.0 + AMOUNTS.1, 0]),
            Payers::Both => assert_eq!(brought, [AMOUNTS.0, AMOUNTS.1]),
        }
        for side in 0..2 {
            let channel = opening.channel(side).expect("a channel");
            assert_eq!(channel.funding_deadline(), opening.offer.funding_deadline);
            assert_eq!(channel.key_index(), identity(Crypto::Real, [1, 2][side]).key_index);
            let event = |fact: &Effect| match fact {
                Effect::Event(event) => Some((event.local_ms, event.ledger)),
                _ => None,
            };
            let first = opening.ends[side].facts.iter().find_map(event);
            assert_eq!(first, Some((1_000, Time(1_000))), "the log says when it began");
        }
    }
}

#[test]
fn c12_an_opening_is_over_when_no_block_can_take_its_funding_any_more_and_not_before() {
    for payers in [Payers::A, Payers::Both] {
        let mut opening = Opening::new(Crypto::Fast, payers);
        opening.offer();
        opening.step_until(|opening| !opening.pool.is_empty());
        let mut late = Opening::new(Crypto::Fast, payers);
        late.offer();
        late.step_until(|late| late.channel(0).is_some() && late.channel(1).is_some());
        for side in 0..2 {
            assert!(late.channel(side).expect("a channel").awaits_block());
            late.now.ledger = late.offer.funding_deadline;
            late.turn(side, None);
            assert_eq!(late.life(side), Some(Life::Opening), "the next block may still have it");
            late.now.ledger = late.offer.funding_deadline.plus_ms(1);
            late.turn(side, None);
            assert_eq!(late.life(side), Some(Life::Settled(Settlement::NeverFunded)));
            assert!(!late.channel(side).expect("a channel").awaits_block());
        }
        opening.now.ledger = opening.offer.funding_deadline;
        opening.block(0);
        opening.run();
        assert_open(&opening);
        assert!(!opening.channel(0).expect("a channel").awaits_block());
    }
}

#[test]
fn p19_what_an_opening_has_heard_is_not_heard_again() {
    let mut opening = Opening::new(Crypto::Fast, Payers::Both);
    opening.offer();
    // B has signed its inputs, and A knows.
    opening.step_until(|opening| !opening.pool.is_empty());
    let theirs = opening.channel(1).expect("a channel").held().theirs;
    let own = opening.channel(1).expect("a channel").held().mine.expect("it signed");
    let say = |opening: &mut Opening, signature| {
        let before = opening.sent;
        opening.turn(1, Some(Event::Message(ChannelMessage::Created(signature))));
        opening.sent - before
    };
    assert_eq!(say(&mut opening, theirs), 1, "A missed the witnesses: they are said again");
    assert_eq!(say(&mut opening, own), 0, "not what A signed");
    // Other witnesses than the first change nothing.
    let rows = opening.ends[0].rows.clone();
    opening.turn(0, Some(Event::Message(ChannelMessage::Witnesses(vec![Vec::new()]))));
    assert_eq!(opening.ends[0].rows, rows);
    // Nor does B's wallet sign a second time when its node starts again.
    let signs = |order: &Effect| matches!(order, Effect::SignFunding { .. });
    opening.restart(1);
    assert!(!opening.ends[1].orders.iter().any(signs));
    opening.connect();
    opening.run();
    assert_open(&opening);
    assert_eq!(say(&mut opening, theirs), 0, "the ledger has it");
    assert_eq!(opening.rejects, []);
}

/// Also what must find a known bug (`canaries.rs`).
#[test]
pub fn c18_c7_a_restart_of_either_node_between_any_two_steps() {
    for payers in [Payers::A, Payers::Both] {
        for side in 0..2 {
            for steps in 0..40 {
                let mut opening = Opening::new(Crypto::Fast, payers);
                opening.offer();
                for _ in 0..steps {
                    opening.step();
                }
                opening.restart(side);
                opening.connect();
                opening.run();
                assert_open(&opening);
                assert_eq!([opening.ledger.wealth(0), opening.ledger.wealth(1)], paid(payers), "paid once");
            }
        }
    }
}

#[test]
fn c18_storms_of_sessions_make_one_channel() {
    for payers in [Payers::A, Payers::Both] {
        for every in 1..6 {
            let mut opening = Opening::new(Crypto::Fast, payers);
            opening.offer();
            let mut ids = std::collections::BTreeSet::new();
            for storm in 0..60 {
                for _ in 0..every {
                    opening.step();
                }
                ids.extend((0..2).filter_map(|side| opening.channel(side).map(|channel| channel.id())));
                if storm % 7 == 6 {
                    opening.restart(storm % 2);
                } else {
                    opening.disconnect();
                }
                opening.connect();
            }
            opening.run();
            assert_open(&opening);
            // Sessions of one step are too short to get that far before the storm is over.
            ids.extend((0..2).filter_map(|side| opening.channel(side).map(|channel| channel.id())));
            assert_eq!(ids.len(), 1, "one channel, whatever was repeated");
            assert_eq!([opening.ledger.wealth(0), opening.ledger.wealth(1)], paid(payers), "paid once");
        }
    }
}

#[test]
fn c12_silence_after_any_message_costs_time_only() {
    for payers in [Payers::A, Payers::Both] {
        for silent_after in 0..12 {
            let mut opening = Opening::new(Crypto::Fast, payers);
            opening.silent_after = silent_after;
            opening.offer();
            opening.run();
            let funded = opening.channel(0).and_then(|channel| channel.funding());
            // The funding transaction expires, and with it every opening that nobody finished.
            opening.block(200_000);
            opening.run();
            for side in 0..2 {
                let Some(channel) = opening.channel(side) else { continue };
                let expected = if funded.is_some() {
                    Life::Active
                } else {
                    let released = &opening.ends[side].facts;
                    assert!(released.contains(&Effect::FundingReleased), "its inputs are free");
                    Life::Settled(Settlement::NeverFunded)
                };
                assert_eq!(channel.life(), expected);
            }
            if funded.is_some() {
                close_alone(&mut opening, 0);
            }
            let all = opening.ledger.wealth(0) + opening.ledger.wealth(1);
            let fee = common::ledger::ANSWER_FEE;
            assert!(all >= 2 * COIN - fee, "nothing is stuck after {silent_after} messages");
            let least = [COIN - if payers == Payers::A { AMOUNTS.1 } else { 0 }, COIN - fee];
            assert!(opening.ledger.wealth(0) >= least[0] && opening.ledger.wealth(1) >= least[1]);
        }
    }
}

/// The side closes alone with the first version, and waits for the dispute window.
fn close_alone(opening: &mut Opening, side: usize) {
    let force = Command::ForceClose { fee: Amount(0) };
    opening.turn(side, Some(Event::Command { token: 1, command: force }));
    opening.run();
    if let Some(close) = finalize(opening, side) {
        opening.block(20_000);
        let transaction = opening.ledger.transaction(opening.channel(side).expect("a channel"), &close);
        opening.pool.extend(transaction);
    }
    opening.block(1);
    opening.run();
}

fn finalize(opening: &Opening, side: usize) -> Option<Effect> {
    let found =
        opening.ledger.view.entries.iter().find(|(_, entry)| matches!(entry.output.lock, Lock::Closing(_)));
    let (closing, _) = found?;
    assert_eq!(opening.life(side), Some(Life::Closing(towpath_protocol::ClosingStage::Unilateral)));
    Some(Effect::Finalize { closing: *closing, deadline: Time(0) })
}

/// What A funds alone can come until its deadline, so it is not forgotten before that.
#[test]
fn p19a_an_acceptance_of_what_needs_no_witnesses_stands_until_the_deadline() {
    let mut opening = Opening::new(Crypto::Fast, Payers::A);
    opening.offer();
    opening.step();
    let (now, deadline) = (opening.now, open(Crypto::Fast, 1, 1, 0).funding_deadline);
    let Stage::Accepted(acceptance) = &mut opening.ends[1].stage else { panic!("an acceptance") };
    let due = now.local_ms + towpath_protocol::limits::OPEN_TIMEOUT_MS;
    let at = |local_ms: u64, ledger: Time| Now { local_ms, ledger };
    assert!(!acceptance.is_void(at(due * 2, deadline)), "it can still come");
    assert!(!acceptance.is_void(at(due, deadline.plus_ms(1))));
    assert!(acceptance.is_void(at(due + 1, deadline.plus_ms(1))));
    acceptance.renew(at(due + 1, deadline.plus_ms(1)));
    assert!(!acceptance.is_void(at(due + 1, deadline.plus_ms(1))), "it is there");
}

#[test]
fn an_offer_and_an_acceptance_are_void_after_their_time() {
    let mut opening = Opening::new(Crypto::Fast, Payers::Both);
    opening.offer();
    opening.step();
    let Stage::Offered(offer) = &opening.ends[0].stage else { panic!("an offer") };
    let Stage::Accepted(acceptance) = &opening.ends[1].stage else { panic!("an acceptance") };
    let due = opening.now.local_ms + towpath_protocol::limits::OPEN_TIMEOUT_MS;
    assert_eq!(offer.deadline_ms(), due);
    let at = |local_ms: u64| Now { local_ms, ..opening.now };
    assert!(!acceptance.is_void(at(due)) && acceptance.is_void(at(due + 1)), "nobody can fund it without it");
    let forgotten = acceptance.forget();
    assert_eq!(forgotten.effects, [Effect::FundingReleased], "its inputs are free: it gave no witness");
    let deleted =
        |row: &(Vec<u8>, Option<Vec<u8>>)| row.1.is_none() && opening.ends[1].rows.contains_key(&row.0);
    assert!(forgotten.write.iter().all(deleted) && !forgotten.write.is_empty());
}

/// An opening of which both have the channel, and a funding that the ledger is about to show.
fn before_funding(payers: Payers) -> (Opening, OutPoint, towpath_ledger::Entry) {
    let mut opening = Opening::new(Crypto::Fast, payers);
    opening.offer();
    opening.step_until(|opening| opening.ends.iter().any(|end| !end.news.is_empty()));
    let Some(LedgerEvent::Funded { outpoint, entry }) = opening.ends[1].news.pop_front() else {
        panic!("a funding")
    };
    (opening, outpoint, *entry)
}

/// Also what must find a known bug (`canaries.rs`).
#[test]
pub fn c1_a_fake_funding_never_makes_a_channel_active() {
    for payers in [Payers::A, Payers::Both] {
        let (mut opening, outpoint, good) = before_funding(payers);
        let Lock::Channel(terms) = good.output.lock.clone() else { panic!("a channel") };
        let with = |change: &dyn Fn(&mut towpath_ledger::ChannelTerms)| {
            let (mut entry, mut terms) = (good.clone(), terms.clone());
            change(&mut terms);
            entry.output.lock = Lock::Channel(terms);
            (outpoint, entry)
        };
        let key = common::world::keys(Crypto::Fast, 9).public();
        let mut fakes = vec![
            with(&|terms| terms.key_a = key),
            with(&|terms| terms.key_b = key),
            with(&|terms| std::mem::swap(&mut terms.key_a, &mut terms.key_b)),
            with(&|terms| terms.payout_b = terms.payout_a.clone()),
            with(&|terms| terms.dispute_window_ms -= 1),
            with(&|terms| terms.penalty_basis_points += 1),
            with(&|terms| terms.reserve = Amount(1)),
            with(&|terms| terms.close_fee_max = Amount(0)),
            with(&|terms| terms.expiry = Some(Time(1 << 40))),
            with(&|terms| terms.id.0.0[0] ^= 1),
            (OutPoint { index: outpoint.index + 1, ..outpoint }, good.clone()),
        ];
        for amount in [0, 1, 999, 1_001, u64::MAX] {
            let mut entry = good.clone();
            entry.output.amount = Amount(amount);
            fakes.push((outpoint, entry));
        }
        let mut other_asset = good.clone();
        other_asset.output.asset.0.0[0] = 1;
        fakes.push((outpoint, other_asset));
        let mut wallet = good.clone();
        wallet.output.lock = Lock::Wallet(terms.payout_a.clone());
        fakes.push((outpoint, wallet));
        if payers == Payers::Both {
            // Both assemble the transaction, so its id is known.
            let zero = TxId(towpath_crypto::Digest([0; 32]));
            fakes.push((OutPoint { tx: zero, index: outpoint.index }, good.clone()));
        }
        for (fake, entry) in fakes {
            opening.rejects.clear();
            let entry = Box::new(entry);
            let reported = LedgerEvent::Funded { outpoint: fake, entry };
            opening.turn(1, Some(Event::Ledger(reported)));
            assert!(matches!(opening.rejects[..], [Reject::Funding(_)]), "{:?}", opening.rejects);
            assert_eq!(opening.life(1), Some(Life::Opening));
        }
        let entry = Box::new(good);
        opening.turn(1, Some(Event::Ledger(LedgerEvent::Funded { outpoint, entry: entry.clone() })));
        assert_eq!(opening.life(1), Some(Life::Active), "the real one does");
        // The same channel a second time, elsewhere.
        opening.rejects.clear();
        let second = OutPoint { tx: TxId(towpath_crypto::Digest([8; 32])), index: 0 };
        opening.turn(1, Some(Event::Ledger(LedgerEvent::Funded { outpoint: second, entry })));
        assert_eq!(opening.rejects, [Reject::Report("a second funding")]);
    }
}

#[test]
fn c1_nothing_is_paid_or_signed_before_the_own_replica_shows_the_funding() {
    let (mut opening, outpoint, entry) = before_funding(Payers::A);
    // A's replica is ahead: A is active, says what it holds, and would take payments.
    opening.run();
    assert_eq!((opening.life(0), opening.life(1)), (Some(Life::Active), Some(Life::Opening)));
    let version =
        |opening: &Opening, side: usize| opening.channel(side).map(|channel| channel.mark().version);
    for side in 0..2 {
        opening.rejects.clear();
        let pay = Command::Pay { amount: Amount(1), memo: None };
        opening.turn(side, Some(Event::Command { token: 5, command: pay }));
        let expected = [Reject::Offline, Reject::NotActive][side];
        assert_eq!(opening.rejects, [expected]);
        assert_eq!(version(&opening, side), Some(1));
    }
    opening.rejects.clear();
    opening.turn(1, Some(Event::Message(ChannelMessage::Close)));
    assert_eq!(opening.rejects, [Reject::NotReestablished("close")]);
    let force = Command::ForceClose { fee: Amount(0) };
    opening.rejects.clear();
    opening.turn(1, Some(Event::Command { token: 6, command: force }));
    assert_eq!(opening.rejects, [Reject::NotActive]);
    opening.turn(1, Some(Event::Ledger(LedgerEvent::Funded { outpoint, entry: Box::new(entry) })));
    opening.run();
    assert_open(&opening);
}

#[test]
fn a_closing_shows_the_funding_too() {
    // B's node was away: A funded the channel and closed it alone before B looked. B's replica shows the closing only.
    let (mut opening, _, _) = before_funding(Payers::A);
    opening.run();
    opening.turn(0, Some(Event::Command { token: 1, command: Command::ForceClose { fee: Amount(0) } }));
    opening.restart(1);
    opening.ends[1].news.clear();
    opening.step_until(|opening| !opening.ends[1].news.is_empty());
    opening.rejects.clear();
    opening.run();
    assert_eq!(opening.rejects, [], "what the ledger shows is taken");
    assert!(matches!(opening.life(1), Some(Life::Settled(Settlement::Unilateral))), "{:?}", opening.life(1));
    assert!(!opening.ends[1].facts.contains(&Effect::FundingReleased));
    assert_eq!(opening.ledger.wealth(1), COIN + AMOUNTS.1 - common::ledger::ANSWER_FEE);
}

#[test]
fn a_funding_by_both_needs_both() {
    let (offer, mut gift) = common::opening::terms(Crypto::Fast, Payers::Both);
    let mut opening = Opening::new(Crypto::Fast, Payers::Both);
    // B is to bring something, and brings less, or what A brings, or nothing.
    let accept = |offer: &towpath_protocol::Open, gift: &towpath_protocol::Contribution| {
        Acceptance::new(offer, gift.clone(), &identity(Crypto::Fast, 2), &bounds(), opening.now).map(drop)
    };
    assert_eq!(accept(&offer, &gift), Ok(()));
    let input = gift.inputs[0].clone();
    gift.change[0].amount = Amount(COIN);
    assert_eq!(accept(&offer, &gift), Err(Reject::Terms("a party brings less than it promises")));
    gift.change.clear();
    let towpath_protocol::Funding::Dual { inputs, .. } = &offer.funding else { panic!("both pay") };
    gift.inputs = inputs.clone();
    assert_eq!(accept(&offer, &gift), Err(Reject::Terms("one input twice")));
    gift.inputs = vec![input.clone(), input];
    assert_eq!(accept(&offer, &gift), Err(Reject::Terms("one input twice")));
    // Nothing to bring, so nothing to sign: it would wait for a witness that can't come.
    gift.inputs.clear();
    let nothing = towpath_protocol::Open { amount_b: Amount(0), ..offer };
    assert_eq!(accept(&nothing, &gift), Err(Reject::Terms("no inputs")));
    opening.offer();
    opening.run();
    assert_open(&opening);
}

#[test]
fn witnesses_are_taken_where_they_are_asked_for() {
    let mut opening = Opening::new(Crypto::Fast, Payers::Both);
    opening.offer();
    opening.step_until(|opening| opening.channel(1).is_some());
    let count = |opening: &Opening| opening.rejects.len();
    // A's wallet answers before it was asked; B's with too many; A sends witnesses to B.
    opening.turn(0, Some(Event::FundingSigned(vec![Vec::new()])));
    opening.turn(1, Some(Event::FundingSigned(vec![Vec::new(), Vec::new()])));
    opening.turn(1, Some(Event::Message(ChannelMessage::Witnesses(vec![Vec::new()]))));
    opening.turn(0, Some(Event::Message(ChannelMessage::Witnesses(Vec::new()))));
    opening.turn(0, Some(Event::Message(ChannelMessage::Witnesses(vec![Vec::new(), Vec::new()]))));
    assert_eq!(count(&opening), 5, "{:?}", opening.rejects);
    opening.run();
    assert_open(&opening);
}

#[test]
fn a_lying_answer_to_an_offer_changes_nothing() {
    let mut opening = Opening::new(Crypto::Real, Payers::A);
    opening.offer();
    opening.step();
    let Some(Message::Accept(good)) = opening.wires[0].pop_front() else { panic!("an acceptance") };
    let Stage::Offered(offer) = opening.ends[0].stage.clone() else { panic!("an offer") };
    let mut lies = Vec::new();
    let mut lie = |change: &dyn Fn(&mut towpath_protocol::Accept), expected: Reject| {
        let mut accept = (*good).clone();
        change(&mut accept);
        lies.push((accept, expected));
    };
    lie(&|accept| accept.open.0[0] ^= 1, Reject::WrongChannel);
    lie(&|accept| accept.signature.held = 1, Reject::Held { held: 1 });
    lie(&|accept| accept.signature.signature.0[40] ^= 1, Reject::Signature);
    lie(&|accept| accept.key = common::world::keys(Crypto::Real, 9).public(), Reject::Signature);
    let same = opening.offer.key;
    lie(&|accept| accept.key = same, Reject::LedgerTerms(towpath_ledger::rules::TermsFault::SameKey));
    let weak = towpath_crypto::ed25519::PublicKey([0; 32]);
    lie(&|accept| accept.key = weak, Reject::LedgerTerms(towpath_ledger::rules::TermsFault::WeakKey));
    let inputs = common::opening::terms(Crypto::Real, Payers::Both).1.inputs;
    let unasked = Reject::Terms("inputs to a channel that the opener funds alone");
    lie(&|accept| accept.inputs = inputs.clone(), unasked);
    for (accept, expected) in lies {
        let answer = offer.on_accept(&accept, opening.now, &mut towpath_protocol::Immediate);
        assert_eq!(answer.map(drop), Err(expected));
    }
    opening.wires[0].push_back(Message::Accept(good));
    opening.run();
    assert_open(&opening);
}

#[test]
fn a_lying_signature_on_the_first_version_changes_nothing() {
    let mut opening = Opening::new(Crypto::Real, Payers::Both);
    opening.offer();
    opening.step();
    opening.step();
    let Some(ChannelMessage::Created(good)) = opening.last_message(1) else { panic!("A's signature") };
    let Stage::Accepted(acceptance) = opening.ends[1].stage.clone() else { panic!("an acceptance") };
    let hear = |message: ChannelMessage| {
        acceptance.on_message(&message, opening.now, &mut towpath_protocol::Immediate).map(drop)
    };
    let mut held = good;
    held.held = 0;
    assert_eq!(hear(ChannelMessage::Created(held)), Err(Reject::Held { held: 0 }));
    held.held = 2;
    assert_eq!(hear(ChannelMessage::Created(held)), Err(Reject::Held { held: 2 }));
    let mut forged = good;
    forged.signature.0[3] ^= 1;
    assert_eq!(hear(ChannelMessage::Created(forged)), Err(Reject::Signature));
    assert_eq!(hear(ChannelMessage::Close), Err(Reject::NotReestablished("close")));
    assert_eq!(hear(ChannelMessage::Created(good)), Ok(()));
    opening.run();
    assert_open(&opening);
    // The same signature again, and another one: both are answered or ignored, and change nothing.
    let rows = opening.ends[1].rows.clone();
    opening.turn(1, Some(Event::Message(ChannelMessage::Created(good))));
    opening.turn(1, Some(Event::Message(ChannelMessage::Created(forged))));
    assert_eq!(opening.ends[1].rows, rows);
    opening.rejects.clear();
    opening.turn(0, Some(Event::Message(ChannelMessage::Created(good))));
    assert_eq!(opening.rejects, [Reject::Unexpected("created")]);
}
