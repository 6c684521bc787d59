//! Gossip: the topics, what a message's id is, and the parameters of gossipsub.
//!
//! Messages are anonymous and unsigned on this layer: what matters is signed inside, and gossipsub's own signing costs
//! more than the rest of it together. Nothing is forwarded before the node has given its verdict.
//!
//! An id is the hash of topic and content, so that a message is delivered once however many publish it. But what is said
//! again because it had no effect must not be swallowed as a duplicate: a vote when the engine sees no progress, and a
//! transaction that everybody was told of too early. (Who answers an old state does so within milliseconds of the block
//! that shows it; the validators may apply that block a moment later, and until then the answer spends what they do not
//! know.) So both begin with one byte, the attempt. That of a consensus message is counted up for equal content. That of a
//! transaction is the step of the publisher's clock, so that those who publish it at once say the same, and nothing has to
//! be remembered of thousands of them. A higher attempt than the topic has is invalid, which bounds how often anybody can
//! replay a message.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, IdentTopic, MaxCountSubscriptionFilter, Message, MessageAuthenticity,
    MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode,
    WhitelistSubscriptionFilter, score_parameter_decay,
};
use towpath_crypto::hash::{ChainId, Digest, sha256};

use super::error::NetError;
use super::limits::{
    GOSSIP_ATTEMPTS_MAX, GOSSIP_BYTES_MAX, GOSSIP_MEMORY, GOSSIP_OVERHEAD_BYTES, GOSSIP_QUEUE_MAX,
    GOSSIP_REPEATS_MAX, GOSSIP_SMALL_BYTES_MAX, TRANSACTION_ATTEMPTS_MAX, TRANSACTION_STEP_MS,
};

/// The behaviour as it is used here: no compression (FAULTS N3), and only our topics.
pub(crate) type Gossipsub =
    Behaviour<libp2p::gossipsub::IdentityTransform, MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>>;

/// What gossip is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Topic {
    /// Transactions that wait for a block.
    Transactions,
    /// Proposals, votes and certificates.
    Consensus,
    /// Channels, nodes and fees that routes are made of.
    ChannelAnnouncements,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Transactions, Self::Consensus, Self::ChannelAnnouncements];

    /// Its name within one chain; part of the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Consensus => "consensus",
            Self::ChannelAnnouncements => "channel-announcements",
        }
    }

    /// The most bytes that a message may have, as the node sees it.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Consensus => GOSSIP_BYTES_MAX - 1,
            Self::Transactions | Self::ChannelAnnouncements => GOSSIP_SMALL_BYTES_MAX,
        }
    }

    /// How often equal content may be published within [`GOSSIP_MEMORY`], where that is more than once.
    const fn attempts_max(self) -> Option<u8> {
        match self {
            Self::Consensus => Some(GOSSIP_ATTEMPTS_MAX),
            Self::Transactions => Some(TRANSACTION_ATTEMPTS_MAX),
            Self::ChannelAnnouncements => None,
        }
    }

    fn wire(self, chain: &ChainId) -> IdentTopic {
        IdentTopic::new(format!("/towpath/{}/{}/1", chain.0, self.name()))
    }
}

/// The topics of one chain, and what of ours was published how often.
#[derive(Debug)]
pub(crate) struct Topics {
    hashes: Vec<(TopicHash, Topic)>,
    attempts: BTreeMap<Digest, u8>,
    order: VecDeque<Digest>,
}

impl Topics {
    pub(crate) fn new(chain: &ChainId) -> Self {
        let hashes = Topic::ALL.iter().map(|topic| (topic.wire(chain).hash(), *topic)).collect();
        Self { hashes, attempts: BTreeMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn topic(&self, hash: &TopicHash) -> Option<Topic> {
        self.hashes.iter().find(|(other, _)| other == hash).map(|(_, topic)| *topic)
    }

    pub(crate) fn hash(&self, topic: Topic) -> Option<TopicHash> {
        self.hashes.iter().find(|(_, other)| *other == topic).map(|(hash, _)| hash.clone())
    }

    /// What goes on the wire for `bytes` when the clock shows `now_ms`.
    pub(crate) fn wrap(&mut self, topic: Topic, bytes: Vec<u8>, now_ms: u64) -> Vec<u8> {
        let attempt = match topic {
            Topic::Consensus => self.next_attempt(sha256(&bytes)),
            Topic::Transactions => attempt_at(now_ms),
            Topic::ChannelAnnouncements => return bytes,
        };
        let mut wire = Vec::with_capacity(bytes.len() + 1);
        wire.push(attempt);
        wire.extend_from_slice(&bytes);
        wire
    }

    fn next_attempt(&mut self, content: Digest) -> u8 {
        if let Some(attempt) = self.attempts.get_mut(&content) {
            *attempt = (*attempt + 1) % GOSSIP_ATTEMPTS_MAX;
            return *attempt;
        }
        if self.order.len() >= GOSSIP_REPEATS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.attempts.remove(&oldest);
        }
        self.attempts.insert(content, 0);
        self.order.push_back(content);
        0
    }
}

/// The attempt of a transaction that is published when the clock shows `now_ms`.
fn attempt_at(now_ms: u64) -> u8 {
    let step = now_ms / TRANSACTION_STEP_MS % u64::from(TRANSACTION_ATTEMPTS_MAX);
    u8::try_from(step).unwrap_or(0)
}

/// What the node gets of a message from the wire; none if it is malformed.
pub(crate) fn unwrap(topic: Topic, mut wire: Vec<u8>) -> Option<Vec<u8>> {
    if let Some(attempts_max) = topic.attempts_max() {
        if *wire.first()? >= attempts_max {
            return None;
        }
        wire.remove(0);
    }
    (!wire.is_empty()).then_some(wire)
}

fn message_id(message: &Message) -> MessageId {
    let mut bytes = sha256(&message.data).0.to_vec();
    // Equal content under two topics is two messages.
    bytes.extend_from_slice(&sha256(message.topic.as_str().as_bytes()).0[..4]);
    MessageId(bytes)
}

/// The behaviour, subscribed to all topics, with scores on.
///
/// # Errors
/// [`NetError::Configuration`] if the library refuses a parameter.
pub(crate) fn behaviour(chain: &ChainId) -> Result<Gossipsub, NetError> {
    let refused = |error: &dyn std::fmt::Display| NetError::Configuration(format!("gossip: {error}"));
    let mut builder = ConfigBuilder::default();
    builder
        .protocol_id_prefix(format!("/towpath/gossip/{}", chain.0))
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(GOSSIP_BYTES_MAX + GOSSIP_OVERHEAD_BYTES)
        .duplicate_cache_time(GOSSIP_MEMORY)
        .flood_publish(true)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_secs(1))
        // Four nodes: every node is in every mesh, and none is counted as too few.
        .mesh_n_low(3)
        .mesh_n(6)
        .mesh_n_high(12)
        .mesh_outbound_min(1)
        .gossip_lazy(6)
        .prune_backoff(Duration::from_secs(30))
        .connection_handler_queue_len(GOSSIP_QUEUE_MAX)
        .max_publish_messages(256)
        .max_control_messages_sent(1024);
    for topic in Topic::ALL {
        builder
            .max_transmit_size_for_topic(topic.bytes_max() + GOSSIP_OVERHEAD_BYTES, topic.wire(chain).hash());
    }
    let config = builder.build().map_err(|error| refused(&error))?;
    let topics: HashSet<TopicHash> = Topic::ALL.iter().map(|topic| topic.wire(chain).hash()).collect();
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(topics),
        max_subscribed_topics: Topic::ALL.len(),
        max_subscriptions_per_request: Topic::ALL.len() * 2,
    };
    let mut behaviour =
        Gossipsub::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
            .map_err(|error| refused(&error))?;
    behaviour.with_peer_score(score_params(chain), thresholds()).map_err(|error| refused(&error))?;
    for topic in Topic::ALL {
        behaviour.subscribe(&topic.wire(chain)).map_err(|error| refused(&error))?;
    }
    Ok(behaviour)
}

/// Below this a peer's messages are no longer read, and strangers are disconnected.
pub(crate) const GRAYLIST: f64 = -80.0;

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -20.0,
        publish_threshold: -50.0,
        graylist_threshold: GRAYLIST,
        accept_px_threshold: 1000.0,
        opportunistic_graft_threshold: 1.0,
    }
}

fn score_params(chain: &ChainId) -> PeerScoreParams {
    PeerScoreParams {
        topics: Topic::ALL.iter().map(|topic| (topic.wire(chain).hash(), topic_score())).collect(),
        topic_score_cap: 20.0,
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: -5.0,
        ip_colocation_factor_threshold: 16.0,
        // A testnet on one machine has one address for all its nodes.
        ip_colocation_factor_whitelist: HashSet::from([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]),
        behaviour_penalty_weight: -10.0,
        // Restarts of honest nodes graft too early once or twice.
        behaviour_penalty_threshold: 4.0,
        behaviour_penalty_decay: score_parameter_decay(Duration::from_secs(120)),
        decay_interval: Duration::from_secs(1),
        decay_to_zero: 0.01,
        retain_score: Duration::from_secs(600),
        slow_peer_weight: -0.1,
        slow_peer_threshold: 50.0,
        slow_peer_decay: 0.5,
    }
}

/// One topic's part of a score. Deliveries are rewarded but their absence is not punished: in a small or idle network
/// there is nothing to deliver. Three invalid messages reach the graylist (3² × 10 > 80, less what was earned), and are
/// forgotten over ten minutes.
fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 200.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: score_parameter_decay(Duration::from_secs(60)),
        first_message_deliveries_cap: 30.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: score_parameter_decay(Duration::from_secs(600)),
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId(Digest([3; 32]));

    #[test]
    fn the_library_accepts_the_parameters() {
        assert_eq!(behaviour(&CHAIN).unwrap().topics().count(), Topic::ALL.len());
    }

    #[test]
    fn topics_carry_the_chain() {
        let (ours, theirs) = (Topics::new(&CHAIN), Topics::new(&ChainId(Digest([4; 32]))));
        for topic in Topic::ALL {
            let hash = ours.hash(topic).unwrap();
            assert_eq!(ours.topic(&hash), Some(topic));
            assert_eq!(theirs.topic(&hash), None);
        }
    }

    #[test]
    fn a_repeated_consensus_message_has_a_new_id_and_the_same_content() {
        let mut topics = Topics::new(&CHAIN);
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..GOSSIP_ATTEMPTS_MAX {
            let wire = topics.wrap(Topic::Consensus, b"vote".to_vec(), 0);
            let topic = topics.hash(Topic::Consensus).unwrap();
            let message = Message { source: None, data: wire.clone(), sequence_number: None, topic };
            assert!(ids.insert(message_id(&message).0));
            assert_eq!(unwrap(Topic::Consensus, wire).unwrap(), b"vote");
        }
        let again = topics.wrap(Topic::Consensus, b"vote".to_vec(), 0);
        assert_eq!(again[0], 0);
    }

    #[test]
    fn l20_a_transaction_that_is_handed_in_again_has_a_new_id_until_the_old_one_is_forgotten() {
        let mut topics = Topics::new(&CHAIN);
        let now_ms = 1_795_291_986_728;
        let mut at = |ms: u64| topics.wrap(Topic::Transactions, b"tx".to_vec(), now_ms + ms);
        let first = at(0);
        let memory_ms = u64::try_from(GOSSIP_MEMORY.as_millis()).unwrap();
        for again_ms in (TRANSACTION_STEP_MS..memory_ms).step_by(500) {
            let wire = at(again_ms);
            assert_ne!(wire, first, "after {again_ms} ms");
            assert_eq!(unwrap(Topic::Transactions, wire).unwrap(), b"tx");
        }
        let mut others = Topics::new(&CHAIN);
        let of_another = others.wrap(Topic::Transactions, b"tx".to_vec(), now_ms);
        assert_eq!(of_another, first, "who says it at the same time says the same");
    }

    #[test]
    fn n5_an_attempt_beyond_the_bound_and_an_empty_message_are_malformed() {
        for (topic, attempts_max) in
            [(Topic::Consensus, GOSSIP_ATTEMPTS_MAX), (Topic::Transactions, TRANSACTION_ATTEMPTS_MAX)]
        {
            assert_eq!(unwrap(topic, vec![attempts_max, 1]), None);
            assert!(unwrap(topic, vec![attempts_max - 1, 1]).is_some());
            assert_eq!(unwrap(topic, vec![0]), None);
            assert_eq!(unwrap(topic, vec![]), None);
        }
        assert_eq!(unwrap(Topic::ChannelAnnouncements, vec![]), None);
    }

    #[test]
    fn the_memory_of_attempts_is_bounded() {
        let mut topics = Topics::new(&CHAIN);
        for index in 0..GOSSIP_REPEATS_MAX + 10 {
            topics.wrap(Topic::Consensus, index.to_le_bytes().to_vec(), 0);
        }
        assert_eq!(topics.attempts.len(), GOSSIP_REPEATS_MAX);
        assert_eq!(topics.order.len(), GOSSIP_REPEATS_MAX);
    }
}
