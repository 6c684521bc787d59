//! Many ZIP 215 checks by one multiscalar multiplication, with the verdict of checking each alone.
//!
//! For checks `i` with `k_i = H(R_i ‖ A_i ‖ M_i)`, the sum `Σ z_i (R_i + [k_i]A_i − [S_i]B)` times the cofactor is the
//! identity if each equation holds. If one does not, it is only with probability 2⁻¹²⁸: the coefficients `z_i` are
//! hashed out of *all* inputs, so nobody can choose an input that cancels another. They need no randomness, and so
//! every node computes the same. Small-order parts of the points vanish with the cofactor in both forms, which is
//! why the two verdicts agree on every input (RFC 8032's cofactorless equation has no such batch).
//!
//! Checks with the same key share one point: a turn of one channel costs little more than its `R`s.

use std::collections::BTreeMap;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};

use super::{PublicKey, Signature, challenge, split};
use crate::hash::{Domain, Hasher};

/// The checks of one sum. A longer one saves next to nothing a check, and loses more when one of them is bad.
const SUM_LENGTH: usize = 256;

/// The checks of each part of a sum that does not hold.
const PART_LENGTH: usize = 16;

/// A signature over any bytes.
#[derive(Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) key: &'a PublicKey,
    pub(super) message: &'a [u8],
    pub(super) signature: &'a Signature,
}

/// A claim whose scalars and points are decoded. `z` is its coefficient in every sum that it is part of.
struct Equation {
    key: usize,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
    z: Scalar,
}

/// All claims of a batch, each decoded once however often the batch is split.
pub(super) struct Batch {
    keys: Vec<EdwardsPoint>,
    /// `None` where a scalar is not canonical or a point does not exist.
    equations: Vec<Option<Equation>>,
}

impl Batch {
    pub(super) fn new<'a>(claims: impl ExactSizeIterator<Item = Claim<'a>> + Clone) -> Self {
        let mut keys = Keys::default();
        let coefficients = Coefficients::over(claims.clone());
        let equations = claims
            .zip(coefficients)
            .map(|(claim, z)| {
                let (r_bytes, s_bytes) = split(claim.signature);
                let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s_bytes))?;
                let key = keys.index(claim.key)?;
                let r = CompressedEdwardsY(r_bytes).decompress()?;
                let k = challenge(&r_bytes, claim.key, claim.message);
                Some(Equation { key, r, s, k, z })
            })
            .collect();
        Self { keys: keys.points, equations }
    }

    /// Whether every claim is valid.
    pub(super) fn verify(&self) -> bool {
        let decoded: Option<Vec<&Equation>> = self.equations.iter().map(Option::as_ref).collect();
        decoded.is_some_and(|all| all.chunks(SUM_LENGTH).all(|part| self.sum_holds(part)))
    }

    /// Which claims are valid, in their order.
    pub(super) fn verify_each(&self) -> Vec<bool> {
        let mut verdicts = vec![false; self.equations.len()];
        let (places, decoded): (Vec<usize>, Vec<&Equation>) = self
            .equations
            .iter()
            .enumerate()
            .filter_map(|(at, equation)| Some((at, equation.as_ref()?)))
            .unzip();
        for (places, equations) in places.chunks(SUM_LENGTH).zip(decoded.chunks(SUM_LENGTH)) {
            for (place, verdict) in places.iter().zip(self.verdicts_of_sum(equations)) {
                verdicts[*place] = verdict;
            }
        }
        verdicts
    }

    /// A sum that does not hold is taken apart twice: into small sums, and those into single equations. Halving all the
    /// way finds one culprit at the same cost, and pays for eight sums instead of two when all are culprits.
    fn verdicts_of_sum(&self, equations: &[&Equation]) -> Vec<bool> {
        if self.sum_holds(equations) {
            return vec![true; equations.len()];
        }
        let parts = equations.chunks(PART_LENGTH);
        parts
            .flat_map(|part| match self.sum_holds(part) {
                true => vec![true; part.len()],
                false => part.iter().map(|equation| self.holds(equation)).collect(),
            })
            .collect()
    }

    /// `[8](R + [k]A − [S]B) = 0`.
    fn holds(&self, equation: &Equation) -> bool {
        let minus_a = -self.keys[equation.key];
        let expected_r =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(&equation.k, &minus_a, &equation.s);
        (equation.r - expected_r).mul_by_cofactor().is_identity()
    }

    /// `[8] Σ z (R + [k]A − [S]B) = 0`, with one term for each distinct `A`.
    fn sum_holds(&self, equations: &[&Equation]) -> bool {
        if let [one] = equations {
            return self.holds(one);
        }
        let mut of_base = Scalar::ZERO;
        let mut of_keys: BTreeMap<usize, Scalar> = BTreeMap::new();
        for equation in equations {
            of_base -= equation.z * equation.s;
            *of_keys.entry(equation.key).or_insert(Scalar::ZERO) += equation.z * equation.k;
        }
        let scalars =
            equations.iter().map(|equation| equation.z).chain(of_keys.values().copied()).chain([of_base]);
        let points = equations
            .iter()
            .map(|equation| equation.r)
            .chain(of_keys.keys().map(|key| self.keys[*key]))
            .chain([ED25519_BASEPOINT_POINT]);
        EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
    }
}

/// The distinct keys of a batch, decompressed once each.
#[derive(Default)]
struct Keys<'a> {
    points: Vec<EdwardsPoint>,
    seen: BTreeMap<&'a PublicKey, Option<usize>>,
}

impl<'a> Keys<'a> {
    fn index(&mut self, key: &'a PublicKey) -> Option<usize> {
        if let Some(known) = self.seen.get(key) {
            return *known;
        }
        let index = CompressedEdwardsY(key.0).decompress().map(|point| {
            self.points.push(point);
            self.points.len() - 1
        });
        self.seen.insert(key, index);
        index
    }
}

/// 128-bit coefficients, never zero: `SHA-256(seed ‖ i)` in halves, where the seed hashes every claim.
struct Coefficients {
    seeded: Hasher,
    next: u64,
    half: Option<[u8; 16]>,
}

impl Coefficients {
    fn over<'a>(claims: impl Iterator<Item = Claim<'a>>) -> Self {
        let mut hasher = Hasher::new(Domain::BatchVerify);
        for claim in claims {
            hasher.update(&claim.key.0);
            hasher.update(&claim.signature.0);
            let length = u64::try_from(claim.message.len()).expect("no slice is longer than 2^64 bytes");
            hasher.update(&length.to_le_bytes());
            hasher.update(claim.message);
        }
        let seed = hasher.finish();
        let mut seeded = Hasher::new(Domain::BatchVerify);
        seeded.update(&seed.0);
        Self { seeded, next: 0, half: None }
    }
}

impl Iterator for Coefficients {
    type Item = Scalar;

    fn next(&mut self) -> Option<Scalar> {
        let bytes = match self.half.take() {
            Some(half) => half,
            None => {
                let mut hasher = self.seeded.clone();
                hasher.update(&self.next.to_le_bytes());
                self.next += 1;
                let digest = hasher.finish().0;
                let (first, second) = digest.split_at(16);
                self.half = Some(second.try_into().expect("half of 32 bytes"));
                first.try_into().expect("half of 32 bytes")
            }
        };
        // Zero would leave a check out of the sum.
        Some(Scalar::from(u128::from_le_bytes(bytes).max(1)))
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
