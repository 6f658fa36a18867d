//! How a column writes its numbers: which sign stands before the decimals, which between thousands,
//! and which unit behind all of them. What could be meant in two ways is a question.

use crate::cell::Cell;
use crate::reading::Columns;
use std::collections::BTreeSet;

/// Of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numerals {
    /// A comma stands before the decimals, and points may stand between thousands.
    pub(crate) comma: bool,
    /// `%`, `€`, `kg`: before or behind every number.
    pub(crate) unit: Option<String>,
}

/// That stand between thousands, in France and in Switzerland.
const BLANKS: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\'', '\u{2019}'];
const UNITS: [char; 6] = ['%', '€', '$', '£', '¥', '₹'];

impl Numerals {
    /// Nothing where the cells are no numbers, or where that can't be told: then the sentence why.
    pub(crate) fn of(columns: &Columns<'_>, column: usize) -> Result<Option<Numerals>, String> {
        let sign = |it: &Cell| text(it)?.chars().find(|c| UNITS.contains(c)).map(String::from);
        let unit = columns.known(column).find_map(sign);
        let unit = unit.or_else(|| columns.known(column).next().and_then(word));
        let [point, comma] = [false, true].map(|comma| Numerals { comma, unit: unit.clone() });
        let fits = |it: &Numerals| columns.nearly_all(column, |cell| it.number(cell).is_some());
        let name = columns.names[column];
        match (fits(&point), fits(&comma)) {
            (true, true) => {
                let odd = |it: &&Cell| point.number(it) != comma.number(it);
                let odd = columns.known(column).find(odd);
                match odd.and_then(text) {
                    // Without a comma, points are those of programs, unless the numbers above a
                    // thousand alone have one.
                    Some(it) if it.contains(',') || grouped(columns, column) => Err(format!(
                        "`{name}` holds numbers such as `{}`, and whether that is more than a thousand or has decimals can't be told: write them without signs between thousands and with a point before decimals",
                        it.trim()
                    )),
                    _ => Ok(Some(point)),
                }
            }
            (true, false) => Ok(Some(point)),
            (false, true) => Ok(Some(comma)),
            (false, false) => {
                if let Some(units) = two_units(columns, column) {
                    return Err(format!(
                        "`{name}` holds numbers of several units ({units}): write all of them in one"
                    ));
                }
                let bare = [false, true].map(|comma| Numerals { comma, unit: None });
                let ways = [point, comma].into_iter().chain(bare);
                let ways: Vec<Numerals> = ways.collect();
                let any = |cell: &Cell| ways.iter().any(|it| it.number(cell).is_some());
                // Of `0`, `0.0` and `0,0` only spellings of classes are made.
                let whole = |cell: &Cell| {
                    ways.iter().find_map(|it| it.number(cell)).is_some_and(|it| it.fract() == 0.0)
                };
                if !columns.nearly_all(column, any) || columns.nearly_all(column, whole) {
                    return Ok(None);
                }
                let first = columns.known(column).next();
                let way =
                    ways.iter().find(|it| first.is_some_and(|cell| it.number(cell).is_some()));
                let other = columns
                    .known(column)
                    .find(|it| way.is_some_and(|way| way.number(it).is_none()));
                let [a, b] = [first, other].map(|it| it.map(Cell::shown).unwrap_or_default());
                Err(format!(
                    "`{name}` holds {a} beside {b}, numbers written in two ways: write all of them in one"
                ))
            }
        }
    }

    /// Finite.
    pub(crate) fn number(&self, cell: &Cell) -> Option<f64> {
        let Some(text) = text(cell) else { return cell.number(false) };
        let text = text.trim();
        // As in accounts.
        match text.strip_prefix('(').and_then(|it| it.strip_suffix(')')) {
            Some(it) => self.bare(it.trim()).filter(|it| 0.0 <= *it).map(|it| -it),
            None => self.bare(text),
        }
    }

    /// Without parentheses around it.
    fn bare(&self, mut text: &str) -> Option<f64> {
        if let Some(unit) = self.unit.as_deref() {
            let (sign, rest) = text.strip_prefix('-').map_or(("", text), |it| ("-", it));
            let rest = rest.strip_prefix(unit).or_else(|| rest.strip_suffix(unit))?;
            text = rest.trim();
            return self.plain(&format!("{sign}{text}"));
        }
        self.plain(text)
    }

    fn plain(&self, text: &str) -> Option<f64> {
        let (decimal, group) = if self.comma { (',', '.') } else { ('.', ',') };
        let (whole, decimals) =
            text.split_once(decimal).map_or((text, None), |it| (it.0, Some(it.1)));
        if decimals.is_some_and(|it| it.contains([decimal, group])) {
            return None;
        }
        // A blank or an apostrophe is nothing else.
        let group = whole.chars().find(|it| BLANKS.contains(it)).unwrap_or(group);
        let whole = if whole.contains(group) { ungrouped(whole, group)? } else { whole.into() };
        let number = decimals.map_or_else(|| whole.clone(), |it| format!("{whole}.{it}"));
        Cell::Text(number).number(false)
    }
}

/// The letters behind a number: `kg`.
fn word(cell: &Cell) -> Option<String> {
    const CHARS_MAX: usize = 4;
    let text = text(cell)?.trim();
    let word = text[text.rfind(|it: char| it.is_ascii_digit())? + 1..].trim();
    let is_word = (1..=CHARS_MAX).contains(&word.chars().count())
        && word.chars().all(char::is_alphabetic)
        && text.starts_with(|it: char| it.is_ascii_digit() || it == '-');
    is_word.then(|| word.to_string())
}

/// Where each cell is a number with a unit, and not all of one: the units.
fn two_units(columns: &Columns<'_>, column: usize) -> Option<String> {
    let unit_of = |cell: &Cell| {
        let unit = text(cell)?.chars().find(|it| UNITS.contains(it))?;
        let ways = [false, true].map(|comma| Numerals { comma, unit: Some(unit.into()) });
        ways.iter().any(|it| it.number(cell).is_some()).then_some(unit)
    };
    let units: BTreeSet<char> = columns.known(column).filter_map(unit_of).collect();
    let all = columns.nearly_all(column, |it| unit_of(it).is_some());
    let units: Vec<String> = units.into_iter().map(String::from).collect();
    (all && 1 < units.len()).then(|| units.join(", "))
}

fn text(cell: &Cell) -> Option<&str> {
    if let Cell::Text(it) = cell { Some(it) } else { None }
}

/// `1,234,567` without the signs; nothing where they don't stand between thousands.
fn ungrouped(whole: &str, group: char) -> Option<String> {
    let mut groups = whole.strip_prefix('-').unwrap_or(whole).split(group);
    let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    let first = groups.next()?;
    let begins = (1..=3).contains(&first.len()) && digits(first) && !first.starts_with('0');
    (begins && groups.all(|it| it.len() == 3 && digits(it))).then(|| whole.replace(group, ""))
}

/// Whether numbers below a thousand have no point, and all others one before three digits.
fn grouped(columns: &Columns<'_>, column: usize) -> bool {
    let texts = columns.known(column).filter_map(text).map(str::trim);
    let (pointed, whole): (Vec<&str>, Vec<&str>) = texts.partition(|it| it.contains('.'));
    2 <= whole.len()
        && whole.iter().all(|it| it.trim_start_matches('-').len() <= 3)
        && pointed.iter().all(|it| ungrouped(it, '.').is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cells: &[&str], numbers: Result<Option<&[f64]>, &str>) {
        let cells: Vec<Cell> = cells.iter().map(|it| Cell::Text((*it).into())).collect();
        let columns = Columns { names: vec!["x"], rows: cells.iter().map(|it| vec![it]).collect() };
        match (Numerals::of(&columns, 0), numbers) {
            (Ok(Some(it)), Ok(Some(numbers))) => {
                let found: Vec<f64> = cells.iter().filter_map(|cell| it.number(cell)).collect();
                assert_eq!(found, numbers);
            }
            (Ok(None), Ok(None)) => {}
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn numbers_are_read_as_the_whole_column_has_them() {
        check(&["0,5", "1,25", "-3"], Ok(Some(&[0.5, 1.25, -3.0])));
        check(&["1.234,5", "7,25"], Ok(Some(&[1234.5, 7.25])));
        check(&["1,234.5", "7.25"], Ok(Some(&[1234.5, 7.25])));
        check(&["1,234,567", "12"], Ok(Some(&[1_234_567.0, 12.0])));
        check(&["1e-3", "2E4", "\u{2212}5", "+1"], Ok(Some(&[1e-3, 2e4, -5.0, 1.0])));
        check(&["0.125", "0.250", "1.500"], Ok(Some(&[0.125, 0.25, 1.5])));
        check(&["$3.50", "-$1,200.00"], Ok(Some(&[3.5, -1200.0])));
        check(&["45 %", "7,5%"], Ok(Some(&[45.0, 7.5])));
        check(&["1,234", "12"], Err("`1,234`"));
        check(&["1.234", "987", "12", "45.678"], Err("`1.234`"));
        check(&["a", "b"], Ok(None));
        check(&["3.5 %", "0.2", "0.1"], Err("`3.5 %` beside `0.2`"));
        check(&["0,5", "1.5", "2,5", "7.25"], Err("`0,5` beside `1.5`"));
        check(&["$11", "€7", "$3", "€20"], Err("($, €)"));
        check(&["1 234,5", "7,25", "12"], Ok(Some(&[1234.5, 7.25, 12.0])));
        check(&["42\u{202f}127,50 €", "3,20 €"], Ok(Some(&[42127.5, 3.2])));
        check(&["55'587.50", "1'000", "20"], Ok(Some(&[55587.5, 1000.0, 20.0])));
        check(&["83 376", "1 2", "7"], Ok(None));
        check(&["(1.5)", "2.5", "-(3)"], Ok(None));
        check(&["1.5 kg", "0.25kg", "-3 kg"], Ok(Some(&[1.5, 0.25, -3.0])));
        check(&["1st", "2nd", "3rd"], Ok(None));
        check(&["(1.5)", "2.5", "3"], Ok(Some(&[-1.5, 2.5, 3.0])));
        check(&["((1.5))", "2.5", "(-3)"], Ok(None));
        let deep = format!("{}1{}", "(".repeat(1_000_000), ")".repeat(1_000_000));
        check(&[&deep, "((2))"], Ok(None));
        check(&["2024-01-05", "2024-02-05"], Ok(None));
    }
}
