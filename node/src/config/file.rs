//! Reads the configuration file, with the line of every value.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::key::{Key, Shape};
use super::layers::{Layer, Origin, Raw};
use super::values::nearest;
use crate::logging::shown;

/// How much of an unknown name an error repeats.
const NAME_CHARS_SHOWN: usize = 100;

/// The values of the file at `path`; paths among them are made relative to its folder.
pub fn read(path: &Path) -> Result<Layer, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

pub fn parse(text: &str, path: &Path) -> Result<Layer, ConfigError> {
    let source = Source { text, path };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: source.line(error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    })?;
    let mut layer = Layer::new();
    source.collect(table.get_ref(), "", &mut layer)?;
    Ok(layer)
}

struct Source<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Source<'_> {
    fn collect(&self, table: &DeTable<'_>, section: &str, layer: &mut Layer) -> Result<(), ConfigError> {
        for (name, value) in table {
            let path = match section {
                "" => name.get_ref().to_string(),
                section => format!("{section}.{}", name.get_ref()),
            };
            let origin = Origin::File { path: self.path.to_owned(), line: self.line(name.span().start) };
            if let Some(key) = Key::ALL.iter().copied().find(|key| key.path() == path) {
                layer.insert(key, (self.value(key, value, &origin)?, origin));
                continue;
            }
            let is_section = Key::ALL.iter().any(|key| key.path().starts_with(&format!("{path}.")));
            match value.get_ref() {
                DeValue::Table(inner) if is_section => self.collect(inner, &path, layer)?,
                other if is_section => {
                    let is_list_of_tables = matches!(other, DeValue::Array(items)
                        if !items.is_empty() && items.iter().all(|item| item.get_ref().is_table()));
                    let found = if is_list_of_tables {
                        format!("[[{path}]], which begins a list of sections")
                    } else {
                        format!("a value of type {}", other.type_str())
                    };
                    return Err(ConfigError::Section { origin, name: path, found });
                }
                _other => {
                    let nearest = nearest(&path, names());
                    return Err(ConfigError::Unknown {
                        origin,
                        name: shown(&path, NAME_CHARS_SHOWN),
                        nearest,
                    });
                }
            }
        }
        Ok(())
    }

    fn value(&self, key: Key, value: &Spanned<DeValue<'_>>, origin: &Origin) -> Result<Raw, ConfigError> {
        let wrong = |found: String| ConfigError::Kind {
            origin: origin.clone(),
            key: key.path(),
            expected: key.shape().describe(),
            found,
        };
        let value = value.get_ref();
        match (key.shape(), value) {
            (Shape::Text, DeValue::String(text)) => Ok(Raw::Text(text.to_string())),
            (Shape::Path, DeValue::String(text)) => Ok(Raw::Text(self.resolve(text))),
            (Shape::Boolean, DeValue::Boolean(value)) => Ok(Raw::Boolean(*value)),
            (Shape::Integer, DeValue::Integer(digits)) => {
                u64::from_str_radix(digits.as_str(), digits.radix())
                    .map(Raw::Integer)
                    .map_err(|_negative_or_too_large| wrong(digits.to_string()))
            }
            (Shape::List, DeValue::Array(items)) => items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Ok(text.to_string()),
                    other => Err(wrong(format!("a list with {}", other.type_str()))),
                })
                .collect::<Result<_, _>>()
                .map(Raw::List),
            (Shape::Text | Shape::Path | Shape::Boolean | Shape::Integer | Shape::List, other) => {
                Err(wrong(format!("of type {}", other.type_str())))
            }
        }
    }

    /// A path in a file is meant from where the file is, so that a node can be started from anywhere.
    fn resolve(&self, text: &str) -> String {
        match self.path.parent() {
            Some(folder) => folder.join(text).to_string_lossy().into_owned(),
            None => text.to_owned(),
        }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
    }
}

/// All names that can stand in a file, sections included.
fn names() -> impl Iterator<Item = &'static str> {
    let sections = Key::ALL.iter().filter_map(|key| key.path().split_once('.').map(|(section, _)| section));
    Key::ALL.iter().map(|key| key.path()).chain(sections)
}
