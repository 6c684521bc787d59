use towpath_crypto::seed::Seed;
use towpath_ledger::{Amount, Payout, Witness};
use towpath_store::{MemoryStore, Store};

use super::super::testing::{TestLedger, genesis};
use super::super::{FundsCall, Input};
use super::*;

/// A ledger, a payment that is valid on it, and who checks it.
fn payment() -> (TestLedger, Transaction, Checker) {
    let (ours, other) = (Seed::from_entropy(&[1; 32]), Seed::from_entropy(&[2; 32]));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut ledger = TestLedger::new(ours.clone(), genesis(&[&ours], 2), store);
    let to = Payout::Key(other.wallet_key(0).public());
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let call = FundsCall::Send { to, amount: Amount(1_000_000), claim: None, reply };
    ledger.handle.offer(Input::Funds(call)).expect("room");
    ledger.serve();
    let transaction = ledger.take_waiting().remove(0);
    let checker = Checker::new(Arc::clone(&ledger.chain), ledger.genesis.params.clone());
    (ledger, transaction, checker)
}

#[test]
fn b3_who_passes_on_an_invalid_signature_is_to_blame() {
    let (_ledger, transaction, checker) = payment();
    assert_eq!(checker.check(&codec::encode(&transaction)), Ok(transaction.clone()));
    let mut forged = transaction;
    let Witness::Wallet(signatures) = &mut forged.witnesses[0] else { panic!("a wallet's") };
    signatures[0].1.0[40] ^= 1;
    assert_eq!(checker.check(&codec::encode(&forged)), Err(Verdict::Reject));
    assert_eq!(checker.check(b"no transaction"), Err(Verdict::Reject));
}

#[test]
fn who_passes_on_what_another_tip_allows_is_not() {
    let (mut ledger, transaction, checker) = payment();
    let block = ledger.build(std::slice::from_ref(&transaction), 1_000);
    ledger.apply(&block);
    assert_eq!(checker.check(&codec::encode(&transaction)), Err(Verdict::Ignore), "its coin is spent by now");
}
