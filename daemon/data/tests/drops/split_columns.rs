//! Columns that say the split, files that are there to be predicted, names beside numbers.

use crate::support::{Drop, table};
use expect_test::{Expect, expect};

/// Of 24 rows: what each has besides text and label.
#[track_caller]
fn check(header: &str, cell: impl Fn(usize) -> String, expected: Expect) {
    let line = |it, label: &str| format!("text number {it},{label},{}", cell(it));
    let csv = table(&format!("text,label,{header}"), 24, line);
    Drop::file("a.csv", csv.as_bytes()).check(expected);
}

fn of(it: usize, [train, validation, test]: [&str; 3]) -> &str {
    match it {
        0..16 => train,
        16..20 => validation,
        _ => test,
    }
}

#[test]
fn words_and_flags() {
    check(
        "split",
        |it| of(it, ["train", "dev", "test"]).into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 2 2
        pos: 8 2 2
        train 16 (file)
        validation 4 (file)
        test 4 (file)
    "#]],
    );
    check(
        "Usage",
        |it| of(it, ["Training", "PublicTest", "PrivateTest"]).into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 7 1 4
        pos: 7 1 4
        train 14 (file)
        validation 2 (stratified, seed 0)
        test 8 (file)
    "#]],
    );
    check(
        "is_valid",
        |it| of(it, ["False", "True", "True"]).into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 4 0
        pos: 8 4 0
        train 16 (file)
        validation 8 (file)
        warning: `is_valid` divides the examples: true is validation, false is train
    "#]],
    );
    check(
        "is_test",
        |it| of(it, ["0", "0", "1"]).into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 2
        pos: 9 1 2
        train 18 (file)
        validation 2 (stratified, seed 0)
        test 4 (file)
        warning: `is_test` divides the examples: true is test, false is train
    "#]],
    );
    // As a German Excel writes it.
    check(
        "is_valid",
        |it| of(it, ["FALSCH", "WAHR", "WAHR"]).into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 4 0
        pos: 8 4 0
        train 16 (file)
        validation 8 (file)
        warning: `is_valid` divides the examples: true is validation, false is train
    "#]],
    );
    // Whatever the column is called.
    check(
        "origin",
        |it| of(it, ["train", "test", "test"]).into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 7 1 4
        pos: 7 1 4
        train 14 (file)
        validation 2 (stratified, seed 0)
        test 8 (file)
        warning: `origin` holds the names of splits and divides the examples
    "#]],
    );
    check(
        "set",
        |it| of(it, ["train", "unsup", "test"]).into(),
        expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 7 1 2
        pos: 7 1 2
        train 14 (file)
        validation 2 (stratified, seed 0)
        test 4 (file)
        warning: a.csv: rows left out as they are not labelled: 4
    "#]],
    );
    check(
        "split",
        |it| of(it, ["train", "", "test"]).into(),
        expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 7 1 2
        pos: 7 1 2
        train 14 (file)
        validation 2 (stratified, seed 0)
        test 4 (file)
        warning: a.csv: rows left out as they are in no split: 4
    "#]],
    );
}

#[test]
fn what_says_no_split() {
    check(
        "fold",
        |it| (it % 5).to_string(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 11 1 0
        pos: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv: `fold` holds numbers, of which nobody says which split each is: it was not used, and examples are divided at random (write train, validation and test into it, or remove it)
        warning: columns not used: fold
    "#]],
    );
    check(
        "split",
        |it| of(it, ["train", "test", "extra"]).into(),
        expect![[r#"
            Data: a.csv line 22: `split` holds splits and `extra`, which is none (write train, validation or test into every row, or remove the column)
        "#]],
    );
    check(
        "dataset",
        |it| ["imdb", "yelp"][it % 2].into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 11 1 0
        pos: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: columns not used: dataset
    "#]],
    );
}

#[test]
fn files_to_predict_for_are_left_out() {
    let train = table("id,text,target", 12, |it, _| format!("{it},text {it},{}", it % 2));
    let test = table("id,text", 4, |it, _| format!("{it},other {it}"));
    let form = table("id,target", 4, |it, _| format!("{it},0"));
    let files = [
        ("train.csv", train.as_bytes()),
        ("test.csv", test.as_bytes()),
        ("sample_submission.csv", form.as_bytes()),
        ("README.md", b"x"),
    ];
    Drop::folder(&files).check(expect![[r#"
        train.csv: csv utf-8 12 rows train
        text-classification: `target` has 2 values that recur: classes are learnt
        `text` -> `target`
        0: 5 1 0
        1: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: sample_submission.csv is a form for answers, no data, and was ignored
        warning: columns not used: id
        warning: test.csv has no column `target`, so no labels: it is there to be predicted (`finetuned predict`), and was left out
    "#]]);
    // GLUE.
    let glue = table("id,text,target", 4, |it, _| format!("{it},other {it},-1"));
    Drop::folder(&[files[0], ("test.csv", glue.as_bytes())]).check(expect![[r#"
        train.csv: csv utf-8 12 rows train
        text-classification: `target` has 2 values that recur: classes are learnt
        `text` -> `target`
        0: 5 1 0
        1: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: columns not used: id
        warning: test.csv has no labels (`target` is empty or -1 throughout): it is there to be predicted (`finetuned predict`), and was left out
    "#]]);
    // One label is enough to be read.
    let some =
        table("id,text,target", 30, |it, _| format!("{it},other {it},{}", i32::from(it == 29) - 1));
    Drop::folder(&[files[0], ("test.csv", some.as_bytes())]).check(expect![[r#"
        Data: test.csv line 2: the class `-1` occurs in test but not in train (add examples of it to train, or remove it)
    "#]]);
    let labels = table("id,target", 4, |it, _| format!("{it},-1"));
    Drop::folder(&[files[0], files[1], ("test_labels.csv", labels.as_bytes())])
        .check(expect![[r#"
            train.csv: csv utf-8 12 rows train
            text-classification: `target` has 2 values that recur: classes are learnt
            `text` -> `target`
            0: 5 1 0
            1: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: columns not used: id
            warning: test.csv has no column `target`, so no labels: it is there to be predicted (`finetuned predict`), and was left out
            warning: test_labels.csv has no column `text` and was left out
        "#]]);
    Drop::folder(&[files[0], ("unlabeled.csv", test.as_bytes())]).check(expect![[r#"
        train.csv: csv utf-8 12 rows
        text-classification: `target` has 2 values that recur: classes are learnt
        `text` -> `target`
        0: 5 1 0
        1: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: unlabeled.csv holds no labels by its name, and was left out
        warning: columns not used: id
    "#]]);
}

#[test]
fn names_beside_numbers() {
    let names = ["negative", "positive"];
    let setfit = table("text,label,label_text", 12, |it, _| {
        format!("text {it},{},{}", it % 2, names[it % 2])
    });
    Drop::file("a.csv", setfit.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 12 rows
        text-classification: `label_text` has 2 values that recur: classes are learnt
        `text` -> `label_text`
        negative: 5 1 0
        positive: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv: `label_text` holds the names of the numbers in `label`, and is learnt in its place
    "#]]);
    // Not one name for each number.
    let other = table("text,label,label_text", 12, |it, _| {
        format!("text {it},{},{}", it % 3, names[it % 2])
    });
    Drop::file("a.csv", other.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 12 rows
        text-classification: `label` has 3 values that recur: classes are learnt
        `text` -> `label`
        0: 3 1 0
        1: 3 1 0
        2: 3 1 0
        train 9 (stratified, seed 0)
        validation 3 (stratified, seed 0)
        warning: columns not used: label_text
    "#]]);
}

#[test]
fn several_flags_divide_together() {
    let flags = |it| of(it, ["False,False", "True,False", "False,True"]).into();
    check(
        "is_valid,is_test",
        flags,
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 2 2
        pos: 8 2 2
        train 16 (file)
        validation 4 (file)
        test 4 (file)
        warning: `is_valid`, `is_test` divide the examples: true is validation and test, none true is train
    "#]],
    );
    let flags = |it| of(it, ["1,0", "0,1", "0,0"]).into();
    check(
        "is_train,is_valid",
        flags,
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 2 2
        pos: 8 2 2
        train 16 (file)
        validation 4 (file)
        test 4 (file)
        warning: `is_train`, `is_valid` divide the examples: true is train and validation, none true is test
    "#]],
    );
    // What is contradictory is in no split.
    let flags = |it| of(it, ["1,0,0", "0,1,0", "1,0,1"]).into();
    check(
        "is_train,is_valid,is_test",
        flags,
        expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 2 0
        pos: 8 2 0
        train 16 (file)
        validation 4 (file)
        warning: `is_train`, `is_valid`, `is_test` divide the examples: true is train and validation and test, none true is no split
        warning: a.csv: rows left out as they are in two splits: 4
    "#]],
    );
}

#[test]
fn a_column_divides_the_file_of_train_further() {
    let flag = |it: usize| if it.is_multiple_of(4) { "True" } else { "False" };
    let train = table("text,label,is_valid", 24, |it, label| {
        format!("text {it},{label},{}", flag(it + usize::from(8 <= it)))
    });
    let test = table("text,label,is_valid", 4, |it, label| format!("other {it},{label},False"));
    let bare = table("text,label", 4, |it, label| format!("other {it},{label}"));
    let train = ("train.csv", train.as_bytes());
    Drop::folder(&[train, ("test.csv", test.as_bytes())]).check(expect![[r#"
        train.csv: csv utf-8 24 rows train
        test.csv: csv utf-8 4 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 10 2 2
        pos: 8 4 2
        train 18 (file)
        validation 6 (file)
        test 4 (file)
        warning: `is_valid` divides the examples: true is validation, false is train
        warning: train.csv: the file is train, and `is_valid` puts 6 of its rows into validation: they are validation
        warning: test.csv: the file is test, and `is_valid` puts 4 of its rows into train: they are test
    "#]]);
    // The file itself says what it is.
    Drop::folder(&[train, ("test.csv", bare.as_bytes())]).check(expect![[r#"
        train.csv: csv utf-8 24 rows train
        test.csv: csv utf-8 4 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 10 2 2
        pos: 8 4 2
        train 18 (file)
        validation 6 (file)
        test 4 (file)
        warning: `is_valid` divides the examples: true is validation, false is train
        warning: train.csv: the file is train, and `is_valid` puts 6 of its rows into validation: they are validation
    "#]]);
    // What one file alone is called says nothing of its rows.
    let all = table("text,label,split", 24, |it, label| {
        format!("text {it},{label},{}", of(it, ["train", "val", "test"]))
    });
    Drop::file("test.csv", all.as_bytes()).check(expect![[r#"
        test.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 2 2
        pos: 8 2 2
        train 16 (file)
        validation 4 (file)
        test 4 (file)
    "#]]);
}

#[test]
fn names_that_not_every_file_has_are_not_learnt() {
    let train =
        table("text,label,label_text", 12, |it, name| format!("text {it},{},{name}", it % 2));
    let test = table("text,label", 4, |it, _| format!("other {it},{}", it % 2));
    let train = ("train.csv", train.as_bytes());
    Drop::folder(&[train, ("test.csv", test.as_bytes())]).check(expect![[r#"
        train.csv: csv utf-8 12 rows train
        test.csv: csv utf-8 4 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        0: 5 1 2
        1: 5 1 2
        train 10 (file)
        validation 2 (stratified, seed 0)
        test 4 (file)
        warning: columns not used: label_text
    "#]]);
    // A file without either is there to be predicted.
    let open = table("text", 4, |it, _| format!("other {it}"));
    Drop::folder(&[train, ("test.csv", open.as_bytes())]).check(expect![[r#"
        train.csv: csv utf-8 12 rows train
        text-classification: `label_text` has 2 values that recur: classes are learnt
        `text` -> `label_text`
        neg: 5 1 0
        pos: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: train.csv: `label_text` holds the names of the numbers in `label`, and is learnt in its place
        warning: test.csv has no column `label_text`, so no labels: it is there to be predicted (`finetuned predict`), and was left out
    "#]]);
}

#[test]
fn numbers_of_folds_are_called_in_words_too() {
    let text = table("text,Data Split,outcome", 40, |it, label| {
        format!("text number {it},{},{label}", it % 5)
    });
    let dataset = Drop::file("a.csv", text.as_bytes()).load().unwrap();
    assert_eq!(dataset.report.target_columns, ["outcome"]);
}

#[test]
fn names_that_end_as_those_of_splits() {
    let trial = |it| of(it, ["TRAIN", "TRIAL", "TEST"]).into();
    check(
        "SemEval_set",
        trial,
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 2 2
        pos: 8 2 2
        train 16 (file)
        validation 4 (file)
        test 4 (file)
    "#]],
    );
    check(
        "my split",
        |it| of(it, ["train", "trial", "held-out"]).into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 8 2 2
        pos: 8 2 2
        train 16 (file)
        validation 4 (file)
        test 4 (file)
    "#]],
    );
    check(
        "my-split",
        |it| of(it, ["train", "dev", "rest"]).into(),
        expect![[r#"
        Data: a.csv line 22: `my-split` holds splits and `rest`, which is none (write train, validation or test into every row, or remove the column)
    "#]],
    );
    check(
        "skill_set",
        |it| of(it, ["cooking", "trial", "law"]).into(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 11 1 0
        pos: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: columns not used: skill_set
    "#]],
    );
    check(
        "data_set",
        |it| (it % 5).to_string(),
        expect![[r#"
        a.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 11 1 0
        pos: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv: `data_set` holds numbers, of which nobody says which split each is: it was not used, and examples are divided at random (write train, validation and test into it, or remove it)
        warning: columns not used: data_set
    "#]],
    );
}
