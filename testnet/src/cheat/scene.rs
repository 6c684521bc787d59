//! One lie on the running network, act by act.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use towpath_api::{
    Channel, CloseChannel, CloseMode, CloseWait, OpenChannel, OpenWait, Pay, PayWait, SubmitTransaction,
    Units,
};

use super::Victim;
use super::act::{Act, Cue, Settled, Shares, Why};
use super::audit::Case;
use super::cast::Cast;
use super::liar::{Liar, OldCopy, StaleClose};
use super::trail::{Step, Trail};
use super::wait::{Node, at_rest, settled};
use crate::channels::open_once;
use crate::error::TestnetError;
use crate::network::Network;

/// What each side puts into the channel.
const AMOUNT: Units = Units(1_000_000);

/// What the cheater pays before it keeps its copy.
const FIRST: Units = Units(1_000);

/// What it pays after that: what it is about to deny.
const DENIED: Units = Units(700_000);

/// What it gets back, so often: with that it signs, as the one who orders the updates, that it holds what it denies.
const BACK: (Units, u64) = (Units(10), 3);

/// What to show.
#[derive(Clone, Debug)]
pub struct ScenePlan {
    /// Who lies.
    pub cheater: String,
    /// Whom about; the next node of the network if nobody is named.
    pub victim: Option<String>,
    /// Whether the victim is there.
    pub presence: Victim,
    /// The network's folder.
    pub dir: PathBuf,
    /// This program; the one that cheats lies beside it.
    pub program: PathBuf,
}

/// Plays it; `say` is told of each act. Whatever happens, nodes that were stopped for it run again at the end.
///
/// # Errors
/// When this network cannot show it, or something does not come about. What is paid out wrongly is no error: it stands in
/// the verdict.
pub async fn play(plan: &ScenePlan, say: &mut dyn FnMut(&Cue)) -> Result<Settled, TestnetError> {
    let liar = Liar::beside(&plan.program)?;
    let mut network = Network::open(&plan.dir, plan.program.clone())?;
    let cast = Cast::choose(network.state(), plan).await?;
    let folder = network.dir().join(format!("cheat-{}", std::process::id()));
    let mut stage = Stage { network: &mut network, cast, liar, began: Instant::now(), away: Vec::new(), say };
    let played = stage.play(plan.presence, &folder).await;
    let returned = stage.curtain().await;
    // What cannot be removed is only left over.
    let _ = std::fs::remove_dir_all(&folder);
    let (lie, truth, steps) = played?;
    returned?;
    stage.verdict(&lie, &truth, &steps).await
}

struct Stage<'a> {
    network: &'a mut Network,
    cast: Cast,
    liar: Liar,
    began: Instant,
    /// Who was stopped and runs again at the end.
    away: Vec<String>,
    say: &'a mut dyn FnMut(&Cue),
}

impl Stage<'_> {
    fn say(&mut self, act: Act) {
        let at_ms = millis(self.began.elapsed());
        (self.say)(&Cue { at_ms, act });
    }

    async fn play(
        &mut self,
        presence: Victim,
        folder: &Path,
    ) -> Result<(StaleClose, Channel, Vec<Step>), TestnetError> {
        let channel = self.open().await?;
        pay(&self.cast.cheater, &channel, FIRST).await?;
        let before = at_rest(&self.cast.cheater, &self.cast.victim, &channel).await?;
        let copy = OldCopy::keep(self.network.state(), &self.cast.cheater.name, folder).await?;
        self.say(Act::Kept { version: before.version, has: shares(&before) });
        let truth = self.pay_more(&channel).await?;
        self.cast.guarded(&channel).await?;
        let lies = self.liar.closes(&copy, std::slice::from_ref(&channel)).await?;
        let Some(lie) = lies.into_iter().next() else {
            return Err(TestnetError::Cheat { reason: "it makes no close".to_owned() });
        };
        let witness = self.cast.witness.clone();
        let mut trail = Trail::from_tip(&witness).await?;
        trail.follow(&channel, truth.funding.as_deref().unwrap_or_default());
        let cheater = self.cast.cheater.name.clone();
        self.stop(&cheater, Why::Honest).await?;
        match presence {
            Victim::Online => {
                let request = SubmitTransaction { hex: lie.hex.clone() };
                witness.client.submit_transaction(&request).await.map_err(witness.call())?;
            }
            Victim::Offline => self.post_by_its_node(&copy, &lie).await?,
        }
        let steps = self.ending(&mut trail, (&lie, &truth), presence).await?;
        Ok((lie, truth, steps))
    }

    async fn open(&mut self) -> Result<String, TestnetError> {
        let victim = self.network.state().node(&self.cast.victim.name)?;
        let request = OpenChannel {
            peer: victim.node.clone(),
            address: Some(victim.p2p.clone()),
            amount: AMOUNT,
            peer_amount: Some(AMOUNT),
            dispute_window_ms: None,
            reserve: None,
            expires_ms: None,
            wait: OpenWait::Active,
            timeout_ms: None,
            idempotency_key: None,
        };
        let cheater = &self.cast.cheater;
        let opened = open_once(&cheater.client, &request).await.map_err(cheater.call())?;
        at_rest(cheater, &self.cast.victim, &opened.id).await?;
        let channel = opened.id.clone();
        self.say(Act::Opened {
            channel: opened.id,
            cheater: self.cast.cheater.name.clone(),
            victim: self.cast.victim.name.clone(),
            towers: self.cast.towers.iter().map(|tower| tower.name.clone()).collect(),
            has: Shares { cheater: opened.balance, victim: opened.peer_balance },
            dispute_window_ms: opened.dispute_window_ms,
        });
        Ok(channel)
    }

    /// What the cheater will deny; how the victim has the channel then.
    async fn pay_more(&mut self, channel: &str) -> Result<Channel, TestnetError> {
        let (back, times) = BACK;
        pay(&self.cast.cheater, channel, DENIED).await?;
        for _ in 0..times {
            pay(&self.cast.victim, channel, back).await?;
        }
        let truth = at_rest(&self.cast.cheater, &self.cast.victim, channel).await?;
        let (version, has) = (truth.version, shares(&truth));
        self.say(Act::Paid { amount: DENIED, back: Units(back.0 * times), version, has });
        Ok(truth)
    }

    async fn stop(&mut self, name: &str, why: Why) -> Result<(), TestnetError> {
        self.away.push(name.to_owned());
        self.network.stop(name).await?;
        self.say(Act::Stopped { node: name.to_owned(), why });
        Ok(())
    }

    /// The cheater's own node posts the old state, and believes it: the victim, who would tell it better, is away. So a
    /// network of four goes on making blocks.
    async fn post_by_its_node(&mut self, copy: &OldCopy, lie: &StaleClose) -> Result<(), TestnetError> {
        let (cheater, victim) = (self.cast.cheater.clone(), self.cast.victim.name.clone());
        let data_dir = self.network.state().node(&cheater.name)?.data_dir.clone();
        self.liar.rewind(copy, &data_dir, &lie.channel).await?;
        self.stop(&victim, Why::Away).await?;
        self.network.start(&cheater.name)?;
        self.network.ready(&cheater.name).await?;
        self.away.retain(|away| *away != cheater.name);
        self.say(Act::Rewound { node: cheater.name.clone(), version: lie.version });
        let request = CloseChannel {
            mode: CloseMode::Force,
            force_after_ms: None,
            wait: CloseWait::Sent,
            timeout_ms: None,
        };
        cheater.client.close_channel(&lie.channel, &request).await.map_err(cheater.call()).map(drop)
    }

    /// Everything from the lie on the ledger to the payout.
    async fn ending(
        &mut self,
        trail: &mut Trail<'_>,
        (lie, truth): (&StaleClose, &Channel),
        presence: Victim,
    ) -> Result<Vec<Step>, TestnetError> {
        let mut steps: Vec<Step> = Vec::new();
        let mut has_returned = false;
        loop {
            for step in trail.next("the ledger goes on with the channel").await? {
                self.tell(&step, steps.first(), (lie, truth)).await;
                steps.push(step);
            }
            let Some(closing) = steps.last().and_then(|step| step.closing) else { return Ok(steps) };
            let is_answered = closing.penalized && closing.version >= truth.version;
            if presence == Victim::Offline && is_answered && !has_returned {
                has_returned = true;
                // The cheater's node has seen by now that its data is old: it follows the ledger without voting, and a network
                // of four needs three who vote.
                let victim = self.cast.victim.name.clone();
                self.away.retain(|away| *away != victim);
                self.network.start(&victim)?;
                self.network.ready(&victim).await?;
                self.say(Act::Returned { node: victim });
            }
        }
    }

    async fn tell(&mut self, step: &Step, posted: Option<&Step>, (lie, truth): (&StaleClose, &Channel)) {
        let (tx, height, how) = (step.tx.clone(), step.height, step.witness.clone());
        let Some(posted) = posted else {
            let has = Shares { cheater: Units(lie.own), victim: Units(lie.peers) };
            let (version, newest) = (lie.version, truth.version);
            return self.say(Act::Posted { tx, height, version, newest, has });
        };
        let is_by_victim = how == "answer";
        if is_by_victim || step.closing.is_some() {
            let by = if is_by_victim {
                vec![self.cast.victim.name.clone()]
            } else {
                self.cast.contesting(&step.channel).await
            };
            self.say(Act::Answered {
                by,
                how: how.clone(),
                tx: tx.clone(),
                height,
                version: step.closing.map_or(truth.version, |closing| closing.version),
                penalized: step.closing.is_none_or(|closing| closing.penalized),
                after_ms: millis(step.seen.saturating_duration_since(posted.seen)),
                blocks: height.saturating_sub(posted.height),
                ledger_ms: step.time_ms.saturating_sub(posted.time_ms),
            });
        }
        if step.closing.is_none() {
            self.say(Act::PaidOut { how, tx, height });
        }
    }

    /// Everybody is back.
    async fn curtain(&mut self) -> Result<(), TestnetError> {
        for name in std::mem::take(&mut self.away) {
            self.network.start(&name)?;
            self.network.ready(&name).await?;
            self.say(Act::Returned { node: name });
        }
        Ok(())
    }

    async fn verdict(
        &mut self,
        lie: &StaleClose,
        truth: &Channel,
        steps: &[Step],
    ) -> Result<Settled, TestnetError> {
        let end = settled(&self.cast.victim, &lie.channel).await?;
        let verdict = Case { lie, truth, steps, end: &end }.settled();
        self.say(Act::Settled(verdict.clone()));
        Ok(verdict)
    }
}

/// By the channel as the victim sees it.
const fn shares(channel: &Channel) -> Shares {
    Shares { cheater: channel.peer_balance, victim: channel.balance }
}

/// Pays once, and waits until the payee has it.
///
/// # Errors
/// The node's refusal.
pub async fn pay(from: &Node, channel: &str, amount: Units) -> Result<(), TestnetError> {
    let request = Pay { amount, memo: None, idempotency_key: None, wait: PayWait::Settled, timeout_ms: None };
    from.client.pay(channel, &request).await.map_err(from.call()).map(drop)
}

/// Milliseconds of a time.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
