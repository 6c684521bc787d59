//! A running node's API against callers who may not call, and requests that mean harm (FAULTS A1, A2, A3, A5).

use tokio::io::AsyncWriteExt;
use towpath_testnet::{Plan, Topology};
use towpath_tests::http::{Api, answer};
use towpath_tests::kit::{Net, metric, pay};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Every method and path that the node itself says it has, with ids filled in.
async fn routes(api: &Api) -> Vec<(String, String)> {
    let bearer = api.bearer();
    let answer = api.send("GET", "/openapi.json", &[("authorization", &bearer)], "").await;
    let (_, body) = answer.text.split_once("\r\n\r\n").expect("a body");
    let document: serde_json::Value = serde_json::from_str(body).expect("the OpenAPI document");
    let paths = document["paths"].as_object().expect("paths");
    let mut routes = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().expect("methods").keys() {
            routes.push((method.to_uppercase(), path.replace("{id}", "chan1qqqqqqqq")));
        }
    }
    assert!(routes.len() >= 28, "{} routes", routes.len());
    routes
}

#[tokio::test]
async fn a1_a2_a3_strangers_and_web_pages_get_nothing_from_a_running_node() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(1_000_000).await[..] else { panic!("one channel") };
    let alice = net.client("alice");
    let before = alice.channel(&edge.channel).await.expect("a channel");
    let api = Api::of(net.node("alice"));
    let (bearer, wrong) = (api.bearer(), format!("Bearer {}", "0".repeat(64)));
    for (method, path) in routes(&api).await {
        let is_open = path == "/health" || path == "/ready";
        let expected = if is_open { 200 } else { 401 };
        for header in [None, Some(wrong.as_str()), Some("Bearer "), Some("Basic YTpi")] {
            let mut headers = vec![JSON];
            headers.extend(header.map(|value| ("authorization", value)));
            let answer = api.send(&method, &path, &headers, "{}").await;
            assert_eq!(answer.status, expected, "A1: {method} {path} with {header:?}: {}", answer.text);
        }
        // Host and origin are looked at first, token or not.
        let foreign = [JSON, ("authorization", bearer.as_str()), ("host", "evil.example")];
        let answer = api.send(&method, &path, &foreign, "{}").await;
        assert_eq!(answer.status, 421, "A3: {method} {path}: {}", answer.text);
        let foreign = [JSON, ("authorization", bearer.as_str()), ("origin", "http://evil.example")];
        let answer = api.send(&method, &path, &foreign, "{}").await;
        assert_eq!(answer.status, 403, "A2: {method} {path}: {}", answer.text);
    }
    // A form, as a web page can post it without asking.
    let path = format!("/v1/channels/{}/pay", edge.channel);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let headers = [("content-type", content_type), ("authorization", bearer.as_str())];
        let answer = api.send("POST", &path, &headers, r#"{"amount":"5"}"#).await;
        assert_eq!(answer.status, 415, "A2: {content_type}: {}", answer.text);
    }
    assert_eq!(alice.channel(&edge.channel).await.expect("a channel"), before, "nothing of it had an effect");
    pay(&alice, &edge.channel, 5).await.expect("the owner pays");
}

#[tokio::test]
async fn a5_bodies_that_mean_harm_are_refused_and_the_node_goes_on() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(1_000_000).await[..] else { panic!("one channel") };
    let alice = net.client("alice");
    let api = Api::of(net.node("alice"));
    let bearer = api.bearer();
    let headers = [JSON, ("authorization", bearer.as_str())];
    let path = format!("/v1/channels/{}/pay", edge.channel);
    let (deep_list, deep_object) = ("[".repeat(100_000), "{\"amount\":".repeat(20_000));
    for (body, status) in [
        (" ".repeat(300 * 1024), 413),
        (deep_list, 400),
        (deep_object, 400),
        ("[\"5\"]".to_owned(), 400),
        ("{\"amount\":5}".to_owned(), 400),
        ("{\"amount\":\"5\",\"amount\":\"6\"}".to_owned(), 400),
        ("{\"amount\":\"1e3\"}".to_owned(), 400),
        ("{\"amount\":\"18446744073709551616\"}".to_owned(), 400),
        ("\u{0}".to_owned(), 400),
    ] {
        let answer = api.send("POST", &path, &headers, &body).await;
        let shown = &body[..body.len().min(40)];
        // A body that is refused while it is still being sent may be answered by a reset.
        let is_cut_off = body.len() > 200_000 && answer.status == 0;
        assert!(answer.status == status || is_cut_off, "{shown}: {}", answer.text);
    }
    // Announced and never sent, and sent byte by byte: both are given up, in the node's time and not in the caller's.
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: {bearer}\r\ncontent-type: application/json\r\n",
        api.address
    );
    let mut silent = api.connect().await;
    silent.write_all(format!("{head}content-length: 14\r\n\r\n{{").as_bytes()).await.expect("it reads");
    let mut endless = api.connect().await;
    endless.write_all(format!("{head}content-length: 100000\r\n\r\n").as_bytes()).await.expect("it reads");
    let (read, mut write) = endless.into_split();
    let drip = tokio::spawn(async move {
        // As slowly as the node lets it: each byte waits until the last one is gone.
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(200));
        while write.write_all(b" ").await.is_ok() {
            ticks.tick().await;
        }
    });
    let silent = answer(silent).await;
    assert_eq!(silent.status, 408, "{}", silent.text);
    let mut text = String::new();
    let mut read = read;
    let _end_or_reset = tokio::io::AsyncReadExt::read_to_string(&mut read, &mut text).await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    drip.abort();

    assert_eq!(metric(&alice, "towpath_payments_sent_total").await, 0, "none of it was a payment");
    pay(&alice, &edge.channel, 5).await.expect("the node goes on");
}
