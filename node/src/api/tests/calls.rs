//! Calls through the client: answers, refusals, waits, shutdown.

use std::sync::atomic::Ordering;

use towpath_api::*;

use super::fake::CHANNEL;
use super::serve;

fn pay(amount: u64, key: &str) -> Pay {
    Pay {
        amount: Units(amount),
        memo: None,
        idempotency_key: Some(key.to_owned()),
        wait: PayWait::Settled,
        timeout_ms: None,
    }
}

#[tokio::test]
async fn the_client_reaches_every_part_of_the_node() {
    let served = serve().await;
    let client = &served.client;
    assert_eq!(client.health().await.expect("answers").status, "ok");
    assert!(client.ready().await.expect("answers").ready);
    let info = client.info().await.expect("answers");
    assert_eq!((info.name.as_str(), info.wallet.in_channels), ("fake", Units(u64::MAX)));
    assert_eq!(client.stats().await.expect("answers"), Stats::default());
    assert_eq!(client.metrics().await.expect("answers"), "0 of 1 connections listen\n");
    assert_eq!(client.wallet().await.expect("answers").confirmed, Units(1));
    assert_eq!(client.new_address().await.expect("answers").address, "addr1a");
    assert!(
        client
            .history(&HistoryQuery { limit: Some(500), before: None })
            .await
            .expect("answers")
            .entries
            .is_empty()
    );
    assert!(client.peers().await.expect("answers").peers.is_empty());
    client.disconnect("node1p").await.expect("answers");
    let query = ChannelQuery { state: Some(ChannelState::Active), limit: Some(1), ..ChannelQuery::default() };
    assert_eq!(client.channels(&query).await.expect("answers").totals.active, 1);
    assert_eq!(client.channel("chan1q").await.expect("answers").id, CHANNEL);
    assert_eq!(client.pay(CHANNEL, &pay(5, "k")).await.expect("answers").state, PaymentState::Settled);
    assert_eq!(client.payments(CHANNEL, &PageQuery::default()).await.expect("answers").payments.len(), 1);
    assert!(client.channel_events(CHANNEL, &PageQuery::default()).await.expect("answers").events.is_empty());
    let close = CloseChannel {
        mode: CloseMode::Force,
        force_after_ms: None,
        wait: CloseWait::Sent,
        timeout_ms: Some(5),
    };
    assert_eq!(client.close_channel(CHANNEL, &close).await.expect("answers").channel.id, CHANNEL);
    let one = OpenOne { peer: "node1p".to_owned(), address: None, amount: Units(7) };
    let open = OpenChannels {
        channels: vec![one],
        dispute_window_ms: None,
        reserve: None,
        expires_ms: None,
        wait: OpenWait::Accepted,
        timeout_ms: None,
        idempotency_key: None,
    };
    let opened = client.open_channels(&open).await.expect("answers");
    assert_eq!(opened.openings[0].error.as_ref().map(|error| error.code), Some(Code::PeerRefused));
    let transaction = SubmitTransaction { hex: "00ff".to_owned() };
    assert_eq!(client.submit_transaction(&transaction).await.expect("answers").tx, "tx1len2");
    let open = client.openapi().await.expect("answers");
    assert_eq!(open["paths"]["/v1/channels/{id}/pay"]["post"]["operationId"], "pay");

    let code = |error: ClientError| error.code().expect("the node refused");
    let connect = ConnectPeer { address: "x".to_owned() };
    assert_eq!(code(client.connect(&connect).await.expect_err("none")), Code::PeerNotFound);
    assert_eq!(code(client.ledger().await.expect_err("none")), Code::NotReady);
    assert_eq!(code(client.block("latest").await.expect_err("none")), Code::BlockNotFound);
    assert_eq!(code(client.transaction("tx1t").await.expect_err("none")), Code::TransactionNotFound);
    assert_eq!(code(client.output("out1o").await.expect_err("none")), Code::OutputNotFound);
    assert_eq!(code(client.output_proof("out1o").await.expect_err("none")), Code::OutputNotFound);
    let headers = client.headers(&HeaderQuery::default()).await.expect_err("none");
    assert_eq!(code(headers), Code::NotReady);
    assert_eq!(code(client.stream("s").await.expect_err("none")), Code::StreamNotFound);
    assert_eq!(code(client.stop_stream("s").await.expect_err("none")), Code::StreamNotFound);
    let stream = StartStream { amount: Units(1), count: 1, in_flight: 1, idempotency_key: None };
    assert_eq!(code(client.start_stream(CHANNEL, &stream).await.expect_err("none")), Code::ChannelNotActive);
    served.stop().await;
}

#[tokio::test]
async fn a7_the_same_key_pays_once() {
    let served = serve().await;
    let first = served.client.pay(CHANNEL, &pay(5, "once")).await.expect("paid");
    let second = served.client.pay(CHANNEL, &pay(5, "once")).await.expect("the same");
    assert_eq!((first.id == second.id, served.fake.paid()), (true, 1));
    let other = served.client.pay(CHANNEL, &pay(6, "once")).await.expect_err("another amount");
    assert_eq!(other.code(), Some(Code::IdempotencyConflict));
    served.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_serve_says_why() {
    let served = serve().await;
    served.fake.ready.store(false, Ordering::SeqCst);
    let error = served.client.ready().await.expect_err("not ready");
    let error = error.api().expect("the node's words");
    assert_eq!((error.status, error.code, error.detail.as_str()), (503, Code::NotReady, "catching up"));
    served.stop().await;
}

#[tokio::test]
async fn an_outcome_that_does_not_come_is_open_not_failed() {
    let served = serve().await;
    served.fake.stuck.store(true, Ordering::SeqCst);
    let error =
        served.client.pay(CHANNEL, &Pay { timeout_ms: Some(1), ..pay(5, "k") }).await.expect_err("too late");
    assert_eq!(error.code(), Some(Code::WaitTimeout));
    served.stop().await;
}

#[tokio::test]
async fn a_shutdown_ends_waits_and_connections() {
    let served = serve().await;
    served.fake.stuck.store(true, Ordering::SeqCst);
    let client = served.client.clone();
    let waiting = tokio::spawn(async move { client.pay(CHANNEL, &pay(5, "k")).await });
    // The request is under way once another one on the same server was answered after the task had run.
    served.client.health().await.expect("answers");
    let client = served.client.clone();
    served.stop().await;
    let ended = waiting.await.expect("no panic").expect_err("the node stopped");
    // Stopped while it waited, or before it had arrived.
    assert!(ended.code() == Some(Code::NotReady) || ended.is_unreachable(), "{ended}");
    let error = client.health().await.expect_err("nobody listens");
    assert!(error.is_unreachable());
    assert!(error.to_string().ends_with("is the node running?"), "{error}");
}

#[tokio::test]
async fn values_that_make_no_sense_are_refused_before_the_node_is_asked() {
    let served = serve().await;
    let channel = format!("/v1/channels/{CHANNEL}");
    let long = "x".repeat(257);
    for (path, body, code) in [
        ("/pay", r#"{"amount":"0"}"#.to_owned(), "invalid_amount"),
        ("/pay", format!(r#"{{"amount":"1","memo":"{long}"}}"#), "invalid_request"),
        ("/pay", r#"{"amount":"1","idempotency_key":""}"#.to_owned(), "invalid_request"),
        ("/pay", r#"{"amount":"1","idempotency_key":"a b"}"#.to_owned(), "invalid_request"),
        ("/pay", r#"{"amount":"1","timeout_ms":600001}"#.to_owned(), "invalid_request"),
        ("/pay", r#"{"amount":"1","wait":"soon"}"#.to_owned(), "invalid_json"),
        ("/streams", r#"{"amount":"1","count":0,"in_flight":1}"#.to_owned(), "invalid_request"),
        ("/streams", r#"{"amount":"1","count":1,"in_flight":0}"#.to_owned(), "invalid_request"),
        ("/streams", r#"{"amount":"1","count":1,"in_flight":100000}"#.to_owned(), "invalid_request"),
        (
            "/streams",
            r#"{"amount":"18446744073709551615","count":2,"in_flight":1}"#.to_owned(),
            "invalid_amount",
        ),
        ("/close", r#"{"mode":"soon"}"#.to_owned(), "invalid_json"),
    ] {
        let (status, answer) = served.post(&format!("{channel}{path}"), &body).await;
        assert_eq!((status, answer["code"].as_str()), (400, Some(code)), "{path} {body}: {answer}");
    }
    for (path, body, code) in [
        ("/v1/channels", r#"{"peer":"n","amount":"0"}"#, "invalid_amount"),
        (
            "/v1/channels",
            r#"{"peer":"n","amount":"18446744073709551615","peer_amount":"1"}"#,
            "invalid_amount",
        ),
        ("/v1/channels/batch", r#"{"channels":[]}"#, "invalid_request"),
        ("/v1/channels/batch", r#"{"channels":[{"peer":"n","amount":"0"}]}"#, "invalid_amount"),
        (
            "/v1/channels/batch",
            r#"{"channels":[{"peer":"n","amount":"1","peer_amount":"1"}]}"#,
            "invalid_json",
        ),
        (
            "/v1/channels/batch",
            r#"{"channels":[{"peer":"n","amount":"18446744073709551615"},{"peer":"m","amount":"1"}]}"#,
            "invalid_amount",
        ),
        ("/v1/ledger/transactions", r#"{"hex":"0g"}"#, "invalid_request"),
        ("/v1/ledger/transactions", r#"{"hex":""}"#, "invalid_request"),
        ("/v1/wallet/addresses", r#"{"x":1}"#, "invalid_json"),
    ] {
        let (status, answer) = served.post(path, body).await;
        assert_eq!((status, answer["code"].as_str()), (400, Some(code)), "{path} {body}: {answer}");
    }
    let too_many = vec![r#"{"peer":"n","amount":"1"}"#; limits::CHANNELS_TOGETHER_MAX + 1].join(",");
    let (status, answer) =
        served.post("/v1/channels/batch", &format!(r#"{{"channels":[{too_many}]}}"#)).await;
    assert_eq!((status, answer["code"].as_str()), (400, Some("invalid_request")), "{answer}");
    for path in [
        "/v1/channels?limit=0",
        "/v1/channels?limit=501",
        "/v1/channels?limit=1&limit=2",
        "/v1/channels?sate=active",
        "/v1/channels?state=open",
        "/v1/events?types=payments",
        "/v1/events?after=-1",
        "/v1/ledger/headers?from=-1",
    ] {
        let response =
            reqwest::Client::new().get(served.url(path)).bearer_auth(served.token.expose()).send().await;
        let response = response.expect("it answers");
        let (status, answer) = (response.status().as_u16(), response.text().await.expect("text"));
        assert!(status == 400 && answer.contains("invalid_request"), "{path}: {status} {answer}");
    }
    for id in ["a%2Fb", "..%2f..", "%00", "a%20b", "%ff", "ch%C3%A4n", &"a".repeat(600)] {
        let path = format!("/v1/channels/{id}");
        let response =
            reqwest::Client::new().get(served.url(&path)).bearer_auth(served.token.expose()).send().await;
        let answer = response.expect("it answers").text().await.expect("text");
        assert!(answer.contains("invalid_id"), "{id}: {answer}");
    }
    served.stop().await;
}
