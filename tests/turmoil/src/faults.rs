//! What befalls machines and links: crashes, failing disks, orders to stop; losses, cuts, and links that hold things back.

use towpath_sim::disk;
use towpath_sim::violation::Violation;

use crate::diary;
use crate::world::{Strike, What, World, name};

/// Every kind of fault: a long run in which one of them never fired has shown nothing about it.
pub const KINDS: [&str; 13] = [
    "loss of what was on its way",
    "partition",
    "one-way partition",
    "link that held things back",
    "crash",
    "crash with unsynced turns",
    "crash in the middle of a write",
    "failed write or sync",
    "order to stop",
    "party that was away while its peers closed",
    "writes that waited",
    "narrow connections",
    "few connections",
];

impl World {
    /// Counts what holds for the whole of a world.
    pub fn count_conditions(&self) {
        if self.plan.segments_max < 64 {
            diary::count("narrow connections");
        }
        if self.plan.limits.per_peer < 4 {
            diary::count("few connections");
        }
    }

    /// A strike of this kind comes again after a while, if this world has it.
    pub fn strike_again(&mut self, strike: Strike) {
        let mean = match strike {
            Strike::Loss => self.plan.loss_ms,
            Strike::Cut => self.plan.cut_ms,
            Strike::OneWay => self.plan.one_way_ms,
            Strike::Stall => self.plan.stall_ms,
            Strike::Crash => self.plan.crash_ms,
            Strike::Disk => self.plan.disk_error_ms,
            Strike::Stop => self.plan.stop_ms,
        };
        if mean > 0 {
            let gap = self.rng.gap(mean);
            self.after(gap, What::Strike(strike));
        }
    }

    /// It strikes.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn strike(&mut self, strike: Strike) -> Result<(), Violation> {
        if self.is_calm {
            return Ok(());
        }
        self.strike_again(strike);
        let node = self.rng.index(self.machines.len());
        match strike {
            Strike::Loss => self.lose(u8::MAX),
            Strike::Cut | Strike::OneWay | Strike::Stall => self.break_link(strike),
            Strike::Crash => {
                // Some come in the middle of what is not synced yet.
                let tries = if self.rng.chance(500) { u8::MAX } else { 0 };
                return self.crash(node, tries);
            }
            Strike::Disk => self.fail_disk(node),
            Strike::Stop => {
                if self.may_befall(node) {
                    diary::count("order to stop");
                    self.machines[node].is_asked_to_stop.set(true);
                }
            }
        }
        Ok(())
    }

    fn may_befall(&self, node: usize) -> bool {
        let machine = &self.machines[node];
        machine.is_on.get()
            && !machine.is_armed.get()
            && !machine.is_asked_to_stop.get()
            && machine.process.borrow().is_some()
    }

    fn any_pair(&mut self) -> (usize, usize) {
        let one = self.rng.index(self.machines.len());
        let other = self.rng.index(self.machines.len() - 1);
        let other = if other >= one { other + 1 } else { other };
        (one.min(other), one.max(other))
    }

    /// What is on its way between two nodes is lost, and TCP does not send it again: connections are dead from then on, and
    /// nobody is told. If nothing is on its way, it comes a little later.
    pub fn lose(&mut self, tries: u8) {
        let (one, other) = self.any_pair();
        let pair = (self.sim.lookup(name(one)), self.sim.lookup(name(other)));
        let mut waiting = 0;
        self.sim.links(|links| {
            let ours = |of: (std::net::IpAddr, std::net::IpAddr)| of == pair || (of.1, of.0) == pair;
            waiting = links.filter(|link| ours(link.pair())).map(Iterator::count).sum();
        });
        if waiting > 0 && !self.broken.contains(&(one, other)) {
            diary::counts("loss of what was on its way", u64::try_from(waiting).unwrap_or(u64::MAX));
            self.sim.partition(name(one), name(other));
            self.sim.repair(name(one), name(other));
        } else if tries > 0 && !self.is_calm {
            self.after(5, What::Lose(tries - 1));
        }
    }

    fn break_link(&mut self, strike: Strike) {
        let (one, other) = self.any_pair();
        let lasts = self.rng.between(200, self.plan.away_ms);
        if !self.broken.insert((one, other)) {
            return;
        }
        let (from, to) = if self.rng.chance(500) { (one, other) } else { (other, one) };
        let number = [u8::try_from(from).unwrap_or(u8::MAX), u8::try_from(to).unwrap_or(u8::MAX)];
        diary::note("link", from, &number);
        match strike {
            Strike::OneWay => {
                diary::count("one-way partition");
                self.sim.partition_oneway(name(from), name(to));
                self.after(lasts, What::HealOneWay(from, to));
            }
            Strike::Stall => {
                diary::count("link that held things back");
                self.sim.hold(name(one), name(other));
                self.after(lasts, What::Release(one, other));
            }
            _ => {
                diary::count("partition");
                self.sim.partition(name(one), name(other));
                self.after(lasts, What::Heal(one, other));
            }
        }
    }

    /// A link is whole again.
    pub fn heal(&mut self, one: usize, other: usize) {
        self.broken.remove(&(one, other));
        self.sim.repair(name(one), name(other));
    }

    /// A link carries things in this direction again.
    pub fn heal_one_way(&mut self, from: usize, to: usize) {
        self.broken.remove(&(from.min(to), from.max(to)));
        self.sim.repair_oneway(name(from), name(to));
    }

    /// A link gives what it held back.
    pub fn release(&mut self, one: usize, other: usize) {
        self.broken.remove(&(one, other));
        self.sim.release(name(one), name(other));
    }

    /// A machine's power is cut; so many more moments are waited for one in which something is not synced.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn crash(&mut self, node: usize, tries: u8) -> Result<(), Violation> {
        if self.is_calm || !self.may_befall(node) {
            return Ok(());
        }
        if tries > 0 {
            if self.machines[node].unwritten() == 0 {
                self.after(5, What::Crash(node, tries - 1));
                return Ok(());
            }
        } else if self.plan.torn && self.rng.chance(600) {
            disk::stop_in_a_write(&self.machines[node].disk, &mut self.rng);
            self.machines[node].is_armed.set(true);
            return Ok(());
        }
        self.look_at(node)?;
        diary::count("crash");
        self.fall(node);
        Ok(())
    }

    fn fail_disk(&mut self, node: usize) {
        if !self.may_befall(node) {
            return;
        }
        disk::fail_a_write(&self.machines[node].disk, &mut self.rng);
        self.machines[node].is_armed.set(true);
    }

    /// The last node goes, and is back when its peers have closed alone. It is away for so long that nothing else befalls it.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn leave(&mut self) -> Result<(), Violation> {
        let node = self.machines.len() - 1;
        if self.is_calm {
            return Ok(());
        }
        if !self.may_befall(node) {
            // What befell it is over soon.
            self.after(500, What::Leave);
            return Ok(());
        }
        self.look_at(node)?;
        diary::count("party that was away while its peers closed");
        self.gone = Some(node);
        self.fall(node);
        Ok(())
    }

    /// A process is gone, and its machine is started again after a while: unless all nodes are to stop.
    pub fn fall(&mut self, node: usize) {
        diary::note("fall", node, &[]);
        self.auditor.remember(node);
        if self.machines[node].forget() > 0 {
            diary::count("crash with unsynced turns");
        }
        self.callers.forget_answers(node);
        self.sim.crash(name(node));
        if !self.is_over() {
            let away = self.rng.between(50, if self.is_calm { 1_000 } else { self.plan.away_ms });
            let back_ms = if self.gone == Some(node) { self.back_ms() } else { 0 };
            self.at(back_ms.max(self.now_ms + away), What::Start(node));
        }
    }

    /// A machine is started.
    pub fn start(&mut self, node: usize) {
        diary::note("start", node, &[]);
        self.machines[node].is_on.set(true);
        self.sim.bounce(name(node));
    }
}
