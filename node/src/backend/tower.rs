//! The watchtowers' part of the API.

use towpath_api::{
    AddTower, ApiError, Code, ServeTower, Tower, TowerChannel, TowerChannels, TowerClient, TowerClients,
    TowerDropped, TowerHealth, TowerInfo, TowerQuery,
};
use towpath_crypto::id::{self, Kind};
use towpath_ledger::ChannelId;
use towpath_protocol::tower::{Fault, Health, Serving};

use super::Node;
use super::channels::limit_of;
use crate::tower::{Call, CallError, Listed, OwnTower};
use crate::worker::node_text;

fn call_error(error: &CallError) -> ApiError {
    let code = match error {
        CallError::TooMany { .. } | CallError::Busy => Code::TooManyRequests,
        CallError::Unknown => Code::TowerNotFound,
        CallError::Own => Code::InvalidRequest,
        CallError::Needed { .. } => Code::TowerNeeded,
        CallError::Store(_) => Code::Internal,
    };
    ApiError::new(code, error.to_string())
}

fn health(health: Health) -> (TowerHealth, Option<String>) {
    match health {
        Health::Good => (TowerHealth::Good, None),
        Health::Unreachable => (TowerHealth::Unreachable, None),
        Health::Silent => (TowerHealth::Silent, None),
        Health::Refusing(refusal) => (TowerHealth::Refusing, Some(refusal.to_string())),
        Health::Faulty(Fault::Lost(channel)) => {
            (TowerHealth::Faulty, Some(format!("it does not have what it acknowledged of {channel}")))
        }
        Health::Faulty(Fault::Boast(channel)) => {
            (TowerHealth::Faulty, Some(format!("it does not show what it says it has of {channel}")))
        }
    }
}

fn tower(own: &OwnTower) -> Tower {
    let (health, reason) = health(own.standings.health);
    Tower {
        node: node_text(&own.tower.node),
        named: own.is_named,
        address: own.tower.address.as_ref().map(ToString::to_string),
        health,
        reason,
        current: own.standings.current,
        behind: own.standings.behind,
        last_receipt_ms: own.standings.last_receipt_ms,
        records: own.standings.quota.map(|quota| quota.records),
        records_max: own.standings.quota.map(|quota| quota.records_max),
    }
}

impl Node {
    fn towers(&self) -> Result<&crate::tower::TowerHandle, ApiError> {
        self.check_signing()?;
        Ok(&self.tower)
    }

    pub(super) async fn tower_info(&self) -> Result<TowerInfo, ApiError> {
        let own = self.towers()?.ask(Call::Status).await.map_err(|error| call_error(&error))?;
        Ok(TowerInfo {
            serving: own.serving == Serving::Yes,
            records: own.usage.records,
            records_max: own.records_max,
            records_of_strangers: own.usage.strangers,
            clients: own.usage.clients,
            cases: own.cases,
            contested: self.tower.stats().totals().contested,
            confirmations: own.confirmations,
            alarm: own.alarm,
            towers: own.towers.iter().map(tower).collect(),
        })
    }

    pub(super) async fn serve_tower(&self, request: ServeTower) -> Result<TowerInfo, ApiError> {
        let serving = if request.serve { Serving::Yes } else { Serving::No };
        let decided = self.towers()?.ask(|reply| Call::Serve { serving, reply }).await;
        decided.map_err(|error| call_error(&error))?;
        self.tower_info().await
    }

    pub(super) async fn add_tower(&self, request: &AddTower) -> Result<TowerInfo, ApiError> {
        let tower: Listed = request.tower.parse().map_err(|reason| ApiError::new(Code::InvalidId, reason))?;
        let decided = self.towers()?.ask(|reply| Call::Add { tower, reply }).await;
        decided.map_err(|error| call_error(&error))?;
        self.tower_info().await
    }

    pub(super) async fn remove_tower(&self, text: &str) -> Result<(), ApiError> {
        let node = self.find_node(text)?;
        let decided = self.towers()?.ask(|reply| Call::Remove { node, reply }).await;
        decided.map_err(|error| call_error(&error))
    }

    pub(super) async fn tower_clients(&self) -> Result<TowerClients, ApiError> {
        let kept = self.towers()?.ask(Call::Clients).await.map_err(|error| call_error(&error))?;
        let clients = kept.iter().map(|kept| TowerClient {
            node: node_text(&kept.client),
            records: kept.records,
            stranger: kept.is_stranger,
        });
        Ok(TowerClients { clients: clients.collect() })
    }

    pub(super) async fn drop_tower_client(&self, text: &str) -> Result<TowerDropped, ApiError> {
        let node = self.find_node(text)?;
        let dropped = self.towers()?.ask(|reply| Call::Drop { node, reply }).await;
        dropped.map(|records| TowerDropped { records }).map_err(|error| call_error(&error))
    }

    pub(super) async fn tower_channels(
        &self,
        text: &str,
        query: &TowerQuery,
    ) -> Result<TowerChannels, ApiError> {
        let node = self.find_node(text)?;
        let after = query.after.as_deref().map(channel_id).transpose()?;
        let limit = limit_of(query.limit);
        let ask = |reply| Call::Versions { node, after, limit: limit + 1, reply };
        let mut found = self.towers()?.ask(ask).await.map_err(|error| call_error(&error))?;
        let next = (found.len() > limit).then(|| found[limit - 1].channel.to_string());
        found.truncate(limit);
        let channels = found.iter().map(|version| {
            let acknowledged = version.acknowledged.map(|sequence| sequence.version);
            let newest = version.newest.version;
            let lag = newest.saturating_sub(acknowledged.unwrap_or(0));
            TowerChannel { channel: version.channel.to_string(), acknowledged, newest, lag }
        });
        Ok(TowerChannels { channels: channels.collect(), next })
    }
}

fn channel_id(text: &str) -> Result<ChannelId, ApiError> {
    let id = id::decode_array(Kind::Channel, text);
    id.map(|id| ChannelId(towpath_crypto::Digest(id)))
        .map_err(|error| ApiError::new(Code::InvalidId, format!("'{text}' is no channel: {error}")))
}
