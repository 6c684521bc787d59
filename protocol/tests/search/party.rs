//! One honest party: the shipped machine, its disk, what it was told, and every signature that it ever released.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use towpath_ledger::{CoSigned, SignedState, Time};
use towpath_protocol::{Alarm, Channel, Content, Effect, Life};

use super::config::{Config, Disk};
use super::intern::{Mixer, Name, name_of};
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
    /// Its number among all sets of claims and of signatures on resizes, once it is interned.
    pub released: u32,
    /// What it was told that it brought into the channel by resizes.
    pub brought: i128,
    /// The ledger's time, as its replica shows it.
    pub clock: Time,
}

impl Party {
    /// Its name: everything by which it can ever behave differently, and what it was told.
    pub fn name(&self, config: &Config) -> Name {
        let mut text = Text::default();
        match self.channel.life() {
            // The machine does nothing any more, and the adversary says nothing to it.
            Life::Settled(outcome) if config.reduces() => {
                write!(text, "{outcome:?}").expect("a name takes everything");
            }
            Life::Disputed if config.reduces() => text.of_disputed(&self.channel),
            Life::Opening | Life::Active | Life::Closing(_) | Life::Disputed | Life::Settled(_) => {
                text.of(&self.channel);
            }
        }
        let rows = match config.disk {
            // What was written is what the machine would write again.
            Disk::Keeps => None,
            Disk::Loses => Some(&self.rows),
        };
        let resizes = (&self.intents, self.brought, self.clock);
        name_of(&(self.seat, text.name.name(), &self.facts, &self.claims, rows, resizes))
    }

    /// Whether it disputes a close, or has been settled.
    pub fn is_deaf(&self) -> bool {
        matches!(self.channel.life(), Life::Disputed | Life::Settled(_))
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

/// What a machine says of itself, but for what is left out: fields, by their names.
#[derive(Default)]
struct Text {
    name: Mixer,
    /// How many braces are open within the end of the log; none outside of it.
    within: Option<usize>,
    /// Whether this is the part of the memory that a dispute leaves without a use.
    is_useless: bool,
    disputed: bool,
    /// What was left out, in order.
    left_out: Vec<&'static str>,
}

impl Text {
    /// The end of the log hashes the whole past, and no decision depends on it.
    const LOG: &str = "journal";
    /// Of its memory, which comes last, a machine that disputes a close uses nothing any more but the payments that are failing:
    /// it has no session in which it says anything, proposes and takes nothing, signs no state, waits for no clock, and has
    /// declined what waited. (Recoveries apart: with a disk that keeps what it has there are none.)
    const MEMORY: &str = "memory";
    const FAILING: &str = "failing";
    const AFTER_FAILING: &str = "claim_since_ms";

    fn of(&mut self, channel: &Channel) {
        write!(self, "{channel:?}").expect("a name takes everything");
        assert_eq!((&self.left_out[..], self.within), (&[Self::LOG][..], None), "nothing else is left out");
    }

    fn of_disputed(&mut self, channel: &Channel) {
        self.disputed = true;
        write!(self, "{channel:?}").expect("a name takes everything");
        let left_out = [Self::LOG, Self::MEMORY, Self::AFTER_FAILING];
        assert_eq!((&self.left_out[..], self.within), (&left_out[..], None), "nothing else is left out");
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if let Some(open) = self.within {
            let count = |brace: char| text.chars().filter(|found| *found == brace).count();
            let still = open + count('{') - count('}');
            self.within = (still > 0 || open == 0).then_some(still);
            return Ok(());
        }
        match text {
            Self::LOG => {
                self.within = Some(0);
                self.left_out.push(Self::LOG);
            }
            Self::MEMORY if self.disputed => {
                self.is_useless = true;
                self.left_out.push(Self::MEMORY);
            }
            Self::FAILING if self.disputed => self.is_useless = false,
            Self::AFTER_FAILING if self.disputed => {
                self.is_useless = true;
                self.left_out.push(Self::AFTER_FAILING);
            }
            _ if self.is_useless => {}
            _ => return self.name.write_str(text),
        }
        Ok(())
    }
}
