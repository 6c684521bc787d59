//! A node's machine: what stays when its process dies, and the process while there is one. The process is a task of a
//! turmoil host, with its parts and its network; the world looks at it between two ticks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use libp2p::Multiaddr;
use tokio::time::sleep;
use towpath_crypto::ed25519::PublicKey;
use towpath_node::stepped::{Ended, Host, Networked, Wires};
use towpath_sim::rng::Rng;
use towpath_store::MemoryDisk;

use crate::carrier::{Lines, carrier};
use crate::plan::Plan;
use crate::{diary, shims};

/// What a process came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It ended by itself.
    Failed(Ended),
    /// It was asked to stop, and did.
    Stopped,
}

/// See the module.
pub struct Machine {
    /// Which.
    pub place: usize,
    /// Who it is.
    pub id: PublicKey,
    /// What stays the same over restarts.
    pub host: Host,
    /// Its disk.
    pub disk: MemoryDisk,
    /// Its process, once it has started.
    pub process: RefCell<Option<Networked>>,
    /// What the last process came to, if nobody has looked yet.
    pub end: RefCell<Option<End>>,
    /// The process is to stop in good order.
    pub is_asked_to_stop: Cell<bool>,
    /// Something happened in it since somebody looked.
    pub is_touched: Cell<bool>,
    /// It has started, and nobody has compared it with what it was before.
    pub is_new: Cell<bool>,
    /// Whether the host runs.
    pub is_on: Cell<bool>,
    /// A fault of its disk is to come: that it ends is no surprise.
    pub is_armed: Cell<bool>,
    listen: Multiaddr,
    bootstrap: Vec<Multiaddr>,
    plan: Plan,
    rng: RefCell<Rng>,
    write_at: Cell<Option<Duration>>,
}

impl Machine {
    /// A machine with an empty disk.
    pub fn new(
        place: usize,
        host: Host,
        (listen, bootstrap): (Multiaddr, Vec<Multiaddr>),
        plan: Plan,
        rng: Rng,
    ) -> Self {
        Self {
            place,
            id: host.seed.node_key().public(),
            host,
            disk: MemoryDisk::new(),
            process: RefCell::default(),
            end: RefCell::default(),
            is_asked_to_stop: Cell::default(),
            is_touched: Cell::default(),
            is_new: Cell::default(),
            is_on: Cell::new(true),
            is_armed: Cell::default(),
            listen,
            bootstrap,
            plan,
            rng: RefCell::new(rng),
            write_at: Cell::default(),
        }
    }

    /// A process, from its start to its end; killed when it is dropped.
    pub async fn live(self: Rc<Self>) -> turmoil::Result {
        let end = match self.start().await {
            Ok(()) => self.run().await,
            Err(ended) => End::Failed(ended),
        };
        self.process.borrow_mut().take();
        self.end.replace(Some(end));
        // The world sees it at the end of this tick, and takes the host down with what is left.
        std::future::pending().await
    }

    async fn start(&self) -> Result<(), Ended> {
        let wires = Wires {
            carrier: carrier(Lines { node: self.place, write_max: self.plan.write_max }),
            listen: vec![self.listen.clone()],
            bootstrap: self.bootstrap.clone(),
            limits: self.plan.limits,
        };
        let process = Networked::start(&self.host, &self.disk, wires).await?;
        self.process.replace(Some(process));
        self.is_new.set(true);
        self.is_touched.set(true);
        diary::note("started", self.place, &[]);
        Ok(())
    }

    async fn run(&self) -> End {
        loop {
            sleep(self.draw(self.plan.pace_ms)).await;
            if self.is_asked_to_stop.get() {
                let process = self.process.borrow_mut().take();
                return match process.map(Networked::stop) {
                    Some(stopping) => stopping.await.map_or_else(End::Failed, |()| End::Stopped),
                    None => End::Stopped,
                };
            }
            if let Err(ended) = self.turn() {
                return End::Failed(ended);
            }
        }
    }

    fn draw(&self, (low, high): (u64, u64)) -> Duration {
        Duration::from_millis(self.rng.borrow_mut().between(low, high))
    }

    /// One turn of each part; what they write is written when the disk is done.
    fn turn(&self) -> Result<(), Ended> {
        let mut process = self.process.borrow_mut();
        let Some(process) = process.as_mut() else { return Ok(()) };
        if process.step()? {
            self.is_touched.set(true);
        }
        let now = shims::elapsed();
        match self.write_at.get() {
            Some(at) if at <= now => {
                self.write_at.set(None);
                process.write()?;
                self.is_touched.set(true);
            }
            None if process.unwritten() > 0 => self.write_at.set(Some(now + self.draw(self.plan.sync_ms))),
            Some(_) | None => {}
        }
        Ok(())
    }

    /// How many turns wait for the disk.
    pub fn unwritten(&self) -> u64 {
        self.process.borrow().as_ref().map_or(0, |process| process.unwritten())
    }

    /// The process is gone; how many turns it had not synced, which are lost.
    pub fn forget(&self) -> u64 {
        let lost = self.unwritten();
        self.process.borrow_mut().take();
        self.end.replace(None);
        self.is_asked_to_stop.set(false);
        self.is_new.set(false);
        self.is_touched.set(false);
        self.is_armed.set(false);
        self.is_on.set(false);
        self.write_at.set(None);
        lost
    }
}
