//! Who plays whom in a lie on the running network, and whether it can be played there at all.

use std::time::Duration;

use towpath_api::{AddTower, EventItem, EventQuery, EventType, TowerQuery};

use super::Victim;
use super::scene::ScenePlan;
use super::wait::{Node, until};
use crate::error::TestnetError;
use crate::network::{client, is_running};
use crate::state::{NetworkState, NodeState};

/// How long a node that has told everything stays silent.
const SILENCE: Duration = Duration::from_millis(300);

/// The nodes of a scene.
pub struct Cast {
    /// Who lies.
    pub cheater: Node,
    /// Who is lied about.
    pub victim: Node,
    /// Neither of them: the ledger is read there, and the lie handed in.
    pub witness: Node,
    /// The victim's watchtowers, as far as they run and are not the cheater.
    pub towers: Vec<Node>,
    /// All that run besides the two.
    others: Vec<Node>,
}

impl Cast {
    /// Chooses them; gives the victim a watchtower if it will be away and has none.
    ///
    /// # Errors
    /// [`TestnetError::NotHere`] says what this network lacks.
    pub async fn choose(network: &NetworkState, plan: &ScenePlan) -> Result<Self, TestnetError> {
        let running: Vec<&NodeState> = network.nodes.iter().filter(|node| is_running(node)).collect();
        let cheater = running_node(network, &plan.cheater)?;
        let victim = match &plan.victim {
            Some(name) => running_node(network, name)?,
            None => next_after(&running, cheater).ok_or_else(too_few)?,
        };
        if cheater.name == victim.name {
            return Err(TestnetError::NotHere(format!("{} cannot cheat itself", cheater.name)));
        }
        let mut others = Vec::new();
        for node in running.iter().filter(|node| node.name != cheater.name && node.name != victim.name) {
            others.push(node_of(node)?);
        }
        let witness = others.first().cloned().ok_or_else(too_few)?;
        let cast = Self {
            cheater: node_of(cheater)?,
            victim: node_of(victim)?,
            witness,
            towers: Vec::new(),
            others,
        };
        let absent = match plan.presence {
            Victim::Online => cheater,
            Victim::Offline => victim,
        };
        cast.can_do_without(&absent.node, &running).await?;
        match plan.presence {
            Victim::Online => Ok(cast),
            Victim::Offline => cast.with_towers(network).await,
        }
    }

    /// Blocks need more than two thirds of the validators.
    async fn can_do_without(&self, absent: &str, running: &[&NodeState]) -> Result<(), TestnetError> {
        let witness = &self.witness;
        let ledger = witness.client.ledger().await.map_err(witness.call())?;
        let is_there = |node: &str| node != absent && running.iter().any(|other| other.node == node);
        let all: u64 = ledger.validators.iter().map(|validator| validator.power).sum();
        let there = ledger.validators.iter().filter(|validator| is_there(&validator.node));
        let there: u64 = there.map(|validator| validator.power).sum();
        if there.saturating_mul(3) > all.saturating_mul(2) {
            return Ok(());
        }
        Err(TestnetError::NotHere(format!(
            "one node stands still while the lie is answered, and then {there} of {all} validators would be too few \
             for the ledger to go on; it takes a network of four nodes or more, all of them running"
        )))
    }

    async fn with_towers(mut self, network: &NetworkState) -> Result<Self, TestnetError> {
        let (cheater, victim) = (&self.cheater, &self.victim);
        let of_cheater = cheater.client.tower().await.map_err(cheater.call())?;
        if !of_cheater.towers.is_empty() {
            return Err(TestnetError::NotHere(format!(
                "{0} uses watchtowers, which would show its node that its data is old, and it would not lie; \
                 `towpath --node {0} tower list` names them",
                cheater.name
            )));
        }
        let named = victim.client.tower().await.map_err(victim.call())?.towers;
        let id = |node: &Node| network.node(&node.name).map(|state| state.node.clone()).unwrap_or_default();
        let towers = self.others.iter().filter(|node| named.iter().any(|tower| tower.node == id(node)));
        let mut towers: Vec<Node> = towers.cloned().collect();
        if towers.is_empty() {
            let tower = network.node(&self.witness.name)?;
            let request = AddTower { tower: format!("{}@{}", tower.node, tower.p2p) };
            victim.client.add_tower(&request).await.map_err(victim.call())?;
            towers.push(self.witness.clone());
        }
        self.towers = towers;
        Ok(self)
    }

    /// Waits until each tower has the channel's newest state.
    ///
    /// # Errors
    /// When one of them does not take it.
    pub async fn guarded(&self, channel: &str) -> Result<(), TestnetError> {
        let victim = &self.victim;
        for tower in &self.towers {
            let node = tower.client.info().await.map_err(tower.call())?.node;
            until(&format!("{} has the newest state", tower.name), async || {
                let mut query = TowerQuery::default();
                loop {
                    let page = victim.client.tower_channels(&node, &query).await.map_err(victim.call())?;
                    if page.channels.iter().any(|of| of.channel == channel && of.lag == 0) {
                        return Ok(Some(()));
                    }
                    let Some(next) = page.next else { return Ok(None) };
                    query.after = Some(next);
                }
            })
            .await?;
        }
        Ok(())
    }

    /// The nodes that say that they contested the channel's close for a client.
    pub async fn contesting(&self, channel: &str) -> Vec<String> {
        let asked = self.others.iter().map(|node| contests(node, channel));
        let said = futures::future::join_all(asked).await;
        self.others.iter().zip(said).filter(|(_, said)| *said).map(|(node, _)| node.name.clone()).collect()
    }
}

/// Whether a node says that it contested: an answer for people, so a node that says nothing is no error. All its answers are
/// read: a node cannot be asked for those about a channel that is not its own.
async fn contests(node: &Node, channel: &str) -> bool {
    let query =
        EventQuery { types: Some(EventType::TowerAnswer.as_str().to_owned()), channel: None, after: Some(0) };
    let Ok(mut events) = node.client.events(query).await else { return false };
    while let Ok(Ok(item)) = tokio::time::timeout(SILENCE, events.next()).await {
        if let EventItem::Event(event) = item
            && event.body.channel() == Some(channel)
        {
            return true;
        }
    }
    false
}

fn node_of(node: &NodeState) -> Result<Node, TestnetError> {
    Ok(Node { name: node.name.clone(), client: client(node)? })
}

fn running_node<'a>(network: &'a NetworkState, name: &str) -> Result<&'a NodeState, TestnetError> {
    let node = network.node(name)?;
    if is_running(node) { Ok(node) } else { Err(TestnetError::NotRunning { name: name.to_owned() }) }
}

fn next_after<'a>(running: &[&'a NodeState], cheater: &NodeState) -> Option<&'a NodeState> {
    let place = running.iter().position(|node| node.name == cheater.name)?;
    running.iter().cycle().skip(place + 1).take(running.len() - 1).copied().next()
}

fn too_few() -> TestnetError {
    TestnetError::NotHere("it takes three running nodes: who lies, about whom, and one to see it".to_owned())
}
