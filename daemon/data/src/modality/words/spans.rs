//! Spans of characters, as doccano, Label Studio, Prodigy and spaCy write them -> a BIO tag for
//! each word. A span that cuts a word is widened to all of it; spans that overlap can't be tags.

use crate::quarantine::Reason;
use finetuned_answers::Cell;

/// In characters, half-open.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: usize,
    end: usize,
    label: String,
}

pub(super) fn none() -> Reason {
    let why = "no spans: where a text has none, an empty list says so";
    Reason::Own("no spans", why.into())
}

fn broken(why: String) -> Reason {
    Reason::Own("a span that can't be read", why)
}

/// Of one text.
pub(super) fn all(cell: Cell) -> Result<Vec<Span>, Reason> {
    match cell {
        // spaCy: `{"entities": [...]}`.
        Cell::Fields(fields) => match fields.into_iter().find(|it| it.0 == "entities") {
            Some((_, spans @ Cell::List(_))) => all(spans),
            _ => Err(none()),
        },
        Cell::List(items) if items.iter().any(|it| it.field("result").is_some()) => {
            annotated(&items)
        }
        Cell::List(items) => items.iter().map(one).collect(),
        _ => Err(none()),
    }
}

/// Label Studio: the first annotation that was not cancelled, whose regions with labels count.
fn annotated(annotations: &[Cell]) -> Result<Vec<Span>, Reason> {
    let cancelled = |it: &&Cell| it.field("was_cancelled") == Some(&Cell::Bool(true));
    let Some(first) = annotations.iter().find(|it| !cancelled(it)) else {
        return Err(Reason::LeftOut("cancelled by the annotator"));
    };
    let Some(Cell::List(regions)) = first.field("result") else { return Err(none()) };
    let values = regions.iter().filter_map(|it| it.field("value"));
    values.filter(|it| it.field("labels").is_some()).map(one).collect()
}

fn one(cell: &Cell) -> Result<Span, Reason> {
    let any = |names: [&str; 2]| names.iter().find_map(|it| cell.field(it));
    let (start, end, label) = match cell {
        Cell::List(items) => match &items[..] {
            [start, end, label, ..] => (start, end, label),
            _ => {
                return Err(broken(format!("{} parts in place of start, end, label", items.len())));
            }
        },
        _ => match (
            any(["start", "start_offset"]),
            any(["end", "end_offset"]),
            any(["label", "labels"]),
        ) {
            (Some(start), Some(end), Some(label)) => (start, end, label),
            _ => return Err(broken("a span without start, end or label".into())),
        },
    };
    let label = match label {
        Cell::Text(it) => it.trim(),
        Cell::List(labels) => match &labels[..] {
            [Cell::Text(it)] => it.trim(),
            _ => return Err(broken(format!("a span with {} labels", labels.len()))),
        },
        _ => "",
    };
    let place = |it: &Cell| match it {
        Cell::Integer(it) => usize::try_from(*it).ok(),
        _ => None,
    };
    match (place(start), place(end)) {
        (Some(start), Some(end)) if !label.is_empty() => {
            Ok(Span { start, end, label: label.into() })
        }
        (Some(_), Some(_)) => Err(broken("a span without a label".into())),
        _ => Err(broken("a span whose start or end is no number of characters".into())),
    }
}

/// A tag for each of `words`, which are places in `raw` without the white space around it; and how
/// many spans were widened.
pub(super) fn tags(
    raw: &str,
    words: &[(u32, u32)],
    spans: Cell,
) -> Result<(Vec<String>, u64), Reason> {
    let mut spans = all(spans)?;
    spans.sort_by_key(|it| (it.start, it.end));
    spans.dedup();
    // The byte that each character begins at, and the end.
    let bytes: Vec<usize> = raw.char_indices().map(|it| it.0).chain([raw.len()]).collect();
    let before = raw.len() - raw.trim_start().len();
    let mut tags = vec!["O".to_owned(); words.len()];
    let (mut widened, mut free) = (0, 0);
    for Span { start, end, label } in spans {
        let (Some(from), Some(to)) = (bytes.get(start), bytes.get(end)) else {
            let n = bytes.len() - 1;
            let why = format!("the span {start} to {end} leaves a text of {n} characters");
            return Err(Reason::Own("a span that leaves its text", why));
        };
        let span = raw.get(*from..*to).unwrap_or_default();
        let inner = span.trim();
        if inner.is_empty() {
            let why = format!("the span {start} to {end} holds no word");
            return Err(Reason::Own("an empty span", why));
        }
        let from = from + (span.len() - span.trim_start().len()) - before;
        let to = from + inner.len();
        let first = words.partition_point(|it| it.1 as usize <= from);
        let last = words.partition_point(|it| (it.0 as usize) < to);
        if first < free {
            let why = format!("the span {start} to {end} overlaps another one");
            return Err(Reason::Own("spans that overlap", why));
        }
        let Some([begin, rest @ ..]) = tags.get_mut(first..last) else {
            return Err(broken(format!("the span {start} to {end} holds no word")));
        };
        *begin = format!("B-{label}");
        rest.iter_mut().for_each(|it| *it = format!("I-{label}"));
        free = last;
        let whole = words[first].0 as usize == from && words[last - 1].1 as usize == to;
        widened += u64::from(!whole);
    }
    Ok((tags, widened))
}

#[cfg(test)]
mod tests {
    use super::super::cut;
    use super::*;

    fn spans(spans: &[(i128, i128)]) -> Cell {
        let one = |it: &(i128, i128)| {
            Cell::List(vec![Cell::Integer(it.0), Cell::Integer(it.1), Cell::Text("LOC".into())])
        };
        Cell::List(spans.iter().map(one).collect())
    }

    #[track_caller]
    fn check(text: &str, of: &[(i128, i128)], expected: Result<(&str, u64), &str>) {
        let found = tags(text, &cut::words(text.trim()), spans(of));
        let found = found.map(|(tags, widened)| (tags.join(" "), widened));
        let found = found.map_err(|it| it.to_string());
        assert_eq!(found, expected.map(|it| (it.0.into(), it.1)).map_err(str::to_owned));
    }

    #[test]
    fn spans_of_characters_become_tags_of_words() {
        let text = "  in São Paulo, Ulm ";
        check(text, &[(16, 19), (5, 14)], Ok(("O B-LOC I-LOC O B-LOC", 0)));
        check(text, &[(4, 14), (4, 14)], Ok(("O B-LOC I-LOC O O", 0)));
        check(text, &[(6, 14)], Ok(("O B-LOC I-LOC O O", 1)));
        check(text, &[], Ok(("O O O O O", 0)));
        check(text, &[(5, 8), (6, 14)], Err("the span 6 to 14 overlaps another one"));
        check(text, &[(5, 99)], Err("the span 5 to 99 leaves a text of 20 characters"));
        check(text, &[(0, 2)], Err("the span 0 to 2 holds no word"));
        check(text, &[(-1, 2)], Err("a span whose start or end is no number of characters"));
    }
}
