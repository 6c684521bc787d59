//! The channels' and peers' part of the API.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::time::Instant;
use towpath_api::{
    ApiError, Channel, ChannelEvent, ChannelEventPage, ChannelPage, ChannelQuery, CloseChannel, CloseMode,
    CloseWait, Closed, Code, DamagedChannel, Direction, OpenChannel, OpenWait, PageQuery, Pay, PayWait,
    Payment, PaymentPage, PaymentState, Peer, PeerDirection, Peers, StartStream, Stream,
};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, ChannelId, Time};
use towpath_protocol::limits::FUNDING_INPUTS_MAX;
use towpath_protocol::{Life, Reject};

use super::once::{Once, deadline, other_kind};
use super::wallet::funds_error;
use super::{Node, busy, ledger_busy, log, store_error};
use crate::clock;
use crate::idempotency::{Outcome, content_of};
use crate::ledger::{FundsCall, Input, Purpose};
use crate::limits;
use crate::net::{Dialled, PeerInfo, node_of, peer_of};
use crate::worker::{
    Call, CallError, ChannelView, FUNDING_MS_MAX, OpenRequest, PayRequest, PaymentRow, Plan, Progress, Risk,
    Wait, channel_log, node_text, payment_id, payment_view, payments, stored_bytes,
};

/// Channels, payments or log entries of one page.
const PAGE_MAX: u32 = 500;

/// How long a call waits unless it says otherwise, in milliseconds.
pub(super) const WAIT_MS: u64 = 30_000;

/// How often a wait looks at the channel's view.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How far ahead a funding's deadline is, in milliseconds of ledger time: half of what peers accept, since theirs may
/// be some blocks behind.
pub(super) const FUNDING_MS: u64 = FUNDING_MS_MAX / 2;

pub(super) fn call_error(error: &CallError) -> ApiError {
    let code = match error {
        CallError::NoChannel => Code::ChannelNotFound,
        CallError::NoStream => Code::StreamNotFound,
        CallError::Rejected(reject) => match reject {
            Reject::Balance { .. } => Code::InsufficientBalance,
            Reject::Offline => Code::PeerOffline,
            Reject::NotActive | Reject::Closing => Code::ChannelNotActive,
            Reject::Lost => Code::Recovery,
            Reject::Busy => Code::TooManyRequests,
            Reject::ZeroAmount | Reject::Fee { .. } => Code::InvalidAmount,
            _ => Code::InvalidRequest,
        },
        CallError::Failed(_) => Code::PaymentFailed,
        CallError::Unknown => Code::Recovery,
        CallError::NoSession => Code::PeerOffline,
        CallError::TooManyOpenings | CallError::TooManyStreams | CallError::Busy => Code::TooManyRequests,
        CallError::NoMoreKeys => Code::Internal,
        CallError::Declined(_) | CallError::Silent => Code::PeerRefused,
        CallError::Funds(error) => return funds_error(error),
        CallError::Recovering => Code::Recovery,
    };
    ApiError::new(code, error.to_string())
}

pub(super) fn timed_out(what: &str) -> ApiError {
    ApiError::new(Code::WaitTimeout, format!("{what} is not done yet; it goes on"))
}

pub(super) fn limit_of(limit: Option<u32>) -> usize {
    usize::try_from(limit.unwrap_or(100).clamp(1, PAGE_MAX)).unwrap_or(usize::MAX)
}

impl Node {
    pub(super) fn ledger_time(&self) -> Time {
        self.chain.tip().header().time
    }

    /// Channels in need of recovery, with their outputs as this node's own replica has them.
    fn damaged_channels(&self) -> Result<Vec<DamagedChannel>, ApiError> {
        let damaged = self.board.damaged(usize::try_from(PAGE_MAX).unwrap_or(usize::MAX), |_| true);
        let describe = |(id, reason): (ChannelId, String)| {
            let output = self.chain.channel_output(&id).map_err(|error| store_error(&error))?;
            let output = output.map(|(outpoint, _)| outpoint.to_string());
            Ok(DamagedChannel { id: id.to_string(), reason, output })
        };
        damaged.into_iter().map(describe).collect()
    }

    pub(super) fn channel_page(&self, query: &ChannelQuery) -> Result<ChannelPage, ApiError> {
        // A page may end with a channel that is forgotten by now: a whole id need not exist.
        let after = query.after.as_deref().map(|text| match text.parse::<ChannelId>() {
            Ok(id) => Ok(id),
            Err(_beginning) => self.find(text).map(|view| view.id),
        });
        let after = after.transpose()?;
        let peer = query.peer.as_deref().map(|text| self.find_node(text)).transpose()?;
        let limit = limit_of(query.limit);
        let wanted = |view: &ChannelView| {
            query.state.is_none_or(|state| crate::worker::state_of(view.life) == state)
                && peer.is_none_or(|peer| view.peer == peer)
        };
        let found = self.board.page(after, limit + 1, wanted);
        let next = (found.len() > limit).then(|| found[limit - 1].id.to_string());
        let channels = found.iter().take(limit).map(|view| view.to_api(self.ledger_time())).collect();
        let damaged = if after.is_none() { self.damaged_channels()? } else { Vec::new() };
        Ok(ChannelPage { channels, totals: self.board.totals(), damaged, next })
    }

    /// One channel, with what this node keeps of it on disk.
    pub(super) fn one_channel(&self, text: &str) -> Result<Channel, ApiError> {
        let view = self.find(text)?;
        let stored = stored_bytes(&**self.journal.store(), &view.id).map_err(|error| store_error(&error))?;
        Ok(Channel { stored: Some(stored), ..view.to_api(self.ledger_time()) })
    }

    pub(super) async fn open_channel(&self, request: OpenChannel) -> Result<Channel, ApiError> {
        self.check_signing()?;
        let peer = self.find_node(&request.peer)?;
        if peer == self.net.local() {
            return Err(ApiError::new(Code::InvalidRequest, "a node cannot open a channel with itself"));
        }
        let until = deadline(request.timeout_ms);
        let channel = self.agree_on_channel(peer, &request, until).await?;
        let is_there = |view: &ChannelView| match request.wait {
            OpenWait::Accepted => true,
            OpenWait::Active => view.life != Life::Opening && (view.is_online || view.is_settled()),
        };
        let left = until.saturating_duration_since(Instant::now());
        let view = self.wait_for(channel, left, is_there, "the funding").await?;
        Ok(view.to_api(self.ledger_time()))
    }

    /// The channel that both agreed on now, or with the first call that had this key.
    async fn agree_on_channel(
        &self,
        peer: PublicKey,
        request: &OpenChannel,
        until: Instant,
    ) -> Result<ChannelId, ApiError> {
        let (amount, peer_amount): (Amount, Amount) =
            (request.amount.into(), request.peer_amount.map_or(Amount::ZERO, Into::into));
        let reserve: Amount = request.reserve.map_or(Amount::ZERO, Into::into);
        let (dispute_window_ms, expiry) = (request.dispute_window_ms, request.expires_ms.map(Time));
        let content = content_of("open", &(peer, amount, peer_amount, dispute_window_ms, reserve, expiry));
        let claim = match self.once(request.idempotency_key.as_deref(), content, until).await? {
            Once::First(claim) => claim,
            Once::Again(_, Outcome::Opening { channel }) => return Ok(channel),
            Once::Again(
                _,
                Outcome::Payment(_)
                | Outcome::Stream { .. }
                | Outcome::Send { .. }
                | Outcome::Openings { .. }
                | Outcome::Resize { .. },
            ) => return Err(other_kind()),
        };
        let left = until.saturating_duration_since(Instant::now());
        self.session_with(peer, request.address.as_deref(), left).await?;
        let deadline = self.ledger_time().plus_ms(FUNDING_MS);
        // Coins of a funding by both are named in a message, which has a bound of its own.
        let inputs_max = if peer_amount.is_zero() { limits::WALLET_INPUTS } else { FUNDING_INPUTS_MAX };
        let purpose = Purpose { amount, inputs_max, until: deadline };
        let asked = self.ledger.ask(|reply| Input::Funds(FundsCall::Reserve { purpose, reply })).await;
        let coins = asked.map_err(ledger_busy)?.map_err(|error| funds_error(&error))?;
        let first_input = coins.first_input();
        let open = OpenRequest {
            peer,
            amount,
            peer_amount,
            dispute_window_ms,
            reserve,
            coins,
            deadline,
            expiry,
            claim,
        };
        let asked = self.workers.ask(&peer, |reply| Call::Open { request: open, reply });
        let opened =
            tokio::time::timeout_at(until, asked).await.map_err(|_elapsed| timed_out("the opening"))?;
        let opened = opened
            .inspect_err(|_busy| {
                // Nobody has taken the coins; if this is lost, too, they are free after the funding's deadline.
                if let Some(first_input) = first_input {
                    let _ = self.ledger.offer(Input::Funds(FundsCall::Release { first_input }));
                }
            })
            .map_err(busy)?;
        Ok(opened.map_err(|error| call_error(&error))?.channel)
    }

    /// Waits until the channel's view is as wanted.
    pub(super) async fn wait_for(
        &self,
        channel: ChannelId,
        within: Duration,
        is_there: impl Fn(&ChannelView) -> bool,
        what: &str,
    ) -> Result<Arc<ChannelView>, ApiError> {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let wait = async {
            loop {
                ticks.tick().await;
                match self.board.get(&channel) {
                    Some(view) if is_there(&view) => return Some(view),
                    Some(_not_yet) => {}
                    None => return None,
                }
            }
        };
        let waited = tokio::time::timeout(within, wait).await.map_err(|_elapsed| timed_out(what))?;
        waited.ok_or_else(|| {
            let detail = "the channel is forgotten: it was not funded in time, or settled long ago";
            ApiError::new(Code::ChannelNotActive, detail)
                .with_hint("the coins of one that was not funded are free again; open another one")
        })
    }

    /// A channel session with a node: there already, or made now.
    pub(super) async fn session_with(
        &self,
        peer: PublicKey,
        address: Option<&str>,
        within: Duration,
    ) -> Result<(), ApiError> {
        if self.board.is_spoken_with(&peer) {
            return Ok(());
        }
        let addresses = address.map(parse_address).transpose()?.into_iter().collect();
        let wanted = self.net.want(peer, addresses).await;
        wanted.map_err(|error| ApiError::new(Code::PeerOffline, error.to_string()))?;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let wait = async {
            while !self.board.is_spoken_with(&peer) {
                ticks.tick().await;
            }
        };
        let waited = tokio::time::timeout(within.min(Duration::from_secs(15)), wait).await;
        waited.map_err(|_elapsed| {
            ApiError::new(Code::PeerOffline, format!("{} cannot be reached", node_text(&peer)))
        })
    }

    pub(super) async fn pay(&self, channel: &str, request: Pay) -> Result<Payment, ApiError> {
        self.check_signing()?;
        let view = self.find(channel)?;
        let memo = request.memo.as_deref().map(memo).transpose()?;
        let wait = match request.wait {
            PayWait::Settled => Wait::Settled,
            PayWait::Sent => Wait::Sent,
        };
        let (channel, amount): (ChannelId, Amount) = (view.id, request.amount.into());
        let until = deadline(request.timeout_ms);
        let content = content_of("pay", &(channel, amount, memo));
        let once = self.once(request.idempotency_key.as_deref(), content, until).await?;
        let asked = self.workers.ask(&view.peer, |reply| match once {
            Once::First(claim) => {
                Call::Pay { request: PayRequest { channel, amount, memo, claim, wait }, reply }
            }
            // The owner of the channel says what became of it: it may know more by now.
            Once::Again(key, _) => Call::PaidBefore { channel, key, wait, reply },
        });
        let paid =
            tokio::time::timeout_at(until, asked).await.map_err(|_elapsed| timed_out("the payment"))?;
        let paid = paid.map_err(busy)?.map_err(|error| call_error(&error))?;
        let text = view.id.to_string();
        Ok(Payment {
            id: payment_id(&text, paid.payer, paid.number),
            channel: text,
            direction: Direction::Out,
            amount: paid.amount.into(),
            state: if paid.is_settled { PaymentState::Settled } else { PaymentState::Sent },
            version: None,
            time_ms: paid.time_ms,
            latency_us: Some(paid.latency_us),
            memo: request.memo,
            idempotency_key: request.idempotency_key,
            reason: None,
        })
    }

    pub(super) fn payment_page(&self, channel: &str, query: &PageQuery) -> Result<PaymentPage, ApiError> {
        let view = self.find(channel)?;
        let store = &**self.journal.store();
        let text = view.id.to_string();
        let progress = Progress { settled: view.settled_number, confirming_from: view.confirming_from };
        let mut all = Vec::new();
        for direction in [Direction::Out, Direction::In] {
            let rows = payments(store, &view.id, direction).map_err(|error| store_error(&error))?;
            let shown = |row: &PaymentRow| payment_view(&text, (view.role, direction), row, progress);
            all.extend(rows.iter().map(|row| (row.number, shown(row))));
        }
        // Many are of one millisecond, so their numbers order them; as texts, 9,999 would come after 10,000.
        all.sort_by_key(|(number, payment)| Reverse((payment.time_ms, *number, payment.direction)));
        let mut all: Vec<Payment> = all.into_iter().map(|(_number, payment)| payment).collect();
        if let Some(before) = &query.before {
            let place = all.iter().position(|payment| payment.id == *before);
            all.drain(..place.map_or(all.len(), |place| place + 1));
        }
        let limit = limit_of(query.limit);
        let next = (all.len() > limit).then(|| all[limit - 1].id.clone());
        all.truncate(limit);
        Ok(PaymentPage { payments: all, next })
    }

    pub(super) fn event_page(&self, channel: &str, query: &PageQuery) -> Result<ChannelEventPage, ApiError> {
        let view = self.find(channel)?;
        let entries = channel_log(&**self.journal.store(), &view.id).map_err(|error| store_error(&error))?;
        let before = query.before.as_deref().map_or(Ok(u64::MAX), str::parse);
        let before =
            before.map_err(|_| ApiError::new(Code::InvalidRequest, "`before` is an entry's index"))?;
        let limit = limit_of(query.limit);
        let mut older = entries.into_iter().filter(|entry| entry.sequence < before);
        let events: Vec<ChannelEvent> =
            older.by_ref().take(limit).map(|entry| log::entry(&entry, view.role)).collect();
        let next = older.next().and_then(|_| events.last().map(|event| event.index.to_string()));
        Ok(ChannelEventPage { events, next })
    }

    pub(super) async fn close_channel(
        &self,
        channel: &str,
        request: CloseChannel,
    ) -> Result<Closed, ApiError> {
        self.check_signing()?;
        let view = self.find(channel)?;
        let asked = self.workers.ask(&view.peer, |reply| match request.mode {
            CloseMode::Cooperative => {
                Call::Close { channel: view.id, force_after_ms: request.force_after_ms, reply }
            }
            CloseMode::Force => Call::ForceClose { channel: view.id, risk: Risk::None, reply },
            CloseMode::ForceAtRisk => Call::ForceClose { channel: view.id, risk: Risk::Accepted, reply },
        });
        asked.await.map_err(busy)?.map_err(|error| call_error(&error))?;
        let within = Duration::from_millis(request.timeout_ms.unwrap_or(WAIT_MS));
        let is_there = |view: &ChannelView| match request.wait {
            CloseWait::Sent => true,
            CloseWait::Settled => view.is_settled(),
        };
        let view = self.wait_for(view.id, within, is_there, "the close").await?;
        Ok(Closed { tx: view.settlement.clone(), channel: view.to_api(self.ledger_time()) })
    }

    pub(super) async fn start_stream(&self, channel: &str, request: StartStream) -> Result<Stream, ApiError> {
        self.check_signing()?;
        let view = self.find(channel)?;
        let plan = Plan {
            amount: request.amount.into(),
            count: request.count,
            in_flight: request.in_flight.clamp(1, crate::limits::STREAM_IN_FLIGHT),
        };
        let channel = view.id;
        let content = content_of("stream", &(channel, plan.amount, plan.count, plan.in_flight));
        let claim = match self.once(request.idempotency_key.as_deref(), content, deadline(None)).await? {
            Once::First(claim) => claim,
            Once::Again(_, Outcome::Stream { run, number }) if run == self.idempotency.run() => {
                return self.stream_of(number).await;
            }
            Once::Again(_, Outcome::Stream { .. }) => {
                let detail = "the stream of this idempotency key ended when the node restarted, or before";
                let hint = "the payments that it made stand: look at the channel's payments";
                return Err(ApiError::new(Code::StreamNotFound, detail).with_hint(hint));
            }
            Once::Again(
                _,
                Outcome::Payment(_)
                | Outcome::Opening { .. }
                | Outcome::Send { .. }
                | Outcome::Openings { .. }
                | Outcome::Resize { .. },
            ) => return Err(other_kind()),
        };
        let asked = self.workers.ask(&view.peer, |reply| Call::StartStream { channel, plan, claim, reply });
        asked.await.map_err(busy)?.map_err(|error| call_error(&error))
    }

    pub(super) async fn stream(&self, text: &str) -> Result<Stream, ApiError> {
        self.stream_of(stream_number(text)?).await
    }

    async fn stream_of(&self, id: u64) -> Result<Stream, ApiError> {
        self.workers
            .ask_of(id, |reply| Call::Stream { id, reply })
            .await
            .map_err(busy)?
            .map_err(|error| call_error(&error))
    }

    pub(super) async fn stop_stream(&self, text: &str) -> Result<Stream, ApiError> {
        let id = stream_number(text)?;
        let asked = self.workers.ask_of(id, |reply| Call::StopStream { id, reply });
        asked.await.map_err(busy)?.map_err(|error| call_error(&error))
    }

    pub(super) fn peer_list(&self) -> Peers {
        let sessions: BTreeSet<PublicKey> = self.net.sessions().into_iter().collect();
        let mut peers: Vec<_> = self.net.peers().into_iter().collect();
        // Those with a channel session come first.
        peers.sort_by_key(|(node, _)| std::cmp::Reverse(sessions.contains(node)));
        let open = self.board.open_by_peer();
        let now_ms = clock::now_ms();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let describe = |(node, info): &(PublicKey, PeerInfo)| Peer {
            node: node_text(node),
            connected: true,
            addresses: vec![info.address.to_string()],
            direction: Some(match info.dialled {
                Dialled::ByUs => PeerDirection::Outbound,
                Dialled::ByPeer => PeerDirection::Inbound,
            }),
            agent: Some(info.agent.clone()),
            rtt_us: info.round_trip.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            connected_ms: Some(now_ms.saturating_sub(millis(info.since.elapsed()))),
            channels: open.get(node).copied().unwrap_or(0),
        };
        Peers { peers: peers.iter().map(describe).collect() }
    }

    pub(super) async fn connect(&self, text: &str) -> Result<Peer, ApiError> {
        let address = parse_address(text)?;
        let node = address
            .iter()
            .find_map(|part| match part {
                Protocol::P2p(peer) => node_of(&peer),
                _ => None,
            })
            .ok_or_else(|| {
                ApiError::new(
                    Code::InvalidRequest,
                    "the address names no node: end it with /p2p/ and the peer id",
                )
            })?;
        self.session_with(node, Some(text), Duration::from_millis(WAIT_MS)).await?;
        let text = node_text(&node);
        let found = self.peer_list().peers.into_iter().find(|peer| peer.node == text);
        found.ok_or_else(|| ApiError::new(Code::PeerOffline, format!("{text} went away again")))
    }

    pub(super) async fn disconnect(&self, text: &str) -> Result<(), ApiError> {
        let node = self.find_node(text)?;
        peer_of(&node).map_err(|error| ApiError::new(Code::InvalidId, error.to_string()))?;
        if !self.net.peers().contains_key(&node) {
            return Err(ApiError::new(Code::PeerNotFound, format!("not connected to {text}")));
        }
        self.net.unwant(node).await.map_err(|error| ApiError::new(Code::Internal, error.to_string()))
    }
}

fn parse_address(text: &str) -> Result<Multiaddr, ApiError> {
    text.parse().map_err(|error| {
        ApiError::new(Code::InvalidRequest, format!("'{text}' is no address: {error}")).with_hint(
            "an address is such as /ip4/192.0.2.1/tcp/7421; `towpath info` on the other node shows its own",
        )
    })
}

fn memo(text: &str) -> Result<[u8; 32], ApiError> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| ApiError::new(Code::InvalidRequest, "a memo is 64 hexadecimal digits"))
}

fn stream_number(text: &str) -> Result<u64, ApiError> {
    let number = text.strip_prefix("stream").and_then(|number| number.parse().ok());
    number.ok_or_else(|| ApiError::new(Code::StreamNotFound, format!("no stream {text}")))
}
