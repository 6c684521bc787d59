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
    /// What takes the bytes.
    pub run: Run,
}

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
        Self { name, limit, memory: Some(memory_max), run: Box::new(run) }
    }
}

/// What reserving for a list's length takes, the values, their copy in the one encoding and in the comparison, and the text
/// of an error.
fn memory_max(length: usize) -> usize {
    (2 * DECODE_EXPANSION_MAX + 16) * length + (64 << 10)
}
