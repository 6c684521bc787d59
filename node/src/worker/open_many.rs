//! Channels of this node's that share one funding (SPEC P-70 to P-74), as the owner of one peer's channels sees them: it
//! asks, keeps what was agreed, and signs when it is told to. Who is in the funding is decided by whoever asked for all.

use towpath_ledger::{Amount, AssetId, Lock, Output};
use towpath_protocol::{Funding, OpenId};

use super::call::{AskRequest, CallError, Reply, Signed};
use super::open::{Asker, Awaited, Wish};
use super::run::Worker;
use super::turn::Turn;

impl Worker {
    /// Offers a channel whose funding others are to share.
    pub(super) fn ask_peer(&mut self, request: AskRequest, reply: Reply<()>, turn: &mut Turn) {
        let AskRequest { open, peer, amount, payout, place: (first_input, index), deadline, .. } = request;
        let wish = Wish {
            open,
            peer,
            amount,
            peer_amount: Amount::ZERO,
            dispute_window_ms: request.dispute_window_ms,
            reserve: request.reserve,
            payout,
            funding: Funding::Single { first_input, index },
            deadline,
            expiry: request.expiry,
        };
        match self.offer(wish, turn) {
            Ok(offer) => {
                self.awaited.insert(open, Awaited::Offer { peer, offer, asker: Asker::Many { reply } });
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Nobody waits for the answer any more: it would be of no use.
    pub(super) fn drop_asked(&mut self, open: &OpenId) {
        if matches!(self.awaited.get(open), Some(Awaited::Offer { .. } | Awaited::Agreed { .. })) {
            self.awaited.remove(open);
        }
    }

    /// Everyone has answered: what this peer agreed to becomes a channel. Whoever asked hears of it when it is durable.
    pub(super) fn sign_agreed(&mut self, open: &OpenId, reply: Reply<Signed>, turn: &mut Turn) {
        let Some(Awaited::Agreed { .. }) = self.awaited.get(open) else {
            drop(reply.send(Err(CallError::NoSession)));
            return;
        };
        let Some(Awaited::Agreed { agreed, .. }) = self.awaited.remove(open) else { return };
        let channel = agreed.sign(turn.now);
        let lock = Lock::Channel(Box::new(channel.terms().clone()));
        let output = Output { asset: AssetId::NATIVE, amount: channel.capacity(), lock };
        let signed = Signed { channel: channel.id(), output: Box::new(output) };
        // The coins are those of all: no channel sets them free alone.
        self.begin(channel, None, turn);
        turn.release.answers.push(Box::new(move || drop(reply.send(Ok(signed)))));
    }
}
