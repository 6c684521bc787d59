//! The bytes of every message and every row, as they are for ever: one line each in `golden.txt`, the name and the hex.
//! Keys, digests and signatures are patterns, so that the layout can be read off the hex (`docs/format/channel.md`).
//!
//! A line that differs is a change of the format: it needs a new version byte, not a new line.

use std::fmt::Write as _;

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_crypto::schnorr::{WalletKey, WalletSignature};
use towpath_crypto::{Amount, ChainId, Digest};
use towpath_ledger::*;

use crate::channel::{Burnt, Fixed, Held, Lost, OpenProposal, Plan, Posted, Resizing, Witnesses};
use crate::limits::{FUNDING_INPUTS_MAX, MESSAGE_BYTES_MAX, REQUESTS_MAX, UPDATES_MAX, WALLET_KEYS_MAX};
use crate::opening::Stored;
use crate::row::{Key, Live};
use crate::*;

const CHAIN: ChainId = ChainId(Digest([0xc0; 32]));

fn signature(byte: u8) -> StateSignature {
    StateSignature { held: 4, signature: Signature([byte; 64]) }
}

fn payout(byte: u8) -> Payout {
    Payout::Key(WalletKey([byte; 32]))
}

fn outpoint(byte: u8) -> OutPoint {
    OutPoint { tx: TxId(Digest([byte; 32])), index: 0x0201 }
}

fn output(byte: u8) -> Output {
    Output { asset: AssetId::NATIVE, amount: Amount(0x0605), lock: Lock::Wallet(payout(byte)) }
}

fn input(byte: u8) -> FundingInput {
    FundingInput { outpoint: outpoint(byte), output: output(byte) }
}

fn dual() -> Funding {
    Funding::Dual { inputs: vec![input(0x11)], change: vec![output(0x12)] }
}

fn open(funding: Funding, expiry: Option<Time>) -> Message {
    Message::Open(Box::new(Open {
        open: OpenId([0x0e; 32]),
        chain: CHAIN,
        asset: AssetId(Digest([0xa5; 32])),
        key: PublicKey([0xa1; 32]),
        payout: payout(0xa2),
        amount_a: Amount(0x0102),
        amount_b: Amount(0x0304),
        sequencer: Party::B,
        dispute_window_ms: 0x0506,
        penalty_basis_points: 0x0708,
        reserve: Amount(0x090a),
        close_fee_max: Amount(0x0b0c),
        expiry,
        funding,
        funding_deadline: Time(0x0d0e),
    }))
}

fn accept() -> Accept {
    Accept {
        open: OpenId([0x0e; 32]),
        key: PublicKey([0xb1; 32]),
        payout: payout(0xb2),
        inputs: vec![input(0x21)],
        change: vec![output(0x22)],
        signature: signature(0xb3),
    }
}

fn terms() -> ChannelTerms {
    ChannelTerms {
        id: ChannelId(Digest([0xcd; 32])),
        generation: 3,
        key_a: PublicKey([0xa1; 32]),
        key_b: PublicKey([0xb1; 32]),
        payout_a: payout(0xa2),
        payout_b: payout(0xb2),
        dispute_window_ms: 0x0506,
        penalty_basis_points: 0x0708,
        reserve: Amount(0x090a),
        close_fee_max: Amount(0x0b0c),
        expiry: None,
    }
}

fn content() -> Content {
    Content {
        sent_a: 0x31,
        sent_b: 0x32,
        ..Content::first(
            &terms(),
            towpath_ledger::ChannelTag(Digest([0x7a; 32])),
            (Amount(0x0102), Amount(0x0304)),
            Party::A,
        )
    }
}

fn transfer(memo: Option<[u8; 32]>) -> Transfer {
    Transfer { from: Party::B, number: 0x41, amount: Amount(0x42), memo }
}

fn propose(updates: Vec<Update>, answer: Answer) -> Propose {
    Propose { version: 0x51, base: 0x50, updates, answer, signature: signature(0xa3) }
}

fn all_updates() -> Vec<Update> {
    let transfers = [None, Some([0x43; 32])].map(|memo| Update::Transfer(transfer(memo)));
    transfers.into_iter().chain([Update::Handover, Update::Finish]).collect()
}

fn co_signed() -> CoSigned {
    CoSigned { state: content().state, a: signature(0xa3), b: signature(0xb3) }
}

fn witnesses() -> Vec<WalletWitness> {
    vec![vec![(WalletKey([0x61; 32]), WalletSignature([0x62; 64]))], Vec::new()]
}

fn reasons() -> Vec<RefuseReason> {
    let faults = [
        UpdateError::Zero,
        UpdateError::Number,
        UpdateError::Balance,
        UpdateError::AfterLast,
        UpdateError::Pending,
        UpdateError::Version,
    ];
    let others = [
        RefuseReason::NotRequested,
        RefuseReason::Unwanted,
        RefuseReason::Busy,
        RefuseReason::Closing,
        RefuseReason::Burnt,
        RefuseReason::Terms,
    ];
    faults.map(RefuseReason::Invalid).into_iter().chain(others).collect()
}

fn channel_messages() -> Vec<ChannelMessage> {
    let mut messages = vec![
        ChannelMessage::Created(signature(0xa3)),
        ChannelMessage::Witnesses(witnesses()),
        ChannelMessage::Propose(propose(Vec::new(), Answer::Now)),
        ChannelMessage::Propose(propose(all_updates(), Answer::Later)),
        ChannelMessage::Ack(Ack { version: 0x51, signature: signature(0xb3) }),
        ChannelMessage::Request(Request { transfers: vec![transfer(None)], role: Role::Keep }),
        ChannelMessage::Request(Request { transfers: Vec::new(), role: Role::Take }),
        ChannelMessage::Resend(0x51),
        ChannelMessage::Reestablish(Box::new(Reestablish {
            generation: 3,
            newest: co_signed(),
            next: 0x52,
            seen: 0x53,
        })),
        ChannelMessage::Close,
    ];
    let request = Refused::Request { number: 0x41 };
    messages
        .extend(reasons().into_iter().map(|reason| ChannelMessage::Refuse(Refuse { what: request, reason })));
    let proposal = Refused::Proposal { version: 0x51, update: 0x0201 };
    messages.push(ChannelMessage::Refuse(Refuse { what: proposal, reason: RefuseReason::Unwanted }));
    messages.extend(recovery_messages());
    messages.extend(resize_messages());
    messages
}

fn plan(change: Change) -> ResizePlan {
    ResizePlan { change, inputs: vec![input(0x11)], outputs: vec![output(0x12)], expiry: Time(0x0f10) }
}

fn resize_messages() -> Vec<ChannelMessage> {
    let offer = |change| {
        let (plan, signature) = (plan(change), signature(0xa3));
        ChannelMessage::Resize(Box::new(Resize { base: 0x50, version: 0x51, plan, signature }))
    };
    let agreed = ResizeAgreed { version: 0x51, signature: signature(0xb3), intent: Signature([0xb4; 64]) };
    let refused = Refused::Resize { version: 0x51 };
    vec![
        offer(Change::Add(Amount(0x57))),
        offer(Change::PayOut(Amount(0x58))),
        ChannelMessage::ResizeAgreed(agreed),
        ChannelMessage::Refuse(Refuse { what: refused, reason: RefuseReason::Terms }),
    ]
}

fn recovery_messages() -> Vec<ChannelMessage> {
    let evidence = Evidence { content: content(), a: signature(0xa3), b: signature(0xb3) };
    let recover = |newest| {
        ChannelMessage::Recover(Box::new(Recover { generation: 3, question: 0x54, newest, floor: 0x55 }))
    };
    let resume = |jump| {
        let newest = evidence.clone();
        ChannelMessage::Resume(Box::new(Resume { generation: 3, question: 0x54, newest, jump }))
    };
    let jump = Jump { version: 0x56, signature: signature(0xa3) };
    vec![recover(None), recover(Some(evidence.clone())), resume(None), resume(Some(jump))]
}

fn messages() -> Vec<(String, Message)> {
    let single = Funding::Single { first_input: outpoint(0x11), index: 0x0807 };
    let mut messages = vec![
        ("open single".into(), open(single, None)),
        ("open dual".into(), open(dual(), Some(Time(0x0f10)))),
        ("accept".into(), Message::Accept(Box::new(accept()))),
    ];
    let reasons = [DeclineReason::Terms, DeclineReason::Busy, DeclineReason::Unwanted, DeclineReason::Funds];
    for reason in reasons {
        let decline = Decline { open: OpenId([0x0e; 32]), reason };
        messages.push((format!("decline {reason:?}"), Message::Decline(decline)));
    }
    let epoch = Epoch { start: 0x5758, instance: [0x59; 16] };
    let hello = Hello { epoch, signature: Signature([0x5a; 64]) };
    messages.push(("hello".into(), Message::Hello(hello)));
    messages.push(("stale".into(), Message::Stale(hello)));
    for message in channel_messages() {
        let name = message.name().to_owned();
        messages.push((name, Message::Channel(ChannelId(Digest([0xcd; 32])), message)));
    }
    messages
}

fn fixed(plan: Plan) -> Fixed {
    Fixed {
        open: OpenId([0x0e; 32]),
        chain: CHAIN,
        asset: AssetId(Digest([0xa5; 32])),
        capacity: Amount(0x0406),
        terms: terms(),
        first: content(),
        me: Party::B,
        peer: PublicKey([0x71; 32]),
        key_index: 0x7273,
        plan,
        funding_deadline: Time(0x0d0e),
    }
}

fn single_plan() -> Plan {
    Plan::Single { first_input: outpoint(0x11), index: 0x0807 }
}

fn dual_plan() -> Plan {
    Plan::Dual {
        inputs_a: vec![input(0x11)],
        change_a: vec![output(0x12)],
        inputs_b: vec![input(0x21)],
        change_b: vec![output(0x22)],
    }
}

fn mark() -> Mark {
    Mark { generation: 3, version: 0x51, digest: Digest([0x81; 32]), is_final: false, held: 0x50 }
}

fn live(life: Life) -> Live {
    Live {
        life,
        funding: Some(outpoint(0x91)),
        held: Held { content: content(), theirs: signature(0xa3), mine: Some(signature(0xb3)) },
        mark: mark(),
        mark_next: Mark { generation: 4, ..mark() },
        seen: 0x92,
        next_number: 0x93,
        posted: None,
        lost: None,
        journal: Journal { count: 0x94, hash: Digest([0x95; 32]) },
        proposals: 0x96,
        requests: 0x97,
        resizes: 0x9c,
    }
}

fn lives() -> Vec<Life> {
    use ClosingStage::{Agreed, Draining, Finishing, Unilateral};
    let settlements = [
        Settlement::NeverFunded,
        Settlement::Cooperative,
        Settlement::Unilateral,
        Settlement::Resolved,
        Settlement::Penalized,
    ];
    let closing = [Draining, Finishing, Agreed, Unilateral].map(Life::Closing);
    let ends = settlements.map(Life::Settled);
    [Life::Opening, Life::Active].into_iter().chain(closing).chain([Life::Disputed]).chain(ends).collect()
}

/// A row: its key, then its value.
fn row<T>(text: &mut String, name: &str, key: Key, value: &T)
where
    T: Encode + Decode<()> + PartialEq + std::fmt::Debug,
{
    let bytes = key.value(value);
    assert_eq!(key.read::<T>(&bytes).as_ref(), Ok(value), "{name} reads back");
    assert_eq!(Key::parse(&key.bytes()), Some(key));
    writeln!(text, "row {name}: {} {}", hex(&key.bytes()), hex(&bytes)).expect("a string takes everything");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rows(text: &mut String) {
    row(text, "fixed single", Key::Fixed, &fixed(single_plan()));
    row(text, "fixed dual", Key::Fixed, &fixed(dual_plan()));
    row(text, "fixed found", Key::Fixed, &fixed(Plan::Found));
    for life in lives() {
        row(text, &format!("live {life:?}"), Key::Live, &live(life));
    }
    let posted = Some(Posted { version: 0x51, fee: Amount(0x98), signature: Signature([0x99; 64]) });
    let lost = Some(Lost { proven: 0x9a, floor: 0x9b });
    let held = Held { content: content(), theirs: signature(0xa3), mine: None };
    let full = Live { funding: None, held, posted, lost, ..live(Life::Active) };
    row(text, "live posted, lost, of a claim", Key::Live, &full);
    let burnt = [
        None,
        Some(Burnt::Dependent),
        Some(Burnt::Refused { update: 0x0201, reason: RefuseReason::Unwanted }),
    ];
    for burnt in burnt {
        let name = format!("proposal {burnt:?}");
        let propose = propose(all_updates(), Answer::Now);
        row(text, &name, Key::Proposal(0x51), &OpenProposal { propose, content: content(), burnt });
    }
    row(text, "request", Key::Request(0x41), &transfer(Some([0x43; 32])));
    row(text, "witnesses of none", Key::Witnesses, &Witnesses::default());
    let both = Witnesses { a: Some(witnesses()), b: Some(Vec::new()) };
    row(text, "witnesses", Key::Witnesses, &both);
    let offered = Resizing {
        by: Party::B,
        base: 0x50,
        plan: plan(Change::Add(Amount(0x57))),
        content: content(),
        mine: signature(0xb3),
        theirs: None,
        intent: None,
        intent_theirs: None,
        witnesses: None,
    };
    let sealed = Resizing {
        by: Party::A,
        theirs: Some(signature(0xa3)),
        intent: Some(Signature([0xb4; 64])),
        intent_theirs: Some(Signature([0xa4; 64])),
        witnesses: Some(witnesses()),
        ..offered.clone()
    };
    row(text, "resize offered", Key::Resize, &offered);
    row(text, "resize sealed", Key::Resize, &sealed);
    let acceptance = Stored { fixed: fixed(dual_plan()), mark: mark(), accept: accept() };
    row(text, "acceptance", Key::Acceptance, &acceptance);
}

/// Log entries, which a store keeps as they are.
fn events(text: &mut String) {
    let summary = VersionSummary::from(&content());
    let kinds = [
        EventKind::Created { balance_a: Amount(0x0102), balance_b: Amount(0x0304) },
        EventKind::Funded(outpoint(0x91)),
        EventKind::Life(Life::Active),
        EventKind::Proposed(summary),
        EventKind::Held(summary),
        EventKind::Burnt { version: 0x51 },
        EventKind::Posted { version: 0x51, fee: Amount(0x98) },
        EventKind::ClosingSeen { version: 0x51, author: Party::B },
        EventKind::DataLost { proven: 0x9a },
        EventKind::Recovered(summary),
        EventKind::ResizeSigned {
            by: Party::B,
            change: Change::Add(Amount(0x57)),
            version: 0x51,
            transaction: TxId(Digest([0x91; 32])),
        },
        EventKind::Resized { generation: 4, capacity: Amount(0x0406), version: 0x51 },
        EventKind::ResizeEnded { version: 0x51, why: ResizeFailure::Refused(RefuseReason::Terms) },
        EventKind::ResizeEnded { version: 0x51, why: ResizeFailure::Expired },
        EventKind::ResizeEnded { version: 0x51, why: ResizeFailure::Closed },
        EventKind::ResizeEnded { version: 0x51, why: ResizeFailure::Lost },
        EventKind::Overtaken { generation: 4 },
    ];
    let mut journal = Journal::default();
    let mut reader = Journal::default();
    for kind in kinds {
        let now = Now { local_ms: 0xe1, ledger: Time(0xe2) };
        let event = journal.append(now, kind);
        assert!(reader.verify(&event), "each entry follows the one before");
        let bytes = towpath_crypto::codec::encode(&event);
        writeln!(text, "event {}: {}", event.sequence, hex(&bytes)).expect("a string takes everything");
    }
}

#[test]
fn the_bytes_of_every_message_and_row_are_settled() {
    let mut text = String::new();
    for (name, message) in messages() {
        let bytes = message.encode();
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message), "{name} reads back");
        writeln!(text, "message {name}: {}", hex(&bytes)).expect("a string takes everything");
    }
    rows(&mut text);
    events(&mut text);
    // Shown if the test fails: what the file would be.
    println!("{text}");
    for (settled, now) in include_str!("golden.txt").lines().zip(text.lines()) {
        assert_eq!(settled, now);
    }
    assert_eq!(include_str!("golden.txt").lines().count(), text.lines().count());
}

#[test]
fn messages_are_bounded() {
    let channel = |message| Message::Channel(ChannelId(Digest([0xcd; 32])), message);
    let largest = |count: usize| {
        let updates = vec![Update::Transfer(transfer(Some([0x43; 32]))); count];
        channel(ChannelMessage::Propose(propose(updates, Answer::Now)))
    };
    let bytes = largest(UPDATES_MAX).encode();
    assert!(Message::decode(&bytes).is_ok() && bytes.len() <= MESSAGE_BYTES_MAX);
    assert!(Message::decode(&largest(UPDATES_MAX + 1).encode()).is_err());
    let request = |count| {
        let transfers = vec![transfer(Some([0x43; 32])); count];
        channel(ChannelMessage::Request(Request { transfers, role: Role::Keep }))
    };
    let bytes = request(REQUESTS_MAX).encode();
    assert!(Message::decode(&bytes).is_ok() && bytes.len() <= MESSAGE_BYTES_MAX);
    assert!(Message::decode(&request(REQUESTS_MAX + 1).encode()).is_err());
    let witness = |inputs: usize, keys: usize| {
        let each = vec![(WalletKey([0x61; 32]), WalletSignature([0x62; 64])); keys];
        channel(ChannelMessage::Witnesses(vec![each; inputs]))
    };
    assert!(Message::decode(&witness(FUNDING_INPUTS_MAX, 1).encode()).is_ok());
    assert!(Message::decode(&witness(FUNDING_INPUTS_MAX + 1, 1).encode()).is_err());
    assert!(Message::decode(&witness(1, WALLET_KEYS_MAX + 1).encode()).is_err());
    for (name, message) in messages() {
        let bytes = message.encode();
        for version in [0, 2, 0xff] {
            let mut later = bytes.clone();
            later[0] = version;
            assert!(Message::decode(&later).is_err(), "{name} of version {version}");
        }
        let mut trailing = bytes.clone();
        trailing.push(0);
        assert!(Message::decode(&trailing).is_err(), "{name} with more behind it");
        for length in 0..bytes.len() {
            assert!(Message::decode(&bytes[..length]).is_err(), "{name} cut at {length}");
        }
    }
}
