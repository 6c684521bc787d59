//! Which channels a worker has in mind, and what it keeps of those that are over: of one that was never funded nothing, of
//! the others the newest, for lists. What peers can make by opening channels gives way to what is alive (FAULTS C2).

use towpath_ledger::{ChannelId, Party, Time};
use towpath_protocol::{Life, Settlement};
use towpath_store::{Column, after_prefix};

use super::held::Held;
use super::run::Worker;
use super::turn::Turn;

/// When a channel settled, in ledger time; the beginning of time if that is not known.
fn settled_at(held: &Held) -> Time {
    held.close.as_ref().and_then(|record| record.ended.as_ref()).map_or(Time(0), |ended| ended.time)
}

/// What this node brought to a channel that a peer opened, in base units.
fn contributed(held: &Held) -> u64 {
    match held.channel.me() {
        Party::A => 0,
        Party::B => held.channel.brought().units(),
    }
}

impl Worker {
    /// Channels that are not settled.
    pub(super) fn unsettled(&self) -> u64 {
        u64::try_from(self.channels.len().saturating_sub(self.settled.len())).unwrap_or(u64::MAX)
    }

    /// Takes a channel into the indexes: of those that are alive, or of those that are over.
    pub(super) fn index(&mut self, held: &Held) {
        let (id, peer) = (held.channel.id(), *held.channel.peer());
        let life = held.channel.life();
        if let Life::Settled(_) = life {
            self.settled.insert((settled_at(held), id));
            return;
        }
        self.by_peer.entry(peer).or_default().insert(id);
        if life == Life::Opening {
            self.openings.insert((held.channel.funding_deadline(), id));
        }
        let brought = contributed(held);
        if brought > 0 {
            let sum = self.contributed.entry(peer).or_default();
            *sum = sum.saturating_add(brought);
        }
    }

    /// A channel moved on in life: the indexes follow.
    pub(super) fn reindex(&mut self, id: ChannelId, life: Life) {
        let Some(held) = self.channels.get(&id) else { return };
        if life != Life::Opening {
            self.openings.remove(&(held.channel.funding_deadline(), id));
        }
        let Life::Settled(_) = life else { return };
        let (peer, brought) = (*held.channel.peer(), contributed(held));
        self.settled.insert((settled_at(held), id));
        if let Some(channels) = self.by_peer.get_mut(&peer) {
            channels.remove(&id);
            if channels.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
        if let Some(sum) = self.contributed.get_mut(&peer) {
            *sum = sum.saturating_sub(brought);
            if *sum == 0 {
                self.contributed.remove(&peer);
            }
        }
    }

    /// Gives a turn to the openings whose funding is not valid any more: they are over, and their coins free.
    pub(super) fn expire_fundings(&mut self, now: Time, turn: &mut Turn) {
        let late: Vec<ChannelId> =
            self.openings.iter().take_while(|(deadline, _)| *deadline < now).map(|(_, id)| *id).collect();
        for id in late {
            self.touch(id, turn);
        }
    }

    /// Forgets the oldest settled channels beyond those that are kept.
    pub(super) fn prune(&mut self, turn: &mut Turn) {
        while self.settled.len() > self.settled_kept
            && let Some((_, oldest)) = self.settled.pop_first()
        {
            self.forget(oldest, turn);
        }
    }

    /// Forgets a channel: its rows, its place in the indexes and its view.
    pub(super) fn forget(&mut self, id: ChannelId, turn: &mut Turn) {
        let Some(held) = self.channels.remove(&id) else { return };
        self.settled.remove(&(settled_at(&held), id));
        self.duties.remove(&id);
        turn.touched.remove(&id);
        for column in [Column::Channels, Column::ChannelEvents] {
            turn.entry.batch.delete_range(column, id.0.0, after_prefix(&id.0.0).unwrap_or_default());
        }
        turn.release.forgotten.push(id);
        tracing::debug!(channel = %id, "forgotten");
    }

    /// Whether nothing is worth keeping of a channel.
    pub(super) fn is_void(&self, id: &ChannelId) -> bool {
        let life = self.channels.get(id).map(|held| held.channel.life());
        life == Some(Life::Settled(Settlement::NeverFunded))
    }
}
