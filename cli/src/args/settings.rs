//! A flag for each setting of a node, made from the table that also names its key in the file and its variable: no
//! setting can be without one.

use clap::{Arg, ArgAction, ArgMatches, Command};
use towpath_node::config::{Key, Overrides, Shape};

/// The settings that were given as flags.
#[derive(Debug, Default)]
pub struct Settings(pub Overrides);

/// The settings with a flag of their own here; `--data-dir` is an option of every command.
fn keys() -> impl Iterator<Item = Key> {
    Key::ALL.iter().copied().filter(|key| *key != Key::DataDir)
}

fn flag(key: Key) -> Arg {
    let long = key.flag().trim_start_matches('-');
    let heading = match key.path().split_once('.') {
        None => "Settings",
        Some(("network", _)) => "Settings of the network",
        Some(("api", _)) => "Settings of the API",
        Some(("retention", _)) => "Settings of what is kept",
        Some(("log", _)) => "Settings of the log",
        Some(_) => "More settings",
    };
    let help = match key.default_text() {
        Some(default) => format!("{} [default: {default}]", key.doc()),
        None => key.doc().to_owned(),
    };
    let arg = Arg::new(key.path()).long(long).help(help).help_heading(heading).hide_possible_values(true);
    match key.shape() {
        Shape::Text => arg.value_name("TEXT"),
        Shape::Path => arg.value_name("PATH"),
        Shape::Integer => arg.value_name("NUMBER"),
        // `--validator` alone says yes; `--validator=false` overrules a file that says yes.
        Shape::Boolean => arg
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(["true", "false"]),
        Shape::List => arg.value_name("LIST").action(ArgAction::Append),
    }
}

impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(keys().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for key in keys() {
            for value in matches.get_many::<String>(key.path()).into_iter().flatten() {
                self.0.set(key, value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use towpath_node::config::{Config, Key, Origin, Shape};

    use crate::args::{Cli, Command};

    fn parse(arguments: &[String]) -> crate::args::Node {
        let all = ["towpath".to_owned(), "node".to_owned()].into_iter().chain(arguments.iter().cloned());
        match Cli::try_parse_from(all).expect("it parses").command {
            Command::Node(node) => *node,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_setting_has_a_flag_that_sets_it_and_nothing_else() {
        for &key in Key::ALL.iter().filter(|key| **key != Key::DataDir) {
            let value = match key.shape() {
                Shape::Boolean => "false",
                Shape::Integer => "7",
                Shape::Text | Shape::Path | Shape::List => "x",
            };
            let settings = parse(&[format!("{}={value}", key.flag())]).settings.0;
            for &other in Key::ALL {
                assert_eq!(settings.get(other), (other == key).then_some(value), "{key:?} and {other:?}");
            }
        }
    }

    #[test]
    fn a_yes_needs_no_value_and_a_list_can_be_repeated() {
        let flags = ["--validator", "--api-hosts", "a", "--api-hosts", "b,c", "--name", "x"];
        let node = parse(&flags.map(str::to_owned));
        let overrides = node.settings.0.with(Key::DataDir, "/data");
        let config = Config::from_layers(None, [], &overrides).expect("valid");
        assert!(config.validator);
        assert_eq!((config.name.as_str(), config.api.hosts.join(" ")), ("x", "a b c".to_owned()));
        assert_eq!(config.origin(Key::ApiHosts), &Origin::Flag("--api-hosts"));
    }
}
