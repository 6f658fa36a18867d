//! Decides how predictions are written for spreadsheets and programs, and which mistakes are worth
//! a look.
//!
//! A text, a class or a file name that starts as a formula does in a spreadsheet (`=`, `+`, `-`,
//! `@`, tab, carriage return) gets an apostrophe in front, unless it is a plain number: texts come
//! from strangers, and a formula can send the sheet's content away (OWASP, CSV Injection). Whoever
//! needs the untouched text finds it by file and line in the drop.

use anyhow::{Context, Result, ensure};
use finetuned_answers::{AnswerKind, Input, Predictions, Segment, Target};
use finetuned_job::plan::Plan;
use std::borrow::Cow;
use std::path::Path;

/// Mistakes that the report shows.
pub const MISTAKES_SHOWN: usize = 20;

/// An example, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub input: Input<'a>,
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
    pub target: String,
    pub predicted: String,
    /// As [`AnswerKind::degrees`].
    pub degree: f64,
    pub file: String,
    pub line: Option<u64>,
    /// As [`AnswerKind::marked`].
    pub marked: Vec<Segment>,
    /// A small image of the example as PNG, where the caller has one.
    pub thumbnail: Option<Vec<u8>>,
}

/// Writes one row for each prediction: file, line, then `text` or `image`, then what the kind of
/// answer has: `label`, `predicted`, `correct` and `p_CLASS` for classes, say. UTF-8, RFC 4180.
///
/// # Errors
/// The file can't be written; targets and predictions are not of the plan's outputs.
pub fn predictions_csv<'a>(
    path: &Path,
    (plan, answer): (&Plan, &dyn AnswerKind),
    targets: &[Target],
    predictions: &Predictions,
    origin: impl Fn(usize) -> Origin<'a>,
) -> Result<()> {
    write_csv(path, (plan, answer), targets, predictions, origin)
        .with_context(|| format!("writing {}", path.display()))
}

fn write_csv<'a>(
    path: &Path,
    (plan, answer): (&Plan, &dyn AnswerKind),
    targets: &[Target],
    predictions: &Predictions,
    origin: impl Fn(usize) -> Origin<'a>,
) -> Result<()> {
    let (width, outputs) = (predictions.width(), answer.width());
    ensure!(width == outputs, "{width} outputs for {outputs}");
    let (rows, examples) = (predictions.len(), targets.len());
    ensure!(rows == examples, "{rows} predictions for {examples} targets");
    let mut csv = csv::Writer::from_path(path)?;
    let place = ["file", "line", plan.task.modality.noun()].map(str::to_owned);
    csv.write_record(place.iter().chain(&answer.columns()).map(|it| harmless(it).into_owned()))?;
    for (example, target) in targets.iter().enumerate() {
        let Origin { input, file, line } = origin(example);
        let line = line.map(|it| it.to_string()).unwrap_or_default();
        let place = [file.to_owned(), line, input.text.to_owned()];
        let cells = answer.cells(&input, target, predictions.of(example));
        csv.write_record(place.iter().chain(&cells).map(|it| harmless(it).into_owned()))?;
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

/// The mistakes of the highest degree, the worst first, at most `keep`; equal ones as they come.
pub fn worst_mistakes<'a>(
    answer: &dyn AnswerKind,
    targets: &[Target],
    predictions: &Predictions,
    origin: impl Fn(usize) -> Origin<'a>,
    keep: usize,
) -> Vec<Mistake> {
    let degrees = answer.degrees(predictions, targets).into_iter().enumerate();
    let mut wrong: Vec<(usize, f64)> =
        degrees.filter_map(|(index, degree)| Some((index, degree?))).collect();
    wrong.sort_by(|a, b| b.1.total_cmp(&a.1));
    wrong.truncate(keep);
    let shown = |(index, degree): (usize, f64)| {
        let Origin { input, file, line } = origin(index);
        Mistake {
            index,
            input: input.text.into(),
            target: answer.target_words(&input, &targets[index]),
            predicted: answer.prediction_words(&input, predictions.of(index)),
            degree,
            file: file.into(),
            line,
            marked: answer.marked(&input, &targets[index], predictions.of(index)),
            thumbnail: None,
        }
    };
    wrong.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::SampleRun;
    use finetuned_job::task::{Answer, Modality, Task};

    fn classes() -> Vec<String> {
        vec!["-1".into(), "=good".into()]
    }

    fn plan(modality: Modality, answer: Answer) -> Plan {
        let mut plan = SampleRun::tweets().plan;
        plan.task = Task::of(modality, answer).unwrap();
        plan.data.problem = answer;
        plan.data.classes = Vec::new();
        *if answer == Answer::Numbers { &mut plan.data.numbers } else { &mut plan.data.classes } =
            classes();
        plan
    }

    /// The plan's columns for these texts, targets and rows of two outputs, all at line 7.
    fn written(plan: &Plan, texts: &[&str], targets: &[Target], values: &[f32]) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let predictions = Predictions::one_row_each(2, values.to_vec());
        let answer = finetuned_answers::of(plan.data.problem, plan.data.outputs());
        predictions_csv(&path, (plan, &*answer), targets, &predictions, |it| origin(texts[it]))?;
        Ok(std::fs::read_to_string(&path).unwrap())
    }

    fn origin(text: &str) -> Origin<'_> {
        let line = (!text.starts_with('@')).then_some(7);
        Origin { input: Input { text, words: &[] }, file: "a.csv", line }
    }

    fn of_classes(classes: &[&[u32]]) -> Vec<Target> {
        classes.iter().map(|it| Target::of_classes(*it)).collect()
    }

    fn mistakes(answer: Answer, targets: &[Target], values: &[f32], keep: usize) -> Vec<Mistake> {
        let predictions = Predictions::one_row_each(2, values.to_vec());
        let answer = finetuned_answers::of(answer, &classes());
        worst_mistakes(&*answer, targets, &predictions, |_| origin(""), keep)
    }

    #[test]
    fn formulas_are_made_harmless_and_numbers_are_left_alone() {
        let texts = ["=HYPERLINK(\"http://x\")", "fine, \"quoted\"\nand two lines", "@you"];
        let targets = of_classes(&[&[0], &[1], &[1]]);
        let values = [0.75, 0.25, 0.5, 0.5, 0.0, 1.0];
        expect_test::expect![[r#"
            file,line,text,label,predicted,correct,p_-1,p_=good
            a.csv,7,"'=HYPERLINK(""http://x"")",-1,-1,true,0.75,0.25
            a.csv,7,"fine, ""quoted""
            and two lines",'=good,-1,false,0.5,0.5
            a.csv,,'@you,'=good,'=good,true,0,1
        "#]]
        .assert_eq(
            &written(&plan(Modality::Text, Answer::Class), &texts, &targets, &values).unwrap(),
        );
    }

    #[test]
    fn labels_are_joined_and_numbers_stand_beside_what_is_predicted() {
        let texts = ["=1/a.png"; 2];
        let targets = of_classes(&[&[0, 1], &[1]]);
        let classes = plan(Modality::Image, Answer::Classes);
        expect_test::expect![[r#"
            file,line,image,label,predicted,correct,p_-1,p_=good
            a.csv,7,'=1/a.png,'-1|=good,'-1|=good,true,0.5,0.9
            a.csv,7,'=1/a.png,'=good,,false,0.1,0.25
        "#]]
        .assert_eq(&written(&classes, &texts, &targets, &[0.5, 0.9, 0.1, 0.25]).unwrap());
        let numbers = plan(Modality::Image, Answer::Numbers);
        let targets = [Target::of_numbers([-2.5, 1e6])];
        expect_test::expect![[r#"
            file,line,image,-1,predicted_-1,'=good,predicted_=good
            a.csv,7,'=1/a.png,-2.5,-2.25,1000000,999999.5
        "#]]
        .assert_eq(&written(&numbers, &texts, &targets, &[-2.25, 999_999.5]).unwrap());
    }

    #[test]
    fn what_does_not_fit_the_plan_is_an_error_that_names_the_file() {
        let plan = plan(Modality::Text, Answer::Class);
        let error = written(&plan, &["x"], &of_classes(&[&[0]]), &[0.5; 4]).unwrap_err();
        assert!(
            format!("{error:#}").ends_with("predictions.csv: 2 predictions for 1 targets"),
            "{error:#}"
        );
    }

    #[test]
    fn the_surest_mistakes_come_first() {
        let values = [0.6, 0.4, 0.1, 0.9, 0.9, 0.1, 0.6, 0.4];
        let found = |keep| {
            let all = mistakes(Answer::Class, &of_classes(&[&[1][..]; 4]), &values, keep);
            all.iter().map(|it| it.index).collect::<Vec<_>>()
        };
        assert_eq!(found(9), [2, 0, 3]);
        assert_eq!(found(2), [2, 0]);
        assert!(found(0).is_empty());
    }

    #[test]
    fn the_surest_wrong_label_and_the_largest_error_for_its_kind_come_first() {
        let targets = of_classes(&[&[], &[0, 1], &[1]]);
        let found = mistakes(Answer::Classes, &targets, &[0.6, 0.4, 0.02, 0.6, 0.2, 0.9], 9);
        let seen: Vec<_> = found
            .iter()
            .map(|it| {
                (it.index, it.target.as_str(), it.predicted.as_str(), (it.degree * 100.0).round())
            })
            .collect();
        assert_eq!(seen, [(1, "-1 | =good", "=good", 98.0), (0, "no label", "-1", 60.0)]);

        // An error of 3 is large for the first number, whose deviation is 1, and small for the
        // second, of 100.
        let targets = [[1.0, 100.0], [3.0, 300.0], [1.0, 100.0], [3.0, 300.0]];
        let targets = targets.map(Target::of_numbers);
        let values = [1.0, 100.0, 3.0, 303.0, 4.0, 100.0, 3.0, 300.0];
        let found = mistakes(Answer::Numbers, &targets, &values, 9);
        assert_eq!(
            found.iter().map(|it| (it.index, it.degree)).collect::<Vec<_>>(),
            [(2, 3.0), (1, 0.03)]
        );
        assert_eq!(
            (found[0].target.as_str(), found[0].predicted.as_str()),
            ("-1 1, =good 100", "-1 4, =good 100")
        );
    }
}
