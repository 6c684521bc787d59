//! Changes to bytes: the small ones that a decoder's checks are about (a length, a tag, an end), and the coarse ones.

use crate::random::Random;

/// Numbers at which lengths, counts and amounts go wrong.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    7,
    32,
    255,
    256,
    65_535,
    65_536,
    1 << 26,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 63) - 1,
    u64::MAX,
];

/// One to four changes to `bytes`, which stay within `limit` and one byte more, so that the bound itself is tried.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8], limit: usize) {
    for _ in 0..=random.below(4) {
        change(random, bytes, other);
    }
    bytes.truncate(limit.saturating_add(1));
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len());
    match random.below(11) {
        0 => edit(bytes, at, |byte| *byte ^= 1 << random.below(8)),
        1 => edit(bytes, at, |byte| *byte = random.number().to_le_bytes()[0]),
        2 => edit(bytes, at, |byte| *byte = byte.wrapping_add(1)),
        3 => write(bytes, at, &edge(random).to_le_bytes()),
        4 => write(bytes, at, &edge(random).to_le_bytes()[..4]),
        5 => bytes.truncate(at),
        6 => {
            let more = random.below(40);
            bytes.extend((0..more).map(|_| random.number().to_le_bytes()[0]));
        }
        7 => {
            let end = at + random.below((bytes.len() - at).min(64) + 1);
            bytes.drain(at..end);
        }
        8 => {
            let end = at + random.below((bytes.len() - at).min(64) + 1);
            let part = bytes[at..end].to_vec();
            insert(bytes, at, &part);
        }
        9 => {
            let from = random.below(other.len());
            let end = from + random.below((other.len() - from).min(128) + 1);
            insert(bytes, at, &other[from..end]);
        }
        _ => {
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

/// An edge, or a number beside it.
fn edge(random: &mut Random) -> u64 {
    let edge = random.pick(&EDGES).copied().unwrap_or_default();
    edge.wrapping_add(random.number() % 3).wrapping_sub(1)
}

fn edit(bytes: &mut [u8], at: usize, change: impl FnOnce(&mut u8)) {
    if let Some(byte) = bytes.get_mut(at) {
        change(byte);
    }
}

fn write(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = *new);
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}
