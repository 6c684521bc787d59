//! Many lies on a network of their own: each close posted for itself, at a moment that chance chooses, and audited.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use towpath_api::{AddTower, Channel, OpenChannel, OpenWait, SubmitTransaction, Units};

use super::Victim;
use super::audit::{Case, paid_by};
use super::liar::{Liar, OldCopy, StaleClose};
use super::report::{CheatReport, Spread};
use super::scene::{millis, pay};
use super::trail::{Step, Trail};
use super::wait::{Node, at_rest, settled, until};
use crate::channels::open_once;
use crate::error::TestnetError;
use crate::network::Network;
use crate::setup::Plan;
use crate::time::advance;
use crate::topology::Topology;

/// What each side puts into each channel.
const AMOUNT: u64 = 1_000_000;

/// Openings that are under way at a time: a peer that is asked for more refuses.
const OPENINGS: usize = 4;

/// Channels that are paid through at a time.
const PAYERS: usize = 16;

/// The least number of validators: one of them may be dead.
const VALIDATORS_MIN: usize = 4;

/// The longest pause before a lie: it comes at any moment between two blocks.
const PAUSE_MS_MAX: u64 = 1_500;

/// How far past the end of the last window the network travels.
const PAST_THE_WINDOW_MS: u64 = 1_000;

/// What to do.
#[derive(Clone, Debug)]
pub struct TrialsPlan {
    /// How many lies.
    pub trials: u32,
    /// Whether the victim is there.
    pub victim: Victim,
    /// How many watchtowers the victim uses.
    pub towers: usize,
    /// How many of them are dead when the lies are told.
    pub dead: usize,
    /// How long each close can be answered, in ledger time.
    pub dispute_window_ms: u64,
    /// Chooses amounts and moments.
    pub seed: u64,
    /// A folder for this run alone.
    pub dir: PathBuf,
    /// This program; the one that cheats lies beside it.
    pub program: PathBuf,
}

impl TrialsPlan {
    fn validators(&self) -> usize {
        VALIDATORS_MIN.max(self.towers).max(3 * self.dead + 1)
    }
}

/// Runs it; `progress` is told how many lies are answered. Nodes are stopped at the end, whatever happened.
///
/// # Errors
/// When the network cannot be run, or a lie is not answered at all. What is paid wrongly stands in the report.
pub async fn run(plan: &TrialsPlan, mut progress: impl FnMut(&str)) -> Result<CheatReport, TestnetError> {
    let began = Instant::now();
    let liar = Liar::beside(&plan.program)?;
    let validators = plan.validators();
    let shape = Plan {
        validators,
        // One output for each opening, so that they need not wait for each other's change.
        coins: plan.trials.saturating_add(16),
        coin: AMOUNT * 2,
        ..Plan::of(validators + 2, Topology::Line)
    };
    let (mut network, _) = Network::prepare(&plan.dir, plan.program.clone(), &shape)?;
    let outcome = match network.up().await {
        Ok(()) => Trials::run(&mut network, plan, &liar, &mut progress).await,
        Err(error) => Err(error),
    };
    network.down().await?;
    let mut report = outcome?;
    report.elapsed_ms = millis(began.elapsed());
    Ok(report)
}

struct Trials<'a> {
    network: &'a mut Network,
    plan: &'a TrialsPlan,
    random: ChaCha8Rng,
    cheater: Node,
    victim: Node,
    /// A validator that lives: the lies are handed in there, and the ledger is read there.
    witness: Node,
}

/// A lie that is ready.
struct Ready {
    lie: StaleClose,
    truth: Channel,
}

impl<'a> Trials<'a> {
    async fn run(
        network: &'a mut Network,
        plan: &'a TrialsPlan,
        liar: &Liar,
        progress: &mut impl FnMut(&str),
    ) -> Result<CheatReport, TestnetError> {
        let names: Vec<String> = network.state().nodes.iter().map(|node| node.name.clone()).collect();
        let node = |place: usize| {
            let name = names.get(place).cloned().unwrap_or_default();
            network.client(&name).map(|client| Node { name, client })
        };
        let validators = plan.validators();
        let (witness, cheater, victim) = (node(validators - 1)?, node(validators)?, node(validators + 1)?);
        let random = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut trials = Self { network, plan, random, cheater, victim, witness };
        // The first nodes are the towers, and the dead ones the first of them; the witness is none that dies.
        let towers = names.get(..plan.towers).unwrap_or_default();
        progress(&format!("opening {} channels", plan.trials));
        trials.employ(towers).await?;
        let ready = trials.prepare(liar).await?;
        trials.guarded(towers.len()).await?;
        let wallet = trials.wallet().await?;
        for dead in towers.iter().take(plan.dead) {
            trials.network.kill(dead).await?;
        }
        let trail_from = trials.witness.clone();
        let mut trail = Trail::from_tip(&trail_from).await?;
        trials.network.stop(&trials.cheater.name).await?;
        if plan.victim == Victim::Offline {
            trials.network.stop(&trials.victim.name).await?;
        }
        let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
        for (done, ready) in (1_u32..).zip(&ready) {
            trials.lie(ready, &mut trail, &mut steps).await?;
            if done.is_multiple_of(10) {
                progress(&format!("  {done} of {} lies are answered", plan.trials));
            }
        }
        progress("paying out");
        trials.pay_out(&mut trail, &mut steps).await?;
        trials.report(&ready, &steps, wallet).await
    }

    /// Gives the victim its watchtowers. A tower keeps more for a node that it has a channel with, so there is one with each.
    async fn employ(&self, towers: &[String]) -> Result<(), TestnetError> {
        for name in towers {
            let tower = self.network.state().node(name)?;
            self.open(&self.victim, name).await?;
            let request = AddTower { tower: format!("{}@{}", tower.node, tower.p2p) };
            self.victim.client.add_tower(&request).await.map_err(self.victim.call())?;
        }
        Ok(())
    }

    async fn open(&self, opener: &Node, acceptor: &str) -> Result<Channel, TestnetError> {
        let acceptor = self.network.state().node(acceptor)?;
        let request = OpenChannel {
            peer: acceptor.node.clone(),
            address: Some(acceptor.p2p.clone()),
            amount: Units(AMOUNT),
            peer_amount: Some(Units(AMOUNT)),
            dispute_window_ms: Some(self.plan.dispute_window_ms),
            reserve: None,
            expires_ms: None,
            wait: OpenWait::Active,
            timeout_ms: None,
            idempotency_key: None,
        };
        open_once(&opener.client, &request).await.map_err(opener.call())
    }

    /// Channels whose cheater has an old copy of its data, signed away more than that says since, and signed that it
    /// holds newer states.
    async fn prepare(&mut self, liar: &Liar) -> Result<Vec<Ready>, TestnetError> {
        let amounts: Vec<(u64, u64)> = (0..self.plan.trials)
            .map(|_| (self.random.random_range(1_000..=50_000), self.random.random_range(100_000..=800_000)))
            .collect();
        let this = &*self;
        let opened = stream::iter(&amounts).map(|(first, _)| async move {
            let channel = this.open(&this.cheater, &this.victim.name).await?.id;
            at_rest(&this.cheater, &this.victim, &channel).await?;
            pay(&this.cheater, &channel, Units(*first)).await?;
            at_rest(&this.cheater, &this.victim, &channel).await?;
            Ok::<_, TestnetError>(channel)
        });
        let channels: Vec<String> = opened.buffered(OPENINGS).try_collect().await?;
        let folder = this.network.dir().join("old-copy");
        let copy = OldCopy::keep(this.network.state(), &this.cheater.name, &folder).await?;
        let paid = stream::iter(channels.iter().zip(&amounts)).map(|(channel, (_, denied))| async move {
            pay(&this.cheater, channel, Units(*denied)).await?;
            for back in [10, 20, 30] {
                pay(&this.victim, channel, Units(back)).await?;
            }
            at_rest(&this.cheater, &this.victim, channel).await
        });
        let truths: Vec<Channel> = paid.buffered(PAYERS).try_collect().await?;
        let lies = liar.closes(&copy, &channels).await?;
        Ok(lies.into_iter().zip(truths).map(|(lie, truth)| Ready { lie, truth }).collect())
    }

    /// Waits until all towers have everything.
    async fn guarded(&self, towers: usize) -> Result<(), TestnetError> {
        let (victim, all) = (&self.victim, usize::try_from(self.plan.trials).unwrap_or(usize::MAX) + towers);
        let all = u64::try_from(all).unwrap_or(u64::MAX);
        until("all towers have the newest states", async || {
            let info = victim.client.tower().await.map_err(victim.call())?;
            let have = info.towers.iter().filter(|tower| tower.behind == 0 && tower.current >= all);
            Ok((have.count() == towers).then_some(()))
        })
        .await
    }

    async fn wallet(&self) -> Result<u64, TestnetError> {
        Ok(self.victim.client.wallet().await.map_err(self.victim.call())?.confirmed.0)
    }

    /// Posts one, and waits until the ledger shows the truth.
    async fn lie(
        &mut self,
        ready: &Ready,
        trail: &mut Trail<'_>,
        steps: &mut BTreeMap<String, Vec<Step>>,
    ) -> Result<(), TestnetError> {
        let pause = Duration::from_millis(self.random.random_range(0..=PAUSE_MS_MAX));
        tokio::time::sleep(pause).await;
        let channel = &ready.lie.channel;
        trail.follow(channel, ready.truth.funding.as_deref().unwrap_or_default());
        let request = SubmitTransaction { hex: ready.lie.hex.clone() };
        let witness = &self.witness;
        witness.client.submit_transaction(&request).await.map_err(witness.call())?;
        while !is_answered(steps.get(channel), &ready.truth) {
            for step in trail.next(&format!("the lie about {channel} is answered")).await? {
                steps.entry(step.channel.clone()).or_default().push(step);
            }
        }
        Ok(())
    }

    /// Windows end, everything is paid out, and the parties come back.
    async fn pay_out(
        &mut self,
        trail: &mut Trail<'_>,
        steps: &mut BTreeMap<String, Vec<Step>>,
    ) -> Result<(), TestnetError> {
        let is_open = |steps: &BTreeMap<String, Vec<Step>>| {
            steps.values().any(|steps| steps.last().is_some_and(|step| step.closing.is_some()))
        };
        if is_open(steps) {
            let window = self.plan.dispute_window_ms.saturating_add(PAST_THE_WINDOW_MS);
            advance(self.network.state(), Duration::from_millis(window)).await?;
        }
        while is_open(steps) {
            for step in trail.next("all channels are paid out").await? {
                steps.entry(step.channel.clone()).or_default().push(step);
            }
        }
        if self.plan.victim == Victim::Offline {
            self.network.restart(&self.victim.name).await?;
        }
        Ok(())
    }

    async fn report(
        &self,
        ready: &[Ready],
        steps: &BTreeMap<String, Vec<Step>>,
        wallet: u64,
    ) -> Result<CheatReport, TestnetError> {
        let plan = self.plan;
        let mut report = CheatReport {
            trials: plan.trials,
            victim: plan.victim,
            towers: u32::try_from(plan.towers).unwrap_or(u32::MAX),
            dead_towers: u32::try_from(plan.dead).unwrap_or(u32::MAX),
            recovered: 0,
            by_victim: 0,
            by_tower: 0,
            answer_ms: Spread::default(),
            answer_ledger_ms: Spread::default(),
            answer_blocks: Spread::default(),
            dispute_window_ms: plan.dispute_window_ms,
            at_stake: Units(0),
            forfeited: Units(0),
            fees: Units(0),
            gained_min: Units(u64::MAX),
            wrong: Vec::new(),
            seed: plan.seed,
            elapsed_ms: 0,
        };
        let (mut answers, mut sums, mut due) = (Answers::default(), BTreeMap::new(), wallet);
        for Ready { lie, truth } in ready {
            let steps = steps.get(&lie.channel).map_or(&[][..], Vec::as_slice);
            let end = settled(&self.victim, &lie.channel).await?;
            let verdict = Case { lie, truth, steps, end: &end }.settled();
            answers.take(steps, &mut report);
            report.at_stake.0 += truth.balance.0.saturating_sub(lie.peers);
            report.forfeited.0 += verdict.forfeited.0;
            report.fees.0 += verdict.fees.0;
            report.gained_min.0 =
                report.gained_min.0.min(verdict.paid.victim.0.saturating_sub(truth.balance.0));
            if verdict.wrong.is_empty() && verdict.paid.victim >= truth.balance {
                report.recovered += 1;
            }
            due += verdict.paid.victim.0;
            if let Some(last) = steps.last() {
                let sum: &mut (u64, u64) = sums.entry(last.tx.clone()).or_insert((paid_by(last), 0));
                sum.1 += verdict.paid.victim.0 + verdict.paid.cheater.0;
            }
            report.wrong.extend(verdict.wrong);
        }
        for (tx, (paid, told)) in sums.iter().filter(|(_, (paid, told))| paid != told) {
            report.wrong.push(format!("{tx} paid {paid}, the victim knows of {told}"));
        }
        answers.spread(&mut report);
        self.check_wallet(due, &mut report).await?;
        Ok(report)
    }

    /// The victim's wallet has what its channels paid, and nothing else.
    async fn check_wallet(&self, due: u64, report: &mut CheatReport) -> Result<(), TestnetError> {
        let has_it = until("the victim's wallet has what its channels paid", async || {
            Ok((self.wallet().await? == due).then_some(()))
        });
        match has_it.await {
            Err(TestnetError::TimedOut { .. }) => {
                let wallet = self.wallet().await?;
                report.wrong.push(format!("the victim's wallet has {wallet}, not {due}"));
                Ok(())
            }
            other => other,
        }
    }
}

/// Whether the ledger shows the newest state and the proof, or has paid the channel out by it.
fn is_answered(steps: Option<&Vec<Step>>, truth: &Channel) -> bool {
    let Some(last) = steps.and_then(|steps| steps.last()) else { return false };
    last.closing.is_none_or(|closing| closing.penalized && closing.version >= truth.version)
}

/// How long each answer took.
#[derive(Default)]
struct Answers {
    ms: Vec<u64>,
    ledger_ms: Vec<u64>,
    blocks: Vec<u64>,
}

impl Answers {
    fn take(&mut self, steps: &[Step], report: &mut CheatReport) {
        let [posted, answer, ..] = steps else {
            report.wrong.push("a lie was not answered".to_owned());
            return;
        };
        if answer.witness == "answer" {
            report.by_victim += 1
        } else {
            report.by_tower += 1
        }
        self.ms.push(millis(answer.seen.saturating_duration_since(posted.seen)));
        self.ledger_ms.push(answer.time_ms.saturating_sub(posted.time_ms));
        self.blocks.push(answer.height.saturating_sub(posted.height));
    }

    fn spread(self, report: &mut CheatReport) {
        report.answer_ms = Spread::of(self.ms);
        report.answer_ledger_ms = Spread::of(self.ledger_ms);
        report.answer_blocks = Spread::of(self.blocks);
    }
}
