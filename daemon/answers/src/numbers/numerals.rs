//! How a column writes its numbers: which sign stands before the decimals, which between
//! thousands, and which unit around all of them. What could be meant in two ways is a question.

use super::unit::{Unit, Written};
use crate::cell::Cell;
use crate::reading::Columns;
use std::collections::{BTreeSet, HashSet};

/// Of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numerals {
    /// A comma stands before the decimals, and points may stand between thousands.
    pub(crate) comma: bool,
    /// Around every number.
    pub(crate) unit: Option<Unit>,
}

/// That stand between thousands, in France and in Switzerland.
const BLANKS: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\'', '\u{2019}'];

impl Numerals {
    /// Nothing where the cells are no numbers, or where that can't be told: then the sentence why.
    pub(crate) fn of(columns: &Columns<'_>, column: usize) -> Result<Option<Numerals>, String> {
        let units = || columns.known(column).filter_map(|it| Written::of(text(it)?)?.unit);
        let unit = units().find(Unit::is_of_amounts).or_else(|| {
            let first = columns.known(column).next().and_then(text);
            first.and_then(Written::of).and_then(|it| it.unit)
        });
        let [point, comma] = [false, true].map(|comma| Numerals { comma, unit: unit.clone() });
        let fits = |it: &Numerals| columns.nearly_all(column, |cell| it.number(cell).is_some());
        let name = columns.names[column];
        match (fits(&point), fits(&comma)) {
            (true, true) => {
                let odd = |it: &&Cell| point.number(it) != comma.number(it);
                let odd = columns.known(column).find(odd);
                match odd.and_then(text) {
                    // Without a comma, points are those of programs, unless they stand as between
                    // thousands everywhere.
                    Some(it) if it.contains(',') || grouped(columns, column) => Err(format!(
                        "`{name}` holds numbers such as `{}`, and whether that is more than a thousand or has decimals can't be told: write them without signs between thousands and with a point before decimals",
                        it.trim()
                    )),
                    _ => Ok(Some(point)),
                }
            }
            (true, false) => Ok(Some(point)),
            (false, true) => Ok(Some(comma)),
            (false, false) => in_several_ways(columns, column, [point, comma]).map(|()| None),
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
    fn bare(&self, text: &str) -> Option<f64> {
        let written = Written::of(text)?;
        if written.unit != self.unit {
            return None;
        }
        let number = self.plain(written.digits)?;
        Some(if written.negative { -number } else { number })
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

/// What is to be asked about a column whose cells are numbers, but not all written alike.
fn in_several_ways(
    columns: &Columns<'_>,
    column: usize,
    [point, comma]: [Numerals; 2],
) -> Result<(), String> {
    let name = columns.names[column];
    if let Some(units) = several_units(columns, column) {
        return Err(format!(
            "`{name}` holds numbers of several units ({units}): write all of them in one"
        ));
    }
    let bare = [false, true].map(|comma| Numerals { comma, unit: None });
    let ways: Vec<Numerals> = [point, comma].into_iter().chain(bare).collect();
    let any = |cell: &Cell| ways.iter().any(|it| it.number(cell).is_some());
    // Of `0`, `0.0` and `0,0` only spellings of classes are made.
    let whole = |cell: &Cell| {
        ways.iter().find_map(|it| it.number(cell)).is_some_and(|it| it.fract() == 0.0)
    };
    if columns.nearly_all(column, any) && !columns.nearly_all(column, whole) {
        let first = columns.known(column).next();
        let way = ways.iter().find(|it| first.is_some_and(|cell| it.number(cell).is_some()));
        let other =
            columns.known(column).find(|it| way.is_some_and(|way| way.number(it).is_none()));
        let [a, b] = [first, other].map(|it| it.map(Cell::shown).unwrap_or_default());
        return Err(format!(
            "`{name}` holds {a} beside {b}, numbers written in two ways: write all of them in one"
        ));
    }
    match foreign(columns, column) {
        Some(cell) => Err(format!(
            "`{name}` looks like a column of numbers, but holds {}: write bare numbers, with a point before decimals, or set task in the recipe to that of classes",
            cell.shown()
        )),
        None => Ok(()),
    }
}

/// One that is no number, where nearly all cells begin with one, bare or behind a sign, hardly any
/// value recurs, and no two numbers stand in a cell, as in ranges and dates.
fn foreign<'a>(columns: &'a Columns<'_>, column: usize) -> Option<&'a Cell> {
    /// In fewer rows it may be chance.
    const ROWS_MIN: usize = 20;
    let digits = |it: &str| it.trim_start_matches(['<', '>', '~', '≤', '≥', '=', ' ']).to_string();
    let spans = |it: &str| {
        it.split(|it: char| !(it.is_numeric() || matches!(it, '.' | ',' | '\'')))
            .filter(|it| it.contains(char::is_numeric))
            .count()
    };
    let numeric = |cell: &Cell| match cell {
        Cell::Text(it) => digits(it).starts_with(char::is_numeric) && spans(it) == 1,
        other => other.number(false).is_some(),
    };
    let known: Vec<&Cell> = columns.known(column).collect();
    let different: HashSet<String> = known.iter().map(|it| it.shown()).collect();
    let hardly_recur = known.len() < 2 * different.len();
    if known.len() < ROWS_MIN || !hardly_recur || !columns.nearly_all(column, numeric) {
        return None;
    }
    let is_plain = |it: &&Cell| it.number(true).is_some();
    known.into_iter().find(|it| !is_plain(it))
}

/// Where each cell is a number with a unit, and not all of one: the units. Of words, only where
/// values hardly recur or have decimals: `2 days` and `1 week` are classes as well.
fn several_units(columns: &Columns<'_>, column: usize) -> Option<String> {
    const SHOWN_MAX: usize = 5;
    /// In fewer rows it may be chance.
    const ROWS_MIN: usize = 20;
    let of = |cell: &Cell| {
        let unit = Written::of(text(cell)?)?.unit?;
        let ways = [false, true].map(|comma| Numerals { comma, unit: Some(unit.clone()) });
        let number = ways.iter().find_map(|it| it.number(cell))?;
        Some((unit, number))
    };
    let all: Vec<(Unit, f64)> = columns.known(column).filter_map(of).collect();
    let units: BTreeSet<&Unit> = all.iter().map(|it| &it.0).collect();
    let values: HashSet<String> = columns.known(column).map(Cell::shown).collect();
    let measured = units.iter().any(|it| it.is_of_amounts())
        || ROWS_MIN <= all.len() && all.len() < 2 * values.len()
        || all.iter().any(|it| it.1.fract() != 0.0);
    let are_all = columns.nearly_all(column, |it| of(it).is_some());
    if !are_all || !measured || units.len() < 2 {
        return None;
    }
    let shown: Vec<String> = units.iter().take(SHOWN_MAX).map(|it| it.to_string()).collect();
    let more = if SHOWN_MAX < units.len() { ", …" } else { "" };
    Some(format!("{}{more}", shown.join(", ")))
}

fn text(cell: &Cell) -> Option<&str> {
    if let Cell::Text(it) = cell { Some(it) } else { None }
}

/// `1,234,567`, or `12,34,567` as in India, without the signs; nothing where they don't stand
/// between thousands.
fn ungrouped(whole: &str, group: char) -> Option<String> {
    let mut groups: Vec<&str> = whole.strip_prefix('-').unwrap_or(whole).split(group).collect();
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let first = groups.remove(0);
    let begins = (1..=3).contains(&first.len()) && digits(first) && !first.starts_with('0');
    let last = groups.pop()?;
    let is_one = begins && digits(last) && last.len() == 3 && groups.iter().all(|it| digits(it));
    let thousands = groups.iter().all(|it| it.len() == 3);
    let lakhs = first.len() <= 2 && groups.iter().all(|it| it.len() == 2);
    (is_one && (thousands || lakhs)).then(|| whole.replace(group, ""))
}

/// Whether points stand as between thousands: each before three digits, and no number of more than
/// three digits without one.
fn grouped(columns: &Columns<'_>, column: usize) -> bool {
    /// Decimals that end in no 0 by chance are shorter somewhere among so many.
    const SURE: usize = 20;
    let texts = columns.known(column).filter_map(text).filter_map(Written::of);
    let (pointed, whole): (Vec<&str>, Vec<&str>) =
        texts.map(|it| it.digits).partition(|it| it.contains('.'));
    let enough = if whole.is_empty() { SURE } else { 2 };
    enough <= pointed.len().max(whole.len())
        && whole.iter().all(|it| it.len() <= 3)
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
        check(&["23,5 °C", "4 °C"], Ok(Some(&[23.5, 4.0])));
        check(&["3,5 kg", "5 kg", "3,0 kg"], Ok(Some(&[3.5, 5.0, 3.0])));
        check(&["₹61,55,495", "₹3,97,988"], Ok(Some(&[6_155_495.0, 397_988.0])));
        check(&["CHF 16’595.–", "CHF 20.50"], Ok(Some(&[16595.0, 20.5])));
        check(&["USD 62.87", "USD -1.63"], Ok(Some(&[62.87, -1.63])));
        check(&["93,82-", "1.204,50"], Ok(Some(&[-93.82, 1204.5])));
        check(&["3.5 hours", "1.0 hour"], Ok(Some(&[3.5, 1.0])));
        check(&["56.771 €", "528 €", "1.953 €"], Err("`56.771 €`"));
        check(&["29.281", "99.905", "528"], Err("`29.281`"));
        check(&["5.9 kg", "347 g", "1.2 kg"], Err("(g, kg)"));
        check(&["2 days", "1 week", "2 days", "1 week"], Ok(None));
        let mut rows: Vec<String> = (1..40).map(|it| format!("{it}.5")).collect();
        rows.extend((0..6).map(|it| format!("<0.{it}")));
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        check(&rows, Err("but holds `<0.0`"));
        let ages: Vec<String> = (10..50).map(|it| format!("{it}-{}", it + 5)).collect();
        check(&ages.iter().map(String::as_str).collect::<Vec<_>>(), Ok(None));
        check(&["(1.5)", "2.5", "3"], Ok(Some(&[-1.5, 2.5, 3.0])));
        check(&["((1.5))", "2.5", "(-3)"], Ok(None));
        let deep = format!("{}1{}", "(".repeat(1_000_000), ")".repeat(1_000_000));
        check(&[&deep, "((2))"], Ok(None));
        check(&["2024-01-05", "2024-02-05"], Ok(None));
    }
}
