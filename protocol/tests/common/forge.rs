//! What a lying peer can make with its own key, and how a machine takes it: on a copy, so that one honest moment serves
//! for many lies.

use towpath_ledger::{ChainId, ChannelState, StateClaim, StateSignature};
use towpath_protocol::{
    Ack, Answer, Channel, ChannelMessage, Effect, Event, Message, Now, Outcome, Propose, Reject, Update,
};

use super::world::{Crypto, chain, keys, verify_with};

/// The key of a side; 3 is a stranger's.
pub fn seed(side: usize) -> u8 {
    match side {
        0 => 1,
        1 => 2,
        other => u8::try_from(other).expect("a small number"),
    }
}

/// The signature of `side` on a state, saying what it holds.
pub fn sign(crypto: Crypto, side: usize, state: &ChannelState, held: u64) -> StateSignature {
    sign_on(crypto, side, &chain(), state, held)
}

pub fn sign_on(
    crypto: Crypto,
    side: usize,
    chain: &ChainId,
    state: &ChannelState,
    held: u64,
) -> StateSignature {
    let claim = StateClaim { state: state.clone(), held };
    StateSignature { held, signature: keys(crypto, seed(side)).sign_state(chain, &claim) }
}

/// The state that `updates` make of what the victim holds; the held one with another version, if they make none.
pub fn state(victim: &Channel, version: u64, updates: &[Update]) -> ChannelState {
    let content = &victim.held().content;
    content
        .next(version, updates, victim.terms())
        .map_or_else(|_| ChannelState { version, ..content.state.clone() }, |content| content.state)
}

/// A proposal to the victim, properly signed by its peer, whatever it says.
pub fn propose(
    crypto: Crypto,
    victim: &Channel,
    (version, base): (u64, u64),
    updates: &[Update],
    held: u64,
) -> Propose {
    let liar = 1 - super::world::index(victim.me());
    let signature = sign(crypto, liar, &state(victim, version, updates), held);
    Propose { version, base, updates: updates.to_vec(), answer: Answer::Now, signature }
}

pub fn ack(crypto: Crypto, side: usize, state: &ChannelState) -> ChannelMessage {
    let signature = sign(crypto, side, state, state.version);
    ChannelMessage::Ack(Ack { version: state.version, signature })
}

/// How a machine took a message.
pub struct Taken {
    pub verdict: Result<(), Reject>,
    pub after: Channel,
    pub outcome: Outcome,
}

impl Taken {
    /// What it said.
    pub fn said(&self) -> Vec<ChannelMessage> {
        let message = |effect: &Effect| match effect {
            Effect::Send(Message::Channel(_, message)) => Some(message.clone()),
            _ => None,
        };
        self.outcome.effects.iter().filter_map(message).collect()
    }
}

/// Gives a copy of the victim one message and the end of its turn. What is refused leaves no trace, and no turn breaks an
/// invariant.
pub fn tell(crypto: Crypto, victim: &Channel, message: ChannelMessage, now: Now) -> Taken {
    let mut after = victim.clone();
    let step = |channel: &mut Channel, event: Event| {
        verify_with(crypto, |verifier| channel.step(event, now, verifier))
    };
    let verdict = step(&mut after, Event::Message(message.clone())).map(drop);
    if let Err(reject) = verdict {
        assert_eq!(format!("{victim:?}"), format!("{after:?}"), "{reject} left a trace: {message:?}");
    }
    let outcome = step(&mut after, Event::TurnEnd).expect("a turn always ends");
    after.check().unwrap_or_else(|broken| panic!("{broken} after {message:?}"));
    if verdict.is_err() {
        let mut untold = victim.clone();
        let quiet = step(&mut untold, Event::TurnEnd).expect("a turn always ends");
        assert_eq!(quiet, outcome, "what is refused has no effect: {message:?}");
    }
    Taken { verdict, after, outcome }
}
