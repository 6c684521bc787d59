//! The start of all workers: what is in the database is shared out among them, and each gets a thread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;
use towpath_protocol::Now;
use towpath_store::{Batch, Column, Scan, Store, StoreError};

use super::carry::HEIGHT_PREFIX;
use super::open::find;
use super::run::{Parts, Start, Worker};
use super::{Input, Workers};
use crate::clock;
use crate::journal::{Entry, Journal};
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
    pub peers: Vec<PublicKey>,
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
    let Restored { starts, damaged, peers } = restore(parts, inboxes.len(), trust)?;
    let mut threads = Vec::with_capacity(inboxes.len());
    for (start, inbox) in starts.into_iter().zip(inboxes) {
        let name = format!("worker-{}", start.place);
        let worker = Worker::new(parts.clone(), start);
        let thread = std::thread::Builder::new().name(name).spawn(move || worker.run(inbox));
        threads.push(thread.map_err(StartError::Thread)?);
    }
    Ok(Started { threads, damaged, peers: peers.into_iter().collect() })
}

/// What was found on disk.
pub(super) struct Restored {
    /// What each worker begins with.
    pub starts: Vec<Start>,
    /// See [`Started`].
    pub damaged: Vec<(ChannelId, String)>,
    /// See [`Started`].
    pub peers: BTreeSet<PublicKey>,
}

/// Restores all channels for so many workers.
pub(super) fn restore(parts: &Parts, count: usize, trust: Trust) -> Result<Restored, StoreError> {
    let store: &dyn Store = &**parts.journal.store();
    let now = Now { local_ms: clock::now_ms(), ledger: parts.chain.tip().header().time };
    let found = find(store, &parts.keys, now)?;
    let seen_height = seen_height(&parts.journal, count)?;
    let mut starts = Vec::with_capacity(count);
    for place in 0..count {
        let place = u8::try_from(place).unwrap_or(u8::MAX);
        let distrusts = trust == Trust::MayBeOld;
        starts.push(Start { channels: Vec::new(), acceptances: Vec::new(), place, seen_height, distrusts });
    }
    let mut peers = BTreeSet::new();
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
    Ok(Restored { starts, damaged: found.damaged, peers })
}

/// The last block that every worker saw. Their number may have changed since, and with it who owns which channel: rows of
/// workers that are no more give their height to all others, in one write, or they would hold it down at every start.
fn seen_height(journal: &Arc<Journal>, count: usize) -> Result<u64, StoreError> {
    let rows = journal.store().scan(Column::Meta, &Scan::prefix(HEIGHT_PREFIX))?;
    let heights = rows.iter().filter_map(|(_, row)| row.as_slice().try_into().ok().map(u64::from_be_bytes));
    let height = heights.min().unwrap_or(0);
    let is_ours = |key: &[u8]| {
        let place = key.strip_prefix(HEIGHT_PREFIX).and_then(|place| place.first().copied());
        place.is_some_and(|place| usize::from(place) < count)
    };
    if rows.iter().all(|(key, _)| is_ours(key)) {
        return Ok(height);
    }
    let mut batch = Batch::new();
    for (key, _) in rows {
        if is_ours(&key) {
            batch.put(Column::Meta, key, height.to_be_bytes());
        } else {
            batch.delete(Column::Meta, key);
        }
    }
    journal.commit(Entry { batch, events: Vec::new() }, clock::now_ms())?;
    Ok(height)
}

#[cfg(test)]
mod tests {
    use towpath_store::{GroupWriter, MemoryStore};

    use super::*;

    #[test]
    fn c3_workers_that_are_no_more_hold_nobody_back() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let row = |place: u8| [HEIGHT_PREFIX, &[place]].concat();
        let put = |heights: &[(u8, u64)]| {
            let mut batch = Batch::new();
            for (place, height) in heights {
                batch.put(Column::Meta, row(*place), height.to_be_bytes());
            }
            store.commit(batch).expect("no write fails here");
        };
        let writer = GroupWriter::start(Arc::clone(&store), |error| panic!("no write fails here: {error}"));
        let journal = Journal::open(Arc::clone(&store), writer.expect("threads"), 10).expect("an empty log");
        let journal = Arc::new(journal);
        put(&[(0, 10), (1, 12), (2, 3), (3, 12)]);
        let read = || store.scan(Column::Meta, &Scan::prefix(HEIGHT_PREFIX)).expect("it reads");
        let at = |place: u8, height: u64| (row(place), height.to_be_bytes().to_vec());

        assert_eq!(
            seen_height(&journal, 2).expect("it reads"),
            3,
            "the third's channels are the others' now"
        );
        assert_eq!(read(), [at(0, 3), at(1, 3)], "and no crash can make them miss what it had not seen");
        put(&[(0, 20), (1, 21)]);
        assert_eq!(seen_height(&journal, 2).expect("it reads"), 20, "the next start looks at nothing again");
        assert_eq!(seen_height(&journal, 3).expect("it reads"), 20);
        assert_eq!(read(), [at(0, 20), at(1, 21)]);
    }
}
