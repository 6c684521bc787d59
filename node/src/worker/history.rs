//! The payments and log entries of a channel that are kept for people: two rings of fixed length, so that a channel's
//! storage stays the same for its whole life. Safety never depends on them (DESIGN 4).
//!
//! Rows of `ChannelEvents`: channel id ‖ ring ‖ slot (u32, big-endian). A slot is overwritten when its ring comes
//! around; a reader sorts by what the rows themselves say.

use bincode::{Decode, Encode};
use towpath_api::{Direction, Payment, PaymentState, StoredBytes, Units};
use towpath_crypto::codec::Readable;
use towpath_crypto::readable;
use towpath_crypto::{Amount, codec};
use towpath_ledger::{ChannelId, Party};
use towpath_protocol::ChannelEvent;
use towpath_store::{Batch, Column, Scan, Store, StoreError};

/// The bytes of one row, at most.
const ROW_BYTES_MAX: usize = 512;

/// Which of a channel's rings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ring {
    Sent = 1,
    Received = 2,
    Log = 3,
}

/// How many rows of each ring are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Payments, in each direction.
    pub payments: u32,
    /// Log entries.
    pub log: u32,
}

/// One payment, as it is kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct PaymentRow {
    /// The version of this layout.
    version: u8,
    /// Its number in its direction.
    pub number: u64,
    /// How much.
    pub amount: Amount,
    /// The node's clock when it became durable here.
    pub time_ms: u64,
    /// From the payer.
    pub memo: Option<[u8; 32]>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a payment, as far as it was reported.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Fate {
    /// Made, as soon as the channel's counter says so.
    Made,
    /// Not made.
    Failed,
    /// Nobody can tell: the data that would is lost.
    Unknown,
}

impl PaymentRow {
    /// A payment that was made now.
    #[must_use]
    pub const fn new(number: u64, amount: Amount, time_ms: u64, memo: Option<[u8; 32]>) -> Self {
        Self { version: 1, number, amount, time_ms, memo, fate: Fate::Made }
    }

    /// The same payment, with another end.
    #[must_use]
    pub const fn ended(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }
}

fn key(channel: &ChannelId, ring: Ring, number: u64, length: u32) -> Vec<u8> {
    let slot = u32::try_from(number % u64::from(length.max(1))).expect("a remainder is below its divisor");
    let mut key = Vec::with_capacity(37);
    key.extend(channel.0.0);
    key.push(ring as u8);
    key.extend(slot.to_be_bytes());
    key
}

/// Keeps a payment by this node.
pub fn keep_sent(batch: &mut Batch, channel: &ChannelId, row: &PaymentRow, retention: Retention) {
    if retention.payments > 0 {
        batch.put(
            Column::ChannelEvents,
            key(channel, Ring::Sent, row.number, retention.payments),
            codec::encode(row),
        );
    }
}

/// Keeps a payment to this node.
pub fn keep_received(batch: &mut Batch, channel: &ChannelId, row: &PaymentRow, retention: Retention) {
    if retention.payments > 0 {
        batch.put(
            Column::ChannelEvents,
            key(channel, Ring::Received, row.number, retention.payments),
            codec::encode(row),
        );
    }
}

/// Keeps an entry of the channel's log.
pub fn keep_log(batch: &mut Batch, channel: &ChannelId, event: &ChannelEvent, retention: Retention) {
    if retention.log > 0 {
        batch.put(
            Column::ChannelEvents,
            key(channel, Ring::Log, event.sequence, retention.log),
            codec::encode(event),
        );
    }
}

fn rows(store: &dyn Store, channel: &ChannelId, ring: Ring) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut prefix = channel.0.0.to_vec();
    prefix.push(ring as u8);
    Ok(store
        .scan(Column::ChannelEvents, &Scan::prefix(&prefix))?
        .into_iter()
        .map(|(_, value)| value)
        .collect())
}

/// The payment by this node with this number, if it is kept.
///
/// # Errors
/// When the database cannot be read.
pub fn sent(
    store: &dyn Store,
    channel: &ChannelId,
    number: u64,
    retention: Retention,
) -> Result<Option<PaymentRow>, StoreError> {
    kept(store, channel, (Ring::Sent, number), retention)
}

/// The payment to this node with this number, if it is kept.
///
/// # Errors
/// When the database cannot be read.
pub fn received(
    store: &dyn Store,
    channel: &ChannelId,
    number: u64,
    retention: Retention,
) -> Result<Option<PaymentRow>, StoreError> {
    kept(store, channel, (Ring::Received, number), retention)
}

fn kept(
    store: &dyn Store,
    channel: &ChannelId,
    (ring, number): (Ring, u64),
    retention: Retention,
) -> Result<Option<PaymentRow>, StoreError> {
    let value = store.get(Column::ChannelEvents, &key(channel, ring, number, retention.payments))?;
    let row = value.and_then(|value| codec::decode::<PaymentRow>(&value, ROW_BYTES_MAX).ok());
    Ok(row.filter(|row| row.number == number))
}

/// The payments that are kept, newest first.
///
/// # Errors
/// When the database cannot be read.
pub fn payments(
    store: &dyn Store,
    channel: &ChannelId,
    direction: Direction,
) -> Result<Vec<PaymentRow>, StoreError> {
    let ring = match direction {
        Direction::Out => Ring::Sent,
        Direction::In => Ring::Received,
    };
    let mut payments: Vec<PaymentRow> =
        rows(store, channel, ring)?.iter().filter_map(|row| codec::decode(row, ROW_BYTES_MAX).ok()).collect();
    payments.sort_by_key(|payment| std::cmp::Reverse(payment.number));
    Ok(payments)
}

/// The log entries that are kept, newest first.
///
/// # Errors
/// When the database cannot be read.
pub fn log(store: &dyn Store, channel: &ChannelId) -> Result<Vec<ChannelEvent>, StoreError> {
    let mut entries: Vec<ChannelEvent> = rows(store, channel, Ring::Log)?
        .iter()
        .filter_map(|row| codec::decode(row, ROW_BYTES_MAX).ok())
        .collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.sequence));
    Ok(entries)
}

/// What is on disk of a channel.
///
/// # Errors
/// When the database cannot be read.
pub fn stored_bytes(store: &dyn Store, channel: &ChannelId) -> Result<StoredBytes, StoreError> {
    let sum = |column| -> Result<u64, StoreError> {
        let rows = store.scan(column, &Scan::prefix(&channel.0.0))?;
        let bytes: usize = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    };
    Ok(StoredBytes { state: sum(Column::Channels)?, history: sum(Column::ChannelEvents)? })
}

/// The name of a payment, the same on both sides: its channel, which party pays, and its number.
#[must_use]
pub fn payment_id(channel: &str, payer: Party, number: u64) -> String {
    let payer = match payer {
        Party::A => "a",
        Party::B => "b",
    };
    format!("{channel}/{payer}/{number}")
}

/// How far a channel's payments are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The highest number of an own payment that is acknowledged.
    pub settled: u64,
    /// The first payment of the peer's that waits for watchtowers.
    pub confirming_from: Option<u64>,
}

/// A payment for readers, seen by party `me`.
#[must_use]
pub fn view(
    channel: &str,
    (me, direction): (Party, Direction),
    row: &PaymentRow,
    progress: Progress,
) -> Payment {
    let payer = match direction {
        Direction::Out => me,
        Direction::In => me.other(),
    };
    let state = match (row.fate, direction) {
        (Fate::Failed, _) => PaymentState::Failed,
        (Fate::Unknown, _) => PaymentState::Unknown,
        (Fate::Made, Direction::In) if progress.confirming_from.is_some_and(|from| row.number >= from) => {
            PaymentState::Confirming
        }
        (Fate::Made, Direction::In) => PaymentState::Settled,
        (Fate::Made, Direction::Out) if row.number <= progress.settled => PaymentState::Settled,
        (Fate::Made, Direction::Out) => PaymentState::Sent,
    };
    Payment {
        id: payment_id(channel, payer, row.number),
        channel: channel.to_owned(),
        direction,
        amount: Units(row.amount.units()),
        state,
        version: None,
        time_ms: row.time_ms,
        latency_us: None,
        memo: row.memo.map(hex::encode),
        idempotency_key: None,
        reason: None,
    }
}

/// How its rows are read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![ROW_BYTES_MAX => PaymentRow]
}
