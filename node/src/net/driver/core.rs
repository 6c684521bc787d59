//! The driver's state and its loop: a command, an event of the swarm, a finished task or a deadline at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::{PeerId, Swarm};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::channels::{Done, Secured};
use super::peers::Connected;
use super::sync::Exchanges;
use crate::net::behaviour::Towpath;
use crate::net::budget::Budgets;
use crate::net::channel::secure::Keys;
use crate::net::channel::slots::Slots;
use crate::net::dialer::Dialer;
use crate::net::event::EventSenders;
use crate::net::gossip::Topics;
use crate::net::handle::{Command, Shared};
use crate::net::identity::NodeId;
use crate::net::limits::GOODBYE_TIMEOUT;
use crate::net::metrics::Counters;
use crate::net::schedule::Schedule;

/// The driver.
pub(crate) struct Driver {
    pub(super) local: NodeId,
    pub(super) version: String,
    pub(super) swarm: Swarm<Towpath>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// For answers to sync requests; weak, so that the driver stops when the last handle is gone.
    pub(super) commands_sender: mpsc::WeakSender<Command>,
    pub(super) events: EventSenders,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<Counters>,
    pub(super) keys: Arc<Keys>,
    pub(super) dialer: Dialer,
    pub(super) topics: Topics,
    pub(super) slots: Slots<Secured>,
    pub(super) opening: BTreeMap<u64, CancellationToken>,
    pub(super) attempts: Budgets,
    pub(super) exchanges: Exchanges,
    pub(super) connected: BTreeMap<PeerId, Connected>,
    /// When peers of other chains are sent away.
    pub(super) partings: Schedule<PeerId>,
    /// When peers are disconnected that have not said what gossip they listen to.
    pub(super) unsubscribed: Schedule<PeerId>,
    /// How long they have for it.
    pub(super) subscribe_timeout: Duration,
    /// Lookups of wanted nodes under way.
    pub(super) lookups: usize,
    pub(super) tasks: JoinSet<Done>,
    pub(super) shutdown: CancellationToken,
}

impl Driver {
    /// Runs until the node asks for the end, or no handle is left.
    pub(crate) async fn run(mut self) {
        loop {
            let deadline = self.next_deadline();
            tokio::select! {
                command = self.commands.recv() => match command {
                    None | Some(Command::Shutdown) => break,
                    Some(command) => self.on_command(command),
                },
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(done) = self.tasks.join_next() => self.on_done(finished(done)),
                () = at(deadline) => self.on_deadline(Instant::now()),
            }
        }
        self.stop().await;
    }

    async fn stop(&mut self) {
        self.shutdown.cancel();
        self.slots.close_all();
        while let Some(done) = self.tasks.join_next().await {
            drop(finished(done));
        }
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // Gone already is what is wanted.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let goodbyes = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        // Whoever does not close in time is cut off.
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, goodbyes).await;
    }

    fn next_deadline(&self) -> Option<Instant> {
        let (dialer, slots) = (self.dialer.next_deadline(), self.slots.next_deadline());
        [dialer, slots, self.partings.next(), self.unsubscribed.next()].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, now: Instant) {
        self.dial_due(now);
        self.part_with_foreign(now);
        self.part_with_unsubscribed(now);
        while let Some(node) = self.slots.pop_due(now) {
            self.open_session(node);
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Want { node, addresses, done } => {
                // Whoever asked may have stopped waiting.
                let _ = done.send(self.want(node, addresses));
            }
            Command::Unwant { node } => self.unwant(&node),
            Command::Publish { topic, bytes } => self.publish(topic, bytes),
            Command::Report { id, verdict } => self.report(&id, verdict),
            Command::Request { node, bytes, done } => self.request(node, bytes, done),
            Command::Respond { to, channel, response } => self.respond(&to, channel, response),
            Command::Score { node, done } => {
                let _ = done.send(self.score(&node));
            }
            // The loop ends on it.
            Command::Shutdown => {}
        }
    }

    pub(super) fn is_wanted(&self, peer: &PeerId) -> bool {
        self.dialer.is_wanted(peer)
    }
}

/// What a task gave. A panic in a task is a panic of the whole: nothing goes on with a part missing (FAULTS N14).
fn finished(done: Result<Done, JoinError>) -> Done {
    match done {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Tasks are never aborted; only the end of the runtime does that.
            Err(_) => Done::Aborted,
        },
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
