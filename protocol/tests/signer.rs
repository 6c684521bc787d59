//! Who signs, and what: typed values only, each version once, never downwards (FAULTS C7, C26).

mod common;

use std::sync::{Arc, Mutex};

use common::world::{Crypto, Cut, World, chain, keys};
use towpath_crypto::ed25519::{PublicKey, SecretKey, Signature, verify};
use towpath_ledger::{ChainId, ChannelId, ChannelTag, CloseAnswer, CloseIntent, ResizeIntent, StateClaim};
use towpath_protocol::{Channel, Command, Event, Immediate, KeySigner, RestoreError, StateSigner};

/// A signer that writes down all that it was ever asked to sign, released or not.
struct Recorder {
    inner: KeySigner,
    states: Mutex<Vec<StateClaim>>,
    intents: Mutex<Vec<CloseIntent>>,
}

impl Recorder {
    fn new(seed: u8) -> Arc<Self> {
        let inner = KeySigner::new(SecretKey::from_bytes(&[seed; 32]));
        Arc::new(Self { inner, states: Mutex::default(), intents: Mutex::default() })
    }

    fn states(&self) -> Vec<StateClaim> {
        self.states.lock().expect("one thread").clone()
    }
}

impl StateSigner for Recorder {
    fn public(&self) -> PublicKey {
        self.inner.public()
    }

    fn tag(&self, peer: &PublicKey, channel: &ChannelId) -> Option<ChannelTag> {
        self.inner.tag(peer, channel)
    }

    fn sign_state(&self, chain: &ChainId, claim: &StateClaim) -> Signature {
        self.states.lock().expect("one thread").push(claim.clone());
        self.inner.sign_state(chain, claim)
    }

    fn sign_close_intent(&self, chain: &ChainId, intent: &CloseIntent) -> Signature {
        self.intents.lock().expect("one thread").push(intent.clone());
        self.inner.sign_close_intent(chain, intent)
    }

    fn sign_answer(&self, chain: &ChainId, answer: &CloseAnswer) -> Signature {
        self.inner.sign_answer(chain, answer)
    }

    fn sign_resize(&self, chain: &ChainId, intent: &ResizeIntent) -> Signature {
        self.inner.sign_resize(chain, intent)
    }
}

/// A world whose sides sign with recorders from now on.
fn recorded() -> (World, [Arc<Recorder>; 2]) {
    let mut world = World::open(Crypto::Real, 1_000, 500, 0);
    let recorders = [Recorder::new(1), Recorder::new(2)];
    for (side, recorder) in recorders.iter().enumerate() {
        world.sides[side].keys = Arc::<Recorder>::clone(recorder);
        world.crash(side);
    }
    world.connect();
    world.settle();
    (world, recorders)
}

#[test]
fn c26_each_key_signs_rising_versions_once() {
    let (mut world, recorders) = recorded();
    for round in 0..6 {
        world.pay(round % 2, 3).expect("paid");
        if round == 3 {
            world.command(1, Command::TakeSequencer).expect("fine");
        }
        world.settle();
    }
    world.command(0, Command::Close).expect("closes");
    world.settle();
    for recorder in recorders {
        let claims = recorder.states();
        assert!(claims.len() >= 6);
        for pair in claims.windows(2) {
            assert!(
                pair[1].state.version > pair[0].state.version,
                "one content a version, and never downwards"
            );
            assert!(pair[1].held >= pair[0].held, "what it holds never falls");
        }
        assert!(claims.iter().all(|claim| claim.held <= claim.state.version));
        let last = claims.iter().position(|claim| claim.state.is_final);
        assert_eq!(last, Some(claims.len() - 1), "nothing after a final state");
    }
}

#[test]
fn c26_nothing_is_signed_after_a_close_and_the_close_is_the_newest() {
    let (mut world, recorders) = recorded();
    world.pay(1, 3).expect("paid");
    world.settle();
    world.pay(0, 9).expect("paid");
    world.command(0, Command::ForceClose { fee: common::amount(1) }).expect("closes");
    let signed = recorders[0].states().len();
    world.settle();
    world.disconnect();
    world.connect();
    world.settle();
    assert_eq!(recorders[0].states().len(), signed);
    let intents = recorders[0].intents.lock().expect("one thread").clone();
    let [intent] = &intents[..] else { panic!("one close: {intents:?}") };
    let highest = recorders[0].states().iter().map(|claim| claim.held).max();
    assert!(Some(intent.state.version) >= highest, "at least all that it ever said to hold");
    assert_eq!(intent.state, *world.sides[0].channel.state());
}

#[test]
fn c26_a_signer_derives_its_public_key_and_signs_by_type() {
    let secret = SecretKey::from_bytes(&[5; 32]);
    let signer = KeySigner::new(secret.clone());
    assert_eq!(signer.public(), secret.public());
    let world = World::open(Crypto::Real, 1_000, 500, 0);
    let state = world.sides[0].channel.state().clone();
    let claim = StateClaim { state: state.clone(), held: 1 };
    let signature = signer.sign_state(&chain(), &claim);
    let key = signer.public();
    assert!(verify(&key, &chain(), &claim, &signature));
    // A signature on a state is nothing else, nowhere else.
    let intent =
        CloseIntent { state: state.clone(), author: towpath_ledger::Party::A, fee: common::amount(0) };
    let closing = world.sides[0].channel.funding().expect("funded");
    let answer = CloseAnswer { closing, state, penalized: false, fee: common::amount(0) };
    assert!(!verify(&key, &chain(), &intent, &signature));
    assert!(!verify(&key, &chain(), &answer, &signature));
    assert!(!verify(&key, &ChainId(towpath_crypto::Digest([1; 32])), &claim, &signature));
    assert!(verify(&key, &chain(), &intent, &signer.sign_close_intent(&chain(), &intent)));
    assert!(verify(&key, &chain(), &answer, &signer.sign_answer(&chain(), &answer)));
}

#[test]
fn c26_rows_open_with_their_own_key_only() {
    let world = World::open(Crypto::Real, 1_000, 500, 0);
    for side in 0..2 {
        let rows = world.sides[side].rows.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let other = Channel::restore(rows.clone(), keys(Crypto::Real, 3));
        assert_eq!(other.map(drop), Err(RestoreError::Key));
        let of_peer = Channel::restore(rows.clone(), keys(Crypto::Real, if side == 0 { 2 } else { 1 }));
        assert_eq!(of_peer.map(drop), Err(RestoreError::Key));
        assert_eq!(Channel::key_index_of(rows), Ok(if side == 0 { 1 } else { 2 }));
    }
}

#[test]
fn c7_a_turn_that_was_never_written_is_signed_again_alike_or_not_at_all() {
    // The crash forgets a proposal that nobody saw: its number may be used for another content.
    let (mut world, recorders) = recorded();
    let before = world.sides[0].channel.mark().version;
    world.turn(0, vec![pay(&mut 900, 5)], Cut::BeforeWrite);
    assert_eq!(world.sides[0].channel.mark().version, before, "it never was");
    world.connect();
    world.settle();
    world.pay(0, 6).expect("paid");
    world.settle();
    world.assert_quiescent();
    // Written and not sent: the same bytes in the next session, and nothing else under that number.
    world.token += 1;
    let token = world.token;
    world.sides[0].asked.insert(token, common::amount(7));
    let events =
        vec![Event::Command { token, command: Command::Pay { amount: common::amount(7), memo: None } }];
    world.turn(0, events, Cut::BeforeEffects);
    let written = world.sides[0].channel.mark().version;
    world.connect();
    world.settle();
    world.assert_quiescent();
    let of_written = recorders[0].states().into_iter().filter(|claim| claim.state.version == written);
    assert_eq!(of_written.count(), 1, "signed once, sent from its row");
}

fn pay(token: &mut u64, units: u64) -> Event {
    *token += 1;
    Event::Command { token: *token, command: Command::Pay { amount: common::amount(units), memo: None } }
}

#[test]
fn c7_the_guard_refuses_what_the_machine_never_asks() {
    // A machine whose memory goes back while its signer's mark does not: the mark is part of the row, so rows that say
    // less than their mark contradict themselves.
    let mut world = World::open(Crypto::Fast, 1_000, 500, 0);
    world.pay(0, 5).expect("paid");
    world.settle();
    let old = world.sides[1].rows.clone();
    world.pay(0, 5).expect("paid");
    world.settle();
    let mut channel = world.sides[1].channel.clone();
    // Old and new rows mixed: the live row is the old one, so is its mark; all else is the same. It is a whole, older,
    // channel, which only its peer can prove to be one.
    let rows = old.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    let older = Channel::restore(rows, Arc::clone(&world.sides[1].keys)).expect("a whole channel");
    assert!(older.mark().version < channel.mark().version);
    let outcome = channel.step(Event::TurnEnd, world.now, &mut Immediate).expect("a turn ends");
    assert_eq!(outcome.effects, []);
}
