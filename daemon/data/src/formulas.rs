//! Cells such as `="007"`: a formula that gives a text, by which people keep spreadsheets from
//! reading it as a number. The text is meant.

use crate::whole_lines::inner;
use csv::StringRecord;

pub(crate) const NOTE: &str = "has cells written as formulas (=\"…\"), of which the text was read";

/// Whether any were there.
pub(crate) fn unfold(record: &mut StringRecord) -> bool {
    if !record.iter().any(|it| text(it).is_some()) {
        return false;
    }
    let place = record.position().cloned();
    *record = record.iter().map(|it| text(it).unwrap_or_else(|| it.to_string())).collect();
    record.set_position(place);
    true
}

fn text(field: &str) -> Option<String> {
    inner(field.trim().strip_prefix('=')?)
}
