//! The channels' and peers' part of the API.

use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use towpath_api::{
    ApiError, Channel, ChannelEvent, ChannelEventPage, ChannelPage, ChannelQuery, CloseChannel, CloseMode,
    CloseWait, Closed, Code, Direction, OpenChannel, OpenWait, PageQuery, Pay, PayWait, Payment, PaymentPage,
    PaymentState, Peer, Peers, StartStream, Stream,
};
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::hash::sha256;
use towpath_crypto::id::{self, Kind};
use towpath_ledger::{Amount, ChannelId};
use towpath_protocol::{Life, Reject};

use super::wallet::funds_error;
use super::{Node, busy, ledger_busy, store_error};
use crate::ledger::{FundsCall, Input};
use crate::net::{node_of, peer_of};
use crate::worker::{
    Call, CallError, ChannelView, OpenRequest, PayRequest, Plan, Risk, Wait, channel_log, node_text,
    payment_id, payment_view, payments, stored_bytes,
};

/// Channels, payments or log entries of one page.
const PAGE_MAX: u32 = 500;

/// How long a call waits unless it says otherwise, in milliseconds.
const WAIT_MS: u64 = 30_000;

/// How often a wait looks at the channel's view.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How far ahead a funding's deadline is, in milliseconds of ledger time.
const FUNDING_MS: u64 = 600_000;

fn call_error(error: &CallError) -> ApiError {
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
        CallError::KeyReused => Code::IdempotencyConflict,
        CallError::NoSession => Code::PeerOffline,
        CallError::TooManyOpenings | CallError::Busy => Code::TooManyRequests,
        CallError::Declined(_) => Code::PeerRefused,
        CallError::Funds(error) => return funds_error(error),
        CallError::Recovering => Code::Recovery,
    };
    ApiError::new(code, error.to_string())
}

fn timed_out(what: &str) -> ApiError {
    ApiError::new(Code::WaitTimeout, format!("{what} is not done yet; it goes on"))
}

fn limit_of(limit: Option<u32>) -> usize {
    usize::try_from(limit.unwrap_or(100).clamp(1, PAGE_MAX)).unwrap_or(usize::MAX)
}

fn node_id(text: &str) -> Result<PublicKey, ApiError> {
    id::decode_array(Kind::Node, text)
        .map(PublicKey)
        .map_err(|error| ApiError::new(Code::InvalidId, error.to_string()))
}

fn word(key: Option<String>) -> Option<[u8; 32]> {
    key.map(|word| sha256(word.as_bytes()).0)
}

impl Node {
    /// The channel with this id, or the only one whose id starts so.
    pub(super) fn find(&self, text: &str) -> Result<Arc<ChannelView>, ApiError> {
        if let Ok(id) = text.parse::<ChannelId>() {
            let found = self.board.get(&id);
            return found.ok_or_else(|| ApiError::new(Code::ChannelNotFound, format!("no channel {text}")));
        }
        let found = self.board.page(None, 4, |view| id::matches_prefix(&view.id.to_string(), text));
        match found.as_slice() {
            [] => Err(ApiError::new(Code::ChannelNotFound, format!("no channel begins with {text}"))),
            [one] => Ok(Arc::clone(one)),
            several => {
                let ids: Vec<String> = several.iter().map(|view| view.id.to_string()).collect();
                Err(ApiError::new(Code::AmbiguousId, format!("{text} could be {}", ids.join(", "))))
            }
        }
    }

    pub(super) fn channel_page(&self, query: &ChannelQuery) -> Result<ChannelPage, ApiError> {
        let after = query
            .after
            .as_deref()
            .map(str::parse::<ChannelId>)
            .transpose()
            .map_err(|error| ApiError::new(Code::InvalidId, error.to_string()))?;
        let peer = query.peer.as_deref().map(node_id).transpose()?;
        let limit = limit_of(query.limit);
        let wanted = |view: &ChannelView| {
            query.state.is_none_or(|state| crate::worker::state_of(view.life) == state)
                && peer.is_none_or(|peer| view.peer == peer)
        };
        let found = self.board.page(after, limit + 1, wanted);
        let next = (found.len() > limit).then(|| found[limit - 1].id.to_string());
        let channels = found.iter().take(limit).map(|view| view.to_api()).collect();
        Ok(ChannelPage { channels, totals: self.board.totals(), next })
    }

    /// One channel, with what this node keeps of it on disk.
    pub(super) fn one_channel(&self, text: &str) -> Result<Channel, ApiError> {
        let view = self.find(text)?;
        let stored = stored_bytes(&**self.journal.store(), &view.id).map_err(|error| store_error(&error))?;
        Ok(Channel { stored: Some(stored), ..view.to_api() })
    }

    pub(super) async fn open_channel(&self, request: OpenChannel) -> Result<Channel, ApiError> {
        self.check_signing()?;
        let peer = node_id(&request.peer)?;
        if peer == self.net.local() {
            return Err(ApiError::new(Code::InvalidRequest, "a channel with oneself"));
        }
        let within = Duration::from_millis(request.timeout_ms.unwrap_or(WAIT_MS));
        let began = tokio::time::Instant::now();
        self.session_with(peer, request.address.as_deref(), within).await?;
        let (amount, peer_amount): (Amount, Amount) =
            (request.amount.into(), request.peer_amount.map_or(Amount::ZERO, Into::into));
        let asked = self.ledger.ask(|reply| Input::Funds(FundsCall::Reserve { amount, reply })).await;
        let coins = asked.map_err(ledger_busy)?.map_err(|error| funds_error(&error))?;
        let params = &self.genesis.params.rules;
        let open = OpenRequest {
            peer,
            amount,
            peer_amount,
            dispute_window_ms: request
                .dispute_window_ms
                .unwrap_or(86_400_000)
                .clamp(params.dispute_window_ms_min, params.dispute_window_ms_max),
            reserve: request.reserve.map_or(Amount::ZERO, Into::into),
            coins,
            deadline: self.chain.tip().header().time.plus_ms(FUNDING_MS),
        };
        let asked = self.workers.ask(&peer, |reply| Call::Open { request: open, reply });
        let opened =
            tokio::time::timeout(within, asked).await.map_err(|_elapsed| timed_out("the opening"))?;
        let opened = opened.map_err(busy)?.map_err(|error| call_error(&error))?;
        let left = within.saturating_sub(began.elapsed());
        let is_there = |view: &ChannelView| match request.wait {
            OpenWait::Accepted => true,
            OpenWait::Active => view.life != Life::Opening && (view.is_online || view.is_settled()),
        };
        Ok(self.wait_for(opened.channel, left, is_there, "the funding").await?.to_api())
    }

    /// Waits until the channel's view is as wanted.
    async fn wait_for(
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
                if let Some(view) = self.board.get(&channel)
                    && is_there(&view)
                {
                    return view;
                }
            }
        };
        tokio::time::timeout(within, wait).await.map_err(|_elapsed| timed_out(what))
    }

    /// A channel session with a node: there already, or made now.
    async fn session_with(
        &self,
        peer: PublicKey,
        address: Option<&str>,
        within: Duration,
    ) -> Result<(), ApiError> {
        if self.net.sessions().contains(&peer) {
            return Ok(());
        }
        let addresses = address.map(parse_address).transpose()?.into_iter().collect();
        let wanted = self.net.want(peer, addresses).await;
        wanted.map_err(|error| ApiError::new(Code::PeerOffline, error.to_string()))?;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let wait = async {
            while !self.net.sessions().contains(&peer) {
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
        let amount = request.amount.into();
        let key = word(request.idempotency_key.clone());
        let pay = PayRequest { channel: view.id, amount, memo, key, wait };
        let within = Duration::from_millis(request.timeout_ms.unwrap_or(WAIT_MS));
        let asked = self.workers.ask(&view.peer, |reply| Call::Pay { request: pay, reply });
        let paid = tokio::time::timeout(within, asked).await.map_err(|_elapsed| timed_out("the payment"))?;
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
        let mut all = Vec::new();
        for direction in [Direction::Out, Direction::In] {
            let rows = payments(store, &view.id, direction).map_err(|error| store_error(&error))?;
            all.extend(
                rows.iter().map(|row| payment_view(&text, (view.role, direction), row, view.settled_number)),
            );
        }
        all.sort_by(|left, right| (right.time_ms, &right.id).cmp(&(left.time_ms, &left.id)));
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
        let events: Vec<ChannelEvent> = older
            .by_ref()
            .take(limit)
            .map(|entry| {
                let debug = format!("{:?}", entry.kind);
                let name_ends = debug.find([' ', '(', '{']).unwrap_or(debug.len());
                let (kind, detail) = debug.split_at(name_ends);
                ChannelEvent {
                    index: entry.sequence,
                    time_ms: entry.local_ms,
                    kind: kind.to_lowercase(),
                    version: None,
                    detail: detail.trim().to_owned(),
                    hash: entry.hash.to_string(),
                }
            })
            .collect();
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
            CloseMode::Cooperative => Call::Close { channel: view.id, reply },
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
        Ok(Closed { tx: view.settlement.clone(), channel: view.to_api() })
    }

    pub(super) async fn start_stream(&self, channel: &str, request: StartStream) -> Result<Stream, ApiError> {
        self.check_signing()?;
        let view = self.find(channel)?;
        let plan = Plan {
            amount: request.amount.into(),
            count: request.count,
            in_flight: request.in_flight.clamp(1, crate::limits::STREAM_IN_FLIGHT),
        };
        let key = word(request.idempotency_key);
        let asked =
            self.workers.ask(&view.peer, |reply| Call::StartStream { channel: view.id, plan, key, reply });
        asked.await.map_err(busy)?.map_err(|error| call_error(&error))
    }

    pub(super) async fn stream(&self, text: &str) -> Result<Stream, ApiError> {
        let id = stream_number(text)?;
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
        let sessions = self.net.sessions();
        let peers = self.net.peers();
        let known = peers.iter().map(|(node, info)| Peer {
            node: node_text(node),
            connected: true,
            addresses: vec![info.address.to_string()],
            direction: None,
            agent: Some(info.agent.clone()),
            rtt_us: None,
            connected_ms: None,
            channels: u32::try_from(self.board.open_with(node)).unwrap_or(u32::MAX),
        });
        let mut all: Vec<Peer> = known.collect();
        all.sort_by_key(|peer| std::cmp::Reverse(sessions.iter().any(|node| node_text(node) == peer.node)));
        Peers { peers: all }
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
        let node = node_id(text)?;
        peer_of(&node).map_err(|error| ApiError::new(Code::InvalidId, error.to_string()))?;
        if !self.net.peers().contains_key(&node) {
            return Err(ApiError::new(Code::PeerNotFound, format!("not connected to {text}")));
        }
        self.net.unwant(node).await.map_err(|error| ApiError::new(Code::Internal, error.to_string()))
    }
}

fn parse_address(text: &str) -> Result<Multiaddr, ApiError> {
    text.parse()
        .map_err(|error| ApiError::new(Code::InvalidRequest, format!("'{text}' is no address: {error}")))
}

fn memo(text: &str) -> Result<[u8; 32], ApiError> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| ApiError::new(Code::InvalidRequest, "a memo is 64 hexadecimal digits"))
}

fn stream_number(text: &str) -> Result<u64, ApiError> {
    let number = text.strip_prefix("stream").and_then(|number| number.parse().ok());
    number.ok_or_else(|| ApiError::new(Code::StreamNotFound, format!("no stream {text}")))
}
