//! One turn of an honest party, as a driver runs it: step the events, end the turn, write, and only then speak; with
//! a crash at the one place between that can be told from outside. Each is computed once for each party and events.

use std::rc::Rc;
use std::sync::Arc;

use towpath_ledger::{Amount, Output, TxBody};
use towpath_protocol::{
    Change, Channel, Command, Event, LedgerEvent, Life, Now, Outcome, Receive, Reject, RestoreError, Severity,
};

use super::config::{Disk, Fees};
use super::ledger::{Ledger, Place};
use super::party::Party;
use super::resize::{plan_of, sign_wallet};
use super::setup::{self, LATER_MS, NOW};
use super::store::Store;
use super::violation::{Kind, Violation, must};

/// What a party's user wants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wish {
    /// Pay so much.
    Pay(u64),
    Close,
    /// Close alone, for no fee or for the most that is allowed.
    ForceClose(Fee),
    Take,
    HandOver,
    RefusePayments,
    AcceptPayments,
    /// The change with this place in the configuration.
    Resize(u8),
}

/// What a step on the ledger takes out of a balance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fee {
    Nothing,
    All,
}

impl Fee {
    /// Those of a configuration.
    pub const fn of_choice(fees: Fees) -> &'static [Self] {
        match fees {
            Fees::Nothing => &[Self::Nothing],
            Fees::Both => &[Self::Nothing, Self::All],
        }
    }

    pub const fn of(self, most: u64) -> Amount {
        match self {
            Self::Nothing => Amount::ZERO,
            Self::All => Amount(most),
        }
    }
}

/// Something that happens to a party, by number where it was interned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// A message arrives.
    Message(u32),
    Wish(Wish),
    /// Its clock has gone on, and it has a turn.
    Clock,
    /// Its replica shows this ledger.
    Ledger(u32),
    Connected,
    Disconnected,
}

/// How a turn ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cut {
    /// As it should.
    None,
    /// The party dies after the write and before the first effect. (Dying before the write is a turn that never was.)
    BeforeEffects,
    /// The party dies after its effects, and its disk forgets the write that it had reported as synced.
    LosesWrite,
}

pub type TurnKey = (u32, [Option<Input>; 2], Cut);

/// What came of a turn.
#[derive(Clone, Default, Debug)]
pub struct Turned {
    /// The party after it.
    pub party: u32,
    /// What it said, in order.
    pub sent: Vec<u32>,
    /// What it posted.
    pub orders: Vec<u32>,
    /// A wish was refused, or the disk could not be read after it had lost a write: nothing happened.
    pub refused: bool,
    /// A message was refused for which an honest peer would be blamed.
    pub blamed: Option<Reject>,
    /// What its wallet is to sign.
    pub to_sign: Option<Signing>,
}

/// A resize whose inputs a wallet is to sign.
#[derive(Clone, Debug)]
pub struct Signing {
    pub body: TxBody,
    pub spent: Vec<Output>,
    pub inputs: usize,
}

impl Store {
    /// A turn of the party with this number.
    pub fn turn(
        &mut self,
        party: u32,
        inputs: [Option<Input>; 2],
        cut: Cut,
    ) -> Result<Rc<Turned>, Violation> {
        let key = (party, inputs, cut);
        if let Some(known) = self.turns.get(&key) {
            return known.clone();
        }
        let turned = self.run_turn(party, inputs, cut).map(Rc::new);
        self.turns.insert(key, turned.clone());
        turned
    }

    fn run_turn(&mut self, number: u32, inputs: [Option<Input>; 2], cut: Cut) -> Result<Turned, Violation> {
        let mut party = self.parties.get(number).clone();
        let mut turned = Turned { party: number, ..Turned::default() };
        for input in inputs.into_iter().flatten() {
            self.step(&mut party, input, &mut turned)?;
        }
        if turned.refused {
            return Ok(turned);
        }
        let outcome = self.end_turn(&mut party, inputs.contains(&Some(Input::Clock)));
        self.conclude(&mut party, &outcome, cut, &mut turned)?;
        if let (Some(signing), Cut::None) = (turned.to_sign.take(), cut) {
            self.sign(&mut party, &signing, &mut turned)?;
        }
        match cut {
            Cut::None => {}
            Cut::BeforeEffects | Cut::LosesWrite => match self.restored(&party) {
                Ok(channel) => party.channel = channel,
                // Found out, so nothing is signed or closed with it.
                Err(_) if cut == Cut::LosesWrite => return Ok(Turned { refused: true, ..turned }),
                Err(error) => return Err(Violation::new(Kind::Restore, error.to_string())),
            },
        }
        self.check_party(&party)?;
        self.check_close_seen(number, &party, inputs)?;
        turned.party = self.keep(party);
        Ok(turned)
    }

    /// A close that is seen tells nobody of a payment, and changes nothing of what a party can be settled with: on that rests
    /// which orders of events are left out.
    fn check_close_seen(
        &self,
        before: u32,
        after: &Party,
        inputs: [Option<Input>; 2],
    ) -> Result<(), Violation> {
        let [Some(Input::Ledger(shown)), None] = inputs else { return Ok(()) };
        if self.ledgers.get(shown).closing().is_none() {
            return Ok(());
        }
        let worth = |party: &Party| (party.told(), party.worst(|number| self.claims.get(number)));
        let (before, after) = (worth(self.parties.get(before)), worth(after));
        must(before == after, Kind::Report, || format!("a close was seen, and {before:?} became {after:?}"))
    }

    /// What a turn decided: told, written, done.
    fn conclude(
        &mut self,
        party: &mut Party,
        outcome: &Outcome,
        cut: Cut,
        turned: &mut Turned,
    ) -> Result<(), Violation> {
        for fact in outcome.effects.iter().filter(|effect| effect.is_fact()) {
            party.note(fact, self.config.disk)?;
        }
        match cut {
            Cut::None | Cut::BeforeEffects => self.write(party, outcome),
            Cut::LosesWrite => {}
        }
        match cut {
            Cut::None | Cut::LosesWrite => {
                for effect in &outcome.effects {
                    self.run(party, effect, turned)?;
                }
                Ok(())
            }
            Cut::BeforeEffects => Ok(()),
        }
    }

    /// The wallet signs, in a turn of its own. A crash before it is the same as one before the effects of the turn that
    /// asked; after it, the same as one that broadcasts late.
    fn sign(&mut self, party: &mut Party, signing: &Signing, turned: &mut Turned) -> Result<(), Violation> {
        let witnesses = sign_wallet(party.seat, &signing.body, &signing.spent, signing.inputs);
        let now = Now { ledger: party.clock, ..NOW };
        let stepped = setup::with_verifier(self.config.crypto, |verifier| {
            party.channel.step(Event::FundingSigned(witnesses), now, verifier)
        });
        stepped.map_err(|reject| Violation::new(Kind::Machine, format!("the wallet's word: {reject}")))?;
        let outcome = self.end_turn(party, false);
        self.conclude(party, &outcome, Cut::None, turned)
    }

    /// The party after a crash between two turns: what was only in memory is gone.
    pub fn crash(&mut self, number: u32) -> Result<u32, Violation> {
        let mut party = self.parties.get(number).clone();
        let restored = self.restored(&party);
        party.channel = restored.map_err(|error| Violation::new(Kind::Restore, error.to_string()))?;
        self.check_party(&party)?;
        Ok(self.keep(party))
    }

    fn restored(&self, party: &Party) -> Result<Channel, RestoreError> {
        let rows = party.rows.iter().map(|(key, value)| (key.as_slice(), value.as_ref()));
        let mut channel = Channel::restore(rows, Arc::clone(&self.keys[party.seat]))?;
        self.allow_resizes(&mut channel);
        Ok(channel)
    }

    /// What is not stored: which resizes this party agrees to. A search without any leaves it out.
    pub fn allow_resizes(&self, channel: &mut Channel) {
        if self.config.changes.is_empty() {
            return;
        }
        let allowed = Event::Bounds(Arc::clone(&self.bounds));
        let stepped =
            setup::with_verifier(self.config.crypto, |verifier| channel.step(allowed, NOW, verifier));
        stepped.expect("bounds are always taken");
    }

    fn step(&self, party: &mut Party, input: Input, turned: &mut Turned) -> Result<(), Violation> {
        if let Input::Ledger(number) = input {
            party.clock = party.clock.max(self.ledgers.get(number).clock);
        }
        let Some(event) = self.event(party, input) else { return Ok(()) };
        let now = Now { ledger: party.clock, ..NOW };
        let stepped =
            setup::with_verifier(self.config.crypto, |verifier| party.channel.step(event, now, verifier));
        match stepped {
            Ok(outcome) => must(outcome == Outcome::default(), Kind::Machine, || {
                "only the end of a turn has an outcome".into()
            }),
            Err(reject) => {
                match input {
                    Input::Wish(_) => turned.refused = true,
                    Input::Message(_) if reject.severity() == Severity::Disconnect => {
                        turned.blamed = Some(reject);
                    }
                    Input::Message(_) => {}
                    Input::Ledger(_) | Input::Clock | Input::Connected | Input::Disconnected => {
                        return Err(Violation::new(
                            Kind::Machine,
                            format!("{input:?} was refused: {reject}"),
                        ));
                    }
                }
                Ok(())
            }
        }
    }

    /// The event; none for one that is only a turn, or that the machine is not told again.
    fn event(&self, party: &Party, input: Input) -> Option<Event> {
        let wish = |command| Some(Event::Command { token: 0, command });
        match input {
            Input::Message(number) => Some(Event::Message(self.messages.get(number).clone())),
            Input::Clock => None,
            Input::Connected => Some(Event::Connected),
            Input::Disconnected => Some(Event::Disconnected),
            Input::Ledger(number) => self.ledger_event(self.ledgers.get(number)).map(Event::Ledger),
            Input::Wish(Wish::Pay(units)) => {
                let command = Command::Pay { amount: Amount(units), memo: None };
                Some(Event::Command { token: units, command })
            }
            Input::Wish(Wish::Close) => wish(Command::Close),
            Input::Wish(Wish::ForceClose(fee)) => {
                wish(Command::ForceClose { fee: fee.of(self.config.fee_max) })
            }
            Input::Wish(Wish::Take) => wish(Command::TakeSequencer),
            Input::Wish(Wish::HandOver) => wish(Command::HandOver),
            Input::Wish(Wish::RefusePayments) => wish(Command::SetReceive(Receive::Nothing)),
            Input::Wish(Wish::AcceptPayments) => wish(Command::SetReceive(Receive::Any)),
            Input::Wish(Wish::Resize(place)) => {
                let change: Change = self.config.changes[usize::from(place)];
                let plan = Box::new(plan_of(party, party.seat, change));
                Some(Event::Resize { token: 0, plan })
            }
        }
    }

    fn ledger_event(&self, ledger: &Ledger) -> Option<LedgerEvent> {
        match &ledger.place {
            Place::Open { outpoint, entry } => {
                Some(LedgerEvent::Funded { outpoint: *outpoint, entry: Box::new(entry.clone()) })
            }
            Place::Closing(shown) => Some(LedgerEvent::Closing {
                outpoint: shown.outpoint,
                created: shown.entry.time,
                closing: Box::new(shown.closing.clone()),
                fee: Amount(self.config.fee_max),
            }),
            Place::Settled(settled) => {
                Some(LedgerEvent::Settled { version: settled.state.version, outcome: settled.outcome })
            }
        }
    }

    /// Ends the turn; if the clock has gone on, it is turned back afterwards by an idle turn, so that time does not
    /// tell worlds apart.
    fn end_turn(&self, party: &mut Party, later: bool) -> Outcome {
        let now = Now { ledger: party.clock, ..NOW };
        let channel = &mut party.channel;
        let mut end = |now| {
            let ended = setup::with_verifier(self.config.crypto, |verifier| {
                channel.step(Event::TurnEnd, now, verifier)
            });
            ended.expect("a turn always ends")
        };
        if !later {
            return end(now);
        }
        let mut outcome = end(Now { local_ms: LATER_MS, ..now });
        let idle = end(now);
        outcome.write.extend(idle.write);
        outcome.effects.extend(idle.effects);
        outcome
    }

    /// What must hold of a party by itself, after every turn.
    fn check_party(&self, party: &Party) -> Result<(), Violation> {
        party.channel.check().map_err(|broken| Violation::new(Kind::Machine, broken.to_string()))?;
        if self.config.disk == Disk::Loses || matches!(party.channel.life(), Life::Settled(_)) {
            // What it was told is lost with the row: what that costs is for the ledger to show. And once the channel is
            // settled nothing else is possible.
            return Ok(());
        }
        let (told, worst) = (party.told(), party.worst(|number| self.claims.get(number)));
        must(told <= worst, Kind::Told, || {
            format!("it was told that it has {told}, but can be settled with {worst}")
        })
    }
}
