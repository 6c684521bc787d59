//! That no kind of bytes is forgotten (FAULTS F9).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use towpath_fuzz::all;

/// Source files of the workspace that are not tests.
fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = [
        ("towpath_crypto", "crypto/src"),
        ("towpath_ledger", "ledger/src"),
        ("towpath_consensus", "ledger/consensus/src"),
        ("towpath_store", "ledger/store/src"),
        ("towpath_protocol", "protocol/src"),
        ("towpath_node", "node/src"),
    ];
    let mut found = Vec::new();
    for (name, folder) in crates {
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder of the workspace") {
                let path = entry.expect("an entry").path();
                let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if path.is_dir() && file != "tests" {
                    folders.push(path);
                } else if file.ends_with(".rs") && !file.ends_with("tests.rs") {
                    found.push((name.to_owned(), path));
                }
            }
        }
    }
    found
}

/// The name and the definition of each type of a file that can be decoded.
fn decoded_types(text: &str) -> Vec<(String, String)> {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut types = Vec::new();
    for part in shipped.split("#[derive(").skip(1) {
        let Some((derived, rest)) = part.split_once(")]") else { continue };
        if !derived.split(", ").any(|name| name == "Decode") {
            continue;
        }
        let definition = rest.split("\n}").next().unwrap_or_default();
        let definition =
            if definition.contains('{') { definition } else { rest.split(";\n").next().unwrap_or_default() };
        let mut words = definition
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .skip_while(|word| *word != "struct" && *word != "enum");
        let Some(name) = words.nth(1) else { continue };
        types.push((name.to_owned(), definition.to_owned()));
    }
    types
}

/// The words of a definition that may be types: none of comments, attributes and names of variants.
fn type_words(definition: &str) -> impl Iterator<Item = String> + '_ {
    let lines = definition
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    lines.flat_map(|line| {
        let is_variant = line.starts_with(char::is_uppercase);
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .skip(usize::from(is_variant))
            .map(str::to_owned)
    })
}

#[test]
fn f9_no_type_that_is_decoded_is_forgotten() {
    let mut parts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, path) in sources() {
        let text = std::fs::read_to_string(&path).expect("a source file");
        for (name, definition) in decoded_types(&text) {
            parts.entry(name).or_default().extend(type_words(&definition));
        }
    }
    assert!(parts.len() > 120, "the sources are found: {}", parts.len());
    // What a target reads, it reads with all its parts.
    let listed = listed_names();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> =
        parts.keys().map(String::as_str).filter(|name| listed.contains(*name)).collect();
    while let Some(name) = next.pop() {
        if reached.insert(name) {
            next.extend(parts[name].iter().map(String::as_str).filter(|part| parts.contains_key(*part)));
        }
    }
    let forgotten: Vec<&String> = parts.keys().filter(|name| !reached.contains(name.as_str())).collect();
    assert_eq!(
        forgotten, [""; 0],
        "each type that is decoded is in a crate's list of decoders, or part of one that is"
    );
}

/// The last part of the name of everything that a crate lists as decoded. The store's and the node's lists are read from their
/// sources, since this crate builds without them.
fn listed_names() -> BTreeSet<String> {
    let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_owned();
    let mut names: BTreeSet<String> = all().iter().map(|target| last(target.name)).collect();
    for (krate, path) in sources() {
        if krate != "towpath_store" && krate != "towpath_node" {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        for list in text.split("readable![").skip(1) {
            let list = list.split(']').next().unwrap_or_default();
            names.extend(list.split([',', ';', '>', ' ', '\n']).map(last));
        }
    }
    names
}
