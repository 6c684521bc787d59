//! Reservations: how many coins, and for how long.

use std::sync::Arc;

use towpath_crypto::codec;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{AssetId, ChannelId, ChannelTerms, Digest, Lock, Multisig, limits as ledger_limits};
use towpath_protocol::limits::FUNDED_TOGETHER_MAX;
use towpath_store::{Batch, Column, MemoryStore, Scan, Store};

use super::testing::{COIN, TestLedger, genesis};
use super::*;

fn seed() -> towpath_crypto::seed::Seed {
    towpath_crypto::seed::Seed::from_entropy(&[1; 32])
}

/// A wallet with so many coins.
fn ledger(coins: usize) -> TestLedger {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    TestLedger::new(seed(), genesis(&[&seed()], coins), store)
}

fn reserve(ledger: &mut TestLedger, purpose: Purpose) -> Result<Reserved, FundsError> {
    let (reply, mut answer) = oneshot::channel();
    ledger.handle.offer(Input::Funds(FundsCall::Reserve { purpose, reply })).expect("room");
    ledger.serve();
    answer.try_recv().expect("an answer")
}

#[test]
fn coins_of_a_funding_by_both_fit_into_one_message() {
    let mut ledger = ledger(40);
    let until = ledger.time().plus_ms(1_000);
    let inputs_max = towpath_protocol::limits::FUNDING_INPUTS_MAX;
    let of = |coins: u64| Purpose { amount: Amount(coins * COIN - 100_000), inputs_max, until };
    let too_many = reserve(&mut ledger, of(33)).expect_err("one coin more than a message holds");
    assert_eq!(too_many, FundsError::Wallet(crate::wallet::WalletError::TooFragmented { inputs_max }));
    assert_eq!(reserve(&mut ledger, of(32)).expect("as many as it holds").coins.len(), inputs_max);
}

#[test]
fn a_reservation_that_nobody_releases_ends_with_its_funding() {
    let mut ledger = ledger(2);
    let until = ledger.time().plus_ms(1_000);
    let purpose = Purpose { amount: Amount(1_000), inputs_max: 32, until };
    reserve(&mut ledger, purpose).expect("a coin");
    for (after_ms, reserved) in [(1_000, COIN), (1, 0)] {
        let block = ledger.build(&[], after_ms);
        ledger.apply(&block);
        assert_eq!(ledger.wallet(), (2 * COIN - reserved, reserved), "{after_ms} ms later");
    }
}

#[test]
fn coins_that_were_signed_for_after_a_restart_are_set_aside_as_long() {
    let mut ledger = ledger(2);
    let payout = Payout::Key(seed().wallet_key(0).public());
    let (outpoint, entry) = ledger.chain.outputs_of(&payout).expect("it reads").remove(0);
    let expiry = Some(ledger.time().plus_ms(1_000));
    let chain = ledger.chain.chain();
    let body = TxBody {
        chain,
        inputs: vec![outpoint],
        outputs: Vec::new(),
        not_before: None,
        expiry,
        payload: None,
    };
    let (reply, mut answer) = oneshot::channel();
    let (body, spent) = (Box::new(body), vec![entry.output]);
    let call = FundsCall::SignFunding { body, spent, from: 0, to: 1, reply };
    ledger.handle.offer(Input::Funds(call)).expect("room");
    ledger.serve();
    assert_eq!(answer.try_recv().expect("an answer").expect("our coin").len(), 1);
    assert_eq!(ledger.wallet(), (COIN, COIN));
    let block = ledger.build(&[], 1_001);
    ledger.apply(&block);
    assert_eq!(ledger.wallet(), (2 * COIN, 0));
}

/// A channel's output with a peer's payout to as many keys as there can be.
fn largest_channel(ledger: &TestLedger, amount: Amount) -> Output {
    let keys = (0..ledger_limits::MULTISIG_KEYS_MAX).map(|number| {
        let number = u8::try_from(number).expect("small");
        WalletKey([number; 32])
    });
    let terms = ChannelTerms {
        id: ChannelId(Digest::ZERO),
        generation: 0,
        key_a: PublicKey([1; 32]),
        key_b: PublicKey([2; 32]),
        payout_a: Payout::Key(seed().wallet_key(0).public()),
        payout_b: Payout::Multisig(Multisig { required: 1, keys: keys.collect() }),
        dispute_window_ms: 1,
        penalty_basis_points: 1,
        reserve: Amount(1),
        close_fee_max: Amount(1),
        expiry: Some(ledger.time()),
    };
    Output { asset: AssetId::NATIVE, amount, lock: Lock::Channel(Box::new(terms)) }
}

#[test]
fn c12_no_payout_of_peers_makes_a_funding_too_large_or_too_dear() {
    let mut ledger = ledger(crate::limits::WALLET_INPUTS);
    let coins = u64::try_from(crate::limits::WALLET_INPUTS).expect("small");
    let channels = u64::try_from(FUNDED_TOGETHER_MAX).expect("small");
    let until = ledger.time().plus_ms(1_000);
    let amount = Amount((coins * COIN - 300_000) / channels);
    let purpose = Purpose {
        amount: Amount(amount.units() * channels),
        inputs_max: crate::limits::WALLET_INPUTS,
        until,
    };
    let (reply, mut answer) = oneshot::channel();
    let call = FundsCall::ReserveShared { purpose, channels: FUNDED_TOGETHER_MAX, reply };
    ledger.handle.offer(Input::Funds(call)).expect("room");
    ledger.serve();
    let reserved = answer.try_recv().expect("an answer").expect("coins");
    assert_eq!(reserved.coins.len(), crate::limits::WALLET_INPUTS, "as many inputs as there can be");
    let shares = vec![Share::Channel(Box::new(largest_channel(&ledger, amount))); FUNDED_TOGETHER_MAX];
    let first_input = reserved.first_input().expect("a coin");
    let plan = SharedFunding { first_input, shares, expiry: until };
    let (made, fee) = ledger.funds.plan_shared(&plan).expect("the coins suffice");
    let bytes = codec::encode(&made).len();
    assert!(bytes <= usize::try_from(ledger_limits::TRANSACTION_BYTES_MIN).expect("small"), "{bytes} bytes");
    let least = ledger.genesis.params.rules.fee_min(u64::try_from(bytes).expect("small"));
    assert_eq!(fee, least);
    let change = made.body.outputs.first().expect("change").amount;
    assert!(change >= ledger.genesis.params.rules.output_min, "{change}");
    let out: u64 = made.body.outputs.iter().map(|output| output.amount.units()).sum();
    assert_eq!(out + fee.units(), coins * COIN);
}

/// What is left of a funding of many channels in a backup: its row, as this program writes it or as earlier ones did.
fn in_backup(from: &Arc<dyn Store>, body: &TxBody, version: u8) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let rows = from.scan(Column::Meta, &Scan::prefix(b"wallet-funding/")).expect("it reads");
    let mut batch = Batch::new();
    for (key, row) in rows {
        let old = [vec![1], codec::encode(body)].concat();
        batch.put(Column::Meta, key, if version == 1 { old } else { row });
    }
    store.commit(batch).expect("no write fails here");
    store
}

fn fund_two(ledger: &mut TestLedger) -> (OutPoint, Output, Transaction) {
    let until = ledger.time().plus_ms(100_000);
    let purpose = Purpose { amount: Amount(200_000), inputs_max: crate::limits::WALLET_INPUTS, until };
    let (reply, mut answer) = oneshot::channel();
    let call = FundsCall::ReserveShared { purpose, channels: 2, reply };
    ledger.handle.offer(Input::Funds(call)).expect("room");
    ledger.serve();
    let first_input = answer.try_recv().expect("an answer").expect("coins").first_input().expect("a coin");
    let shares = vec![Share::Back(Amount(100_000)), Share::Back(Amount(100_000))];
    let plan = Box::new(SharedFunding { first_input, shares, expiry: until });
    let (reply, mut answer) = oneshot::channel();
    ledger.handle.offer(Input::Funds(FundsCall::FundShared { plan, claim: None, reply })).expect("room");
    ledger.serve();
    answer.try_recv().expect("an answer").expect("it is made");
    let made = ledger.take_waiting().remove(0);
    let output = made.body.outputs.get(1).cloned().expect("a place");
    (first_input, output, made)
}

fn pay(ledger: &mut TestLedger, amount: u64) -> Transaction {
    let (reply, _answer) = oneshot::channel();
    let to = Payout::Key(towpath_crypto::seed::Seed::from_entropy(&[2; 32]).wallet_key(0).public());
    let call = FundsCall::Send { to, amount: Amount(amount), claim: None, reply };
    ledger.handle.offer(Input::Funds(call)).expect("room");
    ledger.serve();
    ledger.take_waiting().remove(0)
}

/// S10: on a replica at the genesis the coins of a funding are not made yet. Whoever took it for void would spend them again,
/// and its channels would never be funded; only what the ledger shows decides.
#[test]
fn s10_a_funding_of_many_in_a_backup_is_not_void_before_the_ledger_says_so() {
    let node = |store: &Arc<dyn Store>| TestLedger::new(seed(), genesis(&[&seed()], 1), Arc::clone(store));
    let memory = || -> Arc<dyn Store> { Arc::new(MemoryStore::new()) };
    let (here_store, there_store) = (memory(), memory());
    let (mut here, mut there) = (node(&here_store), node(&there_store));
    let made = pay(&mut here, 1_000);
    let first = here.build(&[made], 1_000);
    here.apply(&first);
    there.apply(&first);
    let (first_input, output, funding) = fund_two(&mut here);
    // The same coin, spent by the funding, or by a payment that another copy of this wallet made.
    let other = pay(&mut there, 2_000);
    for (version, last) in [(2, &funding), (2, &other), (1, &funding), (1, &other)] {
        let second = here.build(std::slice::from_ref(last), 1_000);
        assert_eq!(second.transactions.len(), 1);
        let store = in_backup(&here_store, &funding.body, version);
        let rows = || store.scan(Column::Meta, &Scan::prefix(b"wallet-funding/")).expect("it reads").len();
        let mut restored = node(&store);
        let again = |node: &TestLedger| node.funds.shared_again(&node.chain, &first_input, (1, &output));
        match again(&restored) {
            Ok(made) => assert_eq!((version, made), (2, Some(funding.clone())), "at the genesis"),
            Err(error) => assert_eq!(version, 1, "it is not known what it spends: {error}"),
        }
        restored.apply(&first);
        for node in [&restored, &node(&store)] {
            assert_eq!(
                again(node),
                Ok(Some(funding.clone())),
                "where its coin is, after a restart there, too"
            );
            let (available, reserved) = node.wallet();
            assert!(available == 0 && reserved > 0, "nothing else spends it: {available}, {reserved}");
        }
        let before = restored.wallet();
        restored.funds.release(&first_input);
        assert_eq!(restored.wallet(), before, "whoever lets go of it");
        restored.apply(&second);
        again(&restored).expect_err("the ledger has decided");
        assert_eq!((restored.wallet().1, rows()), (0, 0));
    }
}

/// The ledger decided while this node was not looking: it is found out at the next start.
#[test]
fn s10_a_funding_of_many_that_ended_meanwhile_is_forgotten_at_the_next_start() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut here = TestLedger::new(seed(), genesis(&[&seed()], 1), Arc::clone(&store));
    let (first_input, output, funding) = fund_two(&mut here);
    let rows = store.scan(Column::Meta, &Scan::prefix(b"wallet-funding/")).expect("it reads");
    let block = here.build(&[funding], 1_000);
    here.apply(&block);
    // A crash between the block and what it means: the row is still there.
    let mut batch = Batch::new();
    for (key, row) in rows {
        batch.put(Column::Meta, key, row);
    }
    store.commit(batch).expect("no write fails here");
    let again = TestLedger::new(seed(), genesis(&[&seed()], 1), store);
    again.funds.shared_again(&again.chain, &first_input, (1, &output)).expect_err("it is over");
    assert_eq!(again.wallet().1, 0);
}
