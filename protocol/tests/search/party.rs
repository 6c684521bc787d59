//! One honest party: the shipped machine, its disk, what it was told, and every signature that it ever released.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use towpath_ledger::{CoSigned, SignedState, Time};
use towpath_protocol::{Alarm, Channel, Content, Effect};

use super::config::Disk;
use super::intern::{Name, name_of};
use super::resize::{Resized, brought};
use super::violation::{Kind, Violation, must};

/// A state with the signature of an honest party that has left it: all that an adversary can work with.
pub struct Claim {
    pub seat: usize,
    /// What the state contains.
    pub content: Content,
    /// The honest party's part, which is also what it could be blamed with.
    pub signed: SignedState,
    /// Completed by the other party, which says that it holds nothing.
    pub completed: CoSigned,
    /// How many updates its proposal has, if it was one.
    pub updates: u16,
    /// The resize that it begins a generation with, if it does.
    pub resized: Option<Resized>,
    /// What its party had brought into the channel by then, beside its first balance.
    pub brought: i128,
}

impl Claim {
    pub const fn version(&self) -> u64 {
        self.content.state.version
    }

    /// What the party's payments made of its first balance.
    pub fn worth(&self) -> i128 {
        let balance = self.content.state.balance(super::setup::party(self.seat));
        i128::from(balance.units()) - self.brought
    }
}

/// What a node keeps for people, in the same write as the rows.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Facts {
    /// Own payments by number.
    pub sent: BTreeMap<u64, u64>,
    pub failed: BTreeSet<u64>,
    pub received: BTreeMap<u64, u64>,
    pub settled: u64,
}

/// One honest party.
#[derive(Clone)]
pub struct Party {
    pub seat: usize,
    pub channel: Channel,
    pub rows: Arc<BTreeMap<Vec<u8>, Arc<[u8]>>>,
    pub facts: Facts,
    /// The numbers of the claims that it released, by version.
    pub claims: BTreeMap<u64, u32>,
    pub first: u64,
    /// The signatures on resizes that an adversary proposed.
    pub intents: BTreeSet<u32>,
    /// What it was told that it brought into the channel by resizes.
    pub brought: i128,
    /// The ledger's time, as its replica shows it.
    pub clock: Time,
}

impl Party {
    /// Its name: everything by which it can ever behave differently, and what it was told.
    pub fn name(&self, disk: Disk) -> Name {
        let mut text = String::new();
        write!(text, "{:?}", self.channel).expect("a string takes everything");
        let rows = match disk {
            // What was written is what the machine would write again.
            Disk::Keeps => None,
            Disk::Loses => Some(&self.rows),
        };
        let resizes = (&self.intents, self.brought, self.clock);
        name_of(&(self.seat, without_journal(&text), &self.facts, &self.claims, rows, resizes))
    }

    /// Records what the machine reports.
    pub fn note(&mut self, fact: &Effect, disk: Disk) -> Result<(), Violation> {
        let facts = &mut self.facts;
        let report = |holds, detail: String| must(holds, Kind::Report, || detail);
        match fact {
            Effect::Sent { token, number } => {
                // The token of a payment is its amount, and no two amounts are the same.
                let known = facts.sent.insert(*number, *token);
                report(known.is_none(), format!("number {number} was given twice"))
            }
            Effect::Settled { upto } => {
                report(*upto > facts.settled, format!("{upto} settled after {}", facts.settled))?;
                let contradiction = facts.failed.range(facts.settled + 1..=*upto).next_back().copied();
                facts.settled = *upto;
                // Payments below the highest settled one may have failed, that one can't.
                report(contradiction != Some(*upto), format!("payment {upto} failed, and is settled now"))
            }
            Effect::Failed { number, .. } => {
                report(facts.sent.contains_key(number), format!("{number} was never sent, and failed"))?;
                report(*number > facts.settled, format!("payment {number} was settled, and failed now"))?;
                report(facts.failed.insert(*number), format!("payment {number} failed twice"))
            }
            Effect::Received { number, amount, .. } => {
                let known = facts.received.insert(*number, amount.units());
                report(known.is_none(), format!("payment {number} was received twice"))
            }
            Effect::Resized { by, change, .. } => {
                if *by == super::setup::party(self.seat) {
                    self.brought = brought(self.brought, *change);
                }
                Ok(())
            }
            Effect::Alarm(alarm) => expected_alarm(alarm, disk),
            _ => Ok(()),
        }
    }

    /// What it was told is its own: its first balance and all that it received, less what it sent and did not fail.
    pub fn told(&self) -> i128 {
        let received: u64 = self.facts.received.values().sum();
        let made = |(number, amount): (&u64, &u64)| (!self.facts.failed.contains(number)).then_some(*amount);
        let sent: u64 = self.facts.sent.iter().filter_map(made).sum();
        i128::from(self.first) + i128::from(received) - i128::from(sent)
    }

    /// What it held, if the newest that it holds settles the channel.
    fn held_worth(&self) -> i128 {
        let balance = self.channel.held().content.state.balance(super::setup::party(self.seat));
        i128::from(balance.units()) - self.brought
    }

    /// The least that it can be settled with while it, or somebody with its newest state, answers: by the newest that it
    /// holds, and by those that it signed since, in this generation or the next. Counted from the signatures that left it,
    /// not from what it remembers; without what it brought or was paid out by resizes.
    pub fn worst<'a>(&'a self, claim: impl Fn(u32) -> &'a Claim) -> i128 {
        let newer = self.claims.range(self.channel.held().version() + 1..);
        newer.map(|(_, number)| claim(*number).worth()).fold(self.held_worth(), i128::min)
    }
}

/// No honest party that kept its disk ever alarms anybody.
fn expected_alarm(alarm: &Alarm, disk: Disk) -> Result<(), Violation> {
    match (alarm, disk) {
        (Alarm::DataLost { .. } | Alarm::Loss { .. } | Alarm::Signer(_), Disk::Loses) => Ok(()),
        (
            Alarm::DataLost { .. }
            | Alarm::ShownLess { .. }
            | Alarm::Signer(_)
            | Alarm::ForeignClosing(_)
            | Alarm::Loss { .. },
            _,
        ) => Err(Violation::new(Kind::Alarm, format!("{alarm:?}"))),
    }
}

/// Leaves out the end of the log: it hashes the whole past, and no decision depends on it.
fn without_journal(text: &str) -> (&str, &str) {
    let (before, rest) = text.split_once("journal: Journal {").expect("a channel has a journal");
    let (journal, after) = rest.split_once('}').expect("what is opened is closed");
    assert!(!journal.contains('{') && !after.contains("journal: Journal {"), "one flat journal");
    (before, after)
}
