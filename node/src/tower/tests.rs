//! A tower on a store that dies: what it acknowledged is there when it comes back (W3).

use std::collections::BTreeMap;

use towpath_crypto::Digest;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChainId;
use towpath_ledger::rules::Params;
use towpath_protocol::tower::{
    Entry, LedgerRules, Locator, Outcome, Quotas, RECORD_BYTES, Sealed, Sequence, Serving, Sponsor, Standing,
    Tower, TowerMessage,
};
use towpath_store::{Condition, CrashPoint, MemoryDisk, MemoryStore, Opened, Store, StoreError};

use super::shelf::{Rows, batch};

const CLIENT: PublicKey = PublicKey([7; 32]);

fn rules() -> LedgerRules {
    let chain = ChainId(Digest([1; 32]));
    LedgerRules { chain, params: Params::default(), block_step_ms_max: 10_000 }
}

fn open(disk: &MemoryDisk) -> (MemoryStore, Tower) {
    let Opened { store, condition } = MemoryStore::open(disk).expect("it opens");
    assert_eq!(condition, Condition::Healthy, "nothing that was acknowledged is missing");
    let quotas =
        Quotas { records_max: 100, known_max: 100, per_channel: 1, stranger_max: 1, strangers_max: 1 };
    let tower = Tower::open((Serving::Yes, quotas), rules(), Sponsor::No, &Rows(&store));
    (store, tower.expect("rows of its own"))
}

fn entry(place: u8, version: u64) -> Entry {
    Entry {
        locator: Locator(Digest([place; 32])),
        sequence: Sequence { generation: 0, version },
        sealed: Sealed(Box::new([u8::try_from(version % 256).expect("a byte"); RECORD_BYTES])),
    }
}

/// One turn: receipts only if it is durable, as the thread does it.
fn keep(store: &MemoryStore, tower: &mut Tower, entries: Vec<Entry>) -> Result<TowerMessage, StoreError> {
    let answer = tower.hear(&CLIENT, Standing::Named, &TowerMessage::Keep(entries), &Rows(store));
    let answer = answer.expect("rows of its own").expect("an answer");
    store.commit(batch(tower.end_turn()))?;
    Ok(answer)
}

fn shown(store: &MemoryStore, tower: &mut Tower) -> BTreeMap<Locator, u64> {
    let list = TowerMessage::List { after: None };
    let page = tower.hear(&CLIENT, Standing::Named, &list, &Rows(store)).expect("rows of its own");
    let Some(TowerMessage::Page { entries, is_last: true, .. }) = page else { panic!("one page: {page:?}") };
    entries.into_iter().map(|entry| (entry.locator, entry.sequence.version)).collect()
}

/// Eight turns with a fault set up by `arm`; after it the tower starts again, and everything is given again.
fn survive(arm: impl Fn(&MemoryDisk)) {
    let disk = MemoryDisk::new();
    let (mut store, mut tower) = open(&disk);
    arm(&disk);
    let mut promised: BTreeMap<Locator, u64> = BTreeMap::new();
    for version in 1..=8 {
        let entries: Vec<Entry> = (0..4).map(|place| entry(place, version + u64::from(place))).collect();
        let answer = loop {
            match keep(&store, &mut tower, entries.clone()) {
                Ok(answer) => break answer,
                Err(_died) => {
                    (store, tower) = open(&disk);
                    let shown = shown(&store, &mut tower);
                    for (locator, version) in &promised {
                        assert!(
                            shown.get(locator).is_some_and(|kept| kept >= version),
                            "{promised:?} {shown:?}"
                        );
                    }
                    assert_eq!(tower.usage().records, shown.len() as u64);
                }
            }
        };
        let TowerMessage::Receipts(receipts) = answer else { panic!("receipts") };
        for receipt in receipts {
            assert_eq!(receipt.outcome, Outcome::Kept, "the same again is kept");
            promised.insert(receipt.locator, receipt.sequence.version);
        }
    }
    assert_eq!(shown(&store, &mut tower), promised);
}

#[test]
fn w3_a_tower_that_dies_at_any_write_keeps_what_it_acknowledged() {
    for nth in 1..=8 {
        for point in [CrashPoint::BeforeWrite(nth), CrashPoint::AfterWrite(nth), CrashPoint::AfterAnchor(nth)]
        {
            survive(|disk| disk.crash_at(point));
        }
    }
}

#[test]
fn w3_a_full_disk_loses_nothing_that_was_acknowledged() {
    for nth in 1..=8 {
        survive(|disk| disk.fail_write(nth, StoreError::DiskFull { action: "writing" }));
    }
}

/// A read that fails is no answer: nothing is taken on top of it.
#[test]
fn w3_a_tower_that_cannot_read_answers_nothing() {
    let disk = MemoryDisk::new();
    let (store, mut tower) = open(&disk);
    keep(&store, &mut tower, vec![entry(1, 5)]).expect("kept");
    let failure = StoreError::Io { action: "reading", detail: "a fault".to_owned() };
    disk.fail_read(1, failure);
    let older = TowerMessage::Keep(vec![entry(1, 3)]);
    assert!(tower.hear(&CLIENT, Standing::Named, &older, &Rows(&store)).is_err());
    assert_eq!(tower.end_turn(), []);
}

/// The check sees a disk that lies: then the store itself says that it is behind, and the node starts no tower.
#[test]
fn w3_a_disk_that_lies_is_noticed() {
    let disk = MemoryDisk::new();
    let (store, mut tower) = open(&disk);
    keep(&store, &mut tower, vec![entry(1, 1)]).expect("kept");
    disk.lie_about_syncs();
    keep(&store, &mut tower, vec![entry(1, 2)]).expect("it seems to be kept");
    let opened = MemoryStore::open(&disk).expect("it opens");
    assert!(matches!(opened.condition, Condition::Behind(_)));
}
