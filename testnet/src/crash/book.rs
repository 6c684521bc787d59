//! What the payers asked for and what they were told: the simple model that the nodes' own books are compared with.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// One side of a channel: which channel, and who pays.
pub type Lane = (String, String);

/// What became of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Not known yet.
    Open,
    /// A node said that it is settled, under this id.
    Acked(String),
    /// A node said that nothing was paid.
    Refused,
}

/// One payment that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Where.
    pub lane: Lane,
    /// How much.
    pub amount: u64,
    /// The 64 hex digits that the payee gets.
    pub memo: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// All orders.
#[derive(Debug, Default)]
pub struct Book {
    orders: Mutex<Vec<Order>>,
    faults: Mutex<Vec<String>>,
    /// Told at each acknowledgement.
    pub acked: Notify,
}

/// The sums of one lane's acknowledged payments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// How much.
    pub amount: u64,
}

impl Book {
    /// Notes an order before it is sent; its number.
    pub fn ask(&self, lane: &Lane, amount: u64) -> (usize, String) {
        let mut orders = self.orders();
        let number = orders.len();
        let memo = format!("{number:064x}");
        orders.push(Order { lane: lane.clone(), amount, memo: memo.clone(), outcome: Outcome::Open });
        (number, memo)
    }

    /// Notes what became of an order.
    pub fn resolve(&self, number: usize, outcome: Outcome) {
        let is_ack = matches!(outcome, Outcome::Acked(_));
        if let Some(order) = self.orders().get_mut(number) {
            order.outcome = outcome;
        }
        if is_ack {
            self.acked.notify_waiters();
        }
    }

    /// Notes something that must not happen.
    pub fn fault(&self, what: String) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What must not have happened, so far.
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A copy of all orders.
    pub fn all(&self) -> Vec<Order> {
        self.orders().clone()
    }

    /// The acknowledged payments of each lane.
    pub fn sums(&self) -> BTreeMap<Lane, Sum> {
        let mut sums: BTreeMap<Lane, Sum> = BTreeMap::new();
        for order in self.orders().iter() {
            if matches!(order.outcome, Outcome::Acked(_)) {
                let sum = sums.entry(order.lane.clone()).or_default();
                sum.count += 1;
                sum.amount += order.amount;
            }
        }
        sums
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_acknowledged_orders_count() {
        let book = Book::default();
        let lane = ("chan1x".to_owned(), "alice".to_owned());
        for (amount, outcome) in [
            (5, Outcome::Acked("1".into())),
            (7, Outcome::Refused),
            (11, Outcome::Open),
            (13, Outcome::Acked("2".into())),
        ] {
            let (number, _) = book.ask(&lane, amount);
            book.resolve(number, outcome);
        }
        assert_eq!(book.sums()[&lane], Sum { count: 2, amount: 18 });
    }
}
