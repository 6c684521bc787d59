//! The invariants of a channel: what must hold after every step, and of whatever was read from a disk.

use super::machine::Channel;
use super::state::{OpenProposal, Turnholder};
use crate::canary::{Canary, sings};
use crate::life::Life;
use crate::limits::{BUFFERED_MAX, IN_FLIGHT_MAX, OPEN_MAX, QUEUE_MAX, REQUESTS_MAX};

/// An invariant that does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("broken invariant: {0}")]
pub struct Broken(pub &'static str);

fn must(holds: bool, claim: &'static str) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(claim)) }
}

impl Channel {
    /// Checks everything that must hold between steps.
    ///
    /// # Errors
    /// [`Broken`] names the first invariant that does not hold: a fault of this program, or a damaged disk.
    pub fn check(&self) -> Result<(), Broken> {
        self.check_funds()?;
        self.check_tag()?;
        self.check_versions()?;
        self.check_signatures()?;
        self.check_resize()?;
        self.check_bounds()
    }

    fn check_resize(&self) -> Result<(), Broken> {
        must(
            self.guard.is_sealed() == self.is_sealed(),
            "nothing is signed while a resize may become final",
        )?;
        let next = self.guard.next();
        must(
            next.version == 0 || Some(next.generation) == self.fixed.terms.generation.checked_add(1),
            "what was signed for the next generation is of the next one",
        )?;
        let Some(resize) = &self.resize else { return Ok(()) };
        must(
            next.version == resize.version(),
            "the first state of the next generation is the last that was signed",
        )?;
        must(resize.content.state.generation == next.generation, "a resize leads to the next generation")?;
        must(resize.by == self.fixed.me || resize.is_sealed(), "who agrees to a resize has signed it")?;
        must(
            !resize.is_sealed() || resize.theirs.is_some(),
            "nobody signs a resize without the other's signature on the next generation",
        )?;
        if self.lost.is_some() {
            return Ok(());
        }
        let quiet = self.open.is_empty() || sings(Canary::ResizeDoesNotWait);
        must(quiet, "nothing is open while the channel is resized")?;
        let stands = self.held.version() == resize.base || sings(Canary::ResizeDoesNotWait);
        must(stands, "the next generation goes on from what is held")?;
        must(
            self.held.content.state.balance(resize.by.other())
                == resize.content.state.balance(resize.by.other()),
            "a resize changes one balance",
        )
    }

    fn check_funds(&self) -> Result<(), Broken> {
        let capacity = Some(self.fixed.capacity);
        must(self.held.content.state.total() == capacity, "the held balances make the capacity")?;
        if self.lost.is_some() {
            return Ok(());
        }
        must(
            self.open.iter().all(|open| open.content.state.total() == capacity),
            "the balances of every open proposal make the capacity",
        )?;
        if self.turnholder() != Turnholder::Follower {
            // After a refusal a sequencer may have more to propose again than it has left; that fails when it is proposed.
            return Ok(());
        }
        let above = self.tip().spendable(self.fixed.me, &self.fixed.terms);
        let waits = self.outgoing.total().checked_add(self.memory.queue_total);
        must(waits.is_some_and(|waits| waits <= above), "what waits can be paid")
    }

    fn check_tag(&self) -> Result<(), Broken> {
        let tag = self.fixed.first.state.tag;
        let mut contents = self.open.iter().map(|open| &open.content).chain([&self.held.content]);
        must(contents.all(|content| content.state.tag == tag), "every state has the channel's tag")
    }

    fn check_versions(&self) -> Result<(), Broken> {
        // After a loss of data what waits is kept only to say what became of it.
        if self.lost.is_some() {
            return Ok(());
        }
        let held = self.held.version();
        let mut base = held;
        let mut last = held;
        for open in &self.open {
            must(open.version() > last, "open versions rise from the held one")?;
            last = open.version();
            if !open.is_burnt() {
                must(open.propose.base == base, "each open version is built on the one before")?;
                base = last;
            }
        }
        let sent = self.tip().sent(self.fixed.me);
        must(
            self.outgoing.numbers().all(|number| number > sent && number < self.next_number),
            "waiting payments have numbers that were given, and not used",
        )?;
        must(sent < self.next_number, "numbers are given before they are used")?;
        must(self.memory.expected > held, "what is held is not expected")?;
        must(
            self.turnholder() != Turnholder::Follower || self.open.iter().all(|open| open.is_jump()),
            "a follower has proposed nothing but where to go on after a loss",
        )
    }

    fn check_signatures(&self) -> Result<(), Broken> {
        let (mark, held) = (self.guard.mark(), self.held.version());
        // What others show of this party's signatures, after a loss, lies below the floor.
        let signed = mark.version.max(self.lost.map_or(0, |lost| lost.floor));
        let highest = self.open.back().map_or(0, |open: &std::sync::Arc<OpenProposal>| open.version());
        must(mark.version >= highest, "the mark covers every proposal")?;
        must(
            mark.version <= held.max(highest) || mark.is_raised() || matches!(self.life, Life::Settled(_)),
            "what was signed last is held, or proposed",
        )?;
        must(
            self.held.mine.is_none() || signed >= self.held.version(),
            "the mark covers what was completed",
        )?;
        must(
            self.held.mine.is_some() || self.guard.highest() < self.held.version(),
            "a claim is above everything that was signed",
        )?;
        must(mark.held <= self.held.version(), "no more was said to be held than is held")?;
        must(self.held.theirs.held <= self.held.version(), "the peer holds nothing that does not exist")
    }

    fn check_bounds(&self) -> Result<(), Broken> {
        let memory = &self.memory;
        must(self.open.len() <= OPEN_MAX, "open proposals are bounded")?;
        let in_flight = self.last_open().filter(|open| !open.is_jump()).map_or(0, |open| open.version());
        must(
            in_flight.saturating_sub(self.held.version()) <= IN_FLIGHT_MAX,
            "versions in flight are bounded",
        )?;
        must(memory.queue.len() <= QUEUE_MAX, "the queue is bounded")?;
        must(memory.buffered.len() <= BUFFERED_MAX, "buffered proposals are bounded")?;
        must(memory.inbox.len() <= REQUESTS_MAX, "kept requests are bounded")
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
