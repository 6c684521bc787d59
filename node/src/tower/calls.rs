//! Callers' wishes, carried out by the thread that owns both machines. What is decided is durable before it is answered.

use towpath_crypto::ed25519::PublicKey;
use towpath_protocol::limits::TOWERS_MAX;
use towpath_protocol::tower::Serving;
use towpath_store::Batch;

use super::call::{Call, CallError, Kept, OwnTower, OwnTowers, Version};
use super::list::{self, Listed};
use super::run::{Thread, Turn, count};
use crate::journal::Entry;
use crate::{clock, limits};

impl Thread {
    pub(super) fn on_call(&mut self, call: Call, turn: &mut Turn) {
        // A caller that is gone needs no answer, so none of these sends can matter.
        match call {
            Call::Status(reply) => drop(reply.send(Ok(self.status()))),
            Call::Serve { serving, reply } => drop(reply.send(self.serve(serving))),
            Call::Add { tower, reply } => drop(reply.send(self.add(tower))),
            Call::Remove { node, reply } => drop(reply.send(self.remove(&node))),
            Call::Clients(reply) => drop(reply.send(Ok(self.clients()))),
            Call::Drop { node, reply } => turn.drops.push((node, reply)),
            Call::Fetch { slot, reply } => self.fetch(*slot, reply),
            Call::Versions { node, after, limit, reply } => {
                let versions = if self.client.health(&node).is_some() {
                    let versions = self.client.versions(&node, after).take(limit);
                    let version = |(channel, acknowledged, newest)| Version { channel, acknowledged, newest };
                    Ok(versions.map(version).collect())
                } else {
                    Err(CallError::Unknown)
                };
                drop(reply.send(versions));
            }
        }
    }

    fn status(&self) -> OwnTowers {
        let unnamed = self.unnamed.used.iter().map(|node| Listed { node: *node, address: None });
        let all = self
            .towers
            .values()
            .cloned()
            .map(|tower| (tower, true))
            .chain(unnamed.map(|tower| (tower, false)));
        let towers = all.filter_map(|(tower, is_named)| {
            let standings = self.client.standings(&tower.node)?;
            Some(OwnTower { tower, is_named, standings })
        });
        OwnTowers {
            serving: self.tower.serving(),
            usage: self.tower.usage(),
            records_max: self.settings.records_max,
            cases: count(self.tower.open_cases()),
            towers: towers.collect(),
            confirmations: self.settings.confirmations,
            alarm: self.alarm.clone(),
        }
    }

    /// The largest clients.
    fn clients(&self) -> Vec<Kept> {
        let kept = |(client, records, is_stranger)| Kept { client, records, is_stranger };
        let mut clients: Vec<Kept> = self.tower.clients().map(kept).collect();
        clients.sort_by_key(|kept| std::cmp::Reverse((kept.records, kept.client)));
        clients.truncate(limits::TOWER_CLIENTS_SHOWN);
        clients
    }

    fn serve(&mut self, serving: Serving) -> Result<(), CallError> {
        let mut batch = Batch::new();
        list::serve(&mut batch, serving == Serving::Yes);
        self.decide(batch)?;
        self.tower.serve(serving);
        if serving == Serving::Yes {
            self.see_open_closings().map_err(|error| CallError::Store(error.to_string()))?;
        }
        Ok(())
    }

    fn add(&mut self, tower: Listed) -> Result<(), CallError> {
        if tower.node == self.parts.net.local() {
            return Err(CallError::Own);
        }
        if self.towers.len() >= TOWERS_MAX && !self.towers.contains_key(&tower.node) {
            return Err(CallError::TooMany { limit: TOWERS_MAX });
        }
        let mut batch = Batch::new();
        list::add(&mut batch, &tower);
        self.decide(batch)?;
        self.make_room_for(&tower.node);
        self.client.add(tower.node);
        self.want_mail();
        self.want(&tower);
        if self.has_session(&tower.node) {
            self.client.up(&tower.node);
        }
        self.towers.insert(tower.node, tower);
        Ok(())
    }

    fn remove(&mut self, node: &PublicKey) -> Result<(), CallError> {
        if !self.towers.contains_key(node) {
            return Err(CallError::Unknown);
        }
        let needed = self.settings.confirmations;
        if count(self.towers.len()) <= needed {
            return Err(CallError::Needed { needed });
        }
        let mut batch = Batch::new();
        list::remove(&mut batch, node);
        self.decide(batch)?;
        self.client.remove(node);
        self.towers.remove(node);
        Ok(())
    }

    fn decide(&self, batch: Batch) -> Result<(), CallError> {
        let entry = Entry { batch, ..Entry::default() };
        self.parts.journal.commit(entry, clock::now_ms()).map_err(|error| CallError::Store(error.to_string()))
    }
}
