//! What is refused before the ledger is read (SPEC L-1 to L-9).

use towpath_crypto::schnorr::WalletKey;
use towpath_crypto::{Amount, codec};

use super::world::*;
use crate::limits;
use crate::rules::{Params, PayloadFault, TxError, check_form};
use crate::types::*;

fn healthy() -> Draft {
    let change = minus(minus(COIN, Amount(5_000)), FEE);
    Draft::of(coin(1, 0), How::Key(alice().wallet), vec![bob().paid(Amount(5_000)), alice().paid(change)])
}

fn form(change: impl FnOnce(&mut TxBody)) -> Result<(), TxError> {
    let world = World::new();
    let mut transaction = healthy().sign(&world.view);
    change(&mut transaction.body);
    check_form(&transaction, &CHAIN, &world.params).map(|_| ())
}

#[test]
fn l2_a_duplicate_input_is_refused() {
    let world = World::new();
    let out = vec![bob().paid(Amount(2 * COIN.units() - FEE.units()))];
    let key = How::Key(alice().wallet);
    let draft = Draft::of(coin(1, 0), key.clone(), out).with(coin(1, 0), key);
    assert_eq!(world.check(&draft.sign(&world.view)), Err(TxError::DuplicateInput(coin(1, 0))));
}

#[test]
fn l6_an_output_of_nothing_is_refused() {
    assert_eq!(form(|body| body.outputs[1].amount = Amount::ZERO), Err(TxError::ZeroOutput(1)));
}

#[test]
fn l21_dust_is_refused_where_nothing_is_owed() {
    let mut world = World::new();
    let least = world.params.output_min;
    let pay = |amount: Amount| {
        let change = minus(minus(COIN, amount), FEE);
        Draft::of(coin(1, 0), How::Key(alice().wallet), vec![bob().paid(amount), alice().paid(change)])
    };
    assert_eq!(world.submit(&pay(minus(least, Amount(1)))), Err(TxError::Dust { index: 0, least }));
    world.submit(&pay(least)).expect("the least amount");
}

#[test]
fn l8_counts_and_sizes_are_bounded() {
    let count = |result| matches!(result, Err(TxError::Count { .. }));
    assert!(count(form(|body| body.inputs.clear())));
    assert!(count(form(|body| body.outputs.clear())));
    assert!(count(form(|body| body.outputs = vec![bob().paid(Amount(1_000)); limits::OUTPUTS_MAX + 1])));
    assert!(count(form(|body| body.inputs = vec![coin(1, 0); limits::INPUTS_MAX + 1])));
    let huge = form(|body| body.outputs = vec![bob().paid(Amount(1_000)); limits::OUTPUTS_MAX]);
    assert_eq!(huge, Ok(()), "as many outputs as allowed fit");
    let keys = vec![alice().wallet.public(); limits::MULTISIG_KEYS_MAX];
    let lock = Lock::Wallet(Payout::Multisig(Multisig { required: 1, keys }));
    let wide = Output { lock, ..bob().paid(Amount(1_000)) };
    let huge = form(|body| body.outputs = vec![wide; limits::OUTPUTS_MAX]);
    assert!(matches!(huge, Err(TxError::TooLarge { .. })));
}

#[test]
fn l8_the_size_limit_is_exact() {
    let world = World::new();
    let mut transaction = healthy().sign(&world.view);
    transaction.body.outputs = vec![bob().paid(Amount(1_000)); 2_400];
    let bytes = u32::try_from(codec::encode(&transaction).len()).expect("small");
    let limited = |limit| {
        let params = Params { transaction_bytes_max: limit, ..Params::default() };
        check_form(&transaction, &CHAIN, &params).is_ok()
    };
    assert!(limited(bytes));
    assert!(!limited(bytes - 1));
}

#[test]
fn witnesses_match_inputs_one_by_one() {
    let world = World::new();
    let mut transaction = healthy().sign(&world.view);
    transaction.witnesses.push(Witness::Wallet(Vec::new()));
    assert_eq!(world.check(&transaction), Err(TxError::WitnessCount { witnesses: 2, inputs: 1 }));
    transaction.witnesses.clear();
    assert_eq!(world.check(&transaction), Err(TxError::WitnessCount { witnesses: 0, inputs: 1 }));
}

#[test]
fn l10_a_lock_that_nobody_can_open_is_refused() {
    let pay = |payout: Payout| form(|body| body.outputs[1].lock = Lock::Wallet(payout));
    let refused = |fault| Err(TxError::BadLock { index: 1, fault });
    let weak = WalletKey([0xff; 32]);
    let good = alice().wallet.public();
    assert_eq!(pay(Payout::Key(weak)), refused(LockFault::WeakKey));
    assert_eq!(pay(Payout::Key(WalletKey([0; 32]))), refused(LockFault::WeakKey));
    let time = Timelock { not_before: Time(1), key: weak };
    assert_eq!(pay(Payout::Timelock(time)), refused(LockFault::WeakKey));
    let mut keys = vec![good, bob().wallet.public()];
    keys.sort_unstable();
    let multi =
        |required, keys: &[WalletKey]| pay(Payout::Multisig(Multisig { required, keys: keys.to_vec() }));
    assert_eq!(multi(2, &keys), Ok(()));
    assert_eq!(multi(3, &keys), refused(LockFault::Threshold));
    assert_eq!(multi(0, &keys), refused(LockFault::Threshold));
    assert_eq!(multi(1, &[]), refused(LockFault::KeyCount));
    assert_eq!(multi(1, &[good; limits::MULTISIG_KEYS_MAX + 1]), refused(LockFault::KeyCount));
    assert_eq!(multi(1, &[good, good]), refused(LockFault::UnsortedKeys));
    keys.reverse();
    assert_eq!(multi(1, &keys), refused(LockFault::UnsortedKeys));
    assert_eq!(multi(1, &[WalletKey([0; 32]), good]), refused(LockFault::WeakKey));
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    let times = |from, until| {
        form(|body| {
            body.not_before = Some(Time(from));
            body.expiry = Some(Time(until));
        })
    };
    assert_eq!(times(5, 5), Ok(()));
    assert_eq!(times(6, 5), Err(TxError::EmptyValidity));
}

#[test]
fn payloads_are_bounded_and_have_one_form() {
    let record = |payload| form(|body| body.payload = Some(payload));
    let refused = |fault| Err(TxError::BadPayload(fault));
    let (one, two) = (Secret::Preimage([1; 32]), Secret::Preimage([2; 32]));
    assert_eq!(record(Payload::Reveal(vec![one, two])), Ok(()));
    assert_eq!(record(Payload::Reveal(vec![])), refused(PayloadFault::SecretCount));
    let many = (0..=limits::SECRETS_MAX).map(|_| one).collect();
    assert_eq!(record(Payload::Reveal(many)), refused(PayloadFault::SecretCount));
    assert_eq!(record(Payload::Reveal(vec![two, one])), refused(PayloadFault::UnsortedSecrets));
    assert_eq!(record(Payload::Reveal(vec![one, one])), refused(PayloadFault::UnsortedSecrets));
    let issue =
        |amount, symbol: &str| record(Payload::Issue { amount: Amount(amount), symbol: symbol.to_owned() });
    assert_eq!(issue(1, "GOLD"), Ok(()));
    assert_eq!(issue(0, "GOLD"), refused(PayloadFault::ZeroIssue));
    for symbol in ["", "TOOLONGSYMBOL", "G\u{202e}D", "A B", "é"] {
        assert_eq!(issue(1, symbol), refused(PayloadFault::BadSymbol), "{symbol:?}");
    }
}

#[test]
fn l7_a_transaction_has_one_encoding() {
    let world = World::new();
    let transaction = healthy().sign(&world.view);
    let limit = limits::TRANSACTION_BYTES_MAX as usize;
    let bytes = codec::encode(&transaction);
    assert_eq!(codec::decode::<Transaction>(&bytes, limit).as_ref(), Ok(&transaction));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(codec::decode::<Transaction>(&longer, limit).is_err(), "trailing bytes");
    for cut in 0..bytes.len() {
        assert!(codec::decode::<Transaction>(&bytes[..cut], limit).is_err(), "cut at {cut}");
    }
    // Whatever else decodes is another transaction, with its own bytes.
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        if let Ok(other) = codec::decode::<Transaction>(&changed, limit) {
            assert_ne!(other, transaction);
            assert_eq!(codec::encode(&other), changed);
        }
    }
}
