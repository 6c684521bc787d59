//! What the ledger knows of a node that has only its seed: the channels with one of its keys, and the addresses that were
//! ever paid.

use std::collections::{BTreeMap, BTreeSet};

use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::schnorr::WalletKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::{ChannelId, ChannelTerms, Entry, Lock, OutPoint, Payout};
use towpath_store::StoreError;

use super::{ADDRESS_GAP, KEY_GAP, KEYS_MAX, UNEXPLAINED_MAX};
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

/// How far keys are tried.
#[derive(Clone, Copy)]
struct Reach {
    /// Past the last one that was found.
    gap: u32,
    /// At most, for what pays this wallet and has none of the keys so far.
    most: u32,
}

/// What one look at all channels came upon.
#[derive(Default)]
struct Seen {
    found: Vec<Found>,
    /// Keys of channels that pay this wallet, and that are not this node's as far as is known: anybody can make one.
    unexplained: BTreeSet<PublicKey>,
}

/// All channels of this node on the ledger, and the keys up to the gap past the last one found. While the ledger shows a
/// channel that pays this wallet and has none of them, further keys are tried, and not kept: a stranger who pays this wallet
/// costs it time, once, and no memory.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn search(chain: &Chain, seed: &Seed) -> Result<(Vec<Found>, KeyWindow), StoreError> {
    let payout = Payout::Key(seed.wallet_key(0).public());
    search_within(seed, Reach { gap: KEY_GAP, most: KEYS_MAX }, |window| pass(chain, window, &payout))
}

fn search_within(
    seed: &Seed,
    reach: Reach,
    mut look: impl FnMut(&KeyWindow) -> Result<Seen, StoreError>,
) -> Result<(Vec<Found>, KeyWindow), StoreError> {
    let mut window = KeyWindow::default();
    window.extend(seed, reach.gap);
    loop {
        let Seen { found, unexplained } = look(&window)?;
        let used = found.iter().map(|found| found.key_index.saturating_add(1)).max().unwrap_or(0);
        let mut wanted = used.saturating_add(reach.gap);
        if wanted <= window.length && !unexplained.is_empty() {
            let is_own = |index: &u32| unexplained.contains(&seed.channel_key(*index).public());
            let own = (window.length..reach.most).find(is_own);
            wanted = own.map_or(wanted, |index| index.saturating_add(1).saturating_add(reach.gap));
        }
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

/// Once through all channels: those with one of these keys, and the keys of others that pay `payout`.
fn pass(chain: &Chain, window: &KeyWindow, payout: &Payout) -> Result<Seen, StoreError> {
    let (mut seen, mut after) = (Seen::default(), None);
    loop {
        let (outputs, last) = chain.channel_outputs(after.as_ref(), PAGE)?;
        if last.is_none() {
            return Ok(seen);
        }
        after = last;
        for (outpoint, entry) in outputs {
            let Some(terms) = terms_of(&entry.output.lock) else { continue };
            match window.find(terms) {
                Some(key_index) => seen.found.push(Found { channel: terms.id, outpoint, entry, key_index }),
                None if terms.payout_a == *payout || terms.payout_b == *payout => {
                    seen.unexplain(terms);
                }
                None => {}
            }
        }
    }
}

impl Seen {
    /// One more channel that nobody here knows, within the bound.
    fn unexplain(&mut self, terms: &ChannelTerms) {
        if self.unexplained.len() < UNEXPLAINED_MAX {
            self.unexplained.extend([terms.key_a, terms.key_b]);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use towpath_ledger::{Amount, AssetId, Digest, Output, Time, TxId};

    use super::*;

    const REACH: Reach = Reach { gap: 4, most: 64 };

    /// What a ledger shows that has channels with these of the node's keys, and others that only pay its wallet.
    fn ledger(seed: &Seed, own: &[u32], strangers: u8) -> impl FnMut(&KeyWindow) -> Result<Seen, StoreError> {
        let own: Vec<(u32, PublicKey)> =
            own.iter().map(|index| (*index, seed.channel_key(*index).public())).collect();
        move |window| {
            let mut seen = Seen::default();
            for (index, key) in &own {
                if window.keys.contains_key(key) {
                    let tx = TxId(Digest([3; 32]));
                    let lock = Lock::Wallet(Payout::Key(towpath_crypto::schnorr::WalletKey([4; 32])));
                    let output = Output { asset: AssetId::NATIVE, amount: Amount(1), lock };
                    seen.found.push(Found {
                        channel: ChannelId(Digest([1; 32])),
                        outpoint: OutPoint { tx, index: *index },
                        entry: Entry { output, height: 1, time: Time(1) },
                        key_index: *index,
                    });
                } else {
                    seen.unexplained.insert(*key);
                }
            }
            seen.unexplained.extend((0..strangers).map(|number| PublicKey([number; 32])));
            Ok(seen)
        }
    }

    #[test]
    fn s10_keys_are_tried_as_far_as_channels_are_found_and_kept_no_further() {
        let seed = Seed::from_entropy(&[1; 32]);
        let cases: [(&[u32], u8, &[u32], u32); 7] = [
            (&[], 0, &[], 4),
            (&[], 9, &[], 4),
            (&[0, 3, 6], 0, &[0, 3, 6], 11),
            (&[0, 3, 6], 9, &[0, 3, 6], 11),
            // Past the gap, but it pays this wallet.
            (&[0, 40], 9, &[0, 40], 45),
            (&[63], 0, &[63], 68),
            // Too far for anybody.
            (&[2, 64], 0, &[2], 7),
        ];
        for (own, strangers, found, kept) in cases {
            let (seen, window) =
                search_within(&seed, REACH, ledger(&seed, own, strangers)).expect("it reads");
            let seen: Vec<u32> = seen.iter().map(|found| found.key_index).collect();
            assert_eq!(seen, found, "{own:?}");
            assert_eq!((window.length, window.keys.len()), (kept, usize::try_from(kept).expect("small")));
        }
    }

    #[test]
    fn s10_a_stranger_who_pays_this_wallet_costs_each_key_once() {
        let seed = Seed::from_entropy(&[1; 32]);
        let looks = Cell::new(0);
        let mut shown = ledger(&seed, &[1], 9);
        let looked = search_within(&seed, REACH, |window| {
            looks.set(looks.get() + 1);
            shown(window)
        });
        looked.expect("it reads");
        assert_eq!(looks.get(), 2, "once with the first keys, once with those past the channel's");
    }
}
