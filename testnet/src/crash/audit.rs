//! Compares the nodes with each other and with the book of orders. It asks only through the API, and adds up only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use towpath_api::{Channel, ChannelState, Client, ClientError, PageQuery, Payment, PaymentState};

use super::book::{Book, Outcome, Sum};
use super::payers::STREAM_AMOUNT;
use crate::channels::Edge;
use crate::error::TestnetError;
use crate::network::Network;

/// How long the two sides of a channel may take to agree after the last payment.
const QUIET_MAX: Duration = Duration::from_secs(120);

/// How often they are asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What an audit looks at.
pub struct Auditor<'a> {
    /// The nodes.
    pub network: &'a Network,
    /// The channels.
    pub edges: &'a [Edge],
    /// What each side put into each of them.
    pub amount: u64,
    /// All money of the genesis.
    pub total: u64,
}

/// The two sides of a channel, as they see it.
pub struct Sides {
    /// The opener.
    pub opener: Channel,
    /// The acceptor.
    pub acceptor: Channel,
}

impl Auditor<'_> {
    /// At one height that all nodes have: the same block, with the same state; at every node: the same supply.
    /// Returns how many blocks were compared.
    ///
    /// # Errors
    /// When a node does not answer.
    pub async fn ledger(&self, violations: &mut Vec<String>) -> Result<u64, TestnetError> {
        let mut tips = Vec::new();
        for node in &self.network.state().nodes {
            let client = self.network.client(&node.name)?;
            let ledger = client.ledger().await.map_err(call(&node.name))?;
            if ledger.supply.0 != self.total {
                violations.push(format!(
                    "{} counts a supply of {} at height {}, not {}",
                    node.name, ledger.supply, ledger.height, self.total
                ));
            }
            tips.push((node.name.clone(), client, ledger.height));
        }
        let Some(height) = tips.iter().map(|(_, _, height)| *height).min() else { return Ok(0) };
        let mut blocks = BTreeMap::new();
        for (name, client, _) in &tips {
            let block = client.block(&height.to_string()).await.map_err(call(name))?;
            blocks.insert(name.clone(), (block.id, block.state_root));
        }
        if blocks.values().collect::<BTreeSet<_>>().len() > 1 {
            violations.push(format!("nodes differ at height {height}: {blocks:?}"));
        }
        Ok(1)
    }

    /// Waits until the two sides of each channel are connected, agree, and have nothing under way.
    ///
    /// # Errors
    /// When a node does not answer.
    pub async fn quiet(&self, violations: &mut Vec<String>) -> Result<Vec<Sides>, TestnetError> {
        let deadline = Instant::now() + QUIET_MAX;
        let mut all = Vec::new();
        for edge in self.edges {
            loop {
                let sides = self.sides(edge).await?;
                if agree(&sides) {
                    all.push(sides);
                    break;
                }
                if Instant::now() > deadline {
                    violations.push(format!(
                        "{} between {} and {} does not come to rest: {:?} and {:?}",
                        edge.channel, edge.opener, edge.acceptor, sides.opener, sides.acceptor
                    ));
                    all.push(sides);
                    break;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
        Ok(all)
    }

    async fn sides(&self, edge: &Edge) -> Result<Sides, TestnetError> {
        let view =
            async |name: &String| self.network.client(name)?.channel(&edge.channel).await.map_err(call(name));
        Ok(Sides { opener: view(&edge.opener).await?, acceptor: view(&edge.acceptor).await? })
    }

    /// Each channel against the orders; returns how many payments were streamed.
    ///
    /// # Errors
    /// When a node does not answer.
    pub async fn channels(
        &self,
        sides: &[Sides],
        book: &Book,
        violations: &mut Vec<String>,
    ) -> Result<u64, TestnetError> {
        let (sums, mut streamed) = (book.sums(), 0);
        for (edge, sides) in self.edges.iter().zip(sides) {
            let (a, b) = (&sides.opener, &sides.acceptor);
            let mut check = |holds: bool, what: &str| {
                if !holds {
                    violations.push(format!(
                        "{} ({} - {}): {what}: {a:?} and {b:?}",
                        edge.channel, edge.opener, edge.acceptor
                    ));
                }
            };
            check(a.state == ChannelState::Active, "it is not active");
            check(a.capacity.0 == self.amount * 2, "its capacity changed");
            check(
                a.balance.0 + a.peer_balance.0 + a.pending.0 == a.capacity.0,
                "its balances are not its capacity",
            );
            check(
                (a.payments_sent, a.sent_total) == (b.payments_received, b.received_total),
                "the first side's payments differ",
            );
            check(
                (b.payments_sent, b.sent_total) == (a.payments_received, a.received_total),
                "the second side's payments differ",
            );
            let moved = i128::from(a.received_total.0) - i128::from(a.sent_total.0);
            check(
                i128::from(a.balance.0) == i128::from(self.amount) + moved,
                "the payments do not add up to the balance",
            );
            for (name, side) in [(&edge.opener, a), (&edge.acceptor, b)] {
                let asked = sums.get(&(edge.channel.clone(), name.clone())).copied().unwrap_or_default();
                // What is neither more nor less than the acknowledged orders was paid by streams, each payment the same.
                let rest = Sum {
                    count: side.payments_sent.wrapping_sub(asked.count),
                    amount: side.sent_total.0.wrapping_sub(asked.amount),
                };
                let what = format!(
                    "{name} made {} payments of {}, {asked:?} are acknowledged",
                    side.payments_sent, side.sent_total
                );
                check(
                    rest.count <= side.payments_sent && rest.amount == rest.count.wrapping_mul(STREAM_AMOUNT),
                    &what,
                );
                streamed += rest.count;
            }
        }
        for edge in self.edges {
            self.rows(edge, book, violations).await?;
        }
        Ok(streamed)
    }

    /// The payments that both books still list, one by one, against the orders.
    async fn rows(&self, edge: &Edge, book: &Book, violations: &mut Vec<String>) -> Result<(), TestnetError> {
        let orders = book.all();
        let by_memo: BTreeMap<&str, _> = orders.iter().map(|order| (order.memo.as_str(), order)).collect();
        for name in [&edge.opener, &edge.acceptor] {
            let client = self.network.client(name)?;
            let payments = listed(&client, &edge.channel).await.map_err(call(name))?;
            let mut seen = BTreeSet::new();
            for payment in payments.iter().filter(|payment| payment.state == PaymentState::Settled) {
                let Some(memo) = payment.memo.as_deref() else { continue };
                let fits = by_memo.get(memo).is_some_and(|order| {
                    order.amount == payment.amount.0 && order.outcome == Outcome::Acked(payment.id.clone())
                });
                if !fits {
                    violations
                        .push(format!("{name} lists {payment:?}, the order is {:?}", by_memo.get(memo)));
                }
                if !seen.insert(memo) {
                    violations.push(format!("{name} lists the order {memo} twice"));
                }
            }
        }
        Ok(())
    }
}

async fn listed(client: &Client, channel: &str) -> Result<Vec<Payment>, ClientError> {
    let (mut payments, mut before) = (Vec::new(), None);
    loop {
        let page = client.payments(channel, &PageQuery { limit: Some(500), before }).await?;
        payments.extend(page.payments);
        before = page.next;
        if before.is_none() {
            return Ok(payments);
        }
    }
}

fn agree(sides: &Sides) -> bool {
    let (a, b) = (&sides.opener, &sides.acceptor);
    a.online
        && b.online
        && (a.state, b.state) == (ChannelState::Active, ChannelState::Active)
        && a.version == b.version
        && (a.balance, a.peer_balance) == (b.peer_balance, b.balance)
        && (a.pending.0, b.pending.0) == (0, 0)
        && a.payments_sent == b.payments_received
        && b.payments_sent == a.payments_received
}

/// Names the node in a failed call.
pub fn call(name: &str) -> impl Fn(ClientError) -> TestnetError {
    move |source| TestnetError::Call { name: name.to_owned(), source }
}
