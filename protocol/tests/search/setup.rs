//! The beginning of every search: a channel that both parties hold version 1 of and that the ledger shows, and the keys.

use std::sync::Arc;

use towpath_crypto::ed25519::{Check, PublicKey, SecretKey};
use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::rules::Params;
use towpath_ledger::{
    Amount, AssetId, ChainId, Digest, Entry, Lock, OutPoint, Output, Party, Payout, Time, TxId,
};
use towpath_protocol::{
    Acceptance, Bounds, Channel, ChannelMessage, Contribution, Effect, Event, Funding, Identity, Immediate,
    KeySigner, LedgerEvent, Message, Now, Offer, Open, OpenId, Outcome, StateSigner, Verifier,
};

use super::config::{Config, Crypto};
use super::fast::{FastSigner, FastVerifier};

/// The ledger's time until somebody posts a close.
pub const START: Time = Time(2_000);
/// The time of the block in which a close is posted.
pub const POSTED: Time = Time(5_000);
/// The dispute window.
pub const WINDOW_MS: u64 = 10_000;
/// The last time at which a close can be answered: every dispute of a search happens then, at the edge (FAULTS C13).
pub const LAST: Time = Time(15_000);
/// The first time at which it can't be answered any more.
pub const LATE: Time = Time(15_001);

/// The node's clock of every turn, but for those in which it has gone on.
pub const NOW: Now = Now { local_ms: 1_000, ledger: START };
/// Long after: whatever waits for a clock is due.
pub const LATER_MS: u64 = 11_000;

pub fn chain() -> ChainId {
    ChainId(Digest([7; 32]))
}

/// Fees by size are zero: which fee a step takes is a choice of the search.
pub fn params() -> Params {
    Params {
        output_min: Amount(1),
        dispute_window_ms_min: 1_000,
        fee_per_byte: Amount(0),
        close_fee_basis_points_max: 2_500,
        ..Params::default()
    }
}

pub const fn index(party: Party) -> usize {
    match party {
        Party::A => 0,
        Party::B => 1,
    }
}

pub const fn party(seat: usize) -> Party {
    if seat == 0 { Party::A } else { Party::B }
}

/// Verifies as the search's configuration says.
pub fn verify(crypto: Crypto, check: Check) -> bool {
    match crypto {
        Crypto::Fast => FastVerifier.verify(check),
        Crypto::Real => Immediate.verify(check),
    }
}

/// Runs `run` with a verifier of the configuration.
pub fn with_verifier<R>(crypto: Crypto, run: impl FnOnce(&mut dyn Verifier) -> R) -> R {
    match crypto {
        Crypto::Fast => run(&mut FastVerifier),
        Crypto::Real => run(&mut Immediate),
    }
}

/// A channel before anybody used it.
pub struct Beginning {
    /// Each party's machine, with the rows that it wrote.
    pub sides: [(Channel, Vec<Outcome>); 2],
    pub keys: [Arc<dyn StateSigner>; 2],
    pub funding: OutPoint,
    pub entry: Entry,
}

fn keys(crypto: Crypto, seat: usize) -> Arc<dyn StateSigner> {
    let secret = SecretKey::from_bytes(&[if seat == 0 { 1 } else { 2 }; 32]);
    match crypto {
        Crypto::Fast => Arc::new(FastSigner(secret.public())),
        Crypto::Real => Arc::new(KeySigner::new(secret)),
    }
}

/// The wallet key of a party, to which it is paid.
pub fn wallet_secret(seat: usize) -> WalletSecret {
    WalletSecret::from_bytes([if seat == 0 { 1 } else { 2 }; 32]).expect("a scalar")
}

/// Where a party is paid.
pub fn wallet(seat: usize) -> Payout {
    Payout::Key(wallet_secret(seat).public())
}

/// What both agree to.
pub fn bounds() -> Bounds {
    Bounds {
        chain: chain(),
        params: params(),
        funding_ms_max: 600_000,
        accepts: towpath_protocol::Accepts::default(),
    }
}

fn offer(config: &Config, key: PublicKey) -> Open {
    Open {
        open: OpenId([9; 32]),
        chain: chain(),
        asset: AssetId::NATIVE,
        key,
        payout: wallet(0),
        amount_a: Amount(config.balances[0]),
        amount_b: Amount(config.balances[1]),
        sequencer: Party::A,
        dispute_window_ms: WINDOW_MS,
        penalty_basis_points: 5_000,
        reserve: Amount(config.reserve),
        close_fee_max: Amount(config.fee_max),
        expiry: None,
        funding: Funding::Single { first_input: OutPoint { tx: TxId(Digest([3; 32])), index: 0 }, index: 0 },
        funding_deadline: Time(100_000),
    }
}

/// Opens the channel with the shipped opening, and shows the funding to both; no session is up yet.
pub fn begin(config: &Config) -> Beginning {
    let crypto = config.crypto;
    let keys = [keys(crypto, 0), keys(crypto, 1)];
    let identity = |seat: usize| Identity {
        peer: PublicKey([if seat == 0 { 101 } else { 102 }; 32]),
        key_index: 0,
        keys: Arc::clone(&keys[seat]),
    };
    let bounds = bounds();
    let open = offer(config, keys[0].public());
    let offer = Offer::new(open.clone(), identity(0), &bounds, NOW).expect("terms that the ledger allows");
    let contribution = Contribution { payout: wallet(1), inputs: Vec::new(), change: Vec::new() };
    let (acceptance, accepted) =
        Acceptance::new(&open, contribution, &identity(1), &bounds, NOW).expect("terms that B takes");
    let Message::Accept(accept) = acceptance.message() else { panic!("an acceptance says that it accepts") };
    let mut a = with_verifier(crypto, |verifier| offer.on_accept(&accept, NOW, verifier)).expect("A agrees");
    let first = end_turn(crypto, &mut a);
    let created = first.effects.iter().find_map(|effect| match effect {
        Effect::Send(Message::Channel(_, created @ ChannelMessage::Created(_))) => Some(created.clone()),
        _ => None,
    });
    let created = created.expect("A shows its signature on version 1");
    let mut b =
        with_verifier(crypto, |verifier| acceptance.on_message(&created, NOW, verifier)).expect("B agrees");
    let second = end_turn(crypto, &mut b);

    let funding = OutPoint { tx: TxId(Digest([5; 32])), index: 0 };
    let lock = Lock::Channel(Box::new(a.terms().clone()));
    let output = Output { asset: AssetId::NATIVE, amount: Amount(config.capacity()), lock };
    let entry = Entry { output, height: 3, time: START };
    let mut sides = [(a, vec![first]), (b, vec![accepted, second])];
    for (channel, outcomes) in &mut sides {
        let funded = LedgerEvent::Funded { outpoint: funding, entry: Box::new(entry.clone()) };
        for event in [Event::Disconnected, Event::Ledger(funded)] {
            with_verifier(crypto, |verifier| channel.step(event, NOW, verifier)).expect("the agreed funding");
        }
        outcomes.push(end_turn(crypto, channel));
    }
    Beginning { sides, keys, funding, entry }
}

fn end_turn(crypto: Crypto, channel: &mut Channel) -> Outcome {
    with_verifier(crypto, |verifier| channel.step(Event::TurnEnd, NOW, verifier)).expect("a turn ends")
}
