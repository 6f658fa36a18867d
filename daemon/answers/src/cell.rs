//! What stands in one place of a table, whatever its format.

use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Missing,
    Text(String),
    Integer(i128),
    Bool(bool),
    Fraction(f64),
    /// Of a column that does not say whether it holds text.
    Bytes(Vec<u8>),
    List(Vec<Cell>),
    /// As Hugging Face's Image keeps it in Parquet.
    Image(Embedded),
    /// Fields by name: an object, a structure.
    Fields(Vec<(String, Cell)>),
    /// A date, a map: what it is called in a sentence.
    Other(&'static str),
}

/// Fields that an image in a table has, as they stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embedded {
    pub bytes: Option<Vec<u8>>,
    pub path: Option<String>,
}

/// As databases write it into files.
pub(crate) const NULL: &str = "\\N";

/// True and false, also as Excel writes them in other languages, 1 and 0.
fn boolean(word: &str) -> Option<bool> {
    const WORDS: [(&str, &str); 9] = [
        ("1", "0"),
        ("1.0", "0.0"),
        ("1,0", "0,0"),
        ("true", "false"),
        ("wahr", "falsch"),
        ("vrai", "faux"),
        ("verdadero", "falso"),
        ("verdadeiro", "falso"),
        ("vero", "falso"),
    ];
    let is = |it: &str| word.eq_ignore_ascii_case(it);
    WORDS.iter().find(|it| is(it.0) || is(it.1)).map(|it| is(it.0))
}

/// Also yes and no, and the letters that stand for all of these.
pub(crate) fn yes_or_no(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "y" | "t" => Some(true),
        "no" | "n" | "f" => Some(false),
        _ => boolean(word),
    }
}

/// `3-Mar`, `Mar-24`, `03-Mar-2024`.
fn has_month(text: &str) -> bool {
    const MONTHS: &str = "jan feb mar apr may jun jul aug sep oct nov dec m\u{e4}r mrz mai okt dez";
    let is_month = |it: &str| {
        let word = it.trim_end_matches('.').to_lowercase();
        MONTHS.split(' ').any(|it| it == word)
    };
    let is_number =
        |it: &str| (1..=4).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    let months = parts.iter().filter(|it| is_month(it)).count();
    (2..=3).contains(&parts.len())
        && months == 1
        && parts.iter().all(|it| is_month(it) || is_number(it))
}

impl Cell {
    /// Of fields, the first one of this name.
    pub fn field(&self, name: &str) -> Option<&Cell> {
        let Cell::Fields(fields) = self else { return None };
        fields.iter().find(|it| it.0 == name).map(|it| &it.1)
    }

    /// Nothing, white space, not a number, or NULL as databases write it.
    pub fn is_missing(&self) -> bool {
        match self {
            Cell::Missing => true,
            Cell::Fraction(it) => it.is_nan(),
            Cell::Text(it) => {
                it.trim().is_empty() || it.trim().eq_ignore_ascii_case("nan") || it.trim() == NULL
            }
            _ => false,
        }
    }

    /// As it stands, without white space around it; none of what is several values or none.
    pub fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Cell::Text(it) => Some(it.trim().into()),
            Cell::Integer(it) => Some(it.to_string().into()),
            Cell::Bool(it) => Some(it.to_string().into()),
            Cell::Fraction(it) => Some(it.to_string().into()),
            _ => None,
        }
    }

    /// In sentences.
    pub fn shown(&self) -> String {
        match self {
            Cell::Text(it) => format!("`{}`", it.trim().escape_debug()),
            Cell::Integer(it) => it.to_string(),
            Cell::Fraction(it) => it.to_string(),
            Cell::Bool(it) => it.to_string(),
            Cell::List(_) => "a list".into(),
            Cell::Missing => "empty".into(),
            Cell::Fields(_) => "an object".into(),
            Cell::Bytes(_) | Cell::Image(_) | Cell::Other(_) => "something else".into(),
        }
    }

    /// Year, month and day in one of the usual orders, perhaps with a time behind them; a month by
    /// its name, as spreadsheets write it; hours, minutes and seconds among other words; or two of
    /// these alone.
    pub fn is_date(&self) -> bool {
        let Cell::Text(text) = self else { return false };
        if has_month(text.trim()) {
            return true;
        }
        let digits = |it: &&str| it.bytes().all(|it| it.is_ascii_digit());
        let lengths = |of: &str, between: &[char]| -> Option<Vec<usize>> {
            let parts: Vec<&str> = of.split(between).collect();
            parts.iter().all(digits).then(|| parts.iter().map(|it| it.len()).collect())
        };
        let is_time = |it: &str| matches!(lengths(it, &[':']).as_deref(), Some([1..=2, 2, 2]));
        let day = text.trim().split(['T', ' ']).next().unwrap_or("");
        let day = lengths(day, &['-', '/', '.']);
        let only_time = matches!(lengths(text.trim(), &[':']).as_deref(), Some([1..=2, 2]));
        matches!(day.as_deref(), Some([4, 1..=2, 1..=2] | [1..=2, 1..=2, 4]))
            || only_time
            || text.split_whitespace().any(is_time)
    }

    /// Of 0 and 1, false and true.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Cell::Bool(it) => Some(*it),
            Cell::Text(it) => boolean(it.trim()),
            Cell::Integer(0) => Some(false),
            Cell::Integer(1) => Some(true),
            Cell::Fraction(it) if *it == 0.0 => Some(false),
            Cell::Fraction(it) if *it == 1.0 => Some(true),
            _ => None,
        }
    }

    /// Of 0 and 1, false and true, no and yes.
    pub fn yes_or_no(&self) -> Option<bool> {
        match self {
            Cell::Text(it) => yes_or_no(it.trim()),
            other => other.flag(),
        }
    }

    /// Finite. `comma`: a comma stands before the decimals.
    pub fn number(&self, comma: bool) -> Option<f64> {
        let number = match self {
            Cell::Text(it) => {
                let point = if comma { it.trim().replacen(',', ".", 1) } else { it.trim().into() };
                // Typesetters have a minus of their own.
                point.replace('\u{2212}', "-").parse().ok()?
            }
            Cell::Integer(it) => *it as f64,
            Cell::Fraction(it) => *it,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }
}
