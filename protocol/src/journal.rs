//! The channel's log: one entry for each change of its state, chained by a running hash. Safety never depends on it;
//! how long entries are kept is the store's business.

use bincode::{Decode, Encode};
use towpath_crypto::hash::digest;
use towpath_crypto::{Amount, Digest, Domain, codec};
use towpath_ledger::{OutPoint, Party, Time, TxId};

use crate::effect::ResizeFailure;
use crate::event::Now;
use crate::life::Life;
use crate::message::Change;

/// One entry.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct ChannelEvent {
    /// Counts up from one.
    pub sequence: u64,
    /// The node's clock.
    pub local_ms: u64,
    /// The ledger's time.
    pub ledger: Time,
    /// What happened.
    pub kind: EventKind,
    /// The running hash up to and with this entry (SPEC P-24).
    pub hash: Digest,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum EventKind {
    /// Both parties hold version 1.
    Created {
        /// A's first balance.
        balance_a: Amount,
        /// B's first balance.
        balance_b: Amount,
    },
    /// The funding is final.
    Funded(OutPoint),
    /// Life went on.
    Life(Life),
    /// This party proposed a version.
    Proposed(VersionSummary),
    /// This party holds the other's signature on a version.
    Held(VersionSummary),
    /// A version, and all that was built on it, was refused.
    Burnt {
        /// The first one.
        version: u64,
    },
    /// This party posted a version.
    Posted {
        /// Which.
        version: u64,
        /// The fee out of its balance.
        fee: Amount,
    },
    /// The ledger shows a closing.
    ClosingSeen {
        /// The version in it.
        version: u64,
        /// Who closed.
        author: Party,
    },
    /// The peer proved that this node has lost data.
    DataLost {
        /// What it proved.
        proven: u64,
    },
    /// The channel was recovered, and goes on with this version.
    Recovered(VersionSummary),
    /// This party signed the first state of the next generation: a resize was proposed, or agreed to.
    ResizeSigned {
        /// Whose balance changes.
        by: Party,
        /// How.
        change: Change,
        /// The version of that state.
        version: u64,
        /// The transaction.
        transaction: TxId,
    },
    /// The resize is final: the channel goes on in the next generation.
    Resized {
        /// Which.
        generation: u32,
        /// All that is in the channel now.
        capacity: Amount,
        /// The version with which it goes on.
        version: u64,
    },
    /// The resize never became final, and can't any more.
    ResizeEnded {
        /// The version that was signed for it.
        version: u64,
        /// Why.
        why: ResizeFailure,
    },
    /// The ledger shows a generation of which this node knows nothing: it has lost data.
    Overtaken {
        /// Which.
        generation: u32,
    },
}

/// A version in brief.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct VersionSummary {
    /// Its number.
    pub version: u64,
    /// A's balance.
    pub balance_a: Amount,
    /// B's balance.
    pub balance_b: Amount,
    /// The highest number of a payment by A.
    pub sent_a: u64,
    /// The highest number of a payment by B.
    pub sent_b: u64,
    /// Who proposes next.
    pub sequencer: Party,
}

impl From<&crate::update::Content> for VersionSummary {
    fn from(content: &crate::update::Content) -> Self {
        Self {
            version: content.state.version,
            balance_a: content.state.balance_a,
            balance_b: content.state.balance_b,
            sent_a: content.sent_a,
            sent_b: content.sent_b,
            sequencer: content.state.sequencer,
        }
    }
}

/// The end of the log: all that a channel keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Default, Debug)]
pub struct Journal {
    /// Entries so far.
    pub count: u64,
    /// The running hash.
    pub hash: Digest,
}

impl Journal {
    /// Appends an entry.
    pub(crate) fn append(&mut self, now: Now, kind: EventKind) -> ChannelEvent {
        self.count += 1;
        let body = codec::encode(&(self.count, now.local_ms, now.ledger, &kind));
        self.hash = digest(Domain::ChannelEvent, &[&self.hash.0, &body]);
        let (sequence, hash) = (self.count, self.hash);
        ChannelEvent { sequence, local_ms: now.local_ms, ledger: now.ledger, kind, hash }
    }

    /// Whether `event` follows this end; then it is the new end. How a reader checks a stored log.
    pub fn verify(&mut self, event: &ChannelEvent) -> bool {
        let mut next = *self;
        let now = Now { local_ms: event.local_ms, ledger: event.ledger };
        let expected = next.append(now, event.kind.clone());
        if expected == *event {
            *self = next;
        }
        expected == *event
    }
}
