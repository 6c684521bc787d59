//! A channel out of its rows. What was durable is all that it ever promised; the first turn says again what is owed.

use std::sync::Arc;

use towpath_crypto::Signable;
use towpath_ledger::StateClaim;

use super::machine::Channel;
use super::outgoing::Outgoing;
use super::state::{Burnt, Fixed, Memory, OpenProposal, Resizing};
use super::turn;
use crate::error::RestoreError;
use crate::life::{ClosingStage, Life};
use crate::message::{Propose, RefuseReason};
use crate::row::{Live, Rows};
use crate::signer::{Guard, StateSigner};
use crate::update::Update;

impl Channel {
    /// The channel that wrote `rows` (keys within its own key space, with their values, in any order). The key index
    /// in them says which key to give: see [`Channel::key_index_of`].
    ///
    /// # Errors
    /// [`RestoreError`] if rows are missing, damaged, newer than this program or in contradiction. Then nothing may be
    /// signed or closed with this channel before it is recovered.
    pub fn restore<'a>(
        rows: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        keys: Arc<dyn StateSigner>,
    ) -> Result<Self, RestoreError> {
        let rows = Rows::read(rows)?;
        let fixed = rows.fixed.ok_or(RestoreError::Missing("fixed"))?;
        let live = rows.live.ok_or(RestoreError::Missing("live"))?;
        if keys.public() != *fixed.terms.key(fixed.me) {
            return Err(RestoreError::Key);
        }
        let counts = [rows.proposals.len(), rows.requests.len(), rows.resize.iter().count()].map(turn::rows);
        if counts != [live.proposals, live.requests, live.resizes] {
            return Err(RestoreError::Inconsistent(
                "other open proposals, requests or resizes than there were",
            ));
        }
        let mut outgoing = Outgoing::default();
        for transfer in rows.requests {
            if transfer.from != fixed.me || !outgoing.insert(transfer) {
                return Err(RestoreError::Inconsistent("a request that is not this party's"));
            }
        }
        let sealed = rows.resize.as_ref().is_some_and(Resizing::is_sealed);
        let Live { life, funding, held, mark, mark_next, seen, next_number, posted, lost, journal, .. } =
            live;
        let memory = Memory { expected: held.version().saturating_add(1), ..Memory::default() };
        let mut channel = Self {
            guard: Guard::new(keys, mark).with_next(mark_next, sealed),
            life,
            funding,
            witnesses: Arc::new(rows.witnesses),
            held,
            seen,
            next_number,
            posted,
            lost,
            journal,
            open: rows.proposals.into_iter().map(Arc::new).collect(),
            outgoing,
            resize: rows.resize.map(Arc::new),
            memory,
            fixed: Arc::new(fixed),
        };
        channel.find_failing();
        channel.check().map_err(|broken| RestoreError::Inconsistent(broken.0))?;
        channel.check_content()?;
        channel.owe();
        Ok(channel)
    }

    /// Which key the rows of a channel, or of an acceptance, are for.
    ///
    /// # Errors
    /// [`RestoreError`] if there is no readable row that says so.
    pub fn key_index_of<'a>(
        rows: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<u32, RestoreError> {
        let fixed: Option<Fixed> = Rows::read(rows)?.fixed;
        fixed.map(|fixed| fixed.key_index).ok_or(RestoreError::Missing("fixed"))
    }

    /// Each row against the others, as far as they speak of the same: what was signed last is what the mark says, and each
    /// open version is what its base and its updates make.
    fn check_content(&self) -> Result<(), RestoreError> {
        let (state, terms) = (&self.held.content.state, &self.fixed.terms);
        if (state.channel, state.generation) != (terms.id, terms.generation) {
            return Err(RestoreError::Inconsistent("a state of another channel"));
        }
        if self.lost.is_some() {
            // What is held came from others by now, and fits nothing that was proposed here before the loss.
            return Ok(());
        }
        let (held, mark) = (&self.held, self.guard.mark());
        let newest = self.open.back().map(|open| (&open.content.state, open.propose.signature.held));
        let signed = newest.or(held.mine.map(|mine| (&held.content.state, mine.held)));
        if let Some((state, held)) = signed.filter(|(state, _)| state.version == mark.version) {
            let claim = StateClaim { state: state.clone(), held };
            if claim.signing_digest(&self.fixed.chain) != mark.digest {
                return Err(RestoreError::Inconsistent("the mark is of another content"));
            }
        }
        let mut known = vec![&held.content];
        for open in &self.open {
            let Propose { version, base, updates, .. } = &open.propose;
            let base = known.iter().find(|content| content.state.version == *base);
            let made = base.and_then(|base| base.next(*version, updates, &self.fixed.terms).ok());
            if made.as_ref() != Some(&open.content) {
                return Err(RestoreError::Inconsistent("an open version is not its base and its updates"));
            }
            known.push(&open.content);
        }
        Ok(())
    }

    /// Payments of burnt versions that are proposed nowhere again: they are failing, until something above the newest
    /// version that contains them is co-signed.
    fn find_failing(&mut self) {
        let again: Vec<u64> = self
            .open
            .iter()
            .filter(|open| !open.is_burnt())
            .flat_map(|open| self.own_numbers(open))
            .chain(self.outgoing.numbers())
            .collect();
        let mut failing = std::collections::BTreeMap::new();
        for open in self.open.iter() {
            let Some(burnt) = open.burnt else { continue };
            let reason = match burnt {
                Burnt::Refused { reason, .. } => reason,
                Burnt::Dependent => RefuseReason::Burnt,
            };
            for number in self.own_numbers(open).filter(|number| !again.contains(number)) {
                failing.insert(number, (open.version(), reason));
            }
        }
        self.memory.failing = failing;
    }

    pub(super) fn own_numbers<'a>(&'a self, open: &'a OpenProposal) -> impl Iterator<Item = u64> + 'a {
        open.propose.updates.iter().filter_map(|update| match update {
            Update::Transfer(transfer) if transfer.from == self.fixed.me => Some(transfer.number),
            Update::Transfer(_) | Update::Handover | Update::Finish => None,
        })
    }

    /// What stored state still owes to the wallet and the ledger. What it owes to the peer is said when it connects.
    fn owe(&mut self) {
        match self.life {
            Life::Opening => self.ask_funding(),
            Life::Closing(ClosingStage::Agreed) => self.memory.turn.submit = true,
            Life::Active | Life::Closing(ClosingStage::Draining) if self.lost.is_none() => self.owe_resize(),
            // If something newer is known by now, posting it was a mistake that the ledger has not seen.
            Life::Closing(ClosingStage::Unilateral)
                if self.posted.is_some_and(|posted| posted.version >= self.held.version()) =>
            {
                self.post_again();
            }
            Life::Closing(_) | Life::Active | Life::Disputed | Life::Settled(_) => {}
        }
    }
}
