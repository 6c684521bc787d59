//! Measures channel messages a second between two nodes of this process over loopback, end to end: queue, frame, Noise
//! session, libp2p's own encryption and multiplexing, and back to plain messages.
//!
//! `cargo run --release --example channel_messages -- [tcp|quic] [messages] [bytes a message] [messages a batch]`

use std::process::ExitCode;
use std::time::Instant;

use libp2p::Multiaddr;
use towpath_crypto::hash::{ChainId, Digest};
use towpath_node::net::limits::SUBSCRIBE_TIMEOUT;
use towpath_node::net::{ConnectionLimits, Mdns, NetConfig, NetEvent, NetEvents, NetHandle, NodeId, spawn};

/// Messages that have been sent but not received, at most: below what ends a session.
const IN_FLIGHT_BYTES: usize = 8 << 20;

type Failure = Box<dyn std::error::Error>;

struct Plan {
    listen: Multiaddr,
    messages: usize,
    bytes: usize,
    batch: usize,
}

impl Plan {
    fn from_arguments() -> Result<Self, Failure> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let number = |index: usize, default: usize| match arguments.get(index) {
            Some(text) => text.parse(),
            None => Ok(default),
        };
        let listen = match arguments.first().map(String::as_str) {
            None | Some("tcp") => "/ip4/127.0.0.1/tcp/0",
            Some("quic") => "/ip4/127.0.0.1/udp/0/quic-v1",
            Some(other) => return Err(format!("unknown transport {other}: tcp or quic").into()),
        };
        Ok(Self {
            listen: listen.parse()?,
            messages: number(1, 1_000_000)?,
            bytes: number(2, 300)?.max(1),
            batch: number(3, 16)?.max(1),
        })
    }
}

fn node(seed: u8, listen: &Multiaddr) -> Result<(NetHandle, NetEvents), Failure> {
    Ok(spawn(NetConfig {
        identity: [seed; 32],
        session_key: [seed + 1; 32],
        chain: ChainId(Digest([1; 32])),
        listen: vec![listen.clone()],
        bootstrap: Vec::new(),
        mdns: Mdns::Off,
        limits: ConnectionLimits::default(),
        subscribe_timeout: SUBSCRIBE_TIMEOUT,
        seed: 0,
    })?)
}

async fn listening(events: &mut NetEvents) -> Result<Multiaddr, Failure> {
    loop {
        if let NetEvent::Listening { address } = events.recv().await.ok_or("the network stopped")? {
            return Ok(address);
        }
    }
}

async fn session(events: &mut NetEvents) -> Result<NodeId, Failure> {
    loop {
        if let NetEvent::SessionUp { node, .. } = events.recv().await.ok_or("the network stopped")? {
            return Ok(node);
        }
    }
}

async fn receive(mut events: NetEvents, messages: usize, received: tokio::sync::watch::Sender<usize>) {
    let mut count = 0;
    while count < messages {
        let Some(event) = events.recv().await else { return };
        if let NetEvent::Messages { messages, .. } = event {
            count += messages.len();
            // The sender waits on it; when it is done it may be gone.
            let _ = received.send(count);
        }
    }
}

async fn measure(plan: &Plan) -> Result<(), Failure> {
    let (sender, mut sender_events) = node(1, &plan.listen)?;
    let (receiver, mut receiver_events) = node(2, &plan.listen)?;
    let address = listening(&mut receiver_events).await?;
    sender.want(receiver.local(), vec![address]).await?;
    let to = session(&mut sender_events).await?;
    session(&mut receiver_events).await?;

    let (progress, mut received) = tokio::sync::watch::channel(0);
    let start = Instant::now();
    let receiving = tokio::spawn(receive(receiver_events, plan.messages, progress));
    let mut sent = 0;
    while sent < plan.messages {
        let count = plan.batch.min(plan.messages - sent);
        sender.send(to, vec![vec![7; plan.bytes]; count])?;
        sent += count;
        let room = (IN_FLIGHT_BYTES / plan.bytes).min(1024 * plan.batch);
        received.wait_for(|received| sent - received <= room).await?;
    }
    receiving.await?;
    let seconds = start.elapsed().as_secs_f64();
    let frames = sender.metrics().frames_sent;
    println!(
        "{} messages of {} bytes in batches of {}: {:.2} s, {:.0} messages/s, {} frames",
        plan.messages,
        plan.bytes,
        plan.batch,
        seconds,
        sent as f64 / seconds,
        frames
    );
    sender.shutdown().await;
    receiver.shutdown().await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Plan::from_arguments() {
        Ok(plan) => measure(&plan).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
