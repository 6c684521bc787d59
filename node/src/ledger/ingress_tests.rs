use towpath_crypto::seed::Seed;
use towpath_ledger::{Amount, Payout, Witness};
use towpath_store::{MemoryStore, Store};

use super::super::testing::{TestLedger, genesis};
use super::super::{FundsCall, Input};
use super::*;

const PEER: PublicKey = PublicKey([5; 32]);

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
    let (_ledger, transaction, mut checker) = payment();
    assert_eq!(checker.check(PEER, &codec::encode(&transaction)), Ok(transaction.clone()));
    let mut forged = transaction;
    let Witness::Wallet(signatures) = &mut forged.witnesses[0] else { panic!("a wallet's") };
    signatures[0].1.0[40] ^= 1;
    assert_eq!(checker.check(PEER, &codec::encode(&forged)), Err(Verdict::Reject));
    assert_eq!(checker.check(PEER, b"no transaction"), Err(Verdict::Reject));
}

#[test]
fn who_passes_on_what_another_tip_allows_is_not() {
    let (mut ledger, transaction, mut checker) = payment();
    let block = ledger.build(std::slice::from_ref(&transaction), 1_000);
    ledger.apply(&block);
    assert_eq!(
        checker.check(PEER, &codec::encode(&transaction)),
        Err(Verdict::Ignore),
        "its coin is spent by now"
    );
    assert!(checker.early.is_empty(), "and comes back no more");
}

/// What the checker hands to the driver.
fn ripe(checker: &mut Checker) -> Vec<Transaction> {
    let ripe = checker.ripe().into_iter().map(|input| match input {
        Input::Ripe { from: PEER, transaction } => *transaction,
        other => panic!("{other:?}"),
    });
    ripe.collect()
}

/// A payment, and one that spends what it makes.
fn chained() -> (TestLedger, [Transaction; 2], Checker) {
    let (ours, other) = (Seed::from_entropy(&[1; 32]), Seed::from_entropy(&[2; 32]));
    let genesis = genesis(&[&ours], 1);
    let pay = |ledger: &mut TestLedger, to: Payout| {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        let call = FundsCall::Send { to, amount: Amount(1_000_000), claim: None, reply };
        ledger.handle.offer(Input::Funds(call)).expect("room");
        ledger.serve();
        ledger.take_waiting().remove(0)
    };
    // Another node with the same wallet, and a replica that is a block ahead.
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut ahead = TestLedger::new(ours.clone(), genesis.clone(), store);
    let to = Payout::Key(other.wallet_key(0).public());
    let first = pay(&mut ahead, to.clone());
    let block = ahead.build(std::slice::from_ref(&first), 1_000);
    ahead.apply(&block);
    let second = pay(&mut ahead, to);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ledger = TestLedger::new(ours, genesis, store);
    let checker = Checker::new(Arc::clone(&ledger.chain), ledger.genesis.params.clone());
    (ledger, [first, second], checker)
}

#[test]
fn l20_what_comes_before_its_block_is_tried_when_the_block_is_applied() {
    let (mut ledger, [first, second], mut checker) = chained();
    let empty = ledger.build(&[], 1_000);
    assert_eq!(checker.check(PEER, &codec::encode(&second)), Err(Verdict::Ignore), "nobody hears of it yet");
    assert_eq!(ripe(&mut checker), []);
    ledger.apply(&empty);
    assert_eq!(ripe(&mut checker), [], "not the block that it needs");
    let block = ledger.build(std::slice::from_ref(&first), 1_000);
    ledger.apply(&block);
    assert_eq!(ripe(&mut checker), [second]);
    assert!(checker.early.is_empty());
}

#[test]
fn l20_what_turns_out_to_be_forged_is_not_passed_on() {
    let (mut ledger, [first, second], mut checker) = chained();
    let mut forged = second;
    let Witness::Wallet(signatures) = &mut forged.witnesses[0] else { panic!("a wallet's") };
    signatures[0].1.0[40] ^= 1;
    assert_eq!(checker.check(PEER, &codec::encode(&forged)), Err(Verdict::Ignore), "nobody can tell yet");
    let block = ledger.build(std::slice::from_ref(&first), 1_000);
    ledger.apply(&block);
    assert_eq!(ripe(&mut checker), []);
    assert!(checker.early.is_empty());
}
