//! A tower and a channel that is resized (SPEC T-5, T-9, T-30; P-65): it keeps the newest record of one generation, and the
//! ledger takes a state in its own generation alone (L4).

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, Party};
use towpath_protocol::tower::{Outcome, Sponsor, TowerMessage};

use super::answers::{entry, post, step};
use super::ledger::{CAPACITY, Ledger, Pair};
use super::towers::Host;

const A: PublicKey = PublicKey([41; 32]);
const B: PublicKey = PublicKey([42; 32]);

/// The newest version of the first generation, and the first of the second: versions count on.
const LAST: u64 = 9;
const FIRST: u64 = 10;
/// The newest of the second.
const NEWEST: u64 = 14;

/// What is left in the channel.
const LEFT: Amount = Amount(600_000);

fn keep(host: &mut Host, client: &PublicKey, pair: &Pair, party: Party, version: u64) -> Outcome {
    let answer = host.hear(client, &TowerMessage::Keep(vec![entry(&pair.record(party, version))]));
    let Some(TowerMessage::Receipts(receipts)) = answer else { panic!("a receipt, not {answer:?}") };
    receipts.first().expect("one for each").outcome
}

/// A channel whose resize is final, as it was and as it is; what the tower had before is of the first generation.
fn resized(kept: &[(PublicKey, Party)]) -> (Ledger, Pair, Pair, Host) {
    let mut ledger = Ledger::new();
    let old = ledger.open(1).remove(0);
    let mut host = Host::new(&ledger, Sponsor::No);
    for (client, party) in kept {
        assert_eq!(keep(&mut host, client, &old, *party, LAST), Outcome::Kept);
    }
    let (resize, new) = old.resize(CAPACITY.checked_sub(LEFT).expect("less"));
    post(&mut ledger, &mut host, resize);
    assert!(ledger.view.entries.contains_key(&new.funding), "it is resized");
    (ledger, old, new, host)
}

/// What the ledger shows after a close and the tower's turn: version, generation, penalty.
fn shown(ledger: &mut Ledger, host: &mut Host, pair: &Pair) -> (u64, u32, bool) {
    step(ledger, host, 1_000);
    let closing = ledger.closing(pair.id()).expect("it is being closed").closing;
    (closing.state.version, closing.state.generation, closing.penalized)
}

#[test]
fn c4_l4_a_stale_close_in_the_new_generation_is_answered_with_the_record_of_it() {
    for posted in FIRST..NEWEST {
        for author in [Party::A, Party::B] {
            let client = if author == Party::A { B } else { A };
            let (mut ledger, _, new, mut host) = resized(&[(client, author.other())]);
            assert_eq!(keep(&mut host, &client, &new, author.other(), NEWEST), Outcome::Kept);
            let close = new.close(&ledger, author, posted);
            post(&mut ledger, &mut host, close);
            // A says with version 14 that it held 13.
            let knew = new.co_signed(NEWEST).signature(author).held > posted;
            assert_eq!(shown(&mut ledger, &mut host, &new), (NEWEST, 1, knew), "{author:?} posted {posted}");
        }
    }
}

#[test]
fn l4_the_ledger_takes_no_close_of_the_old_generation_so_the_tower_has_none_to_answer() {
    let (mut ledger, old, new, mut host) = resized(&[(B, Party::B)]);
    for version in 1..=LAST {
        for funding in [old.funding, new.funding] {
            for capacity in [old.capacity, new.capacity] {
                let stale = Pair { funding, capacity, ..old.clone() };
                ledger.submit(stale.close(&ledger, Party::A, version)).expect_err("it is of the old one");
            }
        }
    }
    step(&mut ledger, &mut host, 1_000);
    assert_eq!(host.tower.cases(), []);
    assert_eq!(host.reports, []);
}

/// The client was away since before the resize: what the tower has proves nothing in the new generation, and harms nobody.
#[test]
fn l4_a_record_of_the_old_generation_is_never_shown_in_the_new_one() {
    for (author, posted) in [(Party::A, FIRST), (Party::B, FIRST), (Party::A, NEWEST)] {
        let (mut ledger, _, new, mut host) = resized(&[(A, Party::A), (B, Party::B)]);
        let close = new.close(&ledger, author, posted);
        post(&mut ledger, &mut host, close);
        assert_eq!(shown(&mut ledger, &mut host, &new), (posted, 1, false));
        assert_eq!((ledger.pool.len(), host.reports.len()), (0, 0), "it has nothing to show");
        // It comes back within the window, and its node gives the tower what there is.
        assert_eq!(keep(&mut host, &B, &new, Party::B, NEWEST), Outcome::Kept);
        step(&mut ledger, &mut host, 1_000);
        let (version, generation, _) = shown(&mut ledger, &mut host, &new);
        assert_eq!((version, generation), (NEWEST, 1));
    }
}

/// One party's tower is a generation behind, the other's is not.
#[test]
fn c4_l4_of_two_records_the_one_of_the_generation_that_is_closed_counts() {
    let (mut ledger, _, new, mut host) = resized(&[(A, Party::A), (B, Party::B)]);
    assert_eq!(keep(&mut host, &B, &new, Party::B, NEWEST), Outcome::Kept);
    let close = new.close(&ledger, Party::A, FIRST);
    post(&mut ledger, &mut host, close);
    assert_eq!(shown(&mut ledger, &mut host, &new), (NEWEST, 1, true));
}

#[test]
fn w1_a_record_of_the_old_generation_replaces_none_of_the_new_one() {
    let (mut ledger, old, new, mut host) = resized(&[(B, Party::B)]);
    assert_eq!(keep(&mut host, &B, &new, Party::B, FIRST), Outcome::Kept);
    // Whatever its version says.
    for version in [LAST, FIRST, NEWEST] {
        let refused = keep(&mut host, &B, &old, Party::B, version);
        assert!(matches!(refused, Outcome::Older { .. }), "{version}: {refused:?}");
    }
    let close = new.close(&ledger, Party::A, FIRST);
    post(&mut ledger, &mut host, close);
    assert_eq!(shown(&mut ledger, &mut host, &new), (FIRST, 1, false), "an honest close");
}

/// The close was faster than the resize: the channel is settled in the generation in which it is.
#[test]
fn c4_a_close_before_the_resize_is_answered_in_the_old_generation() {
    let mut ledger = Ledger::new();
    let old = ledger.open(1).remove(0);
    let mut host = Host::new(&ledger, Sponsor::No);
    assert_eq!(keep(&mut host, &B, &old, Party::B, LAST), Outcome::Kept);
    let (resize, _) = old.resize(CAPACITY.checked_sub(LEFT).expect("less"));
    let close = old.close(&ledger, Party::A, 3);
    post(&mut ledger, &mut host, close);
    ledger.submit(resize).expect_err("what it spends is gone");
    assert_eq!(shown(&mut ledger, &mut host, &old), (LAST, 0, true));
}
