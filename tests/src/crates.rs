//! Holds the foreign crates of both workspaces against deny.toml: licences, sources, crates that
//! are banned, second versions. It asks cargo for what this machine would build, without a network;
//! cargo-deny, where there is one, reads the same file.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Named>,
    skip: Vec<Named>,
}

/// `name`, or `name@0.13`.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "crate")]
    spec: String,
}

impl Named {
    fn is(&self, package: &Package) -> bool {
        match self.spec.split_once('@') {
            None => self.spec == package.name,
            Some((name, version)) => {
                name == package.name && package.version.starts_with(&format!("{version}."))
            }
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None for the crates of this house.
    source: Option<String>,
}

fn rules() -> Rules {
    let text = fs::read_to_string(crate::source::root().join("deny.toml")).expect("deny.toml");
    toml::from_str(&text).expect("deny.toml as it is read here")
}

/// What a workspace builds on this machine, tests included.
fn packages(workspace: &str) -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline", "--locked"])
        .args(["--filter-platform", "host-tuple"])
        .current_dir(crate::source::root().join(workspace))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Metadata>(&output.stdout).expect("cargo's metadata").packages
}

/// Whether an SPDX expression can be met with the licences that `allowed` takes. `/` is the old way
/// to write `OR`; `AND` binds closer.
fn can_be_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any(&mut words, allowed);
    assert_eq!(words.next(), None, "`{expression}` is no licence expression");
    met
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut Words, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words, allowed: &dyn Fn(&str) -> bool) -> bool {
    let word = words.next().expect("a licence");
    if word == "(" {
        let met = any(words, allowed);
        assert_eq!(words.next(), Some(")"), "a closed bracket");
        return met;
    }
    match words.next_if_eq(&"WITH") {
        Some(_) => allowed(&format!("{word} WITH {}", words.next().expect("an exception"))),
        None => allowed(word),
    }
}

#[test]
fn foreign_crates_are_what_deny_toml_takes() {
    let Rules { licenses, bans } = rules();
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for workspace in [".", "plugins"] {
        let packages = packages(workspace);
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for package in packages.iter().filter(|it| it.source.is_some()) {
            let Package { name, version, license, source } = package;
            let allowed = |it: &str| {
                let exceptions = licenses.exceptions.iter().filter(|it| it.name == *name);
                licenses.allow.iter().chain(exceptions.flat_map(|it| &it.allow)).any(|a| a == it)
            };
            match license {
                Some(license) if can_be_met(license, &allowed) => (),
                _ => wrong.push(format!("{name} {version}: licence {license:?}")),
            }
            if !source.iter().all(|it| it.ends_with("github.com/rust-lang/crates.io-index")) {
                wrong.push(format!("{name} {version}: from {source:?}"));
            }
            if bans.deny.iter().any(|it| it.is(package)) {
                wrong.push(format!("{name} {version}: banned"));
            }
            match bans.skip.iter().find(|it| it.is(package)) {
                Some(skip) => _ = used.insert(skip.spec.as_str()),
                None => versions.entry(name).or_default().push(version),
            }
        }
        let twice = versions.into_iter().filter(|(_, versions)| 1 < versions.len());
        wrong.extend(twice.map(|(name, versions)| format!("{name}: {versions:?} at once")));
    }
    let needless = bans.skip.iter().filter(|it| !used.contains(it.spec.as_str()));
    wrong.extend(needless.map(|it| format!("skip {}: there is no such crate any more", it.spec)));
    crate::source::none("foreign crates (deny.toml)", wrong);
}

#[test]
fn licence_expressions() {
    let allowed = |it: &str| ["MIT", "ISC", "A WITH e"].contains(&it);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("(GPL-3.0 OR MIT) AND BSL-1.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("A WITH e", true),
        ("A", false),
    ] {
        assert_eq!(can_be_met(expression, &allowed), met, "{expression}");
    }
}
