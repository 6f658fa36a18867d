//! Which examples end where: splits from files, splits by seed, leakage, duplicates, the hash.

use crate::support::{Drop, rows, table, texts};
use expect_test::expect;
use std::collections::HashSet;

#[test]
fn splits_by_name() {
    let numbered = |from: usize, n: usize| {
        let lines: Vec<String> =
            (from..from + n).map(|it| format!("text {it},{}\n", it % 2)).collect();
        format!("text,label\n{}", lines.concat()).into_bytes()
    };
    Drop::folder(&[
        ("Train.csv", &numbered(0, 20)),
        ("dev.csv", &numbered(100, 4)),
        ("test/part.csv", &numbered(200, 6)),
    ])
    .check(expect![[r#"
        Train.csv: csv utf-8 20 rows train
        dev.csv: csv utf-8 4 rows validation
        test/part.csv: csv utf-8 6 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        0: 10 2 3
        1: 10 2 3
        train 20 (file)
        validation 4 (file)
        test 6 (file)
    "#]]);
    Drop::folder(&[("train.csv", &numbered(0, 20)), ("test.csv", &numbered(200, 6))]).check(
        expect![[r#"
            train.csv: csv utf-8 20 rows train
            test.csv: csv utf-8 6 rows test
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            0: 9 1 3
            1: 9 1 3
            train 18 (file)
            validation 2 (stratified, seed 0)
            test 6 (file)
        "#]],
    );
}

#[test]
fn several_files_are_one_set() {
    let b = table("label,text", 10, |it, label| format!("{label},other {it}"));
    Drop::folder(&[
        ("a.csv", &rows("text,label\n", 10)),
        ("b.csv", b.as_bytes()),
        ("notes.pdf", b"%PDF"),
    ])
    .check(expect![[r#"
        a.csv: csv utf-8 10 rows
        b.csv: csv utf-8 10 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: notes.pdf is a PDF document that is not read, and was ignored (write the rows to CSV, JSON Lines or Parquet)
    "#]]);
}

#[test]
fn leaked_texts_are_left_out_of_training() {
    let train = rows("text,label\n", 20);
    let drop = Drop::folder(&[
        ("train.csv", &train),
        ("validation.csv", b"text,label\n text number 0 ,neg\nnew one,pos\ntext number 4,neg\n"),
        ("test.csv", b"text,label\ntext number 1,pos\nnew one,pos\nanother,neg\n"),
    ]);
    drop.check(expect![[r#"
        train.csv: csv utf-8 20 rows train
        validation.csv: csv utf-8 3 rows validation
        test.csv: csv utf-8 3 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 2 1
        pos: 9 0 2
        train 17 (file)
        validation 2 (file)
        test 3 (file)
        warning: validation has no examples of pos: their scores say nothing
        warning: training examples left out, as their texts stand in validation or test too: 3
        warning: validation examples left out, as their texts stand in test too: 1
    "#]]);
    let it = drop.load().unwrap().report.duplicates;
    assert_eq!(
        (it.leaked_dropped, it.leaked_validation_dropped, it.within_splits, it.conflicting_labels),
        (3, 1, 0, 0)
    );
}

#[test]
fn repeated_and_contradictory_texts_are_counted() {
    let mut csv = rows("text,label\n", 40);
    csv.extend(b"text number 0,neg\ntext number 0,neg\ntext number 1,neg\n");
    let drop = Drop::file("a.csv", &csv);
    let dataset = drop.load().unwrap();
    let it = &dataset.report.duplicates;
    assert_eq!((it.leaked_dropped, it.within_splits, it.conflicting_labels), (0, 3, 1));
    assert_eq!(dataset.report.warnings, ["texts that stand under more than one label: 1"]);
    let of = |examples: &[finetuned_data::Example]| {
        examples.iter().map(|it| it.record.texts.clone()).collect::<HashSet<_>>()
    };
    assert!(of(&dataset.train).is_disjoint(&of(&dataset.validation)));
}

#[test]
fn the_split_and_the_hash_depend_on_seed_and_data_alone() {
    let drop = Drop::file("a.csv", &rows("text,label\n", 100));
    let load = |seed| drop.load_as("data.validation = 0.2\ndata.test = 0.1", seed).unwrap();
    let (a, b, c) = (load(3), load(3), load(4));
    assert_eq!((a.train.len(), a.validation.len(), a.test.len()), (70, 20, 10));
    assert_eq!(texts(&a), texts(&b));
    assert_eq!(a.report.content_hash, b.report.content_hash);
    assert_ne!(texts(&a), texts(&c));
    assert_ne!(a.report.content_hash, c.report.content_hash);
    let hash =
        |text: &str| Drop::file("a.csv", text.as_bytes()).load().unwrap().report.content_hash;
    let (x, y) = ("text,label\na,1\nb,2\nc,1\nd,2\n", "text,label\na,1\nb,2\nc,1\ne,2\n");
    assert_ne!(hash(x), hash(y));
}

#[test]
fn classes_are_ordered_by_number_or_by_letters() {
    let classes = |labels: [&str; 3]| {
        let csv: String = (0..12).map(|it| format!("text {it},{}\n", labels[it % 3])).collect();
        Drop::file("a.csv", format!("text,label\n{csv}").as_bytes()).load().unwrap().outputs
    };
    assert_eq!(classes(["10", "-1", "9"]), ["-1", "9", "10"]);
    assert_eq!(classes(["10", "b", "9"]), ["10", "9", "b"]);
}

/// What can be done about it is decided by itself, where it can be.
#[test]
fn a_class_that_is_much_rarer_is_a_warning_without_advice() {
    let rows = (0..220).map(|n| format!("text {n},{}\n", if n < 8 { "rare" } else { "usual" }));
    let csv = format!("text,label\n{}", rows.collect::<String>());
    let warnings = Drop::file("a.csv", csv.as_bytes()).load().unwrap().report.warnings;
    let expected =
        "`usual` has 191 training examples, `rare` has 7, which is easily never predicted";
    assert!(warnings.iter().any(|it| it == expected), "{warnings:?}");
}
