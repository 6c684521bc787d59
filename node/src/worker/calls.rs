//! Callers' wishes, handed to where they are carried out.

use towpath_ledger::settle::{self, Place};
use towpath_ledger::{Amount, AssetId, ChannelId};
use towpath_protocol::{ClosingStage, Command, Event, Life, Token};

use super::call::{Call, CallError, Reply, Risk};
use super::run::Worker;
use super::turn::Turn;
use super::why::Cause;

impl Worker {
    pub(super) fn on_call(&mut self, call: Call, turn: &mut Turn) {
        match call {
            Call::Open { request, reply } => self.open(request, reply, turn),
            Call::Ask { request, reply } => self.ask_peer(*request, reply, turn),
            Call::DropAsked { open } => self.drop_asked(&open),
            Call::SignAgreed { open, reply } => self.sign_agreed(&open, reply, turn),
            Call::Pay { request, reply } => self.pay(request, reply, turn),
            Call::PaidBefore { channel, key, wait, reply } => {
                self.paid_before((channel, key), wait, reply, turn);
            }
            Call::StartStream { channel, plan, claim, reply } => {
                self.start_stream(channel, plan, claim, reply, turn)
            }
            Call::Stream { id, reply } => self.look_at_stream(id, reply),
            Call::StopStream { id, reply } => self.stop_stream(id, reply, turn),
            Call::Resize { request, reply } => self.resize(request, reply, turn),
            Call::Close { channel, force_after_ms, reply } => {
                if self.command(channel, Command::Close, reply, turn) {
                    self.close_began(channel, Cause::Asked, turn);
                    if let Some(for_ms) = force_after_ms {
                        self.be_patient(channel, for_ms, turn);
                    }
                }
            }
            Call::ForceClose { channel, risk, reply } => match self.force_fee(channel) {
                Some(fee) => {
                    let command = match risk {
                        Risk::None => Command::ForceClose { fee },
                        Risk::Accepted => Command::CloseAtRisk { fee },
                    };
                    if self.command(channel, command, reply, turn) {
                        self.close_began(channel, Cause::AskedAlone, turn);
                    }
                }
                None => drop(reply.send(Err(CallError::NoChannel))),
            },
        }
    }

    /// The least fee of closing alone, by which the author's signature is bound.
    pub(super) fn force_fee(&self, channel: ChannelId) -> Option<Amount> {
        let held = self.channels.get(&channel)?;
        let params = self.parts.keys.params();
        let place = Place { chain: self.parts.chain_id, params, asset: AssetId::NATIVE };
        let (terms, capacity) = (held.channel.terms(), held.channel.capacity());
        settle::unilateral_fee(&place, terms, (held.channel.state(), capacity), held.channel.me()).ok()
    }

    /// Hands a command to the machine; whether it is taken.
    fn command(&mut self, channel: ChannelId, command: Command, reply: Reply<()>, turn: &mut Turn) -> bool {
        if !self.channels.contains_key(&channel) {
            drop(reply.send(Err(CallError::NoChannel)));
            return false;
        }
        let token = self.token();
        match self.step(channel, Event::Command { token, command }, turn) {
            Ok(()) => {
                self.commands.insert(token, reply);
                true
            }
            Err(reject) => {
                drop(reply.send(Err(reject.into())));
                false
            }
        }
    }

    /// A command was carried out.
    pub(super) fn done(&mut self, token: Token, turn: &mut Turn) {
        if let Some(reply) = self.commands.remove(&token) {
            turn.release.answers.push(Box::new(move || drop(reply.send(Ok(())))));
        } else {
            self.resize_proposed(token, turn);
        }
    }

    /// A channel moved on in life.
    pub(super) fn note_life(&mut self, id: ChannelId, life: Life, turn: &mut Turn) {
        if let Life::Closing(ClosingStage::Draining | ClosingStage::Finishing | ClosingStage::Agreed) = life {
            // What this node asked for has a record by now.
            self.close_began(id, Cause::PeerAsked, turn);
        }
        let is_asked = self.has_asked(&id);
        self.gathering.note(id, life, is_asked, turn.now.local_ms);
        self.reindex(id, life);
        let Life::Settled(_) = life else { return };
        self.duties.remove(&id);
        self.confirm_settled(id, turn);
        if let Some(peer) = self.channels.get(&id).map(|held| *held.channel.peer()) {
            self.drop_word(&peer, turn);
        }
        let Some(held) = self.channels.get_mut(&id) else { return };
        // Callers that still wait for payments are answered by `Failed`; whatever is left has nothing to wait for.
        for waiting in held.settling.drain(..) {
            turn.refuse(waiting.reply, towpath_protocol::Failure::Closed);
        }
    }
}
