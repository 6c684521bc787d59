//! The help of every command, rendered at a fixed width and compared with `cli/tests/golden/`: a change of a word shows
//! in review. `UPDATE_GOLDEN=1` writes the files anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};

use super::Cli;

/// Columns of the rendered texts: what fits a terminal of ordinary size.
const WIDTH: usize = 100;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help")
}

/// Each command with the name of its file: `channel-pay.txt`.
fn pages(command: &mut Command, name: &str, pages: &mut Vec<(String, String)>) {
    pages.push((format!("{name}.txt"), command.render_long_help().to_string()));
    let subcommands: Vec<String> = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .filter(|name| name != "help")
        .collect();
    for subcommand in subcommands {
        if let Some(command) = command.find_subcommand_mut(&subcommand) {
            self::pages(command, &format!("{name}-{subcommand}"), pages);
        }
    }
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    let mut command = Cli::command().term_width(WIDTH);
    command.build();
    let mut found = Vec::new();
    pages(&mut command, "towpath", &mut found);
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let names: BTreeSet<String> = found.iter().map(|(name, _)| name.clone()).collect();
    if update {
        std::fs::create_dir_all(folder()).expect("a folder");
        for file in std::fs::read_dir(folder()).expect("it lists").flatten() {
            std::fs::remove_file(file.path()).expect("it goes");
        }
    }
    for (name, text) in &found {
        let path = folder().join(name);
        // Ends of lines that nobody sees would only make differences.
        let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        if update {
            std::fs::write(&path, text).expect("written");
            continue;
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == text,
            "the help in {name} has changed; read it, then run this test with UPDATE_GOLDEN=1\n--- now:\n{text}"
        );
    }
    let kept = std::fs::read_dir(folder()).expect("the folder of golden files");
    let kept: BTreeSet<String> =
        kept.flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(kept, names, "a golden file for each command, and no other");
}

#[test]
fn the_commands_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_and_every_option_is_explained() {
    fn check(command: &Command, path: &str) {
        assert!(command.get_about().is_some(), "{path} has no help");
        for argument in command.get_arguments() {
            let text = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.len() > 8, "{path} {} is not explained: '{text}'", argument.get_id());
        }
        for subcommand in command.get_subcommands() {
            check(subcommand, &format!("{path} {}", subcommand.get_name()));
        }
    }
    check(&Cli::command(), "towpath");
}
