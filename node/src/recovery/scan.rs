//! What the ledger knows of a node that has only its seed: the channels with one of its keys, and the addresses that were
//! ever paid.

use std::collections::BTreeMap;

use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::schnorr::WalletKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::{ChannelId, ChannelTerms, Entry, Lock, OutPoint, Payout};
use towpath_store::StoreError;

use super::{ADDRESS_GAP, KEY_GAP, KEYS_MAX};
use crate::ledger::Chain;

/// Outputs that are read at a time.
const PAGE: usize = 512;

/// A channel on the ledger that is this node's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The channel.
    pub channel: ChannelId,
    /// Its output.
    pub outpoint: OutPoint,
    /// What it is: open, or being closed.
    pub entry: Entry,
    /// The number of the key.
    pub key_index: u32,
}

/// The terms in a lock, if it is a channel's.
#[must_use]
pub fn terms_of(lock: &Lock) -> Option<&ChannelTerms> {
    match lock {
        Lock::Channel(terms) => Some(terms),
        Lock::Closing(closing) => Some(&closing.terms),
        Lock::Wallet(_) | Lock::Conditional(_) => None,
    }
}

/// The public halves of a node's channel keys, by number from zero.
#[derive(Default, Debug)]
pub(super) struct KeyWindow {
    keys: BTreeMap<PublicKey, u32>,
    length: u32,
}

impl KeyWindow {
    /// Derives on, up to so many keys.
    fn extend(&mut self, seed: &Seed, length: u32) {
        for index in self.length..length {
            self.keys.insert(seed.channel_key(index).public(), index);
        }
        self.length = self.length.max(length);
    }

    /// Which key of these is in the terms.
    pub(super) fn find(&self, terms: &ChannelTerms) -> Option<u32> {
        self.keys.get(&terms.key_a).or_else(|| self.keys.get(&terms.key_b)).copied()
    }
}

/// All channels of this node on the ledger, and the keys that were tried: they go on as far as channels are found, and
/// further while the ledger shows a channel that pays this wallet and none of them is in it.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn search(chain: &Chain, seed: &Seed) -> Result<(Vec<Found>, KeyWindow), StoreError> {
    let mut window = KeyWindow::default();
    window.extend(seed, KEY_GAP);
    let payout = Payout::Key(seed.wallet_key(0).public());
    loop {
        let (found, unexplained) = pass(chain, &window, &payout)?;
        let used = found.iter().map(|found| found.key_index.saturating_add(1)).max().unwrap_or(0);
        let wanted = match unexplained {
            true if window.length < KEYS_MAX => window.length.saturating_mul(2).min(KEYS_MAX),
            _ => used.saturating_add(KEY_GAP),
        };
        if wanted <= window.length {
            return Ok((found, window));
        }
        window.extend(seed, wanted);
    }
}

/// All channels of this node on the ledger.
///
/// # Errors
/// When the database cannot be read.
pub fn own_channels(chain: &Chain, seed: &Seed) -> Result<Vec<Found>, StoreError> {
    search(chain, seed).map(|(found, _)| found)
}

/// Once through all channels: those with one of these keys, and whether another one pays `payout`.
fn pass(chain: &Chain, window: &KeyWindow, payout: &Payout) -> Result<(Vec<Found>, bool), StoreError> {
    let (mut found, mut unexplained, mut after) = (Vec::new(), false, None);
    loop {
        let (outputs, last) = chain.channel_outputs(after.as_ref(), PAGE)?;
        if last.is_none() {
            return Ok((found, unexplained));
        }
        after = last;
        for (outpoint, entry) in outputs {
            let Some(terms) = terms_of(&entry.output.lock) else { continue };
            match window.find(terms) {
                Some(key_index) => found.push(Found { channel: terms.id, outpoint, entry, key_index }),
                None => unexplained |= terms.payout_a == *payout || terms.payout_b == *payout,
            }
        }
    }
}

/// How many of the wallet's addresses were handed out, as far as the ledger can tell: one past the last that ever held
/// or moved anything.
///
/// # Errors
/// When the database cannot be read.
pub fn addresses_used(chain: &Chain, seed: &Seed, known: u32) -> Result<u32, StoreError> {
    let mut used = known;
    let mut index = 0;
    while index < used.saturating_add(ADDRESS_GAP).min(crate::limits::ADDRESSES) {
        if index >= used && is_used(chain, &seed.wallet_key(index).public())? {
            used = index.saturating_add(1);
        }
        index += 1;
    }
    Ok(used)
}

fn is_used(chain: &Chain, key: &WalletKey) -> Result<bool, StoreError> {
    let touched = !chain.history(key, None, 1)?.rows.is_empty();
    Ok(touched || !chain.contracts_of_key(key, None, 1)?.is_empty())
}
