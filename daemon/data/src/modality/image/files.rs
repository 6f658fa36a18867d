//! A path in a table -> an image of the drop. Paths are looked up among the files that were listed,
//! never opened: so none leads out of the drop or through a link.

use crate::inventory::{IMAGE_EXTENSIONS, Inventory, SingleFile};
use crate::quarantine::Reason;
use std::collections::{HashMap, HashSet};

pub(super) struct Files<'a> {
    images: &'a [SingleFile],
    /// With and without the extension; `None` where several have it only without.
    by_path: HashMap<&'a str, Option<usize>>,
    /// By a file's own name, with and without its extension; `None` where several have it.
    by_name: HashMap<&'a str, Option<usize>>,
    links: &'a HashSet<String>,
}

impl<'a> Files<'a> {
    pub(super) fn of(found: &'a Inventory) -> Files<'a> {
        let images = &found.images[..];
        let mut files =
            Files { images, by_path: HashMap::new(), by_name: HashMap::new(), links: &found.links };
        for (idx, image) in images.iter().enumerate() {
            let own = image.name.rsplit('/').next().unwrap_or(&image.name);
            let extension = own.rfind('.').map_or(0, |dot| own.len() - dot);
            let without = |name: &'a str| &name[..name.len() - extension];
            let several = |it: &mut Option<usize>| *it = it.filter(|it| *it == idx);
            files.by_path.entry(without(&image.name)).and_modify(several).or_insert(Some(idx));
            for name in [own, without(own)] {
                files.by_name.entry(name).and_modify(several).or_insert(Some(idx));
            }
        }
        files.by_path.extend(images.iter().enumerate().map(|(idx, it)| (&*it.name, Some(idx))));
        files
    }

    pub(super) fn len(&self) -> usize {
        self.images.len()
    }

    pub(super) fn get(&self, idx: usize) -> &'a SingleFile {
        &self.images[idx]
    }

    /// `value`: a path from the table's folder or from the drop's, or a name that only one image of
    /// the drop has; each with or without the extension. `table`: the table's name.
    pub(super) fn find(&self, table: &str, value: &str) -> Result<usize, Reason> {
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
            return Err(Reason::PathAbsolute(shown()));
        }
        let folder = table.rsplit_once('/').map_or("", |it| it.0);
        let (from_table, from_root) = (joined(folder, &path), joined("", &path));
        for path in [&from_table, &from_root].into_iter().flatten() {
            if let Some(found) = self.by_path.get(path.as_str()) {
                return found.ok_or_else(|| Reason::PathNamesSeveral(shown()));
            }
            if self.links.contains(path) {
                return Err(Reason::PathIsLink(shown()));
            }
        }
        if from_table.is_none() {
            return Err(Reason::PathLeaves(shown()));
        }
        match self.by_name.get(path.as_str()) {
            Some(Some(idx)) => Ok(*idx),
            Some(None) => Err(Reason::PathNamesSeveral(shown())),
            None => Err(Reason::PathNamesNothing(shown())),
        }
    }
}

/// Whether a value of a table looks like the path of an image.
pub(super) fn is_image_name(value: &str) -> bool {
    let extension = value.trim().rsplit_once('.').map(|it| it.1.to_ascii_lowercase());
    extension.is_some_and(|it| IMAGE_EXTENSIONS.contains(&it.as_str()))
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
