//! The consensus log's records, and the buffer before them. A block is written once for its height, and everything
//! that names it refers to it (`docs/format/consensus.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_malachitebft_core_consensus::{Input, ProposedValue};
use arc_malachitebft_core_types as mt;
use bincode::{Decode, Encode};
use mt::{Round, Timeout, TimeoutKind, Validity, ValueOrigin};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Block, BlockId};

use crate::context::{Address, Ctx, Height, Value};
use crate::convert;
use crate::error::Fault;
use crate::evidence::SignedClaim;
use crate::host::Wal;
use crate::limits;
use crate::wire::{self, PolkaCertificate, SignedProposal, SignedVote};

/// One record. The order of the variants is part of the format.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) enum Record {
    /// A block that later records name.
    Body(Arc<Block>),
    /// A vote, anyone's.
    Vote(SignedVote),
    /// A proposal, anyone's.
    Proposal(SignedClaim),
    /// A block and what the ledger said about it.
    Value { round: u32, valid_round: Option<u32>, proposer: PublicKey, block: BlockId, verdict: Verdict },
    /// A quorum of prevotes.
    Polka(PolkaCertificate),
    /// A timer that fired.
    Timeout { step: Step, round: u32 },
}

#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) enum Verdict {
    Valid,
    Invalid,
}

#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) enum Step {
    Propose,
    Prevote,
    Precommit,
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        wire::with_version(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        wire::without_version(bytes, limits::PROPOSAL_BYTES).map_err(|error| error.to_string())
    }
}

/// What the core asks to log, as a record and the block that it names; none for an input that is never logged.
fn record_of(input: &Input<Ctx>) -> Option<(Record, Option<Arc<Block>>)> {
    match input {
        Input::Vote(vote) => Some((Record::Vote(convert::vote_from_core(vote)?), None)),
        Input::Proposal(proposal) => {
            let record = Record::Proposal(SignedClaim {
                claim: convert::claim_of(&proposal.message)?,
                validator: proposal.message.proposer.0,
                signature: proposal.signature,
            });
            Some((record, Some(proposal.message.value.block().clone())))
        }
        Input::ProposedValue(value, _) => {
            let record = Record::Value {
                round: value.round.as_u32()?,
                valid_round: value.valid_round.as_u32(),
                proposer: value.proposer.0,
                block: value.value.block_id(),
                verdict: if value.validity.is_valid() { Verdict::Valid } else { Verdict::Invalid },
            };
            Some((record, Some(value.value.block().clone())))
        }
        Input::PolkaCertificate(polka) => Some((Record::Polka(convert::polka_from_core(polka)?), None)),
        Input::TimeoutElapsed(timeout) => {
            let step = match timeout.kind {
                TimeoutKind::Propose => Step::Propose,
                TimeoutKind::Prevote => Step::Prevote,
                TimeoutKind::Precommit => Step::Precommit,
                TimeoutKind::Rebroadcast | TimeoutKind::FinalizeHeight(_) => return None,
            };
            Some((Record::Timeout { step, round: timeout.round.as_u32()? }, None))
        }
        Input::StartHeight(..)
        | Input::RoundCertificate(_)
        | Input::Propose(_)
        | Input::SyncValueResponse(_) => None,
    }
}

/// What a record makes the core do again; `Ok(None)` for a body.
fn input_of(
    height: u64,
    record: Record,
    bodies: &BTreeMap<BlockId, Arc<Block>>,
) -> Result<Option<Input<Ctx>>, &'static str> {
    let body = |id: &BlockId| bodies.get(id).cloned().ok_or("it names a block that is not logged before it");
    Ok(Some(match record {
        Record::Body(_) => return Ok(None),
        Record::Vote(vote) => Input::Vote(convert::vote_to_core(&vote)),
        Record::Proposal(signed) => Input::Proposal(convert::proposal_to_core(&SignedProposal {
            round: signed.claim.round,
            pol_round: signed.claim.pol_round,
            block: body(&signed.claim.block)?,
            validator: signed.validator,
            signature: signed.signature,
        })),
        Record::Value { round, valid_round, proposer, block, verdict } => {
            let value = ProposedValue {
                height: Height(height),
                round: Round::new(round),
                valid_round: convert::core_pol(valid_round),
                proposer: Address(proposer),
                value: Value::new(body(&block)?),
                validity: Validity::from_bool(verdict == Verdict::Valid),
            };
            Input::ProposedValue(value, ValueOrigin::Consensus)
        }
        Record::Polka(polka) => Input::PolkaCertificate(convert::polka_to_core(&polka)),
        Record::Timeout { step, round } => {
            let kind = match step {
                Step::Propose => TimeoutKind::Propose,
                Step::Prevote => TimeoutKind::Prevote,
                Step::Precommit => TimeoutKind::Precommit,
            };
            Input::TimeoutElapsed(Timeout::new(Round::new(round), kind))
        }
    }))
}

/// The log of one height: what is durable of it, and what waits for the next flush.
#[derive(Debug)]
pub(crate) struct Log {
    height: u64,
    /// The number of the next record to be made durable.
    next: u64,
    pending: Vec<Vec<u8>>,
    bodies: BTreeSet<BlockId>,
    /// While replaying: the records that are already there. The core asks to log each again; only what is new is.
    replayed: BTreeSet<Vec<u8>>,
}

impl Log {
    /// An empty log of `height`.
    pub const fn new(height: u64) -> Self {
        Self { height, next: 0, pending: Vec::new(), bodies: BTreeSet::new(), replayed: BTreeSet::new() }
    }

    /// The log of `height` as it is on disk, with the inputs that it holds.
    pub fn load(height: u64, wal: &impl Wal) -> Result<(Self, Vec<Input<Ctx>>), Fault> {
        let records = wal.load(height).map_err(Fault::Log)?;
        let mut log = Self::new(height);
        let mut bodies = BTreeMap::new();
        let mut inputs = Vec::new();
        for (index, bytes) in records.into_iter().enumerate() {
            let damaged = |reason: String| Fault::LogDamaged { height, index, reason };
            let record = Record::decode(&bytes).map_err(damaged)?;
            if let Record::Body(block) = &record {
                log.bodies.insert(block.id());
                bodies.insert(block.id(), block.clone());
            }
            inputs.extend(input_of(height, record, &bodies).map_err(|reason| damaged(reason.to_owned()))?);
            log.replayed.insert(bytes);
            log.next += 1;
        }
        Ok((log, inputs))
    }

    /// Buffers what the core asks to log.
    pub fn append(&mut self, height: u64, input: &Input<Ctx>) -> Result<(), Fault> {
        let Some((record, body)) = record_of(input).filter(|_| height == self.height) else {
            return Err(Fault::Core(format!("it asked to log an input that is never logged: {input:?}")));
        };
        let bytes = record.encode();
        if self.replayed.contains(&bytes) {
            return Ok(());
        }
        if let Some(block) = body
            && self.bodies.insert(block.id())
        {
            self.pending.push(Record::Body(block).encode());
        }
        self.pending.push(bytes);
        Ok(())
    }

    /// Makes everything that was appended durable.
    pub fn flush(&mut self, wal: &mut impl Wal) -> Result<(), Fault> {
        if self.pending.is_empty() {
            return Ok(());
        }
        wal.append(self.height, self.next, &self.pending).map_err(Fault::Log)?;
        self.next += u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.pending.clear();
        Ok(())
    }

    /// Ends the replay: from here on every record is new.
    pub fn replay_ended(&mut self) {
        self.replayed.clear();
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
