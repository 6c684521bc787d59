//! What a validator or a peer can make this crate's decoders allocate, measured (FAULTS N3; `docs/decisions/codec.md`). One
//! test in a file of its own, because the allocator that counts is the whole process's.

use std::sync::Arc;

use peak_alloc::PeakAlloc;
use towpath_consensus::wire::{
    self, Message, PolkaCertificate, RoundCertificate, RoundReason, RoundVote, SignedProposal, SignedVote,
    Status,
};
use towpath_consensus::{DecidedBlock, SyncRequest, SyncResponse};
use towpath_crypto::codec::fits;
use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_crypto::limits::DECODE_EXPANSION_MAX;
use towpath_crypto::{ChainId, Digest};
use towpath_ledger::chain::{CommitCertificate, Vote, VoteKind};
use towpath_ledger::{Block, BlockId, Header, Time, merkle};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// As for the ledger's types, of which a block consists.
const KEPT_MAX: usize = 13;
const SLACK: usize = 4 << 10;
const FRAME: usize = 32 << 10;

const ID: BlockId = BlockId(Digest::ZERO);
const KEY: PublicKey = PublicKey([0; 32]);
const SIGNATURE: Signature = Signature([0; 64]);

/// Every place of a healthy message becomes a length, from small to huge, in a frame that is filled up with zeros.
fn check(name: &str, healthy: &[u8], decode: impl Fn(&[u8]) -> bool) -> usize {
    let mut worst = 0;
    for at in 1..=healthy.len() {
        for shift in [4, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 26, 40, 63] {
            let mut frame = healthy.to_vec();
            frame.resize(FRAME, 0);
            frame[at..at + 8].copy_from_slice(&(1_u64 << shift).to_le_bytes());
            ALLOCATOR.reset_peak_usage();
            let before = ALLOCATOR.current_usage();
            decode(&frame);
            worst = worst.max(ALLOCATOR.peak_usage() - before);
        }
    }
    let most = (DECODE_EXPANSION_MAX + KEPT_MAX) * FRAME + SLACK;
    assert!(worst <= most, "{name}: {worst} bytes are allocated for {FRAME}");
    worst
}

fn block() -> Block {
    let header = Header {
        chain: ChainId(Digest::ZERO),
        height: 1,
        parent: ID,
        time: Time(1),
        transactions_root: merkle::root(&[]),
        state_root: Digest::ZERO,
        validators: Digest::ZERO,
        proposer: KEY,
    };
    Block { header, transactions: Vec::new() }
}

#[test]
fn n3_a_message_allocates_within_its_bound() {
    let vote = RoundVote { kind: VoteKind::Prevote, block: None, validator: KEY, signature: SIGNATURE };
    let certificate =
        CommitCertificate { height: 1, round: 0, block: block().id(), signatures: vec![(KEY, SIGNATURE)] };
    let decided = DecidedBlock { block: Arc::new(block()), certificate };
    let empty = CommitCertificate { signatures: Vec::new(), ..decided.certificate.clone() };
    assert!(fits(&vote) && fits(&(KEY, SIGNATURE)));
    assert!(fits(&DecidedBlock { certificate: empty, ..decided.clone() }));
    let (round, signature) = (0, SIGNATURE);
    let messages = [
        Message::Proposal(SignedProposal {
            round,
            pol_round: None,
            block: Arc::new(block()),
            validator: KEY,
            signature,
        }),
        Message::Vote(SignedVote {
            vote: Vote { kind: VoteKind::Prevote, height: 1, round, block: None },
            validator: KEY,
            signature,
        }),
        Message::Polka(PolkaCertificate { height: 1, round, block: ID, signatures: vec![(KEY, SIGNATURE)] }),
        Message::Round(RoundCertificate { height: 1, round, reason: RoundReason::Skip, votes: vec![vote] }),
        Message::Status(Status { tip: 1, block: ID }),
    ];
    let mut worst = 0;
    for message in messages {
        let bytes = wire::encode(0, message.clone());
        worst = worst.max(check(&format!("{message:?}"), &bytes, |frame| wire::decode(frame).is_ok()));
    }
    let request = SyncRequest { from: 1, count: 64 };
    let answer = SyncResponse { blocks: vec![decided.clone(), decided] }.encode();
    let refused = check("answer", &answer, |frame| SyncResponse::decode(frame, &request).is_ok());
    assert!(worst.max(refused) > 8 * FRAME, "the frames make the decoders reserve: {worst} and {refused}");
    check("request", &request.encode(), |frame| SyncRequest::decode(frame).is_ok());
}
