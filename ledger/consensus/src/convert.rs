//! Between our types and the core's, both ways. The core's nil round has no counterpart in ours: a message that names
//! one where it must not converts to `None`.

use arc_malachitebft_core_types as mt;
use mt::{NilOrVal, Round, RoundCertificateType, VoteType};

use crate::context::{Address, Ballot, Ctx, Height, Id, Proposal, Value};
use crate::vote::ProposalClaim;
use crate::wire::{PolkaCertificate, RoundCertificate, RoundReason, RoundVote, SignedProposal, SignedVote};
use towpath_ledger::BlockId;
use towpath_ledger::chain::{CommitCertificate, Vote, VoteKind};

pub const fn kind_of(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

const fn core_kind(kind: VoteKind) -> VoteType {
    match kind {
        VoteKind::Prevote => VoteType::Prevote,
        VoteKind::Precommit => VoteType::Precommit,
    }
}

const fn block_of(value: NilOrVal<Id>) -> Option<BlockId> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(id) => Some(id.0),
    }
}

const fn core_value(block: Option<BlockId>) -> NilOrVal<Id> {
    match block {
        None => NilOrVal::Nil,
        Some(block) => NilOrVal::Val(Id(block)),
    }
}

pub fn core_pol(pol_round: Option<u32>) -> Round {
    pol_round.map_or(Round::Nil, Round::new)
}

/// What a ballot's signature covers.
pub fn vote_of(ballot: &Ballot) -> Option<Vote> {
    Some(Vote {
        kind: kind_of(ballot.kind),
        height: ballot.height.0,
        round: ballot.round.as_u32()?,
        block: block_of(ballot.value),
    })
}

/// What a proposal's signature covers.
pub fn claim_of(proposal: &Proposal) -> Option<ProposalClaim> {
    Some(ProposalClaim {
        height: proposal.height.0,
        round: proposal.round.as_u32()?,
        pol_round: proposal.pol_round.as_u32(),
        block: proposal.value.block_id(),
    })
}

pub fn vote_to_core(vote: &SignedVote) -> mt::SignedVote<Ctx> {
    let ballot = Ballot {
        kind: core_kind(vote.vote.kind),
        height: Height(vote.vote.height),
        round: Round::new(vote.vote.round),
        value: core_value(vote.vote.block),
        validator: Address(vote.validator),
    };
    mt::SignedMessage::new(ballot, vote.signature)
}

pub fn vote_from_core(vote: &mt::SignedVote<Ctx>) -> Option<SignedVote> {
    Some(SignedVote {
        vote: vote_of(&vote.message)?,
        validator: vote.message.validator.0,
        signature: vote.signature,
    })
}

pub fn proposal_to_core(proposal: &SignedProposal) -> mt::SignedProposal<Ctx> {
    let value = Value::new(proposal.block.clone());
    let message = Proposal {
        height: Height(proposal.block.header.height),
        round: Round::new(proposal.round),
        value,
        pol_round: core_pol(proposal.pol_round),
        proposer: Address(proposal.validator),
    };
    mt::SignedMessage::new(message, proposal.signature)
}

pub fn proposal_from_core(proposal: &mt::SignedProposal<Ctx>) -> Option<SignedProposal> {
    Some(SignedProposal {
        round: proposal.message.round.as_u32()?,
        pol_round: proposal.message.pol_round.as_u32(),
        block: proposal.message.value.block().clone(),
        validator: proposal.message.proposer.0,
        signature: proposal.signature,
    })
}

pub fn polka_to_core(polka: &PolkaCertificate) -> mt::PolkaCertificate<Ctx> {
    mt::PolkaCertificate {
        height: Height(polka.height),
        round: Round::new(polka.round),
        value_id: Id(polka.block),
        polka_signatures: polka
            .signatures
            .iter()
            .map(|(key, signature)| mt::PolkaSignature::new(Address(*key), *signature))
            .collect(),
    }
}

pub fn polka_from_core(polka: &mt::PolkaCertificate<Ctx>) -> Option<PolkaCertificate> {
    Some(PolkaCertificate {
        height: polka.height.0,
        round: polka.round.as_u32()?,
        block: polka.value_id.0,
        signatures: polka.polka_signatures.iter().map(|s| (s.address.0, s.signature)).collect(),
    })
}

pub fn round_to_core(certificate: &RoundCertificate) -> mt::RoundCertificate<Ctx> {
    mt::RoundCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        cert_type: match certificate.reason {
            RoundReason::Precommits => RoundCertificateType::Precommit,
            RoundReason::Skip => RoundCertificateType::Skip,
        },
        round_signatures: certificate
            .votes
            .iter()
            .map(|vote| {
                mt::RoundSignature::new(
                    core_kind(vote.kind),
                    core_value(vote.block),
                    Address(vote.validator),
                    vote.signature,
                )
            })
            .collect(),
    }
}

pub fn round_from_core(certificate: &mt::RoundCertificate<Ctx>) -> Option<RoundCertificate> {
    Some(RoundCertificate {
        height: certificate.height.0,
        round: certificate.round.as_u32()?,
        reason: match certificate.cert_type {
            RoundCertificateType::Precommit => RoundReason::Precommits,
            RoundCertificateType::Skip => RoundReason::Skip,
        },
        votes: certificate
            .round_signatures
            .iter()
            .map(|vote| RoundVote {
                kind: kind_of(vote.vote_type),
                block: block_of(vote.value_id),
                validator: vote.address.0,
                signature: vote.signature,
            })
            .collect(),
    })
}

pub fn commit_to_core(certificate: &CommitCertificate) -> mt::CommitCertificate<Ctx> {
    mt::CommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: Id(certificate.block),
        commit_signatures: certificate
            .signatures
            .iter()
            .map(|(key, signature)| mt::CommitSignature::new(Address(*key), *signature))
            .collect(),
    }
}

/// Signatures sorted by key, so that equal certificates have equal bytes.
pub fn commit_from_core(certificate: &mt::CommitCertificate<Ctx>) -> Option<CommitCertificate> {
    let mut signatures: Vec<_> =
        certificate.commit_signatures.iter().map(|s| (s.address.0, s.signature)).collect();
    signatures.sort_unstable();
    Some(CommitCertificate {
        height: certificate.height.0,
        round: certificate.round.as_u32()?,
        block: certificate.value_id.0,
        signatures,
    })
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
