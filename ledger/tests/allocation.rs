//! What bytes from a peer can make a decoder allocate, measured (FAULTS L8, N3; `docs/decisions/codec.md`). One test in a
//! file of its own, because the allocator that counts is the whole process's.

use std::fmt::Debug;

use bincode::{Decode, Encode};
use peak_alloc::PeakAlloc;
use towpath_crypto::codec::{self, fits};
use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_crypto::limits::DECODE_EXPANSION_MAX;
use towpath_crypto::schnorr::{WalletKey, WalletSignature};
use towpath_ledger::chain::{CommitCertificate, Validator};
use towpath_ledger::genesis::{Allocation, AssetName};
use towpath_ledger::*;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What an accepted value takes at most, as a multiple of its bytes: witnesses of nothing, 12 bytes each.
const KEPT_MAX: usize = 13;

/// What small allocations and an error's text come to.
const SLACK: usize = 4 << 10;

/// The bytes to which the crafted frames are filled up.
const FRAME: usize = 32 << 10;

/// Decodes, and returns what was allocated at the peak, what the value keeps, and whether there is one.
fn measure<T: Decode<()> + Encode>(bytes: &[u8]) -> (usize, usize, bool) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let value = codec::decode::<T>(bytes, FRAME);
    let (peak, kept) = (ALLOCATOR.peak_usage() - before, ALLOCATOR.current_usage() - before);
    (peak, kept, value.is_ok())
}

/// Every place of a healthy value becomes a length, from small to huge, in a frame that is filled up with zeros.
fn check<T: Decode<()> + Encode + Debug>(name: &str, healthy: &T) -> usize {
    let healthy = codec::encode(healthy);
    assert!(healthy.len() < FRAME / 2, "{name} is small");
    let mut worst = 0;
    for at in 0..=healthy.len() {
        for shift in [4, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 26, 40, 63] {
            let mut frame = healthy.clone();
            frame.resize(FRAME, 0);
            frame[at..at + 8].copy_from_slice(&(1_u64 << shift).to_le_bytes());
            let (peak, kept, accepted) = measure::<T>(&frame);
            let most = if accepted { KEPT_MAX * FRAME + SLACK } else { SLACK };
            assert!(kept <= most, "{name}: {kept} bytes are kept of {FRAME}");
            worst = worst.max(peak);
        }
    }
    let most = (DECODE_EXPANSION_MAX + KEPT_MAX) * FRAME + SLACK;
    assert!(worst <= most, "{name}: {worst} bytes are allocated for {FRAME}");
    worst
}

fn output(payout: Payout) -> Output {
    Output { asset: AssetId::NATIVE, amount: Amount(1), lock: Lock::Wallet(payout) }
}

fn multisig(keys: usize) -> Payout {
    Payout::Multisig(Multisig { required: 0, keys: vec![WalletKey([0; 32]); keys] })
}

fn outpoint() -> OutPoint {
    OutPoint { tx: TxId(Digest::ZERO), index: 0 }
}

fn body() -> TxBody {
    TxBody {
        chain: ChainId(Digest::ZERO),
        inputs: vec![outpoint()],
        outputs: vec![output(multisig(1))],
        not_before: None,
        expiry: None,
        payload: Some(Payload::Reveal(vec![Secret::Preimage([0; 32])])),
    }
}

/// The shortest that there is.
fn empty() -> Transaction {
    let body = TxBody { inputs: Vec::new(), outputs: Vec::new(), payload: None, ..body() };
    Transaction { body, witnesses: Vec::new() }
}

fn header() -> Header {
    Header {
        chain: ChainId(Digest::ZERO),
        height: 1,
        parent: BlockId(Digest::ZERO),
        time: Time(1),
        transactions_root: Digest::ZERO,
        state_root: Digest::ZERO,
        validators: Digest::ZERO,
        proposer: PublicKey([0; 32]),
    }
}

fn payment() -> PendingPayment {
    PendingPayment {
        number: 1,
        payer: Party::A,
        amount: Amount(1),
        condition: Condition::Hash(Digest::ZERO),
        expiry: Time(1),
    }
}

fn witnesses() -> Vec<Witness> {
    let (fee, pending) = (Amount(1), vec![payment()]);
    let signature = Signature([0; 64]);
    vec![
        Witness::Wallet(vec![(WalletKey([0; 32]), WalletSignature([0; 64]))]),
        Witness::Finalize { pending: pending.clone(), fee },
        Witness::Answer { state: None, proof: None, pending, fee, signature },
    ]
}

/// The shortest encoding of every type that stands in a collection is long enough for what it takes in memory.
fn check_elements() {
    assert!(fits(&empty()) && fits(&outpoint()) && fits(&output(multisig(0))) && fits(&payment()));
    assert!(fits(&Witness::Wallet(Vec::new())) && fits(&Witness::Resolve { fee: Amount(0) }));
    assert!(fits(&(WalletKey([0; 32]), WalletSignature([0; 64]))) && fits(&WalletKey([0; 32])));
    assert!(fits(&(PublicKey([0; 32]), Signature([0; 64]))) && fits(&Digest::ZERO));
    assert!(fits(&Secret::Preimage([0; 32])));
    assert!(fits(&Validator { key: PublicKey([0; 32]), power: 1 }));
    assert!(fits(&AssetName { symbol: String::new(), decimals: 0 }));
    assert!(fits(&Allocation { payout: multisig(0), asset: None, amount: Amount(0) }));
}

#[test]
fn l8_n3_a_decoder_allocates_within_its_bound() {
    check_elements();
    let certificate = CommitCertificate {
        height: 1,
        round: 0,
        block: BlockId(Digest::ZERO),
        signatures: vec![(PublicKey([0; 32]), Signature([0; 64]))],
    };
    let worst = [
        check("transaction", &Transaction { body: body(), witnesses: witnesses() }),
        check("block", &Block { header: header(), transactions: vec![empty(), empty()] }),
        check("certificate", &certificate),
        check("payout", &multisig(2)),
        check("header", &header()),
    ];
    assert!(worst.iter().any(|peak| *peak > 8 * FRAME), "the frames make the decoder reserve: {worst:?}");
    // The value that takes the most memory for its bytes.
    let mut nothing = empty();
    nothing.witnesses = vec![Witness::Wallet(Vec::new()); FRAME / 12 - 40];
    let bytes = codec::encode(&nothing);
    let (peak, kept, accepted) = measure::<Transaction>(&bytes);
    assert!(accepted && kept > 8 * bytes.len() && kept <= KEPT_MAX * bytes.len(), "{kept} bytes");
    assert!(peak <= kept + SLACK, "what is compared afterwards allocates nothing: {peak}");
}
