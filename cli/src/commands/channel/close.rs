//! `towpath channel close`: begins, then looks on until the channels are paid out. The node needs nobody to look on.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use towpath_api::{
    Channel, ChannelQuery, ChannelState, Client, ClientError, CloseChannel, CloseMode, CloseStage, CloseWait,
};

use super::view::{one, state_of};
use super::why::{evidence, in_short};
use crate::args::{Close, Patience};
use crate::errors::CliError;
use crate::output::{Live, Style, element, facts, note, short, table};

/// How often the node is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long the node may be away while one looks on: a restart takes a few seconds.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// Closes that are asked for at once: far fewer than the connections that a node serves.
const ASKED_AT_ONCE: usize = 16;

/// Channels in the picture on a terminal; more would not fit.
const SHOWN_MAX: usize = 20;

/// Channels of one page of a list.
const PAGE: u32 = 500;

/// Closes channels.
///
/// # Errors
/// When the node refuses one of them or cannot be asked, or they are not paid out in time.
pub async fn close(client: &Client, style: Style, args: Close) -> Result<(), CliError> {
    let wanted = wanted(client, style, &args).await?;
    if wanted.is_empty() {
        note(style, "there is no channel to close");
        return Ok(());
    }
    let request = CloseChannel {
        mode: match (args.force, args.accept_risk) {
            (true, true) => CloseMode::ForceAtRisk,
            (true, false) => CloseMode::Force,
            (false, _) => CloseMode::Cooperative,
        },
        force_after_ms: if args.force { None } else { args.force_after.span().map(|span| span.ms()) },
        wait: CloseWait::Sent,
        timeout_ms: None,
    };
    let begun: Vec<_> = stream::iter(wanted.iter().map(|id| client.close_channel(id, &request)))
        .buffered(ASKED_AT_ONCE)
        .collect()
        .await;
    let (mut begun_channels, mut refused) = (Vec::new(), None);
    for (id, outcome) in wanted.iter().zip(begun) {
        match outcome {
            Ok(closed) => begun_channels.push(closed.channel),
            Err(error) if wanted.len() == 1 => return Err(error.into()),
            Err(error) => {
                let error = CliError::from(error);
                let document = serde_json::json!({
                    "channel": id,
                    "error": { "code": error.code(), "message": error.to_string() },
                });
                element(style, &document, |_| format!("{}  is not closed: {error}", short(id)))?;
                refused = Some(error);
            }
        }
    }
    if args.no_wait {
        for channel in &begun_channels {
            say(style, channel)?;
        }
    } else {
        Watch::new(client, style, begun_channels).run(args.timeout).await?;
    }
    // Each was told of above; the last of them says how the command as a whole ended.
    refused.map_or(Ok(()), Err)
}

/// The ids of the channels that are meant, each once.
async fn wanted(client: &Client, style: Style, args: &Close) -> Result<Vec<String>, CliError> {
    let mut ids: Vec<String> = Vec::new();
    if !args.all {
        for text in &args.channels {
            let id = client.channel(text).await?.id;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        return Ok(ids);
    }
    let mut after = None;
    let mut opening = 0_usize;
    loop {
        let query = ChannelQuery { limit: Some(PAGE), after, ..ChannelQuery::default() };
        let page = client.channels(&query).await?;
        for channel in page.channels {
            match channel.state {
                ChannelState::Active | ChannelState::Closing | ChannelState::Disputed => ids.push(channel.id),
                ChannelState::Opening => opening += 1,
                ChannelState::Settled => {}
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if opening > 0 {
        note(style, &format!("{opening} channels are still being opened and stay as they are"));
    }
    Ok(ids)
}

/// One document a line for programs: the channel, how far it is, and why.
fn say(style: Style, channel: &Channel) -> Result<(), CliError> {
    let document = serde_json::json!({
        "channel": channel.id,
        "state": channel.state,
        "outcome": channel.outcome,
        "close": channel.close,
    });
    element(style, &document, |_| match &channel.close {
        Some(close) => format!("{}  {}", short(&channel.id), in_short(channel, close, None)),
        None => format!("{}  {}", short(&channel.id), state_of(channel)),
    })
}

/// Channels that are being closed, as they were last seen.
struct Watch<'a> {
    client: &'a Client,
    style: Style,
    channels: BTreeMap<String, Channel>,
    /// What was said of each, so that only changes are said.
    said: BTreeMap<String, (CloseStage, bool, bool)>,
    live: Live,
    is_drawn: bool,
}

impl<'a> Watch<'a> {
    fn new(client: &'a Client, style: Style, channels: Vec<Channel>) -> Self {
        let is_drawn = style == Style::People && std::io::stdout().is_terminal();
        let channels = channels.into_iter().map(|channel| (channel.id.clone(), channel)).collect();
        Self { client, style, channels, said: BTreeMap::new(), live: Live::default(), is_drawn }
    }

    /// Looks on until all are paid out.
    async fn run(mut self, timeout: Patience) -> Result<(), CliError> {
        let began = Instant::now();
        let mut answered = Instant::now();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            let ledger_ms = match self.look().await {
                Ok(ledger_ms) => {
                    answered = Instant::now();
                    Some(ledger_ms)
                }
                Err(error) if error.is_unreachable() && answered.elapsed() < AWAY_MAX => None,
                Err(error) => return Err(error.into()),
            };
            self.show(ledger_ms)?;
            let open =
                self.channels.values().filter(|channel| channel.state != ChannelState::Settled).count();
            if open == 0 {
                return self.finish();
            }
            if timeout.span().is_some_and(|span| began.elapsed() >= span.duration()) {
                return Err(self.gave_up(open));
            }
            tokio::select! {
                _ = ticks.tick() => {}
                _ = tokio::signal::ctrl_c() => return Err(self.gave_up(open)),
            }
        }
    }

    /// Asks for all that are not paid out yet; the ledger's time.
    async fn look(&mut self) -> Result<u64, ClientError> {
        let client = self.client;
        let open: Vec<String> = self
            .channels
            .values()
            .filter(|channel| channel.state != ChannelState::Settled)
            .map(|channel| channel.id.clone())
            .collect();
        for asked in open.chunks(SHOWN_MAX) {
            for channel in join_all(asked.iter().map(|id| client.channel(id))).await {
                let channel = channel?;
                self.channels.insert(channel.id.clone(), channel);
            }
        }
        Ok(client.info().await?.ledger.time_ms)
    }

    fn show(&mut self, ledger_ms: Option<u64>) -> Result<(), CliError> {
        if self.is_drawn {
            let picture = self.picture(ledger_ms);
            return self.live.draw(&picture);
        }
        for channel in self.channels.values() {
            let Some(close) = &channel.close else { continue };
            let now = (close.stage, close.replaced.is_some(), close.penalty.is_some());
            if self.said.insert(channel.id.clone(), now) != Some(now) {
                say(self.style, channel)?;
            }
        }
        Ok(())
    }

    fn picture(&self, ledger_ms: Option<u64>) -> String {
        // What is not done yet comes first.
        let mut channels: Vec<&Channel> = self.channels.values().collect();
        channels.sort_by_key(|channel| channel.state == ChannelState::Settled);
        let rows = channels.iter().take(SHOWN_MAX).map(|channel| {
            let text = match &channel.close {
                Some(close) => in_short(channel, close, ledger_ms),
                None => state_of(channel),
            };
            vec![short(&channel.id), short(&channel.peer), text]
        });
        let mut picture = table(&["channel", "peer", "close"], rows.collect());
        if channels.len() > SHOWN_MAX {
            picture.push_str(&format!("\n and {} more", channels.len() - SHOWN_MAX));
        }
        if ledger_ms.is_none() {
            picture.push_str("\n the node does not answer; waiting for it");
        }
        picture
    }

    /// The last word: for one channel everything that is known.
    fn finish(&self) -> Result<(), CliError> {
        if !self.is_drawn {
            return Ok(());
        }
        let mut channels = self.channels.values();
        if let (Some(channel), None) = (channels.next(), channels.next()) {
            let mut text = one(channel);
            if let Some(close) = &channel.close {
                text = facts(&evidence(channel, close));
            }
            note(self.style, &format!("\n{text}"));
        }
        Ok(())
    }

    fn gave_up(&self, open: usize) -> CliError {
        let first = self.channels.values().find(|channel| channel.state != ChannelState::Settled);
        let id = first.map_or_else(String::new, |channel| short(&channel.id));
        CliError::TimedOut {
            message: format!(
                "{open} of {} channels are not paid out yet; the node goes on by itself",
                self.channels.len()
            ),
            hint: format!(
                "`towpath channel why {id}` says how far it is; `towpath channel close {id}` looks on again"
            ),
        }
    }
}
