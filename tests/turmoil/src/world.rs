//! A world: real nodes on turmoil hosts, callers, and an auditor who looks at every node after every tick in which it did
//! something. What befalls machines and links is in `faults`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use libp2p::core::multiaddr::Protocol;
use towpath_crypto::seed::Seed;
use towpath_ledger::Amount;
use towpath_node::net::peer_of;
use towpath_node::stepped::{Host, Networked};
use towpath_node::worker::Policy;
use towpath_protocol::{Accepts, Life, Online};
use towpath_sim::audit::Auditor;
use towpath_sim::genesis::{engine, genesis};
use towpath_sim::rng::Rng;
use towpath_sim::seed_of;
use towpath_sim::violation::Violation;
use turmoil::Sim;

use crate::callers::{Callers, WINDOW_MS};
use crate::carrier::address_of;
use crate::machine::{End, Machine};
use crate::plan::Plan;
use crate::{diary, shims};

/// The port that all nodes listen on.
const PORT: u16 = 9_000;

/// How long a tick is: what happens within it happens at one moment for everybody else.
const TICK: Duration = Duration::from_millis(5);

/// How long everything may take to settle after the faults stop: a node is dialled again after a minute at most, a session
/// is tried again, a connection on which nothing comes back is given up, blocks are asked for, and an opening that nobody
/// paid for runs out.
const PATIENCE_MS: u64 = 12 * 60_000;

/// How long a party that leaves is away after the faults have stopped: long enough for its peers to close alone, and not for so
/// long that it could not answer in the window. Who holds more than a peer that closes honestly knows of has to.
const AWAY_MS: u64 = 4 * 60_000;

/// How often it is looked whether everything has settled.
const LOOK_MS: u64 = 2_000;

/// Something that is to happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A machine is started again.
    Start(usize),
    /// A fault of this kind.
    Strike(Strike),
    /// What is on its way somewhere is lost; so many more moments are looked at if nothing is.
    Lose(u8),
    /// A machine's power is cut; so many more moments are waited for one in which something is not synced.
    Crash(usize, u8),
    /// A party goes, until its peers have closed alone.
    Leave,
    /// A link that was cut is whole again.
    Heal(usize, usize),
    /// A link carries things in this direction again.
    HealOneWay(usize, usize),
    /// A link gives what it held back.
    Release(usize, usize),
    /// Callers want something.
    Work,
    /// Faults and work end.
    Calm,
    /// Is everything settled?
    Look,
}

/// A kind of thing that befalls machines and links again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strike {
    /// What is on its way between two nodes is lost.
    Loss,
    /// A cut link.
    Cut,
    /// A link that carries nothing in one direction.
    OneWay,
    /// A link that holds things back.
    Stall,
    /// A crash.
    Crash,
    /// A failing disk.
    Disk,
    /// A node that is asked to stop.
    Stop,
}

/// See the module.
pub struct World {
    /// What this seed is about.
    pub plan: Plan,
    /// The machines.
    pub machines: Vec<Rc<Machine>>,
    /// Hosts and links.
    pub sim: Sim<'static>,
    /// Who calls the nodes.
    pub callers: Callers,
    /// What must hold.
    pub auditor: Auditor,
    /// Chance, for what befalls machines and links.
    pub rng: Rng,
    /// Milliseconds since the beginning.
    pub now_ms: u64,
    /// Whether the faults have stopped.
    pub is_calm: bool,
    /// Who has left.
    pub gone: Option<usize>,
    /// Links that are not whole: no other fault befalls them.
    pub broken: std::collections::BTreeSet<(usize, usize)>,
    queue: BTreeMap<(u64, u64), What>,
    queued: u64,
    is_over: bool,
}

impl World {
    /// The world of a seed, at its beginning. The process is in it already.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng.fork());
        let seeds: Vec<Seed> = (0..plan.nodes).map(|place| seed_of(seed, place)).collect();
        let genesis = genesis(&seeds, plan.validators);
        let mut sim = turmoil::Builder::new()
            .rng_seed(rng.draw())
            .simulation_duration(Duration::MAX)
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(plan.delay_ms.0))
            .max_message_latency(Duration::from_millis(plan.delay_ms.1))
            .tcp_capacity(plan.segments_max)
            .enable_random_order()
            .build();
        let listen: Vec<_> = (0..plan.nodes).map(|place| address_of(sim.lookup(name(place)), PORT)).collect();
        let peers: Vec<_> = seeds.iter().map(|seed| peer_of(&seed.node_key().public())).collect();
        let reach = |place: usize| {
            let address = listen[place].clone();
            peers[place].as_ref().ok().map(|peer| address.with(Protocol::P2p(*peer)))
        };
        let mut machines = Vec::new();
        for (place, seed) in seeds.into_iter().enumerate() {
            let host = Host {
                engine: engine(genesis.chain_id()),
                genesis: genesis.clone(),
                workers: plan.workers,
                policy: policy(),
                serves: false,
                towers: Vec::new(),
                confirmations: 0,
                seed,
            };
            let bootstrap = (0..plan.nodes).filter(|other| *other != place).filter_map(reach).collect();
            let ways = (listen[place].clone(), bootstrap);
            let machine = Rc::new(Machine::new(place, host, ways, plan.clone(), rng.fork()));
            let lives = Rc::clone(&machine);
            sim.host(name(place), move || Rc::clone(&lives).live());
            machines.push(machine);
        }
        Self {
            callers: Callers::new(&plan, rng.fork()),
            auditor: Auditor::new(plan.nodes, genesis, None),
            rng: rng.fork(),
            now_ms: 0,
            is_calm: false,
            gone: None,
            broken: std::collections::BTreeSet::new(),
            queue: BTreeMap::new(),
            queued: 0,
            is_over: false,
            sim,
            machines,
            plan,
        }
    }

    /// Lets it happen, until everything has settled and every node has stopped.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn run(&mut self) -> Result<(), Violation> {
        self.at(2_000, What::Work);
        self.at(self.plan.work_ms, What::Calm);
        for strike in [
            Strike::Loss,
            Strike::Cut,
            Strike::OneWay,
            Strike::Stall,
            Strike::Crash,
            Strike::Disk,
            Strike::Stop,
        ] {
            self.strike_again(strike);
        }
        let mut end_ms = self.plan.work_ms + PATIENCE_MS;
        if self.plan.leaves {
            self.at(self.plan.work_ms / 2, What::Leave);
            end_ms += AWAY_MS + WINDOW_MS;
        }
        while !self.is_over {
            self.go_on()?;
            if self.now_ms > end_ms {
                return Err(Violation::new("I10 everything settles", self.unsettled()));
            }
        }
        self.stop_all()
    }

    /// One tick, and what is due after it.
    fn go_on(&mut self) -> Result<(), Violation> {
        self.tick()?;
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= self.now_ms
        {
            let what = entry.remove();
            self.happen(what)?;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Violation> {
        self.sim.step().map_err(|error| Violation::new("no host fails", error.to_string()))?;
        shims::set_elapsed(self.sim.elapsed());
        self.now_ms = u64::try_from(self.sim.elapsed().as_millis()).unwrap_or(u64::MAX);
        for node in 0..self.machines.len() {
            let machine = Rc::clone(&self.machines[node]);
            if machine.is_new.take()
                && let Some(process) = machine.process.borrow().as_ref()
            {
                self.auditor.compare(process, node)?;
            }
            if machine.is_touched.take() {
                self.look_at(node)?;
            }
            self.callers.hear(node, &self.machines, self.now_ms)?;
            let end = machine.end.borrow_mut().take();
            if let Some(end) = end {
                self.ended(node, end)?;
            }
        }
        Ok(())
    }

    /// The auditor looks at a node.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look_at(&mut self, node: usize) -> Result<(), Violation> {
        let process = self.machines[node].process.borrow();
        let Some(process) = process.as_ref() else { return Ok(()) };
        self.auditor.look_at(process, node)?;
        let tip = process.parts().chain.tip().height();
        diary::note("height", node, &tip.to_le_bytes());
        for channel in process.workers().channels() {
            diary::note("version", node, &channel.view().version.to_le_bytes());
        }
        Ok(())
    }

    /// `what` happens at this time.
    pub fn at(&mut self, at_ms: u64, what: What) {
        self.queued += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.queued), what);
    }

    /// `what` happens after a while.
    pub fn after(&mut self, wait_ms: u64, what: What) {
        self.at(self.now_ms + wait_ms, what);
    }

    fn happen(&mut self, what: What) -> Result<(), Violation> {
        match what {
            What::Start(node) => self.start(node),
            What::Strike(strike) => self.strike(strike)?,
            What::Lose(tries) => self.lose(tries),
            What::Crash(node, tries) => self.crash(node, tries)?,
            What::Leave => self.leave()?,
            What::Heal(one, other) => self.heal(one, other),
            What::HealOneWay(from, to) => self.heal_one_way(from, to),
            What::Release(one, other) => self.release(one, other),
            What::Work => {
                if !self.is_calm {
                    self.callers.work(&self.machines, self.now_ms);
                    let gap = self.rng.gap(self.plan.work_gap_ms);
                    self.after(gap, What::Work);
                }
            }
            What::Calm => self.calm(),
            What::Look => self.look()?,
        }
        Ok(())
    }

    fn calm(&mut self) {
        diary::note("calm", 0, &[]);
        self.is_calm = true;
        self.after(LOOK_MS, What::Look);
    }

    fn look(&mut self) -> Result<(), Violation> {
        self.callers.wind_up(&self.machines, self.plan.closes_all, self.gone);
        if !self.unsettled().is_empty() {
            self.after(LOOK_MS, What::Look);
            return Ok(());
        }
        self.auditor.books.check()?;
        for (channel, (opener, acceptor)) in &self.callers.channels {
            for node in [*opener, *acceptor] {
                if let Some(process) = self.machines[node].process.borrow().as_ref() {
                    let told = self.callers.told(channel, node);
                    self.auditor.account(process, node, channel, told)?;
                }
            }
        }
        let books = &self.auditor.books;
        diary::counts("blocks", u64::try_from(self.auditor.height()).unwrap_or(u64::MAX));
        diary::counts("channels closed together", books.together);
        diary::counts("channels closed alone", books.alone);
        self.is_over = true;
        Ok(())
    }

    /// What has not settled, in words: nothing, if everything has.
    fn unsettled(&self) -> String {
        let known = u64::try_from(self.auditor.height()).unwrap_or(u64::MAX);
        for (node, machine) in self.machines.iter().enumerate() {
            let process = machine.process.borrow();
            let Some(process) = process.as_ref() else { return format!("node {node} is down") };
            if process.parts().chain.tip().height() + 2 < known {
                return format!(
                    "node {node} is at height {} of {known}",
                    process.parts().chain.tip().height()
                );
            }
            if let Some(why) = self.unsettled_channel(process) {
                return format!("node {node}, {why}");
            }
        }
        if self.callers.is_idle() { String::new() } else { "callers wait for answers".to_owned() }
    }

    fn unsettled_channel(&self, process: &Networked) -> Option<String> {
        process.workers().channels().find_map(|channel| {
            let view = channel.view();
            let quiet = (view.in_flight, view.waiting) == (0, 0) && view.online == Online::Yes;
            let is_fine = match view.life {
                Life::Settled(_) => true,
                Life::Active => quiet && !self.plan.closes_all,
                // Nobody has paid for it, and when its time is over nobody can.
                Life::Opening => !self.auditor.books.has(&view.id),
                Life::Closing(_) | Life::Disputed => false,
            };
            let words = || {
                format!(
                    "{}: {:?}, {:?}, {} in flight, {} waiting",
                    view.id, view.life, view.online, view.in_flight, view.waiting
                )
            };
            (!is_fine).then(words)
        })
    }

    /// When who leaves is back.
    pub const fn back_ms(&self) -> u64 {
        self.plan.work_ms + AWAY_MS
    }

    /// Whether everything has settled: nobody is started any more.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Every node is asked to stop, and must.
    fn stop_all(&mut self) -> Result<(), Violation> {
        for machine in &self.machines {
            machine.is_asked_to_stop.set(true);
        }
        let end_ms = self.now_ms + 30_000;
        while self.machines.iter().any(|machine| machine.is_on.get()) {
            if self.now_ms > end_ms {
                return Err(Violation::new("a node that is asked to stop does", "some do not"));
            }
            self.tick()?;
        }
        Ok(())
    }

    /// A process came to its end.
    fn ended(&mut self, node: usize, end: End) -> Result<(), Violation> {
        let machine = &self.machines[node];
        match end {
            End::Stopped => {
                diary::note("stopped", node, &[]);
                diary::count("node stopped in good order");
            }
            End::Failed(ended) => {
                if !machine.is_armed.get() {
                    return Err(Violation::new("no node ends by itself", format!("node {node}: {ended}")));
                }
                let is_crash = ended.0.contains("the machine stopped");
                diary::count(if is_crash {
                    "crash in the middle of a write"
                } else {
                    "failed write or sync"
                });
            }
        }
        self.fall(node);
        Ok(())
    }
}

/// What turmoil calls a node.
pub fn name(place: usize) -> String {
    format!("node-{place}")
}

fn policy() -> Policy {
    Policy {
        contribute_max: Amount::ZERO,
        contribute_peer_max: Amount::ZERO,
        contribute_opening_max: Amount::ZERO,
        capacity_min: Amount::ZERO,
        accepts: Accepts {
            penalty_basis_points_min: 2_500,
            dispute_window_ms_min: WINDOW_MS,
            dispute_window_ms_max: WINDOW_MS,
        },
    }
}
