//! A node whose network is carried by hand, and whose time is given to it: the simulator's first layer.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::time::Duration;

use towpath_crypto::ed25519::PublicKey;
use towpath_protocol::Message;
use towpath_store::MemoryDisk;

use super::wired::{Wired, load};
use super::{Draw, Ended, Host, Moment};
use crate::clock;
use crate::entropy;
use crate::net::{Offence, Sent, SteppedNet, Topic};
use crate::tower::Input as TowerInput;
use crate::worker::{Input, Load};

/// One process of a node; dropped, it is as if it had been killed.
pub struct Process {
    wired: Wired,
    net: SteppedNet,
}

impl Deref for Process {
    type Target = Wired;

    fn deref(&self) -> &Wired {
        &self.wired
    }
}

impl Process {
    /// Starts a node on what is on its disk, at `time`. Must be called within a tokio runtime of this thread, which is to
    /// be run between steps.
    ///
    /// # Errors
    /// [`Ended`]: what kept it from starting.
    pub fn start(host: &Host, disk: &MemoryDisk, time: Moment, draw: Draw) -> Result<Self, Ended> {
        clock::step_to(time);
        entropy::step_from(draw.run);
        let (handle, net) = SteppedNet::new(host.seed.node_key().public());
        let wired = Wired::start(host, load(disk)?, handle, draw)?;
        Ok(Self { wired, net })
    }

    /// Lets the ledger driver do what it can. What it decides is written at once, and with it whatever waits.
    ///
    /// # Errors
    /// [`Ended`]: the process must end.
    pub fn step_ledger(&mut self, time: Moment) -> Result<bool, Ended> {
        clock::step_to(time);
        self.wired.step_ledger()
    }

    /// One turn of each worker, which is not written before [`Self::write`].
    ///
    /// # Errors
    /// [`Ended`]: the process must end.
    pub fn step_workers(&mut self, time: Moment) -> Result<bool, Ended> {
        clock::step_to(time);
        self.wired.step_workers()
    }

    /// One turn of the tower, which writes at once, and with it whatever waits.
    ///
    /// # Errors
    /// [`Ended`]: the process must end.
    pub fn step_tower(&mut self, time: Moment) -> Result<bool, Ended> {
        clock::step_to(time);
        self.wired.step_tower()
    }

    /// Writes what waits as one group, synced, and releases what depends on it. Whether anything waited.
    ///
    /// # Errors
    /// [`Ended`]: the disk failed, and the process must end.
    pub fn write(&mut self, time: Moment) -> Result<bool, Ended> {
        clock::step_to(time);
        self.wired.write()
    }

    /// Until the next thing is due; none if nothing is. A real node looks around by itself every half second all the same.
    #[must_use]
    pub fn due_in(&self, time: Moment) -> Option<Duration> {
        clock::step_to(time);
        self.wired.due_in()
    }

    /// What it wants of the network by now.
    pub fn sent(&mut self) -> Vec<Sent> {
        self.net.take()
    }

    /// A channel session with `node` begins.
    pub fn session_up(&mut self, node: PublicKey) {
        let session = self.net.open(node);
        self.wired.parts().tower.offer(TowerInput::SessionUp(node));
        self.to_worker(&node, Input::SessionUp(node, session));
    }

    /// It ended.
    pub fn session_down(&mut self, node: PublicKey) {
        self.net.close(&node);
        self.wired.parts().tower.offer(TowerInput::SessionDown(node));
        self.to_worker(&node, Input::SessionDown(node));
    }

    /// These nodes are connected, and no others.
    pub fn connected(&mut self, nodes: &BTreeSet<PublicKey>) {
        self.net.connect(nodes);
        self.wired.driver().peers();
    }

    /// Channel messages of a peer, in one frame; they are routed as those of a real network. Whether all of them found
    /// room: the real network waits where this one does not.
    pub fn hear(&mut self, peer: PublicKey, messages: &[Vec<u8>]) -> bool {
        let load = Load::of(messages.len(), messages.iter().map(Vec::len).sum());
        let decoded: Result<Vec<_>, _> = messages.iter().map(|bytes| Message::decode(bytes)).collect();
        let Ok(messages) = decoded else {
            self.wired.parts().net.end_session(peer, Offence::Malformed);
            return true;
        };
        let Some(credit) = SteppedNet::credit() else { return false };
        let mut for_channels = Vec::with_capacity(messages.len());
        for message in messages {
            match message {
                // The tower may be busy: its peers say again what is lost.
                Message::Tower(message) => drop(self.wired.parts().tower.hear(peer, message, credit.clone())),
                message => for_channels.push(message),
            }
        }
        for_channels.is_empty()
            || self.to_worker(&peer, Input::Messages { peer, messages: for_channels, credit, load })
    }

    fn to_worker(&self, peer: &PublicKey, input: Input) -> bool {
        self.wired.parts().workers.offer(peer, input).is_ok()
    }

    /// A gossip message with a number of the caller's.
    pub fn gossip(&mut self, topic: Topic, from: PublicKey, number: u64, bytes: Vec<u8>, time: Moment) {
        clock::step_to(time);
        if let Some(id) = SteppedNet::name(number, &from) {
            self.wired.driver_mut().gossip(topic, from, id, bytes);
        }
    }

    /// The answer to a peer that asks for blocks.
    #[must_use]
    pub fn serve(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.wired.driver().serve(bytes)
    }
}
