//! A channel in a worker's hands: the machine, and what the node keeps about it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bincode::{Decode, Encode};
use towpath_crypto::codec;
use towpath_ledger::{Amount, ChannelId, Closing, OutPoint, Time};
use towpath_protocol::{Channel, Online, Token};
use towpath_store::{Batch, Column};

use super::call::{Paid, Reply, Wait};
use super::view::{ChannelView, Count};

/// The suffix of the node's own row of a channel; the machine's rows have others.
pub(crate) const NODE_ROW: &[u8] = b"~node";

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
    /// The caller's word, as a digest.
    pub key: Option<[u8; 32]>,
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
    /// A closing that is paid out once ledger time is past its deadline.
    pub finalize: Option<(OutPoint, Time)>,
    /// Payments by this node up to this number are counted as settled.
    pub counted: u64,
    /// Newer states were looked for since the start.
    pub searching: bool,
}

impl Held {
    pub(super) fn new(channel: Channel, row: NodeRow) -> Self {
        let text = channel.id().to_string();
        let channel_counted = channel.view().sent;
        Self {
            channel,
            row,
            asked: BTreeMap::new(),
            settling: VecDeque::new(),
            streams: BTreeSet::new(),
            finalize: None,
            counted: channel_counted,
            searching: false,
            text,
        }
    }

    pub(super) fn write_row(&self, batch: &mut Batch) {
        batch.put(Column::Channels, row_key(&self.channel.id(), NODE_ROW), codec::encode(&self.row));
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
        }
    }
}
