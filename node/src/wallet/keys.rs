//! The wallet's keys in memory: those of the addresses that were handed out.

use std::collections::BTreeMap;

use towpath_crypto::schnorr::{WalletKey, WalletSecret};
use towpath_ledger::{ChainId, Lock, Payout, Spend, Witness};

/// The keys of the addresses that this node handed out, in the order of their derivation.
#[derive(Debug, Default)]
pub struct Keyring {
    order: Vec<WalletKey>,
    secrets: BTreeMap<WalletKey, WalletSecret>,
}

impl Keyring {
    /// Adds the key of the next address.
    pub fn push(&mut self, secret: WalletSecret) {
        let key = secret.public();
        if self.secrets.insert(key, secret).is_none() {
            self.order.push(key);
        }
    }

    /// How many addresses there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> &[WalletKey] {
        &self.order
    }

    /// The payouts of all addresses, oldest first.
    pub fn payouts(&self) -> impl Iterator<Item = Payout> + '_ {
        self.order.iter().map(|key| Payout::Key(*key))
    }

    /// Whether a payout is to one of these keys alone.
    #[must_use]
    pub fn holds(&self, payout: &Payout) -> bool {
        match payout {
            Payout::Key(key) => self.secrets.contains_key(key),
            Payout::Timelock(timelock) => self.secrets.contains_key(&timelock.key),
            Payout::Multisig(_) => false,
        }
    }

    /// The first address: change and channels pay to it.
    #[must_use]
    pub fn primary(&self) -> Option<Payout> {
        self.order.first().map(|key| Payout::Key(*key))
    }

    /// The witness that opens `lock`, if one key of ours does that alone.
    #[must_use]
    pub fn witness(&self, chain: &ChainId, message: &Spend, lock: &Lock) -> Option<Witness> {
        let key = match lock {
            Lock::Wallet(Payout::Key(key)) => key,
            Lock::Wallet(Payout::Timelock(timelock)) => &timelock.key,
            Lock::Wallet(Payout::Multisig(_))
            | Lock::Channel(_)
            | Lock::Closing(_)
            | Lock::Conditional(_) => return None,
        };
        let secret = self.secrets.get(key)?;
        Some(Witness::Wallet(vec![(*key, secret.sign(chain, message))]))
    }
}
