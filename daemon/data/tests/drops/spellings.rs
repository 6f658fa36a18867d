//! What a column means by its values: labels that are spelt in several ways, numbers in all their
//! forms, and columns that are neither.

use crate::support::{Drop, reported, table};
use expect_test::{Expect, expect};

/// Texts with these values, one after the other, over and over.
fn rows(n: usize, value: impl Fn(usize) -> String) -> String {
    table("text\tscore", n, |it, _| format!("text {it}\t{}", value(it)))
}

fn cycle(n: usize, values: &[&str]) -> Drop {
    Drop::file("a.tsv", rows(n, |it| values[it % values.len()].into()).as_bytes())
}

/// Task, classes and warnings, or the sentence.
#[track_caller]
fn check(drop: &Drop, expected: Expect) {
    let all = reported(drop.load());
    let is_shown = |it: &&str| {
        !["a.tsv: tsv", "`text` ->", "train ", "validation "]
            .iter()
            .any(|skip| it.starts_with(skip))
    };
    let shown: String = all.lines().filter(is_shown).map(|it| format!("{it}\n")).collect();
    expected.assert_eq(&shown);
}

#[test]
fn numbers_are_learnt_or_asked_about() {
    check(
        &cycle(60, &["0,50", "1,25", "2,75"]),
        expect![[r#"
        text-regression: `score` is a column of fractions with a decimal comma: numbers are learnt
        score: 0.5 to 2.75, mean 1.389
    "#]],
    );
    check(
        &cycle(60, &["1.234,5", "987,25"]),
        expect![[r#"
        text-regression: `score` is a column of fractions with a decimal comma: numbers are learnt
        score: 987.25 to 1234.5, mean 1106.296
    "#]],
    );
    check(
        &cycle(60, &["1,234", "987", "12,500"]),
        expect![[r#"
            Data: a.tsv line 2: `score` holds numbers such as `1,234`, and whether that is more than a thousand or has decimals can't be told: write them without signs between thousands and with a point before decimals
        "#]],
    );
    check(
        &cycle(60, &["0,5", "0.5", "1,5", "1.5"]),
        expect![[r#"
            Data: a.tsv line 2: `score` holds `0,5` beside `0.5`, numbers written in two ways: write all of them in one
        "#]],
    );
    check(
        &cycle(60, &["$3.50", "$12.00", "$1,200.00"]),
        expect![[r#"
        text-regression: `score` is a column of numbers with $: numbers are learnt
        score: 3.5 to 1200, mean 338.852
    "#]],
    );
    check(
        &cycle(60, &["45 %", "7,5 %"]),
        expect![[r#"
        text-regression: `score` is a column of numbers with %: numbers are learnt
        score: 7.5 to 45, mean 25.556
    "#]],
    );
    check(
        &cycle(60, &["1e-3", "2.5e-4", "1e-2"]),
        expect![[r#"
        text-regression: `score` is a column of fractions: numbers are learnt
        score: 0.00025 to 0.01, mean 0.003
    "#]],
    );
    let ages = rows(90, |it| (18 + it % 45).to_string());
    check(
        &Drop::file("a.tsv", ages.as_bytes()),
        expect![[r#"
        text-regression: `score` has 45 different whole numbers: numbers are learnt
        score: 18 to 62, mean 40.457
    "#]],
    );
    let years = rows(90, |it| (1990 + it % 15).to_string());
    check(
        &Drop::file("a.tsv", years.as_bytes()),
        expect![[r#"
        Data: a.tsv: `score` has 15 different whole numbers (1990 to 2004), and whether they are classes or numbers to learn can't be told: set task in the recipe to that of classes or of numbers
    "#]],
    );
}

#[test]
fn a_sorted_file_hides_no_numbers() {
    let sorted = rows(1500, |it| format!("{}.{}", it / 600, if it < 1200 { 0 } else { it % 9 }));
    check(
        &Drop::file("a.tsv", sorted.as_bytes()),
        expect![[r#"
            Data: `score` is a column of fractions: numbers are learnt (the first rows look otherwise: set task in the recipe to that of numbers or of classes)
        "#]],
    );
    let sorted = rows(1500, |it| (18 + it / 25).to_string());
    check(
        &Drop::file("a.tsv", sorted.as_bytes()),
        expect![[r#"
        text-regression: `score` has 40 different whole numbers: numbers are learnt, as the first 999 rows show
        score: 18 to 77, mean 47.496
    "#]],
    );
    // Classes with the numbers of classes stay what they are.
    let sorted = rows(1500, |it| (it / 50).to_string());
    let drop = Drop::file("a.tsv", sorted.replace("score", "label").as_bytes());
    assert_eq!(drop.load().unwrap().outputs.len(), 30);
}

#[test]
fn few_whole_numbers_are_classes() {
    check(
        &cycle(60, &["1", "2", "3", "4", "5"]),
        expect![[r#"
        text-classification: `score` has 5 values that recur: classes are learnt
        1: 11 1 0
        2: 11 1 0
        3: 11 1 0
        4: 11 1 0
        5: 11 1 0
    "#]],
    );
    check(
        &cycle(60, &["-1", "1"]),
        expect![[r#"
        text-classification: `score` has 2 values that recur: classes are learnt
        -1: 27 3 0
        1: 27 3 0
    "#]],
    );
    check(
        &cycle(60, &["-1", "0", "+1", "1"]),
        expect![[r#"
        text-classification: `score` has 3 values that recur: classes are learnt
        -1: 13 2 0
        0: 13 2 0
        1: 27 3 0
        warning: labels that are spellings of `1` were taken for it: `+1` (15)
    "#]],
    );
}

#[test]
fn spellings_of_one_label_are_named() {
    check(
        &cycle(60, &["0", "0.0", "1.0", "1", "0,0"]),
        expect![[r#"
        text-classification: `score` has 2 values that recur: classes are learnt
        0: 32 4 0
        1: 22 2 0
        warning: labels that are spellings of `0` were taken for it: `0,0` (12), `0.0` (12)
        warning: labels that are spellings of `1` were taken for it: `1.0` (12)
    "#]],
    );
    check(
        &cycle(60, &["True", "true", "FALSE", "1", "0"]),
        expect![[r#"
        text-classification: `score` has 2 values that recur: classes are learnt
        0: 22 2 0
        1: 32 4 0
        warning: labels that are spellings of `0` were taken for it: `FALSE` (12)
        warning: labels that are spellings of `1` were taken for it: `True` (12), `true` (12)
    "#]],
    );
    check(
        &cycle(60, &["Yes", "no", "yes", "NO "]),
        expect![[r#"
        text-classification: `score` has 2 values that recur: classes are learnt
        NO: 27 3 0
        Yes: 27 3 0
        warning: labels that are spellings of `NO` were taken for it: `no` (15)
        warning: labels that are spellings of `Yes` were taken for it: `yes` (15)
    "#]],
    );
    check(
        &cycle(60, &["caf\u{e9}", "cafe\u{301}", "bar", "bar"]),
        expect![[r#"
        text-classification: `score` has 2 values that recur: classes are learnt
        bar: 27 3 0
        café: 27 3 0
        warning: labels that are spellings of `café` were taken for it: `café` (15, in another Unicode form)
    "#]],
    );
    check(
        &cycle(60, &["so so", "so\u{a0}so", "so  so", "bad"]),
        expect![[r#"
        text-classification: `score` has 2 values that recur: classes are learnt
        bad: 13 2 0
        so so: 40 5 0
        warning: labels that are spellings of `so so` were taken for it: `so  so` (15), `so\u{a0}so` (15)
    "#]],
    );
    check(
        &cycle(60, &["\\N", "a", "b", "a", "b", "a", "b", "a", "b", "a", "b"]),
        expect![[r#"
        text-classification: `score` has 2 values that recur: classes are learnt
        a: 24 3 0
        b: 24 3 0
        quarantined a.tsv Some(2): empty label
        quarantined a.tsv Some(13): empty label
        quarantined a.tsv Some(24): empty label
        quarantined a.tsv Some(35): empty label
        quarantined a.tsv Some(46): empty label
        quarantined a.tsv Some(57): empty label
    "#]],
    );
}

#[test]
fn labels_of_splits_are_matched_and_likeness_named() {
    let table = |values: [&str; 2]| -> Vec<u8> {
        (0..20)
            .fold("text,label\n".into(), |all: String, it| {
                format!("{all}{} {it},{}\n", values[0], values[it % 2])
            })
            .into_bytes()
    };
    let drop = |train, test| {
        let (train, test) = (table(train), table(test));
        Drop::folder(&[("train.csv", &train), ("test.csv", &test)])
    };
    check(
        &drop(["positive", "negative"], ["Positive", "NEGATIVE"]),
        expect![[r#"
        train.csv: csv utf-8 20 rows train
        test.csv: csv utf-8 20 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        NEGATIVE: 9 1 10
        Positive: 9 1 10
        test 20 (file)
        warning: labels that are spellings of `NEGATIVE` were taken for it: `negative` (10)
        warning: labels that are spellings of `Positive` were taken for it: `positive` (10)
    "#]],
    );
    check(
        &drop(["sci-fi", "crime"], ["sci_fi", "crime"]),
        expect![[r#"
        Data: test.csv line 2: the class `sci_fi` occurs in test but not in train, which has `sci-fi` (add examples of it to train, or remove it)
    "#]],
    );
}

#[test]
fn what_is_neither_class_nor_number_is_refused() {
    check(
        &cycle(60, &["2024-01-05", "2024-02-07", "2023-11-30"]),
        expect![[r#"
            Data: a.tsv: `score` is a column of dates or times, which are neither classes nor numbers: name another column as data.label, or set task in the recipe to that of classes
        "#]],
    );
    let ids = rows(60, |it| format!("user{it:04}"));
    check(
        &Drop::file("a.tsv", ids.as_bytes()),
        expect![[r#"
            Data: a.tsv line 2: `score` has another value in each of 60 rows (`user0000`, …), as ids and names have: no class has a second example (name other columns in the recipe)
        "#]],
    );
    let flags = (0..60).map(|it| format!("text {it}\t{}\t{}\n", it % 3 - 1, it % 2));
    let flags = format!("text\tcalm\tloud\n{}", flags.collect::<String>());
    check(
        &Drop::file("a.tsv", flags.as_bytes()),
        expect![[r#"
        Data: a.tsv: `calm` holds -1 beside 0 and 1, and whether -1 means no or unknown can't be told: write 0 or 1 for it, or leave the row out
    "#]],
    );
}

#[test]
fn labels_that_look_like_several_are_named() {
    check(
        &cycle(60, &["food", "staff", "food/price", "staff/room", "bar"]),
        expect![[r#"
        text-classification: `score` has 5 values that recur: classes are learnt
        bar: 11 1 0
        food: 11 1 0
        food/price: 11 1 0
        staff: 11 1 0
        staff/room: 11 1 0
        warning: `score`: 2 of 5 classes look like several at once (`food/price`), and each was taken for one; if they are several, set task in the recipe to that of several labels
    "#]],
    );
}

#[test]
fn a_column_called_text_in_words_holds_texts() {
    let text = table("Review-Text,label", 40, |it, label| format!("{it} {} 7,{label}", it + 3));
    assert_eq!(Drop::file("a.csv", text.as_bytes()).load().unwrap().report.files[0].rows, 40);
}

#[test]
fn letters_of_another_script() {
    check(
        &cycle(60, &["pass", "fail", "p\u{430}ss"]),
        expect![[r#"
        text-classification: `score` has 2 values that recur: classes are learnt
        fail: 18 2 0
        pass: 36 4 0
        warning: labels that are spellings of `pass` were taken for it: `pаss` (20, with а U+0430 of another script)
    "#]],
    );
    check(
        &cycle(60, &["\u{410}", "A", "\u{412}", "B"]),
        expect![[r#"
        text-classification: `score` has 4 values that recur: classes are learnt
        A: 13 2 0
        B: 13 2 0
        А: 13 2 0
        В: 13 2 0
    "#]],
    );
}
