//! Answers the core's effects. Everything that an effect may touch is here, apart from the core's state, which the
//! core holds while it runs.
//!
//! The core takes an `Err` from a handler as a shrug: it logs it and goes on, and would publish a vote whose record
//! was never written. So a fault is *recorded* here, nothing is signed or published from then on, and the engine
//! stops as soon as the core returns (SPEC N-6).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use arc_malachitebft_core_consensus as mc;
use arc_malachitebft_core_types as mt;
use mc::{Effect, Input, LivenessMsg, ProposedValue, Resumable as _, Resume, SignedConsensusMsg};
use mt::{Round, Timeout, TimeoutKind, Validity as CoreValidity, ValueOrigin};
use towpath_ledger::Block;
use towpath_ledger::chain::CommitCertificate;

use crate::config::Config;
use crate::context::{Address, Ballot, Ctx, Proposal, Value};
use crate::convert;
use crate::error::Fault;
use crate::guard::Guard;
use crate::host::{Check, Host, Validity, Wal};
use crate::keys::Keys;
use crate::log::Log;
use crate::output::Output;
use crate::timers::{Tick, Timers};
use crate::wire::{self, Message};

pub(crate) type CoreError = mc::Error<Ctx>;

/// The answer to an effect.
type Handled = Result<Resume<Ctx>, CoreError>;

/// A decision, until it is committed.
#[derive(Debug)]
pub(crate) struct Decision {
    pub certificate: mt::CommitCertificate<Ctx>,
    pub evidence: Option<mc::MisbehaviorEvidence<Ctx>>,
}

/// Everything but the core's state.
pub(crate) struct Env<H, W> {
    pub keys: Keys,
    pub host: H,
    pub wal: W,
    pub config: Config,
    pub log: Log,
    pub guard: Guard,
    pub timers: Timers,
    /// What the driver gets when the turn ends.
    pub out: Vec<Output>,
    /// What the core gets next. Effects never call the core; they queue here.
    pub inbox: VecDeque<Input<Ctx>>,
    /// The last proposal of this node at this height.
    pub proposal: Option<(u32, Message)>,
    pub decision: Option<Decision>,
    /// The synced block whose certificate the core is checking.
    pub syncing: Option<(Arc<Block>, CommitCertificate)>,
    pub sync_rejected: bool,
    pub fault: Option<Fault>,
    copies: u64,
}

impl<H: Host, W: Wal> Env<H, W> {
    pub fn new(keys: Keys, host: H, wal: W, config: Config) -> Self {
        let copies = config.session;
        Self {
            keys,
            host,
            wal,
            config,
            log: Log::new(0),
            guard: Guard::new(0),
            timers: Timers::default(),
            out: Vec::new(),
            inbox: VecDeque::new(),
            proposal: None,
            decision: None,
            syncing: None,
            sync_rejected: false,
            fault: None,
            copies,
        }
    }

    /// Arms a timer.
    pub fn arm(&mut self, tick: Tick, after: std::time::Duration) {
        let output = self.timers.arm(tick, after);
        self.out.push(output);
    }

    /// Gossips a message, after everything that it may commit this node to is durable.
    pub fn publish(&mut self, message: Message) {
        self.flush();
        if self.fault.is_none() {
            self.copies = self.copies.wrapping_add(1);
            self.out.push(Output::Publish(wire::encode(self.copies, message)));
        }
    }

    /// Records the first fault; the following ones are its consequences.
    pub fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn flush(&mut self) {
        if self.fault.is_none()
            && let Err(fault) = self.log.flush(&mut self.wal)
        {
            self.fail(fault);
        }
    }

    #[expect(clippy::result_large_err, reason = "the core's own error, and built at the end only")]
    /// Answers one effect. An error only ends the core's turn early, and only after a fault was recorded.
    pub fn handle(&mut self, effect: Effect<Ctx>) -> Handled {
        match effect {
            Effect::CancelAllTimeouts(r) => {
                self.timers.disarm_core();
                Ok(r.resume_with(()))
            }
            Effect::CancelTimeout(timeout, r) => {
                self.timers.disarm(Tick::Core(timeout));
                Ok(r.resume_with(()))
            }
            Effect::ScheduleTimeout(timeout, r) => {
                self.arm(Tick::Core(timeout), self.config.timeouts().duration_for(timeout));
                Ok(r.resume_with(()))
            }
            Effect::StartRound(_, _, _, _, r) => {
                self.flush();
                Ok(r.resume_with(()))
            }
            Effect::PublishConsensusMsg(message, r) => {
                self.publish_consensus(&message);
                Ok(r.resume_with(()))
            }
            Effect::PublishLivenessMsg(message, r) => {
                self.publish_liveness(&message);
                Ok(r.resume_with(()))
            }
            Effect::RepublishVote(vote, r) => {
                self.publish_liveness(&LivenessMsg::Vote(vote));
                Ok(r.resume_with(()))
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                self.publish_liveness(&LivenessMsg::SkipRoundCertificate(certificate));
                Ok(r.resume_with(()))
            }
            Effect::GetValue(height, round, timeout, r) => {
                self.ask_for_value(height.0, round, timeout);
                Ok(r.resume_with(()))
            }
            // The block travels inside the proposal, which the core publishes as well.
            Effect::RestreamProposal(_, _, _, _, _, r) => Ok(r.resume_with(())),
            Effect::SignVote(ballot, r) => {
                self.sign_vote(ballot).map(|signed| r.resume_with(signed)).ok_or_else(stop)
            }
            Effect::SignProposal(proposal, r) => {
                self.sign_proposal(proposal).map(|signed| r.resume_with(signed)).ok_or_else(stop)
            }
            Effect::WalAppend(height, input, r) => {
                if let Err(fault) = self.log.append(height.0, &input) {
                    self.fail(fault);
                }
                Ok(r.resume_with(()))
            }
            Effect::CertVerifiedSyncValue(_, proposer, r) => {
                self.apply_synced(proposer);
                Ok(r.resume_with(()))
            }
            Effect::CertRejectedSyncValue(_, _, _, r) => {
                self.sync_rejected = true;
                Ok(r.resume_with(()))
            }
            Effect::Decide(certificate, _, r) => {
                self.decision = Some(Decision { certificate, evidence: None });
                Ok(r.resume_with(()))
            }
            Effect::Finalize(certificate, _, evidence, r) => {
                self.decision = Some(Decision { certificate, evidence: Some(evidence) });
                Ok(r.resume_with(()))
            }
            Effect::VerifySignature(..)
            | Effect::VerifyCommitCertificate(..)
            | Effect::VerifyExtendedCommitCertificate(..)
            | Effect::VerifyPolkaCertificate(..)
            | Effect::VerifyRoundCertificate(..)
            | Effect::ExtendVote(..)
            | Effect::VerifyVoteExtension(..) => Ok(self.verify(effect)),
        }
    }

    /// The effects that ask whether something is valid.
    fn verify(&self, effect: Effect<Ctx>) -> Resume<Ctx> {
        let keys = &self.keys;
        match effect {
            Effect::VerifySignature(signed, key, r) => r.resume_with(match &signed.message {
                mc::ConsensusMsg::Vote(ballot) => keys.verify_ballot(ballot, &key.0, &signed.signature),
                mc::ConsensusMsg::Proposal(proposal) => {
                    keys.verify_proposal(proposal, &key.0, &signed.signature)
                }
            }),
            Effect::VerifyCommitCertificate(certificate, set, thresholds, r) => {
                r.resume_with(keys.verify_commit(&certificate, &set, thresholds))
            }
            Effect::VerifyExtendedCommitCertificate(certificate, set, thresholds, policy, r) => {
                r.resume_with(keys.verify_extended_commit(&certificate, &set, thresholds, policy))
            }
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, r) => {
                r.resume_with(keys.verify_polka(&certificate, &set, thresholds))
            }
            Effect::VerifyRoundCertificate(certificate, set, thresholds, r) => {
                r.resume_with(keys.verify_round(&certificate, &set, thresholds))
            }
            // Vote extensions are disabled at every height, so neither is ever asked.
            Effect::ExtendVote(_, _, _, _, r) => r.resume_with(None),
            Effect::VerifyVoteExtension(_, _, _, _, _, _, r) => {
                r.resume_with(Err(mc::VoteExtensionError::InvalidVoteExtension))
            }
            // `handle` sends only the effects above here.
            _ => Resume::Continue,
        }
    }

    fn publish_consensus(&mut self, message: &SignedConsensusMsg<Ctx>) {
        match message {
            SignedConsensusMsg::Vote(vote) => {
                if let Some(vote) = convert::vote_from_core(vote) {
                    self.publish(Message::Vote(vote));
                }
            }
            SignedConsensusMsg::Proposal(proposal) => {
                if let Some(proposal) = convert::proposal_from_core(proposal) {
                    let round = proposal.round;
                    let own = proposal.validator == self.keys.public();
                    let message = Message::Proposal(proposal);
                    if own {
                        self.proposal = Some((round, message.clone()));
                    }
                    self.publish(message);
                }
            }
        }
    }

    fn publish_liveness(&mut self, message: &LivenessMsg<Ctx>) {
        let message = match message {
            LivenessMsg::Vote(vote) => convert::vote_from_core(vote).map(Message::Vote),
            LivenessMsg::PolkaCertificate(polka) => convert::polka_from_core(polka).map(Message::Polka),
            LivenessMsg::SkipRoundCertificate(certificate) => {
                convert::round_from_core(certificate).map(Message::Round)
            }
        };
        if let Some(message) = message {
            self.publish(message);
        }
    }

    fn ask_for_value(&mut self, height: u64, round: Round, timeout: Timeout) {
        if let Some(round) = round.as_u32() {
            let kind = TimeoutKind::Propose;
            let deadline = self.config.timeouts().duration_for(Timeout::new(timeout.round, kind));
            self.out.push(Output::BuildValue { height, round, deadline });
        }
    }

    /// None after a fault.
    fn sign_vote(&mut self, ballot: Ballot) -> Option<mt::SignedVote<Ctx>> {
        let vote = convert::vote_of(&ballot)?;
        self.consent(|guard| guard.vote(&vote))?;
        Some(mt::SignedMessage::new(ballot, self.keys.sign(&vote)))
    }

    /// None after a fault.
    fn sign_proposal(&mut self, proposal: Proposal) -> Option<mt::SignedProposal<Ctx>> {
        let claim = convert::claim_of(&proposal)?;
        self.consent(|guard| guard.proposal(&claim))?;
        Some(mt::SignedMessage::new(proposal, self.keys.sign(&claim)))
    }

    fn consent(&mut self, ask: impl FnOnce(&mut Guard) -> Result<(), Fault>) -> Option<()> {
        if self.fault.is_some() {
            return None;
        }
        ask(&mut self.guard).map_err(|fault| self.fail(fault)).ok()
    }

    /// A quorum has signed the certificate of the block in `syncing`; applies it unless this node disagrees.
    fn apply_synced(&mut self, proposer: Address) {
        let Some((block, certificate)) = self.syncing.take() else {
            return self.fail(Fault::Core("it verified a block that nobody sent".to_owned()));
        };
        match self.host.validate(&block, Check::Decided) {
            Err(error) => self.fail(Fault::Host(error)),
            Ok(Validity::Invalid(reason)) => self.fail(Fault::DecidedInvalid {
                height: certificate.height,
                block: certificate.block,
                certificate: Box::new(certificate),
                reason,
            }),
            Ok(Validity::Valid) => {
                let value = Value::new(block);
                let proposed = ProposedValue {
                    height: crate::context::Height(certificate.height),
                    round: Round::new(certificate.round),
                    valid_round: Round::Nil,
                    proposer,
                    value,
                    validity: CoreValidity::Valid,
                };
                self.inbox.push_back(Input::ProposedValue(proposed, ValueOrigin::Sync));
            }
        }
    }
}

/// Makes the core end its turn; it does not understand the reason, `Env::fault` does.
fn stop() -> CoreError {
    CoreError::WalCorrupted(Arc::new(io::Error::other("stopping")))
}
