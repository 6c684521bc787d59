//! A channel in a worker's hands: the machine, and what the node keeps about it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bincode::{Decode, Encode};
use towpath_crypto::codec::Readable;
use towpath_crypto::hash::sha256;
use towpath_crypto::readable;
use towpath_crypto::{Digest, codec};
use towpath_ledger::{Amount, ChannelId, Closing, OutPoint};
use towpath_protocol::tower::Sequence;
use towpath_protocol::{Channel, Online, Token};
use towpath_store::{Batch, Column};

use super::call::{Paid, Reply, Wait};
use super::confirm::{Confirming, count_of};
use super::history::PaymentRow;
use super::view::{ChannelView, Count};
use super::why::{CLOSE_ROW, CloseRecord};
use crate::idempotency::Claim;

/// The suffix of the node's own row of a channel; the machine's rows have others.
pub(super) const NODE_ROW: &[u8] = b"~node";

/// Bytes of that row, at most.
const NODE_ROW_BYTES_MAX: usize = 8_192;

/// What the node keeps beside the machine: for people, so nothing of it is ever signed.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Default, Debug)]
pub(super) struct NodeRow {
    /// The version of this layout.
    version: u8,
    /// When the channel was asked for, by the node's clock.
    pub opened_ms: u64,
    /// Payments by this node that are settled or on their way.
    pub sent: Count,
    /// Payments to this node.
    pub received: Count,
    /// Until when a closing can be answered.
    pub deadline_ms: Option<u64>,
    /// The transaction that paid it out, as text.
    pub settlement: Option<String>,
    /// The newest closing that the ledger showed, and where.
    pub closing: Option<(OutPoint, Box<Closing>)>,
    /// The first coin that this node set aside for it.
    pub first_input: Option<OutPoint>,
}

impl NodeRow {
    pub(super) fn new(opened_ms: u64) -> Self {
        Self { version: 1, opened_ms, ..Self::default() }
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        // It is for people: a row of another version starts the counters afresh, and hides no channel.
        codec::decode(bytes, NODE_ROW_BYTES_MAX).unwrap_or_default()
    }
}

/// The key of a channel's row.
pub(super) fn row_key(channel: &ChannelId, suffix: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(32 + suffix.len());
    key.extend(channel.0.0);
    key.extend(suffix);
    key
}

/// A payment that somebody waits for.
pub(super) struct Payer {
    /// How much.
    pub amount: Amount,
    /// From the payer.
    pub memo: Option<[u8; 32]>,
    /// The caller's idempotency key.
    pub claim: Option<Claim>,
    /// Until when the caller waits.
    pub wait: Wait,
    /// When it asked.
    pub asked: Instant,
    /// Who asked: a caller, or a stream.
    pub who: Who,
}

/// Who asked for a payment.
pub(super) enum Who {
    /// A caller.
    Caller(Reply<Paid>),
    /// A stream, by its number.
    Stream(u64),
}

/// A caller that waits for a payment to settle.
pub(super) struct Settling {
    pub number: u64,
    pub amount: Amount,
    pub asked: Instant,
    pub time_ms: u64,
    pub reply: Reply<Paid>,
}

/// See the module.
pub(super) struct Held {
    pub channel: Channel,
    pub row: NodeRow,
    /// Payments that have no number yet, by the token that the machine answers with.
    pub asked: BTreeMap<Token, Payer>,
    /// Callers that wait for acknowledgements, by number.
    pub settling: VecDeque<Settling>,
    /// Streams that run on this channel.
    pub streams: BTreeSet<u64>,
    /// The text of the id, which every event needs.
    pub text: String,
    /// Why it is closed, and whether that changed in this turn.
    pub close: Option<Box<CloseRecord>>,
    pub close_changed: bool,
    /// The digest of the node's row as it is on disk.
    pub stored: Option<Digest>,
    /// Payments by this node that have a number and are neither settled nor failed, ascending by it. Their number is
    /// bounded by what a channel has in flight and in requests.
    pub unsettled: VecDeque<PaymentRow>,
    /// Payments to this node that watchtowers have not confirmed, ascending.
    pub confirming: VecDeque<Confirming>,
    /// The newest state that was handed to the watchtowers' books.
    pub offered: Option<Sequence>,
    /// The version by which the ledger settled the channel.
    pub settled_version: Option<u64>,
    /// Newer states were looked for since the start.
    pub searching: bool,
    /// The first coin that is set aside for a resize by this node, until it is known what became of it.
    pub resize_input: Option<OutPoint>,
}

impl Held {
    pub(super) fn new(channel: Channel, row: NodeRow, confirming: VecDeque<Confirming>) -> Self {
        let text = channel.id().to_string();
        // Of a restored channel's payments the rest is in their rows.
        let unsettled = channel.unsettled();
        let unsettled = unsettled.iter().map(|(number, amount)| PaymentRow::new(*number, *amount, 0, None));
        Self {
            asked: BTreeMap::new(),
            settling: VecDeque::new(),
            streams: BTreeSet::new(),
            close: None,
            close_changed: false,
            stored: None,
            unsettled: unsettled.collect(),
            confirming,
            offered: None,
            settled_version: None,
            searching: false,
            resize_input: None,
            channel,
            row,
            text,
        }
    }

    /// Takes out the payment with this number, if it is neither settled nor failed yet.
    pub(super) fn take_unsettled(&mut self, number: u64) -> Option<PaymentRow> {
        let place = self.unsettled.binary_search_by_key(&number, |row| row.number).ok()?;
        self.unsettled.remove(place)
    }

    /// Takes out all payments up to this number: how many, and their sum.
    pub(super) fn take_settled(&mut self, upto: u64) -> Count {
        let mut settled = Count::default();
        while let Some(row) = self.unsettled.front().filter(|row| row.number <= upto) {
            settled.add(row.amount);
            self.unsettled.pop_front();
        }
        settled
    }

    /// Writes those of the node's own rows that changed.
    pub(super) fn write_rows(&mut self, batch: &mut Batch) {
        let (id, row) = (self.channel.id(), codec::encode(&self.row));
        let digest = Some(sha256(&row));
        if self.stored != digest {
            batch.put(Column::Channels, row_key(&id, NODE_ROW), row);
            self.stored = digest;
        }
        if std::mem::take(&mut self.close_changed)
            && let Some(record) = &self.close
        {
            batch.put(Column::Channels, row_key(&id, CLOSE_ROW), record.to_bytes());
        }
    }

    pub(super) fn view(&self) -> ChannelView {
        let (view, terms) = (self.channel.view(), self.channel.terms());
        ChannelView {
            id: view.id,
            peer: view.peer,
            role: view.me,
            is_online: view.online == Online::Yes,
            life: view.life,
            version: view.version,
            generation: terms.generation,
            capacity: view.capacity,
            balance: view.balance,
            peer_balance: view.balance_peer,
            spendable: view.spendable,
            reserve: terms.reserve,
            sequencer: self.channel.state().sequencer,
            dispute_window_ms: terms.dispute_window_ms,
            funding: self.channel.funding().map(|funding| funding.to_string()),
            opened_ms: self.row.opened_ms,
            deadline_ms: self.row.deadline_ms,
            settlement: self.row.settlement.clone(),
            sent: self.row.sent,
            received: self.row.received,
            settled_number: view.sent,
            is_lost: view.data_lost,
            close: self.close.as_deref().cloned(),
            confirming_from: self.confirming.front().map(|waiting| waiting.number),
            confirming: count_of(&self.confirming),
            resizing: view.resizing,
        }
    }
}

/// How its row is read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![NODE_ROW_BYTES_MAX => NodeRow]
}
