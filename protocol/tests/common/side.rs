//! One party: its machine, its disk, and what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towpath_ledger::{Amount, Party};
use towpath_protocol::{
    Alarm, Change, Channel, Effect, EventKind, Failure, Outcome, ResizeFailure, StateSigner, VersionSummary,
};

/// A party of a channel, with a disk that survives crashes.
#[derive(Clone)]
pub struct Side {
    pub party: Party,
    pub keys: Arc<dyn StateSigner>,
    pub channel: Channel,
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Facts, as a node records them in the same write.
    pub facts: Vec<Effect>,
    /// Amounts of accepted payments by token, while no number is known.
    pub asked: BTreeMap<u64, Amount>,
    /// Own payments by number.
    pub sent: BTreeMap<u64, Amount>,
    pub failed: BTreeSet<u64>,
    pub received: BTreeMap<u64, Amount>,
    pub settled: u64,
    pub declined: u64,
    pub first: Amount,
    /// What this party added to the channel by resizes, and what it was paid out by them.
    pub added: u64,
    pub paid_out: u64,
    /// Resizes that are final, of either party.
    pub resized: u64,
    /// Why others came to nothing.
    pub ended: Vec<ResizeFailure>,
    /// Its channel was recovered: what it was told before counts no more.
    pub began_again: bool,
}

impl Side {
    pub fn new(party: Party, keys: Arc<dyn StateSigner>, channel: Channel, first: Amount) -> Self {
        Self {
            party,
            keys,
            channel,
            rows: BTreeMap::new(),
            facts: Vec::new(),
            asked: BTreeMap::new(),
            sent: BTreeMap::new(),
            failed: BTreeSet::new(),
            received: BTreeMap::new(),
            settled: 0,
            declined: 0,
            first,
            added: 0,
            paid_out: 0,
            resized: 0,
            ended: Vec::new(),
            began_again: false,
        }
    }

    /// The write of an outcome: rows and facts together.
    pub fn write(&mut self, outcome: &Outcome) {
        for (key, value) in &outcome.write {
            match value {
                Some(value) => self.rows.insert(key.clone(), value.clone()),
                None => self.rows.remove(key),
            };
        }
        for effect in outcome.effects.iter().filter(|effect| effect.is_fact()) {
            self.note(effect);
            self.facts.push(effect.clone());
        }
    }

    fn note(&mut self, fact: &Effect) {
        match fact {
            Effect::Sent { token, number } => {
                let amount = self.asked.remove(token).expect("only accepted payments are sent, and once");
                assert!(self.sent.insert(*number, amount).is_none(), "number {number} given twice");
            }
            Effect::Settled { upto } => {
                assert!(*upto > self.settled, "settled goes up");
                self.settled = *upto;
            }
            // It may be older than anything that this record knows.
            Effect::Failed { reason: Failure::Lost, .. } => {}
            Effect::Failed { number, .. } => {
                assert!(self.sent.contains_key(number), "a payment that was never sent failed");
                assert!(*number > self.settled, "payment {number} failed after it was settled");
                assert!(self.failed.insert(*number), "payment {number} failed twice");
            }
            Effect::Received { number, amount, .. } => {
                assert!(self.received.insert(*number, *amount).is_none(), "received {number} twice");
            }
            Effect::Resized { by, change, .. } => {
                self.resized += 1;
                match change {
                    _ if *by != self.party => {}
                    Change::Add(amount) => self.added += amount.0,
                    Change::PayOut(amount) => self.paid_out += amount.0,
                }
            }
            Effect::ResizeEnded { why, .. } => self.ended.push(*why),
            Effect::Event(event) => {
                if let EventKind::Recovered(summary) = &event.kind {
                    self.begin_again(summary);
                }
            }
            _ => {}
        }
    }

    /// A recovered channel says what is this party's now; what it was told before counts no more.
    fn begin_again(&mut self, summary: &VersionSummary) {
        let (balance, sent) = match self.party {
            Party::A => (summary.balance_a, summary.sent_a),
            Party::B => (summary.balance_b, summary.sent_b),
        };
        self.began_again = true;
        (self.added, self.paid_out) = (0, 0);
        self.first = balance;
        self.sent.clear();
        self.failed.clear();
        self.received.clear();
        self.settled = sent;
    }

    /// What this party was told is its own: its first balance, what resizes did to it, what it received, less what it sent
    /// and did not fail; nothing if it has promised on what it has not received yet.
    pub fn told(&self) -> u64 {
        let received: u64 = self.received.values().map(|amount| amount.0).sum();
        let sent: u64 = self
            .sent
            .iter()
            .filter(|(number, _)| !self.failed.contains(number))
            .map(|(_, amount)| amount.0)
            .sum();
        (self.first.0 + self.added + received).saturating_sub(sent + self.paid_out)
    }

    /// Own payments that this party was told to be neither settled nor failed.
    pub fn unsettled(&self) -> BTreeMap<u64, Amount> {
        let open = |number: &u64| *number > self.settled && !self.failed.contains(number);
        self.sent
            .iter()
            .filter(|(number, _)| open(number))
            .map(|(number, amount)| (*number, *amount))
            .collect()
    }

    /// What a person was told.
    pub fn alarms(&self) -> Vec<Alarm> {
        let alarm = |fact: &Effect| match fact {
            Effect::Alarm(alarm) => Some(alarm.clone()),
            _ => None,
        };
        self.facts.iter().filter_map(alarm).collect()
    }

    /// The machine as it starts again from its disk.
    pub fn restored(&self) -> Channel {
        let rows = self.rows.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        Channel::restore(rows, Arc::clone(&self.keys)).expect("what was written can be read")
    }
}
