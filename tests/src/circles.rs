//! Circles between the modules of a crate, and the order in which a crate lists them, read from the
//! paths that the source writes.
//!
//! A module is one unit with all that lies below it: the modules at the top of a crate are compared
//! with each other and with the crate's root, and the modules of a folder among themselves. The
//! file that lists a folder's modules is their common ground, which they may take from as it takes
//! from them. A name that a module only passes on (`pub use`) is followed to where it is defined.

use crate::source::{self, Token, is_test, none, tokens, without_tests};
use std::collections::{BTreeMap, BTreeSet};
use std::slice;

/// Names from the crate's root down to a module; the root itself has none.
type Module = Vec<String>;
/// A unit -> the units that it takes something from, with a place where it does.
type Edges = BTreeMap<String, BTreeMap<String, String>>;

/// A crate's root among its modules.
const ROOT: &str = "(root)";

struct Crate {
    /// Its folder, `daemon/job`.
    name: String,
    /// Path of the file that lists the modules at the top, below the root of the house.
    root: String,
    modules: BTreeMap<Module, Written>,
}

/// What a file writes that concerns other modules.
#[derive(Default)]
struct Written {
    file: String,
    /// A name that `use` brings -> the path that it stands for.
    imports: BTreeMap<String, Vec<String>>,
    /// Paths with their lines; not those that are only passed on.
    paths: Vec<(Vec<String>, usize)>,
    /// Names after `mod`, in order.
    listed: Vec<String>,
}

fn crates() -> Vec<Crate> {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    for (file, text) in source::sources() {
        let Some((name, below)) = file.split_once("/src/") else { continue };
        if name.starts_with("plugins") || is_test(&file) {
            continue;
        }
        let entry = crates.entry(name.to_string()).or_insert_with(|| Crate {
            name: name.to_string(),
            root: String::new(),
            modules: BTreeMap::new(),
        });
        let module: Module = match below {
            "lib.rs" | "main.rs" => Vec::new(),
            _ => {
                let below = below.trim_end_matches(".rs").trim_end_matches("/mod");
                below.split('/').map(str::to_string).collect()
            }
        };
        if module.is_empty() {
            entry.root = file.clone();
        }
        let written = Written::of(file, &tokens(without_tests(&text)));
        entry.modules.insert(module, written);
    }
    crates.into_values().collect()
}

impl Written {
    fn of(file: String, tokens: &[Token]) -> Written {
        let mut written = Written { file, ..Written::default() };
        let word = |idx: usize| tokens.get(idx).map_or("", |it| it.text.as_str());
        let mut passed_on = BTreeSet::new();
        let mut idx = 0;
        while idx < tokens.len() {
            if word(idx) == "use" {
                let public = 0 < idx && matches!(word(idx - 1), "pub" | ")");
                let line = tokens[idx].line;
                let mut found = Vec::new();
                idx = import(tokens, idx + 1, &[], &mut found);
                for (name, path) in found {
                    if public {
                        passed_on.insert(name.clone());
                    } else {
                        written.paths.push((path.clone(), line));
                    }
                    written.imports.insert(name, path);
                }
            } else if word(idx) == "mod" && word(idx + 2) == ";" {
                written.listed.push(word(idx + 1).to_string());
                idx += 3;
            } else if word(idx + 1) == "::" || passed_on.contains(word(idx)) {
                let (line, mut path) = (tokens[idx].line, vec![word(idx).to_string()]);
                while word(idx + 1) == "::" && word(idx + 2).starts_with(source::is_word) {
                    path.push(word(idx + 2).to_string());
                    idx += 2;
                }
                written.paths.push((path, line));
                idx += 1;
            } else {
                idx += 1;
            }
        }
        written
    }
}

/// Reads one tree of `use` that begins at `start`; gives the place behind it.
fn import(
    tokens: &[Token],
    start: usize,
    above: &[String],
    found: &mut Vec<(String, Vec<String>)>,
) -> usize {
    let word = |idx: usize| tokens.get(idx).map_or(";", |it| it.text.as_str());
    let (mut path, mut idx) = (above.to_vec(), start);
    loop {
        match word(idx) {
            "::" => idx += 1,
            "{" => {
                idx += 1;
                while word(idx) != "}" && word(idx) != ";" {
                    idx = import(tokens, idx, &path, found);
                    idx += usize::from(word(idx) == ",");
                }
                return idx + 1;
            }
            "," | "}" | ";" => break,
            "as" => {
                found.push((word(idx + 1).to_string(), path));
                return idx + 2;
            }
            "self" if path.len() == above.len() && !above.is_empty() => idx += 1,
            other => {
                path.push(other.to_string());
                idx += 1;
            }
        }
    }
    if let Some(name) = path.last() {
        found.push((name.clone(), path.clone()));
    }
    idx
}

impl Crate {
    /// The module that defines what `path` means in `module`; none where it is another crate's.
    fn defined(&self, module: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = module.clone();
        let mut rest = path;
        let mut anchored = false;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" | "$crate" => at.clear(),
                "super" => drop(at.pop()),
                "self" => {}
                _ => break,
            }
            anchored = true;
            rest = &rest[1..];
        }
        while let Some(first) = rest.first() {
            let child: Module = at.iter().cloned().chain([first.clone()]).collect();
            let written = self.modules.get(&at)?;
            if self.modules.contains_key(&child) {
                at = child;
            } else if let Some(import) = written.imports.get(first)
                && import != rest
                && depth < 8
            {
                let target: Vec<String> = import.iter().chain(&rest[1..]).cloned().collect();
                return self.defined(&at, &target, depth + 1);
            } else {
                return anchored.then_some(at);
            }
            anchored = true;
            rest = &rest[1..];
        }
        anchored.then_some(at)
    }

    /// For each module that has others below it: who of them takes from whom.
    fn levels(&self) -> BTreeMap<Module, Edges> {
        let mut levels: BTreeMap<Module, Edges> = BTreeMap::new();
        for (from, written) in &self.modules {
            for (path, line) in &written.paths {
                let Some(to) = self.defined(from, path, 0) else { continue };
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                let unit = |it: &Module| it.get(shared).map_or(ROOT.to_string(), String::to_string);
                let common_ground = 0 < shared && [from.len(), to.len()].contains(&shared);
                if unit(from) != unit(&to) && !common_ground {
                    let place = format!("{}:{line}: {}", written.file, path.join("::"));
                    let edges = levels.entry(from[..shared].to_vec()).or_default();
                    edges.entry(unit(from)).or_default().entry(unit(&to)).or_insert(place);
                }
            }
        }
        levels
    }
}

/// All that `from` takes from, through others too; itself only where it is in a circle.
fn reached<'a>(edges: &'a Edges, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> =
        edges.get(from).into_iter().flatten().map(|it| it.0.as_str()).collect();
    while let Some(unit) = open.pop() {
        if reached.insert(unit) {
            open.extend(edges.get(unit).into_iter().flatten().map(|it| it.0.as_str()));
        }
    }
    reached
}

/// Each circle once, as the units that reach each other, with a place for each edge inside.
fn circles(edges: &Edges) -> Vec<String> {
    let mut circles = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for unit in edges.keys() {
        let mutual: Vec<&str> = reached(edges, unit)
            .into_iter()
            .filter(|it| reached(edges, it).contains(unit.as_str()))
            .collect();
        if mutual.is_empty() || !seen.insert(unit) {
            continue;
        }
        seen.extend(&mutual);
        let mut lines = vec![mutual.join(", ")];
        for from in &mutual {
            for (to, place) in edges.get(*from).into_iter().flatten() {
                if mutual.contains(&to.as_str()) {
                    lines.push(format!("    {from} -> {to}  {place}"));
                }
            }
        }
        circles.push(lines.join("\n"));
    }
    circles
}

#[test]
fn modules_are_free_of_circles() {
    let mut found = Vec::new();
    for house in crates() {
        for (level, edges) in house.levels() {
            let place = [slice::from_ref(&house.name), level.as_slice()].concat().join("/");
            found.extend(circles(&edges).into_iter().map(|it| format!("{place}: {it}")));
        }
    }
    none("modules that need each other", found);
}

/// `listed`, each behind all that it takes from, with as few moved as that needs.
fn in_order(listed: &[String], edges: &Edges) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let mut rest: Vec<&String> = listed.iter().collect();
    while !rest.is_empty() {
        let ready = rest.iter().position(|it| {
            let wants = edges.get(*it).into_iter().flatten().map(|it| it.0);
            !wants.into_iter().any(|want| want != *it && rest.contains(&want))
        });
        order.push(rest.remove(ready.unwrap_or(0)).clone());
    }
    order
}

#[test]
fn a_crate_lists_its_modules_as_the_data_flows() {
    let mut found = Vec::new();
    for house in crates() {
        let listed = &house.modules[&Vec::new()].listed;
        let edges = house.levels().remove(&Vec::new()).unwrap_or_default();
        let early = listed.iter().enumerate().find_map(|(idx, name)| {
            let mut taken = edges.get(name)?.iter();
            let (to, place) = taken.find(|it| listed[idx..].contains(it.0))?;
            Some(format!("{}: {name} stands above {to}  {place}", house.root))
        });
        if let Some(early) = early {
            let order = in_order(listed, &edges).join(", ");
            found.push(format!("{early}\n    an order that will do: {order}"));
        }
    }
    none("a module takes only from those that are listed above it", found);
}

#[test]
fn a_circle_is_found() {
    let file = |path: &str, text: &str| {
        let module: Module = path.split('/').filter(|it| !it.is_empty()).map(Into::into).collect();
        (module, Written::of(format!("{path}.rs"), &tokens(text)))
    };
    let house = Crate {
        name: "house".into(),
        root: "lib.rs".into(),
        modules: BTreeMap::from([
            file("", "mod a; mod b; mod c; pub use a::A;"),
            file("a", "use crate::b::{self, B}; pub struct A;"),
            file("b", "fn f() -> crate::A { super::c::g() }"),
            file("c", "mod d; mod e; use d::D; fn g() -> D {}"),
            file("c/d", "use crate::c; use std::fmt; struct D(c::F, super::e::E);"),
            file("c/e", "use super::d; struct E;"),
        ]),
    };
    let levels = house.levels();
    assert!(circles(&levels[&Vec::new()])[0].starts_with("a, b\n    a -> b  a.rs:1: crate::b"));
    assert!(circles(&levels[&vec!["c".to_string()]])[0].starts_with("d, e\n"));
    let listed = ["a", "b", "c"].map(String::from);
    assert_eq!(in_order(&listed, &levels[&Vec::new()]), ["c", "a", "b"]);
}
