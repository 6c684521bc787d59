//! Which worlds are not visited because they lead nowhere else, each with the reason. A search without any of it (`Walks::All`)
//! comes to the same ends, where it can be done; a test holds the two against each other.
//!
//! All of this is for one honest party against an adversary: two honest parties wait for each other's messages, and their
//! searches are small.

use towpath_crypto::codec;

use super::config::{Budget, Turns};
use super::intern::{Name, name_of};
use super::ledger::Place;
use super::store::Store;
use super::turn::{Cut, Input};
use super::violation::Violation;
use super::world::{What, World};

/// Who has nothing to do before a party has seen what is on the ledger.
///
/// Let the ledger show that the channel is closed, and the party's replica not yet.
/// - *The party.* Each other turn of it, a crash, a session that begins or ends, and a copy for the tower depend on the party
///   alone; and the steps of the ledger since the close depend on it only by the signatures that it has released, of which there
///   are only ever more. What such a turn posts is for an output that the close has spent, whichever came first. So the same world
///   is reached with the turn before the close, and visited there. What is checked after each of the two steps is checked there,
///   too: what a party was told against what it signed does not depend on the ledger, and the ledger's step is checked against what
///   the party was told before the turn (the step without the turn is visited), and after it.
/// - *The ledger.* If it is the first close that the party is to see, another step and the party's notice can change places: what
///   the party posts about the first close is void after the step, what it has released by then makes the step no less possible, and
///   what the step is checked against is the same, since a close tells nobody of a payment (`check_close_seen` holds every turn to
///   that). After the first the party sees the newest, and may miss what came between; so there a step may come first, unless the
///   party is the same after it has seen what is there: then to have missed it is no other world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    No,
    Party,
    All,
}

pub fn waits_for_notice(store: &mut Store, world: &World) -> Waits {
    let Some((seat, number)) = world.present().next().filter(|_| store.config.reduces()) else {
        return Waits::No;
    };
    let Some(next) = world.unseen[seat].first().copied() else { return Waits::No };
    if matches!(store.ledgers.get(world.ledger).place, Place::Open { .. }) {
        return Waits::No;
    }
    if world.unseen[seat].len() > 1 {
        return Waits::Party;
    }
    if !world.knows[seat] {
        return Waits::All;
    }
    let turned = store.turn(number, [Some(Input::Ledger(next)), None], Cut::None);
    let is_same = world.left.crashes == 0 && turned.is_ok_and(|turned| turned.party == number);
    if is_same { Waits::All } else { Waits::Party }
}

impl Store {
    /// A party that has seen a close acts on the newest step, and may never see those between.
    pub fn misses_what_was_between(&self, world: &World, seat: usize) -> bool {
        self.config.reduces() && world.knows[seat]
    }

    /// Whether the party hears and says nothing any more in a session: the adversary has nothing to tell one that disputes a
    /// close, and it signs nothing.
    pub fn is_deaf(&self, world: &World) -> bool {
        self.config.reduces() && world.honest().all(|(_, number)| self.parties.get(number).is_deaf())
    }

    /// Where nothing can happen but that the party sees what is on the ledger, it does so at once.
    pub fn run_on(&mut self, next: &mut World) -> Result<(), Violation> {
        // A crash at the notice, or the party's leave instead of it, is something else that can happen.
        let free = next.left.crashes > 0 || next.copy.is_some() || self.config.turns == Turns::Two;
        while !free && waits_for_notice(self, next) == Waits::All {
            let (seat, _) = next.present().next().expect("somebody waits");
            self.take_turn(next, seat, [Some(What::Notice), None], Cut::None)?;
        }
        Ok(())
    }

    /// What a party was told in the end, and what it had signed, without the numbers of this search.
    pub fn end_of(&self, number: u32) -> Name {
        let party = self.parties.get(number);
        let signed = party.claims.values().map(|claim| codec::encode(&self.claims.get(*claim).signed));
        name_of(&(&party.facts, party.brought, signed.collect::<Vec<_>>()))
    }

    /// What can make no difference any more is the same in all worlds.
    pub fn forget(&self, world: &mut World) {
        if world.left.crashes == 0 {
            // What the replica showed last is shown again after a crash, and otherwise never.
            world.seen = [self.funded; 2];
        }
        if self.is_deaf(world) {
            // No session matters, and no wish is possible: it stays so.
            let (crashes, copies) = (world.left.crashes, world.left.copies);
            world.linked = false;
            world.left = Budget { crashes, copies, ..self.config.budget };
        }
    }
}
