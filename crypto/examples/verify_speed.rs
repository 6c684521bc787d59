//! What a signature check costs, alone and batched: `cargo run --release -p towpath-crypto --example verify_speed`.

use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{Check, SecretKey, Signature, verify_batch, verify_each};
use towpath_crypto::{ChainId, Digest, Domain, Signable};

/// What is signed here.
#[derive(Encode, Decode)]
struct Number(u64);

impl Signable for Number {
    const DOMAIN: Domain = Domain::Test;
}

fn checks(count: usize, keys: usize) -> Vec<Check> {
    let chain = ChainId(Digest::ZERO);
    (0_u64..)
        .take(count)
        .map(|number| {
            let mut seed = [7; 32];
            let distinct = number % u64::try_from(keys).expect("small");
            seed[..8].copy_from_slice(&distinct.to_le_bytes());
            let secret = SecretKey::from_bytes(&seed);
            let value = Number(number);
            Check {
                key: secret.public(),
                digest: value.signing_digest(&chain),
                signature: secret.sign(&chain, &value),
            }
        })
        .collect()
}

/// Processor time of this thread, where the system tells it; else the clock's, which waits for other processes too.
fn now() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = spent.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| CLOCK.elapsed(), Duration::from_nanos)
}

static CLOCK: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// Microseconds a signature: the best of five rounds.
fn cost_us(count: usize, mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let (started, mut runs) = (now(), 0.0);
        let spent = loop {
            run();
            runs += 1.0;
            let spent = now() - started;
            if spent > Duration::from_millis(60) {
                break spent;
            }
        };
        best = best.min(spent.as_secs_f64() * 1e6 / runs);
    }
    best / f64::from(u32::try_from(count).expect("small"))
}

fn main() {
    #[cfg(target_arch = "x86_64")]
    println!("avx2: {}", std::arch::is_x86_feature_detected!("avx2"));
    let one = checks(1, 1);
    println!("is the key weak              {:6.2} µs", cost_us(1, || assert!(!one[0].key.is_weak())));
    println!("single                       {:6.2} µs", cost_us(1, || assert!(one[0].verify())));
    for (count, keys) in [(2, 2), (4, 4), (8, 8), (64, 64), (256, 256), (8, 1), (64, 1), (256, 1), (256, 32)]
    {
        let mut batch = checks(count, keys);
        let all = cost_us(count, || assert!(verify_batch(&batch)));
        batch[count / 3].signature = Signature([1; 64]);
        let search = cost_us(count, || assert!(!verify_each(&batch)[count / 3]));
        for check in &mut batch {
            check.digest = Digest([9; 32]);
        }
        let worst = cost_us(count, || assert!(!verify_each(&batch)[0]));
        println!(
            "{count:5} by {keys:4} keys: batch {all:6.2} µs, one bad {search:6.2} µs, all bad {worst:6.2} µs"
        );
    }
}
