//! libp2p over turmoil's TCP: listens, dials, and hands plain connections to the node's own encryption and multiplexer.
//! Every byte that a node writes goes into the diary.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Ready, ready};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::multiaddr::Protocol;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::{Multiaddr, Transport};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Sleep, sleep};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use towpath_node::net::{Carrier, Line};
use turmoil::net::{TcpListener, TcpStream};

use crate::diary;

/// How long a write may wait before the line is given up, as TCP gives one up on which nothing is acknowledged: turmoil's
/// never does. (Linux does it after a quarter of an hour.)
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// Connections that were accepted and that the swarm has not taken.
const ACCEPTED_MAX: usize = 64;

/// How the lines of a node are.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// Whose they are.
    pub node: usize,
    /// The most that one write takes, in bytes.
    pub write_max: usize,
}

/// A node's carrier.
pub fn carrier(lines: Lines) -> Carrier {
    Tcp { lines, listeners: Vec::new(), events: VecDeque::new() }.boxed()
}

type Event = TransportEvent<Ready<io::Result<Line>>, io::Error>;

struct Tcp {
    lines: Lines,
    listeners: Vec<Listener>,
    events: VecDeque<Event>,
}

struct Listener {
    id: ListenerId,
    address: Multiaddr,
    accepted: mpsc::Receiver<(TcpStream, SocketAddr)>,
    task: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Transport for Tcp {
    type Output = Line;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Line>>;
    type Dial = BoxFuture<'static, io::Result<Line>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let (_ip, port) =
            parts(&address).ok_or_else(|| TransportError::MultiaddrNotSupported(address.clone()))?;
        let (found, accepted) = mpsc::channel(ACCEPTED_MAX);
        let task = tokio::spawn(accept_all(port, found)).abort_handle();
        self.events.push_back(TransportEvent::NewAddress { listener_id: id, listen_addr: address.clone() });
        self.listeners.push(Listener { id, address, accepted, task });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.id != id);
        self.listeners.len() < before
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let to = parts(&address).ok_or(TransportError::MultiaddrNotSupported(address))?;
        let lines = self.lines;
        Ok(async move { Ok(line(TcpStream::connect(to).await?, lines)) }.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        let lines = self.lines;
        for listener in &mut self.listeners {
            if let Poll::Ready(Some((stream, from))) = listener.accepted.poll_recv(context) {
                return Poll::Ready(TransportEvent::Incoming {
                    listener_id: listener.id,
                    upgrade: ready(Ok(line(stream, lines))),
                    local_addr: listener.address.clone(),
                    send_back_addr: address_of(from.ip(), from.port()),
                });
            }
        }
        Poll::Pending
    }
}

async fn accept_all(port: u16, found: mpsc::Sender<(TcpStream, SocketAddr)>) {
    let Ok(listener) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await else { return };
    while let Ok(connection) = listener.accept().await {
        if found.send(connection).await.is_err() {
            return;
        }
    }
}

/// `/ip4/../tcp/..`, which is all that a node of this world listens on or dials.
pub fn address_of(ip: IpAddr, port: u16) -> Multiaddr {
    Multiaddr::empty().with(Protocol::from(ip)).with(Protocol::Tcp(port))
}

fn parts(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(ip), Protocol::Tcp(port)) => Some((ip.into(), port)),
        _ => None,
    }
}

fn line(stream: TcpStream, lines: Lines) -> Line {
    Box::pin(Wire { stream: stream.compat(), lines, patience: None })
}

/// A connection that takes only so much in one write.
struct Wire {
    stream: Compat<TcpStream>,
    lines: Lines,
    /// Runs while a write waits.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// A write waits, unless it has waited too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        diary::count("writes that waited");
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(WRITE_PATIENCE)));
        if patience.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        diary::count("lines that were given up");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Lines { node, write_max } = self.lines;
        let bytes = &bytes[..bytes.len().min(write_max)];
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        match &written {
            Poll::Ready(Ok(count)) => diary::note("write", node, &bytes[..*count]),
            Poll::Ready(Err(_)) => diary::note("broken", node, &[]),
            Poll::Pending => return self.wait(context),
        }
        self.patience = None;
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}
