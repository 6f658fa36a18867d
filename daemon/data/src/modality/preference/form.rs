//! Decides which columns of a table hold what is asked, and the answers of which one is wanted: by
//! the names that people give them together.

use super::super::chat::{form, marks, messages};
use super::answers::Part;
use super::undecided;
use crate::names;
use crate::refusal;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;

/// What stands where.
#[derive(Debug)]
pub(super) struct Form {
    pub parts: Vec<(Part, usize)>,
    /// The column that says whether an answer is wanted, where it is alone.
    pub verdict: Option<usize>,
}

/// Answers that are called so together.
const PAIRS: &[(&str, &str)] = &[
    ("chosen", "rejected"),
    ("response_chosen", "response_rejected"),
    ("chosen_response", "rejected_response"),
    ("answer_chosen", "answer_rejected"),
    ("chosen_answer", "rejected_answer"),
    ("preferred", "rejected"),
    ("preferred_output", "non_preferred_output"),
];
const PROMPT_NAMES: &[&str] = &["prompt", "question", "instruction", "query", "input"];
/// What messages before the answers are called (LLaMA-Factory's `conversations`).
const MESSAGES_NAMES: &[&str] = &["conversations", "conversation", "messages"];
const COMPLETION_NAMES: &[&str] = &["completion", "response", "answer", "output"];
const VERDICT_NAMES: &[&str] = &["label", "kto_tag", "desirable", "thumbs_up", "liked"];
/// What may stand beside them.
const MORE: &[(Part, &[&str])] = &[
    (Part::Context, form::CONTEXT_NAMES),
    (Part::System, form::SYSTEM_NAMES),
    (Part::History, form::HISTORY_NAMES),
    (Part::Tools, form::TOOLS_NAMES),
];
const MORE_OF_PAIRS: &[(Part, &[&str])] = &[
    (Part::Margin, &["margin"]),
    (Part::ChosenScore, &["score_chosen", "chosen_score", "chosen_rating", "rating_chosen"]),
    (
        Part::RejectedScore,
        &["score_rejected", "rejected_score", "rejected_rating", "rating_rejected"],
    ),
];

/// `named`: by the recipe, and so are `targets`. What a report calls the columns is understood too:
/// those that stand beside the others.
///
/// # Errors
/// A name that no column has, names that are no form of preferences.
pub(super) fn find(
    table: &Table,
    named: &[String],
    targets: &[usize],
) -> Result<Option<Form>, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let usual = of_pairs(columns).or_else(|| of_verdicts(table, targets));
    let usual = usual.map(|it| Form::with(it, table, targets));
    let is_named = |it: &Form| it.parts.iter().map(|it| &columns[it.1]).eq(named);
    let form = match usual.filter(|it| named.is_empty() || is_named(it)) {
        Some(form) if named.is_empty() && form.is_pair() => {
            form.check_verdicts(table)?;
            form
        }
        Some(form) => form,
        None if named.is_empty() => return Ok(None),
        None => Form::with(by_names(table, named, !targets.is_empty())?, table, targets),
    };
    if let Some(answers) = form.pair() {
        undecided::check_places(table, answers)?;
        if let Some(label) = targets.first() {
            return Err(labelled(file, columns, answers, *label));
        }
        if !is_usual_pair(columns, answers) {
            undecided::check(table, answers)?;
        }
    }
    Ok(Some(form).filter(|it| it.is_pair() || it.verdict.is_some()))
}

/// That a recipe names a label of pairs.
fn labelled(file: &str, columns: &[String], answers: [usize; 2], label: usize) -> Failure {
    let ([chosen, rejected], label) = (answers.map(|it| &columns[it]), &columns[label]);
    let message = format!(
        "{file} holds pairs, of which `{chosen}` is the wanted answer and `{rejected}` the other one in all rows, but the recipe names a label, `{label}`"
    );
    refusal::data(message).with_cure(format!(
        "leave data.label out of the recipe; if `{label}` says which of the two is wanted, write that one into `chosen` and the other one into `rejected`, row by row"
    ))
}

/// Whether the names of the columns themselves say which answer is wanted.
fn is_usual_pair(columns: &[String], [chosen, rejected]: [usize; 2]) -> bool {
    let is = |column: usize, name: &str| names::is_same(&columns[column], name);
    PAIRS.iter().any(|it| is(chosen, it.0) && is(rejected, it.1))
}

/// `labelled`: whether the recipe names a verdict too.
fn by_names(
    table: &Table,
    named: &[String],
    labelled: bool,
) -> Result<Vec<(Part, usize)>, Failure> {
    let parts: &[Part] = match (named.len(), labelled) {
        (1, true) => &[Part::Completion],
        (2, true) => &[Part::Prompt, Part::Completion],
        (2, false) => &[Part::Chosen, Part::Rejected],
        (3, _) => &[Part::Prompt, Part::Chosen, Part::Rejected],
        (n, _) => {
            return Err(refusal::data(format!(
                "data.text names {n} columns, and preferences stand in two or three: prompt, chosen and rejected, or chosen and rejected, or prompt and completion beside data.label, or whole conversations beside it"
            )));
        }
    };
    let place = |(part, name): (&Part, &String)| {
        Ok((*part, names::named(&table.source.name, &table.sample.columns, name)?))
    };
    parts.iter().zip(named).map(place).collect()
}

impl Form {
    /// With what usually stands beside these.
    fn with(parts: Vec<(Part, usize)>, table: &Table, targets: &[usize]) -> Form {
        let columns = &table.sample.columns;
        let mut form = Form { parts, verdict: None };
        form.add(table, MORE);
        if form.is_pair() {
            form.add(table, MORE_OF_PAIRS);
        } else {
            let free = form.free(columns);
            let found = || names::usual(columns, VERDICT_NAMES, &free);
            form.verdict = targets.first().copied().or_else(found);
        }
        form
    }

    fn is_pair(&self) -> bool {
        self.pair().is_some()
    }

    /// The columns of the wanted answers and of the others.
    fn pair(&self) -> Option<[usize; 2]> {
        let column = |part| self.parts.iter().find(|it| it.0 == part).map(|it| it.1);
        Some([column(Part::Chosen)?, column(Part::Rejected)?])
    }

    fn free(&self, columns: &[String]) -> Vec<usize> {
        (0..columns.len()).filter(|it| self.parts.iter().all(|part| part.1 != *it)).collect()
    }

    /// # Errors
    /// A column beside a pair says no of some rows: what that is about changes what is learnt.
    fn check_verdicts(&self, table: &Table) -> Result<(), Failure> {
        let (file, columns) = (&table.source.name, &table.sample.columns);
        let says_no = |column: usize| {
            table.nearly_all(column, |it| it.yes_or_no().is_some())
                && table.cells(column).any(|it| it.yes_or_no() == Some(false))
        };
        let is_verdict = |it: &usize| {
            let name = &columns[*it];
            names::is_label(name) || VERDICT_NAMES.iter().any(|of| names::is_same(name, of))
        };
        let found = self.free(columns).into_iter().filter(is_verdict).find(|it| says_no(*it));
        let Some(found) = found else { return Ok(()) };
        let [chosen, rejected] =
            self.pair().map_or([""; 2], |it| it.map(|it| columns[it].as_str()));
        let name = &columns[found];
        let inputs: Vec<&String> = self.parts.iter().map(|it| &columns[it.1]).collect();
        let message = format!(
            "{file}: `{name}` says no of some rows, beside `{chosen}` and `{rejected}`, and whether their answers are the other way round or are not to be learnt can't be told"
        );
        Err(refusal::data(message).with_cure(format!(
            "exchange the answers of those rows, or take the rows out, and leave `{name}` out; if it means something else, name the other columns in a job.toml: data.text = {inputs:?}"
        )))
    }

    fn add(&mut self, table: &Table, more: &[(Part, &[&str])]) {
        let columns = &table.sample.columns;
        for (part, names) in more {
            let mut free = self.free(columns);
            free.retain(|it| *part != Part::History || messages::may_be_history(table, *it));
            let column = names::usual(columns, names, &free);
            self.parts.extend(column.map(|it| (*part, it)));
        }
    }
}

fn usual(columns: &[String], names: &[&str]) -> Option<usize> {
    names::usual(columns, names, &(0..columns.len()).collect::<Vec<_>>())
}

fn of_pairs(columns: &[String]) -> Option<Vec<(Part, usize)>> {
    let both = |it: &(&str, &str)| Some((usual(columns, &[it.0])?, usual(columns, &[it.1])?));
    let (chosen, rejected) = PAIRS.iter().find_map(both)?;
    let answers = [(Part::Chosen, chosen), (Part::Rejected, rejected)];
    let prompt = usual(columns, PROMPT_NAMES).or_else(|| usual(columns, MESSAGES_NAMES));
    let prompt = prompt.map(|it| (Part::Prompt, it));
    Some(prompt.into_iter().chain(answers).collect())
}

/// A prompt and its answer, or whole conversations.
fn of_verdicts(table: &Table, targets: &[usize]) -> Option<Vec<(Part, usize)>> {
    let columns = &table.sample.columns;
    let of = |names| usual(columns, names).filter(|it| !targets.contains(it));
    let both = of(PROMPT_NAMES).zip(of(COMPLETION_NAMES));
    if let Some((prompt, completion)) = both {
        return Some(vec![(Part::Prompt, prompt), (Part::Completion, completion)]);
    }
    let whole = of(MESSAGES_NAMES).filter(|it| table.nearly_all(*it, messages::are_messages))?;
    Some(vec![(Part::Completion, whole)])
}

/// Whether a table can be nothing but preferences: pairs by their names, with a prompt or as whole
/// conversations; answers alone by TRL's names and true or false, or beside a column that is called
/// as nothing but a verdict.
pub(super) fn is_clear(table: &Table) -> bool {
    let columns = &table.sample.columns;
    if let Some(parts) = of_pairs(columns) {
        let is_whole = |it: &Cell| {
            let is_marked = matches!(it, Cell::Text(text) if marks::is_marked(text));
            messages::are_messages(it) || is_marked
        };
        return parts.iter().any(|it| it.0 == Part::Prompt)
            || parts.iter().all(|it| table.nearly_all(it.1, is_whole));
    }
    let is_verdict = |it: &Cell| match it {
        Cell::Bool(_) => true,
        Cell::Text(it) => ["true", "false"].iter().any(|word| it.trim().eq_ignore_ascii_case(word)),
        _ => false,
    };
    if of_verdicts(table, &[]).is_some()
        && usual(columns, &VERDICT_NAMES[1..]).is_some_and(|it| table.nearly_all(it, is_verdict))
    {
        return true;
    }
    let [prompt, completion, label] =
        ["prompt", "completion", "label"].map(|it| usual(columns, &[it]));
    prompt.is_some()
        && completion.is_some()
        && label.is_some_and(|it| table.nearly_all(it, is_verdict))
}
