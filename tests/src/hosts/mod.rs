//! Hosts for nodes (FAULTS L18, N10): each node of a network in a network namespace of its own, with its own address, and links between them that can be
//! slow, lossy, narrow, and cut, each way by itself.
//!
//! Nothing of the machine's own network is touched. A namespace lives as long as a process that this one holds by a pipe, and an
//! interface as long as its other end, which is in this process ([`switch`]): all of it is gone with this process, however that ends. A node's API
//! stays on its own loopback; the port of the same number outside leads there.

use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use towpath_testnet::{Network, Plan, STATE_FILE};

pub mod switch;

use crate::kit::{Net, program};
use switch::{Counts, Door, Link, Switch, address};

/// A namespace of the network, and the process that keeps it.
struct Host {
    keeper: Child,
}

impl Host {
    fn new() -> io::Result<Self> {
        // It ends when its input does: with this process at the latest.
        let mut keeper = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo in; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(said) = keeper.stdout.take() {
            BufReader::new(said).read_line(&mut line)?;
        }
        if line == "in\n" {
            return Ok(Self { keeper });
        }
        let output = keeper.wait_with_output()?;
        Err(io::Error::other(format!("unshare: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    fn namespace(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.keeper.id()).into()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whatever its end was, it is gone.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// What this machine or this user lacks for hosts; none if nothing.
#[must_use]
pub fn lacking() -> Option<String> {
    let tried = Host::new().and_then(|host| {
        let _switch = Switch::start(&[host.namespace()], Vec::new(), 0)?;
        let entered = Command::new("nsenter")
            .arg(format!("--net={}", host.namespace().display()))
            .args(["--", "true"])
            .output()?;
        if entered.status.success() { Ok(()) } else { Err(io::Error::other("nsenter does not enter it")) }
    });
    let why = tried.err()?;
    Some(format!(
        "network namespaces cannot be made here ({why}): they need root, /dev/net/tun, and the packages iproute2 and util-linux"
    ))
}

/// A running network of nodes, each on its own host.
pub struct Hosts {
    // In this order: the nodes are killed before their hosts go.
    /// The nodes.
    pub net: Net,
    switch: Switch,
    _hosts: Vec<Host>,
}

impl Hosts {
    /// Makes the hosts and starts a node on each. `seed` draws which packets lossy links lose.
    ///
    /// # Panics
    /// When it does not come up; [`lacking`] says beforehand whether it can.
    pub async fn up(plan: &Plan, seed: u64) -> Self {
        let mut net = Net::prepared(plan);
        move_out(&mut net);
        let hosts: Vec<Host> = (0..plan.nodes).map(|_| Host::new().expect("a namespace")).collect();
        let namespaces: Vec<PathBuf> = hosts.iter().map(Host::namespace).collect();
        let nodes = net.network.state().nodes.clone();
        let door = |(node, namespace): (&towpath_testnet::NodeState, &PathBuf)| Door {
            namespace: namespace.clone(),
            listener: TcpListener::bind(node.api.trim_start_matches("http://")).expect("the port is free"),
        };
        let doors = nodes.iter().zip(&namespaces).map(door).collect();
        let switch = Switch::start(&namespaces, doors, seed).expect("the hosts are joined");
        for (node, namespace) in nodes.iter().zip(&namespaces) {
            let words = vec!["nsenter".into(), format!("--net={}", namespace.display()).into(), "--".into()];
            net.network.launch_by(&node.name, words);
        }
        net.network.up().await.expect("all nodes serve");
        Self { net, switch, _hosts: hosts }
    }

    /// All links are like this, both ways.
    pub fn everywhere(&self, link: Link) {
        let count = self.net.network.state().nodes.len();
        for from in 0..count {
            (0..count).for_each(|to| self.switch.links().set(from, to, link));
        }
    }

    /// All links of these hosts with all others are like this, both ways.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn around(&self, names: &[&str], link: Link) {
        let nodes = &self.net.network.state().nodes;
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..nodes.len()).partition(|index| names.contains(&nodes[*index].name.as_str()));
        assert_eq!(inside.len(), names.len(), "{names:?} are nodes");
        for (a, b) in inside.iter().flat_map(|a| outside.iter().map(move |b| (*a, *b))) {
            self.switch.links().set(a, b, link);
            self.switch.links().set(b, a, link);
        }
    }

    /// Nothing gets from one host to another; the way back is as it was.
    ///
    /// # Panics
    /// When there are no such nodes.
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.switch.links().set(self.index(from), self.index(to), Link::CUT);
    }

    /// Nothing gets from either of two hosts to the other.
    ///
    /// # Panics
    /// When there are no such nodes.
    pub fn cut(&self, one: &str, other: &str) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// What became of packets so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.switch.links().counts()
    }

    fn index(&self, name: &str) -> usize {
        let mut nodes = self.net.network.state().nodes.iter();
        nodes.position(|node| node.name == name).expect("a node of the network")
    }
}

/// Gives each node of a network that was not started its host's address in place of the loopback.
fn move_out(net: &mut Net) {
    let nodes = net.network.state().nodes.clone();
    let moves: Vec<(String, String)> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let (listens, _) = node.p2p.split_once("/p2p/").expect("an address with its peer");
            (listens.to_owned(), listens.replace("127.0.0.1", &address(index).to_string()))
        })
        .collect();
    let files = nodes.iter().map(|node| node.config.clone()).chain([net.dir.path().join(STATE_FILE)]);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of the network");
        // Ports of one length could begin alike; each is followed by something else.
        let moved = moves.iter().fold(text, |text, (from, to)| {
            ["\"", "/p2p/"]
                .iter()
                .fold(text, |text, end| text.replace(&format!("{from}{end}"), &format!("{to}{end}")))
        });
        std::fs::write(&file, moved).expect("written");
    }
    net.network = Network::open(net.dir.path(), program()).expect("the network");
}
