//! The tower's thread on a replica of a real ledger, stepped by the test.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChannelId, CoSigned, Transaction};
use towpath_protocol::Life;
use towpath_protocol::tower::{Entry, LedgerRules, Record, Serving, Sponsor, TowerMessage};

use super::run::{Parts, Settings, Thread};
use super::{Call, Input, Kept};
use crate::net::Credit;
use crate::worker::tests::closes::{cheat, paid_over};
use crate::worker::tests::town::{BLOCK_MS, Node, POLICY, Town};

/// Somebody whose channel it is not: a tower cannot know.
const CLIENT: PublicKey = PublicKey([77; 32]);

/// The tower of a node of the town, as it starts.
fn tower(node: &Node, serve: bool) -> Thread {
    let parts = Parts {
        chain: Arc::clone(&node.ledger.chain),
        journal: Arc::clone(&node.parts.journal),
        net: node.parts.net.clone(),
        ledger: node.parts.ledger.clone(),
        workers: node.parts.workers.clone(),
        board: Arc::clone(&node.board),
        runtime: node.parts.runtime.clone(),
    };
    let params = &node.ledger.genesis.params;
    let settings = Settings {
        serve,
        records_max: 4_096,
        clients: BTreeSet::new(),
        sponsor: Sponsor::No,
        towers: Vec::new(),
        confirmations: 0,
        rules: LedgerRules {
            chain: node.parts.chain_id,
            params: params.rules.clone(),
            block_step_ms_max: params.blocks.block_step_ms_max,
        },
    };
    let mut thread = Thread::open(parts, settings, Arc::default(), Arc::default()).expect("it starts");
    thread.catch_up().expect("it reads");
    thread
}

fn credit() -> Credit {
    let permits = Arc::new(Semaphore::new(1));
    Credit { _permit: Arc::new(permits.try_acquire_owned().expect("one permit")) }
}

/// A client gives a record.
fn give(thread: &mut Thread, client: PublicKey, record: &Record) {
    let slot = record.slot();
    let entry = Entry { locator: slot.locator, sequence: record.sequence(), sealed: record.seal(&slot) };
    let message = TowerMessage::Keep(vec![entry]);
    thread.turn(vec![Input::Message { peer: client, message, credit: credit() }]).expect("it writes");
}

async fn post(town: &mut Town, transaction: Transaction) {
    let block = town.nodes[0].ledger.build(&[transaction], BLOCK_MS);
    assert_eq!(block.transactions.len(), 1, "the ledger takes it");
    town.apply(&block).await;
}

/// A channel that its first party closes with an old state, and whose second party is not there to answer.
async fn cheated(town: &mut Town) -> (ChannelId, Record) {
    let (channel, first): (ChannelId, CoSigned) = paid_over(town).await;
    let record = town.nodes[1].record(&channel);
    town.nodes[1].ledger.is_full = true;
    let old = cheat(town, &channel, &first);
    post(town, old).await;
    (channel, record)
}

#[tokio::test]
async fn c4_a_tower_that_had_nothing_knows_the_closings_that_were_there_before() {
    let mut town = Town::new(2, 2, POLICY);
    let (_, record) = cheated(&mut town).await;
    let mut started = tower(&town.nodes[1], true);
    assert_eq!(started.tower.open_cases(), 0);
    give(&mut started, CLIENT, &record);
    assert_eq!(started.tower.open_cases(), 1, "it looked at the ledger when it started");
}

#[tokio::test]
async fn c4_a_tower_that_begins_to_serve_knows_them_too() {
    let mut town = Town::new(2, 2, POLICY);
    let (_, record) = cheated(&mut town).await;
    let mut idle = tower(&town.nodes[1], false);
    let (reply, mut answer) = oneshot::channel();
    let call = Call::Serve { serving: Serving::Yes, reply };
    idle.turn(vec![Input::Call(call)]).expect("it writes");
    assert_eq!(answer.try_recv().expect("an answer"), Ok(()));
    give(&mut idle, CLIENT, &record);
    assert_eq!(idle.tower.open_cases(), 1);
}

/// W1: a client whose channels with the tower are gone takes its part of the strangers' room, without saying a word.
#[tokio::test]
async fn w1_a_client_whose_channels_are_settled_is_a_stranger_again() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    town.pay(0, &channel, 1_000).await.expect("it is paid");
    let mut served = tower(&town.nodes[1], true);
    let client = town.nodes[0].id;
    give(&mut served, client, &town.nodes[1].record(&channel));
    assert_eq!((served.tower.usage().records, served.tower.usage().strangers), (1, 0));
    town.close(0, &channel).await;
    town.block().await;
    assert!(matches!(town.nodes[1].life(&channel), Some(Life::Settled(_))));
    // A minute later.
    served.review_at_ms = 0;
    served.turn(Vec::new()).expect("it writes");
    assert_eq!(served.tower.clients().collect::<Vec<_>>(), [(client, 1, true)]);
}

#[tokio::test]
async fn w1_what_the_operator_drops_is_gone_for_good() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    town.pay(0, &channel, 1_000).await.expect("it is paid");
    let mut served = tower(&town.nodes[1], true);
    let record = town.nodes[1].record(&channel);
    let other = PublicKey([78; 32]);
    give(&mut served, CLIENT, &record);
    give(&mut served, other, &record);
    let (reply, mut answer) = oneshot::channel();
    served.turn(vec![Input::Call(Call::Drop { node: CLIENT, reply })]).expect("it writes");
    assert_eq!(answer.try_recv().expect("an answer"), Ok(1));
    let (reply, mut answer) = oneshot::channel();
    let mut again = tower(&town.nodes[1], true);
    again.turn(vec![Input::Call(Call::Clients(reply))]).expect("it writes");
    let left = Kept { client: other, records: 1, is_stranger: true };
    assert_eq!(answer.try_recv().expect("an answer"), Ok(vec![left]));
}
