//! One healthy transaction of each kind: every lock, every witness, every payload, alone and in batches. Where no wallet
//! signs, the outputs pay not a unit more than they must.

use towpath_crypto::schnorr::WalletKey;
use towpath_crypto::{Amount, codec};

use super::world::*;
use crate::types::*;

/// A healthy transaction, and the ledger on which it is one.
pub struct Case {
    pub name: &'static str,
    pub world: World,
    pub healthy: Transaction,
}

impl Case {
    fn new(name: &'static str, world: &World, draft: &Draft) -> Self {
        Self { name, world: world.clone(), healthy: draft.sign(&world.view) }
    }

    /// Whether a wallet signature covers the whole body.
    pub fn is_signed(&self) -> bool {
        let signs = |witness: &Witness| matches!(witness, Witness::Wallet(_) | Witness::Resize { .. });
        self.healthy.witnesses.iter().any(signs)
    }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let groups = [wallets(), locks(), payloads(), openings(), resizes(), closes(), disputes(), settlements()];
    let mut all: Vec<Case> = groups.into_iter().flatten().collect();
    all.extend(pending_payments());
    all.extend(batches());
    all
}

/// The draft whose fee is exactly the least: one base unit a byte. The fee does not change the size.
fn exact(world: &World, draft: impl Fn(u64) -> Draft) -> Draft {
    let bytes = codec::encode(&draft(1_000).sign(&world.view)).len();
    draft(u64::try_from(bytes).expect("small"))
}

fn pays(a: u64, b: u64) -> Vec<Output> {
    let outputs = [alice().paid(Amount(a)), bob().paid(Amount(b))];
    outputs.into_iter().filter(|output| !output.amount.is_zero()).collect()
}

/// Carol pays the fee and gets the rest back.
fn sponsored(draft: Draft, index: u32) -> Draft {
    let mut draft = draft.with(coin(3, index), How::Key(carol().wallet));
    draft.outputs.push(carol().paid(minus(COIN, FEE)));
    draft
}

fn transfer(index: u32, fee: u64) -> Draft {
    let outputs = vec![bob().paid(Amount(5_000)), alice().paid(Amount(COIN.units() - 5_000 - fee))];
    Draft::of(coin(1, index), How::Key(alice().wallet), outputs)
}

fn wallets() -> Vec<Case> {
    let world = World::new();
    let one = exact(&world, |fee| transfer(9, fee));
    let mut body = transfer(9, 1_000).body();
    body.not_before = Some(START);
    body.expiry = Some(START.plus_ms(1));
    let bounded = sign_body(body, [&How::Key(alice().wallet)], &world.view);
    let two = transfer(9, 1_000).with(coin(2, 9), How::Key(bob().wallet));
    let two = Draft { outputs: [two.outputs.clone(), vec![bob().paid(COIN)]].concat(), ..two };
    vec![
        Case::new("transfer", &world, &one),
        Case { name: "transfer within a time", world: world.clone(), healthy: bounded },
        Case::new("transfer of two owners", &world, &two),
    ]
}

/// A coin of Alice's under this lock.
fn locked(world: &mut World, payout: Payout) -> OutPoint {
    let output = Output { lock: Lock::Wallet(payout), ..alice().paid(minus(COIN, FEE)) };
    let draft = Draft::of(coin(1, 8), How::Key(alice().wallet), vec![output]);
    world.submit(&draft).expect("a healthy transfer").created[0].0
}

fn locks() -> Vec<Case> {
    let mut world = World::new();
    let mut people = [alice(), bob(), carol()];
    people.sort_by_key(|person| person.wallet.public());
    let keys: Vec<WalletKey> = people.iter().map(|person| person.wallet.public()).collect();
    let shared = locked(&mut world, Payout::Multisig(Multisig { required: 2, keys }));
    let outputs = vec![bob().paid(minus(minus(COIN, FEE), FEE))];
    let body = Draft::of(shared, How::Witness(Witness::Wallet(Vec::new())), outputs.clone()).body();
    let spend = Spend { transaction: body.id(), spent: vec![world.view.entries[&shared].output.clone()] };
    let sign = |person: &Person| (person.wallet.public(), person.wallet.sign(&CHAIN, &spend));
    let witnesses = vec![Witness::Wallet(vec![sign(&people[0]), sign(&people[2])])];
    let multisig = Transaction { body, witnesses };
    let mut later = World::new();
    let timelock = Timelock { not_before: START.plus_ms(500), key: bob().wallet.public() };
    let late = locked(&mut later, Payout::Timelock(timelock));
    later.wait_ms(500);
    vec![
        Case { name: "multisig", world, healthy: multisig },
        Case::new("timelock", &later, &Draft::of(late, How::Key(bob().wallet), outputs)),
    ]
}

fn units(asset: AssetId, person: &Person, amount: u64) -> Output {
    Output { asset, ..person.paid(Amount(amount)) }
}

fn payloads() -> Vec<Case> {
    let mut world = World::new();
    let with = |payload: Payload| Draft {
        payload: Some(payload),
        ..Draft::of(coin(3, 0), How::Key(carol().wallet), vec![carol().paid(minus(COIN, FEE))])
    };
    let secrets = vec![Secret::Preimage([1; 32]), Secret::Preimage([2; 32]), Secret::Scalar([3; 32])];
    let mut found = vec![
        Case::new("reveal", &world, &with(Payload::Reveal(secrets))),
        Case::new("anchor", &world, &with(Payload::Anchor(Digest([7; 32])))),
    ];
    let gold = AssetId::issued_by(&CHAIN, &coin(3, 0));
    let mut issue = with(Payload::Issue { amount: Amount(100), symbol: "GOLD".to_owned() });
    issue.outputs.push(units(gold, &alice(), 100));
    found.push(Case::new("issue", &world, &issue));
    let issued = world.submit(&issue).expect("a healthy issue").created[1].0;
    let outputs = vec![units(gold, &bob(), 60), units(gold, &alice(), 40)];
    let moved = sponsored(Draft::of(issued, How::Key(alice().wallet), outputs), 1);
    found.push(Case::new("transfer of an asset", &world, &moved));
    found
}

fn channel_output(terms: ChannelTerms, capacity: u64) -> Output {
    Output { asset: AssetId::NATIVE, amount: Amount(capacity), lock: Lock::Channel(Box::new(terms)) }
}

fn openings() -> Vec<Case> {
    let world = World::new();
    let one = opening(coin(1, 0), World::terms(&coin(1, 0)), CAPACITY);
    let mut both = one.clone().with(coin(2, 0), How::Key(bob().wallet));
    both.outputs[0].amount = Amount(2 * CAPACITY.units());
    both.outputs.push(bob().paid(minus(COIN, CAPACITY)));
    let mut batch = one.clone();
    for index in 2..4 {
        let (key_a, key_b) = (alice().channel.public(), bob().channel.public());
        let id = ChannelId::derive(&CHAIN, &coin(1, 0), index, &key_a, &key_b);
        let expiry = Some(START.plus_ms(9_000_000));
        let terms = ChannelTerms { id, expiry, ..World::terms(&coin(1, 0)) };
        batch.outputs.push(channel_output(terms, CAPACITY.units()));
        batch.outputs[1].amount = minus(batch.outputs[1].amount, CAPACITY);
    }
    vec![
        Case::new("opening by one", &world, &one),
        Case::new("opening by both", &world, &both),
        Case::new("opening of three", &world, &batch),
    ]
}

fn resizes() -> Vec<Case> {
    let mut world = World::new();
    let channel = world.open(0);
    let terms = ChannelTerms { generation: 1, ..channel.terms.clone() };
    let resize = How::Resize(channel.terms.id);
    let grown = Draft::of(channel.outpoint, resize.clone(), vec![channel_output(terms.clone(), 3_000_000)]);
    let mut grown = grown.with(coin(1, 5), How::Key(alice().wallet));
    grown.outputs.push(alice().paid(Amount(COIN.units() - 2_000_000 - FEE.units())));
    let paid_out = vec![channel_output(terms, 600_000), bob().paid(Amount(400_000 - FEE.units()))];
    vec![
        Case::new("resize to more", &world, &grown),
        Case::new("resize to less", &world, &Draft::of(channel.outpoint, resize, paid_out)),
    ]
}

fn closes() -> Vec<Case> {
    let mut world = World::new();
    let channel = world.open(0);
    let last = cosign(&channel.final_state(9, 200_000));
    let together = exact(&world, |fee| channel.cooperative(&last, fee));
    let state = cosign(&channel.state(5, 700_000));
    let alone = exact(&world, |fee| channel.unilateral(Party::A, &state, fee));
    let by_b = channel.unilateral(Party::B, &state, 0);
    let mut found = vec![
        Case::new("cooperative", &world, &together),
        Case::new("unilateral", &world, &alone),
        Case::new("unilateral with a sponsor", &world, &sponsored(by_b, 0)),
    ];
    let posted = Posted::of(&world.submit(&alone).expect("a healthy close"));
    let fees = posted.closing.author_fees.units();
    let settled = exact(&world, |fee| {
        let witness = Witness::Cooperative { state: Box::new(last.clone()), fee: Amount(fee) };
        Draft::of(posted.outpoint, How::Witness(witness), pays(200_000 - fees - fee, 800_000))
    });
    found.push(Case::new("cooperative after a unilateral", &world, &settled));
    found
}

/// A channel in which Alice posted version 5, and the newest state, 9.
fn disputed() -> (World, Posted, CoSigned) {
    let mut world = World::new();
    let channel = world.open(0);
    let newest = cosign(&channel.state(9, 200_000));
    let state = cosign(&channel.state(5, 700_000));
    let alone = exact(&world, |fee| channel.unilateral(Party::A, &state, fee));
    let posted = Posted::of(&world.submit(&alone).expect("a healthy close"));
    world.wait_ms(60_000);
    (world, posted, newest)
}

fn disputes() -> Vec<Case> {
    let (world, posted, newest) = disputed();
    let fees = posted.closing.author_fees.units();
    let proof = claim(Party::A, &newest.state, 8);
    let case = |name, draft: &dyn Fn(u64) -> Draft| Case::new(name, &world, &exact(&world, draft));
    let answer = |state: Option<&CoSigned>, proof: Option<&SignedState>, (a, b): (u64, u64)| {
        exact(&world, |fee| posted.answer((state, proof), &[], fee, pays(a, b - fee)))
    };
    vec![
        case("supersede", &|fee| posted.supersede(&newest, fee)),
        Case::new("supersede with a sponsor", &world, &sponsored(posted.supersede(&newest, 0), 0)),
        case("penalize", &|fee| posted.penalize(None, &proof, fee)),
        case("penalize with a state", &|fee| posted.penalize(Some(&newest), &proof, fee)),
        Case::new("answer", &world, &answer(None, None, (700_000 - fees, 300_000))),
        Case::new("answer with a state", &world, &answer(Some(&newest), None, (200_000 - fees, 800_000))),
        Case::new(
            "answer with a penalty",
            &world,
            &answer(Some(&newest), Some(&proof), (100_000 - fees, 900_000)),
        ),
    ]
}

fn settlements() -> Vec<Case> {
    let (mut world, posted, newest) = disputed();
    let fees = posted.closing.author_fees.units();
    let mut superseded = world.clone();
    let proof = claim(Party::A, &newest.state, 8);
    let draft = exact(&world, |fee| posted.penalize(Some(&newest), &proof, fee));
    let penalized = Posted::of(&superseded.submit(&draft).expect("a healthy proof"));
    let others = penalized.closing.other_fees.units();
    world.wait_ms(WINDOW_MS + 1);
    superseded.wait_ms(WINDOW_MS + 1);
    let plain = exact(&world, |fee| posted.finalize(&[], fee, pays(700_000 - fees - fee, 300_000)));
    let after =
        exact(&superseded, |fee| penalized.finalize(&[], fee, pays(100_000 - fees - fee, 900_000 - others)));
    vec![Case::new("finalize", &world, &plain), Case::new("finalize after a penalty", &superseded, &after)]
}

/// The secrets of three payments: the first is revealed in time, the second never, the third not yet.
const SECRETS: [Secret; 3] =
    [Secret::Preimage([0x51; 32]), Secret::Preimage([0x52; 32]), Secret::Scalar([0x53; 32])];

fn reveal(index: u32) -> Draft {
    let outputs = vec![carol().paid(minus(COIN, FEE))];
    let draft = Draft::of(coin(3, index), How::Key(carol().wallet), outputs);
    Draft { payload: Some(Payload::Reveal(vec![SECRETS[0]])), ..draft }
}

fn pending_payments() -> Vec<Case> {
    let mut world = World::new();
    let channel = world.open(0);
    let open_until = START.plus_ms(3 * WINDOW_MS);
    let pending = [
        hash_payment(1, 100_000, &SECRETS[0], START.plus_ms(10_000)),
        hash_payment(2, 50_000, &SECRETS[1], START.plus_ms(10_000)),
        hash_payment(7, 30_000, &SECRETS[2], open_until),
    ];
    let state = cosign(&channel.state_with(9, 700_000, &pending));
    let alone = exact(&world, |fee| channel.unilateral(Party::A, &state, fee));
    let posted = Posted::of(&world.submit(&alone).expect("a healthy close"));
    let fees = posted.closing.author_fees.units();
    world.submit(&reveal(0)).expect("a healthy reveal");
    world.wait_ms(10_001);
    let conditional = Conditional {
        condition: pending[2].condition,
        expiry: open_until,
        payee: bob().payout(),
        payer: alice().payout(),
    };
    let held = Output { lock: Lock::Conditional(Box::new(conditional)), ..bob().paid(Amount(30_000)) };
    let outputs = |a: u64, b: u64| [pays(a, b), vec![held.clone()]].concat();
    let answer = exact(&world, |fee| {
        posted.answer((None, None), &pending, fee, outputs(570_000 - fees, 400_000 - fee))
    });
    let mut found = vec![Case::new("answer with payments", &world, &answer)];
    world.wait_ms(WINDOW_MS);
    let finalize =
        exact(&world, |fee| posted.finalize(&pending, fee, outputs(570_000 - fees - fee, 400_000)));
    found.push(Case::new("finalize with payments", &world, &finalize));
    let open = world.submit(&finalize).expect("a healthy settlement").created[2].0;
    let resolve = |to: &Person, fee: u64| {
        let witness = Witness::Resolve { fee: Amount(fee) };
        Draft::of(open, How::Witness(witness), vec![to.paid(Amount(30_000 - fee))])
    };
    let mut claim = sponsored(resolve(&bob(), 0), 1);
    claim.payload = Some(Payload::Reveal(vec![SECRETS[2]]));
    found.push(Case::new("resolve and reveal", &world, &claim));
    let mut known = world.clone();
    let told = Draft { payload: claim.payload.clone(), ..reveal(1) };
    known.submit(&told).expect("a healthy reveal");
    known.wait_ms(1);
    found.push(Case::new("resolve to the payee", &known, &exact(&known, |fee| resolve(&bob(), fee))));
    world.time = open_until.plus_ms(1);
    found.push(Case::new("resolve to the payer", &world, &exact(&world, |fee| resolve(&alice(), fee))));
    found
}

/// Two drafts as one.
fn joined(mut one: Draft, other: Draft) -> Draft {
    one.inputs.extend(other.inputs);
    one.outputs.extend(other.outputs);
    one
}

fn batches() -> Vec<Case> {
    let mut world = World::new();
    let channels: Vec<Open> = (0..3).map(|index| world.open(index)).collect();
    let alone = |channel: &Open, fee| channel.unilateral(Party::A, &cosign(&channel.state(5, 700_000)), fee);
    let two = exact(&world, |fee| joined(alone(&channels[0], fee), alone(&channels[1], 0)));
    let mut found = vec![Case::new("unilateral of two", &world, &two)];
    let first = Posted::of(&world.submit(&alone(&channels[0], 2_000)).expect("a healthy close"));
    let second = Posted::of(&world.submit(&alone(&channels[1], 2_000)).expect("a healthy close"));
    let newest = |posted: &Posted| cosign(&ChannelState { version: 9, ..posted.closing.state.clone() });
    let superseded = exact(&world, |fee| {
        joined(first.supersede(&newest(&first), fee), second.supersede(&newest(&second), 0))
    });
    found.push(Case::new("supersede of two", &world, &superseded));
    world.wait_ms(WINDOW_MS + 1);
    // A settlement, a second one and a cooperative close, each party's shares in one output.
    let last = cosign(&channels[2].final_state(9, 200_000));
    let merged = sponsored(
        joined(
            joined(first.finalize(&[], 0, pays(1_596_000, 1_400_000)), second.finalize(&[], 0, Vec::new())),
            Draft { outputs: Vec::new(), ..channels[2].cooperative(&last, 0) },
        ),
        0,
    );
    found.push(Case::new("settlement of three", &world, &merged));
    // A channel is closed and another opened out of the payout's owner's wallet.
    let funding = coin(1, 7);
    let mut reopened = opening(funding, World::terms(&funding), CAPACITY);
    reopened = joined(reopened, channels[2].cooperative(&last, 0));
    found.push(Case::new("opening beside a close", &world, &reopened));
    found
}
