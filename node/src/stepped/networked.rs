//! A node with its real network, over a carrier in place of sockets: the simulator's second layer. Time and random bytes
//! are the system's, as in a real node: the simulation stands behind the system.

use std::ops::Deref;
use std::time::Duration;

use libp2p::Multiaddr;
use tokio::task::JoinHandle;
use towpath_store::MemoryDisk;

use super::wired::{Wired, load};
use super::{Draw, Ended, Host, ended};
use crate::ledger::{Ingress, SteppedIngress};
use crate::limits;
use crate::net::{self, Carrier, ConnectionLimits, Mdns, NetConfig};
use crate::route::route;

/// How often the parts go on while the network ends: somebody may wait for room with one of them.
const TURN: Duration = Duration::from_millis(1);

/// How a node is connected.
pub struct Wires {
    /// What stands in for sockets.
    pub carrier: Carrier,
    /// Where it listens.
    pub listen: Vec<Multiaddr>,
    /// Nodes through which it finds the others.
    pub bootstrap: Vec<Multiaddr>,
    /// Bounds on its connections.
    pub limits: ConnectionLimits,
}

/// One process of a node; dropped with its runtime, it is as if it had been killed.
pub struct Networked {
    wired: Wired,
    ingress: SteppedIngress,
    router: JoinHandle<()>,
}

impl Deref for Networked {
    type Target = Wired;

    fn deref(&self) -> &Wired {
        &self.wired
    }
}

impl Networked {
    /// Starts a node on what is on its disk, in the runtime that this is called in.
    ///
    /// # Errors
    /// [`Ended`]: what kept it from starting.
    pub async fn start(host: &Host, disk: &MemoryDisk, wires: Wires) -> Result<Self, Ended> {
        let loaded = load(disk)?;
        let config = NetConfig {
            identity: *host.seed.node_secret(),
            session_key: *host.seed.session_key(),
            chain: host.genesis.chain_id(),
            listen: wires.listen,
            bootstrap: wires.bootstrap,
            mdns: Mdns::Off,
            limits: wires.limits,
            subscribe_timeout: crate::net::limits::SUBSCRIBE_TIMEOUT,
            seed: rand::random(),
        };
        let (net, events) = net::spawn_over(config, wires.carrier).map_err(ended)?;
        let draw = Draw { instance: rand::random(), run: rand::random() };
        let wired = Wired::start(host, loaded, net.clone(), draw)?;
        let parts = wired.parts();
        for peer in &wired.workers().peers {
            net.want(*peer, Vec::new()).await.map_err(ended)?;
        }
        let params = host.genesis.params.clone();
        let (ingress, stepped) = Ingress::by_hand(&parts.chain, params, parts.ledger.clone(), net.clone());
        let ways = (parts.workers.clone(), parts.tower.clone());
        let router = tokio::spawn(route(events, net, ways, ingress));
        Ok(Self { wired, ingress: stepped, router })
    }

    /// One turn of each part that has a thread in a real node; whether any had something to do.
    ///
    /// # Errors
    /// [`Ended`]: the process must end.
    pub fn step(&mut self) -> Result<bool, Ended> {
        let heard = self.ingress.step();
        let ledger = self.wired.step_ledger()?;
        let workers = self.wired.step_workers()?;
        let tower = self.wired.step_tower()?;
        Ok(heard || ledger || workers || tower)
    }

    /// Writes what waits as one group, synced, and releases what depends on it. Whether anything waited.
    ///
    /// # Errors
    /// [`Ended`]: the disk failed, and the process must end.
    pub fn write(&mut self) -> Result<bool, Ended> {
        self.wired.write()
    }

    /// Ends it in good order, as [`crate::run`] does: the network first, then what it feeds, then what they still write.
    ///
    /// # Errors
    /// [`Ended`]: the disk failed, or a part did not end in the time that a real node gives it.
    pub async fn stop(mut self) -> Result<(), Ended> {
        let net = self.wired.parts().net.clone();
        let mut flow = std::pin::pin!(tokio::time::timeout(limits::SHUTDOWN, net.shutdown()));
        loop {
            tokio::select! {
                biased;
                in_time = &mut flow => {
                    in_time.map_err(|_late| Ended("the network did not end in time".to_owned()))?;
                    break;
                }
                () = tokio::time::sleep(TURN) => self.go_on()?,
            }
        }
        let late = tokio::time::Instant::now() + limits::SHUTDOWN;
        while !self.router.is_finished() {
            if tokio::time::Instant::now() >= late {
                return Err(Ended("what came from the network found no room in time".to_owned()));
            }
            self.go_on()?;
            tokio::time::sleep(TURN).await;
        }
        self.router.await.map_err(ended)?;
        while self.wired.unwritten() > 0 || self.wired.parts().workers.waiting() > 0 {
            self.wired.step_workers()?;
            self.wired.write()?;
        }
        Ok(())
    }

    fn go_on(&mut self) -> Result<(), Ended> {
        self.step()?;
        self.write()?;
        Ok(())
    }
}
