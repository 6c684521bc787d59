//! A tower: its shelf and its watch behind one door. What clients say and what blocks did goes in; rows, answers and
//! orders come out, the rows first (SPEC T-11).

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChannelId, ChannelTag};

use super::dispute::Posted;
use super::message::{Entry, Outcome, Receipt, Refusal, TowerMessage};
use super::service::{Quotas, Service, Usage};
use super::shelf::{Row, Shelf, ShelfError, Standing};
use super::watch::{At, Found, LedgerRules, Order, Sponsor, Watch};

/// Whether a node takes records of others. It answers with those that it has either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serving {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// What the ledger shows of a channel that matters to a tower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sighting {
    /// A closing, new or disputed.
    Posted(Box<Posted>),
    /// The channel is settled.
    Settled {
        /// Which.
        channel: ChannelId,
        /// Its tag, which every settlement shows.
        tag: ChannelTag,
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Tower {
    serving: Serving,
    service: Service,
    watch: Watch,
}

impl Tower {
    /// The tower whose rows are on `shelf`. It must be told of every closing that the ledger shows, and then of each block.
    ///
    /// # Errors
    /// [`ShelfError`] if the shelf cannot be read.
    pub fn open(
        (serving, quotas): (Serving, Quotas),
        rules: LedgerRules,
        sponsor: Sponsor,
        shelf: &dyn Shelf,
    ) -> Result<Self, ShelfError> {
        let service = Service::open(quotas, shelf)?;
        Ok(Self { serving, service, watch: Watch::new(rules, sponsor) })
    }

    /// Takes records from now on, or no more. A tower that begins must be told of every closing that the ledger shows: one
    /// that keeps nothing and takes nothing remembers none.
    pub fn serve(&mut self, serving: Serving) {
        self.serving = serving;
    }

    /// Whether it takes records.
    #[must_use]
    pub const fn serving(&self) -> Serving {
        self.serving
    }

    /// What it keeps.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.service.usage()
    }

    /// Closings that it has records for.
    #[must_use]
    pub fn open_cases(&self) -> usize {
        self.watch.open_cases()
    }

    /// A message of a client: the answer, which is true once the rows of this turn are durable.
    ///
    /// # Errors
    /// [`ShelfError`] if the shelf cannot be read; then nothing may be answered.
    pub fn hear(
        &mut self,
        client: &PublicKey,
        standing: Standing,
        message: &TowerMessage,
        shelf: &dyn Shelf,
    ) -> Result<Option<TowerMessage>, ShelfError> {
        Ok(match message {
            TowerMessage::Keep(entries) => {
                let receipts = entries.iter().map(|entry| self.keep(client, standing, entry, shelf));
                Some(TowerMessage::Receipts(receipts.collect::<Result<_, _>>()?))
            }
            TowerMessage::List { after } => match self.serving {
                Serving::Yes => Some(self.service.list(client, *after, shelf)?),
                // A client that lost its data may have only this: what was promised before is still shown.
                Serving::No if self.service.quota(client, standing).records > 0 => {
                    Some(self.service.list(client, *after, shelf)?)
                }
                Serving::No => None,
            },
            TowerMessage::AskQuota => Some(TowerMessage::Quota(match self.serving {
                Serving::Yes => Some(self.service.quota(client, standing)),
                Serving::No => None,
            })),
            TowerMessage::Receipts(_) | TowerMessage::Page { .. } | TowerMessage::Quota(_) => None,
        })
    }

    fn keep(
        &mut self,
        client: &PublicKey,
        standing: Standing,
        entry: &Entry,
        shelf: &dyn Shelf,
    ) -> Result<Receipt, ShelfError> {
        if self.serving == Serving::No {
            let (locator, sequence) = (entry.locator, entry.sequence);
            return Ok(Receipt { locator, sequence, outcome: Outcome::Refused(Refusal::NotServing) });
        }
        let receipt = self.service.keep(client, standing, entry, shelf)?;
        if receipt.outcome == Outcome::Kept {
            // The first record of a channel that is being closed: what is settled is forgotten, whatever happens meanwhile.
            if let Some((channel, tag)) = self.watch.kept(entry) {
                self.service.open_case(channel, tag);
            }
        }
        Ok(receipt)
    }

    /// Counts what each client has where it stands now.
    pub fn review(&mut self, standing_of: &dyn Fn(&PublicKey) -> Standing) {
        self.service.review(standing_of);
    }

    /// Who has records here, how many, and whether they count among the strangers'.
    pub fn clients(&self) -> impl Iterator<Item = (PublicKey, u64, bool)> {
        self.service.clients()
    }

    /// The operator wants nothing kept for a client any more: see [`Service::drop_client`].
    ///
    /// # Errors
    /// [`ShelfError`] if the shelf cannot be read.
    pub fn drop_client(
        &mut self,
        client: &PublicKey,
        limit: usize,
        shelf: &dyn Shelf,
    ) -> Result<u64, ShelfError> {
        self.service.drop_client(client, limit, shelf)
    }

    /// Something that the ledger shows.
    ///
    /// # Errors
    /// [`ShelfError`] if the shelf cannot be read.
    pub fn see(&mut self, sighting: Sighting, shelf: &dyn Shelf) -> Result<(), ShelfError> {
        match sighting {
            Sighting::Posted(_) if self.serving == Serving::No && self.usage().records == 0 => Ok(()),
            Sighting::Posted(posted) => {
                let (channel, tag) = (posted.closing.terms.id, posted.closing.state.tag);
                if self.watch.posted(*posted, &mut self.service, shelf)? == Found::New {
                    self.service.open_case(channel, tag);
                }
                Ok(())
            }
            Sighting::Settled { channel, tag } => {
                self.watch.gone(&channel);
                self.service.close_case(&channel);
                self.service.forget(&channel, &tag, shelf)
            }
        }
    }

    /// The channels that were being closed when the tower last looked. Of those that the ledger does not show any more when it
    /// starts, it must be told that they are settled.
    #[must_use]
    pub fn cases(&self) -> Vec<(ChannelId, ChannelTag)> {
        self.service.cases().iter().map(|(channel, tag)| (*channel, *tag)).collect()
    }

    /// The rows of the turn, to be made durable before any of its answers is given.
    #[must_use]
    pub fn end_turn(&mut self) -> Vec<Row> {
        self.service.end_turn()
    }

    /// What is to be done after a block whose sightings it was told of.
    #[must_use]
    pub fn act(&mut self, at: At) -> Vec<Order> {
        self.watch.act(at)
    }
}
