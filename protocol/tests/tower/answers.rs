//! What a tower does when a close appears, one channel at a time (C4, W2, W4).

use towpath_crypto::Digest;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::mempool::Source;
use towpath_ledger::{Amount, ChannelId, Party, StateSignature, Transaction};
use towpath_protocol::limits::{TOWER_BARE_CASES_MAX, TOWER_LEAVES_BLOCKS};
use towpath_protocol::tower::{Entry, Record, Report, Sighting, Sponsor, TowerMessage};

use super::ledger::{CAPACITY, CLOSE_FEE_MAX, Ledger, Pair};
use super::towers::{Host, records};

const CLIENT: PublicKey = PublicKey([42; 32]);

pub fn entry(record: &Record) -> Entry {
    let slot = record.slot();
    Entry { locator: slot.locator, sequence: record.sequence(), sealed: record.seal(&slot) }
}

/// A ledger with a channel, and a tower that has version `kept` of `client`'s.
fn world(client: Party, kept: u64, sponsor: Sponsor) -> (Ledger, Pair, Host) {
    let mut ledger = Ledger::new();
    let pair = ledger.open(1).remove(0);
    let mut host = Host::new(&ledger, sponsor);
    host.hear(&CLIENT, &TowerMessage::Keep(vec![entry(&pair.record(client, kept))]));
    (ledger, pair, host)
}

/// A block, and what the tower does about it.
pub fn step(ledger: &mut Ledger, host: &mut Host, step_ms: u64) {
    let (seen, _) = ledger.block(step_ms);
    host.see(seen);
    host.act(ledger, Source::Local);
}

pub fn post(ledger: &mut Ledger, host: &mut Host, transaction: Transaction) {
    ledger.submit(transaction).expect("a valid one");
    step(ledger, host, 1_000);
}

/// Blocks until the channel is settled; how many it took.
fn settle(ledger: &mut Ledger, host: &mut Host, pair: &Pair) -> u64 {
    for blocks in 0..100 {
        if ledger.closing(pair.id()).is_none() {
            return blocks;
        }
        step(ledger, host, 10_000);
    }
    panic!("the channel is never settled");
}

fn paid(ledger: &Ledger, pair: &Pair) -> (u64, u64) {
    (ledger.paid(&pair.terms.payout_a), ledger.paid(&pair.terms.payout_b))
}

/// C4: each version below the newest, by either party, while the other is offline.
#[test]
fn c4_a_stale_close_is_answered_and_punished_by_the_tower_alone() {
    const NEWEST: u64 = 9;
    for author in [Party::A, Party::B] {
        for posted in 1..NEWEST {
            let (mut ledger, pair, mut host) = world(author.other(), NEWEST, Sponsor::No);
            let close = pair.close(&ledger, author, posted);
            post(&mut ledger, &mut host, close);
            step(&mut ledger, &mut host, 1_000);
            let closing = ledger.closing(pair.id()).expect("the window is open").closing;
            assert_eq!(closing.state, pair.state(NEWEST), "shown one block after the close");
            // A says with version 9 that it held 8, B that it held 9.
            let knew = pair.co_signed(NEWEST).signature(author).held > posted;
            assert_eq!(closing.penalized, knew, "{author:?} posted {posted}");
            settle(&mut ledger, &mut host, &pair);
            let newest = pair.state(NEWEST);
            let victim = author.other();
            let share = if knew { newest.balance(author).share(5_000) } else { Amount::ZERO };
            let (a, b) = paid(&ledger, &pair);
            let got = if victim == Party::A { a } else { b };
            let due = newest.balance(victim).units() + share.units();
            assert!(got <= due && got + CLOSE_FEE_MAX.units() / 2 >= due, "{got} of {due}");
            assert_eq!(records(&host.disk), 0, "the record went with the channel");
        }
    }
}

#[test]
fn an_honest_close_is_left_alone_and_paid_out() {
    let (mut ledger, pair, mut host) = world(Party::B, 9, Sponsor::No);
    let close = pair.close(&ledger, Party::A, 9);
    post(&mut ledger, &mut host, close);
    step(&mut ledger, &mut host, 1_000);
    let closing = ledger.closing(pair.id()).expect("nothing to contest").closing;
    assert!(!closing.penalized && closing.other_fees.is_zero());
    settle(&mut ledger, &mut host, &pair);
    let (a, b) = paid(&ledger, &pair);
    assert_eq!(b, pair.state(9).balance_b.units());
    assert!(a + CLOSE_FEE_MAX.units() >= pair.state(9).balance_a.units());
    assert_eq!(host.reports, []);
}

/// T-37: a transaction that pays out one closing would void the one in which its author pays out many.
#[test]
fn a_closing_is_paid_out_by_its_parties_and_by_the_tower_only_if_they_do_not() {
    for author_pays in [true, false] {
        let mut ledger = Ledger::new();
        let pairs = ledger.open(500);
        let mut host = Host::new(&ledger, Sponsor::No);
        for pair in &pairs {
            host.hear(&CLIENT, &TowerMessage::Keep(vec![entry(&pair.record(Party::B, 9))]));
            ledger.submit(pair.close(&ledger, Party::A, 9)).expect("a valid one");
        }
        step(&mut ledger, &mut host, 1_000);
        let deadline = ledger.closing(pairs[0].id()).expect("it is posted").deadline();
        while ledger.parent.time <= deadline {
            step(&mut ledger, &mut host, 10_000);
        }
        assert_eq!(ledger.pool.len(), 0, "the tower leaves it to them");
        if author_pays {
            // In the block after the one that showed the deadline, as a node does.
            let posted: Vec<_> = pairs.iter().filter_map(|pair| ledger.closing(pair.id())).collect();
            let parts = posted.iter().map(|posted| (posted.outpoint, &*posted.closing));
            let paid = towpath_ledger::settle::finalize_all(&ledger.place(), parts);
            let count = paid.transactions.len();
            assert!(count <= 4, "{count} transactions for 500 closings");
            for transaction in paid.transactions {
                ledger.submit(transaction).expect("it is due");
            }
        }
        let mut blocks = 1;
        while pairs.iter().any(|pair| ledger.closing(pair.id()).is_some()) {
            step(&mut ledger, &mut host, 10_000);
            blocks += 1;
            if author_pays || blocks <= TOWER_LEAVES_BLOCKS {
                assert_eq!(ledger.pool.len(), 0, "block {blocks}");
            }
            assert!(blocks < 60, "somebody pays it out");
        }
        assert!(author_pays == (blocks == 2), "{blocks} blocks");
        assert_eq!(records(&host.disk), 0);
    }
}

/// C5: an honest proposer that never got the counter-signature loses nothing by the newer state.
#[test]
fn c5_an_author_that_could_not_know_better_is_superseded_and_not_punished() {
    let (mut ledger, pair, mut host) = world(Party::B, 9, Sponsor::No);
    let close = pair.close(&ledger, Party::A, 8);
    post(&mut ledger, &mut host, close);
    step(&mut ledger, &mut host, 1_000);
    let closing = ledger.closing(pair.id()).expect("open").closing;
    assert_eq!((closing.state.version, closing.penalized), (9, false));
}

/// The author's own record, if it uses the same tower, tells against it as well.
#[test]
fn the_record_of_a_cheat_serves_its_victim() {
    let (mut ledger, pair, mut host) = world(Party::A, 9, Sponsor::No);
    let close = pair.close(&ledger, Party::A, 2);
    post(&mut ledger, &mut host, close);
    step(&mut ledger, &mut host, 1_000);
    let closing = ledger.closing(pair.id()).expect("open").closing;
    assert_eq!((closing.state.version, closing.penalized), (9, true));
}

/// W1: what was laid into a slot by others neither hides nor replaces the good record.
/// Also what must find a known bug (`canaries.rs`).
#[test]
pub fn w1_forged_records_in_a_slot_change_nothing() {
    let (mut ledger, pair, mut host) = world(Party::B, 9, Sponsor::No);
    for liar in 0..50 {
        let mut forged = pair.record(Party::B, 10 + u64::from(liar));
        forged.newest.a.held += 1;
        host.hear(&PublicKey([100 + liar; 32]), &TowerMessage::Keep(vec![entry(&forged)]));
    }
    let close = pair.close(&ledger, Party::A, 2);
    post(&mut ledger, &mut host, close);
    step(&mut ledger, &mut host, 1_000);
    let closing = ledger.closing(pair.id()).expect("open").closing;
    assert_eq!((closing.state.version, closing.penalized), (9, true));
}

/// A cheater signs the victim's newest state once more, says that it held less, and lays it where the tower looks first, or
/// last, or while the window is open. What the victim gave still proves that it knew better.
#[test]
fn c3_w1_a_cheater_cannot_hide_what_it_said_behind_a_second_signature() {
    for (liar, is_late) in [(1, false), (200, false), (1, true), (200, true)] {
        let (mut ledger, pair, mut host) = world(Party::B, 9, Sponsor::No);
        let mut meek = pair.record(Party::B, 9);
        meek.newest.a = StateSignature::sign(&pair.a, &pair.chain, &meek.newest.state, 1);
        let lie = TowerMessage::Keep(vec![entry(&meek)]);
        let close = pair.close(&ledger, Party::A, 2);
        if is_late {
            post(&mut ledger, &mut host, close);
            host.hear(&PublicKey([liar; 32]), &lie);
        } else {
            host.hear(&PublicKey([liar; 32]), &lie);
            post(&mut ledger, &mut host, close);
        }
        step(&mut ledger, &mut host, 1_000);
        let closing = ledger.closing(pair.id()).expect("open").closing;
        assert_eq!((closing.state.version, closing.penalized), (9, true), "{liar} {is_late}");
    }
}

/// The newest state and the best proof can lie in two records: both are shown.
#[test]
fn c3_the_newest_state_and_the_proof_may_come_from_two_records() {
    let (mut ledger, pair, mut host) = world(Party::B, 5, Sponsor::No);
    let mut meek = pair.record(Party::B, 9);
    meek.newest.a = StateSignature::sign(&pair.a, &pair.chain, &meek.newest.state, 1);
    host.hear(&PublicKey([200; 32]), &TowerMessage::Keep(vec![entry(&meek)]));
    let close = pair.close(&ledger, Party::A, 2);
    post(&mut ledger, &mut host, close);
    step(&mut ledger, &mut host, 1_000);
    let closing = ledger.closing(pair.id()).expect("open").closing;
    assert_eq!((closing.state.version, closing.penalized), (9, true));
}

#[test]
fn a_record_that_comes_during_the_window_counts() {
    let (mut ledger, pair, mut host) = world(Party::B, 3, Sponsor::No);
    let close = pair.close(&ledger, Party::A, 4);
    post(&mut ledger, &mut host, close);
    step(&mut ledger, &mut host, 1_000);
    assert_eq!(ledger.closing(pair.id()).expect("open").closing.state.version, 4, "nothing to show yet");
    host.hear(&CLIENT, &TowerMessage::Keep(vec![entry(&pair.record(Party::B, 9))]));
    step(&mut ledger, &mut host, 1_000);
    step(&mut ledger, &mut host, 1_000);
    assert_eq!(ledger.closing(pair.id()).expect("open").closing.state.version, 9);
}

/// W1: whoever knows a channel's tag closes one of its own under it, around the old state that it posts, so that what the
/// victim gives meanwhile is laid to the wrong channel. Each channel has its own records, whatever tag it bears.
#[test]
fn w1_a_foreign_closing_under_the_same_tag_draws_no_attention_away() {
    for is_settled in [false, true] {
        let (mut ledger, victim, mut host) = world(Party::B, 3, Sponsor::No);
        let mut foreign = ledger.open(1).remove(0);
        foreign.borrowed_tag = Some(victim.tag());
        let close = victim.close(&ledger, Party::A, 4);
        post(&mut ledger, &mut host, close);
        if is_settled {
            host.hear(&PublicKey([1; 32]), &TowerMessage::Keep(vec![entry(&foreign.record(Party::B, 9))]));
        }
        let close = foreign.close(&ledger, Party::A, 2);
        post(&mut ledger, &mut host, close);
        assert_eq!(host.tower.open_cases(), 1 + usize::from(is_settled), "of which the tower has records");
        if is_settled {
            let tag = victim.tag();
            host.see(vec![Sighting::Settled { channel: foreign.id(), tag }]);
        }
        host.hear(&CLIENT, &TowerMessage::Keep(vec![entry(&victim.record(Party::B, 9))]));
        step(&mut ledger, &mut host, 1_000);
        step(&mut ledger, &mut host, 1_000);
        let closing = ledger.closing(victim.id()).expect("open").closing;
        assert_eq!((closing.state.version, closing.penalized), (9, true));
    }
}

/// T-30: the first record of a channel comes only when the old state is on the ledger already.
#[test]
fn c4_a_first_record_that_comes_during_the_window_counts() {
    for restarts in [false, true] {
        let (mut ledger, _, mut host) = world(Party::B, 3, Sponsor::No);
        let pair = ledger.open(1).remove(0);
        let close = pair.close(&ledger, Party::A, 2);
        post(&mut ledger, &mut host, close);
        if restarts {
            host.restart(&ledger);
        }
        assert_eq!((host.tower.open_cases(), host.tower.cases()), (0, Vec::new()));
        host.hear(&CLIENT, &TowerMessage::Keep(vec![entry(&pair.record(Party::B, 9))]));
        assert_eq!((host.tower.open_cases(), host.tower.cases()), (1, vec![(pair.id(), pair.tag())]));
        step(&mut ledger, &mut host, 1_000);
        step(&mut ledger, &mut host, 1_000);
        let closing = ledger.closing(pair.id()).expect("open").closing;
        assert_eq!((closing.state.version, closing.penalized), (9, true));
        settle(&mut ledger, &mut host, &pair);
        assert_eq!((host.tower.open_cases(), records(&host.disk)), (0, 1), "the other channel's stays");
    }
}

/// A closing that the tower has no record for is none of its business.
#[test]
fn a_closing_of_strangers_is_left_alone() {
    let (mut ledger, _, mut host) = world(Party::B, 3, Sponsor::Yes);
    let pair = ledger.open(1).remove(0);
    let close = pair.close(&ledger, Party::A, 2);
    post(&mut ledger, &mut host, close);
    for _ in 0..70 {
        step(&mut ledger, &mut host, 10_000);
    }
    assert!(ledger.closing(pair.id()).is_some(), "nobody pays it out");
}

/// What is remembered of closings without records has a bound, which takes nothing from those that have some.
#[test]
fn w1_closings_of_strangers_fill_no_memory() {
    let (mut ledger, pair, mut host) = world(Party::B, 9, Sponsor::No);
    let mut strange = ledger.open(1).remove(0);
    let close = strange.close(&ledger, Party::A, 2);
    post(&mut ledger, &mut host, close);
    let posted = ledger.closing(strange.id()).expect("it is being closed");
    strange.borrowed_tag = Some(strange.tag());
    let id = |number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        ChannelId(Digest(id))
    };
    let closing = |number| {
        let mut other = posted.clone();
        other.closing.terms.id = id(number);
        Sighting::Posted(Box::new(other))
    };
    host.see((1..=TOWER_BARE_CASES_MAX).map(closing).collect());
    for (version, number, cases) in [(3, TOWER_BARE_CASES_MAX, 0), (4, TOWER_BARE_CASES_MAX - 1, 1)] {
        strange.terms.id = id(number);
        let record = strange.record(Party::A, version);
        host.hear(&PublicKey([1; 32]), &TowerMessage::Keep(vec![entry(&record)]));
        assert_eq!(host.tower.open_cases(), cases, "the last one is one too many");
    }
    let close = pair.close(&ledger, Party::A, 2);
    post(&mut ledger, &mut host, close);
    assert_eq!(host.tower.open_cases(), 2);
}

/// W2: a tower that was rolled back shows what it has; whoever has more shows that, and nobody honest is punished.
#[test]
fn w2_an_old_state_from_a_tower_is_superseded_like_any_other() {
    let (mut ledger, pair, mut old) = world(Party::B, 5, Sponsor::No);
    let mut new = Host::new(&ledger, Sponsor::No);
    new.hear(&CLIENT, &TowerMessage::Keep(vec![entry(&pair.record(Party::B, 9))]));
    let close = pair.close(&ledger, Party::A, 2);
    post(&mut ledger, &mut old, close);
    step(&mut ledger, &mut old, 1_000);
    assert_eq!(ledger.closing(pair.id()).expect("open").closing.state.version, 5);
    new.restart(&ledger);
    new.act(&mut ledger, Source::Local);
    step(&mut ledger, &mut old, 1_000);
    let closing = ledger.closing(pair.id()).expect("open").closing;
    assert_eq!((closing.state.version, closing.penalized), (9, true));
    // And against an honest author it has nothing.
    let (mut ledger, pair, mut old) = world(Party::B, 5, Sponsor::No);
    let close = pair.close(&ledger, Party::A, 9);
    post(&mut ledger, &mut old, close);
    settle(&mut ledger, &mut old, &pair);
    assert_eq!(paid(&ledger, &pair).1, pair.state(9).balance_b.units());
}

/// W4: the tower was down during the cheat, and comes back with `k` of the longest blocks left.
#[test]
fn w4_a_tower_that_comes_back_late_acts_at_once_and_says_so() {
    for k in 1..20 {
        let (mut ledger, pair, mut host) = world(Party::B, 9, Sponsor::No);
        ledger.submit(pair.close(&ledger, Party::A, 2)).expect("a valid one");
        ledger.block(1_000);
        let deadline = ledger.closing(pair.id()).expect("open").deadline();
        while deadline.ms_since(ledger.parent.time) > k * 10_000 {
            ledger.block(10_000.min(deadline.ms_since(ledger.parent.time) - k * 10_000));
        }
        host.restart(&ledger);
        host.act(&mut ledger, Source::Local);
        step(&mut ledger, &mut host, 10_000);
        let closing = ledger.closing(pair.id()).expect("in the last block, too").closing;
        assert_eq!((closing.state.version, closing.penalized), (9, true), "{k} blocks left");
        let late =
            host.reports.iter().any(|report| matches!(report, Report::Late { blocks, .. } if *blocks == k));
        assert_eq!(late, k < 3, "{k} blocks left");
    }
}

/// A cheater that uses up what its victim's balance may pay for disputes.
fn priced_out(sponsor: Sponsor) -> (Ledger, Pair, Host) {
    let (mut ledger, pair, mut host) = world(Party::B, 900, sponsor);
    ledger.submit(pair.close(&ledger, Party::A, 300)).expect("a valid one");
    ledger.block(1_000);
    let burn = pair.supersede(&ledger, 301, CLOSE_FEE_MAX.share(5_000));
    ledger.submit(burn).expect("anyone may");
    let (seen, _) = ledger.block(1_000);
    host.see(seen);
    host.act(&mut ledger, Source::Local);
    (ledger, pair, host)
}

#[test]
fn a_tower_with_a_wallet_cannot_be_priced_out() {
    let (mut ledger, pair, mut host) = priced_out(Sponsor::Yes);
    step(&mut ledger, &mut host, 1_000);
    let closing = ledger.closing(pair.id()).expect("open").closing;
    assert_eq!((closing.state.version, closing.penalized), (900, true));
    settle(&mut ledger, &mut host, &pair);
    assert!(paid(&ledger, &pair).1 > pair.state(900).balance_b.units(), "the penalty is more than all fees");
}

#[test]
fn a_tower_without_a_wallet_says_when_it_is_priced_out() {
    let (mut ledger, pair, mut host) = priced_out(Sponsor::No);
    step(&mut ledger, &mut host, 1_000);
    assert_eq!(ledger.closing(pair.id()).expect("open").closing.state.version, 301);
    assert_eq!(host.reports, [Report::PricedOut { channel: pair.id() }]);
}

/// Where the proof does not fit what may be taken, the newer state alone is shown.
#[test]
fn without_a_sponsor_the_newer_state_comes_before_the_proof() {
    let (mut ledger, pair, mut host) = world(Party::B, 900, Sponsor::No);
    ledger.submit(pair.close(&ledger, Party::A, 300)).expect("a valid one");
    ledger.block(1_000);
    let most = CLOSE_FEE_MAX.share(5_000).units();
    ledger.submit(pair.supersede(&ledger, 301, Amount(most - 1_000))).expect("anyone may");
    let (seen, _) = ledger.block(1_000);
    host.see(seen);
    host.act(&mut ledger, Source::Local);
    step(&mut ledger, &mut host, 1_000);
    let closing = ledger.closing(pair.id()).expect("open").closing;
    assert_eq!((closing.state.version, closing.penalized), (900, false));
}

/// One closing whose author keeps it moving voids the transaction that it shares with others, and only that.
#[test]
fn a_moving_closing_holds_up_nobody_else() {
    let mut ledger = Ledger::new();
    let pairs = ledger.open(10);
    let mut host = Host::new(&ledger, Sponsor::Yes);
    for pair in &pairs {
        host.hear(&CLIENT, &TowerMessage::Keep(vec![entry(&pair.record(Party::B, 900))]));
        ledger.submit(pair.close(&ledger, Party::A, 300)).expect("a valid one");
    }
    let (seen, _) = ledger.block(1_000);
    host.see(seen);
    // The proposer is the cheater's: its next version is decided before the tower's answer, in each block.
    let mut blocks = 0;
    while pairs[1..]
        .iter()
        .any(|pair| ledger.closing(pair.id()).is_some_and(|p| p.closing.state.version < 900))
    {
        let version = 301 + blocks;
        let honest_pool = ledger.pool.clone();
        ledger.pool = towpath_ledger::mempool::Mempool::new(towpath_ledger::mempool::PoolLimits::for_chain(
            &ledger.genesis.params,
        ));
        let moving =
            ledger.closing(pairs[0].id()).is_some_and(|posted| posted.closing.state.version < version);
        if moving {
            ledger.submit(pairs[0].supersede(&ledger, version, Amount(900))).ok();
        }
        let (seen, _) = ledger.block(1_000);
        ledger.pool = honest_pool;
        host.see(seen);
        host.act(&mut ledger, Source::Local);
        step(&mut ledger, &mut host, 1_000);
        blocks += 1;
        assert!(blocks < 8, "the others are through");
    }
}

/// Wherever the balance lies, the fees stay within the bounds of both.
#[test]
fn what_a_tower_takes_is_never_more_than_the_ledger_lets_it() {
    // Balances of nearly nothing: version 1 leaves B a thousand.
    for version in [1, 2, 990, 999] {
        let (mut ledger, pair, mut host) = world(Party::B, version.max(2), Sponsor::Yes);
        let close = pair.close(&ledger, Party::A, 1);
        post(&mut ledger, &mut host, close);
        settle(&mut ledger, &mut host, &pair);
        let (a, b) = paid(&ledger, &pair);
        assert!(a + b <= CAPACITY.units() && a + b + 2 * CLOSE_FEE_MAX.units() >= CAPACITY.units());
    }
}
