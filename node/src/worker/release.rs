//! What a turn says, kept back until what it wrote is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;

use super::board::Board;
use super::view::ChannelView;
use crate::ledger::{Input as LedgerInput, LedgerHandle};
use crate::net::{NetHandle, SessionId};
use crate::recovery::Unclaimed;
use crate::tower::{Offered, TowerHandle};

/// A closure that answers a caller.
type Answer = Box<dyn FnOnce() + Send>;

/// See the module.
#[derive(Default)]
pub(super) struct Release {
    /// Messages for peers, in order; all of one peer's share frames.
    pub messages: BTreeMap<PublicKey, Vec<Vec<u8>>>,
    /// In which session each of them is meant.
    pub sessions: BTreeMap<PublicKey, SessionId>,
    /// Answers to callers.
    pub answers: Vec<Answer>,
    /// For the ledger driver.
    pub ledger: Vec<LedgerInput>,
    /// Newer views.
    pub views: Vec<Arc<ChannelView>>,
    /// For the watchtowers: the newest states of channels.
    pub guarded: Vec<Offered>,
    /// Channels that are no longer listed.
    pub forgotten: Vec<ChannelId>,
    /// Channels that were found on the ledger, and are this node's again with this turn's rows.
    pub claimed: Vec<ChannelId>,
    /// Ends this process: then nothing else is said, and nothing written after this turn.
    pub last: Option<Answer>,
}

impl Release {
    /// Says it all. Runs on the writer's thread, so nothing here waits: a peer that does not read loses its session,
    /// and is told again after the next reconnect.
    pub(super) fn run(
        self,
        net: &NetHandle,
        ledger: &LedgerHandle,
        (board, unclaimed, tower): (&Board, &Unclaimed, &TowerHandle),
    ) {
        for (peer, messages) in self.messages {
            // While this was being written, the session may have ended, and another may have begun, in which both sides
            // start from what they hold.
            let Some(session) = self.sessions.get(&peer).copied() else { continue };
            if let Err(error) = net.send_in(peer, session, messages) {
                tracing::debug!(?peer, %error, "messages were not sent; the channels resume after a reconnect");
            }
        }
        if !self.views.is_empty() {
            board.publish(self.views);
        }
        // Behind the views: a channel is always in one of the two.
        self.claimed.iter().for_each(|channel| unclaimed.settle(channel));
        if !self.forgotten.is_empty() {
            board.forget(self.forgotten);
        }
        tower.guard(self.guarded);
        for answer in self.answers {
            answer();
        }
        for input in self.ledger {
            if ledger.offer(input).is_err() {
                // Transactions stay owed and are handed in again; reservations run out; callers hear that it is busy.
                tracing::warn!("the ledger is busy; what a channel wants of it is asked for again later");
            }
        }
    }

    /// Binds what is said to the sessions that are up now.
    pub(super) fn address(&mut self, sessions: &BTreeMap<PublicKey, SessionId>) {
        let session = |peer: &PublicKey| sessions.get(peer).map(|session| (*peer, *session));
        self.sessions = self.messages.keys().filter_map(session).collect();
    }

    /// Whether there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.answers.is_empty()
            && self.ledger.is_empty()
            && self.views.is_empty()
            && self.guarded.is_empty()
            && self.forgotten.is_empty()
            && self.claimed.is_empty()
            && self.last.is_none()
    }
}
