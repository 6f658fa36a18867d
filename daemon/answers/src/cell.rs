//! What stands in one place of a table, whatever its format.

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

impl Cell {
    /// Nothing, white space, or not a number: what tables write for "unknown".
    pub fn is_missing(&self) -> bool {
        match self {
            Cell::Missing => true,
            Cell::Fraction(it) => it.is_nan(),
            Cell::Text(it) => it.trim().is_empty() || it.trim().eq_ignore_ascii_case("nan"),
            _ => false,
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

    /// Of 0 and 1, false and true.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Cell::Bool(it) => Some(*it),
            Cell::Text(it) => match it.trim() {
                "0" | "0.0" => Some(false),
                "1" | "1.0" => Some(true),
                it if it.eq_ignore_ascii_case("false") => Some(false),
                it if it.eq_ignore_ascii_case("true") => Some(true),
                _ => None,
            },
            Cell::Integer(0) => Some(false),
            Cell::Integer(1) => Some(true),
            Cell::Fraction(it) if *it == 0.0 => Some(false),
            Cell::Fraction(it) if *it == 1.0 => Some(true),
            _ => None,
        }
    }

    /// Finite. `comma`: a comma stands before the decimals.
    pub(crate) fn number(&self, comma: bool) -> Option<f64> {
        let number = match self {
            Cell::Text(it) if comma => it.trim().replacen(',', ".", 1).parse().ok()?,
            Cell::Text(it) => it.trim().parse().ok()?,
            Cell::Integer(it) => *it as f64,
            Cell::Fraction(it) => *it,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }
}
