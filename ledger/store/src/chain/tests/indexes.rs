//! The indexes by wallet key and by channel.

use towpath_crypto::ed25519::SecretKey;
use towpath_ledger::{
    Amount, AssetId, ChannelId, ChannelTerms, Digest, Entry, Lock, Multisig, OutPoint, Output, Payout, Time,
    Timelock, TxId,
};

use super::super::index;
use super::super::keys;
use super::world::{FEE, START, in_memory, payout, secret, sign};
use crate::{Batch, Change, Column, Movement, Position};

fn output(amount: u64, payout: Payout) -> Output {
    Output { asset: AssetId::NATIVE, amount: Amount(amount), lock: Lock::Wallet(payout) }
}

#[test]
fn a_history_is_read_page_by_page_newest_first() {
    let ledger = in_memory();
    for _ in 0..5 {
        ledger.advance(&[ledger.pay(1, &payout(2), 10_000, None)]);
    }
    let key = secret(2).public();
    let first = ledger.chain.history(&key, None, 4).expect("it reads");
    let heights: Vec<u64> = first.rows.iter().map(|row| row.height).collect();
    assert_eq!(heights, [5, 4, 3, 2]);
    assert_eq!(first.older, Some(Position { height: 2, index: 0 }));
    let second = ledger.chain.history(&key, first.older, 4).expect("it reads");
    let heights: Vec<u64> = second.rows.iter().map(|row| row.height).collect();
    assert_eq!((heights, second.older), (vec![1, 0], None));
    let received = Movement { asset: AssetId::NATIVE, spent: Amount::ZERO, received: Amount(10_000) };
    assert_eq!(second.rows[0].movements, [received]);
    assert_eq!(second.rows[1].movements[0].received, Amount(START));
    let payer = ledger.chain.history(&secret(1).public(), None, 1).expect("it reads");
    let [movement] = payer.rows[0].movements[..] else { panic!("one asset") };
    assert_eq!(movement.spent.units() - movement.received.units(), 10_000 + FEE);
}

#[test]
fn outputs_are_found_by_each_key_of_their_lock() {
    let ledger = in_memory();
    let mut keys = vec![secret(2).public(), secret(3).public()];
    keys.sort();
    let shared = Payout::Multisig(Multisig { required: 2, keys: keys.clone() });
    let later = Payout::Timelock(Timelock { not_before: Time(u64::MAX / 2), key: secret(4).public() });
    let coin = ledger.chain.outputs_of(&payout(1)).expect("it reads").remove(0);
    let outputs = vec![
        output(50_000, shared.clone()),
        output(60_000, later.clone()),
        output(START - 110_000 - FEE, payout(1)),
    ];
    ledger.advance(&[sign(1, ledger.chain.chain(), coin, outputs, None)]);
    let chain = &ledger.chain;
    for key in &keys {
        let found = chain.outputs_of_key(key, None, 10).expect("it reads");
        let amounts: Vec<u64> = found.iter().map(|(_, entry)| entry.output.amount.units()).collect();
        assert!(amounts.contains(&50_000) && amounts.contains(&START), "{amounts:?}");
    }
    assert_eq!(chain.outputs_of(&shared).expect("it reads").len(), 1);
    assert_eq!(chain.outputs_of(&later).expect("it reads").len(), 1);
    assert_eq!(chain.outputs_of(&payout(2)).expect("it reads").len(), 1, "exactly this lock");
    let page = chain.outputs_of_key(&keys[0], None, 1).expect("it reads");
    let rest = chain.outputs_of_key(&keys[0], Some(&page[0].0), 10).expect("it reads");
    assert_eq!((page.len(), rest.len()), (1, 1));
}

fn terms() -> ChannelTerms {
    ChannelTerms {
        id: ChannelId(Digest([7; 32])),
        generation: 0,
        key_a: SecretKey::from_bytes(&[11; 32]).public(),
        key_b: SecretKey::from_bytes(&[12; 32]).public(),
        payout_a: payout(1),
        payout_b: payout(2),
        dispute_window_ms: 600_000,
        penalty_basis_points: 5_000,
        reserve: Amount::ZERO,
        close_fee_max: Amount(10_000),
        expiry: None,
    }
}

/// The rows that a batch leaves in the index of channels.
fn channel_rows(batch: &Batch) -> Vec<(&[u8], bool)> {
    let id = keys::channel(&terms().id);
    let mut rows = Vec::new();
    for change in batch.changes() {
        match change {
            Change::Put { column: Column::WalletIndex, key, .. } if *key == id => {
                rows.push((key.as_slice(), true))
            }
            Change::Delete { column: Column::WalletIndex, key } if *key == id => {
                rows.push((key.as_slice(), false))
            }
            Change::Put { .. } | Change::Delete { .. } | Change::DeleteRange { .. } => {}
        }
    }
    rows
}

#[test]
fn a_channel_is_found_by_its_id_and_its_payout_keys_until_it_is_settled() {
    let ledger = in_memory();
    let entry = |index: u32| {
        let lock = Lock::Channel(Box::new(terms()));
        let output = Output { asset: AssetId::NATIVE, amount: Amount(1_000_000), lock };
        let outpoint = OutPoint { tx: TxId(Digest([8; 32])), index };
        (outpoint, Entry { output, height: 1, time: Time(1) })
    };
    // Effects as opening, resizing and settling have them; how they come about is the ledger's.
    let mut effects = ledger.decide(&[]).effects;
    effects.created = vec![entry(0)];
    let mut batch = Batch::new();
    index::block(&mut batch, &effects).expect("indexed");
    let (outpoint, opened) = entry(0);
    batch.put(Column::Outputs, keys::outpoint(&outpoint), crate::row::encode(keys::VERSION, &opened));
    crate::Store::commit(ledger.chain.store(), batch).expect("written");
    let chain = &ledger.chain;
    assert_eq!(chain.channel_output(&terms().id), Ok(Some((outpoint, opened.clone()))));
    let (all, last) = chain.channel_outputs(None, 10).expect("it reads");
    assert_eq!((all, last), (vec![(outpoint, opened.clone())], Some(terms().id)));
    assert_eq!(chain.channel_outputs(last.as_ref(), 10), Ok((Vec::new(), None)));
    for name in [1, 2] {
        let found = chain.contracts_of_key(&secret(name).public(), None, 10).expect("it reads");
        assert_eq!(found, [(outpoint, opened.clone())]);
    }

    effects.spent = vec![entry(0)];
    effects.created = vec![entry(1)];
    let mut resized = Batch::new();
    index::block(&mut resized, &effects).expect("indexed");
    let states: Vec<bool> = channel_rows(&resized).iter().map(|(_, is_put)| *is_put).collect();
    assert_eq!(states, [false, true], "the new output stays");

    effects.spent = vec![entry(1)];
    effects.created = Vec::new();
    let mut settled = Batch::new();
    index::block(&mut settled, &effects).expect("indexed");
    crate::Store::commit(ledger.chain.store(), resized).expect("written");
    crate::Store::commit(ledger.chain.store(), settled).expect("written");
    assert_eq!(chain.channel_output(&terms().id), Ok(None));
    assert_eq!(chain.contracts_of_key(&secret(1).public(), None, 10), Ok(Vec::new()));
}

#[test]
fn what_is_known_by_a_part_of_its_id_is_found_in_its_stretch_alone() {
    let ledger = in_memory();
    let mut sent = Vec::new();
    for _ in 0..5 {
        let transaction = ledger.pay(1, &payout(2), 10_000, None);
        sent.push(transaction.id());
        ledger.advance(&[transaction]);
    }
    let chain = &ledger.chain;
    let all = (&Digest([0; 32]), &Digest([0xff; 32]));
    sent.sort();
    assert_eq!(chain.transactions_between(all, 100).expect("it reads"), sent);
    assert_eq!(chain.transactions_between(all, 2).expect("it reads"), sent[..2]);
    let (second, fourth) = (&sent[1].0, &sent[3].0);
    assert_eq!(chain.transactions_between((second, fourth), 100).expect("it reads"), sent[1..4]);

    let heights: Vec<u64> = chain
        .blocks_between(all, 100)
        .expect("it reads")
        .iter()
        .map(|id| chain.height_of(id).expect("it reads").expect("a block"))
        .collect();
    assert_eq!(heights.iter().collect::<std::collections::BTreeSet<_>>().len(), 6, "the genesis and five");
    let block = chain.blocks_between(all, 1).expect("it reads")[0];
    assert_eq!(chain.blocks_between((&block.0, &block.0), 100).expect("it reads"), [block]);

    let newest = sent
        .iter()
        .find(|id| chain.transaction_place(id).expect("it reads").is_some_and(|place| place.height == 5));
    let newest = newest.expect("the last one");
    let outputs = chain.outputs_between((&newest.0, &newest.0), 100).expect("it reads");
    assert!(!outputs.is_empty() && outputs.iter().all(|outpoint| outpoint.tx == *newest), "{outputs:?}");
    assert!(outputs.iter().all(|outpoint| chain.output(outpoint).expect("it reads").is_some()));
}
