//! Timers as data. The core's timeouts name a round but no height, so one that fires late would count at the wrong
//! height; here each armed timer has a token of its own, and a token that is not in the table does nothing.

use std::time::Duration;

use arc_malachitebft_core_types::Timeout;

use crate::output::Output;

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tick {
    /// A timeout of the core, at the height being decided.
    Core(Timeout),
    /// The least interval after a block has passed, or the heartbeat is due.
    Pace,
    /// A sync request has waited long enough.
    SyncAnswer,
    /// A peer is one block ahead, and the votes have had their time.
    SyncGrace,
    /// Say again what is decided.
    Status,
}

/// The armed timers; at most one of each kind.
#[derive(Debug, Default)]
pub struct Timers {
    armed: Vec<(Tick, u64)>,
    last: u64,
}

impl Timers {
    /// Arms a timer, in place of an equal one.
    pub fn arm(&mut self, tick: Tick, after: Duration) -> Output {
        self.disarm(tick);
        self.last += 1;
        self.armed.push((tick, self.last));
        Output::SetTimer { token: self.last, after }
    }

    /// What the token stands for, if it is still armed; it no longer is.
    pub fn fire(&mut self, token: u64) -> Option<Tick> {
        let at = self.armed.iter().position(|(_, armed)| *armed == token)?;
        Some(self.armed.swap_remove(at).0)
    }

    /// Makes a timer's token obsolete.
    pub fn disarm(&mut self, tick: Tick) {
        self.armed.retain(|(armed, _)| *armed != tick);
    }

    /// Makes the tokens of all the core's timeouts obsolete.
    pub fn disarm_core(&mut self) {
        self.armed.retain(|(tick, _)| !matches!(tick, Tick::Core(_)));
    }

    /// Whether it is armed.
    pub fn is_armed(&self, tick: Tick) -> bool {
        self.armed.iter().any(|(armed, _)| *armed == tick)
    }
}
