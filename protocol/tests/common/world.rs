//! The world: two sides, two wires, a ledger's time, and the auditor.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::rules::Params;
use towpath_ledger::{
    Amount, AssetId, ChainId, Digest, Entry, Lock, OutPoint, Output, Party, Payout, StateSignature, Time,
    TxId,
};
use towpath_protocol::{
    Acceptance, Accepts, Bounds, Channel, ChannelMessage, Command, Contribution, Effect, Event, Evidence,
    Funding, Identity, Immediate, KeySigner, LedgerEvent, Message, Now, Offer, Online, Open, OpenId, Outcome,
    Reject, ResizePlan, Severity, StateSigner, Verifier,
};

use super::fast::{FastSigner, FastVerifier};
use super::side::Side;

/// Which signatures a world uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Crypto {
    Fast,
    Real,
}

/// Where a turn is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    Nowhere,
    /// Nothing of the outcome was written.
    BeforeWrite,
    /// Everything was written, nothing was sent.
    BeforeEffects,
}

pub struct World {
    pub sides: [Side; 2],
    /// Messages on their way to each side.
    pub wires: [VecDeque<ChannelMessage>; 2],
    pub connected: bool,
    pub now: Now,
    pub token: u64,
    pub crypto: Crypto,
    /// Every version that a side ever released a signature on, and its content.
    released: BTreeMap<(usize, u64), Digest>,
    /// Effects that are neither messages nor facts, by side.
    pub orders: [Vec<Effect>; 2],
    /// How many messages were ever sent.
    pub messages: u64,
    /// How many turns were run.
    pub turns: u64,
    /// What goes wrong, and when.
    pub faults: Faults,
    /// A message that is held back, who it is for, and behind how many others it will arrive.
    delayed: Option<(usize, ChannelMessage, u64)>,
    /// The session is to end.
    broken: bool,
    blamed_before: u64,
    /// Records were put back to what they were.
    pub forgetful: bool,
    /// Refusals that blame the peer: none between honest parties over wires that work.
    pub blamed: u64,
}

/// One fault of a turn, and one of a wire, at the turn and at the message with a number (counted from one).
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    pub cut: Option<(u64, Cut)>,
    pub wire: Option<(u64, WireFault)>,
}

/// What a wire does to a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireFault {
    Drop,
    Duplicate,
    /// It arrives behind so many later ones.
    Delay(u64),
    /// The session ends before it arrives.
    Break,
}

/// Whether the driver of this world has the bug that all persistence is about.
fn speaks_first() -> bool {
    #[cfg(feature = "canaries")]
    return towpath_protocol::canary::sings(towpath_protocol::canary::Canary::SpokenBeforeWritten);
    #[cfg(not(feature = "canaries"))]
    return false;
}

pub fn index(party: Party) -> usize {
    match party {
        Party::A => 0,
        Party::B => 1,
    }
}

pub fn chain() -> ChainId {
    ChainId(Digest([7; 32]))
}

pub fn params() -> Params {
    Params {
        output_min: Amount(1),
        dispute_window_ms_min: 1_000,
        fee_per_byte: Amount(0),
        ..Params::default()
    }
}

pub fn bounds() -> Bounds {
    Bounds { chain: chain(), params: params(), funding_ms_max: 600_000, accepts: Accepts::default() }
}

pub fn payout(seed: u8) -> Payout {
    Payout::Key(WalletSecret::from_bytes([seed; 32]).expect("a scalar").public())
}

pub fn keys(crypto: Crypto, seed: u8) -> Arc<dyn StateSigner> {
    let secret = SecretKey::from_bytes(&[seed; 32]);
    match crypto {
        Crypto::Fast => Arc::new(FastSigner(secret.public())),
        Crypto::Real => Arc::new(KeySigner::new(secret)),
    }
}

pub fn identity(crypto: Crypto, seed: u8) -> Identity {
    Identity { peer: PublicKey([seed + 100; 32]), key_index: u32::from(seed), keys: keys(crypto, seed) }
}

pub fn open(crypto: Crypto, amount_a: u64, amount_b: u64, reserve: u64) -> Open {
    Open {
        open: OpenId([9; 32]),
        chain: chain(),
        asset: AssetId::NATIVE,
        key: keys(crypto, 1).public(),
        payout: payout(1),
        amount_a: Amount(amount_a),
        amount_b: Amount(amount_b),
        sequencer: Party::A,
        dispute_window_ms: 10_000,
        penalty_basis_points: 5_000,
        reserve: Amount(reserve),
        close_fee_max: Amount(10),
        expiry: None,
        funding: Funding::Single { first_input: OutPoint { tx: TxId(Digest([3; 32])), index: 0 }, index: 0 },
        funding_deadline: Time(100_000),
    }
}

pub fn contribution() -> Contribution {
    Contribution { payout: payout(2), inputs: Vec::new(), change: Vec::new() }
}

pub fn verify_with<R>(crypto: Crypto, run: impl FnOnce(&mut dyn Verifier) -> R) -> R {
    match crypto {
        Crypto::Fast => run(&mut FastVerifier),
        Crypto::Real => run(&mut Immediate),
    }
}

pub fn accept_message(message: Message) -> towpath_protocol::Accept {
    match message {
        Message::Accept(accept) => *accept,
        other => panic!("not an acceptance: {other:?}"),
    }
}

impl World {
    /// A channel that both sides have opened, funded and connected.
    pub fn open(crypto: Crypto, amount_a: u64, amount_b: u64, reserve: u64) -> Self {
        let mut world = Self::unfunded(crypto, amount_a, amount_b, reserve);
        world.settle();
        world.fund(0);
        world.fund(1);
        world.settle();
        assert_eq!(world.sides[0].channel.view().online, Online::Yes);
        world
    }

    /// A channel of which both hold version 1.
    pub fn unfunded(crypto: Crypto, amount_a: u64, amount_b: u64, reserve: u64) -> Self {
        let now = Now { local_ms: 1_000, ledger: Time(1_000) };
        let open = open(crypto, amount_a, amount_b, reserve);
        let offer = Offer::new(open.clone(), identity(crypto, 1), &bounds(), now).expect("fine terms");
        let (acceptance, outcome) =
            Acceptance::new(&open, contribution(), &identity(crypto, 2), &bounds(), now).expect("fine terms");
        let accept = accept_message(acceptance.message());
        let mut a = verify_with(crypto, |verifier| offer.on_accept(&accept, now, verifier)).expect("accepts");
        let first = a.step(Event::TurnEnd, now, &mut FastVerifier).expect("a turn ends");
        let created = first.effects.iter().find_map(|effect| match effect {
            Effect::Send(Message::Channel(_, created @ ChannelMessage::Created(_))) => Some(created.clone()),
            _ => None,
        });
        let created = created.expect("A tells B");
        let b = verify_with(crypto, |verifier| acceptance.on_message(&created, now, verifier));
        let b = b.expect("B takes it");
        let mut sides = [
            Side::new(Party::A, keys(crypto, 1), a, Amount(amount_a)),
            Side::new(Party::B, keys(crypto, 2), b, Amount(amount_b)),
        ];
        sides[0].write(&first);
        sides[1].write(&outcome);
        let mut world = Self {
            sides,
            wires: [VecDeque::new(), VecDeque::new()],
            connected: true,
            now,
            token: 0,
            crypto,
            released: BTreeMap::new(),
            orders: [Vec::new(), Vec::new()],
            messages: 0,
            turns: 0,
            faults: Faults::default(),
            delayed: None,
            broken: false,
            blamed_before: 0,
            forgetful: false,
            blamed: 0,
        };
        for effect in first.effects.into_iter().filter(|effect| matches!(effect, Effect::Fund { .. })) {
            world.run(0, effect);
        }
        world.turn(1, Vec::new(), Cut::Nowhere);
        world.bound(0);
        world.bound(1);
        world
    }

    /// What a driver tells a machine first.
    fn bound(&mut self, side: usize) {
        let (now, bounded) = (self.now, Event::Bounds(Arc::new(bounds())));
        let told = self.sides[side].channel.step(bounded, now, &mut FastVerifier);
        assert_eq!(told, Ok(Outcome::default()));
    }

    pub fn funding_entry(channel: &Channel) -> (OutPoint, Entry) {
        let lock = Lock::Channel(Box::new(channel.terms().clone()));
        let output = Output { asset: channel.asset(), amount: channel.capacity(), lock };
        (OutPoint { tx: TxId(Digest([5; 32])), index: 0 }, Entry { output, height: 3, time: Time(2_000) })
    }

    /// The replica of `side` shows the funding.
    pub fn fund(&mut self, side: usize) {
        let (outpoint, entry) = Self::funding_entry(&self.sides[side].channel);
        let entry = Box::new(entry);
        self.turn(side, vec![Event::Ledger(LedgerEvent::Funded { outpoint, entry })], Cut::Nowhere);
    }

    /// One turn of one side. Returns what was refused.
    pub fn turn(&mut self, side: usize, events: Vec<Event>, cut: Cut) -> Vec<Reject> {
        let (crypto, now) = (self.crypto, self.now);
        self.turns += 1;
        let cut = match self.faults.cut {
            Some((turn, fault)) if turn == self.turns => fault,
            Some(_) | None => cut,
        };
        let mut rejects = Vec::new();
        for event in events {
            let channel = &mut self.sides[side].channel;
            let token = match event {
                Event::Command { token, .. } => Some(token),
                _ => None,
            };
            // Rejected messages leave no trace; the check is too slow for floods of commands.
            let before = matches!(event, Event::Message(_)).then(|| format!("{channel:?}"));
            let stepped = verify_with(crypto, |verifier| channel.step(event, now, verifier));
            match stepped {
                Ok(outcome) => assert_eq!(outcome, Outcome::default(), "only a turn's end has an outcome"),
                Err(reject) => {
                    if let Some(before) = before {
                        assert_eq!(before, format!("{channel:?}"), "refused without a trace: {reject}");
                    }
                    if let Some(token) = token {
                        self.sides[side].asked.remove(&token);
                    }
                    rejects.push(reject);
                }
            }
        }
        self.blamed +=
            rejects.iter().filter(|reject| reject.severity() == Severity::Disconnect).count() as u64;
        let outcome = self.sides[side]
            .channel
            .step(Event::TurnEnd, now, &mut FastVerifier)
            .expect("a turn always ends");
        if cut == Cut::BeforeWrite {
            if speaks_first() {
                outcome.effects.into_iter().for_each(|effect| self.run(side, effect));
            }
            self.crash(side);
            return rejects;
        }
        self.sides[side].write(&outcome);
        self.audit(side);
        if cut == Cut::BeforeEffects {
            self.crash(side);
            return rejects;
        }
        for effect in outcome.effects {
            self.run(side, effect);
        }
        rejects
    }

    fn run(&mut self, side: usize, effect: Effect) {
        match effect {
            Effect::Send(message) => {
                let bytes = message.encode();
                assert_eq!(Message::decode(&bytes).expect("our own messages decode"), message);
                let Message::Channel(_, message) = message else { panic!("not about a channel") };
                self.audit_release(side, &message);
                self.messages += 1;
                if self.connected {
                    self.carry(1 - side, message);
                }
            }
            Effect::Declined { token, .. } if self.sides[side].asked.remove(&token).is_some() => {}
            Effect::PostClose { ref state, .. }
            | Effect::SubmitClose { ref state, .. }
            | Effect::Supersede { ref state, .. }
            | Effect::Answer { state: Some(ref state), .. } => {
                let signature = *state.signature(self.sides[side].party);
                self.release(side, state.state.version, &signature);
                self.orders[side].push(effect);
            }
            other if other.is_fact() => {}
            other => self.orders[side].push(other),
        }
    }

    /// The wire to `side`, with its fault.
    fn carry(&mut self, side: usize, message: ChannelMessage) {
        let fault = self.faults.wire.filter(|(number, _)| *number == self.messages).map(|(_, fault)| fault);
        match fault {
            None => self.wires[side].push_back(message),
            Some(WireFault::Drop) => {}
            Some(WireFault::Duplicate) => {
                self.wires[side].extend([message.clone(), message]);
            }
            Some(WireFault::Delay(behind)) => {
                self.delayed = Some((side, message, behind));
                return;
            }
            Some(WireFault::Break) => self.broken = true,
        }
        if let Some((to, message, behind)) = self.delayed.take() {
            let behind = if to == side { behind - 1 } else { behind };
            if behind == 0 {
                self.wires[to].push_back(message);
            } else {
                self.delayed = Some((to, message, behind));
            }
        }
    }

    /// Ends the session if a wire broke, or if somebody blames the other for what a wire did, as a node does.
    pub fn mend(&mut self) {
        let blamed = self.blamed > self.blamed_before;
        self.blamed_before = self.blamed;
        if std::mem::take(&mut self.broken) || blamed {
            self.disconnect();
        }
    }

    fn audit_release(&mut self, side: usize, message: &ChannelMessage) {
        match message {
            ChannelMessage::Propose(propose) => self.release(side, propose.version, &propose.signature),
            ChannelMessage::Ack(ack) => self.release(side, ack.version, &ack.signature),
            ChannelMessage::Created(signature) => self.release(side, 1, signature),
            ChannelMessage::Reestablish(theirs) => {
                let signature = *theirs.newest.signature(self.sides[side].party);
                self.release(side, theirs.newest.state.version, &signature);
            }
            ChannelMessage::Resume(theirs) => {
                let newest = theirs.newest.co_signed();
                let signature = *newest.signature(self.sides[side].party);
                self.release(side, newest.state.version, &signature);
                if let Some(jump) = theirs.jump {
                    self.release(side, jump.version, &jump.signature);
                }
            }
            ChannelMessage::Recover(theirs) => {
                if let Some(newest) = theirs.newest.as_ref().map(Evidence::co_signed) {
                    let signature = *newest.signature(self.sides[side].party);
                    self.release(side, newest.state.version, &signature);
                }
            }
            ChannelMessage::Resize(offer) => self.release(side, offer.version, &offer.signature),
            ChannelMessage::ResizeAgreed(agreed) => self.release(side, agreed.version, &agreed.signature),
            ChannelMessage::Witnesses(_)
            | ChannelMessage::Request(_)
            | ChannelMessage::Refuse(_)
            | ChannelMessage::Resend(_)
            | ChannelMessage::Close => {}
        }
    }

    /// I4: nobody ever releases signatures on two contents of one version. Signatures are deterministic.
    fn release(&mut self, side: usize, version: u64, signature: &StateSignature) {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&signature.signature.0[..32]);
        let content = Digest(bytes);
        let known = *self.released.entry((side, version)).or_insert(content);
        assert_eq!(known, content, "C7: two contents for version {version} by {side}");
    }

    /// What holds after every write.
    fn audit(&self, side: usize) {
        let (me, other) = (&self.sides[side], &self.sides[1 - side]);
        me.channel.check().expect("the machine's invariants hold");
        // What a side was told before it lost its data may be more than what is left of it by now.
        if me.channel.is_lost() {
            return;
        }
        assert_eq!(
            me.channel.unsettled(),
            me.unsettled(),
            "what is neither settled nor failed is remembered"
        );
        let told = me.told();
        let keeps = me.channel.terms().reserve.min(me.first);
        for balance in me.channel.possible_balances() {
            assert!(balance >= keeps, "C10: {balance} is below what is set aside");
            assert!(balance.0 >= told, "I3: told {told}, but a state with {balance} can be posted");
        }
        let forgetful = self.forgetful || self.sides.iter().any(|side| side.began_again);
        for (payer, payee) in [(me, other), (other, me)].into_iter().filter(|_| !forgetful) {
            for (number, amount) in &payee.received {
                assert_eq!(payer.sent.get(number), Some(amount), "nothing arrives that was not sent");
                assert!(!payer.failed.contains(number), "payment {number} arrived, and failed");
            }
        }
    }

    /// The side dies; the session dies with it.
    pub fn crash(&mut self, side: usize) {
        self.disconnect_wires();
        let restored = self.sides[side].restored();
        self.sides[side].channel = restored;
        self.bound(side);
        self.sides[side].asked.clear();
        let other = 1 - side;
        self.turn(other, vec![Event::Disconnected], Cut::Nowhere);
        self.turn(side, Vec::new(), Cut::Nowhere);
    }

    /// The disk of a side is put back to what it was. From now on the two sides' records differ, and only what each says
    /// and signs is audited.
    pub fn put_back(&mut self, side: usize, backup: Side) {
        self.forgetful = true;
        self.sides[side] = backup;
        self.crash(side);
    }

    fn disconnect_wires(&mut self) {
        self.connected = false;
        self.delayed = None;
        self.wires.iter_mut().for_each(VecDeque::clear);
    }

    pub fn disconnect(&mut self) {
        self.disconnect_wires();
        for side in 0..2 {
            self.turn(side, vec![Event::Disconnected], Cut::Nowhere);
        }
    }

    pub fn connect(&mut self) {
        if self.connected {
            return;
        }
        self.connected = true;
        for side in 0..2 {
            self.turn(side, vec![Event::Connected], Cut::Nowhere);
        }
    }

    /// Delivers up to `count` messages to `side`, in one turn.
    pub fn deliver(&mut self, side: usize, count: usize, cut: Cut) -> Vec<Reject> {
        let count = count.min(self.wires[side].len());
        let events = self.wires[side].drain(..count).map(Event::Message).collect();
        self.turn(side, events, cut)
    }

    pub fn command(&mut self, side: usize, command: Command) -> Result<u64, Reject> {
        self.token += 1;
        let token = self.token;
        if let Command::Pay { amount, .. } = command {
            self.sides[side].asked.insert(token, amount);
        }
        let rejects = self.turn(side, vec![Event::Command { token, command }], Cut::Nowhere);
        rejects.first().map_or(Ok(token), |reject| Err(*reject))
    }

    /// A caller wants a resize.
    pub fn resize(&mut self, side: usize, plan: ResizePlan) -> Result<(), Reject> {
        self.token += 1;
        let event = Event::Resize { token: self.token, plan: Box::new(plan) };
        self.turn(side, vec![event], Cut::Nowhere).first().map_or(Ok(()), |reject| Err(*reject))
    }

    pub fn pay(&mut self, side: usize, amount: u64) -> Result<u64, Reject> {
        self.command(side, Command::Pay { amount: Amount(amount), memo: None })
    }

    /// Many payments in one turn: they share a signature.
    pub fn pay_many(&mut self, side: usize, amounts: &[u64]) -> Vec<Reject> {
        let mut events = Vec::new();
        for amount in amounts {
            self.token += 1;
            self.sides[side].asked.insert(self.token, Amount(*amount));
            let command = Command::Pay { amount: Amount(*amount), memo: None };
            events.push(Event::Command { token: self.token, command });
        }
        self.turn(side, events, Cut::Nowhere)
    }

    /// Delivers everything until nothing moves and every claim is acknowledged.
    pub fn settle(&mut self) {
        self.settle_while(|_| true);
    }

    /// The same as nodes do it: the session ends as soon as somebody is blamed.
    pub fn settle_in_session(&mut self) {
        self.settle_while(|world| {
            world.mend();
            world.connected
        });
    }

    fn settle_while(&mut self, mut goes_on: impl FnMut(&mut Self) -> bool) {
        for _ in 0..10_000 {
            if !goes_on(self) {
                return;
            }
            if let Some((to, message, _)) =
                self.delayed.take_if(|_| self.wires.iter().all(VecDeque::is_empty))
            {
                self.wires[to].push_back(message);
            }
            if self.wires.iter().all(VecDeque::is_empty) {
                self.now.local_ms += 10_000;
                for side in 0..2 {
                    self.turn(side, Vec::new(), Cut::Nowhere);
                }
                if self.wires.iter().all(VecDeque::is_empty) {
                    return;
                }
            }
            for side in 0..2 {
                self.deliver(side, usize::MAX, Cut::Nowhere);
            }
        }
        panic!("the parties never come to rest");
    }

    /// Both sides agree, nothing is lost or doubled, and nobody was blamed.
    pub fn assert_quiescent(&self) {
        self.assert_agreed();
        assert_eq!(self.blamed, 0, "no honest party is blamed");
    }

    /// Both sides agree, and nothing is lost or doubled.
    pub fn assert_agreed(&self) {
        let [a, b] = &self.sides;
        let (view_a, view_b) = (a.channel.view(), b.channel.view());
        assert_eq!(a.channel.state(), b.channel.state(), "both hold the same state");
        assert_eq!((view_a.in_flight, view_a.waiting), (0, 0), "nothing waits at A");
        assert_eq!((view_b.in_flight, view_b.waiting), (0, 0), "nothing waits at B");
        for (payer, payee) in [(a, b), (b, a)] {
            let made: BTreeMap<u64, Amount> = payer
                .sent
                .iter()
                .filter(|(number, _)| !payer.failed.contains(number))
                .map(|(number, amount)| (*number, *amount))
                .collect();
            assert_eq!(made, payee.received, "every payment arrives once, or fails");
            assert!(made.keys().all(|number| *number <= payer.settled), "every payment is settled");
        }
        assert!(a.asked.is_empty() && b.asked.is_empty(), "every caller is answered");
        assert_eq!(a.told(), view_a.balance.0, "A has what it was told");
        assert_eq!(b.told(), view_b.balance.0, "B has what it was told");
    }
}
