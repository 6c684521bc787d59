//! A channel's log for people: what each entry says, from this node's side of the channel.

use towpath_api::{ChannelEvent, grouped};
use towpath_ledger::{Amount, Party};
use towpath_protocol as protocol;
use towpath_protocol::{Change, ClosingStage, EventKind, Life, ResizeFailure, VersionSummary};

/// An entry as the API shows it to the party `me`.
pub(super) fn entry(entry: &protocol::ChannelEvent, me: Party) -> ChannelEvent {
    ChannelEvent {
        index: entry.sequence,
        time_ms: entry.local_ms,
        kind: kind(&entry.kind).to_owned(),
        version: version(&entry.kind),
        detail: detail(&entry.kind, me),
        hash: entry.hash.to_string(),
    }
}

const fn kind(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Created { .. } => "created",
        EventKind::Funded(_) => "funded",
        EventKind::Life(_) => "life",
        EventKind::Proposed(_) => "proposed",
        EventKind::Held(_) => "held",
        EventKind::Burnt { .. } => "burnt",
        EventKind::Posted { .. } => "posted",
        EventKind::ClosingSeen { .. } => "closing_seen",
        EventKind::DataLost { .. } => "data_lost",
        EventKind::Recovered(_) => "recovered",
        EventKind::ResizeSigned { .. } => "resize_signed",
        EventKind::Resized { .. } => "resized",
        EventKind::ResizeEnded { .. } => "resize_ended",
        EventKind::Overtaken { .. } => "overtaken",
    }
}

const fn version(kind: &EventKind) -> Option<u64> {
    match kind {
        EventKind::Created { .. }
        | EventKind::Funded(_)
        | EventKind::Life(_)
        | EventKind::Overtaken { .. } => None,
        EventKind::Proposed(summary) | EventKind::Held(summary) | EventKind::Recovered(summary) => {
            Some(summary.version)
        }
        EventKind::Burnt { version }
        | EventKind::Posted { version, .. }
        | EventKind::ClosingSeen { version, .. }
        | EventKind::DataLost { proven: version }
        | EventKind::ResizeSigned { version, .. }
        | EventKind::Resized { version, .. }
        | EventKind::ResizeEnded { version, .. } => Some(*version),
    }
}

fn detail(kind: &EventKind, me: Party) -> String {
    match kind {
        EventKind::Created { balance_a, balance_b } => shares((*balance_a, *balance_b), me),
        EventKind::Funded(outpoint) => format!("by {outpoint}"),
        EventKind::Life(life) => life_of(*life).to_owned(),
        EventKind::Proposed(summary) | EventKind::Held(summary) | EventKind::Recovered(summary) => {
            in_brief(summary, me)
        }
        EventKind::Burnt { version } => {
            format!("version {}, and all that was built on it, was refused", grouped(*version))
        }
        EventKind::Posted { version, fee } => {
            format!("version {}, with a fee of {}", grouped(*version), grouped(fee.units()))
        }
        EventKind::ClosingSeen { version, author } => {
            format!("the ledger shows a close with version {}, by {}", grouped(*version), who(*author, me))
        }
        EventKind::DataLost { proven } => {
            format!("the peer proved version {}: data was lost here", grouped(*proven))
        }
        EventKind::ResizeSigned { by, change, version, transaction } => {
            let (what, of) = match change {
                Change::Add(of) => ("adds", of),
                Change::PayOut(of) => ("pays out", of),
            };
            let (by, of) = (who(*by, me), grouped(of.units()));
            format!("{by} {what} {of}, version {}, {transaction}", grouped(*version))
        }
        EventKind::Resized { generation, capacity, version } => {
            let (capacity, version) = (grouped(capacity.units()), grouped(*version));
            format!("generation {generation} of {capacity} goes on with version {version}")
        }
        EventKind::ResizeEnded { version, why } => {
            let why = match why {
                ResizeFailure::Refused(_) => "the peer refused it",
                ResizeFailure::Expired => "it was not final in time",
                ResizeFailure::Closed => "the channel was closed first",
                ResizeFailure::Lost => "data was lost before it was signed",
            };
            format!("version {} came to nothing: {why}", grouped(*version))
        }
        EventKind::Overtaken { generation } => {
            format!("the ledger shows generation {generation}, of which nothing is known: data was lost here")
        }
    }
}

fn in_brief(summary: &VersionSummary, me: Party) -> String {
    let (sent, received) = match me {
        Party::A => (summary.sent_a, summary.sent_b),
        Party::B => (summary.sent_b, summary.sent_a),
    };
    let next = who(summary.sequencer, me);
    format!(
        "version {}: {}; {} sent, {} received; {next} proposes next",
        grouped(summary.version),
        shares((summary.balance_a, summary.balance_b), me),
        grouped(sent),
        grouped(received),
    )
}

fn shares((a, b): (Amount, Amount), me: Party) -> String {
    let (mine, theirs) = match me {
        Party::A => (a, b),
        Party::B => (b, a),
    };
    format!("{} here, {} at the peer", grouped(mine.units()), grouped(theirs.units()))
}

fn who(party: Party, me: Party) -> &'static str {
    if party == me { "this node" } else { "the peer" }
}

const fn life_of(life: Life) -> &'static str {
    use protocol::Settlement::{Cooperative, NeverFunded, Penalized, Resolved, Unilateral};
    match life {
        Life::Opening => "opening: the funding is not final yet",
        Life::Active => "active",
        Life::Closing(ClosingStage::Draining) => "closing: what is open is being settled",
        Life::Closing(ClosingStage::Finishing) => "closing: this node signed final balances",
        Life::Closing(ClosingStage::Agreed) => "closing: both signed final balances",
        Life::Closing(ClosingStage::Unilateral) => "closing: one party closes alone",
        Life::Disputed => "disputed: a close on the ledger is contested",
        Life::Settled(NeverFunded) => "settled: it was never funded",
        Life::Settled(Cooperative) => "settled by both",
        Life::Settled(Unilateral) => "settled after a close by one",
        Life::Settled(Resolved) => "settled: an older state was replaced by a newer one",
        Life::Settled(Penalized) => "settled with a penalty",
    }
}

#[cfg(test)]
mod tests {
    use towpath_crypto::Digest;
    use towpath_ledger::Time;

    use super::*;

    fn told(kind: EventKind, me: Party) -> (String, Option<u64>, String) {
        let raw =
            protocol::ChannelEvent { sequence: 7, local_ms: 1, ledger: Time(1), kind, hash: Digest([0; 32]) };
        let shown = entry(&raw, me);
        (shown.kind, shown.version, shown.detail)
    }

    #[test]
    fn each_party_reads_its_own_side() {
        let summary = VersionSummary {
            version: 1_200,
            balance_a: Amount(737_500),
            balance_b: Amount(12_500),
            sent_a: 10_001,
            sent_b: 3,
            sequencer: Party::A,
        };
        let a = told(EventKind::Held(summary), Party::A);
        let text = "version 1,200: 737,500 here, 12,500 at the peer; 10,001 sent, 3 received; this node proposes next";
        assert_eq!(a, ("held".to_owned(), Some(1_200), text.to_owned()));
        let b = told(EventKind::Held(summary), Party::B);
        let text = "version 1,200: 12,500 here, 737,500 at the peer; 3 sent, 10,001 received; the peer proposes next";
        assert_eq!(b.2, text);
    }

    #[test]
    fn a_kind_is_in_snake_case_and_carries_its_version() {
        let seen = told(EventKind::ClosingSeen { version: 5, author: Party::B }, Party::A);
        let text = "the ledger shows a close with version 5, by the peer";
        assert_eq!(seen, ("closing_seen".to_owned(), Some(5), text.to_owned()));
        let ended = told(EventKind::ResizeEnded { version: 9, why: ResizeFailure::Expired }, Party::A);
        assert_eq!(ended.2, "version 9 came to nothing: it was not final in time");
        let life = told(EventKind::Life(Life::Closing(ClosingStage::Agreed)), Party::B);
        assert_eq!(life, ("life".to_owned(), None, "closing: both signed final balances".to_owned()));
    }
}
