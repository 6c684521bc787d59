//! A world: nodes, links and callers on virtual time, from one seed. The loop is here; what the network, the disks, the
//! callers and the rogue do is in the files beside it, and what must hold is in `audit`.

use std::collections::BTreeMap;

use tokio::runtime::Runtime;
use towpath_crypto::seed::Seed;
use towpath_ledger::Amount;
use towpath_node::stepped::{Ended, Host};
use towpath_node::worker::Policy;
use towpath_protocol::Accepts;

use crate::audit::Auditor;
use crate::genesis::{COIN, engine, genesis};
use crate::network::{Answer, Network};
use crate::plan::{MINUTE_MS, Plan};
use crate::rng::Rng;
use crate::rogue::Rogue;
use crate::run::Sabotage;
use crate::station::{Station, seed_of};
use crate::tally::{Fault, Tally};
use crate::trace::Trace;
use crate::violation::Violation;
use crate::work::Callers;

/// How often it is looked whether everything has settled, after the faults stopped.
const LOOK_MS: u64 = 15_000;

/// The parts of a node go on with each other so often at one moment at most.
const ROUNDS_MAX: usize = 12;

/// Something that is to happen.
#[derive(Debug)]
pub enum What {
    /// A node goes on.
    Wake(usize),
    /// A node's disk takes what waits.
    Write(usize),
    /// A machine is started again.
    Start(usize),
    /// A fault of a machine, of this kind.
    Strike(Strike),
    /// A session is made.
    Connect(usize, usize),
    /// One end of a session learns that it is up: node, peer, number.
    Up(usize, usize, u64),
    /// One end learns that it is down.
    Down(usize, usize, u64),
    /// A frame arrives: from, to, in this session.
    Frame(usize, usize, u64, Vec<Vec<u8>>),
    /// A gossip message arrives: from, to, number.
    Gossip(usize, usize, u64),
    /// A request for blocks arrives: from, to.
    Ask(usize, usize, Vec<u8>, Answer),
    /// Its answer arrives at who asked.
    Reply(usize, Option<Vec<u8>>, Answer),
    /// A cut link is whole again.
    Heal(usize, usize),
    /// Callers want something.
    Work,
    /// The rogue has an idea.
    Mischief,
    /// Faults and work end.
    Calm,
    /// Is everything settled?
    Look,
}

/// A kind of thing that befalls machines and links again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strike {
    /// A crash.
    Crash,
    /// A failing disk.
    Disk,
    /// A jump of a clock.
    Jump,
    /// A broken session.
    Break,
    /// A cut link.
    Cut,
}

/// See the module.
pub struct World {
    /// What this seed is about.
    pub plan: Plan,
    /// The machines.
    pub stations: Vec<Station>,
    /// The links between them.
    pub network: Network,
    /// Who calls the nodes.
    pub callers: Callers,
    /// The node that is not honest.
    pub rogue: Option<Rogue>,
    /// What must hold.
    pub auditor: Auditor,
    /// Chance, for everything but the plan.
    pub rng: Rng,
    /// Virtual milliseconds since the beginning.
    pub now_ms: u64,
    /// What happened, hashed.
    pub trace: Trace,
    /// What happened, counted.
    pub tally: Tally,
    /// Whether the faults have stopped.
    pub is_calm: bool,
    /// A fault of the house.
    pub sabotage: Sabotage,
    /// The tasks with which nodes wait for their own answers.
    pub runtime: Runtime,
    queue: BTreeMap<(u64, u64), What>,
    queued: u64,
    is_over: bool,
}

impl World {
    /// The world of a seed, at its beginning.
    ///
    /// # Panics
    /// When the system gives no memory for a runtime.
    #[must_use]
    pub fn new(seed: u64, sabotage: Sabotage) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng.fork());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let seeds: Vec<Seed> = (0..plan.nodes).map(|place| seed_of(seed, place)).collect();
        let genesis = genesis(&seeds, plan.validators);
        let towers: Vec<_> = seeds.iter().map(|seed| seed.node_key().public()).collect();
        let hosts = seeds.into_iter().enumerate().map(|(place, seed)| Host {
            engine: engine(genesis.chain_id()),
            genesis: genesis.clone(),
            workers: plan.workers,
            policy: policy(&plan),
            serves: plan.towers,
            towers: if plan.towers && plan.nodes > 2 {
                towers.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, id)| *id).collect()
            } else {
                Vec::new()
            },
            confirmations: 0,
            seed,
        });
        let stations: Vec<Station> = hosts.map(Station::new).collect();
        Self {
            network: Network::new(plan.nodes),
            callers: Callers::new(&plan, &mut rng.fork()),
            rogue: plan.rogue().map(|place| Rogue::new(place, &plan)),
            auditor: Auditor::new(plan.nodes, genesis, plan.rogue()),
            rng: rng.fork(),
            now_ms: 0,
            trace: Trace::default(),
            tally: Tally::default(),
            is_calm: false,
            sabotage,
            queue: BTreeMap::new(),
            queued: 0,
            is_over: false,
            runtime,
            stations,
            plan,
        }
    }

    /// Lets it happen, until everything has settled.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn run(&mut self) -> Result<(), Violation> {
        let ended = self.run_inner();
        ended.map_err(|violation| Violation { at_ms: self.now_ms, ..violation })
    }

    fn run_inner(&mut self) -> Result<(), Violation> {
        for node in 0..self.stations.len() {
            self.at(1, What::Start(node));
        }
        self.at(2_000, What::Work);
        self.at(self.plan.work_ms, What::Calm);
        for strike in [Strike::Crash, Strike::Disk, Strike::Jump, Strike::Break, Strike::Cut] {
            self.strike_again(strike);
        }
        if self.rogue.is_some() {
            self.at(MINUTE_MS, What::Mischief);
        }
        let end_ms = self.plan.work_ms + self.patience_ms();
        while !self.is_over
            && let Some(((at_ms, _), what)) = self.queue.pop_first()
        {
            self.now_ms = at_ms;
            if at_ms > end_ms {
                return Err(Violation::new("I10 everything settles", self.auditor.unsettled(self)));
            }
            self.happen(what)?;
        }
        Ok(())
    }

    /// How long everything may take to settle after the faults stop: a funding that was under way runs out, a close that
    /// was just posted waits for its window and is paid out, and sessions and replicas come up again.
    const fn patience_ms(&self) -> u64 {
        2 * self.plan.window_ms + 40 * MINUTE_MS
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
            What::Wake(node) => {
                if self.stations[node].wake_at == Some(self.now_ms) {
                    self.stations[node].wake_at = None;
                    self.step(node)?;
                }
                Ok(())
            }
            What::Write(node) => self.write(node),
            What::Start(node) => self.start(node),
            What::Strike(strike) => self.strike(strike),
            What::Connect(one, other) => self.connect(one, other),
            What::Up(node, peer, number) => self.session_up(node, peer, number),
            What::Down(node, peer, number) => self.session_down(node, peer, number),
            What::Frame(from, to, number, messages) => self.frame(from, to, number, &messages),
            What::Gossip(from, to, number) => self.gossip_arrives(from, to, number),
            What::Ask(from, to, bytes, answer) => self.asked(from, to, &bytes, answer),
            What::Reply(node, bytes, answer) => self.replied(node, bytes, answer),
            What::Heal(one, other) => {
                self.heal(one, other);
                Ok(())
            }
            What::Work => self.work(),
            What::Mischief => self.mischief(),
            What::Calm => self.calm(),
            What::Look => self.look(),
        }
    }

    /// A node goes on with whatever it has, and what it says is taken from it.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn step(&mut self, node: usize) -> Result<(), Violation> {
        for _ in 0..ROUNDS_MAX {
            match self.round(node) {
                None => return Ok(()),
                Some(Err(ended)) => return self.ended(node, &ended),
                Some(Ok(false)) => break,
                Some(Ok(true)) => {}
            }
        }
        if let Some(process) = self.stations[node].process.as_ref() {
            self.auditor.look_at(process, node)?;
        }
        self.carry(node)?;
        self.hear_answers(node)?;
        self.plan_next(node);
        Ok(())
    }

    /// Each part of a node has one turn; whether any had something to do.
    fn round(&mut self, node: usize) -> Option<Result<bool, Ended>> {
        let station = &mut self.stations[node];
        let moment = station.moment(self.now_ms);
        let process = station.process.as_mut()?;
        let _entered = self.runtime.enter();
        let ledger = match process.step_ledger(moment) {
            Ok(ledger) => ledger,
            Err(ended) => return Some(Err(ended)),
        };
        self.runtime.block_on(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
        let workers = match process.step_workers(moment) {
            Ok(workers) => workers,
            Err(ended) => return Some(Err(ended)),
        };
        Some(process.step_tower(moment).map(|tower| ledger || workers || tower))
    }

    /// When the node goes on, and when its disk is done.
    fn plan_next(&mut self, node: usize) {
        let station = &mut self.stations[node];
        let moment = station.moment(self.now_ms);
        let Some(process) = station.process.as_ref() else { return };
        let due =
            process.due_in(moment).map_or(u64::MAX, |due| u64::try_from(due.as_millis()).unwrap_or(u64::MAX));
        let wake_at = self.now_ms + due.clamp(1, self.plan.idle_ms);
        let is_sooner = station.wake_at.is_none_or(|before| wake_at < before);
        let writes = process.unwritten() > 0 && station.write_at.is_none();
        if is_sooner {
            station.wake_at = Some(wake_at);
            self.at(wake_at, What::Wake(node));
        }
        if writes {
            let (low, high) = self.plan.sync_ms;
            let write_at = self.now_ms + self.rng.between(low, high);
            self.stations[node].write_at = Some(write_at);
            self.at(write_at, What::Write(node));
        }
    }

    fn write(&mut self, node: usize) -> Result<(), Violation> {
        let station = &mut self.stations[node];
        if station.write_at != Some(self.now_ms) {
            return Ok(());
        }
        station.write_at = None;
        let moment = station.moment(self.now_ms);
        let Some(process) = station.process.as_mut() else { return Ok(()) };
        match process.write(moment) {
            Ok(_) => self.step(node),
            Err(ended) => self.ended(node, &ended),
        }
    }

    fn calm(&mut self) -> Result<(), Violation> {
        self.trace.step("calm", self.now_ms, 0, &[]);
        self.is_calm = true;
        self.end_mischief()?;
        for node in 0..self.stations.len() {
            let station = &mut self.stations[node];
            (station.ahead_ms, station.behind_ms) = (0, 0);
            if station.process.is_none() && !station.is_gone {
                self.after(10, What::Start(node));
            }
        }
        self.heal_all();
        self.after(LOOK_MS, What::Look);
        Ok(())
    }

    fn look(&mut self) -> Result<(), Violation> {
        self.wind_up()?;
        if self.auditor.is_settled(self) {
            self.auditor.settle_up(self)?;
            self.auditor.count(&mut self.tally);
            self.is_over = true;
            return Ok(());
        }
        self.after(LOOK_MS, What::Look);
        Ok(())
    }

    /// The share of the nodes that decide blocks is not there.
    pub fn note_halt(&mut self) {
        let validators = self.plan.validators;
        let up = self.stations[..validators].iter().filter(|station| station.process.is_some()).count();
        if up * 3 <= validators * 2 {
            self.tally.fault(Fault::LedgerHalt);
        }
    }
}

fn policy(plan: &Plan) -> Policy {
    let most = if plan.dual { Amount(COIN) } else { Amount::ZERO };
    Policy {
        contribute_max: Amount(most.units() * 4),
        contribute_peer_max: Amount(most.units() * 2),
        contribute_opening_max: most,
        capacity_min: Amount::ZERO,
        accepts: Accepts {
            penalty_basis_points_min: 2_500,
            dispute_window_ms_min: plan.window_ms,
            dispute_window_ms_max: plan.window_ms,
        },
    }
}
