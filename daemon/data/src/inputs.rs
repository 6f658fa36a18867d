//! What `predict` is given: texts as they stand, files of texts, or lines of standard input; or
//! images and folders of them.

use crate::encoding::Decoded;
use crate::gather;
use crate::inflate::Count;
use crate::inventory::Kind;
use crate::source::{ROW_BYTES_MAX, RowBound, Source};
use crate::table::{Cell, Format, Table};
use crate::{columns, encoding, images, inventory, refusal};
use finetuned_job::outcome::Failure;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictInput {
    /// Trimmed; empty where the line or the cell was.
    pub text: String,
    /// `argument 1`, `standard input line 3`, `new.csv line 7`.
    pub origin: String,
}

/// Every argument is `-` (lines of standard input), a file (.txt: a text a line; a table: its
/// column `text_column`, else one of the usual names, else its only one), or a text itself.
///
/// # Errors A file that can't be read, or a row without a text: file, line and why. Nothing is left
/// out in silence.
pub fn inputs(args: &[String], text_column: Option<&str>) -> Result<Vec<PredictInput>, Failure> {
    let mut found = Vec::new();
    for (idx, arg) in args.iter().enumerate() {
        let path = Path::new(arg);
        if arg == "-" {
            lines("standard input", std::io::stdin().lock(), &mut found)?;
        } else if path.is_dir() {
            return Err(refusal::data(format!("{arg} is a folder")).with_cure("name its files"));
        } else if path.is_file() {
            // A person names this file: a link is as good as what it points to.
            let path = path.canonicalize().map_err(|err| refusal::reading(arg, &err))?;
            file(&path, arg, text_column, &mut found)?;
        } else if looks_like_a_file(arg) {
            return Err(refusal::data(format!("{arg} does not exist")));
        } else {
            found.push(PredictInput {
                text: arg.trim().into(),
                origin: format!("argument {}", idx + 1),
            });
        }
    }
    Ok(found)
}

/// An image to predict for. Whether it can be decoded is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInput {
    path: PathBuf,
    /// As the argument says it; for a folder with what lies below it: `new/a.jpg`.
    pub origin: String,
}

impl ImageInput {
    /// # Errors
    /// The file is gone, can't be read or is too long for an image.
    pub fn bytes(&self) -> Result<Vec<u8>, Failure> {
        images::whole(&self.path, &self.origin)?
            .map_err(|why| refusal::data(format!("{}: {why}", self.origin)))
    }
}

/// Every argument is an image, whatever it is called, or a folder with images anywhere below it,
/// which come by name. Links in a folder are not followed.
///
/// # Errors An argument that does not exist, or a folder without images.
pub fn image_inputs(args: &[String]) -> Result<Vec<ImageInput>, Failure> {
    let mut found = Vec::new();
    for arg in args {
        // A person names this file or folder: a link is as good as what it points to.
        let path = Path::new(arg).canonicalize().map_err(|err| match err.kind() {
            std::io::ErrorKind::NotFound => refusal::data(format!("{arg} does not exist")),
            _ => refusal::reading(arg, &err),
        })?;
        if !path.is_dir() {
            found.push(ImageInput { path, origin: arg.clone() });
            continue;
        }
        let images = inventory::take(&path)?.images;
        if images.is_empty() {
            return Err(refusal::data(format!("{arg} is a folder without images")));
        }
        let folder = arg.trim_end_matches('/');
        found.extend(
            images
                .into_iter()
                .map(|it| ImageInput { path: it.path, origin: format!("{folder}/{}", it.name) }),
        );
    }
    Ok(found)
}

/// A word with the extension of data is a mistyped path, not a text.
fn looks_like_a_file(arg: &str) -> bool {
    !arg.contains(char::is_whitespace)
        && matches!(Kind::of(arg), Kind::Table(_) | Kind::Text)
        && !arg.starts_with('.')
}

fn file(
    path: &Path,
    name: &str,
    text_column: Option<&str>,
    found: &mut Vec<PredictInput>,
) -> Result<(), Failure> {
    match Kind::of(&path.file_name().unwrap_or_default().to_string_lossy()) {
        Kind::Table(format) => table(path, name, format, text_column, found),
        Kind::Archive => {
            Err(refusal::data(format!("{name} is an archive")).with_cure("unpack it first"))
        }
        Kind::Text | Kind::Image | Kind::Idx | Kind::Companion | Kind::Other | Kind::Unknown => {
            text_file(path, name, found)
        }
    }
}

fn text_file(path: &Path, name: &str, found: &mut Vec<PredictInput>) -> Result<(), Failure> {
    let source = Source::open(path, name)?;
    let survey = encoding::survey(source.stream(&Count::default())?)
        .map_err(|err| refusal::reading(name, &err))?;
    if let Some(what) = survey.foreign() {
        return Err(refusal::data(format!("{name} is {what}, not text")));
    }
    lines(name, Decoded::new(source.stream(&Count::default())?, survey.encoding), found)?;
    source.check_unchanged()
}

fn lines(name: &str, bytes: impl Read, found: &mut Vec<PredictInput>) -> Result<(), Failure> {
    let (bounded, left) = RowBound::new(bytes);
    let mut reader = BufReader::new(bounded);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        left.set(ROW_BYTES_MAX);
        let place = || format!("{name} line {number}");
        if reader.read_until(b'\n', &mut line).map_err(|err| refusal::reading(&place(), &err))? == 0
        {
            break;
        }
        let (text, _) = encoding::decode(&line).map_err(|err| refusal::reading(&place(), &err))?;
        found.push(PredictInput { text: text.trim().into(), origin: place() });
    }
    Ok(())
}

fn table(
    path: &Path,
    name: &str,
    format: Format,
    text_column: Option<&str>,
    found: &mut Vec<PredictInput>,
) -> Result<(), Failure> {
    let named: Vec<&str> = text_column.into_iter().collect();
    let table = Table::open(path, name, format, &named)?;
    let text = columns::choose_text(name, &table.sample, text_column)?;
    table.rows(&[text], &Count::default(), &mut |row| {
        let origin = format!("{name} line {}", row.line);
        let text = row
            .cells
            .and_then(|mut it| gather::text_or_empty(it.pop().unwrap_or(Cell::Missing)))
            .map_err(|why| refusal::data(format!("{origin}: {why}")))?;
        found.push(PredictInput { text, origin });
        Ok(())
    })
}
