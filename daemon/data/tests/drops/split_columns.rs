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

fn of<'a>(it: usize, [train, validation, test]: [&'a str; 3]) -> &'a str {
    match it {
        0..16 => train,
        16..20 => validation,
        _ => test,
    }
}

#[test]
fn words_and_flags() {
    check("split", |it| of(it, ["train", "dev", "test"]).into(), expect![[r#""#]]);
    check("Usage", |it| of(it, ["Training", "PublicTest", "PrivateTest"]).into(), expect![[r#""#]]);
    check("is_valid", |it| of(it, ["False", "True", "True"]).into(), expect![[r#""#]]);
    check("is_test", |it| of(it, ["0", "0", "1"]).into(), expect![[r#""#]]);
    // Whatever the column is called.
    check("origin", |it| of(it, ["train", "test", "test"]).into(), expect![[r#""#]]);
    check("set", |it| of(it, ["train", "unsup", "test"]).into(), expect![[r#""#]]);
    check("split", |it| of(it, ["train", "", "test"]).into(), expect![[r#""#]]);
}

#[test]
fn what_says_no_split() {
    check("fold", |it| (it % 5).to_string(), expect![[r#""#]]);
    check("split", |it| of(it, ["train", "test", "extra"]).into(), expect![[r#""#]]);
    check("dataset", |it| ["imdb", "yelp"][it % 2].into(), expect![[r#""#]]);
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
    Drop::folder(&files).check(expect![[r#""#]]);
    // GLUE.
    let glue = table("id,text,target", 4, |it| format!("{it},other {it},-1"));
    Drop::folder(&[files[0], ("test.csv", glue.as_bytes())]).check(expect![[r#""#]]);
    // One label is enough to be read.
    let some =
        table("id,text,target", 30, |it| format!("{it},other {it},{}", i32::from(it == 29) - 1));
    Drop::folder(&[files[0], ("test.csv", some.as_bytes())]).check(expect![[r#""#]]);
    let labels = table("id,target", 4, |it| format!("{it},-1"));
    Drop::folder(&[files[0], files[1], ("test_labels.csv", labels.as_bytes())])
        .check(expect![[r#""#]]);
    Drop::folder(&[files[0], ("unlabeled.csv", test.as_bytes())]).check(expect![[r#""#]]);
}

#[test]
fn names_beside_numbers() {
    let names = ["negative", "positive"];
    let setfit =
        table("text,label,label_text", 12, |it| format!("text {it},{},{}", it % 2, names[it % 2]));
    Drop::file("a.csv", setfit.as_bytes()).check(expect![[r#""#]]);
    // Not one name for each number.
    let other =
        table("text,label,label_text", 12, |it| format!("text {it},{},{}", it % 3, names[it % 2]));
    Drop::file("a.csv", other.as_bytes()).check(expect![[r#""#]]);
}
