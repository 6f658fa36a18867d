//! Tables of numbers, such as measurements or pixels, that have neither texts nor images: the
//! sentence says what is learnt here, and what else would do.

use crate::names;
use crate::refusal;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;

const CURE: &str = "such tables are learnt by other programs, as scikit-learn or XGBoost; here a column of texts, or of paths to images, is needed";
const PIXELS_CURE: &str = "write each image to a PNG file in the folder of its class, or drop the data in the form of MNIST (IDX), or images in Parquet";
/// Fewer numbers in a row are hardly an image.
const PIXELS_MIN: usize = 64;
/// Fewer columns of numbers beside one of texts may say what is to be learnt of it.
const MEASURED_MIN: usize = 3;
/// Of a name, in the mean: `Braund, Mr. Owen Harris` has four.
const NAME_WORDS_MAX: usize = 7;

/// Nothing where the columns are of another kind. `texts`: those that could hold texts. `labels`:
/// those that are learnt.
pub(super) fn refused(table: &Table, texts: &[usize], labels: &[usize]) -> Option<Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let says_something = |it: &usize| {
        let name = &columns[*it];
        !labels.contains(it) && !names::is_id(name) && !names::is_index(name)
    };
    let all: Vec<usize> = (0..columns.len()).filter(says_something).collect();
    let n = all.len();
    let pixels = all.iter().copied().find(|it| table.nearly_all(*it, are_pixels));
    if let Some(pixels) = pixels {
        return Some(
            refusal::data(format!(
                "{file}: `{}` holds the numbers of an image's pixels, which are neither a text nor an image",
                columns[pixels]
            ))
            .with_cure(PIXELS_CURE),
        );
    }
    let are_all = |column: usize, is: fn(f64) -> bool| {
        table.cells(column).all(|it| it.is_missing() || it.number(false).is_some_and(is))
    };
    let is_known = |it: &usize| table.cells(*it).any(|it| !it.is_missing());
    let is_numeric = |it: &usize| is_known(it) && are_all(*it, |_| true);
    let numeric: Vec<usize> = all.iter().copied().filter(is_numeric).collect();
    let is_flag = |it: &usize| are_all(*it, |it| [0.0, 1.0].contains(&it));
    let is_byte = |it: &usize| are_all(*it, |it| it.fract() == 0.0 && (0.0..256.0).contains(&it));
    if PIXELS_MIN <= numeric.iter().filter(|it| is_byte(it) && !is_flag(it)).count() {
        return Some(
            refusal::data(format!(
                "{file} has {} columns of numbers up to 255, as pixels of images are, and no texts or images",
                numeric.len()
            ))
            .with_cure(PIXELS_CURE),
        );
    }
    let measured = numeric.iter().filter(|it| !is_flag(it)).count();
    let measured_min = if texts.is_empty() { 1 } else { MEASURED_MIN };
    if measured < measured_min || 2 * numeric.len() < n || 1 < texts.len() {
        return None;
    }
    let [text] = texts else {
        let message = format!(
            "{file} holds numbers ({} of {n} columns) and neither texts nor images, from which models learn here",
            numeric.len()
        );
        return Some(refusal::data(message).with_cure(CURE));
    };
    if is_prose(table, *text) {
        return None; // which of the numbers is to be learnt of it is asked elsewhere
    }
    let name = &columns[*text];
    let message = format!(
        "{file} holds numbers ({} of {n} columns), and of texts, from which models learn here, only `{name}`",
        numeric.len()
    );
    Some(refusal::data(message).with_cure(format!(
        "if that alone is to be learnt from, name it in a job.toml in the drop: data.text = {name:?}; {CURE}"
    )))
}

/// Whether these are texts to learn from, such as essays, and no names of what was measured.
fn is_prose(table: &Table, column: usize) -> bool {
    let words = |it: &Cell| match it {
        Cell::Text(it) => it.split_whitespace().count(),
        _ => 0,
    };
    let counts: Vec<usize> = table.cells(column).map(words).collect();
    NAME_WORDS_MAX * counts.len() < counts.iter().sum()
}

/// `12 255 0 …`
fn are_pixels(cell: &Cell) -> bool {
    let are_bytes = |mut it: std::str::SplitWhitespace<'_>| it.all(|it| it.parse::<u8>().is_ok());
    match cell {
        Cell::Text(it) => {
            PIXELS_MIN <= it.split_whitespace().take(PIXELS_MIN).count()
                && are_bytes(it.split_whitespace())
        }
        Cell::List(it) => {
            PIXELS_MIN <= it.len() && it.iter().all(|it| matches!(it, Cell::Integer(0..=255)))
        }
        _ => false,
    }
}
