//! The ledger driver without its threads: stepped by hand, with what comes from the network checked on the way in as
//! [`super::Ingress`] does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use towpath_consensus::{SyncReply, answer_sync};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::chain::ChainParams;

use super::driver::{Driver, DriverConfig, Surroundings};
use super::ingress::{Checker, report};
use super::{Chain, Input, LedgerHandle, LedgerInbox, Notice, Status};
use crate::net::{GossipId, NetHandle, Topic, Verdict};

/// See the module.
pub struct SteppedDriver {
    driver: Driver,
    own: LedgerHandle,
    inbox: LedgerInbox,
    checker: Checker,
    chain: Arc<Chain>,
    net: NetHandle,
    status: watch::Receiver<Status>,
}

impl SteppedDriver {
    /// Opens it and lets it join the others. `notices` hears of each applied block, in order.
    ///
    /// # Errors
    /// Why the node must end.
    pub fn start(
        config: DriverConfig,
        surroundings: Surroundings,
        (own, inbox): (LedgerHandle, LedgerInbox),
        notices: Box<dyn Fn(Arc<Notice>) + Send>,
    ) -> Result<Self, String> {
        let (chain, net) = (Arc::clone(&surroundings.0), surroundings.2.clone());
        let checker = Checker::new(Arc::clone(&chain), ChainParams::clone(&config.params));
        let (mut driver, status) = Driver::open(config, surroundings, own.clone(), notices)?;
        driver.begin().map_err(|error| error.to_string())?;
        Ok(Self { driver, own, inbox, checker, chain, net, status })
    }

    /// Takes everything that waits, and does what is due; whether anything waited.
    ///
    /// # Errors
    /// Why the node must end.
    pub fn step(&mut self) -> Result<bool, String> {
        let text = |error: towpath_consensus::EngineError| error.to_string();
        let mut is_any = false;
        self.driver.insist().map_err(text)?;
        loop {
            while let Some(input) = self.inbox.try_take() {
                self.driver.take(input).map_err(text)?;
                is_any = true;
            }
            let ripe = self.checker.ripe();
            if ripe.is_empty() {
                break;
            }
            // What does not fit is lost, and handed in again by who wants it.
            for input in ripe {
                let _ = self.own.offer(input);
            }
        }
        self.driver.timers_due().map_err(text)?;
        Ok(is_any)
    }

    /// Until the next timer is due; none if there is none.
    #[must_use]
    pub fn due_in(&self) -> Option<Duration> {
        self.driver.due_in()
    }

    /// A gossip message; one that cannot be taken now is lost.
    pub fn gossip(&mut self, topic: Topic, from: PublicKey, id: GossipId, bytes: Vec<u8>) {
        let input = match topic {
            Topic::Consensus => Input::Consensus { from, id: id.clone(), bytes },
            Topic::Transactions => match self.checker.check(from, &bytes) {
                Ok(transaction) => Input::Heard { from, id: id.clone(), transaction: Box::new(transaction) },
                Err(verdict) => return report(&self.net, id, verdict),
            },
            Topic::ChannelAnnouncements => return report(&self.net, id, Verdict::Ignore),
        };
        if self.own.offer(input).is_err() {
            report(&self.net, id, Verdict::Ignore);
        }
    }

    /// Somebody came or went.
    pub fn peers(&self) {
        // It looks by itself, too, a little later.
        let _ = self.own.offer(Input::Peers);
    }

    /// The answer to a peer that asks for blocks; none for one that is not answered.
    #[must_use]
    pub fn serve(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        match answer_sync(bytes, self.chain.tip().height(), |height| self.chain.decided(height)) {
            Ok(SyncReply::Blocks(bytes)) => Some(bytes),
            Ok(SyncReply::Malformed) | Err(_) => None,
        }
    }

    /// How it does.
    #[must_use]
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }
}
