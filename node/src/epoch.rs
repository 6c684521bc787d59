//! Which process of this node runs: its number rises with each start and is on disk before anybody hears of it.

use std::sync::atomic::{AtomicBool, Ordering};

use towpath_crypto::codec;
use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_ledger::ChainId;
use towpath_protocol::{Epoch, Hello};
use towpath_store::{Batch, Column, Store, StoreError};

/// The row of `Meta` with this node's number.
const OWN_ROW: &[u8] = b"epoch/own";

/// The row of `Meta` that says that another process took over.
const SUPERSEDED_ROW: &[u8] = b"epoch/superseded";

/// Rows of `Meta`: this prefix ‖ a node, with the newest word that was heard of it.
const PEER_PREFIX: &[u8] = b"epoch/peer/";

/// Bytes of a word, at most.
const HELLO_BYTES_MAX: usize = 256;

/// This process's own word, shared by all workers.
pub struct OwnEpoch {
    node: PublicKey,
    hello: Hello,
    /// A peer has spoken with this process of a channel with it: it takes it for the newest.
    accepted: AtomicBool,
}

impl OwnEpoch {
    /// The next epoch of the node; durable when this returns.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn begin(
        store: &dyn Store,
        secret: &SecretKey,
        chain: &ChainId,
        (now_ms, instance): (u64, [u8; 16]),
    ) -> Result<Self, StoreError> {
        let last = store.get(Column::Meta, OWN_ROW)?.and_then(|row| row.try_into().ok());
        let last = last.map_or(0, u64::from_be_bytes);
        let epoch = Epoch { start: last.saturating_add(1).max(now_ms), instance };
        let mut batch = Batch::new();
        put_own(&mut batch, epoch.start);
        store.commit(batch)?;
        let (node, hello) = (secret.public(), Hello::sign(secret, chain, epoch));
        Ok(Self { node, hello, accepted: AtomicBool::new(false) })
    }

    /// What this process says.
    #[must_use]
    pub const fn hello(&self) -> Hello {
        self.hello
    }

    /// The next process of this folder comes after `rival`, as after this one.
    pub(crate) fn rise_above(&self, rival: u64, batch: &mut Batch) {
        put_own(batch, self.hello.epoch.start.max(rival));
    }

    /// A peer speaks with this process of a channel with it.
    pub(crate) fn accept(&self) {
        self.accepted.store(true, Ordering::Release);
    }

    /// Whether one did.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Acquire)
    }

    /// This node.
    #[must_use]
    pub const fn node(&self) -> &PublicKey {
        &self.node
    }
}

fn put_own(batch: &mut Batch, start: u64) {
    batch.put(Column::Meta, OWN_ROW, start.to_be_bytes());
}

fn peer_key(node: &PublicKey) -> Vec<u8> {
    [PEER_PREFIX, &node.0].concat()
}

/// The newest word that was heard of a node.
///
/// # Errors
/// When it cannot be read: then nothing may be spoken with that node.
pub fn newest_of(store: &dyn Store, node: &PublicKey) -> Result<Option<Hello>, StoreError> {
    let Some(row) = store.get(Column::Meta, &peer_key(node))? else { return Ok(None) };
    codec::decode(&row, HELLO_BYTES_MAX)
        .map(Some)
        .map_err(|error| StoreError::corrupt_row("peers' epochs", error))
}

/// Remembers the newest word of a node.
pub fn remember(batch: &mut Batch, node: &PublicKey, hello: &Hello) {
    batch.put(Column::Meta, peer_key(node), codec::encode(hello));
}

/// Forgets a node with which nothing is left to contradict.
pub fn forget(batch: &mut Batch, node: &PublicKey) {
    batch.delete(Column::Meta, peer_key(node));
}

/// Remembers that another process of this node took over, for ever until the operator says otherwise.
pub fn supersede(batch: &mut Batch) {
    batch.put(Column::Meta, SUPERSEDED_ROW, [1]);
}

/// Forgets that.
pub fn take_over(batch: &mut Batch) {
    batch.delete(Column::Meta, SUPERSEDED_ROW);
}

/// Whether another process of this node took over.
///
/// # Errors
/// As [`Store::get`].
pub fn is_superseded(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.get(Column::Meta, SUPERSEDED_ROW)?.is_some())
}

#[cfg(test)]
mod tests {
    use towpath_crypto::Digest;
    use towpath_store::MemoryStore;

    use super::*;

    fn begin(store: &dyn Store, now_ms: u64, instance: u8) -> OwnEpoch {
        let secret = SecretKey::from_bytes(&[1; 32]);
        OwnEpoch::begin(store, &secret, &ChainId(Digest([7; 32])), (now_ms, [instance; 16])).expect("a store")
    }

    #[test]
    fn each_start_has_a_higher_number_whatever_the_clock_says() {
        let store = MemoryStore::new();
        let starts = [1_000, 5, 5, 2_000].map(|now_ms| begin(&store, now_ms, 1).hello().epoch.start);
        assert_eq!(starts, [1_000, 1_001, 1_002, 2_000]);
    }

    #[test]
    fn the_next_process_is_above_a_rival_and_never_below_its_own_past() {
        let store = MemoryStore::new();
        for (rival, next) in [(50, 51), (7, 53)] {
            let own = begin(&store, 10, 1);
            let mut batch = Batch::new();
            own.rise_above(rival, &mut batch);
            store.commit(batch).expect("written");
            let after = begin(&store, 10, 2).hello();
            assert_eq!(after.epoch.start, next);
            assert!(after.is_of(own.node(), &ChainId(Digest([7; 32]))));
        }
    }

    #[test]
    fn what_peers_said_is_remembered() {
        let store = MemoryStore::new();
        let hello = begin(&store, 10, 1).hello();
        let peer = PublicKey([9; 32]);
        assert_eq!(newest_of(&store, &peer).expect("read"), None);
        let mut batch = Batch::new();
        remember(&mut batch, &peer, &hello);
        supersede(&mut batch);
        store.commit(batch).expect("written");
        assert_eq!(newest_of(&store, &peer).expect("read"), Some(hello));
        assert!(is_superseded(&store).expect("read"));
    }
}
