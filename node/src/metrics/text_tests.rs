//! What a scrape reads, and that the documentation lists it.

use std::collections::BTreeSet;

use towpath_api::ChannelTotals;

use super::*;
use crate::api::ApiUsage;
use crate::metrics::Buckets;

#[test]
fn a_reading_is_valid_text_with_every_value_in_its_unit() {
    let latency = Buckets::default();
    latency.record_time(std::time::Duration::from_micros(700));
    latency.record_time(std::time::Duration::from_secs(600));
    let mut reading = Reading {
        channels: ChannelTotals { active: 4, damaged: 1, ..ChannelTotals::default() },
        height: 9,
        api: ApiUsage { listeners: 2, connections: 3 },
        ..Reading::default()
    };
    reading.workers.payments_sent = 12;
    reading.workers.payment_latency_us = latency.read();
    reading.net.frames_not_decrypted = 5;
    reading.net.bytes_sent = 1_000;
    reading.usage.cpu_us = 1_500_000;
    let text = reading.encode();
    for line in [
        "towpath_payments_sent_total 12",
        "towpath_channels{state=\"active\"} 4",
        "towpath_channels{state=\"damaged\"} 1",
        "towpath_channels{state=\"settled\"} 0",
        "towpath_ledger_height 9",
        "towpath_event_listeners 2",
        "towpath_api_connections 3",
        "towpath_frames_rejected_total{reason=\"decryption\"} 5",
        "towpath_frames_rejected_total{reason=\"length\"} 0",
        "towpath_messages_sent_bytes_total 1000",
        "towpath_process_cpu_seconds_total 1.5",
        "towpath_payment_latency_seconds_count 2",
        "towpath_payment_latency_seconds_sum 600.0007",
        "towpath_payment_latency_seconds_bucket{le=\"0.000512\"} 0",
        "towpath_payment_latency_seconds_bucket{le=\"0.001024\"} 1",
        "towpath_payment_latency_seconds_bucket{le=\"+Inf\"} 2",
        "towpath_turn_inputs_bucket{le=\"+Inf\"} 0",
        "# UNIT towpath_payment_latency_seconds seconds",
        "# EOF",
    ] {
        assert!(text.lines().any(|have| have == line), "no line {line:?} in:\n{text}");
    }
}

#[test]
fn no_metric_stands_twice_and_no_label_grows_with_channels_or_peers() {
    let text = Reading::default().encode();
    let mut names = BTreeSet::new();
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        assert!(names.insert(name.to_owned()), "{name} stands twice");
    }
    let labels: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once('{')?.1.split_once('=').map(|(name, _)| name))
        .collect();
    assert_eq!(labels.into_iter().collect::<Vec<_>>(), ["le", "reason", "state"]);
}

#[test]
fn the_documentation_lists_every_metric_with_its_kind_and_no_other() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"))
        .expect("docs/metrics.md");
    let mut wanted = BTreeSet::new();
    for Metric(name, unit, help, value) in Reading::default().metrics() {
        let unit = unit.map_or_else(String::new, |unit| format!("_{}", unit.as_str()));
        let total = if matches!(value.kind(), MetricType::Counter) { "_total" } else { "" };
        let kind = value.kind();
        wanted.insert(format!("| `towpath_{name}{unit}{total}` | {} | {help} |", kind.as_str()));
    }
    let listed: BTreeSet<String> =
        docs.lines().filter(|line| line.starts_with("| `towpath_")).map(str::to_owned).collect();
    let missing: Vec<_> = wanted.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&wanted).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:#?}\nnot there any more: {stale:#?}");
}
