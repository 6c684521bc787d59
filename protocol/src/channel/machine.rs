//! The machine and its door: what an event is handed to.

use std::collections::VecDeque;
use std::sync::Arc;

use bincode::Encode;
use towpath_crypto::Amount;
use towpath_ledger::{ChannelId, ChannelState, OutPoint, Party, StateSignature};

use super::outgoing::Outgoing;
use super::state::{
    Fixed, Held, Lost, Memory, OpenProposal, OpenProposals, Posted, Resizing, Turnholder, Witnesses,
};
use crate::canary::{Canary, sings};
use crate::effect::{Effect, Online, Outcome};
use crate::error::Reject;
use crate::event::{Command, Event, LedgerEvent, Now, Token};
use crate::journal::{EventKind, Journal};
use crate::life::{ClosingStage, Life};
use crate::message::ChannelMessage;
use crate::row::Key;
use crate::signer::{Guard, Mark, StateSigner};
use crate::update::Content;
use crate::verify::Verifier;

/// One channel, as one of its parties sees it, from the first co-signed version to its settlement. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Channel {
    pub(super) fixed: Arc<Fixed>,
    pub(super) guard: Guard,
    pub(super) life: Life,
    pub(super) funding: Option<OutPoint>,
    pub(super) witnesses: Arc<Witnesses>,
    pub(super) held: Held,
    /// The highest version of the peer's proposals that was seen, refused ones included.
    pub(super) seen: u64,
    pub(super) next_number: u64,
    pub(super) posted: Option<Posted>,
    pub(super) lost: Option<Lost>,
    pub(super) journal: Journal,
    pub(super) open: OpenProposals,
    pub(super) outgoing: Outgoing,
    pub(super) resize: Option<Arc<Resizing>>,
    pub(super) memory: Memory,
}

impl Channel {
    /// A channel of which both parties hold version 1. It writes itself at the end of the turn.
    pub(crate) fn created(
        fixed: Arc<Fixed>,
        keys: Arc<dyn StateSigner>,
        mark: Mark,
        (mine, theirs): (StateSignature, StateSignature),
        now: Now,
    ) -> Self {
        let held = Held { content: fixed.first.clone(), theirs, mine: Some(mine) };
        let mut channel = Self {
            guard: Guard::new(keys, mark),
            life: Life::Opening,
            funding: None,
            witnesses: Arc::default(),
            held,
            seen: 0,
            next_number: 1,
            posted: None,
            lost: None,
            journal: Journal::default(),
            open: VecDeque::new(),
            outgoing: Outgoing::default(),
            resize: None,
            memory: Memory { now, expected: 2, ..Memory::default() },
            fixed,
        };
        channel.memory.turn.dirty = true;
        channel.memory.link.connected = true;
        let state = &channel.held.content.state;
        let created = EventKind::Created { balance_a: state.balance_a, balance_b: state.balance_b };
        channel.record(created);
        channel
    }

    /// The first thing that a channel does: it stores what was agreed, tells the peer, and asks for the funding.
    pub(crate) fn begin(&mut self) {
        let fixed = Arc::clone(&self.fixed);
        self.put(Key::Fixed, fixed.as_ref());
        if fixed.me == Party::B {
            self.delete(Key::Acceptance);
        }
        self.say_opening();
        self.ask_funding();
    }

    /// Hands `event` to the machine. `write` must be durable before `effects` are run.
    ///
    /// Only [`Event::TurnEnd`] signs, writes and speaks; all other events return an empty outcome. So a driver steps
    /// the events of a turn, verifies what a [`crate::Deferred`] verifier collected, and then ends the turn.
    ///
    /// # Errors
    /// [`Reject`] says why the event is refused; then the machine is what it was.
    pub fn step(&mut self, event: Event, now: Now, verifier: &mut dyn Verifier) -> Result<Outcome, Reject> {
        let before = std::mem::replace(&mut self.memory.now, now);
        let stepped = match event {
            Event::Connected => {
                self.on_connected();
                Ok(())
            }
            Event::Disconnected => {
                self.on_disconnected();
                Ok(())
            }
            Event::Message(message) => self.on_message(message, verifier),
            Event::Command { token, command } => self.on_command(token, command),
            Event::FundingSigned(witnesses) => self.on_funding_signed(witnesses),
            Event::Resize { token, plan } => self.on_resize_wish(token, plan),
            Event::Bounds(bounds) => {
                self.memory.bounds = Some(bounds);
                Ok(())
            }
            Event::Ledger(event) => self.on_ledger(event, verifier),
            Event::Shown(newest) => self.on_shown(&newest, verifier),
            Event::Complete => {
                self.memory.turn.complete = true;
                Ok(())
            }
            Event::Recovery(event) => self.on_recovery(event, verifier),
            Event::TurnEnd => return Ok(self.end_turn()),
        };
        if stepped.is_err() {
            self.memory.now = before;
        }
        stepped.map(|()| Outcome::default())
    }

    fn on_message(&mut self, message: ChannelMessage, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        if !self.memory.link.connected {
            return Err(Reject::NotReestablished(message.name()));
        }
        if self.lost.is_some() && !message.is_about_recovery() {
            return Err(Reject::Lost);
        }
        match message {
            ChannelMessage::Created(signature) => self.on_created_again(&signature),
            ChannelMessage::Witnesses(witnesses) => self.on_witnesses(witnesses),
            ChannelMessage::Reestablish(theirs) => self.on_reestablish(*theirs, verifier),
            ChannelMessage::Recover(theirs) => self.on_recover(*theirs, verifier),
            ChannelMessage::Resume(theirs) => self.on_resume(*theirs, verifier),
            ChannelMessage::Propose(_)
            | ChannelMessage::Ack(_)
            | ChannelMessage::Request(_)
            | ChannelMessage::Refuse(_)
            | ChannelMessage::Resend(_)
            | ChannelMessage::Close
            | ChannelMessage::Resize(_)
            | ChannelMessage::ResizeAgreed(_) => self.on_update_message(message, verifier),
        }
    }

    /// Messages that only make sense once the peer said what it holds, and while the channel carries updates.
    fn on_update_message(
        &mut self,
        message: ChannelMessage,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Reject> {
        if !self.memory.link.received {
            return Err(Reject::NotReestablished(message.name()));
        }
        if !self.life.carries_updates() && !sings(Canary::SignsAfterClose) {
            return self.on_late_message(&message);
        }
        match message {
            ChannelMessage::Propose(propose) => self.on_propose(propose, verifier),
            ChannelMessage::Ack(ack) => self.on_ack(&ack, verifier),
            ChannelMessage::Request(request) => self.on_request(request),
            ChannelMessage::Refuse(refuse) => self.on_refuse(&refuse),
            ChannelMessage::Resend(from) => self.on_resend(from),
            ChannelMessage::Close => self.on_close(),
            ChannelMessage::Resize(offer) => self.on_resize(*offer, verifier),
            ChannelMessage::ResizeAgreed(agreed) => self.on_resize_agreed(&agreed, verifier),
            ChannelMessage::Created(_)
            | ChannelMessage::Witnesses(_)
            | ChannelMessage::Reestablish(_)
            | ChannelMessage::Recover(_)
            | ChannelMessage::Resume(_) => Err(Reject::Unexpected(message.name())),
        }
    }

    /// After a close was agreed on or posted nothing more is signed: what still arrives crossed it on the way.
    fn on_late_message(&mut self, message: &ChannelMessage) -> Result<(), Reject> {
        let repeated =
            matches!(message, ChannelMessage::Propose(propose) if propose.version <= self.held.version());
        if repeated && self.life == Life::Closing(ClosingStage::Agreed) {
            self.memory.turn.ack_due = true;
        }
        match self.life {
            Life::Opening => Err(Reject::NotReestablished(message.name())),
            Life::Active | Life::Closing(_) | Life::Disputed | Life::Settled(_) => Ok(()),
        }
    }

    fn on_command(&mut self, token: Token, command: Command) -> Result<(), Reject> {
        match command {
            Command::Pay { amount, memo } => self.on_pay(token, amount, memo),
            Command::Close => self.on_close_command(token),
            Command::ForceClose { fee } => self.on_force_close(token, fee),
            Command::CloseAtRisk { fee } => self.on_close_at_risk(token, fee),
            Command::TakeSequencer => self.on_take_sequencer(token),
            Command::HandOver => self.on_hand_over(token),
            Command::SetPacing(pacing) => {
                self.memory.pacing = pacing;
                self.done(token);
                Ok(())
            }
            Command::SetReceive(receive) => {
                self.memory.receive = receive;
                self.done(token);
                Ok(())
            }
        }
    }

    fn on_ledger(&mut self, event: LedgerEvent, verifier: &mut dyn Verifier) -> Result<(), Reject> {
        match event {
            LedgerEvent::Funded { outpoint, entry } => self.on_funded(outpoint, &entry, verifier),
            LedgerEvent::Closing { outpoint, created, closing, fee } => {
                self.on_closing((outpoint, created), *closing, fee, verifier)
            }
            LedgerEvent::Settled { version, outcome } => self.on_settled(version, outcome, verifier),
        }
    }

    /// The channel's id.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.fixed.terms.id
    }

    /// Whose turn it is (SPEC P-5): what the newest version that was not refused says.
    #[must_use]
    pub fn turnholder(&self) -> Turnholder {
        let me = self.fixed.me;
        match self.last_open() {
            Some(open) if open.content.state.sequencer == me => Turnholder::Sequencer,
            Some(_) => Turnholder::HandingOver,
            None if self.held.content.state.sequencer == me => Turnholder::Sequencer,
            None => Turnholder::Follower,
        }
    }

    /// The newest proposal that was not refused. After a loss of data what was proposed counts for nothing.
    pub(super) fn last_open(&self) -> Option<&Arc<OpenProposal>> {
        self.open.iter().rev().find(|open| !open.is_burnt()).filter(|_| self.lost.is_none())
    }

    /// The newest content that this party builds on.
    pub(super) fn tip(&self) -> &Content {
        self.last_open().map_or(&self.held.content, |open| &open.content)
    }

    /// The newest state that both signed, or that this party can complete.
    #[must_use]
    pub fn state(&self) -> &ChannelState {
        &self.held.content.state
    }

    /// What this party can still promise: its balance above the reserve, less all that waits (FAULTS C25).
    #[must_use]
    pub fn spendable(&self) -> Amount {
        if self.lost.is_some() {
            return Amount::ZERO;
        }
        let above = self.tip().spendable(self.fixed.me, &self.fixed.terms);
        [self.outgoing.total(), self.memory.queue_total, self.paid_out()]
            .into_iter()
            .fold(above, |left, waits| left.checked_sub(waits).unwrap_or(Amount::ZERO))
    }

    /// The next local time, in milliseconds, at which the machine wants a turn although nothing happens.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let since = self.memory.claim_since_ms.filter(|_| self.memory.link.up)?;
        Some(since.saturating_add(crate::limits::ACK_DELAY_MS_MAX))
    }

    /// Whether a block makes a difference although nothing happened to the channel in it: an opening or a resize expires
    /// with the ledger's time.
    #[must_use]
    pub fn awaits_block(&self) -> bool {
        self.life == Life::Opening || self.is_frozen()
    }

    pub(super) fn peer_party(&self) -> Party {
        self.fixed.me.other()
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.memory.turn.effects.push(effect);
    }

    pub(super) fn put(&mut self, key: Key, value: &impl Encode) {
        self.memory.turn.dirty |= key.is_counted();
        self.memory.turn.rows.insert(key, Some(key.value(value)));
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.memory.turn.dirty |= key.is_counted();
        self.memory.turn.rows.insert(key, None);
    }

    pub(super) fn done(&mut self, token: Token) {
        self.effect(Effect::Done { token });
    }

    /// Writes an entry of the channel's log.
    pub(super) fn record(&mut self, kind: EventKind) {
        let event = self.journal.append(self.memory.now, kind);
        self.memory.turn.dirty = true;
        self.effect(Effect::Event(Box::new(event)));
    }

    /// Moves on in life, by the table only.
    pub(super) fn become_life(&mut self, next: Life) -> bool {
        if !self.life.may_become(next) {
            return false;
        }
        self.life = next;
        self.record(EventKind::Life(next));
        self.effect(Effect::Life(next));
        if !next.carries_updates() {
            self.go_offline();
        }
        true
    }

    /// No payments can be sent any more, in this session.
    pub(super) fn go_offline(&mut self) {
        if std::mem::take(&mut self.memory.link.up) {
            self.effect(Effect::Online(Online::No));
        }
    }
}
