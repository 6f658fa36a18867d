//! Texts with their spans in a file beside each, as brat writes them (`a.txt`, `a.ann`) -> pieces
//! of texts with spans. A text is divided at its empty lines, and a long part at the ends of lines;
//! no span is cut. Relations, events and attributes are none of a word's tags.

use crate::inventory::SingleFile;
use crate::quarantine::Reason;
use finetuned_answers::Cell;
use std::collections::BTreeMap;

/// Characters of a part that is not divided further, about: what most models read at once.
const PART_CHARS: usize = 1_000;

/// A span and the words that its file says are there.
#[derive(Debug, PartialEq)]
struct Mark {
    id: String,
    label: String,
    /// In characters, half-open; several only where something else lies between them.
    parts: Vec<(usize, usize)>,
    words: String,
}

impl Mark {
    fn from(&self) -> usize {
        self.parts[0].0
    }

    fn to(&self) -> usize {
        self.parts[self.parts.len() - 1].1
    }

    /// In a part of the text that begins `at`. What lies between the parts of a span can't be told
    /// from it by a tag for each word.
    fn span(&self, at: usize) -> Result<Cell, Reason> {
        let [(start, end)] = self.parts[..] else {
            let why = format!("its span {} has several parts", self.id);
            return Err(Reason::Own("spans of several parts", why));
        };
        let place = |it: usize| Cell::Integer((it - at) as i128);
        Ok(Cell::List(vec![place(start), place(end), Cell::Text(self.label.clone())]))
    }
}

/// The file of the spans of each text, by the text's name.
pub(super) fn by_text(spans: &[SingleFile]) -> BTreeMap<String, &SingleFile> {
    spans.iter().map(|it| (it.text_of_spans(), it)).collect()
}

/// A part of a text with its spans.
pub(super) type Piece = Result<(String, Cell), Reason>;

/// # Errors
/// The spans are none, or not those of this text.
pub(super) fn pieces(text: &str, spans: &str) -> Result<Vec<Piece>, Reason> {
    let marks = marks(spans)?;
    // Some count the end of a line as one character where the text has two.
    let as_one = || placed(&text.replace("\r\n", "\n"), &marks);
    let (chars, marks) = placed(text, &marks).or_else(|why| as_one().map_err(|_| why))?;
    let pieces = parts(&chars, &marks).into_iter().map(|(from, to)| {
        // No part cuts a span.
        let first = marks.partition_point(|it| it.from() < from);
        let within = marks[first..].iter().take_while(|it| it.from() < to);
        let spans = within.map(|it| it.span(from)).collect::<Result<Vec<Cell>, Reason>>()?;
        Ok((chars[from..to].iter().collect::<String>(), Cell::List(spans)))
    });
    let is_text = |it: &Piece| it.as_ref().map_or(true, |it| !it.0.trim().is_empty());
    Ok(pieces.filter(is_text).collect())
}

/// `T1⇥Place 3 9⇥Berlin`; lines that begin otherwise say something else.
fn marks(spans: &str) -> Result<Vec<Mark>, Reason> {
    let mark = |line: &str| {
        let mut fields = line.splitn(3, '\t');
        let (id, place, words) = (fields.next()?, fields.next()?, fields.next()?);
        let (label, places) = place.trim().split_once(' ')?;
        let part = |it: &str| {
            let (from, to) = it.trim().split_once(' ')?;
            let (from, to) = (from.parse().ok()?, to.trim().parse().ok()?);
            (from < to).then_some((from, to))
        };
        let mut parts: Vec<(usize, usize)> = places.split(';').map(part).collect::<Option<_>>()?;
        parts.sort_unstable();
        Some(Mark { id: id.into(), label: label.into(), parts, words: words.into() })
    };
    let lines = spans.lines().filter(|it| it.starts_with('T'));
    let broken = |it: &str| {
        Reason::Own("spans that can't be read", format!("its spans have a line `{}`", it.trim()))
    };
    lines.map(|it| mark(it).ok_or_else(|| broken(it))).collect()
}

/// The text's characters, and the spans from the first on, each of one part where nothing but
/// white space lies between its parts.
fn placed(text: &str, marks: &[Mark]) -> Result<(Vec<char>, Vec<Mark>), Reason> {
    let chars: Vec<char> = text.chars().collect();
    let mut placed = Vec::new();
    for Mark { id, label, parts, words } in marks {
        let part = |it: &(usize, usize)| chars.get(it.0..it.1).map(String::from_iter);
        let found: Option<Vec<String>> = parts.iter().map(part).collect();
        let is_there =
            |it: &Vec<String>| it.join(" ").split_whitespace().eq(words.split_whitespace());
        if !found.as_ref().is_some_and(is_there) {
            let found = found.unwrap_or_default().join(" ");
            let why = format!("its span {id} is `{words}`, and `{found}` stands there");
            return Err(Reason::Own("spans that are not what stands in the text", why));
        }
        let is_blank = |it: &[(usize, usize)]| {
            chars.get(it[0].1..it[1].0).is_some_and(|it| it.iter().all(|it| it.is_whitespace()))
        };
        let parts = match parts.windows(2).all(is_blank) {
            true => vec![(parts[0].0, parts[parts.len() - 1].1)],
            false => parts.clone(),
        };
        placed.push(Mark { id: id.clone(), label: label.clone(), parts, words: words.clone() });
    }
    placed.sort_by_key(Mark::from);
    Ok((chars, placed))
}

/// Where each part begins and ends.
fn parts(chars: &[char], marks: &[Mark]) -> Vec<(usize, usize)> {
    // Nothing ends within a span.
    let mut within = vec![false; chars.len() + 1];
    marks.iter().for_each(|it| within[it.from() + 1..it.to()].fill(true));
    let lines: Vec<usize> = (0..chars.len())
        .filter(|it| chars[*it] == '\n' && !within[*it + 1])
        .map(|it| it + 1)
        .chain([chars.len()])
        .collect();
    let is_blank = |from: usize, to: usize| chars[from..to].iter().all(|it| it.is_whitespace());
    let (mut parts, mut open) = (Vec::new(), Vec::new());
    let mut from = 0;
    for to in lines {
        open.push((from, to));
        let ends = is_blank(from, to) || to == chars.len();
        from = to;
        if ends {
            let (first, last) = (open[0].0, open[open.len() - 1].1);
            match last - first <= PART_CHARS {
                true => parts.push((first, last)),
                false => parts.append(&mut open),
            }
            open.clear();
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece, and where each span begins and ends in it.
    type Wanted<'a> = (&'a str, &'a [(i128, i128, &'a str)]);

    #[track_caller]
    fn check(text: &str, spans: &str, expected: &[Wanted<'_>]) {
        let cell = |it: &(i128, i128, &str)| {
            Cell::List(vec![Cell::Integer(it.0), Cell::Integer(it.1), Cell::Text(it.2.into())])
        };
        let expected: Vec<(String, Cell)> = expected
            .iter()
            .map(|it| (it.0.to_string(), Cell::List(it.1.iter().map(cell).collect())))
            .collect();
        let found: Vec<Piece> = pieces(text, spans).unwrap();
        assert_eq!(found.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_text_is_divided_and_no_span_is_cut() {
        let text = "In Köln, Bob.\n\nNew\nYork is\nfar.\n";
        let spans = "T1\tLOC 3 7\tKöln\nT2\tLOC 15 18;19 23\tNew York\nR1\tNear Arg1:T1 Arg2:T2\n";
        let (first, second) = ("In Köln, Bob.\n\n", "New\nYork is\nfar.\n");
        check(text, spans, &[(first, &[(3, 7, "LOC")]), (second, &[(0, 8, "LOC")])]);
        let dos = text.replace('\n', "\r\n");
        check(&dos, spans, &[(first, &[(3, 7, "LOC")]), (second, &[(0, 8, "LOC")])]);
        check("a\n\n\n", "", &[("a\n\n", &[])]);
        // A long part ends with lines, and not within a span.
        let line = "word ".repeat(150) + "\n";
        let text = format!("{line}Up\nto {line}{line}");
        let spans = "T1\tX 751 756\tUp to\n";
        let second = format!("Up\nto {line}");
        check(&text, spans, &[(&line, &[]), (&second, &[(0, 5, "X")]), (&line, &[])]);
    }

    #[test]
    fn what_has_a_hole_is_left_out_with_its_part() {
        let found = pieces("left and right hand\n\nother", "T1\tX 0 4;15 19\tleft hand").unwrap();
        assert_eq!(found[0].as_ref().unwrap_err().to_string(), "its span T1 has several parts");
        assert_eq!(found[1].as_ref().unwrap().0, "other");
    }

    #[test]
    fn spans_of_another_text_are_refused() {
        let why = |text: &str, spans: &str| pieces(text, spans).unwrap_err().to_string();
        assert_eq!(
            why("\u{feff}In Bonn", "T7\tLOC 3 7\tBonn"),
            "its span T7 is `Bonn`, and ` Bon` stands there"
        );
        assert_eq!(why("In", "T1\tLOC 3 7\tBonn"), "its span T1 is `Bonn`, and `` stands there");
        assert_eq!(why("In", "T1\tLOC 3 7\t"), "its span T1 is ``, and `` stands there");
        assert_eq!(why("In", "T1\tLOC 3\tBonn"), "its spans have a line `T1\tLOC 3\tBonn`");
    }
}
