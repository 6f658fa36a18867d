//! Decides which columns of a table hold what is asked, and the answers of which one is wanted: by
//! the names that people give them together.

use super::answers::{self, Part};
use super::messages;
use crate::names;
use crate::refusal;
use crate::row::nearly_all;
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
];
const PROMPT_NAMES: &[&str] = &["prompt", "question", "instruction", "query", "input"];
const COMPLETION_NAMES: &[&str] = &["completion", "response", "answer", "output"];
const VERDICT_NAMES: &[&str] = &["label", "desirable", "thumbs_up", "liked"];
/// What may stand beside them.
const MORE: &[(Part, &[&str])] = &[
    (Part::Context, &["input", "context"]),
    (Part::System, &["system", "system_prompt"]),
    (Part::Tools, &["tools", "functions"]),
];
const MORE_OF_PAIRS: &[(Part, &[&str])] = &[
    (Part::Margin, &["margin"]),
    (Part::ChosenScore, &["score_chosen", "chosen_score", "chosen_rating", "rating_chosen"]),
    (
        Part::RejectedScore,
        &["score_rejected", "rejected_score", "rejected_rating", "rating_rejected"],
    ),
];

/// `named`: by the recipe, and so are `targets`.
///
/// # Errors
/// A name that no column has, names that are no form of preferences.
pub(super) fn find(
    table: &Table,
    named: &[String],
    targets: &[usize],
) -> Result<Option<Form>, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let place = |name: &String| names::named(file, columns, name);
    let found = match (named, targets) {
        ([], _) => match of_pairs(columns) {
            Some(found) => Some(found),
            None => of_verdicts(columns, targets),
        },
        ([prompt, completion], [_]) => {
            Some(vec![(Part::Prompt, place(prompt)?), (Part::Completion, place(completion)?)])
        }
        ([chosen, rejected], _) => {
            Some(vec![(Part::Chosen, place(chosen)?), (Part::Rejected, place(rejected)?)])
        }
        ([prompt, chosen, rejected], _) => Some(vec![
            (Part::Prompt, place(prompt)?),
            (Part::Chosen, place(chosen)?),
            (Part::Rejected, place(rejected)?),
        ]),
        (several, _) => {
            let n = several.len();
            return Err(refusal::data(format!(
                "data.text names {n} columns, and preferences stand in two or three: prompt, chosen and rejected, or chosen and rejected, or prompt and completion beside data.label"
            )));
        }
    };
    let Some(parts) = found else { return Ok(None) };
    let is_pair = parts.iter().any(|it| it.0 == Part::Rejected);
    if is_pair && !targets.is_empty() {
        let message = format!(
            "{file} holds pairs, of which the names of the columns say which answer is wanted, but the recipe names a label"
        );
        return Err(refusal::data(message).with_cure("leave data.label out of the recipe"));
    }
    let mut form = Form { parts, verdict: None };
    form.add(columns, MORE);
    if is_pair {
        form.add(columns, MORE_OF_PAIRS);
    } else {
        let free = form.free(columns);
        let found = || names::usual(columns, VERDICT_NAMES, &free);
        form.verdict = targets.first().copied().or_else(found);
    }
    Ok((is_pair || form.verdict.is_some()).then_some(form))
}

impl Form {
    fn free(&self, columns: &[String]) -> Vec<usize> {
        (0..columns.len()).filter(|it| self.parts.iter().all(|part| part.1 != *it)).collect()
    }

    fn add(&mut self, columns: &[String], more: &[(Part, &[&str])]) {
        for (part, names) in more {
            let column = names::usual(columns, names, &self.free(columns));
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
    let prompt = usual(columns, PROMPT_NAMES).map(|it| (Part::Prompt, it));
    Some(prompt.into_iter().chain(answers).collect())
}

fn of_verdicts(columns: &[String], targets: &[usize]) -> Option<Vec<(Part, usize)>> {
    let of = |names| usual(columns, names).filter(|it| !targets.contains(it));
    Some(vec![(Part::Prompt, of(PROMPT_NAMES)?), (Part::Completion, of(COMPLETION_NAMES)?)])
}

/// Whether a table can be nothing but preferences: pairs by their names, with a prompt or as whole
/// conversations; answers alone by TRL's names and true or false.
pub(super) fn is_clear(table: &Table) -> bool {
    let (columns, rows) = (&table.sample.columns, &table.sample.rows);
    let all = |column: usize, is: fn(&Cell) -> bool| {
        nearly_all(rows.iter().filter_map(|it| it.get(column)).map(is))
    };
    if let Some(parts) = of_pairs(columns) {
        let is_whole = |it: &Cell| messages::are_messages(it) || answers::is_marked(it);
        return parts.iter().any(|it| it.0 == Part::Prompt)
            || parts.iter().all(|it| all(it.1, is_whole));
    }
    let [prompt, completion, label] =
        ["prompt", "completion", "label"].map(|it| usual(columns, &[it]));
    let is_verdict = |it: &Cell| match it {
        Cell::Bool(_) => true,
        Cell::Text(it) => ["true", "false"].iter().any(|word| it.trim().eq_ignore_ascii_case(word)),
        _ => false,
    };
    prompt.is_some() && completion.is_some() && label.is_some_and(|it| all(it, is_verdict))
}
