//! The light client against peers that lie, and against validators that do.

use towpath_crypto::ed25519::{SecretKey, Signature};

use super::*;
use crate::chain::{Validator, Vote};
use crate::types::Time;

fn secret(name: u8) -> SecretKey {
    SecretKey::from_bytes(&[name; 32])
}

fn validators() -> ValidatorSet {
    let members = (1..=4).map(|name| Validator { key: secret(name).public(), power: 1 }).collect();
    ValidatorSet::new(members).expect("a proper set")
}

fn header(height: u64, parent: BlockId) -> Header {
    Header {
        chain: ChainId(Digest([7; 32])),
        height,
        parent,
        time: Time(1_000 + height),
        transactions_root: Digest::ZERO,
        state_root: Digest([1; 32]),
        validators: validators().digest(),
        proposer: secret(1).public(),
    }
}

fn certify(header: Header, signers: &[u8]) -> CertifiedHeader {
    let (height, round, block) = (header.height, 0, header.id());
    let vote = Vote::precommit(height, round, block);
    let sign = |name: &u8| (secret(*name).public(), secret(*name).sign(&header.chain, &vote));
    let signatures = signers.iter().map(sign).collect();
    CertifiedHeader { header, certificate: CommitCertificate { height, round, block, signatures } }
}

fn client() -> LightClient {
    LightClient::new(validators(), header(0, BlockId(Digest::ZERO))).expect("its own validators")
}

fn refused(client: &mut LightClient, certified: CertifiedHeader) -> LightError {
    client.accept(certified).expect_err("not proven")
}

#[test]
fn follows_headers_in_any_order() {
    let mut client = client();
    let first = header(1, client.tip().id());
    let second = header(2, first.id());
    let far = header(9, BlockId(Digest([3; 32])));
    for header in [far.clone(), first.clone(), second.clone(), first.clone()] {
        assert_eq!(client.accept(certify(header.clone(), &[1, 2, 3])), Ok(header.id()));
    }
    assert_eq!(client.tip(), &far);
    assert_eq!((client.header(2), client.header(3)), (Some(&second), None));
}

#[test]
fn only_a_quorum_of_known_validators_decides() {
    let mut client = client();
    let header = header(1, client.tip().id());
    let certificate = |error| LightError::Certificate { height: 1, error };
    let none = CertificateError::NoQuorum { power: 2, total: 4 };
    assert_eq!(refused(&mut client, certify(header.clone(), &[1, 2])), certificate(none));
    let twice = CertificateError::Twice(secret(1).public());
    assert_eq!(refused(&mut client, certify(header.clone(), &[1, 2, 1])), certificate(twice));
    let stranger = CertificateError::Stranger(secret(9).public());
    assert_eq!(refused(&mut client, certify(header.clone(), &[1, 2, 3, 9])), certificate(stranger));
    let mut forged = certify(header.clone(), &[1, 2, 3, 4]);
    forged.certificate.signatures[3].1 = Signature([1; 64]);
    assert_eq!(refused(&mut client, forged), certificate(CertificateError::BadSignature));
    let mut other_round = certify(header, &[1, 2, 3]);
    other_round.certificate.round = 1;
    assert_eq!(refused(&mut client, other_round), certificate(CertificateError::BadSignature));
    assert_eq!((client.tip().height, client.halted()), (0, None));
}

#[test]
fn a_prevote_or_another_chains_vote_is_no_precommit() {
    let mut client = client();
    let header = header(1, client.tip().id());
    let block = header.id();
    let prevote = Vote { kind: crate::chain::VoteKind::Prevote, ..Vote::precommit(1, 0, block) };
    for (chain, vote) in [(header.chain, prevote), (ChainId(Digest([8; 32])), Vote::precommit(1, 0, block))] {
        let sign = |name: u8| (secret(name).public(), secret(name).sign(&chain, &vote));
        let signatures = (1..=4).map(sign).collect();
        let certificate = CommitCertificate { height: 1, round: 0, block, signatures };
        let error = CertificateError::BadSignature;
        let certified = CertifiedHeader { header: header.clone(), certificate };
        assert_eq!(refused(&mut client, certified), LightError::Certificate { height: 1, error });
    }
}

#[test]
fn a_certificate_is_one_of_its_header() {
    let mut client = client();
    let certified = certify(header(1, client.tip().id()), &[1, 2, 3]);
    let mut other = certified.clone();
    other.header.state_root = Digest([2; 32]);
    assert_eq!(refused(&mut client, other), LightError::OtherBlock);
    let mut other = certified.clone();
    other.header.chain = ChainId(Digest::ZERO);
    assert_eq!(refused(&mut client, other), LightError::OtherChain(ChainId(Digest::ZERO)));
    let mut other = certified;
    other.header.validators = Digest::ZERO;
    assert_eq!(refused(&mut client, other), LightError::OtherValidators(Digest::ZERO));
}

#[test]
fn l12_a_fork_is_detected_with_its_signers() {
    let mut client = client();
    let one = header(5, BlockId(Digest([3; 32])));
    let two = Header { state_root: Digest([2; 32]), ..one.clone() };
    client.accept(certify(one.clone(), &[1, 2, 3])).expect("decided");
    let LightError::Fork(fork) = refused(&mut client, certify(two.clone(), &[2, 3, 4])) else {
        panic!("a fork");
    };
    assert_eq!((fork.first, fork.second), (one.id(), two.id()));
    let mut found: Vec<PublicKey> = fork.double_signers.iter().map(|(key, _, _)| *key).collect();
    let mut expected = vec![secret(2).public(), secret(3).public()];
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for (key, first, second) in &fork.double_signers {
        for vote in [first, second] {
            assert!(towpath_crypto::ed25519::verify(key, &one.chain, &vote.vote, &vote.signature));
        }
    }
    let next = header(6, one.id());
    assert!(
        matches!(refused(&mut client, certify(next, &[1, 2, 3, 4])), LightError::Fork(_)),
        "it stays halted"
    );
}

#[test]
fn l16_a_pinned_checkpoint_refuses_another_history() {
    let checkpoint = header(100, BlockId(Digest([3; 32])));
    let mut client = LightClient::new(validators(), checkpoint.clone()).expect("its own validators");
    let other = Header { state_root: Digest([2; 32]), ..checkpoint.clone() };
    let pinned = LightError::Pinned { height: 100, pinned: checkpoint.id(), found: other.id() };
    assert_eq!(refused(&mut client, certify(other.clone(), &[1, 2, 3, 4])), pinned);
    assert_eq!(
        refused(&mut client, certify(header(99, checkpoint.id()), &[1, 2, 3, 4])),
        LightError::TooOld(99)
    );
    let next = header(101, other.id());
    assert_eq!(refused(&mut client, certify(next, &[1, 2, 3, 4])), LightError::Contradiction(101));
}

#[test]
fn l22_time_rises_along_the_heights() {
    let mut client = client();
    client.accept(certify(header(5, BlockId(Digest::ZERO)), &[1, 2, 3])).expect("decided");
    let late = Header { time: Time(1_005), ..header(3, BlockId(Digest::ZERO)) };
    assert_eq!(refused(&mut client, certify(late, &[1, 2, 3])), LightError::Contradiction(3));
}

#[test]
fn n11_only_so_many_headers_are_remembered() {
    let mut client = client();
    let most = u64::try_from(limits::LIGHT_HEADERS_MAX).expect("few");
    for height in (1..=most + 1).map(|n| n * 2) {
        client.accept(certify(header(height, BlockId(Digest::ZERO)), &[1, 2, 3])).expect("decided");
    }
    assert_eq!(client.seen.len(), limits::LIGHT_HEADERS_MAX);
    assert_eq!(
        refused(&mut client, certify(header(3, BlockId(Digest::ZERO)), &[1, 2, 3])),
        LightError::TooOld(3)
    );
    assert_eq!(client.tip().height, most * 2 + 2);
}
