//! Many channels by one funding, whoever declines, is silent, vanishes or stops in between (SPEC P-70 to P-74; FAULTS C12).

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use towpath_ledger::{Amount, ChannelId, Digest, Lock, Transaction, TxId};
use towpath_protocol::limits::AGREE_TIMEOUT_MS;
use towpath_protocol::{Batch, BatchEvent, BatchOrder, DeclineReason, LeftOut, Life, OpenId, Share};

use super::town::{Answer, BLOCK_MS, POLICY, Town, WINDOW_MS};
use crate::idempotency::{Claim, Claimed, Key, Opening, Outcome};
use crate::ledger::testing::COIN;
use crate::ledger::{FundsCall, FundsError, Input as LedgerInput, Purpose, Reserved, SharedFunding};
use crate::limits;
use crate::net::SessionId;
use crate::worker::{AskRequest, Call, CallError, Input, Signed};

/// How far ahead the funding's deadline is.
const DEADLINE_MS: u64 = 300_000;

/// The first node opens channels with others, and somebody follows the batch for it.
struct Many {
    batch: Batch,
    peers: Vec<(usize, u64)>,
    opens: Vec<OpenId>,
    coins: Reserved,
    deadline: towpath_ledger::Time,
    asked: Vec<(u32, Answer<()>)>,
    signing: Vec<(u32, Answer<Signed>)>,
    channels: BTreeMap<u32, ChannelId>,
    shares: Option<Vec<Share>>,
}

impl Many {
    /// Sets coins aside, and asks all peers; nothing is delivered yet.
    fn begin(town: &mut Town, peers: &[(usize, u64)]) -> Self {
        let amounts: Vec<Amount> = peers.iter().map(|(_, amount)| Amount(*amount)).collect();
        let deadline = town.time().plus_ms(DEADLINE_MS);
        let amount = Amount::checked_sum(amounts.iter().copied()).expect("small");
        let purpose = Purpose { amount, inputs_max: limits::WALLET_INPUTS, until: deadline };
        let (reply, mut coins) = oneshot::channel();
        let call = FundsCall::ReserveShared { purpose, channels: peers.len(), reply };
        town.nodes[0].ledger.handle.offer(LedgerInput::Funds(call)).expect("room");
        town.nodes[0].ledger.serve();
        let mut many = Self {
            batch: Batch::new(&amounts, 0).expect("some"),
            peers: peers.to_vec(),
            opens: peers.iter().map(|_| OpenId(rand::random())).collect(),
            coins: coins.try_recv().expect("an answer").expect("coins"),
            deadline,
            asked: Vec::new(),
            signing: Vec::new(),
            channels: BTreeMap::new(),
            shares: None,
        };
        for place in (1_u32..).take(peers.len()) {
            many.ask(town, place);
        }
        many
    }

    fn index(place: u32) -> usize {
        usize::try_from(place - 1).expect("small")
    }

    fn ask(&mut self, town: &mut Town, place: u32) {
        let (to, amount) = self.peers[Self::index(place)];
        let request = AskRequest {
            open: self.opens[Self::index(place)],
            peer: town.nodes[to].id,
            amount: Amount(amount),
            dispute_window_ms: Some(WINDOW_MS),
            reserve: Amount::ZERO,
            payout: self.coins.payout.clone(),
            place: (self.coins.first_input().expect("a coin"), place),
            deadline: self.deadline,
            expiry: None,
        };
        let (reply, answer) = oneshot::channel();
        town.nodes[0].turn(vec![Input::Call(Box::new(Call::Ask { request: Box::new(request), reply }))]);
        self.asked.push((place, answer));
    }

    fn step(&mut self, town: &mut Town, event: BatchEvent) {
        for order in self.batch.step(event) {
            match order {
                BatchOrder::Drop(place) => {
                    let open = self.opens[Self::index(place)];
                    town.nodes[0].turn(vec![Input::Call(Box::new(Call::DropAsked { open }))]);
                }
                BatchOrder::Sign(place) => {
                    let (reply, answer) = oneshot::channel();
                    let call = Call::SignAgreed { open: self.opens[Self::index(place)], reply };
                    town.nodes[0].turn(vec![Input::Call(Box::new(call))]);
                    self.signing.push((place, answer));
                }
                BatchOrder::Fund(shares) => self.shares = Some(shares),
            }
        }
    }

    /// Takes the answers that are there.
    fn poll(&mut self, town: &mut Town) {
        let mut events = Vec::new();
        self.asked.retain_mut(|(place, answer)| match answer.try_recv() {
            Ok(Ok(())) => {
                events.push(BatchEvent::Agreed(*place));
                false
            }
            Ok(Err(CallError::Declined(reason))) => {
                events.push(BatchEvent::Left(*place, LeftOut::Declined(reason)));
                false
            }
            Ok(Err(CallError::NoSession)) => {
                events.push(BatchEvent::Left(*place, LeftOut::Offline));
                false
            }
            Ok(Err(error)) => panic!("{error}"),
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => false,
        });
        for event in events {
            self.step(town, event);
        }
        for (place, mut answer) in std::mem::take(&mut self.signing) {
            match answer.try_recv().expect("a turn is durable at once here") {
                Ok(Signed { channel, output }) => {
                    self.channels.insert(place, channel);
                    self.step(town, BatchEvent::Signed(place, output));
                }
                Err(error) => {
                    assert_eq!(error, CallError::NoSession);
                    self.step(town, BatchEvent::Left(place, LeftOut::Vanished));
                }
            }
        }
    }

    /// Everything is delivered, and every answer taken.
    async fn gather(&mut self, town: &mut Town) {
        town.settle().await;
        self.poll(town);
    }

    /// The wallet makes the transaction.
    async fn fund(&mut self, town: &mut Town, claim: Option<Claim>) -> Result<(TxId, Amount), FundsError> {
        let openings = (1_u32..).take(self.peers.len()).map(|place| match self.batch.left_out(place) {
            None => Opening::Channel(self.channels[&place]),
            Some(why) => Opening::Left(why),
        });
        let claim = claim.map(|claim| (claim, openings.collect()));
        let first_input = self.coins.first_input().expect("a coin");
        let shares = self.shares.clone().expect("somebody agreed");
        let plan = Box::new(SharedFunding { first_input, shares, expiry: self.deadline });
        let (reply, mut answer) = oneshot::channel();
        let call = FundsCall::FundShared { plan, claim, reply };
        town.nodes[0].ledger.handle.offer(LedgerInput::Funds(call)).expect("room");
        town.settle().await;
        answer.try_recv().expect("an answer")
    }

    /// All of it, with nobody in the way.
    async fn run(town: &mut Town, peers: &[(usize, u64)]) -> Self {
        let mut many = Self::begin(town, peers);
        many.gather(town).await;
        many.fund(town, None).await.expect("it is funded");
        many
    }
}

fn is_open(town: &Town, many: &Many, place: u32) -> bool {
    let (id, (peer, _)) = (many.channels[&place], many.peers[Many::index(place)]);
    [0, peer].iter().all(|side| town.nodes[*side].life(&id) == Some(Life::Active))
}

fn channel_outputs(transaction: &Transaction) -> usize {
    transaction.body.outputs.iter().filter(|output| matches!(output.lock, Lock::Channel(_))).count()
}

fn reconnect(town: &mut Town, from: usize, to: usize) {
    let ids = [town.nodes[from].id, town.nodes[to].id];
    for (node, other) in [(from, ids[1]), (to, ids[0])] {
        town.nodes[node].turn(vec![Input::SessionDown(other)]);
        town.nodes[node].turn(vec![Input::SessionUp(other, SessionId(2))]);
    }
}

#[tokio::test]
async fn one_transaction_opens_a_channel_with_each_peer() {
    let mut town = Town::new(5, 4, POLICY);
    let before = town.nodes[0].ledger.wallet().0;
    let peers = [(1, 1_000_000), (2, 2_000_000), (3, 3_000_000), (4, 14_000_000)];
    let many = Many::run(&mut town, &peers).await;
    let block = town.block().await;
    assert_eq!(block.iter().map(channel_outputs).collect::<Vec<_>>(), [4], "one transaction");
    for place in 1..=4 {
        assert!(is_open(&town, &many, place), "{place}");
    }
    let bytes = u64::try_from(towpath_crypto::codec::encode(&block[0]).len()).expect("small");
    let fee = town.nodes[0].ledger.genesis.params.rules.fee_min(bytes).units();
    let paid: u64 = peers.iter().map(|(_, amount)| amount).sum();
    assert_eq!(town.nodes[0].ledger.wallet(), (before - paid - fee, 0), "the fee of its bytes, and no more");
    // They are channels like any others.
    town.pay(0, &many.channels[&3], 77).await.expect("it is paid");
    town.close(0, &many.channels[&2]).await;
    town.block().await;
    assert!(matches!(town.nodes[2].life(&many.channels[&2]), Some(Life::Settled(_))));
}

#[tokio::test]
async fn c12_who_declines_is_silent_or_vanishes_is_left_out_and_the_others_open() {
    let mut town = Town::new(6, 4, POLICY);
    town.nodes[2].worker.parts.policy.capacity_min = Amount(5_000_000);
    let before = town.nodes[0].ledger.wallet().0;
    let peers = [(1, 1_000_000), (2, 2_000_000), (3, 3_000_000), (4, 4_000_000), (5, 1_500_000)];
    let mut many = Many::begin(&mut town, &peers);
    // The fourth never hears of it.
    let silent = town.nodes[4].id;
    town.nodes[0].said.retain(|(to, _)| *to != silent);
    many.gather(&mut town).await;
    assert_eq!(many.batch.left_out(2), Some(LeftOut::Declined(DeclineReason::Unwanted)));
    assert!(many.channels.is_empty() && many.shares.is_none(), "nothing is signed while one may yet agree");
    // The third agreed, and goes.
    let gone = town.nodes[3].id;
    town.nodes[0].turn(vec![Input::SessionDown(gone)]);
    many.step(&mut town, BatchEvent::Time(AGREE_TIMEOUT_MS));
    many.poll(&mut town);
    assert_eq!(
        (many.batch.left_out(3), many.batch.left_out(4)),
        (Some(LeftOut::Vanished), Some(LeftOut::Silent))
    );
    many.fund(&mut town, None).await.expect("it is funded");
    let block = town.block().await;
    assert_eq!(block.iter().map(channel_outputs).collect::<Vec<_>>(), [2]);
    assert!(is_open(&town, &many, 1) && is_open(&town, &many, 5));
    let fee = before - town.nodes[0].ledger.wallet().0 - 2_500_000;
    assert!(fee < 2_000, "what was for the others came back: {fee}");
    assert_eq!(town.nodes[0].ledger.wallet().1, 0, "nothing stays set aside");
    assert!(town.nodes[0].worker.awaited.is_empty());
    // Who agreed and was left out has no channel, and forgets that it agreed.
    town.block_after(300_000).await;
    town.block().await;
    assert!(town.nodes[3].worker.awaited.is_empty() && town.nodes[3].worker.channels.is_empty());
}

#[tokio::test]
async fn an_acceptance_that_comes_too_late_makes_no_channel() {
    let mut town = Town::new(3, 4, POLICY);
    let mut many = Many::begin(&mut town, &[(1, 1_000_000)]);
    town.deliver_to(0, 1).await;
    let late: Vec<_> = town.nodes[1].said.drain(..).collect();
    assert_eq!(late.len(), 1, "it accepts");
    many.step(&mut town, BatchEvent::Time(AGREE_TIMEOUT_MS));
    assert!(many.batch.is_decided() && many.shares.is_none(), "nobody is left, and nothing is funded");
    let peer = town.nodes[1].id;
    town.nodes[0].hear(peer, late.into_iter().map(|(_, message)| message).collect());
    assert!(town.nodes[0].worker.awaited.is_empty() && town.nodes[0].worker.channels.is_empty());
}

#[tokio::test]
async fn c12_an_opener_that_stops_before_the_funding_is_made_opens_nothing_and_loses_nothing() {
    let mut town = Town::new(3, 4, POLICY);
    let before = town.nodes[0].ledger.wallet();
    let mut many = Many::begin(&mut town, &[(1, 1_000_000), (2, 2_000_000)]);
    many.gather(&mut town).await;
    assert!(many.shares.is_some() && town.nodes[0].ledger.wallet().1 > 0);
    // Both channels are durable, at both sides; the transaction was not made.
    town.settle().await;
    assert_eq!(town.nodes[0].ledger.handed_in.len(), 0, "whoever asks alone is not funded alone");
    let seed = town.nodes[0].seed.clone();
    town.nodes[0].restart();
    town.nodes[0].ledger.restart_wallet(seed);
    town.settle().await;
    assert_eq!(town.nodes[0].ledger.wallet(), before, "its coins are free");
    assert!(town.block().await.is_empty());
    // The coins go into other channels, with the same first input; those of before stay what they are.
    reconnect(&mut town, 0, 1);
    reconnect(&mut town, 0, 2);
    town.settle().await;
    let again = Many::run(&mut town, &[(2, 2_000_000), (1, 1_000_000)]).await;
    assert_eq!(again.coins.first_input(), many.coins.first_input());
    let block = town.block().await;
    assert_eq!(block.iter().map(channel_outputs).collect::<Vec<_>>(), [2]);
    assert!(is_open(&town, &again, 1) && is_open(&town, &again, 2));
    for place in [1, 2] {
        assert_eq!(town.nodes[0].life(&many.channels[&place]), Some(Life::Opening));
    }
    town.block_after(DEADLINE_MS).await;
    town.block().await;
    for (place, peer) in [(1, 1), (2, 2)] {
        for side in [0, peer] {
            assert_eq!(town.nodes[side].life(&many.channels[&place]), None, "over at the deadline");
        }
        assert!(is_open(&town, &again, place));
    }
}

#[tokio::test]
async fn c12_an_opener_that_stops_after_the_funding_is_made_makes_the_same_again() {
    let mut town = Town::new(3, 4, POLICY);
    let mut many = Many::begin(&mut town, &[(1, 1_000_000), (2, 2_000_000)]);
    many.gather(&mut town).await;
    town.nodes[0].ledger.is_full = true;
    let (tx, _) = many.fund(&mut town, None).await.expect("it is promised");
    assert_eq!(town.nodes[0].ledger.handed_in.len(), 0, "nobody has it yet");
    let reserved = town.nodes[0].ledger.wallet().1;
    let seed = town.nodes[0].seed.clone();
    for _ in 0..2 {
        town.nodes[0].restart();
        town.nodes[0].ledger.restart_wallet(seed.clone());
        assert_eq!(town.nodes[0].ledger.wallet().1, reserved, "what it spends is set aside again");
    }
    town.nodes[0].ledger.is_full = false;
    town.nodes[0].clock_ms += limits::CLOSE_AGAIN_MS;
    town.nodes[0].turn(Vec::new());
    town.settle().await;
    let block = town.block().await;
    assert_eq!(block.iter().map(Transaction::id).collect::<Vec<_>>(), [tx], "the very same transaction");
    assert!(is_open(&town, &many, 1) && is_open(&town, &many, 2));
    assert_eq!(town.nodes[0].ledger.wallet().1, 0);
    // Its row is gone with it.
    town.nodes[0].ledger.restart_wallet(seed);
    assert_eq!(town.nodes[0].ledger.wallet().1, 0);
}

#[tokio::test]
async fn c12_an_acceptor_that_stops_before_it_hears_of_the_first_state_has_its_channel_all_the_same() {
    let mut town = Town::new(3, 4, POLICY);
    let mut many = Many::begin(&mut town, &[(1, 1_000_000), (2, 2_000_000)]);
    many.gather(&mut town).await;
    let lost = town.nodes[1].id;
    town.nodes[0].said.retain(|(to, _)| *to != lost);
    town.nodes[0].turn(vec![Input::SessionDown(lost)]);
    town.nodes[1].restart();
    many.fund(&mut town, None).await.expect("it is funded");
    town.block().await;
    assert!(is_open(&town, &many, 2));
    assert_eq!(town.nodes[1].life(&many.channels[&1]), None);
    reconnect(&mut town, 0, 1);
    town.settle().await;
    assert!(is_open(&town, &many, 1));
    town.pay(0, &many.channels[&1], 5).await.expect("it is paid");
}

#[tokio::test]
async fn coins_of_a_funding_that_no_block_takes_are_free_after_its_deadline() {
    let mut town = Town::new(3, 4, POLICY);
    let before = town.nodes[0].ledger.wallet();
    town.nodes[0].ledger.is_full = true;
    let many = Many::run(&mut town, &[(1, 1_000_000), (2, 2_000_000)]).await;
    assert!(town.nodes[0].ledger.wallet().1 > 0);
    town.block_after(DEADLINE_MS).await;
    assert!(town.nodes[0].ledger.wallet().1 > 0, "still in time at the deadline");
    town.block_after(BLOCK_MS).await;
    assert_eq!(town.nodes[0].ledger.wallet(), before);
    let seed = town.nodes[0].seed.clone();
    town.nodes[0].ledger.restart_wallet(seed);
    assert_eq!(town.nodes[0].ledger.wallet(), before, "for good");
    for (place, peer) in [(1, 1), (2, 2)] {
        for side in [0, peer] {
            let id = many.channels[&place];
            assert_eq!((town.nodes[side].life(&id), town.nodes[side].rows_of(&id)), (None, 0));
        }
    }
}

#[tokio::test]
async fn coins_that_do_not_suffice_are_not_set_aside() {
    let mut town = Town::new(2, 2, POLICY);
    let purpose = Purpose { amount: Amount(2 * COIN), inputs_max: 64, until: town.time().plus_ms(1_000) };
    let (reply, mut coins) = oneshot::channel();
    let call = FundsCall::ReserveShared { purpose, channels: 3, reply };
    town.nodes[0].ledger.handle.offer(LedgerInput::Funds(call)).expect("room");
    town.nodes[0].ledger.serve();
    let refused = coins.try_recv().expect("an answer").expect_err("nothing would be left for the fee");
    assert!(matches!(refused, FundsError::Wallet(_)), "{refused}");
    assert_eq!(town.nodes[0].ledger.wallet(), (2 * COIN, 0));
}

#[tokio::test]
async fn a8_a_repeated_opening_of_many_finds_the_same_channels_and_the_same_gaps() {
    let mut town = Town::new(4, 4, POLICY);
    town.nodes[2].worker.parts.policy.capacity_min = Amount(5_000_000);
    let claim = |town: &Town| town.nodes[0].parts.idempotency.claim(Key::of("a"), Digest([1; 32]), 1_000);
    let first = claim(&town).expect("the first");
    let mut many = Many::begin(&mut town, &[(1, 1_000_000), (2, 2_000_000), (3, 3_000_000)]);
    many.gather(&mut town).await;
    assert_eq!(claim(&town).expect_err("it is under way"), Claimed::UnderWay);
    let (tx, fee) = many.fund(&mut town, Some(first)).await.expect("it is funded");
    let openings = vec![
        Opening::Channel(many.channels[&1]),
        Opening::Left(LeftOut::Declined(DeclineReason::Unwanted)),
        Opening::Channel(many.channels[&3]),
    ];
    for _ in 0..2 {
        let known = claim(&town).expect_err("it was made");
        assert_eq!(known, Claimed::Before(Outcome::Openings { tx, fee, openings: openings.clone() }));
        town.nodes[0].restart();
    }
}
