//! Wallet keys, multisigs, timelocks; conservation and fees (SPEC L-10 to L-16).

use towpath_crypto::Amount;
use towpath_crypto::schnorr::WalletKey;

use super::world::*;
use crate::rules::{Signatures, TxError, WalletFault, apply_transaction, signatures};
use crate::types::*;
use crate::view::{Overlay, View};

fn pay(amount: u64) -> Draft {
    let change = minus(minus(COIN, Amount(amount)), FEE);
    Draft::of(coin(1, 0), How::Key(alice().wallet), vec![bob().paid(Amount(amount)), alice().paid(change)])
}

#[test]
fn a_transfer_moves_funds_and_pays_its_fee() {
    let mut world = World::new();
    let (before_a, before_b) = (world.holdings(&alice()), world.holdings(&bob()));
    let changes = world.submit(&pay(5_000)).expect("a healthy transfer");
    assert_eq!(changes.fee, FEE);
    assert_eq!(world.holdings(&alice()), before_a - 5_000 - FEE.units());
    assert_eq!(world.holdings(&bob()), before_b + 5_000);
}

#[test]
fn l1_a_spent_output_is_gone_in_this_block_and_in_later_ones() {
    let mut world = World::new();
    let (first, second) = (pay(5_000).sign(&world.view), pay(6_000).sign(&world.view));
    let mut overlay = Overlay::new(&world.view);
    let changes = world.check(&first).expect("a healthy transfer");
    overlay.apply(&changes);
    let again = apply_transaction(&second, &overlay, &world.context(), Signatures::Verify);
    assert_eq!(again, Err(TxError::MissingInput(coin(1, 0))));
    assert_eq!(overlay.entry(&coin(1, 0)), Ok(None));
    world.apply(&first).expect("a healthy transfer");
    assert_eq!(world.apply(&second), Err(TxError::MissingInput(coin(1, 0))));
    assert_eq!(world.apply(&first), Err(TxError::MissingInput(coin(1, 0))));
}

#[test]
fn an_output_can_be_spent_in_the_block_that_makes_it() {
    let world = World::new();
    let changes = world.check(&pay(50_000).sign(&world.view)).expect("a healthy transfer");
    let mut overlay = Overlay::new(&world.view);
    overlay.apply(&changes);
    let mut later = world.view.clone();
    later.apply(&changes);
    let out = vec![carol().paid(Amount(30_000))];
    let next = Draft::of(changes.created[0].0, How::Key(bob().wallet), out).sign(&later);
    let spent = apply_transaction(&next, &overlay, &world.context(), Signatures::Verify);
    let spent = spent.expect("a healthy transfer");
    overlay.apply(&spent);
    assert_eq!(overlay.entry(&changes.created[0].0), Ok(None));
}

#[test]
fn l3_a_transaction_for_another_chain_is_refused() {
    let world = World::new();
    let other = ChainId(Digest([0xc5; 32]));
    let mut transaction = pay(5_000).sign(&world.view);
    transaction.body.chain = other;
    assert_eq!(world.check(&transaction), Err(TxError::OtherChain(other)));
    // Signed for the other chain, shown as one for this.
    let draft = pay(5_000);
    let spent = vec![alice().paid(COIN)];
    let spend = Spend { transaction: draft.body().id(), spent };
    let signature = alice().wallet.sign(&other, &spend);
    let witnesses = vec![Witness::Wallet(vec![(alice().wallet.public(), signature)])];
    let transaction = Transaction { body: draft.body(), witnesses };
    assert_eq!(world.check(&transaction), Err(TxError::BadSignature(0)));
}

#[test]
fn the_signer_commits_to_what_is_spent() {
    let world = World::new();
    let draft = pay(5_000);
    let spend = Spend { transaction: draft.body().id(), spent: vec![alice().paid(Amount(1))] };
    let signature = alice().wallet.sign(&CHAIN, &spend);
    let witnesses = vec![Witness::Wallet(vec![(alice().wallet.public(), signature)])];
    let transaction = Transaction { body: draft.body(), witnesses };
    assert_eq!(world.check(&transaction), Err(TxError::BadSignature(0)));
}

#[test]
fn signatures_can_be_verified_apart() {
    let world = World::new();
    let transaction = pay(5_000).sign(&world.view);
    let checks = signatures(&transaction, &world.view, &world.context()).expect("a healthy transfer");
    assert_eq!(checks.len(), 1);
    assert!(checks.iter().all(crate::rules::SignatureCheck::verify));
    let verified =
        apply_transaction(&transaction, &world.view, &world.context(), Signatures::AlreadyVerified);
    assert_eq!(verified, world.check(&transaction));
}

#[test]
fn l6_more_can_not_come_out_than_goes_in() {
    let world = World::new();
    let all = minus(COIN, FEE);
    let spend = |outputs: Vec<Output>| {
        world.check(&Draft::of(coin(1, 0), How::Key(alice().wallet), outputs).sign(&world.view))
    };
    assert!(spend(vec![bob().paid(all)]).is_ok());
    let more = Amount(COIN.units() + 1);
    assert!(matches!(spend(vec![bob().paid(more)]), Err(TxError::Unbalanced { .. })));
    assert_eq!(spend(vec![bob().paid(Amount::MAX), bob().paid(all)]), Err(TxError::Overflow));
    let wrap = Amount(u64::MAX - COIN.units());
    assert!(matches!(spend(vec![bob().paid(wrap)]), Err(TxError::Unbalanced { .. })));
    assert!(matches!(spend(vec![bob().paid(COIN)]), Err(TxError::FeeTooLow { .. })));
}

#[test]
fn the_least_fee_is_exact() {
    let world = World::new();
    let bytes = world.check(&pay(5_000).sign(&world.view)).expect("a healthy transfer").bytes;
    let pays = |fee: u64| {
        let change = minus(minus(COIN, Amount(5_000)), Amount(fee));
        let outputs = vec![bob().paid(Amount(5_000)), alice().paid(change)];
        world.check(&Draft::of(coin(1, 0), How::Key(alice().wallet), outputs).sign(&world.view))
    };
    assert!(pays(bytes).is_ok());
    let (fee, least) = (Amount(bytes - 1), Amount(bytes));
    assert_eq!(pays(bytes - 1), Err(TxError::FeeTooLow { fee, least }));
}

#[test]
fn an_asset_is_issued_once_and_conserved() {
    let mut world = World::new();
    let asset = AssetId::issued_by(&CHAIN, &coin(1, 0));
    let units = |person: &Person, amount| Output { asset, amount: Amount(amount), ..person.paid(Amount(1)) };
    let issue = |out: u64| Draft {
        inputs: vec![(coin(1, 0), How::Key(alice().wallet))],
        outputs: vec![units(&alice(), out), alice().paid(minus(COIN, FEE))],
        payload: Some(Payload::Issue { amount: Amount(100), symbol: "GOLD".to_owned() }),
    };
    assert!(matches!(world.submit(&issue(99)), Err(TxError::Unbalanced { .. })));
    assert!(matches!(world.submit(&issue(101)), Err(TxError::Unbalanced { .. })));
    let issued = world.submit(&issue(100)).expect("a healthy issue").created[0].0;

    let spend = |to_bob: u64, to_alice: u64| {
        Draft::of(
            issued,
            How::Key(alice().wallet),
            vec![units(&bob(), to_bob), units(&alice(), to_alice), alice().paid(minus(COIN, FEE))],
        )
        .with(coin(1, 1), How::Key(alice().wallet))
    };
    assert!(matches!(world.submit(&spend(60, 39)), Err(TxError::Unbalanced { .. })), "nothing is burnt");
    assert!(matches!(world.submit(&spend(60, 41)), Err(TxError::Unbalanced { .. })));
    assert!(matches!(world.submit(&spend(60, u64::MAX - 10)), Err(TxError::Overflow)));
    world.submit(&spend(60, 40)).expect("a healthy transfer");
}

fn shared(world: &mut World, required: u8, people: &[Person]) -> (OutPoint, Vec<Person>) {
    let mut people = people.to_vec();
    people.sort_by_key(|person| person.wallet.public());
    let keys: Vec<WalletKey> = people.iter().map(|person| person.wallet.public()).collect();
    let lock = Lock::Wallet(Payout::Multisig(Multisig { required, keys }));
    let output = Output { asset: AssetId::NATIVE, amount: minus(COIN, FEE), lock };
    let draft = Draft::of(coin(1, 0), How::Key(alice().wallet), vec![output]);
    (world.submit(&draft).expect("a healthy transfer").created[0].0, people)
}

#[test]
fn a_multisig_needs_exactly_its_number_of_its_keys_in_order() {
    let mut world = World::new();
    let (shared, people) = shared(&mut world, 2, &[alice(), bob(), carol()]);
    let out = vec![bob().paid(minus(minus(COIN, FEE), FEE))];
    let body = Draft::of(shared, How::Witness(Witness::Wallet(Vec::new())), out).body();
    let spent = vec![world.view.entries[&shared].output.clone()];
    let spend = Spend { transaction: body.id(), spent };
    let check = |signers: &[&Person]| {
        let sign = |person: &&Person| (person.wallet.public(), person.wallet.sign(&CHAIN, &spend));
        let witness = Witness::Wallet(signers.iter().map(sign).collect());
        world.check(&Transaction { body: body.clone(), witnesses: vec![witness] }).map(|_| ())
    };
    let refused = |fault| Err(TxError::Wallet { input: 0, fault });
    let (one, two, three) = (&people[0], &people[1], &people[2]);
    assert_eq!(check(&[one, two]), Ok(()));
    assert_eq!(check(&[one, three]), Ok(()));
    assert_eq!(check(&[two, three]), Ok(()));
    assert_eq!(check(&[two, one]), refused(WalletFault::UnknownKey), "out of order");
    assert_eq!(check(&[one, one]), refused(WalletFault::UnknownKey), "one signer twice");
    assert_eq!(check(&[one]), refused(WalletFault::SignatureCount));
    assert_eq!(check(&[one, two, three]), refused(WalletFault::SignatureCount));
    assert_eq!(check(&[]), refused(WalletFault::SignatureCount));
    let stranger = Person::new(9);
    assert!(check(&[one, &stranger]).is_err());
    assert!(check(&[&stranger, three]).is_err());
}

#[test]
fn a_timelock_opens_at_its_time() {
    let mut world = World::new();
    let not_before = START.plus_ms(5_000);
    let lock = Lock::Wallet(Payout::Timelock(Timelock { not_before, key: bob().wallet.public() }));
    let output = Output { asset: AssetId::NATIVE, amount: minus(COIN, FEE), lock };
    let locked = world.submit(&Draft::of(coin(1, 0), How::Key(alice().wallet), vec![output]));
    let locked = locked.expect("a healthy transfer").created[0].0;
    let out = vec![bob().paid(minus(minus(COIN, FEE), FEE))];
    let spend = Draft::of(locked, How::Key(bob().wallet), out);
    world.wait_ms(4_999);
    let early = TxError::Wallet { input: 0, fault: WalletFault::Locked(not_before) };
    assert_eq!(world.submit(&spend), Err(early));
    world.wait_ms(1);
    world.submit(&spend).expect("the time has come");
}

#[test]
fn the_body_bounds_the_time_in_which_it_is_valid() {
    let mut world = World::new();
    let mut body = pay(5_000).body();
    body.not_before = Some(START.plus_ms(10));
    body.expiry = Some(START.plus_ms(20));
    let transaction = sign_body(body, [&How::Key(alice().wallet)], &world.view);
    assert_eq!(world.check(&transaction), Err(TxError::TooEarly(START.plus_ms(10))));
    world.wait_ms(10);
    assert!(world.check(&transaction).is_ok());
    world.wait_ms(10);
    assert!(world.check(&transaction).is_ok());
    world.wait_ms(1);
    assert_eq!(world.check(&transaction), Err(TxError::Expired(START.plus_ms(20))));
}

#[test]
fn l10_the_id_leaves_the_witnesses_out() {
    let world = World::new();
    let transaction = pay(5_000).sign(&world.view);
    let mut other = transaction.clone();
    other.witnesses = vec![Witness::Wallet(Vec::new())];
    assert_eq!(transaction.id(), other.id());
    other.body.outputs.pop();
    assert_ne!(transaction.id(), other.id());
}
