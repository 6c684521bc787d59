//! Reservations: how many coins, and for how long.

use std::sync::Arc;

use towpath_crypto::codec;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{AssetId, ChannelId, ChannelTerms, Digest, Lock, Multisig, limits as ledger_limits};
use towpath_protocol::limits::FUNDED_TOGETHER_MAX;
use towpath_store::{MemoryStore, Store};

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
    let (made, fee) = ledger.funds.plan_shared(&ledger.chain, &plan).expect("the coins suffice");
    let bytes = codec::encode(&made).len();
    assert!(bytes <= usize::try_from(ledger_limits::TRANSACTION_BYTES_MIN).expect("small"), "{bytes} bytes");
    let least = ledger.genesis.params.rules.fee_min(u64::try_from(bytes).expect("small"));
    assert_eq!(fee, least);
    let change = made.body.outputs.first().expect("change").amount;
    assert!(change >= ledger.genesis.params.rules.output_min, "{change}");
    let out: u64 = made.body.outputs.iter().map(|output| output.amount.units()).sum();
    assert_eq!(out + fee.units(), coins * COIN);
}
