//! Numbers made by tests/data/make_scores.py with scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1,
//! and by tests/data/make_answers.py.

use super::*;
use finetuned_job::scores::{Scores, Split};
use finetuned_job::task::Answer;
use finetuned_job::task::Metrics;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
    sets: Vec<SetCase>,
    numbers: Vec<NumberCase>,
}

/// One label.
#[derive(Deserialize)]
struct Case {
    name: String,
    classes: usize,
    labels: Vec<u32>,
    probabilities: Vec<f32>,
    expected: Expected,
    intervals: Intervals,
}

#[derive(Deserialize)]
struct Expected {
    metrics: BTreeMap<String, f64>,
    per_class: Vec<PerClass>,
    confusion: Vec<Vec<u64>>,
}

#[derive(Deserialize)]
struct SetCase {
    name: String,
    classes: usize,
    target: Vec<f32>,
    probabilities: Vec<f32>,
    metrics: BTreeMap<String, f64>,
    per_class: Vec<PerClass>,
    intervals: Intervals,
}

#[derive(Deserialize)]
struct NumberCase {
    name: String,
    numbers: usize,
    target: Vec<f32>,
    predicted: Vec<f32>,
    metrics: BTreeMap<String, f64>,
    /// MAE, RMSE, R2
    per_number: Vec<[f64; 3]>,
    intervals: Intervals,
}

/// Precision, recall, F1, support, average precision.
type PerClass = [f64; 5];
type Intervals = BTreeMap<String, (f64, f64)>;

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("../tests/data/scores.json")).unwrap()
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|it| format!("class {it}")).collect()
}

fn one_class(classes: &[u32]) -> Vec<Target> {
    classes.iter().map(|it| Target::of_classes([*it])).collect()
}

/// Of rows of 0 and 1.
fn sets(classes: usize, rows: &[f32]) -> Vec<Target> {
    let set = |row: &[f32]| {
        let there = (0..).zip(row).filter(|it| *it.1 == 1.0).map(|it| it.0);
        Target::of_classes(there.collect::<Vec<u32>>())
    };
    rows.chunks(classes).map(set).collect()
}

fn numbers(width: usize, rows: &[f32]) -> Vec<Target> {
    let target =
        |row: &[f32]| Target::of_numbers(row.iter().map(|it| f64::from(*it)).collect::<Vec<_>>());
    rows.chunks(width).map(target).collect()
}

fn tried(
    answer: Answer,
    width: usize,
    outputs: &[f32],
    targets: &[Target],
    losses: &[f64],
    intervals_for: &[&str],
) -> Result<Scores, ScoresError> {
    let predictions = &Predictions::one_row_each(width, outputs.to_vec());
    let answer = of(answer, &names(width));
    let of = Scored { split: Split::Test, predictions, targets, losses };
    answer.scores(&of, intervals_for, 0)
}

/// The cross-entropy of what is true with this probability.
fn surprise(probability: f32) -> f64 {
    -f64::from(probability.max(f32::from_bits(1))).ln()
}

/// As torch's losses have them.
fn losses(answer: Answer, width: usize, outputs: &[f32], targets: &[Target]) -> Vec<f64> {
    let loss = |(row, target): (&[f32], &Target)| match answer {
        Answer::Class | Answer::Tags => surprise(row[target.classes()[0] as usize]),
        Answer::Classes => {
            let of = |(class, p): (u32, &f32)| {
                surprise(if target.classes().contains(&class) { *p } else { 1.0 - p })
            };
            (0..).zip(row).map(of).sum::<f64>() / width as f64
        }
        Answer::Numbers => {
            let pairs = row.iter().zip(target.numbers());
            pairs.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>() / width as f64
        }
        Answer::Tokens | Answer::Reward => f64::from(row[1]),
        Answer::Completion => -f64::from(row[0]),
    };
    outputs.chunks(width).zip(targets).map(loss).collect()
}

fn scored(
    answer: Answer,
    width: usize,
    outputs: &[f32],
    targets: &[Target],
    intervals_for: &[&str],
) -> Scores {
    let losses = losses(answer, width, outputs, targets);
    tried(answer, width, outputs, targets, &losses, intervals_for).unwrap()
}

impl SetCase {
    fn scores(&self, intervals_for: &[&str]) -> Scores {
        let targets = sets(self.classes, &self.target);
        scored(Answer::Classes, self.classes, &self.probabilities, &targets, intervals_for)
    }
}

impl NumberCase {
    fn scores(&self, intervals_for: &[&str]) -> Scores {
        let targets = numbers(self.numbers, &self.target);
        scored(Answer::Numbers, self.numbers, &self.predicted, &targets, intervals_for)
    }
}

impl Case {
    fn scores(&self, intervals_for: &[&str]) -> Scores {
        let targets = one_class(&self.labels);
        scored(Answer::Class, self.classes, &self.probabilities, &targets, intervals_for)
    }
}

#[track_caller]
fn near(found: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((found - wanted).abs() <= tolerance, "{what}: {found}, wanted {wanted}");
}

#[track_caller]
fn equal(name: &str, found: &Scores, metrics: &BTreeMap<String, f64>, per_class: &[PerClass]) {
    assert_eq!(found.metrics.keys().collect::<Vec<_>>(), metrics.keys().collect::<Vec<_>>());
    for (metric, &wanted) in metrics {
        near(found.metrics[metric], wanted, 1e-12, &format!("{name}, {metric}"));
    }
    assert_eq!(found.per_class.len(), per_class.len());
    for (it, wanted) in found.per_class.iter().zip(per_class) {
        let found =
            [it.precision, it.recall, it.f1, it.support as f64, it.average_precision.unwrap()];
        found.into_iter().zip(*wanted).for_each(|(found, wanted)| {
            near(found, wanted, 1e-12, &format!("{name}, {}", it.class))
        });
    }
}

#[track_caller]
fn within_noise(name: &str, examples: usize, found: &Scores, wanted: &Intervals) {
    assert!(!wanted.is_empty());
    for (metric, &(low, high)) in wanted {
        let found = &found.intervals[metric];
        // The standard error of a 2.5 % point from 1,000 draws is about 7 % of the half width, and
        // the accuracy moves in steps of one example.
        let noise =
            0.12 * (high - low) + if metric == "accuracy" { 1.0 / examples as f64 } else { 0.0 };
        near(found.low, low, noise, &format!("{name}, {metric}, low"));
        near(found.high, high, noise, &format!("{name}, {metric}, high"));
    }
}

#[test]
fn every_metric_of_one_label_equals_scikit_learn() {
    for case in fixtures().cases {
        let scores = case.scores(&[]);
        equal(&case.name, &scores, &case.expected.metrics, &case.expected.per_class);
        assert_eq!(scores.confusion, case.expected.confusion, "{}", case.name);
    }
}

#[test]
fn every_metric_of_several_labels_equals_scikit_learn() {
    for case in fixtures().sets {
        let scores = case.scores(&[]);
        equal(&case.name, &scores, &case.metrics, &case.per_class);
        assert!(scores.confusion.is_empty());
    }
}

#[test]
fn every_metric_of_numbers_equals_scikit_learn() {
    for case in fixtures().numbers {
        let mut scores = case.scores(&[]);
        scores.metrics.retain(|it, _| !["pearson", "spearman"].contains(&it.as_str()));
        equal(&case.name, &scores, &case.metrics, &[]);
        for (found, [mae, rmse, r2]) in scores.per_number.iter().zip(case.per_number) {
            near(found.mae, mae, 1e-12, &case.name);
            near(found.rmse, rmse, 1e-12, &case.name);
            near(found.r2, r2, 1e-12, &case.name);
        }
    }
}

#[test]
fn intervals_equal_scipys_bootstrap_within_its_noise() {
    let Fixtures { cases, sets, numbers } = fixtures();
    for case in cases.iter().filter(|it| !it.intervals.is_empty()) {
        within_noise(
            &case.name,
            case.labels.len(),
            &case.scores(&["accuracy", "macro_f1", "macro_average_precision"]),
            &case.intervals,
        );
    }
    let case = &sets[0];
    let found = case.scores(&["accuracy", "macro_average_precision"]);
    within_noise(&case.name, case.target.len() / case.classes, &found, &case.intervals);
    let case = &numbers[0];
    let found = case.scores(Metrics::of(Answer::Numbers).known);
    within_noise(&case.name, case.target.len() / case.numbers, &found, &case.intervals);
}

#[test]
fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
    let labels: Vec<u32> = (0..50).map(|it| it % 3).collect();
    let predicted: Vec<f32> = (0..50)
        .flat_map(|it| if it % 2 == 0 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] })
        .collect();
    let of = |seed| {
        let predictions = Predictions::one_row_each(3, predicted.clone());
        let targets = one_class(&labels);
        let answer = super::of(Answer::Class, &names(3));
        let metrics = ["macro_f1", "loss"];
        let losses = vec![0.5; targets.len()];
        let (split, predictions, targets) = (Split::Test, &predictions, &targets[..]);
        let of = Scored { split, predictions, targets, losses: &losses };
        answer.scores(&of, &metrics, seed).unwrap().intervals
    };
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
    // Written down so that a change of generator, or of how it is used, does not pass unseen.
    expect_test::expect!["0.19044363044363047 0.3666723874904653"].assert_eq(&format!(
        "{} {}",
        of(7)["macro_f1"].low,
        of(7)["macro_f1"].high
    ));
}

#[test]
fn recipe_metrics_all_have_a_value() {
    let Fixtures { cases, sets, numbers } = fixtures();
    let fifty = cases.iter().find(|it| 5 < it.classes).unwrap();
    let (set, number) = (&sets[0], &numbers[0]);
    let all = [
        (Metrics::of(Answer::Class).known, fifty.scores(Metrics::of(Answer::Class).known)),
        (Metrics::of(Answer::Classes).known, set.scores(Metrics::of(Answer::Classes).known)),
        (Metrics::of(Answer::Numbers).known, number.scores(Metrics::of(Answer::Numbers).known)),
    ];
    for (metrics, scores) in all {
        for metric in metrics {
            assert!(value(&scores, metric).is_some(), "{metric}");
            let interval = &scores.intervals[*metric];
            assert!(interval.low <= interval.high, "{metric}");
            let value = value(&scores, metric).unwrap();
            assert!(
                interval.low <= value && value <= interval.high,
                "{metric}: {value} {interval:?}"
            );
        }
        assert_eq!(value(&scores, "bleu"), None);
    }
    let targets = one_class(&fifty.labels);
    let losses: Vec<f64> = (0..targets.len()).map(|it| (it % 2) as f64).collect();
    let made_up =
        tried(Answer::Class, fifty.classes, &fifty.probabilities, &targets, &losses, &["loss"]);
    let made_up = made_up.unwrap();
    assert_eq!(value(&made_up, "loss"), Some(0.5));
    assert!(made_up.intervals["loss"].low < 0.5 && 0.5 < made_up.intervals["loss"].high);
    assert!(higher_is_better("macro_f1") && higher_is_better("r2"));
    assert!(["loss", "mae", "rmse"].iter().all(|it| !higher_is_better(it)));
}

#[test]
fn unusable_input_is_an_error_and_never_a_score() {
    let refused = |answer, outputs: &[f32], targets: &[Target], loss, message: &str| {
        let losses = vec![loss; targets.len()];
        let error = tried(answer, 2, outputs, targets, &losses, &[]).unwrap_err();
        assert_eq!(error.to_string(), message);
    };
    let class = |outputs: &[f32], targets: &[u32], loss, message: &str| {
        refused(Answer::Class, outputs, &one_class(targets), loss, message)
    };
    class(&[], &[], 0.1, "nothing to score: the test split has no examples");
    let shape = "1 predictions of 2 outputs do not fit 2 targets of 2";
    class(&[0.5, 0.5, 0.5], &[0, 1], 0.1, shape);
    class(&[0.5, 0.5], &[2], 0.1, "example 0 has the label 2, but there are 2 classes");
    let unusable = "is no probability; the model's outputs are unusable";
    class(&[0.5, 0.5, f32::NAN, 0.5], &[0, 0], 0.1, &format!("example 1: NaN {unusable}"));
    class(&[-3.0, 4.0], &[0], 0.1, &format!("example 0: -3 {unusable}"));
    class(&[0.5, 0.5], &[0], f64::NAN, "the loss is NaN; the model's outputs are unusable");
    class(&[0.5, 0.5], &[0], f64::INFINITY, "the loss is inf; the model's outputs are unusable");
    let kind = "example 0 has a target of another kind than the task's";
    let two = [Target::of_classes([0, 1])];
    refused(Answer::Class, &[0.5, 0.5], &two, 0.1, kind);
    refused(Answer::Classes, &[0.5, 0.5], &[Target::of_classes([1, 1])], 0.1, kind);
    refused(Answer::Numbers, &[0.5, 0.5], &two, 0.1, kind);
    refused(Answer::Class, &[0.5, 0.5], &[Target::of_numbers([1.0])], 0.1, kind);
    let nan = [Target::of_numbers([1.0, f64::NAN])];
    let message = "example 0 has the target NaN, which is no number to learn";
    refused(Answer::Numbers, &[0.5, 0.5], &nan, 0.1, message);
    let one = [Target::of_numbers([1.0, 1.0])];
    let message = "example 0: the model gives inf; its outputs are unusable";
    refused(Answer::Numbers, &[f32::INFINITY, 0.5], &one, 0.1, message);
    let unknown = tried(Answer::Class, 1, &[1.0], &one_class(&[0]), &[0.1], &["bleu"]);
    assert_eq!(unknown, Err(ScoresError::Metric("bleu".into())));
    let few = tried(Answer::Class, 5, &[0.2; 5], &one_class(&[0]), &[0.1], &["top5_accuracy"]);
    assert_eq!(few, Err(ScoresError::Metric("top5_accuracy".into())));
}

#[test]
fn the_baseline_is_the_training_majority_scored_on_other_labels() {
    // Class 1 is the majority of the training split but not of the labels that it is scored on.
    let train = one_class(&[0, 1, 1, 1, 2, 2, 2]);
    let baseline =
        |classes, targets: &[Target]| of(Answer::Class, &names(classes)).baseline(&train, targets);
    let found = baseline(3, &one_class(&[0, 0, 1, 2])).unwrap().unwrap();
    assert_eq!(found.answer, "class 1");
    near(found.metrics["accuracy"], 0.25, 1e-12, "accuracy");
    // sklearn.metrics.f1_score([0, 0, 1, 2], [1, 1, 1, 1], average="macro") = 0.4 / 3
    near(found.metrics["macro_f1"], 0.4 / 3.0, 1e-12, "macro_f1");
    // Of equal probabilities the precision is the share: (0.5 + 0.25 + 0.25) / 3.
    near(found.metrics["macro_average_precision"], 1.0 / 3.0, 1e-12, "macro_average_precision");
    assert!(!found.metrics.contains_key("loss"));
    assert!(baseline(2, &one_class(&[0])).is_err());
    assert!(baseline(3, &one_class(&[7])).is_err());
}

#[test]
fn the_baseline_of_top_5_is_the_five_most_frequent_classes() {
    let train = one_class(&[0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    let found = of(Answer::Class, &names(6)).baseline(&train, &one_class(&[0, 1, 2, 3, 4, 5]));
    let found = found.unwrap().unwrap();
    assert_eq!(found.answer, "class 1");
    near(found.metrics["top5_accuracy"], 5.0 / 6.0, 1e-12, "top5_accuracy");
}

#[test]
fn the_baseline_of_labels_is_those_that_half_of_the_examples_have() {
    let train = sets(3, &[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
    let targets = sets(3, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    let found = of(Answer::Classes, &names(3)).baseline(&train, &targets).unwrap().unwrap();
    assert_eq!(found.answer, "class 0, class 2");
    near(found.metrics["accuracy"], 0.5, 1e-12, "accuracy");
    let none = of(Answer::Classes, &names(1));
    let none = none.baseline(&sets(1, &[0.0, 0.0, 1.0]), &sets(1, &[0.0])).unwrap().unwrap();
    assert_eq!(none.answer, "no label");
}

#[test]
fn the_baseline_of_numbers_is_their_means() {
    let train = numbers(2, &[1.0, 0.0, 2.0, 1000.0, 6.0, 2500.0]);
    let targets = numbers(2, &[3.0, 1000.0, 5.0, 2000.0]);
    let two = of(Answer::Numbers, &["age".into(), "weight".into()]);
    let found = two.baseline(&train, &targets).unwrap().unwrap();
    assert_eq!(found.answer, "age 3, weight 1167");
    near(found.metrics["mae"], (1.0 + 500.0) / 2.0, 1e-3, "mae");
    assert_eq!(found.metrics["pearson"], 0.0);
    let one = of(Answer::Numbers, &["age".into()]);
    let found = one.baseline(&numbers(1, &[0.1, 0.2]), &numbers(1, &[1.0])).unwrap().unwrap();
    assert_eq!(found.answer, "0.15");
}

#[test]
fn numbers_are_shortened_to_the_digits_that_count() {
    assert_eq!(
        [0.0, 2.71234, -0.000_523_4, 12_745.6, 1e-20].map(short),
        ["0", "2.712", "-0.0005234", "12746", "0"]
    );
}

#[derive(Deserialize)]
struct Correlation {
    name: String,
    targets: Vec<f64>,
    predictions: Vec<f32>,
    pearson: Option<f64>,
    spearman: Option<f64>,
}

#[test]
fn correlations_equal_scipy_and_are_0_of_what_does_not_vary() {
    let cases: Vec<Correlation> =
        serde_json::from_str(include_str!("../tests/data/correlations.json")).unwrap();
    assert!(cases.iter().any(|it| it.pearson.is_none()));
    for case in cases {
        let targets: Vec<Target> =
            case.targets.iter().map(|it| Target::of_numbers([*it])).collect();
        let found = scored(Answer::Numbers, 1, &case.predictions, &targets, &[]).metrics;
        // Predictions are f32, which rounds those far from 0 to sixteenths.
        let rounding = if case.name == "far from 0" { 2e-3 } else { 1e-6 };
        near(found["pearson"], case.pearson.unwrap_or(0.0), rounding, &case.name);
        near(found["spearman"], case.spearman.unwrap_or(0.0), rounding, &case.name);
    }
}

#[derive(Deserialize)]
struct Precision {
    name: String,
    targets: Vec<u32>,
    probabilities: Vec<Vec<f32>>,
    average_precision: AveragePrecision,
}

#[derive(Deserialize)]
struct AveragePrecision {
    each: Vec<Option<f64>>,
    #[serde(rename = "macro")]
    mean: Option<f64>,
}

#[derive(Deserialize)]
struct MultiLabel {
    name: String,
    targets: Vec<Vec<f32>>,
    probabilities: Vec<Vec<f32>>,
    subset_accuracy: f64,
    average_precision: AveragePrecision,
}

impl AveragePrecision {
    fn check(&self, name: &str, found: &Scores) {
        for (found, wanted) in found.per_class.iter().zip(&self.each) {
            near(found.average_precision.unwrap(), wanted.unwrap_or(0.0), 1e-9, name);
        }
        let mean = found.metrics["macro_average_precision"];
        near(mean, self.mean.unwrap_or(0.0), 1e-9, name);
    }
}

#[test]
fn macro_average_precision_leaves_out_classes_without_examples() {
    let cases: Vec<Precision> =
        serde_json::from_str(include_str!("../tests/data/precision.json")).unwrap();
    assert!(cases.iter().any(|it| it.average_precision.each.contains(&None)));
    for it in cases {
        let targets = one_class(&it.targets);
        let width = it.probabilities[0].len();
        let found = scored(Answer::Class, width, &it.probabilities.concat(), &targets, &[]);
        it.average_precision.check(&it.name, &found);
    }
    let cases: Vec<MultiLabel> =
        serde_json::from_str(include_str!("../tests/data/multilabel.json")).unwrap();
    assert!(cases.iter().any(|it| it.average_precision.each.contains(&None)));
    for it in cases {
        let width = it.probabilities[0].len();
        let targets = sets(width, &it.targets.concat());
        let found = scored(Answer::Classes, width, &it.probabilities.concat(), &targets, &[]);
        it.average_precision.check(&it.name, &found);
        near(found.metrics["accuracy"], it.subset_accuracy, 1e-9, &it.name);
    }
}

/// Sixty classes of three examples each, of which two are right.
#[test]
fn the_interval_of_many_small_classes_holds_the_score() {
    let labels: Vec<u32> = (0..180).map(|it| it / 3).collect();
    let predicted = |it: u32| if it % 3 == 2 { (it / 3 + 7) % 60 } else { it / 3 };
    let row = |it: u32| (0..60).map(move |class| f32::from(u8::from(class == predicted(it))));
    let probabilities: Vec<f32> = (0..180).flat_map(row).collect();
    let metrics = ["macro_f1", "macro_recall", "macro_precision", "macro_average_precision"];
    let found = scored(Answer::Class, 60, &probabilities, &one_class(&labels), &metrics);
    for metric in metrics {
        let (score, it) = (found.metrics[metric], &found.intervals[metric]);
        assert!(it.low <= score && score <= it.high, "{metric}: {score} in {it:?}");
    }
}
