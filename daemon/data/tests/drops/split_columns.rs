//! Columns that say the split, files that are there to be predicted, names beside numbers.

use crate::support::Drop;
use expect_test::{Expect, expect};

/// Of 24 rows: what each has besides text and label.
#[track_caller]
fn check(header: &str, cell: impl Fn(usize) -> String, expected: Expect) {
    let line = |it: usize| format!("text number {it},{},{}\n", ["neg", "pos"][it % 2], cell(it));
    let csv = format!("text,label,{header}\n{}", (0..24).map(line).collect::<String>());
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
        Data: a.csv: `split` holds splits and `extra`, which is none (write train, validation or test into every row, or remove the column)
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

fn table(header: &str, n: usize, line: impl Fn(usize) -> String) -> String {
    format!("{header}\n{}", (0..n).map(|it| line(it) + "\n").collect::<String>())
}

#[test]
fn files_to_predict_for_are_left_out() {
    let train = table("id,text,target", 12, |it| format!("{it},text {it},{}", it % 2));
    let test = table("id,text", 4, |it| format!("{it},other {it}"));
    let form = table("id,target", 4, |it| format!("{it},0"));
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
    let glue = table("id,text,target", 4, |it| format!("{it},other {it},-1"));
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
        table("id,text,target", 30, |it| format!("{it},other {it},{}", i32::from(it == 29) - 1));
    Drop::folder(&[files[0], ("test.csv", some.as_bytes())]).check(expect![[r#"
        Data: test.csv line 2: the class `-1` occurs in test but not in train (add examples of it to train, or remove it)
    "#]]);
    let labels = table("id,target", 4, |it| format!("{it},-1"));
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
    let setfit =
        table("text,label,label_text", 12, |it| format!("text {it},{},{}", it % 2, names[it % 2]));
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
    let other =
        table("text,label,label_text", 12, |it| format!("text {it},{},{}", it % 3, names[it % 2]));
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
