//! What the tower's machine orders: transactions for the ledger, and words for people.

use towpath_api::EventBody;
use towpath_protocol::tower::{Order, Report};

use super::run::Thread;
use super::stats::TowerStats;
use crate::clock;
use crate::journal::Entry;
use crate::ledger::{FundsCall, Input as LedgerInput};

impl Thread {
    /// Carries out what follows from a block. What the ledger has no room for is ordered again.
    pub(super) fn carry_out(&mut self, orders: Vec<Order>) {
        let mut events = Vec::new();
        for order in orders {
            match order {
                Order::Contest(dispute) if dispute.short.is_zero() => {
                    self.submit(LedgerInput::Submit {
                        transaction: Box::new(dispute.transaction),
                        reply: None,
                    });
                }
                Order::Contest(dispute) => {
                    let (transaction, short) = (Box::new(dispute.transaction), dispute.short);
                    self.submit(LedgerInput::Funds(FundsCall::Sponsor { transaction, short }));
                }
                Order::Finalize(transaction) => {
                    self.submit(LedgerInput::Submit { transaction, reply: None });
                }
                Order::Report(report) => events.extend(tell(&self.stats, report)),
            }
        }
        if !events.is_empty() {
            let entry = Entry { events, ..Entry::default() };
            self.parts.journal.submit(entry, clock::now_ms(), || {});
        }
    }

    fn submit(&self, input: LedgerInput) {
        if self.parts.ledger.offer(input).is_err() {
            tracing::warn!("the ledger is busy; the tower tries again in a few blocks");
        }
    }
}

fn tell(stats: &TowerStats, report: Report) -> Option<EventBody> {
    use std::sync::atomic::Ordering;
    match report {
        Report::Contested { channel, posted, shown, penalized } => {
            stats.contested.fetch_add(1, Ordering::Relaxed);
            stats.penalized.fetch_add(u64::from(penalized), Ordering::Relaxed);
            tracing::warn!(%channel, posted, shown, penalized, "the tower contests a close");
            Some(EventBody::TowerAnswer { channel: channel.to_string(), posted, shown, penalized })
        }
        Report::Late { channel, blocks } => {
            tracing::error!(%channel, blocks, "the tower answers a close late: few blocks are left");
            let reason = format!("a close is answered late: {blocks} blocks are left");
            Some(alarm(None, Some(channel.to_string()), reason))
        }
        Report::PricedOut { channel } => {
            tracing::error!(%channel, "the tower cannot answer a close: the channel pays for no dispute any more");
            let reason = "a close cannot be answered: nothing is left to pay for it".to_owned();
            Some(alarm(None, Some(channel.to_string()), reason))
        }
    }
}

/// An alarm for those who listen.
pub(super) fn alarm(tower: Option<String>, channel: Option<String>, reason: String) -> EventBody {
    EventBody::TowerAlarm { tower, channel, reason }
}
