//! A tower with its disk, and the ways in which one fails.

use std::collections::BTreeMap;

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::mempool::Source;
use towpath_protocol::tower::{
    Order, Outcome, Quotas, Receipt, Report, Serving, Shelf, Sighting, Sponsor, Standing, Tower, TowerMessage,
};

use super::ledger::Ledger;

pub type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

/// Enough for everything but the tests of quotas.
pub const QUOTAS: Quotas = Quotas {
    records_max: 100_000,
    known_max: 50_000,
    per_channel: 100,
    stranger_max: 100,
    strangers_max: 1_000,
};

/// A node that serves as a tower.
pub struct Host {
    pub tower: Tower,
    pub disk: Disk,
    pub reports: Vec<Report>,
    sponsor: Sponsor,
}

impl Host {
    pub fn new(ledger: &Ledger, sponsor: Sponsor) -> Self {
        Self::on(Disk::new(), ledger, sponsor)
    }

    /// Starts on a disk, and looks at every closing that the ledger shows.
    pub fn on(disk: Disk, ledger: &Ledger, sponsor: Sponsor) -> Self {
        let tower = Tower::open((Serving::Yes, QUOTAS), ledger.rules(), sponsor, &disk);
        let mut host = Self { tower: tower.expect("rows of its own"), disk, reports: Vec::new(), sponsor };
        host.see(ledger.closings());
        let cases = host.tower.cases().into_iter();
        let gone = cases.filter(|(channel, _)| ledger.closing(*channel).is_none());
        host.see(gone.map(|(channel, tag)| Sighting::Settled { channel, tag }).collect());
        host
    }

    /// Starts again from its disk.
    pub fn restart(&mut self, ledger: &Ledger) {
        *self = Self::on(std::mem::take(&mut self.disk), ledger, self.sponsor);
    }

    /// Writes what the turn changed.
    pub fn write(&mut self) {
        for (key, row) in self.tower.end_turn() {
            match row {
                Some(row) => self.disk.insert(key, row),
                None => self.disk.remove(&key),
            };
        }
    }

    pub fn hear(&mut self, client: &PublicKey, message: &TowerMessage) -> Option<TowerMessage> {
        let answer = self.tower.hear(client, Standing::Named, message, &self.disk).expect("rows of its own");
        self.write();
        answer
    }

    pub fn see(&mut self, sightings: Vec<Sighting>) {
        for sighting in sightings {
            self.tower.see(sighting, &self.disk).expect("rows of its own");
        }
        self.write();
    }

    /// What it does after a block. Refusals are the ledger's business: it tries again.
    pub fn act(&mut self, ledger: &mut Ledger, source: Source) {
        self.act_through(ledger, source, &mut || false);
    }

    /// As [`Host::act`], through a net that loses what `lost` says.
    pub fn act_through(&mut self, ledger: &mut Ledger, source: Source, lost: &mut dyn FnMut() -> bool) {
        for order in self.tower.act(ledger.at()) {
            match order {
                Order::Contest(_) | Order::Finalize(_) if lost() => {}
                Order::Contest(dispute) if dispute.short.is_zero() => {
                    let _ = ledger.submit_from(dispute.transaction, source);
                }
                Order::Contest(dispute) => {
                    let _ = ledger.sponsor(dispute.transaction, dispute.short, source);
                }
                Order::Finalize(transaction) => {
                    let _ = ledger.submit_from(*transaction, source);
                }
                Order::Report(report) => self.reports.push(report),
            }
        }
    }
}

/// How a tower behaves.
pub enum Behaviour {
    /// As it should.
    Honest(Box<Host>),
    /// It is not there.
    Dead,
    /// It acknowledges everything and keeps nothing.
    Liar,
    /// It keeps what it had at one time, and acknowledges everything since.
    RolledBack(Box<Host>),
}

impl Behaviour {
    pub fn hear(&mut self, client: &PublicKey, message: &TowerMessage) -> Option<TowerMessage> {
        match (self, message) {
            (Self::Honest(host), message) => host.hear(client, message),
            (Self::Dead, _) => None,
            (Self::Liar | Self::RolledBack(_), TowerMessage::Keep(entries)) => {
                let kept = entries.iter().map(|entry| Receipt {
                    locator: entry.locator,
                    sequence: entry.sequence,
                    outcome: Outcome::Kept,
                });
                Some(TowerMessage::Receipts(kept.collect()))
            }
            (Self::Liar, TowerMessage::List { after }) => {
                Some(TowerMessage::Page { after: *after, entries: Vec::new(), is_last: true })
            }
            (Self::RolledBack(host), message) => host.hear(client, message),
            (Self::Liar, _) => None,
        }
    }

    pub fn host(&mut self) -> Option<&mut Host> {
        match self {
            Self::Honest(host) | Self::RolledBack(host) => Some(host),
            Self::Dead | Self::Liar => None,
        }
    }
}

/// The rows of records on a disk.
pub fn records(disk: &Disk) -> usize {
    disk.rows(b"r", None, usize::MAX).expect("in memory").len()
}
