//! Catching up: who is ahead, one request to one peer at a time, certificates before blocks; and the answers to the
//! requests of others.

use std::sync::Arc;

use arc_malachitebft_core_consensus as mc;
use arc_malachitebft_core_types as mt;
use mc::Input;
use mt::{ExtendedCommitCertificate, VoteExtensions};
use towpath_crypto::codec;
use towpath_ledger::Block;
use towpath_ledger::chain::{CommitCertificate, double_signers};

use crate::catch_up::{Pending, Purpose};
use crate::convert;
use crate::engine::{Engine, Phase};
use crate::error::{EngineError, Fault};
use crate::host::{Host, Wal};
use crate::limits;
use crate::output::{Blame, Output, PeerChange, PeerId, SyncFailure, SyncReply};
use crate::sync_wire::{DecidedBlock, SyncRequest, SyncResponse};
use crate::timers::Tick;
use crate::wire::Status;

/// The answer to a peer that asks for blocks, up to the block at height `tip`. It needs nothing of the engine, so whoever
/// reads the same blocks can give it without keeping the engine waiting.
///
/// # Errors
/// What `decided` fails with.
pub fn answer_sync<E>(
    bytes: &[u8],
    tip: u64,
    decided: impl Fn(u64) -> Result<Option<(Arc<Block>, CommitCertificate)>, E>,
) -> Result<SyncReply, E> {
    let Ok(request) = SyncRequest::decode(bytes) else { return Ok(SyncReply::Malformed) };
    let (mut blocks, mut size) = (Vec::new(), 0usize);
    for offset in 0..u64::from(request.count.min(limits::SYNC_BLOCKS)) {
        let height = request.from.saturating_add(offset);
        if height > tip || size >= limits::SYNC_BYTES {
            break;
        }
        let Some((block, certificate)) = decided(height)? else { break };
        let decided = DecidedBlock { block, certificate };
        size = size.saturating_add(codec::encode(&decided).len());
        blocks.push(decided);
    }
    Ok(SyncReply::Blocks(SyncResponse { blocks }.encode()))
}

/// The core wants a peer with each synced block. This node keeps its own account of who was asked, so it names none.
const NO_PEER: [u8; 2] = [0, 0];

impl<H: Host, W: Wal> Engine<H, W> {
    /// A peer connected or disconnected. Only connected peers' statuses count, and only they are asked.
    ///
    /// # Errors
    /// As all inputs: only what is fatal.
    pub fn on_peer(&mut self, peer: PeerId, change: PeerChange) -> Result<Vec<Output>, EngineError> {
        self.alive()?;
        match change {
            PeerChange::Connected => self.catch_up.connect(peer),
            PeerChange::Disconnected => {
                if self.catch_up.disconnect(peer) {
                    self.env.timers.disarm(Tick::SyncAnswer);
                    self.follow_now();
                }
            }
        }
        self.finish()
    }

    /// A peer asks for blocks.
    ///
    /// # Errors
    /// As all inputs: only what is fatal.
    pub fn on_sync_request(&mut self, bytes: &[u8]) -> Result<SyncReply, EngineError> {
        self.alive()?;
        let answer = answer_sync(bytes, self.tip.height, |height| self.env.host.decided(height));
        answer.map_err(|error| self.halt(Fault::Host(error)))
    }

    /// The answer to [`Output::RequestSync`], or why there is none. Answers that nobody waits for any more are dropped.
    ///
    /// # Errors
    /// [`Fault::Fork`] and [`Fault::DecidedInvalid`], besides what is fatal in all inputs.
    pub fn on_sync_response(
        &mut self,
        from: PeerId,
        answer: Result<Vec<u8>, SyncFailure>,
    ) -> Result<Vec<Output>, EngineError> {
        self.alive()?;
        let Some(pending) = self.catch_up.take_pending(from) else { return self.finish() };
        self.env.timers.disarm(Tick::SyncAnswer);
        match answer.map(|bytes| SyncResponse::decode(&bytes, &pending.request)) {
            Err(SyncFailure::Unreachable) => self.blame(from, Blame::NoAnswer),
            Ok(Err(_)) => self.blame(from, Blame::Malformed),
            Ok(Ok(response)) => match (pending.purpose, response.blocks.first()) {
                (_, None) => self.blame(from, Blame::FalseStatus),
                (Purpose::Probe, Some(theirs)) => self.compare(from, theirs)?,
                (Purpose::Follow, Some(_)) => {
                    self.catch_up.receive(from, response.blocks);
                    self.apply_ready()?;
                }
            },
        }
        self.follow_now();
        self.finish()
    }

    pub(crate) fn on_sync_timeout(&mut self) -> Result<(), EngineError> {
        if let Some(pending) = self.catch_up.take_any_pending() {
            self.blame(pending.peer, Blame::NoAnswer);
            self.follow_now();
        }
        Ok(())
    }

    /// What a peer has decided.
    pub(crate) fn on_status(&mut self, from: PeerId, status: &Status) {
        if self.catch_up.heard(from, status) && self.catch_up.is_idle() {
            let pending = self.catch_up.probe(from, status.tip);
            self.ask(pending);
        }
        self.follow_soon();
    }

    /// Asks at once when a peer is two blocks ahead. One block ahead is what every node is for a moment, and the votes
    /// that decided it are on their way: they get a little time first.
    pub(crate) fn follow_soon(&mut self) {
        let best = self.catch_up.best();
        if best > self.next {
            self.follow_now();
        } else if best == self.next && self.catch_up.is_idle() && !self.env.timers.is_armed(Tick::SyncGrace) {
            self.env.arm(Tick::SyncGrace, self.env.config.sync);
        }
    }

    pub(crate) fn follow_now(&mut self) {
        if self.phase == Phase::New || !self.catch_up.is_idle() {
            return;
        }
        if let Some(pending) = self.catch_up.follow(self.next) {
            self.ask(pending);
        }
    }

    fn ask(&mut self, pending: Pending) {
        self.env.arm(Tick::SyncAnswer, self.env.config.sync);
        self.env.out.push(Output::RequestSync { peer: pending.peer, bytes: pending.request.encode() });
    }

    fn blame(&mut self, peer: PeerId, reason: Blame) {
        self.catch_up.doubt(peer);
        self.env.out.push(Output::BlamePeer { peer, reason });
    }

    /// Applies what came, block by block, each through the core: it verifies the certificate against the validators of
    /// the height, which the block before has determined.
    fn apply_ready(&mut self) -> Result<(), EngineError> {
        while let Some(decided) = self.catch_up.take_ready(self.next) {
            self.begin_now()?;
            // Beginning the height may have decided it, by messages that were kept for it.
            if decided.certificate.height != self.next || self.phase != Phase::Deciding {
                continue;
            }
            let before = self.next;
            self.apply(decided)?;
            if self.next == before {
                if let Some(peer) = self.catch_up.discard_ready() {
                    self.blame(peer, Blame::ForgedCertificate);
                }
                return Ok(());
            }
        }
        Ok(())
    }

    fn apply(&mut self, decided: DecidedBlock) -> Result<(), EngineError> {
        let peer = mc::PeerId::from_bytes(&NO_PEER)
            .map_err(|error| self.halt(Fault::Core(format!("it refuses the empty peer id: {error}"))))?;
        let certificate = ExtendedCommitCertificate::from_commit_certificate_and_extensions(
            convert::commit_to_core(&decided.certificate),
            VoteExtensions::new(Vec::new()),
        );
        self.env.syncing = Some((decided.block, decided.certificate));
        // The bytes stay empty: the block is in `syncing`, decoded and bound to its certificate already.
        let response = mt::ValueResponse::new(peer, bytes::Bytes::new(), certificate);
        self.step(Input::SyncValueResponse(response))?;
        self.env.syncing = None;
        self.drain()
    }

    /// A peer says that another block was decided at a height that is decided here. If a quorum signed that, more than
    /// a third of the validators cheat, and no node can tell which block the others will build on.
    fn compare(&mut self, from: PeerId, theirs: &DecidedBlock) -> Result<(), EngineError> {
        let certificate = &theirs.certificate;
        let height = certificate.height;
        let ours = self.env.host.decided(height).map_err(|error| self.halt(Fault::Host(error)))?;
        let Some((_, ours)) = ours else { return Ok(()) };
        if ours.block == certificate.block {
            self.blame(from, Blame::FalseStatus);
            return Ok(());
        }
        let set = self.env.host.validator_set(height).map_err(|error| self.halt(Fault::Host(error)))?;
        if certificate.verify(&self.env.config.chain, &set).is_err() {
            self.blame(from, Blame::ForgedCertificate);
            return Ok(());
        }
        let culprits = double_signers(&ours, certificate).into_iter().map(|(key, _, _)| key).collect();
        let theirs = Box::new(certificate.clone());
        Err(self.halt(Fault::Fork { height, ours: ours.block, theirs, culprits }))
    }
}
