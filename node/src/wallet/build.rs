//! Payments from the wallet, and the signatures on whatever transaction spends its coins.

use towpath_ledger::{Amount, AssetId, ChainId, Lock, Output, Payout, Spend, Transaction, TxBody, Witness};

use super::keys::Keyring;
use super::select::Selection;

/// Why the wallet refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// Not enough coins that can be spent now.
    #[error("{needed} base units are needed and {available} can be spent now")]
    Insufficient {
        /// Target and fee.
        needed: Amount,
        /// What all coins together hold.
        available: Amount,
    },
    /// Many small coins.
    #[error(
        "more than {inputs_max} coins would be needed: send a smaller amount to an address of your own first"
    )]
    TooFragmented {
        /// The most inputs of one transaction.
        inputs_max: usize,
    },
    /// Nobody has this much.
    #[error("the amount is past the largest one")]
    Overflow,
    /// A coin whose key is not ours.
    #[error("no key of this wallet opens the lock of input {0}")]
    UnknownKey(usize),
}

/// An unsigned payment of `amount` to `to`; what is left over goes to `change`.
///
/// The selection must have been made for `amount`.
#[must_use]
pub fn payment(chain: ChainId, selection: &Selection, to: Payout, amount: Amount, change: Payout) -> TxBody {
    let mut outputs = vec![native(amount, to)];
    if !selection.change.is_zero() {
        outputs.push(native(selection.change, change));
    }
    TxBody {
        chain,
        inputs: selection.coins.iter().map(|coin| coin.outpoint).collect(),
        outputs,
        not_before: None,
        expiry: None,
        payload: None,
    }
}

/// An output of the native asset under a wallet lock.
pub(super) fn native(amount: Amount, payout: Payout) -> Output {
    Output { asset: AssetId::NATIVE, amount, lock: Lock::Wallet(payout) }
}

/// Signs every input of `body`, whose spent outputs are `spent`, in the order of the inputs.
///
/// # Errors
/// [`WalletError::UnknownKey`] for an input that none of our keys opens.
pub fn sign(body: TxBody, spent: &[Output], keys: &Keyring) -> Result<Transaction, WalletError> {
    let message = Spend { transaction: body.id(), spent: spent.to_vec() };
    let witnesses = spent
        .iter()
        .enumerate()
        .map(|(index, output)| {
            keys.witness(&body.chain, &message, &output.lock).ok_or(WalletError::UnknownKey(index))
        })
        .collect::<Result<Vec<Witness>, _>>()?;
    Ok(Transaction { body, witnesses })
}
