//! Idempotency keys: what callers' words were given for, and what became of it. A word names one call for the whole node,
//! whatever kind of call it is; the same word with other content is a conflict.
//!
//! Whoever takes a call claims its key first ([`IdempotencyKeys::claim`]). A claim that is dropped was for nothing: the
//! call was refused before it promised anything, and may be made again. A claim that is kept becomes a row in the very
//! batch that makes the call's outcome durable, and repeated calls see it only after that ([`Kept::show`]). From then on
//! the row follows the outcome: a payment that fails is a failed payment under its key, too.
//!
//! A key whose call is done is remembered for [`limits::IDEMPOTENCY_MS`], unless [`limits::IDEMPOTENCY_KEYS`] newer ones
//! push it out; one whose call is not done is never forgotten. Rows of `Meta`: this module's prefix ‖ serial number (u64,
//! big-endian), which says nothing about workers, so their number may change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bincode::{Decode, Encode};
use towpath_crypto::codec::Readable;
use towpath_crypto::hash::sha256;
use towpath_crypto::readable;
use towpath_crypto::{Digest, codec};
use towpath_ledger::{Amount, ChannelId, Party, TxId};
use towpath_protocol::limits::FUNDED_TOGETHER_MAX;
use towpath_protocol::{Failure, LeftOut, RefuseReason};
use towpath_store::{Batch, Column, Scan, Store, StoreError};

use crate::limits;

/// Where the rows are.
const PREFIX: &[u8] = b"idempotency/";

/// Bytes of a row, at most: an opening of as many channels as share a funding is the largest.
const ROW_BYTES_MAX: usize = 256 + FUNDED_TOGETHER_MAX * 40;

/// A caller's word, as a digest: what callers write has no place in the database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct Key(Digest);

impl Key {
    /// The key of a caller's word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self(sha256(word.as_bytes()))
    }
}

/// What a call is about, as a digest: its kind, and everything that it says but for how long to wait.
#[must_use]
pub fn content_of(kind: &str, what: &impl Encode) -> Digest {
    sha256(&codec::encode(&(kind.as_bytes().to_vec(), codec::encode(what))))
}

/// What became of a call.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Outcome {
    /// A payment through a channel.
    Payment(Made),
    /// An opening that both agreed on: the channel exists here, whether or not its funding comes.
    Opening {
        /// The channel.
        channel: ChannelId,
    },
    /// A stream. It lives no longer than the run of the node that began it.
    Stream {
        /// That run.
        run: u64,
        /// Its number there.
        number: u64,
    },
    /// A payment on the ledger.
    Send {
        /// Its transaction.
        tx: TxId,
        /// The fee.
        fee: Amount,
        /// How it went.
        state: SendState,
    },
    /// Channels that share one funding, whether or not it comes.
    Openings {
        /// The funding.
        tx: TxId,
        /// Its fee.
        fee: Amount,
        /// What became of each, in the order of the call.
        openings: Vec<Opening>,
    },
    /// A resize that was proposed to the peer; the ledger says what became of it.
    Resize {
        /// Its transaction.
        tx: TxId,
    },
}

/// What became of one of many openings.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Opening {
    /// It is a channel.
    Channel(ChannelId),
    /// It is not in the funding.
    Left(LeftOut),
}

/// A payment through a channel that has a number.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Made {
    /// The channel.
    pub channel: ChannelId,
    /// Its number in this node's direction.
    pub number: u64,
    /// The party that this node is.
    pub payer: Party,
    /// How much.
    pub amount: Amount,
    /// When it became durable here.
    pub time_ms: u64,
    /// How it went.
    pub state: PaymentState,
}

/// How a payment went.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum PaymentState {
    /// It is on its way.
    Pending,
    /// The payee has acknowledged it.
    Settled,
    /// The payee refused it; nothing was paid.
    Refused(RefuseReason),
    /// The peer went past it; nothing was paid.
    Skipped,
    /// The channel was closed without it; nothing was paid.
    Closed,
    /// This node lost the data with which it was to be made; nothing was paid.
    Lost,
    /// This node lost the data that would tell.
    Unknown,
}

impl From<Failure> for PaymentState {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reason) => Self::Refused(reason),
            Failure::Skipped => Self::Skipped,
            Failure::Closed => Self::Closed,
            Failure::Lost => Self::Lost,
        }
    }
}

/// How a payment on the ledger went.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum SendState {
    /// It is handed in until the ledger shows it.
    Pending,
    /// It is in a block.
    Final,
    /// Another transaction spent its coins: it never can be.
    Void,
}

impl Outcome {
    const fn is_done(&self) -> bool {
        match self {
            Self::Payment(made) => !matches!(made.state, PaymentState::Pending),
            Self::Send { state, .. } => !matches!(state, SendState::Pending),
            Self::Opening { .. } | Self::Stream { .. } | Self::Openings { .. } | Self::Resize { .. } => true,
        }
    }
}

/// Why a key cannot be claimed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// The same call is under way, and nothing of it is durable yet.
    UnderWay,
    /// The same call was made, and this became of it.
    Before(Outcome),
    /// Another call has it.
    Conflict,
    /// As many calls with keys as are remembered are not done.
    Full,
}

/// A row.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
struct Row {
    /// The version of this layout.
    version: u8,
    key: Key,
    content: Digest,
    /// When the outcome was known, or the call was made if it is not.
    time_ms: u64,
    outcome: Outcome,
}

/// What is known of a key.
enum Known {
    /// A call claimed it.
    Claimed { content: Digest },
    /// Its call is remembered; `is_shown` once that is durable.
    Kept { serial: u64, row: Row, is_shown: bool },
}

#[derive(Default)]
struct Inner {
    known: BTreeMap<Key, Known>,
    /// Calls that are done, by when: the first are forgotten first.
    done: BTreeSet<(u64, Key)>,
    /// Payments that are neither settled nor failed, and sends that are not final.
    payments: BTreeMap<(ChannelId, u64), Key>,
    sends: BTreeMap<TxId, Key>,
    /// Rows that are forgotten, to be deleted with the next batch. A serial number never returns, so it does not matter
    /// which batch that is.
    forgotten: Vec<u64>,
    next_serial: u64,
}

/// All keys of a node; see the module.
#[derive(Clone)]
pub struct IdempotencyKeys {
    inner: Arc<Mutex<Inner>>,
    run: u64,
}

impl std::fmt::Debug for IdempotencyKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdempotencyKeys")
    }
}

/// A key in the hands of the call that claimed it. Dropped, it is free again.
#[derive(Debug)]
pub struct Claim {
    keys: IdempotencyKeys,
    key: Key,
    content: Digest,
    is_kept: bool,
}

/// A key whose outcome is in a batch.
#[must_use = "a repeated call waits until it is shown"]
#[derive(Debug)]
pub struct Kept {
    keys: IdempotencyKeys,
    key: Key,
}

impl IdempotencyKeys {
    /// What is remembered; `run` tells this run of the node from all others.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open(store: &dyn Store, run: u64) -> Result<Self, StoreError> {
        let mut inner = Inner::default();
        let mut scan = Scan::prefix(PREFIX);
        loop {
            let rows = store.scan(Column::Meta, &scan)?;
            let Some((last, _)) = rows.last() else { break };
            scan = scan.after(last);
            for (key, value) in &rows {
                let serial = key.strip_prefix(PREFIX).and_then(|serial| serial.try_into().ok());
                let Some(serial) = serial.map(u64::from_be_bytes) else { continue };
                inner.next_serial = inner.next_serial.max(serial.saturating_add(1));
                match codec::decode::<Row>(value, ROW_BYTES_MAX) {
                    Ok(row) => {
                        inner.forget(&row.key);
                        inner.insert(serial, row, true);
                    }
                    Err(error) => {
                        return Err(StoreError::Corrupt { what: format!("an idempotency key: {error}") });
                    }
                }
            }
        }
        Ok(Self { inner: Arc::new(Mutex::new(inner)), run })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic ends the process, so no half-changed keys are ever seen.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This run of the node.
    #[must_use]
    pub const fn run(&self) -> u64 {
        self.run
    }

    /// Takes a key for a call with this content.
    ///
    /// # Errors
    /// [`Claimed`]: what is known of it.
    pub fn claim(&self, key: Key, content: Digest, now_ms: u64) -> Result<Claim, Claimed> {
        let mut inner = self.lock();
        inner.forget_old(now_ms);
        match inner.known.get(&key) {
            Some(Known::Claimed { content: theirs }) if *theirs == content => return Err(Claimed::UnderWay),
            Some(Known::Kept { row, is_shown, .. }) if row.content == content => {
                return Err(if *is_shown { Claimed::Before(row.outcome.clone()) } else { Claimed::UnderWay });
            }
            Some(Known::Claimed { .. } | Known::Kept { .. }) => return Err(Claimed::Conflict),
            None => {}
        }
        if !inner.make_room() {
            return Err(Claimed::Full);
        }
        inner.known.insert(key, Known::Claimed { content });
        Ok(Claim { keys: self.clone(), key, content, is_kept: false })
    }

    /// What became of a payment so far: of the owner of its channel, who says it only with its next turn.
    pub(crate) fn payment(&self, key: &Key) -> Option<Made> {
        match self.lock().known.get(key) {
            Some(Known::Kept { row: Row { outcome: Outcome::Payment(made), .. }, .. }) => Some(*made),
            Some(_) | None => None,
        }
    }

    /// All payments of a channel up to `upto` are acknowledged.
    pub fn settled(&self, batch: &mut Batch, channel: ChannelId, upto: u64, now_ms: u64) {
        let mut inner = self.lock();
        let settled: Vec<u64> =
            inner.payments.range((channel, 0)..=(channel, upto)).map(|((_, number), _)| *number).collect();
        for number in settled {
            inner.end_payment(batch, (channel, number), PaymentState::Settled, now_ms);
        }
    }

    /// A payment was not made, and never will be.
    pub fn failed(&self, batch: &mut Batch, payment: (ChannelId, u64), why: Failure, now_ms: u64) {
        self.lock().end_payment(batch, payment, why.into(), now_ms);
    }

    /// Nobody can tell any more whether a payment was made.
    pub fn unknown(&self, batch: &mut Batch, payment: (ChannelId, u64), now_ms: u64) {
        self.lock().end_payment(batch, payment, PaymentState::Unknown, now_ms);
    }

    /// It is known what became of a payment on the ledger.
    pub fn sent(&self, batch: &mut Batch, tx: &TxId, end: SendState, now_ms: u64) {
        let mut inner = self.lock();
        let Some(key) = inner.sends.remove(tx) else { return };
        inner.change(batch, key, now_ms, |outcome| {
            if let Outcome::Send { state, .. } = outcome {
                *state = end;
            }
        });
    }
}

impl Claim {
    /// Its key.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }

    /// Remembers what the call led to, in the batch that makes it durable.
    pub fn keep(mut self, batch: &mut Batch, outcome: Outcome, now_ms: u64) -> Kept {
        self.is_kept = true;
        let mut inner = self.keys.lock();
        for serial in std::mem::take(&mut inner.forgotten) {
            batch.delete(Column::Meta, row_key(serial));
        }
        let row = Row { version: 1, key: self.key, content: self.content, time_ms: now_ms, outcome };
        let serial = inner.next_serial;
        inner.next_serial += 1;
        batch.put(Column::Meta, row_key(serial), codec::encode(&row));
        inner.insert(serial, row, false);
        drop(inner);
        Kept { keys: self.keys.clone(), key: self.key }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_kept {
            self.keys.lock().known.remove(&self.key);
        }
    }
}

impl Kept {
    /// The outcome is durable: repeated calls are told.
    pub fn show(self) {
        if let Some(Known::Kept { is_shown, .. }) = self.keys.lock().known.get_mut(&self.key) {
            *is_shown = true;
        }
    }
}

fn row_key(serial: u64) -> Vec<u8> {
    [PREFIX, &serial.to_be_bytes()].concat()
}

impl Inner {
    fn insert(&mut self, serial: u64, row: Row, is_shown: bool) {
        let key = row.key;
        if row.outcome.is_done() {
            self.done.insert((row.time_ms, key));
        }
        match &row.outcome {
            Outcome::Payment(Made { channel, number, state: PaymentState::Pending, .. }) => {
                self.payments.insert((*channel, *number), key);
            }
            Outcome::Send { tx, state: SendState::Pending, .. } => {
                self.sends.insert(*tx, key);
            }
            Outcome::Payment(_)
            | Outcome::Send { .. }
            | Outcome::Opening { .. }
            | Outcome::Stream { .. }
            | Outcome::Openings { .. }
            | Outcome::Resize { .. } => {}
        }
        self.known.insert(key, Known::Kept { serial, row, is_shown });
    }

    fn end_payment(&mut self, batch: &mut Batch, payment: (ChannelId, u64), end: PaymentState, now_ms: u64) {
        let Some(key) = self.payments.remove(&payment) else { return };
        self.change(batch, key, now_ms, |outcome| {
            if let Outcome::Payment(made) = outcome {
                made.state = end;
            }
        });
    }

    /// Changes an outcome, in the batch that makes it so; the call is done.
    fn change(&mut self, batch: &mut Batch, key: Key, now_ms: u64, change: impl FnOnce(&mut Outcome)) {
        let Some(Known::Kept { serial, row, .. }) = self.known.get_mut(&key) else { return };
        change(&mut row.outcome);
        row.time_ms = now_ms;
        batch.put(Column::Meta, row_key(*serial), codec::encode(row));
        if row.outcome.is_done() {
            self.done.insert((now_ms, key));
        }
    }

    fn forget_old(&mut self, now_ms: u64) {
        let oldest = now_ms.saturating_sub(limits::IDEMPOTENCY_MS);
        while self.done.first().is_some_and(|(time_ms, _)| *time_ms < oldest) {
            self.forget_first();
        }
    }

    /// Whether there is room for one more, made by forgetting the oldest that are done.
    fn make_room(&mut self) -> bool {
        while self.known.len() >= limits::IDEMPOTENCY_KEYS {
            if !self.forget_first() {
                return false;
            }
        }
        true
    }

    fn forget_first(&mut self) -> bool {
        let Some((_, key)) = self.done.first().copied() else { return false };
        self.forget(&key);
        true
    }

    fn forget(&mut self, key: &Key) {
        let Some(Known::Kept { serial, row, .. }) = self.known.remove(key) else { return };
        self.forgotten.push(serial);
        self.done.remove(&(row.time_ms, *key));
        match row.outcome {
            Outcome::Payment(made) => drop(self.payments.remove(&(made.channel, made.number))),
            Outcome::Send { tx, .. } => drop(self.sends.remove(&tx)),
            Outcome::Opening { .. }
            | Outcome::Openings { .. }
            | Outcome::Stream { .. }
            | Outcome::Resize { .. } => {}
        }
    }
}

/// How its rows are read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![ROW_BYTES_MAX => Row]
}

#[cfg(test)]
#[path = "idempotency_tests.rs"]
mod tests;
