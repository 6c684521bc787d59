//! A tower's shelf: one record for each client and locator, of one size, replaced in place by newer ones only, within
//! quotas (SPEC T-10 to T-19; FAULTS W1, W3).
//!
//! A turn: [`Service::keep`] for what clients gave, [`Service::forget`] for channels that the ledger settled, then
//! [`Service::end_turn`] with the rows to write. Receipts go out once those are durable, and not before. Within a turn
//! the rows to be written hide those on disk, so that one turn sees its own changes; the next turn begins only when the
//! last one is on disk.

use std::collections::BTreeMap;

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChannelId, ChannelTag, Party};

use super::message::{Entry, Outcome, Quota, Receipt, Refusal, TowerMessage};
use super::record::{Locator, Record, Slot};
use super::shelf::{Account, Kept, Key, Part, Row, Shelf, ShelfError, Standing, read, value};
use crate::canary::{Canary, sings};
use crate::limits::TOWER_ENTRIES_MAX;

/// Rows that are read at once while walking over many.
const WALK: usize = 256;

/// How many records a tower keeps: in all, and for whom. A record takes about 700 bytes on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    /// In all.
    pub records_max: u64,
    /// For one client that the operator named, and for any other at most.
    pub known_max: u64,
    /// For each channel that a client has with the tower's node, beside what a stranger has: cheap channels buy little.
    pub per_channel: u64,
    /// For one stranger.
    pub stranger_max: u64,
    /// For all strangers together: whoever makes very many nodes fills this, and takes nothing from those who are known.
    pub strangers_max: u64,
}

/// What a tower keeps, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Clients with records.
    pub clients: u64,
    /// Records.
    pub records: u64,
    /// Of those, records of strangers.
    pub strangers: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Service {
    quotas: Quotas,
    accounts: BTreeMap<PublicKey, Account>,
    usage: Usage,
    cases: BTreeMap<ChannelId, ChannelTag>,
    turn: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Service {
    /// The tower whose rows are on `shelf`.
    ///
    /// # Errors
    /// [`ShelfError`] if they cannot be read.
    pub fn open(quotas: Quotas, shelf: &dyn Shelf) -> Result<Self, ShelfError> {
        let mut service = Self {
            quotas,
            accounts: BTreeMap::new(),
            usage: Usage::default(),
            cases: BTreeMap::new(),
            turn: BTreeMap::new(),
        };
        for prefix in [Key::ACCOUNTS, Key::CASES] {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let rows = shelf.rows(prefix, after.as_deref(), WALK)?;
                let Some((last, _)) = rows.last() else { break };
                after = Some(last.clone());
                for (key, row) in &rows {
                    service.take(key, row)?;
                }
            }
        }
        Ok(service)
    }

    fn take(&mut self, key: &[u8], row: &[u8]) -> Result<(), ShelfError> {
        match Key::parse(key) {
            Some(Key::Account(client)) => self.set_account(client, read(row)?),
            Some(Key::Case(channel)) => {
                self.cases.insert(channel, read(row)?);
            }
            Some(Key::Record(..) | Key::Index(..)) | None => {
                return Err(ShelfError("a key is malformed".to_owned()));
            }
        }
        Ok(())
    }

    /// What is kept.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// What `client` has, and may have.
    #[must_use]
    pub fn quota(&self, client: &PublicKey, standing: Standing) -> Quota {
        let records = self.accounts.get(client).map_or(0, |account| account.records);
        Quota { records, records_max: self.client_max(standing) }
    }

    const fn client_max(&self, standing: Standing) -> u64 {
        match standing {
            Standing::Named => self.quotas.known_max,
            Standing::Peer { channels } => {
                let more = self.quotas.per_channel.saturating_mul(channels.get());
                let records = self.quotas.stranger_max.saturating_add(more);
                if records < self.quotas.known_max { records } else { self.quotas.known_max }
            }
            Standing::Stranger => self.quotas.stranger_max,
        }
    }

    /// Takes what a client gives. The receipt is true once the rows of this turn are durable.
    ///
    /// # Errors
    /// [`ShelfError`] if the rows cannot be read; nothing is taken then.
    pub fn keep(
        &mut self,
        client: &PublicKey,
        standing: Standing,
        entry: &Entry,
        shelf: &dyn Shelf,
    ) -> Result<Receipt, ShelfError> {
        let (locator, sequence) = (entry.locator, entry.sequence);
        let receipt = |outcome| Receipt { locator, sequence, outcome };
        let kept: Option<Kept> = self.read(Key::Record(locator, *client), shelf)?;
        let outcome = match kept {
            Some(kept) if kept.sequence >= sequence => {
                // The same bytes again: the client missed the receipt.
                if kept.sequence == sequence && kept.sealed == entry.sealed {
                    Outcome::Kept
                } else {
                    Outcome::Older { kept: kept.sequence }
                }
            }
            Some(_) => {
                if !sings(Canary::TowerKeepsOlder) {
                    self.put(client, entry);
                }
                Outcome::Kept
            }
            None => match self.admit(client, standing) {
                Ok(()) => {
                    self.put(client, entry);
                    self.write(Key::Index(*client, locator), Some(Vec::new()));
                    Outcome::Kept
                }
                Err(refusal) => Outcome::Refused(refusal),
            },
        };
        Ok(receipt(outcome))
    }

    fn put(&mut self, client: &PublicKey, entry: &Entry) {
        let kept = Kept { sequence: entry.sequence, sealed: entry.sealed.clone() };
        self.write(Key::Record(entry.locator, *client), Some(value(&kept)));
    }

    /// Makes room for one more record of `client`.
    fn admit(&mut self, client: &PublicKey, standing: Standing) -> Result<(), Refusal> {
        let before = self.accounts.get(client).copied();
        let records = before.map_or(0, |account| account.records);
        let records_max = self.client_max(standing);
        if records >= records_max {
            return Err(Refusal::ClientFull { records_max });
        }
        // What this client has counts among the strangers' already, or not, as it stood when that was last looked at.
        let counted = before.map_or(0, Account::of_strangers);
        let part = Part::of(standing);
        let strangers = match part {
            Part::Strangers => self.usage.strangers - counted + records + 1,
            Part::Known => 0,
        };
        if self.usage.records >= self.quotas.records_max || strangers > self.quotas.strangers_max {
            return Err(Refusal::Full);
        }
        self.change_account(*client, Account { records: records + 1, part });
        Ok(())
    }

    fn change_account(&mut self, client: PublicKey, account: Account) {
        self.set_account(client, account);
        let row = (account.records > 0).then(|| value(&account));
        self.write(Key::Account(client), row);
    }

    fn set_account(&mut self, client: PublicKey, account: Account) {
        if let Some(before) = self.accounts.remove(&client) {
            self.usage.clients -= 1;
            self.usage.records -= before.records;
            self.usage.strangers -= before.of_strangers();
        }
        if account.records > 0 {
            self.usage.clients += 1;
            self.usage.records += account.records;
            self.usage.strangers += account.of_strangers();
            self.accounts.insert(client, account);
        }
    }

    /// Counts what each client has where it stands now: channels come and go without a word to the tower.
    pub fn review(&mut self, standing_of: &dyn Fn(&PublicKey) -> Standing) {
        let moved = |(client, account): (&PublicKey, &Account)| {
            let part = Part::of(standing_of(client));
            (part != account.part).then_some((*client, Account { part, ..*account }))
        };
        let moved: Vec<(PublicKey, Account)> = self.accounts.iter().filter_map(moved).collect();
        for (client, account) in moved {
            self.change_account(client, account);
        }
    }

    /// Who has records here, how many, and whether they count among the strangers'.
    pub fn clients(&self) -> impl Iterator<Item = (PublicKey, u64, bool)> {
        self.accounts
            .iter()
            .map(|(client, account)| (*client, account.records, account.part == Part::Strangers))
    }

    /// The operator wants nothing kept for a client: some of its records go, at most `limit`; how many those were. Called
    /// until it is none, each time with the turns before it on disk.
    ///
    /// # Errors
    /// [`ShelfError`] if the rows cannot be read.
    pub fn drop_client(
        &mut self,
        client: &PublicKey,
        limit: usize,
        shelf: &dyn Shelf,
    ) -> Result<u64, ShelfError> {
        let rows = shelf.rows(&Key::index_of(client), None, limit)?;
        let mut dropped = 0;
        for (key, _) in rows {
            let Some(Key::Index(_, locator)) = Key::parse(&key) else {
                return Err(ShelfError("an index's key is malformed".to_owned()));
            };
            self.remove(locator, *client);
            dropped += 1;
        }
        Ok(dropped)
    }

    /// The ledger settled a channel under this tag: nothing of that channel is needed any more, whoever gave it. The ledger
    /// gives a tag no meaning, so another channel can bear it: what opens as a record of another one stays.
    ///
    /// # Errors
    /// [`ShelfError`] if the rows cannot be read; some records may stay.
    pub fn forget(
        &mut self,
        channel: &ChannelId,
        tag: &ChannelTag,
        shelf: &dyn Shelf,
    ) -> Result<(), ShelfError> {
        for party in [Party::A, Party::B] {
            let slot = Slot::new(tag, party);
            self.walk(&slot.locator, shelf, &mut |service, client, row| {
                let kept = read::<Kept>(&row).ok().and_then(|kept| slot.open(&kept.sealed).ok());
                if kept.is_none_or(|record| record.newest.state.channel == *channel) {
                    service.remove(slot.locator, client);
                }
            })?;
        }
        Ok(())
    }

    fn remove(&mut self, locator: Locator, client: PublicKey) {
        self.write(Key::Record(locator, client), None);
        self.write(Key::Index(client, locator), None);
        if let Some(account) = self.accounts.get(&client).copied() {
            let records = account.records.saturating_sub(1);
            self.change_account(client, Account { records, ..account });
        }
    }

    /// Hands everything at `locator` to `see`, this turn's changes included; a page at a time, since anybody who knows a
    /// channel's tag can have lain something there.
    fn walk(
        &mut self,
        locator: &Locator,
        shelf: &dyn Shelf,
        see: &mut dyn FnMut(&mut Self, PublicKey, Vec<u8>),
    ) -> Result<(), ShelfError> {
        let prefix = Key::records_at(locator);
        let in_turn = self.turn.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        let in_turn: BTreeMap<_, _> = in_turn.map(|(key, row)| (key.clone(), row.clone())).collect();
        let client_of = |key: &[u8]| match Key::parse(key) {
            Some(Key::Record(_, client)) => Ok(client),
            Some(Key::Index(..) | Key::Account(_) | Key::Case(_)) | None => {
                Err(ShelfError("a record's key is malformed".to_owned()))
            }
        };
        for (key, row) in &in_turn {
            if let Some(row) = row {
                see(self, client_of(key)?, row.clone());
            }
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = shelf.rows(&prefix, after.as_deref(), WALK)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, row) in rows.into_iter().filter(|(key, _)| !in_turn.contains_key(key)) {
                see(self, client_of(&key)?, row);
            }
        }
    }

    /// Opens what lies in `slot`, one after the other, and hands over what is of `channel`; how many that was. The rest is
    /// useless to whoever lay it there, and harms nobody.
    ///
    /// # Errors
    /// [`ShelfError`] if the rows cannot be read.
    pub fn open_slot(
        &mut self,
        slot: &Slot,
        channel: &ChannelId,
        shelf: &dyn Shelf,
        see: &mut dyn FnMut(Record),
    ) -> Result<u64, ShelfError> {
        let (mut records, mut damaged) = (0, None);
        self.walk(&slot.locator, shelf, &mut |_, _, row| match read::<Kept>(&row) {
            Ok(kept) => {
                let opened = slot.open(&kept.sealed).ok();
                if let Some(record) = opened.filter(|record| record.newest.state.channel == *channel) {
                    records += 1;
                    see(record);
                }
            }
            Err(error) => damaged = Some(error),
        })?;
        damaged.map_or(Ok(records), Err)
    }

    /// What is kept for `client`, a page at a time: a party that lost its data looks here (FAULTS S10).
    ///
    /// # Errors
    /// [`ShelfError`] if the rows cannot be read.
    pub fn list(
        &self,
        client: &PublicKey,
        after: Option<Locator>,
        shelf: &dyn Shelf,
    ) -> Result<TowerMessage, ShelfError> {
        let from = after.map(|after| Key::Index(*client, after).bytes());
        let rows = shelf.rows(&Key::index_of(client), from.as_deref(), TOWER_ENTRIES_MAX + 1)?;
        let mut entries = Vec::with_capacity(rows.len().min(TOWER_ENTRIES_MAX));
        for (key, _) in rows.iter().take(TOWER_ENTRIES_MAX) {
            let Some(Key::Index(_, locator)) = Key::parse(key) else {
                return Err(ShelfError("an index's key is malformed".to_owned()));
            };
            let Some(row) = shelf.row(&Key::Record(locator, *client).bytes())? else {
                return Err(ShelfError("a record is missing".to_owned()));
            };
            let Kept { sequence, sealed } = read(&row)?;
            entries.push(Entry { locator, sequence, sealed });
        }
        Ok(TowerMessage::Page { after, entries, is_last: rows.len() <= TOWER_ENTRIES_MAX })
    }

    /// Remembers that the channel with this tag is being closed, and that there are records for it: if it is settled while
    /// the tower is down, nothing else tells which records are not needed any more.
    pub fn open_case(&mut self, channel: ChannelId, tag: ChannelTag) {
        if self.cases.insert(channel, tag).is_none() {
            self.write(Key::Case(channel), Some(value(&tag)));
        }
    }

    /// It is settled.
    pub fn close_case(&mut self, channel: &ChannelId) {
        if self.cases.remove(channel).is_some() {
            self.write(Key::Case(*channel), None);
        }
    }

    /// The channels that are being closed, as far as there are records for them.
    pub const fn cases(&self) -> &BTreeMap<ChannelId, ChannelTag> {
        &self.cases
    }

    /// The rows of the turn: durable before its receipts are sent.
    #[must_use]
    pub fn end_turn(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.turn).into_iter().collect()
    }

    fn read(&self, key: Key, shelf: &dyn Shelf) -> Result<Option<Kept>, ShelfError> {
        let key = key.bytes();
        let row = match self.turn.get(&key) {
            Some(row) => row.clone(),
            None => shelf.row(&key)?,
        };
        row.map(|row| read(&row)).transpose()
    }

    fn write(&mut self, key: Key, row: Option<Vec<u8>>) {
        self.turn.insert(key.bytes(), row);
    }
}
