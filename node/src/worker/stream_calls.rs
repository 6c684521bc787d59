//! Streams from outside: started, looked at, stopped; and topped up at the end of each turn.

use std::time::Instant;

use towpath_api::{EventBody, Stream, StreamState};
use towpath_ledger::ChannelId;

use super::call::{CallError, Reply, Wait};
use super::held::{Payer, Who};
use super::run::Worker;
use super::streams::{Plan, Running, stream_id};
use super::turn::Turn;
use crate::idempotency::{Claim, Outcome};
use crate::limits;

impl Worker {
    pub(super) fn start_stream(
        &mut self,
        channel: ChannelId,
        plan: Plan,
        claim: Option<Claim>,
        reply: Reply<Stream>,
        turn: &mut Turn,
    ) {
        if !self.room_for_stream() {
            return drop(reply.send(Err(CallError::TooManyStreams)));
        }
        let Some(held) = self.channels.get_mut(&channel) else {
            return drop(reply.send(Err(CallError::NoChannel)));
        };
        let id = self.next_stream;
        // Each worker has its own numbers, so that a number alone says whose stream it is.
        self.next_stream += self.parts.workers.count_u64();
        held.streams.insert(id);
        let running = Running::new(id, held.text.clone(), plan, turn.now.local_ms, Instant::now());
        let view = running.view(Instant::now());
        self.streams.insert(id, running);
        self.stream_channels.insert(id, channel);
        if let Some(claim) = claim {
            // In the batch of the stream's first payments: after a restart a repeated call begins no second one.
            let outcome = Outcome::Stream { run: self.parts.idempotency.run(), number: id };
            let kept = claim.keep(&mut turn.entry.batch, outcome, turn.now.local_ms);
            turn.release.answers.push(Box::new(move || kept.show()));
        }
        turn.release.answers.push(Box::new(move || drop(reply.send(Ok(view)))));
        // Touches the channel, so that the first payments go out with this turn.
        self.top_up(id, turn);
    }

    pub(super) fn look_at_stream(&self, id: u64, reply: Reply<Stream>) {
        let view = self.streams.get(&id).map(|stream| stream.view(Instant::now()));
        drop(reply.send(view.ok_or(CallError::NoStream)));
    }

    pub(super) fn stop_stream(&mut self, id: u64, reply: Reply<Stream>, turn: &mut Turn) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.cancel(turn.now.local_ms, turn.instant);
            self.note_end(id, turn);
        }
        self.look_at_stream(id, reply);
    }

    /// Asks for as many payments as each stream of a touched channel still wants.
    pub(super) fn top_up_streams(&mut self, turn: &mut Turn) {
        let touched: Vec<ChannelId> = turn.touched.keys().copied().collect();
        for channel in touched {
            let Some(held) = self.channels.get(&channel) else { continue };
            for stream in held.streams.clone() {
                self.top_up(stream, turn);
            }
        }
    }

    /// Goes on with the streams that settled payments in this turn; whether any payment was asked for.
    pub(super) fn top_up_settled(&mut self, turn: &mut Turn) -> bool {
        for stream in std::mem::take(&mut self.roomy) {
            self.top_up(stream, turn);
        }
        !turn.touched.is_empty()
    }

    fn top_up(&mut self, id: u64, turn: &mut Turn) {
        let Some(channel) = self.stream_channels.get(&id).copied() else { return };
        loop {
            let Some(stream) = self.streams.get_mut(&id) else { return };
            if stream.wanted() == 0 {
                return;
            }
            let amount = stream.plan().amount;
            let asked = Instant::now();
            let payer =
                Payer { amount, memo: None, claim: None, wait: Wait::Settled, asked, who: Who::Stream(id) };
            match self.ask(channel, payer, turn) {
                Ok(()) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.asked();
                    }
                }
                // Full, or away for a moment: the next turn of the channel goes on.
                Err((
                    CallError::Rejected(towpath_protocol::Reject::Busy | towpath_protocol::Reject::Offline),
                    _,
                )) => {
                    return;
                }
                Err((error, _)) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.refused(error.to_string(), turn.now.local_ms, turn.instant);
                    }
                    return self.note_end(id, turn);
                }
            }
        }
    }

    /// Tells of a stream's end, once.
    pub(super) fn note_end(&mut self, id: u64, turn: &mut Turn) {
        let Some(stream) = self.streams.get(&id) else { return };
        let view = stream.view(turn.instant);
        let Some(channel) = self.stream_channels.get(&id) else { return };
        let Some(held) = self.channels.get_mut(channel) else { return };
        let all_in = view.settled + view.failed >= view.sent;
        if view.state == StreamState::Running || (!all_in && view.state != StreamState::Failed) {
            return;
        }
        if held.streams.remove(&id) {
            turn.tell(EventBody::Stream {
                stream: stream_id(id),
                channel: held.text.clone(),
                state: view.state,
            });
        }
    }

    /// Whether one more stream can be remembered, if need be in the place of one that has ended.
    fn room_for_stream(&mut self) -> bool {
        while self.streams.len() >= limits::STREAMS {
            let ended = self.streams.iter().find(|(_, stream)| !stream.is_running()).map(|(id, _)| *id);
            let Some(id) = ended else { return false };
            self.streams.remove(&id);
            if let Some(channel) = self.stream_channels.remove(&id)
                && let Some(held) = self.channels.get_mut(&channel)
            {
                held.streams.remove(&id);
            }
        }
        true
    }
}
