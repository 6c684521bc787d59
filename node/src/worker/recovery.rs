//! Recovery in a worker's hands: distrusted channels, channels of which only the ledger's output is left, and the search
//! for the newest states of both.

use std::collections::VecDeque;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChainId, ChannelId, CoSigned, Lock};
use towpath_protocol::{Channel, ChannelMessage, Event, Evidence, Origin, RecoveryEvent};
use towpath_store::{Column, after_prefix};

use super::Input;
use super::held::{Held, NodeRow};
use super::run::Worker;
use super::turn::Turn;
use crate::clock;
use crate::limits;
use crate::recovery::{Found, NOBODY, Record, SEARCH_MAX, terms_of};

/// What a search for the newest states of a channel comes upon.
#[derive(Debug)]
pub enum Searched {
    /// A source keeps this.
    Found(Box<Record>),
    /// The replica of the ledger is up to date, and since then all have answered, or had their time.
    Done,
}

/// The state that a message shows, with both signatures.
fn shown(message: &ChannelMessage) -> Option<CoSigned> {
    match message {
        ChannelMessage::Reestablish(theirs) => Some(theirs.newest.clone()),
        ChannelMessage::Recover(theirs) => theirs.newest.as_ref().map(Evidence::co_signed),
        ChannelMessage::Resume(theirs) => Some(theirs.newest.co_signed()),
        ChannelMessage::Created(_)
        | ChannelMessage::Witnesses(_)
        | ChannelMessage::Propose(_)
        | ChannelMessage::Ack(_)
        | ChannelMessage::Request(_)
        | ChannelMessage::Refuse(_)
        | ChannelMessage::Resend(_)
        | ChannelMessage::Close
        | ChannelMessage::Resize(_)
        | ChannelMessage::ResizeAgreed(_) => None,
    }
}

/// Whether both parties of the channel that was found signed what is shown.
fn is_of(found: &Found, shown: &CoSigned, chain: &ChainId) -> bool {
    let Some(terms) = terms_of(&found.entry.output.lock) else { return false };
    shown.state.channel == terms.id
        && shown.a.check(&terms.key_a, chain, &shown.state).verify()
        && shown.b.check(&terms.key_b, chain, &shown.state).verify()
}

impl Worker {
    /// After a loss of data: what was restored is not known to be the newest.
    pub(super) fn distrust_all(&mut self, turn: &mut Turn) {
        for id in self.channels.keys().copied().collect::<Vec<_>>() {
            self.step(id, Event::Recovery(RecoveryEvent::Distrust), turn).ok();
        }
    }

    /// A peer speaks of a channel that is on the ledger with a key of this node, and that this node has nothing of. If it
    /// shows a state that both parties signed, it is the other party, or stands for it: it can do no more than show states
    /// until it signs with that party's key.
    pub(super) fn claim(
        &mut self,
        peer: PublicKey,
        id: ChannelId,
        message: &ChannelMessage,
        turn: &mut Turn,
    ) -> bool {
        let chain = self.parts.chain_id;
        let proves = |found: &Found| shown(message).is_some_and(|shown| is_of(found, &shown, &chain));
        let Some(found) = self.parts.unclaimed.take(&id, proves) else { return false };
        self.rebuild(found, peer, turn)
    }

    /// A peer says only once a session what it holds, and this node's search of the ledger may take longer.
    pub(super) fn keep_unknown(&mut self, peer: PublicKey, id: ChannelId, message: &ChannelMessage) {
        if shown(message).is_none() || !self.sessions.contains(&peer) {
            return;
        }
        let kept = self.unknown.entry(peer).or_default();
        if kept.len() < limits::UNKNOWN_CHANNELS_PER_PEER {
            kept.insert(id, message.clone());
        }
    }

    /// The ledger shows a channel that peers may have spoken of before.
    pub(super) fn claim_unknown(&mut self, id: ChannelId, turn: &mut Turn) {
        let said: Vec<_> = self
            .unknown
            .iter_mut()
            .filter_map(|(peer, kept)| kept.remove(&id).map(|message| (*peer, message)))
            .collect();
        for (peer, message) in said {
            self.hear_channel(peer, id, message, turn);
        }
    }

    /// Takes a channel into its care of which this node has nothing, or nothing that can be read.
    pub(super) fn rebuild(&mut self, found: Found, peer: PublicKey, turn: &mut Turn) -> bool {
        let Found { channel: id, outpoint, entry, key_index } = found;
        if self.channels.contains_key(&id) {
            turn.release.claimed.push(id);
            return true;
        }
        let (created, output) = (entry.time, entry.output);
        let closing = match &output.lock {
            Lock::Closing(closing) => Some(closing.clone()),
            Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => None,
        };
        let origin = Origin { chain: self.parts.chain_id, outpoint, output, peer, key_index };
        let channel = match Channel::rebuild(origin, self.parts.keys.signer(key_index), turn.now) {
            Ok(channel) => channel,
            Err(error) => {
                tracing::error!(channel = %id, %error, "a channel cannot be rebuilt");
                return false;
            }
        };
        // Whatever was left of its rows could not be read.
        if let Some(end) = after_prefix(&id.0.0) {
            turn.entry.batch.delete_range(Column::Channels, id.0.0, end);
        }
        self.adopt(Held::new(channel, NodeRow::new(turn.now.local_ms), VecDeque::new()));
        turn.release.claimed.push(id);
        self.keep_word(&peer, turn);
        self.reserve_key(peer, key_index, turn);
        self.touch(id, turn);
        if self.sessions.contains(&peer) {
            self.step(id, Event::Connected, turn).ok();
        }
        if let Some(closing) = closing {
            let event = self.closing_event(outpoint, created, &closing, turn);
            self.step(id, Event::Ledger(event), turn).ok();
        }
        true
    }

    /// Looks for newer states of a channel that is lost, once.
    pub(super) fn search_for(&mut self, id: ChannelId) {
        let Some(held) = self.channels.get_mut(&id).filter(|held| held.channel.is_lost() && !held.searching)
        else {
            return;
        };
        held.searching = true;
        tracing::warn!(channel = %id, "the channel is in recovery: nothing is signed or closed for it");
        let (peer, terms) = (*held.channel.peer(), held.channel.terms().clone());
        let key_index = held.channel.key_index();
        let (sources, workers) = (self.parts.sources.clone(), self.parts.workers.clone());
        let mut current = self.parts.current.clone();
        self.parts.runtime.spawn(async move {
            let tell = async |what: Searched| {
                workers.push(&peer, Input::Searched { channel: id, what }).await;
            };
            let ask = async || {
                let _turn = sources.turn().await;
                let all = sources.all();
                let mut answers: FuturesUnordered<_> =
                    all.iter().map(|source| source.find(&terms, key_index)).collect();
                let gather = async {
                    while let Some(records) = answers.next().await {
                        for record in records {
                            tell(Searched::Found(Box::new(record))).await;
                        }
                    }
                };
                if clock::within(SEARCH_MAX, gather).await.is_none() {
                    tracing::warn!(channel = %id, "not all who may keep states of the channel have answered");
                }
            };
            // At once, as the channel may be closing; and again when the replica is up to date: at the start of a process there
            // is hardly a session yet, and whoever keeps something has its time from when this node is among others.
            if !*current.borrow() {
                tokio::select! {
                    biased;
                    () = ask() => {}
                    _ = current.wait_for(|is_current| *is_current) => {}
                }
            }
            // The peer is asked for versions above all that time allows: not by the time of a replica that is still catching
            // up, since a process before this one may have lived, and signed, in the time that is missing (SPEC P-53).
            if current.wait_for(|is_current| *is_current).await.is_ok() {
                ask().await;
                tell(Searched::Done).await;
            }
        });
    }

    /// What the search came upon.
    pub(super) fn on_searched(&mut self, id: ChannelId, what: Searched, turn: &mut Turn) {
        let event = match what {
            Searched::Found(record) => RecoveryEvent::Found(Box::new(record.evidence)),
            Searched::Done => RecoveryEvent::Searched,
        };
        if let Err(reject) = self.step(id, Event::Recovery(event), turn) {
            tracing::warn!(channel = %id, %reject, "a record of the channel is not taken");
        }
    }

    /// A channel that waits for its peer is being closed on the ledger: from now on it needs none.
    pub(super) fn claim_closing(&mut self, id: ChannelId, turn: &mut Turn) {
        if super::Workers::place(&NOBODY, self.parts.workers.count()) != usize::from(self.place) {
            return;
        }
        if let Some(found) = self.parts.unclaimed.take(&id, |_| true) {
            self.rebuild(found, NOBODY, turn);
        }
    }
}
