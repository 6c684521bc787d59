//! Coin selection: largest first, so that few inputs are spent and their number has a bound.

use towpath_ledger::{Amount, OutPoint, Payout};

use super::WalletError;

/// An output of the wallet that can be spent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// How much of the native asset.
    pub amount: Amount,
    /// Its lock, which says the key that signs.
    pub payout: Payout,
}

/// Coins that pay for a target and a fee.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// The coins, largest first.
    pub coins: Vec<Coin>,
    /// The fee that was counted for this many coins.
    pub fee: Amount,
    /// What is left over; zero, or at least the smallest output that the ledger takes.
    pub change: Amount,
}

/// The rules that selection must keep.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The most inputs of one transaction.
    pub inputs_max: usize,
    /// The smallest output that the ledger takes.
    pub output_min: Amount,
}

/// Chooses coins for `target` and the fee of as many inputs as that takes. A leftover that is too small for an output
/// goes to the fee.
///
/// # Errors
/// [`WalletError::Insufficient`] with what is missing, [`WalletError::TooFragmented`] when it would take too many coins.
pub fn select(
    mut coins: Vec<Coin>,
    target: Amount,
    rules: Rules,
    fee_of: impl Fn(usize) -> Amount,
) -> Result<Selection, WalletError> {
    coins.sort_by_key(|coin| std::cmp::Reverse((coin.amount, coin.outpoint)));
    let available = coins.iter().fold(0_u64, |sum, coin| sum.saturating_add(coin.amount.units()));
    let mut chosen = Vec::new();
    let mut sum = Amount::ZERO;
    for coin in coins {
        if chosen.len() == rules.inputs_max {
            return Err(WalletError::TooFragmented { inputs_max: rules.inputs_max });
        }
        sum = sum.checked_add(coin.amount).ok_or(WalletError::Overflow)?;
        chosen.push(coin);
        let fee = fee_of(chosen.len());
        let needed = target.checked_add(fee).ok_or(WalletError::Overflow)?;
        if let Some(rest) = sum.checked_sub(needed) {
            let (fee, change) = if rest < rules.output_min {
                (fee.checked_add(rest).ok_or(WalletError::Overflow)?, Amount::ZERO)
            } else {
                (fee, rest)
            };
            return Ok(Selection { coins: chosen, fee, change });
        }
    }
    let needed = target.checked_add(fee_of(chosen.len().max(1))).ok_or(WalletError::Overflow)?;
    Err(WalletError::Insufficient { needed, available: Amount(available) })
}
