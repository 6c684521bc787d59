//! Closing with a state that was replaced.

use std::path::Path;

use serde::Serialize;
use towpath_crypto::codec;
use towpath_ledger::genesis::Genesis;
use towpath_ledger::settle::{self, Place, Posting};
use towpath_ledger::{Party, Transaction};
use towpath_protocol::{Channel, Command, Effect, Event, Immediate, Now};

use crate::error::CheatError;
use crate::old::{OldCopy, channel_id};

/// A close that its author knows to be stale.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StaleClose {
    /// The channel.
    pub channel: String,
    /// The transaction, as the API takes it.
    pub hex: String,
    /// Its id.
    pub tx: String,
    /// The version that it posts.
    pub version: u64,
    /// What the author has in it.
    pub own: u64,
    /// What the other party has in it.
    pub peers: u64,
    /// What a proven lie costs of the author's balance, in parts of ten thousand: a term of the channel.
    pub penalty_basis_points: u16,
}

/// The close of `channel` with the newest state that an old copy has, signed with the party's own keys.
///
/// # Errors
/// [`CheatError`] when the copy has no such channel, or it cannot be closed.
pub fn stale_close(copy: &OldCopy, genesis: &Path, channel: &str) -> Result<StaleClose, CheatError> {
    let unusable = |reason: String| CheatError::Genesis { path: genesis.to_owned(), reason };
    let text = std::fs::read_to_string(genesis).map_err(|error| unusable(error.to_string()))?;
    let genesis = Genesis::parse(&text).map_err(|error| unusable(error.to_string()))?;
    let mut machine = copy.channel(channel_id(channel)?)?;
    let place = Place { chain: genesis.chain_id(), params: &genesis.params.rules, asset: machine.asset() };
    let (me, penalty_basis_points) = (machine.me(), machine.terms().penalty_basis_points);
    let (transaction, state) = posted(&mut machine, &place, genesis.time)?;
    let (own, peers) = match me {
        Party::A => (state.balance_a, state.balance_b),
        Party::B => (state.balance_b, state.balance_a),
    };
    Ok(StaleClose {
        channel: channel.to_owned(),
        hex: codec::encode(&transaction).iter().map(|byte| format!("{byte:02x}")).collect(),
        tx: transaction.id().to_string(),
        version: state.version,
        own: own.units(),
        peers: peers.units(),
        penalty_basis_points,
    })
}

/// What the machine posts when it is asked to close alone: it is the shipped one, and believes the copy.
fn posted(
    machine: &mut Channel,
    place: &Place<'_>,
    time: towpath_ledger::Time,
) -> Result<(Transaction, towpath_ledger::ChannelState), CheatError> {
    let (terms, capacity) = (machine.terms().clone(), machine.capacity());
    let fee = settle::unilateral_fee(place, &terms, (machine.state(), capacity), machine.me())?;
    let now = Now { local_ms: 1, ledger: time };
    let force = Event::Command { token: 1, command: Command::ForceClose { fee } };
    machine.step(force, now, &mut Immediate)?;
    let outcome = machine.step(Event::TurnEnd, now, &mut Immediate)?;
    for effect in outcome.effects {
        if let Effect::PostClose { funding, state, author, fee, signature } = effect {
            let posting = Posting { funding, capacity, terms: &terms, state: &state, author, fee, signature };
            return Ok((settle::unilateral(place, &posting)?, state.state.clone()));
        }
    }
    Err(CheatError::NotPosted)
}
