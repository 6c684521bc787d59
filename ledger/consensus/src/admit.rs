//! What a message from the network must be before the core sees it: from a validator, signed by it, for a height and
//! a round that matter. Nothing unverified is queued anywhere (SPEC N-8), so a peer that sends garbage costs one
//! verification and its own standing.

use arc_malachitebft_core_consensus as mc;
use arc_malachitebft_core_types as mt;
use mc::{Input, ProposedValue};
use mt::{Round, Validator as _, Validity as CoreValidity, Value as _, ValueOrigin};
use towpath_crypto::ed25519::PublicKey;

use crate::context::Height;
use crate::convert;
use crate::engine::{Engine, Phase};
use crate::error::{EngineError, Fault};
use crate::host::{Host, Validity, Wal};
use crate::limits;
use crate::output::{GossipVerdict, Gossiped, PeerId};
use crate::wire::{self, Message, PolkaCertificate, RoundCertificate, SignedProposal, SignedVote, WireError};

/// Where a message's height lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the height that the core is deciding.
    Deciding,
    /// At the next height, which has not begun, or one of the few after it.
    Later,
    /// Decided already, or too far ahead.
    Elsewhere,
}

/// Whether the guard knows a message that carries this node's signature.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Known,
    Unknown,
}

impl<H: Host, W: Wal> Engine<H, W> {
    /// A message from the gossip network. `from` is the peer that handed it over, not its author.
    ///
    /// # Errors
    /// As all inputs: only what is fatal. No message of a peer's making is.
    pub fn on_gossip(&mut self, from: PeerId, bytes: &[u8]) -> Result<Gossiped, EngineError> {
        self.alive()?;
        let verdict = match wire::decode(bytes) {
            Err(WireError::Version) => GossipVerdict::Ignore,
            Err(WireError::Codec(_) | WireError::Invalid(_)) => GossipVerdict::Reject,
            Ok(Message::Status(status)) => {
                self.on_status(from, &status);
                GossipVerdict::Ignore
            }
            Ok(message) if self.seen.contains(&message) => GossipVerdict::Ignore,
            Ok(message) => self.admit(message, bytes.len())?,
        };
        Ok(Gossiped { verdict, outputs: self.finish()? })
    }

    /// Queues a message for the core, or keeps it for later; `bytes` is its size.
    pub(crate) fn admit(&mut self, message: Message, bytes: usize) -> Result<GossipVerdict, EngineError> {
        let verdict = match &message {
            Message::Vote(vote) => self.admit_vote(vote)?,
            Message::Proposal(proposal) => self.admit_proposal(proposal, bytes)?,
            Message::Polka(polka) => self.admit_polka(polka),
            Message::Round(certificate) => self.admit_round(certificate),
            Message::Status(_) => GossipVerdict::Ignore,
        };
        if verdict == GossipVerdict::Accept {
            self.seen.insert(&message);
        }
        Ok(verdict)
    }

    fn place(&self, height: u64) -> Place {
        if height == self.next && self.phase == Phase::Deciding {
            Place::Deciding
        } else if height >= self.next && height <= self.next.saturating_add(limits::HEIGHTS_AHEAD) {
            Place::Later
        } else {
            Place::Elsewhere
        }
    }

    /// A fault that only the height's validator set can tell: certain at the next height, a guess at later ones.
    const fn wrong_at(&self, height: u64) -> GossipVerdict {
        if height == self.next { GossipVerdict::Reject } else { GossipVerdict::Ignore }
    }

    fn too_far_ahead(&self, round: u32) -> bool {
        let current = self.state.round().as_u32().unwrap_or(0);
        round > current.saturating_add(limits::ROUNDS_AHEAD)
    }

    fn admit_vote(&mut self, signed: &SignedVote) -> Result<GossipVerdict, EngineError> {
        let vote = &signed.vote;
        let place = self.place(vote.height);
        if place == Place::Elsewhere {
            return Ok(GossipVerdict::Ignore);
        }
        if !self.set.contains(&signed.validator) {
            return Ok(self.wrong_at(vote.height));
        }
        let core = convert::vote_to_core(signed);
        let votes = self.state.driver.votes();
        if place == Place::Deciding && (self.too_far_ahead(vote.round) || votes.is_saturated_conflict(&core))
        {
            return Ok(GossipVerdict::Ignore);
        }
        if !self.env.keys.verify(&signed.validator, vote, &signed.signature) {
            return Ok(GossipVerdict::Reject);
        }
        if signed.validator == self.public() {
            let known = vote.height == self.next && self.env.guard.knows_vote(vote);
            return self.own_message(own(known), vote.height, vote.round);
        }
        if place == Place::Later {
            return self.keep(vote.height, signed.validator, Message::Vote(*signed), 0);
        }
        if !votes.has_vote(&core) {
            self.env.inbox.push_back(Input::Vote(core));
        }
        Ok(GossipVerdict::Accept)
    }

    fn admit_proposal(
        &mut self,
        signed: &SignedProposal,
        bytes: usize,
    ) -> Result<GossipVerdict, EngineError> {
        let claim = signed.claim();
        let place = self.place(claim.height);
        if place == Place::Elsewhere || (place == Place::Deciding && self.too_far_ahead(claim.round)) {
            return Ok(GossipVerdict::Ignore);
        }
        if self.set.proposer(claim.height, Round::new(claim.round)).address().0 != signed.validator {
            return Ok(self.wrong_at(claim.height));
        }
        if !self.env.keys.verify(&signed.validator, &claim, &signed.signature) {
            return Ok(GossipVerdict::Reject);
        }
        if signed.validator == self.public() {
            let known = claim.height == self.next && self.env.guard.knows_proposal(&claim);
            return self.own_message(own(known), claim.height, claim.round);
        }
        if place == Place::Later {
            return self.keep(claim.height, signed.validator, Message::Proposal(signed.clone()), bytes);
        }
        self.propose_to_core(signed)
    }

    /// Gives the core a proposal of the round's proposer, with the ledger's verdict on its block: the verdict is ours
    /// to give (SPEC N-2), and the core keeps two values a round, so no others may reach it.
    fn propose_to_core(&mut self, signed: &SignedProposal) -> Result<GossipVerdict, EngineError> {
        let core = convert::proposal_to_core(signed);
        let (height, round) = (Height(self.next), core.message.round);
        let id = core.message.value.id();
        if self.state.exceeds_per_round_cap(height, round, &id) {
            return Ok(GossipVerdict::Ignore);
        }
        let full = self.state.full_proposal_at_round_and_value(&height, round, &core.message.value);
        if full.is_some_and(|full| full.proposal.message == core.message) {
            return Ok(GossipVerdict::Accept);
        }
        let known = self.state.get_proposed_value_by_id(height, round, &id);
        let valid = match known.is_some_and(|value| value.validity.is_valid()) {
            true => true,
            false => match self.validate(&signed.block)? {
                Validity::Valid => true,
                Validity::Invalid(reason) => {
                    tracing::warn!(height = self.next, proposer = ?signed.validator, %reason, "invalid proposal");
                    false
                }
            },
        };
        let value = ProposedValue {
            height,
            round,
            valid_round: core.message.pol_round,
            proposer: core.message.proposer,
            value: core.message.value.clone(),
            validity: CoreValidity::from_bool(valid),
        };
        self.env.inbox.push_back(Input::Proposal(core));
        self.env.inbox.push_back(Input::ProposedValue(value, ValueOrigin::Consensus));
        Ok(GossipVerdict::Accept)
    }

    fn admit_polka(&mut self, polka: &PolkaCertificate) -> GossipVerdict {
        if self.place(polka.height) != Place::Deciding || self.too_far_ahead(polka.round) {
            return GossipVerdict::Ignore;
        }
        let core = convert::polka_to_core(polka);
        let thresholds = self.state.params.threshold_params;
        match self.env.keys.verify_polka(&core, &self.set, thresholds) {
            Err(_) => GossipVerdict::Reject,
            Ok(()) => {
                self.env.inbox.push_back(Input::PolkaCertificate(core));
                GossipVerdict::Accept
            }
        }
    }

    /// Not bounded by the rounds ahead: this is how a node that was cut off learns how far the others are.
    fn admit_round(&mut self, certificate: &RoundCertificate) -> GossipVerdict {
        let current = self.state.round().as_u32().unwrap_or(0);
        let superseded = certificate.round.saturating_add(1) < current;
        if self.place(certificate.height) != Place::Deciding || superseded {
            return GossipVerdict::Ignore;
        }
        let core = convert::round_to_core(certificate);
        let thresholds = self.state.params.threshold_params;
        match self.env.keys.verify_round(&core, &self.set, thresholds) {
            Err(_) => GossipVerdict::Reject,
            Ok(()) => {
                self.env.inbox.push_back(Input::RoundCertificate(core));
                GossipVerdict::Accept
            }
        }
    }

    /// Keeps a verified message of a height that has not begun; someone else has begun the next height when it is for
    /// that.
    fn keep(
        &mut self,
        height: u64,
        validator: PublicKey,
        message: Message,
        bytes: usize,
    ) -> Result<GossipVerdict, EngineError> {
        if !self.later.keep(height, validator, message, bytes) {
            return Ok(GossipVerdict::Ignore);
        }
        if height == self.next {
            self.begin_if_idle()?;
        }
        Ok(GossipVerdict::Accept)
    }

    /// This node's own signature comes back. Everything it signed is in its log; if this is not, another node signs
    /// with the same key, or this one runs on older data than it once had. Either way it must not sign (FAULTS L15).
    fn own_message(&mut self, own: Own, height: u64, round: u32) -> Result<GossipVerdict, EngineError> {
        match own {
            Own::Known => Ok(GossipVerdict::Ignore),
            Own::Unknown => Err(self.halt(Fault::KeyInUse { height, round })),
        }
    }
}

const fn own(known: bool) -> Own {
    if known { Own::Known } else { Own::Unknown }
}
