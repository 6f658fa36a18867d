//! Cells -> targets: what a kind of answer must know of columns.

use crate::cell::Cell;
use crate::target::Target;
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
    /// Where labels have names.
    LabelIsNumber(i128),
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
            Reason::LabelIsNumber(_) => "a label that is a number without a name",
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
            Reason::LabelIsNumber(it) => {
                write!(f, "the label is the number {it}, which has no name")
            }
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

    /// After the last row: the sentence why the columns were taken for this kind, where all rows
    /// know better than those that were looked at first.
    fn reason(&self) -> Option<String> {
        None
    }

    /// After the last row, where nobody said of which kind the columns are: why they are not of
    /// this one after all.
    fn doubt(&self) -> Option<String> {
        None
    }

    /// After the last row. `targets`: all that were read; their classes get the numbers of the
    /// outputs.
    ///
    /// # Errors
    /// All of them together can't be learnt.
    fn finish(self: Box<Self>, targets: &mut [&mut Target]) -> Result<Outputs, Failure>;
}

/// What the outputs of a model stand for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// In the order of the outputs: classes by number if all are integers, else by their letters;
    /// numbers by the order of their columns.
    pub names: Vec<String>,
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

    /// What examples are counted by, and divided by where they have no stratum; none where they
    /// can't be counted.
    fn label_names(&self, outputs: &[String]) -> Vec<String> {
        outputs.to_vec()
    }

    /// Of an example: places in [`TargetKind::label_names`], each once.
    fn labels(&self, target: &Target, _outputs: &[String]) -> Vec<u32> {
        target.classes().to_vec()
    }

    /// Examples of one stratum are divided among the splits in the wanted fractions, and each
    /// needs two examples to train on. Nothing where examples have no one class.
    fn stratum(&self, _target: &Target) -> Option<u32> {
        None
    }

    /// Why `n` examples of one and the same target teach nothing, and the cure; nothing where they
    /// do teach something.
    fn all_alike(
        &self,
        n: usize,
        target: &Target,
        outputs: &[String],
    ) -> Option<(String, &'static str)>;

    /// Whether a sum or a mean of all rows may stand below them.
    fn has_totals(&self) -> bool {
        false
    }

    /// What a folder for each class can't hold; nothing where it can hold this.
    fn not_in_folders(&self) -> Option<&'static str> {
        None
    }
}
