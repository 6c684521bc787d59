//! Where the newest states of channels may be found besides the peer: watchtowers, and nodes that keep encrypted copies.
//! One seam, and a version of it in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChannelId, ChannelTerms};
use towpath_protocol::Evidence;

use crate::limits::SEARCHES;

/// What a source keeps of a channel. Nothing of it is believed: the state counts by its signatures, and the peer by what
/// it signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// A state with both signatures.
    pub evidence: Evidence,
    /// The peer's node, if the record says so.
    pub peer: Option<PublicKey>,
}

/// A place where states are kept.
pub trait RecordSource: Send + Sync {
    /// What it keeps of the channel with these terms, of which this node's key has the number `key_index`. It takes as long
    /// as it takes; whoever asks sets the bound. No record is an answer, too.
    fn find(&self, terms: &ChannelTerms, key_index: u32) -> BoxFuture<'static, Vec<Record>>;
}

/// All places that a node knows; they may come and go while it runs.
#[derive(Clone)]
pub struct Sources {
    places: Arc<Mutex<Vec<Arc<dyn RecordSource>>>>,
    turns: Arc<Semaphore>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { places: Arc::default(), turns: Arc::new(Semaphore::new(SEARCHES)) }
    }
}

impl Sources {
    /// One more place.
    pub fn add(&self, source: Arc<dyn RecordSource>) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// A turn to ask them all about one channel, as long as it is held: who lost many channels asks for the next ones when
    /// the first have their answers, and for each of them.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Those that there are now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<dyn RecordSource>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A source in memory.
#[derive(Default)]
pub struct MemorySource(Mutex<BTreeMap<ChannelId, Record>>);

impl MemorySource {
    /// Keeps a record.
    pub fn keep(&self, record: Record) {
        let channel = record.evidence.content.state.channel;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, record);
    }
}

impl RecordSource for MemorySource {
    fn find(&self, terms: &ChannelTerms, _key_index: u32) -> BoxFuture<'static, Vec<Record>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&terms.id).cloned();
        async move { kept.into_iter().collect() }.boxed()
    }
}
