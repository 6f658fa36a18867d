//! Recognises exports of surveys, which have further headers below the first one: read as rows they
//! would be answers that nobody gave.

use crate::refusal;
use crate::row::Sample;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;

/// Refused with the lines that are to be removed, in a file of this name.
pub(crate) fn refused(sample: &Sample, name: &str) -> Option<Failure> {
    /// Qualtrics has two of them.
    const HEADERS_MAX: usize = 2;
    let is = |row: usize, is: &dyn Fn(&str) -> bool| {
        let cells = sample.rows.get(row).into_iter().flatten();
        cells.filter(|it| matches!(it, Cell::Text(it) if is(it.trim()))).count()
    };
    let is_import = |it: &str| it.starts_with("{\"ImportId\"");
    let imports = (0..HEADERS_MAX).find(|it| 0 < is(*it, &is_import));
    // Of SurveyMonkey: where a question has no columns of its own, and ids have nothing.
    let is_response = |it: &str| matches!(it, "Response" | "Open-Ended Response");
    let blank = sample.rows.first().is_some_and(|it| it.first().is_some_and(Cell::is_missing));
    let responses = || (blank && 0 < is(0, &is_response)).then_some(0);
    let last = imports.or_else(responses)?;
    let (tool, lines) = match imports {
        Some(_) => ("Qualtrics", format!("lines 2 to {}, which are no answers", last + 2)),
        None => ("SurveyMonkey", "line 2, which is no answer".into()),
    };
    Some(
        refusal::data(format!(
            "{name} is an export of {tool}, with further headers below the first line"
        ))
        .with_cure(format!("remove {lines}")),
    )
}
