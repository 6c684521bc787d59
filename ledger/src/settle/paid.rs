//! What a close paid to whom, read off the transaction that made it.

use crate::rules::Account;
use crate::types::{Amount, Closing, Lock, Party, Witness};

/// How a channel was paid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PaidOut {
    /// The version by which it was divided.
    pub version: u64,
    /// What A got.
    pub a: Amount,
    /// What B got.
    pub b: Amount,
    /// What ledger fees took of it, over all its closing transactions.
    pub fees: Amount,
    /// What the author forfeited to the other party.
    pub forfeit: Amount,
}

/// How a channel's output `was` was paid out, read off the witness that spent it; none if that did not pay it out.
#[must_use]
pub fn paid_out(was: &Lock, capacity: Amount, by: &Witness) -> Option<PaidOut> {
    let (closing, drawn) = match (was, by) {
        (Lock::Channel(terms), Witness::Cooperative { state, fee }) => {
            let mut account = Account::of_channel(terms, &state.state);
            account.draw_from_both(Party::A, *fee).ok()?;
            return counted(&account, state.state.version, capacity, Amount::ZERO);
        }
        (Lock::Closing(closing), Witness::Cooperative { state, fee }) => {
            (Closing { state: state.state.clone(), ..(**closing).clone() }, (Party::A, *fee))
        }
        (Lock::Closing(closing), Witness::Finalize { fee, .. }) => {
            ((**closing).clone(), (closing.author, *fee))
        }
        (Lock::Closing(closing), Witness::Answer { state, proof, fee, .. }) => {
            let mut settled = (**closing).clone();
            settled.penalized |= proof.is_some();
            if let Some(state) = state {
                settled.state = state.state.clone();
            }
            (settled, (closing.author.other(), *fee))
        }
        _ => return None,
    };
    let mut account = Account::of_closing(&closing)?;
    account.draw_from_both(drawn.0, drawn.1).ok()?;
    let share = if closing.penalized { closing.terms.penalty_basis_points } else { 0 };
    let forfeit = closing.state.balance(closing.author).share(share);
    counted(&account, closing.state.version, closing.capacity, forfeit)
}

fn counted(account: &Account, version: u64, capacity: Amount, forfeit: Amount) -> Option<PaidOut> {
    let (a, b) = (account.left(Party::A), account.left(Party::B));
    let fees = capacity.checked_sub(a)?.checked_sub(b)?;
    Some(PaidOut { version, a, b, fees, forfeit })
}
