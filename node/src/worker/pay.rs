//! Payments: from a caller's wish to its answer, and the memory that makes a repeated call the same payment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bincode::{Decode, Encode};
use towpath_api::{Direction, EventBody, Units};
use towpath_crypto::codec;
use towpath_ledger::{Amount, ChannelId};
use towpath_protocol::{Command, Event, Failure, Reject, Token};
use towpath_store::{Batch, Column, Scan, Store, StoreError};

use super::call::{CallError, Paid, PayRequest, Reply, Wait, failure};
use super::held::{Payer, Settling, Who};
use super::history::{Fate, PaymentRow, keep_received, keep_sent, payment_id, sent as sent_row};
use super::run::Worker;
use super::turn::Turn;
use crate::limits;

/// Rows of `Meta`: this prefix ‖ slot, where the slots form a ring.
const PREFIX: &[u8] = b"payment-key/";

/// Bytes of such a row, at most.
const ROW_BYTES_MAX: usize = 256;

/// A payment that was made under a caller's word.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct KeyRow {
    serial: u64,
    key: [u8; 32],
    channel: ChannelId,
    number: u64,
    amount: Amount,
    time_ms: u64,
}

/// The words that callers gave their payments, as digests; the oldest are forgotten first.
#[derive(Default)]
pub struct Idempotency {
    known: BTreeMap<[u8; 32], KeyRow>,
    by_serial: BTreeMap<u64, [u8; 32]>,
    next: u64,
    /// So that several workers never write the same row.
    worker: u8,
}

impl Idempotency {
    /// What worker number `worker` remembers.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open(store: &dyn Store, worker: u8) -> Result<Self, StoreError> {
        let mut memory = Self { worker, ..Self::default() };
        let mut prefix = PREFIX.to_vec();
        prefix.push(worker);
        let mut scan = Scan::prefix(&prefix);
        loop {
            let rows = store.scan(Column::Meta, &scan)?;
            let Some((last, _)) = rows.last() else { return Ok(memory) };
            scan = scan.after(last);
            for (_, value) in &rows {
                if let Ok(row) = codec::decode::<KeyRow>(value, ROW_BYTES_MAX) {
                    memory.next = memory.next.max(row.serial + 1);
                    memory.insert(row);
                }
            }
        }
    }

    fn insert(&mut self, row: KeyRow) {
        self.known.insert(row.key, row);
        self.by_serial.insert(row.serial, row.key);
        while self.by_serial.len() > usize::try_from(limits::IDEMPOTENCY_KEYS).unwrap_or(usize::MAX) {
            if let Some((_, key)) = self.by_serial.pop_first() {
                self.known.remove(&key);
            }
        }
    }

    fn get(&self, key: &[u8; 32]) -> Option<&KeyRow> {
        self.known.get(key)
    }

    /// Remembers a payment, in the batch that makes it durable.
    fn remember(
        &mut self,
        batch: &mut Batch,
        payment: (ChannelId, u64, Amount),
        key: [u8; 32],
        time_ms: u64,
    ) {
        let (channel, number, amount) = payment;
        let row = KeyRow { serial: self.next, key, channel, number, amount, time_ms };
        self.next += 1;
        let mut row_key = PREFIX.to_vec();
        row_key.push(self.worker);
        row_key.extend((row.serial % limits::IDEMPOTENCY_KEYS).to_be_bytes());
        batch.put(Column::Meta, row_key, codec::encode(&row));
        self.insert(row);
    }
}

impl Worker {
    pub(super) fn token(&mut self) -> Token {
        self.next_token += 1;
        self.next_token
    }

    /// A caller wants to pay.
    pub(super) fn pay(&mut self, request: PayRequest, reply: Reply<Paid>, turn: &mut Turn) {
        if let Some(row) = request.key.and_then(|key| self.idempotency.get(&key).copied()) {
            return self.paid_before(&row, &request, reply, turn);
        }
        let under_way = |payer: &Payer| request.key.is_some() && payer.key == request.key;
        if self.channels.get(&request.channel).is_some_and(|held| held.asked.values().any(under_way)) {
            // The first call with this word is in this very turn: the caller asks again and finds it.
            return drop(reply.send(Err(CallError::Busy)));
        }
        let PayRequest { channel, amount, memo, key, wait } = request;
        let payer = Payer { amount, memo, key, wait, asked: turn.instant, who: Who::Caller(reply) };
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

    fn paid_before(&mut self, row: &KeyRow, request: &PayRequest, reply: Reply<Paid>, turn: &mut Turn) {
        if row.channel != request.channel || row.amount != request.amount {
            return drop(reply.send(Err(CallError::KeyReused)));
        }
        let Some(held) = self.channels.get_mut(&row.channel) else {
            return drop(reply.send(Err(CallError::NoChannel)));
        };
        let view = held.channel.view();
        let is_settled = row.number <= view.sent;
        if !is_settled && request.wait == Wait::Settled {
            let settling = Settling {
                number: row.number,
                amount: row.amount,
                asked: turn.instant,
                time_ms: row.time_ms,
                reply,
            };
            return held.wait_for(settling);
        }
        let paid = Paid {
            number: row.number,
            payer: view.me,
            amount: row.amount,
            is_settled,
            time_ms: row.time_ms,
            latency_us: micros_since(turn.instant),
        };
        turn.release.answers.push(Box::new(move || drop(reply.send(Ok(paid)))));
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
        if let Some(key) = payer.key {
            self.idempotency.remember(&mut turn.entry.batch, (id, number, payer.amount), key, time_ms);
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

    /// A payment to this node is final.
    pub(super) fn received(
        &mut self,
        id: ChannelId,
        (number, amount, memo): (u64, Amount, Option<[u8; 32]>),
        turn: &mut Turn,
    ) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        held.row.received.add(amount);
        self.parts.stats.of(self.place).received(1);
        let row = PaymentRow::new(number, amount, turn.now.local_ms, memo);
        keep_received(&mut turn.entry.batch, &id, &row, self.parts.retention);
        let view = held.channel.view();
        let event = EventBody::Payment {
            payment: payment_id(&held.text, view.me.other(), number),
            channel: held.text.clone(),
            direction: Direction::In,
            amount: Units(amount.units()),
            version: view.version,
            memo: memo.map(hex::encode),
        };
        turn.tell(event);
    }

    /// A payment by this node was not made, and never will be.
    pub(super) fn failed(&mut self, id: ChannelId, number: u64, reason: Failure, turn: &mut Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        let me = held.channel.me();
        self.parts.stats.of(self.place).failed(1);
        let waiting = held.settling.iter().position(|waiting| waiting.number == number);
        let waiting = waiting.and_then(|place| held.settling.remove(place));
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
            amount: amount.into(),
            reason: failure(reason),
        });
        if let Some(waiting) = waiting {
            turn.release
                .answers
                .push(Box::new(move || drop(waiting.reply.send(Err(CallError::Failed(reason))))));
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
        let waiting = held.settling.iter().position(|waiting| waiting.number == number);
        if let Some(waiting) = waiting.and_then(|place| held.settling.remove(place)) {
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
        let Some(payer) = held.asked.remove(&token) else { return };
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
}
