//! Payments to this node: final as soon as the channel says so, or, if the operator wants it, once watchtowers have a
//! state that contains them (SPEC T-50 to T-52; FAULTS W6). What waits is durable, and told exactly once.

use std::collections::VecDeque;

use bincode::{Decode, Encode};
use towpath_api::{Direction, EventBody, Units};
use towpath_crypto::codec;
use towpath_crypto::codec::Readable;
use towpath_crypto::readable;
use towpath_ledger::{Amount, ChannelId};
use towpath_protocol::tower::{Record, Sequence};
use towpath_protocol::{Command, Event, Immediate, Life, Now, Receive};
use towpath_store::Column;

use super::held::{Held, row_key};
use super::history::{Fate, PaymentRow, keep_received, payment_id, received as received_row};
use super::run::Worker;
use super::turn::Turn;
use super::view::Count;
use crate::limits;
use crate::tower::Offered;

/// The suffixes of the rows of payments that wait: this ‖ number (big-endian). The machine's rows begin otherwise.
pub(super) const CONFIRMING_ROWS: &[u8] = b"~confirming/";

/// Bytes of such a row, at most.
const ROW_BYTES_MAX: usize = 128;

/// A payment to this node that waits for watchtowers.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Confirming {
    /// The version of this layout.
    version: u8,
    /// Its number in the peer's direction.
    pub number: u64,
    /// How much.
    pub amount: Amount,
    /// From the payer.
    pub memo: Option<[u8; 32]>,
    /// A version of the channel that contains it.
    pub contained: u64,
}

fn key(channel: &ChannelId, number: u64) -> Vec<u8> {
    row_key(channel, &[CONFIRMING_ROWS, &number.to_be_bytes()].concat())
}

/// What waits, out of its rows.
///
/// # Errors
/// When a row is damaged: a payment would be lost from sight.
pub(super) fn read(rows: Vec<(Vec<u8>, Vec<u8>)>) -> Result<VecDeque<Confirming>, String> {
    let mut waiting = rows
        .iter()
        .map(|(_, row)| codec::decode::<Confirming>(row, ROW_BYTES_MAX).map_err(|error| error.to_string()))
        .collect::<Result<Vec<_>, _>>()?;
    waiting.sort_by_key(|payment| payment.number);
    Ok(waiting.into())
}

/// How many wait, and how much.
pub(super) fn count_of(waiting: &VecDeque<Confirming>) -> Count {
    let mut count = Count::default();
    waiting.iter().for_each(|payment| count.add(payment.amount));
    count
}

impl Worker {
    /// The channel holds a payment to this node.
    pub(super) fn received(
        &mut self,
        id: ChannelId,
        (number, amount, memo): (u64, Amount, Option<[u8; 32]>),
        turn: &mut Turn,
    ) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        let row = PaymentRow::new(number, amount, turn.now.local_ms, memo);
        keep_received(&mut turn.entry.batch, &id, &row, self.parts.retention);
        let contained = held.channel.view().version;
        let payment = Confirming { version: 1, number, amount, memo, contained };
        if self.parts.confirmations == 0 {
            return self.is_final(id, payment, turn);
        }
        turn.entry.batch.put(Column::Channels, key(&id, number), codec::encode(&payment));
        held.confirming.push_back(payment);
        self.hold_back(id, turn);
    }

    /// Takes no payments on a channel in which as many wait for watchtowers as may.
    pub(super) fn hold_back(&mut self, id: ChannelId, turn: &mut Turn) {
        if self.channels.get(&id).is_some_and(|held| held.confirming.len() >= limits::CONFIRMING_MAX) {
            self.receive(id, Receive::Nothing, turn);
        }
    }

    /// A payment to this node is final: it is counted and told.
    fn is_final(&mut self, id: ChannelId, payment: Confirming, turn: &mut Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        held.row.received.add(payment.amount);
        self.parts.stats.of(self.place).received(1);
        let me = held.channel.view().me;
        let event = EventBody::Payment {
            payment: payment_id(&held.text, me.other(), payment.number),
            channel: held.text.clone(),
            direction: Direction::In,
            amount: Units(payment.amount.units()),
            version: payment.contained,
            memo: payment.memo.map(hex::encode),
        };
        turn.tell(event);
    }

    /// Watchtowers have a state: what it contains is final. The rows go in the write that tells of it.
    pub(super) fn on_confirmed(&mut self, id: ChannelId, sequence: Sequence, turn: &mut Turn) {
        let Some(held) = self.channels.get(&id) else { return };
        if sequence.generation == held.channel.state().generation {
            self.confirm_upto(id, sequence.version, turn);
        }
    }

    /// The ledger settled the channel: what the settled version contains is as final as anything can be.
    pub(super) fn confirm_settled(&mut self, id: ChannelId, turn: &mut Turn) {
        let Some(version) = self.channels.get(&id).and_then(|held| held.settled_version) else { return };
        self.confirm_upto(id, version, turn);
        let Some(held) = self.channels.get_mut(&id) else { return };
        for lost in std::mem::take(&mut held.confirming) {
            self.left_out(id, lost, turn);
        }
    }

    /// The ledger settled the channel by a state without this payment, and no watchtower had a newer one: it was not made.
    fn left_out(&mut self, id: ChannelId, lost: Confirming, turn: &mut Turn) {
        let Some(held) = self.channels.get(&id) else { return };
        tracing::error!(channel = %id, number = lost.number, amount = %lost.amount, "a payment that no watchtower had was lost");
        turn.entry.batch.delete(Column::Channels, key(&id, lost.number));
        // Only the row knows when it came. One that is not there, or not yet, is written anew: those after it are lost as well,
        // and come later.
        let kept = received_row(&**self.parts.journal.store(), &id, lost.number, self.parts.retention);
        let now = || PaymentRow::new(lost.number, lost.amount, turn.now.local_ms, lost.memo);
        let row = kept.ok().flatten().unwrap_or_else(now).ended(Fate::Failed);
        keep_received(&mut turn.entry.batch, &id, &row, self.parts.retention);
        let payment = payment_id(&held.text, held.channel.me().other(), lost.number);
        turn.tell(EventBody::PaymentFailed {
            payment,
            channel: held.text.clone(),
            direction: Direction::In,
            amount: Units(lost.amount.units()),
            reason: "the channel was settled by an older state, and no watchtower had a newer one".to_owned(),
        });
    }

    pub(super) fn confirm_upto(&mut self, id: ChannelId, version: u64, turn: &mut Turn) {
        let mut was_full = false;
        while let Some(held) = self.channels.get_mut(&id)
            && held.confirming.front().is_some_and(|payment| payment.contained <= version)
        {
            was_full |= held.confirming.len() >= limits::CONFIRMING_MAX;
            let Some(payment) = held.confirming.pop_front() else { break };
            turn.entry.batch.delete(Column::Channels, key(&id, payment.number));
            self.is_final(id, payment, turn);
        }
        if was_full {
            self.receive(id, Receive::Any, turn);
        }
        // Its view shows the new totals, and its row holds them.
        self.touch(id, turn);
    }

    /// Takes payments on a channel, or none.
    fn receive(&mut self, id: ChannelId, receive: Receive, turn: &mut Turn) {
        let token = self.token();
        let command = Command::SetReceive(receive);
        if let Err(reject) = self.step(id, Event::Command { token, command }, turn) {
            tracing::debug!(channel = %id, %reject, "the channel does not change what it takes");
        }
    }

    /// Payments that wait for watchtowers need a state with both signatures to be given to them.
    pub(super) fn complete_for_towers(&mut self, id: ChannelId, now: Now) {
        if self.parts.confirmations == 0 {
            return;
        }
        if let Some(held) = self.channels.get_mut(&id) {
            let completed = held.channel.step(Event::Complete, now, &mut Immediate);
            debug_assert!(completed.is_ok(), "it only asks for a signature at the end of the turn");
        }
    }
}

impl Held {
    /// What the watchtowers are to have of this channel, if that is newer than what they were offered: its newest state
    /// that both signed, from the funding to the settlement (SPEC T-40).
    pub(super) fn offer_to_towers(&mut self) -> Option<Offered> {
        match self.channel.life() {
            Life::Opening => return None,
            Life::Active | Life::Closing(_) | Life::Disputed => {}
            Life::Settled(_) if self.offered.is_some() => {
                self.offered = None;
                return Some(Offered::Settled(self.channel.id()));
            }
            Life::Settled(_) => return None,
        }
        let party = self.channel.me();
        let held = self.channel.held();
        let newest = held.co_signed(party)?;
        let sequence = Sequence::of(&newest.state);
        if self.offered.is_some_and(|offered| offered >= sequence) {
            return None;
        }
        self.offered = Some(sequence);
        Some(Offered::Newest(Box::new(Record {
            party,
            newest,
            sent_a: held.content.sent_a,
            sent_b: held.content.sent_b,
            peer: *self.channel.peer(),
            key_index: self.channel.key_index(),
        })))
    }
}

/// How its rows are read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![ROW_BYTES_MAX => Confirming]
}

#[cfg(test)]
mod tests;
