//! What goes into the core comes out as it was, and the core's nil round never leaves it (trap 3 and 13 of
//! `docs/decisions/consensus-engine.md`).

use std::sync::Arc;

use towpath_crypto::Digest;
use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_ledger::{Block, Header, Time};

use super::*;

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn signature(byte: u8) -> Signature {
    Signature([byte; 64])
}

fn id() -> BlockId {
    BlockId(Digest([0xb1; 32]))
}

fn block() -> Arc<Block> {
    let header = Header {
        chain: towpath_crypto::ChainId(Digest([0xc4; 32])),
        height: 12,
        parent: id(),
        time: Time(13),
        transactions_root: Digest::ZERO,
        state_root: Digest([1; 32]),
        validators: Digest([2; 32]),
        proposer: key(3),
    };
    Arc::new(Block { header, transactions: Vec::new() })
}

#[test]
fn trap_13_every_type_survives_the_core() {
    for (kind, block) in [(VoteKind::Prevote, None), (VoteKind::Precommit, Some(id()))] {
        let vote = Vote { kind, height: 12, round: 3, block };
        let signed = SignedVote { vote, validator: key(4), signature: signature(5) };
        assert_eq!(vote_from_core(&vote_to_core(&signed)), Some(signed));
    }
    for pol_round in [None, Some(0), Some(2)] {
        let (validator, signature) = (key(4), signature(5));
        let signed = SignedProposal { round: 3, pol_round, block: block(), validator, signature };
        let core = proposal_to_core(&signed);
        assert_eq!(claim_of(&core.message), Some(signed.claim()));
        assert_eq!(proposal_from_core(&core), Some(signed));
    }
    let signatures = vec![(key(4), signature(5)), (key(6), signature(7))];
    let polka = PolkaCertificate { height: 12, round: 3, block: id(), signatures: signatures.clone() };
    assert_eq!(polka_from_core(&polka_to_core(&polka)), Some(polka));
    for reason in [RoundReason::Precommits, RoundReason::Skip] {
        let vote = |kind, block| RoundVote { kind, block, validator: key(4), signature: signature(5) };
        let votes = vec![vote(VoteKind::Prevote, None), vote(VoteKind::Precommit, Some(id()))];
        let certificate = RoundCertificate { height: 12, round: 3, reason, votes };
        assert_eq!(round_from_core(&round_to_core(&certificate)), Some(certificate));
    }
    let commit = CommitCertificate { height: 12, round: 3, block: id(), signatures };
    assert_eq!(commit_from_core(&commit_to_core(&commit)), Some(commit));
}

/// Equal decisions have equal bytes, in whatever order the votes came.
#[test]
fn trap_13_signatures_of_a_commit_are_sorted() {
    let signatures = vec![(key(6), signature(7)), (key(4), signature(5))];
    let commit = CommitCertificate { height: 12, round: 3, block: id(), signatures };
    let mut core = commit_to_core(&commit);
    let sorted = commit_from_core(&core);
    core.commit_signatures.reverse();
    assert_eq!(commit_from_core(&core), sorted);
    assert!(sorted.is_some_and(|commit| commit.signatures.is_sorted()));
}

#[test]
fn trap_03_a_nil_round_of_the_core_converts_to_nothing() {
    let vote = Vote { kind: VoteKind::Prevote, height: 12, round: 3, block: None };
    let mut core = vote_to_core(&SignedVote { vote, validator: key(4), signature: signature(5) });
    core.message.round = Round::Nil;
    assert_eq!((vote_of(&core.message), vote_from_core(&core)), (None, None));
    let (validator, signature) = (key(4), signature(5));
    let signed = SignedProposal { round: 3, pol_round: None, block: block(), validator, signature };
    let mut core = proposal_to_core(&signed);
    core.message.round = Round::Nil;
    assert_eq!((claim_of(&core.message), proposal_from_core(&core)), (None, None));
    let commit = CommitCertificate { height: 12, round: 3, block: id(), signatures: Vec::new() };
    let mut core = commit_to_core(&commit);
    core.round = Round::Nil;
    assert_eq!(commit_from_core(&core), None);
    let polka = PolkaCertificate { height: 12, round: 3, block: id(), signatures: Vec::new() };
    let mut core = polka_to_core(&polka);
    core.round = Round::Nil;
    assert_eq!(polka_from_core(&core), None);
    let (reason, votes) = (RoundReason::Skip, Vec::new());
    let mut core = round_to_core(&RoundCertificate { height: 12, round: 3, reason, votes });
    core.round = Round::Nil;
    assert_eq!(round_from_core(&core), None);
}
