//! Callers' wishes, handed to where they are carried out.

use towpath_ledger::{Amount, AssetId, ChannelId};
use towpath_protocol::{Command, Event, Life, Token};

use super::call::{Call, CallError, Reply, Risk};
use super::run::Worker;
use super::turn::Turn;
use crate::wallet::settle::{self, Place};

impl Worker {
    pub(super) fn on_call(&mut self, call: Call, turn: &mut Turn) {
        match call {
            Call::Open { request, reply } => self.open(request, reply, turn),
            Call::Pay { request, reply } => self.pay(request, reply, turn),
            Call::StartStream { channel, plan, key, reply } => {
                self.start_stream(channel, plan, key, reply, turn)
            }
            Call::Stream { id, reply } => self.look_at_stream(id, reply),
            Call::StopStream { id, reply } => self.stop_stream(id, reply, turn),
            Call::Close { channel, reply } => self.command(channel, Command::Close, reply, turn),
            Call::ForceClose { channel, risk, reply } => match self.force_fee(channel) {
                Some(fee) => {
                    let command = match risk {
                        Risk::None => Command::ForceClose { fee },
                        Risk::Accepted => Command::CloseAtRisk { fee },
                    };
                    self.command(channel, command, reply, turn);
                }
                None => drop(reply.send(Err(CallError::NoChannel))),
            },
        }
    }

    /// The least fee of closing alone, by which the author's signature is bound.
    fn force_fee(&self, channel: ChannelId) -> Option<Amount> {
        let held = self.channels.get(&channel)?;
        let params = self.parts.keys.params();
        let place = Place { chain: self.parts.chain_id, params, asset: AssetId::NATIVE };
        let (terms, capacity) = (held.channel.terms(), held.channel.capacity());
        settle::unilateral_fee(&place, terms, (held.channel.state(), capacity), held.channel.me())
    }

    fn command(&mut self, channel: ChannelId, command: Command, reply: Reply<()>, turn: &mut Turn) {
        if !self.channels.contains_key(&channel) {
            return drop(reply.send(Err(CallError::NoChannel)));
        }
        let token = self.token();
        match self.step(channel, Event::Command { token, command }, turn) {
            Ok(()) => {
                self.commands.insert(token, reply);
            }
            Err(reject) => drop(reply.send(Err(reject.into()))),
        }
    }

    /// A command was carried out.
    pub(super) fn done(&mut self, token: Token, turn: &mut Turn) {
        if let Some(reply) = self.commands.remove(&token) {
            turn.release.answers.push(Box::new(move || drop(reply.send(Ok(())))));
        }
    }

    /// A channel moved on in life.
    pub(super) fn note_life(&mut self, id: ChannelId, life: Life, turn: &mut Turn) {
        let Life::Settled(_) = life else { return };
        let Some(held) = self.channels.get_mut(&id) else { return };
        held.finalize = None;
        // Callers that still wait for payments are answered by `Failed`; whatever is left has nothing to wait for.
        for waiting in held.settling.drain(..) {
            turn.release.answers.push(Box::new(move || {
                drop(waiting.reply.send(Err(CallError::Failed(towpath_protocol::Failure::Closed))));
            }));
        }
    }
}
