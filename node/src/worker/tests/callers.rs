//! Whoever asks is answered, whatever becomes of what it rested on.

use tokio::sync::oneshot;
use towpath_ledger::{Amount, ChannelId, Time};
use towpath_protocol::{Change, ChannelMessage, Life, Message, Reject};

use super::town::{BLOCK_MS, POLICY, Town, heard};
use crate::worker::{Call, CallError, Input, ResizeRequest};

/// A payment of the first node, not signed by it.
fn forged_payment(town: &mut Town, channel: &ChannelId, amount: u64) -> Input {
    // Its caller goes away.
    drop(town.call_pay(0, channel, amount));
    let mut forged: Vec<Message> = town.nodes[0].said.drain(..).map(|(_, message)| message).collect();
    for message in &mut forged {
        if let Message::Channel(_, ChannelMessage::Propose(propose)) = message {
            propose.signature.signature.0[0] ^= 1;
        }
    }
    heard(town.nodes[0].id, forged)
}

#[tokio::test]
async fn a_payment_that_rested_on_a_forged_one_is_refused_and_its_caller_hears_so() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let forged = forged_payment(&mut town, &channel, 500);
    // The second node has nothing but what the forged proposal pays it.
    let (mut answer, call) = town.pay_input(&channel, 500);
    town.nodes[1].turn(vec![forged, call]);
    let answered = answer.try_recv().expect("the caller is answered");
    assert!(matches!(answered, Err(CallError::Rejected(Reject::Balance { .. }))), "{answered:?}");
    assert!(town.nodes[1].worker.channels[&channel].asked.is_empty(), "and forgotten");
}

#[tokio::test]
async fn a_resize_that_rested_on_a_forged_payment_is_refused_and_its_caller_hears_so() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let forged = forged_payment(&mut town, &channel, 500_000);
    // The second node has nothing to pay out but what the forged proposal pays it.
    let wanted = Amount(400_000);
    let expiry = Time(town.time().0 + 60_000);
    let change = Change::PayOut(wanted);
    let request = ResizeRequest { channel, change, coins: None, expiry, claim: None };
    let (reply, mut answer) = oneshot::channel();
    town.nodes[1].turn(vec![forged, Input::Call(Box::new(Call::Resize { request, reply }))]);
    let answered = answer.try_recv().expect("the caller is answered");
    let refused = Err(CallError::Rejected(Reject::Balance { wanted, spendable: Amount::ZERO }));
    assert_eq!(answered, refused);
    assert!(town.nodes[1].worker.resizers.is_empty(), "and forgotten");
}

#[tokio::test]
async fn everybody_who_wants_to_close_alone_hears_that_it_is_done() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let (mut first, one) = Town::force_close_input(&channel);
    let (mut second, two) = Town::force_close_input(&channel);
    town.nodes[0].turn(vec![one, two]);
    first.try_recv().expect("answered").expect("closed");
    second.try_recv().expect("answered").expect("closed");
    assert!(matches!(town.nodes[0].life(&channel), Some(Life::Closing(_))));
}

#[tokio::test]
async fn who_wants_to_close_alone_when_the_peer_has_done_so_hears_that_it_is_too_late() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let first = super::closes::state_of(&town, &channel);
    town.pay(0, &channel, 900_000).await.expect("it is paid");
    let cheat = super::closes::cheat(&town, &channel, &first);
    let block = town.nodes[0].ledger.build(&[cheat], BLOCK_MS);
    let notice = town.nodes[1].ledger.apply(&block);
    let (mut answer, call) = Town::force_close_input(&channel);
    town.nodes[1].turn(vec![call, Input::Block(notice)]);
    let answered = answer.try_recv().expect("the caller is answered");
    assert!(matches!(answered, Err(CallError::Rejected(Reject::Closing))), "{answered:?}");
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Disputed));
}
