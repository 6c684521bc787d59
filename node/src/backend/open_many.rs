//! Many channels by one transaction: asks all peers at once, follows the pure [`Batch`] in what to do about their answers,
//! and has the wallet fund those that agreed (SPEC P-70 to P-74).

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::Instant;
use towpath_api::{ApiError, Code, OpenChannels, OpenOne, OpenWait, OpenedChannels, OpenedOne};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, ChannelId, OutPoint, Payout, Time, TxId};
use towpath_protocol::{Batch, BatchEvent, BatchOrder, LeftOut, Life, OpenId, Share};

use super::channels::{FUNDING_MS, WAIT_MS, call_error};
use super::once::{Once, deadline, other_kind};
use super::wallet::funds_error;
use super::{Node, busy, ledger_busy};
use crate::entropy;
use crate::idempotency::{Claim, Opening, Outcome, content_of};
use crate::ledger::{FundsCall, FundsError, Input, Purpose, Reserved, SharedFunding};
use crate::limits;
use crate::worker::{AskRequest, Call, CallError, ChannelView, Signed, node_text};

/// How long a peer without a session has to be reached: less than it has to answer, so that no offer leaves too late.
const REACH: Duration = Duration::from_secs(5);

/// How much earlier than its caller's patience a wait ends, at most: what is known by then is better than nothing.
const MARGIN_MS: u64 = 250;

/// One of the channels that are wanted.
struct Wanted {
    peer: PublicKey,
    amount: Amount,
    address: Option<String>,
    open: OpenId,
}

/// What holds for all of them.
struct Terms {
    dispute_window_ms: Option<u64>,
    reserve: Amount,
    expiry: Option<Time>,
    payout: Payout,
    first_input: OutPoint,
    deadline: Time,
}

/// What became of all of them.
#[derive(Default)]
struct Made {
    funding: Option<(TxId, Amount)>,
    openings: Vec<Opening>,
    /// Why places are left out, in more words than are remembered.
    errors: BTreeMap<u32, ApiError>,
}

/// What came of a question to a worker.
enum Answer {
    Asked(u32, Result<(), (LeftOut, ApiError)>),
    Signed(u32, Result<Signed, ApiError>),
}

impl Node {
    pub(super) async fn open_channels(&self, request: OpenChannels) -> Result<OpenedChannels, ApiError> {
        self.check_signing()?;
        let wanted: Vec<Wanted> =
            request.channels.iter().map(|one| self.wanted(one)).collect::<Result<_, _>>()?;
        let timeout_ms = request.timeout_ms.unwrap_or(WAIT_MS);
        let until = deadline(Some(timeout_ms.saturating_sub(MARGIN_MS.min(timeout_ms / 10))));
        let made = self.agree_on_channels(&request, &wanted, until).await?;
        if request.wait == OpenWait::Active {
            let is_there =
                |view: &ChannelView| view.life != Life::Opening && (view.is_online || view.is_settled());
            for opening in &made.openings {
                if let Opening::Channel(id) = opening {
                    let left = until.saturating_duration_since(Instant::now());
                    // What is not there in time is shown as it is.
                    drop(self.wait_for(*id, left, is_there, "the funding").await);
                }
            }
        }
        Ok(self.opened(&wanted, made))
    }

    fn wanted(&self, one: &OpenOne) -> Result<Wanted, ApiError> {
        let peer = self.find_node(&one.peer)?;
        if peer == self.net.local() {
            return Err(ApiError::new(Code::InvalidRequest, "a node cannot open a channel with itself"));
        }
        let (amount, least): (Amount, Amount) = (one.amount.into(), self.genesis.params.rules.output_min);
        if amount < least {
            return Err(funds_error(&FundsError::TooSmall { amount, least }));
        }
        Ok(Wanted { peer, amount, address: one.address.clone(), open: OpenId(entropy::draw()) })
    }

    /// The channels that this call opens, or that the first one with its key did.
    async fn agree_on_channels(
        &self,
        request: &OpenChannels,
        wanted: &[Wanted],
        until: Instant,
    ) -> Result<Made, ApiError> {
        let (dispute_window_ms, expiry) = (request.dispute_window_ms, request.expires_ms.map(Time));
        let reserve: Amount = request.reserve.map_or(Amount::ZERO, Into::into);
        let pairs: Vec<(PublicKey, Amount)> = wanted.iter().map(|one| (one.peer, one.amount)).collect();
        let content = content_of("open many", &(pairs, dispute_window_ms, reserve, expiry));
        let claim = match self.once(request.idempotency_key.as_deref(), content, until).await? {
            Once::First(claim) => claim,
            Once::Again(_, Outcome::Openings { tx, fee, openings }) => {
                return Ok(Made { funding: Some((tx, fee)), openings, errors: BTreeMap::new() });
            }
            Once::Again(
                _,
                Outcome::Payment(_)
                | Outcome::Opening { .. }
                | Outcome::Send { .. }
                | Outcome::Stream { .. }
                | Outcome::Resize { .. },
            ) => return Err(other_kind()),
        };
        let deadline = self.ledger_time().plus_ms(FUNDING_MS);
        let coins = self.reserve_for(wanted, deadline).await?;
        let Some(first_input) = coins.first_input() else {
            return Err(ApiError::new(Code::Internal, "the wallet gave no coins"));
        };
        let payout = coins.payout;
        let terms = Terms { dispute_window_ms, reserve, expiry, payout, first_input, deadline };
        let made = Asking::new(self, wanted, &terms).run(claim).await;
        if made.as_ref().map_or(true, |made| made.funding.is_none()) {
            // If this is lost, too, the coins are free after the funding's deadline.
            let _ = self.ledger.offer(Input::Funds(FundsCall::Release { first_input }));
        }
        made
    }

    async fn reserve_for(&self, wanted: &[Wanted], until: Time) -> Result<Reserved, ApiError> {
        let amount = Amount::checked_sum(wanted.iter().map(|one| one.amount));
        let amount = amount.ok_or_else(|| {
            ApiError::new(Code::InvalidAmount, "the amounts together exceed the largest amount")
        })?;
        let purpose = Purpose { amount, inputs_max: limits::WALLET_INPUTS, until };
        let channels = wanted.len();
        let call = |reply| Input::Funds(FundsCall::ReserveShared { purpose, channels, reply });
        self.ledger.ask(call).await.map_err(ledger_busy)?.map_err(|error| funds_error(&error))
    }

    fn opened(&self, wanted: &[Wanted], made: Made) -> OpenedChannels {
        let Made { funding, openings, mut errors } = made;
        let describe = |((place, one), opening): ((u32, &Wanted), &Opening)| {
            let (peer, amount) = (node_text(&one.peer), one.amount.into());
            match opening {
                Opening::Channel(id) => {
                    let channel = self.board.get(id).map(|view| view.to_api(self.ledger_time()));
                    OpenedOne { peer, amount, id: Some(id.to_string()), channel, error: None }
                }
                Opening::Left(why) => {
                    let error = Some(errors.remove(&place).unwrap_or_else(|| left_error(*why)));
                    OpenedOne { peer, amount, id: None, channel: None, error }
                }
            }
        };
        let openings = (1_u32..).zip(wanted).zip(&openings).map(describe).collect();
        let tx = funding.map(|(tx, _)| tx.to_string());
        OpenedChannels { tx, fee: funding.map(|(_, fee)| fee.into()), openings }
    }
}

/// Why a peer is left out, where nothing more is known.
fn left_error(why: LeftOut) -> ApiError {
    match why {
        LeftOut::Offline => call_error(&CallError::NoSession),
        LeftOut::Refused => ApiError::new(Code::InvalidRequest, "these terms are not possible here"),
        LeftOut::Declined(reason) => call_error(&CallError::Declined(reason)),
        LeftOut::Silent => call_error(&CallError::Silent),
        LeftOut::Vanished => ApiError::new(Code::PeerOffline, "the peer agreed, and went away"),
    }
}

/// What an error of a worker means for the place that it is about.
const fn left(error: &CallError) -> LeftOut {
    match error {
        CallError::NoSession => LeftOut::Offline,
        CallError::Declined(reason) => LeftOut::Declined(*reason),
        CallError::Silent => LeftOut::Silent,
        CallError::NoChannel
        | CallError::NoStream
        | CallError::Rejected(_)
        | CallError::Failed(_)
        | CallError::Unknown
        | CallError::TooManyStreams
        | CallError::TooManyOpenings
        | CallError::NoMoreKeys
        | CallError::Funds(_)
        | CallError::Recovering
        | CallError::Busy => LeftOut::Refused,
    }
}

/// One such opening under way.
struct Asking<'a> {
    node: &'a Node,
    wanted: &'a [Wanted],
    terms: &'a Terms,
    began: Instant,
    answers: FuturesUnordered<BoxFuture<'a, Answer>>,
    channels: BTreeMap<u32, ChannelId>,
    errors: BTreeMap<u32, ApiError>,
}

impl<'a> Asking<'a> {
    fn new(node: &'a Node, wanted: &'a [Wanted], terms: &'a Terms) -> Self {
        let (answers, began) = (FuturesUnordered::new(), Instant::now());
        Self { node, wanted, terms, began, answers, channels: BTreeMap::new(), errors: BTreeMap::new() }
    }

    async fn run(mut self, claim: Option<Claim>) -> Result<Made, ApiError> {
        let amounts: Vec<Amount> = self.wanted.iter().map(|one| one.amount).collect();
        let Some(mut batch) = Batch::new(&amounts, 0) else {
            return Err(ApiError::new(Code::InvalidRequest, "more channels than one transaction can fund"));
        };
        for (place, one) in (1_u32..).zip(self.wanted) {
            self.answers.push(ask(self.node, self.terms, (place, one)).boxed());
        }
        let shares = self.gather(&mut batch).await;
        let openings: Vec<Opening> = (1_u32..)
            .zip(self.wanted)
            .map(|(place, _)| match (batch.left_out(place), self.channels.get(&place)) {
                (None, Some(id)) => Opening::Channel(*id),
                (why, _) => Opening::Left(why.unwrap_or(LeftOut::Refused)),
            })
            .collect();
        let funding = match shares {
            Some(shares) => {
                let Terms { first_input, deadline: expiry, .. } = *self.terms;
                let claim = claim.map(|claim| (claim, openings.clone()));
                Some(fund(self.node, SharedFunding { first_input, shares, expiry }, claim).await?)
            }
            None => None,
        };
        Ok(Made { funding, openings, errors: self.errors })
    }

    /// Does what the batch orders, until it knows what is to be funded.
    async fn gather(&mut self, batch: &mut Batch) -> Option<Vec<Share>> {
        loop {
            let deadline = batch.deadline_ms().map(|ms| self.began + Duration::from_millis(ms));
            let event = tokio::select! {
                Some(answer) = self.answers.next() => self.note(answer),
                () = until(deadline) => {
                    BatchEvent::Time(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
                }
            };
            for order in batch.step(event) {
                match order {
                    BatchOrder::Drop(place) => self.give_up(place),
                    BatchOrder::Sign(place) => self.sign(place),
                    BatchOrder::Fund(shares) => return Some(shares),
                }
            }
            if batch.is_decided() {
                return None;
            }
        }
    }

    fn note(&mut self, answer: Answer) -> BatchEvent {
        match answer {
            Answer::Asked(place, Ok(())) => BatchEvent::Agreed(place),
            Answer::Asked(place, Err((why, error))) => {
                self.errors.entry(place).or_insert(error);
                BatchEvent::Left(place, why)
            }
            Answer::Signed(place, Ok(Signed { channel, output })) => {
                self.channels.insert(place, channel);
                BatchEvent::Signed(place, output)
            }
            Answer::Signed(place, Err(error)) => {
                self.errors.entry(place).or_insert(error);
                BatchEvent::Left(place, LeftOut::Vanished)
            }
        }
    }

    fn one(&self, place: u32) -> Option<&'a Wanted> {
        self.wanted.get(usize::try_from(place).ok()?.checked_sub(1)?)
    }

    fn give_up(&mut self, place: u32) {
        self.errors.entry(place).or_insert_with(|| left_error(LeftOut::Silent));
        if let Some(one) = self.one(place) {
            // If this is lost, the offer ends with its own time-out.
            let call = Call::DropAsked { open: one.open };
            let _ = self.node.workers.offer(&one.peer, crate::worker::Input::Call(Box::new(call)));
        }
    }

    fn sign(&mut self, place: u32) {
        let Some(one) = self.one(place) else { return };
        let (node, open) = (self.node, one.open);
        let signed = async move {
            let asked = node.workers.ask_patiently(&one.peer, |reply| Call::SignAgreed { open, reply });
            let signed = asked.await.map_err(busy).and_then(|signed| {
                signed.map_err(|error| match error {
                    CallError::NoSession => left_error(LeftOut::Vanished),
                    error => call_error(&error),
                })
            });
            Answer::Signed(place, signed)
        };
        self.answers.push(signed.boxed());
    }
}

/// Has the wallet make, remember and hand in the transaction.
async fn fund(
    node: &Node,
    plan: SharedFunding,
    claim: Option<(Claim, Vec<Opening>)>,
) -> Result<(TxId, Amount), ApiError> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    let input = Input::Funds(FundsCall::FundShared { plan: Box::new(plan), claim, reply });
    // The channels are there by now: it waits for room in the wallet's inbox.
    let ledger = node.ledger.clone();
    let pushed = tokio::task::spawn_blocking(move || ledger.push(input)).await;
    pushed.map_err(|error| ApiError::new(Code::Internal, error.to_string()))?;
    let funded = answer.await.map_err(|_stopping| ApiError::new(Code::NotReady, "the node is stopping"))?;
    funded.map_err(|error| funds_error(&error))
}

/// Asks one peer.
async fn ask(node: &Node, terms: &Terms, (place, one): (u32, &Wanted)) -> Answer {
    if let Err(error) = node.session_with(one.peer, one.address.as_deref(), REACH).await {
        return Answer::Asked(place, Err((LeftOut::Offline, error)));
    }
    let request = Box::new(AskRequest {
        open: one.open,
        peer: one.peer,
        amount: one.amount,
        dispute_window_ms: terms.dispute_window_ms,
        reserve: terms.reserve,
        payout: terms.payout.clone(),
        place: (terms.first_input, place),
        deadline: terms.deadline,
        expiry: terms.expiry,
    });
    let asked = node.workers.ask(&one.peer, |reply| Call::Ask { request, reply }).await;
    let asked = match asked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((left(&error), call_error(&error))),
        Err(error) => Err((LeftOut::Refused, busy(error))),
    };
    Answer::Asked(place, asked)
}

/// Waits until then, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
