//! An image goes in: a file in the folder of its class, a file that a table names, an image in a
//! table, or a part of an IDX file. Every image is decoded once, so that what is broken or alike is
//! known before anything is trained.

mod columns; // which column names or holds the images
mod store; // where the bytes lie
mod tables; // tables of paths, tables of images
mod lists; // which images are train and which test
mod folders; // a folder for each class
mod idx; // MNIST's form
mod decode; // every image once
mod near_duplicates; // images that look alike
mod sheets; // what was seen, to look at
mod report; // what was seen, in numbers

pub use store::Images;
pub(super) use store::bytes;

use super::files::Files;
use super::{Content, Divided, Modal, Named, no_texts};
use crate::example::{Example, Examples, Key, Record};
use crate::flat_names;
use crate::inventory::{self, Inventory};
use crate::layout;
use crate::reading::Reading;
use crate::refusal;
use crate::split_names::{class_parts, is_part};
use crate::table::TableFile;
use decode::Seen;
use finetuned_job::data::DataReport;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::run_folder;
use finetuned_job::task::Modality;
use std::collections::HashMap;
use std::path::Path;

pub(super) struct Kind;

/// How images lie in a drop.
enum Form {
    /// A folder for each class.
    Folders,
    /// Tables of paths, or of the images themselves.
    Tables,
    Idx,
}

/// Images, and what was seen of them.
struct Looked {
    images: Images,
    seen: HashMap<Key, Seen>,
    /// Those that stand under more than one label.
    conflicts: Vec<Example>,
}

impl Modal for Kind {
    fn modality(&self) -> Modality {
        Modality::Image
    }

    fn recognises(&self, found: &Inventory, _: &DataChoice) -> bool {
        form(found).is_some()
    }

    fn read(
        &self,
        root: &Path,
        found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure> {
        reading.warnings.extend(found.warnings.iter().cloned());
        layout::warn_of_archives(&found.archives, &mut reading.warnings);
        let form = form(&found).ok_or_else(|| none(&found, &reading.warnings))?;
        let mut store = store::Writer::open(root, &reading.request.run.join(run_folder::STAGING));
        match form {
            Form::Folders => folders::read(found, &store, reading)?,
            Form::Tables => tables::read(found, &mut store, reading)?,
            Form::Idx => idx::read(found, &mut store, reading)?,
        }
        let images = store.close()?;
        let seen = decode::decode(&images, reading)?;
        Ok(Box::new(Looked { images, seen, conflicts: Vec::new() }))
    }

    fn named(&self, args: &[String], _: &[String]) -> Result<Vec<Named>, Failure> {
        let mut found = Vec::new();
        for arg in args {
            // A person names this file or folder: a link is as good as what it points to.
            let path = Path::new(arg).canonicalize().map_err(|err| match err.kind() {
                std::io::ErrorKind::NotFound => refusal::data(format!("{arg} does not exist")),
                _ => refusal::reading(arg, &err),
            })?;
            let named = |path, origin: String| Named {
                record: Record::default(),
                what: origin.clone(),
                origin,
                image: Some(path),
            };
            if !path.is_dir() {
                found.push(named(path, arg.clone()));
                continue;
            }
            let images = inventory::take(&path)?.images;
            if images.is_empty() {
                return Err(refusal::data(format!("{arg} is a folder without images")));
            }
            let folder = arg.trim_end_matches('/');
            let below = images.into_iter();
            found.extend(below.map(|it| named(it.path, format!("{folder}/{}", it.name))));
        }
        Ok(found)
    }
}

impl Content for Looked {
    fn undivided(&mut self, examples: &Examples) {
        self.conflicts = sheets::conflicts(examples);
    }

    fn report(&self, of: &Divided<'_>, report: &mut DataReport) -> Result<(), Failure> {
        report::report(self, of, report)
    }

    fn images(self: Box<Self>) -> Option<Images> {
        Some(self.images)
    }
}

/// Nothing where a drop holds texts, or nothing at all.
fn form(found: &Inventory) -> Option<Form> {
    if !found.idx.is_empty() {
        return Some(Form::Idx);
    }
    let files = Files::of(&found.images, &found.links);
    // What is wrong with a table is said when it is read.
    let is_of_images = |it: &TableFile| match it.glance() {
        Some(table) => tables::names_images(table, &files),
        None => false,
    };
    if found.tables.iter().any(is_of_images) {
        return Some(Form::Tables);
    }
    // A list or a note is no set of texts.
    let has_texts = !found.tables.is_empty()
        || found.texts.iter().any(|it| !class_parts(&it.name).iter().all(|it| is_part(it)));
    let are_classes =
        || folders::are_several(&found.images) || flat_names::of(&found.images).is_some();
    let any = !found.images.is_empty() && (!has_texts || are_classes());
    any.then_some(Form::Folders)
}

fn none(found: &Inventory, warnings: &[String]) -> Failure {
    let table = found.tables.iter().find_map(TableFile::glance);
    if let Some(why) = table.and_then(|it| no_texts::refused(it, &[], &[])) {
        return why;
    }
    let what = match (found.tables.first(), found.texts.first(), warnings.first()) {
        (Some(table), _, _) => {
            format!("{} has no column of images, or of paths to images", table.name)
        }
        (None, Some(text), _) => format!("the drop holds texts ({}) and no images", text.name),
        (None, None, Some(it)) => format!("the drop holds no images: {it}"),
        (None, None, None) => "the drop holds no images".into(),
    };
    refusal::data(what).with_cure("it takes a folder of images for each class, a table of paths and labels beside the images, Parquet, or IDX")
}
