//! Verified messages for heights that this node has not reached: kept within bounds, taken up when it gets there.
//!
//! The core has a queue of its own for this, of messages that nobody has verified; it is never filled (SPEC N-8).

use std::collections::BTreeMap;

use towpath_crypto::ed25519::PublicKey;

use crate::limits;
use crate::wire::Message;

/// The messages, by height and validator.
#[derive(Debug, Default)]
pub struct Later {
    heights: BTreeMap<u64, BTreeMap<PublicKey, Vec<Message>>>,
    /// Bytes of the proposals among them.
    bytes: BTreeMap<u64, usize>,
}

impl Later {
    /// Keeps a message whose signature is `validator`'s. Whether there was room; `bytes` counts proposals only.
    pub fn keep(&mut self, height: u64, validator: PublicKey, message: Message, bytes: usize) -> bool {
        let total: usize = self.bytes.values().sum();
        if total.saturating_add(bytes) > limits::LATER_BYTES {
            return false;
        }
        let kept = self.heights.entry(height).or_default().entry(validator).or_default();
        if kept.len() >= limits::LATER_PER_VALIDATOR || kept.contains(&message) {
            return false;
        }
        kept.push(message);
        *self.bytes.entry(height).or_default() += bytes;
        true
    }

    /// The messages for `height`; those for lower heights are dropped.
    pub fn take(&mut self, height: u64) -> Vec<Message> {
        let above = |map_height: &u64| *map_height > height;
        let taken = self.heights.remove(&height).unwrap_or_default();
        self.heights.retain(|kept, _| above(kept));
        self.bytes.retain(|kept, _| above(kept));
        taken.into_values().flatten().collect()
    }

    /// Whether anything waits for `height`.
    pub fn has(&self, height: u64) -> bool {
        self.heights.contains_key(&height)
    }
}
