//! The start of all workers: what is in the database is shared out among them, and each gets a thread.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use towpath_ledger::ChannelId;
use towpath_protocol::Now;
use towpath_store::{Column, Store, StoreError};

use super::carry::HEIGHT_PREFIX;
use super::open::find;
use super::pay::Idempotency;
use super::run::{Parts, Start, Worker};
use super::{Input, Workers};
use crate::clock;
use crate::recovery::NOBODY;

/// Why the workers cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no thread.
    #[error("cannot start a worker's thread: {0}")]
    Thread(std::io::Error),
}

/// The workers' threads, and what was found wrong.
pub struct Started {
    /// To be joined at the end.
    pub threads: Vec<JoinHandle<()>>,
    /// Channels whose rows cannot be used, and why: nothing is signed or closed for them.
    pub damaged: Vec<(ChannelId, String)>,
    /// Peers with channels that are not settled: the node keeps connected to them.
    pub peers: Vec<towpath_crypto::ed25519::PublicKey>,
}

/// What the stored channels are worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// They are as new as anything that was ever said.
    Newest,
    /// They may be an old copy: nothing is signed with them before they are recovered.
    MayBeOld,
}

/// Restores all channels and starts a worker for each inbox.
///
/// # Errors
/// [`StartError`].
pub fn start(
    parts: &Parts,
    inboxes: Vec<mpsc::Receiver<Input>>,
    trust: Trust,
) -> Result<Started, StartError> {
    let store: &dyn Store = &**parts.journal.store();
    let now = Now { local_ms: clock::now_ms(), ledger: parts.chain.tip().header().time };
    let found = find(store, &parts.keys, now)?;
    let count = inboxes.len();
    let mut starts = Vec::with_capacity(count);
    for place in 0..count {
        let place = u8::try_from(place).unwrap_or(u8::MAX);
        starts.push(Start {
            channels: Vec::new(),
            acceptances: Vec::new(),
            idempotency: Idempotency::open(store, place)?,
            place,
            seen_height: seen_height(store)?,
            distrusts: trust == Trust::MayBeOld,
        });
    }
    let mut peers = std::collections::BTreeSet::new();
    for held in found.channels {
        if !matches!(held.channel.life(), towpath_protocol::Life::Settled(_)) {
            peers.insert(*held.channel.peer());
        }
        peers.remove(&NOBODY);
        parts.board.publish([Arc::new(held.view())]);
        starts[Workers::place(held.channel.peer(), count)].channels.push(held);
    }
    for (channel, reason) in &found.damaged {
        parts.board.publish_damaged(*channel, reason.clone());
    }
    for acceptance in found.acceptances {
        peers.insert(*acceptance.peer());
        starts[Workers::place(acceptance.peer(), count)].acceptances.push(acceptance);
    }
    let mut threads = Vec::with_capacity(count);
    for (start, inbox) in starts.into_iter().zip(inboxes) {
        let name = format!("worker-{}", start.place);
        let worker = Worker::new(parts.clone(), start);
        let thread = std::thread::Builder::new().name(name).spawn(move || worker.run(inbox));
        threads.push(thread.map_err(StartError::Thread)?);
    }
    Ok(Started { threads, damaged: found.damaged, peers: peers.into_iter().collect() })
}

/// The last block that every worker saw; their number may have changed since.
fn seen_height(store: &dyn Store) -> Result<u64, StoreError> {
    let rows = store.scan(Column::Meta, &towpath_store::Scan::prefix(HEIGHT_PREFIX))?;
    let heights = rows.into_iter().filter_map(|(_, row)| row.try_into().ok().map(u64::from_be_bytes));
    Ok(heights.min().unwrap_or(0))
}
