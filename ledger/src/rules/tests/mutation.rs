//! One adversarial change to a healthy transaction, at every place: all must be refused, on every path alike (FAULTS L7,
//! F11; the manner of Hydra's mutation tests). The places are those of the encoding, so that no field of any type can be
//! forgotten.

use towpath_crypto::{Amount, codec};

use super::healthy::{Case, cases};
use super::paths::Ground;
use super::world::*;
use crate::limits::TRANSACTION_BYTES_MAX;
use crate::rules::{Changes, Signatures, apply_transaction};
use crate::types::*;
use crate::view::MemoryView;

/// A change of the bytes at one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    /// One bit.
    Flip,
    /// The byte becomes zero.
    Zero,
    /// The byte becomes all ones.
    Ones,
    /// The eight bytes from here, as a number, grow by one.
    More,
    /// They shrink by one.
    Less,
    /// They become zero.
    Nothing,
    /// They become the largest number.
    Everything,
    /// They change places with the next eight: two amounts.
    SwapNumbers,
    /// The 32 bytes from here change places with the next 32: two keys, two digests.
    SwapKeys,
    /// The 64 bytes from here become those 72 further on: one signature for another.
    CopySignature,
}

const CHANGES: [Change; 10] = [
    Change::Flip,
    Change::Zero,
    Change::Ones,
    Change::More,
    Change::Less,
    Change::Nothing,
    Change::Everything,
    Change::SwapNumbers,
    Change::SwapKeys,
    Change::CopySignature,
];

impl Change {
    /// The changed bytes; none if there is no room for the change here.
    fn make(self, bytes: &[u8], at: usize) -> Option<Vec<u8>> {
        let mut changed = bytes.to_vec();
        match self {
            Self::Flip => changed[at] ^= 1 << (at % 8),
            Self::Zero => changed[at] = 0,
            Self::Ones => changed[at] = 0xff,
            Self::More => number(&mut changed, at, |number| number.wrapping_add(1))?,
            Self::Less => number(&mut changed, at, |number| number.wrapping_sub(1))?,
            Self::Nothing => number(&mut changed, at, |_| 0)?,
            Self::Everything => number(&mut changed, at, |_| u64::MAX)?,
            Self::SwapNumbers => changed.get_mut(at..at + 16)?.rotate_left(8),
            Self::SwapKeys => changed.get_mut(at..at + 64)?.rotate_left(32),
            Self::CopySignature => {
                let other = bytes.get(at + 72..at + 136)?;
                changed.get_mut(at..at + 64)?.copy_from_slice(other);
            }
        }
        Some(changed)
    }

    /// The changed transaction, if it is one, and another.
    fn apply(self, healthy: &Transaction, bytes: &[u8], at: usize) -> Option<Transaction> {
        let mutant = self.make(bytes, at)?;
        let mutant = codec::decode::<Transaction>(&mutant, TRANSACTION_BYTES_MAX as usize).ok()?;
        (mutant != *healthy).then_some(mutant)
    }
}

/// Changes the number at a place; none if it would not fit.
fn number(bytes: &mut [u8], at: usize, change: impl FnOnce(u64) -> u64) -> Option<()> {
    let place = bytes.get_mut(at..at + 8)?;
    let number = u64::from_le_bytes((&*place).try_into().ok()?);
    place.copy_from_slice(&change(number).to_le_bytes());
    Some(())
}

/// A mutant that is accepted is another thing that anybody may do. Where a signature covers the body, that is nothing;
/// where none does, a time bound or an anchor, and only if everybody is still paid at least as much.
fn check_harmless(case: &Case, mutant: &Transaction, what: &dyn std::fmt::Debug) {
    let (body, changed) = (&case.healthy.body, &mutant.body);
    if case.is_signed() {
        assert_eq!(body, changed, "{}, {what:?}: signed", case.name);
        return;
    }
    let as_good = |(changed, healthy): (&Output, &Output)| {
        changed.lock == healthy.lock && changed.asset == healthy.asset && changed.amount >= healthy.amount
    };
    let harmless = changed.inputs == body.inputs
        && changed.outputs.len() == body.outputs.len()
        && changed.outputs.iter().zip(&body.outputs).all(as_good);
    assert!(harmless, "{}, {what:?} changes what is paid: {changed:?}", case.name);
}

/// Every byte of every kind of transaction is changed, in one way after the other, and every path must say the same
/// about each mutant; those that are decoded are counted.
#[test]
fn l7_l9_f11_a_changed_transaction_is_refused_on_every_path_alike() {
    let cases = cases();
    let (mut mutants, mut accepted) = (0, 0);
    for (number, case) in cases.iter().enumerate() {
        let ground = Ground::new(&case.world);
        let healthy = ground.verdict(&case.healthy);
        healthy.unwrap_or_else(|error| panic!("{} is healthy: {error}", case.name));
        let bytes = codec::encode(&case.healthy);
        let before = mutants;
        for at in 0..bytes.len() {
            for step in 0..3 {
                let change = CHANGES[(at + number + 3 * step) % CHANGES.len()];
                let Some(mutant) = change.apply(&case.healthy, &bytes, at) else { continue };
                mutants += 1;
                if ground.verdict(&mutant).is_ok() {
                    accepted += 1;
                    check_harmless(case, &mutant, &(change, at));
                }
            }
        }
        assert!(mutants - before > bytes.len(), "{}: the mutants reach the rules", case.name);
    }
    assert!(mutants >= 10_000, "{mutants} mutants of {} kinds", cases.len());
    assert!(accepted * 50 < mutants, "{accepted} of {mutants} are harmless: the rest is refused");
}

fn outcome(world: &World, transaction: &Transaction) -> Option<Changes> {
    apply_transaction(transaction, &world.view, &world.context(), Signatures::Verify).ok()
}

#[test]
fn l7_f11_every_flipped_bit_is_refused() {
    for case in cases() {
        let bytes = codec::encode(&case.healthy);
        for bit in 0..bytes.len() * 8 {
            let mut mutant = bytes.clone();
            mutant[bit / 8] ^= 1 << (bit % 8);
            let Ok(mutant) = codec::decode::<Transaction>(&mutant, TRANSACTION_BYTES_MAX as usize) else {
                continue;
            };
            if outcome(&case.world, &mutant).is_some() {
                check_harmless(&case, &mutant, &bit);
            }
        }
    }
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
        add(&|tx| tx.body.outputs[index].lock = Lock::Wallet(Person::new(9).payout()));
    }
    for index in 0..healthy.body.inputs.len() {
        add(&|tx| {
            let _input = tx.body.inputs.remove(index);
        });
        add(&|tx| drop(tx.witnesses.remove(index)));
        add(&|tx| drop((tx.body.inputs.remove(index), tx.witnesses.remove(index))));
        add(&|tx| tx.body.inputs.push(healthy.body.inputs[index]));
        add(&|tx| {
            tx.body.inputs.push(healthy.body.inputs[index]);
            tx.witnesses.push(healthy.witnesses[index].clone());
        });
        add(&|tx| tx.witnesses.rotate_left(index + 1));
        add(&|tx| tx.body.inputs.rotate_left(index + 1));
        add(&|tx| tx.body.inputs[index].index += 1);
        add(&|tx| tx.body.inputs[index] = coin(2, 5));
    }
    add(&|tx| tx.body.chain = ChainId(Digest([0; 32])));
    add(&|tx| tx.body.inputs.push(coin(3, 6)));
    add(&|tx| tx.body.inputs.clear());
    add(&|tx| tx.body.not_before = Some(Time(u64::MAX)));
    add(&|tx| tx.body.expiry = Some(Time(0)));
    add(&|tx| tx.body.payload = Some(Payload::Issue { amount: Amount(1), symbol: "A".to_owned() }));
    add(&|tx| tx.body.payload = Some(Payload::Reveal(Vec::new())));
    add(&|tx| tx.witnesses.clear());
    add(&|tx| tx.witnesses.push(healthy.witnesses[0].clone()));
    mutants
}

/// Every list inside of a witness or a payload, with each of its parts left out, repeated or out of order.
fn relisted(healthy: &Transaction) -> Vec<Transaction> {
    fn lists<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
        let mut found = vec![list.iter().rev().cloned().collect(), Vec::new()];
        for index in 0..list.len() {
            let mut shorter = list.to_vec();
            let item = shorter.remove(index);
            let mut longer = list.to_vec();
            longer.insert(index, item);
            found.extend([shorter, longer]);
        }
        found
    }
    let mut mutants = Vec::new();
    let mut add = |change: &dyn Fn(&mut Transaction)| {
        let mut mutant = healthy.clone();
        change(&mut mutant);
        if mutant != *healthy {
            mutants.push(mutant);
        }
    };
    for (index, witness) in healthy.witnesses.iter().enumerate() {
        let set = |witness: Witness| move |tx: &mut Transaction| tx.witnesses[index] = witness.clone();
        match witness {
            Witness::Wallet(signers) => {
                lists(signers).into_iter().for_each(|list| add(&set(Witness::Wallet(list))));
            }
            Witness::Finalize { pending, fee } => {
                let with = |pending| Witness::Finalize { pending, fee: *fee };
                lists(pending).into_iter().for_each(|list| add(&set(with(list))));
            }
            Witness::Answer { state, proof, pending, fee, signature } => {
                let with = |state, proof, pending| Witness::Answer {
                    state,
                    proof,
                    pending,
                    fee: *fee,
                    signature: *signature,
                };
                let [s, p] = [state.clone(), None];
                add(&set(with(s, None, pending.clone())));
                add(&set(with(p, proof.clone(), pending.clone())));
                for list in lists(pending) {
                    add(&set(with(state.clone(), proof.clone(), list)));
                }
            }
            Witness::Penalize { state: Some(_), proof, fee } => {
                add(&set(Witness::Penalize { state: None, proof: proof.clone(), fee: *fee }));
            }
            Witness::Cooperative { .. }
            | Witness::Unilateral { .. }
            | Witness::Supersede { .. }
            | Witness::Penalize { state: None, .. }
            | Witness::Resize { .. }
            | Witness::Resolve { .. } => {}
        }
    }
    if let Some(Payload::Reveal(secrets)) = &healthy.body.payload {
        for list in lists(secrets) {
            add(&|tx| tx.body.payload = Some(Payload::Reveal(list.clone())));
        }
    }
    mutants
}

#[test]
fn f11_every_rearranged_transaction_is_refused() {
    for case in cases() {
        let ground = Ground::new(&case.world);
        for mutant in rearranged(&case.healthy).iter().chain(&relisted(&case.healthy)) {
            assert!(ground.verdict(mutant).is_err(), "{}: {mutant:?}", case.name);
        }
    }
}

#[test]
fn f11_no_witness_fits_where_another_does() {
    let cases = cases();
    for here in &cases {
        for there in cases.iter().filter(|there| there.healthy.witnesses != here.healthy.witnesses) {
            let mut mutant = here.healthy.clone();
            mutant.witnesses.clone_from(&there.healthy.witnesses);
            let accepted = outcome(&here.world, &mutant).is_some();
            assert!(!accepted, "{} with a witness of {}", here.name, there.name);
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
