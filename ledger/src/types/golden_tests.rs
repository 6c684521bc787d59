//! The bytes of every type, as they are for ever: one line each in `golden.txt`, the name and the hex of the encoding,
//! then the ids and signing digests. Keys and digests are patterns, so that the layout can be read off the hex
//! (`docs/format/ledger.md`).

use std::fmt::Write as _;

use towpath_crypto::ed25519::{PublicKey, SecretKey, Signature};
use towpath_crypto::schnorr::{WalletKey, WalletSignature};
use towpath_crypto::{Signable, codec};

use super::*;

const CHAIN: ChainId = ChainId(Digest([0xc0; 32]));

fn wallet_key(byte: u8) -> WalletKey {
    WalletKey([byte; 32])
}

fn signature(byte: u8) -> Signature {
    Signature([byte; 64])
}

fn outpoint() -> OutPoint {
    OutPoint { tx: TxId(Digest([0x11; 32])), index: 0x0201 }
}

fn terms() -> ChannelTerms {
    ChannelTerms {
        id: ChannelId(Digest([0xcd; 32])),
        generation: 3,
        key_a: PublicKey([0xa1; 32]),
        key_b: PublicKey([0xb1; 32]),
        payout_a: Payout::Key(wallet_key(0xa2)),
        payout_b: Payout::Key(wallet_key(0xb2)),
        dispute_window_ms: 86_400_000,
        penalty_basis_points: 5_000,
        reserve: Amount(10),
        close_fee_max: Amount(20),
        expiry: Some(Time(1_700_000_000_000)),
    }
}

fn pending() -> PendingPayment {
    PendingPayment {
        number: 7,
        payer: Party::B,
        amount: Amount(30),
        condition: Condition::Hash(Digest([0x44; 32])),
        expiry: Time(9),
    }
}

fn state() -> ChannelState {
    ChannelState {
        channel: ChannelId(Digest([0xcd; 32])),
        tag: ChannelTag(Digest([0x7a; 32])),
        generation: 3,
        version: 5,
        is_final: false,
        sequencer: Party::B,
        balance_a: Amount(100),
        balance_b: Amount(200),
        pending_total: Amount(30),
        pending_root: PendingPayment::root(&[pending()]),
    }
}

fn state_signature(byte: u8) -> StateSignature {
    StateSignature { held: 4, signature: signature(byte) }
}

fn co_signed() -> Box<CoSigned> {
    Box::new(CoSigned { state: state(), a: state_signature(0xa3), b: state_signature(0xb3) })
}

fn signed_state() -> Box<SignedState> {
    Box::new(SignedState { state: state(), signature: state_signature(0xa3) })
}

fn closing(deadline: Deadline) -> Closing {
    Closing {
        terms: terms(),
        capacity: Amount(330),
        state: state(),
        posted_version: 2,
        author: Party::A,
        deadline,
        penalized: true,
        author_fees: Amount(1),
        other_fees: Amount(2),
    }
}

fn conditional() -> Conditional {
    Conditional {
        condition: Condition::Point(wallet_key(0x55)),
        expiry: Time(9),
        payee: Payout::Key(wallet_key(0x66)),
        payer: Payout::Key(wallet_key(0x77)),
    }
}

fn multisig() -> Multisig {
    Multisig { required: 1, keys: vec![wallet_key(0x21), wallet_key(0x22)] }
}

fn locks() -> Vec<(&'static str, Lock)> {
    let timelock = Timelock { not_before: Time(8), key: wallet_key(0x23) };
    vec![
        ("lock wallet key", Lock::Wallet(Payout::Key(wallet_key(0x20)))),
        ("lock wallet multisig", Lock::Wallet(Payout::Multisig(multisig()))),
        ("lock wallet timelock", Lock::Wallet(Payout::Timelock(timelock))),
        ("lock channel", Lock::Channel(Box::new(terms()))),
        ("lock closing", Lock::Closing(Box::new(closing(Deadline::FromCreation)))),
        ("lock closing at", Lock::Closing(Box::new(closing(Deadline::At(Time(6)))))),
        ("lock conditional", Lock::Conditional(Box::new(conditional()))),
    ]
}

fn witnesses() -> Vec<(&'static str, Witness)> {
    let fee = Amount(3);
    let wallet = vec![(wallet_key(0x20), WalletSignature([0x30; 64]))];
    vec![
        ("witness wallet", Witness::Wallet(wallet)),
        ("witness cooperative", Witness::Cooperative { state: co_signed(), fee }),
        (
            "witness unilateral",
            Witness::Unilateral { state: co_signed(), author: Party::A, fee, signature: signature(0x31) },
        ),
        ("witness supersede", Witness::Supersede { state: co_signed(), fee }),
        ("witness penalize", Witness::Penalize { state: None, proof: signed_state(), fee }),
        (
            "witness penalize state",
            Witness::Penalize { state: Some(co_signed()), proof: signed_state(), fee },
        ),
        (
            "witness answer",
            Witness::Answer {
                state: Some(co_signed()),
                proof: Some(signed_state()),
                pending: vec![pending()],
                fee,
                signature: signature(0x32),
            },
        ),
        (
            "witness answer bare",
            Witness::Answer {
                state: None,
                proof: None,
                pending: Vec::new(),
                fee,
                signature: signature(0x32),
            },
        ),
        ("witness finalize", Witness::Finalize { pending: vec![pending()], fee }),
        ("witness resize", Witness::Resize { a: signature(0xa4), b: signature(0xb4) }),
        ("witness resolve", Witness::Resolve { fee }),
    ]
}

fn output() -> Output {
    Output {
        asset: AssetId(Digest([0x99; 32])),
        amount: Amount(0x0102_0304),
        lock: Lock::Wallet(Payout::Key(wallet_key(0x20))),
    }
}

fn body(payload: Option<Payload>) -> TxBody {
    TxBody {
        chain: CHAIN,
        inputs: vec![outpoint()],
        outputs: vec![output()],
        not_before: None,
        expiry: Some(Time(0x0506)),
        payload,
    }
}

fn transaction() -> Transaction {
    Transaction { body: body(None), witnesses: vec![Witness::Resolve { fee: Amount(3) }] }
}

fn header() -> Header {
    Header {
        chain: CHAIN,
        height: 12,
        parent: BlockId(Digest([0x81; 32])),
        time: Time(13),
        transactions_root: Digest([0x82; 32]),
        state_root: Digest([0x83; 32]),
        validators: Digest([0x84; 32]),
        proposer: PublicKey([0x85; 32]),
    }
}

fn issue() -> Payload {
    Payload::Issue { amount: Amount(5), symbol: "GOLD".to_owned() }
}

fn spend() -> Spend {
    Spend { transaction: TxId(Digest([0x12; 32])), spent: vec![output()] }
}

fn claim() -> StateClaim {
    StateClaim { state: state(), held: 4 }
}

fn intent() -> CloseIntent {
    CloseIntent { state: state(), author: Party::B, fee: Amount(3) }
}

fn answer() -> CloseAnswer {
    CloseAnswer { closing: outpoint(), state: state(), penalized: true, fee: Amount(3) }
}

fn resize() -> ResizeIntent {
    ResizeIntent { transaction: TxId(Digest([0x12; 32])), channel: ChannelId(Digest([0xcd; 32])) }
}

/// Checks that the value reads back, and writes its line.
fn line<T>(text: &mut String, name: &str, value: &T)
where
    T: bincode::Encode + bincode::Decode<()> + PartialEq + std::fmt::Debug,
{
    let bytes = codec::encode(value);
    assert_eq!(codec::decode::<T>(&bytes, bytes.len()).as_ref(), Ok(value), "{name} reads back");
    writeln!(text, "{name}: {}", hex::encode(bytes)).expect("a string takes everything");
}

fn digest_line(text: &mut String, name: &str, digest: &Digest) {
    writeln!(text, "{name} = {digest}").expect("a string takes everything");
}

fn small_values(text: &mut String) {
    line(text, "time", &Time(0x0102));
    line(text, "amount", &Amount(0x0102));
    line(text, "asset id native", &AssetId::NATIVE);
    line(text, "outpoint", &outpoint());
    line(text, "party a", &Party::A);
    line(text, "party b", &Party::B);
    line(text, "payout key", &Payout::Key(wallet_key(0x20)));
    line(text, "multisig", &multisig());
    line(text, "condition hash", &Condition::Hash(Digest([0x44; 32])));
    line(text, "condition point", &Condition::Point(wallet_key(0x55)));
    line(text, "conditional", &conditional());
    line(text, "secret preimage", &Secret::Preimage([0x71; 32]));
    line(text, "secret scalar", &Secret::Scalar([0x72; 32]));
    line(text, "channel terms", &terms());
    line(text, "channel terms without expiry", &ChannelTerms { expiry: None, ..terms() });
    line(text, "channel state", &state());
    line(text, "state signature", &state_signature(0xa3));
    line(text, "signed state", signed_state().as_ref());
    line(text, "co-signed", co_signed().as_ref());
    line(text, "pending payment", &pending());
    line(text, "entry", &Entry { output: output(), height: 12, time: Time(13) });
}

fn large_values(text: &mut String) {
    for (name, lock) in locks() {
        line(text, name, &lock);
    }
    for (name, witness) in witnesses() {
        line(text, name, &witness);
    }
    line(text, "output", &output());
    line(text, "payload reveal", &Payload::Reveal(vec![Secret::Preimage([0x71; 32])]));
    line(text, "payload issue", &issue());
    line(text, "payload anchor", &Payload::Anchor(Digest([0x73; 32])));
    line(text, "body", &body(None));
    line(text, "body with payload", &body(Some(issue())));
    line(text, "transaction", &transaction());
    line(text, "header", &header());
    line(text, "block", &Block { header: header(), transactions: vec![transaction()] });
    line(text, "spend", &spend());
    line(text, "state claim", &claim());
    line(text, "close intent", &intent());
    line(text, "close answer", &answer());
    line(text, "resize intent", &resize());
}

fn digests(text: &mut String) {
    digest_line(text, "transaction id", &transaction().id().0);
    digest_line(text, "transaction id with payload", &body(Some(issue())).id().0);
    digest_line(text, "block id", &header().id().0);
    let channel = ChannelId::derive(&CHAIN, &outpoint(), 1, &terms().key_a, &terms().key_b);
    digest_line(text, "channel id", &channel.0);
    let (secret, other) = (SecretKey::from_bytes(&[0xa1; 32]), SecretKey::from_bytes(&[0xb1; 32]));
    let tag = ChannelTag::derive(&secret, &other.public(), &channel).expect("no weak key");
    digest_line(text, "channel tag", &tag.0);
    digest_line(text, "asset id", &AssetId::issued_by(&CHAIN, &outpoint()).0);
    let payment = |number| PendingPayment { number, ..pending() };
    let payments: Vec<PendingPayment> = (1..=5).map(payment).collect();
    for count in [0, 1, 2, 3, 5] {
        digest_line(text, &format!("pending root of {count}"), &PendingPayment::root(&payments[..count]));
    }
    digest_line(text, "condition key hash", &Condition::Hash(Digest([0x44; 32])).key());
    digest_line(text, "condition key point", &Condition::Point(wallet_key(0x44)).key());
    let opened = Secret::Preimage([0x71; 32]).condition().expect("a preimage opens its hash");
    digest_line(text, "condition key of the preimage", &opened.key());
    digest_line(text, "signing spend", &spend().signing_digest(&CHAIN));
    digest_line(text, "signing state claim", &claim().signing_digest(&CHAIN));
    digest_line(text, "signing close intent", &intent().signing_digest(&CHAIN));
    digest_line(text, "signing close answer", &answer().signing_digest(&CHAIN));
    digest_line(text, "signing resize intent", &resize().signing_digest(&CHAIN));
}

#[test]
fn the_bytes_of_every_type_are_settled() {
    let mut text = String::new();
    small_values(&mut text);
    large_values(&mut text);
    digests(&mut text);
    for (settled, now) in include_str!("golden.txt").lines().zip(text.lines()) {
        assert_eq!(settled, now);
    }
    assert_eq!(include_str!("golden.txt").lines().count(), text.lines().count());
}

#[test]
fn a_channel_state_has_a_fixed_size() {
    let largest =
        ChannelState { version: u64::MAX, balance_a: Amount::MAX, pending_root: Digest::ZERO, ..state() };
    assert_eq!(codec::encode(&state()).len(), 137);
    assert_eq!(codec::encode(&largest).len(), 137);
}

#[test]
fn l5_no_two_kinds_of_signed_values_share_a_digest() {
    let digests = [
        spend().signing_digest(&CHAIN),
        claim().signing_digest(&CHAIN),
        intent().signing_digest(&CHAIN),
        answer().signing_digest(&CHAIN),
        resize().signing_digest(&CHAIN),
        body(None).id().0,
    ];
    let other = ChainId(Digest([0xc1; 32]));
    assert_ne!(claim().signing_digest(&CHAIN), claim().signing_digest(&other));
    let distinct: std::collections::BTreeSet<Digest> = digests.into_iter().collect();
    assert_eq!(distinct.len(), digests.len());
}
