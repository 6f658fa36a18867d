//! What goes in: one file for each kind of input, which knows the files and columns that it is read
//! from. Nothing else asks which of them a drop holds; what is learnt is none of their business.

mod files; // a path in a table -> a file
mod no_texts; // tables of numbers
mod image; // files, columns of paths, columns of images
mod speakers; // who says a message
mod pair; // two columns of texts
mod text; // a column of texts, files of texts
mod words; // words or texts with tags or spans
mod questions; // what conversations begin with
mod parts; // columns that are one record together
mod chat; // messages, or questions with answers
mod passage; // texts as they are, without labels
mod preference; // messages with answers that are wanted and others that are not
mod prompt; // questions that a model answers, with what rewards read
mod unclear; // questions and answers where no task is asked

pub use chat::LEARNT;
pub use image::Images;
pub(crate) use unclear::doubt;

use crate::example::{Example, Examples, Key, Origins, Record};
use crate::inventory::Inventory;
use crate::reading::Reading;
use crate::refusal;
use crate::request::Request;
use finetuned_job::data::DataReport;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::task::{Modality, Task};
use std::path::{Path, PathBuf};

/// One kind of input.
pub(crate) trait Modal: Sync {
    fn modality(&self) -> Modality;

    /// Whether a drop is taken for this kind where nobody says it; `choice`: the columns that the
    /// recipe names.
    fn recognises(&self, found: &Inventory, choice: &DataChoice) -> bool;

    /// Everything in the folder `root`.
    fn read(
        &self,
        root: &Path,
        found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure>;

    /// As [`inputs`].
    fn named(&self, args: &[String], columns: &[String]) -> Result<Vec<Named>, Failure>;
}

/// Examples in their splits.
pub(crate) struct Divided<'a> {
    pub(crate) examples: &'a Examples,
    pub(crate) origins: &'a Origins,
    pub(crate) task: Task,
    pub(crate) request: &'a Request<'a>,
}

/// What reading left besides the examples.
pub(crate) trait Content {
    /// Before leaked examples are left out.
    fn undivided(&mut self, _examples: &Examples) {}

    /// Examples of which it says the same belong together, whoever divides them into splits.
    fn group(&self, example: &Example) -> Key {
        example.key
    }

    /// Adds what is to be said of this kind of input to a report that is finished but for that.
    fn report(&self, _of: &Divided<'_>, _report: &mut DataReport) -> Result<(), Failure> {
        Ok(())
    }

    fn images(self: Box<Self>) -> Option<Images> {
        None
    }
}

/// Of texts: nothing.
struct Nothing;

impl Content for Nothing {}

/// In the order in which a drop is shown to them.
const MODALITIES: &[&dyn Modal] = &[
    &image::Kind,
    &words::Kind,
    &preference::Kind,
    &prompt::Kind,
    &chat::Kind,
    &pair::Kind,
    &passage::Kind,
    &text::Kind,
];

/// That a drop is taken for; none where it holds nothing of any.
pub(crate) fn recognised(found: &Inventory, choice: &DataChoice) -> Option<Modality> {
    MODALITIES.iter().find(|it| it.recognises(found, choice)).map(|it| it.modality())
}

pub(crate) fn of(modality: Modality) -> Result<&'static dyn Modal, Failure> {
    let found = MODALITIES.iter().copied().find(|it| it.modality() == modality);
    found.ok_or_else(|| refusal::data(format!("no data of {}s are read", modality.noun())))
}

/// What a person names to be predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Texts may be empty. Whether an image can be decoded is not known yet.
    pub record: Record,
    /// The text, or the image's path.
    pub what: String,
    /// `argument 1`, `standard input line 3`, `new.csv line 7`, `new/a.jpg`.
    pub origin: String,
    image: Option<PathBuf>,
}

impl Named {
    /// A part of its text, at the same place.
    pub fn part(&self, text: &str) -> Named {
        let origin = self.origin.clone();
        Named { record: Record::of_text(text), what: text.into(), origin, image: None }
    }

    /// # Errors
    /// It is no image, is gone, can't be read or is too long.
    pub fn image_bytes(&self) -> Result<Vec<u8>, Failure> {
        match &self.image {
            Some(path) => image::bytes(path, &self.origin),
            None => Err(refusal::data(format!("{} is no image", self.origin))),
        }
    }
}

/// What a person gives to be predicted. For texts every argument is `-` (lines of standard input),
/// a file (.txt: a text a line; a table: its columns `columns`, else one of the usual names, else
/// its only one), or a text itself. For images it is an image, whatever it is called, or a folder
/// with images anywhere below it, which come by name; links in a folder are not followed.
///
/// # Errors
/// A file that does not exist or can't be read, a row without a text, a folder without images:
/// file, line and why. Nothing is left out in silence.
pub fn inputs(
    modality: Modality,
    args: &[String],
    columns: &[String],
) -> Result<Vec<Named>, Failure> {
    of(modality)?.named(args, columns)
}
