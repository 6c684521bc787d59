//! Folders that are old copies: once somebody proves it, one write says so of everything, and the process ends.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use towpath_crypto::ed25519::SecretKey;
use towpath_ledger::ChannelTerms;
use towpath_protocol::{ChannelMessage, ClosingStage, Epoch, Hello, Life, Message, Settlement};
use towpath_store::{
    Batch, Column, Condition, CrashPoint, MemoryDisk, MemoryStore, Opened, Scan, Store, consensus_log_batch,
};

use super::openings::offer;
use super::town::{BLOCK_MS, Ended, Node, POLICY, Town, WINDOW_MS, heard};
use crate::epoch::{self, OwnEpoch};
use crate::net::SessionId;
use crate::recovery::{Cause, Found, Pending, Record, RecordSource};
use crate::worker::{Call, Input};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn rows(store: &dyn Store, column: Column) -> Rows {
    store.scan(column, &Scan::prefix(&[])).expect("it reads")
}

/// Puts votes on disk, as a validator has them.
fn vote(store: &dyn Store) {
    store.commit(consensus_log_batch(7, 0, &[vec![1, 2, 3]])).expect("written");
    assert_eq!(rows(store, Column::ConsensusLog).len(), 1);
}

/// The word of another process of the node, which came later.
fn rival(node: &Node) -> Hello {
    let start = node.parts.epoch.hello().epoch.start + 50;
    Hello::sign(&node.seed.node_key(), &node.parts.chain_id, Epoch { start, instance: [99; 16] })
}

/// A session with somebody, who has heard of another process.
fn is_told(node: &mut Node, by: &SecretKey, of: Hello) {
    let by = by.public();
    node.turn(vec![Input::SessionUp(by, SessionId(1))]);
    node.said.clear();
    node.written = Batch::new();
    node.turn(vec![heard(by, vec![Message::Stale(of)])]);
}

/// Everything is to be recovered, no vote is left, and the next process of this folder comes after `rival`.
fn assert_all_is_distrusted(store: &dyn Store, rival: u64) {
    assert_eq!(Pending::read(store), Ok(Some(Pending::new(Cause::Copy))));
    assert_eq!(rows(store, Column::ConsensusLog), []);
    assert!(next_start(store) > rival);
}

fn next_start(store: &dyn Store) -> u64 {
    let key = SecretKey::from_bytes(&[1; 32]);
    let chain = towpath_ledger::ChainId(towpath_ledger::Digest([7; 32]));
    OwnEpoch::begin(store, &key, &chain, (0, [1; 16])).expect("it writes").hello().epoch.start
}

/// What a crash leaves of one write, at each point at which it can come.
fn crash_in(before: &[(Column, Rows)], write: &Batch, check: impl Fn(&dyn Store, bool)) {
    for point in [CrashPoint::BeforeWrite, CrashPoint::AfterWrite, CrashPoint::AfterAnchor] {
        let disk = MemoryDisk::new();
        let open = || {
            let Opened { store, condition } = MemoryStore::open(&disk).expect("it opens");
            assert_eq!(condition, Condition::Healthy);
            store
        };
        let store = open();
        let mut batch = Batch::new();
        for (column, rows) in before {
            rows.iter().for_each(|(key, value)| batch.put(*column, key.clone(), value.clone()));
        }
        store.commit(batch).expect("written");
        disk.crash_at(point(1));
        assert!(store.commit(write.clone()).is_err(), "it crashes");
        let store = open();
        let is_written = Pending::read(&store).expect("it reads").is_some();
        check(&store, is_written);
    }
}

#[tokio::test]
async fn s11_a_proven_old_copy_is_said_of_everything_in_one_write_and_ends_the_process() {
    let mut town = Town::new(2, 2, POLICY);
    town.open(0, 1, 1_000_000).await;
    let peer = town.nodes[1].seed.node_key();
    let node = &mut town.nodes[0];
    node.start_anew(2);
    vote(&*node.store);
    let before = [Column::Meta, Column::ConsensusLog].map(|column| (column, rows(&*node.store, column)));
    let rival = rival(node);
    is_told(node, &peer, rival);
    assert_eq!(node.ended(), Some(Ended::Again));
    assert!(node.said.is_empty(), "nothing is said any more");
    crash_in(&before, &node.written, |store, is_written| {
        if is_written {
            assert_all_is_distrusted(store, rival.epoch.start);
        } else {
            assert_eq!(rows(store, Column::ConsensusLog).len(), 1);
            assert!(next_start(store) <= rival.epoch.start);
        }
    });
    assert_all_is_distrusted(&*node.store, rival.epoch.start);
    // Only its own signature proves that.
    node.start_anew(3);
    let lie = Hello::sign(&peer, &node.parts.chain_id, Epoch { start: u64::MAX, instance: [98; 16] });
    is_told(node, &peer, lie);
    assert_eq!(node.ended(), None);
}

#[tokio::test]
async fn s11_a_process_that_peers_spoke_with_gives_way_for_good() {
    let mut town = Town::new(2, 2, POLICY);
    town.open(0, 1, 1_000_000).await;
    let peer = town.nodes[1].seed.node_key();
    let node = &mut town.nodes[0];
    let rival = rival(node);
    is_told(node, &peer, rival);
    assert!(matches!(node.ended(), Some(Ended::Fatal(_))), "{:?}", node.ended());
    assert_eq!(epoch::is_superseded(&*node.store), Ok(true));
    assert_eq!(Pending::read(&*node.store), Ok(None));
    assert!(node.said.is_empty());
}

#[tokio::test]
async fn s11_strangers_do_not_make_a_process_the_newest() {
    let mut town = Town::new(3, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let (peer, stranger) = (town.nodes[1].seed.node_key(), town.nodes[2].seed.node_key());
    let open = Message::Open(Box::new(offer(&town, 1)));
    let held = ChannelMessage::Resend(1);
    let unknown = towpath_ledger::ChannelId(towpath_ledger::Digest([5; 32]));
    for (instance, message) in [
        (2, open),
        (3, Message::Channel(unknown, held.clone())),
        // Of a channel that is another's.
        (4, Message::Channel(channel, held.clone())),
    ] {
        let node = &mut town.nodes[0];
        node.start_anew(instance);
        node.hear(stranger.public(), vec![message]);
        let rival = rival(node);
        is_told(node, &stranger, rival);
        assert_eq!(node.ended(), Some(Ended::Again), "it recovers, and does not stay away");
    }
    let node = &mut town.nodes[0];
    node.start_anew(5);
    node.hear(peer.public(), vec![Message::Channel(channel, held)]);
    let rival = rival(node);
    is_told(node, &stranger, rival);
    assert!(matches!(node.ended(), Some(Ended::Fatal(_))));
}

#[tokio::test]
async fn s10_a_loss_that_is_proven_on_one_channel_leaves_none_trusted() {
    let mut town = Town::new(3, 2, POLICY);
    let lost = town.open(0, 1, 1_000_000).await;
    let other = town.open(0, 2, 1_000_000).await;
    let old = rows(&*town.nodes[0].store, Column::Channels);
    for _ in 0..3 {
        town.pay(0, &lost, 5).await.expect("paid");
    }
    // The rows are old; the ledger, the counters and the epoch are not.
    let node = &mut town.nodes[0];
    let mut back = Batch::new();
    back.delete_range(Column::Channels, [], [0xff; 23]);
    old.into_iter().for_each(|(key, value)| back.put(Column::Channels, key, value));
    node.store.commit(back).expect("written");
    vote(&*node.store);
    node.start_anew(2);
    let ids = [town.nodes[1].id, town.nodes[2].id];
    let me = town.nodes[0].id;
    for (index, id) in (1..).zip(ids) {
        town.nodes[index].turn(vec![Input::SessionDown(me), Input::SessionUp(me, SessionId(2))]);
        town.nodes[0].turn(vec![Input::SessionUp(id, SessionId(2))]);
    }
    // Each says which process it is; then the peers say what they hold.
    let mut said = 0;
    while town.nodes[0].ended().is_none() {
        town.deliver_to(0, 1).await;
        town.deliver_to(1, 0).await;
        said += 1;
        assert!(said < 10, "the loss is noticed");
    }
    let node = &mut town.nodes[0];
    assert_eq!(node.ended(), Some(Ended::Again));
    let own = node.parts.epoch.hello().epoch.start;
    assert_all_is_distrusted(&*node.store, own);
    // The next process believes neither channel, and a proof of what it knows does not end it.
    node.start_anew(3);
    node.distrust();
    for channel in [lost, other] {
        assert_eq!(node.life(&channel), Some(Life::Active));
        assert!(node.worker.channels[&channel].channel.is_lost());
    }
}

#[tokio::test]
async fn s10_no_peer_is_asked_before_the_replica_is_up_to_date() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let node = &mut town.nodes[0];
    // Restored from a backup, and the ledger is fetched again.
    node.is_current.send_replace(false);
    node.start_anew(2);
    node.distrust();
    let ids = [town.nodes[0].id, town.nodes[1].id];
    town.nodes[1].turn(vec![Input::SessionDown(ids[0]), Input::SessionUp(ids[0], SessionId(2))]);
    town.nodes[0].turn(vec![Input::SessionUp(ids[1], SessionId(2))]);
    town.settle().await;
    let is_lost = |town: &Town| town.nodes[0].worker.channels[&channel].channel.is_lost();
    assert!(is_lost(&town), "the time of an old block allows versions that were signed since");
    town.nodes[0].is_current.send_replace(true);
    town.settle().await;
    assert!(!is_lost(&town));
    town.pay(0, &channel, 5).await.expect("it is alive");
}

/// A keeper that cannot be reached before the node is among others, and that answers when the test says so.
struct Late {
    is_current: watch::Receiver<bool>,
    /// Whether the replica was up to date, at each question.
    asked: Arc<Mutex<Vec<bool>>>,
    answers: Arc<Notify>,
}

impl RecordSource for Late {
    fn find(&self, _terms: &ChannelTerms, _key_index: u32) -> BoxFuture<'static, Vec<Record>> {
        let (is_current, answers) = (*self.is_current.borrow(), Arc::clone(&self.answers));
        self.asked.lock().expect("no panic before").push(is_current);
        async move {
            if !is_current {
                std::future::pending::<()>().await;
            }
            answers.notified().await;
            Vec::new()
        }
        .boxed()
    }
}

#[tokio::test]
async fn s10_keepers_have_their_time_from_when_the_replica_is_up_to_date() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let node = &mut town.nodes[0];
    node.is_current.send_replace(false);
    let late =
        Late { is_current: node.is_current.subscribe(), asked: Arc::default(), answers: Arc::default() };
    let (asked, answers) = (Arc::clone(&late.asked), Arc::clone(&late.answers));
    node.parts.sources.add(Arc::new(late));
    node.start_anew(2);
    node.distrust();
    let ids = [town.nodes[0].id, town.nodes[1].id];
    town.nodes[1].turn(vec![Input::SessionDown(ids[0]), Input::SessionUp(ids[0], SessionId(2))]);
    town.nodes[0].turn(vec![Input::SessionUp(ids[1], SessionId(2))]);
    town.settle().await;
    town.nodes[0].is_current.send_replace(true);
    town.settle().await;
    assert_eq!(*asked.lock().expect("no panic before"), [false, true], "at once, and again");
    let is_lost = |town: &Town| town.nodes[0].worker.channels[&channel].channel.is_lost();
    assert!(is_lost(&town), "the peer is asked for nothing before the keeper has answered");
    answers.notify_one();
    town.settle().await;
    assert!(!is_lost(&town));
}

#[tokio::test]
async fn s10_a_peer_that_lost_its_data_before_the_end_was_signed_is_closed_with_alone() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    town.pay(0, &channel, 400_000).await.expect("paid");
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let close = Call::Close { channel, force_after_ms: None, reply };
    town.nodes[0].turn(vec![Input::Call(Box::new(close))]);
    assert_eq!(town.nodes[0].life(&channel), Some(Life::Closing(ClosingStage::Finishing)));
    // The peer never hears of it: it has lost its data, and cannot know what it signed.
    town.nodes[0].said.clear();
    let ids = [town.nodes[0].id, town.nodes[1].id];
    town.nodes[1].start_anew(2);
    town.nodes[1].distrust();
    town.nodes[1].turn(vec![Input::SessionUp(ids[0], SessionId(2))]);
    town.nodes[0].turn(vec![Input::SessionDown(ids[1]), Input::SessionUp(ids[1], SessionId(2))]);
    town.settle().await;
    town.block().await;
    town.block().await;
    for node in &town.nodes {
        let life = node.life(&channel);
        let is_posted = matches!(life, Some(Life::Closing(ClosingStage::Unilateral) | Life::Disputed));
        assert!(is_posted, "{life:?}");
    }
    town.block_after(WINDOW_MS + BLOCK_MS).await;
    town.block().await;
    for node in &town.nodes {
        let settled = Life::Settled(Settlement::Unilateral);
        assert_eq!(node.life(&channel), Some(settled), "and nobody is penalized");
    }
}

#[tokio::test]
async fn s10_s1_a_found_channel_waits_until_its_rows_are_durable() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let peer = town.nodes[1].id;
    let node = &mut town.nodes[0];
    let key_index = node.worker.channels[&channel].channel.key_index();
    let (outpoint, entry) =
        node.ledger.chain.channel_output(&channel).expect("it reads").expect("there is one");
    let mut gone = Batch::new();
    gone.delete_range(Column::Channels, [], [0xff; 23]);
    node.store.commit(gone).expect("written");
    node.board.forget([channel]);
    node.start_anew(2);
    let found = Found { channel, outpoint, entry, key_index };
    let unclaimed = Arc::clone(&node.parts.unclaimed);
    unclaimed.insert(found);
    let turn = node.begin_turn(vec![Input::Claimed { channel, peer }]);
    assert_eq!(unclaimed.len(), 1, "a node that is killed now has to look for it again");
    assert_eq!(unclaimed.take(&channel, |_| true), None, "and it has one owner");
    node.release(turn);
    assert!(unclaimed.is_empty());
    assert!(node.board.get(&channel).is_some() && node.rows_of(&channel) > 0);
}
