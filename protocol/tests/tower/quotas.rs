//! What a tower takes and keeps: the newest of each, on disk before it says so, and never more than its quotas (W1, W3).

use proptest::prelude::*;
use towpath_crypto::Digest;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::Party;
use towpath_protocol::limits::TOWER_LEAVES_BLOCKS;
use towpath_protocol::tower::{
    Entry, Locator, Outcome, Quotas, RECORD_BYTES, Receipt, Refusal, Sealed, Sequence, Service, Serving,
    Sighting, Sponsor, Standing, Tower, TowerMessage,
};

use super::common::Random;
use super::ledger::Ledger;
use super::towers::{Disk, Host, records};

const SMALL: Quotas =
    Quotas { records_max: 20, known_max: 8, per_channel: 2, stranger_max: 3, strangers_max: 6 };

fn node(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

fn entry(place: u8, version: u64, content: u8) -> Entry {
    Entry {
        locator: Locator(Digest([place; 32])),
        sequence: Sequence { generation: 0, version },
        sealed: Sealed(Box::new([content; RECORD_BYTES])),
    }
}

/// A shelf and its disk.
struct Shelves {
    service: Service,
    disk: Disk,
}

impl Shelves {
    fn new(quotas: Quotas) -> Self {
        let disk = Disk::new();
        Self { service: Service::open(quotas, &disk).unwrap(), disk }
    }

    fn keep(&mut self, client: u8, standing: Standing, entry: &Entry) -> Outcome {
        let receipt = self.service.keep(&node(client), standing, entry, &self.disk).unwrap();
        assert_eq!((receipt.locator, receipt.sequence), (entry.locator, entry.sequence));
        receipt.outcome
    }

    fn write(&mut self) {
        for (key, row) in self.service.end_turn() {
            match row {
                Some(row) => self.disk.insert(key, row),
                None => self.disk.remove(&key),
            };
        }
    }

    /// Crashes, with the turn written or lost.
    fn crash(&mut self, quotas: Quotas) {
        self.service = Service::open(quotas, &self.disk).unwrap();
    }

    fn shown(&self, client: u8) -> Vec<Entry> {
        let mut all = Vec::new();
        let mut from = None;
        loop {
            let page = self.service.list(&node(client), from, &self.disk).unwrap();
            let TowerMessage::Page { after, entries, is_last } = page else { panic!("a page") };
            assert_eq!(after, from);
            from = entries.last().map(|entry| entry.locator);
            all.extend(entries);
            if is_last {
                return all;
            }
        }
    }
}

#[test]
fn w1_only_newer_records_replace_and_in_place() {
    let mut shelves = Shelves::new(SMALL);
    assert_eq!(shelves.keep(1, Standing::Named, &entry(1, 5, 5)), Outcome::Kept);
    assert_eq!(shelves.keep(1, Standing::Named, &entry(1, 5, 5)), Outcome::Kept, "the same again");
    let kept = Sequence { generation: 0, version: 5 };
    assert_eq!(shelves.keep(1, Standing::Named, &entry(1, 5, 6)), Outcome::Older { kept });
    shelves.write();
    assert_eq!(shelves.keep(1, Standing::Named, &entry(1, 4, 4)), Outcome::Older { kept });
    assert_eq!(shelves.keep(1, Standing::Named, &entry(1, 6, 6)), Outcome::Kept);
    shelves.write();
    assert_eq!(shelves.shown(1), [entry(1, 6, 6)]);
    let resized = Entry { sequence: Sequence { generation: 1, version: 2 }, ..entry(1, 0, 9) };
    assert_eq!(shelves.keep(1, Standing::Named, &resized), Outcome::Kept, "a later generation is newer");
    assert_eq!(records(&shelves.disk), 1);
}

#[test]
fn w1_nobody_touches_the_record_of_another() {
    let mut shelves = Shelves::new(SMALL);
    assert_eq!(shelves.keep(1, Standing::Named, &entry(1, 5, 5)), Outcome::Kept);
    assert_eq!(shelves.keep(2, Standing::Named, &entry(1, 9, 9)), Outcome::Kept);
    shelves.write();
    assert_eq!(shelves.shown(1), [entry(1, 5, 5)]);
    assert_eq!(shelves.shown(2), [entry(1, 9, 9)]);
}

#[test]
fn w1_quotas_hold_for_each_and_for_all() {
    let mut shelves = Shelves::new(SMALL);
    let full = |records_max| Outcome::Refused(Refusal::ClientFull { records_max });
    for place in 0..8 {
        assert_eq!(shelves.keep(1, Standing::Named, &entry(place, 1, 1)), Outcome::Kept);
    }
    assert_eq!(shelves.keep(1, Standing::Named, &entry(8, 1, 1)), full(8));
    assert_eq!(shelves.keep(1, Standing::Named, &entry(0, 2, 2)), Outcome::Kept, "replacing needs no room");
    // Strangers fill their part and no more, however many they are.
    let mut taken = 0;
    for stranger in 10..200 {
        for place in 0..4 {
            let outcome = shelves.keep(stranger, Standing::Stranger, &entry(place, 1, 1));
            match outcome {
                Outcome::Kept => taken += 1,
                Outcome::Refused(Refusal::Full) => {}
                other => assert_eq!((place, other), (3, full(3))),
            }
        }
    }
    assert_eq!(taken, SMALL.strangers_max);
    for place in 0..6 {
        assert_eq!(shelves.keep(2, Standing::Named, &entry(place, 1, 1)), Outcome::Kept);
    }
    let refused = shelves.keep(2, Standing::Named, &entry(6, 1, 1));
    assert_eq!(refused, Outcome::Refused(Refusal::Full), "twenty in all");
    let usage = shelves.service.usage();
    assert_eq!((usage.records, usage.strangers, usage.clients), (20, 6, 4));
}

/// A client that comes to be known, or is no more, counts where it stands.
#[test]
fn standing_moves_a_clients_records() {
    let mut shelves = Shelves::new(SMALL);
    for place in 0..3 {
        assert_eq!(shelves.keep(1, Standing::Stranger, &entry(place, 1, 1)), Outcome::Kept);
    }
    assert_eq!(shelves.service.usage().strangers, 3);
    assert_eq!(shelves.keep(1, Standing::Named, &entry(3, 1, 1)), Outcome::Kept);
    assert_eq!(shelves.service.usage().strangers, 0);
    let full = Outcome::Refused(Refusal::ClientFull { records_max: 3 });
    assert_eq!(shelves.keep(1, Standing::Stranger, &entry(4, 1, 1)), full);
    assert_eq!(shelves.keep(1, Standing::Stranger, &entry(3, 2, 2)), Outcome::Kept, "what it has stays");
}

/// A channel costs little and buys little: a quota grows with the number of channels, and never beyond a known client's.
#[test]
fn w1_a_client_gets_room_by_its_channels() {
    for (channels, records_max) in [(0, 3), (1, 5), (2, 7), (3, 8), (1_000, 8), (u64::MAX, 8)] {
        let mut shelves = Shelves::new(SMALL);
        let standing = Standing::of_channels(channels);
        assert_eq!(shelves.service.quota(&node(1), standing).records_max, records_max);
        for place in 0..10 {
            let outcome = shelves.keep(1, standing, &entry(place, 1, 1));
            let full = Outcome::Refused(Refusal::ClientFull { records_max });
            assert_eq!(outcome, if u64::from(place) < records_max { Outcome::Kept } else { full });
        }
    }
}

/// Who settles its channels with the tower is a stranger again, for its own quota and for that of all strangers; what it
/// has stays.
#[test]
fn w1_a_client_without_channels_is_a_stranger_again() {
    let mut shelves = Shelves::new(SMALL);
    for place in 0..5 {
        assert_eq!(shelves.keep(1, Standing::of_channels(1), &entry(place, 1, 1)), Outcome::Kept);
    }
    assert_eq!(shelves.keep(2, Standing::Stranger, &entry(0, 1, 1)), Outcome::Kept);
    assert_eq!(shelves.service.usage().strangers, 1);
    shelves.service.review(&|_| Standing::Stranger);
    assert_eq!(shelves.service.usage().strangers, 6);
    assert_eq!(shelves.keep(3, Standing::Stranger, &entry(0, 1, 1)), Outcome::Refused(Refusal::Full));
    let full = Outcome::Refused(Refusal::ClientFull { records_max: 3 });
    assert_eq!(shelves.keep(1, Standing::Stranger, &entry(6, 1, 1)), full);
    assert_eq!(shelves.keep(1, Standing::Stranger, &entry(4, 2, 2)), Outcome::Kept, "what it has stays");
    shelves.write();
    shelves.crash(SMALL);
    assert_eq!(shelves.service.usage().strangers, 6, "after a restart, too");
    shelves.service.review(&|client| Standing::of_channels(u64::from(*client == node(1))));
    assert_eq!(shelves.service.usage().strangers, 1);
}

/// The operator gets rid of what a client filled: all of it, some at a time, and nothing of others.
#[test]
fn w1_the_operator_can_drop_what_a_client_gave() {
    let mut shelves = Shelves::new(SMALL);
    for place in 0..8 {
        assert_eq!(shelves.keep(1, Standing::Named, &entry(place, 1, 1)), Outcome::Kept);
    }
    assert_eq!(shelves.keep(2, Standing::Named, &entry(3, 1, 1)), Outcome::Kept);
    shelves.write();
    for dropped in [3, 3, 2, 0] {
        assert_eq!(shelves.service.drop_client(&node(1), 3, &shelves.disk), Ok(dropped));
        shelves.write();
    }
    assert_eq!((shelves.shown(1), shelves.shown(2)), (Vec::new(), vec![entry(3, 1, 1)]));
    assert_eq!(shelves.service.clients().collect::<Vec<_>>(), [(node(2), 1, false)]);
    shelves.crash(SMALL);
    assert_eq!((shelves.service.usage().records, records(&shelves.disk)), (1, 1));
    assert_eq!(shelves.disk.len(), 3, "a record, its index and an account");
    assert_eq!(shelves.keep(1, Standing::Stranger, &entry(1, 1, 1)), Outcome::Kept, "it may come again");
}

#[test]
fn settled_channels_free_their_place_whoever_took_it() {
    let mut ledger = Ledger::new();
    let pair = ledger.open(1).remove(0);
    let mut host = Host::new(&ledger, Sponsor::No);
    for (client, party) in [(1, Party::A), (2, Party::B), (3, Party::A)] {
        let record = pair.record(party, 4);
        let slot = record.slot();
        let entry = Entry { locator: slot.locator, sequence: record.sequence(), sealed: record.seal(&slot) };
        host.hear(&node(client), &TowerMessage::Keep(vec![entry, self::entry(client, 1, 1)]));
    }
    assert_eq!(records(&host.disk), 6);
    host.see(vec![Sighting::Settled { channel: pair.id(), tag: pair.tag() }]);
    assert_eq!((records(&host.disk), host.tower.usage().records), (3, 3));
    host.restart(&ledger);
    assert_eq!((host.tower.usage().records, host.tower.usage().clients), (3, 3));
}

/// Whoever knows a channel's tag can settle a channel of its own under it: that must not erase what defends the first.
#[test]
fn w1_a_foreign_channel_under_the_same_tag_erases_nothing() {
    let mut ledger = Ledger::new();
    let [victim, foreign] = <[_; 2]>::try_from(ledger.open(2)).unwrap_or_else(|_| panic!("two channels"));
    let mut host = Host::new(&ledger, Sponsor::No);
    let record = victim.record(Party::B, 4);
    let slot = record.slot();
    let kept = Entry { locator: slot.locator, sequence: record.sequence(), sealed: record.seal(&slot) };
    host.hear(&node(1), &TowerMessage::Keep(vec![kept]));
    host.see(vec![Sighting::Settled { channel: foreign.id(), tag: victim.tag() }]);
    assert_eq!(records(&host.disk), 1);
    host.see(vec![Sighting::Settled { channel: victim.id(), tag: victim.tag() }]);
    assert_eq!(records(&host.disk), 0);
}

/// A channel that is settled while the tower is down frees its place when the tower starts again.
#[test]
fn what_was_settled_meanwhile_is_forgotten_at_the_next_start() {
    let mut ledger = Ledger::new();
    let pair = ledger.open(1).remove(0);
    let mut host = Host::new(&ledger, Sponsor::No);
    let record = pair.record(Party::B, 4);
    let slot = record.slot();
    let kept = Entry { locator: slot.locator, sequence: record.sequence(), sealed: record.seal(&slot) };
    host.hear(&node(1), &TowerMessage::Keep(vec![kept]));
    ledger.submit(pair.close(&ledger, Party::A, 4)).expect("a valid one");
    let (seen, _) = ledger.block(1_000);
    host.see(seen);
    assert_eq!(host.tower.cases(), [(pair.id(), pair.tag())]);
    for _ in 0..61 {
        ledger.block(10_000);
    }
    // The parties would come first.
    for _ in 0..=TOWER_LEAVES_BLOCKS {
        assert!(ledger.closing(pair.id()).is_some(), "it is left to them");
        host.act(&mut ledger, towpath_ledger::mempool::Source::Local);
        ledger.block(10_000);
    }
    assert!(ledger.closing(pair.id()).is_none(), "paid out, and the tower does not see it");
    host.restart(&ledger);
    assert_eq!((records(&host.disk), host.tower.cases()), (0, Vec::new()));
}

#[test]
fn a_node_that_serves_nobody_takes_nothing_and_shows_what_it_promised() {
    let ledger = Ledger::new();
    let mut host = Host::new(&ledger, Sponsor::No);
    host.hear(&node(1), &TowerMessage::Keep(vec![entry(1, 1, 1)]));
    host.tower.serve(Serving::No);
    let answer = host.hear(&node(1), &TowerMessage::Keep(vec![entry(1, 2, 2)]));
    let outcome = Outcome::Refused(Refusal::NotServing);
    let receipt = Receipt { locator: entry(1, 2, 2).locator, sequence: entry(1, 2, 2).sequence, outcome };
    assert_eq!(answer, Some(TowerMessage::Receipts(vec![receipt])));
    let list = TowerMessage::List { after: None };
    let page = TowerMessage::Page { after: None, entries: vec![entry(1, 1, 1)], is_last: true };
    assert_eq!(host.hear(&node(1), &list), Some(page));
    assert_eq!(host.hear(&node(2), &list), None, "strangers learn nothing");
    assert_eq!(host.hear(&node(1), &TowerMessage::AskQuota), Some(TowerMessage::Quota(None)));
}

#[test]
fn pages_show_everything_once() {
    let quotas = Quotas { known_max: 1_000, records_max: 1_000, ..SMALL };
    let mut shelves = Shelves::new(quotas);
    let all: Vec<Entry> = (0..200).map(|place| entry(place, u64::from(place) + 1, place)).collect();
    for one in all.iter().rev() {
        assert_eq!(shelves.keep(7, Standing::Named, one), Outcome::Kept);
    }
    shelves.write();
    assert_eq!(shelves.shown(7), all);
    assert_eq!(shelves.shown(8), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// W3: whatever comes, and wherever the tower dies, what it said it kept is there after the restart, or something
    /// newer; and the books agree with the disk.
    #[test]
    fn w3_what_was_acknowledged_survives_a_crash_at_every_write(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let mut shelves = Shelves::new(SMALL);
        let mut promised = std::collections::BTreeMap::new();
        for _ in 0..60 {
            let mut said = Vec::new();
            for _ in 0..random.below(6) {
                let client = u8::try_from(random.below(5)).unwrap();
                let standing = if client < 2 { Standing::Named } else { Standing::Stranger };
                let one = entry(u8::try_from(random.below(6)).unwrap(), random.below(9) + 1, 1);
                if shelves.keep(client, standing, &one) == Outcome::Kept {
                    said.push(((client, one.locator), one.sequence));
                }
            }
            // Before the write nothing was said; after it everything.
            if random.below(3) == 0 {
                shelves.crash(SMALL);
            } else {
                shelves.write();
                promised.extend(said);
                if random.below(3) == 0 {
                    shelves.crash(SMALL);
                }
            }
            for ((client, locator), sequence) in &promised {
                let shown = shelves.shown(*client);
                let kept = shown.iter().find(|entry| entry.locator == *locator);
                prop_assert!(kept.is_some_and(|entry| entry.sequence >= *sequence));
            }
            let usage = shelves.service.usage();
            prop_assert_eq!(usage.records, records(&shelves.disk) as u64);
            prop_assert!(usage.records <= SMALL.records_max && usage.strangers <= SMALL.strangers_max);
        }
    }
}

/// A tower that acknowledges before its write is durable is found out by the same check.
#[test]
fn w3_the_check_sees_a_tower_that_speaks_too_early() {
    let mut shelves = Shelves::new(SMALL);
    assert_eq!(shelves.keep(1, Standing::Named, &entry(1, 5, 5)), Outcome::Kept);
    shelves.crash(SMALL);
    assert_eq!(shelves.shown(1), [], "what was said before the write is lost");
}

#[test]
fn a_damaged_row_is_no_answer() {
    let ledger = Ledger::new();
    let mut host = Host::new(&ledger, Sponsor::No);
    host.hear(&node(1), &TowerMessage::Keep(vec![entry(1, 1, 1)]));
    let key = host.disk.keys().find(|key| key[0] == b'r').unwrap().clone();
    host.disk.insert(key.clone(), vec![9, 9]);
    let list = TowerMessage::List { after: None };
    assert!(host.tower.hear(&node(1), Standing::Named, &list, &host.disk).is_err());
    host.disk.remove(&key);
    assert!(host.tower.hear(&node(1), Standing::Named, &list, &host.disk).is_err());
    host.disk.insert(vec![b'n', 1], vec![1]);
    let rules = ledger.rules();
    assert!(Tower::open((Serving::Yes, SMALL), rules, Sponsor::No, &host.disk).is_err());
}
