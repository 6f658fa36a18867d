//! Decides how predictions are written for spreadsheets and programs, and which mistakes are worth
//! a look.
//!
//! A text, a class or a file name that starts as a formula does in a spreadsheet (`=`, `+`, `-`,
//! `@`, tab, carriage return) gets an apostrophe in front, unless it is a plain number: texts come
//! from strangers, and a formula can send the sheet's content away (OWASP, CSV Injection). Whoever
//! needs the untouched text finds it by file and line in the drop.

use crate::scores::{Target, is_said, predicted, short};
use anyhow::{Context, Result, ensure};
use finetuned_job::plan::Plan;
use finetuned_job::task::Answer;
use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

/// Mistakes that the report shows.
pub const MISTAKES_SHOWN: usize = 20;

/// One example and what the model says of it.
#[derive(Debug, Clone, Copy)]
pub struct Prediction<'a> {
    /// The text, or the path of the image.
    pub input: &'a str,
    pub truth: Target<'a>,
    /// What the model gives: probabilities of the classes, or the numbers.
    pub outputs: &'a [f32],
    /// Relative to the drop.
    pub file: &'a str,
    /// Counts from 1; absent for a file that is one example.
    pub line: Option<u64>,
}

/// A wrong prediction, as the report shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Which of the predictions it is.
    pub index: usize,
    pub input: String,
    pub truth: String,
    pub predicted: String,
    /// How sure the model was of what is wrong, 0 to 1; of numbers the largest error, in standard
    /// deviations.
    pub degree: f64,
    pub file: String,
    pub line: Option<u64>,
    /// A small image of the example as PNG, where the caller has one.
    pub thumbnail: Option<Vec<u8>>,
}

/// Writes one row for each prediction: file, line, then `text` or `image`. For classes follow
/// label, predicted, correct and `p_CLASS` for each class; several labels of one example are joined
/// with `|`. For numbers follow NAME and `predicted_NAME` for each. UTF-8, RFC 4180.
///
/// # Errors The file can't be written; a row is not of the plan's classes or numbers.
pub fn predictions_csv<'a>(
    path: &Path,
    plan: &Plan,
    rows: impl IntoIterator<Item = Prediction<'a>>,
) -> Result<()> {
    write_csv(path, plan, rows).with_context(|| format!("writing {}", path.display()))
}

fn write_csv<'a>(
    path: &Path,
    plan: &Plan,
    rows: impl IntoIterator<Item = Prediction<'a>>,
) -> Result<()> {
    let names = plan.data.outputs();
    let mut csv = csv::Writer::from_path(path)?;
    csv.write_record(head(plan, names))?;
    for row in rows {
        ensure!(
            row.outputs.len() == names.len(),
            "{} outputs for {}",
            row.outputs.len(),
            names.len()
        );
        csv.write_field(harmless(row.file).as_bytes())?;
        csv.write_field(row.line.map(|it| it.to_string()).unwrap_or_default())?;
        csv.write_field(harmless(row.input).as_bytes())?;
        match row.truth {
            Target::Class(label) => {
                let name = |class: u32| {
                    names
                        .get(class as usize)
                        .with_context(|| format!("class {class} of {} classes", names.len()))
                };
                classes(&mut csv, [name(label)?, name(predicted(row.outputs))?], &row)?;
            }
            Target::Set(truth) => classes(
                &mut csv,
                [&labels(names, truth, "|"), &labels(names, row.outputs, "|")],
                &row,
            )?,
            Target::Numbers(truth) => {
                for number in truth.iter().zip(row.outputs).flat_map(|(truth, said)| [truth, said])
                {
                    csv.write_field(number.to_string())?;
                }
            }
        }
        csv.write_record(None::<&[u8]>)?;
    }
    csv.into_inner()?.sync_all()?;
    Ok(())
}

fn head(plan: &Plan, names: &[String]) -> Vec<String> {
    let input = plan.task.modality.noun();
    let mut head = vec!["file".into(), "line".into(), input.into()];
    if plan.data.problem == Answer::Numbers {
        head.extend(
            names.iter().flat_map(|it| [harmless(it).into_owned(), format!("predicted_{it}")]),
        );
    } else {
        head.extend(["label", "predicted", "correct"].map(str::to_owned));
        head.extend(names.iter().map(|it| format!("p_{it}")));
    }
    head
}

fn classes(
    csv: &mut csv::Writer<impl Write>,
    [truth, said]: [&str; 2],
    row: &Prediction,
) -> csv::Result<()> {
    csv.write_field(harmless(truth).as_bytes())?;
    csv.write_field(harmless(said).as_bytes())?;
    csv.write_field(if degree(row, &[]).is_none() { "true" } else { "false" })?;
    row.outputs.iter().try_for_each(|it| csv.write_field(it.to_string()))
}

/// The classes that are said, or true.
fn labels(names: &[String], values: &[f32], between: &str) -> String {
    let there = names.iter().zip(values).filter(|it| is_said(*it.1)).map(|it| it.0.as_str());
    there.collect::<Vec<_>>().join(between)
}

fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err() {
        return Cow::Owned(format!("'{cell}"));
    }
    Cow::Borrowed(cell)
}

/// The mistakes that the model was surest of, of numbers the largest errors, the worst first, at
/// most `keep`; equal ones as they come. `names`: of the outputs.
pub fn worst_mistakes<'a>(
    names: &[String],
    rows: impl IntoIterator<Item = Prediction<'a>>,
    keep: usize,
) -> Vec<Mistake> {
    let rows: Vec<Prediction> = rows.into_iter().collect();
    let deviations = deviations(&rows, names.len());
    let mut wrong: Vec<(usize, f64)> = rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| Some((index, degree(row, &deviations)?)))
        .collect();
    wrong.sort_by(|a, b| b.1.total_cmp(&a.1));
    wrong.truncate(keep);
    let shown = |(index, degree): (usize, f64)| {
        let row = &rows[index];
        let [truth, predicted] = words(names, row);
        Mistake {
            index,
            input: row.input.into(),
            truth,
            predicted,
            degree,
            file: row.file.into(),
            line: row.line,
            thumbnail: None,
        }
    };
    wrong.into_iter().map(shown).collect()
}

/// Standard deviation of each true number; 1 where it does not vary.
fn deviations(rows: &[Prediction], width: usize) -> Vec<f64> {
    let of = |number: usize| {
        let values = || {
            rows.iter().filter_map(|it| {
                if let Target::Numbers(row) = it.truth {
                    row.get(number).map(|it| f64::from(*it))
                } else {
                    None
                }
            })
        };
        let n = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / n;
        let deviation = (values().map(|it| (it - mean).powi(2)).sum::<f64>() / n).sqrt();
        if deviation == 0.0 { 1.0 } else { deviation }
    };
    (0..width).map(of).collect()
}

/// How bad a mistake is, see [`Mistake::degree`]; nothing where all is right.
fn degree(row: &Prediction, deviations: &[f64]) -> Option<f64> {
    match row.truth {
        Target::Class(label) => {
            let said = predicted(row.outputs);
            (said != label).then(|| f64::from(row.outputs[said as usize]))
        }
        Target::Set(truth) => {
            let wrong =
                truth.iter().zip(row.outputs).filter(|(truth, p)| is_said(**truth) != is_said(**p));
            wrong.map(|(_, &p)| f64::from(if is_said(p) { p } else { 1.0 - p })).reduce(f64::max)
        }
        Target::Numbers(truth) => {
            let errors = truth
                .iter()
                .zip(row.outputs)
                .zip(deviations)
                .map(|((truth, said), deviation)| f64::from((said - truth).abs()) / deviation);
            errors.reduce(f64::max).filter(|it| *it != 0.0)
        }
    }
}

/// What is true and what was said.
fn words(names: &[String], row: &Prediction) -> [String; 2] {
    let name = |class: u32| names.get(class as usize).cloned().unwrap_or_else(|| class.to_string());
    let set = |values: &[f32]| match labels(names, values, " | ") {
        none if none.is_empty() => "no label".into(),
        some => some,
    };
    let numbers = |values: &[f32]| match values {
        [only] => short(*only),
        _ => names
            .iter()
            .zip(values)
            .map(|(name, it)| format!("{name} {}", short(*it)))
            .collect::<Vec<_>>()
            .join(", "),
    };
    match row.truth {
        Target::Class(label) => [name(label), name(predicted(row.outputs))],
        Target::Set(truth) => [set(truth), set(row.outputs)],
        Target::Numbers(truth) => [numbers(truth), numbers(row.outputs)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::Told;
    use finetuned_job::task::{Modality, Task};

    fn classes() -> Vec<String> {
        vec!["-1".into(), "=good".into()]
    }

    fn written<'a>(plan: &Plan, rows: impl IntoIterator<Item = Prediction<'a>>) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        predictions_csv(&path, plan, rows)?;
        Ok(std::fs::read_to_string(&path).unwrap())
    }

    fn plan(modality: Modality, answer: Answer, names: Vec<String>) -> Plan {
        let mut plan = Told::tweets().plan;
        plan.task = Task::of(modality, answer).unwrap();
        plan.data.problem = answer;
        plan.data.classes = Vec::new();
        *if answer == Answer::Numbers { &mut plan.data.numbers } else { &mut plan.data.classes } =
            names;
        plan
    }

    fn row<'a>(text: &'a str, label: u32, probabilities: &'a [f32], line: u64) -> Prediction<'a> {
        Prediction {
            input: text,
            truth: Target::Class(label),
            outputs: probabilities,
            file: "a.csv",
            line: Some(line),
        }
    }

    #[test]
    fn formulas_are_made_harmless_and_numbers_are_left_alone() {
        let rows = [
            row("=HYPERLINK(\"http://x\")", 0, &[0.75, 0.25], 2),
            row("fine, \"quoted\"\nand two lines", 1, &[0.5, 0.5], 3),
            Prediction { line: None, ..row("@you", 1, &[0.0, 1.0], 0) },
        ];
        expect_test::expect![[r#"
            file,line,text,label,predicted,correct,p_-1,p_=good
            a.csv,2,"'=HYPERLINK(""http://x"")",-1,-1,true,0.75,0.25
            a.csv,3,"fine, ""quoted""
            and two lines",'=good,-1,false,0.5,0.5
            a.csv,,'@you,'=good,'=good,true,0,1
        "#]]
        .assert_eq(&written(&plan(Modality::Text, Answer::Class, classes()), rows).unwrap());
    }

    #[test]
    fn labels_are_joined_and_numbers_stand_beside_what_is_said() {
        let of = |truth, outputs| Prediction {
            input: "=1/a.png",
            truth,
            outputs,
            file: "train.parquet",
            line: Some(7),
        };
        let (several, none) = ([0.5, 0.9], [0.1, 0.25]);
        let rows =
            [of(Target::Set(&[1.0, 1.0]), &several[..]), of(Target::Set(&[0.0, 1.0]), &none)];
        expect_test::expect![[r#"
            file,line,image,label,predicted,correct,p_-1,p_=good
            train.parquet,7,'=1/a.png,'-1|=good,'-1|=good,true,0.5,0.9
            train.parquet,7,'=1/a.png,'=good,,false,0.1,0.25
        "#]]
        .assert_eq(&written(&plan(Modality::Image, Answer::Classes, classes()), rows).unwrap());
        expect_test::expect![[r#"
            file,line,image,-1,predicted_-1,'=good,predicted_=good
            train.parquet,7,'=1/a.png,-2.5,-2.25,1000000,999999.5
        "#]]
        .assert_eq(
            &written(
                &plan(Modality::Image, Answer::Numbers, classes()),
                [of(Target::Numbers(&[-2.5, 1e6]), &[-2.25, 999_999.5])],
            )
            .unwrap(),
        );
    }

    #[test]
    fn the_surest_mistakes_come_first() {
        let (sure, unsure, tie, right) = ([0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.1, 0.9]);
        let rows = [
            row("unsure", 1, &unsure, 1),
            row("right", 1, &right, 2),
            row("sure", 1, &sure, 3),
            row("tie", 1, &tie, 4),
        ];
        let texts = |keep| {
            worst_mistakes(&classes(), rows, keep)
                .into_iter()
                .map(|it| it.input)
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(9), ["sure", "unsure", "tie"]);
        assert_eq!(texts(2), ["sure", "unsure"]);
        assert_eq!(texts(0), Vec::<String>::new());
    }

    #[test]
    fn a_label_beyond_the_classes_is_an_error_that_names_the_file() {
        let error =
            written(&plan(Modality::Text, Answer::Class, classes()), [row("x", 5, &[1.0, 0.0], 1)])
                .unwrap_err();
        assert!(
            format!("{error:#}").ends_with("predictions.csv: class 5 of 2 classes"),
            "{error:#}"
        );
    }

    #[test]
    fn the_surest_wrong_label_and_the_largest_error_for_its_kind_come_first() {
        let set = |truth, outputs, line| Prediction {
            input: "",
            truth: Target::Set(truth),
            outputs,
            file: "",
            line: Some(line),
        };
        let (missed, unsure, right) = ([0.02, 0.6], [0.6, 0.4], [0.2, 0.9]);
        let rows = [
            set(&[0.0, 0.0], &unsure, 1),
            set(&[1.0, 1.0], &missed, 2),
            set(&[0.0, 1.0], &right, 3),
        ];
        let found = worst_mistakes(&classes(), rows, 9);
        let seen: Vec<_> = found
            .iter()
            .map(|it| {
                (it.index, it.truth.as_str(), it.predicted.as_str(), (it.degree * 100.0).round())
            })
            .collect();
        assert_eq!(seen, [(1, "-1 | =good", "=good", 98.0), (0, "no label", "-1", 60.0)]);

        // An error of 3 is large for the first number, whose deviation is 1, and small for the
        // second, of 100.
        let numbers = |truth, outputs| Prediction {
            input: "",
            truth: Target::Numbers(truth),
            outputs,
            file: "",
            line: None,
        };
        let rows = [
            numbers(&[1.0, 100.0], &[1.0, 100.0]),
            numbers(&[3.0, 300.0], &[3.0, 303.0]),
            numbers(&[1.0, 100.0], &[4.0, 100.0]),
            numbers(&[3.0, 300.0], &[3.0, 300.0]),
        ];
        let found = worst_mistakes(&classes(), rows, 9);
        assert_eq!(
            found.iter().map(|it| (it.index, it.degree)).collect::<Vec<_>>(),
            [(2, 3.0), (1, 0.03)]
        );
        assert_eq!(
            (found[0].truth.as_str(), found[0].predicted.as_str()),
            ("-1 1, =good 100", "-1 4, =good 100")
        );
    }
}
