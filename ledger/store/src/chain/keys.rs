//! Keys and versions of the ledger's rows (`docs/format/storage.md`). Numbers in keys are big-endian, so that rows sort
//! by them.

use towpath_crypto::schnorr::WalletKey;
use towpath_ledger::{BlockId, ChannelId, Digest, OutPoint, Time, TxId};

use crate::error::StoreError;

/// The version of every kind of row of this module; each kind counts on its own.
pub(super) const VERSION: u8 = 1;

pub(super) const CHAIN_KEY: &[u8] = b"chain/id";
pub(super) const TIP_KEY: &[u8] = b"chain/tip";

pub(super) const OUTPOINT_BYTES: usize = 36;

pub(super) fn outpoint(outpoint: &OutPoint) -> Vec<u8> {
    [outpoint.tx.0.0.as_slice(), &outpoint.index.to_be_bytes()].concat()
}

/// The outpoint at the end of an index key.
pub(super) fn outpoint_from_end(key: &[u8]) -> Result<OutPoint, StoreError> {
    let damaged = || StoreError::corrupt_row("the wallet index", "a key without an outpoint");
    let at = key.len().checked_sub(OUTPOINT_BYTES).ok_or_else(damaged)?;
    let (tx, index) = key.split_at(at).1.split_at_checked(32).ok_or_else(damaged)?;
    let tx = tx.try_into().map_err(|_| damaged())?;
    let index = index.try_into().map_err(|_| damaged())?;
    Ok(OutPoint { tx: TxId(Digest(tx)), index: u32::from_be_bytes(index) })
}

pub(super) fn header(height: u64) -> Vec<u8> {
    numbered(b'h', height)
}

pub(super) fn block(height: u64) -> Vec<u8> {
    numbered(b'b', height)
}

pub(super) fn certificate(height: u64) -> Vec<u8> {
    numbered(b'c', height)
}

pub(super) fn height_of(block: &BlockId) -> Vec<u8> {
    tagged(b'i', &block.0)
}

pub(super) fn transaction(id: &TxId) -> Vec<u8> {
    id.0.0.to_vec()
}

pub(super) fn secret(condition: &Digest) -> Vec<u8> {
    tagged(b'k', condition)
}

pub(super) const SECRETS_BY_TIME: u8 = b't';

pub(super) fn secret_by_time(time: Time, condition: &Digest) -> Vec<u8> {
    [numbered(SECRETS_BY_TIME, time.0).as_slice(), &condition.0].concat()
}

/// The time and the condition in a key of the above.
pub(super) fn secret_of_key(key: &[u8]) -> Result<(Time, Digest), StoreError> {
    let damaged = || StoreError::corrupt_row("secrets by time", "a key of another length");
    let (time, condition) = key.get(1..).and_then(|key| key.split_at_checked(8)).ok_or_else(damaged)?;
    let time = u64::from_be_bytes(time.try_into().map_err(|_| damaged())?);
    Ok((Time(time), Digest(condition.try_into().map_err(|_| damaged())?)))
}

/// What an output means to a wallet key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stake {
    /// The key can spend it, alone or with others.
    Wallet,
    /// It may come to pay the key: a channel, a closing, a conditional payment.
    Contract,
}

impl Stake {
    const fn tag(self) -> u8 {
        match self {
            Self::Wallet => b'w',
            Self::Contract => b'k',
        }
    }
}

pub(super) fn stakes_of(stake: Stake, key: &WalletKey) -> Vec<u8> {
    tagged(stake.tag(), &Digest(key.0))
}

pub(super) fn stake(stake: Stake, key: &WalletKey, at: &OutPoint) -> Vec<u8> {
    [stakes_of(stake, key), outpoint(at)].concat()
}

pub(super) const CHANNELS: u8 = b'c';

pub(super) fn channel(id: &ChannelId) -> Vec<u8> {
    tagged(CHANNELS, &id.0)
}

/// The channel in a key of the above.
pub(super) fn channel_of_key(key: &[u8]) -> Result<ChannelId, StoreError> {
    let id = key.get(1..).and_then(|id| id.try_into().ok()).map(|id| ChannelId(Digest(id)));
    id.ok_or_else(|| StoreError::corrupt_row("the channel index", "a key of another length"))
}

pub(super) fn history_of(key: &WalletKey) -> Vec<u8> {
    tagged(b'h', &Digest(key.0))
}

pub(super) fn history(key: &WalletKey, height: u64, index: u32) -> Vec<u8> {
    [history_of(key).as_slice(), &height.to_be_bytes(), &index.to_be_bytes()].concat()
}

pub(super) fn log_record(height: u64, number: u64) -> Vec<u8> {
    [height.to_be_bytes(), number.to_be_bytes()].concat()
}

fn numbered(tag: u8, number: u64) -> Vec<u8> {
    [&[tag], number.to_be_bytes().as_slice()].concat()
}

fn tagged(tag: u8, digest: &Digest) -> Vec<u8> {
    [&[tag], digest.0.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn keys_are_promises() {
        let at = OutPoint { tx: TxId(Digest([0xaa; 32])), index: 258 };
        let (key, digest) = (WalletKey([0xbb; 32]), Digest([0xcc; 32]));
        let (a, b, c) = ("aa".repeat(32), "bb".repeat(32), "cc".repeat(32));
        let number = "0000000000000102";
        let expected = [
            (outpoint(&at), format!("{a}00000102")),
            (block(258), format!("62{number}")),
            (header(258), format!("68{number}")),
            (certificate(258), format!("63{number}")),
            (height_of(&BlockId(digest)), format!("69{c}")),
            (transaction(&at.tx), a.clone()),
            (secret(&digest), format!("6b{c}")),
            (secret_by_time(Time(258), &digest), format!("74{number}{c}")),
            (stake(Stake::Wallet, &key, &at), format!("77{b}{a}00000102")),
            (stake(Stake::Contract, &key, &at), format!("6b{b}{a}00000102")),
            (channel(&ChannelId(digest)), format!("63{c}")),
            (history(&key, 258, 3), format!("68{b}{number}00000003")),
            (log_record(258, 3), format!("{number}0000000000000003")),
        ];
        for (key, expected) in expected {
            assert_eq!(hex(&key), expected);
        }
    }

    #[test]
    fn keys_read_back_or_are_refused() {
        let at = OutPoint { tx: TxId(Digest([0xaa; 32])), index: 258 };
        let key = stake(Stake::Wallet, &WalletKey([0xbb; 32]), &at);
        assert_eq!(outpoint_from_end(&key), Ok(at));
        assert!(outpoint_from_end(&key[..20]).is_err());
        let by_time = secret_by_time(Time(7), &Digest([1; 32]));
        assert_eq!(secret_of_key(&by_time), Ok((Time(7), Digest([1; 32]))));
        for length in 0..by_time.len() {
            assert!(secret_of_key(&by_time[..length]).is_err());
        }
    }
}
