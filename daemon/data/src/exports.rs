//! Recognises what labelling tools export (Label Studio, Prodigy, doccano, spaCy), and makes a text
//! or an image and its labels of each row. What a person rejected, skipped or has not labelled yet
//! is left out. Spans and boxes are none of this file's business: they pass as they are.

use crate::json;
use crate::names::{self, LABEL_NAMES};
use crate::quarantine::Reason;
use crate::row::Sample;
use finetuned_answers::Cell;
use std::collections::BTreeSet;

const REJECTED: Reason = Reason::LeftOut("rejected by the annotator");
const IGNORED: Reason = Reason::LeftOut("ignored by the annotator");
const UNLABELLED: Reason = Reason::LeftOut("not labelled");
const DISPUTED: Reason = Reason::LeftOut("labelled in several ways, none by most annotators");

/// Name of the column that labels are put into.
const LABEL: &str = "label";
/// Of spaCy: labels with a number each.
const CATS: &str = "cats";

/// Columns that tools write for themselves.
const STUDIO_OWN: &[&str] = &[
    "id",
    "inner_id",
    "annotator",
    "annotation_id",
    "created_at",
    "updated_at",
    "lead_time",
    "agreement",
    "file_upload",
];
const PRODIGY_OWN: &[&str] =
    &["answer", "accept", "options", "meta", "config", "label", "priority", "score", "html"];
const ARGILLA_OWN: &[&str] = &[
    "id",
    "inputs",
    "annotation",
    "annotation_agent",
    "prediction",
    "prediction_agent",
    "explanation",
    "multi_label",
    "metadata",
    "metrics",
    "status",
    "event_timestamp",
    "search_keywords",
    "vectors",
];
const DOCCANO_OWN: &[&str] = &[
    "id",
    "comments",
    "annotation_approver",
    "approver",
    "meta",
    "annotations",
    "label",
    "labels",
    CATS,
];

#[derive(Debug)]
pub(crate) struct Export {
    tool: Tool,
    /// Columns of the file that stay as they are.
    passed: Vec<usize>,
    /// Whether rows without a label are left out.
    wants_labels: bool,
}

impl Export {
    fn new(tool: Tool, passed: Vec<usize>) -> Export {
        Export { tool, passed, wants_labels: true }
    }
}

#[derive(Debug)]
enum Tool {
    /// Tasks with their annotations, by fields of the data and by the controls that ask for labels.
    Studio {
        annotations: Option<usize>,
        data: usize,
        fields: Vec<String>,
        controls: Vec<String>,
    },
    /// JSON-MIN and CSV.
    StudioTable {
        choices: Vec<usize>,
    },
    /// `sole`: the one label that all rows ask for, and that is rejected too.
    Prodigy {
        answer: usize,
        label: usize,
        sole: Option<String>,
    },
    /// Of Prodigy, with a list of spans in place of a label.
    ProdigySpans {
        answer: usize,
    },
    /// Of Argilla 1: labels of a person beside those of a model, and texts under names of their own
    /// where no column has them.
    Argilla {
        annotation: usize,
        status: Option<usize>,
        data: usize,
        fields: Vec<String>,
    },
    /// Labels with a number each.
    Cats {
        column: usize,
    },
    Doccano {
        label: usize,
    },
    /// With a list of objects, one for each label.
    OldDoccano {
        annotations: usize,
    },
}

/// Nothing for a table of another kind, or one that holds spans or boxes.
pub(crate) fn recognise(sample: &Sample) -> Option<Export> {
    export_of(sample).filter(|it| match &it.tool {
        Tool::Studio { controls, .. } => !controls.is_empty(),
        _ => true,
    })
}

/// Of a table that is there to be predicted: tasks of Label Studio too, with any annotations or
/// none.
pub(crate) fn to_predict(sample: &Sample) -> Option<Export> {
    let tasks = || {
        let data = sample.columns.iter().position(|it| it == "data")?;
        let is_task = |it: &Vec<Cell>| matches!(it[data], Cell::Fields(_));
        sample.rows.iter().all(is_task).then(|| studio(sample, None, data))
    };
    let export = export_of(sample).or_else(tasks)?;
    Some(Export { wants_labels: false, ..export })
}

fn export_of(sample: &Sample) -> Option<Export> {
    let find = |name: &str| sample.columns.iter().position(|it| it == name);
    let all = |column: usize, is: &dyn Fn(&Cell) -> bool| {
        let mut known = sample.rows.iter().map(|it| &it[column]).filter(|it| !it.is_missing());
        let mut known = known.by_ref().peekable();
        known.peek().is_some() && known.all(is)
    };
    let without = |own: &[&str]| -> Vec<usize> {
        let is_own =
            |it: &str| it.starts_with('_') || own.iter().any(|o| o.eq_ignore_ascii_case(it));
        (0..sample.columns.len()).filter(|it| !is_own(&sample.columns[*it])).collect()
    };
    if let (Some(annotations), Some(data)) =
        (find("annotations").or_else(|| find("completions")), find("data"))
    {
        return Some(studio(sample, Some(annotations), data));
    }
    if find("annotation_id").is_some() && find("lead_time").or_else(|| find("annotator")).is_some()
    {
        let passed = without(STUDIO_OWN);
        let is_choices = |it: &usize| all(*it, &holds_choices) && recur(sample, *it);
        let choices = passed.iter().copied().filter(is_choices).collect();
        return Some(Export::new(Tool::StudioTable { choices }, passed));
    }
    if let Some(answer) = find("answer").filter(|it| all(*it, &|it| answer_of(it).is_some())) {
        let passed = without(PRODIGY_OWN);
        if find("spans").is_some_and(|it| all(it, &|it| matches!(it, Cell::List(_)))) {
            return Some(Export::new(Tool::ProdigySpans { answer }, passed));
        }
        if let Some(label) = find("accept").or_else(|| find(LABEL)) {
            return Some(Export::new(prodigy(sample, answer, label), passed));
        }
    }
    // Flags and shares of a label: other objects are what else is known of a row.
    let columns: Vec<usize> = (0..sample.columns.len()).collect();
    let label = names::usual(&sample.columns, LABEL_NAMES, &columns);
    let of_labels = |it: usize| sample.columns[it] == CATS || label == Some(it);
    let holds_cats = |column: &usize| {
        all(*column, &|it| is_cats(it) && (of_labels(*column) || it.field(CATS).is_some()))
    };
    if let Some(column) = columns.into_iter().find(holds_cats) {
        let mut passed = without(DOCCANO_OWN);
        passed.retain(|it| *it != column);
        return Some(Export::new(Tool::Cats { column }, passed));
    }
    if let Some(tool) = argilla(sample) {
        return Some(Export::new(tool, without(ARGILLA_OWN)));
    }
    if let Some(annotations) = find("annotations").filter(|it| all(*it, &is_labels_of_doccano)) {
        let passed = without(DOCCANO_OWN);
        return Some(Export::new(Tool::OldDoccano { annotations }, passed));
    }
    let marks = ["Comments", "comments", "annotation_approver"];
    if let (Some(label), true) =
        (find(LABEL).or_else(|| find("labels")), marks.iter().any(|it| find(it).is_some()))
        && all(label, &|it| matches!(it, Cell::List(it) if it.iter().all(is_text)))
    {
        return Some(Export::new(Tool::Doccano { label }, without(DOCCANO_OWN)));
    }
    None
}

impl Export {
    /// In sentences.
    pub(crate) fn tool(&self) -> &'static str {
        match self.tool {
            Tool::Studio { .. } | Tool::StudioTable { .. } => "Label Studio",
            Tool::Prodigy { .. } | Tool::ProdigySpans { .. } => "Prodigy",
            Tool::Argilla { .. } => "Argilla",
            Tool::Cats { .. } => "spaCy",
            Tool::Doccano { .. } | Tool::OldDoccano { .. } => "doccano",
        }
    }

    /// Of a table whose columns these are.
    pub(crate) fn columns(&self, file: &[String]) -> Vec<String> {
        let passed = self.passed.iter().map(|it| file[*it].clone());
        let fields = match &self.tool {
            Tool::Studio { fields, .. } | Tool::Argilla { fields, .. } => &fields[..],
            _ => &[],
        };
        passed.chain(fields.iter().cloned()).chain(self.label_columns()).collect()
    }

    /// That are made.
    fn label_columns(&self) -> Vec<String> {
        match &self.tool {
            Tool::Studio { controls, .. } if controls.len() != 1 => controls.clone(),
            Tool::StudioTable { .. } | Tool::ProdigySpans { .. } => Vec::new(),
            _ => vec![LABEL.to_string()],
        }
    }

    /// `cells`: all of the file's.
    pub(crate) fn row(&self, mut cells: Vec<Cell>) -> Result<Vec<Cell>, Reason> {
        let inputs = match &self.tool {
            Tool::Studio { data, fields, .. } | Tool::Argilla { data, fields, .. } => {
                let field = |it| local(cells[*data].field(it).cloned().unwrap_or(Cell::Missing));
                fields.iter().map(|it| field(it)).collect()
            }
            _ => Vec::new(),
        };
        let made = match self.labels(&mut cells) {
            Err(why) if self.wants_labels => return Err(why),
            made => made.unwrap_or_else(|_| vec![Cell::Missing; self.label_columns().len()]),
        };
        let passed = self.passed.iter();
        let passed = passed.map(|it| local(std::mem::replace(&mut cells[*it], Cell::Missing)));
        Ok(passed.chain(inputs).chain(made).collect())
    }

    /// The cells of the columns of labels that are made.
    fn labels(&self, cells: &mut [Cell]) -> Result<Vec<Cell>, Reason> {
        Ok(match &self.tool {
            Tool::Studio { annotations, controls, .. } => {
                studio_labels(annotations.map_or(&Cell::Missing, |it| &cells[it]), controls)?
            }
            Tool::StudioTable { choices } => {
                for it in choices {
                    cells[*it] = choices_of(std::mem::replace(&mut cells[*it], Cell::Missing));
                }
                if !choices.is_empty() && choices.iter().all(|it| cells[*it].is_missing()) {
                    return Err(UNLABELLED);
                }
                Vec::new()
            }
            Tool::Prodigy { answer, label, sole } => {
                let asked = std::mem::replace(&mut cells[*label], Cell::Missing);
                vec![match (answer_of(&cells[*answer]), sole) {
                    (Some("accept"), _) => asked,
                    (Some("reject"), Some(sole)) if asked == Cell::Text(sole.clone()) => {
                        Cell::Text(format!("not {sole}"))
                    }
                    (Some("reject"), _) => return Err(REJECTED),
                    _ => return Err(IGNORED),
                }]
            }
            Tool::ProdigySpans { answer } => match answer_of(&cells[*answer]) {
                Some("accept") => Vec::new(),
                Some("reject") => return Err(REJECTED),
                _ => return Err(IGNORED),
            },
            Tool::Argilla { annotation, status, .. } => {
                let discarded = Cell::Text("Discarded".into());
                if status.is_some_and(|it| cells[it] == discarded) {
                    return Err(REJECTED);
                }
                match std::mem::replace(&mut cells[*annotation], Cell::Missing) {
                    it if it.is_missing() => return Err(UNLABELLED),
                    labels => vec![labels],
                }
            }
            Tool::Cats { column } => vec![cats(&cells[*column])],
            Tool::Doccano { label } => match std::mem::replace(&mut cells[*label], Cell::Missing) {
                Cell::List(labels) if labels.is_empty() => return Err(UNLABELLED),
                Cell::Missing => return Err(UNLABELLED),
                labels => vec![labels],
            },
            Tool::OldDoccano { annotations } => {
                let Cell::List(labels) = &cells[*annotations] else { return Err(UNLABELLED) };
                let labels: Vec<Cell> =
                    labels.iter().filter_map(|it| it.field(LABEL).cloned()).collect();
                if labels.is_empty() {
                    return Err(UNLABELLED);
                }
                vec![Cell::List(labels)]
            }
        })
    }
}

fn is_text(cell: &Cell) -> bool {
    matches!(cell, Cell::Text(_))
}

/// Labels of whole texts, beside what a model predicted.
fn argilla(sample: &Sample) -> Option<Tool> {
    let find = |name: &str| sample.columns.iter().position(|it| it == name);
    let (annotation, data) = find("annotation").zip(find("inputs"))?;
    find("prediction")?;
    let is_labels = |it: &Cell| match it {
        Cell::List(labels) => labels.iter().all(is_text),
        it => it.is_missing() || is_text(it),
    };
    let is_record =
        |it: &Vec<Cell>| is_labels(&it[annotation]) && matches!(it[data], Cell::Fields(_));
    if !sample.rows.iter().all(is_record) {
        return None;
    }
    let of_row = |it: &Vec<Cell>| match &it[data] {
        Cell::Fields(it) => it.iter().map(|it| it.0.clone()).collect(),
        _ => Vec::new(),
    };
    let fields: BTreeSet<String> = sample.rows.iter().flat_map(of_row).collect();
    let is_new = |it: &String| find(it).is_none();
    let fields = fields.into_iter().filter(is_new).collect();
    Some(Tool::Argilla { annotation, status: find("status"), data, fields })
}

/// A path as a server of Label Studio gives it -> one of the drop.
fn local(cell: Cell) -> Cell {
    match cell {
        Cell::Text(it) if it.starts_with("/data/") => {
            let path = match it.split_once("?d=") {
                Some((_, path)) => path,
                None => it.rsplit('/').next().unwrap_or(&it),
            };
            Cell::Text(path.into())
        }
        other => other,
    }
}

/// Without controls where no choice or rating was asked for: then there are only spans or boxes.
fn studio(sample: &Sample, annotations: Option<usize>, data: usize) -> Export {
    let (mut fields, mut controls) = (BTreeSet::new(), BTreeSet::new());
    for row in &sample.rows {
        let Cell::Fields(it) = &row[data] else { continue };
        fields.extend(it.iter().filter(|it| is_text(&it.1)).map(|it| it.0.clone()));
        for result in annotations.into_iter().flat_map(|it| results(&row[it])).flatten() {
            if let (Some(Cell::Text(name)), Some(_)) = (result.field("from_name"), answered(result))
            {
                controls.insert(name.clone());
            }
        }
    }
    fields.remove(LABEL);
    let tool = Tool::Studio {
        annotations,
        data,
        fields: fields.into_iter().collect(),
        controls: controls.iter().cloned().collect(),
    };
    Export::new(tool, Vec::new())
}

/// Of each annotation that was not cancelled.
fn results(annotations: &Cell) -> impl Iterator<Item = &[Cell]> {
    let annotations = match annotations {
        Cell::List(annotations) => &annotations[..],
        _ => &[],
    };
    let is_done = |it: &&Cell| it.field("was_cancelled") != Some(&Cell::Bool(true));
    annotations.iter().filter(is_done).filter_map(|it| match it.field("result") {
        Some(Cell::List(results)) if !results.is_empty() => Some(&results[..]),
        _ => None,
    })
}

/// What was chosen.
fn answered(result: &Cell) -> Option<&Cell> {
    let value = result.field("value")?;
    ["choices", "taxonomy", "rating", "number"].iter().find_map(|it| value.field(it))
}

/// What all annotators say, or more of them than anything else.
fn studio_labels(annotations: &Cell, controls: &[String]) -> Result<Vec<Cell>, Reason> {
    let of = |results: &[Cell], control: &String| {
        let is_of = |it: &&Cell| it.field("from_name") == Some(&Cell::Text(control.clone()));
        results.iter().filter(is_of).find_map(answered).cloned().map_or(Cell::Missing, in_order)
    };
    let of_one =
        |it: &[Cell]| controls.iter().map(|control| of(it, control)).collect::<Vec<Cell>>();
    let mut counts: Vec<(Vec<Cell>, usize)> = Vec::new();
    for labels in results(annotations).map(of_one) {
        match counts.iter_mut().find(|it| it.0 == labels) {
            _ if labels.iter().all(|it| *it == Cell::Missing) => {}
            Some(known) => known.1 += 1,
            None => counts.push((labels, 1)),
        }
    }
    counts.sort_by_key(|it| std::cmp::Reverse(it.1));
    match &counts[..] {
        [] => Err(UNLABELLED),
        [first, second, ..] if first.1 == second.1 => Err(DISPUTED),
        _ => Ok(counts.swap_remove(0).0),
    }
}

/// Of several choices nobody says which was made first.
fn in_order(choices: Cell) -> Cell {
    match choices {
        Cell::List(mut items) => {
            items.sort_by_cached_key(Cell::shown);
            Cell::List(items)
        }
        other => other,
    }
}

/// `{"choices": [...]}`, as an object or as a text, or one choice.
fn holds_choices(cell: &Cell) -> bool {
    is_text(cell) || cell.field("choices").is_some()
}

fn is_written_choices(text: &str) -> bool {
    text.trim_start().starts_with("{\"choices\"")
}

/// Whether the texts of a column are choices: each stands there twice on average, or says so.
fn recur(sample: &Sample, column: usize) -> bool {
    let (mut different, mut texts) = (BTreeSet::new(), 0);
    for row in &sample.rows {
        match &row[column] {
            Cell::Text(it) if is_written_choices(it) => return true,
            it if it.is_missing() => {}
            Cell::Text(it) => {
                different.insert(it);
                texts += 1;
            }
            _ => {}
        }
    }
    2 * different.len() <= texts
}

fn choices_of(cell: Cell) -> Cell {
    match cell {
        Cell::Text(it) if is_written_choices(&it) => {
            serde_json::from_str(&it).map_or(Cell::Text(it), |value| choices_of(json::cell(value)))
        }
        Cell::Fields(_) => cell.field("choices").cloned().unwrap_or(Cell::Missing),
        other => other,
    }
}

fn answer_of(cell: &Cell) -> Option<&'static str> {
    let Cell::Text(it) = cell else { return None };
    ["accept", "reject", "ignore"].into_iter().find(|word| *word == it.trim())
}

/// Rows of one and the same label are questions: what is rejected is the other class.
fn prodigy(sample: &Sample, answer: usize, label: usize) -> Tool {
    let mut labels = sample.rows.iter().map(|it| &it[label]).filter(|it| !it.is_missing());
    let first = labels.next();
    let alike = labels.all(|it| Some(it) == first);
    let rejects = sample.rows.iter().any(|it| answer_of(&it[answer]) == Some("reject"));
    let sole = match first {
        Some(Cell::Text(it)) if alike && rejects => Some(it.clone()),
        _ => None,
    };
    Tool::Prodigy { answer, label, sole }
}

/// A number or a flag for each label, perhaps one level deeper.
fn is_cats(cell: &Cell) -> bool {
    let Cell::Fields(fields) = cell else { return false };
    if let Some(inner) = cell.field(CATS) {
        let spans = cell.field("entities").or_else(|| cell.field("spans"));
        return is_cats(inner) && !matches!(spans, Some(Cell::List(it)) if !it.is_empty());
    }
    let is_share = |it: &Cell| match it {
        Cell::Bool(_) | Cell::Missing => true,
        Cell::Integer(it) => (0..=1).contains(it),
        Cell::Fraction(it) => (0.0..=1.0).contains(it),
        _ => false,
    };
    1 < fields.len() && fields.iter().all(|it| is_share(&it.1))
}

fn cats(cell: &Cell) -> Cell {
    let inner = cell.field(CATS).unwrap_or(cell);
    let Cell::Fields(fields) = inner else { return Cell::Missing };
    let is_on = |it: &Cell| match it {
        Cell::Bool(it) => *it,
        Cell::Integer(it) => 0 < *it,
        Cell::Fraction(it) => 0.5 <= *it,
        _ => false,
    };
    let on = fields.iter().filter(|it| is_on(&it.1));
    Cell::List(on.map(|it| Cell::Text(it.0.clone())).collect())
}

/// `[{"label": 1, "user": 2}]`, without places in the text.
fn is_labels_of_doccano(cell: &Cell) -> bool {
    let is_one = |it: &Cell| {
        it.field(LABEL).is_some()
            && it.field("start_offset").is_none()
            && it.field("user").is_some()
    };
    matches!(cell, Cell::List(it) if it.iter().all(is_one))
}
