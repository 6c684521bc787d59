//! Payments that wait for watchtowers: told as what they became, and bounded.

use towpath_protocol::Settlement;
use towpath_store::{Batch, Scan};

use super::super::history::payments;
use super::super::tests::closes::{block_of, cheat, paid_over};
use super::super::tests::town::{Node, POLICY, Town, WINDOW_MS};
use super::super::{Input, PaymentRow};
use super::*;
use crate::net::SessionId;

/// Two nodes, of which the second counts payments as final only once a watchtower has them. None ever does.
fn careful() -> Town {
    let mut town = Town::new(2, 2, POLICY);
    let payee = &mut town.nodes[1];
    payee.parts.confirmations = 1;
    payee.worker.parts.confirmations = 1;
    town
}

fn to_payee(payee: &Node, channel: &ChannelId) -> Vec<PaymentRow> {
    payments(&*payee.store, channel, Direction::In).expect("it reads")
}

fn waiting_rows(payee: &Node, channel: &ChannelId) -> usize {
    let rows = payee.store.scan(Column::Channels, &Scan::prefix(&row_key(channel, CONFIRMING_ROWS)));
    rows.expect("it reads").len()
}

/// The payer closes with the state before its payments, and the payee, away during the window, cannot answer.
#[tokio::test]
async fn w6_a_payment_that_a_stale_close_left_out_has_failed() {
    for restarts in [false, true] {
        let mut town = careful();
        let (channel, first) = paid_over(&mut town).await;
        assert_eq!(waiting_rows(&town.nodes[1], &channel), 2);
        let before = to_payee(&town.nodes[1], &channel);
        town.nodes[1].ledger.is_full = true;
        let old = cheat(&town, &channel, &first);
        block_of(&mut town, old).await;
        if restarts {
            town.nodes[1].restart();
        }
        town.block_after(WINDOW_MS).await;
        town.block().await;
        town.nodes[1].ledger.is_full = false;
        for _ in 0..2 * limits::CLOSE_AGAIN_BLOCKS {
            town.block().await;
        }
        let payee = &town.nodes[1];
        assert_eq!(payee.life(&channel), Some(Life::Settled(Settlement::Unilateral)));
        let failed: Vec<PaymentRow> = before.into_iter().map(|row| row.ended(Fate::Failed)).collect();
        assert_eq!(failed.len(), 2);
        assert_eq!(to_payee(payee, &channel), failed, "the same payments, and how they ended");
        assert_eq!(waiting_rows(payee, &channel), 0);
        let told = payee.events.iter().filter_map(|event| match event {
            EventBody::PaymentFailed { direction: Direction::In, amount, .. } => Some(amount.0),
            EventBody::Payment { .. } => panic!("none of them was ever final"),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [600_000, 300_000]);
    }
}

#[tokio::test]
async fn w6_payments_that_wait_are_bounded_across_restarts() {
    let mut town = careful();
    let channel = town.open(0, 1, 1_000_000).await;
    let mut batch = Batch::new();
    let most = u64::try_from(limits::CONFIRMING_MAX).expect("not so many");
    for number in 1..=most + 1 {
        let waiting = Confirming { version: 1, number, amount: Amount(1), memo: None, contained: 1 };
        batch.put(Column::Channels, key(&channel, number), codec::encode(&waiting));
    }
    town.nodes[1].store.commit(batch).expect("no write fails here");
    town.nodes[1].restart();
    let ids = [town.nodes[0].id, town.nodes[1].id];
    town.nodes[0].turn(vec![Input::SessionDown(ids[1]), Input::SessionUp(ids[1], SessionId(2))]);
    town.nodes[1].turn(vec![Input::SessionUp(ids[0], SessionId(2))]);
    town.settle().await;
    town.pay(0, &channel, 1_000).await.expect_err("as many wait as may");
    // A tower answers at last.
    let sequence = Sequence { generation: 0, version: 1 };
    town.nodes[1].turn(vec![Input::Confirmed { channel, sequence }]);
    town.settle().await;
    town.pay(0, &channel, 1_000).await.expect("there is room again");
}
