//! `towpath tower …`

use towpath_api::{
    AddTower, ServeTower, Tower, TowerChannels, TowerClient, TowerClients, TowerHealth, TowerInfo, TowerQuery,
};

use crate::args::{Common, Tower as Command};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, answer, grouped, short, table};

/// Runs one of the watchtowers' commands.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn tower(common: &Common, command: Command) -> Result<(), CliError> {
    let client = context::client(common)?;
    let style = Style::of(common);
    match command {
        Command::Serve { off } => {
            let info = client.serve_tower(&ServeTower { serve: !off }).await?;
            answer(style, &info, serving)
        }
        Command::Add { tower } => {
            let tower = named(common, &tower)?;
            let info = client.add_tower(&AddTower { tower }).await?;
            answer(style, &info, list)
        }
        Command::Remove { tower } => {
            let node = context::node_id(common, &tower)?;
            client.remove_tower(&node).await?;
            answer(style, &serde_json::json!({ "removed": node }), |_| format!("{node} is used no more"))
        }
        Command::Clients => answer(style, &client.tower_clients().await?, clients),
        Command::Drop { node } => {
            let node = context::node_id(common, &node)?;
            let dropped = client.drop_tower_client(&node).await?;
            answer(style, &dropped, |dropped| {
                format!("{} records of {node} are dropped", grouped(dropped.records))
            })
        }
        Command::List => answer(style, &client.tower().await?, list),
        Command::Status { tower: None } => answer(style, &client.tower().await?, status),
        Command::Status { tower: Some(tower) } => {
            let node = context::node_id(common, &tower)?;
            let mut all = TowerChannels { channels: Vec::new(), next: None };
            let mut query = TowerQuery::default();
            loop {
                let page = client.tower_channels(&node, &query).await?;
                all.channels.extend(page.channels);
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
            answer(style, &all, channels)
        }
    }
}

/// A tower as the node takes it: a node of the local network is found by its name, with its address.
fn named(common: &Common, text: &str) -> Result<String, CliError> {
    if text.contains('@') {
        return Ok(text.to_owned());
    }
    let node = context::node_id(common, text)?;
    Ok(match context::p2p_address(common, text) {
        Some(address) => format!("{node}@{address}"),
        None => node,
    })
}

fn serving(info: &TowerInfo) -> String {
    let does = if info.serving { "serves as a watchtower" } else { "takes no records of others" };
    format!(
        "{does}: {} of {} records for {} nodes ({} for strangers), {} closings watched, {} contested",
        grouped(info.records),
        grouped(info.records_max),
        grouped(info.clients),
        grouped(info.records_of_strangers),
        grouped(info.cases),
        grouped(info.contested),
    )
}

const fn health(health: TowerHealth) -> &'static str {
    match health {
        TowerHealth::Good => "good",
        TowerHealth::Unreachable => "unreachable",
        TowerHealth::Silent => "silent",
        TowerHealth::Refusing => "refusing",
        TowerHealth::Faulty => "FAULTY",
    }
}

fn list(info: &TowerInfo) -> String {
    if info.towers.is_empty() {
        return "no watchtowers; `towpath tower add NODE` uses one".to_owned();
    }
    let row = |tower: &Tower| {
        vec![
            short(&tower.node),
            health(tower.health).to_owned(),
            grouped(tower.current),
            grouped(tower.behind),
            tower.records_max.map_or_else(String::new, grouped),
            tower.reason.clone().unwrap_or_default(),
            if tower.named { "named" } else { "a peer" }.to_owned(),
            tower.address.clone().unwrap_or_default(),
        ]
    };
    let head = ["node", "health", ">current", ">behind", ">at most", "", "used as", "address"];
    table(&head, info.towers.iter().map(row).collect())
}

fn clients(all: &TowerClients) -> String {
    if all.clients.is_empty() {
        return "no records of others".to_owned();
    }
    let row = |client: &TowerClient| {
        let is = if client.stranger { "a stranger" } else { "known" };
        vec![client.node.clone(), grouped(client.records), is.to_owned()]
    };
    table(&["node", ">records", ""], all.clients.iter().map(row).collect())
}

fn status(info: &TowerInfo) -> String {
    let finality = match info.confirmations {
        0 => "payments are final without watchtowers".to_owned(),
        1 => "payments are final once one watchtower has them".to_owned(),
        many => format!("payments are final once {many} watchtowers have them"),
    };
    let alarm = info.alarm.as_ref().map(|alarm| format!("\nALARM: {alarm}")).unwrap_or_default();
    format!("this node {}\n{finality}{alarm}\n{}", serving(info), list(info))
}

fn channels(all: &TowerChannels) -> String {
    if all.channels.is_empty() {
        return "no channels".to_owned();
    }
    let rows = all.channels.iter().map(|channel| {
        vec![
            short(&channel.channel),
            channel.acknowledged.map_or_else(|| "-".to_owned(), grouped),
            grouped(channel.newest),
            grouped(channel.lag),
        ]
    });
    table(&["channel", ">acknowledged", ">newest", ">lag"], rows.collect())
}
