//! Where workers leave the newest states of their channels: one for each channel, however often it changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use towpath_ledger::ChannelId;
use towpath_protocol::tower::Record;

/// What a worker says about a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Offered {
    /// Its newest co-signed state, durable.
    Newest(Box<Record>),
    /// It is settled.
    Settled(ChannelId),
}

impl Offered {
    fn channel(&self) -> ChannelId {
        match self {
            Self::Newest(record) => record.newest.state.channel,
            Self::Settled(channel) => *channel,
        }
    }
}

/// See the module. As large as there are channels, at most.
#[derive(Default, Debug)]
pub struct Mailbox {
    mail: Mutex<BTreeMap<ChannelId, Offered>>,
    is_wanted: AtomicBool,
}

impl Mailbox {
    /// Whether anybody is to have the states: a node without towers need not prepare them.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    /// From now on somebody is.
    pub fn want(&self) {
        self.is_wanted.store(true, Ordering::Release);
    }

    /// Leaves these; whether nothing lay there before, so that somebody must be woken. A settlement is the last word.
    pub fn put(&self, offered: Vec<Offered>) -> bool {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = mail.is_empty();
        for offer in offered {
            let channel = offer.channel();
            if !matches!(mail.get(&channel), Some(Offered::Settled(_))) {
                mail.insert(channel, offer);
            }
        }
        was_empty
    }

    /// Takes all.
    pub fn take(&self) -> Vec<Offered> {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *mail).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use towpath_crypto::Digest;

    use super::*;

    #[test]
    fn one_wakes_and_the_settlement_is_the_last_word() {
        let mailbox = Mailbox::default();
        let settled = Offered::Settled(ChannelId(Digest([1; 32])));
        assert!(mailbox.put(vec![settled.clone()]));
        assert!(!mailbox.put(vec![settled.clone()]), "it is awake already");
        assert_eq!(mailbox.take(), std::slice::from_ref(&settled));
        assert!(mailbox.put(vec![settled]));
    }
}
