//! How numbers, times and tables look to people.

use finetuned_job::printable::printable;
use finetuned_job::scores::Interval;

/// `12.3 MB`, in the units of disks.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = n as f64;
    let mut unit_idx = 0;
    while 1000.0 <= value && unit_idx + 1 < UNITS.len() {
        value /= 1000.0;
        unit_idx += 1;
    }
    if unit_idx == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit_idx]) }
}

/// `42 s`, `3 min 05 s`, `2 h 07 min`.
pub(crate) fn seconds(s: f64) -> String {
    let s = s.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

/// `38,158`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|it| std::str::from_utf8(it).unwrap_or(""))
        .collect();
    groups.join(",")
}

/// `2026-11-24 04:05:06Z`, by the proleptic Gregorian calendar (Howard Hinnant, `civil_from_days`).
pub(crate) fn moment(ms: u64) -> String {
    let (days, second) = (ms / 86_400_000, ms / 1000 % 86_400);
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// `0.843 (95 % interval 0.812 to 0.871)`.
pub(crate) fn score(value: f64, interval: Option<&Interval>) -> String {
    match interval {
        Some(it) => format!(
            "{value:.3} ({:.0} % interval {:.3} to {:.3})",
            it.level * 100.0,
            it.low,
            it.high
        ),
        None => format!("{value:.3}"),
    }
}

/// Columns as wide as their widest cell; the last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let printed: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|it| printable(it).into_owned()).collect()).collect();
    let rows = &printed[..];
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|it| it.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .enumerate()
            .map(|(column, it)| format!("{it:<width$}", width = widths[column]));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `text-classification: a folder of texts for each class`; old runs have no reason.
pub(crate) fn task(name: &str, reason: &str) -> String {
    if reason.is_empty() { name.into() } else { format!("{name}: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            [bytes(999), bytes(22_713_216), bytes(5_000_000_000)],
            ["999 B", "22.7 MB", "5.0 GB"]
        );
        assert_eq!(
            [seconds(4.4), seconds(185.0), seconds(7620.0)],
            ["4 s", "3 min 05 s", "2 h 07 min"]
        );
        assert_eq!([count(7), count(38_158), count(1_000_000)], ["7", "38,158", "1,000,000"]);
    }

    #[test]
    fn moments_are_right_around_leap_days() {
        assert_eq!(moment(0), "1970-01-01 00:00:00Z");
        // date -u -d '2024-02-29 12:34:56' +%s; date -u -d '2026-12-31 23:59:59' +%s
        assert_eq!(moment(1_709_210_096_000), "2024-02-29 12:34:56Z");
        assert_eq!(moment(1_798_761_599_000), "2026-12-31 23:59:59Z");
    }

    #[test]
    fn a_table_is_as_wide_as_it_must_be() {
        let row = |cells: [&str; 2]| cells.map(String::from).to_vec();
        assert_eq!(table(&[row(["1", "done"]), row(["12", ""])]), "1   done\n12");
    }
}
