//! `towpath init`: the data folder of a new node. Nothing that exists is ever overwritten.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use towpath_crypto::id::{self, Kind};
use towpath_crypto::keyfile::{self, FileRandomness, KdfStrength};
use towpath_crypto::seed::Seed;
use towpath_ledger::genesis::Genesis;
use towpath_node::recovery::Cause;

use crate::args::{Common, Init};
use crate::errors::CliError;
use crate::output::{Style, answer, facts};
use crate::{passphrase, words};

/// The fewest characters of a passphrase.
const PASSPHRASE_CHARS_MIN: usize = 8;

/// Makes the data folder, and shows the seed words: once, here, and nowhere else.
///
/// # Errors
/// [`CliError::Local`] when there are keys already, or a file cannot be made.
pub fn init(common: &Common, args: Init) -> Result<(), CliError> {
    let dir = common.data_dir().ok_or_else(|| {
        CliError::Usage(
            "where? Give --data-dir with a new folder for the node, such as ~/.towpath".to_owned(),
        )
    })?;
    let text = std::fs::read_to_string(&args.genesis).map_err(|error| failed(&args.genesis, error))?;
    let genesis = Genesis::parse(&text).map_err(|error| failed(&args.genesis, error))?;
    let passphrase = match &args.passphrase_file {
        Some(file) => passphrase::read(file)?,
        None => passphrase::ask_twice()?,
    };
    if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
        return Err(CliError::Usage(format!(
            "the passphrase needs at least {PASSPHRASE_CHARS_MIN} characters"
        )));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|error| failed(&dir, error))?;
    let mut random = [0; 72];
    File::open("/dev/urandom")
        .and_then(|mut source| std::io::Read::read_exact(&mut source, &mut random))
        .map_err(|error| failed(Path::new("/dev/urandom"), error))?;
    let (mut entropy, mut randomness) = ([0; 32], FileRandomness { salt: [0; 16], nonce: [0; 24] });
    entropy.copy_from_slice(&random[..32]);
    randomness.salt.copy_from_slice(&random[32..48]);
    randomness.nonce.copy_from_slice(&random[48..]);
    let seed = if args.restore { words::read()? } else { Seed::from_entropy(&entropy) };
    if args.restore {
        // First of all: whatever becomes of this command, no node starts here as if it were a new one.
        towpath_node::backup::begin_again(&dir, Cause::Seed, |_| Ok(()))
            .map_err(|error| CliError::Local(error.to_string()))?;
    }
    let keys = dir.join(towpath_node::KEY_FILE);
    keyfile::create(&keys, &seed, passphrase.as_bytes(), KdfStrength::Interactive, randomness)
        .map_err(|error| CliError::Local(error.to_string()))?;
    write_new(&dir.join("genesis.toml"), &text)?;
    write_new(&dir.join("config.toml"), &config(&args)?)?;
    let node = id::encode(Kind::Node, &seed.node_key().public().0);
    if args.restore {
        return restored(common, &dir, &node, &genesis);
    }
    let words = seed.words();
    let document = serde_json::json!({
        "node": node,
        "chain": id::encode(Kind::Chain, &genesis.chain_id().0.0),
        "data_dir": dir,
        "seed_words": words.as_str(),
    });
    answer(Style::of(common), &document, |_| {
        format!(
            "{}\n\nWrite these words down; they are all that brings the keys back, and are never shown again:\n\n{}\n\n\
             next: towpath node --data-dir {}",
            facts(&[
                ("node", node.clone()),
                ("chain", genesis.name.clone()),
                ("data folder", dir.display().to_string())
            ]),
            numbered(&words),
            dir.display(),
        )
    })
}

fn restored(common: &Common, dir: &Path, node: &str, genesis: &Genesis) -> Result<(), CliError> {
    let document = serde_json::json!({
        "node": node,
        "chain": id::encode(Kind::Chain, &genesis.chain_id().0.0),
        "data_dir": dir,
    });
    answer(Style::of(common), &document, |_| {
        format!(
            "{}\n\nThe wallet comes back from the ledger, the channels from the ledger, towers and peers; give it one node to\n\
             connect to (network.bootstrap) if it has none.\n\nnext: towpath node --data-dir {}",
            facts(&[
                ("node", node.to_owned()),
                ("chain", genesis.name.clone()),
                ("data folder", dir.display().to_string())
            ]),
            dir.display(),
        )
    })
}

fn config(args: &Init) -> Result<String, CliError> {
    let name = serde_json::to_string(&args.name).map_err(|error| CliError::Local(error.to_string()))?;
    let mut text =
        format!("# `towpath node --show-config` lists every setting.\nname = {name}\ndata_dir = \".\"\n");
    if let Some(file) = &args.passphrase_file {
        let path = std::path::absolute(file).map_err(|error| failed(file, error))?;
        let path = serde_json::to_string(&path).map_err(|error| CliError::Local(error.to_string()))?;
        text.push_str(&format!("passphrase_file = {path}\n"));
    }
    Ok(text)
}

/// The words in four columns, each with its number.
fn numbered(words: &str) -> String {
    let words: Vec<String> =
        words.split(' ').enumerate().map(|(index, word)| format!("{:>2} {word:<10}", index + 1)).collect();
    words.chunks(4).map(|row| row.join(" ").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let mut options = File::options();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(path).map_err(|error| failed(path, error))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: impl std::fmt::Display) -> CliError {
    CliError::Local(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn words_are_numbered_in_columns() {
        let words = ["alpha"; 5].join(" ");
        assert_eq!(numbered(&words), " 1 alpha       2 alpha       3 alpha       4 alpha\n 5 alpha");
    }
}
