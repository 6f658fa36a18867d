//! Decides how predictions are written for spreadsheets and programs, and which mistakes are worth a look.
//!
//! A text, a class or a file name that starts as a formula does in a spreadsheet (`=`, `+`, `-`, `@`, tab,
//! carriage return) gets an apostrophe in front, unless it is a plain number: texts come from strangers, and a
//! formula can send the sheet's content away (OWASP, CSV Injection). Whoever needs the untouched text finds it
//! by file and line in the drop.

use crate::scores::predicted;
use anyhow::{Context, Result};
use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::path::Path;

/// Mistakes that the report shows.
pub const MISTAKES_SHOWN: usize = 20;

/// One example and what the model says of it.
#[derive(Debug, Clone)]
pub struct Prediction<'a> {
    pub text: &'a str,
    /// Index of the true class.
    pub label: u32,
    /// One for each class, in their order.
    pub probabilities: &'a [f32],
    /// Relative to the drop.
    pub file: &'a str,
    /// Counts from 1; absent for a file that is one example.
    pub line: Option<u64>,
}

/// A wrong prediction, as the report shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    pub text: String,
    pub truth: String,
    pub predicted: String,
    /// Of the predicted class.
    pub probability: f64,
    pub file: String,
    pub line: Option<u64>,
}

/// Writes one row for each prediction: file, line, text, label, predicted, correct, then `p_CLASS` for each
/// class. UTF-8, RFC 4180.
pub fn predictions_csv<'a>(path: &Path, classes: &[String], rows: impl IntoIterator<Item = Prediction<'a>>) -> Result<()> {
    write_csv(path, classes, rows).with_context(|| format!("writing {}", path.display()))
}

fn write_csv<'a>(path: &Path, classes: &[String], rows: impl IntoIterator<Item = Prediction<'a>>) -> Result<()> {
    let mut csv = csv::Writer::from_path(path)?;
    let head = ["file", "line", "text", "label", "predicted", "correct"];
    csv.write_record(head.iter().map(|&it| it.to_owned()).chain(classes.iter().map(|it| format!("p_{it}"))))?;
    let name = |class: u32| classes.get(class as usize).with_context(|| format!("class {class} of {} classes", classes.len()));
    for row in rows {
        let said = predicted(row.probabilities);
        csv.write_field(harmless(row.file).as_bytes())?;
        csv.write_field(row.line.map(|it| it.to_string()).unwrap_or_default())?;
        csv.write_field(harmless(row.text).as_bytes())?;
        csv.write_field(harmless(name(row.label)?).as_bytes())?;
        csv.write_field(harmless(name(said)?).as_bytes())?;
        csv.write_field(if said == row.label { "true" } else { "false" })?;
        for probability in row.probabilities {
            csv.write_field(probability.to_string())?;
        }
        csv.write_record(None::<&[u8]>)?;
    }
    csv.into_inner()?.sync_all()?;
    Ok(())
}

fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err() {
        return Cow::Owned(format!("'{cell}"));
    }
    Cow::Borrowed(cell)
}

/// The mistakes that the model was surest of, the surest first, at most `keep`; equal ones as they come.
pub fn worst_mistakes<'a>(classes: &[String], rows: impl IntoIterator<Item = Prediction<'a>>, keep: usize) -> Vec<Mistake> {
    let mut worst = BinaryHeap::with_capacity(keep + 1);
    for (index, row) in rows.into_iter().enumerate() {
        let said = predicted(row.probabilities);
        if said == row.label {
            continue;
        }
        // The heap's greatest is the one to drop: least sure, then latest. Of floats that are at least 0,
        // the bits are in order too.
        let rank = (std::cmp::Reverse(row.probabilities[said as usize].to_bits()), index);
        worst.push(Ranked { rank, row, said });
        if keep < worst.len() {
            worst.pop();
        }
    }
    let name = |class: u32| classes.get(class as usize).cloned().unwrap_or_else(|| class.to_string());
    let shown = |Ranked { row, said, .. }: Ranked| Mistake {
        text: row.text.to_owned(),
        truth: name(row.label),
        predicted: name(said),
        probability: f64::from(row.probabilities[said as usize]),
        file: row.file.to_owned(),
        line: row.line,
    };
    worst.into_sorted_vec().into_iter().map(shown).collect()
}

struct Ranked<'a> {
    rank: (std::cmp::Reverse<u32>, usize),
    row: Prediction<'a>,
    said: u32,
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Vec<String> {
        vec!["-1".into(), "=good".into()]
    }

    fn row<'a>(text: &'a str, label: u32, probabilities: &'a [f32], line: u64) -> Prediction<'a> {
        Prediction { text, label, probabilities, file: "a.csv", line: Some(line) }
    }

    #[test]
    fn formulas_are_made_harmless_and_numbers_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let rows = [
            row("=HYPERLINK(\"http://x\")", 0, &[0.75, 0.25], 2),
            row("fine, \"quoted\"\nand two lines", 1, &[0.5, 0.5], 3),
            Prediction { line: None, ..row("@you", 1, &[0.0, 1.0], 0) },
        ];
        predictions_csv(&path, &classes(), rows).unwrap();
        expect_test::expect![[r#"
            file,line,text,label,predicted,correct,p_-1,p_=good
            a.csv,2,"'=HYPERLINK(""http://x"")",-1,-1,true,0.75,0.25
            a.csv,3,"fine, ""quoted""
            and two lines",'=good,-1,false,0.5,0.5
            a.csv,,'@you,'=good,'=good,true,0,1
        "#]]
        .assert_eq(&std::fs::read_to_string(&path).unwrap());
    }

    #[test]
    fn the_surest_mistakes_come_first() {
        let (sure, unsure, tie, right) = ([0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.1, 0.9]);
        let rows = [row("unsure", 1, &unsure, 1), row("right", 1, &right, 2), row("sure", 1, &sure, 3), row("tie", 1, &tie, 4)];
        let texts = |keep| worst_mistakes(&classes(), rows.clone(), keep).into_iter().map(|it| it.text).collect::<Vec<_>>();
        assert_eq!(texts(9), ["sure", "unsure", "tie"]);
        assert_eq!(texts(2), ["sure", "unsure"]);
        assert_eq!(texts(0), Vec::<String>::new());
    }

    #[test]
    fn a_label_beyond_the_classes_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let error = predictions_csv(&path, &classes(), [row("x", 5, &[1.0, 0.0], 1)]).unwrap_err();
        assert!(format!("{error:#}").ends_with("predictions.csv: class 5 of 2 classes"), "{error:#}");
    }
}
