//! The workers without their threads: stepped by hand, turn by turn, in the order of their places.

use std::time::Duration;

use tokio::sync::mpsc;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;
use towpath_protocol::Channel;

use super::Input;
use super::run::{More, Parts, Worker, gather};
use super::start::{Restored, StartError, Trust, restore};

/// All workers of a node; see the module.
pub struct SteppedWorkers {
    workers: Vec<Stepped>,
    /// Channels whose rows cannot be used, and why.
    pub damaged: Vec<(ChannelId, String)>,
    /// Peers with channels that are not settled.
    pub peers: Vec<PublicKey>,
}

struct Stepped {
    worker: Worker,
    inbox: mpsc::Receiver<Input>,
}

impl SteppedWorkers {
    /// Restores all channels, and looks at what the ledger did since.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        parts: &Parts,
        inboxes: Vec<mpsc::Receiver<Input>>,
        trust: Trust,
    ) -> Result<Self, StartError> {
        let Restored { starts, damaged, peers } = restore(parts, inboxes.len(), trust)?;
        let started = starts.into_iter().zip(inboxes).map(|(start, inbox)| {
            let mut worker = Worker::new(parts.clone(), start);
            worker.reconcile();
            Stepped { worker, inbox }
        });
        Ok(Self { workers: started.collect(), damaged, peers: peers.into_iter().collect() })
    }

    /// One turn of each worker for whose turn there is room: what an earlier one wrote may have to be written first.
    /// Whether anything came in.
    pub fn step(&mut self) -> bool {
        let mut is_any = false;
        for stepped in &mut self.workers {
            is_any |= stepped.turn();
        }
        is_any
    }

    /// Until the next thing is due; none if nothing is.
    #[must_use]
    pub fn due_in(&self) -> Option<Duration> {
        self.workers.iter().filter_map(|stepped| stepped.worker.due_in()).min()
    }

    /// All channels, as the workers have them in memory: what the last turns did may not be durable yet.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.workers.iter().flat_map(|stepped| stepped.worker.channels.values().map(|held| &held.channel))
    }

    /// One of them.
    #[must_use]
    pub fn channel(&self, id: &ChannelId) -> Option<&Channel> {
        self.workers.iter().find_map(|stepped| stepped.worker.channels.get(id)).map(|held| &held.channel)
    }
}

impl Stepped {
    fn turn(&mut self) -> bool {
        if !self.worker.has_room() {
            return false;
        }
        let mut inputs = Vec::new();
        // Nobody stops it: it is dropped.
        let (More::Run | More::Stop) = gather(&mut inputs, &mut self.inbox);
        let is_any = !inputs.is_empty();
        self.worker.turn(inputs);
        is_any
    }
}
