//! The engine: one height after the other, each input to its end. No clock, no socket, no thread, no randomness.
//!
//! A turn: an input comes in, the core and the effects run until nothing is queued, the outputs go out. What must be
//! durable is durable before the output that depends on it exists. After a [`Fault`] no input is taken any more.
//!
//! The core panics on some inconsistencies of its own. Such a panic must end the process, not a task: the state behind
//! it is not to be used again. The node is built to abort on it (SPEC N-12).

use std::sync::Arc;

use arc_malachitebft_core_consensus as mc;
use arc_malachitebft_core_types as mt;
use mc::{Input, LocallyProposedValue};
use mt::{Round, TimeoutKind, VoteExtensionPolicy};
use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_ledger::{Block, BlockId};

use crate::catch_up::CatchUp;
use crate::config::Config;
use crate::context::{Address, Ctx, Height, Set, Value};
use crate::convert;
use crate::env::{CoreError, Env};
use crate::error::{EngineError, Fault};
use crate::evidence;
use crate::guard::Guard;
use crate::host::{Check, Decided, Host, Tip, Validity, Wal};
use crate::keys::Keys;
use crate::later::Later;
use crate::limits;
use crate::log::Log;
use crate::output::{Decision, Output};
use crate::seen::Seen;
use crate::timers::Tick;
use crate::wire::{self, Message, Status};

/// What the engine is doing about the next height.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It has not been started.
    New,
    /// The core decides it.
    Deciding,
    /// The least interval since the last block has not passed.
    Resting,
    /// It has, and nothing waits to be decided before the heartbeat.
    Idle,
}

/// Whether a height begins with a log to replay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// After a start of the process.
    Replay,
    /// After the previous height.
    Fresh,
}

/// How far the engine is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The height to be decided next.
    pub height: u64,
    /// The round in it; none while it has not begun.
    pub round: Option<u32>,
    /// Whether this node is one of its validators.
    pub validator: bool,
}

/// Decides blocks together with other engines.
pub struct Engine<H, W> {
    pub(crate) state: mc::State<Ctx>,
    pub(crate) env: Env<H, W>,
    /// The last applied block.
    pub(crate) tip: Tip,
    /// The height to be decided: one above the tip.
    pub(crate) next: u64,
    /// The validators of `next`.
    pub(crate) set: Set,
    pub(crate) phase: Phase,
    /// Transactions wait that came after `next` was last begun.
    work: bool,
    pub(crate) later: Later,
    pub(crate) seen: Seen,
    pub(crate) catch_up: CatchUp,
    halted: bool,
}

impl<H: Host, W: Wal> Engine<H, W> {
    /// An engine on top of the ledger's tip.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn new(secret: SecretKey, host: H, wal: W, config: Config) -> Result<Self, EngineError> {
        let keys = Keys::new(config.chain, secret);
        let tip = host.tip();
        let next = tip.height.saturating_add(1);
        let set = load_set(&host, next).map_err(EngineError::Fatal)?;
        let params = mc::Params {
            address: Address(keys.public()),
            threshold_params: mt::ThresholdParams::default(),
            // The core's other mode calls every proposed block valid (SPEC N-2).
            value_payload: mc::ValuePayload::ProposalAndParts,
            enabled: true,
        };
        // The core's own queue of unverified messages is never filled: see `Later`.
        let state = mc::State::new(Ctx, Height(next), set.clone(), params, 1, 1);
        let mut catch_up = CatchUp::default();
        if tip.height > 0 {
            catch_up.applied(tip.height, tip.block);
        }
        Ok(Self {
            state,
            env: Env::new(keys, host, wal, config),
            tip,
            next,
            set,
            phase: Phase::New,
            work: false,
            later: Later::default(),
            seen: Seen::default(),
            catch_up,
            halted: false,
        })
    }

    /// Replays the log and takes up the next height. To be called once.
    ///
    /// # Errors
    /// [`EngineError::Fatal`] when the log and what it leads to do not agree, or cannot be read.
    pub fn start(&mut self) -> Result<Vec<Output>, EngineError> {
        self.alive()?;
        if self.phase == Phase::New {
            self.announce();
            self.env.arm(Tick::Status, self.env.config.status);
            self.begin_height(Beginning::Replay)?;
        }
        self.finish()
    }

    /// A timer fired.
    ///
    /// # Errors
    /// As all inputs: only what is fatal.
    pub fn on_timer(&mut self, token: u64) -> Result<Vec<Output>, EngineError> {
        self.alive()?;
        match self.env.timers.fire(token) {
            None => {}
            Some(Tick::Core(timeout)) => {
                self.env.inbox.push_back(Input::TimeoutElapsed(timeout));
                self.drain()?;
                if timeout.kind == TimeoutKind::Rebroadcast {
                    self.repeat_proposal();
                }
            }
            Some(Tick::Pace) => self.on_pace()?,
            Some(Tick::SyncAnswer) => self.on_sync_timeout()?,
            Some(Tick::SyncGrace) => self.follow_now(),
            Some(Tick::Status) => {
                self.seen.forget();
                self.announce();
                self.env.arm(Tick::Status, self.env.config.status);
            }
        }
        self.finish()
    }

    /// A block that [`Output::BuildValue`] asked for. One that comes too late, or is not what was asked for, or that
    /// the ledger refuses, is dropped, and the round passes to the next proposer.
    ///
    /// # Errors
    /// As all inputs: only what is fatal.
    pub fn on_value_built(
        &mut self,
        height: u64,
        round: u32,
        block: Block,
    ) -> Result<Vec<Output>, EngineError> {
        self.alive()?;
        let wanted = self.phase == Phase::Deciding
            && height == self.next
            && self.state.round() == Round::new(round)
            && !self.env.guard.has_proposed(round);
        if !wanted {
            return self.finish();
        }
        let block = Arc::new(block);
        if let Err(reason) = self.examine_own(&block)? {
            tracing::error!(height, round, %reason, "the block built by this node cannot be proposed");
            return self.finish();
        }
        let value = LocallyProposedValue::new(Height(height), Round::new(round), Value::new(block));
        self.env.inbox.push_back(Input::Propose(value));
        self.finish()
    }

    /// Transactions wait: make a block as soon as the least interval allows.
    ///
    /// # Errors
    /// As all inputs: only what is fatal.
    pub fn wake(&mut self) -> Result<Vec<Output>, EngineError> {
        self.alive()?;
        self.work = true;
        if self.phase == Phase::Idle {
            self.begin_height(Beginning::Fresh)?;
        }
        self.finish()
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let round = if self.phase == Phase::Deciding { self.state.round().as_u32() } else { None };
        Progress { height: self.next, round, validator: self.set.contains(&self.env.keys.public()) }
    }

    /// The ledger behind it.
    pub const fn host(&self) -> &H {
        &self.env.host
    }

    /// The ledger behind it, for its driver: which also fills the mempool and builds blocks. Blocks are applied by the
    /// engine alone.
    pub const fn host_mut(&mut self) -> &mut H {
        &mut self.env.host
    }

    /// The name of this node.
    pub const fn public(&self) -> PublicKey {
        self.env.keys.public()
    }

    /// The ledger and the log, when the engine is no longer needed.
    pub fn into_parts(self) -> (H, W) {
        (self.env.host, self.env.wal)
    }

    /// Refuses every input after a fault.
    pub(crate) const fn alive(&self) -> Result<(), EngineError> {
        if self.halted { Err(EngineError::Halted) } else { Ok(()) }
    }

    /// Stops for good.
    pub(crate) fn halt(&mut self, fault: Fault) -> EngineError {
        self.halted = true;
        self.env.out.clear();
        EngineError::Fatal(fault)
    }

    /// Ends a turn.
    pub(crate) fn finish(&mut self) -> Result<Vec<Output>, EngineError> {
        self.drain()?;
        Ok(std::mem::take(&mut self.env.out))
    }

    /// Feeds the core what is queued. An input that was queued before its height was decided is of no use any more.
    pub(crate) fn drain(&mut self) -> Result<(), EngineError> {
        while let Some(input) = self.env.inbox.pop_front() {
            if self.phase == Phase::Deciding {
                self.step(input)?;
            }
        }
        self.check_fault()
    }

    /// One input through the core, and the commit that may follow from it.
    pub(crate) fn step(&mut self, input: Input<Ctx>) -> Result<(), EngineError> {
        let (state, env) = (&mut self.state, &mut self.env);
        let result: Result<(), CoreError> =
            mc::process!(input: input, state: state, metrics: &(), with: effect => env.handle(effect));
        self.check_fault()?;
        result.map_err(|error| {
            let text = error.to_string();
            self.halt(match error {
                mc::Error::ReplayDivergence(..) => Fault::ReplayDivergence(text),
                _ => Fault::Core(text),
            })
        })?;
        self.commit()
    }

    fn check_fault(&mut self) -> Result<(), EngineError> {
        match self.env.fault.take() {
            Some(fault) => Err(self.halt(fault)),
            None => Ok(()),
        }
    }

    /// Begins the next height when the least interval is over for one that nobody waits for, or later.
    fn on_pace(&mut self) -> Result<(), EngineError> {
        let config = &self.env.config;
        let rest = config.heartbeat.saturating_sub(config.interval_min);
        // What peers claim to have decided is no reason: that is nobody's signature. Sync begins a height by itself.
        let wanted = self.work || self.later.has(self.next);
        match self.phase {
            Phase::Resting if !wanted && !rest.is_zero() => {
                self.phase = Phase::Idle;
                self.env.arm(Tick::Pace, rest);
                Ok(())
            }
            Phase::Resting | Phase::Idle => self.begin_height(Beginning::Fresh),
            Phase::New | Phase::Deciding => Ok(()),
        }
    }

    /// Begins the next height now, if it is only waiting for something to do.
    pub(crate) fn begin_if_idle(&mut self) -> Result<(), EngineError> {
        if self.phase == Phase::Idle { self.begin_height(Beginning::Fresh) } else { Ok(()) }
    }

    /// Begins the next height now, whatever it is waiting for.
    pub(crate) fn begin_now(&mut self) -> Result<(), EngineError> {
        match self.phase {
            Phase::Resting | Phase::Idle => self.begin_height(Beginning::Fresh),
            Phase::New | Phase::Deciding => Ok(()),
        }
    }

    fn begin_height(&mut self, beginning: Beginning) -> Result<(), EngineError> {
        let log = match beginning {
            Beginning::Replay => Log::load(self.next, &self.env.wal),
            Beginning::Fresh => Ok((Log::new(self.next), Vec::new())),
        };
        let (log, inputs) = log.map_err(|fault| self.halt(fault))?;
        self.env.log = log;
        self.env.guard = recall(self.next, &inputs, &self.public()).map_err(|fault| self.halt(fault))?;
        self.env.timers.disarm(Tick::Pace);
        self.env.timers.disarm(Tick::SyncGrace);
        self.phase = Phase::Deciding;
        self.work = false;
        let policy = VoteExtensionPolicy::Disabled;
        // No target time: the core would read the clock for it. Pacing is done by beginning later.
        self.step(Input::StartHeight(Height(self.next), self.set.clone(), false, None, policy))?;
        self.replay(inputs)?;
        for message in self.later.take(self.next) {
            self.admit(message, 0)?;
            self.drain()?;
        }
        self.follow_soon();
        Ok(())
    }

    /// Feeds the core what it was fed before the process stopped. It derives the same messages, takes their recorded
    /// signatures, and they are published once more; all but a proposal, which is done here: the process may have ended
    /// between logging and sending it.
    fn replay(&mut self, inputs: Vec<Input<Ctx>>) -> Result<(), EngineError> {
        let proposed = last_proposal(&inputs, &self.public());
        self.state.index_wal_entries(inputs.iter());
        for input in inputs {
            if self.phase == Phase::Deciding {
                self.step(input)?;
            }
        }
        self.state.reset_entries_index();
        self.env.log.replay_ended();
        self.env.proposal = proposed.filter(|_| self.phase == Phase::Deciding);
        self.repeat_proposal();
        Ok(())
    }

    /// Applies a decision, if the core has just made one.
    fn commit(&mut self) -> Result<(), EngineError> {
        let Some(made) = self.env.decision.take() else { return Ok(()) };
        let value = self.state.decided_value().map(|(_, value)| value);
        let certificate = convert::commit_from_core(&made.certificate);
        let (Some(value), Some(certificate)) = (value, certificate) else {
            return Err(self.halt(Fault::Core("it decided nothing".to_owned())));
        };
        let (height, round, block) = (certificate.height, certificate.round, certificate.block);
        if height != self.next || block != value.block_id() || self.phase != Phase::Deciding {
            return Err(self.halt(Fault::Core("its certificate is for another block".to_owned())));
        }
        let synced = self.state.driver.commit_certificate(made.certificate.round, &made.certificate.value_id);
        let by = if synced.is_some() { Decision::Sync } else { Decision::Votes };
        let evidence = made.evidence.as_ref().map(evidence::from_core).unwrap_or_default();
        let decided = Decided { block: value.block().clone(), certificate, evidence };
        self.env.host.commit(&decided).map_err(|error| self.halt(Fault::Host(error)))?;
        self.applied(height, block)?;
        self.env.out.push(Output::Committed { height, round, block, by });
        self.env
            .out
            .extend(decided.evidence.into_iter().map(|evidence| Output::Evidence(Box::new(evidence))));
        // While catching up, the next status tick is soon enough.
        if by == Decision::Votes {
            self.announce();
        }
        self.env.arm(Tick::Pace, self.env.config.interval_min);
        Ok(())
    }

    /// The ledger has a new tip.
    fn applied(&mut self, height: u64, block: BlockId) -> Result<(), EngineError> {
        self.tip = self.env.host.tip();
        if self.tip != (Tip { height, block }) {
            let reason = format!("its tip is {:?} after the commit of {height}", self.tip);
            return Err(self.halt(Fault::Host(crate::HostError(reason))));
        }
        self.next = height.saturating_add(1);
        self.set = load_set(&self.env.host, self.next).map_err(|fault| self.halt(fault))?;
        self.phase = Phase::Resting;
        self.catch_up.applied(height, block);
        // Whatever is queued or armed belongs to the height that is over.
        self.env.timers.disarm_core();
        self.env.inbox.clear();
        self.env.proposal = None;
        self.env.log = Log::new(self.next);
        self.env.guard = Guard::new(self.next);
        Ok(())
    }

    fn announce(&mut self) {
        let status = Status { tip: self.tip.height, block: self.tip.block };
        self.env.publish(Message::Status(status));
    }

    /// The core sends its votes again when a round does not end, but never its proposal; a lost one would cost the
    /// round.
    fn repeat_proposal(&mut self) {
        let round = self.state.round().as_u32();
        if let Some((_, message)) = self.env.proposal.as_ref().filter(|(of, _)| Some(*of) == round) {
            let message = message.clone();
            self.env.publish(message);
        }
    }

    /// Whether a block of this node can be proposed; the inner error says why not.
    fn examine_own(&mut self, block: &Arc<Block>) -> Result<Result<(), String>, EngineError> {
        if block.header.height != self.next {
            return Ok(Err("it is for another height".to_owned()));
        }
        if let Err(error) = wire::check_block(block) {
            return Ok(Err(error.to_string()));
        }
        let bytes = towpath_crypto::codec::encode(&**block).len();
        if bytes > limits::BLOCK_BYTES {
            return Ok(Err(format!("{bytes} bytes are too many to send")));
        }
        Ok(match self.validate(block)? {
            Validity::Valid => Ok(()),
            Validity::Invalid(reason) => Err(reason),
        })
    }

    pub(crate) fn validate(&mut self, block: &Arc<Block>) -> Result<Validity, EngineError> {
        self.env.host.validate(block, Check::Proposal).map_err(|error| self.halt(Fault::Host(error)))
    }
}

/// The last proposal of `own` in the log, with its round.
fn last_proposal(inputs: &[Input<Ctx>], own: &PublicKey) -> Option<(u32, Message)> {
    inputs.iter().rev().find_map(|input| match input {
        Input::Proposal(proposal) if proposal.message.proposer.0 == *own => {
            convert::proposal_from_core(proposal).map(|signed| (signed.round, Message::Proposal(signed)))
        }
        _ => None,
    })
}

/// The validators of a height.
pub(crate) fn load_set(host: &impl Host, height: u64) -> Result<Set, Fault> {
    let validators = host.validator_set(height).map_err(Fault::Host)?;
    Set::new(&validators).ok_or(Fault::TooMuchPower(height))
}

/// What `own` signed at `height`, according to the log.
fn recall(height: u64, inputs: &[Input<Ctx>], own: &PublicKey) -> Result<Guard, Fault> {
    let mut guard = Guard::new(height);
    for input in inputs {
        match input {
            Input::Vote(vote) if vote.message.validator.0 == *own => {
                convert::vote_of(&vote.message).map_or(Ok(()), |vote| guard.vote(&vote))?;
            }
            Input::Proposal(proposal) if proposal.message.proposer.0 == *own => {
                convert::claim_of(&proposal.message).map_or(Ok(()), |claim| guard.proposal(&claim))?;
            }
            _ => {}
        }
    }
    Ok(guard)
}
