//! Cooperative closes of many channels in one transaction: what peers signed within a moment is handed in together. Each
//! channel pays for its own bytes, and all that is left for this node comes back in one output.
//!
//! The side that asked for the close posts it; the other one only if that does not happen, since two transactions that
//! spend one channel would keep each other's batches out of the ledger.

use std::collections::BTreeSet;

use towpath_ledger::settle::{self, Agreed, Place};
use towpath_ledger::{AssetId, ChannelId, CoSigned, OutPoint};
use towpath_protocol::{ClosingStage, Life};

use super::duties::{Order, Why};
use super::run::Worker;
use super::turn::Turn;
use super::why::Cause;
use crate::limits;

/// Closes that wait for each other. Lost with the process: the machines ask for all of them again at the start.
#[derive(Default)]
pub(super) struct Gathering {
    /// This node asked, and final balances are not signed by both yet.
    unsigned: BTreeSet<ChannelId>,
    /// Both signed.
    signed: BTreeSet<ChannelId>,
    /// When the first of `signed` came, and the last of either, by the node's clock.
    first_ms: u64,
    last_ms: u64,
}

impl Gathering {
    /// Follows a channel that this node wants to close together with its peer.
    pub(super) fn note(&mut self, id: ChannelId, life: Life, is_asked: bool, now_ms: u64) {
        let is_open = matches!(life, Life::Closing(ClosingStage::Draining | ClosingStage::Finishing));
        if is_open && is_asked {
            self.unsigned.insert(id);
            self.last_ms = now_ms;
        } else {
            self.unsigned.remove(&id);
        }
    }

    fn add(&mut self, id: ChannelId, now_ms: u64) {
        self.unsigned.remove(&id);
        if self.signed.is_empty() {
            self.first_ms = now_ms;
        }
        self.signed.insert(id);
        self.last_ms = now_ms;
    }

    /// When the ones that are signed go, by the node's clock, if no others come; none if there are none.
    pub(super) fn due_ms(&self) -> Option<u64> {
        if self.signed.is_empty() {
            return None;
        }
        let latest = self.first_ms.saturating_add(limits::CLOSE_GATHER_MS_MAX);
        let soon = self.last_ms.saturating_add(limits::CLOSE_GATHER_MS);
        Some(if self.unsigned.is_empty() { soon.min(latest) } else { latest })
    }
}

impl Worker {
    /// Both signed final balances: owed to the ledger until it shows them.
    pub(super) fn owe_together(
        &mut self,
        id: ChannelId,
        (funding, state): (OutPoint, Box<CoSigned>),
        turn: &mut Turn,
    ) {
        let is_asked = self.has_asked(&id);
        self.remember(id, Order::Together { funding, state }, turn);
        if is_asked {
            self.gathering.add(id, turn.now.local_ms);
        }
    }

    /// Whether this node, and not the peer, wanted the channel closed.
    pub(super) fn has_asked(&self, id: &ChannelId) -> bool {
        let cause = self.channels.get(id).and_then(|held| held.close.as_ref()).map(|close| close.cause);
        matches!(cause, Some(Cause::Asked | Cause::Expired { .. }))
    }

    /// Hands in what was gathered, once nothing more is waited for.
    pub(super) fn close_gathered(&mut self, turn: &mut Turn) {
        if self.gathering.due_ms().is_none_or(|due| due > turn.now.local_ms) {
            return;
        }
        let signed: Vec<ChannelId> = std::mem::take(&mut self.gathering.signed).into_iter().collect();
        self.submit_together(&signed, turn);
    }

    /// Hands in cooperative closes in as few transactions as can be.
    pub(super) fn submit_together(&self, ids: &[ChannelId], turn: &mut Turn) {
        let agreed: Vec<(ChannelId, Agreed<'_>)> = ids
            .iter()
            .filter_map(|id| {
                let terms = self.channels.get(id)?.channel.terms();
                let (funding, state) = self.duties.get(id)?.agreed()?;
                Some((*id, Agreed { funding, terms, state }))
            })
            .collect();
        let place =
            Place { chain: self.parts.chain_id, params: self.parts.keys.params(), asset: AssetId::NATIVE };
        let done = settle::cooperative_all(&place, agreed.iter().map(|(_, agreed)| *agreed));
        for (funding, error) in done.refused {
            tracing::error!(%funding, %error, "final balances cannot be paid out");
        }
        for transaction in done.transactions {
            let inside = |agreed: &Agreed<'_>| transaction.body.inputs.contains(&agreed.funding);
            let channels = agreed.iter().filter(|(_, agreed)| inside(agreed)).map(|(id, _)| *id).collect();
            self.submit(channels, Why::Together, Box::new(transaction), turn);
        }
    }
}
