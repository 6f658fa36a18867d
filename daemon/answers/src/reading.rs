//! Cells -> targets: what a kind of answer must know of columns, and which kind they are taken for
//! where nobody says it.

use crate::{Cell, Target, class, classes, numbers};
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;
use std::fmt;

/// Some rows of the columns that are to be learnt.
#[derive(Debug, Clone, Default)]
pub struct Columns<'a> {
    pub names: Vec<&'a str>,
    /// A cell for each column.
    pub rows: Vec<Vec<&'a Cell>>,
}

impl Columns<'_> {
    pub(crate) fn known(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().map(move |row| row[column]).filter(|it| !it.is_missing())
    }

    pub(crate) fn all(&self, column: usize, is: impl Fn(&Cell) -> bool) -> bool {
        let mut known = self.known(column).peekable();
        known.peek().is_some() && known.all(is)
    }

    /// But for a few broken ones.
    pub(crate) fn nearly_all(&self, column: usize, is: impl Fn(&Cell) -> bool) -> bool {
        let (n, hits) =
            self.known(column).fold((0, 0), |(n, hits), it| (n + 1, hits + usize::from(is(it))));
        0 < n && n <= hits + hits / 9
    }
}

/// What columns look like to one kind of answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Like another kind.
    No,
    /// The sentence why they are taken for this kind.
    Yes(String),
    /// What is wrong with them, or a question that only a person can answer.
    Doubt(String),
}

/// Why the cells of one row can't be used.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    EmptyLabel,
    Nul,
    LabelIs(&'static str),
    LabelIsFraction(f64),
    SeveralLabels(usize),
    NoNumber(String),
    /// (column, value)
    NotANumber(String, String),
    NotZeroOrOne(String, String),
    /// Of a column of zeros and ones.
    NoFlag(String),
}

impl Reason {
    /// The reason without its particulars.
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::EmptyLabel => "empty label",
            Reason::Nul => "zero bytes in the label",
            Reason::LabelIs(_) => "a label that is neither string nor integer",
            Reason::LabelIsFraction(_) => "a label that is a number with a fraction",
            Reason::SeveralLabels(_) => "several labels",
            Reason::NoNumber(_) => "no number",
            Reason::NotANumber(..) => "not a number",
            Reason::NotZeroOrOne(..) => "neither 0 nor 1",
            Reason::NoFlag(_) => "a cell that is empty where others are 0 or 1",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::LabelIs(what) => write!(f, "the label is {what}, neither string nor integer"),
            Reason::LabelIsFraction(it) => write!(f, "the label is the number {it}, not a class"),
            Reason::SeveralLabels(n) => write!(f, "{n} labels, where others have one"),
            Reason::NoNumber(column) => write!(f, "`{column}` has no number"),
            Reason::NotANumber(column, value) => {
                write!(f, "`{column}` is {value}, which is no number")
            }
            Reason::NotZeroOrOne(column, value) => {
                write!(f, "`{column}` is {value}, neither 0 nor 1")
            }
            Reason::NoFlag(column) => {
                write!(f, "`{column}` is empty, where others are 0 or 1")
            }
            Reason::EmptyLabel | Reason::Nul => f.write_str(self.kind()),
        }
    }
}

/// A row that can't be used, or data that can't.
#[derive(Debug)]
pub enum Refused {
    Row(Reason),
    All(Failure),
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Refused {
        Refused::Row(reason)
    }
}

/// Makes targets of the cells of all files, one row after the other.
pub trait TargetReader {
    /// `cells`: one for each target column.
    ///
    /// # Errors
    /// The row can't be used, or nothing can.
    fn read(&mut self, cells: Vec<Cell>) -> Result<Target, Refused>;

    /// After the last row.
    fn finish(self: Box<Self>) -> Outputs;
}

/// What the outputs of a model stand for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// In the order of the outputs: classes by number if all are integers, else by their letters;
    /// numbers by the order of their columns.
    pub names: Vec<String>,
    /// The place in `names` of each class number given out while reading; empty for numbers.
    pub renumbered: Vec<u32>,
    /// What was decided about the names, in sentences.
    pub notes: Vec<String>,
}

/// The reading side of a kind of answer.
pub trait TargetKind: Sync {
    fn answer(&self) -> Answer;

    /// Without a word from a person.
    fn look(&self, columns: &Columns<'_>) -> Look;

    /// Where a person, or [`TargetKind::look`], says that the columns are of this kind.
    ///
    /// # Errors
    /// They can't be: the sentence why.
    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String>;

    /// Which of these columns are to be learnt where nobody names them; empty where that can't be
    /// told. `usual`: the one that is called as such a column usually is.
    fn unnamed(&self, columns: &Columns<'_>, usual: Option<usize>) -> Vec<usize> {
        match (usual, columns.names.len()) {
            (Some(usual), _) => vec![usual],
            (None, 1) => vec![0],
            (None, _) => Vec::new(),
        }
    }

    /// Whether outputs are classes, whose examples can be counted.
    fn has_classes(&self) -> bool {
        true
    }

    /// Examples of one stratum are divided among the splits in the wanted fractions, and each
    /// needs two examples to train on. Nothing where examples have no one class.
    fn stratum(&self, _target: &Target) -> Option<u32> {
        None
    }

    /// Why `n` examples of one and the same target teach nothing, and the cure.
    fn all_alike(&self, n: usize, target: &Target, outputs: &[String]) -> (String, &'static str);

    /// What a folder for each class can't hold; nothing where it can hold this.
    fn not_in_folders(&self) -> Option<&'static str> {
        None
    }
}

/// In the order in which columns are shown to them.
const KINDS: &[&dyn TargetKind] = &[&classes::read::Kind, &numbers::read::Kind, &class::read::Kind];

/// The reading side of a kind of answer; none for what is never learnt from cells.
pub fn target_kind(answer: Answer) -> Option<&'static dyn TargetKind> {
    KINDS.iter().copied().find(|it| it.answer() == answer)
}

/// What folders hold: one class for each example.
pub fn folder_kind() -> &'static dyn TargetKind {
    &class::read::Kind
}

/// What the columns are taken for, and the sentence why.
///
/// # Errors
/// They can't be learnt, or what is meant can't be told: the sentence.
pub fn infer(columns: &Columns<'_>) -> Result<(&'static dyn TargetKind, String), String> {
    for kind in KINDS {
        match kind.look(columns) {
            Look::No => {}
            Look::Yes(why) => return Ok((*kind, why)),
            Look::Doubt(why) => return Err(why),
        }
    }
    let names = columns.names.join("`, `");
    Err(format!("`{names}` are to be learnt, and they are neither all 0 and 1 nor all numbers"))
}

/// As [`TargetKind::unnamed`], where nobody says of which kind the columns are either.
pub fn unnamed(columns: &Columns<'_>, usual: Option<usize>) -> Vec<usize> {
    classes::read::Kind.unnamed(columns, usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column<'a>(name: &'a str, cells: &'a [Cell]) -> Columns<'a> {
        Columns { names: vec![name], rows: cells.iter().map(|it| vec![it]).collect() }
    }

    fn texts(cells: &[&str]) -> Vec<Cell> {
        cells.iter().map(|it| Cell::Text((*it).into())).collect()
    }

    /// The kind that is inferred, or the sentence; and which kinds take the columns when told to.
    #[track_caller]
    fn check(cells: &[Cell], inferred: Result<Answer, &str>, fit: &[Answer]) {
        let columns = column("x", cells);
        match (infer(&columns), inferred) {
            (Ok((kind, _)), Ok(answer)) => assert_eq!(kind.answer(), answer),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (Ok((kind, why)), _) => panic!("{:?}: {why}", kind.answer()),
            (Err(why), _) => panic!("{why}"),
        }
        let takes = |it: &Answer| target_kind(*it).unwrap().reader(&columns).is_ok();
        let all = [Answer::Class, Answer::Classes, Answer::Numbers];
        assert_eq!(all.into_iter().filter(takes).collect::<Vec<_>>(), fit);
    }

    #[test]
    fn a_column_is_taken_for_what_it_looks_like() {
        use Answer::{Class, Classes, Numbers};
        check(&texts(&["a", "b", "a", "b"]), Ok(Class), &[Class]);
        check(&texts(&["0", "1", "1", "0"]), Ok(Class), &[Class, Classes, Numbers]);
        check(&texts(&["1", "3", "5", "3"]), Ok(Class), &[Class, Numbers]);
        check(&texts(&["0.5", "1.25", "", "3"]), Ok(Numbers), &[Numbers]);
        check(&texts(&["0,5", "1,25", "2,75", "3"]), Ok(Numbers), &[Classes, Numbers]);
        check(&texts(&["1.5", "2.5", "1.5", "2.5"]), Ok(Numbers), &[Class, Numbers]);
        check(&texts(&["a|b", "a", "b|c", "", "c"]), Ok(Classes), &[Class, Classes]);
        check(&texts(&["a,b", "a", "b,c", "", "c"]), Ok(Classes), &[Class, Classes]);
        check(&texts(&["['a', 'b']", "[]", "['b']"]), Ok(Classes), &[Class, Classes]);
        let list = |it: &[&str]| Cell::List(texts(it));
        check(&[list(&["a", "b"]), list(&[]), list(&["b"])], Ok(Classes), &[Classes]);
        check(&[list(&["a"]), list(&["b"]), list(&["b"])], Ok(Class), &[Class, Classes]);
    }

    #[test]
    fn one_odd_cell_flips_no_column() {
        let mut cells = texts(&["sport", "news", "art", "sport", "news", "art"]);
        cells.extend(texts(&["rock|roll"]));
        check(&cells, Ok(Answer::Class), &[Answer::Class, Answer::Classes]);
    }

    #[test]
    fn numbers_beyond_64_bits_are_numbers() {
        let large: Vec<Cell> = (0..40).map(|it| Cell::Fraction(1e30 * f64::from(it))).collect();
        check(&large, Ok(Answer::Numbers), &[Answer::Numbers]);
        let large: Vec<Cell> = (0..40).map(|it| Cell::Integer((1 << 100) * it)).collect();
        check(&large, Ok(Answer::Numbers), &[Answer::Class, Answer::Numbers]);
    }

    #[test]
    fn a_missing_flag_is_no_zero() {
        let rows = [["0", "1"], ["1", "0"], ["1", "1"]].map(|it| texts(&it));
        let columns = Columns {
            names: vec!["a", "b"],
            rows: rows.iter().map(|it| it.iter().collect()).collect(),
        };
        let (kind, why) = infer(&columns).unwrap();
        assert_eq!(
            (kind.answer(), &*why),
            (Answer::Classes, "2 columns of 0 and 1: several labels are learnt")
        );
        let mut reader = kind.reader(&columns).unwrap();
        let Err(Refused::Row(reason)) = reader.read(texts(&["1", ""])) else { panic!() };
        assert_eq!(reason.to_string(), "`b` is empty, where others are 0 or 1");
        assert_eq!(reader.read(texts(&["0", "1"])).unwrap().classes(), [1]);
    }

    #[test]
    fn what_is_no_label_is_left_out_of_lists() {
        let cells = texts(&["a|b", "a|b|c", "c|b"]);
        let mut reader =
            target_kind(Answer::Classes).unwrap().reader(&column("x", &cells)).unwrap();
        for missing in [
            Cell::Missing,
            Cell::Text("NaN".into()),
            Cell::Fraction(f64::NAN),
            Cell::Text(" ".into()),
        ] {
            assert_eq!(reader.read(vec![missing]).unwrap().classes(), [0; 0]);
        }
    }
}
