use towpath_ledger::ChannelId;
use towpath_store::MemoryStore;

use super::*;

const HOUR_MS: u64 = 3_600_000;

fn channel(number: u8) -> ChannelId {
    ChannelId(Digest([number; 32]))
}

fn content(number: u8) -> Digest {
    Digest([number; 32])
}

fn payment(number: u64) -> Outcome {
    let (channel, payer, amount) = (channel(1), Party::A, Amount(5));
    Outcome::Payment(Made { channel, number, payer, amount, time_ms: 7, state: PaymentState::Pending })
}

/// Makes a call and its outcome durable.
fn make(store: &MemoryStore, keys: &IdempotencyKeys, word: &str, outcome: Outcome, now_ms: u64) {
    let claim = keys.claim(Key::of(word), content(1), now_ms).expect("the first");
    let mut batch = Batch::new();
    let kept = claim.keep(&mut batch, outcome, now_ms);
    store.commit(batch).expect("no write fails here");
    kept.show();
}

fn open(store: &MemoryStore) -> IdempotencyKeys {
    IdempotencyKeys::open(store, 1).expect("it reads")
}

/// What a repeated call with the same content is told.
fn again(keys: &IdempotencyKeys, word: &str) -> Claimed {
    keys.claim(Key::of(word), content(1), 0).expect_err("not the first")
}

fn state(keys: &IdempotencyKeys, word: &str) -> PaymentState {
    keys.payment(&Key::of(word)).expect("it is remembered").state
}

fn rows(store: &MemoryStore) -> usize {
    store.scan(Column::Meta, &Scan::prefix(PREFIX)).expect("it reads").len()
}

#[test]
fn a_call_that_promised_nothing_gives_its_key_back() {
    let keys = open(&MemoryStore::new());
    let claim = keys.claim(Key::of("a"), content(1), 0).expect("the first");
    assert_eq!(again(&keys, "a"), Claimed::UnderWay);
    let other = keys.claim(Key::of("a"), content(2), 0).expect_err("another call");
    assert_eq!(other, Claimed::Conflict);
    drop(claim);
    keys.claim(Key::of("a"), content(2), 0).expect("nothing was promised for it");
    assert_eq!(keys.lock().known.len(), 0);
}

#[test]
fn an_outcome_is_told_only_once_it_is_durable() {
    let (store, mut batch) = (MemoryStore::new(), Batch::new());
    let keys = open(&store);
    let claim = keys.claim(Key::of("a"), content(1), 0).expect("the first");
    let kept = claim.keep(&mut batch, payment(1), 0);
    assert_eq!(again(&keys, "a"), Claimed::UnderWay);
    store.commit(batch).expect("no write fails here");
    kept.show();
    assert_eq!(again(&keys, "a"), Claimed::Before(payment(1)));
    let other = keys.claim(Key::of("a"), content(2), 0).expect_err("another call");
    assert_eq!(other, Claimed::Conflict);
    assert_eq!(again(&open(&store), "a"), Claimed::Before(payment(1)), "and after a restart");
}

#[test]
fn a8_the_outcome_under_a_key_is_the_true_one_across_restarts() {
    let store = MemoryStore::new();
    let keys = open(&store);
    for (word, number) in [("settled", 1), ("failed", 2), ("pending", 3)] {
        make(&store, &keys, word, payment(number), 0);
    }
    // After a restart the rows still know whose payments they are.
    let keys = open(&store);
    let mut batch = Batch::new();
    keys.failed(&mut batch, (channel(1), 2), Failure::Skipped, 8);
    keys.settled(&mut batch, channel(1), 2, 9);
    keys.settled(&mut batch, channel(2), 9, 9);
    store.commit(batch).expect("no write fails here");
    for keys in [keys, open(&store)] {
        assert_eq!(state(&keys, "settled"), PaymentState::Settled);
        assert_eq!(
            state(&keys, "failed"),
            PaymentState::Skipped,
            "an acknowledgement past it changes nothing"
        );
        assert_eq!(state(&keys, "pending"), PaymentState::Pending);
    }
}

#[test]
fn a_send_under_a_key_ends_as_the_ledger_has_it() {
    let store = MemoryStore::new();
    let keys = open(&store);
    let tx = TxId(Digest([3; 32]));
    let sent = |state| Outcome::Send { tx, fee: Amount(1), state };
    make(&store, &keys, "a", sent(SendState::Pending), 0);
    let keys = open(&store);
    let mut batch = Batch::new();
    keys.sent(&mut batch, &tx, SendState::Void, 1);
    store.commit(batch).expect("no write fails here");
    assert_eq!(again(&open(&store), "a"), Claimed::Before(sent(SendState::Void)));
}

#[test]
fn keys_of_calls_that_are_done_are_forgotten_after_a_day_and_others_never() {
    let store = MemoryStore::new();
    let keys = open(&store);
    make(&store, &keys, "done", Outcome::Opening { channel: channel(9) }, 0);
    make(&store, &keys, "pending", payment(1), 0);
    make(&store, &keys, "late", payment(2), 0);
    let mut batch = Batch::new();
    keys.failed(&mut batch, (channel(1), 2), Failure::Closed, 2 * HOUR_MS);
    store.commit(batch).expect("no write fails here");

    let now_ms = limits::IDEMPOTENCY_MS + HOUR_MS;
    make(&store, &keys, "done", Outcome::Opening { channel: channel(8) }, now_ms);
    assert_eq!(again(&keys, "pending"), Claimed::Before(payment(1)));
    assert_eq!(state(&keys, "late"), PaymentState::Closed, "its day began when it failed");
    assert_eq!(rows(&store), 3, "the row of what was forgotten is gone");
    let restarted = open(&store);
    assert_eq!(again(&restarted, "done"), Claimed::Before(Outcome::Opening { channel: channel(8) }));
}

#[test]
fn so_many_keys_are_remembered_and_not_one_more() {
    let store = MemoryStore::new();
    let keys = open(&store);
    let word = |number: usize| format!("word {number}");
    make(&store, &keys, "pending", payment(1), 0);
    for number in 1..=limits::IDEMPOTENCY_KEYS {
        make(&store, &keys, &word(number), Outcome::Opening { channel: channel(9) }, 1);
    }
    assert_eq!(keys.lock().known.len(), limits::IDEMPOTENCY_KEYS);
    assert_eq!(rows(&store), limits::IDEMPOTENCY_KEYS);
    assert_eq!(again(&keys, "pending"), Claimed::Before(payment(1)), "the oldest, but not done");

    // Calls that are not done push nothing out that is not, either.
    let held: Vec<Claim> = (1..limits::IDEMPOTENCY_KEYS)
        .map(|number| keys.claim(Key::of(&format!("held {number}")), content(1), 1).expect("room"))
        .collect();
    assert_eq!(keys.claim(Key::of("one more"), content(1), 1).expect_err("no room"), Claimed::Full);
    drop(held);
    keys.claim(Key::of("one more"), content(1), 1).expect("room again");
}

#[test]
fn of_two_rows_with_one_key_the_newer_counts() {
    let store = MemoryStore::new();
    let (first, second) = (open(&store), open(&store));
    make(&store, &first, "b", payment(9), 0);
    make(&store, &first, "a", payment(1), 0);
    // As if the row had been forgotten, and its deletion lost with a crash.
    second.lock().next_serial = 7;
    make(&store, &second, "a", payment(2), 1);
    let keys = open(&store);
    assert_eq!(again(&keys, "a"), Claimed::Before(payment(2)));
    make(&store, &keys, "c", payment(3), 1);
    assert_eq!(rows(&store), 3, "and the older goes");
}

#[test]
fn contents_of_different_calls_differ() {
    let pay = content_of("pay", &(channel(1), Amount(5), None::<[u8; 32]>));
    assert_eq!(pay, content_of("pay", &(channel(1), Amount(5), None::<[u8; 32]>)));
    for other in [
        content_of("pay", &(channel(1), Amount(6), None::<[u8; 32]>)),
        content_of("pay", &(channel(2), Amount(5), None::<[u8; 32]>)),
        content_of("pay", &(channel(1), Amount(5), Some([0; 32]))),
        content_of("stream", &(channel(1), Amount(5), None::<[u8; 32]>)),
    ] {
        assert_ne!(pay, other);
    }
}
