//! Readers of the board hold up nobody who puts something up.

use std::sync::Arc;

use towpath_crypto::Digest;
use towpath_ledger::ChannelId;

use super::town::{POLICY, Town};
use crate::worker::Board;

/// A board with so many channels, with ids in order.
async fn board(count: u16) -> (Board, Vec<ChannelId>) {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let view = town.nodes[0].board.get(&channel).expect("a view");
    let board = Board::default();
    let id = |number: u16| {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        ChannelId(Digest(id))
    };
    let ids: Vec<ChannelId> = (0..count).map(id).collect();
    for id in &ids {
        let mut view = (*view).clone();
        view.id = *id;
        board.publish([Arc::new(view)]);
    }
    (board, ids)
}

#[tokio::test]
async fn c4_views_are_put_up_while_a_reader_looks_at_others() {
    let (board, ids) = board(2_000).await;
    let newer = board.get(&ids[0]).expect("a view");
    // Each look puts one up: with the board locked for readers, this would never end.
    let found = board.page(None, 10, |view| {
        board.publish([Arc::clone(&newer)]);
        view.id >= ids[1_500]
    });
    let found: Vec<ChannelId> = found.iter().map(|view| view.id).collect();
    assert_eq!(found, ids[1_500..1_510]);
}

#[tokio::test]
async fn pages_and_sums_cover_all_channels_once() {
    let (board, ids) = board(1_300).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = board.page(after, 250, |_| true);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.iter().map(|view| view.id));
    }
    assert_eq!(seen, ids);
    let between: Vec<_> = board.between((ids[7], ids[9]), 10, |_| true).iter().map(|view| view.id).collect();
    assert_eq!(between, ids[7..=9]);
    let view = board.get(&ids[0]).expect("a view");
    assert_eq!(board.open_by_peer().into_iter().collect::<Vec<_>>(), [(view.peer, 1_300)]);
    assert_eq!(board.balance(), 1_300 * view.balance.units());
    assert_eq!(board.totals().active, 1_300);
}
