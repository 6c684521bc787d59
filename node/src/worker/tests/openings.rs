//! Openings by strangers: what they can't make this node do, hold or lose (FAULTS C2, C20, C21).

use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::{Amount, AssetId, Digest, OutPoint, Party, Payout, Time, TxId};
use towpath_protocol::{
    ChannelMessage, Decline, DeclineReason, Funding, FundingInput, Identity, Immediate, KeySigner, Life,
    Message, Now, Offer, Open, OpenId, Unacceptable,
};

use super::town::{BLOCK_MS, POLICY, Town, WINDOW_MS, heard};
use crate::limits;
use crate::net::SessionId;
use crate::worker::accept::{FUNDING_MS_MAX, Policy};
use crate::worker::{CallError, Input};

fn stranger(number: u16) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_bytes(&bytes).public()
}

fn stranger_key(number: u16) -> SecretKey {
    let mut bytes = [8; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_bytes(&bytes)
}

/// A stranger's offer, funded by it alone.
pub(super) fn offer(town: &Town, number: u16) -> Open {
    let mut id = [1; 32];
    id[..2].copy_from_slice(&number.to_be_bytes());
    let first_input = OutPoint { tx: TxId(Digest(id)), index: 0 };
    Open {
        open: OpenId(id),
        chain: town.nodes[0].ledger.chain.chain(),
        asset: AssetId::NATIVE,
        key: stranger_key(number).public(),
        payout: Payout::Key(WalletSecret::from_bytes([5; 32]).expect("a scalar").public()),
        amount_a: Amount(1_000_000),
        amount_b: Amount::ZERO,
        sequencer: Party::A,
        dispute_window_ms: WINDOW_MS,
        penalty_basis_points: 5_000,
        reserve: Amount::ZERO,
        close_fee_max: Amount(10_000),
        expiry: None,
        funding: Funding::Single { first_input, index: 0 },
        funding_deadline: town.time().plus_ms(300_000),
    }
}

/// The same, with so much of the acceptor's money.
pub(super) fn dual(town: &Town, number: u16, amount_b: u64) -> Open {
    let single = offer(town, number);
    let Funding::Single { first_input, .. } = &single.funding else { panic!("a single funding") };
    let lock = towpath_ledger::Lock::Wallet(single.payout.clone());
    let output = towpath_ledger::Output { asset: AssetId::NATIVE, amount: Amount(2_000_000), lock };
    let inputs = vec![FundingInput { outpoint: *first_input, output }];
    Open { amount_b: Amount(amount_b), funding: Funding::Dual { inputs, change: Vec::new() }, ..single }
}

/// What the node answers to the last offer.
fn said(town: &mut Town, node: usize) -> Option<Message> {
    let said: Vec<Message> = town.nodes[node].said.drain(..).map(|(_, message)| message).collect();
    assert!(said.len() <= 1, "one answer: {said:?}");
    said.into_iter().next()
}

fn declined(message: Option<Message>) -> Option<DeclineReason> {
    match message {
        Some(Message::Decline(Decline { reason, .. })) => Some(reason),
        Some(Message::Accept(_)) => None,
        other => panic!("{other:?}"),
    }
}

async fn ask(town: &mut Town, peer: PublicKey, open: Open) -> Option<DeclineReason> {
    town.nodes[0].hear(peer, vec![Message::Open(Box::new(open))]);
    if town.nodes[0].said.is_empty() {
        // It asks its wallet first.
        for _ in 0..10 {
            tokio::task::yield_now().await;
            town.nodes[0].stir();
        }
    }
    declined(said(town, 0))
}

#[tokio::test]
async fn c21_a_robbers_terms_are_declined_and_leave_no_trace() {
    let mut town = Town::new(1, 1, POLICY);
    let fine = offer(&town, 1);
    let robbers = [
        Open { close_fee_max: Amount::ZERO, penalty_basis_points: 0, ..fine.clone() },
        Open { close_fee_max: Amount::ZERO, ..fine.clone() },
        Open { close_fee_max: Amount(1_000), ..fine.clone() },
        Open { penalty_basis_points: 2_499, ..fine.clone() },
        Open { dispute_window_ms: WINDOW_MS - 1, ..fine.clone() },
        Open { dispute_window_ms: 8 * 24 * 3_600_000, ..fine.clone() },
        Open { amount_a: Amount(20_000), close_fee_max: Amount(1_000), ..fine.clone() },
        Open { funding_deadline: town.time().plus_ms(FUNDING_MS_MAX + 1), ..fine.clone() },
        Open { key: PublicKey([0; 32]), ..fine.clone() },
    ];
    town.nodes[0].written = towpath_store::Batch::new();
    for robber in robbers {
        assert_eq!(ask(&mut town, stranger(1), robber).await, Some(DeclineReason::Terms));
    }
    assert!(town.nodes[0].written.is_empty(), "nothing is written, and no key drawn, for what is refused");
    assert_eq!(ask(&mut town, stranger(1), fine).await, None, "an honest offer is accepted");
}

#[tokio::test]
async fn c2_who_is_refused_too_often_is_not_listened_to_for_a_while() {
    let mut town = Town::new(1, 1, POLICY);
    let bad = Open { close_fee_max: Amount::ZERO, ..offer(&town, 1) };
    for _ in 0..limits::OPENINGS_REFUSED_PER_MINUTE {
        assert_eq!(ask(&mut town, stranger(1), bad.clone()).await, Some(DeclineReason::Terms));
    }
    town.nodes[0].hear(stranger(1), vec![Message::Open(Box::new(bad.clone()))]);
    assert_eq!(said(&mut town, 0), None, "no answer");
    assert_eq!(ask(&mut town, stranger(2), bad.clone()).await, Some(DeclineReason::Terms), "others have one");
    town.nodes[0].clock_ms += 60_000;
    assert_eq!(ask(&mut town, stranger(1), bad).await, Some(DeclineReason::Terms));
}

#[tokio::test]
async fn c2_openings_have_a_bound_for_each_peer_and_for_all() {
    let mut town = Town::new(1, 1, POLICY);
    let per_peer = u16::try_from(limits::OPENINGS_PER_PEER).expect("small");
    for number in 0..per_peer {
        let open = offer(&town, number);
        assert_eq!(ask(&mut town, stranger(1), open).await, None);
    }
    let one_more = offer(&town, per_peer);
    assert_eq!(ask(&mut town, stranger(1), one_more).await, Some(DeclineReason::Busy));

    let all = u16::try_from(limits::OPENINGS).expect("small");
    for number in per_peer..all {
        let open = offer(&town, number);
        assert_eq!(ask(&mut town, stranger(100 + number / per_peer), open).await, None, "{number}");
    }
    let one_more = offer(&town, all);
    assert_eq!(ask(&mut town, stranger(9_999), one_more.clone()).await, Some(DeclineReason::Busy));
    assert_eq!(town.nodes[0].worker.awaited.len(), usize::from(all));

    // Nobody signs or funds anything: past the deadlines all of it is gone, from the disk, too.
    town.block_after(300_000).await;
    assert_eq!(town.nodes[0].worker.awaited.len(), usize::from(all), "still in time at the deadline");
    town.block().await;
    assert!(town.nodes[0].worker.awaited.is_empty());
    let rows = town.nodes[0].store.scan(towpath_store::Column::Channels, &towpath_store::Scan::prefix(&[]));
    assert_eq!(rows.expect("it reads"), []);
    let one_more = offer(&town, all);
    assert_eq!(ask(&mut town, stranger(9_999), one_more).await, None);
}

/// A stranger opens, signs the first version, and never funds.
async fn half_open(town: &mut Town, number: u16, peer: PublicKey, deadline: Time) {
    let open = Open { funding_deadline: deadline, ..offer(town, number) };
    let keys = std::sync::Arc::new(KeySigner::new(stranger_key(number)));
    let identity = Identity { peer: town.nodes[0].id, key_index: 0, keys };
    let now = Now { local_ms: town.nodes[0].clock_ms, ledger: town.time() };
    let offered =
        Offer::new(open.clone(), identity, &town.nodes[0].worker.bounds(), now).expect("fine terms");
    town.nodes[0].hear(peer, vec![Message::Open(Box::new(open))]);
    let Some(Message::Accept(accept)) = said(town, 0) else { panic!("not accepted") };
    let mut channel = offered.on_accept(&accept, now, &mut Immediate).expect("it fits");
    let outcome = channel.step(towpath_protocol::Event::TurnEnd, now, &mut Immediate).expect("a turn ends");
    let created: Vec<Message> = outcome
        .effects
        .into_iter()
        .filter_map(|effect| match effect {
            towpath_protocol::Effect::Send(message @ Message::Channel(_, ChannelMessage::Created(_))) => {
                Some(message)
            }
            _ => None,
        })
        .collect();
    town.nodes[0].hear(peer, created);
    assert_eq!(town.nodes[0].life(&channel.id()), Some(Life::Opening));
}

#[tokio::test]
async fn c2_what_is_never_funded_is_forgotten_with_the_next_block_past_its_deadline() {
    let mut town = Town::new(1, 1, POLICY);
    for round in 0..5_u16 {
        let deadline = town.time().plus_ms(BLOCK_MS);
        for number in 0..4 {
            half_open(&mut town, 10 * round + number, stranger(round), deadline).await;
        }
        assert_eq!(town.nodes[0].worker.counts().openings, 4);
        town.block().await;
        assert_eq!(town.nodes[0].worker.counts().openings, 4, "still in time at the deadline");
        let channels: Vec<_> = town.nodes[0].worker.channels.keys().copied().collect();
        town.block().await;
        let node = &town.nodes[0];
        assert!(node.worker.channels.is_empty() && node.worker.by_peer.is_empty());
        assert_eq!(node.worker.counts(), crate::worker::tally::Counts::default());
        for channel in channels {
            assert_eq!(node.rows_of(&channel), 0);
            assert!(node.board.get(&channel).is_none());
        }
    }
    // Only the number of the next key, and the height that was seen, are left of twenty openings.
    assert_eq!(town.nodes[0].board.totals().settled, 0);
}

/// The opener's word is lost on its way, and the funding comes all the same.
#[tokio::test]
async fn p19a_a_channel_that_was_paid_for_is_kept_for_its_opener() {
    let mut town = Town::new(2, 2, POLICY);
    let mut answer = town.begin_to_open((0, 1), (1_000_000, 0));
    town.deliver_to(0, 1).await;
    town.deliver_to(1, 0).await;
    let channel = answer.try_recv().expect("an answer").expect("accepted").channel;
    let ids = [town.nodes[0].id, town.nodes[1].id];
    town.nodes[0].said.clear();
    for (node, other) in [(0, ids[1]), (1, ids[0])] {
        town.nodes[node].turn(vec![Input::SessionDown(other)]);
    }
    assert_eq!(town.block().await.len(), 1, "it is funded");
    assert_eq!([town.nodes[0].life(&channel), town.nodes[1].life(&channel)], [Some(Life::Active), None]);
    assert_eq!(town.nodes[1].worker.counts().openings, 1);
    town.block_after(300_000).await;
    for _ in 0..2 {
        town.block_after(300_000).await;
        let counts = town.nodes[1].worker.counts();
        assert_eq!((counts.openings, counts.channels), (0, 1), "it takes no place of an opening");
    }
    // Over a restart as well; and then the opener is back, and says again what was lost.
    town.nodes[1].start_anew(2);
    for (node, other) in [(0, ids[1]), (1, ids[0])] {
        town.nodes[node].turn(vec![Input::SessionUp(other, SessionId(2))]);
    }
    town.settle().await;
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Active));
    assert!(town.nodes[1].worker.awaited.is_empty());
}

/// Nothing is kept of a channel that its opener took back, alone.
#[tokio::test]
async fn p19a_what_was_paid_for_and_closed_by_its_opener_is_forgotten() {
    let mut town = Town::new(2, 2, POLICY);
    let mut answer = town.begin_to_open((0, 1), (1_000_000, 0));
    town.deliver_to(0, 1).await;
    town.deliver_to(1, 0).await;
    let channel = answer.try_recv().expect("an answer").expect("accepted").channel;
    let ids = [town.nodes[0].id, town.nodes[1].id];
    town.nodes[0].said.clear();
    for (node, other) in [(0, ids[1]), (1, ids[0])] {
        town.nodes[node].turn(vec![Input::SessionDown(other)]);
    }
    town.block().await;
    town.force_close(0, &channel).await.expect("it closes alone");
    town.block().await;
    town.block_after(WINDOW_MS).await;
    // The payout is handed in behind the block that ends the window.
    for _ in 0..4 {
        town.block().await;
    }
    assert!(matches!(town.nodes[0].life(&channel), Some(Life::Settled(_))));
    // The other party looks again a minute after it last found it.
    town.block_after(61_000).await;
    assert!(town.nodes[1].worker.awaited.is_empty());
    assert_eq!((town.nodes[1].life(&channel), town.nodes[1].rows_of(&channel)), (None, 0));
    assert_eq!(town.nodes[1].worker.counts(), crate::worker::tally::Counts::default());
}

#[tokio::test]
async fn coins_of_an_opening_that_never_came_are_free_with_that_block() {
    let mut town = Town::new(2, 2, POLICY);
    town.nodes[0].ledger.is_full = true;
    let opened = town.ask_to_open((0, 1), (1_000_000, 0)).await.expect("an answer").expect("accepted");
    let (available, reserved) = town.nodes[0].ledger.wallet();
    assert!(available > 0 && reserved > 0, "one coin is set aside");
    town.block_after(300_000).await;
    assert!(town.nodes[0].ledger.wallet().1 > 0, "still in time at the deadline");
    town.block().await;
    assert_eq!(town.nodes[0].ledger.wallet(), (available + reserved, 0));
    for node in &town.nodes {
        assert_eq!((node.life(&opened.channel), node.rows_of(&opened.channel)), (None, 0));
        let tells = node.events.iter().any(|event| {
            matches!(
                event,
                towpath_api::EventBody::Channel { outcome: Some(towpath_api::Outcome::Abandoned), .. }
            )
        });
        assert!(tells, "who listens hears of it");
    }
}

#[tokio::test]
async fn c21_a_stranger_ties_up_nothing_of_the_wallet() {
    let mut town = Town::new(1, 4, POLICY);
    let open = dual(&town, 1, 1);
    assert_eq!(ask(&mut town, stranger(1), open).await, Some(DeclineReason::Funds));
    assert_eq!(town.nodes[0].ledger.wallet().1, 0);
}

#[tokio::test]
async fn c21_what_peers_can_tie_up_has_a_bound_each_and_together() {
    let policy = Policy {
        contribute_max: Amount(1_000_000),
        contribute_peer_max: Amount(1_500_000),
        contribute_opening_max: Amount(2_500_000),
        ..POLICY
    };
    let mut town = Town::new(1, 8, policy);
    let mut number = 0;
    let mut next = |town: &Town, amount: u64| {
        number += 1;
        dual(town, number, amount)
    };
    let open = next(&town, 1_000_001);
    assert_eq!(ask(&mut town, stranger(1), open).await, Some(DeclineReason::Funds), "in one");
    let open = next(&town, 1_000_000);
    assert_eq!(ask(&mut town, stranger(1), open).await, None);
    let open = next(&town, 500_001);
    assert_eq!(ask(&mut town, stranger(1), open).await, Some(DeclineReason::Funds), "for one peer");
    let open = next(&town, 500_000);
    assert_eq!(ask(&mut town, stranger(1), open).await, None);
    let open = next(&town, 1_000_000);
    assert_eq!(ask(&mut town, stranger(2), open).await, None);
    let open = next(&town, 1);
    assert_eq!(ask(&mut town, stranger(3), open).await, Some(DeclineReason::Funds), "in all openings");
    assert!(town.nodes[0].ledger.wallet().1 > 0);
    // Nobody goes on: all of it is free a minute later.
    town.nodes[0].clock_ms += 61_000;
    town.nodes[0].turn(Vec::new());
    town.settle().await;
    assert_eq!(town.nodes[0].ledger.wallet().1, 0);
    let open = next(&town, 1_000_000);
    assert_eq!(ask(&mut town, stranger(3), open).await, None);
}

#[tokio::test]
async fn funding_by_both_still_works_and_counts_until_it_is_settled() {
    let policy = Policy {
        contribute_max: Amount(1_000_000),
        contribute_peer_max: Amount(1_000_000),
        contribute_opening_max: Amount(1_000_000),
        ..POLICY
    };
    let mut town = Town::new(2, 4, policy);
    let opened =
        town.ask_to_open((0, 1), (1_000_000, 1_000_000)).await.expect("an answer").expect("accepted");
    town.block().await;
    for node in &town.nodes {
        assert_eq!(node.life(&opened.channel), Some(Life::Active));
        assert_eq!(node.ledger.wallet().1, 0);
    }
    let peer = town.nodes[0].id;
    assert_eq!(town.nodes[1].worker.contributed.get(&peer), Some(&1_000_000));
    let again = town.ask_to_open((0, 1), (1_000_000, 1)).await.expect("an answer");
    assert!(matches!(again, Err(CallError::Declined(_))), "{again:?}");
}

#[tokio::test]
async fn c20_an_own_opening_that_is_too_small_says_how_small_it_may_be() {
    let mut town = Town::new(2, 2, POLICY);
    let refused = town.ask_to_open((0, 1), (1_000, 0)).await.expect("an answer");
    let Err(CallError::Rejected(towpath_protocol::Reject::Unacceptable(why))) = refused else {
        panic!("{refused:?}")
    };
    let Unacceptable::Capacity { shown: Amount(1_000), least } = why else { panic!("{why}") };
    assert!(why.to_string().contains(&least.to_string()), "{why}");
    assert_eq!(town.nodes[0].ledger.wallet().1, 0, "its coins are free");
    let opened = town.ask_to_open((0, 1), (least.units(), 0)).await.expect("an answer");
    opened.expect("the least is enough");
}

#[tokio::test]
async fn c21_the_last_key_is_not_followed_by_the_first() {
    let mut town = Town::new(1, 1, POLICY);
    town.nodes[0].worker.parts.keys.use_up();
    let open = offer(&town, 1);
    assert_eq!(ask(&mut town, stranger(1), open).await, Some(DeclineReason::Busy));
}

#[tokio::test]
async fn sessions_that_come_and_go_write_nothing_about_channels_that_are_over() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    town.close(0, &channel).await;
    town.block().await;
    assert!(matches!(town.nodes[1].life(&channel), Some(Life::Settled(_))));
    let peer = town.nodes[0].id;
    town.nodes[1].written = towpath_store::Batch::new();
    let hello = Message::Hello(town.nodes[0].worker.parts.epoch.hello());
    for _ in 0..3 {
        let hello = hello.clone();
        town.nodes[1].turn(vec![Input::SessionDown(peer)]);
        town.nodes[1].turn(vec![Input::SessionUp(peer, crate::net::SessionId(2))]);
        town.nodes[1].hear(peer, vec![hello]);
    }
    let ping = ChannelMessage::Resend(1);
    town.nodes[1].hear(peer, vec![Message::Channel(channel, ping)]);
    assert!(town.nodes[1].written.is_empty());
    let said = &town.nodes[1].said;
    assert!(said.iter().all(|(_, message)| matches!(message, Message::Hello(_))), "{said:?}");
}

#[tokio::test]
async fn a_peer_is_spoken_with_once_it_said_which_of_its_processes_it_is() {
    let mut town = Town::new(2, 2, POLICY);
    let peer = town.nodes[0].id;
    let is_spoken_with = |town: &Town| town.nodes[1].worker.parts.board.is_spoken_with(&peer);
    assert!(is_spoken_with(&town));
    town.nodes[1].turn(vec![Input::SessionDown(peer)]);
    assert!(!is_spoken_with(&town), "the session is over");
    town.nodes[1].turn(vec![Input::SessionUp(peer, crate::net::SessionId(2))]);
    assert!(!is_spoken_with(&town), "the network has a session, and the worker refuses calls that need one");
    let hello = Message::Hello(town.nodes[0].worker.parts.epoch.hello());
    town.nodes[1].hear(peer, vec![hello]);
    assert!(is_spoken_with(&town));
}

#[tokio::test]
async fn the_newest_settled_channels_are_kept_and_older_ones_forgotten() {
    let mut town = Town::new(2, 8, POLICY);
    town.nodes[0].worker.settled_kept = 2;
    let mut channels = Vec::new();
    for _ in 0..4 {
        let channel = town.open(0, 1, 1_000_000).await;
        town.close(0, &channel).await;
        town.block().await;
        channels.push(channel);
    }
    let node = &town.nodes[0];
    for old in &channels[..2] {
        assert_eq!((node.life(old), node.rows_of(old)), (None, 0));
        assert!(node.board.get(old).is_none());
    }
    for kept in &channels[2..] {
        assert!(matches!(node.life(kept), Some(Life::Settled(_))));
        assert!(node.board.get(kept).is_some() && node.rows_of(kept) > 0);
    }
    assert_eq!(node.worker.counts().channels, 0, "none of them counts");
    assert_eq!(town.nodes[1].worker.channels.len(), 4);
    // After a restart it is the same.
    town.nodes[0].restart();
    assert_eq!(town.nodes[0].worker.channels.len(), 2);
    assert_eq!(town.nodes[0].worker.counts().channels, 0);
}

#[tokio::test]
async fn c18_a_funding_that_is_final_before_the_acceptor_has_the_channel_is_seen_all_the_same() {
    let mut town = Town::new(2, 2, POLICY);
    let mut answer = town.begin_to_open((0, 1), (1_000_000, 0));
    town.deliver_to(0, 1).await;
    town.deliver_to(1, 0).await;
    let channel = answer.try_recv().expect("an answer").expect("accepted").channel;
    assert_eq!(
        (town.nodes[1].life(&channel), town.nodes[0].said.len()),
        (None, 1),
        "the last word is on its way"
    );
    // The block is applied at both before that word arrives.
    town.block().await;
    for node in &town.nodes {
        assert_eq!(node.life(&channel), Some(Life::Active));
    }
    town.pay(0, &channel, 5).await.expect("it is paid");
}

#[tokio::test]
async fn c8_an_answer_to_what_was_said_in_a_session_that_ended_is_not_said_in_the_next() {
    let mut town = Town::new(2, 2, POLICY);
    let peer = town.nodes[1].id;
    for is_new_session in [false, true] {
        let number = u16::from(is_new_session);
        let mut inputs = vec![heard(peer, vec![Message::Open(Box::new(offer(&town, number)))])];
        if is_new_session {
            inputs.extend([Input::SessionDown(peer), Input::SessionUp(peer, crate::net::SessionId(2))]);
        }
        town.nodes[0].turn(inputs);
        // A new session begins with who speaks, and with that alone.
        let answered = !matches!(said(&mut town, 0), None | Some(Message::Hello(_)));
        assert_eq!(answered, !is_new_session);
    }
}
