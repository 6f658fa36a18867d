//! What all ways of reading have in common, and the one way through tables: every row becomes an
//! example, whatever goes in and whatever is learnt. Which columns go in is left to the modality.

use crate::example::{Origins, Record};
use crate::gather::{Gather, Place};
use crate::inflate::Count;
use crate::names;
use crate::progress::{Progress, Steps};
use crate::quarantine::{Reason, Usable};
use crate::refusal;
use crate::request::Request;
use crate::split_column::{self, SplitColumns, Values};
use crate::table::{Table, TableFile};
use crate::targets;
use crate::unlabelled;
use finetuned_answers::Cell;
use finetuned_job::data::FileReport;
use finetuned_job::event::Phase;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use finetuned_job::task::Modality;
use std::collections::BTreeMap;

/// A drop while it is read.
pub(crate) struct Reading<'a, 'p> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) modality: Modality,
    pub(crate) gather: Gather,
    /// Their rows are counted in the end.
    pub(crate) files: Vec<FileReport>,
    /// As [`Origins::members`].
    pub(crate) members: Vec<Vec<Box<str>>>,
    pub(crate) columns: ColumnNames,
    pub(crate) warnings: Vec<String>,
    pub(crate) doubt: Doubt,
    pub(crate) progress: &'a mut Progress<'p>,
}

/// Why what would be learnt of a table, since nobody names it, may not be what is wanted: of its
/// columns those that go in, and those that are to be learnt.
pub(crate) type Doubt = fn(&Table, &[usize], &[usize]) -> Option<Failure>;

impl Reading<'_, '_> {
    /// Index of the file that is read now.
    pub(crate) fn file_idx(&self) -> u32 {
        self.files.len() as u32
    }

    pub(crate) fn origins(&self) -> Origins {
        let files = self.files.iter().map(|it| it.path.clone()).collect();
        Origins { files, members: self.members.clone() }
    }
}

/// Columns used; empty where there are no tables.
#[derive(Debug, Default)]
pub(crate) struct ColumnNames {
    pub(crate) inputs: Vec<String>,
    pub(crate) split: (Vec<String>, Values),
    pub(crate) targets: Vec<String>,
}

/// Columns by index into the sample's.
struct Columns {
    inputs: Vec<usize>,
    split: SplitColumns,
    targets: Vec<usize>,
}

/// What a modality knows of the tables that it is read from.
pub(crate) trait RowReader {
    /// The columns that go in. `targets`: those that the recipe wants to be learnt.
    fn columns(&self, table: &Table, targets: &[usize]) -> Result<Vec<usize>, Failure>;

    /// What is to be said of columns that nobody uses.
    fn unused(&self, _table: &Table, _inputs: &[usize], _unused: &[usize]) -> Option<String> {
        None
    }

    /// What is learnt where nobody names it and the inputs leave no choice.
    fn targets(&self, _table: &Table, _inputs: &[usize]) -> Option<Vec<usize>> {
        None
    }

    /// `at`: table and line. `cells`: one for each of the columns. `targets`: what is to be learnt,
    /// as the table has it, and then as the kind of answer reads it. With the split that the record
    /// itself names.
    fn record(
        &mut self,
        at: (&str, u64),
        cells: Vec<Cell>,
        targets: &mut Vec<Cell>,
    ) -> Usable<(Record, Option<Split>)>;
}

/// The first table decides; the others must have the same columns.
pub(crate) fn tables(
    reading: &mut Reading<'_, '_>,
    files: Vec<(TableFile, Option<Split>)>,
    rows: &mut dyn RowReader,
) -> Result<(), Failure> {
    let named = reading.request.named_columns();
    let mut own = Vec::new();
    for (file, _) in &files {
        let is_known = named.is_empty() && file.glance().is_some();
        own.push(if is_known { None } else { Some(Table::open(file, &named)?) });
    }
    let mut tables: Vec<(&Table, Option<Split>)> = Vec::new();
    for ((file, split), own) in files.iter().zip(&own) {
        tables.extend(own.as_ref().or_else(|| file.glance()).map(|it| (it, *split)));
    }
    let total = tables.iter().map(|it| it.0.source.bytes()).sum();
    let mut steps = Steps::new(Phase::Reading, Some(total));
    for (at, (table, split)) in tables.iter().enumerate() {
        let columns = match reading.gather.learnt {
            None => first(reading, table, rows, &tables)?,
            Some(_) => {
                let known = (&reading.columns.inputs[..], &reading.columns.targets[..]);
                if let Some(why) = unlabelled::left_out(&tables, at, known)? {
                    reading.warnings.push(why);
                    continue;
                }
                again(&reading.columns, table, *split)?
            }
        };
        if let Some(export) = table.export.as_ref().map(|it| it.tool()) {
            let name = &table.source.name;
            reading.warnings.push(format!("{name} was read as an export of {export}"));
        }
        if let Some(encoding) = table.encoding.filter(|it| it.is_guess()) {
            reading.warnings.push(format!(
                "{}: {encoding} is a guess; save the file as UTF-8 if texts look wrong",
                table.source.name
            ));
        }
        let notes = table.notes().map(|it| format!("{}: {it}", table.source.name));
        reading.warnings.extend(notes);
        // What a lone file is called divides nothing.
        let split = split.filter(|_| 1 < tables.len() || columns.split.columns.is_empty());
        table_rows(reading, (table, split), &columns, rows, &mut steps)?;
        reading.files.push(FileReport {
            path: table.source.name.clone(),
            format: table.format.name().into(),
            encoding: table.encoding.map(|it| it.to_string()),
            bytes: table.source.bytes(),
            rows: 0,
            split,
        });
    }
    Ok(())
}

fn first(
    reading: &mut Reading<'_, '_>,
    table: &Table,
    rows: &dyn RowReader,
    all: &[(&Table, Option<Split>)],
) -> Result<Columns, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let mut targets = targets::named(table, reading.request)?;
    let inputs = rows.columns(table, &targets)?;
    if let Some(both) = inputs.iter().find(|it| targets.contains(it)) {
        return Err(refusal::data(format!(
            "{file}: `{}` can't be both {} and label",
            columns[*both],
            reading.modality.noun()
        )));
    }
    let free = |taken: &[usize]| -> Vec<usize> {
        let taken = |it: &usize| inputs.contains(it) || taken.contains(it);
        (0..columns.len()).filter(|it| !taken(it) && !names::is_index(&columns[*it])).collect()
    };
    let named = !targets.is_empty();
    let split = split_column::find(table, &free(&targets), named, &mut reading.warnings)?;
    if !named {
        let mut rest = free(&split.columns);
        if rest.iter().any(|it| !split_column::is_fold(&columns[*it])) {
            rest.retain(|it| !split_column::is_fold(&columns[*it]));
        }
        targets = match rows.targets(table, &inputs) {
            Some(targets) => targets,
            None => unnamed(reading, table, &inputs, &rest)?,
        };
    }
    let numbered = targets.clone();
    let names = targets::class_names(table, &targets, &free(&[])).filter(|_| !named);
    if let Some(names) = names.filter(|it| stand_by(all, &columns[*it], &columns[targets[0]])) {
        reading.warnings.push(format!(
            "{file}: `{}` holds the names of the numbers in `{}`, and is learnt in its place",
            columns[names], columns[targets[0]]
        ));
        targets = vec![names];
    }
    for idx in inputs.iter().chain(&targets) {
        names::unique(file, columns, *idx)?;
    }
    let of = |all: &[usize]| all.iter().map(|it| columns[*it].clone()).collect::<Vec<_>>();
    reading.gather.learnt =
        Some(targets::learnt(table, &targets, reading.modality, reading.request)?);
    reading.columns = ColumnNames {
        inputs: of(&inputs),
        split: (of(&split.columns), split.values.clone()),
        targets: of(&targets),
    };
    if table.sample.headerless {
        let ColumnNames { inputs, targets, .. } = &reading.columns;
        let label = match &targets[..] {
            [] => String::new(),
            some => format!(" and `{}` as label", some.join("`, `")),
        };
        reading.warnings.push(format!(
            "{file} has no header: its first row was read as data, `{}` as {}{label}",
            inputs.join("`, `"),
            reading.modality.noun(),
        ));
    }
    let used: Vec<usize> = targets.iter().chain(&numbered).chain(&split.columns).copied().collect();
    let unused = free(&used);
    reading.warnings.extend(rows.unused(table, &inputs, &unused));
    warn_of_unused(reading, file, &of(&unused), named);
    Ok(Columns { inputs, split, targets })
}

/// What is learnt where neither the recipe nor the inputs say it.
fn unnamed(
    reading: &Reading<'_, '_>,
    table: &Table,
    inputs: &[usize],
    rest: &[usize],
) -> Result<Vec<usize>, Failure> {
    let found = targets::unnamed(table, inputs, rest, reading.request)?;
    let nobody_says_otherwise =
        reading.request.task.is_none() && reading.request.choice.text.is_empty();
    match nobody_says_otherwise.then(|| (reading.doubt)(table, inputs, &found)).flatten() {
        Some(why) => Err(why),
        None => Ok(found),
    }
}

/// Whether every table that has the numbers has their names too: what is learnt is in all of them.
fn stand_by(tables: &[(&Table, Option<Split>)], names: &str, numbers: &str) -> bool {
    let has = |it: &Table, name| names::find(&it.sample.columns, name).is_some();
    tables.iter().all(|(it, _)| has(it, names) || !has(it, numbers))
}

/// `named`: whether the recipe names what is to be learnt.
fn warn_of_unused(reading: &mut Reading<'_, '_>, file: &str, unused: &[String], named: bool) {
    let learnt = &reading.columns.targets;
    let is_rival =
        |it: &&str| names::is_label(it) && !learnt.iter().any(|of| names::names_classes_of(it, of));
    let rivals: Vec<&str> = unused.iter().map(|it| &**it).filter(is_rival).collect();
    if !named && !learnt.is_empty() && !rivals.is_empty() {
        reading.warnings.push(format!(
            "{file}: `{}` was taken as the label, though `{}` could be one too",
            reading.columns.targets.join("`, `"),
            rivals.join("`, `")
        ));
    }
    if !unused.is_empty() {
        reading.warnings.push(format!("columns not used: {}", refusal::list(unused)));
    }
}

fn again(known: &ColumnNames, table: &Table, split: Option<Split>) -> Result<Columns, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let find = |name: &String| {
        let idx = names::named(file, columns, name)
            .map_err(|it| it.with_cure("all files of a drop need the same columns"))?;
        names::unique(file, columns, idx)?;
        Ok(idx)
    };
    let all = |names: &[String]| names.iter().map(find).collect::<Result<Vec<_>, Failure>>();
    Ok(Columns {
        inputs: all(&known.inputs)?,
        split: match all(&known.split.0) {
            Ok(columns) => SplitColumns { columns, values: known.split.1.clone() },
            // The file itself says it.
            Err(_) if !matches!(split, None | Some(Split::Train)) => SplitColumns::default(),
            Err(why) => return Err(why),
        },
        targets: all(&known.targets)?,
    })
}

fn table_rows(
    reading: &mut Reading<'_, '_>,
    (table, split): (&Table, Option<Split>),
    columns: &Columns,
    rows: &mut dyn RowReader,
    steps: &mut Steps,
) -> Result<(), Failure> {
    let name = &table.source.name;
    let label_names: Vec<_> = columns
        .targets
        .iter()
        .map(|it| table.label_names.get(&table.sample.columns[*it]))
        .collect();
    let mut asked = columns.inputs.clone();
    asked.extend(&columns.split.columns);
    asked.extend(&columns.targets);
    let raw = Count::default();
    let file = reading.file_idx();
    let (gather, progress) = (&mut reading.gather, &mut *reading.progress);
    let (mut lost, mut over) = (Lost::default(), Overruled::default());
    let mut seen = false;
    let has_totals = gather.learnt.as_ref().is_some_and(|it| it.kind.has_totals());
    table.rows(&asked, &raw, &mut |row| {
        seen = true;
        steps.within(&raw, progress);
        let mut place = Place { split, file, nth: row.line, name, line: Some(row.line) };
        if let Err(reason) = &row.cells
            && lost.is_no_row(name, row.line, reason)?
        {
            return Ok(());
        }
        let usable = match row.cells {
            Err(reason) => Err(reason),
            Ok(mut cells) => {
                let mut rest = cells.split_off(columns.inputs.len());
                let targets = rest.split_off(columns.split.columns.len());
                let word = columns.split.values.split(&rest);
                let targets = targets.into_iter();
                let targets =
                    targets.zip(&label_names).map(|(it, names)| targets::by_name(it, *names));
                let mut targets = targets.collect();
                rows.record((name, row.line), cells, &mut targets)?.and_then(|(record, own)| {
                    if has_totals && record.texts.iter().any(|it| is_total(it)) {
                        return Err(Reason::LeftOut("a total of other rows"));
                    }
                    place.split = over.rule(split, word?).or(own);
                    Ok((record, targets))
                })
            }
        };
        gather.take(place, usable)
    })?;
    if !seen {
        return Err(refusal::data(format!("{name} has columns but no rows")));
    }
    steps.file(table.source.bytes(), progress);
    reading.warnings.extend(lost.warnings(name));
    reading.warnings.extend(over.warnings(name, &reading.columns.split.0));
    Ok(())
}

/// Whether a row says by its name that its number is one of all rows above it.
fn is_total(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "total",
        "totals",
        "grand total",
        "subtotal",
        "sum",
        "average",
        "mean",
        "gesamt",
        "summe",
        "insgesamt",
        "gesamtergebnis",
        "mittelwert",
    ];
    WORDS.contains(&text.trim_end_matches(':').trim().to_lowercase().as_str())
}

/// Rows that a column puts into another split than their file: by both, how many.
#[derive(Default)]
struct Overruled(BTreeMap<(Split, Split), u64>);

impl Overruled {
    /// A column divides a file of train further, lest what is scored is trained on. Any other file
    /// holds nothing that is trained on.
    fn rule(&mut self, file: Option<Split>, column: Option<Split>) -> Option<Split> {
        if let (Some(file), Some(column)) = (file, column)
            && file != column
        {
            *self.0.entry((file, column)).or_default() += 1;
        }
        column.filter(|_| matches!(file, None | Some(Split::Train))).or(file)
    }

    fn warnings(&self, name: &str, columns: &[String]) -> impl Iterator<Item = String> {
        let columns = columns.join("`, `");
        self.0.iter().map(move |((file, column), n)| {
            let (file_name, column_name) = (file.name(), column.name());
            let wins = if *file == Split::Train { column_name } else { file_name };
            format!("{name}: the file is {file_name}, and `{columns}` puts {n} of its rows into {column_name}: they are {wins}")
        })
    }
}

/// Lines of a table that are no rows of their own, or not any more.
#[derive(Default)]
struct Lost {
    headers: Vec<u64>,
    /// (the line that opens a quote, lines that went with it)
    quotes: Vec<(u64, u64)>,
}

impl Lost {
    /// Whether the line is nothing that could have been used.
    fn is_no_row(&mut self, name: &str, line: u64, reason: &Reason) -> Result<bool, Failure> {
        match reason {
            Reason::HeaderAgain => self.headers.push(line),
            Reason::HeaderOtherwise => {
                let again = "the header stands again, with its columns in another order";
                return Err(refusal::data(format!("{name} line {line}: {again}"))
                    .with_cure("two files were joined: drop each as a file of its own"));
            }
            Reason::Conflict => {
                return Err(refusal::data(format!("{name} line {line}: {reason}"))
                    .with_cure("resolve it and drop the file again: as it is, it holds two versions of the same rows"));
            }
            Reason::Swallowed { from, lines } if *from == line => self.quotes.push((line, *lines)),
            _ => return Ok(false),
        }
        Ok(*reason == Reason::HeaderAgain)
    }

    fn warnings(&self, name: &str) -> Vec<String> {
        /// More of them are not named one by one.
        const SHOWN_MAX: usize = 5;
        let shown = self.quotes.iter().take(SHOWN_MAX).map(|(from, lines)| {
            format!("{name} line {from} opens a quote that it does not close: {lines} lines went with it and were put aside; close the quote, or double it where it is meant as a character")
        });
        let mut warnings: Vec<String> = shown.collect();
        if let Some(first) = self.headers.first() {
            let n = self.headers.len();
            warnings.push(format!(
                "{name}: lines that repeat the header were left out: {n} (first: line {first})"
            ));
        }
        warnings
    }
}

/// A cell that holds a text.
pub(crate) fn text_of(cell: Cell) -> Result<Box<str>, Reason> {
    match cell {
        Cell::Text(it) if it.contains('\0') => Err(Reason::Nul),
        Cell::Text(it) => match it.trim() {
            "" => Err(Reason::EmptyText),
            text => Ok(text.into()),
        },
        Cell::Missing => Err(Reason::EmptyText),
        Cell::Integer(it) => Ok(it.to_string().into()),
        Cell::Bool(_) => Err(Reason::TextIs("true or false")),
        Cell::Fraction(_) => Err(Reason::TextIs("a number")),
        Cell::Bytes(it) => match String::from_utf8(it) {
            Ok(it) => text_of(Cell::Text(it)),
            Err(_) => Err(Reason::TextIs("binary")),
        },
        Cell::List(_) => Err(Reason::TextIs("a list")),
        Cell::Image(_) => Err(Reason::TextIs("an image")),
        Cell::Fields(_) => Err(Reason::TextIs("an object")),
        Cell::Other(what) => Err(Reason::TextIs(what)),
    }
}
