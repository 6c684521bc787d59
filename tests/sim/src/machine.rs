//! What befalls machines: crashes, failing disks, jumping clocks; and their starts.

use towpath_node::stepped::{BEGINS_AGAIN, Ended};

use crate::disk;
use crate::plan::MINUTE_MS;
use crate::run::Sabotage;
use crate::tally::Fault;
use crate::violation::Violation;
use crate::world::{Strike, What, World};

impl World {
    /// A strike of this kind comes again after a while, if this world has it.
    pub fn strike_again(&mut self, strike: Strike) {
        let mean = match strike {
            Strike::Crash => self.plan.crash_ms,
            Strike::Disk => self.plan.disk_error_ms,
            Strike::Jump => self.plan.jump_ms,
            Strike::Break => self.plan.break_ms,
            Strike::Cut => self.plan.cut_ms,
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
        let node = self.rng.index(self.stations.len());
        match strike {
            Strike::Crash => self.crash(node),
            Strike::Disk => {
                self.fail_disk(node);
                Ok(())
            }
            Strike::Jump => {
                self.jump(node);
                Ok(())
            }
            Strike::Break => self.break_any(),
            Strike::Cut => self.cut_any(),
        }
    }

    /// Whether something may befall a node now. Who is away must come back for longer than it was away, or no dispute
    /// window is long enough.
    pub fn may_befall(&self, node: usize) -> bool {
        let station = &self.stations[node];
        station.process.is_some() && !station.is_armed && station.spared_until <= self.now_ms
    }

    fn crash(&mut self, node: usize) -> Result<(), Violation> {
        if !self.may_befall(node) {
            return Ok(());
        }
        if self.plan.torn && self.rng.chance(600) {
            let station = &mut self.stations[node];
            disk::stop_in_a_write(&station.disk, &mut self.rng);
            station.is_armed = true;
            return Ok(());
        }
        self.tally.fault(Fault::Crash);
        self.fall(node)
    }

    fn fail_disk(&mut self, node: usize) {
        if !self.may_befall(node) {
            return;
        }
        let station = &mut self.stations[node];
        disk::fail_a_write(&station.disk, &mut self.rng);
        station.is_armed = true;
    }

    /// A process ended by itself: by a fault of its disk that was to come, or it is a fault of its own.
    ///
    /// # Errors
    /// When nothing explains it.
    pub fn ended(&mut self, node: usize, ended: &Ended) -> Result<(), Violation> {
        // Only the rogue starts on an old copy of its disk. Its journal is closed from the moment at which it notices,
        // and whichever part of it writes next may be the one that says so.
        let begins_again = ended.0 == BEGINS_AGAIN || ended.0.ends_with("the store is closed");
        if begins_again && self.plan.rogue() == Some(node) {
            return self.fall(node);
        }
        if !self.stations[node].is_armed {
            return Err(Violation::new("no node ends by itself", format!("node {node}: {ended}")));
        }
        let is_crash = ended.0.contains("the machine stopped");
        self.tally.fault(if is_crash { Fault::CrashAtWrite } else { Fault::DiskError });
        self.fall(node)
    }

    /// A process is gone, and the machine is started again after a while.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn fall(&mut self, node: usize) -> Result<(), Violation> {
        self.trace.step("fall", self.now_ms, node, &[]);
        self.auditor.remember(node);
        let lost = self.stations[node].kill();
        if lost > 0 {
            self.tally.fault(Fault::CrashUnsynced);
        }
        self.note_halt();
        self.callers.forget_answers(node);
        self.leave(node);
        if !self.stations[node].is_gone {
            let high = if self.is_calm { 1_000 } else { self.plan.away_ms };
            let away = self.rng.between(50, high);
            self.after(away, What::Start(node));
            self.stations[node].spared_until = self.now_ms + away + self.spare_ms();
        }
        Ok(())
    }

    /// For how long who was away is spared afterwards.
    pub const fn spare_ms(&self) -> u64 {
        self.plan.away_ms + 2 * MINUTE_MS
    }

    /// A machine is started.
    ///
    /// # Errors
    /// When it does not start, or what it finds is less than it had promised.
    pub fn start(&mut self, node: usize) -> Result<(), Violation> {
        if self.stations[node].process.is_some() || self.stations[node].is_gone {
            return Ok(());
        }
        self.trace.step("start", self.now_ms, node, &[]);
        self.rewind_before_start(node);
        let entered = self.runtime.enter();
        let started = self.stations[node].start(self.now_ms, &mut self.rng);
        drop(entered);
        if let Err(ended) = started {
            return Err(Violation::new("a node starts on what it left", format!("node {node}: {ended}")));
        }
        if self.sabotage == Sabotage::SyncsLie {
            self.stations[node].disk.lie_about_syncs();
        }
        if let Some(process) = self.stations[node].process.as_ref() {
            self.auditor.compare(process, node)?;
        }
        self.join(node);
        self.step(node)
    }

    fn jump(&mut self, node: usize) {
        // A validator alone is the ledger's clock; however it goes, the others follow (SPEC B-7).
        let by_ms = self.rng.between(1, 2 * MINUTE_MS);
        let is_ahead = self.rng.chance(500);
        let station = &mut self.stations[node];
        let (ahead, behind) = if is_ahead { (by_ms, 0) } else { (0, by_ms) };
        (station.ahead_ms, station.behind_ms) = (ahead, behind);
        self.tally.fault(if is_ahead { Fault::ClockAhead } else { Fault::ClockBack });
    }
}
