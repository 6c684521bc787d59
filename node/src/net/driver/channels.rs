//! Channel sessions: streams from the swarm to handshakes, handshakes to sessions, each in a task of its own.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use super::core::Driver;
use crate::net::channel::outbox::{Outbox, outbox};
use crate::net::channel::secure::{HandshakeError, Opener, Sealer, handshake};
use crate::net::channel::session::{Patience, Session};
use crate::net::channel::slots::{Attempt, Side, Start};
use crate::net::channel::streams::{Attached, StreamEvent};
use crate::net::event::{DownReason, SessionId};
use crate::net::identity::{NodeId, node_of, peer_of};
use crate::net::limits::HANDSHAKE_TIMEOUT;

/// A stream whose handshake has succeeded.
pub(crate) struct Secured {
    stream: Attached,
    sealer: Sealer,
    opener: Opener,
}

/// How a task of the driver ended.
pub(crate) enum Done {
    Handshake {
        node: NodeId,
        attempt: u64,
        outcome: Result<Box<Secured>, HandshakeError>,
    },
    /// The attempt was given up.
    Cancelled,
    Session {
        node: NodeId,
        session: u64,
        outbox: Outbox,
        reason: DownReason,
    },
    /// The runtime ended.
    Aborted,
}

impl Driver {
    /// Opens a session with a wanted node that is connected, unless there is one.
    pub(super) fn open_session(&mut self, node: NodeId) {
        let Ok(peer) = peer_of(&node) else { return };
        if !self.is_wanted(&peer) || !self.swarm.is_connected(&peer) {
            self.slots.tidy(&node);
            return;
        }
        if let Some(attempt) = self.slots.open(node) {
            self.opening.insert(attempt.id, attempt.cancel);
            self.swarm.behaviour_mut().streams.open(peer, attempt.id);
        }
    }

    pub(super) fn on_stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Inbound { peer, stream } => {
                let Some(node) = node_of(&peer) else { return };
                if !self.attempts.take(&peer, Instant::now()) {
                    self.counters.sessions_failed.add(1);
                    return;
                }
                if let Some(attempt) = self.slots.on_inbound(node) {
                    self.shake_hands(node, attempt.clone(), Side::Accepter, stream);
                }
            }
            StreamEvent::Opened { peer, open, stream } => {
                let (Some(node), Some(cancel)) = (node_of(&peer), self.opening.remove(&open)) else { return };
                if self.slots.is_current(&node, open) {
                    self.shake_hands(node, Attempt::opened(open, cancel), Side::Opener, stream);
                }
            }
            StreamEvent::Failed { peer, open, reason } => {
                self.opening.remove(&open);
                if let Some(node) = node_of(&peer) {
                    tracing::debug!(?node, %reason, "no channel stream");
                    self.on_attempt_failed(node, open);
                }
            }
        }
    }

    fn shake_hands(&mut self, node: NodeId, attempt: Attempt, side: Side, mut stream: Attached) {
        let keys = Arc::clone(&self.keys);
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let outcome = tokio::select! {
                outcome = handshake(&mut stream.stream, side, &keys, node, HANDSHAKE_TIMEOUT) => outcome,
                () = attempt.cancel.cancelled() => return Done::Cancelled,
                () = shutdown.cancelled() => return Done::Cancelled,
            };
            let outcome = outcome.map(|(sealer, opener)| Box::new(Secured { stream, sealer, opener }));
            Done::Handshake { node, attempt: attempt.id, outcome }
        });
    }

    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::Handshake { node, attempt, outcome: Ok(secured) } => {
                if let Some(start) = self.slots.on_done(node, attempt, *secured, Instant::now()) {
                    self.start_session(node, start);
                }
            }
            Done::Handshake { node, attempt, outcome: Err(error) } => {
                tracing::debug!(?node, %error, "no channel session");
                self.on_attempt_failed(node, attempt);
            }
            Done::Session { node, session, outbox, reason } => {
                self.on_session_ended(node, session, &outbox, &reason)
            }
            Done::Cancelled | Done::Aborted => {}
        }
    }

    fn on_attempt_failed(&mut self, node: NodeId, attempt: u64) {
        self.counters.sessions_failed.add(1);
        if self.slots.on_failed(node, attempt, Instant::now()) {
            self.forget_stranger(&node);
        }
    }

    fn start_session(&mut self, node: NodeId, start: Start<Secured>) {
        let Start { id, stop, payload: Secured { stream, sealer, opener } } = start;
        let (outbox, queue) = outbox(SessionId(id));
        {
            let mut outboxes = self.shared.outboxes.write().unwrap_or_else(PoisonError::into_inner);
            outboxes.insert(node, outbox.clone());
            self.counters.sessions.set(outboxes.len());
        }
        self.counters.sessions_opened.add(1);
        let session = Session {
            id: SessionId(id),
            node,
            stream: stream.stream,
            sealer,
            opener,
            outbox: queue,
            events: self.events.channels.clone(),
            stop,
            gone: stream.gone,
            shutdown: self.shutdown.clone(),
            counters: Arc::clone(&self.counters),
            patience: Patience::default(),
        };
        self.tasks.spawn(async move {
            let reason = session.run().await;
            Done::Session { node, session: id, outbox, reason }
        });
    }

    fn on_session_ended(&mut self, node: NodeId, session: u64, outbox: &Outbox, reason: &DownReason) {
        tracing::debug!(?node, %reason, "a channel session ended");
        {
            let mut outboxes = self.shared.outboxes.write().unwrap_or_else(PoisonError::into_inner);
            if outboxes.get(&node).is_some_and(|current| current.is(outbox)) {
                outboxes.remove(&node);
            }
            self.counters.sessions.set(outboxes.len());
        }
        match self.slots.on_ended(node, session, Instant::now()) {
            Some(start) => self.start_session(node, start),
            None => self.forget_stranger(&node),
        }
    }

    /// No retry is kept for a node that nobody wants.
    fn forget_stranger(&mut self, node: &NodeId) {
        if !peer_of(node).is_ok_and(|peer| self.is_wanted(&peer)) {
            self.slots.tidy(node);
        }
    }
}
