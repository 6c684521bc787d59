//! The pool: what gets in, what has to leave, and what goes into the next block.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towpath_crypto::ed25519::PublicKey;

use super::error::Refusal;
use super::queue::{Line, PoolLimits, Queue, Rank, cost, fee_rate};
use super::standing::{FOREVER, Footing, is_urgent};
use crate::chain::{BlockEffects, Candidate, Candidates, Verified};
use crate::limits;
use crate::merkle;
use crate::rules::{BlockContext, Changes, Evidence, Signatures, TxError, apply_transaction};
use crate::types::{Amount, Digest, OutPoint, Time, Transaction, TxId, Witness};
use crate::view::View;

/// Who brought a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// This node itself, or its user. Its share is not bounded, only the queue is.
    Local,
    /// A peer, by its node key.
    Peer(PublicKey),
}

/// A transaction that waits.
#[derive(Debug, Clone)]
struct Pooled {
    transaction: Arc<Transaction>,
    leaf: Digest,
    bytes: u64,
    fee: Amount,
    secrets: Vec<Digest>,
    footing: Footing,
    queue: Queue,
    rank: Rank,
    source: Source,
    arrival: (u64, u64),
}

impl Pooled {
    fn candidate(&self) -> Candidate {
        Candidate { transaction: Arc::clone(&self.transaction), leaf: self.leaf, bytes: self.bytes }
    }
}

/// What became of a transaction that got in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its id.
    pub id: TxId,
    /// The leaf that names its bytes.
    pub leaf: Digest,
    /// Where it waits.
    pub queue: Queue,
    /// What it pushed out: what stands worse with the same output or secret, or pays less for each byte.
    pub replaced: Vec<TxId>,
}

/// Why a transaction left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It was decided.
    Included,
    /// Another one was decided that spends one of its outputs or reveals one of its secrets.
    Conflict,
    /// Its expiry has passed, or a window in which it disputes.
    Expired,
    /// It waited for too many blocks.
    Stale,
}

/// A transaction that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// The transaction.
    pub id: TxId,
    /// Why.
    pub reason: Removal,
}

/// The transactions that wait.
#[derive(Debug, Clone)]
pub struct Mempool {
    limits: PoolLimits,
    pooled: BTreeMap<TxId, Pooled>,
    lines: BTreeMap<Queue, Line>,
    spenders: BTreeMap<OutPoint, TxId>,
    revealers: BTreeMap<Digest, TxId>,
    verified: BTreeSet<Digest>,
    expiries: BTreeSet<(Time, TxId)>,
    /// By the height after which each came, and the number of its arrival.
    arrivals: BTreeMap<(u64, u64), TxId>,
    next_arrival: u64,
}

impl Mempool {
    /// Nothing waits.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            pooled: BTreeMap::new(),
            lines: Queue::ALL.into_iter().map(|queue| (queue, Line::default())).collect(),
            spenders: BTreeMap::new(),
            revealers: BTreeMap::new(),
            verified: BTreeSet::new(),
            expiries: BTreeSet::new(),
            arrivals: BTreeMap::new(),
            next_arrival: 0,
        }
    }

    /// Lets a transaction wait, if it is valid in the block that `context` describes (the next one) on top of `view`.
    /// Signatures come last, after everything that could refuse it for less work.
    ///
    /// # Errors
    /// [`Refusal`] says why it may not; nothing is changed then.
    pub fn insert<V: View + ?Sized>(
        &mut self,
        transaction: Transaction,
        source: Source,
        view: &V,
        context: &BlockContext<'_>,
        signatures: Signatures,
    ) -> Result<Admitted, Refusal> {
        let id = transaction.id();
        self.check_hopeful(&id, &transaction)?;
        let changes = apply_transaction(&transaction, view, context, Signatures::AlreadyVerified)
            .map_err(|error| self.explain(error))?;
        let footing = Footing::of(&transaction, &changes);
        let mut leaving = self.outdone(&transaction, &changes, &footing)?;
        let queue = Queue::of(&transaction, &changes);
        leaving.extend(self.make_room(queue, &source, &changes, &leaving)?);
        match signatures {
            Signatures::Verify => drop(apply_transaction(&transaction, view, context, signatures)?),
            Signatures::AlreadyVerified => {}
        }
        for id in &leaving {
            self.remove(id);
        }
        let leaf = merkle::leaf(&transaction);
        let number = self.next_arrival;
        self.next_arrival += 1;
        let pooled = Pooled {
            transaction: Arc::new(transaction),
            leaf,
            bytes: changes.bytes,
            fee: changes.fee,
            secrets: changes.secrets.iter().map(|(key, _, _)| *key).collect(),
            footing,
            queue,
            rank: (Reverse(rate_in(queue, &changes)), number, id),
            source,
            arrival: (context.height, number),
        };
        self.add(id, pooled);
        Ok(Admitted { id, leaf, queue, replaced: leaving.into_iter().collect() })
    }

    /// Takes out what a decided block includes or contradicts, and what has waited too long.
    pub fn on_block(&mut self, effects: &BlockEffects) -> Vec<Removed> {
        let mut leaving: Vec<Removed> = Vec::new();
        for result in &effects.transactions {
            leaving.push(Removed { id: result.id, reason: Removal::Included });
            let spenders = result.changes.spent.iter().filter_map(|(point, _)| self.spenders.get(point));
            let revealers = result.changes.secrets.iter().filter_map(|(key, _, _)| self.revealers.get(key));
            let conflicts = spenders.chain(revealers).filter(|id| **id != result.id);
            leaving.extend(conflicts.map(|id| Removed { id: *id, reason: Removal::Conflict }));
        }
        // The next block is later than this one, so an expiry at this one's time has passed.
        let expired = self.expiries.iter().take_while(|(expiry, _)| *expiry <= effects.time);
        leaving.extend(expired.map(|(_, id)| Removed { id: *id, reason: Removal::Expired }));
        let stale = self
            .arrivals
            .iter()
            .take_while(|((height, _), _)| height.saturating_add(limits::POOL_HEIGHTS_MAX) < effects.height);
        leaving.extend(stale.map(|(_, id)| Removed { id: *id, reason: Removal::Stale }));
        leaving.retain(|removed| self.remove(&removed.id));
        leaving
    }

    /// Takes out one transaction, which building a block found to be no longer valid; whether it was there.
    pub fn remove(&mut self, id: &TxId) -> bool {
        let Some(pooled) = self.pooled.remove(id) else { return false };
        for input in &pooled.transaction.body.inputs {
            self.spenders.remove(input);
        }
        for secret in &pooled.secrets {
            self.revealers.remove(secret);
        }
        self.expiries.remove(&(pooled.footing.until, *id));
        self.verified.remove(&pooled.leaf);
        self.arrivals.remove(&pooled.arrival);
        self.line(pooled.queue).remove(&pooled.rank, &pooled.source, cost(pooled.bytes));
        true
    }

    /// What should go into the next block, up to about `bytes_max` of each lane.
    #[must_use]
    pub fn candidates(&self, bytes_max: u64) -> Candidates {
        let mut candidates =
            Candidates { reserved: self.reserved_candidates(bytes_max), general: Vec::new() };
        let mut bytes = 0;
        for pooled in self.pooled_in_order(Queue::General) {
            if bytes >= bytes_max {
                break;
            }
            bytes += pooled.bytes;
            candidates.general.push(pooled.candidate());
        }
        candidates
    }

    /// First each queue's own part of the lane, counted in bytes: turn by turn, whoever sends the largest transactions
    /// would get most of it. What is larger than what is left of the part waits for what the others leave, which is
    /// shared in turns.
    fn reserved_candidates(&self, bytes_max: u64) -> Vec<Candidate> {
        let (mut candidates, mut bytes) = (Vec::new(), 0);
        let mut rest = Vec::new();
        for queue in Queue::RESERVED {
            let (mut left, mut later) = (self.limits.lane_part(queue).min(bytes_max - bytes), Vec::new());
            for pooled in self.pooled_in_order(queue) {
                if pooled.bytes <= left {
                    left -= pooled.bytes;
                    bytes += pooled.bytes;
                    candidates.push(pooled.candidate());
                } else {
                    later.push(pooled);
                }
            }
            rest.push(later.into_iter());
        }
        while bytes < bytes_max && !rest.is_empty() {
            rest.retain_mut(|queue| {
                let Some(pooled) = queue.next() else { return false };
                bytes += pooled.bytes;
                candidates.push(pooled.candidate());
                true
            });
        }
        candidates
    }

    /// The transaction with this id, if it waits.
    #[must_use]
    pub fn transaction(&self, id: &TxId) -> Option<&Arc<Transaction>> {
        self.pooled.get(id).map(|pooled| &pooled.transaction)
    }

    /// The transaction that waits to spend `outpoint`.
    #[must_use]
    pub fn spender(&self, outpoint: &OutPoint) -> Option<TxId> {
        self.spenders.get(outpoint).copied()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pooled.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pooled.is_empty()
    }

    /// How much of a queue is used, and how much it holds, in bytes with what is kept beside each transaction.
    #[must_use]
    pub fn usage(&self, queue: Queue) -> (u64, u64) {
        (self.lines.get(&queue).map_or(0, |line| line.bytes), self.limits.of(queue))
    }

    /// The fee for each byte with which an ordinary transaction is among the first `bytes` that wait: what it takes to be
    /// in so many blocks. Zero if there is room for all; the ledger's least fee still holds.
    #[must_use]
    pub fn fee_per_byte_for(&self, bytes: u64) -> Amount {
        let mut sum = 0_u64;
        for pooled in self.pooled_in_order(Queue::General) {
            sum = sum.saturating_add(pooled.bytes);
            if sum >= bytes {
                return Amount((pooled.fee.units() / pooled.bytes.max(1)).saturating_add(1));
            }
        }
        Amount::ZERO
    }

    /// Refuses without a look at the ledger what waits already, and what can't outdo what spends the same output.
    fn check_hopeful(&self, id: &TxId, transaction: &Transaction) -> Result<(), Refusal> {
        if self.pooled.contains_key(id) {
            return Err(Refusal::Known(*id));
        }
        for (input, witness) in transaction.body.inputs.iter().zip(&transaction.witnesses) {
            let Some((with, _, theirs)) = self.rival(input) else { continue };
            if !is_urgent(witness) && Evidence::of(witness) <= Evidence::of(theirs) {
                return Err(Refusal::Conflict { with });
            }
        }
        Ok(())
    }

    /// The transactions that have to leave because this one stands better with every output and every secret that both
    /// want (SPEC L-24). Nothing else is ever replaced.
    fn outdone(
        &self,
        transaction: &Transaction,
        changes: &Changes,
        footing: &Footing,
    ) -> Result<BTreeSet<TxId>, Refusal> {
        let mut outdone = BTreeSet::new();
        for ((input, entry), witness) in changes.spent.iter().zip(&transaction.witnesses) {
            let Some((with, rival, theirs)) = self.rival(input) else { continue };
            if footing.with_output(entry, witness) <= rival.footing.with_output(entry, theirs) {
                return Err(Refusal::Conflict { with });
            }
            outdone.insert(with);
        }
        for (key, _, _) in &changes.secrets {
            let Some(with) = self.revealers.get(key) else { continue };
            let theirs = self.pooled.get(with).map(|rival| rival.footing.with_secrets());
            if Some(footing.with_secrets()) <= theirs {
                return Err(Refusal::Conflict { with: *with });
            }
            outdone.insert(*with);
        }
        Ok(outdone)
    }

    /// The transaction that waits to spend `input`, with its witness for it.
    fn rival(&self, input: &OutPoint) -> Option<(TxId, &Pooled, &Witness)> {
        let id = self.spenders.get(input)?;
        let pooled = self.pooled.get(id)?;
        let mut inputs = pooled.transaction.body.inputs.iter().zip(&pooled.transaction.witnesses);
        let (_, witness) = inputs.find(|(other, _)| *other == input)?;
        Some((*id, pooled, witness))
    }

    fn explain(&self, error: TxError) -> Refusal {
        match error {
            TxError::MissingInput(outpoint) if self.pooled.contains_key(&outpoint.tx) => {
                Refusal::NotFinal(outpoint)
            }
            other => Refusal::Invalid(other),
        }
    }

    /// Which transactions must leave, beside those that do anyway, so that this one fits: those that pay least for each
    /// byte, and less than it does.
    fn make_room(
        &self,
        queue: Queue,
        source: &Source,
        changes: &Changes,
        leaving: &BTreeSet<TxId>,
    ) -> Result<Vec<TxId>, Refusal> {
        let (limit, needed) = (self.limits.of(queue), cost(changes.bytes));
        let Some(line) = self.lines.get(&queue) else { return Ok(Vec::new()) };
        let freed =
            leaving.iter().filter_map(|id| self.pooled.get(id)).filter(|pooled| pooled.queue == queue);
        let (mut freed_bytes, mut freed_from_source) = (0, 0);
        for pooled in freed {
            freed_bytes += cost(pooled.bytes);
            freed_from_source += if pooled.source == *source { cost(pooled.bytes) } else { 0 };
        }
        let used_by_source = line.used_by(source).saturating_sub(freed_from_source);
        match source {
            Source::Peer(_) if used_by_source + needed > limit / limits::POOL_SOURCE_SHARE => {
                return Err(Refusal::SourceShare { queue });
            }
            Source::Peer(_) | Source::Local => {}
        }
        let mut excess = (line.bytes + needed).saturating_sub(limit + freed_bytes);
        let mut evicted = Vec::new();
        let rate = Reverse(rate_in(queue, changes));
        for (other, _, id) in line.order.iter().rev().filter(|(_, _, id)| !leaving.contains(id)) {
            if excess == 0 || *other <= rate {
                break;
            }
            excess = excess.saturating_sub(self.pooled.get(id).map_or(0, |pooled| cost(pooled.bytes)));
            evicted.push(*id);
        }
        if excess == 0 { Ok(evicted) } else { Err(Refusal::Full { queue }) }
    }

    fn add(&mut self, id: TxId, pooled: Pooled) {
        self.spenders.extend(pooled.transaction.body.inputs.iter().map(|input| (*input, id)));
        self.revealers.extend(pooled.secrets.iter().map(|key| (*key, id)));
        if pooled.footing.until < FOREVER {
            self.expiries.insert((pooled.footing.until, id));
        }
        self.verified.insert(pooled.leaf);
        self.arrivals.insert(pooled.arrival, id);
        self.line(pooled.queue).insert(pooled.rank, pooled.source, cost(pooled.bytes));
        self.pooled.insert(id, pooled);
    }

    fn line(&mut self, queue: Queue) -> &mut Line {
        self.lines.entry(queue).or_default()
    }

    fn pooled_in_order(&self, queue: Queue) -> impl Iterator<Item = &Pooled> {
        let order = self.lines.get(&queue).map(|line| line.order.iter());
        order.into_iter().flatten().filter_map(|(_, _, id)| self.pooled.get(id))
    }
}

impl Verified for Mempool {
    fn is_verified(&self, leaf: &Digest) -> bool {
        self.verified.contains(leaf)
    }
}

/// By which rate a transaction stands in its queue; where the first come is the first served, all have the same.
fn rate_in(queue: Queue, changes: &Changes) -> u128 {
    match queue {
        Queue::Dispute | Queue::Reveal | Queue::Close => 0,
        Queue::General => fee_rate(changes.fee.units(), changes.bytes),
    }
}
