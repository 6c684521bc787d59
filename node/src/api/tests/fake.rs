//! A node in memory: one channel whose payments are counted, canned answers for the rest, and a log of events.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use tokio::sync::watch;
use towpath_api::*;

use crate::api::{ApiUsage, Backend, EventFeed, Reply};

/// Answers that tests can turn.
pub struct Fake {
    pub ready: AtomicBool,
    /// Payments wait for ever if set.
    pub stuck: AtomicBool,
    payments: Mutex<BTreeMap<String, Payment>>,
    log: watch::Sender<Log>,
}

/// Events, and the index up to which they are pruned.
#[derive(Clone, Default)]
struct Log {
    pruned: u64,
    events: Vec<Event>,
}

impl Log {
    fn newest(&self) -> u64 {
        self.pruned + self.events.len() as u64
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            ready: AtomicBool::new(true),
            stuck: AtomicBool::new(false),
            payments: Mutex::default(),
            log: watch::Sender::default(),
        }
    }
}

pub const CHANNEL: &str = "chan1qqqq";

impl Fake {
    /// Adds an event to the log.
    pub fn emit(&self, body: EventBody) {
        self.log.send_modify(|log| {
            let index = log.newest() + 1;
            log.events.push(Event { index, time_ms: 1, body });
        });
    }

    /// Forgets the oldest events.
    pub fn prune(&self, count: usize) {
        self.log.send_modify(|log| {
            log.events.drain(..count);
            log.pruned += count as u64;
        });
    }

    /// How many payments there were.
    pub fn paid(&self) -> usize {
        self.payments.lock().expect("no test panics with it").len()
    }

    fn channel_now(&self, id: &str) -> Result<Channel, ApiError> {
        if !CHANNEL.starts_with(id) || id.len() < 6 {
            return Err(ApiError::new(Code::ChannelNotFound, format!("there is no channel {id}")));
        }
        Ok(Channel {
            id: CHANNEL.to_owned(),
            peer: "node1p".to_owned(),
            online: true,
            state: ChannelState::Active,
            outcome: None,
            recovering: false,
            role: Role::Opener,
            sequencer: Side::Local,
            version: 1,
            generation: 0,
            capacity: Units(100),
            balance: Units(60),
            peer_balance: Units(40),
            pending: Units(0),
            spendable: Units(60),
            reserve: Units(0),
            dispute_window_ms: 60_000,
            funding: None,
            opened_ms: 1,
            deadline_ms: None,
            settlement: None,
            payments_sent: 0,
            payments_received: 0,
            sent_total: Units(0),
            received_total: Units(0),
            payments_confirming: 0,
            confirming_total: Units(0),
            resizing: None,
            stored: None,
            close: None,
        })
    }

    fn pay_now(&self, request: Pay) -> Result<Payment, ApiError> {
        let mut payments = self.payments.lock().expect("no test panics with it");
        let key = request.idempotency_key.unwrap_or_else(|| format!("payment {}", payments.len()));
        if let Some(first) = payments.get(&key) {
            return match first.amount == request.amount {
                true => Ok(first.clone()),
                false => Err(ApiError::new(
                    Code::IdempotencyConflict,
                    format!("the key {key} paid {}", first.amount),
                )),
            };
        }
        let payment = Payment {
            id: format!("pay-{}", payments.len()),
            channel: CHANNEL.to_owned(),
            direction: Direction::Out,
            amount: request.amount,
            state: PaymentState::Settled,
            version: Some(2),
            time_ms: 1,
            latency_us: Some(5),
            memo: request.memo,
            idempotency_key: Some(key.clone()),
            reason: None,
        };
        payments.insert(key, payment.clone());
        Ok(payment)
    }
}

fn answer<'a, T: Send + 'a>(result: Result<T, ApiError>) -> Reply<'a, T> {
    std::future::ready(result).boxed()
}

fn not_found<'a, T: Send + 'a>(code: Code) -> Reply<'a, T> {
    answer(Err(ApiError::new(code, "the fake has none")))
}

impl Backend for Fake {
    fn info(&self) -> Reply<'_, Info> {
        answer(Ok(Info {
            node: "node1f".to_owned(),
            name: "fake".to_owned(),
            chain: "chain1c".to_owned(),
            chain_name: "test".to_owned(),
            version: "0".to_owned(),
            mode: Mode::Running,
            recovery: None,
            validator: false,
            uptime_ms: 1,
            listen: Vec::new(),
            peers: 0,
            channels: ChannelTotals::default(),
            ledger: LedgerTip { height: 0, time_ms: 0, tip_age_ms: 0 },
            wallet: Wallet {
                confirmed: Units(1),
                available: Units(1),
                reserved: Units(0),
                pending: Units(0),
                in_channels: Units(u64::MAX),
            },
        }))
    }

    fn ready(&self) -> Reply<'_, Ready> {
        let ready = self.ready.load(Ordering::SeqCst);
        answer(Ok(Ready { ready, reason: (!ready).then(|| "catching up".to_owned()) }))
    }

    fn stats(&self) -> Reply<'_, Stats> {
        answer(Ok(Stats::default()))
    }

    fn travel(&self, _to: Travel) -> Reply<'_, LedgerTip> {
        answer(Err(ApiError::new(Code::InvalidRequest, "this ledger does not travel in time")))
    }

    fn backup(&self, query: BackupQuery) -> Reply<'_, BackupPage> {
        let next = query.next.is_none().then(|| "1".to_owned());
        answer(Ok(BackupPage { bytes: "00".to_owned(), next }))
    }

    fn metrics(&self, api: ApiUsage) -> Reply<'_, String> {
        answer(Ok(format!("{} of {} connections listen\n", api.listeners, api.connections)))
    }

    fn wallet(&self) -> Reply<'_, Wallet> {
        async { self.info().await.map(|info| info.wallet) }.boxed()
    }

    fn new_address(&self) -> Reply<'_, NewAddress> {
        answer(Ok(NewAddress { address: "addr1a".to_owned() }))
    }

    fn send(&self, request: WalletSend) -> Reply<'_, WalletSent> {
        let have = Units(1);
        answer(match request.amount <= have {
            true => Ok(WalletSent { tx: "tx1t".to_owned(), fee: Units(0) }),
            false => Err(ApiError::new(Code::InsufficientFunds, format!("the wallet has {have}"))),
        })
    }

    fn history(&self, _query: HistoryQuery) -> Reply<'_, HistoryPage> {
        answer(Ok(HistoryPage { entries: Vec::new(), next: None }))
    }

    fn peers(&self) -> Reply<'_, Peers> {
        answer(Ok(Peers { peers: Vec::new() }))
    }

    fn connect(&self, _request: ConnectPeer) -> Reply<'_, Peer> {
        not_found(Code::PeerNotFound)
    }

    fn disconnect(&self, _node: String) -> Reply<'_, ()> {
        answer(Ok(()))
    }

    fn channels(&self, _query: ChannelQuery) -> Reply<'_, ChannelPage> {
        answer(self.channel_now(CHANNEL).map(|channel| ChannelPage {
            channels: vec![channel],
            totals: ChannelTotals { active: 1, ..ChannelTotals::default() },
            damaged: Vec::new(),
            next: None,
        }))
    }

    fn open_channels(&self, request: OpenChannels) -> Reply<'_, OpenedChannels> {
        let openings = request.channels.into_iter().map(|one| OpenedOne {
            peer: one.peer,
            amount: one.amount,
            id: None,
            channel: None,
            error: Some(ApiError::new(Code::PeerRefused, "no")),
        });
        let opened = OpenedChannels { tx: None, fee: None, openings: openings.collect() };
        answer(Ok(opened))
    }

    fn open_channel(&self, _request: OpenChannel) -> Reply<'_, Channel> {
        answer(self.channel_now(CHANNEL))
    }

    fn channel(&self, id: String) -> Reply<'_, Channel> {
        answer(self.channel_now(&id))
    }

    fn pay(&self, channel: String, request: Pay) -> Reply<'_, Payment> {
        if self.stuck.load(Ordering::SeqCst) {
            return std::future::pending().boxed();
        }
        answer(self.channel_now(&channel).and_then(|_channel| self.pay_now(request)))
    }

    fn payments(&self, _channel: String, _query: PageQuery) -> Reply<'_, PaymentPage> {
        let payments = self.payments.lock().expect("no test panics with it").values().cloned().collect();
        answer(Ok(PaymentPage { payments, next: None }))
    }

    fn channel_events(&self, _channel: String, _query: PageQuery) -> Reply<'_, ChannelEventPage> {
        answer(Ok(ChannelEventPage { events: Vec::new(), next: None }))
    }

    fn close_channel(&self, channel: String, _request: CloseChannel) -> Reply<'_, Closed> {
        answer(self.channel_now(&channel).map(|channel| Closed { channel, tx: None }))
    }

    fn resize_channel(&self, channel: String, _request: ResizeChannel) -> Reply<'_, Resized> {
        let resized = |channel| Resized { channel, state: ResizeState::Pending, tx: String::new() };
        answer(self.channel_now(&channel).map(resized))
    }

    fn start_stream(&self, _channel: String, _request: StartStream) -> Reply<'_, Stream> {
        not_found(Code::ChannelNotActive)
    }

    fn stream(&self, _id: String) -> Reply<'_, Stream> {
        not_found(Code::StreamNotFound)
    }

    fn stop_stream(&self, _id: String) -> Reply<'_, Stream> {
        not_found(Code::StreamNotFound)
    }

    fn tower(&self) -> Reply<'_, TowerInfo> {
        not_found(Code::Recovery)
    }

    fn serve_tower(&self, _request: ServeTower) -> Reply<'_, TowerInfo> {
        not_found(Code::Recovery)
    }

    fn add_tower(&self, _request: AddTower) -> Reply<'_, TowerInfo> {
        not_found(Code::InvalidId)
    }

    fn tower_channels(&self, _tower: String, _query: TowerQuery) -> Reply<'_, TowerChannels> {
        not_found(Code::TowerNotFound)
    }

    fn remove_tower(&self, _tower: String) -> Reply<'_, ()> {
        not_found(Code::TowerNotFound)
    }

    fn tower_clients(&self) -> Reply<'_, TowerClients> {
        not_found(Code::Recovery)
    }

    fn drop_tower_client(&self, _node: String) -> Reply<'_, TowerDropped> {
        not_found(Code::InvalidId)
    }

    fn ledger(&self) -> Reply<'_, LedgerInfo> {
        not_found(Code::NotReady)
    }

    fn block(&self, _block: String) -> Reply<'_, Block> {
        not_found(Code::BlockNotFound)
    }

    fn transaction(&self, _id: String) -> Reply<'_, Transaction> {
        not_found(Code::TransactionNotFound)
    }

    fn submit_transaction(&self, encoded: Vec<u8>) -> Reply<'_, Submitted> {
        answer(Ok(Submitted { tx: format!("tx1len{}", encoded.len()) }))
    }

    fn output(&self, _outpoint: String) -> Reply<'_, OutputInfo> {
        not_found(Code::OutputNotFound)
    }

    fn output_proof(&self, _outpoint: String) -> Reply<'_, OutputProof> {
        not_found(Code::OutputNotFound)
    }

    fn headers(&self, _query: HeaderQuery) -> Reply<'_, HeaderPage> {
        not_found(Code::NotReady)
    }

    fn events(&self, after: Option<u64>) -> Reply<'_, Box<dyn EventFeed>> {
        let log = self.log.subscribe();
        let newest = log.borrow().newest();
        let feed = Feed { log, place: after.map_or(newest, |after| after.min(newest)) };
        answer(Ok(Box::new(feed) as Box<dyn EventFeed>))
    }
}

struct Feed {
    log: watch::Receiver<Log>,
    place: u64,
}

impl EventFeed for Feed {
    fn place(&self) -> u64 {
        self.place
    }

    fn next(&mut self) -> Reply<'_, Vec<EventItem>> {
        async {
            let place = self.place;
            let log = self.log.wait_for(|log| log.newest() > place).await;
            let log = log.map_err(|_closed| ApiError::new(Code::NotReady, "stopping"))?.clone();
            let mut items = Vec::new();
            if log.pruned > place {
                items.push(EventItem::Gap(Gap { after: place, resumed_after: log.pruned }));
            }
            items
                .extend(log.events.iter().filter(|event| event.index > place).cloned().map(EventItem::Event));
            self.place = log.newest();
            Ok(items)
        }
        .boxed()
    }
}
