//! Sync requests: ours to others, and theirs to us within what a peer may cost (FAULTS N11).

use std::collections::BTreeMap;

use libp2p::PeerId;
use libp2p::request_response::{
    Event, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::core::Driver;
use crate::net::budget::Budgets;
use crate::net::error::NetError;
use crate::net::event::NetEvent;
use crate::net::handle::SyncReply;
use crate::net::identity::{NodeId, node_of, peer_of};
use crate::net::limits::{
    BUDGETS_MAX, SYNC_ASKED_MAX, SYNC_ASKED_PER_PEER_MAX, SYNC_BUDGET_BYTES, SYNC_BUDGET_BYTES_PER_SECOND,
    SYNC_SERVED_MAX, SYNC_SERVED_PER_PEER_MAX,
};
use crate::net::sync::Response;
use crate::net::text::shown;

type Answer = oneshot::Sender<Result<Vec<u8>, NetError>>;

/// What is under way.
#[derive(Debug)]
pub(super) struct Exchanges {
    served: BTreeMap<InboundRequestId, PeerId>,
    asked: BTreeMap<OutboundRequestId, (NodeId, Answer)>,
    budgets: Budgets,
}

impl Exchanges {
    pub(super) fn new() -> Self {
        let budgets = Budgets::new(SYNC_BUDGET_BYTES, SYNC_BUDGET_BYTES_PER_SECOND, BUDGETS_MAX);
        Self { served: BTreeMap::new(), asked: BTreeMap::new(), budgets }
    }

    /// Whether a request of `peer` may be served now.
    fn admits(&mut self, peer: &PeerId, now: Instant) -> bool {
        let of_peer = self.served.values().filter(|other| *other == peer).count();
        self.served.len() < SYNC_SERVED_MAX
            && of_peer < SYNC_SERVED_PER_PEER_MAX
            && self.budgets.has_any(peer, now)
    }

    fn may_ask(&self, node: &NodeId) -> bool {
        let of_node = self.asked.values().filter(|(other, _)| other == node).count();
        self.asked.len() < SYNC_ASKED_MAX && of_node < SYNC_ASKED_PER_PEER_MAX
    }
}

impl Driver {
    pub(super) fn request(&mut self, node: NodeId, bytes: Vec<u8>, done: Answer) {
        let refusal = match peer_of(&node) {
            Err(error) => error,
            Ok(peer) if !self.swarm.is_connected(&peer) => NetError::NotConnected(node),
            Ok(_) if !self.exchanges.may_ask(&node) => NetError::PeerBusy(node),
            Ok(peer) => {
                let id = self.swarm.behaviour_mut().sync.send_request(&peer, bytes);
                self.exchanges.asked.insert(id, (node, done));
                return;
            }
        };
        // Whoever asked may have stopped waiting.
        let _ = done.send(Err(refusal));
    }

    pub(super) fn respond(&mut self, to: &PeerId, channel: ResponseChannel<Response>, response: Response) {
        if let Response::Answer(bytes) = &response {
            let cost = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.exchanges.budgets.spend(to, cost, Instant::now());
        }
        // The peer may have gone; an event says so.
        let _ = self.swarm.behaviour_mut().sync.send_response(channel, response);
    }

    pub(super) fn on_sync(&mut self, event: Event<Vec<u8>, Response>) {
        match event {
            Event::Message { peer, message: Message::Request { request_id, request, channel }, .. } => {
                self.on_request(peer, request_id, request, channel);
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                self.finish(request_id, |node| match response {
                    Response::Answer(bytes) => Ok(bytes),
                    Response::Busy => Err(NetError::PeerBusy(node)),
                });
            }
            Event::OutboundFailure { request_id, error, .. } => {
                self.finish(request_id, |node| Err(failure(node, &error)));
            }
            Event::InboundFailure { request_id, .. } | Event::ResponseSent { request_id, .. } => {
                self.exchanges.served.remove(&request_id);
            }
        }
    }

    fn finish(&mut self, id: OutboundRequestId, outcome: impl FnOnce(NodeId) -> Result<Vec<u8>, NetError>) {
        if let Some((node, done)) = self.exchanges.asked.remove(&id) {
            let _ = done.send(outcome(node));
        }
    }

    fn on_request(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        bytes: Vec<u8>,
        channel: ResponseChannel<Response>,
    ) {
        let admitted = self.exchanges.admits(&peer, Instant::now());
        let (true, Some(from)) = (admitted, node_of(&peer)) else {
            self.counters.sync_refused.add(1);
            self.respond(&peer, channel, Response::Busy);
            return;
        };
        let reply = SyncReply { to: peer, channel, commands: self.commands_sender.clone() };
        match self.events.notices.try_send(NetEvent::SyncRequest { from, bytes, reply }) {
            Ok(()) => {
                self.counters.sync_served.add(1);
                self.exchanges.served.insert(id, peer);
            }
            // Dropping the reply refuses the request.
            Err(_) => self.counters.sync_refused.add(1),
        }
    }
}

fn failure(node: NodeId, error: &OutboundFailure) -> NetError {
    match error {
        OutboundFailure::Timeout => NetError::Timeout(node),
        OutboundFailure::DialFailure => NetError::NotConnected(node),
        OutboundFailure::ConnectionClosed
        | OutboundFailure::UnsupportedProtocols
        | OutboundFailure::Io(_) => NetError::Request { node, reason: shown(&error.to_string()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::limits::SYNC_RESPONSE_BYTES_MAX;

    fn peer(seed: u8) -> PeerId {
        crate::net::identity::keypair(&[seed; 32]).unwrap().public().to_peer_id()
    }

    #[test]
    fn n11_a_peer_that_has_taken_its_share_waits_and_others_do_not() {
        let now = Instant::now();
        let mut exchanges = Exchanges::new();
        let answer = u64::try_from(SYNC_RESPONSE_BYTES_MAX).unwrap();
        let mut answers = 0;
        while exchanges.admits(&peer(1), now) {
            exchanges.budgets.spend(&peer(1), answer, now);
            answers += 1;
        }
        assert_eq!(answers, SYNC_BUDGET_BYTES / answer);
        assert!(exchanges.admits(&peer(2), now));
        assert!(exchanges.admits(&peer(1), now + std::time::Duration::from_secs(1)));
    }
}
