//! The wires between hosts: every packet passes through this process, which holds it up, loses it or stops it.
//!
//! Each host has one interface of which this process is the other end (a TUN device), so nothing is asked of the kernel's queues: `netem` is
//! not in every kernel. A link is one way, from one host to another, and each has a queue of its own: packets keep their order.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tun::Tun;
use towpath_fuzz::Random;

/// The interface that a host has beside its loopback.
const INTERFACE: &str = "towpath0";

/// Bytes of a packet, at most.
const MTU: u16 = 1_400;

/// Packets that wait in one link; more are lost, as in a router.
const QUEUE_MAX: usize = 4_096;

/// How a link treats packets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Link {
    /// For how long it holds each of them up.
    pub delay: Duration,
    /// How many of a thousand it loses.
    pub lost_per_mille: u64,
    /// Bytes that pass in a second; none = any number.
    pub bytes_per_second: Option<u64>,
    /// Whether it lets nothing through.
    pub is_cut: bool,
}

impl Link {
    /// One that lets nothing through.
    pub const CUT: Self =
        Self { delay: Duration::ZERO, lost_per_mille: 0, bytes_per_second: None, is_cut: true };
}

/// What became of packets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Delivered, at once or later.
    pub passed: u64,
    /// Lost by chance, or because a queue was full.
    pub lost: u64,
    /// Stopped by a link that was cut.
    pub stopped: u64,
}

/// The links between so many hosts, each way.
#[derive(Clone)]
pub struct Links(Arc<Mutex<State>>);

struct State {
    hosts: usize,
    /// By `from * hosts + to`.
    links: Vec<Link>,
    /// When the last packet has passed, where bytes take time.
    free_at: Vec<Option<Instant>>,
    counts: Counts,
    random: Random,
}

impl Links {
    fn new(hosts: usize, seed: u64) -> Self {
        let count = hosts * hosts;
        Self(Arc::new(Mutex::new(State {
            hosts,
            links: vec![Link::default(); count],
            free_at: vec![None; count],
            counts: Counts::default(),
            random: Random::new(seed, "links"),
        })))
    }

    /// Sets one way of one pair.
    ///
    /// # Panics
    /// When there are no such hosts.
    pub fn set(&self, from: usize, to: usize, link: Link) {
        let mut state = self.state();
        let index = from * state.hosts + to;
        state.links[index] = link;
    }

    /// What became of packets so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds this")
    }

    /// When a packet arrives; never, if it does not.
    fn admit(&self, from: usize, to: usize, bytes: usize, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let state = &mut *state;
        let index = from * state.hosts + to;
        let link = state.links[index];
        if link.is_cut {
            state.counts.stopped += 1;
            return None;
        }
        if state.random.number() % 1_000 < link.lost_per_mille {
            state.counts.lost += 1;
            return None;
        }
        state.counts.passed += 1;
        let Some(rate) = link.bytes_per_second else { return Some(now + link.delay) };
        let takes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000_000) / rate.max(1);
        let passed = state.free_at[index].map_or(now, |free| free.max(now)) + Duration::from_nanos(takes);
        state.free_at[index] = Some(passed);
        Some(passed + link.delay)
    }

    fn overflow(&self) {
        let mut state = self.state();
        state.counts.passed = state.counts.passed.saturating_sub(1);
        state.counts.lost += 1;
    }
}

/// A door to a server within a host: who connects to the listener, which is outside, is connected to the same port inside.
pub struct Door {
    /// Whose.
    pub namespace: PathBuf,
    /// Where it is knocked at.
    pub listener: TcpListener,
}

/// The thread through which all packets pass; it ends when this is dropped.
pub struct Switch {
    links: Links,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    /// Gives each of these namespaces an interface, the first with the address `address(0)`, and joins them; opens the doors.
    ///
    /// # Errors
    /// When an interface cannot be made.
    pub fn start(namespaces: &[PathBuf], doors: Vec<Door>, seed: u64) -> io::Result<Self> {
        let links = Links::new(namespaces.len(), seed);
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std_mpsc::channel();
        let (wires, spaces) = (links.clone(), namespaces.to_vec());
        let thread = std::thread::Builder::new().name("switch".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let outcome = runtime.map(|runtime| {
                runtime.block_on(async {
                    let started = start(&spaces, doors, &wires);
                    let is_running = started.is_ok();
                    // Whoever started this waits for it.
                    let _gone = ready.send(started);
                    if is_running {
                        let _dropped = stopped.await;
                    }
                });
            });
            outcome.expect("a runtime");
        })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { links, stop: Some(stop), thread: Some(thread) })
    }

    /// The links.
    #[must_use]
    pub const fn links(&self) -> &Links {
        &self.links
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It says why itself, if it panicked.
            let _panicked = thread.join();
        }
    }
}

/// The address of a host.
#[must_use]
pub fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(index + 1).expect("a few hosts"))
}

/// Moves this thread into a network namespace: what it opens from now on is there, and stays there.
///
/// # Errors
/// When it may not.
pub fn enter(namespace: &Path) -> io::Result<()> {
    let file = std::fs::File::open(namespace)?;
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

fn start(namespaces: &[PathBuf], doors: Vec<Door>, links: &Links) -> io::Result<()> {
    let devices = namespaces
        .iter()
        .enumerate()
        .map(|(index, namespace)| Ok(Arc::new(interface(namespace, index)?)))
        .collect::<io::Result<Vec<_>>>()?;
    for (from, device) in devices.iter().enumerate() {
        let outs = devices.iter().map(deliver).collect();
        tokio::spawn(pass(from, Arc::clone(device), links.clone(), outs));
    }
    for door in doors {
        door.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(door.listener)?;
        tokio::spawn(serve(listener, door.namespace));
    }
    Ok(())
}

fn interface(namespace: &Path, index: usize) -> io::Result<Tun> {
    enter(namespace)?;
    // None is passed on to the programs below: an interface would outlive this process in them.
    let made = Tun::builder().name(INTERFACE).mtu(i32::from(MTU)).close_on_exec().build();
    let device =
        made.map_err(io::Error::other)?.pop().ok_or_else(|| io::Error::other("no interface was made"))?;
    let network = format!("{}/24", address(index));
    // Programs that this thread starts are where it is.
    for words in [
        &["link", "set", "lo", "up"][..],
        &["address", "add", &network, "dev", INTERFACE],
        &["link", "set", INTERFACE, "up"],
    ] {
        let output = Command::new("ip").args(words).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(io::Error::other(format!("ip {}: {said}", words.join(" "))));
        }
    }
    Ok(device)
}

type Out = mpsc::Sender<(Instant, Vec<u8>)>;

/// Takes what a host sends, for as long as it has its interface.
async fn pass(from: usize, device: Arc<Tun>, links: Links, outs: Vec<Out>) {
    let mut buffer = vec![0; usize::from(MTU) + 100];
    while let Ok(length) = device.recv(&mut buffer).await {
        let packet = &buffer[..length];
        let Some(to) = destination(packet, outs.len()) else { continue };
        let Some(at) = links.admit(from, to, length, Instant::now()) else { continue };
        if outs[to].try_send((at, packet.to_vec())).is_err() {
            links.overflow();
        }
    }
}

/// The queue of one link: gives packets to the host at its end when they arrive there.
fn deliver(device: &Arc<Tun>) -> Out {
    let (queue, mut packets) = mpsc::channel::<(Instant, Vec<u8>)>(QUEUE_MAX);
    let device = Arc::clone(device);
    tokio::spawn(async move {
        while let Some((at, packet)) = packets.recv().await {
            tokio::time::sleep_until(at).await;
            // A host that is going takes nothing.
            let _gone = device.send(&packet).await;
        }
    });
    queue
}

/// Which host a packet is for; none for what is not IPv4, or for nobody here.
fn destination(packet: &[u8], hosts: usize) -> Option<usize> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let to = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
    if header[0] >> 4 != 4 {
        return None;
    }
    (0..hosts).find(|index| address(*index) == to)
}

async fn serve(listener: tokio::net::TcpListener, namespace: PathBuf) {
    let Ok(port) = listener.local_addr().map(|address| address.port()) else { return };
    while let Ok((mut outside, _)) = listener.accept().await {
        let namespace = namespace.clone();
        tokio::spawn(async move {
            // Who is not answered finds the connection closed, as with a server that is not there.
            if let Some(mut inside) = connect(namespace, port).await {
                let _ended = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}

/// Connects from within a namespace. A thread is in one namespace, so each connection is made by a thread of its own.
async fn connect(namespace: PathBuf, port: u16) -> Option<tokio::net::TcpStream> {
    let (done, connected) = oneshot::channel();
    std::thread::spawn(move || {
        let stream = enter(&namespace).and_then(|()| TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        // Nobody may wait any more.
        let _gone = done.send(stream);
    });
    let stream = connected.await.ok()?.ok()?;
    stream.set_nonblocking(true).ok()?;
    tokio::net::TcpStream::from_std(stream).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_hold_up_lose_and_stop_packets_one_way() {
        let (links, now) = (Links::new(2, 1), Instant::now());
        assert_eq!(links.admit(0, 1, 100, now), Some(now));
        let second = Duration::from_secs(1);
        links.set(0, 1, Link { delay: second, bytes_per_second: Some(100), ..Link::default() });
        assert_eq!(
            links.admit(0, 1, 100, now),
            Some(now + second * 2),
            "a second to pass, and one on the way"
        );
        assert_eq!(links.admit(0, 1, 100, now), Some(now + second * 3), "behind the first");
        assert_eq!(links.admit(1, 0, 100, now), Some(now), "the other way is as it was");
        links.set(0, 1, Link::CUT);
        assert_eq!((links.admit(0, 1, 100, now), links.admit(1, 0, 100, now)), (None, Some(now)));
        links.set(0, 1, Link { lost_per_mille: 300, ..Link::default() });
        let arrived = (0..10_000).filter(|_| links.admit(0, 1, 100, now).is_some()).count();
        assert!((6_700..7_300).contains(&arrived), "{arrived} of 10,000 with 30 % lost");
        let counts = links.counts();
        assert_eq!((counts.stopped, counts.passed + counts.lost), (1, 10_005));
    }

    #[test]
    fn packets_are_for_hosts_by_their_address() {
        let mut packet = [0; 40];
        packet[0] = 0x45;
        packet[16..20].copy_from_slice(&address(2).octets());
        assert_eq!((destination(&packet, 3), destination(&packet, 2)), (Some(2), None));
        packet[0] = 0x60;
        assert_eq!(destination(&packet, 3), None, "IPv6");
        assert_eq!(destination(&packet[..10], 3), None);
    }
}
