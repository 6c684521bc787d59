//! What a folder must hold of what its node had told before the power was cut: by adding up what was told, and by the rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use towpath_crypto::seed::Seed;
use towpath_ledger::ChannelId;
use towpath_protocol::{Channel, KeySigner};
use towpath_store::{Column, Condition, MemoryBudget, Opened, RocksOptions, RocksStore, Scan, Store};

/// Something that others knew of the node at a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// When, in microseconds since 1970; the node had said it before.
    pub at_us: u64,
    /// What.
    pub fact: Fact,
}

/// What others knew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// The channel is open.
    Opened {
        /// Which.
        channel: String,
    },
    /// A payment by the node is settled.
    Paid {
        /// Where.
        channel: String,
        /// How much.
        amount: u64,
    },
    /// A payment to the node is settled, as its payer says, who makes the next one only then.
    Received {
        /// Where.
        channel: String,
        /// How much.
        amount: u64,
    },
    /// A block is decided.
    Decided {
        /// Which.
        height: u64,
        /// Its id.
        id: String,
    },
}

/// Payments of a channel, added up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sums {
    /// By the node.
    pub paid: u64,
    /// How many.
    pub paid_count: u64,
    /// To it.
    pub received: u64,
    /// How many.
    pub received_count: u64,
}

/// All that was told up to a moment, added up.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Due {
    /// By channel.
    pub channels: BTreeMap<String, Sums>,
    /// The newest block, and its id.
    pub block: Option<(u64, String)>,
}

impl Due {
    /// Adds what was told.
    pub fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Opened { channel } => {
                self.channels.entry(channel.clone()).or_default();
            }
            Fact::Paid { channel, amount } => {
                let sums = self.channels.entry(channel.clone()).or_default();
                (sums.paid, sums.paid_count) = (sums.paid + amount, sums.paid_count + 1);
            }
            Fact::Received { channel, amount } => {
                let sums = self.channels.entry(channel.clone()).or_default();
                (sums.received, sums.received_count) = (sums.received + amount, sums.received_count + 1);
            }
            Fact::Decided { height, id } => self.block = Some((*height, id.clone())),
        }
    }
}

/// What became of a node's data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All that was told is there.
    Whole,
    /// Something is missing or damaged, and the store or the node says so.
    Noticed(String),
    /// Something that was told is missing, and nothing says so.
    Lost(String),
}

/// Opens the store of a node and looks for all that was told. Each side had brought `brought` into each channel, and a channel
/// is paid through one way only.
#[must_use]
pub fn audit(store: &Path, seed: &Seed, due: &Due, brought: u64) -> Verdict {
    let small = MemoryBudget { cache_bytes: 8 << 20, write_buffer_bytes: 8 << 20, open_files: 64 };
    let how = RocksOptions { budget: small, ..RocksOptions::new(store) };
    let Opened { store, condition } = match RocksStore::open(&how) {
        Ok(opened) => opened,
        Err(error) => return Verdict::Noticed(error.to_string()),
    };
    if let Condition::Behind(behind) = condition {
        return Verdict::Noticed(behind.to_string());
    }
    if let Err(error) = store.verify() {
        return Verdict::Noticed(error.to_string());
    }
    due.channels
        .iter()
        .map(|(id, sums)| channel(&store, seed, id, sums, brought))
        .find(|verdict| *verdict != Verdict::Whole)
        .unwrap_or(Verdict::Whole)
}

fn channel(store: &RocksStore, seed: &Seed, id: &str, sums: &Sums, brought: u64) -> Verdict {
    let channel = match restored(store, seed, id) {
        Ok(Some(channel)) => channel,
        Ok(None) => return Verdict::Lost(format!("{id} is not there")),
        Err(why) => return Verdict::Noticed(format!("{id}: {why}")),
    };
    let view = channel.view();
    // What the node said to be paid is in the state that it holds.
    if view.sent < sums.paid_count || (sums.paid > 0 && view.balance.0 > brought - sums.paid) {
        return Verdict::Lost(format!(
            "{id} has {:?} after {} payments, told were {sums:?}",
            view.balance, view.sent
        ));
    }
    // What a payer says to be settled is in a state that this node has signed; the payer's signature may be on its way to it.
    let most = channel.possible_balances().map(|balance| balance.0).max().unwrap_or(0);
    if sums.received > 0 && most < brought + sums.received {
        return Verdict::Lost(format!("{id} could be settled with {most} at best, told were {sums:?}"));
    }
    Verdict::Whole
}

/// The channel out of its rows, as the node takes it up; none if it has no rows.
fn restored(store: &RocksStore, seed: &Seed, id: &str) -> Result<Option<Channel>, String> {
    let id: ChannelId = id.parse().map_err(|_| format!("{id} is no channel"))?;
    let rows = store.scan(Column::Channels, &Scan::prefix(&id.0.0)).map_err(|error| error.to_string())?;
    // The node's own rows are for people.
    let rows = || {
        let suffixes = rows.iter().map(|(key, value)| (&key[32..], value.as_slice()));
        suffixes.filter(|(suffix, _)| suffix.first() != Some(&b'~'))
    };
    if rows().next().is_none() {
        return Ok(None);
    }
    let index = Channel::key_index_of(rows()).map_err(|error| error.to_string())?;
    let keys = KeySigner::new(seed.channel_key(index));
    Channel::restore(rows(), Arc::new(keys)).map(Some).map_err(|error| error.to_string())
}
