//! CoNLL 2002 and 2003, their kin with more columns or a number before each word, and CoNLL-U, as a
//! table: a row is a sentence, a cell the list of what its words have in a column. Which of the
//! columns are words and tags is left to the modality.

use crate::inflate::Count;
use crate::names;
use crate::quarantine::Reason;
use crate::refusal;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::ROW_BYTES_MAX;
use finetuned_answers::{Cell, is_marked};
use finetuned_job::outcome::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

const UNIVERSAL: [&str; 10] =
    ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"];
/// Types of CoNLL 2000's chunks, which are no entities.
const CHUNKS: &[&str] =
    &["ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP"];
/// Begins a document.
const DOCSTART: &str = "-DOCSTART-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Else columns are parted by any white space.
    tabs: bool,
    columns: usize,
    /// The first column counts the words.
    numbered: bool,
    /// The first line names the columns.
    header: bool,
    word: usize,
    /// None where several columns could be it.
    tag: Option<usize>,
}

impl Dialect {
    /// `text`: whole lines. None where they have no two columns, or tags that span lines.
    fn of(text: &str) -> Option<Dialect> {
        let words = || text.lines().filter(|it| !is_break(it));
        let plain = || words().filter(|it| !it.starts_with('#'));
        let tabs = plain().any(|it| it.trim().contains('\t'));
        let cells = |line| cells(line, tabs);
        let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
        words().for_each(|it| *widths.entry(cells(it).len()).or_default() += 1);
        let columns = *widths.iter().max_by_key(|it| it.1)?.0;
        if columns < 2 {
            return None;
        }
        let header = text.lines().next().is_some_and(|it| is_header(&cells(it)));
        let rows: Vec<Vec<&str>> =
            words().skip(usize::from(header)).map(cells).filter(|it| it.len() == columns).collect();
        let is_id = |it: &str| {
            it.starts_with(|c: char| c.is_ascii_digit())
                && it.chars().all(|c| c.is_ascii_digit() || "-.".contains(c))
        };
        let numbered = 2 < columns && rows.iter().all(|it| is_id(it[0]));
        if numbered && columns == UNIVERSAL.len() {
            return Some(Dialect { tabs, columns, numbered, header, word: 1, tag: Some(3) });
        }
        let (word, tag) = word_and_tag(&rows, usize::from(numbered)..columns)?;
        Some(Dialect { tabs, columns, numbered, header, word, tag })
    }

    fn is_universal(self) -> bool {
        self.numbered && self.columns == UNIVERSAL.len()
    }

    fn names(self) -> Vec<String> {
        if self.is_universal() {
            return UNIVERSAL.map(str::to_owned).into();
        }
        let first = usize::from(self.numbered);
        let usual: &[&str] = match self.columns - first {
            2 => &["tokens", "tags"],
            3 if !self.numbered => &["tokens", "pos", "tags"],
            4 => &["tokens", "pos", "chunk", "ner"],
            _ => &[],
        };
        let is_usual = self.word == first && self.tag == Some(self.columns - 1);
        let name = |at: usize| match at {
            0 if self.numbered => "id".into(),
            _ if is_usual && !usual.is_empty() => usual[at - first].into(),
            _ if at == self.word => "tokens".into(),
            _ if Some(at) == self.tag => "tags".into(),
            _ => names::of_place(at + 1),
        };
        (0..self.columns).map(name).collect()
    }
}

fn cells(line: &str, tabs: bool) -> Vec<&str> {
    match tabs {
        true => line.trim_end_matches(['\r', '\n']).split('\t').map(str::trim).collect(),
        false => line.split_whitespace().collect(),
    }
}

/// `word pos tag`: names, where others begin with a word.
fn is_header(cells: &[&str]) -> bool {
    let known = |it: &&str| {
        let lower = it.to_ascii_lowercase();
        let usual = [names::WORD_NAMES, names::TAG_NAMES, &["pos", "chunk", "lemma", "word"][..]];
        usual.iter().any(|all| all.iter().any(|it| names::is_same(it, &lower)))
    };
    1 < cells.len() && cells.iter().all(known)
}

/// Which columns are words and tags, by what stands in them; of several columns of entities, none.
/// Nothing where brackets open in one line and end in another, as in CoNLL 2012.
fn word_and_tag(
    rows: &[Vec<&str>],
    columns: std::ops::Range<usize>,
) -> Option<(usize, Option<usize>)> {
    type Column<'a> = (usize, BTreeSet<&'a str>);
    let values = |at: usize| rows.iter().map(|it| it[at]).collect();
    let all: Vec<Column<'_>> = columns.map(|at| (at, values(at))).collect();
    let is_number = |it: &&str| it.parse::<f64>().is_ok();
    let spans = |it: &Column<'_>| {
        it.1.contains("*") && it.1.iter().any(|it| it.starts_with('(') && it.ends_with('*'))
    };
    if all.iter().any(spans) {
        return None;
    }
    let is_tags = |it: &&Column<'_>| {
        it.1.iter().any(|it| *it != "O") && it.1.iter().all(|it| *it == "O" || is_marked(it))
    };
    let is_chunks =
        |it: &&Column<'_>| it.1.iter().filter_map(|it| it.get(2..)).all(|it| CHUNKS.contains(&it));
    let (chunks, named): (Vec<_>, Vec<_>) = all.iter().filter(is_tags).partition(is_chunks);
    let entities = if named.is_empty() { chunks } else { named };
    let is_words = |it: &&Column<'_>| {
        entities.iter().all(|tags| tags.0 != it.0) && !it.1.iter().all(is_number)
    };
    let most = all.iter().filter(is_words).map(|it| it.1.len()).max()?;
    let word = all.iter().filter(is_words).find(|it| most <= 2 * it.1.len())?.0;
    let plain = |it: &&Column<'_>| it.0 != word && !it.1.iter().all(is_number);
    match entities[..] {
        [] => Some((word, Some(all.iter().rev().find(plain)?.0))),
        [only] => Some((word, Some(only.0))),
        _ => Some((word, None)),
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
    for line in text.lines().skip(usize::from(dialect.header)) {
        if is_break(line) {
            breaks += usize::from(std::mem::take(&mut after_word) || line.starts_with(DOCSTART));
            continue;
        }
        let cells = cells(line, dialect.tabs);
        if cells.len() != dialect.columns {
            odd += usize::from(!line.starts_with('#'));
            continue;
        }
        (after_word, lines) = (true, lines + 1);
        let word = cells[dialect.word];
        let tag = cells[dialect.tag.unwrap_or(dialect.columns - 1)];
        spaced += usize::from(word.contains(' ') || tag.contains(' '));
        tags.insert(tag);
    }
    if breaks == 0 || lines < 50 * odd || lines < 50 * spaced {
        return false;
    }
    let entities = tags.contains("O") && tags.iter().any(|it| is_marked(it));
    let last = dialect.tag == Some(dialect.columns - 1);
    let plain = last && 1 < tags.len() && WORDS_MIN <= lines && 3 * tags.len() <= lines;
    entities || dialect.is_universal() || plain
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
        if line == 1 && self.dialect.header {
            return None;
        }
        let Dialect { columns, word, .. } = self.dialect;
        let cells = cells(row, self.dialect.tabs);
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
            let missing = self.dialect.is_universal() && cell == "_" && at != word;
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
            &["id", "tokens", "tags", "column 4"],
            &[
                &[&["1", "2"], &["Sie", "kam"], &["O", "O"], &["O", "O"]],
                &[&["1"], &["Bonn"], &["B-LOC"], &["O"]],
            ],
        );
        check("word\tlabel\nBonn\tB-LOC\n", &["tokens", "tags"], &[&[&["Bonn"], &["B-LOC"]]]);
    }

    #[test]
    fn words_and_tags_are_found_by_what_they_are() {
        let names = |rows: &[&str]| sniff(&rows.join("\n")).map(|it| it.1.columns.join(" "));
        let some = |it: &str| Some(it.to_string());
        let first = ["B-PER\tAda", "O\tslept", "O\there", "", "B-LOC\tBonn", "O\twaits"];
        assert_eq!(names(&first), some("tags tokens"));
        let index = ["Ada B-PER 0.93", "slept O 0.88", "here O 1.0"];
        assert_eq!(names(&index), some("tokens tags column 3"));
        let document = ["d0 0 1 Ada B-PER", "d0 0 2 slept O", "d0 0 3 here O", "d0 1 1 Bonn B-LOC"];
        assert_eq!(names(&document), some("column 1 column 2 column 3 tokens tags"));
        let twice = ["1 Ada B-PER O", "2 of O O", "3 Bonn B-LOC B-ORG", "4 sleeps O O"];
        assert_eq!(names(&twice), some("id tokens column 3 column 4"));
        let brackets = ["f 0 0 Ada NNP (PER*", "f 0 1 Bea NNP *)", "f 0 2 slept VBD *"];
        assert_eq!(names(&brackets), None);
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
