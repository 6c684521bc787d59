//! The end of a turn: everything that was learned is signed for, written and said, in the one order that is safe.

use super::machine::Channel;
use super::state::Turn;
use crate::canary::{Canary, sings};
use crate::effect::{Outcome, Row};
use crate::journal::EventKind;
use crate::row::{Key, Live};

/// A number of rows, which are bounded.
pub(super) fn rows(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Channel {
    pub(super) fn end_turn(&mut self) -> Outcome {
        self.expire_opening();
        self.expire_resize();
        self.react();
        self.say_held();
        self.ask();
        self.agree_as_lost();
        self.say_resume();
        self.come_up();
        self.acknowledge();
        self.complete_for_towers();
        self.submit();
        self.post_anew();
        self.post();
        self.refuse();
        self.propose();
        // Proposing may find requests that no longer apply.
        self.refuse();
        self.request();
        self.resize();
        if std::mem::take(&mut self.memory.turn.held_changed) {
            self.record(EventKind::Held((&self.held.content).into()));
        }
        let unwritten = sings(Canary::ClaimNotWritten) && self.held.mine.is_none();
        if self.memory.turn.dirty && !unwritten {
            self.put(Key::Live, &self.live());
        }
        let Turn { effects, rows, .. } = std::mem::take(&mut self.memory.turn);
        let write = rows.into_iter().map(|(key, value)| -> Row { (key.bytes(), value) }).collect();
        Outcome { write, effects }
    }

    fn live(&self) -> Live {
        Live {
            life: self.life,
            funding: self.funding,
            held: self.held.clone(),
            mark: *self.guard.mark(),
            mark_next: *self.guard.next(),
            seen: self.seen,
            next_number: self.next_number,
            posted: self.posted,
            lost: self.lost,
            journal: self.journal,
            proposals: rows(self.open.len()),
            requests: rows(self.outgoing.len()),
            resizes: rows(self.resize.iter().count()),
        }
    }
}
