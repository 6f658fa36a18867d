//! fastText's form: a text a line, with its labels as words before it (`__label__x`).

use crate::lines::Form;
use finetuned_answers::Cell;

pub(crate) const FORM: Form = Form { columns: &["label", "text"], cells };

const PREFIX: &str = "__label__";

/// Whether most of the first lines are of this form.
pub(crate) fn is_it(head: &str) -> bool {
    let lines: Vec<&str> = head.lines().filter(|it| !it.trim().is_empty()).take(20).collect();
    let labelled = lines.iter().filter(|it| it.trim_start().starts_with(PREFIX)).count();
    lines.len() < 2 * labelled
}

/// Labels may stand anywhere in the line.
fn cells(line: &str) -> Vec<Cell> {
    let (labels, words): (Vec<&str>, Vec<&str>) =
        line.split_whitespace().partition(|it| PREFIX.len() < it.len() && it.starts_with(PREFIX));
    let labels = labels.into_iter().map(|it| Cell::Text(it[PREFIX.len()..].into())).collect();
    vec![Cell::List(labels), Cell::Text(words.join(" "))]
}
