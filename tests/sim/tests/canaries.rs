//! Known bugs, put back one at a time: the worlds must find them (docs/reports/canaries.md).

#![cfg(feature = "canaries")]

use towpath_protocol::canary::{Canary, let_sing};
use towpath_sim::{Sabotage, run, run_sabotaged};

/// As many worlds as a measurement for the report tries.
const WORLDS: u64 = 60;

#[test]
fn canary_s2_syncs_that_lie() {
    let found = (1..=40).find_map(|seed| {
        let outcome = run_sabotaged(seed, Sabotage::SyncsLie);
        outcome.violation.map(|violation| format!("seed {seed}: {violation}"))
    });
    println!("CANARY syncs that lie: {}", found.expect("a build without syncs must fail"));
}

/// What nine worlds in ten sign with must tell keys and messages apart, or garbled signatures would pass in them.
#[cfg(feature = "quick")]
#[test]
fn canary_quick_signatures_are_of_one_key_and_one_message() {
    use towpath_crypto::ed25519::{Check, SecretKey, Signature, verify_batch, verify_each};
    use towpath_crypto::quick::quickly;
    use towpath_crypto::{ChainId, Digest, Signable as _};
    use towpath_protocol::Epoch;

    let (ours, theirs) = (SecretKey::from_bytes(&[1; 32]), SecretKey::from_bytes(&[2; 32]));
    let said = Epoch { start: 1, instance: [5; 16] };
    let chain = ChainId(Digest([3; 32]));
    let digest = said.signing_digest(&chain);
    quickly(|| {
        let signature = ours.sign(&chain, &said);
        let good = Check { key: ours.public(), digest, signature };
        let mut bytes = signature.0;
        bytes[40] ^= 1;
        let bad = [
            Check { key: theirs.public(), ..good },
            Check { digest: Digest([4; 32]), ..good },
            Check { signature: Signature(bytes), ..good },
        ];
        assert!(good.verify() && verify_batch(&[good, good]));
        assert!(bad.iter().all(|bad| !bad.verify() && !verify_batch(&[good, *bad])));
        assert_eq!(verify_each(&[good, bad[0], bad[1], bad[2]]), [true, false, false, false]);
    });
    let real = ours.sign(&chain, &said);
    assert!(Check { key: ours.public(), digest, signature: real }.verify());
    assert!(!quickly(|| Check { key: ours.public(), digest, signature: real }.verify()));
}

/// Which of the machines' bugs whole worlds find. That each is found by what is quicker is tested there.
#[test]
#[ignore = "takes an hour; run by hand for the report"]
fn measured() {
    let first = |canary| {
        (1..=WORLDS).find_map(|seed| {
            let violation = let_sing(canary, || run(seed)).violation?;
            Some(format!("seed {seed}: {violation}"))
        })
    };
    for canary in Canary::OF_MACHINES {
        let by = first(canary).unwrap_or_else(|| format!("not found in {WORLDS} worlds"));
        println!("CANARY {canary:?}: {by}");
    }
}
