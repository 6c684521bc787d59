//! What channels owe the ledger gets there: past robbers, full pools, full inboxes, and restarts.

use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::settle::{self, Place, Posting};
use towpath_ledger::{AssetId, ChannelId, CloseIntent, CoSigned, Lock, Party, Payout, Transaction};
use towpath_protocol::{Life, Settlement};

use super::town::{BLOCK_MS, POLICY, Town, WINDOW_MS};
use crate::ledger::{FundsCall, Input as LedgerInput};
use crate::limits;

/// The newest state of the first node, with both signatures.
pub(crate) fn state_of(town: &Town, channel: &ChannelId) -> CoSigned {
    let held = &town.nodes[0].worker.channels[channel];
    held.channel.held().co_signed(Party::A).expect("both signed")
}

/// The first node closes alone with a state of its choice, as no honest program would.
pub(crate) fn cheat(town: &Town, channel: &ChannelId, state: &CoSigned) -> Transaction {
    let node = &town.nodes[0];
    let held = &node.worker.channels[channel].channel;
    let params = &node.ledger.genesis.params.rules;
    let place = Place { chain: node.ledger.chain.chain(), params, asset: AssetId::NATIVE };
    let shown = (&state.state, held.capacity());
    let fee = settle::unilateral_fee(&place, held.terms(), shown, Party::A).expect("a fee");
    let intent = CloseIntent { state: state.state.clone(), author: Party::A, fee };
    let posting = Posting {
        funding: held.funding().expect("it is funded"),
        capacity: held.capacity(),
        terms: held.terms(),
        state,
        author: Party::A,
        fee,
        signature: node.seed.channel_key(held.key_index()).sign(&place.chain, &intent),
    };
    settle::unilateral(&place, &posting).expect("it can be made")
}

/// What a payment key got, in base units.
fn paid_to(town: &Town, node: usize) -> u64 {
    let key = town.nodes[node].seed.wallet_key(0);
    let payout = Payout::Key(WalletSecret::public(&key));
    let outputs = town.nodes[0].ledger.chain.outputs_of(&payout).expect("it reads");
    outputs.iter().map(|(_, entry)| entry.output.amount.units()).sum()
}

/// A channel in which the first node has paid nearly all to the second, and the state before that. It signed since that
/// it held a newer one; from now on it says nothing to the ledger, since an honest program would make up for what it does.
pub(crate) async fn paid_over(town: &mut Town) -> (ChannelId, CoSigned) {
    let channel = town.open(0, 1, 1_000_000).await;
    let first = state_of(town, &channel);
    for amount in [600_000, 300_000] {
        town.pay(0, &channel, amount).await.expect("it is paid");
    }
    town.nodes[0].ledger.is_full = true;
    assert!(town.nodes[1].worker.channels[&channel].channel.held().version() > first.state.version);
    (channel, first)
}

pub(crate) async fn block_of(town: &mut Town, transaction: Transaction) {
    let block = town.nodes[0].ledger.build(&[transaction], BLOCK_MS);
    assert_eq!(block.transactions.len(), 1, "the ledger takes it");
    town.apply(&block).await;
}

#[tokio::test]
async fn c3_an_old_state_is_answered_in_the_next_block_and_costs_its_author() {
    let mut town = Town::new(2, 2, POLICY);
    let (channel, first) = paid_over(&mut town).await;
    let before = paid_to(&town, 1);
    let old = cheat(&town, &channel, &first);
    block_of(&mut town, old).await;
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Disputed));
    town.block().await;
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Settled(Settlement::Penalized)));
    let got = paid_to(&town, 1) - before;
    assert!(got > 945_000, "its 900,000 and half of the rest, less a fee: {got}");
}

#[tokio::test]
async fn c3_an_answer_is_handed_in_until_the_ledger_shows_it() {
    let mut town = Town::new(2, 2, POLICY);
    let (channel, first) = paid_over(&mut town).await;
    town.nodes[1].ledger.is_full = true;
    let old = cheat(&town, &channel, &first);
    block_of(&mut town, old).await;
    let mut tries = town.nodes[1].ledger.tries;
    assert!(tries > 0, "it was tried at once");
    for _ in 0..3 {
        for _ in 0..limits::CLOSE_AGAIN_BLOCKS {
            town.block().await;
        }
        assert!(town.nodes[1].ledger.tries > tries, "and again with the blocks");
        tries = town.nodes[1].ledger.tries;
    }
    // No block comes: time alone is enough.
    town.nodes[1].clock_ms += limits::CLOSE_AGAIN_MS;
    town.nodes[1].turn(Vec::new());
    town.settle().await;
    assert_eq!(town.nodes[1].ledger.tries, tries + 1);

    town.nodes[1].ledger.is_full = false;
    while town.nodes[1].ledger.handed_in.is_empty() {
        town.block().await;
    }
    town.block().await;
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Settled(Settlement::Penalized)));
    tries = town.nodes[1].ledger.tries;
    for _ in 0..10 {
        town.block().await;
    }
    assert_eq!(town.nodes[1].ledger.tries, tries, "nothing is owed any more");
}

#[tokio::test]
async fn c3_a_validator_that_forgot_an_answer_hears_it_again() {
    let mut town = Town::new(2, 2, POLICY);
    let (channel, first) = paid_over(&mut town).await;
    let old = cheat(&town, &channel, &first);
    block_of(&mut town, old).await;
    // It was taken, and every pool lost it.
    assert_eq!(town.nodes[1].ledger.take_waiting().len(), 1);
    for _ in 0..limits::CLOSE_AGAIN_BLOCKS {
        town.block().await;
    }
    town.block().await;
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Settled(Settlement::Penalized)));
}

#[tokio::test]
async fn l20_an_answer_survives_a_full_inbox() {
    let mut town = Town::new(2, 2, POLICY);
    let (channel, first) = paid_over(&mut town).await;
    let nothing = || {
        let first_input =
            towpath_ledger::OutPoint { tx: towpath_ledger::TxId(towpath_crypto::Digest::ZERO), index: 9 };
        LedgerInput::Funds(FundsCall::Release { first_input })
    };
    let block = town.nodes[0].ledger.build(&[cheat(&town, &channel, &first)], BLOCK_MS);
    while town.nodes[1].ledger.handle.offer(nothing()).is_ok() {}
    town.apply_to(1, &block);
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Disputed));
    town.nodes[1].ledger.serve();
    assert_eq!(town.nodes[1].ledger.tries, 0, "the answer was lost");
    town.apply_to(0, &block);
    for _ in 0..=limits::CLOSE_AGAIN_BLOCKS {
        town.block().await;
    }
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Settled(Settlement::Penalized)));
}

#[tokio::test]
async fn c3_a_restart_owes_the_same() {
    let mut town = Town::new(2, 2, POLICY);
    let (channel, first) = paid_over(&mut town).await;
    town.nodes[1].ledger.is_full = true;
    let old = cheat(&town, &channel, &first);
    block_of(&mut town, old).await;
    town.nodes[1].ledger.is_full = false;
    town.nodes[1].restart();
    town.settle().await;
    town.block().await;
    assert_eq!(town.nodes[1].life(&channel), Some(Life::Settled(Settlement::Penalized)));
}

#[tokio::test]
async fn a_funding_is_handed_in_until_the_ledger_shows_it() {
    let mut town = Town::new(2, 2, POLICY);
    town.nodes[0].ledger.is_full = true;
    let opened = town.ask_to_open((0, 1), (1_000_000, 0)).await.expect("an answer").expect("accepted");
    town.block().await;
    assert_eq!(town.nodes[0].life(&opened.channel), Some(Life::Opening));
    town.nodes[0].ledger.is_full = false;
    for _ in 0..limits::CLOSE_AGAIN_BLOCKS {
        town.block().await;
    }
    town.block().await;
    assert_eq!(town.nodes[0].life(&opened.channel), Some(Life::Active));
}

#[tokio::test]
async fn c12_payouts_of_a_peer_that_is_gone_share_a_transaction() {
    let mut town = Town::new(2, 8, POLICY);
    // The second node never gets anything onto the ledger.
    town.nodes[1].ledger.is_full = true;
    let mut channels = Vec::new();
    for _ in 0..3 {
        channels.push(town.open(0, 1, 1_000_000).await);
    }
    for channel in &channels {
        town.force_close(0, channel).await.expect("it closes");
    }
    town.block().await;
    for channel in &channels {
        assert!(matches!(town.nodes[0].life(channel), Some(Life::Closing(_))));
    }
    town.block_after(WINDOW_MS).await;
    let handed_in = town.nodes[0].ledger.handed_in.len();
    town.block().await;
    let payouts = &town.nodes[0].ledger.handed_in[handed_in..];
    assert_eq!(payouts.len(), 1, "one transaction");
    assert_eq!(payouts[0].body.inputs.len(), 3, "for all three");
    let wallets = payouts[0].body.outputs.iter().filter(|output| matches!(output.lock, Lock::Wallet(_)));
    assert_eq!(wallets.count(), 1, "and one output, since the peer had nothing");
    town.block().await;
    for channel in &channels {
        assert_eq!(town.nodes[0].life(channel), Some(Life::Settled(Settlement::Unilateral)));
    }
}
