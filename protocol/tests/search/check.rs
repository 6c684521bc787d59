//! What must hold of a whole world: what the ledger did to the honest parties, what they were told in the end, and
//! whether two honest parties come to rest.

use std::collections::BTreeMap;

use towpath_protocol::{ClosingStage, Life, Online};

use super::config::Disk;
use super::ledger::{Move, Place, Settled};
use super::party::{Claim, Party};
use super::setup;
use super::store::Store;
use super::turn::Cut;
use super::violation::{Kind, Violation, must};
use super::world::{Action, Presence, What, World};

/// So many turns bring two honest parties to rest, or something is wrong.
const TURNS_TO_REST: usize = 100;

impl Store {
    /// After a step of the ledger.
    pub fn check_ledger(&self, world: &World, before: u32, step: Move) -> Result<(), Violation> {
        let ledger = self.ledgers.get(world.ledger);
        for (seat, number) in world.honest() {
            let me = setup::party(seat);
            let party = self.parties.get(number);
            let closing =
                ledger.closing().is_some_and(|shown| shown.closing.penalized && shown.closing.author == me);
            let settled = ledger.settled().is_some_and(|settled| settled.penalized == Some(me));
            must(!closing && !settled, Kind::Penalized, || format!("honest {me:?} is penalized"))?;
            if let Some(settled) = ledger.settled() {
                self.check_payout(world, party, settled, ledger.brought[seat])?;
            }
            if let Move::Order(_) = step {
                self.check_deterrence(party, before, ledger.settled())?;
            }
        }
        Ok(())
    }

    /// An honest party gets what its worst possible state left it, less the fees that the terms allow (I3).
    fn check_payout(
        &self,
        world: &World,
        party: &Party,
        settled: &Settled,
        brought: i128,
    ) -> Result<(), Violation> {
        let (seat, me) = (party.seat, setup::party(party.seat));
        let balance = i128::from(settled.state.balance(me).units());
        let other = i128::from(settled.state.balance(me.other()).units());
        let fee = i128::from(self.config.fee_max);
        // What the other party spent on fees and does not have in the end falls on this one (ledger SPEC C-42).
        let lacks = (fee - other).max(0);
        let paid = i128::from(settled.paid[seat]);
        must(paid >= balance - fee - lacks, Kind::PaidLess, || {
            format!("{me:?} is paid {paid} of {balance}: more than fees is missing")
        })?;
        let worth = balance - brought;
        let least = match world.presence {
            Presence::Here => party.worst(|number| self.claims.get(number)),
            Presence::Gone => self.worst_by_tower(world, party, settled.state.generation),
        };
        must(worth >= least, Kind::PaidLess, || {
            format!(
                "settled by version {} with {worth} for {me:?}, which has at least {least}",
                settled.state.version
            )
        })?;
        let told = party.told();
        let covers = world.presence == Presence::Here || self.tower_is_fresh(world, party);
        must(!covers || told <= worth, Kind::PaidLess, || {
            format!("settled with {worth} for {me:?}, which was told that it has {told}")
        })
    }

    /// The least that a party has while only its tower answers, with the copy that it has.
    fn worst_by_tower(&self, world: &World, party: &Party, generation: u32) -> i128 {
        let copy = &self.copies.get(world.copy.expect("nobody leaves without a tower")).state.state;
        // What the tower has is one of the claims; it counts in the generation that it is of.
        let kept = party.claims.range(copy.version..).map(|(_, number)| self.claims.get(*number));
        let kept = kept.filter(|claim| claim.content.state.generation == generation);
        kept.map(Claim::worth).min().expect("what the tower has was released")
    }

    fn tower_is_fresh(&self, world: &World, party: &Party) -> bool {
        let copy = world.copy.map(|copy| self.copies.get(copy).state.state.version);
        copy == Some(party.channel.held().version())
    }

    /// A cheat that the honest party can prove is penalized when it answers.
    fn check_deterrence(
        &self,
        party: &Party,
        before: u32,
        settled: Option<&Settled>,
    ) -> Result<(), Violation> {
        let (Some(shown), Some(settled)) = (self.ledgers.get(before).closing(), settled) else {
            return Ok(());
        };
        let author = shown.closing.author;
        let cheated = party.channel.held().theirs.held > shown.closing.posted_version;
        let provable = author != setup::party(party.seat) && cheated && self.config.disk == Disk::Keeps;
        // A final state that both signed settles without an answer, and without a penalty that nobody asked for.
        let answered = settled.outcome != towpath_protocol::Settlement::Cooperative;
        must(!(provable && answered) || settled.penalized == Some(author), Kind::Unpunished, || {
            format!("{author:?} posted version {} and held more", shown.closing.posted_version)
        })
    }

    /// When all is over, everybody was told exactly what happened.
    pub fn check_end(&self, world: &World) -> Result<(), Violation> {
        let Some(settled) = self.ledgers.get(world.ledger).settled() else { return Ok(()) };
        if world.presence == Presence::Gone || self.config.disk == Disk::Loses {
            return Ok(());
        }
        for (seat, number) in world.honest() {
            let party = self.parties.get(number);
            let (me, facts) = (setup::party(seat), &party.facts);
            let over = matches!(party.channel.life(), Life::Settled(_));
            must(over, Kind::Report, || format!("{me:?} does not know that it is over"))?;
            let open =
                facts.sent.keys().find(|number| **number > facts.settled && !facts.failed.contains(number));
            must(open.is_none(), Kind::Report, || format!("{me:?} never heard of payment {open:?}"))?;
            // Amounts are powers of two: the sum says which payments are in the settlement.
            let brought = self.ledgers.get(world.ledger).brought[seat];
            must(party.brought == brought, Kind::Report, || {
                format!("{me:?} was told that it brought {}, and it brought {brought}", party.brought)
            })?;
            let (told, worth) = (party.told(), i128::from(settled.state.balance(me).units()) - brought);
            must(told == worth, Kind::Report, || {
                format!(
                    "{me:?} was told that it has {told}, and version {} gives it {worth}",
                    settled.state.version
                )
            })?;
        }
        Ok(())
    }

    /// Two honest parties that can talk, and are left alone, come to hold the same state with nothing open.
    pub fn check_rest(&mut self, world: &World) -> Result<(), Violation> {
        if self.config.has_adversary() || !world.linked || self.closes_alone(world) {
            return Ok(());
        }
        let mut rest = world.clone();
        for _ in 0..TURNS_TO_REST {
            let step = (0..2).find_map(|seat| {
                let number = rest.parties[seat]?;
                let due = self.parties.get(number).channel.next_deadline_ms().is_some();
                let what = match (rest.wires[seat].is_empty(), rest.unseen[seat].is_empty()) {
                    (false, _) => What::Deliver,
                    (true, false) => What::Notice,
                    (true, true) => due.then_some(What::Clock)?,
                };
                Some(Action::Turn { seat, whats: [Some(what), None], cut: Cut::None })
            });
            let waits = |(_, number): (usize, u32)| self.parties.get(number).channel.awaits_block();
            let step = step.or_else(|| rest.honest().any(waits).then_some(Action::Post(Move::Pass)));
            // Whoever waits for the ledger waits until a resize has expired, and no longer.
            rest.left.expiries = rest.left.expiries.max(1);
            match step {
                None => return self.check_agreement(&rest),
                Some(step) => match self.apply(&rest, step)? {
                    Some(next) => rest = next,
                    None => break,
                },
            }
        }
        Err(Violation::new(Kind::Stuck, "the parties never come to rest"))
    }

    /// Whether one party acts alone: then there is nothing left to agree on.
    fn closes_alone(&self, world: &World) -> bool {
        !matches!(self.ledgers.get(world.ledger).place, Place::Open { .. })
            || world.honest().any(|(_, number)| {
                let life = self.parties.get(number).channel.life();
                matches!(life, Life::Closing(ClosingStage::Unilateral) | Life::Disputed | Life::Settled(_))
            })
    }

    fn check_agreement(&self, world: &World) -> Result<(), Violation> {
        let party = |seat: usize| self.parties.get(world.parties[seat].expect("both are honest"));
        let (a, b) = (party(0), party(1));
        let views = [a.channel.view(), b.channel.view()];
        let stuck = |detail: String| Violation::new(Kind::Stuck, detail);
        if a.channel.state() != b.channel.state() {
            return Err(stuck(format!("A holds {:?}, B holds {:?}", a.channel.state(), b.channel.state())));
        }
        let (first, second) = (a.channel.life(), b.channel.life());
        if first != second || !matches!(first, Life::Active | Life::Closing(ClosingStage::Agreed)) {
            return Err(stuck(format!("A is {first:?}, B is {second:?}")));
        }
        let offline = views.iter().any(|view| view.online == Online::No);
        if first == Life::Active && offline {
            return Err(stuck("a session in which no payments flow".into()));
        }
        let open = |view: &towpath_protocol::View| (view.in_flight, view.waiting) != (0, 0);
        if let Some(view) = views.iter().find(|view| open(view)) {
            return Err(stuck(format!("{} in flight, {} waiting", view.in_flight, view.waiting)));
        }
        for (payer, payee) in [(a, b), (b, a)] {
            let made: BTreeMap<u64, u64> = payer
                .facts
                .sent
                .clone()
                .into_iter()
                .filter(|(number, _)| !payer.facts.failed.contains(number))
                .collect();
            let settled = made.keys().all(|number| *number <= payer.facts.settled);
            if made != payee.facts.received || !settled {
                return Err(stuck(format!("paid {:?}, received {:?}", payer.facts, payee.facts)));
            }
        }
        Ok(())
    }
}
