//! Numbers made by tests/data/make_fixtures.py with scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1.

use super::*;
use finetuned_job::task::{Answer, Metrics};
use serde::Deserialize;

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
    truth: Vec<f32>,
    probabilities: Vec<f32>,
    metrics: BTreeMap<String, f64>,
    per_class: Vec<PerClass>,
    intervals: Intervals,
}

#[derive(Deserialize)]
struct NumberCase {
    name: String,
    numbers: usize,
    truth: Vec<f32>,
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
    serde_json::from_str(include_str!("../../tests/data/scores.json")).unwrap()
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|it| format!("class {it}")).collect()
}

fn scored(width: usize, outputs: &[f32], truth: Truth, intervals_for: &[&str]) -> Scores {
    scores(Split::Test, &names(width), outputs, truth, 0.5, intervals_for, 0).unwrap()
}

impl Case {
    fn scores(&self, intervals_for: &[&str]) -> Scores {
        scored(self.classes, &self.probabilities, Truth::Classes(&self.labels), intervals_for)
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
        let found = [it.precision, it.recall, it.f1, it.support as f64, it.average_precision];
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
        let scores = scored(case.classes, &case.probabilities, Truth::Sets(&case.truth), &[]);
        equal(&case.name, &scores, &case.metrics, &case.per_class);
        assert!(scores.confusion.is_empty());
    }
}

#[test]
fn every_metric_of_numbers_equals_scikit_learn() {
    for case in fixtures().numbers {
        let scores = scored(case.numbers, &case.predicted, Truth::Numbers(&case.truth), &[]);
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
    let found = scored(
        case.classes,
        &case.probabilities,
        Truth::Sets(&case.truth),
        &["accuracy", "macro_average_precision"],
    );
    within_noise(&case.name, case.truth.len() / case.classes, &found, &case.intervals);
    let case = &numbers[0];
    let found = scored(
        case.numbers,
        &case.predicted,
        Truth::Numbers(&case.truth),
        Metrics::of(Answer::Numbers).known,
    );
    within_noise(&case.name, case.truth.len() / case.numbers, &found, &case.intervals);
}

#[test]
fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
    let labels: Vec<u32> = (0..50).map(|it| it % 3).collect();
    let said: Vec<f32> = (0..50)
        .flat_map(|it| if it % 2 == 0 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] })
        .collect();
    let of = |seed| {
        scores(
            Split::Test,
            &names(3),
            &said,
            Truth::Classes(&labels),
            0.5,
            &["macro_f1", "loss"],
            seed,
        )
        .unwrap()
        .intervals
    };
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
    // Written down so that a change of generator, or of how it is used, does not pass unseen.
    expect_test::expect!["0.18475474719743765 0.38019014813132457"].assert_eq(&format!(
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
        (
            Metrics::of(Answer::Classes).known,
            scored(
                set.classes,
                &set.probabilities,
                Truth::Sets(&set.truth),
                Metrics::of(Answer::Classes).known,
            ),
        ),
        (
            Metrics::of(Answer::Numbers).known,
            scored(
                number.numbers,
                &number.predicted,
                Truth::Numbers(&number.truth),
                Metrics::of(Answer::Numbers).known,
            ),
        ),
    ];
    for (metrics, scores) in all {
        for metric in metrics {
            assert!(value(&scores, metric).is_some(), "{metric}");
            let interval = &scores.intervals[*metric];
            assert!(interval.low <= interval.high, "{metric}");
            // The loss is what the caller says, which is made up here.
            let value = value(&scores, metric).unwrap();
            assert!(
                *metric == "loss" || (interval.low <= value && value <= interval.high),
                "{metric}: {value} {interval:?}"
            );
        }
        assert_eq!(value(&scores, "loss"), Some(0.5));
        assert_eq!(value(&scores, "bleu"), None);
    }
    assert!(higher_is_better("macro_f1") && higher_is_better("r2"));
    assert!(["loss", "mae", "rmse"].iter().all(|it| !higher_is_better(it)));
}

#[test]
fn unusable_input_is_an_error_and_never_a_score() {
    fn of(outputs: &[f32], truth: Truth, loss: f64) -> Result<(), ScoresError> {
        scores(Split::Validation, &names(2), outputs, truth, loss, &[], 0).map(|_| ())
    }
    let refused = |result: Result<(), ScoresError>, message: &str| {
        assert_eq!(result.unwrap_err().to_string(), message)
    };
    let classes = |outputs: &[f32], labels: &[u32], loss| of(outputs, Truth::Classes(labels), loss);
    refused(classes(&[], &[], 0.1), "nothing to score: the validation split has no examples");
    refused(
        classes(&[0.5, 0.5, 0.5], &[0, 1], 0.1),
        "3 outputs and 2 true values do not make examples of 2",
    );
    refused(classes(&[0.5, 0.5], &[2], 0.1), "example 0 has the label 2, but there are 2 classes");
    refused(
        classes(&[0.5, 0.5, f32::NAN, 0.5], &[0, 0], 0.1),
        "example 1: NaN is no probability; the model's outputs are unusable",
    );
    refused(
        classes(&[-3.0, 4.0], &[0], 0.1),
        "example 0: -3 is no probability; the model's outputs are unusable",
    );
    refused(
        classes(&[0.5, 0.5], &[0], f64::NAN),
        "the loss is NaN; the model's outputs are unusable",
    );
    refused(
        classes(&[0.5, 0.5], &[0], f64::INFINITY),
        "the loss is inf; the model's outputs are unusable",
    );
    refused(of(&[0.5, 0.5], Truth::Sets(&[1.0, 0.5]), 0.1), "example 0: 0.5 can't be true of it");
    refused(
        of(&[0.5; 4], Truth::Sets(&[1.0, 0.0]), 0.1),
        "4 outputs and 2 true values do not make examples of 2",
    );
    refused(
        of(&[0.5; 3], Truth::Numbers(&[1.0; 3]), 0.1),
        "3 outputs and 3 true values do not make examples of 2",
    );
    refused(
        of(&[0.5; 2], Truth::Numbers(&[1.0, f32::NAN]), 0.1),
        "example 0: NaN can't be true of it",
    );
    refused(
        of(&[f32::INFINITY, 0.5], Truth::Numbers(&[1.0; 2]), 0.1),
        "example 0: the model says inf; its outputs are unusable",
    );
    let unknown = scores(Split::Test, &names(1), &[1.0], Truth::Classes(&[0]), 0.1, &["bleu"], 0);
    assert_eq!(unknown, Err(ScoresError::Metric("bleu".into())));
    let few =
        scores(Split::Test, &names(5), &[0.2; 5], Truth::Classes(&[0]), 0.1, &["top5_accuracy"], 0);
    assert_eq!(few, Err(ScoresError::Metric("top5_accuracy".into())));
}

#[test]
fn the_baseline_says_the_training_majority_and_is_scored_on_other_labels() {
    // Class 1 is the majority of the training split but not of the labels that it is scored on.
    let train = Truth::Classes(&[0, 1, 1, 1, 2, 2, 2]);
    let found = baseline(&names(3), train, Truth::Classes(&[0, 0, 1, 2])).unwrap();
    assert_eq!(found.answer, "class 1");
    near(found.metrics["accuracy"], 0.25, 1e-12, "accuracy");
    // sklearn.metrics.f1_score([0, 0, 1, 2], [1, 1, 1, 1], average="macro") = 0.4 / 3
    near(found.metrics["macro_f1"], 0.4 / 3.0, 1e-12, "macro_f1");
    // Of equal probabilities the precision is the share: (0.5 + 0.25 + 0.25) / 3.
    near(found.metrics["macro_average_precision"], 1.0 / 3.0, 1e-12, "macro_average_precision");
    assert!(!found.metrics.contains_key("loss"));
    assert!(baseline(&names(2), train, Truth::Classes(&[0])).is_err());
    assert!(baseline(&names(3), train, Truth::Classes(&[7])).is_err());
    assert_eq!(baseline(&names(3), train, Truth::Numbers(&[1.0; 3])), Err(ScoresError::Kinds));
}

#[test]
fn the_baseline_of_top_5_is_the_five_most_frequent_classes() {
    let train = Truth::Classes(&[0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    let found = baseline(&names(6), train, Truth::Classes(&[0, 1, 2, 3, 4, 5])).unwrap();
    assert_eq!(found.answer, "class 1");
    near(found.metrics["top5_accuracy"], 5.0 / 6.0, 1e-12, "top5_accuracy");
}

#[test]
fn the_baseline_of_labels_says_those_that_half_of_the_examples_have() {
    let train = Truth::Sets(&[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
    let found = baseline(&names(3), train, Truth::Sets(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0])).unwrap();
    assert_eq!(found.answer, "class 0, class 2");
    near(found.metrics["accuracy"], 0.5, 1e-12, "accuracy");
    let none = baseline(&names(1), Truth::Sets(&[0.0, 0.0, 1.0]), Truth::Sets(&[0.0])).unwrap();
    assert_eq!(none.answer, "no label");
}

#[test]
fn the_baseline_of_numbers_says_their_means() {
    let train = Truth::Numbers(&[1.0, 0.0, 2.0, 1000.0, 6.0, 2500.0]);
    let found = baseline(
        &["age".into(), "weight".into()],
        train,
        Truth::Numbers(&[3.0, 1000.0, 5.0, 2000.0]),
    )
    .unwrap();
    assert_eq!(found.answer, "age 3, weight 1167");
    near(found.metrics["mae"], (1.0 + 500.0) / 2.0, 1e-3, "mae");
    assert_eq!(
        baseline(&["age".into()], Truth::Numbers(&[0.1, 0.2]), Truth::Numbers(&[1.0]))
            .unwrap()
            .answer,
        "0.15"
    );
}

#[test]
fn numbers_are_shortened_to_the_digits_that_count() {
    assert_eq!(
        [0.0, 2.71234, -0.000_523_4, 12_745.6, 1e-20].map(short),
        ["0", "2.712", "-0.0005234", "12746", "0"]
    );
}
