//! Event streams: order, filters, resuming, gaps, the end.

use towpath_api::{ChannelState, Code, Direction, EventBody, EventItem, EventQuery, Gap, Units};

use super::super::limits::LISTENERS_MAX;
use super::fake::CHANNEL;
use super::serve;

fn block(height: u64) -> EventBody {
    EventBody::Block { block: "block1b".to_owned(), height, time_ms: 1, transactions: 0 }
}

fn payment() -> EventBody {
    EventBody::Payment {
        payment: "p".to_owned(),
        channel: CHANNEL.to_owned(),
        direction: Direction::In,
        amount: Units(5),
        version: 3,
        memo: Some("line\nbreak".to_owned()),
    }
}

fn channel() -> EventBody {
    let channel = "chan1other".to_owned();
    EventBody::Channel {
        channel,
        peer: "node1p".to_owned(),
        state: ChannelState::Active,
        outcome: None,
        tx: None,
    }
}

fn index(item: EventItem) -> u64 {
    match item {
        EventItem::Event(event) => event.index,
        EventItem::Gap(gap) => panic!("a gap: {gap:?}"),
    }
}

#[tokio::test]
async fn events_come_once_and_in_order_from_where_the_listener_was() {
    let served = serve().await;
    served.fake.emit(block(1));
    served.fake.emit(block(2));
    let mut live = served.client.events(EventQuery::default()).await.expect("opens");
    let mut all =
        served.client.events(EventQuery { after: Some(0), ..EventQuery::default() }).await.expect("opens");
    served.fake.emit(payment());
    assert_eq!(index(live.next().await.expect("an event")), 3);
    for expected in 1..=3 {
        assert_eq!(index(all.next().await.expect("an event")), expected);
    }
    let mut after = served
        .client
        .events(EventQuery { after: all.place(), ..EventQuery::default() })
        .await
        .expect("opens");
    served.fake.emit(block(3));
    let EventItem::Event(event) = after.next().await.expect("an event") else { panic!("no gap") };
    assert_eq!((event.index, event.body), (4, block(3)));
    served.stop().await;
}

#[tokio::test]
async fn filters_keep_kinds_and_channels_and_the_place_moves_on() {
    let served = serve().await;
    let query = |types: Option<&str>, channel: Option<&str>| EventQuery {
        types: types.map(str::to_owned),
        channel: channel.map(str::to_owned),
        after: Some(0),
    };
    let mut kinds = served.client.events(query(Some("payment, channel"), None)).await.expect("opens");
    let mut one = served.client.events(query(None, Some("chan1q"))).await.expect("opens");
    for body in [block(1), channel(), payment(), block(2)] {
        served.fake.emit(body);
    }
    assert_eq!(index(kinds.next().await.expect("an event")), 2);
    assert_eq!(index(kinds.next().await.expect("an event")), 3);
    assert_eq!(index(one.next().await.expect("an event")), 3);
    let unknown = served.client.events(query(None, Some("chan1zzzz"))).await.err().expect("no such channel");
    assert_eq!(unknown.code(), Some(Code::ChannelNotFound));
    served.stop().await;
}

#[tokio::test]
async fn pruned_events_are_a_gap() {
    let served = serve().await;
    for height in 1..=5 {
        served.fake.emit(block(height));
    }
    served.fake.prune(3);
    let mut reader =
        served.client.events(EventQuery { after: Some(1), ..EventQuery::default() }).await.expect("opens");
    assert_eq!(reader.next().await.expect("a gap"), EventItem::Gap(Gap { after: 1, resumed_after: 3 }));
    assert_eq!(index(reader.next().await.expect("an event")), 4);
    assert_eq!(index(reader.next().await.expect("an event")), 5);
    served.stop().await;
}

#[tokio::test]
async fn what_travels_is_what_the_standard_says() {
    let served = serve().await;
    served.fake.emit(payment());
    let mut response = reqwest::Client::new()
        .get(served.url("/v1/events?after=99"))
        .header("last-event-id", "0")
        .bearer_auth(served.token.expose())
        .send()
        .await
        .expect("it answers");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let expected = "id: 0\n\nid: 1\nevent: payment\ndata: {\"index\":1,\"time_ms\":1,\"body\":{\"type\":\"payment\",\
        \"payment\":\"p\",\"channel\":\"chan1qqqq\",\"direction\":\"in\",\"amount\":\"5\",\"version\":3,\
        \"memo\":\"line\\nbreak\"}}\n\n: heartbeat\nid: 1\n\n";
    let mut text = String::new();
    while text.len() < expected.len() {
        let chunk = response.chunk().await.expect("it goes on").expect("it has no end");
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
    assert!(text.starts_with(expected), "{text}");
    served.stop().await;
}

#[tokio::test]
async fn a_reader_goes_on_after_the_node_was_restarted() {
    let served = serve().await;
    let mut reader =
        served.client.events(EventQuery { after: Some(0), ..EventQuery::default() }).await.expect("opens");
    served.fake.emit(block(1));
    assert_eq!(index(reader.next().await.expect("an event")), 1);
    let address = served.address;
    served.stop().await;
    let again = super::serve_at(address, Vec::new()).await;
    again.fake.emit(block(1));
    again.fake.emit(block(2));
    assert_eq!(index(reader.next().await.expect("an event")), 2);
    again.stop().await;
}

#[tokio::test]
async fn a5_listeners_over_the_limit_are_turned_away() {
    let served = serve().await;
    let mut readers = Vec::new();
    for _ in 0..LISTENERS_MAX {
        readers.push(served.client.events(EventQuery::default()).await.expect("opens"));
    }
    let refused = served.client.events(EventQuery::default()).await.err().expect("too many");
    assert_eq!(refused.code(), Some(Code::TooManyRequests));
    // Streams don't hold the shutdown up.
    served.stop().await;
}
