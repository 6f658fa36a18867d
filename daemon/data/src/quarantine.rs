//! Rows and images that can't be used: why, how many, and when they are so many that the whole drop
//! was read in the wrong way. Every one is written down; none stops the reading by itself.

use crate::example::spoken;
use crate::refusal;
use finetuned_job::data::{Quarantine, Quarantined};
use finetuned_job::outcome::Failure;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Part of all rows that may be unusable. Real tables have a few broken rows in a hundred; more say
/// that the delimiter, the quotes or the columns were misunderstood, and training on the rest would
/// go unnoticed.
const SHARE_MAX: f64 = 0.10;
/// A kind of reason with a cure of its own.
const CUT: &str = "a wrong number of fields";
/// Lines of `quarantine.jsonl`; a table that is broken throughout must not fill the disk.
const LINES_MAX: u64 = 100_000;
/// Of a reason in the refusal of a drop: it may quote what a row holds.
const REASON_CHARS_MAX: usize = 240;
/// Shown in `data.json`.
const SHOWN_MAX: usize = 20;

/// What a row or an image gives, or why it can't be used; or why nothing can.
pub(crate) type Usable<T> = Result<Result<T, Reason>, Failure>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason {
    /// By whoever labelled the data, and no fault of the row: why.
    LeftOut(&'static str),
    EmptyText,
    Nul,
    /// Of the cells that are to be learnt.
    Target(finetuned_answers::Reason),
    Fields {
        found: usize,
        header: usize,
        /// Line ends that it holds.
        lines: u64,
        /// A backslash stands before a delimiter.
        backslash: bool,
    },
    /// A line that a quote took into a field, with `lines` in all, `from` the one that opens it.
    Swallowed {
        from: u64,
        lines: u64,
    },
    /// With its names in the same order; no loss.
    HeaderAgain,
    HeaderOtherwise,
    /// A mark that Git leaves where two versions of a file could not be merged.
    Conflict,
    NotJson(String),
    NotAnObject,
    TextIs(&'static str),
    NotText(&'static str),
    NoImage,
    /// A path in a table.
    PathLeaves(String),
    PathAbsolute(String),
    PathIsAddress(String),
    PathIsLink(String),
    PathNamesNothing(String),
    PathNamesSeveral(String),
    /// Names that differ in case only.
    PathDiffersInCase(String),
    ImageTooLong(u64),
    ImageBroken(finetuned_images::Broken),
    /// Of a modality: the reason without its particulars, and with them.
    Own(&'static str, String),
    /// The decoder gave up in a way that it does not know itself.
    ImagePanicked,
}

impl Reason {
    /// Whether a line, or the first field of one, is such a mark.
    pub(crate) fn is_conflict(line: &[u8]) -> bool {
        line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> ")
    }

    /// The reason without its particulars.
    fn kind(&self) -> &'static str {
        match self {
            Reason::LeftOut(why) => why,
            Reason::EmptyText => "empty text",
            Reason::Nul => "zero bytes in the text",
            Reason::Fields { backslash: true, .. } => {
                "a wrong number of fields, with a backslash before a delimiter, which escapes nothing outside of quotes"
            }
            Reason::Fields { .. } => CUT,
            Reason::Swallowed { .. } => "lines that a quote took",
            Reason::HeaderAgain => "the header again",
            Reason::HeaderOtherwise => "the header again, in another order",
            Reason::Conflict => "a conflict of Git that nobody resolved",
            Reason::NotJson(_) => "invalid JSON",
            Reason::NotAnObject => "not a JSON object",
            Reason::TextIs(_) => "text that is not a string",
            Reason::Target(why) => why.kind(),
            Reason::NotText(_) => "not a text file",
            Reason::NoImage => "no image",
            Reason::PathLeaves(_) => "a path that leaves the drop",
            Reason::PathAbsolute(_) => "an absolute path",
            Reason::PathIsAddress(_) => "an address on the network",
            Reason::PathIsLink(_) => "a symbolic link",
            Reason::PathNamesNothing(_) => "a path to no file",
            Reason::PathNamesSeveral(_) => "a name of several files",
            Reason::PathDiffersInCase(_) => "a name of several files, but for the case of letters",
            Reason::ImageTooLong(_) => "a file that is too long",
            Reason::Own(kind, _) => kind,
            Reason::ImageBroken(_) | Reason::ImagePanicked => "not a usable image",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Fields { found, header, backslash: true, .. } => {
                write!(
                    f,
                    "{found} fields, but the header has {header}; a backslash before a delimiter escapes nothing: put the field into quotes"
                )
            }
            Reason::Fields { found, header, lines: 0, .. } => {
                write!(f, "{found} fields, but the header has {header}")
            }
            Reason::Fields { found, header, lines, .. } => {
                write!(
                    f,
                    "{found} fields, but the header has {header}; {lines} further lines went with it, inside of quotes"
                )
            }
            Reason::Swallowed { from, lines } => {
                write!(
                    f,
                    "a quote that line {from} opens and does not close took this line with it, one of {lines}"
                )
            }
            Reason::NotJson(why) => write!(f, "invalid JSON: {why}"),
            Reason::TextIs(what) => write!(f, "the text is {what}, not a string"),
            Reason::Target(why) => write!(f, "{why}"),
            Reason::NotText(what) => write!(f, "is {what}, not text"),
            Reason::PathLeaves(path) => write!(f, "the path {path} leaves the drop"),
            Reason::PathAbsolute(path) => {
                write!(f, "{path} is an absolute path; paths begin at the table's folder")
            }
            Reason::PathIsAddress(path) => {
                write!(f, "{path} is an address; files must lie in the drop")
            }
            Reason::PathIsLink(path) => write!(f, "{path} is a symbolic link and was not followed"),
            Reason::PathNamesNothing(path) => write!(f, "the drop has no file {path}"),
            Reason::PathNamesSeveral(path) => {
                write!(f, "the drop has several files called {path}")
            }
            Reason::PathDiffersInCase(path) => {
                write!(f, "the drop has several files called {path} but for the case of letters")
            }
            Reason::ImageTooLong(bytes) => {
                write!(f, "the file has {} MiB, more than is read as one image", bytes >> 20)
            }
            Reason::Own(_, why) => f.write_str(why),
            Reason::ImageBroken(why) => write!(f, "{why}"),
            Reason::ImagePanicked => {
                f.write_str("the image is damaged in a way that its decoder can't name")
            }
            other => f.write_str(other.kind()),
        }
    }
}

/// Of one kind of reason.
struct Tally {
    count: u64,
    /// Where it was met first, and with which particulars, as the end of a sentence.
    first: String,
    /// What is to be done about a row, and not about how columns are named.
    is_of_row: bool,
}

impl Tally {
    fn of(file: &str, line: Option<u64>, reason: &Reason) -> Tally {
        let place = spoken(file, line);
        let own: String = reason.to_string().chars().take(REASON_CHARS_MAX).collect();
        let first = if own == reason.kind() { place } else { format!("{place}: {own}") };
        Tally { count: 0, first, is_of_row: matches!(reason, Reason::Own(..)) }
    }
}

pub(crate) struct Ward {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    pub(crate) report: Quarantine,
    tallies: BTreeMap<&'static str, Tally>,
}

impl Ward {
    /// `path`: `quarantine.jsonl`, begun anew; there is none when nothing is quarantined.
    pub(crate) fn open(path: &Path) -> Result<Ward, Failure> {
        match std::fs::remove_file(path) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                Err(refusal::writing(&path.display().to_string(), &err))
            }
            _ => Ok(Ward {
                path: path.into(),
                file: None,
                report: Quarantine::default(),
                tallies: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn admit(
        &mut self,
        file: &str,
        line: Option<u64>,
        reason: &Reason,
    ) -> Result<(), Failure> {
        let it = Quarantined { file: file.into(), line, reason: reason.to_string() };
        self.report.count += 1;
        self.tallies.entry(reason.kind()).or_insert_with(|| Tally::of(file, line, reason)).count +=
            1;
        if self.report.count <= LINES_MAX {
            self.write(&it)
                .map_err(|err| refusal::writing(&self.path.display().to_string(), &err))?;
        }
        if self.report.shown.len() < SHOWN_MAX {
            self.report.shown.push(it);
        }
        Ok(())
    }

    fn write(&mut self, it: &Quarantined) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::new(File::create(&self.path)?)),
        };
        serde_json::to_writer(&mut *file, it)?;
        file.write_all(b"\n")
    }

    /// After the last example. `rows`: all of them, the quarantined ones too.
    pub(crate) fn close(&mut self, rows: u64) -> Result<(), Failure> {
        if let Some(mut file) = self.file.take() {
            file.flush().map_err(|err| refusal::writing(&self.path.display().to_string(), &err))?;
        }
        let share = self.report.count as f64 / rows.max(1) as f64;
        if share <= SHARE_MAX {
            return Ok(());
        }
        let mut tallies: Vec<_> = self.tallies.iter().collect();
        tallies.sort_by_key(|(_, it)| std::cmp::Reverse(it.count));
        let why: Vec<String> = tallies
            .iter()
            .map(|(kind, it)| format!("{} times {kind} (first: {})", it.count, it.first))
            .collect();
        let message = format!(
            "{} of {rows} examples can't be used, which is more than {:.0} %: {}",
            self.report.count,
            100.0 * SHARE_MAX,
            why.join(", ")
        );
        let empty = finetuned_answers::Reason::EmptyLabel.kind();
        let first = tallies.first();
        Err(refusal::data(message).with_cure(match first.map(|it| *it.0) {
            Some(CUT) => "mend or remove them; texts that hold the delimiter belong into quotes",
            Some(it) if it == empty => "mend or remove them, or name the right columns in the recipe; a label that stands in the first row of its group alone, as of merged cells, belongs into each",
            _ if first.is_some_and(|it| it.1.is_of_row) => "mend or remove them",
            _ => "mend or remove them, or name the right columns in the recipe",
        }))
    }
}
