//! What a lie must come to, counted from the two states and the fees that the ledger shows: additions only, and nothing
//! of the rules' own code.

use towpath_api::{Channel, Lock, Outcome, Settlement, Units};

use super::act::{Settled, Shares};
use super::liar::StaleClose;
use super::trail::Step;

/// A lie that is over.
pub struct Case<'a> {
    /// What was posted.
    pub lie: &'a StaleClose,
    /// The channel as the victim had it before.
    pub truth: &'a Channel,
    /// What the ledger shows, from the close on.
    pub steps: &'a [Step],
    /// The channel as the victim has it now.
    pub end: &'a Channel,
}

impl Case<'_> {
    /// The verdict.
    pub fn settled(&self) -> Settled {
        let truth = Shares { cheater: self.truth.peer_balance, victim: self.truth.balance };
        let settlement = self.end.close.as_ref().and_then(|close| close.settlement.as_ref());
        let mut settled = Settled {
            capacity: self.truth.capacity,
            lie: Shares { cheater: Units(self.lie.own), victim: Units(self.lie.peers) },
            truth,
            paid: Shares::default(),
            fees: Units(0),
            victims_fees: Units(self.victims_fees()),
            forfeited: Units(share(truth.cheater.0, self.lie.penalty_basis_points)),
            wrong: Vec::new(),
        };
        match settlement {
            Some(settlement) => {
                settled.paid = Shares { cheater: settlement.paid_peer, victim: settlement.paid };
                settled.fees = settlement.fees;
                settled.wrong = self.wrong(&settled, settlement);
            }
            None => settled.wrong.push("the victim does not know how the channel was paid out".to_owned()),
        }
        settled
    }

    /// Fees of disputes and answers come out of the victim's balance, those of payouts out of the author's.
    fn victims_fees(&self) -> u64 {
        let pairs = self.steps.iter().zip(self.steps.iter().skip(1));
        let fees = pairs.map(|(before, step)| {
            let amount = before.closing.map_or(0, |closing| closing.amount.0);
            match &step.closing {
                Some(closing) => amount.saturating_sub(closing.amount.0),
                None if step.witness == "answer" => amount.saturating_sub(paid_by(step)),
                None => 0,
            }
        });
        fees.sum()
    }

    fn wrong(&self, settled: &Settled, settlement: &Settlement) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("{}: {what}", self.lie.channel));
            }
        };
        let (paid, truth) = (settled.paid, settled.truth);
        check(self.lie.version < self.truth.version, "what was posted is no old state".to_owned());
        check(
            self.end.outcome == Some(Outcome::Penalized),
            format!("its outcome is {:?}, and no penalty", self.end.outcome),
        );
        check(
            settlement.version == self.truth.version,
            format!("it was settled by version {}, not {}", settlement.version, self.truth.version),
        );
        let due = (truth.victim.0 + settled.forfeited.0).saturating_sub(settled.victims_fees.0);
        check(paid.victim.0 == due, format!("the victim got {}, not {due}", paid.victim));
        let sum = paid.cheater.0 + paid.victim.0 + settled.fees.0;
        check(sum == settled.capacity.0, format!("{sum} were paid, of {}", settled.capacity));
        if let Some(last) = self.steps.last().filter(|last| last.inputs == 1) {
            let (paid_out, due) = (paid_by(last), paid.cheater.0 + paid.victim.0);
            check(paid_out == due, format!("the ledger paid {paid_out}, the victim knows of {due}"));
        }
        wrong
    }
}

/// A share of an amount in parts of ten thousand, rounded down.
fn share(amount: u64, basis_points: u16) -> u64 {
    u64::try_from(u128::from(amount) * u128::from(basis_points) / 10_000).unwrap_or(u64::MAX)
}

/// All that a transaction pays to wallets.
pub fn paid_by(step: &Step) -> u64 {
    let wallets = step.outputs.iter().filter(|output| matches!(output.lock, Lock::Wallet { .. }));
    wallets.map(|output| output.amount.0).sum()
}
