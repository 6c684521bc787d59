//! A light client among peers that show it anything: headers with too few signers, with signers twice, with votes for other blocks,
//! changed byte by byte, in any order, twice; headers that faulty validators sign. It starts again from any header that it has.
//!
//! With less than a third of the power faulty, it believes nothing but what was decided and never stops. With more, two branches
//! are decided; then it follows one of them where both have a block, or stops and names a third of the power, each with two
//! votes (FAULTS L12, L16).

use towpath_crypto::codec;
use towpath_crypto::ed25519::{PublicKey, SecretKey, Signature, verify};
use towpath_ledger::chain::{CommitCertificate, Validator, ValidatorSet, Vote};
use towpath_ledger::light::{CertifiedHeader, LightClient, LightError};
use towpath_ledger::limits;
use towpath_ledger::{BlockId, ChainId, Digest, Header, Time};

use crate::script::Script;

/// Actions of a script: each verifies a few signatures.
const ACTIONS_MAX: usize = 60;

/// Heights of the ledger.
const HEIGHTS: u64 = 12;

/// The height from which on there are two branches, if there are.
const FORK: u64 = 5;

/// The powers of the validators, and how many of them, from the first on, are faulty at most while less than a third is.
const POWERS: [(&[u64], usize); 3] = [(&[1, 1, 1, 1], 1), (&[2, 1, 3, 3, 1], 1), (&[1; 7], 2)];

/// Who is faulty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faulty {
    /// Less than a third of the power.
    Few,
    /// So many that two branches are decided.
    Many,
    /// As many, and the client is held to believing one branch only, which it can't: the control.
    ManyAsFew,
}

struct Scene {
    chain: ChainId,
    validators: ValidatorSet,
    keys: Vec<SecretKey>,
    faulty: usize,
    /// What was decided, by height: one block, or from [`FORK`] on two.
    main: Vec<Header>,
    branch: Vec<Header>,
    client: LightClient,
    forks: bool,
}

/// Whether the script said anything.
pub fn run(bytes: &[u8]) -> bool {
    let many = bytes.first().is_some_and(|byte| byte % 3 == 2);
    run_with(bytes, if many { Faulty::Many } else { Faulty::Few })
}

/// The same with these validators faulty.
pub fn run_with(bytes: &[u8], faulty: Faulty) -> bool {
    let mut script = Script::new(bytes);
    let Some(first) = script.byte() else { return false };
    let mut scene = Scene::new(usize::from(first / 3) % POWERS.len(), faulty);
    let mut any = false;
    for _ in 0..ACTIONS_MAX {
        if scene.act(&mut script).is_none() {
            break;
        }
        any = true;
        scene.check(faulty);
    }
    any
}

impl Scene {
    fn new(which: usize, faulty: Faulty) -> Self {
        let (powers, few) = POWERS[which];
        let keys: Vec<SecretKey> =
            (1..).take(powers.len()).map(|number| SecretKey::from_bytes(&[number; 32])).collect();
        let members = keys.iter().zip(powers);
        let members = members.map(|(key, power)| Validator { key: key.public(), power: *power }).collect();
        let validators = ValidatorSet::new(members).expect("a proper set");
        let chain = ChainId(Digest([7; 32]));
        let header = |height, parent, root| Header {
            chain,
            height,
            parent,
            time: Time(1_000 + 10 * height),
            transactions_root: Digest::ZERO,
            state_root: Digest([root; 32]),
            validators: validators.digest(),
            proposer: keys[0].public(),
        };
        let mut main = vec![header(0, BlockId(Digest::ZERO), 1)];
        for height in 1..HEIGHTS {
            main.push(header(height, main[main.len() - 1].id(), 1));
        }
        let mut branch = main[..5].to_vec();
        for height in FORK..HEIGHTS {
            branch.push(header(height, branch[branch.len() - 1].id(), 2));
        }
        let client = LightClient::new(validators.clone(), main[0].clone()).expect("its own validators");
        let forks = faulty != Faulty::Few;
        let faulty = if forks { keys.len() } else { few };
        Self { chain, validators, keys, faulty, main, branch, client, forks }
    }

    /// What was decided at a height.
    fn decided(&self, script: &mut Script<'_>) -> Option<Header> {
        let at = script.below(self.main.len())?;
        let other = self.forks && script.flip()?;
        Some(if other { &self.branch } else { &self.main }[at].clone())
    }

    /// One that faulty validators made up.
    fn made_up(&self, script: &mut Script<'_>) -> Option<Header> {
        let mut header = self.main[script.below(self.main.len())?].clone();
        let (byte, place) = (script.byte()?, usize::from(script.byte()? % 32));
        match script.below(6)? {
            0 => header.height = u64::from(byte) * u64::from(byte),
            1 => header.time = Time(header.time.0 ^ 1 << (byte % 64)),
            2 => header.parent.0.0[place] ^= byte | 1,
            3 => header.validators.0[place] ^= byte | 1,
            4 => header.chain.0.0[place] ^= byte | 1,
            _ => header.state_root.0[place] ^= byte | 1,
        }
        Some(header)
    }

    fn vote(&self, signer: usize, vote: &Vote) -> (PublicKey, Signature) {
        (self.keys[signer].public(), self.keys[signer].sign(&self.chain, vote))
    }

    /// A header that was decided, by those whom the script names: some twice, too few, or some strangers.
    fn certified(&self, script: &mut Script<'_>) -> Option<CertifiedHeader> {
        let header = self.decided(script)?;
        let (height, round, block) = (header.height, u32::from(script.byte()? % 2), header.id());
        let vote = Vote::precommit(height, round, block);
        let mut bits = script.byte()?;
        if script.below(4)? > 0 {
            bits = u8::MAX;
        }
        let signers = (0..self.keys.len()).filter(|signer| bits >> signer & 1 == 1);
        let mut signatures: Vec<_> = signers.map(|signer| self.vote(signer, &vote)).collect();
        match script.below(8)? {
            0 => signatures.extend(signatures.last().copied()),
            1 => {
                let stranger = SecretKey::from_bytes(&[77; 32]);
                signatures.push((stranger.public(), stranger.sign(&self.chain, &vote)));
            }
            2 => signatures.reverse(),
            _ => {}
        }
        Some(CertifiedHeader { header, certificate: CommitCertificate { height, round, block, signatures } })
    }

    /// A header that nobody decided: signed by the faulty, with the votes of others for what they did decide, or with none.
    fn lie(&self, script: &mut Script<'_>) -> Option<CertifiedHeader> {
        let (header, kind) = (self.made_up(script)?, script.below(4)?);
        let (height, round, block) = (header.height, u32::from(script.byte()? % 2), header.id());
        let about = match kind {
            0 => Vote::precommit(height, round + 1, block),
            1 => Vote {
                kind: towpath_ledger::chain::VoteKind::Prevote,
                ..Vote::precommit(height, round, block)
            },
            _ => {
                let true_one = usize::try_from(height).ok().and_then(|at| self.main.get(at));
                Vote::precommit(height, round, true_one.map_or(block, Header::id))
            }
        };
        let own = Vote::precommit(height, round, block);
        // Honest validators sign what they decide, and no faulty one's block: of them there are votes for something else only.
        let few = if self.forks { 0 } else { self.faulty };
        let vote = |signer| if signer < few { self.vote(signer, &own) } else { self.vote(signer, &about) };
        let signatures =
            (0..self.keys.len()).map(vote).filter(|_| about.block != Some(block) || kind < 2).collect();
        Some(CertifiedHeader { header, certificate: CommitCertificate { height, round, block, signatures } })
    }

    fn act(&mut self, script: &mut Script<'_>) -> Option<()> {
        let shown = match script.below(8)? {
            0..4 => self.certified(script)?,
            4 => self.lie(script)?,
            5 => {
                let (header, other) = (self.decided(script)?, self.certified(script)?);
                CertifiedHeader { header, certificate: other.certificate }
            }
            6 => {
                let mut bytes = codec::encode(&self.certified(script)?);
                let at = usize::try_from(script.number()?).ok()? % bytes.len();
                bytes[at] ^= 1 << (script.byte()? % 8);
                match codec::decode(&bytes, limits::BLOCK_BYTES_MAX as usize) {
                    Ok(changed) => changed,
                    Err(_) => return Some(()),
                }
            }
            _ => {
                // It starts again from what it believes.
                let height = u64::from(script.byte()? % 12);
                if let (None, Some(header)) = (self.client.halted(), self.client.header(height)) {
                    let again = LightClient::new(self.validators.clone(), header.clone());
                    self.client = again.expect("its own validators");
                }
                return Some(());
            }
        };
        self.show(shown);
        Some(())
    }

    fn show(&mut self, shown: CertifiedHeader) {
        let (header, was_halted) = (shown.header.clone(), self.client.halted().is_some());
        let known = self.client.header(header.height).cloned();
        let is_proven = is_proven(&shown, &self.validators, &self.chain);
        match self.client.accept(shown) {
            Ok(id) => {
                assert!(!was_halted, "it believes on after it stopped");
                assert!(is_proven || known.as_ref() == Some(&header), "it believes what nobody decided");
                assert_eq!(id, header.id());
                assert_eq!(self.client.header(header.height), Some(&header), "what it believes it shows");
            }
            Err(LightError::Fork(fork)) if !was_halted => {
                assert!(self.forks && is_proven, "a fork of which nobody is guilty");
                assert_eq!(Some(fork.first), known.map(|known| known.id()));
                let mut power = 0;
                for (key, one, two) in &fork.double_signers {
                    assert!(one.vote.block != two.vote.block && one.vote.height == two.vote.height);
                    let signed = |vote: &towpath_ledger::chain::SignedVote| {
                        verify(key, &self.chain, &vote.vote, &vote.signature)
                    };
                    assert!(signed(one) && signed(two), "L12: named without two votes");
                    power += self.validators.power(key).expect("a validator");
                }
                assert!(3 * power >= self.validators.total_power(), "L12: too few are named");
            }
            Err(_) => {}
        }
    }

    /// What it believes is one ledger; with few faulty, the one that was decided.
    fn check(&self, faulty: Faulty) {
        assert!(self.forks || self.client.halted().is_none(), "stopped by {:?}", self.client.halted());
        for height in 0..HEIGHTS {
            let Some(header) = self.client.header(height) else { continue };
            let at = usize::try_from(height).expect("few");
            let other = faulty == Faulty::Many && self.branch[at] == *header;
            assert!(self.main[at] == *header || other, "L16: height {height} was not decided so");
            if let Some(next) = self.client.header(height + 1) {
                assert_eq!(next.parent, header.id(), "neighbours name each other");
            }
        }
        assert_eq!(self.client.header(self.client.tip().height), Some(self.client.tip()));
    }
}

/// Whether more than two thirds of the power signed this header, each once: counted anew.
fn is_proven(shown: &CertifiedHeader, validators: &ValidatorSet, chain: &ChainId) -> bool {
    let CertifiedHeader { header, certificate } = shown;
    let vote = Vote::precommit(header.height, certificate.round, header.id());
    let mut signers: Vec<PublicKey> = Vec::new();
    for (key, signature) in &certificate.signatures {
        if verify(key, chain, &vote, signature) && !signers.contains(key) {
            signers.push(*key);
        }
    }
    let power: u64 = signers.iter().filter_map(|key| validators.power(key)).sum();
    3 * power > 2 * validators.total_power()
}
