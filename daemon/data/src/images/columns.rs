//! Decides which column of a table names or holds the images, and which columns are to be learnt:
//! the recipe's names, else the usual names, else what the values show. What stays ambiguous is
//! refused with the lines that settle it.

use super::files::{Files, is_image_name};
use super::targets::{self, Kind};
use crate::columns::{self as names, LABEL_NAMES};
use crate::refusal;
use crate::table::{Cell, Table};
use finetuned_images::Format;
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;

/// What people call the image, the surest first.
const IMAGE_NAMES: &[&str] = &[
    "file_name",
    "filename",
    "image",
    "img",
    "image_path",
    "img_path",
    "image_file",
    "file",
    "filepath",
    "file_path",
    "path",
    "image",
    "photo",
    "image_name",
    "image_id",
    "img_id",
    "id",
];
/// Names of the column that says the split.
const SPLIT_NAMES: &[&str] = &["split", "subset", "partition"];

/// Columns by index into the sample's.
pub(super) struct Wanted {
    pub(super) image: usize,
    pub(super) split: Option<usize>,
    pub(super) targets: Vec<usize>,
    pub(super) kind: Kind,
}

/// The column of images or paths, and whether it holds the images themselves; nothing where there
/// is none. `named`: the recipe's.
pub(super) fn image(
    table: &Table,
    files: &Files<'_>,
    named: Option<&str>,
) -> Result<Option<(usize, bool)>, Failure> {
    let columns = &table.sample.columns;
    let cells = |idx: usize| table.sample.rows.iter().map(move |row| &row[idx]);
    let embedded = |idx: usize| {
        let mut known = cells(idx).filter(|it| !matches!(it, Cell::Missing)).peekable();
        known.peek().is_some() && known.all(holds_image)
    };
    if let Some(name) = named {
        let idx = names::named(&table.source.name, columns, name)?;
        return Ok(Some((idx, embedded(idx))));
    }
    let holding: Vec<usize> = (0..columns.len()).filter(|it| embedded(*it)).collect();
    let usual = |idx: &usize| {
        IMAGE_NAMES
            .iter()
            .position(|it| it.eq_ignore_ascii_case(&columns[*idx]))
            .unwrap_or(usize::MAX)
    };
    if let Some(first) = holding.iter().min_by_key(|it| usual(it)) {
        return Ok(Some((*first, true)));
    }
    /// Of the sampled rows; the others may be broken.
    const SHARE_MIN: f64 = 0.5;
    let share = |idx: usize, is: &dyn Fn(&str) -> bool| {
        let hits = cells(idx).filter(|it| matches!(it, Cell::Text(it) if is(it))).count();
        hits as f64 / table.sample.rows.len().max(1) as f64
    };
    let by = |is: &dyn Fn(&str) -> bool| {
        (0..columns.len()).filter(|it| SHARE_MIN <= share(*it, is)).min_by_key(usual)
    };
    // Names without an extension are believed only where the drop has such files.
    let found = by(&is_image_name).or_else(|| match files.len() {
        0 => None,
        _ => by(&|value| files.find(&table.source.name, value).is_ok()),
    });
    Ok(found.map(|it| (it, false)))
}

fn holds_image(cell: &Cell) -> bool {
    match cell {
        Cell::Image(it) => it.bytes.is_some(),
        Cell::Bytes(it) => Format::of(it).is_some(),
        _ => false,
    }
}

/// `labels`: the recipe's names of target columns. Sentences about doubtful choices are added to
/// `warnings`.
pub(super) fn choose(
    table: &Table,
    image: usize,
    problem: Option<Answer>,
    labels: &[String],
    warnings: &mut Vec<String>,
) -> Result<Wanted, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    names::unique(file, columns, image)?;
    let split = names::usual(columns, SPLIT_NAMES, Some(image))
        .filter(|it| targets::are_splits(&table.sample, *it));
    let mut targets: Vec<usize> =
        labels.iter().map(|it| names::named(file, columns, it)).collect::<Result<_, _>>()?;
    if targets.contains(&image) {
        return Err(refusal::data(format!(
            "{file}: `{}` can't be both image and label",
            columns[image]
        )));
    }
    if targets.is_empty() {
        targets = unnamed(table, image, split, problem)?;
        let rivals: Vec<&str> = (0..columns.len())
            .filter(|it| *it != image && Some(*it) != split && !targets.contains(it))
            .map(|it| &*columns[it])
            .collect();
        if !rivals.is_empty() {
            warnings.push(format!("{file}: columns not used: {}", refusal::list(&rivals)));
        }
    }
    for idx in &targets {
        names::unique(file, columns, *idx)?;
    }
    if (1..targets.len()).any(|it| targets[..it].contains(&targets[it])) {
        return Err(refusal::data("the recipe names a target column twice"));
    }
    let kind = Kind::of(&table.sample, &targets, problem)
        .map_err(|message| refusal::data(format!("{file}: {message}")))?;
    Ok(Wanted { image, split, targets, kind })
}

/// Target columns that no recipe names.
fn unnamed(
    table: &Table,
    image: usize,
    split: Option<usize>,
    problem: Option<Answer>,
) -> Result<Vec<usize>, Failure> {
    let sample = &table.sample;
    let columns = &sample.columns;
    let rest: Vec<usize> =
        (0..columns.len()).filter(|it| *it != image && Some(*it) != split).collect();
    let usual = LABEL_NAMES
        .iter()
        .find_map(|name| rest.iter().copied().find(|it| columns[*it].eq_ignore_ascii_case(name)));
    let flags: Vec<usize> =
        rest.iter().copied().filter(|it| targets::are_flags(sample, *it)).collect();
    let numbers: Vec<usize> =
        rest.iter().copied().filter(|it| targets::are_numbers(sample, *it)).collect();
    let found = match (problem, usual) {
        (Some(Answer::Numbers), Some(usual)) if targets::are_numbers(sample, usual) => {
            vec![usual]
        }
        (Some(Answer::Numbers), _) if numbers.len() == 1 => numbers,
        (Some(Answer::Numbers), _) => Vec::new(),
        (_, Some(usual)) => vec![usual],
        (Some(Answer::Classes) | None, None) if 2 <= flags.len() => flags,
        (_, None) if rest.len() == 1 => rest.clone(),
        (_, None) => Vec::new(),
    };
    if !found.is_empty() {
        return Ok(found);
    }
    let file = &table.source.name;
    if rest.is_empty() {
        return Err(refusal::data(format!("{file} has no column besides the images, so no label"))
            .with_cure("add a column `label`"));
    }
    let rest: Vec<&str> = rest.iter().map(|it| &*columns[*it]).collect();
    Err(refusal::data(format!(
        "{file}: what is to be learnt can't be told; besides the images it has {}",
        refusal::list(&rest)
    ))
    .with_cure(format!(
        "name it in a job.toml: data.label = {:?}, or several as data.labels",
        rest[0]
    )))
}
