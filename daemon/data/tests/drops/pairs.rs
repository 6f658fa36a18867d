//! Two texts that belong together, by all the names that people give them, and what is said where
//! they are not sure to.

use crate::support::Drop;
use expect_test::expect;
use finetuned_data::inputs;
use finetuned_job::task::Modality;
use std::fmt::Write;

/// 40 rows of two texts and a label.
fn table(header: &str, label: impl Fn(usize) -> String) -> Vec<u8> {
    let mut csv = format!("{header}\n");
    for it in 0..40 {
        writeln!(csv, "the first text has number {it},and this is number {},{}", it / 2, label(it))
            .unwrap();
    }
    csv.into_bytes()
}

fn class(it: usize) -> String {
    ["same", "other"][it % 2].into()
}

#[test]
fn pairs_are_known_by_their_usual_names() {
    for names in [
        "sentence1,sentence2",
        "Sentence_A,Sentence_B",
        "premise,hypothesis",
        "question1,question2",
        "question,answer",
        "query,passage",
        "text_a,text_b",
        "text,text_pair",
    ] {
        let drop = Drop::file("a.csv", &table(&format!("{names},label"), class));
        assert_eq!(drop.modality(), Modality::TextPair, "{names}");
        let dataset = drop.load().unwrap();
        assert_eq!(dataset.task.name, "text-pair-classification", "{names}");
        let pair = &dataset.train[0].record.texts;
        assert!(pair[0].starts_with("the first") && pair[1].starts_with("and this"), "{names}");
        assert_eq!(dataset.report.input_columns.join(","), names);
    }
    Drop::file("a.csv", &table("premise,hypothesis,label", class)).check(expect![[r#"
        a.csv: csv utf-8 40 rows
        text-pair-classification: `label` has 2 values that recur: classes are learnt
        `premise`, `hypothesis` -> `label`
        other: 18 2 0
        same: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
    "#]]);
    let graded = table("sentence1,sentence2,score", |it| format!("{}.{}", it % 5, it % 7));
    Drop::file("a.csv", &graded).check(expect![[r#"
        a.csv: csv utf-8 40 rows
        text-pair-regression: `score` is a column of fractions: numbers are learnt
        `sentence1`, `sentence2` -> `score`
        score: 0 to 4.6, mean 2.214
        train 36 (random, seed 0)
        validation 4 (random, seed 0)
    "#]]);
}

#[test]
fn a_recipe_names_any_two_columns() {
    let drop = Drop::file("a.csv", &table("remark,reply,label", class));
    drop.check(expect![[r#"
        Data: a.csv: which column is the text can't be told; its columns are remark, reply, label (drop it in a folder with a job.toml of two lines: data.text = "remark" (or ["remark", "reply"], which reads both as a pair) and data.label = "label")
    "#]]);
    drop.check_as(
        "data.text = ['remark', 'reply']",
        expect![[r#"
        a.csv: csv utf-8 40 rows
        text-pair-classification: `label` has 2 values that recur: classes are learnt
        `remark`, `reply` -> `label`
        other: 18 2 0
        same: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
    "#]],
    );
    drop.check_as(
        "data.text = ['remark', 'replies']",
        expect![[r#"
        Data: a.csv has no column `replies`; its columns are remark, reply, label
    "#]],
    );
    drop.check_as(
        "task = 'text-classification'\ndata.text = ['remark', 'reply']",
        expect![[r#"
            Data: data.text names 2 columns, and one is read (name the column of texts alone, or leave `task` out: two columns are a pair)
        "#]],
    );
    drop.check_as("task = 'text-pair-classification'", expect![[r#"
        Data: a.csv: which two columns are the pair can't be told; its columns are remark, reply, label (name the two columns in a job.toml in the drop: data.text = ["FIRST", "SECOND"])
    "#]]);
}

#[test]
fn a_second_text_is_never_left_out_in_silence() {
    Drop::file("a.csv", &table("title,body,label", class)).check(expect![[r#"
        a.csv: csv utf-8 40 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `body` -> `label`
        other: 18 2 0
        same: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: a.csv: `title` holds texts too, and is not read; data.text = ["title", "body"] reads both as a pair
        warning: columns not used: title
        warning: texts that stand under more than one label: 20
    "#]]);
    let three = |it: usize| format!("a third text for row {it},{}", class(it));
    Drop::file("a.csv", &table("query,passage,comment,label", three)).check(expect![[r#"
        a.csv: csv utf-8 40 rows
        text-pair-classification: `label` has 2 values that recur: classes are learnt
        `query`, `passage` -> `label`
        other: 18 2 0
        same: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: a.csv: `comment` holds texts too, and is not read
        warning: columns not used: comment
    "#]]);
}

#[test]
fn two_columns_are_a_text_and_its_label() {
    let mut csv = "question,answer\n".to_string();
    (0..40).for_each(|it| writeln!(csv, "is {it} odd,{}", ["no", "yes"][it % 2]).unwrap());
    let drop = Drop::file("a.csv", csv.as_bytes());
    assert_eq!(drop.modality(), Modality::Text);
}

#[test]
fn half_a_pair_is_none() {
    let csv = "premise,hypothesis,label\n".to_string()
        + &"a b,c d,x\ne f,g h,y\n".repeat(3)
        + "only one,,x\n,only two,y\ni j,k l,x\nm n,o p,y\nq,r,x\ns,t,y\n";
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        Data: 2 of 12 examples can't be used, which is more than 10 %: 2 times empty text (first: a.csv line 8) (mend or remove them, or name the right columns in the recipe)
    "#]]);
}

#[test]
fn pairs_to_predict() {
    let of = |args: &[&str], columns: &[&str]| -> String {
        let [args, columns] =
            [args, columns].map(|it| it.iter().map(|it| it.to_string()).collect::<Vec<String>>());
        match inputs(Modality::TextPair, &args, &columns) {
            Ok(all) => {
                all.iter().map(|it| format!("{}: {:?}\n", it.what, it.record.texts)).collect()
            }
            Err(failure) => format!("{failure}\n"),
        }
    };
    let drop = Drop::folder(&[
        ("a.tsv", b"left\tright\tx\none\ttwo\t1\nthree\t\t2\n"),
        ("b.csv", b"x,premise,hypothesis\n1,one,two\n"),
        ("c.txt", b"one\ttwo\n\nthree\t four\n"),
        ("d.txt", b"one\ttwo\tthree\n"),
        ("e.csv", b"x,y,z\n1,2,3\n"),
    ]);
    let path = |name: &str| drop.path().join(name).to_str().unwrap().to_string();
    let mut found = String::new();
    found += &of(&["one", "two", "three", "four"], &[]);
    found += &of(&["one", "two", "three"], &[]);
    for name in ["a.tsv", "b.csv", "c.txt", "d.txt", "e.csv"] {
        found += &of(&[&path(name)], &["left", "right"]);
    }
    let folder = format!("{}/", drop.path().display());
    expect![[r#"
        one / two: ["one", "two"]
        three / four: ["three", "four"]
        argument 3 is a text alone (this model reads 2 texts together: give them one after the other)
        one / two: ["one", "two"]
        three / : ["three", ""]
        one / two: ["one", "two"]
        one / two: ["one", "two"]
         / : ["", ""]
        three / four: ["three", "four"]
        d.txt line 1: 3 texts divided by tabs, where this model reads 2 together
        e.csv has no text columns `left` and `right`; its columns are x, y, z (name the columns as in the training data)
    "#]].assert_eq(&found.replace(&folder, ""));
}

#[test]
fn the_label_of_a_pair_is_the_gold_one() {
    let row = |it: usize| format!("{},first {it},second {it},{}", ["a", "b", "c"][it % 3], it % 2);
    for (header, learnt) in [
        ("genre,sentence1,sentence2,gold_label", "gold_label"),
        ("genre,sentence1,sentence2,score", "score"),
    ] {
        let rows: String = (0..40).map(|it| row(it) + "\n").collect();
        let drop = Drop::file("a.csv", format!("{header}\n{rows}").as_bytes());
        assert_eq!(drop.load().unwrap().report.target_columns, [learnt]);
    }
}
