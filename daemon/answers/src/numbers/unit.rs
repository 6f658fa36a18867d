//! What stands around a number: a sign, a currency, `%`, `kg`, `°C`. Numbers with different units
//! are not compared.

use std::fmt::{self, Display};

/// Signs that stand before or behind a number and mean money or parts.
const SIGNS: [char; 9] = ['%', '‰', '€', '$', '£', '¥', '₹', '₩', '₽'];
/// Codes of ISO 4217, and words, that stand before a number.
const CURRENCIES: &[&str] = &[
    "aud", "brl", "cad", "chf", "cny", "czk", "dkk", "eur", "fr", "gbp", "hkd", "huf", "idr",
    "inr", "jpy", "kr", "krw", "mxn", "nok", "nzd", "pln", "rs", "rub", "sek", "sfr", "sgd", "try",
    "usd", "zar",
];
/// Behind a whole number, in the place of decimals that are none: `12,-` and `12.–`.
const NO_DECIMALS: [&str; 6] = [",-", ".-", ",\u{2013}", ".\u{2013}", ",\u{2014}", ".\u{2014}"];

/// Around each number of a column, the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Unit {
    before: String,
    behind: String,
}

impl Unit {
    /// Money or parts, which nobody calls classes by.
    pub(crate) fn is_of_amounts(&self) -> bool {
        let is = |it: &str| it.contains(SIGNS) || CURRENCIES.contains(&it.trim_matches('.'));
        is(&self.before) || is(&self.behind)
    }
}

impl Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.before.is_empty() { &self.behind } else { &self.before })
    }
}

/// A number as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written<'a> {
    pub(crate) negative: bool,
    /// From the first digit, or the sign before decimals, to the last digit.
    pub(crate) digits: &'a str,
    /// Nothing where a bare number stands there.
    pub(crate) unit: Option<Unit>,
}

impl<'a> Written<'a> {
    /// Nothing where something else than a unit stands around the digits.
    pub(crate) fn of(text: &'a str) -> Option<Written<'a>> {
        let text = text.trim();
        let first = text.find(|it: char| it.is_ascii_digit())?;
        let last = text.rfind(|it: char| it.is_ascii_digit())? + 1;
        let decimals = text[..first].ends_with(['.', ',']);
        // `Rs.12` has no decimals.
        let first = if decimals && first == 1 { 0 } else { first };
        let (mut before, digits, mut behind) = (&text[..first], &text[first..last], &text[last..]);
        let mut negative = false;
        for sign in ['-', '\u{2212}', '+'] {
            let bare = before.trim();
            if let Some(rest) = bare.strip_prefix(sign).or_else(|| bare.strip_suffix(sign)) {
                (before, negative) = (rest, sign != '+');
                break;
            }
        }
        if let Some(rest) = NO_DECIMALS.iter().find_map(|it| behind.strip_prefix(it)) {
            behind = rest;
        } else if let Some(rest) = behind.strip_prefix('-').filter(|_| !negative) {
            // As SAP writes it.
            (behind, negative) = (rest, true);
        }
        let unit = Unit { before: plain(before), behind: singular(&plain(behind)) };
        let is_one = stands_before(&unit.before) && stands_behind(&unit.behind);
        let is_bare = unit.before.is_empty() && unit.behind.is_empty();
        is_one.then_some(Written { negative, digits, unit: (!is_bare).then_some(unit) })
    }
}

fn plain(around: &str) -> String {
    around.trim().to_lowercase()
}

/// `hours` is `hour`.
fn singular(unit: &str) -> String {
    const LETTERS_MIN: usize = 4;
    let is_word = LETTERS_MIN <= unit.len() && unit.bytes().all(|it| it.is_ascii_alphabetic());
    unit.strip_suffix('s').filter(|_| is_word).unwrap_or(unit).into()
}

fn stands_before(unit: &str) -> bool {
    const CHARS_MAX: usize = 4;
    unit.is_empty()
        || unit.chars().count() <= CHARS_MAX && unit.contains(SIGNS)
        || CURRENCIES.contains(&unit.trim_matches('.'))
}

fn stands_behind(unit: &str) -> bool {
    const CHARS_MAX: usize = 12;
    let is_part = |it: char| {
        it.is_alphabetic() || SIGNS.contains(&it) || matches!(it, '°' | '²' | '³' | '/' | '.' | '·')
    };
    unit.chars().count() <= CHARS_MAX && unit.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stand_before_or_behind() {
        let of = |text: &'static str| {
            let it = Written::of(text)?;
            Some((it.negative, it.digits, it.unit.map(|it| it.to_string()).unwrap_or_default()))
        };
        let some = |negative, digits, unit: &str| Some((negative, digits, unit.to_string()));
        assert_eq!(of("3,5 °C"), some(false, "3,5", "°c"));
        assert_eq!(of("-$1,200.00"), some(true, "1,200.00", "$"));
        assert_eq!(of("$ -5"), some(true, "5", "$"));
        assert_eq!(of("US$12"), some(false, "12", "us$"));
        assert_eq!(of("CHF 16'595.–"), some(false, "16'595", "chf"));
        assert_eq!(of("12,- €"), some(false, "12", "€"));
        assert_eq!(of("93,82-"), some(true, "93,82", ""));
        assert_eq!([of("1.0 hour"), of("1.0 hours")], [some(false, "1.0", "hour"), of("1.0 hour")]);
        assert_eq!(of(".5"), some(false, ".5", ""));
        assert_eq!(of("Rs.12"), some(false, "12", "rs."));
        assert_eq!(of("80 m²"), some(false, "80", "m²"));
        let none = ["", "kg", "<0.5", "Grade 3", "P001", "18+", "3 (approx)", "1 low or high"];
        assert!(none.iter().all(|it| Written::of(it).is_none()));
    }
}
