//! The plugin folder: what lies in it, who may be loaded from it. A plugin is found by the name in
//! its descriptor, not by the name of its file.

use crate::{Descriptor, Refusal, elf, trust};
use finetuned_job::spec::PluginRules;
use finetuned_sdk::abi::DESCRIPTOR_SECTION;
use std::path::{Path, PathBuf};

/// A plugin that may be opened: these bytes, not what the path leads to by then.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub path: PathBuf,
    /// blake3 of `bytes`, hex.
    pub hash: String,
    pub bytes: Vec<u8>,
    pub descriptor: Descriptor,
}

/// A file of the plugin folder, with all that could be read of it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub file: PathBuf,
    pub hash: Option<String>,
    pub descriptor: Option<Descriptor>,
    pub refused: Option<Refusal>,
}

impl Listed {
    pub fn file_name(&self) -> String {
        self.file.file_name().map_or_else(String::new, |it| it.to_string_lossy().into_owned())
    }
}

/// Every `*.so` of the plugin folder, by file name. A folder that is not there has none.
///
/// # Errors
/// The folder can't be read, or others can write in it: then nothing of it may be loaded.
pub fn list(rules: &PluginRules) -> Result<Vec<Listed>, Refusal> {
    if !rules.folder.exists() {
        return Ok(vec![]);
    }
    Ok(examine_all(rules)?.into_iter().map(|(listed, _)| listed).collect())
}

/// The plugin of this name, ready to be opened.
///
/// # Errors
/// There is none, or why it is refused.
pub fn find(rules: &PluginRules, name: &str) -> Result<Plugin, Refusal> {
    let absent =
        |present| Refusal::Absent { name: name.into(), folder: rules.folder.clone(), present };
    if !rules.folder.exists() {
        return Err(absent(vec![]));
    }
    let mut examined = examine_all(rules)?;
    let is_it = |it: &Listed| {
        it.descriptor.as_ref().map_or_else(|| is_file_of(&it.file, name), |it| it.name == name)
    };
    let Some(at) = examined.iter().position(|(it, _)| is_it(it)) else {
        return Err(absent(
            examined
                .iter()
                .filter_map(|(it, _)| Some(it.descriptor.as_ref()?.name.clone()))
                .collect(),
        ));
    };
    let (listed, bytes) = examined.swap_remove(at);
    match listed {
        Listed { refused: Some(why), file, .. } => Err(Refusal::File { file, why: Box::new(why) }),
        Listed { file, hash: Some(hash), descriptor: Some(descriptor), .. } => {
            Ok(Plugin { path: file, hash, bytes, descriptor })
        }
        Listed { .. } => Err(absent(vec![])),
    }
}

/// A plugin wherever it lies, for a throw-away process; and what would keep it from being loaded
/// from the folder.
///
/// # Errors Why its bytes are no plugin of this release.
pub fn open_anywhere(path: &Path) -> Result<(Plugin, Option<Refusal>), Refusal> {
    let path = std::fs::canonicalize(path)
        .map_err(|err| Refusal::Unreadable { path: path.into(), why: err.to_string() })?;
    let (bytes, doubt) = trust::bytes_of_anyones(&path)?;
    let descriptor = Descriptor::read(elf::section(&bytes, DESCRIPTOR_SECTION)?)?;
    let hash = blake3::hash(&bytes).to_hex().to_string();
    Ok((Plugin { path, hash, bytes, descriptor }, doubt))
}

/// Where a file can't be read as a plugin, its name says whose it should be: `libfocal.so`,
/// `focal.so`.
fn is_file_of(file: &Path, name: &str) -> bool {
    let stem =
        file.file_stem().map(|it| it.to_string_lossy().replace('-', "_")).unwrap_or_default();
    stem.strip_prefix("lib").unwrap_or(&stem) == name.replace('-', "_")
}

fn examine_all(rules: &PluginRules) -> Result<Vec<(Listed, Vec<u8>)>, Refusal> {
    let folder = trust::folder(&rules.folder)?;
    let unreadable =
        |err: std::io::Error| Refusal::Unreadable { path: folder.clone(), why: err.to_string() };
    let entries = std::fs::read_dir(&folder).map_err(unreadable)?;
    let mut files = entries
        .map(|it| it.map(|it| it.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    files.retain(|it| it.extension().is_some_and(|it| it == "so"));
    files.sort();
    let mut examined: Vec<(Listed, Vec<u8>)> = Vec::with_capacity(files.len());
    for file in files {
        let mut listed = Listed { file, hash: None, descriptor: None, refused: None };
        let bytes = match examine(rules, &examined, &mut listed) {
            Ok(bytes) => bytes,
            Err(why) => {
                listed.refused = Some(why);
                vec![]
            }
        };
        examined.push((listed, bytes));
    }
    Ok(examined)
}

/// The bytes of a file that may be loaded. What is known of one that may not stands in `listed` all
/// the same.
fn examine(
    rules: &PluginRules,
    before: &[(Listed, Vec<u8>)],
    listed: &mut Listed,
) -> Result<Vec<u8>, Refusal> {
    let bytes = trust::bytes(&listed.file)?;
    let hash = blake3::hash(&bytes).to_hex().to_string();
    listed.hash = Some(hash.clone());
    let descriptor = Descriptor::read(elf::section(&bytes, DESCRIPTOR_SECTION)?)?;
    let name = descriptor.name.clone();
    listed.descriptor = Some(descriptor);
    if let Some((other, _)) =
        before.iter().find(|(it, _)| it.descriptor.as_ref().is_some_and(|it| it.name == name))
    {
        return Err(Refusal::NameTaken { name, by: other.file.clone() });
    }
    match rules.pinned.get(&name) {
        Some(pinned) if *pinned != hash => {
            Err(Refusal::Hash { name, found: hash, pinned: pinned.clone() })
        }
        _ => Ok(bytes),
    }
}
