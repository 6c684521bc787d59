//! Whom to ask for what: which peers say to be ahead, the one request that is under way, and whose turn is next.
//! Pure bookkeeping; [`crate::Engine`] sends, verifies and applies.

use std::collections::{BTreeMap, VecDeque};

use towpath_ledger::BlockId;

use crate::limits;
use crate::output::PeerId;
use crate::sync_wire::{DecidedBlock, SyncRequest};
use crate::wire::Status;

/// Why something was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To catch up.
    Follow,
    /// To see the certificate of another block at a height that is decided here (FAULTS L12).
    Probe,
}

/// A request under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Who was asked.
    pub peer: PeerId,
    /// For what.
    pub request: SyncRequest,
    /// And why.
    pub purpose: Purpose,
}

/// The state of catching up.
#[derive(Debug, Default)]
pub struct CatchUp {
    /// Connected peers, and the tip that each names; zero until it does.
    peers: BTreeMap<PeerId, u64>,
    /// The last that was asked: the next one after it is asked next.
    last: Option<PeerId>,
    pending: Option<Pending>,
    /// Blocks that came and are not applied yet, and from whom.
    ready: VecDeque<DecidedBlock>,
    ready_from: Option<PeerId>,
    /// The ids of the last applied blocks.
    recent: BTreeMap<u64, BlockId>,
}

impl CatchUp {
    /// A peer can be asked.
    pub fn connect(&mut self, peer: PeerId) {
        if self.peers.len() < limits::PEERS {
            self.peers.entry(peer).or_insert(0);
        }
    }

    /// A peer cannot be asked any more. Whether it was being asked.
    pub fn disconnect(&mut self, peer: PeerId) -> bool {
        self.peers.remove(&peer);
        self.take_pending(peer).is_some()
    }

    /// A block was applied.
    pub fn applied(&mut self, height: u64, block: BlockId) {
        self.recent.insert(height, block);
        while self.recent.len() > limits::RECENT_IDS {
            self.recent.pop_first();
        }
    }

    /// A peer names its tip. Whether it names another block than this node applied at that height.
    pub fn heard(&mut self, peer: PeerId, status: &Status) -> bool {
        let Some(tip) = self.peers.get_mut(&peer) else { return false };
        *tip = status.tip;
        self.recent.get(&status.tip).is_some_and(|ours| *ours != status.block)
    }

    /// A peer did not have what its status promised; it counts again once it says so again.
    pub fn doubt(&mut self, peer: PeerId) {
        if let Some(tip) = self.peers.get_mut(&peer) {
            *tip = 0;
        }
    }

    /// The highest tip that any peer names.
    pub fn best(&self) -> u64 {
        self.peers.values().copied().max().unwrap_or(0)
    }

    /// Whether nothing is under way or waiting.
    pub fn is_idle(&self) -> bool {
        self.pending.is_none() && self.ready.is_empty()
    }

    /// Starts a request for the blocks from `next` on, to the peer whose turn it is among those that have it.
    pub fn follow(&mut self, next: u64) -> Option<Pending> {
        let able = || self.peers.iter().filter(|(_, tip)| **tip >= next);
        let after = |(peer, _): &(&PeerId, &u64)| self.last.is_none_or(|last| **peer > last);
        let (&peer, &tip) = able().find(after).or_else(|| able().next())?;
        let behind = tip.saturating_sub(next).saturating_add(1);
        let count = u32::try_from(behind).unwrap_or(u32::MAX).min(limits::SYNC_BLOCKS);
        self.last = Some(peer);
        Some(self.begin(Pending {
            peer,
            request: SyncRequest { from: next, count },
            purpose: Purpose::Follow,
        }))
    }

    /// Starts a request for the certificate of `height`, which `peer` says to have decided otherwise.
    pub fn probe(&mut self, peer: PeerId, height: u64) -> Pending {
        let request = SyncRequest { from: height, count: 1 };
        self.begin(Pending { peer, request, purpose: Purpose::Probe })
    }

    fn begin(&mut self, pending: Pending) -> Pending {
        self.pending = Some(pending);
        pending
    }

    /// Ends the request to `peer`, if there is one.
    pub fn take_pending(&mut self, peer: PeerId) -> Option<Pending> {
        self.pending.take_if(|pending| pending.peer == peer)
    }

    /// Ends the request that is under way.
    pub fn take_any_pending(&mut self) -> Option<Pending> {
        self.pending.take()
    }

    /// Blocks came.
    pub fn receive(&mut self, peer: PeerId, blocks: Vec<DecidedBlock>) {
        self.ready = blocks.into();
        self.ready_from = Some(peer);
    }

    /// The next block to apply, which must be `next`; blocks below are dropped, and all when there is a gap.
    pub fn take_ready(&mut self, next: u64) -> Option<DecidedBlock> {
        while let Some(decided) = self.ready.pop_front() {
            let height = decided.certificate.height;
            if height == next {
                return Some(decided);
            }
            if height > next {
                self.ready.clear();
            }
        }
        None
    }

    /// Drops what came. From whom it was.
    pub fn discard_ready(&mut self) -> Option<PeerId> {
        self.ready.clear();
        self.ready_from.take()
    }
}
