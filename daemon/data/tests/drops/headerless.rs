//! Tables without a header: what their columns are shows in the values, or is asked.

use crate::support::{Drop, image, text};
use expect_test::expect;
use std::fmt::Write;

fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut all, it| {
        writeln!(all, "{}", line(it)).unwrap();
        all
    })
}

#[test]
fn the_only_text_and_the_only_column_that_recurs() {
    // As Sentiment140: sorted by the label, which recurs in no sample.
    let csv = lines(2400, |it| {
        let label = if it < 1200 { 0 } else { 4 };
        let user = it % 1300;
        format!(
            "\"{label}\",\"{}\",\"Mon Apr 06 2009\",\"NO_QUERY\",\"user{user}\",\"{}\"",
            1_467_810 + it,
            text(it)
        )
    });
    Drop::file("training.csv", csv.as_bytes()).check(expect![[r#"
        training.csv: csv utf-8 2400 rows
        text-classification: `column 1` has 2 values that recur: classes are learnt
        `column 6` -> `column 1`
        0: 1080 120 0
        4: 1080 120 0
        train 2160 (stratified, seed 0)
        validation 240 (stratified, seed 0)
        warning: training.csv has no header: its first row was read as data, `column 6` as text and `column 1` as label
        warning: columns not used: column 2, column 3, column 4, column 5
    "#]]);
    // As DBpedia.
    let csv = lines(40, |it| format!("{},Entity {it},{}", 1 + it / 20, text(it)));
    Drop::file("train.csv", csv.as_bytes()).check(expect![[r#"
        train.csv: csv utf-8 40 rows
        text-classification: `column 1` has 2 values that recur: classes are learnt
        `column 3` -> `column 1`
        1: 18 2 0
        2: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: train.csv has no header: its first row was read as data, `column 3` as text and `column 1` as label
        warning: columns not used: column 2
    "#]]);
    let csv = lines(40, |it| format!("{it},{},{}", text(it), ["ham", "spam"][it % 2]));
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 40 rows
        text-classification: `column 3` has 2 values that recur: classes are learnt
        `column 2` -> `column 3`
        ham: 18 2 0
        spam: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: a.csv has no header: its first row was read as data, `column 2` as text and `column 3` as label
        warning: columns not used: column 1
    "#]]);
}

#[test]
fn two_columns_of_texts_are_a_pair() {
    // As AG News and MultiNLI.
    let csv = lines(40, |it| format!("{},\"{}\",\"Reuters - {}\"", 1 + it % 4, text(it), text(it)));
    Drop::file("train.csv", csv.as_bytes()).check(expect![[r#"
        train.csv: csv utf-8 40 rows
        text-pair-classification: `column 1` has 4 values that recur: classes are learnt
        `column 2`, `column 3` -> `column 1`
        1: 9 1 0
        2: 9 1 0
        3: 9 1 0
        4: 9 1 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: train.csv has no header: its first row was read as data, `column 2`, `column 3` as pair and `column 1` as label
        warning: train.csv: two columns hold texts, and are read as a pair; data.text = "column 3" reads one alone
    "#]]);
}

#[test]
fn what_could_be_two_things_is_asked() {
    // As CoLA.
    let tsv = lines(40, |it| {
        format!("{}\t{}\t{}\t{}", ["gj04", "cj99"][it / 7 % 2], it % 2, ["*", ""][it % 2], text(it))
    });
    let drop = Drop::file("in_domain_train.tsv", tsv.as_bytes());
    drop.check(expect![[r#"
        Data: in_domain_train.tsv has no header: what is to be learnt can't be told; besides `column 4` it has column 1, column 2, column 3; `column 1` (gj04, cj99, …) or `column 2` (0, 1, …) could be it (name it in a job.toml in the drop: data.label = "column 1" or "column 2", or several as data.labels)
    "#]]);
    drop.check_as("data.text = 'column 4'\ndata.label = 'column 2'", expect![[r#"
        in_domain_train.tsv: tsv utf-8 40 rows
        text-classification: `column 2` has 2 values that recur: classes are learnt
        `column 4` -> `column 2`
        0: 18 2 0
        1: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: in_domain_train.tsv has no header: its first row was read as data, `column 4` as text and `column 2` as label
        warning: columns not used: column 1, column 3
    "#]]);
    let csv = lines(40, |it| format!("{},{},{},{}", it % 2, text(it), text(it), text(it)));
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        Data: a.csv has no header line, and what its 4 columns mean can't be told (add a first line with the names of the columns, for example text and label, or name them in a job.toml in the drop by their places: data.text = "column 2" or "column 3" or "column 4" (or ["column 2", "column 3"] as a pair) and data.label = "column 1")
    "#]]);
}

#[test]
fn a_column_named_by_its_place_has_no_name() {
    // The first row looks like names.
    let label = |it| if it == 0 || 1050 < it { 9 } else { it % 2 };
    let csv = lines(1100, |it| format!("{},class {}", text(it), label(it)));
    let drop = Drop::file("a.csv", csv.as_bytes());
    drop.check_as("data.text = 'column 1'\ndata.label = 'column 2'", expect![[r#"
        a.csv: csv utf-8 1100 rows
        text-classification: `column 2` has 3 values that recur: classes are learnt
        `column 1` -> `column 2`
        class 0: 472 53 0
        class 1: 472 53 0
        class 9: 45 5 0
        train 989 (stratified, seed 0)
        validation 111 (stratified, seed 0)
        warning: a.csv has no header: its first row was read as data, `column 1` as text and `column 2` as label
    "#]]);
}

#[test]
fn lists_of_images() {
    let images: Vec<(String, Vec<u8>)> =
        (0..40).map(|it| (format!("images/{it}.png"), image(it))).collect();
    let mut files: Vec<(&str, &[u8])> = images.iter().map(|it| (&*it.0, &*it.1)).collect();
    // As Caffe and ImageNet have them.
    let [train, val] = [0..30, 30..40]
        .map(|range| range.map(|it| format!("images/{it}.png {}\n", it % 2)).collect::<String>());
    files.extend([("train.txt", train.as_bytes()), ("val.txt", val.as_bytes())]);
    Drop::folder(&files).check(expect![[r#"
        train.txt: csv utf-8 30 rows train
        val.txt: csv utf-8 10 rows validation
        image-classification: `column 2` has 2 values that recur: classes are learnt
        `column 1` -> `column 2`
        0: 15 5 0
        1: 15 5 0
        train 30 (file)
        validation 10 (file)
        warning: train.txt has no header: its first row was read as data, `column 1` as image and `column 2` as label
    "#]]);
    files.truncate(40);
    let csv = lines(40, |it| format!("{it},images/{it}.png,{}", ["cat", "dog"][it % 2]));
    files.push(("labels.csv", csv.as_bytes()));
    Drop::folder(&files).check(expect![[r#"
        labels.csv: csv utf-8 40 rows
        image-classification: `column 3` has 2 values that recur: classes are learnt
        `column 2` -> `column 3`
        cat: 18 2 0
        dog: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: labels.csv has no header: its first row was read as data, `column 2` as image and `column 3` as label
        warning: columns not used: column 1
    "#]]);
}

#[test]
fn columns_of_unusual_names() {
    // All others are ids, texts, or the same throughout.
    let csv = lines(40, |it| format!("id{it},{},A. Poe,{}", text(it), ["EAP", "HPL"][it % 2]));
    let csv = format!("id,text,who,writer\n{csv}");
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 40 rows
        text-classification: `writer` has 2 values that recur: classes are learnt
        `text` -> `writer`
        EAP: 18 2 0
        HPL: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: columns not used: id, who
    "#]]);
    let csv =
        lines(40, |it| format!("{},{},{}", text(it), ["a", "b"][it % 2], ["x", "y"][it / 3 % 2]));
    let csv = format!("text,this,that\n{csv}");
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        Data: a.csv: what is to be learnt can't be told; besides `text` it has this, that; `this` (a, b, …) or `that` (x, y, …) could be it (name it in a job.toml in the drop: data.label = "this" or "that", or several as data.labels)
    "#]]);
}

#[test]
fn a_label_of_another_name_beside_lists() {
    let row = |it: usize, more: &str| {
        format!(r#"{{"text": "{}", "outcome": "{}"{more}}}"#, text(it), ["up", "down"][it % 2])
    };
    let learnt = |more: &str| {
        let json = lines(40, |it| row(it, more));
        let loaded = Drop::file("a.jsonl", json.as_bytes()).load();
        loaded.map(|it| it.report.target_columns.concat()).map_err(|it| it.to_string())
    };
    assert_eq!(learnt("").unwrap(), "outcome");
    // These could be it too.
    for more in [r#", "topics": ["a", "b"]"#, r#", "finding": {"name": "a"}"#] {
        let refused = learnt(more).unwrap_err();
        assert!(refused.contains("what is to be learnt can't be told"), "{refused}");
    }
}

#[test]
fn a_label_of_many_classes_and_another_name() {
    let rows = lines(1500, |it| format!("{},code {}", text(it), it % 400));
    let drop = Drop::file("a.csv", format!("text,outcome\n{rows}").as_bytes());
    assert_eq!(drop.load().unwrap().outputs.len(), 400);
}
