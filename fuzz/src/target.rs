//! What is tried.

use towpath_crypto::codec::Readable;
use towpath_crypto::limits::DECODE_EXPANSION_MAX;

/// Takes an input and says whether it was accepted; panics when something does not hold.
type Run = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Something that takes bytes from strangers.
pub struct Target {
    /// Its name, as the command line takes it.
    pub name: &'static str,
    /// The longest input that is worth trying, in bytes.
    pub limit: usize,
    /// The most memory that an input of so many bytes may take at its peak; none if that is not looked at.
    pub memory: Option<fn(usize) -> usize>,
    /// New inputs that each run of the gate tries: a decoder takes a microsecond, a machine's script milliseconds.
    pub gate_inputs: u64,
    /// What it is.
    pub kind: Kind,
    /// What takes the bytes.
    pub run: Run,
}

/// What a target is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It decodes: golden vectors are tried on it.
    Decoder,
    /// It plays a script: a golden vector says nothing to it.
    Machine,
}

/// New inputs of a decoder.
const DECODER_INPUTS: u64 = 30_000;

/// The longest script that is worth trying, in bytes: what is behind the last action is not read.
const SCRIPT_BYTES_MAX: usize = 1_024;

impl Target {
    /// A decoder, with what holds for each: nothing panics; what is accepted encodes to the same bytes; what is longer than
    /// allowed is refused; memory stays in proportion to the bytes.
    #[must_use]
    pub fn of(decoder: Readable) -> Self {
        let Readable { name, limit, read } = decoder;
        let run = move |bytes: &[u8]| match read(bytes) {
            Some(same) => {
                assert!(bytes.len() <= limit, "{} bytes are accepted, more than {limit}", bytes.len());
                assert_eq!(hex::encode(&same), hex::encode(bytes), "what is accepted has one encoding");
                true
            }
            None => false,
        };
        let (memory, gate_inputs) = (Some(memory_max as fn(usize) -> usize), DECODER_INPUTS);
        Self { name, limit, memory, gate_inputs, kind: Kind::Decoder, run: Box::new(run) }
    }

    /// A machine that plays scripts: whatever they say, it holds what it must, within as much memory as a run may have.
    #[must_use]
    pub fn machine(name: &'static str, gate_inputs: u64, run: fn(&[u8]) -> bool) -> Self {
        let (limit, memory) = (SCRIPT_BYTES_MAX, Some(script_memory_max as fn(usize) -> usize));
        Self { name, limit, memory, gate_inputs, kind: Kind::Machine, run: Box::new(run) }
    }
}

/// What reserving for a list's length takes, the values, their copy in the one encoding and in the comparison, and the text
/// of an error.
fn memory_max(length: usize) -> usize {
    (2 * DECODE_EXPANSION_MAX + 16) * length + (64 << 10)
}

/// What a whole cluster takes, with room to spare: a script that makes a queue grow is longer than that lets it.
const fn script_memory_max(_: usize) -> usize {
    64 << 20
}
