//! Random histories: supply is conserved, and an honest party gets what it is due, whatever the other one does
//! (FAULTS I1 to I3, I6). `World::apply` audits the whole ledger after every transaction.

use proptest::prelude::*;
use towpath_crypto::Amount;

use super::world::*;
use crate::rules::{ChannelFault, TxError};
use crate::types::*;

/// How the honest party defends itself against a close of the other's.
#[derive(Clone, Copy, Debug)]
enum Defence {
    /// It answers, with its own signature.
    Answer,
    /// A tower supersedes and penalizes for it, and anybody finalizes.
    Tower,
}

/// A dispute: the versions from one on, by Alice's balance, and what the cheater does with them.
#[derive(Clone, Debug)]
struct Dispute {
    balances: Vec<u64>,
    cheater: Party,
    posted: usize,
    fee: u64,
    raises: Vec<(usize, u64)>,
    penalizes_itself: Option<u64>,
    defence: Defence,
}

fn balance() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(CAPACITY.units()), 0..=CAPACITY.units(), 0..20_000u64]
}

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![Just(Party::A), Just(Party::B)]
}

fn dispute() -> impl Strategy<Value = Dispute> {
    let raises = prop::collection::vec((0..12usize, 0..6_000u64), 0..4);
    let defence = prop_oneof![Just(Defence::Answer), Just(Defence::Tower)];
    (
        prop::collection::vec(balance(), 2..10),
        party(),
        0..10usize,
        1_000..11_000u64,
        raises,
        prop::option::of(0..6_000u64),
        defence,
    )
        .prop_map(|(balances, cheater, posted, fee, raises, penalizes_itself, defence)| Dispute {
            posted: posted % balances.len(),
            balances,
            cheater,
            fee,
            raises,
            penalizes_itself,
            defence,
        })
}

fn version(index: usize) -> u64 {
    u64::try_from(index).expect("small") + 1
}

/// The co-signed state of this index; each party's signature says that it holds the version before.
fn state(channel: &Open, balances: &[u64], index: usize) -> CoSigned {
    cosign(&channel.state(version(index), balances[index]))
}

/// Adds a coin of Carol's to pay the ledger's fee.
fn sponsored(draft: Draft, index: u32) -> Draft {
    let mut draft = draft.with(coin(3, index), How::Key(carol().wallet));
    draft.outputs.push(carol().paid(minus(COIN, FEE)));
    draft
}

fn try_step(world: &mut World, posted: &mut Posted, draft: &Draft) {
    if let Ok(changes) = world.submit(draft) {
        *posted = Posted::of(&changes);
    }
}

/// What each party gets when this closing is settled, worked out without the rules' own arithmetic.
fn settlement(closing: &Closing, other_fee: u64) -> [(Party, u64); 2] {
    let (author, other) = (closing.author, closing.author.other());
    let units = |amount: Amount| i128::from(amount.units());
    let mut authors = units(closing.state.balance(author));
    let mut others = units(closing.state.balance(other));
    if closing.penalized {
        let forfeit = authors * i128::from(closing.terms.penalty_basis_points) / 10_000;
        authors -= forfeit;
        others += forfeit;
    }
    authors -= units(closing.author_fees);
    others -= units(closing.other_fees) + i128::from(other_fee);
    let (short_a, short_o) = (authors.min(0), others.min(0));
    let paid = |own: i128, shortfall: i128| {
        u64::try_from(own.max(0) + shortfall).expect("the balances bear all fees")
    };
    [(author, paid(authors, short_o)), (other, paid(others, short_a))]
}

fn outputs(shares: [(Party, u64); 2]) -> Vec<Output> {
    let pay = |(party, amount): (Party, u64)| person(party).paid(Amount(amount));
    shares.into_iter().filter(|(_, amount)| *amount > 0).map(pay).collect()
}

fn defend(world: &mut World, posted: &mut Posted, case: &Dispute, channel: &Open) {
    let last = case.balances.len() - 1;
    let newest = state(channel, &case.balances, last);
    let newer = (posted.closing.state.version < newest.state.version).then_some(&newest);
    let held = version(last) - 1;
    let proof = claim(case.cheater, &newest.state, held);
    let provable = held > posted.closing.posted_version && !posted.closing.penalized;
    let proof = provable.then_some(&proof);
    match case.defence {
        Defence::Answer => {
            let mut settled = posted.closing.clone();
            settled.penalized |= proof.is_some();
            if let Some(newer) = newer {
                settled.state = newer.state.clone();
            }
            let draft = posted.answer((newer, proof), &[], 0, outputs(settlement(&settled, 0)));
            world.submit(&sponsored(draft, 8)).expect("an answer in time is accepted");
        }
        Defence::Tower => {
            if let Some(proof) = proof {
                let draft = sponsored(posted.penalize(newer, proof, 0), 7);
                *posted = Posted::of(&world.submit(&draft).expect("a proof in time is accepted"));
            } else if let Some(newer) = newer {
                let draft = sponsored(posted.supersede(newer, 0), 7);
                *posted = Posted::of(&world.submit(&draft).expect("a newer state in time is accepted"));
            }
            world.wait_ms(2 * WINDOW_MS);
            let draft = posted.finalize(&[], 0, outputs(settlement(&posted.closing, 0)));
            world.submit(&sponsored(draft, 8)).expect("a settlement after the deadline is accepted");
        }
    }
}

fn play(case: &Dispute) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let channel = world.open(0);
    let honest = person(case.cheater.other());
    let before = world.holdings(&honest);
    let stale = state(&channel, &case.balances, case.posted);
    let own = stale.state.balance(case.cheater).units();
    let fee = case.fee.min(own).min(channel.terms.close_fee_max.units());
    let close = channel.unilateral(case.cheater, &stale, fee);
    let mut posted = Posted::of(&world.submit(&sponsored(close, 0)).expect("a close is accepted"));
    for (number, (index, fee)) in (1u32..).zip(&case.raises) {
        world.wait_ms(60_000);
        let raised = state(&channel, &case.balances, index % case.balances.len());
        let draft = sponsored(posted.supersede(&raised, *fee), number);
        try_step(&mut world, &mut posted, &draft);
    }
    if let Some(fee) = case.penalizes_itself {
        let newest = channel.state(version(case.balances.len() - 1), 0);
        let proof = claim(case.cheater, &newest, newest.version);
        let draft = sponsored(posted.penalize(None, &proof, fee), 5);
        try_step(&mut world, &mut posted, &draft);
    }
    world.time = posted.deadline;
    let (author_fees, other_fees) = (posted.closing.author_fees, posted.closing.other_fees);
    defend(&mut world, &mut posted, case, &channel);

    let newest = channel.state(1, *case.balances.last().expect("at least two"));
    let due = newest.balance(case.cheater.other()).units();
    let declared = author_fees.units() + other_fees.units();
    let paid = world.holdings(&honest) - before;
    prop_assert!(paid + declared >= due, "due {due}, paid {paid}, declared fees {declared}");
    Ok(())
}

/// An honest author closes with the newest state that it holds; the other party holds more of its signatures.
fn honest_author(balances: &[u64], inflight: &[u64], fee: u64) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let channel = world.open(0);
    let before = world.holdings(&alice());
    let held = version(balances.len() - 1);
    let newest = state(&channel, balances, balances.len() - 1);
    let fee = fee.min(newest.state.balance_a.units());
    let close = channel.unilateral(Party::A, &newest, fee);
    let mut posted = Posted::of(&world.submit(&sponsored(close, 0)).expect("a close is accepted"));
    let mut due = newest.state.balance_a.units();
    for (number, a) in (1u32..).zip(inflight) {
        // She proposed it, and every signature of hers says what she held.
        let proposed = channel.state(held + u64::from(number), *a);
        let draft = posted.penalize(None, &claim(Party::A, &proposed, held), 0);
        let refused = world.submit(&sponsored(draft, 6));
        let fault = ChannelFault::NoProof;
        prop_assert_eq!(refused, Err(TxError::Channel { input: 0, fault }));
        let completed = cosign_held(&proposed, held, held);
        let draft = sponsored(posted.supersede(&completed, 0), number);
        posted = Posted::of(&world.submit(&draft).expect("a newer state is accepted"));
        due = *a;
    }
    world.wait_ms(2 * WINDOW_MS);
    let draft = posted.finalize(&[], 0, outputs(settlement(&posted.closing, 0)));
    world.submit(&sponsored(draft, 8)).expect("a settlement after the deadline is accepted");
    let paid = world.holdings(&alice()) - before;
    prop_assert!(paid + fee >= due, "due {due}, paid {paid}, fee {fee}");
    Ok(())
}

/// A transfer that may be nonsense.
#[derive(Clone, Debug)]
struct Transfer {
    owner: u8,
    input: usize,
    amounts: Vec<u64>,
    issue: Option<u64>,
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![0..COIN.units(), Just(u64::MAX), Just(0), 1_000..2_000u64]
}

fn transfer() -> impl Strategy<Value = Transfer> {
    let amounts = prop::collection::vec(amount(), 1..4);
    (1..=3u8, 0..40usize, amounts, prop::option::of(amount()))
        .prop_map(|(owner, input, amounts, issue)| Transfer { owner, input, amounts, issue })
}

fn try_transfer(world: &mut World, transfer: &Transfer) {
    let owner = Person::new(transfer.owner);
    let outpoints: Vec<OutPoint> = world.view.entries.keys().copied().collect();
    let input = outpoints[transfer.input % outpoints.len()];
    let (asset, available) = match world.view.entries.get(&input) {
        Some(entry) => (entry.output.asset, entry.output.amount.units()),
        None => return,
    };
    let recipients = (1u8..).map(Person::new);
    let pay = |(person, amount): (Person, &u64)| Output { asset, ..person.paid(Amount(*amount)) };
    let mut outputs: Vec<Output> = recipients.zip(&transfer.amounts).map(pay).collect();
    let spent = transfer.amounts.iter().fold(FEE.units(), |sum, amount| sum.saturating_add(*amount));
    if let Some(rest) = available.checked_sub(spent) {
        outputs.push(owner.paid(Amount(rest)));
    }
    let payload = transfer.issue.map(|amount| {
        let asset = AssetId::issued_by(&CHAIN, &input);
        outputs.push(Output { asset, ..owner.paid(Amount(amount)) });
        Payload::Issue { amount: Amount(amount), symbol: "COIN".to_owned() }
    });
    let inputs = vec![(input, How::Key(owner.wallet))];
    // Refused or not: the audit in `apply` says whether the supply is right.
    let _outcome = world.submit(&Draft { inputs, outputs, payload });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i3_a_victim_of_a_stale_close_gets_what_it_is_due(case in dispute()) {
        play(&case)?;
    }

    #[test]
    fn i6_c5_an_honest_author_is_never_punished(
        balances in prop::collection::vec(balance(), 1..6),
        inflight in prop::collection::vec(balance(), 0..5),
        fee in 0..10_000u64,
    ) {
        honest_author(&balances, &inflight, fee)?;
    }

    #[test]
    fn i1_l6_supply_is_conserved_by_any_transfers(transfers in prop::collection::vec(transfer(), 1..30)) {
        let mut world = World::new();
        for transfer in &transfers {
            try_transfer(&mut world, transfer);
            world.wait_ms(1_000);
        }
    }
}
