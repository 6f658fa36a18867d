//! A path in a table -> an image or a text of the drop. Paths are looked up among the files that
//! were listed, never opened: so none leads out of the drop or through a link.

use crate::inventory::{SingleFile, is_image_name};
use crate::layout;
use crate::quarantine::Reason;
use crate::split_names::{is_part, is_split_folder, split_of};
use finetuned_job::scores::Split;
use std::collections::{HashMap, HashSet};
use unicode_normalization::UnicodeNormalization;

pub(super) struct Files<'a> {
    files: &'a [SingleFile],
    /// With and without the extension; `None` where several have it only without.
    by_path: HashMap<&'a str, Option<usize>>,
    /// By a file's own name, with and without its extension; `None` where several have it.
    by_name: HashMap<&'a str, Option<usize>>,
    /// The same of those that lie in the folder of a split.
    by_split: HashMap<(Split, &'a str), Option<usize>>,
    /// By a name of digits alone, without its extension and the zeros before it.
    by_number: HashMap<&'a str, Option<usize>>,
    /// By the end of a path, of two parts or more.
    by_tail: HashMap<&'a str, Option<usize>>,
    /// Whether all lie beside each other, in a folder that says nothing of them.
    in_one_folder: bool,
    /// By the whole path, folded, with and without its extension.
    by_folded: HashMap<String, Option<usize>>,
    links: &'a HashSet<String>,
}

impl<'a> Files<'a> {
    /// `links`: names of symbolic links.
    pub(super) fn of(all: &'a [SingleFile], links: &'a HashSet<String>) -> Files<'a> {
        let mut files = Files {
            files: all,
            by_path: HashMap::new(),
            by_name: HashMap::new(),
            by_split: HashMap::new(),
            by_number: HashMap::new(),
            by_tail: HashMap::new(),
            in_one_folder: true,
            by_folded: HashMap::new(),
            links,
        };
        for (idx, file) in all.iter().enumerate() {
            let own = file.name.rsplit('/').next().unwrap_or(&file.name);
            let extension = own.rfind('.').map_or(0, |dot| own.len() - dot);
            let without = |name: &'a str| &name[..name.len() - extension];
            let several = |it: &mut Option<usize>| *it = it.filter(|it| *it == idx);
            files.by_path.entry(without(&file.name)).and_modify(several).or_insert(Some(idx));
            let whole = folded(&file.name);
            let bare = without_extension(&whole).to_string();
            // Each key once: a name without an extension is its own.
            for name in HashSet::from([whole, bare]) {
                files.by_folded.entry(name).and_modify(several).or_insert(Some(idx));
            }
            let split = file.name.split_once('/').filter(|it| is_split_folder(it.0));
            let split = split.and_then(|it| split_of(it.0));
            for name in [own, without(own)] {
                files.by_name.entry(name).and_modify(several).or_insert(Some(idx));
                if let Some(split) = split {
                    let of_split = files.by_split.entry((split, name));
                    of_split.and_modify(several).or_insert(Some(idx));
                }
            }
            if let Some(number) = number(without(own)) {
                files.by_number.entry(number).and_modify(several).or_insert(Some(idx));
            }
            let both = tails(&file.name).chain(tails(without(&file.name)));
            for tail in both.filter(|it| it.contains('/')) {
                files.by_tail.entry(tail).and_modify(several).or_insert(Some(idx));
            }
            files.in_one_folder &= folder(&file.name) == folder(&all[0].name);
            files.in_one_folder &= is_part(folder(&file.name));
        }
        files.by_path.extend(all.iter().enumerate().map(|(idx, it)| (&*it.name, Some(idx))));
        files
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn get(&self, idx: usize) -> &'a SingleFile {
        &self.files[idx]
    }

    /// `value`: a path from the table's folder or from the drop's, or a name that only one file of
    /// the drop has; each with or without the extension. A path that leads nowhere is taken for the
    /// only one that differs in case, accents' form or extension alone, or in the zeros that
    /// spreadsheets take away before a number, or else in the folders that it begins with, as on
    /// the machine where the table was made: then the second is true. Of several files of one name
    /// it is that of the split that the table is called as.
    /// `table`: the table's name.
    pub(super) fn find(&self, table: &str, value: &str) -> Result<(usize, bool), Reason> {
        let value = value.trim();
        if value.is_empty() {
            return Err(Reason::NoImage);
        }
        let shown = || value.replace(char::is_control, " ");
        if value.contains("://") {
            return Err(Reason::PathIsAddress(shown()));
        }
        let path = value.replace('\\', "/");
        if path.starts_with('/')
            || matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
        {
            let found = self.by_end(&path).ok_or_else(|| Reason::PathAbsolute(shown()))?;
            return Ok((found, true));
        }
        let (from_table, from_root) = (joined(folder(table), &path), joined("", &path));
        for path in [&from_table, &from_root].into_iter().flatten() {
            if let Some(found) = self.by_path.get(path.as_str()) {
                let found = found.ok_or_else(|| Reason::PathNamesSeveral(shown()))?;
                return Ok((found, false));
            }
            if self.links.contains(path) {
                return Err(Reason::PathIsLink(shown()));
            }
        }
        if from_table.is_none() {
            return Err(Reason::PathLeaves(shown()));
        }
        match self.by_name.get(path.as_str()) {
            Some(Some(idx)) => return Ok((*idx, false)),
            Some(None) => {
                let split = layout::split_of_path(table);
                let of_split = split.and_then(|it| *self.by_split.get(&(it, path.as_str()))?);
                let found = of_split.ok_or_else(|| Reason::PathNamesSeveral(shown()))?;
                return Ok((found, false));
            }
            None => {}
        }
        for path in [&from_table, &from_root].into_iter().flatten() {
            let whole = folded(path);
            let bare = is_image_name(&whole).then(|| without_extension(&whole));
            for path in [Some(&*whole), bare].into_iter().flatten() {
                match self.by_folded.get(path) {
                    Some(Some(idx)) => return Ok((*idx, true)),
                    Some(None) => return Err(Reason::PathDiffersInCase(shown())),
                    None => {}
                }
            }
        }
        if let Some(Some(idx)) = number(&path).and_then(|it| self.by_number.get(it)) {
            return Ok((*idx, true));
        }
        let found = self.by_end(&path).ok_or_else(|| Reason::PathNamesNothing(shown()))?;
        Ok((found, true))
    }

    /// The only file whose path ends as `path` does: in two parts, or, of a path of another
    /// machine, in its name alone where no folders tell files apart.
    fn by_end(&self, path: &str) -> Option<usize> {
        let by_name = self.in_one_folder && (path.starts_with('/') || path.contains(":/"));
        let path = path.trim_start_matches("./");
        let of_tail = |it: &str| match it.contains('/') {
            true => self.by_path.get(it).or_else(|| self.by_tail.get(it)).copied(),
            false => self.by_name.get(it).copied().filter(|_| by_name),
        };
        [path].into_iter().chain(tails(path)).find_map(of_tail)?
    }
}

/// What stays of digits without the zeros before them.
fn number(name: &str) -> Option<&str> {
    let is_number = !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit());
    let bare = name.trim_start_matches('0');
    is_number.then(|| if bare.is_empty() { &name[name.len() - 1..] } else { bare })
}

/// What stays of a path without the first of its folders, without the first two, ...
fn tails(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|it| &path[it.0 + 1..])
}

/// The same for paths that differ in case or in the form of accents.
fn folded(path: &str) -> String {
    path.nfc().flat_map(char::to_lowercase).collect()
}

/// Where a file lies; empty at the top.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |it| it.0)
}

pub(super) fn without_extension(path: &str) -> &str {
    let own = path.rfind('/').map_or(0, |it| it + 1);
    path[own..].rfind('.').map_or(path, |dot| &path[..own + dot])
}

/// Without `.` and `..`; nothing where it leaves the drop.
fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
