//! One turn: what comes in is stepped with its signatures collected, checked as one batch, and ended as one write.

use std::collections::BTreeMap;
use std::time::Instant;

use towpath_api::EventBody;
use towpath_crypto::ed25519::{PublicKey, verify_batch};
use towpath_ledger::ChannelId;
use towpath_protocol::{
    Channel, ChannelMessage, Deferred, Event, Failure, Immediate, Life, Message, Now, Reject, Severity,
    Verifier,
};
use towpath_store::Column;

use super::call::{CallError, Paid, Reply};
use super::held::row_key;
use super::release::Release;
use super::run::Worker;
use super::{Input, Load};
use crate::journal::Entry;
use crate::net::{Credit, Offence};

/// A turn under way.
pub(super) struct Turn {
    pub now: Now,
    pub instant: Instant,
    pub entry: Entry,
    pub release: Release,
    /// The channels that were stepped.
    pub touched: BTreeMap<ChannelId, Touched>,
}

/// A channel that was stepped in this turn.
pub(super) struct Touched {
    /// As it was before, and what it was stepped with: only kept when a signature waits to be verified.
    before: Channel,
    events: Vec<Event>,
    checks: Deferred,
}

impl Turn {
    pub(super) fn new(now: Now, instant: Instant) -> Self {
        Self { now, instant, entry: Entry::default(), release: Release::default(), touched: BTreeMap::new() }
    }

    /// Sends a message at the end of the turn.
    pub(super) fn send(&mut self, peer: PublicKey, message: &Message) {
        self.release.messages.entry(peer).or_default().push(message.encode());
    }

    /// Tells a caller that its payment was not made.
    pub(super) fn refuse(&mut self, reply: Reply<Paid>, why: Failure) {
        self.release.answers.push(Box::new(move || drop(reply.send(Err(CallError::Failed(why))))));
    }

    /// Tells the listeners.
    pub(super) fn tell(&mut self, event: EventBody) {
        self.entry.events.push(event);
    }
}

impl Worker {
    /// Takes one input into the turn.
    pub(super) fn take(&mut self, input: Input, turn: &mut Turn, credits: &mut Vec<(Credit, Load)>) {
        match input {
            Input::Messages { peer, messages, credit, load } => {
                for message in messages {
                    self.hear(peer, message, turn);
                }
                credits.push((credit, load));
            }
            Input::SessionUp(peer, session) => {
                // What was to be said before has no place in this session.
                turn.release.messages.remove(&peer);
                self.hailed.insert(peer, session);
                self.hail(peer, turn);
            }
            Input::SessionDown(peer) => {
                self.hailed.remove(&peer);
                self.unknown.remove(&peer);
                self.sessions.remove(&peer);
                self.parts.board.speaks_no_more(&peer);
                self.refusals.remove(&peer);
                self.abandon_openings(&peer, turn);
                self.forget_stranger(&peer);
                for channel in self.channels_of(&peer) {
                    self.step(channel, Event::Disconnected, turn).ok();
                }
            }
            Input::Block(notice) => self.on_block(&notice, turn),
            Input::Call(call) => self.on_call(*call, turn),
            Input::Wallet(answer) => self.on_wallet(*answer, turn),
            Input::Refused(refused) => self.on_refused(*refused),
            Input::Guard => {
                for id in self.channels.keys().copied().collect::<Vec<_>>() {
                    self.touch(id, turn);
                }
            }
            Input::Confirmed { channel, sequence } => self.on_confirmed(channel, sequence, turn),
            Input::Shown { channel, record } => {
                let shown = Event::Shown(Box::new(record.newest));
                if let Err(reject) = self.step(channel, shown, turn) {
                    tracing::warn!(%channel, %reject, "what a watchtower shows is not what it seems");
                }
            }
            Input::Claimed { channel, peer } => {
                if let Some(found) = self.parts.unclaimed.take(&channel, |_| true) {
                    self.rebuild(found, peer, turn);
                }
            }
            Input::Unclaimed(channel) => self.claim_unknown(channel, turn),
            Input::Searched { channel, what } => self.on_searched(channel, what, turn),
            Input::Stop => {}
        }
    }

    pub(super) fn channels_of(&self, peer: &PublicKey) -> Vec<ChannelId> {
        self.by_peer.get(peer).map(|channels| channels.iter().copied().collect()).unwrap_or_default()
    }

    /// A message of a peer, whose session proves who it is.
    fn hear(&mut self, peer: PublicKey, message: Message, turn: &mut Turn) {
        match &message {
            Message::Hello(hello) => return self.on_hello(peer, *hello, turn),
            Message::Stale(newest) => return self.on_stale(peer, newest, turn),
            // Nothing is said of channels with a process that is not known to be the newest.
            _ if !self.sessions.contains(&peer) => return,
            _ => {}
        }
        match message {
            Message::Hello(_) | Message::Stale(_) => {}
            Message::Channel(channel, message) => self.hear_channel(peer, channel, message, turn),
            Message::Open(open) => self.on_open(peer, *open, turn),
            Message::Accept(accept) => self.on_accept(peer, *accept, turn),
            Message::Decline(decline) => self.on_decline(peer, &decline, turn),
            // The node hands these to its tower.
            Message::Tower(_) => {}
        }
    }

    pub(super) fn hear_channel(
        &mut self,
        peer: PublicKey,
        channel: ChannelId,
        message: ChannelMessage,
        turn: &mut Turn,
    ) {
        let known = self.channels.get(&channel).is_some_and(|held| *held.channel.peer() == peer);
        if !known && !self.claim(peer, channel, &message, turn) {
            self.keep_unknown(peer, channel, &message);
            return self.hear_opening(peer, channel, message, turn);
        }
        if self.channels.get(&channel).is_some_and(|held| matches!(held.channel.life(), Life::Settled(_))) {
            // It is over, and the peer's own replica will say so.
            return;
        }
        // Whoever has a channel with this node takes this process for its newest. Of a stranger that says nothing.
        self.parts.epoch.accept();
        if let Err(reject) = self.step(channel, Event::Message(message), turn) {
            self.blame(peer, channel, &reject);
        }
    }

    /// Steps a channel within the turn. The first step of a turn keeps the channel as it was.
    pub(super) fn step(&mut self, channel: ChannelId, event: Event, turn: &mut Turn) -> Result<(), Reject> {
        let Some(held) = self.channels.get_mut(&channel) else { return Err(Reject::WrongChannel) };
        let touched = turn.touched.entry(channel).or_insert_with(|| Touched {
            before: held.channel.clone(),
            events: Vec::new(),
            checks: Deferred::default(),
        });
        touched.events.push(event.clone());
        let outcome = held.channel.step(event, turn.now, &mut touched.checks);
        if outcome.is_err() {
            // It changed nothing, so it need not be stepped again.
            touched.events.pop();
        }
        outcome.map(|_empty| ())
    }

    /// What a peer did wrong ends its session; what an honest one does in a race is let go.
    fn blame(&self, peer: PublicKey, channel: ChannelId, reject: &Reject) {
        match reject.severity() {
            Severity::Disconnect => {
                tracing::warn!(?peer, %channel, %reject, "a peer broke the channel protocol; its session ends");
                self.parts.net.end_session(peer, Offence::Protocol);
            }
            Severity::Caller | Severity::Ignore => {
                tracing::debug!(?peer, %channel, %reject, "a message was not taken")
            }
        }
    }

    /// Verifies all signatures of the turn as one batch. If it fails, the channels with a bad one are put back and
    /// stepped again, each signature on its own: one liar spoils nothing for others.
    pub(super) fn verify(&mut self, turn: &mut Turn) {
        let checks: Vec<_> =
            turn.touched.iter_mut().map(|(id, touched)| (*id, touched.checks.take())).collect();
        let all: Vec<_> = checks.iter().flat_map(|(_, checks)| checks.iter().copied()).collect();
        if all.is_empty() {
            return;
        }
        self.counters().signatures.record(u64::try_from(all.len()).unwrap_or(u64::MAX));
        if verify_batch(&all) {
            return;
        }
        for (id, checks) in checks {
            if !checks.is_empty() && !verify_batch(&checks) {
                self.replay(id, turn);
            }
        }
    }

    fn replay(&mut self, id: ChannelId, turn: &mut Turn) {
        let Some(touched) = turn.touched.get_mut(&id) else { return };
        let Some(held) = self.channels.get_mut(&id) else { return };
        held.channel = touched.before.clone();
        let peer = *held.channel.peer();
        let (mut refused, mut declined) = (None, Vec::new());
        for event in std::mem::take(&mut touched.events) {
            let verifier: &mut dyn Verifier = &mut Immediate;
            let token = match &event {
                Event::Command { token, .. } | Event::Resize { token, .. } => Some(*token),
                Event::Connected
                | Event::Disconnected
                | Event::Message(_)
                | Event::Bounds(_)
                | Event::FundingSigned(_)
                | Event::Ledger(_)
                | Event::Shown(_)
                | Event::Complete
                | Event::Recovery(_)
                | Event::TurnEnd => None,
            };
            match (held.channel.step(event, turn.now, verifier), token) {
                (Ok(_empty), _) => {}
                // It rested on what the peer said, and that does not hold. Who asked for it must hear so.
                (Err(reject), Some(token)) => declined.push((token, reject)),
                (Err(reject), None) => refused = refused.or(Some(reject)),
            }
        }
        for (token, reject) in declined {
            self.declined(id, token, reject, turn);
        }
        if let Some(reject) = refused {
            self.blame(peer, id, &reject);
        }
    }

    /// Gives a channel a turn although nothing happened to it.
    pub(super) fn touch(&mut self, channel: ChannelId, turn: &mut Turn) {
        let Some(held) = self.channels.get(&channel) else { return };
        turn.touched.entry(channel).or_insert_with(|| Touched {
            before: held.channel.clone(),
            events: Vec::new(),
            checks: Deferred::default(),
        });
    }

    /// Channels that asked for a turn by now.
    pub(super) fn due(&mut self, turn: &mut Turn) {
        while let Some((due, channel)) = self.deadlines.first().copied()
            && due <= turn.now.local_ms
        {
            self.deadlines.pop_first();
            self.touch(channel, turn);
            self.force_if_due(channel, turn);
        }
        if turn.now.local_ms >= self.insist_at_ms {
            self.insist(turn);
        }
    }

    /// Ends the turn of every channel that was stepped: now they sign, write and speak.
    pub(super) fn end(&mut self, turn: &mut Turn) {
        for id in std::mem::take(&mut turn.touched).into_keys() {
            self.complete_for_towers(id, turn.now);
            let Some(held) = self.channels.get_mut(&id) else { continue };
            let outcome = match held.channel.step(Event::TurnEnd, turn.now, &mut Immediate) {
                Ok(outcome) => outcome,
                Err(reject) => {
                    tracing::error!(channel = %id, %reject, "the end of a turn was refused");
                    continue;
                }
            };
            #[cfg(debug_assertions)]
            if let Err(broken) = held.channel.check() {
                panic!("channel {id}: {broken:?}");
            }
            for (suffix, value) in outcome.write {
                let key = row_key(&id, &suffix);
                match value {
                    Some(value) => turn.entry.batch.put(Column::Channels, key, value),
                    None => turn.entry.batch.delete(Column::Channels, key),
                }
            }
            if let Some(deadline) = held.channel.next_deadline_ms() {
                self.deadlines.insert((deadline, id));
            }
            self.carry_out(id, outcome.effects, turn);
        }
    }
}
