//! Where inputs come from: the golden vectors of all crates, and what once went wrong.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use towpath_crypto::id::{self, Kind};

/// The golden vectors, each crate's own file.
const GOLDEN: [&str; 5] = [
    include_str!("../../ledger/src/types/golden.txt"),
    include_str!("../../ledger/consensus/src/golden/wire.txt"),
    include_str!("../../ledger/consensus/src/golden/log.txt"),
    include_str!("../../protocol/src/golden.txt"),
    include_str!("../../protocol/src/tower/golden.txt"),
];

/// Every byte string of the golden vectors, with and without its first byte, which is a version in messages and rows.
#[must_use]
pub fn golden() -> Vec<Vec<u8>> {
    let lines = GOLDEN.iter().flat_map(|file| file.lines());
    let values = lines.filter_map(|line| hex::decode(line.rsplit(' ').next()?).ok());
    let all: BTreeSet<Vec<u8>> = values
        .flat_map(|bytes| [bytes.get(1..).unwrap_or_default().to_vec(), bytes])
        .chain([include_bytes!("../../ledger/src/genesis/golden.toml").to_vec()])
        .chain(ids())
        .chain(tree_rows())
        .collect();
    all.into_iter().collect()
}

/// A text of each kind of id.
fn ids() -> impl Iterator<Item = Vec<u8>> {
    Kind::ALL.into_iter().flat_map(|kind| {
        // An outpoint's id has four bytes more than the others.
        let length = if kind == Kind::Output { 36 } else { 32 };
        let text = id::encode(kind, &vec![0x2a; length]);
        [text.to_ascii_uppercase().into_bytes(), text.into_bytes()]
    })
}

/// The root of an empty tree, and of one with a leaf: format, which children there are, which are leaves, the children.
fn tree_rows() -> [Vec<u8>; 3] {
    let leaf = [[0x20; 32], [1; 32], [2; 32]].concat();
    let inner = [[0; 8].as_slice(), &[3; 32]].concat();
    [vec![1, 0, 0, 0, 0], [vec![1, 0, 4, 0, 4], leaf].concat(), [vec![1, 0, 1, 0, 0], inner].concat()]
}

/// The folder in which the corpus of a target is kept: a file an input, as libFuzzer has them.
#[must_use]
pub fn folder_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.replace("::", "-"))
}

/// The inputs that are kept for a target because they reach what others do not, in the order of their names.
///
/// # Panics
/// When the folder is there and cannot be read: a corpus that is skipped would pass for one that was tried.
#[must_use]
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    let entries = match std::fs::read_dir(folder_of(target)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => panic!("the corpus of {target} cannot be read: {error}"),
    };
    let paths: BTreeSet<PathBuf> =
        entries.map(|entry| entry.expect("an entry of a folder that can be read").path()).collect();
    paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect()
}

/// Inputs on which a target once failed: each later run tries them first.
#[derive(Debug)]
pub struct Regressions {
    path: PathBuf,
    inputs: Vec<(String, Vec<u8>)>,
}

impl Regressions {
    /// The file beside this crate.
    #[must_use]
    pub fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions.txt")
    }

    /// Reads them: a line has a target's name and the input in hexadecimal. No file means none.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is something else.
    pub fn read(path: PathBuf) -> io::Result<Self> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let bad =
            |line: &str| io::Error::other(format!("{}: not a target and an input: {line}", path.display()));
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parse = |line: &str| {
            let (target, input) = line.split_once(' ').ok_or_else(|| bad(line))?;
            Ok((target.to_owned(), hex::decode(input).map_err(|_| bad(line))?))
        };
        let inputs = lines.map(parse).collect::<io::Result<_>>()?;
        Ok(Self { path, inputs })
    }

    /// Those of a target.
    pub fn of<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.inputs.iter().filter(move |(name, _)| name == target).map(|(_, input)| input.as_slice())
    }

    /// Keeps one more, in the file, too.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, target: &str, input: &[u8]) -> io::Result<()> {
        if self.of(target).any(|known| known == input) {
            return Ok(());
        }
        self.inputs.push((target.to_owned(), input.to_vec()));
        let lines: String =
            self.inputs.iter().map(|(target, input)| format!("{target} {}\n", hex::encode(input))).collect();
        std::fs::write(
            &self.path,
            format!("# Inputs on which a target failed; every run tries them first.\n{lines}"),
        )
    }
}
