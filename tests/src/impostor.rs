//! A peer that speaks the channel protocol by the rules, and tells its own machine whatever suits it: above all that a
//! channel is funded when it is not (FAULTS C1). Made from the crates' public parts, with the keys of a node of a local
//! network that is not running.

use std::sync::Arc;

use towpath_api::{Client, SubmitTransaction};
use towpath_crypto::seed::Seed;
use towpath_crypto::{Digest, codec};
use towpath_ledger::genesis::Genesis;
use towpath_ledger::{
    Amount, AssetId, ChannelTerms, Entry, Lock, OutPoint, Output, Party, Payout, Spend, Time, Transaction,
    TxBody, TxId, Witness,
};
use towpath_node::devnet;
use towpath_node::net::{self, ConnectionLimits, Mdns, NetConfig, NetEvent, NetEvents, NetHandle, NodeId};
use towpath_protocol::{
    Bounds, Channel, ChannelMessage, Command, Effect, Epoch, Event, Funding, Hello, Identity, Immediate,
    KeySigner, LedgerEvent, Message, Now, Offer, Online, Open, OpenId, Reestablish,
};
use towpath_testnet::NodeState;

use crate::kit::WAIT_MAX;

/// How far ahead a funding's deadline is, in milliseconds of ledger time.
const FUNDING_MS: u64 = 600_000;

/// Bytes for which every transaction pays: more than any of them has.
const FEE_BYTES: u64 = 2_000;

/// See the module.
pub struct Impostor {
    seed: Seed,
    genesis: Genesis,
    victim: NodeId,
    handle: NetHandle,
    events: NetEvents,
    /// Coins of the genesis that are not promised yet.
    coins: Vec<(OutPoint, Output)>,
    next_key: u32,
    now: Now,
    /// It says that it is the newest process of the node whose keys it has.
    hello: Hello,
}

/// A channel as its opener holds it, and the coin that it promised for it.
pub struct Fake {
    /// The machine.
    pub channel: Channel,
    /// What the funding transaction's first input must be.
    pub coin: (OutPoint, Output),
}

impl Impostor {
    /// Connects to the victim as the node called `name`, whose process must not run.
    ///
    /// # Panics
    /// When the victim cannot be reached.
    pub async fn connect(name: &str, victim: &NodeState, genesis: &std::path::Path) -> Self {
        let seed = devnet::seed(name);
        let text = std::fs::read_to_string(genesis).expect("the network's genesis");
        let genesis = Genesis::parse(&text).expect("a genesis");
        let own = Lock::Wallet(Payout::Key(seed.wallet_key(0).public()));
        let start = genesis.start().expect("block 0");
        let mine = start.entries.into_iter().filter(|(_, entry)| entry.output.lock == own);
        let coins = mine.map(|(outpoint, entry)| (outpoint, entry.output)).collect();
        let config = NetConfig {
            identity: *seed.node_secret(),
            session_key: *seed.session_key(),
            chain: genesis.chain_id(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
            bootstrap: Vec::new(),
            mdns: Mdns::Off,
            limits: ConnectionLimits::default(),
            subscribe_timeout: towpath_node::net::limits::SUBSCRIBE_TIMEOUT,
            seed: 7,
        };
        let (handle, events) = net::spawn(config).expect("the network starts");
        let (_, peer) = crate::stranger::place(victim);
        let id = net::node_of(&peer).expect("a node");
        handle.want(id, vec![victim.p2p.parse().expect("an address")]).await.expect("it can be dialled");
        let now = Now { local_ms: 0, ledger: Time(0) };
        let epoch = Epoch { start: towpath_node::clock::now_ms(), instance: [7; 16] };
        let hello = Hello::sign(&seed.node_key(), &genesis.chain_id(), epoch);
        let mut impostor = Self { hello, seed, genesis, victim: id, handle, events, coins, next_key: 0, now };
        impostor.session().await;
        impostor
    }

    /// Looks at the ledger's time.
    ///
    /// # Panics
    /// When the client's node does not answer.
    pub async fn look(&mut self, client: &Client) {
        let time_ms = client.ledger().await.expect("the node answers").time_ms;
        self.now = Now { local_ms: time_ms, ledger: Time(time_ms) };
    }

    /// Waits for something.
    async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(NetEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(WAIT_MAX, found).await.unwrap_or_else(|_| panic!("gave up waiting: {what}"))
    }

    /// Waits for a session with the victim: there already, or a new one.
    async fn session(&mut self) {
        let victim = self.victim;
        if !self.handle.sessions().contains(&victim) {
            self.wait("a session", |event| {
                matches!(event, NetEvent::SessionUp { node, .. } if node == victim).then_some(())
            })
            .await;
        }
        // Nothing is heard of channels before this. Said again, it is the same.
        self.send(vec![Message::Hello(self.hello)]);
    }

    /// Sends messages in the session that is up.
    fn send(&self, messages: Vec<Message>) {
        let messages = messages.iter().map(Message::encode).collect();
        self.handle.send(self.victim, messages).expect("a session is up");
    }

    /// The next message that `pick` takes.
    async fn hear<T>(&mut self, what: &str, pick: impl Fn(Message) -> Option<T>) -> T {
        let victim = self.victim;
        self.wait(what, |event| match event {
            NetEvent::Messages { node, messages, .. } if node == victim => {
                messages.iter().find_map(|bytes| pick(Message::decode(bytes).expect("the victim is honest")))
            }
            _ => None,
        })
        .await
    }

    /// Opens a channel, up to the first version, which both hold then. It promises to pay for all of it, and gives the
    /// victim some of that as a present.
    ///
    /// # Panics
    /// When the victim declines.
    pub async fn open(&mut self, amount: u64, present: u64) -> Fake {
        self.session().await;
        let coin = self.coins.pop().expect("a coin is left");
        let key_index = self.next_key;
        self.next_key += 1;
        let keys = Arc::new(KeySigner::new(self.seed.channel_key(key_index)));
        let (rules, capacity) = (self.genesis.params.rules.clone(), Amount(amount + present));
        let open = Open {
            open: OpenId(rand::random()),
            chain: self.genesis.chain_id(),
            asset: AssetId::NATIVE,
            key: self.seed.channel_key(key_index).public(),
            payout: self.payout(),
            amount_a: Amount(amount),
            amount_b: Amount(present),
            sequencer: Party::A,
            dispute_window_ms: rules.dispute_window_ms_min,
            penalty_basis_points: rules.penalty_basis_points_max,
            reserve: Amount::ZERO,
            close_fee_max: rules.fee_min(4_096).min(capacity.share(rules.close_fee_basis_points_max)),
            expiry: None,
            funding: Funding::Single { first_input: coin.0, index: 0 },
            funding_deadline: self.now.ledger.plus_ms(FUNDING_MS),
        };
        let bounds = Bounds {
            chain: open.chain,
            params: rules,
            funding_ms_max: FUNDING_MS,
            accepts: towpath_protocol::Accepts::default(),
        };
        let identity = Identity { peer: self.victim, key_index, keys };
        let offer = Offer::new(open, identity, &bounds, self.now).expect("terms that are allowed");
        self.send(vec![offer.message()]);
        let id = offer.open().open;
        let accept = self
            .hear("an acceptance", |message| match message {
                Message::Accept(accept) if accept.open == id => Some(accept),
                Message::Decline(decline) => panic!("declined: {decline:?}"),
                _ => None,
            })
            .await;
        let channel = offer.on_accept(&accept, self.now, &mut Immediate).expect("the victim's part is right");
        let mut fake = Fake { channel, coin };
        let messages = self.turn(&mut fake, Vec::new());
        self.send(messages);
        fake
    }

    /// One turn of a channel; what it says.
    fn turn(&mut self, fake: &mut Fake, events: Vec<Event>) -> Vec<Message> {
        for event in events {
            fake.channel.step(event, self.now, &mut Immediate).expect("its own machine takes it");
        }
        let outcome = fake.channel.step(Event::TurnEnd, self.now, &mut Immediate).expect("a turn ends");
        let said = outcome.effects.into_iter().filter_map(|effect| match effect {
            Effect::Send(message) => Some(message),
            _ => None,
        });
        said.collect()
    }

    /// Tells its own machine that the channel is funded as agreed and that the victim said so, and pays. What it sent
    /// can be sent again: a proposal is the same bytes each time.
    ///
    /// # Panics
    /// When its own machine refuses.
    pub async fn pay_unfunded(&mut self, fake: &mut Fake, amount: u64) -> Vec<Message> {
        self.session().await;
        let output = Self::agreed_output(&fake.channel);
        let outpoint = OutPoint { tx: TxId(Digest([9; 32])), index: 0 };
        let entry = Box::new(Entry { output, height: 1, time: self.now.ledger });
        let mut messages = self.turn(fake, vec![Event::Ledger(LedgerEvent::Funded { outpoint, entry })]);
        let newest = fake.channel.held().co_signed(Party::A).expect("both signed the first version");
        let heard = Reestablish { generation: 0, newest, next: 2, seen: 0 };
        let heard = ChannelMessage::Reestablish(Box::new(heard));
        messages.extend(self.turn(fake, vec![Event::Message(heard)]));
        assert_eq!(fake.channel.view().online, Online::Yes, "its own machine believes all of it");
        let command = Command::Pay { amount: Amount(amount), memo: None };
        let paid = self.turn(fake, vec![Event::Command { token: 1, command }]);
        assert!(matches!(paid[..], [Message::Channel(_, ChannelMessage::Propose(_))]), "{paid:?}");
        messages.extend(paid);
        self.send(messages.clone());
        messages
    }

    /// Sends messages once more.
    pub async fn repeat(&mut self, messages: Vec<Message>) {
        self.session().await;
        self.send(messages);
    }

    /// The output that both agreed on.
    #[must_use]
    pub fn agreed_output(channel: &Channel) -> Output {
        let lock = Lock::Channel(Box::new(channel.terms().clone()));
        Output { asset: channel.asset(), amount: channel.capacity(), lock }
    }

    fn payout(&self) -> Payout {
        Payout::Key(self.seed.wallet_key(0).public())
    }

    /// A funding transaction as the ledger's rules want it, with whatever amount and terms; the rest is change.
    #[must_use]
    pub fn funding(&self, fake: &Fake, amount: Amount, terms: ChannelTerms) -> Transaction {
        let (outpoint, coin) = &fake.coin;
        let fee = self.genesis.params.rules.fee_min(FEE_BYTES);
        let left = coin.amount.checked_sub(amount).and_then(|left| left.checked_sub(fee));
        let lock = Lock::Channel(Box::new(terms));
        let change = Output {
            asset: AssetId::NATIVE,
            amount: left.expect("the coin is large"),
            lock: Lock::Wallet(self.payout()),
        };
        let body = TxBody {
            chain: self.genesis.chain_id(),
            inputs: vec![*outpoint],
            outputs: vec![Output { asset: AssetId::NATIVE, amount, lock }, change],
            not_before: None,
            expiry: None,
            payload: None,
        };
        let spend = Spend { transaction: body.id(), spent: vec![coin.clone()] };
        let secret = self.seed.wallet_key(0);
        let signature = secret.sign(&body.chain, &spend);
        let witnesses = vec![Witness::Wallet(vec![(secret.public(), signature)])];
        Transaction { body, witnesses }
    }
}

/// Hands a transaction to a node; its id.
///
/// # Panics
/// When the ledger's rules refuse it.
pub async fn submit(client: &Client, transaction: &Transaction) -> String {
    let hex: String = codec::encode(transaction).iter().map(|byte| format!("{byte:02x}")).collect();
    client.submit_transaction(&SubmitTransaction { hex }).await.expect("the rules allow it").tx
}
