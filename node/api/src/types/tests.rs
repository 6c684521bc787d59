//! Golden JSON of every type: what is written here is what travels, and changes only with the API's version.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

/// The golden text reads as `T`, and `T` writes exactly the golden text: no field is missing, lost or renamed.
#[track_caller]
fn golden<T: Serialize + DeserializeOwned>(json: &str) {
    let expected: Value = serde_json::from_str(json).expect("the golden text is JSON");
    let value: T = serde_json::from_str(json).expect("the golden text reads as its type");
    assert_eq!(serde_json::to_value(&value).expect("it writes"), expected);
}

#[track_caller]
fn refused<T: DeserializeOwned + std::fmt::Debug>(json: &str, reason: &str) {
    let error = serde_json::from_str::<T>(json).expect_err("must be refused").to_string();
    assert!(error.contains(reason), "{error:?} does not say {reason:?}");
}

const WALLET: &str = r#"{"confirmed":"900","available":"600","reserved":"300","pending":"299","in_channels":"18446744073709551615"}"#;

const CHANNEL: &str = r#"{"id":"chan1q","peer":"node1p","online":true,"state":"active","role":"opener",
    "sequencer":"local","version":12,"generation":0,"capacity":"1000","balance":"700","peer_balance":"300",
    "pending":"0","spendable":"690","reserve":"10","dispute_window_ms":600000,"funding":"out1f",
    "opened_ms":1790000000000,"payments_sent":3,"payments_received":2,"sent_total":"30","received_total":"20",
    "payments_confirming":0,"confirming_total":"0"}"#;

const PAYMENT: &str = r#"{"id":"pay-1","channel":"chan1q","direction":"out","amount":"5","state":"settled",
    "version":13,"time_ms":1790000000001,"latency_us":812,"memo":"tea","idempotency_key":"k1"}"#;

const LATENCY: &str = r#"{"count":9,"mean_us":500,"p50_us":480,"p95_us":900,"p99_us":990,"max_us":1000}"#;

#[test]
fn node_answers() {
    golden::<Info>(&format!(
        r#"{{"node":"node1p","name":"alice","chain":"chain1c","chain_name":"local","version":"0.1.0","mode":"running",
        "validator":true,"uptime_ms":5,"listen":["/ip4/127.0.0.1/tcp/7421"],"peers":3,
        "channels":{{"opening":0,"active":2,"closing":0,"disputed":0,"settled":1,"damaged":0}},
        "ledger":{{"height":8,"time_ms":1790000000000,"tip_age_ms":250}},"wallet":{WALLET}}}"#
    ));
    golden::<Mode>(r#""recovery""#);
    golden::<Health>(r#"{"status":"ok"}"#);
    golden::<Ready>(r#"{"ready":true}"#);
    golden::<Ready>(r#"{"ready":false,"reason":"catching up"}"#);
}

#[test]
fn wallet_types() {
    golden::<Wallet>(WALLET);
    golden::<NewAddress>(r#"{"address":"addr1a"}"#);
    golden::<WalletSend>(r#"{"to":"addr1a","amount":"5"}"#);
    golden::<WalletSend>(r#"{"to":"addr1a","amount":"5","idempotency_key":"k"}"#);
    golden::<WalletSent>(r#"{"tx":"tx1t","fee":"2"}"#);
    golden::<HistoryPage>(
        r#"{"entries":[{"tx":"tx1t","kind":"channel_open","direction":"out","amount":"12","fee":"2","height":4,
        "time_ms":1790000000000,"channel":"chan1q"},
        {"tx":"tx1u","kind":"transfer","direction":"in","amount":"1"}],"next":"4.0"}"#,
    );
    golden::<HistoryQuery>(r#"{"limit":5,"before":"4.0"}"#);
}

#[test]
fn peer_types() {
    golden::<Peers>(
        r#"{"peers":[{"node":"node1p","connected":true,"addresses":["/ip4/127.0.0.1/tcp/1"],"direction":"outbound",
        "agent":"towpath/0.1.0","rtt_us":90,"connected_ms":1790000000000,"channels":1},
        {"node":"node1q","connected":false,"addresses":[],"channels":0}]}"#,
    );
    golden::<ConnectPeer>(r#"{"address":"/ip4/127.0.0.1/tcp/1/p2p/12D3"}"#);
}

#[test]
fn channel_types() {
    golden::<Channel>(CHANNEL);
    golden::<ChannelPage>(&format!(
        r#"{{"channels":[{CHANNEL}],"totals":{{"opening":0,"active":1,"closing":0,"disputed":0,"settled":0,
        "damaged":1}},"damaged":[{{"id":"chan1r","reason":"a row is damaged","output":"out1r"}}],"next":"chan1q"}}"#
    ));
    golden::<ChannelQuery>(r#"{"state":"disputed","peer":"node1p","limit":5,"after":"chan1q"}"#);
    golden::<OpenChannel>(
        r#"{"peer":"node1p","address":"127.0.0.1:7421","amount":"5","peer_amount":"5","dispute_window_ms":60000,
        "reserve":"1","wait":"active","timeout_ms":9000,"idempotency_key":"k"}"#,
    );
    golden::<OpenChannels>(
        r#"{"channels":[{"peer":"node1p","address":"127.0.0.1:7421","amount":"5"},{"peer":"node1q","amount":"6"}],
        "dispute_window_ms":60000,"reserve":"1","wait":"active","timeout_ms":9000,"idempotency_key":"k"}"#,
    );
    golden::<OpenedChannels>(&format!(
        r#"{{"tx":"tx1t","fee":"700","openings":[{{"peer":"node1p","amount":"5","id":"chan1q","channel":{CHANNEL}}},
        {{"peer":"node1q","amount":"6","error":{{"type":"urn:towpath:error:peer_refused","title":"The peer refused",
        "status":409,"code":"peer_refused","detail":"no"}}}}]}}"#
    ));
    golden::<CloseChannel>(r#"{"mode":"force","wait":"settled","timeout_ms":5}"#);
    golden::<Closed>(&format!(r#"{{"channel":{CHANNEL},"tx":"tx1t"}}"#));
    golden::<ChannelEventPage>(
        r#"{"events":[{"index":3,"time_ms":1790000000000,"kind":"state_co_signed","version":12,"detail":"d",
        "hash":"00ff"}],"next":"3"}"#,
    );
    golden::<PageQuery>(r#"{"limit":5,"before":"3"}"#);
    golden::<Vec<Outcome>>(r#"["cooperative","unilateral","resolved","penalized","abandoned"]"#);
    golden::<Vec<ChannelState>>(r#"["opening","active","closing","disputed","settled"]"#);
}

#[test]
fn payment_types() {
    golden::<Payment>(PAYMENT);
    golden::<Pay>(r#"{"amount":"5","memo":"tea","idempotency_key":"k","wait":"sent","timeout_ms":5}"#);
    golden::<PaymentPage>(&format!(r#"{{"payments":[{PAYMENT}],"next":"9"}}"#));
    golden::<StartStream>(r#"{"amount":"1","count":1000,"in_flight":64,"idempotency_key":"k"}"#);
    golden::<Stream>(&format!(
        r#"{{"id":"s-1","channel":"chan1q","amount":"1","count":1000,"in_flight":64,"state":"failed","sent":10,
        "settled":9,"failed":1,"latency":{LATENCY},"started_ms":1790000000000,"ended_ms":1790000000009,
        "elapsed_us":9000,"reason":"the channel is closing"}}"#
    ));
    assert_eq!(serde_json::from_str::<Pay>(r#"{"amount":"5"}"#).expect("reads").wait, PayWait::Settled);
}

#[test]
fn ledger_types() {
    golden::<LedgerInfo>(
        r#"{"chain":"chain1c","chain_name":"local","height":8,"tip":"block1b","time_ms":1790000000000,
        "state_root":"00","validators":[{"node":"node1p","power":1}],"supply":"1000000","fees":"7",
        "mempool":{"transactions":1,"bytes":300}}"#,
    );
    golden::<Block>(
        r#"{"id":"block1b","height":8,"parent":"block1a","time_ms":1790000000000,"proposer":"node1p",
        "transactions_root":"00","state_root":"01","validators":"02","transactions":["tx1t"],"size_bytes":512,
        "certificate":{"round":0,"signers":["node1p"]}}"#,
    );
    golden::<Transaction>(
        r#"{"id":"tx1t","status":"final","block":"block1b","height":8,"time_ms":1790000000000,
        "inputs":[{"outpoint":"out1f","witness":"wallet"}],
        "outputs":[{"outpoint":"out1g","amount":"5","lock":{"type":"wallet","address":"addr1a"}},
        {"outpoint":"out1h","asset":"asset1a","amount":"5","lock":{"type":"channel","channel":"chan1q","generation":0,
        "dispute_window_ms":60000}}],"payload":"reveal","size_bytes":300,"hex":"00"}"#,
    );
    golden::<SubmitTransaction>(r#"{"hex":"00"}"#);
    golden::<Submitted>(r#"{"tx":"tx1t"}"#);
    golden::<OutputInfo>(
        r#"{"outpoint":"out1f","amount":"5","lock":{"type":"closing","channel":"chan1q","version":9,"balance_a":"1",
        "balance_b":"2","deadline_ms":1790000000000,"penalized":false},"height":8,"time_ms":1790000000000}"#,
    );
    golden::<OutputProof>(
        r#"{"outpoint":"out1f","certified":{"height":9,"bytes":"00"},"proof":"02","entry":"03"}"#,
    );
    golden::<HeaderPage>(r#"{"headers":[{"height":9,"bytes":"00"}],"tip":9}"#);
    golden::<HeaderQuery>(r#"{"from":1,"limit":256}"#);
    golden::<Lock>(r#"{"type":"conditional","expiry_ms":5,"payee":"addr1a","payer":"addr1b"}"#);
}

#[test]
fn events_and_stats() {
    let bodies = [
        r#"{"type":"channel","channel":"chan1q","peer":"node1p","state":"settled","outcome":"penalized","tx":"tx1t"}"#,
        r#"{"type":"payment","payment":"p","channel":"chan1q","direction":"in","amount":"5","version":9,"memo":"tea"}"#,
        r#"{"type":"payment_sent","payment":"p","channel":"chan1q","count":64,"amount":"320"}"#,
        r#"{"type":"payment_failed","payment":"p","channel":"chan1q","direction":"in","amount":"5","reason":"offline"}"#,
        r#"{"type":"stream","stream":"s","channel":"chan1q","state":"done"}"#,
        r#"{"type":"peer","peer":"node1p","connected":false}"#,
        r#"{"type":"block","block":"block1b","height":8,"time_ms":1790000000000,"transactions":2}"#,
        r#"{"type":"wallet","tx":"tx1t","direction":"in","amount":"5"}"#,
        r#"{"type":"cheat","channel":"chan1q","posted":3,"held":9,"tx":"tx1t"}"#,
        r#"{"type":"mode","mode":"running"}"#,
    ];
    for (body, kind) in bodies.into_iter().zip(EventType::ALL) {
        golden::<EventBody>(body);
        golden::<Event>(&format!(r#"{{"index":7,"time_ms":1790000000000,"body":{body}}}"#));
        let read: EventBody = serde_json::from_str(body).expect("reads");
        assert_eq!(read.event_type(), Some(kind), "the kinds stand in the order of the bodies");
        golden::<EventType>(&format!("\"{kind}\""));
    }
    golden::<Gap>(r#"{"after":3,"resumed_after":90}"#);
    golden::<EventQuery>(r#"{"types":"payment,channel","channel":"chan1q","after":7}"#);
    golden::<Stats>(&format!(
        r#"{{"uptime_ms":1,"payments_sent":2,"payments_received":3,"payments_failed":4,"syncs":5,
        "sync_latency":{LATENCY},"bytes_written":6,"turns":7,"turn_inputs":{{"count":1,"items":2,"max":2}},
        "verified_signatures":{{"count":1,"items":2,"max":2}},"writes_per_sync":{{"count":1,"items":2,"max":2}},
        "messages_sent":8,"messages_received":9,"blocks_applied":10,"transactions_applied":11,"cpu_us":12,
        "memory_bytes":13,"database_bytes":14}}"#
    ));
}

#[test]
fn an_event_of_a_newer_node_is_read_as_unrecognised() {
    let event: Event =
        serde_json::from_str(r#"{"index":7,"time_ms":1,"body":{"type":"splice","channel":"c"}}"#)
            .expect("reads");
    assert_eq!(event.body, EventBody::Unrecognised);
    assert_eq!(event.body.event_type(), None);
}

#[test]
fn answers_may_gain_fields_but_requests_may_not() {
    assert!(serde_json::from_str::<Health>(r#"{"status":"ok","new":1}"#).is_ok());
    refused::<Pay>(r#"{"amount":"5","amuont":"6"}"#, "unknown field `amuont`");
    refused::<StartStream>(r#"{"amount":"5","count":1,"in_flight":1,"x":0}"#, "unknown field");
    refused::<WalletSend>(r#"{"to":"a","amount":"5","x":0}"#, "unknown field");
    refused::<OpenChannel>(r#"{"peer":"a","amount":"5","x":0}"#, "unknown field");
    refused::<CloseChannel>(r#"{"mode":"force","x":0}"#, "unknown field");
    refused::<ConnectPeer>(r#"{"address":"a","x":0}"#, "unknown field");
    refused::<SubmitTransaction>(r#"{"hex":"a","x":0}"#, "unknown field");
    refused::<ChannelQuery>(r#"{"x":0}"#, "unknown field");
}

#[test]
fn a5_amounts_are_exact_decimal_strings() {
    for (json, units) in [("\"0\"", 0), ("\"1\"", 1), ("\"9007199254740993\"", (1 << 53) + 1)] {
        assert_eq!(serde_json::from_str::<Units>(json).expect("reads"), Units(units));
    }
    golden::<Units>(r#""18446744073709551615""#);
    refused::<Units>(r#""18446744073709551616""#, "at most 18446744073709551615");
    for text in ["", "-1", "-0", "+1", "01", "00", "1.0", "1e3", " 1", "1 ", "0x1", "١", "1_000", "1,000"] {
        refused::<Units>(&format!("\"{text}\""), "digits only");
    }
    for number in ["1", "-0", "1e30", "9007199254740993", "1.5", "null", "true", "[]", "{}"] {
        refused::<Units>(number, "an amount as a decimal string");
    }
}

#[test]
fn a5_integers_are_exact_and_keys_come_once() {
    let stream = |count: &str| format!(r#"{{"amount":"1","count":{count},"in_flight":1}}"#);
    let exact: StartStream = serde_json::from_str(&stream("9007199254740993")).expect("reads");
    assert_eq!(exact.count, 9_007_199_254_740_993);
    for number in ["1e30", "-0", "1.0", "9007199254740993.0", "18446744073709551616", "-1"] {
        refused::<StartStream>(&stream(number), "");
    }
    refused::<Pay>(r#"{"amount":"5","amount":"6"}"#, "duplicate field `amount`");
    let deep = format!("{}1{}", "[".repeat(4096), "]".repeat(4096));
    refused::<Pay>(&format!(r#"{{"amount":{deep}}}"#), "");
}
