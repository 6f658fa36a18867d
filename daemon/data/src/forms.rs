//! Decides which tables the files of a drop hold, where that is not one for each: sheets of a
//! workbook, splits in one JSON file, texts of fastText, files whose content is not what the name
//! says; and which files are descriptions or forms and no data.

use crate::class_files;
use crate::encoding;
use crate::fasttext;
use crate::format::Format;
use crate::inflate::Count;
use crate::inventory::{Inventory, SingleFile};
use crate::json_document;
use crate::layout;
use crate::parallel;
use crate::refusal;
use crate::source::Source;
use crate::split_names;
use crate::table::TableFile;
use crate::workbook;
use finetuned_job::outcome::Failure;
use std::cell::LazyCell;
use std::io::Read;

/// As much of a file as shows what it is.
const HEAD_BYTES: u64 = 512 << 10;

/// Sees to all tables of a drop.
pub(crate) fn unfold(found: &mut Inventory) -> Result<(), Failure> {
    take_fasttext(found);
    let mut tables = Vec::new();
    for table in std::mem::take(&mut found.tables) {
        tables.extend(parts(table, &mut found.warnings)?);
    }
    let tables = match found.has_no_example_files() && tables.len() < 2 {
        true => tables,
        false => without_forms(tables, &mut found.warnings),
    };
    found.tables = without_descriptions(tables, &mut found.warnings);
    parallel::take(found)?;
    class_files::take(found);
    Ok(())
}

/// Texts that are tables of fastText's form. A folder for each class has many texts, and a set of
/// this form a handful.
fn take_fasttext(found: &mut Inventory) {
    const TEXTS_MAX: usize = 64;
    if TEXTS_MAX < found.texts.len() {
        return;
    }
    let is_it = |it: &SingleFile| head(&it.path, &it.name).is_ok_and(|it| fasttext::is_it(&it));
    let (tables, texts) = std::mem::take(&mut found.texts).into_iter().partition(is_it);
    found.texts = texts;
    let table = |it: SingleFile| TableFile::new(it.path, it.name, Format::FastText);
    found.tables.extend(Vec::into_iter(tables).map(table));
}

fn head(path: &std::path::Path, name: &str) -> Result<String, Failure> {
    let source = Source::open(path, name)?;
    let failed = |err| refusal::reading(name, &err);
    let mut bytes = Vec::new();
    let stream = source.stream(&Count::default())?;
    stream.take(HEAD_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(encoding::decode(&bytes).map_err(failed)?.0)
}

/// The tables that one file holds, by its content.
fn parts(table: TableFile, warnings: &mut Vec<String>) -> Result<Vec<TableFile>, Failure> {
    let table = disguised(table, warnings)?;
    match table.format {
        Format::Workbook => sheets(table, warnings),
        Format::Json | Format::JsonLines => Ok(keys(table)),
        _ => Ok(vec![table]),
    }
}

/// A workbook or a Parquet file called .csv, and a CSV called .xlsx.
pub(crate) fn disguised(
    table: TableFile,
    warnings: &mut Vec<String>,
) -> Result<TableFile, Failure> {
    let name = &table.name;
    let source = Source::open(&table.path, name)?;
    let claims = table.format;
    if matches!(claims, Format::Parquet | Format::Arrow) {
        return Ok(table);
    }
    let what = match workbook::kind(&source)? {
        Some(workbook::Kind::Other(what)) => {
            return Err(refusal::data(format!("{name} is {what}, which is not read"))
                .with_cure("write the rows to CSV, JSON Lines or Parquet"));
        }
        Some(_) => Format::Workbook,
        None if claims == Format::Workbook => {
            let text = head(&table.path, name)?;
            if let Some(what) = crate::signature::foreign(text.as_bytes()) {
                return Err(refusal::data(format!("{name} is {what}, and no workbook"))
                    .with_cure("save it as .xlsx or CSV"));
            }
            match text.lines().next().is_some_and(|it| it.contains('\t')) {
                true => Format::Tsv,
                false => Format::Csv,
            }
        }
        None if matches!(claims, Format::Csv | Format::Tsv) => {
            match Format::by_content(&table.path, name)? {
                Some(it @ (Format::FastText | Format::Trec | Format::Parquet | Format::Arrow)) => {
                    it
                }
                _ => claims,
            }
        }
        None => claims,
    };
    if what == claims {
        return Ok(table);
    }
    warnings.push(format!("{name} is {} by its content, and was read as that", what.spoken()));
    // Whoever looked at it before saw something else.
    Ok(table.changed(|it| it.format = what))
}

/// The first sheet that holds a table, or all of them where each is called as a split is.
fn sheets(table: TableFile, warnings: &mut Vec<String>) -> Result<Vec<TableFile>, Failure> {
    let names = workbook::sheets(&Source::open(&table.path, &table.name)?)?;
    // Told apart once: nobody need look for it again.
    let first = |table: &TableFile| table.changed(|it| it.sheet = names.first().cloned());
    if names.len() == 1 {
        return Ok(vec![first(&table)]);
    }
    if names.iter().all(|it| split_names::split_of(it).is_some()) {
        let sheet =
            |it: String| part(&table, it.clone(), "sheet ").changed(|table| table.sheet = Some(it));
        return Ok(names.into_iter().map(sheet).collect());
    }
    warnings.push(format!(
        "{} has {} sheets, of which `{}` was read; others: {}",
        table.name,
        names.len(),
        names[0],
        refusal::list(&names[1..])
    ));
    Ok(vec![first(&table)])
}

fn part(table: &TableFile, part: String, what: &str) -> TableFile {
    let name = format!("{} ({what}{part})", table.name);
    table.changed(|it| (it.name, it.part) = (name, Some(part)))
}

/// What is wrong with a file is said when it is read.
fn keys(table: TableFile) -> Vec<TableFile> {
    let Ok(text) = head(&table.path, &table.name) else { return vec![table] };
    if !text.trim_start().starts_with('{') || !json_document::is_document(&text) {
        return vec![table];
    }
    // Behind a long list there may be others.
    let seen = json_document::keys(&text);
    let whole = (HEAD_BYTES <= text.len() as u64).then(|| all_keys(&table)).flatten();
    match json_document::splits(whole.as_ref().unwrap_or(&seen)) {
        splits if splits.is_empty() => vec![table],
        splits => splits.into_iter().map(|it| part(&table, it, "")).collect(),
    }
}

fn all_keys(table: &TableFile) -> Option<Vec<(String, json_document::Shape)>> {
    let source = Source::open(&table.path, &table.name).ok()?;
    let mut bytes = Vec::new();
    let stream = source.stream(&Count::default()).ok()?;
    stream.take(json_document::BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(json_document::keys(&encoding::decode(&bytes).ok()?.0))
}

/// Forms for answers of a competition look like data, and are none.
fn without_forms(tables: Vec<TableFile>, warnings: &mut Vec<String>) -> Vec<TableFile> {
    let (forms, tables): (Vec<_>, Vec<_>) = tables.into_iter().partition(is_form);
    warnings.extend(forms.iter().map(form_ignored));
    tables
}

/// By its name.
pub(crate) fn is_form(table: &TableFile) -> bool {
    let own = table.name.rsplit('/').next().unwrap_or(&table.name);
    let stem = own.split('.').next().unwrap_or(own);
    let letters: String = stem.chars().filter(char::is_ascii_alphabetic).collect();
    let letters = letters.to_ascii_lowercase();
    letters.contains("samplesub")
        || letters.contains("submissionformat")
        || letters.ends_with("submission")
}

pub(crate) fn form_ignored(form: &TableFile) -> String {
    format!("{} is a form for answers, no data, and was ignored", form.name)
}

/// A .json beside other tables is nearly always a description of them; one that is called like a
/// split and has columns of theirs is data.
fn without_descriptions(tables: Vec<TableFile>, warnings: &mut Vec<String>) -> Vec<TableFile> {
    let is_json = |it: &TableFile| it.format == Format::Json;
    if tables.iter().all(is_json) || !tables.iter().any(is_json) {
        return tables;
    }
    let columns = |it: &TableFile| it.glance().map(|it| it.sample.columns.clone());
    // Most are not called like a split, and then no table is opened.
    let others = LazyCell::new(|| -> Vec<String> {
        tables.iter().filter(|it| !is_json(it)).filter_map(columns).flatten().collect()
    });
    let is_data = |it: &TableFile| {
        let alike = |column: &String| others.iter().any(|it| it.eq_ignore_ascii_case(column));
        let shared = |it: Vec<String>| 2 <= it.iter().filter(|it| alike(it)).count();
        layout::split_of_table(it).is_some() && columns(it).is_some_and(shared)
    };
    let stays: Vec<bool> = tables.iter().map(|it| !is_json(it) || is_data(it)).collect();
    let (rest, json): (Vec<_>, Vec<_>) = tables.into_iter().zip(stays).partition(|it| it.1);
    let ignored =
        |(it, _): (TableFile, _)| format!("{} stands beside other tables and was ignored", it.name);
    warnings.extend(json.into_iter().map(ignored));
    rest.into_iter().map(|it| it.0).collect()
}
