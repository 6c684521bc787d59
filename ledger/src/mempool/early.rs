//! Transactions that came before the block that they build on: a validator hears an answer to a close while it still applies
//! the block with the close. They wait here, unverified, for that block (SPEC B-66).
//!
//! Nobody can tell such a transaction from one whose input will never be, so it costs nothing to fill this. What is bounded is
//! what that does: three shelves of so many bytes, each for another kind; on a full one whoever takes up the most makes room for
//! whoever takes up less, so strangers displace each other and not the one who has a single answer to hand in; and each
//! transaction goes after a few blocks. What is ripe leaves in the order of the shelves, answers first, and then of arrival.

use std::collections::{BTreeMap, BTreeSet};

use towpath_crypto::codec;

use super::pool::Source;
use super::queue::cost;
use crate::limits;
use crate::merkle;
use crate::types::{Digest, OutPoint, Payload, Transaction, Witness};

/// What a transaction is for, as far as it says so itself: nothing of it is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shelf {
    /// It contests a closing.
    Answers,
    /// It closes a channel, or reveals.
    Closes,
    /// Anything else.
    Others,
}

impl Shelf {
    const ALL: [Self; 3] = [Self::Answers, Self::Closes, Self::Others];

    fn of(transaction: &Transaction) -> Self {
        let kinds = transaction.witnesses.iter().map(Self::of_witness);
        let reveals = match &transaction.body.payload {
            Some(Payload::Reveal(_)) => Some(Self::Closes),
            Some(Payload::Issue { .. } | Payload::Anchor(_)) | None => None,
        };
        kinds.chain(reveals).min().unwrap_or(Self::Others)
    }

    const fn of_witness(witness: &Witness) -> Self {
        match witness {
            Witness::Supersede { .. } | Witness::Penalize { .. } | Witness::Answer { .. } => Self::Answers,
            Witness::Unilateral { .. } => Self::Closes,
            Witness::Wallet(_)
            | Witness::Cooperative { .. }
            | Witness::Finalize { .. }
            | Witness::Resize { .. }
            | Witness::Resolve { .. } => Self::Others,
        }
    }
}

/// A transaction that came too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// It.
    pub transaction: Transaction,
    /// Who brought it.
    pub source: Source,
    /// An input of it that is not on the ledger yet.
    pub waits_for: OutPoint,
    /// The height of the ledger when it came.
    pub since: u64,
}

#[derive(Debug, Clone)]
struct Held {
    awaited: Awaited,
    shelf: Shelf,
    leaf: Digest,
    bytes: u64,
}

/// One shelf: what lies on it, by the number of its arrival, and how much of it is whose.
#[derive(Debug, Clone, Default)]
struct Line {
    bytes: u64,
    by_source: BTreeMap<Source, (u64, BTreeSet<u64>)>,
}

impl Line {
    fn used_by(&self, source: &Source) -> u64 {
        self.by_source.get(source).map_or(0, |(bytes, _)| *bytes)
    }

    /// Who takes up the most, and the newest of what it brought.
    fn heaviest(&self) -> Option<(u64, u64)> {
        let (bytes, numbers) = self.by_source.values().max_by_key(|(bytes, _)| *bytes)?;
        Some((*bytes, *numbers.last()?))
    }

    fn add(&mut self, source: Source, number: u64, bytes: u64) {
        let (used, numbers) = self.by_source.entry(source).or_default();
        *used += bytes;
        numbers.insert(number);
        self.bytes += bytes;
    }

    fn remove(&mut self, source: &Source, number: u64, bytes: u64) {
        let Some((used, numbers)) = self.by_source.get_mut(source) else { return };
        if numbers.remove(&number) {
            *used -= bytes;
            self.bytes -= bytes;
        }
        if numbers.is_empty() {
            self.by_source.remove(source);
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Early {
    held: BTreeMap<u64, Held>,
    leaves: BTreeSet<Digest>,
    lines: BTreeMap<Shelf, Line>,
    next: u64,
}

impl Early {
    /// Keeps a transaction for the block that it needs; whether it does.
    pub fn keep(&mut self, awaited: Awaited) -> bool {
        let encoding = codec::encode(&awaited.transaction);
        let (shelf, leaf) = (Shelf::of(&awaited.transaction), merkle::leaf_of_bytes(&encoding));
        let bytes = cost(u64::try_from(encoding.len()).unwrap_or(u64::MAX));
        if self.leaves.contains(&leaf) || !self.make_room(shelf, &awaited.source, bytes) {
            return false;
        }
        let number = self.next;
        self.next += 1;
        self.leaves.insert(leaf);
        self.lines.entry(shelf).or_default().add(awaited.source, number, bytes);
        self.held.insert(number, Held { awaited, shelf, leaf, bytes });
        true
    }

    /// A block of this height was applied: what waits for something that `is_there` by now leaves, in the order in which it is
    /// to be tried; so does, for good, what has waited for too long.
    ///
    /// # Errors
    /// Those of `is_there`; then nothing has left.
    pub fn ripe<E>(
        &mut self,
        height: u64,
        mut is_there: impl FnMut(&OutPoint) -> Result<bool, E>,
    ) -> Result<Vec<Awaited>, E> {
        let (mut ripe, mut late) = (Vec::new(), Vec::new());
        for (number, held) in &self.held {
            if is_there(&held.awaited.waits_for)? {
                ripe.push((held.shelf, *number));
            } else if held.awaited.since.saturating_add(limits::EARLY_BLOCKS) <= height {
                late.push(*number);
            }
        }
        for number in late {
            self.take(number);
        }
        ripe.sort_unstable();
        Ok(ripe.into_iter().filter_map(|(_, number)| self.take(number)).collect())
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Bytes that are taken up, with what is kept beside each transaction.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        Shelf::ALL.iter().filter_map(|shelf| self.lines.get(shelf)).map(|line| line.bytes).sum()
    }

    /// Makes room on a shelf at the cost of those who take up more than `source` would then; false, with nothing changed, if
    /// nobody does.
    fn make_room(&mut self, shelf: Shelf, source: &Source, bytes: u64) -> bool {
        let line = self.lines.entry(shelf).or_default();
        let own = line.used_by(source).saturating_add(bytes);
        if own > limits::EARLY_SOURCE_BYTES {
            return false;
        }
        if line.bytes.saturating_add(bytes) <= limits::EARLY_SHELF_BYTES {
            return true;
        }
        let mut after = line.clone();
        let mut leaving = Vec::new();
        while after.bytes.saturating_add(bytes) > limits::EARLY_SHELF_BYTES {
            let Some((_, number)) = after.heaviest().filter(|(most, _)| *most > own) else {
                return false;
            };
            let Some(held) = self.held.get(&number) else { return false };
            after.remove(&held.awaited.source, number, held.bytes);
            leaving.push(number);
        }
        for number in leaving {
            self.take(number);
        }
        true
    }

    fn take(&mut self, number: u64) -> Option<Awaited> {
        let Held { awaited, shelf, leaf, bytes } = self.held.remove(&number)?;
        self.leaves.remove(&leaf);
        if let Some(line) = self.lines.get_mut(&shelf) {
            line.remove(&awaited.source, number, bytes);
        }
        Some(awaited)
    }
}

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
