//! `towpath channel pay`: one payment, or a stream of them that the node makes by itself.

use std::time::{Duration, Instant};

use towpath_api::{Client, Pay as Request, PayWait, Payment, PaymentState, StartStream, Stream, StreamState};

use crate::args::{Pay, Span};
use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, grouped, micros, word};

/// How often a stream is looked at: the node makes the payments, so asking seldom costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Pays, and says honestly what of it has arrived.
///
/// # Errors
/// When the node refuses or cannot be asked, or not everything was paid in time.
pub async fn pay(client: &Client, style: Style, args: Pay) -> Result<(), CliError> {
    if args.count == 1 {
        let wait = if args.no_wait { PayWait::Sent } else { PayWait::Settled };
        let Pay { amount, memo, idempotency_key, timeout, .. } = args;
        let request = Request { amount, memo, idempotency_key, wait, timeout_ms: Some(timeout.ms()) };
        return answer(style, &client.pay(&args.channel, &request).await?, paid);
    }
    if args.memo.is_some() {
        return Err(CliError::Usage(
            "--memo is for a single payment; leave out --count or --memo".to_owned(),
        ));
    }
    let Pay { amount, count, in_flight, idempotency_key, timeout, .. } = args;
    let request = StartStream { amount, count, in_flight, idempotency_key };
    let stream = client.start_stream(&args.channel, &request).await?;
    let ended = if args.no_wait { Ended::ByItself(stream) } else { watch(client, stream, timeout).await? };
    answer(style, ended.stream(), streamed)?;
    ended.verdict(timeout)
}

/// How a stream came to its end.
enum Ended {
    /// All was paid, or the node gave up, or nobody waits.
    ByItself(Stream),
    /// Nothing was acknowledged for too long; it was told to stop.
    Stalled(Stream),
    /// The user stopped it.
    Stopped(Stream),
}

impl Ended {
    const fn stream(&self) -> &Stream {
        match self {
            Self::ByItself(stream) | Self::Stalled(stream) | Self::Stopped(stream) => stream,
        }
    }

    fn verdict(&self, timeout: Span) -> Result<(), CliError> {
        match self {
            Self::ByItself(stream) if stream.state == StreamState::Failed => {
                let reason = stream.reason.as_deref().unwrap_or("no reason was given");
                let made = made(stream);
                Err(CliError::Failed(format!("the payments stopped: {reason}; {made}")))
            }
            Self::ByItself(_) => Ok(()),
            Self::Stalled(stream) => Err(CliError::TimedOut {
                message: format!("the peer acknowledged nothing for {timeout}; {}", made(stream)),
                hint: format!(
                    "`towpath channel show {}` tells what arrives after all; --timeout waits longer",
                    crate::output::short(&stream.channel)
                ),
            }),
            Self::Stopped(stream) => Err(CliError::Failed(format!("stopped; {}", made(stream)))),
        }
    }
}

/// What was paid, in words that promise nothing: what is on its way may still arrive.
fn made(stream: &Stream) -> String {
    let open = stream.sent.saturating_sub(stream.settled).saturating_sub(stream.failed);
    let mut text = format!("{} of {} payments are made", grouped(stream.settled), grouped(stream.count));
    if open > 0 {
        text.push_str(&format!(", {} more are on their way and may still arrive", grouped(open)));
    }
    if stream.failed > 0 {
        text.push_str(&format!(", {} failed: not paid", grouped(stream.failed)));
    }
    text
}

/// Looks at a stream until it ends, the user stops it, or nothing is acknowledged for `timeout`.
async fn watch(client: &Client, mut stream: Stream, timeout: Span) -> Result<Ended, CliError> {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut progress = (stream.settled, Instant::now());
    while stream.state == StreamState::Running {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(Ended::Stopped(client.stop_stream(&stream.id).await?)),
        }
        stream = client.stream(&stream.id).await.map_err(|error| lost(&stream, error))?;
        if stream.settled != progress.0 {
            progress = (stream.settled, Instant::now());
        }
        if stream.state == StreamState::Running && progress.1.elapsed() >= timeout.duration() {
            let stopped = client.stop_stream(&stream.id).await.map_err(|error| lost(&stream, error))?;
            let all_in = stopped.settled + stopped.failed == stopped.count;
            return Ok(if all_in { Ended::ByItself(stopped) } else { Ended::Stalled(stopped) });
        }
    }
    Ok(Ended::ByItself(stream))
}

/// The node went away under a stream: what it last said is the least that was paid.
fn lost(stream: &Stream, error: towpath_api::ClientError) -> CliError {
    if error.code().is_none() || error.code() == Some(towpath_api::Code::StreamNotFound) {
        let seen = made(stream);
        return CliError::Failed(format!(
            "the node went away: {error}; when it was last asked {seen}; \
             `towpath channel show {}` tells what was paid in the end",
            crate::output::short(&stream.channel)
        ));
    }
    error.into()
}

/// A payment for people.
fn paid(payment: &Payment) -> String {
    let latency = payment.latency_us.map_or_else(String::new, |us| format!(" in {}", micros(us)));
    match payment.state {
        PaymentState::Settled => {
            format!("paid {}{latency}; the payee has it\n{}", amount(payment.amount), payment.id)
        }
        PaymentState::Confirming => {
            format!("{} held; final once the watchtowers have it\n{}", amount(payment.amount), payment.id)
        }
        PaymentState::Sent => {
            format!("sent {}; not acknowledged yet\n{}", amount(payment.amount), payment.id)
        }
        PaymentState::Failed => format!(
            "not paid: {}\n{}",
            payment.reason.as_deref().unwrap_or("no reason was given"),
            payment.id
        ),
        PaymentState::Unknown => format!(
            "not known: the data that would tell whether {} was paid is lost; ask the payee\n{}",
            amount(payment.amount),
            payment.id
        ),
    }
}

/// A stream for people.
fn streamed(stream: &Stream) -> String {
    let rate = if stream.elapsed_us == 0 {
        0
    } else {
        u64::try_from(u128::from(stream.settled) * 1_000_000 / u128::from(stream.elapsed_us))
            .unwrap_or(u64::MAX)
    };
    facts(&[
        ("stream", format!("{} ({})", stream.id, word(&stream.state))),
        (
            "settled",
            format!(
                "{} of {} payments of {}",
                grouped(stream.settled),
                grouped(stream.count),
                amount(stream.amount)
            ),
        ),
        ("rate", format!("{} payments/s over {}", grouped(rate), micros(stream.elapsed_us))),
        (
            "latency",
            format!(
                "p50 {} · p95 {} · p99 {} · max {}",
                micros(stream.latency.p50_us),
                micros(stream.latency.p95_us),
                micros(stream.latency.p99_us),
                micros(stream.latency.max_us)
            ),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use towpath_api::{Latency, Units};

    use super::*;
    use crate::errors::Exit;

    fn stream(state: StreamState, (sent, settled, failed): (u64, u64, u64)) -> Stream {
        Stream {
            id: "stream0".to_owned(),
            channel: "chan1qqqqqqqqqqqqqqqqqqqq".to_owned(),
            amount: Units(5),
            count: 1_000,
            in_flight: 16,
            state,
            sent,
            settled,
            failed,
            latency: Latency::default(),
            started_ms: 0,
            ended_ms: None,
            elapsed_us: 0,
            reason: Some("the peer refused it".to_owned()),
        }
    }

    #[track_caller]
    fn check(ended: &Ended, expected: Option<(Exit, &str)>) {
        let verdict = ended.verdict("30s".parse().expect("a span")).err();
        let said = verdict.map(|error| (error.exit(), error.to_string()));
        assert_eq!(said, expected.map(|(exit, text)| (exit, text.to_owned())));
    }

    #[test]
    fn what_was_paid_is_told_honestly() {
        check(&Ended::ByItself(stream(StreamState::Done, (1_000, 1_000, 0))), None);
        check(
            &Ended::Stalled(stream(StreamState::Cancelled, (216, 200, 0))),
            Some((
                Exit::TimedOut,
                "the peer acknowledged nothing for 30s; 200 of 1,000 payments are made, \
                 16 more are on their way and may still arrive",
            )),
        );
        check(
            &Ended::ByItself(stream(StreamState::Failed, (11, 10, 1))),
            Some((
                Exit::Failed,
                "the payments stopped: the peer refused it; 10 of 1,000 payments are made, 1 failed: not paid",
            )),
        );
        check(
            &Ended::Stopped(stream(StreamState::Cancelled, (5, 5, 0))),
            Some((Exit::Failed, "stopped; 5 of 1,000 payments are made")),
        );
    }
}
