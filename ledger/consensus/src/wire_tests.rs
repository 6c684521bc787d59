//! The bytes of every message, as they are for ever (`golden/wire.txt`), and every kind of bytes that is refused
//! (`docs/format/consensus.md`; FAULTS L7, N3).

use std::fmt::{Debug, Write as _};

use towpath_crypto::{ChainId, Digest, Signable as _};
use towpath_ledger::chain::CommitCertificate;
use towpath_ledger::{Amount, Header, Payload, Time, Transaction, TxBody};

use super::*;
use crate::evidence::{Evidence, SignedClaim};
use crate::sync_wire::{DecidedBlock, SyncRequest, SyncResponse};

const CHAIN: ChainId = ChainId(Digest([0xc4; 32]));

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn signature(byte: u8) -> Signature {
    Signature([byte; 64])
}

fn block_id() -> BlockId {
    BlockId(Digest([0xb1; 32]))
}

/// A block of one transaction, bound to its header.
pub(crate) fn block() -> Block {
    let body = TxBody {
        chain: CHAIN,
        inputs: Vec::new(),
        outputs: Vec::new(),
        not_before: None,
        expiry: Some(Time(0x0506)),
        payload: Some(Payload::Issue { amount: Amount(5), symbol: "GOLD".to_owned() }),
    };
    let transactions = vec![Transaction { body, witnesses: Vec::new() }];
    let header = Header {
        chain: CHAIN,
        height: 12,
        parent: BlockId(Digest([0x81; 32])),
        time: Time(13),
        transactions_root: crate::body::root(&transactions),
        state_root: Digest([0x83; 32]),
        validators: Digest([0x84; 32]),
        proposer: key(0x85),
    };
    Block { header, transactions }
}

fn vote(kind: VoteKind, block: Option<BlockId>) -> SignedVote {
    let vote = Vote { kind, height: 12, round: 3, block };
    SignedVote { vote, validator: key(0x21), signature: signature(0x22) }
}

fn proposal() -> SignedProposal {
    SignedProposal {
        round: 3,
        pol_round: Some(1),
        block: Arc::new(block()),
        validator: key(0x31),
        signature: signature(0x32),
    }
}

fn polka(signers: usize) -> PolkaCertificate {
    let signatures = vec![(key(0x41), signature(0x42)); signers];
    PolkaCertificate { height: 12, round: 3, block: block_id(), signatures }
}

fn round(voters: usize) -> RoundCertificate {
    let vote = RoundVote {
        kind: VoteKind::Precommit,
        block: Some(block_id()),
        validator: key(0x51),
        signature: signature(0x52),
    };
    RoundCertificate { height: 12, round: 3, reason: RoundReason::Skip, votes: vec![vote; voters] }
}

fn certificate() -> CommitCertificate {
    let signatures = vec![(key(0x61), signature(0x62))];
    CommitCertificate { height: 12, round: 3, block: block().id(), signatures }
}

fn claim(round: u32) -> SignedClaim {
    SignedClaim {
        claim: ProposalClaim { round, ..proposal().claim() },
        validator: key(0x71),
        signature: signature(0x72),
    }
}

/// One message of each kind, with and without what is optional.
fn messages() -> Vec<(&'static str, Message)> {
    let precommits = RoundVote { kind: VoteKind::Prevote, block: None, ..round(1).votes[0] };
    vec![
        ("proposal", Message::Proposal(proposal())),
        (
            "proposal without proof of lock",
            Message::Proposal(SignedProposal { pol_round: None, ..proposal() }),
        ),
        ("prevote", Message::Vote(vote(VoteKind::Prevote, Some(block_id())))),
        ("precommit for nil", Message::Vote(vote(VoteKind::Precommit, None))),
        ("polka", Message::Polka(polka(2))),
        ("round skip", Message::Round(round(2))),
        (
            "round precommits",
            Message::Round(RoundCertificate {
                reason: RoundReason::Precommits,
                votes: vec![precommits],
                ..round(1)
            }),
        ),
        ("status", Message::Status(Status { tip: 12, block: block_id() })),
    ]
}

fn request() -> SyncRequest {
    SyncRequest { from: 12, count: 1 }
}

fn response(blocks: usize) -> SyncResponse {
    let decided = DecidedBlock { block: Arc::new(block()), certificate: certificate() };
    SyncResponse { blocks: vec![decided; blocks] }
}

/// Writes a line of the golden file: a name and the hex of the bytes.
pub(crate) fn golden_line(text: &mut String, name: &str, bytes: &[u8]) {
    writeln!(text, "{name}: {}", hex::encode(bytes)).expect("a string takes everything");
}

/// Compares line by line, so that a failure names the value.
pub(crate) fn same_lines(settled: &str, now: &str) {
    for (settled, now) in settled.lines().zip(now.lines()) {
        assert_eq!(settled, now);
    }

    assert_eq!(settled.lines().count(), now.lines().count(), "every value has its line");
}

#[test]
fn golden_messages() {
    let mut text = String::new();
    for (name, message) in messages() {
        let bytes = encode(0x0102, message.clone());
        assert_eq!(decode(&bytes).as_ref(), Ok(&message), "{name} reads back");
        golden_line(&mut text, name, &bytes);
    }
    assert_eq!(SyncRequest::decode(&request().encode()), Ok(request()));
    golden_line(&mut text, "sync request", &request().encode());
    assert_eq!(SyncResponse::decode(&response(1).encode(), &request()), Ok(response(1)));
    golden_line(&mut text, "sync response", &response(1).encode());
    let (first, second) = (vote(VoteKind::Prevote, None), vote(VoteKind::Prevote, Some(block_id())));
    golden_line(&mut text, "evidence of votes", &codec::encode(&Evidence::Votes(first, second)));
    golden_line(&mut text, "evidence of proposals", &codec::encode(&Evidence::Proposals(claim(3), claim(3))));
    golden_line(&mut text, "signing proposal claim", &proposal().claim().signing_digest(&CHAIN).0);
    golden_line(&mut text, "signing vote", &first.vote.signing_digest(&CHAIN).0);
    same_lines(include_str!("golden/wire.txt"), &text);
}

/// The core's codecs are not used: each message of ours has one version, one encoding, and nothing after it.
#[test]
fn trap_13_every_message_is_versioned_and_has_one_encoding() {
    for (name, message) in messages() {
        let bytes = encode(7, message.clone());
        assert_eq!(decode(&[]), Err(WireError::Version));
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            let mut other = bytes.clone();
            other[0] = version;
            assert_eq!(decode(&other), Err(WireError::Version), "{name}, version {version}");
        }
        for length in 1..bytes.len() {
            assert!(matches!(decode(&bytes[..length]), Err(WireError::Codec(_))), "{name} cut to {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode(&longer), Err(WireError::Codec(CodecError::Trailing(1))), "{name}");
        for bit in 8..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = decode(&other) {
                let copy = u64::from_le_bytes(other[1..9].try_into().expect("eight bytes"));
                assert_eq!(encode(copy, changed), other, "{name}, bit {bit}");
            }
        }
    }
}

fn invalid<T: Debug>(result: Result<T, WireError>) -> &'static str {
    match result {
        Err(WireError::Invalid(reason)) => reason,
        other => panic!("refused for another reason, or not at all: {other:?}"),
    }
}

#[test]
fn trap_13_numbers_past_their_bounds_are_refused() {
    let refused = |message: Message| invalid(decode(&encode(0, message)));
    let at = |round: u32| {
        let mut vote = vote(VoteKind::Prevote, None);
        vote.vote.round = round;
        [
            Message::Proposal(SignedProposal { round, pol_round: None, ..proposal() }),
            Message::Vote(vote),
            Message::Polka(PolkaCertificate { round, ..polka(1) }),
            Message::Round(RoundCertificate { round, ..self::round(1) }),
        ]
    };
    for message in at(limits::ROUND) {
        assert_eq!(decode(&encode(0, message.clone())), Ok(message), "the highest round is one");
    }
    for message in at(limits::ROUND + 1).into_iter().chain(at(u32::MAX)) {
        assert_eq!(refused(message), "no honest node is in such a round");
    }
    for pol_round in [3, 4, u32::MAX] {
        let message = Message::Proposal(SignedProposal { pol_round: Some(pol_round), ..proposal() });
        assert_eq!(refused(message), "a proposal must name an earlier round as its proof of lock");
    }
    for empty in [Message::Polka(polka(0)), Message::Round(round(0))] {
        assert_eq!(refused(empty), "a certificate without signatures");
    }
}

#[test]
fn trap_13_certificates_hold_as_many_signatures_as_there_are_validators() {
    let (full, over) = (limits::VALIDATORS, limits::VALIDATORS + 1);
    for message in [Message::Polka(polka(full)), Message::Round(round(full))] {
        let bytes = encode(u64::MAX, message.clone());
        assert!(bytes.len() <= limits::SMALL_MESSAGE_BYTES, "{} bytes", bytes.len());
        assert_eq!(decode(&bytes), Ok(message));
    }
    assert_eq!(invalid(decode(&encode(0, Message::Polka(polka(over))))), "more signatures than validators");
    let bytes = encode(0, Message::Round(round(2 * over)));
    assert!(bytes.len() > limits::SMALL_MESSAGE_BYTES);
    assert_eq!(invalid(decode(&bytes)), "too large for what it is");
}

#[test]
fn trap_13_a_frame_past_the_limit_is_refused_unread() {
    let bytes = vec![VERSION; limits::PROPOSAL_BYTES + 2];
    let (length, limit) = (limits::PROPOSAL_BYTES + 1, limits::PROPOSAL_BYTES);
    assert_eq!(decode(&bytes), Err(WireError::Codec(CodecError::TooLong { length, limit })));
    let bytes = vec![VERSION; limits::SYNC_REQUEST_BYTES + 2];
    let (length, limit) = (limits::SYNC_REQUEST_BYTES + 1, limits::SYNC_REQUEST_BYTES);
    let refused = SyncRequest::decode(&bytes);
    assert_eq!(refused, Err(WireError::Codec(CodecError::TooLong { length, limit })));
    let bytes = vec![VERSION; limits::SYNC_RESPONSE_BYTES + 2];
    let (length, limit) = (limits::SYNC_RESPONSE_BYTES + 1, limits::SYNC_RESPONSE_BYTES);
    let refused = SyncResponse::decode(&bytes, &request());
    assert_eq!(refused, Err(WireError::Codec(CodecError::TooLong { length, limit })));
}

/// SPEC N-3: one id, one body.
#[test]
fn trap_13_a_body_that_is_not_the_headers_is_refused() {
    let mut other = block();
    other.transactions.push(other.transactions[0].clone());
    let swapped = SignedProposal { block: Arc::new(other.clone()), ..proposal() };
    let reason = "the transactions are not those that the header commits to";
    assert_eq!(invalid(decode(&encode(0, Message::Proposal(swapped)))), reason);
    let decided = DecidedBlock { block: Arc::new(other), certificate: certificate() };
    let answer = SyncResponse { blocks: vec![decided] }.encode();
    assert_eq!(invalid(SyncResponse::decode(&answer, &request())), reason);
}

#[test]
fn l16_an_answer_holds_what_was_asked_for_and_no_more() {
    let decode = |change: &dyn Fn(&mut SyncResponse), request: &SyncRequest| {
        let mut answer = response(1);
        change(&mut answer);
        SyncResponse::decode(&answer.encode(), request)
    };
    let wrong = "the certificate is not the block's, or the height not the asked";
    assert_eq!(decode(&|answer| answer.blocks.clear(), &request()), Ok(response(0)), "fewer are fine");
    let twice = invalid(decode(&|answer| *answer = response(2), &request()));
    assert_eq!(twice, "more blocks than were asked for");
    let again = invalid(decode(&|answer| *answer = response(2), &SyncRequest { count: 2, ..request() }));
    assert_eq!(again, wrong, "heights rise");
    for from in [0, 11, 13, u64::MAX] {
        assert_eq!(invalid(decode(&|_| (), &SyncRequest { from, ..request() })), wrong, "asked from {from}");
    }
    assert_eq!(invalid(decode(&|answer| answer.blocks[0].certificate.height = 13, &request())), wrong);
    assert_eq!(invalid(decode(&|answer| answer.blocks[0].certificate.block = block_id(), &request())), wrong);
    let late = invalid(decode(&|answer| answer.blocks[0].certificate.round = limits::ROUND + 1, &request()));
    assert_eq!(late, "no honest node is in such a round");
    let many = |answer: &mut SyncResponse| {
        let signatures = &mut answer.blocks[0].certificate.signatures;
        *signatures = vec![signatures[0]; limits::VALIDATORS + 1];
    };
    assert_eq!(invalid(decode(&many, &request())), "more signatures than validators");
    assert_eq!(
        invalid(decode(&|answer| answer.blocks[0].certificate.signatures.clear(), &request())),
        "a certificate without signatures"
    );
}
