//! Questions and answers where neither a task nor a label is asked: a model may be wanted that
//! answers, or one that tells questions apart by what stands beside them. Which of both can't be
//! seen, and the wrong one would train to the end.

use super::chat;
use crate::names;
use crate::refusal;
use crate::table::Table;
use finetuned_job::outcome::Failure;

/// Usual names of labels that say what a question is about, as columns beside conversations do.
const SUBJECT_NAMES: &[&str] =
    &["category", "category_name", "topic", "genre", "tag", "annotation", "quality"];

/// As [`crate::reading::Doubt`]. `targets`: what would be learnt, as nobody names it.
pub(crate) fn doubt(table: &Table, inputs: &[usize], targets: &[usize]) -> Option<Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let [question, answer] = chat::question_and_answer(table)?;
    let is_label = |it: &usize| {
        let name = &columns[*it];
        let is_subject = SUBJECT_NAMES.iter().any(|of| names::is_same(name, of));
        names::is_label(name) && !is_subject && *it != answer
    };
    let goes_in = [question, answer].iter().any(|it| inputs.contains(it));
    if !goes_in || targets.iter().any(is_label) {
        return None;
    }
    let names: Vec<&str> = targets.iter().map(|it| &*columns[*it]).collect();
    let (question, answer) = (&columns[question], &columns[answer]);
    let other = match &names[..] {
        [only] if only == answer => format!("`{answer}` could be a label of `{question}`"),
        _ => format!("{} could be a label of them", refusal::list(&names)),
    };
    let label = match &names[..] {
        [only] => format!("data.label = {only:?}"),
        several => format!("data.labels = {several:?}"),
    };
    let message = format!(
        "{file}: `{question}` and `{answer}` are called as questions and their answers are, and {other}: which is to be learnt can't be told"
    );
    Some(refusal::data(message).with_cure(format!(
        "name one in a job.toml in the drop: task = \"text-generation\" for a model that answers (or \"grpo\", with rewards), or {label} for what tells questions apart"
    )))
}
