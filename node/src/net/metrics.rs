//! The counters of the network shell: written by its tasks, read as one plain snapshot.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter or gauge.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: usize) {
        self.0.fetch_add(u64::try_from(amount).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, amount: usize) {
        self.0.store(u64::try_from(amount).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Where the tasks count.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Count,)* }

        impl Counters {
            pub(crate) fn snapshot(&self) -> NetMetrics {
                NetMetrics { $($name: self.$name.read(),)* }
            }
        }

        /// The network's counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct NetMetrics { $($(#[$doc])* pub $name: u64,)* }
    };
}

metrics! {
    /// Nodes connected now.
    peers,
    /// Channel sessions up now.
    sessions,
    /// Channel sessions that ever came up.
    sessions_opened,
    /// Session attempts that failed, on either side.
    sessions_failed,
    /// Channel messages sent.
    messages_sent,
    /// Channel messages received.
    messages_received,
    /// Frames sent.
    frames_sent,
    /// Frames received.
    frames_received,
    /// Bytes of channel messages sent, before encryption.
    bytes_sent,
    /// Bytes of channel messages received, after decryption.
    bytes_received,
    /// Frames refused for the length that they claim.
    frames_wrong_length,
    /// Frames refused because they do not decrypt: garbage, replayed, out of order, or not of this session.
    frames_not_decrypted,
    /// Frames that decrypt, and hold anything but whole messages.
    frames_wrong_content,
    /// Frames that began and did not end in time.
    frames_too_slow,
    /// Channel messages that do not decode.
    messages_malformed,
    /// Channel messages that break the channel protocol.
    messages_refused,
    /// Gossip messages published by this node.
    gossip_published,
    /// Gossip messages that could not be published, most often because nobody listens.
    gossip_unpublished,
    /// Gossip messages handed to the node.
    gossip_received,
    /// Gossip messages dropped because the node did not keep up.
    gossip_dropped,
    /// Gossip messages that were rejected.
    gossip_rejected,
    /// Sync requests handed to the node.
    sync_served,
    /// Sync requests refused: the peer, or all peers, asked for too much.
    sync_refused,
    /// Connections refused by a bound or a ban.
    connections_refused,
    /// Dials that failed.
    dials_failed,
    /// Peers refused because they are on another chain.
    other_chain,
}
