//! The tower's thread on a replica of a real ledger, stepped by the test.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, oneshot};
use towpath_crypto::Digest;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::ChannelId;
use towpath_protocol::Life;
use towpath_protocol::limits::TOWER_ANSWER_MS;
use towpath_protocol::tower::{
    Entry, LedgerRules, Locator, RECORD_BYTES, Record, Sealed, Sequence, Serving, Sponsor, TowerMessage,
};
use towpath_store::{GroupWriter, MemoryDisk, MemoryStore, Store, StoreError};

use super::run::{Parts, Settings, Thread};
use super::{Call, CallError, Input, Kept, TowerHandle};
use crate::journal::Journal;
use crate::ledger::testing::{TestLedger, genesis};
use crate::net::{Credit, NetHandle};
use crate::worker::Workers;
use crate::worker::tests::closes::{block_of, cheat, paid_over};
use crate::worker::tests::town::{Node, POLICY, Town};
use crate::{clock, limits};

/// Somebody whose channel it is not: a tower cannot know.
const CLIENT: PublicKey = PublicKey([77; 32]);

fn settings(ledger: &TestLedger, serve: bool) -> Settings {
    let params = &ledger.genesis.params;
    Settings {
        serve,
        records_max: 4_096,
        clients: BTreeSet::new(),
        sponsor: Sponsor::No,
        towers: Vec::new(),
        peers: true,
        confirmations: 0,
        rules: LedgerRules {
            chain: ledger.chain.chain(),
            params: params.rules.clone(),
            block_step_ms_max: params.blocks.block_step_ms_max,
        },
    }
}

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
    let settings = settings(&node.ledger, serve);
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

/// A channel that its first party closes with an old state, and whose second party is not there to answer.
async fn cheated(town: &mut Town) -> (ChannelId, Record) {
    let (channel, first) = paid_over(town).await;
    let record = town.nodes[1].record(&channel);
    town.nodes[1].ledger.is_full = true;
    let old = cheat(town, &channel, &first);
    block_of(town, old).await;
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

/// Peers with channels keep copies of the other channels, as long as they are there and serve (T-48).
#[tokio::test]
async fn s10_peers_with_channels_are_towers_though_nobody_named_them() {
    let mut town = Town::new(4, 4, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    town.open(0, 2, 1_000_000).await;
    let peers: Vec<PublicKey> = town.nodes.iter().map(|node| node.id).collect();
    let mut own = tower(&town.nodes[0], false);
    // Channels' owners are not asked for anything here.
    own.mailbox.want();
    let used = |own: &mut Thread| {
        own.unnamed.next_ms = 0;
        own.turn(Vec::new()).expect("it writes");
        let (reply, mut answer) = oneshot::channel();
        own.turn(vec![Input::Call(Call::Status(reply))]).expect("it writes");
        let status = answer.try_recv().expect("an answer").expect("a status");
        let used = status.towers.iter().map(|tower| (tower.tower.node, tower.is_named));
        used.collect::<std::collections::BTreeMap<_, _>>()
    };
    let up = peers[1..].iter().map(|peer| Input::SessionUp(*peer)).collect();
    own.turn(up).expect("it writes");
    assert_eq!(used(&mut own), [(peers[1], false), (peers[2], false)].into(), "not who has no channel");
    own.turn(vec![Input::SessionDown(peers[1])]).expect("it writes");
    assert_eq!(used(&mut own), [(peers[2], false)].into());
    // The operator names one of them.
    let (reply, _answer) = oneshot::channel();
    let add = Call::Add { tower: crate::tower::Listed { node: peers[2], address: None }, reply };
    own.turn(vec![Input::Call(add), Input::SessionUp(peers[1])]).expect("it writes");
    assert_eq!(used(&mut own), [(peers[1], false), (peers[2], true)].into());
    // What was lost is looked for at anyone who is there, and nobody is given more for it.
    let record = town.nodes[1].record(&channel);
    let _answer = look_for(&mut own, &record);
    let locator = record.slot().locator;
    assert_eq!(own.client.unanswered(&locator, 0), 3);
    show(&mut own, peers[3], None, &record);
    assert_eq!(own.client.unanswered(&locator, 0), 2);
    assert_eq!(used(&mut own), [(peers[1], false), (peers[2], true)].into());
}

/// From now on this thread's clock shows so many milliseconds past some day.
fn at(ms: u64) {
    let clock_ms = 1_800_000_000_000 + ms;
    clock::step_to(clock::Stepped { clock_ms, passed_ms: ms });
}

type Answer = oneshot::Receiver<Result<Vec<Record>, CallError>>;

/// The node looks for what lies where this record would.
fn look_for(thread: &mut Thread, lost: &Record) -> Answer {
    let (reply, answer) = oneshot::channel();
    let slot = Box::new(lost.slot());
    thread.turn(vec![Input::Call(Call::Fetch { slot, reply })]).expect("it writes");
    answer
}

/// A peer says what it keeps there.
fn show(thread: &mut Thread, peer: PublicKey, kept: Option<&Record>, lost: &Record) {
    let slot = lost.slot();
    let entry = |record: &Record| {
        let (locator, sequence, sealed) = (slot.locator, record.sequence(), record.seal(&slot));
        Entry { locator, sequence, sealed }
    };
    let entries = kept.map(entry).into_iter().collect();
    let message = TowerMessage::Page { after: slot.locator.before(), entries, is_last: true };
    thread.turn(vec![Input::Message { peer, message, credit: credit() }]).expect("it writes");
}

/// A node that has lost a channel, and what others may keep of it.
async fn looking() -> (Town, Thread, Record) {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let record = town.nodes[1].record(&channel);
    let own = tower(&town.nodes[0], false);
    at(0);
    (town, own, record)
}

/// At a start there is no session yet: who comes in time is asked, and the search goes on until that is over (T-48).
#[tokio::test]
async fn s10_a_keeper_that_comes_after_the_question_is_asked() {
    let (_town, mut own, record) = looking().await;
    let mut answer = look_for(&mut own, &record);
    assert_eq!(answer.try_recv(), Err(TryRecvError::Empty), "nobody is there yet");
    at(TOWER_ANSWER_MS - 1);
    own.turn(vec![Input::SessionUp(CLIENT)]).expect("it writes");
    show(&mut own, CLIENT, Some(&record), &record);
    assert_eq!(answer.try_recv(), Err(TryRecvError::Empty), "another may keep something newer");
    // Who asks now has as much time.
    let mut second = look_for(&mut own, &record);
    at(TOWER_ANSWER_MS);
    own.turn(Vec::new()).expect("it writes");
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(own.fetches_due_ms(), Some(clock::now_ms() + TOWER_ANSWER_MS - 1));
    at(2 * TOWER_ANSWER_MS - 1);
    own.turn(Vec::new()).expect("it writes");
    assert_eq!(answer.try_recv(), Ok(Ok(vec![record.clone()])));
    assert_eq!(second.try_recv(), Ok(Ok(vec![record])));
    assert_eq!(own.fetches_due_ms(), None);
}

/// Strangers that say nothing do not keep others from being asked, whatever their ids.
#[tokio::test]
async fn s10_silent_strangers_do_not_crowd_out_a_keeper() {
    let (_town, mut own, record) = looking().await;
    let keeper = PublicKey([0xff; 32]);
    let strangers = (1..=9).map(|id| PublicKey([id; 32]));
    let up = strangers.chain([keeper]).map(Input::SessionUp).collect();
    own.turn(up).expect("it writes");
    let mut answer = look_for(&mut own, &record);
    let locator = record.slot().locator;
    assert_eq!(own.client.unanswered(&locator, 0), limits::TOWER_PEERS_ASKED, "so many at a time");
    assert_eq!(own.fetches_due_ms(), Some(clock::now_ms() + limits::TOWER_PEER_TURN_MS));
    at(limits::TOWER_PEER_TURN_MS);
    own.turn(Vec::new()).expect("it writes");
    assert_eq!(own.client.unanswered(&locator, 0), 10);
    show(&mut own, keeper, Some(&record), &record);
    at(TOWER_ANSWER_MS);
    own.turn(Vec::new()).expect("it writes");
    assert_eq!(answer.try_recv(), Ok(Ok(vec![record])));
}

/// Who keeps nothing makes room for the next at once.
#[tokio::test]
async fn s10_strangers_that_answer_make_room_for_a_keeper() {
    let (_town, mut own, record) = looking().await;
    let keeper = PublicKey([0xff; 32]);
    let strangers: Vec<_> = (1..=9).map(|id| PublicKey([id; 32])).collect();
    let up = strangers.iter().copied().chain([keeper]).map(Input::SessionUp).collect();
    own.turn(up).expect("it writes");
    let mut answer = look_for(&mut own, &record);
    strangers.iter().for_each(|stranger| show(&mut own, *stranger, None, &record));
    show(&mut own, keeper, Some(&record), &record);
    at(TOWER_ANSWER_MS);
    own.turn(Vec::new()).expect("it writes");
    assert_eq!(answer.try_recv(), Ok(Ok(vec![record])));
}

/// Without `tower.peers` nobody but named towers is asked, and where there is none that is known at once.
#[tokio::test]
async fn without_peers_a_search_ends_when_the_named_towers_have_answered() {
    let (_town, mut own, record) = looking().await;
    own.settings.peers = false;
    own.turn(vec![Input::SessionUp(CLIENT)]).expect("it writes");
    assert_eq!(look_for(&mut own, &record).try_recv(), Ok(Ok(Vec::new())));
}

/// W3: a tower that cannot read its rows ends the node, with the reason: nobody relies on one that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn w3_a_tower_that_cannot_go_on_stops_the_node() {
    let disk = MemoryDisk::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&disk).expect("it opens").store);
    let seed = Seed::from_entropy(&[1; 32]);
    let ledger = TestLedger::new(seed.clone(), genesis(&[&seed], 1), Arc::clone(&store));
    let writer = GroupWriter::start(Arc::clone(&store), |error| panic!("no write fails here: {error}"));
    let journal = Journal::open(store, writer.expect("threads"), 100).expect("an empty log");
    let parts = Parts {
        chain: Arc::clone(&ledger.chain),
        journal: Arc::new(journal),
        net: NetHandle::silent(seed.node_key().public()),
        ledger: ledger.handle.clone(),
        workers: Workers::inboxes(1).0,
        board: Arc::default(),
        runtime: tokio::runtime::Handle::current(),
    };
    let (handle, inbox) = TowerHandle::inbox();
    let (fatal, stopped) = oneshot::channel();
    let tell = move |reason| drop(fatal.send(reason));
    let thread = super::start(parts, settings(&ledger, true), &handle, inbox, tell).expect("it starts");
    disk.fail_read(1, StoreError::Io { action: "reading", detail: "a fault".to_owned() });
    let entry = Entry {
        locator: Locator(Digest([1; 32])),
        sequence: Sequence { generation: 0, version: 1 },
        sealed: Sealed(Box::new([1; RECORD_BYTES])),
    };
    let message = TowerMessage::Keep(vec![entry]);
    assert!(handle.hear(CLIENT, message, credit()));
    let reason = stopped.await.expect("the node hears of it");
    assert!(reason.contains("a fault"), "{reason}");
    thread.join().expect("no panic");
}
