//! Payments from the wallet: their coins are spent once, whatever is forgotten, and they get there.

use std::sync::Arc;

use tokio::sync::mpsc;
use towpath_crypto::Digest;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::seed::Seed;
use towpath_store::{Batch, Column, GroupWriter, MemoryStore, Scan, Store};

use super::driver::Spawned;
use super::testing::{COIN, TestLedger, genesis};
use super::*;
use crate::idempotency::{Claimed, IdempotencyKeys, Key, Outcome, SendState};
use crate::journal::Journal;
use crate::net::NetHandle;

const AMOUNT: u64 = 1_000_000;

fn seed() -> Seed {
    Seed::from_entropy(&[1; 32])
}

fn to() -> Payout {
    Payout::Key(Seed::from_entropy(&[2; 32]).wallet_key(0).public())
}

fn ledger(store: &Arc<dyn Store>, coins: usize) -> TestLedger {
    TestLedger::new(seed(), genesis(&[&seed()], coins), Arc::clone(store))
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn send(ledger: &mut TestLedger, amount: u64) -> Result<TxId, FundsError> {
    let (reply, mut answer) = oneshot::channel();
    let call = FundsCall::Send { to: to(), amount: Amount(amount), claim: None, reply };
    ledger.handle.offer(Input::Funds(call)).expect("room");
    ledger.serve();
    answer.try_recv().expect("an answer").map(|(id, _fee)| id)
}

fn pending(ledger: &mut TestLedger) -> Vec<PendingSend> {
    let (reply, mut answer) = oneshot::channel();
    ledger.handle.offer(Input::Funds(FundsCall::Pending(reply))).expect("room");
    ledger.serve();
    answer.try_recv().expect("an answer")
}

#[test]
fn a10_coins_of_a_payment_stay_spent_past_evictions_and_restarts() {
    let store = memory();
    let mut first = ledger(&store, 2);
    let sent = send(&mut first, AMOUNT).expect("it is made");
    let made = pending(&mut first);
    assert_eq!(made.len(), 1);
    assert_eq!((made[0].tx, made[0].amount), (sent, AMOUNT + made[0].fee.units()));
    // A block without it, and no pool has it any more.
    let block = first.build(&[], 1_000);
    first.apply(&block);
    assert_eq!(first.wallet(), (COIN, COIN));
    let mut again = ledger(&store, 2);
    assert_eq!(again.wallet(), (COIN, COIN), "after a restart, too");
    assert_eq!(pending(&mut again), made);
    send(&mut again, AMOUNT).expect("of the other coin");
    send(&mut again, AMOUNT).expect_err("nothing is left to spend");

    let waiting = again.take_waiting();
    let mut block = again.build(&[], 1_000);
    assert!(block.transactions.is_empty());
    block = again.build(&[first.handed_in.remove(0), waiting[0].clone()], 1_000);
    assert_eq!(block.transactions.len(), 2, "they do not contradict each other");
    again.apply(&block);
    assert_eq!(pending(&mut again), []);
}

#[test]
fn a_payment_whose_coins_went_elsewhere_ends_and_frees_the_rest() {
    let (store, other) = (memory(), memory());
    // One wallet at two places: what each makes the other does not know.
    let (mut here, mut there) = (ledger(&store, 1), ledger(&other, 1));
    send(&mut here, AMOUNT).expect("it is made");
    send(&mut there, 2 * AMOUNT).expect("of the same coin");
    let waiting = there.take_waiting();
    let block = there.build(&waiting, 1_000);
    assert_eq!(block.transactions.len(), 1);
    let seen = here.build(&waiting, 1_000);
    here.apply(&seen);
    assert_eq!(pending(&mut here), []);
    let (available, reserved) = here.wallet();
    assert!(available > 0 && reserved == 0, "the other's change is this wallet's as well");
}

#[test]
fn a_crash_between_a_block_and_what_it_means_is_made_good() {
    let (store, other) = (memory(), memory());
    let (mut here, mut there) = (ledger(&store, 2), ledger(&other, 2));
    let sent = send(&mut here, AMOUNT).expect("it is made");
    let waiting = here.take_waiting();
    let block = here.build(&waiting, 1_000);
    assert_eq!(block.transactions[0].id(), sent);
    here.apply(&block);
    // The test's ledger deletes no rows: as after a crash.
    assert_eq!(pending(&mut ledger(&store, 2)), []);
    let _ = there.take_waiting();
}

/// What a restore leaves: the rows of a backup, and a ledger that begins at its genesis.
fn restored(from: &Arc<dyn Store>) -> Arc<dyn Store> {
    let store = memory();
    let mut batch = Batch::new();
    for (key, row) in from.scan(Column::Meta, &Scan::prefix(b"wallet-send/")).expect("it reads") {
        batch.put(Column::Meta, key, row);
    }
    store.commit(batch).expect("no write fails here");
    store
}

/// S10: the coin of a payment is not made yet on a replica at the genesis. Whoever heard that the payment is void would pay
/// twice; only a block that spends the coin says what became of it.
#[test]
fn s10_a_payment_in_a_backup_is_not_void_before_the_ledger_says_so() {
    let (store, other) = (memory(), memory());
    let (mut here, mut there) = (ledger(&store, 1), ledger(&other, 1));
    send(&mut here, AMOUNT).expect("it is made");
    let waiting = here.take_waiting();
    let first = here.build(&waiting, 1_000);
    here.apply(&first);
    there.apply(&first);
    send(&mut here, AMOUNT).expect("of what came back");
    let made = pending(&mut here);
    let backup = restored(&store);
    // The same coin, spent by the payment, or by another at another place.
    send(&mut there, 2 * AMOUNT).expect("of the same coin");
    for last in [here.take_waiting(), there.take_waiting()] {
        let second = here.build(&last, 1_000);
        assert_eq!(second.transactions.len(), 1);
        let store = restored(&backup);
        let mut node = ledger(&store, 1);
        // The first one's row, which this ledger for tests does not delete, is in the backup, too.
        assert!(pending(&mut node).contains(&made[0]), "at the genesis");
        node.apply(&first);
        assert_eq!(pending(&mut node), made, "where the coin is");
        assert_eq!(pending(&mut ledger(&store, 1)), made, "and after a restart there");
        node.apply(&second);
        assert_eq!(pending(&mut node), [], "the ledger says so");
        assert_eq!(pending(&mut ledger(&store, 1)), [], "to whoever was not there, too");
    }
}

/// A row of an earlier program says no height: it waits for a block.
#[test]
fn s10_a_payment_of_an_earlier_program_is_read_and_waits() {
    let store = memory();
    let mut here = ledger(&store, 1);
    send(&mut here, AMOUNT).expect("it is made");
    let made = pending(&mut here);
    let (key, row) = store.scan(Column::Meta, &Scan::prefix(b"wallet-send/")).expect("it reads").remove(0);
    // Without the height: version 1, time, fee, transaction.
    let old = [&[1], &row[1..9], &row[17..]].concat();
    let mut batch = Batch::new();
    batch.put(Column::Meta, key, old);
    store.commit(batch).expect("no write fails here");
    let mut again = ledger(&store, 1);
    assert_eq!(pending(&mut again), made);
    let waiting = here.take_waiting();
    let block = again.build(&waiting, 1_000);
    again.apply(&block);
    assert_eq!(pending(&mut again), []);
}

#[test]
fn so_many_payments_are_on_their_way_and_not_one_more() {
    let mut ledger = ledger(&memory(), crate::limits::SENDS + 1);
    for _ in 0..crate::limits::SENDS {
        send(&mut ledger, AMOUNT).expect("a coin is left");
    }
    let limit = crate::limits::SENDS;
    assert_eq!(send(&mut ledger, AMOUNT), Err(FundsError::TooManySends { limit }));
}

/// A real driver: of a node that decides blocks alone, or of one that waits for others to do so.
struct Node {
    ledger: LedgerHandle,
    spawned: Spawned,
    notices: mpsc::UnboundedReceiver<Arc<Notice>>,
    keys: IdempotencyKeys,
}

impl Node {
    fn start(store: &Arc<dyn Store>, identity: SecretKey, run: u64) -> Self {
        let genesis = genesis(&[&seed()], 3);
        let writer = GroupWriter::start(Arc::clone(store), |error| panic!("no write fails here: {error}"));
        let journal = Journal::open(Arc::clone(store), writer.expect("threads"), 100).expect("it reads");
        let retention = towpath_store::ChainRetention::default();
        let chain = Chain::open(Arc::clone(store), &genesis, retention).expect("a ledger");
        let keys = IdempotencyKeys::open(&**store, run).expect("it reads");
        let config = DriverConfig {
            params: genesis.params.clone(),
            validators: genesis.validators.clone(),
            engine: towpath_consensus::Config::lan(genesis.chain_id()),
            issued: 3 * COIN,
            seed: seed(),
            idempotency: keys.clone(),
            identity,
        };
        let (ledger, inbox) = LedgerHandle::inbox();
        let (told, notices) = mpsc::unbounded_channel();
        let net = NetHandle::silent(config.identity.public());
        let spawned = spawn(
            config,
            (Arc::new(chain), Arc::new(journal), net),
            (ledger.clone(), inbox),
            Box::new(move |notice| drop(told.send(notice))),
            |reason| panic!("{reason}"),
        );
        Self { ledger, spawned: spawned.expect("it starts"), notices, keys }
    }

    async fn send(&self, word: &str) -> TxId {
        let claim = Some(self.claim(word).expect("the first"));
        let make = |reply| Input::Funds(FundsCall::Send { to: to(), amount: Amount(AMOUNT), claim, reply });
        self.ledger.ask(make).await.expect("an answer").expect("it is made").0
    }

    fn claim(&self, word: &str) -> Result<crate::idempotency::Claim, Claimed> {
        self.keys.claim(Key::of(word), Digest::ZERO, 0)
    }

    /// What became of a send, for whoever repeats it.
    fn outcome(&self, word: &str) -> (TxId, SendState) {
        match self.claim(word).expect_err("not the first") {
            Claimed::Before(Outcome::Send { tx, state, .. }) => (tx, state),
            other => panic!("{other:?}"),
        }
    }

    async fn waiting(&self, id: TxId) -> Option<Arc<Transaction>> {
        self.ledger.ask(|reply| Input::Waiting { id, reply }).await.expect("an answer")
    }

    async fn pending(&self) -> Vec<TxId> {
        let asked = self.ledger.ask(|reply| Input::Funds(FundsCall::Pending(reply))).await;
        asked.expect("an answer").iter().map(|send| send.tx).collect()
    }

    async fn stop(self) {
        let joined = tokio::task::spawn_blocking(move || {
            self.ledger.push(Input::Stop);
            self.spawned.0.join().expect("no panic");
        });
        joined.await.expect("it ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_a_payment_is_handed_in_again_after_a_restart_until_it_is_final() {
    let store = memory();
    let stranger = || SecretKey::from_bytes(&[8; 32]);
    let node = Node::start(&store, stranger(), 1);
    let first = node.send("a").await;
    assert_eq!(node.outcome("a"), (first, SendState::Pending));
    node.stop().await;

    let node = Node::start(&store, stranger(), 2);
    assert_eq!(node.outcome("a"), (first, SendState::Pending));
    assert_eq!(node.pending().await, [first]);
    let again = node.waiting(first).await.expect("it was handed in again");
    let second = node.send("b").await;
    let other = node.waiting(second).await.expect("it waits");
    assert!(other.body.inputs.iter().all(|input| !again.body.inputs.contains(input)), "no coin twice");
    node.stop().await;

    // Somebody decides blocks at last.
    let validator = || SecretKey::from_bytes(&[9; 32]);
    let mut node = Node::start(&store, validator(), 3);
    let mut missing = std::collections::BTreeSet::from([first, second]);
    while !missing.is_empty() {
        let notice = node.notices.recv().await.expect("blocks come");
        notice.transactions.iter().for_each(|id| {
            missing.remove(id);
        });
    }
    assert_eq!(node.pending().await, []);
    node.stop().await;
    let node = Node::start(&store, validator(), 4);
    for (word, sent) in [("a", first), ("b", second)] {
        assert_eq!(node.outcome(word), (sent, SendState::Final));
    }
    assert_eq!(node.pending().await, []);
    node.stop().await;
}
