//! Resizes: what a worker keeps of them over a restart.

use tokio::sync::oneshot;
use towpath_ledger::Amount;
use towpath_protocol::Change;
use towpath_protocol::limits::FUNDING_INPUTS_MAX;

use super::town::{POLICY, Town};
use crate::ledger::{FundsCall, Input as LedgerInput, Purpose};
use crate::worker::{Call, Input, ResizeRequest};

/// How far ahead the resize expires.
const EXPIRY_MS: u64 = 60_000;

/// The first node tops the channel up, and its peer does not answer.
#[tokio::test]
async fn coins_of_a_top_up_are_set_aside_again_after_a_restart() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let (available, reserved) = town.nodes[0].ledger.wallet();
    assert_eq!(reserved, 0);
    let expiry = town.nodes[0].ledger.time().plus_ms(EXPIRY_MS);
    let purpose = Purpose { amount: Amount(2_000_000), inputs_max: FUNDING_INPUTS_MAX, until: expiry };
    let (reply, mut coins) = oneshot::channel();
    let node = &mut town.nodes[0];
    node.ledger.handle.offer(LedgerInput::Funds(FundsCall::Reserve { purpose, reply })).expect("room");
    node.ledger.serve();
    let coins = Some(coins.try_recv().expect("an answer").expect("coins"));
    let request =
        ResizeRequest { channel, change: Change::Add(Amount(1_900_000)), coins, expiry, claim: None };
    let (reply, mut answer) = oneshot::channel();
    node.turn(vec![Input::Call(Box::new(Call::Resize { request, reply }))]);
    answer.try_recv().expect("an answer").expect("it is proposed");
    let before = node.ledger.wallet();
    assert!(before.1 > 0 && before.0 + before.1 == available, "{before:?}");
    // Nobody hears of it, and everything that was only in memory is gone.
    node.said.clear();
    let seed = node.seed.clone();
    for _ in 0..2 {
        node.restart();
        node.ledger.restart_wallet(seed.clone());
        node.ledger.serve();
        assert_eq!(node.ledger.wallet(), before, "its coins are for nothing else");
    }
    town.block_after(EXPIRY_MS - 2_000).await;
    assert_eq!(town.nodes[0].ledger.wallet(), before, "as long as it can become final");
    for _ in 0..3 {
        town.block().await;
    }
    assert_eq!(town.nodes[0].ledger.wallet(), (available, 0), "and free once it cannot");
}
