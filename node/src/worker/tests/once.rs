//! Calls with idempotency keys are made once, and a repeated one learns the truth, whatever came between.

use tokio::sync::oneshot;
use towpath_api::Stream;
use towpath_ledger::{Amount, ChannelId, Digest};
use towpath_protocol::{Failure, Life, Settlement};

use super::town::{Answer, POLICY, Town, WINDOW_MS};
use crate::idempotency::{Claim, Claimed, Key, Outcome};
use crate::limits;
use crate::worker::{Call, CallError, Input, Paid, PayRequest, Plan, Wait};

/// The first call with this word.
fn claim(town: &Town, word: &str) -> Result<Claim, Claimed> {
    town.nodes[0].parts.idempotency.claim(Key::of(word), Digest([1; 32]), 1_000)
}

fn pay_input(town: &Town, channel: &ChannelId, word: &str, wait: Wait) -> (Answer<Paid>, Input) {
    let (reply, answer) = oneshot::channel();
    let claim = Some(claim(town, word).expect("the first"));
    let request = PayRequest { channel: *channel, amount: Amount(500), memo: None, claim, wait };
    (answer, Input::Call(Box::new(Call::Pay { request, reply })))
}

/// What a repeated payment is told, if it is told anything yet.
fn again(
    town: &mut Town,
    channel: &ChannelId,
    word: &str,
    wait: Wait,
) -> (Option<Result<Paid, CallError>>, Answer<Paid>) {
    assert!(matches!(claim(town, word), Err(Claimed::Before(Outcome::Payment(_)))), "{word} was used");
    let (reply, mut answer) = oneshot::channel();
    let call = Call::PaidBefore { channel: *channel, key: Key::of(word), wait, reply };
    town.nodes[0].turn(vec![Input::Call(Box::new(call))]);
    (answer.try_recv().ok(), answer)
}

fn is_settled(town: &mut Town, channel: &ChannelId, word: &str, wait: Wait) -> bool {
    again(town, channel, word, wait).0.expect("an answer").expect("it was made").is_settled
}

#[tokio::test]
async fn a8_a_repeated_payment_is_told_whether_the_first_is_on_its_way_or_settled() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let (mut first, call) = pay_input(&town, &channel, "a", Wait::Sent);
    town.nodes[0].turn(vec![call]);
    let first = first.try_recv().expect("an answer").expect("it is sent");
    assert!(!is_settled(&mut town, &channel, "a", Wait::Sent));
    let (none, mut waiting) = again(&mut town, &channel, "a", Wait::Settled);
    assert_eq!(none, None, "it waits for the same acknowledgement");
    town.settle().await;
    let settled = waiting.try_recv().expect("an answer").expect("it is settled");
    assert_eq!((settled.number, settled.is_settled), (first.number, true));
    for _ in 0..2 {
        assert!(is_settled(&mut town, &channel, "a", Wait::Settled));
        town.nodes[0].restart();
    }
    assert_eq!(town.nodes[0].board.get(&channel).expect("a view").sent.payments, 1, "one payment in all");
}

#[tokio::test]
async fn a8_a_repeated_payment_that_failed_is_told_so() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let (mut first, call) = pay_input(&town, &channel, "a", Wait::Settled);
    town.nodes[0].turn(vec![call]);
    // It never gets there.
    town.nodes[0].said.clear();
    town.force_close(0, &channel).await.expect("it closes");
    town.block().await;
    town.block_after(WINDOW_MS).await;
    town.block().await;
    town.block().await;
    assert_eq!(town.nodes[0].life(&channel), Some(Life::Settled(Settlement::Unilateral)));
    let failed = Err(CallError::Failed(Failure::Closed));
    assert_eq!(first.try_recv().expect("an answer"), failed);
    for _ in 0..2 {
        for wait in [Wait::Sent, Wait::Settled] {
            assert_eq!(again(&mut town, &channel, "a", wait).0, Some(failed.clone()));
        }
        town.nodes[0].restart();
    }
}

#[tokio::test]
async fn a_payment_that_is_refused_uses_no_key() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let (reply, mut answer) = oneshot::channel();
    let request = PayRequest {
        channel,
        amount: Amount(5_000_000),
        memo: None,
        claim: Some(claim(&town, "a").expect("the first")),
        wait: Wait::Settled,
    };
    town.nodes[0].turn(vec![Input::Call(Box::new(Call::Pay { request, reply }))]);
    answer.try_recv().expect("an answer").expect_err("more than there is");
    drop(claim(&town, "a").expect("nothing was promised for it"));
}

#[tokio::test]
async fn a8_a_repeated_opening_finds_the_same_channel() {
    let mut town = Town::new(2, 4, POLICY);
    let word = Some(claim(&town, "a").expect("the first"));
    let (mut answer, call) = town.open_input((0, 1), (1_000_000, 0), word);
    town.nodes[0].turn(vec![call]);
    assert_eq!(claim(&town, "a").expect_err("the offer is made"), Claimed::UnderWay);
    town.settle().await;
    let channel = answer.try_recv().expect("an answer").expect("it is accepted").channel;
    for _ in 0..2 {
        let known = claim(&town, "a").expect_err("it is opened");
        assert_eq!(known, Claimed::Before(Outcome::Opening { channel }));
        town.nodes[0].restart();
        assert!(town.nodes[0].worker.channels.contains_key(&channel), "in one write with the channel");
    }
    let other = town.nodes[0].parts.idempotency.claim(Key::of("a"), Digest([2; 32]), 1_000);
    assert_eq!(other.expect_err("other terms"), Claimed::Conflict);
}

#[tokio::test]
async fn an_opening_that_comes_to_nothing_uses_no_key() {
    let mut town = Town::new(2, 4, POLICY);
    let word = Some(claim(&town, "a").expect("the first"));
    let (mut answer, call) = town.open_input((0, 1), (1_000_000, 0), word);
    town.nodes[0].turn(vec![call]);
    let peer = town.nodes[1].id;
    town.nodes[0].turn(vec![Input::SessionDown(peer)]);
    assert_eq!(answer.try_recv().expect("an answer"), Err(CallError::NoSession));
    drop(claim(&town, "a").expect("nothing was promised for it"));
}

fn stream_input(channel: &ChannelId, claim: Option<Claim>) -> (Answer<Stream>, Input) {
    let (reply, answer) = oneshot::channel();
    let plan = Plan { amount: Amount(1), count: 10, in_flight: 1 };
    (answer, Input::Call(Box::new(Call::StartStream { channel: *channel, plan, claim, reply })))
}

#[tokio::test]
async fn a8_a_stream_begins_once_even_across_a_restart() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let word = Some(claim(&town, "a").expect("the first"));
    let (mut answer, call) = stream_input(&channel, word);
    town.nodes[0].turn(vec![call]);
    answer.try_recv().expect("an answer").expect("it begins");
    let run = town.nodes[0].parts.idempotency.run();
    for _ in 0..2 {
        let known = claim(&town, "a").expect_err("it began");
        assert_eq!(known, Claimed::Before(Outcome::Stream { run, number: 0 }));
        town.nodes[0].restart();
        assert_ne!(town.nodes[0].parts.idempotency.run(), run, "and whoever asks sees that it is over");
    }
}

#[tokio::test]
async fn c7_so_many_streams_run_and_not_one_more() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let mut begun = Vec::new();
    for _ in 0..limits::STREAMS {
        let (answer, call) = stream_input(&channel, None);
        begun.push(answer);
        town.nodes[0].turn(vec![call]);
    }
    for answer in &mut begun {
        answer.try_recv().expect("an answer").expect("it begins");
    }
    let (mut answer, call) = stream_input(&channel, None);
    town.nodes[0].turn(vec![call]);
    assert_eq!(answer.try_recv().expect("an answer"), Err(CallError::TooManyStreams));

    let (reply, mut stopped) = oneshot::channel();
    town.nodes[0].turn(vec![Input::Call(Box::new(Call::StopStream { id: 7, reply }))]);
    stopped.try_recv().expect("an answer").expect("it is stopped");
    let (mut answer, call) = stream_input(&channel, None);
    town.nodes[0].turn(vec![call]);
    answer.try_recv().expect("an answer").expect("in the place of the one that ended");
    assert_eq!(town.nodes[0].worker.streams.len(), limits::STREAMS);
}

#[tokio::test]
async fn c7_so_many_callers_wait_for_one_payment() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let (mut first, call) = pay_input(&town, &channel, "a", Wait::Settled);
    town.nodes[0].turn(vec![call]);
    let mut waiting: Vec<_> = (1..limits::SETTLING)
        .map(|_| {
            let (told, answer) = again(&mut town, &channel, "a", Wait::Settled);
            assert_eq!(told, None);
            answer
        })
        .collect();
    let (told, _) = again(&mut town, &channel, "a", Wait::Settled);
    assert_eq!(told, Some(Err(CallError::Busy)));
    // Who went away makes room.
    waiting.pop();
    let (told, answer) = again(&mut town, &channel, "a", Wait::Settled);
    assert_eq!(told, None);
    waiting.push(answer);
    town.settle().await;
    first.try_recv().expect("an answer").expect("it is settled");
    for mut answer in waiting {
        assert!(answer.try_recv().expect("an answer").expect("it is settled").is_settled);
    }
}
