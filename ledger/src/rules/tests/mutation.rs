//! One adversarial change to a healthy transaction, at every place: all must be refused (FAULTS L7, F11; the manner of
//! Hydra's mutation tests). The places are the bits of the encoding, so that no field of any type can be forgotten.

use towpath_crypto::{Amount, codec};

use super::world::*;
use crate::limits::TRANSACTION_BYTES_MAX;
use crate::rules::{Signatures, apply_transaction};
use crate::types::*;
use crate::view::MemoryView;

/// A healthy transaction, and the ledger on which it is one.
struct Case {
    name: &'static str,
    world: World,
    healthy: Transaction,
}

fn case(name: &'static str, world: &World, draft: &Draft) -> Case {
    Case { name, world: world.clone(), healthy: draft.sign(&world.view) }
}

fn pays(a: u64, b: u64) -> Vec<Output> {
    vec![alice().paid(Amount(a)), bob().paid(Amount(b))]
}

/// One healthy transaction of each kind, whose outputs pay not a unit more than they must.
fn cases() -> Vec<Case> {
    let mut world = World::new();
    let fee_exact = |world: &World, draft: &dyn Fn(u64) -> Draft| {
        let bytes = world.check(&draft(FEE.units()).sign(&world.view)).expect("healthy").bytes;
        draft(bytes)
    };
    let transfer = |fee: u64| {
        let outputs = vec![bob().paid(Amount(5_000)), alice().paid(Amount(COIN.units() - 5_000 - fee))];
        Draft::of(coin(1, 9), How::Key(alice().wallet), outputs)
    };
    let mut found = vec![case("transfer", &world, &fee_exact(&world, &transfer))];
    let channel = world.open(0);
    let newest = cosign(&channel.state(9, 200_000));
    let together = channel.cooperative(&cosign(&channel.final_state(9, 200_000)), CLOSE_FEE);
    found.push(case("cooperative", &world, &together));
    let alone = channel.unilateral(Party::A, &cosign(&channel.state(5, 700_000)), 2_000);
    found.push(case("unilateral", &world, &alone));

    let posted = Posted::of(&world.submit(&alone).expect("a healthy close"));
    let proof = claim(Party::A, &newest.state, 8);
    found.push(case("supersede", &world, &posted.supersede(&newest, 2_000)));
    found.push(case("penalize", &world, &posted.penalize(Some(&newest), &proof, 2_000)));
    let answer = posted.answer((Some(&newest), Some(&proof)), &[], 2_000, pays(98_000, 898_000));
    found.push(case("answer", &world, &answer));
    world.wait_ms(WINDOW_MS + 1);
    let finalize = posted.finalize(&[], SETTLE_FEE, pays(698_000 - SETTLE_FEE, 300_000));
    found.push(case("finalize", &world, &finalize));
    found
}

/// What of the ledger matters to a thief: who can spend how much, and how channels go on.
fn outcome(world: &World, transaction: &Transaction) -> Option<Vec<Output>> {
    let result = apply_transaction(transaction, &world.view, &world.context(), Signatures::Verify);
    let changes = result.ok()?;
    Some(changes.created.into_iter().map(|(_, entry)| entry.output).collect())
}

#[test]
fn l7_f11_every_flipped_bit_is_refused() {
    for Case { name, world, healthy } in cases() {
        let outputs = outcome(&world, &healthy).unwrap_or_else(|| panic!("{name} is healthy"));
        let bytes = codec::encode(&healthy);
        let mut decoded = 0;
        for bit in 0..bytes.len() * 8 {
            let mut mutant = bytes.clone();
            mutant[bit / 8] ^= 1 << (bit % 8);
            let Ok(mutant) = codec::decode::<Transaction>(&mutant, TRANSACTION_BYTES_MAX as usize) else {
                continue;
            };
            decoded += 1;
            if let Some(changed) = outcome(&world, &mutant) {
                check_harmless(name, bit, &outputs, &changed);
            }
        }
        assert!(decoded > 500, "{name}: the mutants reach the rules, {decoded} did");
    }
}

/// A mutant that is accepted is another thing that anybody may do: where no signature covers the body (a time bound, an
/// anchor), and only if everybody is still paid at least as much.
fn check_harmless(name: &str, bit: usize, outputs: &[Output], changed: &[Output]) {
    assert!(name != "transfer", "{name}: bit {bit}: the signature covers the whole body");
    let harmless = changed.len() == outputs.len()
        && changed.iter().zip(outputs).all(|(changed, healthy)| {
            changed.lock == healthy.lock && changed.asset == healthy.asset && changed.amount >= healthy.amount
        });
    assert!(harmless, "{name}: bit {bit} changes what is paid: {changed:?}");
}

/// Every way to exchange, repeat or leave out the parts of a transaction.
fn rearranged(healthy: &Transaction) -> Vec<Transaction> {
    let mut mutants = Vec::new();
    let mut add = |change: &dyn Fn(&mut Transaction)| {
        let mut mutant = healthy.clone();
        change(&mut mutant);
        if mutant != *healthy {
            mutants.push(mutant);
        }
    };
    for index in 0..healthy.body.outputs.len() {
        add(&|tx| drop(tx.body.outputs.remove(index)));
        add(&|tx| tx.body.outputs.push(healthy.body.outputs[index].clone()));
        add(&|tx| tx.body.outputs[index].amount = Amount::MAX);
        add(&|tx| tx.body.outputs[index].amount = Amount::ZERO);
        add(&|tx| tx.body.outputs[index].asset = AssetId(Digest([1; 32])));
        add(&|tx| tx.body.outputs[index].lock = Lock::Wallet(carol().payout()));
    }
    add(&|tx| tx.body.chain = ChainId(Digest([0; 32])));
    add(&|tx| tx.body.inputs[0] = coin(2, 0));
    add(&|tx| tx.body.inputs.push(coin(3, 0)));
    add(&|tx| tx.body.inputs.clear());
    add(&|tx| tx.body.not_before = Some(Time(u64::MAX)));
    add(&|tx| tx.body.expiry = Some(Time(0)));
    add(&|tx| tx.body.payload = Some(Payload::Issue { amount: Amount(1), symbol: "A".to_owned() }));
    add(&|tx| tx.body.payload = Some(Payload::Reveal(Vec::new())));
    add(&|tx| tx.witnesses.clear());
    add(&|tx| tx.witnesses.push(healthy.witnesses[0].clone()));
    mutants
}

#[test]
fn f11_every_rearranged_transaction_is_refused() {
    for Case { name, world, healthy } in cases() {
        for mutant in rearranged(&healthy) {
            assert_eq!(outcome(&world, &mutant), None, "{name}: {:?}", mutant.body);
        }
    }
}

#[test]
fn f11_no_witness_fits_where_another_does() {
    let cases = cases();
    for here in &cases {
        for there in cases.iter().filter(|there| there.name != here.name) {
            let mut mutant = here.healthy.clone();
            mutant.witnesses.clone_from(&there.healthy.witnesses);
            assert_eq!(outcome(&here.world, &mutant), None, "{} with a witness of {}", here.name, there.name);
        }
    }
}

#[test]
fn c24_nothing_happens_twice() {
    for Case { name, mut world, healthy } in cases() {
        world.apply(&healthy).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(outcome(&world, &healthy), None, "{name}");
    }
}

#[test]
fn c1_nothing_is_spent_that_does_not_exist() {
    for Case { name, mut world, healthy } in cases() {
        world.view = MemoryView::default();
        assert_eq!(outcome(&world, &healthy), None, "{name}");
    }
}
