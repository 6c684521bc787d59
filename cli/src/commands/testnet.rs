//! `towpath testnet …`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use towpath_api::{ChannelState, Units};
use towpath_testnet::{
    DISPUTE_WINDOW_MS, Edge, Ended, Found, Network, NetworkState, Plan, Snapshot, TestnetError, Topology,
    Traffic, Watch, has_traffic, is_running, open_all,
};

use crate::args::{Common, InFolder, Span, Testnet, TestnetTime, Up};
use crate::commands::{cheat, crash};
use crate::errors::CliError;
use crate::output::{Live, Style, amount, answer, grouped, note, short, table, time, word};

/// How often the live table is drawn anew on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(500);

/// How often a line is written where nothing can be drawn anew.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How many nodes a new network has.
const NODES: usize = 4;

/// What each side puts into a channel that `traffic` finds missing: the default of `up`.
const CHANNEL_AMOUNT: Units = Units(100_000_000);

/// Runs one of the local network's commands.
///
/// # Errors
/// When the network cannot be found, or a node does not do its part.
pub async fn testnet(common: &Common, words: InFolder) -> Result<(), CliError> {
    let style = Style::of(common);
    let dir = words.dir.as_deref().unwrap_or(&common.testnet_dir);
    match words.command {
        Testnet::Up(args) => up(dir, style, args).await,
        Testnet::Status => {
            let network = NetworkState::load(dir)?;
            let mut watch = Watch::default();
            answer(style, &watch.look(&network).await?, picture)
        }
        Testnet::Traffic { detach, stop } => traffic(dir, style, (detach, stop)).await,
        Testnet::Down => {
            let mut network = Network::open(dir, program()?)?;
            let before = network.state().nodes.iter().filter(|node| is_running(node)).count();
            let ended = network.down().await?;
            let document = serde_json::json!({ "stopped": before, "killed": ended == Ended::Killed });
            answer(style, &document, |_| stopped(&network, before, ended))
        }
        Testnet::Kill { name } => {
            let mut network = Network::open(dir, program()?)?;
            network.kill(&name).await?;
            answer(style, &serde_json::json!({ "killed": name }), |_| {
                format!("killed {name}; `towpath testnet restart {name}` brings it back")
            })
        }
        Testnet::Restart { name } => {
            let mut network = Network::open(dir, program()?)?;
            network.restart(&name).await?;
            let process = network.state().node(&name)?.process;
            answer(style, &serde_json::json!({ "restarted": name, "process": process }), |_| {
                format!("{name} serves again")
            })
        }
        Testnet::Env => {
            let network = NetworkState::load(dir)?;
            let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
            answer(style, &network, |network| environment(network, &absolute))
        }
        Testnet::Time { command } => travel(style, dir, command).await,
        Testnet::Crash(args) => crash::crash(style, args).await,
        Testnet::Cheat(args) => cheat::cheat(dir, style, args).await,
    }
}

async fn travel(style: Style, dir: &Path, command: Option<TestnetTime>) -> Result<(), CliError> {
    let network = NetworkState::load(dir)?;
    let by = command.map_or(Duration::ZERO, |TestnetTime::Advance { by }| Span::duration(by));
    let journey = towpath_testnet::advance(&network, by).await?;
    answer(style, &journey, |journey| {
        let at = time(journey.to_ms);
        match by {
            Duration::ZERO => format!("ledger time is {at}"),
            _ => format!("ledger time is {at}, at height {}", grouped(journey.height)),
        }
    })
}

/// This program: the nodes run it, too.
///
/// # Errors
/// When the system does not say where it is.
pub fn program() -> Result<PathBuf, CliError> {
    std::env::current_exe().map_err(|error| CliError::Failed(format!("cannot find this program: {error}")))
}

async fn up(dir: &Path, style: Style, args: Up) -> Result<(), CliError> {
    let plan = plan(dir, &args)?;
    let (mut network, found) = Network::prepare(dir, program()?, &plan)?;
    note(
        style,
        &match found {
            Found::New => format!("starting {} nodes in {}", plan.nodes, dir.display()),
            Found::Old => format!("continuing the network in {}", dir.display()),
        },
    );
    let shown = tokio::select! {
        shown = show(&mut network, style, &args) => shown,
        _ = stop_signal() => Ok(()),
    };
    if args.detach && shown.is_ok() {
        return Ok(());
    }
    // As they are now: others may have killed and restarted some.
    let running = NetworkState::load(dir)?.nodes.iter().filter(|node| is_running(node)).count();
    let ended = network.down().await?;
    note(style, &stopped(&network, running, ended));
    shown
}

/// The network that is meant: the one that is there goes on as it is.
fn plan(dir: &Path, args: &Up) -> Result<Plan, CliError> {
    let (nodes, topology) = (args.nodes.map(usize::from), args.topology);
    let old = match NetworkState::load(dir) {
        Ok(network) => network,
        Err(TestnetError::NoNetwork { .. }) => {
            return Ok(Plan::of(nodes.unwrap_or(NODES), topology.unwrap_or_default()));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(asked) = topology.filter(|topology| *topology != old.topology) {
        let shape = |topology: Topology| format!("{topology:?}").to_lowercase();
        return Err(CliError::Usage(format!(
            "the network in {} is a {}, not a {}; give another folder with --dir, or remove it",
            dir.display(),
            shape(old.topology),
            shape(asked)
        )));
    }
    Ok(Plan::of(nodes.unwrap_or(old.nodes.len()), old.topology))
}

/// Everything from the start of the nodes to the wish to stop; interrupting it leaves nothing half done.
async fn show(network: &mut Network, style: Style, args: &Up) -> Result<(), CliError> {
    network.up().await?;
    let edges = if args.no_traffic {
        Vec::new()
    } else {
        note(style, "nodes serve; opening channels");
        open_all(network.state(), args.channel_amount, args.dispute_window.ms()).await?
    };
    if args.traffic {
        network.start_traffic()?;
    }
    let document = serde_json::json!({ "network": network.state(), "channels": edges });
    let snapshot = Watch::default().look(network.state()).await?;
    answer(style, &document, |_| {
        let mut text = banner(network, &snapshot, &edges);
        if args.detach {
            text.push_str(&background(network));
        }
        text
    })?;
    if args.detach {
        return Ok(());
    }
    let traffic = Traffic::start(network.state(), &edges)?;
    let watched = watch(network.dir(), style).await;
    traffic.stop().await;
    watched
}

/// What goes on when this program has ended, and how to change it.
fn background(network: &Network) -> String {
    let command = at(network.dir());
    if has_traffic(network.state()) {
        return format!(
            "\n The network runs in the background and makes payments; `towpath{command} testnet traffic --stop` ends them.\n"
        );
    }
    format!(
        "\n The network runs in the background and makes no payments. To have some:\n   \
         towpath{command} testnet traffic            until Ctrl-C\n   \
         towpath{command} testnet traffic --detach   in the background, until --stop or `testnet down`\n"
    )
}

/// Makes payments on the network that runs: here until Ctrl-C, or in a process of its own.
async fn traffic(dir: &Path, style: Style, (detach, stop): (bool, bool)) -> Result<(), CliError> {
    let mut network = Network::open(dir, program()?)?;
    if stop {
        let were = network.stop_traffic().await?;
        return answer(style, &serde_json::json!({ "stopped": were }), |_| {
            if were { "no more payments are made" } else { "no payments were made in the background" }
                .to_owned()
        });
    }
    if !network.state().nodes.iter().any(is_running) {
        return Err(CliError::Failed("the network is down; `towpath testnet up` continues it".to_owned()));
    }
    let edges = open_all(network.state(), CHANNEL_AMOUNT, DISPUTE_WINDOW_MS).await?;
    if detach {
        network.start_traffic()?;
        let document = serde_json::json!({ "traffic": network.state().traffic, "channels": edges.len() });
        return answer(style, &document, |_| {
            let command = at(network.dir());
            format!(
                "payments are made on {} channels in the background; `towpath{command} testnet traffic --stop` ends them",
                edges.len()
            )
        });
    }
    note(style, &format!("payments are made on {} channels until Ctrl-C", edges.len()));
    let traffic = Traffic::start(network.state(), &edges)?;
    let watched = tokio::select! {
        watched = watch(network.dir(), style) => watched,
        () = stop_signal() => Ok(()),
    };
    traffic.stop().await;
    watched
}

/// How the network in `dir` is named on a command line: not at all where it is looked for anyway.
fn at(dir: &Path) -> String {
    if dir.ends_with(".towpath/testnet") {
        String::new()
    } else {
        format!(" --testnet-dir {}", dir.display())
    }
}

/// Shows the network until it is interrupted.
async fn watch(dir: &Path, style: Style) -> Result<(), CliError> {
    if style == Style::Json {
        return std::future::pending().await;
    }
    let drawn = std::io::stdout().is_terminal();
    let mut ticks = tokio::time::interval(if drawn { REDRAW_EVERY } else { LINE_EVERY });
    let (mut watch, mut live) = (Watch::default(), Live::default());
    loop {
        ticks.tick().await;
        // Others may have killed or restarted nodes.
        let snapshot = watch.look(&NetworkState::load(dir)?).await?;
        if drawn { live.draw(&picture(&snapshot))? } else { live.line(&one_line(&snapshot))? }
    }
}

/// Runs what has a network of its own in `dir`; when the user stops it, the network is stopped first.
///
/// # Errors
/// Its own, or that it was stopped.
pub async fn unless_stopped<T>(
    dir: &Path,
    work: impl Future<Output = Result<T, TestnetError>>,
) -> Result<T, CliError> {
    tokio::select! {
        done = work => Ok(done?),
        () = stop_signal() => {
            Network::open(dir, program()?)?.down().await?;
            Err(CliError::Failed("stopped; no node is left running".to_owned()))
        }
    }
}

/// Waits until the user wants to stop.
pub async fn stop_signal() {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let terminate = async {
        match &mut terminated {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // Without a handler there is nothing to wait for, and stopping is right.
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
}

fn banner(network: &Network, snapshot: &Snapshot, edges: &[Edge]) -> String {
    let (dir, state) = (network.dir(), network.state());
    let rows = state.nodes.iter().zip(&snapshot.nodes).map(|(node, view)| {
        let wallet = view.said.as_ref().map_or_else(|| "-".to_owned(), |said| amount(said.confirmed));
        let pid = view.pid.map_or_else(|| "down".to_owned(), |pid| pid.to_string());
        vec![node.name.clone(), short(&node.node), node.api.clone(), wallet, pid]
    });
    let first = state.nodes.first().map_or("alice", |node| &node.name);
    let folder = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let mut text = format!(
        "{}\n\n ledger  {}\n data    {}/NAME, with each node's log\n \
         The keys of these nodes are public: they are for this local network alone.\n\n try, in another terminal:\n",
        table(&["node", "id", "api", ">wallet", ">process"], rows.collect()),
        state.chain,
        folder.display(),
    );
    let at = at(dir);
    text.push_str(&format!(
        "   towpath{at} --node {first} info\n   towpath{at} --node {first} channel list\n"
    ));
    if let Some(edge) = edges.first() {
        text.push_str(&format!(
            "   towpath{at} --node {} channel pay {} 2500 --count 1000\n",
            edge.opener,
            short(&edge.channel)
        ));
    }
    text.push_str(&format!("   towpath{at} --node {first} events\n   towpath{at} testnet kill {first}\n   towpath{at} testnet down\n"));
    text
}

fn picture(snapshot: &Snapshot) -> String {
    let nodes = snapshot.nodes.iter().map(|node| {
        let process = node.pid.map_or_else(|| "down".to_owned(), |pid| pid.to_string());
        let mut row = vec![node.name.clone(), process];
        match &node.said {
            Some(said) => row.extend([
                grouped(said.height),
                said.peers.to_string(),
                amount(said.confirmed),
                amount(said.in_channels),
                grouped(said.payments_sent),
                grouped(said.payments_received),
            ]),
            None => row.extend(std::iter::repeat_n("-".to_owned(), 6)),
        }
        row
    });
    let nodes = table(
        &["node", ">process", ">height", ">peers", ">wallet", ">in channels", ">paid", ">got"],
        nodes.collect(),
    );
    let channels = snapshot.channels.iter().map(|channel| {
        let state = word(&channel.state);
        vec![
            short(&channel.channel),
            format!("{} - {}", channel.opener, channel.acceptor),
            // Nobody waits for the peer of a channel that is over.
            if channel.online || channel.state == ChannelState::Settled {
                state
            } else {
                format!("{state}, away")
            },
            amount(channel.opener_balance),
            amount(channel.acceptor_balance),
            grouped(channel.payments),
        ]
    });
    let channels =
        table(&["channel", "between", "state", ">first has", ">second has", ">payments"], channels.collect());
    let traffic = if snapshot.traffic { ", made in the background" } else { "" };
    format!("{nodes}\n\n{channels}\n\n {} payments/s{traffic}", grouped(snapshot.payments_per_second))
}

fn one_line(snapshot: &Snapshot) -> String {
    let up = snapshot.nodes.iter().filter(|node| node.said.is_some()).count();
    let height = snapshot.nodes.iter().filter_map(|node| node.said.as_ref()).map(|said| said.height).max();
    let payments: u64 = snapshot.channels.iter().map(|channel| channel.payments).sum();
    format!(
        "{up} of {} nodes serve, height {}, {} channels, {} payments, {} payments/s",
        snapshot.nodes.len(),
        grouped(height.unwrap_or(0)),
        snapshot.channels.len(),
        grouped(payments),
        grouped(snapshot.payments_per_second),
    )
}

fn stopped(network: &Network, running: usize, ended: Ended) -> String {
    let how = match ended {
        Ended::Cleanly => "",
        Ended::Killed => "; some did not end by themselves and were killed",
    };
    format!(
        "{running} nodes stopped{how}; everything is kept in {}, `towpath testnet up` goes on from there",
        network.dir().display()
    )
}

fn environment(network: &NetworkState, dir: &Path) -> String {
    let mut lines = vec![format!("export TOWPATH_TESTNET_DIR='{}'", dir.display())];
    for node in &network.nodes {
        let name = node.name.to_uppercase();
        lines.push(format!("export TOWPATH_{name}_API='{}'", node.api));
        lines.push(format!("export TOWPATH_{name}_TOKEN_FILE='{}'", node.token_file.display()));
    }
    lines.join("\n")
}
