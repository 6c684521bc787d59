//! Applying blocks: what is found afterwards, after a restart, and after a crash at each write.

use towpath_ledger::chain::CommitCertificate;
use towpath_ledger::{Payload, Secret, Time, View as _, tree};

use super::world::{Ledger, Model, genesis, in_memory, payout};
use crate::{
    ChainRetention as Retention, ChainStore, Column, CrashPoint, KeepBlocks, MemoryDisk, MemoryStore, Place,
    RocksOptions, RocksStore, Scan, Store as _, StoreError,
};

fn open(disk: &MemoryDisk) -> Ledger<MemoryStore> {
    let store = MemoryStore::open(disk).expect("it opens").healthy().expect("it is whole");
    Ledger::open(store, Retention::default()).expect("it opens")
}

#[test]
fn block_0_is_written_once() {
    let disk = MemoryDisk::new();
    let ledger = open(&disk);
    assert_eq!(ledger.chain.tip().height(), 0);
    let sequence = ledger.chain.store().sequence();
    let again = open(&disk);
    assert_eq!(again.chain.store().sequence(), sequence);
    Model::genesis(&again.genesis).check(&again.chain, &[]);
    assert_eq!(again.chain.block(0).expect("it reads").map(|block| block.id()), Some(again.chain.tip().id()));
    assert_eq!(again.chain.decided(0), Ok(None), "nobody decided it");
}

#[test]
fn l3_another_genesis_is_refused() {
    let disk = MemoryDisk::new();
    drop(open(&disk));
    let mut other = genesis();
    other.name = "canal-2".into();
    let store = MemoryStore::open(&disk).expect("it opens").store;
    let refused = ChainStore::open(store, &other, Retention::default()).expect_err("another ledger");
    assert!(matches!(refused, StoreError::OtherChain { .. }), "{refused}");
}

#[test]
fn blocks_are_found_as_the_model_has_them_and_after_a_restart() {
    let disk = MemoryDisk::new();
    let mut ledger = open(&disk);
    let mut model = Model::genesis(&ledger.genesis);
    let mut spent = Vec::new();
    for round in 0..6_u64 {
        let payments = [
            ledger.pay(1, &payout(2), 10_000 + round, None),
            ledger.pay(2, &payout(3), 20_000, None),
            ledger.pay(3, &payout(4), 5_000, None),
        ];
        let decided = ledger.advance(&payments);
        model.apply(&decided.effects);
        spent.extend(decided.effects.spent.iter().map(|(outpoint, _)| *outpoint));
        model.check(&ledger.chain, &spent);
        if round % 2 == 1 {
            ledger = open(&disk);
            model.check(&ledger.chain, &spent);
        }
        let chain = &ledger.chain;
        assert_eq!(chain.tip().id(), decided.block.id());
        assert_eq!(chain.height_of(&decided.block.id()), Ok(Some(round + 1)));
        for (index, transaction) in (0..).zip(&decided.block.transactions) {
            let place = Place { height: round + 1, index };
            assert_eq!(chain.transaction(&transaction.id()), Ok(Some((place, transaction.clone()))));
        }
        let (block, certificate) = chain.decided(round + 1).expect("it reads").expect("it is there");
        assert_eq!((&*block, &certificate), (&decided.block, &decided.certificate));
    }
}

#[test]
fn l14_the_ledger_on_disk_is_the_one_in_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let on_disk = || {
        let store = RocksStore::open(&RocksOptions::new(folder.path())).expect("it opens");
        Ledger::open(store.healthy().expect("it is whole"), Retention::default()).expect("it opens")
    };
    let memory = in_memory();
    let mut disk = on_disk();
    for round in 0..4 {
        let payments = [memory.pay(1, &payout(2), 10_000, None), memory.pay(2, &payout(4), 5_000, None)];
        let decided = memory.advance(&payments);
        assert_eq!(disk.decide(&payments).block, decided.block);
        disk.apply(&decided).expect("it is applied");
        if round == 1 {
            drop(disk);
            disk = on_disk();
        }
    }
    for column in Column::ALL {
        let rows = |store: &dyn crate::Store| store.scan(column, &Scan::prefix(&[])).expect("it reads");
        assert_eq!(rows(disk.chain.store()), rows(memory.chain.store()), "{}", column.name());
    }
}

#[test]
fn s1_a_crash_at_any_write_of_a_block_leaves_one_tip_or_the_other() {
    for (crash, expected) in
        [(CrashPoint::BeforeWrite(1), 1), (CrashPoint::AfterWrite(1), 2), (CrashPoint::AfterAnchor(1), 2)]
    {
        let disk = MemoryDisk::new();
        let ledger = open(&disk);
        let mut model = Model::genesis(&ledger.genesis);
        model.apply(&ledger.advance(&[ledger.pay(1, &payout(2), 10_000, None)]).effects);
        let next = ledger.decide(&[ledger.pay(2, &payout(3), 10_000, None)]);
        disk.crash_at(crash);
        assert!(ledger.apply(&next).is_err());
        let ledger = open(&disk);
        assert_eq!(ledger.chain.tip().height(), expected);
        if expected == 2 {
            model.apply(&next.effects);
        }
        model.check(&ledger.chain, &[]);
        if expected == 1 {
            ledger.apply(&next).expect("the same block can be applied again");
        }
    }
}

#[test]
fn l17_a_block_that_does_not_follow_the_tip_is_refused() {
    let ledger = in_memory();
    let first = ledger.advance(&[]);
    let refused = |result: Result<crate::Batch, StoreError>| {
        assert!(matches!(result, Err(StoreError::OutOfOrder(_))), "{result:?}");
    };
    let apply = |block, certificate, effects| ledger.chain.apply(block, certificate, effects);
    refused(apply(&first.block, &first.certificate, &first.effects));
    let second = ledger.decide(&[]);
    refused(apply(&second.block, &first.certificate, &second.effects));
    refused(apply(&second.block, &second.certificate, &first.effects));
    let other = CommitCertificate { block: first.block.id(), ..second.certificate.clone() };
    refused(apply(&second.block, &other, &second.effects));
    assert!(ledger.chain.applied(&first.block, &first.effects).is_err());
    ledger.apply(&second).expect("in order");
}

#[test]
fn s4_a_state_tree_that_does_not_fit_the_tip_is_noticed() {
    let disk = MemoryDisk::new();
    let ledger = open(&disk);
    ledger.advance(&[ledger.pay(1, &payout(2), 10_000, None)]);
    let store = ledger.chain.store();
    let rows = store.scan(Column::StateTree, &Scan::prefix(&[])).expect("it reads");
    let old_root = tree::root(&ledger.chain, 0).expect("it is kept");
    assert_ne!(old_root, ledger.chain.tip().header().state_root);
    // The root's row of version 1 is given the content of version 0's.
    let of = |version: u64| {
        let prefix = [b"n".as_slice(), &version.to_be_bytes()].concat();
        rows.iter().find(|(key, _)| key.starts_with(&prefix)).expect("each version has a root").clone()
    };
    let mut batch = crate::Batch::new();
    batch.put(Column::StateTree, of(1).0, of(0).1);
    store.commit(batch).expect("written");
    let store = MemoryStore::open(&disk).expect("it opens").store;
    let refused = ChainStore::open(store, &genesis(), Retention::default()).expect_err("damaged");
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
}

#[test]
fn secrets_are_recorded_listed_by_time_and_forgotten() {
    let ledger = in_memory();
    let secrets: Vec<Secret> = (1..=3).map(|byte| Secret::Preimage([byte; 32])).collect();
    let keys: Vec<_> = secrets.iter().map(|secret| secret.condition().expect("a hash lock").key()).collect();
    let reveal = |secret: Secret| Some(Payload::Reveal(vec![secret]));
    for secret in &secrets {
        ledger.advance(&[ledger.pay(1, &payout(2), 10_000, reveal(*secret))]);
    }
    let chain = &ledger.chain;
    let start = ledger.genesis.time;
    assert_eq!(chain.secret_time(&keys[1]), Ok(Some(start.plus_ms(2_000))));
    let recorded =
        |number: u64| (start.plus_ms(1_000 * number), keys[usize::try_from(number).expect("small") - 1]);
    assert_eq!(chain.secrets_until(start.plus_ms(2_000), 10), Ok(vec![recorded(1), recorded(2)]));
    assert_eq!(chain.secrets_until(Time(u64::MAX), 1), Ok(vec![recorded(1)]));
    for _ in 0..4 {
        ledger.advance(&[]);
    }
    // Height 7 is six seconds behind the first secret, of which five are its retention.
    assert_eq!(chain.secret(&keys[0]), Ok(None));
    assert!(chain.secret(&keys[1]).is_ok_and(|secret| secret.is_some()));
    assert_eq!(chain.secrets_until(Time(u64::MAX), 10), Ok(vec![recorded(2), recorded(3)]));
}

#[test]
fn what_is_too_old_is_pruned_and_nothing_else() {
    let retention = Retention { blocks: KeepBlocks::Newest(3), tree_versions: 2 };
    let ledger = Ledger::open(MemoryStore::new(), retention).expect("it opens");
    let mut model = Model::genesis(&ledger.genesis);
    let mut ids = Vec::new();
    for _ in 0..8 {
        let decided = ledger.advance(&[ledger.pay(1, &payout(2), 10_000, None)]);
        ids.push(decided.block.transactions[0].id());
        model.apply(&decided.effects);
    }
    let chain = &ledger.chain;
    model.check(chain, &[]);
    for height in 1..=8 {
        let kept = height > 5;
        assert_eq!(chain.block(height).expect("it reads").is_some(), kept, "block {height}");
        assert!(chain.header(height).is_ok_and(|header| header.is_some()), "headers stay");
        let id = &ids[usize::try_from(height).expect("small") - 1];
        assert_eq!(chain.transaction_place(id).expect("it reads").is_some(), kept);
        assert_eq!(tree::root(chain, height).is_ok(), height > 6, "tree {height}");
    }
    // A tree of two versions stays as small as the ledger: one row for the root and a few more, of each version.
    let rows = chain.store().scan(Column::StateTree, &Scan::prefix(&[])).expect("it reads");
    assert!(rows.len() < 24, "{} rows", rows.len());
}

#[test]
fn l15_applying_a_block_removes_the_consensus_log_up_to_it() {
    let ledger = in_memory();
    let log = crate::ConsensusLog::new(ledger.chain.store());
    let records = |height: u8| vec![vec![height, 1], vec![height, 2]];
    for height in 1..=2 {
        log.append(height.into(), 0, &records(height)).expect("written");
        log.append(height.into(), 2, &[vec![height, 3]]).expect("written");
    }
    assert_eq!(log.load(1), Ok(vec![vec![1, 1], vec![1, 2], vec![1, 3]]));
    ledger.advance(&[]);
    assert_eq!(log.load(1), Ok(Vec::new()));
    assert_eq!(log.load(2).map(|records| records.len()), Ok(3));
    log.append(3, 1, &[vec![9]]).expect("written");
    assert!(matches!(log.load(3), Err(StoreError::Corrupt { .. })), "record 0 is missing");
}
