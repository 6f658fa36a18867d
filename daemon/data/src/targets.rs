//! Decides which columns of a table are to be learnt, and as what: the recipe's names, else the
//! usual names, else what the values show. What stays ambiguous is refused with the lines that
//! settle it. What the values of a kind look like is left to the answers.

use crate::example::spoken;
use crate::format::Format;
use crate::names::{self, LABEL_NAMES};
use crate::recurring::{self, Found};
use crate::refusal;
use crate::request::Request;
use crate::row::nearly_all;
use crate::table::Table;
use finetuned_answers::{Cell, Columns, TargetKind, TargetReader};
use finetuned_job::outcome::Failure;
use finetuned_job::task::{Modality, Task};
use std::collections::{BTreeMap, HashSet};

/// What is learnt, and how it is read.
pub(crate) struct Learnt {
    pub(crate) kind: &'static dyn TargetKind,
    /// The sentence why, as far as it was known before all rows were read.
    reason: String,
    /// Rows that it was inferred from, the first ones, of which all may show more.
    inferred_of: Option<u64>,
    pub(crate) reader: Box<dyn TargetReader>,
}

impl Learnt {
    /// The sentence why, after the last row, of which so many could be used.
    pub(crate) fn reason(&self, usable: u64) -> String {
        let reason = &self.reason;
        match (self.inferred_of, self.reader.reason()) {
            (Some(_), Some(of_all)) => of_all,
            (Some(first), None) if first < usable => {
                format!("{reason}, as the first {first} rows show")
            }
            _ => reason.clone(),
        }
    }
}

/// After the last row: what the first rows hid.
pub(crate) fn check_all(learnt: &Learnt) -> Result<(), Failure> {
    let Some(why) = learnt.inferred_of.and_then(|_| learnt.reader.doubt()) else { return Ok(()) };
    Err(refusal::data(why).with_cure(
        "the first rows look otherwise: set task in the recipe to that of numbers or of classes",
    ))
}

/// Of a recipe that names the task.
const ASKED: &str = "the recipe says so";
/// Of inputs that are answered in one way.
const NOTHING_ELSE: &str = "nothing else is learnt of such data";

/// Those that the recipe names.
pub(crate) fn named(table: &Table, request: &Request<'_>) -> Result<Vec<usize>, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let targets: Vec<usize> = request
        .labels()
        .iter()
        .map(|it| names::named(file, columns, it))
        .collect::<Result<_, _>>()?;
    if (1..targets.len()).any(|it| targets[..it].contains(&targets[it])) {
        return Err(refusal::data("the recipe names a target column twice"));
    }
    Ok(targets)
}

/// Where the recipe names none. `rest`: the columns that are neither inputs nor splits.
pub(crate) fn unnamed(
    table: &Table,
    inputs: &[usize],
    rest: &[usize],
    request: &Request<'_>,
) -> Result<Vec<usize>, Failure> {
    let names = &table.sample.columns;
    let rest: Vec<usize> = rest.iter().copied().filter(|it| !holds_ids(table, *it)).collect();
    let rest = &rest[..];
    let usual = names::usual(names, LABEL_NAMES, rest);
    let usual = usual.and_then(|it| rest.iter().position(|at| *at == it));
    let cells = cells(table, rest);
    let columns = columns(table, rest, &cells);
    let found = match request.kind() {
        Some(kind) => kind.unnamed(&columns, usual),
        // Columns without a name can't name a class each.
        None if table.sample.headerless && 1 < rest.len() => Vec::new(),
        None => finetuned_answers::unnamed(&columns, usual),
    };
    if !found.is_empty() {
        let found: Vec<usize> = found.into_iter().map(|it| rest[it]).collect();
        check_score(table, &found, rest)?;
        check_levels(table, &found, rest)?;
        return Ok(found);
    }
    let found = recurring::find(table, rest)?;
    match &found.candidates[..] {
        [only] if found.others_are_none || table.sample.headerless => Ok(vec![only.column]),
        _ => Err(ambiguous(table, (inputs, rest), &found, request)),
    }
}

/// Refused where a score would be learnt, as of a post or of a model's own guess, and a column
/// beside it is called as labels are and holds few values.
fn check_score(table: &Table, found: &[usize], rest: &[usize]) -> Result<(), Failure> {
    const SCORES: &[&str] = &["score", "quality", "similarity_score"];
    const LABELS: &[&str] = &[
        "label",
        "labels",
        "category",
        "class",
        "flair",
        "sentiment",
        "annotation",
        "verdict",
        "topic",
        "intent",
        "truth",
        "gold",
    ];
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let [only] = found else { return Ok(()) };
    if !SCORES.iter().any(|it| names::is_same(&columns[*only], it)) {
        return Ok(());
    }
    let is_label = |it: &&usize| {
        let lower = columns[**it].to_lowercase();
        *it != only
            && lower.split(|it: char| !it.is_alphanumeric()).any(|it| LABELS.contains(&it))
            && recurring::find(table, &[**it]).is_ok_and(|it| !it.candidates.is_empty())
    };
    let Some(label) = rest.iter().find(is_label) else { return Ok(()) };
    Err(refusal::data(format!(
        "{file}: `{}` could be learnt, and `{}` as well",
        columns[*only], columns[*label]
    ))
    .with_cure(format!(
        "name one in a job.toml in the drop: data.label = {:?} or {:?}",
        columns[*label], columns[*only]
    )))
}

/// Refused where a column beside the label is called as a finer or a coarser one of the same thing,
/// and its values show that it is: each finer one goes with one coarser one.
fn check_levels(table: &Table, found: &[usize], rest: &[usize]) -> Result<(), Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let [label] = found else { return Ok(()) };
    // Of which the coarser one is what everybody learns.
    if table.format == Format::Trec {
        return Ok(());
    }
    let is_nested = |fine: usize, coarse: usize| {
        let mut of_fine: BTreeMap<String, String> = BTreeMap::new();
        let mut rows = table.sample.rows.iter().map(|it| (it[fine].shown(), it[coarse].shown()));
        let is_function =
            rows.all(|(fine, coarse)| *of_fine.entry(fine).or_insert(coarse.clone()) == coarse);
        let coarser = of_fine.values().collect::<HashSet<_>>().len();
        is_function && 1 < coarser && coarser < of_fine.len()
    };
    let is_level = |it: &&usize| {
        names::are_levels(&columns[*label], &columns[**it])
            && (is_nested(*label, **it) || is_nested(**it, *label))
    };
    let Some(other) = rest.iter().find(is_level) else { return Ok(()) };
    let (a, b) = (&columns[*label], &columns[*other]);
    let (coarse, fine) = if is_nested(*label, *other) { (b, a) } else { (a, b) };
    Err(refusal::data(format!(
        "{file}: `{coarse}` could be learnt, and the finer `{fine}` as well"
    ))
    .with_cure(format!("name one in a job.toml in the drop: data.label = {coarse:?} or {fine:?}")))
}

/// Whether a column is called as ids are, and no value recurs in it.
fn holds_ids(table: &Table, column: usize) -> bool {
    if !names::is_id(&table.sample.columns[column]) {
        return false;
    }
    let values: HashSet<String> = table.sample.rows.iter().map(|it| it[column].shown()).collect();
    values.len() == table.sample.rows.len()
}

/// The column of names that stands beside one column of numbers, each number with its own.
pub(crate) fn class_names(table: &Table, targets: &[usize], free: &[usize]) -> Option<usize> {
    let ([target], columns) = (targets, &table.sample.columns) else { return None };
    let number = |it: &Cell| match it {
        Cell::Integer(it) => Some(*it),
        Cell::Text(it) => it.trim().parse().ok(),
        _ => None,
    };
    let is_it = |names: &usize| {
        let (mut of_number, mut of_name) = (BTreeMap::new(), BTreeMap::new());
        let mut rows = table.sample.rows.iter();
        names != target
            && names::names_classes_of(&columns[*names], &columns[*target])
            && rows.all(|row| match (number(&row[*target]), &row[*names]) {
                (Some(number), Cell::Text(name)) => {
                    *of_number.entry(number).or_insert(name) == name
                        && *of_name.entry(name).or_insert(number) == number
                }
                (_, name) => row[*target].is_missing() && name.is_missing(),
            })
            && !of_number.is_empty()
    };
    free.iter().copied().find(is_it)
}

/// What a table may be for that has no labels, as the end of a cure.
pub(crate) const UNLABELLED: &str = "; without labels set task: \"text-generation\" learns answers to questions, \"preference\" which answers are wanted, \"causal-language-modeling\" and \"masked-language-modeling\" texts as they are";

fn ambiguous(
    table: &Table,
    (inputs, rest): (&[usize], &[usize]),
    found: &Found,
    request: &Request<'_>,
) -> Failure {
    // Paths of images have no blanks.
    let has_words = |column: usize| {
        let values = table.sample.rows.iter().filter_map(|it| it[column].value());
        nearly_all(values.map(|it| it.trim().contains(char::is_whitespace)))
    };
    let is_open = request.task.is_none()
        && found.candidates.is_empty()
        && inputs.iter().any(|it| has_words(*it));
    let unlabelled = if is_open { UNLABELLED } else { "" };
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let of = |all: &[usize]| all.iter().map(|it| &*columns[*it]).collect::<Vec<_>>();
    let inputs = of(inputs).join("` and `");
    let rest = of(rest);
    let Some(first) = rest.first().copied() else {
        return refusal::data(format!("{file} has no column besides `{inputs}`, so no label"))
            .with_cure(format!("add a column `label`{unlabelled}"));
    };
    let likely: Vec<String> = found.candidates.iter().map(|it| it.spoken(columns)).collect();
    let is_sure = found.others_are_none || table.sample.headerless;
    let likely = match likely.is_empty() || !is_sure {
        true => String::new(),
        false => format!("; {} could be it", likely.join(" or ")),
    };
    let names = found.candidates.iter().map(|it| format!("{:?}", columns[it.column]));
    let names: Vec<String> = names.collect();
    let label = if names.is_empty() { format!("{first:?}") } else { names.join(" or ") };
    let header = if table.sample.headerless { " has no header" } else { "" };
    refusal::data(format!(
        "{file}{header}: what is to be learnt can't be told; besides `{inputs}` it has {}{likely}",
        refusal::list(&rest)
    ))
    .with_cure(format!(
        "name it in a job.toml in the drop: data.label = {label}, or several as data.labels{unlabelled}"
    ))
}

/// `texts`: columns of them.
pub(crate) fn no_header(table: &Table, texts: &[usize]) -> Failure {
    let columns = &table.sample.columns;
    let named =
        |it: &[usize]| it.iter().map(|it| format!("{:?}", columns[*it])).collect::<Vec<_>>();
    let text = match texts {
        [] => "\"column 1\"".to_string(),
        [only] => format!("{:?}", columns[*only]),
        several => format!(
            "{} (or [{}] as a pair)",
            named(several).join(" or "),
            named(&several[..2]).join(", ")
        ),
    };
    let label = (0..columns.len()).find(|it| !texts.contains(it)).filter(|_| !texts.is_empty());
    let label = label.unwrap_or(1);
    let label = names::of_place(label + 1);
    refusal::data(format!(
        "{} has no header line, and what its {} columns mean can't be told",
        table.source.name,
        columns.len()
    ))
    .with_cure(format!(
        "add a first line with the names of the columns, for example text and label, or name them in a job.toml in the drop by their places: data.text = {text} and data.label = {label:?}"
    ))
}

/// Looks at the columns, and refuses where they don't fit what the recipe says.
pub(crate) fn learnt(
    table: &Table,
    targets: &[usize],
    modality: Modality,
    request: &Request<'_>,
) -> Result<Learnt, Failure> {
    let file = &table.source.name;
    let cells = cells(table, targets);
    let columns = columns(table, targets, &cells);
    let failed = |why: String| {
        let line = targets.iter().find_map(|it| first_quoted(table, *it, &why));
        refusal::data(format!("{}: {why}", spoken(file, line)))
    };
    let (kind, reason) = match known(request, modality) {
        Some((kind, reason)) => (kind, reason.into()),
        None => finetuned_answers::infer(&columns).map_err(failed)?,
    };
    let inferred_of = request.kind().is_none().then_some(table.sample.rows.len() as u64);
    match kind.reader(&columns) {
        Ok(reader) => Ok(Learnt { kind, reason, inferred_of, reader }),
        Err(why) => Err(match fitting(&columns, modality) {
            Some(task) => failed(why).with_cure(format!(
                "task = {:?} would fit, or name other columns in the recipe",
                task.name
            )),
            None => failed(why).with_cure("name other columns in the recipe"),
        }),
    }
}

/// The line of the first value of a column that a sentence about it quotes.
fn first_quoted(table: &Table, column: usize, sentence: &str) -> Option<u64> {
    let quoted: Vec<&str> = sentence.split('`').skip(1).step_by(2).collect();
    let is_it = |it: &Cell| it.value().is_some_and(|it| quoted.contains(&&*it));
    table.cells(column).any(is_it).then(|| table.line_of(column, &is_it))?
}

/// The recipe's kind, else the only one; and why.
fn known(
    request: &Request<'_>,
    modality: Modality,
) -> Option<(&'static dyn TargetKind, &'static str)> {
    let asked = request.kind().map(|it| (it, ASKED));
    asked.or_else(|| Some((only_kind(modality)?, NOTHING_ELSE)))
}

/// Where one kind of answer alone is learnt of such inputs.
fn only_kind(modality: Modality) -> Option<&'static dyn TargetKind> {
    let mut answers = Task::all().filter(|it| it.modality == modality).map(|it| it.answer);
    let first = answers.next()?;
    answers.all(|it| it == first).then(|| finetuned_answers::target_kind(first))?
}

fn fitting(columns: &Columns<'_>, modality: Modality) -> Option<Task> {
    let (kind, _) = finetuned_answers::infer(columns).ok()?;
    kind.reader(columns).ok()?;
    Task::of(modality, kind.answer())
}

/// What a folder for each class, or another form that can hold nothing else, is learnt as.
pub(crate) fn of_classes(form: &str, request: &Request<'_>) -> Result<Learnt, Failure> {
    let kind = finetuned_answers::folder_kind();
    if let Some(what) = request.kind().and_then(|it| it.not_in_folders()) {
        return Err(refusal::data(format!("{form} can't hold {what}"))
            .with_cure("drop a table with columns of what is to be learnt"));
    }
    let reader = kind.reader(&Columns { names: vec!["class"], rows: Vec::new() });
    let reader = reader.map_err(refusal::data)?;
    let reason = match request.task {
        Some(_) => ASKED.into(),
        None => format!("{form} hold one class each: classes are learnt"),
    };
    Ok(Learnt { kind, reason, inferred_of: None, reader })
}

/// Texts that are learnt as they are.
pub(crate) fn of_texts(request: &Request<'_>) -> Result<Learnt, Failure> {
    let not = || refusal::data("texts without labels teach nothing here");
    let kind = request.kind().ok_or_else(not)?;
    let names = request.labels();
    let reader = kind.reader(&Columns { names, rows: Vec::new() }).map_err(refusal::data)?;
    Ok(Learnt { kind, reason: ASKED.into(), inferred_of: None, reader })
}

/// Spans that stand in files of their own.
pub(crate) fn of_spans(request: &Request<'_>, modality: Modality) -> Result<Learnt, Failure> {
    let not = || refusal::data("spans of words teach nothing here");
    let (kind, reason) = known(request, modality).ok_or_else(not)?;
    let reader = kind.reader(&Columns { names: vec!["spans"], rows: Vec::new() });
    let reader = reader.map_err(refusal::data)?;
    Ok(Learnt { kind, reason: reason.into(), inferred_of: None, reader })
}

/// The sampled cells of some columns, row by row, by the names that the file has for them.
fn cells(table: &Table, columns: &[usize]) -> Vec<Vec<Cell>> {
    let cell = |row: &[Cell], at: usize| {
        let names = table.label_names.get(&table.sample.columns[at]);
        by_name(row[at].clone(), names)
    };
    let of_row = |row: &Vec<Cell>| columns.iter().map(|it| cell(row, *it)).collect();
    table.sample.rows.iter().map(of_row).collect()
}

fn columns<'a>(table: &'a Table, columns: &[usize], cells: &'a [Vec<Cell>]) -> Columns<'a> {
    Columns {
        names: columns.iter().map(|it| &*table.sample.columns[*it]).collect(),
        rows: cells.iter().map(|it| it.iter().collect()).collect(),
    }
}

/// `negative` instead of 0, where the file itself says so.
pub(crate) fn by_name(cell: Cell, names: Option<&Vec<String>>) -> Cell {
    let Some(known) = names else { return cell };
    match cell {
        Cell::Integer(number) => match usize::try_from(number).ok().and_then(|it| known.get(it)) {
            Some(name) => Cell::Text(name.clone()),
            None => Cell::Integer(number),
        },
        Cell::List(items) => Cell::List(items.into_iter().map(|it| by_name(it, names)).collect()),
        other => other,
    }
}
