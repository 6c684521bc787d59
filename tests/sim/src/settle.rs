//! The end of a world: whether everything has settled, and the last account.

use towpath_crypto::Amount;
use towpath_protocol::Life;

use crate::audit::{Auditor, Told};
use crate::violation::Violation;
use crate::work::Told as Answer;
use crate::world::World;

/// What a close costs at most: no transaction that closes one channel is longer than this, in bytes and base units.
const CLOSE_COSTS: Amount = Amount(4_096);

impl Auditor {
    /// Whether everything has settled: replicas are together, channels are quiet or over, and everybody has an answer.
    #[must_use]
    pub fn is_settled(&self, world: &World) -> bool {
        self.unsettled(world).is_empty()
    }

    /// What has not settled, in words.
    #[must_use]
    pub fn unsettled(&self, world: &World) -> String {
        let gone = |node: usize| world.stations[node].is_gone || !self.is_honest(node);
        if let Some(waits) = world.callers.waits(gone) {
            return waits;
        }
        let known = u64::try_from(self.height()).unwrap_or(u64::MAX);
        for (node, station) in world.stations.iter().enumerate().filter(|(node, _)| !gone(*node)) {
            let Some(process) = station.process.as_ref() else { return format!("node {node} is down") };
            if process.parts().chain.tip().height() + 3 < known {
                return format!("node {node} is behind");
            }
            for channel in process.workers().channels() {
                let view = channel.view();
                let peer = world.place_of(&view.peer);
                let alone = peer.is_none_or(&gone);
                let quiet = (view.in_flight, view.waiting) == (0, 0);
                // Who has less in a channel than its close costs leaves it to the other party, and loses nothing by it.
                if alone && view.balance < CLOSE_COSTS && !matches!(view.life, Life::Disputed) {
                    continue;
                }
                match view.life {
                    Life::Settled(_) => {}
                    Life::Active if !alone && quiet && view.online == towpath_protocol::Online::Yes => {}
                    life => {
                        return format!(
                            "node {node}, {}: {life:?}, {:?}, {} in flight, {} waiting",
                            view.id, view.online, view.in_flight, view.waiting
                        );
                    }
                }
            }
        }
        String::new()
    }

    /// The last account, when everything has settled: each channel holds, or paid, exactly what callers were told.
    ///
    /// # Errors
    /// What does not add up.
    pub fn settle_up(&self, world: &World) -> Result<(), Violation> {
        self.books.check()?;
        for (channel, sides) in world.callers.channels.clone() {
            for node in [sides.0, sides.1].into_iter().filter(|node| self.is_honest(*node)) {
                let Some(process) = world.stations[node].process.as_ref() else { continue };
                let peer = if node == sides.0 { sides.1 } else { sides.0 };
                let paid = |payer: usize| -> u64 {
                    let payments = world.callers.payments.iter();
                    let settled = payments.filter(|it| it.channel == channel && it.payer == payer);
                    settled.filter(|it| matches!(it.told, Answer::Settled(_))).map(|it| it.amount).sum()
                };
                let received = self.is_honest(peer).then(|| paid(peer));
                self.account(process, node, &channel, Told { sent: paid(node), received })?;
            }
        }
        Ok(())
    }
}
