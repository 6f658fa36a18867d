//! CoNLL 2002 and 2003, their kin with more columns or a number before each word, and CoNLL-U, as a
//! table: a row is a sentence, a cell the list of what its words have in a column. Which of the
//! columns are words and tags is left to the modality.

use crate::inflate::Count;
use crate::names;
use crate::quarantine::Reason;
use crate::refusal;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::ROW_BYTES_MAX;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

const UNIVERSAL: [&str; 10] =
    ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"];
/// Begins a document.
const DOCSTART: &str = "-DOCSTART-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Else columns are parted by any white space.
    tabs: bool,
    columns: usize,
    /// The first column counts the words.
    numbered: bool,
}

impl Dialect {
    /// `text`: whole lines. None where they have no two columns.
    fn of(text: &str) -> Option<Dialect> {
        let words = || text.lines().filter(|it| !is_break(it));
        let plain = || words().filter(|it| !it.starts_with('#'));
        let tabs = plain().any(|it| it.trim().contains('\t'));
        let cells = |line| Dialect { tabs, columns: 0, numbered: false }.cells(line);
        let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
        words().for_each(|it| *widths.entry(cells(it).len()).or_default() += 1);
        let columns = *widths.iter().max_by_key(|it| it.1)?.0;
        if columns < 2 {
            return None;
        }
        let mut rows = words().map(cells).filter(|it| it.len() == columns);
        let is_id = |it: &str| {
            it.starts_with(|c: char| c.is_ascii_digit())
                && it.chars().all(|c| c.is_ascii_digit() || "-.".contains(c))
        };
        let numbered = 2 < columns && rows.all(|it| is_id(it[0]));
        Some(Dialect { tabs, columns, numbered })
    }

    fn cells(self, line: &str) -> Vec<&str> {
        match self.tabs {
            true => line.trim_end_matches(['\r', '\n']).split('\t').map(str::trim).collect(),
            false => line.split_whitespace().collect(),
        }
    }

    fn is_universal(self) -> bool {
        self.numbered && self.columns == UNIVERSAL.len()
    }

    fn names(self) -> Vec<String> {
        if self.is_universal() {
            return UNIVERSAL.map(str::to_owned).into();
        }
        let usual: &[&str] = match self.columns - usize::from(self.numbered) {
            2 => &["tokens", "tags"],
            3 if !self.numbered => &["tokens", "pos", "tags"],
            4 => &["tokens", "pos", "chunk", "ner"],
            _ => &[],
        };
        let number = self.numbered.then(|| "id".to_owned());
        let number = number.into_iter();
        if !usual.is_empty() {
            return number.chain(usual.iter().map(|it| (*it).to_owned())).collect();
        }
        let word = usize::from(self.numbered);
        let name = |at: usize| match at {
            _ if at == word => "tokens".into(),
            _ if at + 1 == self.columns => "tags".into(),
            _ => names::of_place(at + 1),
        };
        number.chain((word..self.columns).map(name)).collect()
    }
}

/// Ends a sentence.
fn is_break(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with(DOCSTART)
}

/// `text`: the start of the file, whole lines.
pub(crate) fn sniff(text: &str) -> Option<(Dialect, Sample)> {
    let dialect = Dialect::of(text)?;
    let wanted: Vec<usize> = (0..dialect.columns).collect();
    let mut rows = Vec::new();
    let mut sentences = Sentences::new(dialect);
    for (line, row) in (1..).zip(text.lines()) {
        rows.extend(sentences.line(line, row).and_then(|it| it.row(&wanted).cells.ok()));
        if SAMPLE_ROWS <= rows.len() {
            break;
        }
    }
    rows.extend(sentences.open.take().and_then(|it| it.row(&wanted).cells.ok()));
    let columns = dialect.names();
    (!rows.is_empty()).then_some((dialect, Sample { columns, rows, headerless: false }))
}

/// Whether a file that no name explains is one of tagged words. Ordinary texts are not: nearly all
/// lines have the same two columns or more, empty lines part them, the words have no spaces, and
/// tags recur.
pub(crate) fn looks_so(text: &str) -> bool {
    /// Plain tags of fewer words could be anything.
    const WORDS_MIN: usize = 12;
    let Some(dialect) = Dialect::of(text) else { return false };
    let mut breaks = 0;
    let (mut after_word, mut lines, mut odd, mut spaced) = (false, 0, 0, 0);
    let mut tags: BTreeSet<&str> = BTreeSet::new();
    for line in text.lines() {
        if is_break(line) {
            breaks += usize::from(std::mem::take(&mut after_word) || line.starts_with(DOCSTART));
            continue;
        }
        let cells = dialect.cells(line);
        if cells.len() != dialect.columns {
            odd += usize::from(!line.starts_with('#'));
            continue;
        }
        (after_word, lines) = (true, lines + 1);
        let word = cells[usize::from(dialect.numbered)];
        let tag = cells[dialect.columns - 1];
        spaced += usize::from(word.contains(' ') || tag.contains(' '));
        tags.insert(tag);
    }
    if breaks == 0 || lines < 50 * odd || lines < 50 * spaced {
        return false;
    }
    let marks =
        |it: &&str| matches!(it.as_bytes(), [b'B' | b'I' | b'E' | b'S' | b'L' | b'U', b'-', _, ..]);
    let entities = tags.contains("O") && tags.iter().any(marks);
    entities || dialect.is_universal() || (WORDS_MIN <= lines && 3 * tags.len() <= lines)
}

pub(crate) fn rows(
    name: &str,
    text: impl Read,
    row_left: &Count,
    dialect: &Dialect,
    wanted: &[usize],
    each: &mut dyn FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(1 << 16, text);
    let mut sentences = Sentences::new(*dialect);
    let mut row = String::new();
    for line in 1.. {
        row.clear();
        if sentences.open.is_none() {
            row_left.set(ROW_BYTES_MAX);
        }
        let n = reader
            .read_line(&mut row)
            .map_err(|err| refusal::reading(&format!("{name} line {line}"), &err))?;
        if n == 0 {
            break;
        }
        if let Some(it) = sentences.line(line, &row) {
            each(it.row(wanted))?;
        }
    }
    sentences.open.take().map_or(Ok(()), |it| each(it.row(wanted)))
}

struct Sentences {
    dialect: Dialect,
    open: Option<Sentence>,
}

/// What its words have in each column.
struct Sentence {
    line: u64,
    columns: Vec<Vec<Cell>>,
    broken: Option<Reason>,
}

impl Sentence {
    fn row(mut self, wanted: &[usize]) -> Row {
        let list = |it: &usize| Cell::List(std::mem::take(&mut self.columns[*it]));
        let cells = self.broken.map_or_else(|| Ok(wanted.iter().map(list).collect()), Err);
        Row { line: self.line, cells }
    }
}

impl Sentences {
    fn new(dialect: Dialect) -> Sentences {
        Sentences { dialect, open: None }
    }

    /// The sentence that the line ends.
    fn line(&mut self, line: u64, row: &str) -> Option<Sentence> {
        if is_break(row) {
            return self.open.take();
        }
        let Dialect { columns, numbered, .. } = self.dialect;
        let cells = self.dialect.cells(row);
        let is_word = cells.len() == columns;
        // Words that are several (`2-3`) or none (`1.1`) have their own lines in CoNLL-U.
        let skipped = self.dialect.is_universal() && cells[0].contains(['-', '.']);
        if (row.starts_with('#') && !is_word) || (is_word && skipped) {
            return None;
        }
        let open = self.open.get_or_insert_with(|| Sentence {
            line,
            columns: vec![Vec::new(); columns],
            broken: None,
        });
        if !is_word {
            let (kind, found) = ("a line with another number of columns", cells.len());
            let s = if found == 1 { "" } else { "s" };
            let why = format!("line {line} has {found} column{s}, where others have {columns}");
            open.broken.get_or_insert(Reason::Own(kind, why));
            return None;
        }
        for (at, (column, cell)) in open.columns.iter_mut().zip(cells).enumerate() {
            // CoNLL-U writes so what is not annotated.
            let missing = self.dialect.is_universal() && cell == "_" && at != usize::from(numbered);
            column.push(if missing { Cell::Missing } else { Cell::Text(cell.into()) });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, names: &[&str], sentences: &[&[&[&str]]]) {
        let (dialect, sample) = sniff(text).unwrap();
        assert_eq!(sample.columns, names);
        let list = |it: &[&str]| Cell::List(it.iter().map(|it| Cell::Text((*it).into())).collect());
        let wanted: Vec<usize> = (0..names.len()).collect();
        let expected: Vec<Vec<Cell>> =
            sentences.iter().map(|it| it.iter().map(|it| list(it)).collect()).collect();
        let mut found = Vec::new();
        let mut each = |row: Row| -> Result<(), Failure> {
            found.push(row.cells.unwrap());
            Ok(())
        };
        rows("a", text.as_bytes(), &Count::default(), &dialect, &wanted, &mut each).unwrap();
        assert_eq!((&sample.rows, &found), (&expected, &expected));
    }

    #[test]
    fn a_row_is_a_sentence() {
        check(
            "-DOCSTART- -X- -X- O\n\nJosé NNP I-NP B-PER\nslept VBD I-VP O\n \t \nEnd NN I-NP O",
            &["tokens", "pos", "chunk", "ner"],
            &[
                &[&["José", "slept"], &["NNP", "VBD"], &["I-NP", "I-VP"], &["B-PER", "O"]],
                &[&["End"], &["NN"], &["I-NP"], &["O"]],
            ],
        );
        check(
            "New York\tB-LOC\r\nis\tO\r\n\t\r\n#tag\tO\r\n",
            &["tokens", "tags"],
            &[&[&["New York", "is"], &["B-LOC", "O"]], &[&["#tag"], &["O"]]],
        );
        check(
            "# source\n1\tSie\tO\tO\n2\tkam\tO\tO\n\n1\tBonn\tB-LOC\tO\n",
            &["id", "tokens", "column 3", "tags"],
            &[
                &[&["1", "2"], &["Sie", "kam"], &["O", "O"], &["O", "O"]],
                &[&["1"], &["Bonn"], &["B-LOC"], &["O"]],
            ],
        );
    }

    #[test]
    fn ordinary_texts_are_no_tagged_words() {
        let tagged = "we O\nlove O\nParis B-LOC\n\nBob B-PER\nslept O\n";
        assert!(looks_so(tagged));
        assert!(looks_so(&tagged.replace(' ', "\t").replace("\n\n", "\n\t\n")));
        let plain = "the DET\ndog NOUN\nbarks VERB\n. PUNCT\n\n".repeat(9);
        assert!(looks_so(&plain));
        for text in [
            "A letter to you.\n\nIt has two paragraphs and lines of all lengths.\n",
            "good film\nbad film\n\nnice cast\npoor plot\n\nslow start\nbrave end\n\nfine score\n",
            "spam\tcall now\nham\tsee you\n\nspam\twin cash\n",
            "tokens tags\nthe 120\nof 80\n",
            "",
        ] {
            assert!(!looks_so(text), "{text}");
        }
    }
}
