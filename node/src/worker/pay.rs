//! Payments: from a caller's wish to its answer.

use std::sync::Arc;
use std::time::Instant;

use towpath_api::{Direction, EventBody, Units};
use towpath_ledger::{Amount, ChannelId};
use towpath_protocol::{Command, Event, Failure, Reject, Token};

use super::call::{CallError, Paid, PayRequest, Reply, Wait, failure};
use super::held::{Payer, Settling, Who};
use super::history::{Fate, PaymentRow, keep_sent, payment_id, sent as sent_row};
use super::run::Worker;
use super::turn::Turn;
use crate::idempotency::{Key, Made, Outcome, PaymentState};
use crate::limits;

impl Worker {
    pub(super) fn token(&mut self) -> Token {
        self.next_token += 1;
        self.next_token
    }

    /// A caller wants to pay.
    pub(super) fn pay(&mut self, request: PayRequest, reply: Reply<Paid>, turn: &mut Turn) {
        let PayRequest { channel, amount, memo, claim, wait } = request;
        let payer = Payer { amount, memo, claim, wait, asked: turn.instant, who: Who::Caller(reply) };
        if let Err((error, payer)) = self.ask(channel, payer, turn)
            && let Who::Caller(reply) = payer.who
        {
            // A caller that is gone needs no answer; a refusal depends on nothing that is not durable.
            drop(reply.send(Err(error)));
        }
    }

    /// Hands a payment to the machine; it gets its number at the end of the turn.
    pub(super) fn ask(
        &mut self,
        channel: ChannelId,
        payer: Payer,
        turn: &mut Turn,
    ) -> Result<(), (CallError, Payer)> {
        if !self.channels.contains_key(&channel) {
            return Err((CallError::NoChannel, payer));
        }
        let token = self.token();
        let command = Command::Pay { amount: payer.amount, memo: payer.memo };
        match self.step(channel, Event::Command { token, command }, turn) {
            Ok(()) => {
                if let Some(held) = self.channels.get_mut(&channel) {
                    held.asked.insert(token, payer);
                }
                Ok(())
            }
            Err(reject) => Err((reject.into(), payer)),
        }
    }

    /// A call is repeated whose payment was made: what became of it, said after this turn, for what is known of it may be
    /// of this very turn.
    pub(super) fn paid_before(
        &mut self,
        (channel, key): (ChannelId, Key),
        wait: Wait,
        reply: Reply<Paid>,
        turn: &mut Turn,
    ) {
        let Some(made) = self.parts.idempotency.payment(&key).filter(|made| made.channel == channel) else {
            // It was forgotten in this moment, a day after it was done.
            return drop(reply.send(Err(CallError::Busy)));
        };
        let Made { number, payer, amount, time_ms, .. } = made;
        let is_settled = match made.state {
            PaymentState::Settled => true,
            PaymentState::Pending if wait == Wait::Settled => {
                return self
                    .wait_again(Settling { number, amount, asked: turn.instant, time_ms, reply }, channel);
            }
            PaymentState::Pending => false,
            PaymentState::Refused(reason) => return turn.refuse(reply, Failure::Refused(reason)),
            PaymentState::Skipped => return turn.refuse(reply, Failure::Skipped),
            PaymentState::Closed => return turn.refuse(reply, Failure::Closed),
            PaymentState::Lost => return turn.refuse(reply, Failure::Lost),
            PaymentState::Unknown => {
                return turn
                    .release
                    .answers
                    .push(Box::new(move || drop(reply.send(Err(CallError::Unknown)))));
            }
        };
        let latency_us = micros_since(turn.instant);
        let paid = Paid { number, payer, amount, is_settled, time_ms, latency_us };
        turn.release.answers.push(Box::new(move || drop(reply.send(Ok(paid)))));
    }

    /// One more waits for a payment that was made: so many at most, but those who went away need not be counted.
    fn wait_again(&mut self, settling: Settling, channel: ChannelId) {
        let Some(held) = self.channels.get_mut(&channel) else {
            return drop(settling.reply.send(Err(CallError::NoChannel)));
        };
        if held.settling.len() >= limits::SETTLING {
            held.settling.retain(|waiting| !waiting.reply.is_closed());
        }
        if held.settling.len() >= limits::SETTLING {
            return drop(settling.reply.send(Err(CallError::Busy)));
        }
        held.wait_for(settling);
    }

    /// The machine gave a payment its number: durable with this turn, and on its way after it.
    pub(super) fn sent(&mut self, id: ChannelId, token: Token, number: u64, turn: &mut Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        let Some(payer) = held.asked.remove(&token) else { return };
        let me = held.channel.view().me;
        let time_ms = turn.now.local_ms;
        held.row.sent.add(payer.amount);
        let row = PaymentRow::new(number, payer.amount, time_ms, payer.memo);
        keep_sent(&mut turn.entry.batch, &id, &row, self.parts.retention);
        held.unsettled.push_back(row);
        if let Some(claim) = payer.claim {
            let (amount, state) = (payer.amount, PaymentState::Pending);
            let made = Made { channel: id, number, payer: me, amount, time_ms, state };
            let kept = claim.keep(&mut turn.entry.batch, Outcome::Payment(made), time_ms);
            turn.release.answers.push(Box::new(move || kept.show()));
        }
        match payer.who {
            Who::Stream(stream) => {
                if let Some(running) = self.streams.get_mut(&stream) {
                    running.sent(number, payer.asked);
                }
            }
            Who::Caller(reply) if payer.wait == Wait::Settled => {
                held.wait_for(Settling { number, amount: payer.amount, asked: payer.asked, time_ms, reply });
            }
            Who::Caller(reply) => {
                let (amount, asked) = (payer.amount, payer.asked);
                turn.release.answers.push(Box::new(move || {
                    let latency_us = micros_since(asked);
                    let paid = Paid { number, payer: me, amount, is_settled: false, time_ms, latency_us };
                    drop(reply.send(Ok(paid)));
                }));
            }
        }
    }

    /// All of this node's payments up to a number are acknowledged.
    pub(super) fn settled(&mut self, id: ChannelId, upto: u64, turn: &mut Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        let me = held.channel.me();
        let newly = held.take_settled(upto);
        self.parts.idempotency.settled(&mut turn.entry.batch, id, upto, turn.now.local_ms);
        let stats = Arc::clone(&self.parts.stats);
        let counters = stats.of(self.place);
        counters.sent(newly.payments);
        if newly.payments > 0 {
            // One event for all that one acknowledgement settles: a stream would write thousands a second.
            turn.tell(EventBody::PaymentSent {
                payment: payment_id(&held.text, me, upto),
                channel: held.text.clone(),
                count: newly.payments,
                amount: Units(newly.total),
            });
        }
        while held.settling.front().is_some_and(|waiting| waiting.number <= upto) {
            let Some(waiting) = held.settling.pop_front() else { break };
            counters.payment_latency_us.record_time(waiting.asked.elapsed());
            turn.release.answers.push(Box::new(move || {
                let paid = Paid {
                    number: waiting.number,
                    payer: me,
                    amount: waiting.amount,
                    is_settled: true,
                    time_ms: waiting.time_ms,
                    latency_us: micros_since(waiting.asked),
                };
                drop(waiting.reply.send(Ok(paid)));
            }));
        }
        for stream in held.streams.clone() {
            if let Some(running) = self.streams.get_mut(&stream) {
                running.settled(upto, (turn.now.local_ms, Instant::now()), &counters.payment_latency_us);
                self.roomy.insert(stream);
                self.note_end(stream, turn);
            }
        }
    }

    /// A payment by this node was not made, and never will be.
    pub(super) fn failed(&mut self, id: ChannelId, number: u64, reason: Failure, turn: &mut Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        let me = held.channel.me();
        self.parts.idempotency.failed(&mut turn.entry.batch, (id, number), reason, turn.now.local_ms);
        self.parts.stats.of(self.place).failed(1);
        let waiting = held.take_waiting(number);
        let failed = held.take_unsettled(number);
        let amount = failed.as_ref().map_or(Amount::ZERO, |row| row.amount);
        if let Some(row) = failed {
            held.row.sent.payments = held.row.sent.payments.saturating_sub(1);
            held.row.sent.total = held.row.sent.total.saturating_sub(row.amount.units());
            // After a restart only the row knows when the payment was made, and what for.
            let kept = sent_row(&**self.parts.journal.store(), &id, number, self.parts.retention);
            let row = kept.ok().flatten().unwrap_or(row);
            keep_sent(&mut turn.entry.batch, &id, &row.ended(Fate::Failed), self.parts.retention);
        }
        let channel = held.text.clone();
        let streams = held.streams.clone();
        turn.tell(EventBody::PaymentFailed {
            payment: payment_id(&channel, me, number),
            channel,
            direction: Direction::Out,
            amount: amount.into(),
            reason: failure(reason),
        });
        for waiting in waiting {
            turn.refuse(waiting.reply, reason);
        }
        for stream in streams {
            if let Some(running) = self.streams.get_mut(&stream) {
                running.failed(Some(number), failure(reason), turn.now.local_ms, turn.instant);
                self.note_end(stream, turn);
            }
        }
    }

    /// Whether a payment by this node was made is lost with the data that would tell.
    pub(super) fn unknown(&mut self, id: ChannelId, number: u64, turn: &mut Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        self.parts.idempotency.unknown(&mut turn.entry.batch, (id, number), turn.now.local_ms);
        for waiting in held.take_waiting(number) {
            turn.release.answers.push(Box::new(move || drop(waiting.reply.send(Err(CallError::Unknown)))));
        }
        if let Some(row) = held.take_unsettled(number) {
            let kept = sent_row(&**self.parts.journal.store(), &id, number, self.parts.retention);
            let row = kept.ok().flatten().unwrap_or(row);
            keep_sent(&mut turn.entry.batch, &id, &row.ended(Fate::Unknown), self.parts.retention);
        }
        tracing::warn!(channel = %id, number, "whether this payment was made is not known any more");
        for stream in held.streams.clone() {
            if let Some(running) = self.streams.get_mut(&stream) {
                let reason = CallError::Unknown.to_string();
                running.failed(Some(number), reason, turn.now.local_ms, turn.instant);
                self.note_end(stream, turn);
            }
        }
    }

    /// A payment or a command that waited for the end of the turn is refused; nothing of it was ever signed.
    pub(super) fn declined(&mut self, id: ChannelId, token: Token, reason: Reject, turn: &mut Turn) {
        if let Some(reply) = self.commands.remove(&token) {
            return turn.release.answers.push(Box::new(move || drop(reply.send(Err(reason.into())))));
        }
        let Some(held) = self.channels.get_mut(&id) else { return };
        let Some(payer) = held.asked.remove(&token) else {
            return self.resize_declined(token, reason, turn);
        };
        match payer.who {
            Who::Caller(reply) => {
                turn.release.answers.push(Box::new(move || drop(reply.send(Err(reason.into())))));
            }
            Who::Stream(stream) => {
                if let Some(running) = self.streams.get_mut(&stream) {
                    running.failed(None, reason.to_string(), turn.now.local_ms, turn.instant);
                    self.note_end(stream, turn);
                }
            }
        }
    }
}

/// Microseconds from `then` to now.
pub(super) fn micros_since(then: Instant) -> u64 {
    u64::try_from(then.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl super::held::Held {
    /// Keeps a caller waiting, in the order of the numbers.
    fn wait_for(&mut self, settling: Settling) {
        let place = self.settling.partition_point(|other| other.number <= settling.number);
        self.settling.insert(place, settling);
    }

    /// Takes out all callers that wait for the payment with this number: a repeated call waits for the same.
    fn take_waiting(&mut self, number: u64) -> Vec<Settling> {
        let from = self.settling.partition_point(|waiting| waiting.number < number);
        let to = self.settling.partition_point(|waiting| waiting.number <= number);
        self.settling.drain(from..to).collect()
    }
}
