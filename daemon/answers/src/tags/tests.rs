//! Numbers made by tests/data/make_answers.py with seqeval 1.2.2.

use super::counts::{Counted, Score};
use super::entities::{Entity, entities};
use super::schemes::scheme;
use super::*;
use finetuned_job::scores::Split;

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn sentences(value: &Value) -> Vec<Vec<&str>> {
    list(value).iter().map(|it| list(it).iter().map(|it| it.as_str().unwrap()).collect()).collect()
}

/// Of sentences as the fixture has them; `past`: what the last word lies before the end.
fn found(value: &Value, past: usize) -> Vec<Vec<Entity<'_>>> {
    let number = |it: &Value| it.as_u64().unwrap() as usize;
    let sentence = |it| {
        let entity = |it| {
            let [kind, start, end] = &list(it)[..] else { panic!("{it}") };
            Entity { kind: kind.as_str().unwrap(), start: number(start), end: number(end) + past }
        };
        let mut all: Vec<_> = list(it).iter().map(entity).collect();
        all.sort_by_key(|it| it.start);
        all
    };
    list(value).iter().map(sentence).collect()
}

fn ours<T: AsRef<str>>(tags: &[Vec<T>]) -> Vec<Vec<Entity<'_>>> {
    tags.iter().map(|it| entities(it)).collect()
}

/// seqeval's mean over no types is not a number (null); ours is 0.
#[track_caller]
fn same(name: &str, score: &Score, expected: &Value) {
    let numbers = [score.precision, score.recall, score.f1, score.support as f64];
    for (number, key) in numbers.iter().zip(["precision", "recall", "f1", "support"]) {
        let expected = expected[key].as_f64().unwrap_or(0.0);
        assert!((number - expected).abs() < 1e-12, "{name}, {key}: {number}, not {expected}");
    }
}

fn compare(name: &str, counted: &Counted, report: &Value) {
    let scores = counted.scores();
    same(name, &scores.micro, &report["micro avg"]);
    same(name, &scores.macro_, &report["macro avg"]);
    same(name, &scores.weighted, &report["weighted avg"]);
    for (kind, score) in counted.kinds().iter().zip(&scores.each) {
        same(&format!("{name}, {kind}"), score, &report[kind]);
    }
    let kinds = report.as_object().unwrap().keys().filter(|it| !it.ends_with(" avg")).count();
    assert_eq!(kinds, counted.kinds().len(), "{name}");
}

/// The strict mode says the same wherever it finds the same entities.
#[test]
fn entities_and_scores_are_those_of_seqeval() {
    let cases: Value =
        serde_json::from_str(include_str!("../../tests/data/entities.json")).unwrap();
    let mut strict = 0;
    for case in list(&cases) {
        let name = case["name"].as_str().unwrap();
        let [targets, predictions] = ["targets", "predictions"].map(|it| sentences(&case[it]));
        let default = &case["default"];
        assert_eq!(ours(&targets), found(&default["targets"], 1), "{name}");
        assert_eq!(ours(&predictions), found(&default["predictions"], 1), "{name}");
        let scheme = scheme(&targets).unwrap();
        let bio: Vec<Vec<String>> = targets.iter().map(|it| scheme.convert(it)).collect();
        assert_eq!(ours(&bio), ours(&targets), "{name}");
        let counted = Counted::entities(&targets, &predictions);
        compare(name, &counted, &default["report"]);
        let accuracy = counted.scores().accuracy;
        match default["accuracy"].as_f64() {
            Some(it) => assert!((accuracy.unwrap() - it).abs() < 1e-12, "{name}: {accuracy:?}"),
            None => assert_eq!(accuracy, None, "{name}"),
        }
        let found = |it: &str| found(&case["strict"][it], 0);
        if !case["strict"].is_null()
            && (found("targets"), found("predictions")) == (ours(&targets), ours(&predictions))
        {
            compare(name, &counted, &case["strict"]["report"]);
            strict += 1;
        }
    }
    assert!(strict >= 8, "{strict}");
}

#[test]
fn resamples_are_sums_of_sentences() {
    let targets = [vec!["B-A", "O"], vec!["B-B"], vec!["B-A"]];
    let predictions = [vec!["B-A", "B-A"], vec!["O"], vec!["O"]];
    let counted = Counted::entities(&targets, &predictions);
    let of = |all: &[Vec<&'static str>]| [0, 0, 2].map(|it: usize| all[it].clone());
    let expected = Counted::entities(&of(&targets), &of(&predictions)).scores();
    let drawn = counted.measure(&[2, 0, 1]);
    assert_eq!((drawn.micro, drawn.macro_), (expected.micro, expected.macro_));
    assert_eq!((drawn.weighted, drawn.accuracy), (expected.weighted, expected.accuracy));
}

/// By hand: "A" 1 of 2 predicted and of 1, "B" 0 of 0 and of 1.
#[test]
fn plain_tags_count_by_word() {
    let scores = Counted::plain(&[vec!["A", "B"]], &[vec!["A", "A"]]).scores();
    assert_eq!((scores.accuracy, scores.micro.f1), (Some(0.5), 0.5));
    assert!((scores.macro_.f1 - 1.0 / 3.0).abs() < 1e-12);
}

fn tags(outputs: &[&str]) -> Tags {
    Tags { outputs: outputs.iter().map(|it| (*it).to_owned()).collect() }
}

#[test]
fn metrics_follow_from_the_outputs() {
    let targets = [Target::of_classes([1, 2]), Target::of_classes([0])];
    let values = vec![0.1, 0.9, 0.0, 0.2, 0.1, 0.7, 0.3, 0.7, 0.0];
    let predictions = Predictions::ragged(3, values, [2, 1]);
    let losses = [0.2, 1.0];
    let of = Scored {
        split: Split::Test,
        predictions: &predictions,
        targets: &targets,
        losses: &losses,
    };
    for (kind, best, value) in [
        (tags(&["O", "B-geo-loc", "I-geo-loc"]), "entity_f1", 2.0 / 3.0),
        (tags(&["ADJ", "DET", "NOUN"]), "token_accuracy", 2.0 / 3.0),
    ] {
        assert_eq!(kind.metrics().best, best);
        let scores = kind.scores(&of, kind.metrics().known, 0).unwrap();
        assert!((scores.metrics[best] - value).abs() < 1e-12, "{scores:?}");
        for metric in kind.metrics().known {
            assert!(crate::value(&scores, metric).is_some(), "{metric}");
            assert!(scores.intervals.contains_key(*metric), "{metric}");
        }
        assert_eq!(kind.degrees(&predictions, &targets), [None, Some(f64::from(0.7_f32))]);
        assert!(kind.baseline(&targets, &targets).unwrap().unwrap().metrics.contains_key(best));
    }
    let short = Predictions::ragged(3, vec![0.0; 6], [1, 1]);
    let of = Scored { predictions: &short, ..of };
    assert!(tags(&["O", "B-A", "I-A"]).scores(&of, &[], 0).is_err());
}

#[test]
fn a_reply_has_places_in_characters() {
    let input = Input { text: "Zoë Müller, Ulm", words: &[(0, 4), (5, 12), (12, 13), (14, 17)] };
    let rows = [0.1, 0.8, 0.1, 0.0, 0.4, 0.6, 1.0, 0.0, 0.0, 0.2, 0.3, 0.5];
    let kind = tags(&["O", "B-PER", "I-PER"]);
    let found = kind.reply(&input, &rows);
    let shown: Vec<String> = list(&found["entities"])
        .iter()
        .map(|it| {
            let score = (it["score"].as_f64().unwrap() * 100.0).round();
            format!("{} {} {} {} {score}", it["entity_group"], it["word"], it["start"], it["end"])
        })
        .collect();
    assert_eq!(shown, ["\"PER\" \"Zoë Müller\" 0 10 70", "\"PER\" \"Ulm\" 12 15 50"]);
    assert_eq!(kind.prediction_words(&input, &rows), "PER: Zoë Müller | PER: Ulm");
    let plain = tags(&["ADJ", "DET", "NOUN"]);
    assert_eq!(list(&plain.reply(&input, &rows)["entities"]).len(), 4);
    assert_eq!(plain.prediction_words(&input, &rows), "DET NOUN ADJ NOUN");
}
