//! Whatever is made here the ledger's own rules accept, pays what it says, and costs no more than it must.

use proptest::prelude::*;
use towpath_crypto::codec;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::schnorr::WalletSecret;

use super::*;
use crate::rules::{BlockContext, Changes, Signatures, TxError, apply_transaction};
use crate::types::*;
use crate::view::MemoryView;

const CHAIN: ChainId = ChainId(Digest([0xc4; 32]));
const START: Time = Time(1_790_000_000_000);
const WINDOW_MS: u64 = 600_000;

fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

fn payout(number: u8) -> Payout {
    Payout::Key(WalletSecret::from_bytes([number; 32]).expect("a scalar").public())
}

/// Many keys, of which one is enough: the largest payout lock there is.
fn multisig(number: u8) -> Payout {
    let secret = |index: u8| WalletSecret::from_bytes([16 * number + index + 1; 32]).expect("a scalar");
    let mut keys: Vec<_> = (0..15).map(|index| secret(index).public()).collect();
    keys.sort();
    Payout::Multisig(Multisig { required: 1, keys })
}

/// A ledger with channels between party A (key 1 and up) and party B (key 101 and up).
struct World {
    view: MemoryView,
    params: Params,
}

impl World {
    fn new() -> Self {
        Self { view: MemoryView::default(), params: Params::default() }
    }

    fn place(&self) -> Place<'_> {
        Place { chain: CHAIN, params: &self.params, asset: AssetId::NATIVE }
    }

    /// Puts the funding of channel `number` on the ledger.
    fn fund(
        &mut self,
        number: u8,
        capacity: u64,
        (payout_a, payout_b): (Payout, Payout),
    ) -> (OutPoint, ChannelTerms) {
        let (key_a, key_b) = (key(number).public(), key(100 + number).public());
        let outpoint = OutPoint { tx: TxId(Digest([number; 32])), index: 0 };
        let terms = ChannelTerms {
            id: ChannelId::derive(&CHAIN, &outpoint, 0, &key_a, &key_b),
            generation: 0,
            key_a,
            key_b,
            payout_a,
            payout_b,
            dispute_window_ms: WINDOW_MS,
            penalty_basis_points: 5_000,
            reserve: Amount::ZERO,
            close_fee_max: Amount(capacity / 20),
            expiry: None,
        };
        let lock = Lock::Channel(Box::new(terms.clone()));
        let output = Output { asset: AssetId::NATIVE, amount: Amount(capacity), lock };
        self.view.entries.insert(outpoint, Entry { output, height: 1, time: START });
        (outpoint, terms)
    }

    fn try_apply(&mut self, transaction: &Transaction, time: Time) -> Result<Changes, TxError> {
        let context = BlockContext { chain: CHAIN, height: 2, time, params: &self.params };
        let changes = apply_transaction(transaction, &self.view, &context, Signatures::Verify)?;
        self.view.apply(&changes);
        Ok(changes)
    }

    #[track_caller]
    fn apply(&mut self, transaction: &Transaction, time: Time) -> Changes {
        self.try_apply(transaction, time).expect("the ledger takes it")
    }
}

fn state(terms: &ChannelTerms, version: u64, (a, b): (u64, u64), is_final: bool) -> ChannelState {
    ChannelState {
        channel: terms.id,
        generation: 0,
        version,
        is_final,
        sequencer: Party::A,
        balance_a: Amount(a),
        balance_b: Amount(b),
        pending_total: Amount::ZERO,
        pending_root: Digest::ZERO,
        tag: crate::types::ChannelTag(Digest::ZERO),
    }
}

/// Signed by both; A's signature says that it holds `held_a`.
fn signed(number: u8, state: &ChannelState, held_a: u64) -> CoSigned {
    CoSigned {
        state: state.clone(),
        a: StateSignature::sign(&key(number), &CHAIN, state, held_a),
        b: StateSignature::sign(&key(100 + number), &CHAIN, state, state.version),
    }
}

/// A closes alone with this state; where the closing is, and what it says.
fn close_alone(
    world: &mut World,
    number: u8,
    (funding, terms): (OutPoint, &ChannelTerms),
    posted: &CoSigned,
) -> (OutPoint, Closing) {
    let capacity = posted.state.total().expect("it fits");
    let fee = unilateral_fee(&world.place(), terms, (&posted.state, capacity), Party::A).expect("a fee");
    let intent = CloseIntent { state: posted.state.clone(), author: Party::A, fee };
    let signature = key(number).sign(&CHAIN, &intent);
    let posting = Posting { funding, capacity, terms, state: posted, author: Party::A, fee, signature };
    let transaction = unilateral(&world.place(), &posting).expect("it can be made");
    let changes = world.apply(&transaction, START);
    let (outpoint, entry) = changes.created[0].clone();
    match entry.output.lock {
        Lock::Closing(closing) => (outpoint, *closing),
        other => panic!("{other:?}"),
    }
}

/// What a transaction pays to a lock.
fn paid(transaction: &Transaction, to: &Payout) -> u64 {
    let own = transaction.body.outputs.iter().filter(|output| output.lock == Lock::Wallet(to.clone()));
    own.map(|output| output.amount.units()).sum()
}

/// The transaction pays what [`paid_out`] reads off it, and all of the capacity is accounted for.
#[track_caller]
fn is_paid(transaction: &Transaction, was: &Lock, terms: &ChannelTerms, capacity: u64) -> PaidOut {
    let read = paid_out(was, Amount(capacity), &transaction.witnesses[0]).expect("it pays out");
    assert_eq!(read.a.units(), paid(transaction, &terms.payout_a), "A");
    assert_eq!(read.b.units(), paid(transaction, &terms.payout_b), "B");
    assert_eq!(read.a.units() + read.b.units() + read.fees.units(), capacity);
    read
}

const AFTER: Time = Time(START.0 + WINDOW_MS + 1);

#[test]
fn a_cooperative_close_is_taken_down_to_small_channels_and_one_sided_balances() {
    // 10,000 is far below what one side's share of the fee bound could pay alone.
    for (a, b) in
        [(600_000, 400_000), (1_000_000, 0), (0, 1_000_000), (5_000, 5_000), (10_000, 0), (0, 10_000)]
    {
        let mut world = World::new();
        let (funding, terms) = world.fund(1, a + b, (payout(11), payout(12)));
        let last = signed(1, &state(&terms, 9, (a, b), true), 8);
        let transaction = cooperative(&world.place(), &Agreed { funding, terms: &terms, state: &last })
            .expect("it can be made");
        let was = Lock::Channel(Box::new(terms.clone()));
        let read = is_paid(&transaction, &was, &terms, a + b);
        assert_eq!((read.version, read.forfeit), (9, Amount::ZERO));
        world.apply(&transaction, START);
    }
}

#[test]
fn c13_a_closing_is_finalized_after_its_deadline_and_not_before() {
    let mut world = World::new();
    let (funding, terms) = world.fund(1, 1_000_000, (payout(11), payout(12)));
    let posted = signed(1, &state(&terms, 7, (600_000, 400_000), false), 7);
    let (closing_at, closing) = close_alone(&mut world, 1, (funding, &terms), &posted);
    let transaction = finalize(&world.place(), closing_at, &closing).expect("it can be made");
    assert_eq!(deadline_of(&closing, START), Time(START.0 + WINDOW_MS));
    world.try_apply(&transaction, deadline_of(&closing, START)).expect_err("the window is open");
    let read = is_paid(&transaction, &Lock::Closing(Box::new(closing)), &terms, 1_000_000);
    assert_eq!((read.version, read.forfeit, read.b), (7, Amount::ZERO, Amount(400_000)), "the author pays");
    world.apply(&transaction, AFTER);
}

#[test]
fn many_closings_are_finalized_in_one_transaction_that_costs_less() {
    let mut world = World::new();
    let mut closings = Vec::new();
    for number in 1..=20 {
        // A is the same hub in all of them.
        let (funding, terms) = world.fund(number, 1_000_000, (payout(90), payout(20 + number)));
        let balances = (500_000 + u64::from(number), 500_000 - u64::from(number));
        let posted = signed(number, &state(&terms, 3, balances, false), 3);
        closings.push(close_alone(&mut world, number, (funding, &terms), &posted));
    }
    let parts: Vec<(OutPoint, &Closing)> = closings.iter().map(|(at, closing)| (*at, closing)).collect();
    let apart: u64 = parts
        .iter()
        .map(|&(at, closing)| {
            let alone = finalize(&world.place(), at, closing).expect("it can be made");
            codec::encode(&alone).len() as u64
        })
        .sum();
    let mut done = finalize_all(&world.place(), parts);
    assert!(done.refused.is_empty());
    let together = done.transactions.pop().expect("it can be made");
    assert!(done.transactions.is_empty(), "one transaction");
    assert_eq!(together.body.outputs.len(), 21, "the hub is paid in one output");
    let mut due = (0, 0);
    for ((_, closing), witness) in closings.iter().zip(&together.witnesses) {
        let was = Lock::Closing(Box::new(closing.clone()));
        let read = paid_out(&was, closing.capacity, witness).expect("it pays out");
        assert_eq!(read.b.units(), paid(&together, &closing.terms.payout_b));
        due = (due.0 + read.a.units(), due.1 + read.fees.units() - closing.author_fees.units());
    }
    assert_eq!(due.0, paid(&together, &payout(90)));
    assert!(due.1 < apart, "{} is no less than {apart}", due.1);
    world.apply(&together, AFTER);
}

#[test]
fn final_balances_of_many_channels_share_a_transaction_and_its_bytes() {
    let mut world = World::new();
    let channels: Vec<(OutPoint, ChannelTerms, CoSigned)> = (1..=20_u8)
        .map(|number| {
            let (funding, terms) = world.fund(number, 1_000_000, (payout(90), payout(number)));
            let last = signed(number, &state(&terms, 9, (600_000, 400_000), true), 8);
            (funding, terms, last)
        })
        .collect();
    let agreed = || channels.iter().map(|(funding, terms, state)| Agreed { funding: *funding, terms, state });
    let alone = agreed().map(|one| cooperative(&world.place(), &one).expect("it can be made"));
    let alone: usize = alone.map(|transaction| codec::encode(&transaction).len()).sum();
    let mut done = cooperative_all(&world.place(), agreed());
    assert!(done.refused.is_empty());
    let together = done.transactions.pop().expect("it can be made");
    assert!(done.transactions.is_empty(), "one transaction");
    assert_eq!(together.body.outputs.len(), 21, "the hub is paid in one output");
    assert!(codec::encode(&together).len() < alone);
    let mut hub = 0;
    for ((_, terms, _), witness) in channels.iter().zip(&together.witnesses) {
        let was = Lock::Channel(Box::new(terms.clone()));
        let read = paid_out(&was, Amount(1_000_000), witness).expect("it pays out");
        assert_eq!(read.b.units(), paid(&together, &terms.payout_b));
        hub += read.a.units();
    }
    assert_eq!(hub, paid(&together, &payout(90)));
    world.apply(&together, START);
}

#[test]
fn a_closing_that_cannot_be_paid_out_yet_spoils_nothing_for_others() {
    let mut world = World::new();
    let (funding, terms) = world.fund(1, 1_000_000, (payout(11), payout(12)));
    let posted = signed(1, &state(&terms, 7, (600_000, 400_000), false), 7);
    let (at, closing) = close_alone(&mut world, 1, (funding, &terms), &posted);
    let mut waits = closing.clone();
    waits.state.pending_total = Amount(1);
    let waiting = vec![(close::NOWHERE, SettleError::Pending(Amount(1)))];
    let both = finalize_all(&world.place(), [(close::NOWHERE, &waits), (at, &closing)]);
    assert_eq!(both.transactions, [finalize(&world.place(), at, &closing).expect("it can be made")]);
    assert_eq!(both.refused, waiting);
    let none = finalize_all(&world.place(), [(close::NOWHERE, &waits)]);
    assert_eq!(none, Batched { transactions: Vec::new(), refused: waiting });
    assert_eq!(finalize_all(&world.place(), []), Batched::default());
}

fn answered(
    world: &mut World,
    number: u8,
    at: OutPoint,
    closing: &Closing,
    shown: (Option<CoSigned>, Option<SignedState>),
) -> Transaction {
    let (state, proof) = shown;
    let fee = answer_fee(&world.place(), closing).min(closing.terms.close_fee_max);
    let settles = state.as_ref().map_or_else(|| closing.state.clone(), |state| state.state.clone());
    let signs =
        CloseAnswer { closing: at, state: settles, penalized: closing.penalized || proof.is_some(), fee };
    let signature = key(100 + number).sign(&CHAIN, &signs);
    let with = Answer { state: state.map(Box::new), proof: proof.map(Box::new), fee, signature };
    answer(&world.place(), at, closing, &with).expect("it can be made")
}

#[test]
fn c3_an_answer_with_a_newer_state_and_a_proof_pays_the_penalty_whatever_the_payout_locks() {
    for payouts in [(payout(11), payout(12)), (multisig(1), multisig(3)), (payout(11), payout(11))] {
        let mut world = World::new();
        let (funding, terms) = world.fund(1, 1_000_000, payouts.clone());
        let stale = signed(1, &state(&terms, 3, (900_000, 100_000), false), 3);
        let newest = signed(1, &state(&terms, 8, (400_000, 600_000), false), 8);
        let (at, closing) = close_alone(&mut world, 1, (funding, &terms), &stale);
        let proof = SignedState { state: newest.state.clone(), signature: newest.a };
        let transaction = answered(&mut world, 1, at, &closing, (Some(newest), Some(proof)));
        let was = Lock::Closing(Box::new(closing));
        let read = paid_out(&was, Amount(1_000_000), &transaction.witnesses[0]).expect("it pays out");
        assert_eq!((read.version, read.forfeit), (8, Amount(200_000)), "half of the author's balance");
        assert!(read.b > Amount(700_000));
        if payouts.0 != payouts.1 {
            is_paid(&transaction, &was, &terms, 1_000_000);
        }
        world.apply(&transaction, START);
    }
}

#[test]
fn an_answer_without_anything_newer_settles_at_once() {
    let mut world = World::new();
    let (funding, terms) = world.fund(1, 1_000_000, (payout(11), payout(12)));
    let posted = signed(1, &state(&terms, 7, (600_000, 400_000), false), 7);
    let (at, closing) = close_alone(&mut world, 1, (funding, &terms), &posted);
    let transaction = answered(&mut world, 1, at, &closing, (None, None));
    let read = is_paid(&transaction, &Lock::Closing(Box::new(closing)), &terms, 1_000_000);
    assert_eq!((read.version, read.forfeit), (7, Amount::ZERO));
    world.apply(&transaction, START);
}

#[test]
fn an_author_supersedes_its_own_stale_close_and_the_deadline_stays() {
    let mut world = World::new();
    let (funding, terms) = world.fund(1, 1_000_000, (payout(11), payout(12)));
    let stale = signed(1, &state(&terms, 3, (900_000, 100_000), false), 3);
    let newer = signed(1, &state(&terms, 4, (800_000, 200_000), false), 4);
    let (at, closing) = close_alone(&mut world, 1, (funding, &terms), &stale);
    let amount = Amount(1_000_000 - closing.author_fees.units());
    let transaction =
        supersede(&world.place(), at, (START, amount), &closing, &newer).expect("it can be made");
    let later = Time(START.0 + 1_000);
    let changes = world.apply(&transaction, later);
    let Lock::Closing(replaced) = &changes.created[0].1.output.lock else { panic!("a closing") };
    assert_eq!(deadline_of(replaced, later), deadline_of(&closing, START));
    let last = finalize(&world.place(), changes.created[0].0, replaced).expect("it can be made");
    assert_eq!(is_paid(&last, &Lock::Closing(replaced.clone()), &terms, 1_000_000).version, 4);
    world.apply(&last, AFTER);
}

proptest! {
    /// Small channels are where a fee's bound, a balance and the fee itself meet.
    #[test]
    fn what_can_be_closed_alone_can_be_finalized(a in 0_u64..60_000, b in 0_u64..60_000) {
        let mut world = World::new();
        let (funding, terms) = world.fund(1, a + b, (payout(11), payout(12)));
        // No node opens one that has less set aside.
        prop_assume!(terms.close_fee_max >= close_fee_min(&world.place(), &terms).expect("a fee"));
        let posted = signed(1, &state(&terms, 7, (a, b), false), 7);
        let fee = unilateral_fee(&world.place(), &terms, (&posted.state, Amount(a + b)), Party::A).expect("a fee");
        prop_assume!(fee <= terms.close_fee_max && fee.units() <= a);
        let (at, closing) = close_alone(&mut world, 1, (funding, &terms), &posted);
        let last = finalize(&world.place(), at, &closing).expect("it can be made");
        is_paid(&last, &Lock::Closing(Box::new(closing)), &terms, a + b);
        world.apply(&last, AFTER);
    }
}
