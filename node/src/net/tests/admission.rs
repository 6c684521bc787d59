//! The bounds on connections, one by one.

use std::time::Duration;

use super::*;

fn peer(seed: u8) -> PeerId {
    crate::net::identity::keypair(&[seed; 32]).unwrap().public().to_peer_id()
}

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        incoming: 4,
        outgoing: 2,
        per_peer: 2,
        per_address: 3,
        pending_incoming: 6,
        pending_outgoing: 2,
    }
}

fn from(text: &str) -> ConnectedPoint {
    let address: Multiaddr = text.parse().unwrap();
    ConnectedPoint::Listener { local_addr: address.clone(), send_back_addr: address }
}

struct Subject {
    admission: Admission,
    next: usize,
}

impl Subject {
    fn new() -> Self {
        Self { admission: Admission::new(limits()), next: 0 }
    }

    fn incoming(&mut self, seed: u8, address: &str) -> Result<ConnectionId, Refusal> {
        self.next += 1;
        let id = ConnectionId::new_unchecked(self.next);
        let point = from(address);
        let origin = origin_of(point.get_remote_address());
        self.admission.check_pending_in(origin)?;
        self.admission.check_established(&peer(seed), Direction::In, origin, Instant::now())?;
        self.admission.on_established(id, peer(seed), &point);
        Ok(id)
    }
}

#[test]
fn n1_one_node_has_a_bounded_number_of_connections_even_if_wanted() {
    let mut subject = Subject::new();
    subject.admission.want(peer(1));
    let first = subject.incoming(1, "/ip4/1.1.1.1/tcp/1").unwrap();
    subject.incoming(1, "/ip4/1.1.1.2/tcp/1").unwrap();
    assert_eq!(subject.incoming(1, "/ip4/1.1.1.3/tcp/1"), Err(Refusal::PerPeer));
    subject.admission.on_closed(first);
    assert!(subject.incoming(1, "/ip4/1.1.1.3/tcp/1").is_ok());
}

#[test]
fn n1_one_address_has_a_bounded_number_of_connections() {
    let mut subject = Subject::new();
    for seed in 1..=3 {
        subject.incoming(seed, "/ip4/1.1.1.1/tcp/1").unwrap();
    }
    assert_eq!(subject.incoming(4, "/ip4/1.1.1.1/udp/9/quic-v1"), Err(Refusal::PerAddress));
    assert!(subject.incoming(4, "/ip4/1.1.1.2/tcp/1").is_ok());
}

#[test]
fn n1_an_ipv6_network_counts_as_one_address_and_a_mapped_address_as_its_ipv4() {
    let mut subject = Subject::new();
    for seed in 1..=3 {
        subject.incoming(seed, &format!("/ip6/2001:db8::{seed}/tcp/1")).unwrap();
    }
    assert_eq!(subject.incoming(4, "/ip6/2001:db8::ffff:1:2:3/tcp/1"), Err(Refusal::PerAddress));
    assert!(subject.incoming(4, "/ip6/2001:db8:0:1::1/tcp/1").is_ok());
    let mapped: Multiaddr = "/ip6/::ffff:1.2.3.4/tcp/1".parse().unwrap();
    assert_eq!(origin_of(&mapped), Some("1.2.3.4".parse().unwrap()));
}

#[test]
fn n1_strangers_cannot_take_the_place_of_a_wanted_node() {
    let mut subject = Subject::new();
    for seed in 1..=4 {
        subject.incoming(seed, &format!("/ip4/1.1.1.{seed}/tcp/1")).unwrap();
    }
    assert_eq!(subject.incoming(5, "/ip4/1.1.1.5/tcp/1"), Err(Refusal::Incoming));
    subject.admission.want(peer(6));
    assert!(subject.incoming(6, "/ip4/1.1.1.6/tcp/1").is_ok());
    subject.admission.unwant(&peer(6));
    assert_eq!(subject.incoming(6, "/ip4/1.1.1.6/tcp/1"), Err(Refusal::Incoming));
}

#[test]
fn loopback_has_no_bound_per_address() {
    let mut subject = Subject::new();
    for seed in 1..=4 {
        subject.incoming(seed, "/ip4/127.0.0.1/tcp/1").unwrap();
    }
}

#[test]
fn n1_pending_connections_are_bounded_per_address_and_in_total() {
    let mut admission = Admission::new(limits());
    let mut pend = |id: usize, address: &str| {
        let remote: Multiaddr = address.parse().unwrap();
        admission.handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &remote, &remote)
    };
    for id in 0..3 {
        pend(id, "/ip4/1.1.1.1/tcp/1").unwrap();
    }
    assert!(pend(3, "/ip4/1.1.1.1/tcp/1").is_err());
    for id in 4..7 {
        pend(id, "/ip4/1.1.1.2/tcp/1").unwrap();
    }
    assert!(pend(7, "/ip4/1.1.1.3/tcp/1").is_err());
}

#[test]
fn a_ban_ends_and_the_table_of_bans_is_bounded() {
    let mut admission = Admission::new(limits());
    let now = Instant::now();
    admission.ban(peer(1), now + Duration::from_secs(1));
    assert!(admission.is_banned(&peer(1), now));
    assert!(!admission.is_banned(&peer(1), now + Duration::from_secs(1)));
    for index in 0..BANS_MAX + 10 {
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&index.to_le_bytes());
        let peer = crate::net::identity::keypair(&secret).unwrap().public().to_peer_id();
        admission.ban(peer, now + Duration::from_secs(60));
    }
    assert_eq!(admission.bans.len(), BANS_MAX);
}
