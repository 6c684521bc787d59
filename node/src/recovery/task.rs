//! The task that finishes a recovery: it waits until this node's replica of the ledger is up to date, finds the channels
//! and payments of this node on it, watches for a channel whose funding was still under way, and then is done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::{Entry, Lock, OutPoint};
use towpath_store::{Batch, StoreError};

use super::scan::{Found, KeyWindow, search, terms_of};
use super::{NOBODY, Pending, SEARCH_MAX, addresses_used};
use crate::clock;
use crate::journal::Entry as JournalEntry;
use crate::ledger::{Chain, FundsCall, Input as LedgerInput};
use crate::limits::SEARCHES;
use crate::worker::{Input, Parts};

/// How far behind the clock the newest block of a replica that is up to date may be, in steps of the ledger's time: a
/// heartbeat comes each half of one.
const STEPS_BEHIND_MAX: u64 = 2;

/// How long a funding of before may still be valid, in milliseconds of ledger time: the longest that a node agrees to.
const FUNDING_MS_MAX: u64 = 3_600_000;

/// What the task works with.
pub struct Task {
    /// What is to be done.
    pub pending: Pending,
    /// The node's parts.
    pub parts: Parts,
    /// The keys.
    pub seed: Seed,
    /// The height of the newest applied block.
    pub height: watch::Receiver<u64>,
    /// The node stops.
    pub stop: CancellationToken,
}

/// Says when this node's replica of the ledger is up to date, once: it has a block that is as new as the clock, in which
/// ledger time rises by at most `block_step_ms_max` (SPEC R-6).
pub async fn watch_current(
    (chain, mut height): (Arc<Chain>, watch::Receiver<u64>),
    block_step_ms_max: u64,
    current: watch::Sender<bool>,
) {
    let started = *height.borrow_and_update();
    loop {
        let tip = chain.tip();
        let behind = clock::now().ms_since(tip.header().time);
        let is_new = behind <= block_step_ms_max.saturating_mul(STEPS_BEHIND_MAX);
        // At least one block came since the start: a replica that nobody feeds does not know how old it is.
        if is_new && tip.height() > started {
            current.send_replace(true);
            return;
        }
        if height.changed().await.is_err() {
            // The ledger's driver has ended.
            return;
        }
    }
}

/// Starts the task.
pub fn spawn(task: Task) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let stop = task.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            done = task.run() => if let Err(error) = done {
                tracing::error!(%error, "the recovery cannot go on; the node looks again when it is restarted");
            }
        }
    })
}

impl Task {
    async fn run(mut self) -> Result<(), StoreError> {
        if self.parts.current.wait_for(|is_current| *is_current).await.is_err() {
            // The node ends.
            return Ok(());
        }
        let from = self.parts.chain.tip();
        let window = self.search().await?;
        let until = from.header().time.0.saturating_add(FUNDING_MS_MAX);
        self.pending.search = false;
        self.pending.distrust = false;
        self.pending.unclaimed = !self.parts.unclaimed.is_empty();
        self.pending.watch_until_ms = self.pending.watch_until_ms.min(until);
        // Whatever votes the log misses are for heights that others have decided by then.
        self.pending.votes_after = self.pending.votes_after.min(from.height().saturating_add(2));
        self.write().await?;
        self.parts.searching.store(false, Ordering::Release);
        tracing::info!(
            height = from.height(),
            "the ledger was searched for channels and payments of this node"
        );
        self.watch(&window, from.height()).await
    }

    /// Finds what is this node's: channels wait for their peers from then on.
    async fn search(&self) -> Result<KeyWindow, StoreError> {
        let (chain, seed) = (Arc::clone(&self.parts.chain), self.seed.clone());
        let searched = tokio::task::spawn_blocking(move || {
            let (found, window) = search(&chain, &seed)?;
            let addresses = addresses_used(&chain, &seed, 1)?;
            Ok::<_, StoreError>((found, window, addresses))
        });
        let (found, window, addresses) = searched.await.map_err(|_| StoreError::Closed)??;
        self.keep(found).await;
        let reached =
            self.parts.ledger.ask(|reply| LedgerInput::Funds(FundsCall::Reach { addresses, reply })).await;
        match reached {
            Ok(Ok(())) => Ok(window),
            Ok(Err(error)) => {
                tracing::error!(%error, "the wallet's addresses cannot be handed out again");
                Err(StoreError::Closed)
            }
            Err(_busy) => Err(StoreError::Closed),
        }
    }

    /// Channels of which this node has nothing wait until their peers speak of them, or a record names the peer. One that
    /// is being closed needs no peer. All are asked about at the same time, as far as there is room: an answer takes a while.
    async fn keep(&self, found: Vec<Found>) {
        futures::stream::iter(found).for_each_concurrent(SEARCHES, |found| self.keep_one(found)).await;
    }

    async fn keep_one(&self, found: Found) {
        if self.parts.board.get(&found.channel).is_some() {
            return;
        }
        tracing::warn!(channel = %found.channel, "a channel of this node was found on the ledger");
        let (channel, closes) = (found.channel, matches!(found.entry.output.lock, Lock::Closing(_)));
        let peer = if closes { Some(NOBODY) } else { self.peer_of(&found).await };
        self.parts.unclaimed.insert(found);
        if self.parts.board.get(&channel).is_some() {
            // A worker wrote it in between.
            return self.parts.unclaimed.settle(&channel);
        }
        for place in 0..self.parts.workers.count() {
            self.parts.workers.push_to(place, Input::Unclaimed(channel)).await;
        }
        if let Some(peer) = peer {
            self.parts.workers.push(&peer, Input::Claimed { channel, peer }).await;
            if peer != NOBODY && self.parts.net.want(peer, Vec::new()).await.is_err() {
                tracing::warn!(%channel, "its peer cannot be dialled");
            }
        }
    }

    /// The peer of a channel, as a record says that this node wrote in better days.
    async fn peer_of(&self, found: &Found) -> Option<PublicKey> {
        let terms = terms_of(&found.entry.output.lock)?;
        let _turn = self.parts.sources.turn().await;
        let sources = self.parts.sources.all();
        let mut answers: FuturesUnordered<_> =
            sources.iter().map(|source| source.find(terms, found.key_index)).collect();
        let first = async {
            while let Some(records) = answers.next().await {
                if let Some(peer) = records.into_iter().find_map(|record| record.peer) {
                    return Some(peer);
                }
            }
            None
        };
        tokio::time::timeout(SEARCH_MAX, first).await.ok().flatten()
    }

    async fn write(&self) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        self.pending.put(&mut batch);
        let journal = Arc::clone(&self.parts.journal);
        let written = tokio::task::spawn_blocking(move || {
            journal.commit(JournalEntry { batch, events: Vec::new() }, clock::now_ms())
        });
        written.await.map_err(|_| StoreError::Closed)?
    }

    /// A funding that was on its way when the data was lost makes a channel that nobody here remembers.
    async fn watch(&mut self, window: &KeyWindow, from: u64) -> Result<(), StoreError> {
        let mut next = from.saturating_add(1);
        while !self.pending.is_done() {
            let tip = self.parts.chain.tip();
            while next <= tip.height() {
                let found = self.found_in(next, window)?;
                self.keep(found).await;
                next = next.saturating_add(1);
            }
            let mut pending = self.pending;
            pending.unclaimed = !self.parts.unclaimed.is_empty();
            if tip.header().time.0 > pending.watch_until_ms {
                pending.watch_until_ms = 0;
            }
            if tip.height() > pending.votes_after {
                pending.votes_after = 0;
            }
            if pending != self.pending {
                self.pending = pending;
                self.write().await?;
            }
            if !pending.is_done() && self.height.changed().await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn found_in(&self, height: u64, window: &KeyWindow) -> Result<Vec<Found>, StoreError> {
        let Some(block) = self.parts.chain.block(height)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for transaction in &block.transactions {
            let tx = transaction.id();
            for (index, output) in (0_u32..).zip(&transaction.body.outputs) {
                let Some(terms) = terms_of(&output.lock) else { continue };
                let Some(key_index) = window.find(terms) else { continue };
                let (height, time) = (block.header.height, block.header.time);
                let entry = Entry { output: output.clone(), height, time };
                let outpoint = OutPoint { tx, index };
                found.push(Found { channel: terms.id, outpoint, entry, key_index });
            }
        }
        Ok(found)
    }
}
