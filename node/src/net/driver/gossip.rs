//! Gossip in and out, and what becomes of a peer whose messages are rejected.

use libp2p::{PeerId, gossipsub};
use tokio::time::Instant;

use super::core::Driver;
use crate::net::event::{GossipId, NetEvent, Verdict};
use crate::net::gossip::{self, GRAYLIST, Topic};
use crate::net::identity::{NodeId, node_of, peer_of};
use crate::net::limits::{BAN_MISBEHAVED, EVENTS_MAX};

impl Driver {
    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(GossipId { id: message_id, source: propagation_source }, message);
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "a peer does not take our gossip fast enough");
            }
            gossipsub::Event::Subscribed { peer_id, .. }
            | gossipsub::Event::GossipsubNotSupported { peer_id } => self.unsubscribed.clear(&peer_id),
            gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    /// Ends all connections with peers that speak gossip and have not said what they listen to: nothing that is published would
    /// ever be sent to them. Gossipsub says it on the first connection with a peer, and a peer that has not noticed the end of
    /// an earlier one takes ours for a further one (N-12a). With none left both sides begin anew.
    pub(super) fn part_with_unsubscribed(&mut self, now: Instant) {
        while let Some(peer) = self.unsubscribed.pop_due(now) {
            tracing::debug!(%peer, "listens to no gossip: connecting anew");
            // Gone already is what is wanted.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    fn on_message(&mut self, id: GossipId, message: gossipsub::Message) {
        let topic = self.topics.topic(&message.topic);
        let content = topic.and_then(|topic| Some((topic, gossip::unwrap(topic, message.data)?)));
        let (Some((topic, bytes)), Some(from)) = (content, node_of(&id.source)) else {
            self.report(&id, Verdict::Reject);
            return;
        };
        if !self.has_room(topic) {
            self.counters.gossip_dropped.add(1);
            self.report(&id, Verdict::Ignore);
            return;
        }
        let event = NetEvent::Gossip { topic, from, id: id.clone(), bytes };
        match self.events.notices.try_send(event) {
            Ok(()) => self.counters.gossip_received.add(1),
            Err(_) => {
                self.counters.gossip_dropped.add(1);
                self.report(&id, Verdict::Ignore);
            }
        }
    }

    /// Transactions and announcements leave half of the lane to consensus.
    fn has_room(&self, topic: Topic) -> bool {
        match topic {
            Topic::Consensus => true,
            Topic::Transactions | Topic::ChannelAnnouncements => {
                self.events.notices.capacity() > EVENTS_MAX / 2
            }
        }
    }

    pub(super) fn publish(&mut self, topic: Topic, bytes: Vec<u8>) {
        let Some(hash) = self.topics.hash(topic) else { return };
        let wire = self.topics.wrap(topic, bytes, crate::clock::now_ms());
        match self.swarm.behaviour_mut().gossip.publish(hash, wire) {
            Ok(_) => self.counters.gossip_published.add(1),
            Err(error) => {
                tracing::debug!(topic = topic.name(), %error, "not published");
                self.counters.gossip_unpublished.add(1);
            }
        }
    }

    pub(super) fn report(&mut self, id: &GossipId, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => gossipsub::MessageAcceptance::Accept,
            Verdict::Ignore => gossipsub::MessageAcceptance::Ignore,
            Verdict::Reject => gossipsub::MessageAcceptance::Reject,
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&id.id, &id.source, acceptance);
        if verdict == Verdict::Reject {
            self.counters.gossip_rejected.add(1);
            self.judge(id.source);
        }
    }

    /// A stranger below the graylist is thrown out. A wanted node is only no longer listened to: its channels go on.
    fn judge(&mut self, peer: PeerId) {
        let score = self.swarm.behaviour().gossip.peer_score(&peer).unwrap_or_default();
        if score < GRAYLIST && !self.is_wanted(&peer) {
            tracing::warn!(%peer, score, "banned a peer for invalid gossip");
            self.swarm.behaviour_mut().admission.ban(peer, Instant::now() + BAN_MISBEHAVED);
            // Already gone is as good.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    pub(super) fn score(&self, node: &NodeId) -> Option<f64> {
        let peer = peer_of(node).ok()?;
        if !self.swarm.is_connected(&peer) {
            return None;
        }
        self.swarm.behaviour().gossip.peer_score(&peer)
    }
}
