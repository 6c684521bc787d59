//! The tower's thread on a replica of a real ledger, stepped by the test.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChannelId, CoSigned, Transaction};
use towpath_protocol::tower::{Entry, LedgerRules, Record, Serving, Sponsor, TowerMessage};

use super::run::{Parts, Settings, Thread};
use super::{Call, Input};
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
