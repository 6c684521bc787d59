//! What channels owe the ledger: handed in again and again until the ledger shows what became of the channel. An inbox can
//! be full, a pool can drop a transaction, gossip can lose it, a validator can forget it with a restart; the money of the
//! channel does not wait for that.

use towpath_ledger::settle::{self, Place, SettleError};
use towpath_ledger::{
    AssetId, ChannelId, Closing, CoSigned, OutPoint, Output, Time, Transaction, TxBody, TxId,
};

use super::Input;
use super::open::WalletAnswer;
use super::run::Worker;
use super::turn::Turn;
use crate::ledger::{FundsCall, Input as LedgerInput, SubmitError};
use crate::limits;

/// What the ledger is owed for one channel. Lost with the process: the machine asks for all of it again at the start.
#[derive(Default)]
pub(super) struct Duty {
    /// What the ledger, or the wallet, does not show yet.
    owed: Option<Owed>,
    /// A closing that is paid out once its deadline is over.
    finalize: Option<Finalize>,
}

/// What is owed, and how it went so far.
struct Owed {
    order: Order,
    /// When it was handed in last, by the node's clock, and the blocks since.
    last_ms: u64,
    blocks: u32,
    /// Why it was refused last: said once, not at every try.
    refused: Option<String>,
}

/// Something that the ledger driver is asked for until it is done.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// A transaction.
    Submit {
        /// What it is for.
        why: Why,
        /// It.
        transaction: Box<Transaction>,
    },
    /// Final balances that both signed, alone or with those of other channels.
    Together {
        /// The channel's output.
        funding: OutPoint,
        /// The balances.
        state: Box<CoSigned>,
    },
    /// A funding by this party alone.
    Fund {
        /// The first input, which names the reservation.
        first_input: OutPoint,
        /// The place of the channel's output; not 0 if it shares the transaction with others.
        index: u32,
        /// The channel's output.
        output: Box<Output>,
        /// Until when it is valid.
        expiry: Time,
    },
    /// This party's signatures for a funding by both.
    Sign {
        /// The transaction.
        body: Box<TxBody>,
        /// What it spends.
        spent: Vec<Output>,
        /// This party's inputs.
        range: std::ops::Range<usize>,
    },
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// It makes the channel.
    Funding,
    /// Final balances that both signed.
    Together,
    /// This node closes alone.
    Alone,
    /// It settles the peer's close by what the peer posted.
    Agreement,
    /// It answers an old state, or replaces one: money is lost if it is late.
    Defence,
    /// It pays out closings whose deadline is over.
    Payout,
}

impl Why {
    const fn name(self) -> &'static str {
        match self {
            Self::Funding => "the funding",
            Self::Together => "the cooperative close",
            Self::Alone => "the close",
            Self::Agreement => "the agreement to the peer's close",
            Self::Defence => "the answer to an old state",
            Self::Payout => "the payout",
        }
    }

    /// Whether it makes no sense any more once the ledger shows a closing.
    const fn is_of_an_open_channel(self) -> bool {
        matches!(self, Self::Funding | Self::Together | Self::Alone)
    }
}

impl Order {
    const fn why(&self) -> Why {
        match self {
            Self::Submit { why, .. } => *why,
            Self::Together { .. } => Why::Together,
            Self::Fund { .. } | Self::Sign { .. } => Why::Funding,
        }
    }
}

/// The ledger driver's word on what was handed in.
#[derive(Debug)]
pub struct Refused {
    /// For which channels.
    channels: Vec<ChannelId>,
    /// The transaction; none if it was not even made.
    transaction: Option<TxId>,
    /// Why.
    reason: String,
}

/// A closing that waits for its deadline.
struct Finalize {
    closing: OutPoint,
    deadline: Time,
    /// Whether this node closed, and so pays out first.
    is_author: bool,
    /// Blocks past the deadline.
    blocks: u32,
    /// Why a payout was refused last.
    refused: Option<String>,
}

/// What to do about a closing in this block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Try {
    Wait,
    Together,
    Alone,
}

impl Finalize {
    /// The author pays out first, many closings in one transaction; the other party only if that does not happen: two
    /// transactions that spend one closing would keep each other's batches out of the ledger. What a batch did not pay
    /// out is tried alone, so that no closing holds up another.
    const fn next(&self) -> Try {
        let waits = if self.is_author { 1 } else { 1 + limits::CLOSE_OTHER_WAITS_BLOCKS };
        match self.blocks.checked_sub(waits) {
            None => Try::Wait,
            Some(0) => Try::Together,
            Some(blocks) if blocks % limits::CLOSE_AGAIN_BLOCKS == 0 => Try::Alone,
            Some(_) => Try::Wait,
        }
    }
}

impl Duty {
    /// The final balances that are owed, and the output that they are of.
    pub(super) fn agreed(&self) -> Option<(OutPoint, &CoSigned)> {
        match &self.owed.as_ref()?.order {
            Order::Together { funding, state } => Some((*funding, state)),
            Order::Submit { .. } | Order::Fund { .. } | Order::Sign { .. } => None,
        }
    }
}

impl Owed {
    /// Pools forget, and who was told before it applied the last block took no notice: repetition goes on for as long as it
    /// takes.
    const fn is_due(&self, now_ms: u64) -> bool {
        let waited = now_ms.saturating_sub(self.last_ms);
        waited >= limits::CLOSE_AGAIN_MS
            || (self.blocks >= limits::CLOSE_AGAIN_BLOCKS && waited >= limits::CLOSE_AGAIN_MS_MIN)
    }
}

impl Worker {
    /// Asks the ledger driver for something, and again until the ledger shows what became of the channel.
    pub(super) fn owe(&mut self, id: ChannelId, order: Order, turn: &mut Turn) {
        self.hand_in(id, &order, turn);
        self.remember(id, order, turn);
    }

    /// The same, without asking now.
    pub(super) fn remember(&mut self, id: ChannelId, order: Order, turn: &Turn) {
        let owed = Owed { order, last_ms: turn.now.local_ms, blocks: 0, refused: None };
        self.duties.entry(id).or_default().owed = Some(owed);
    }

    /// The same for a closing transaction, if it can be made.
    pub(super) fn owe_close(
        &mut self,
        id: ChannelId,
        why: Why,
        transaction: Result<Transaction, SettleError>,
        turn: &mut Turn,
    ) {
        match transaction {
            Ok(transaction) => {
                self.owe(id, Order::Submit { why, transaction: Box::new(transaction) }, turn);
            }
            Err(error) => tracing::error!(channel = %id, what = why.name(), %error, "it cannot be made"),
        }
    }

    /// The wallet signed: it is not asked again.
    pub(super) fn signed_funding(&mut self, id: ChannelId) {
        if let Some(duty) = self.duties.get_mut(&id)
            && matches!(duty.owed, Some(Owed { order: Order::Sign { .. }, .. }))
        {
            duty.owed = None;
        }
    }

    /// Remembers a closing that is paid out once ledger time is past its deadline.
    pub(super) fn owe_finalize(&mut self, id: ChannelId, closing: OutPoint, deadline: Time) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        held.row.deadline_ms = Some(deadline.0);
        let author = held.row.closing.as_ref().map(|(_, closing)| closing.author);
        let is_author = author == Some(held.channel.me());
        let known = self.duties.entry(id).or_default();
        // After a restart a close is owed again that the ledger shows already.
        known.owed = known.owed.take().filter(|owed| !owed.order.why().is_of_an_open_channel());
        known.finalize = Some(Finalize { closing, deadline, is_author, blocks: 0, refused: None });
    }

    /// A block was applied: what is still owed is handed in again, and what is due is paid out.
    pub(super) fn do_duties(&mut self, time: Time, turn: &mut Turn) {
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for (id, duty) in &mut self.duties {
            if let Some(owed) = &mut duty.owed {
                owed.blocks = owed.blocks.saturating_add(1);
            }
            let Some(finalize) = duty.finalize.as_mut().filter(|finalize| time > finalize.deadline) else {
                continue;
            };
            if let Some(late) = duty.owed.take() {
                late_answer(*id, &late);
            }
            finalize.blocks = finalize.blocks.saturating_add(1);
            match finalize.next() {
                Try::Wait => {}
                Try::Together => together.push((*id, finalize.closing)),
                Try::Alone => alone.push((*id, finalize.closing)),
            }
        }
        self.insist(turn);
        self.pay_out(&together, turn);
        for one in alone {
            self.pay_out(&[one], turn);
        }
    }

    /// Hands in again what waited long enough; also when no block comes.
    pub(super) fn insist(&mut self, turn: &mut Turn) {
        let now_ms = turn.now.local_ms;
        let mut again = Vec::new();
        for (id, duty) in &mut self.duties {
            if let Some(owed) = duty.owed.as_mut().filter(|owed| owed.is_due(now_ms)) {
                (owed.last_ms, owed.blocks) = (now_ms, 0);
                again.push((*id, owed.order.clone()));
            }
        }
        for (id, order) in again {
            self.hand_in(id, &order, turn);
        }
        self.insist_at_ms = now_ms.saturating_add(limits::CLOSE_AGAIN_MS_MIN);
    }

    fn pay_out(&self, due: &[(ChannelId, OutPoint)], turn: &mut Turn) {
        let closings: Vec<(OutPoint, Closing)> = due
            .iter()
            .filter_map(|(_, outpoint)| self.closing_at(outpoint).map(|(_, _, closing)| (*outpoint, closing)))
            .collect();
        let params = self.parts.keys.params();
        let place = Place { chain: self.parts.chain_id, params, asset: AssetId::NATIVE };
        let parts = closings.iter().map(|(outpoint, closing)| (*outpoint, closing));
        let done = settle::finalize_all(&place, parts);
        for (closing, error) in done.refused {
            tracing::error!(%closing, %error, "a closing cannot be paid out");
        }
        for transaction in done.transactions {
            let paid = due.iter().filter(|(_, closing)| transaction.body.inputs.contains(closing));
            let channels = paid.map(|(id, _)| *id).collect();
            self.submit(channels, Why::Payout, Box::new(transaction), turn);
        }
    }

    fn hand_in(&self, id: ChannelId, order: &Order, turn: &mut Turn) {
        match order {
            Order::Submit { why, transaction } => {
                self.submit(vec![id], *why, transaction.clone(), turn);
            }
            Order::Together { .. } => self.submit_together(&[id], turn),
            Order::Fund { first_input, index, output, expiry } => {
                let (reply, answer) = tokio::sync::oneshot::channel();
                let (first_input, index, output, expiry) = (*first_input, *index, output.clone(), *expiry);
                let call = FundsCall::Fund { first_input, index, output, expiry, reply };
                turn.release.ledger.push(LedgerInput::Funds(call));
                self.hear_back(vec![id], None, async move {
                    answer.await.ok().and_then(Result::err).map(|error| error.to_string())
                });
            }
            Order::Sign { body, spent, range } => self.ask_to_sign(id, body, spent, range.clone(), turn),
        }
    }

    pub(super) fn submit(
        &self,
        channels: Vec<ChannelId>,
        why: Why,
        transaction: Box<Transaction>,
        turn: &mut Turn,
    ) {
        let id = transaction.id();
        tracing::debug!(transaction = %id, what = why.name(), "handed to the ledger");
        let (reply, answer) = tokio::sync::oneshot::channel();
        turn.release.ledger.push(LedgerInput::Submit { transaction, reply: Some(reply) });
        self.hear_back(channels, Some(id), async move {
            match answer.await {
                Ok(Err(SubmitError::Refused(reason))) => Some(reason),
                // Whoever is too busy now is asked again.
                Ok(Ok(_) | Err(SubmitError::Final | SubmitError::Stopping)) | Err(_) => None,
            }
        });
    }

    fn ask_to_sign(
        &self,
        id: ChannelId,
        body: &TxBody,
        spent: &[Output],
        range: std::ops::Range<usize>,
        turn: &mut Turn,
    ) {
        let Some(peer) = self.channels.get(&id).map(|held| *held.channel.peer()) else { return };
        let (reply, answer) = tokio::sync::oneshot::channel();
        let (body, spent) = (Box::new(body.clone()), spent.to_vec());
        let (from, to) = (range.start, range.end);
        turn.release.ledger.push(LedgerInput::Funds(FundsCall::SignFunding { body, spent, from, to, reply }));
        let workers = self.parts.workers.clone();
        self.parts.runtime.spawn(async move {
            let input = match answer.await {
                Ok(Ok(witnesses)) => Input::Wallet(Box::new(WalletAnswer::Signed { channel: id, witnesses })),
                Ok(Err(error)) => {
                    let (channels, reason) = (vec![id], error.to_string());
                    Input::Refused(Box::new(Refused { channels, transaction: None, reason }))
                }
                Err(_) => return,
            };
            workers.push(&peer, input).await;
        });
    }

    /// Waits for the driver's word; only a refusal comes back.
    fn hear_back(
        &self,
        channels: Vec<ChannelId>,
        transaction: Option<TxId>,
        refusal: impl Future<Output = Option<String>> + Send + 'static,
    ) {
        let first = channels.first().and_then(|id| self.channels.get(id));
        let Some(peer) = first.map(|held| *held.channel.peer()) else { return };
        let workers = self.parts.workers.clone();
        self.parts.runtime.spawn(async move {
            if let Some(reason) = refusal.await {
                let refused = Refused { channels, transaction, reason };
                workers.push(&peer, Input::Refused(Box::new(refused))).await;
            }
        });
    }

    /// The driver does not take what was handed in. It stays owed; a person hears of it once for each reason.
    pub(super) fn on_refused(&mut self, refused: Refused) {
        let Refused { channels, transaction, reason } = refused;
        for id in channels {
            let Some(duty) = self.duties.get_mut(&id) else { continue };
            let is_owed = |owed: &Owed| match &owed.order {
                Order::Submit { transaction: owed, .. } => Some(owed.id()) == transaction,
                Order::Together { .. } => transaction.is_some(),
                Order::Fund { .. } | Order::Sign { .. } => transaction.is_none(),
            };
            let (why, said) = match (&mut duty.owed, &mut duty.finalize) {
                (Some(owed), _) if is_owed(owed) => (owed.order.why(), &mut owed.refused),
                (_, Some(finalize)) if finalize.blocks > 0 => (Why::Payout, &mut finalize.refused),
                // Of something that is not owed any more.
                (_, _) => continue,
            };
            if said.as_ref() == Some(&reason) {
                continue;
            }
            *said = Some(reason.clone());
            match why {
                Why::Defence | Why::Alone | Why::Agreement => tracing::error!(
                    channel = %id, what = why.name(), %reason, "the ledger does not take it; money is at stake"
                ),
                Why::Funding | Why::Together => {
                    tracing::warn!(channel = %id, what = why.name(), %reason, "the ledger does not take it");
                }
                // Most often the other party, or a batch, was faster.
                Why::Payout => {
                    tracing::info!(channel = %id, what = why.name(), %reason, "the ledger does not take it");
                }
            }
        }
    }
}

/// The window is over, and the ledger does not show what was owed in it.
fn late_answer(id: ChannelId, late: &Owed) {
    let refused = late.refused.as_deref().unwrap_or("it never reached a block");
    match late.order.why() {
        Why::Defence => tracing::error!(
            channel = %id, why = refused, "the dispute window is over, and the answer to an old state is not in it"
        ),
        Why::Agreement | Why::Funding | Why::Together | Why::Alone | Why::Payout => {
            tracing::info!(channel = %id, why = refused, "the dispute window is over without this node's answer");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which blocks past the deadline a party tries, and how.
    fn tries(is_author: bool) -> Vec<(u32, Try)> {
        let closing = OutPoint { tx: TxId(towpath_crypto::Digest::ZERO), index: 0 };
        let at = |blocks| Finalize { closing, deadline: Time(0), is_author, blocks, refused: None }.next();
        (1..=10).map(|blocks| (blocks, at(blocks))).filter(|(_, next)| *next != Try::Wait).collect()
    }

    #[test]
    fn the_author_pays_out_at_once_and_the_other_party_if_it_does_not() {
        assert_eq!(tries(true), [(1, Try::Together), (4, Try::Alone), (7, Try::Alone), (10, Try::Alone)]);
        assert_eq!(tries(false), [(3, Try::Together), (6, Try::Alone), (9, Try::Alone)]);
    }
}
