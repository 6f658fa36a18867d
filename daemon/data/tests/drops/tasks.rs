//! Every form in which texts may have several labels or numbers, and what is said of forms that
//! don't fit.

use crate::support::{Drop, reported};
use expect_test::{Expect, expect};
use finetuned_answers::Target;
use finetuned_data::Dataset;
use std::collections::BTreeMap;
use std::fmt::Write;

const LABELS: [&[&str]; 6] =
    [&["food"], &["food", "staff"], &[], &["price"], &["staff", "price"], &["staff"]];

/// Of 60 texts.
fn file(name: &str, header: &str, line: impl Fn(usize, &[&str]) -> String) -> Drop {
    let mut text = String::from(header);
    (0..60).for_each(|it| writeln!(text, "{}", line(it, LABELS[it % 6])).unwrap());
    Drop::file(name, text.as_bytes())
}

/// Text -> the names of its labels.
fn labels(dataset: &Dataset) -> BTreeMap<String, Vec<String>> {
    let all = [&dataset.train, &dataset.validation, &dataset.test].into_iter().flatten();
    let names =
        |it: &Target| it.classes().iter().map(|at| dataset.outputs[*at as usize].clone()).collect();
    all.map(|it| (it.record.texts[0].to_string(), names(&it.target))).collect()
}

fn json(labels: &[&str]) -> String {
    format!("{labels:?}")
}

#[test]
fn all_forms_of_several_labels_are_one() {
    let piped =
        file("a.csv", "text,tags\n", |it, labels| format!("text {it},{}", labels.join("|")));
    piped.check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-multi-label-classification: `tags` holds labels divided by |: several labels are learnt
        `text` -> `tags`
        food: 18 2 0
        price: 18 2 0
        staff: 27 3 0
        train 54 (stratified by label, seed 0)
        validation 6 (stratified by label, seed 0)
    "#]]);
    let wanted = labels(&piped.load().unwrap());
    assert_eq!(
        (&wanted["text 1"][..], &wanted["text 2"][..]),
        (&["food".into(), "staff".into()][..], &[][..])
    );
    let flag = |labels: &[&str], of: &str| u32::from(labels.contains(&of));
    let drops = [
        file("a.csv", "text,tags\n", |it, labels| format!("text {it},\"{}\"", labels.join(", "))),
        file("a.csv", "text,tags\n", |it, labels| format!("text {it},{}", labels.join(";"))),
        file("a.tsv", "text\ttags\n", |it, labels| format!("text {it}\t{}", labels.join(" "))),
        file("a.tsv", "text\ttags\n", |it, labels| format!("text {it}\t{}", json(labels))),
        file("a.tsv", "text\ttags\n", |it, labels| {
            format!("text {it}\t{}", json(labels).replace('"', "'"))
        }),
        file("a.jsonl", "", |it, labels| {
            format!("{{\"text\": \"text {it}\", \"tags\": {labels:?}}}")
        }),
        file("a.csv", "id,text,food,staff,price\n", |it, labels| {
            let [food, staff, price] = ["food", "staff", "price"].map(|of| flag(labels, of));
            format!("{it},text {it},{food},{staff},{price}")
        }),
        file("a.csv", "text,food,staff,price\n", |it, labels| {
            let [food, staff, price] = ["food", "staff", "price"].map(|of| flag(labels, of) == 1);
            format!("text {it},{food},{staff},{price}")
        }),
    ];
    for (nth, drop) in drops.iter().enumerate() {
        let loaded = drop.load();
        assert!(loaded.is_ok(), "{nth}: {}", reported(loaded));
        let dataset = loaded.unwrap();
        assert_eq!(labels(&dataset), wanted, "{nth}");
        assert_eq!(dataset.task.name, "text-multi-label-classification", "{nth}");
    }
    drops[6].check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-multi-label-classification: 3 columns of 0 and 1: several labels are learnt
        `text` -> `food`, `staff`, `price`
        food: 18 2 0
        price: 18 2 0
        staff: 27 3 0
        train 54 (stratified by label, seed 0)
        validation 6 (stratified by label, seed 0)
        warning: columns not used: id
    "#]]);
}

#[test]
fn numbers_of_a_text() {
    file("a.csv", "text,score\n", |it, _| format!("text {it},{}.5", it * it)).check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-regression: `score` is a column of fractions: numbers are learnt
        `text` -> `score`
        score: 0.5 to 3481.5, mean 1222.130
        train 54 (random, seed 0)
        validation 6 (random, seed 0)
    "#]]);
    // A decimal comma; a column among others.
    file("a.csv", "id;text;score\n", |it, _| format!("{it};text {it};{},25", it * 7)).check(
        expect![[r#"
        a.csv: csv utf-8 60 rows
        text-regression: `score` is a column of fractions with a decimal comma: numbers are learnt
        `text` -> `score`
        score: 0.25 to 413.25, mean 211.546
        train 54 (random, seed 0)
        validation 6 (random, seed 0)
        warning: columns not used: id
    "#]],
    );
    // Lists of numbered classes, as those of GoEmotions, or decimals.
    let lists = file("a.csv", "text;score\n", |it, _| {
        let more = if it % 5 == 0 { format!(",{}", it / 5 % 6 + 2) } else { String::new() };
        format!("text {it};{}{more}", it % 8)
    });
    lists.check(expect![[r#"
        Data: a.csv: `score` holds whole numbers and some with a comma, and whether these have decimals or are lists of classes can't be told: set task in the recipe to that of numbers or of several labels
    "#]]);
    // Two classes to every other text, always in order; decimals are not.
    let pairs = |parts: fn(usize) -> (usize, usize)| {
        file("a.csv", "text;score\n", move |it, _| match (it % 2, parts(it / 2)) {
            (0, _) => format!("text {it};{}", it / 2 % 6),
            (_, (first, second)) => format!("text {it};{first},{second}"),
        })
    };
    let failure = pairs(|it| (it % 5, it % 5 + 1)).load().err().unwrap();
    assert!(failure.message.contains("lists of classes can't be told"), "{failure}");
    let task = pairs(|it| (it % 6, it % 5)).load().unwrap().task;
    assert_eq!(task.name, "text-regression");
    lists.check_as(
        "task = 'text-multi-label-classification'",
        expect![[r#"
        a.csv: csv utf-8 60 rows
        text-multi-label-classification: the recipe says so
        `text` -> `score`
        0: 7 1 0
        1: 7 1 0
        2: 9 1 0
        3: 8 1 0
        4: 8 1 0
        5: 7 1 0
        6: 9 0 0
        7: 7 1 0
        train 54 (stratified by label, seed 0)
        validation 6 (stratified by label, seed 0)
        warning: validation has no examples of 6: their scores say nothing
    "#]],
    );
    file("a.csv", "text;price\n", |it, _| format!("text {it};{}{}", ["$", "€"][it % 2], it)).check(
        expect![[r#"
            Data: a.csv: `price` holds numbers of several units ($, €): write all of them in one
        "#]],
    );
    // Blanks between thousands, negative numbers in parentheses, a unit of letters.
    let french = |it: usize| format!("text {it};{}\u{a0}{:03},5", 1 + it, it * 7);
    file("a.csv", "text;prix\n", |it, _| french(it)).check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-regression: `prix` is a column of fractions with a decimal comma: numbers are learnt
        `text` -> `prix`
        prix: 1000.5 to 60413.5, mean 31396.981
        train 54 (random, seed 0)
        validation 6 (random, seed 0)
    "#]]);
    file("a.csv", "text,gain\n", |it, _| {
        format!("text {it},{}", if it % 2 == 0 { format!("({it}.5)") } else { format!("{it}.5") })
    })
    .check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-regression: `gain` is a column of fractions: numbers are learnt
        `text` -> `gain`
        gain: -58.5 to 59.5, mean 0.796
        train 54 (random, seed 0)
        validation 6 (random, seed 0)
    "#]]);
    file("a.csv", "text,weight\n", |it, _| format!("text {it},{}.5 kg", it % 7)).check(expect![[
        r#"
            a.csv: csv utf-8 60 rows
            text-regression: `weight` is a column of fractions: numbers are learnt
            `text` -> `weight`
            weight: 0.5 to 6.5, mean 3.333
            train 54 (random, seed 0)
            validation 6 (random, seed 0)
        "#
    ]]);
    file("a.csv", "text,time\n", |it, _| format!("text {it},{}:{:02}", it % 7, it))
        .check(expect![[r#"
            Data: a.csv: `time` is a column of dates or times, which are neither classes nor numbers: name another column as data.label, or set task in the recipe to that of classes
        "#]]);
    let two =
        file("a.csv", "text,price,weight\n", |it, _| format!("text {it},{it}.5,{}", 100 - it));
    two.check(expect![[r#"
        Data: a.csv: what is to be learnt can't be told; besides `text` it has price, weight (name it in a job.toml in the drop: data.label = "price", or several as data.labels)
    "#]]);
    let named = "task = 'text-regression'\ndata.labels = ['weight', 'price']";
    two.check_as(
        named,
        expect![[r#"
        a.csv: csv utf-8 60 rows
        text-regression: the recipe says so
        `text` -> `weight`, `price`
        weight: 41 to 100, mean 69.815
        price: 0.5 to 59.5, mean 30.685
        train 54 (random, seed 0)
        validation 6 (random, seed 0)
    "#]],
    );
    let dataset = two.load_as(named, 0).unwrap();
    let first = &dataset.train[0];
    let nth: f64 = first.record.texts[0].split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(first.target, Target::of_numbers([100.0 - nth, nth + 0.5]));
}

#[test]
fn columns_must_fit_the_task() {
    #[track_caller]
    fn check(drop: &Drop, task: &str, expected: Expect) {
        drop.check_as(&format!("task = 'text-{task}'"), expected);
    }
    let classes =
        file("a.csv", "text,label\n", |it, _| format!("text {it},{}", ["x", "y"][it % 2]));
    check(
        &classes,
        "regression",
        expect![[r#"
            Data: a.csv line 2: `label` is `x`, which is no number (task = "text-classification" would fit, or name other columns in the recipe)
        "#]],
    );
    check(
        &classes,
        "multi-label-classification",
        expect![[r#"
        Data: a.csv: no cell of `label` holds several labels (task = "text-classification" would fit, or name other columns in the recipe)
    "#]],
    );
    let numbers = file("a.csv", "text,label\n", |it, _| format!("text {it},{it}.25"));
    check(
        &numbers,
        "classification",
        expect![[r#"
            Data: a.csv: `label` is a column of fractions that hardly recur (task = "text-regression" would fit, or name other columns in the recipe)
        "#]],
    );
    let lists = file("a.jsonl", "", |it, labels| {
        format!("{{\"text\": \"text {it}\", \"label\": {labels:?}}}")
    });
    check(
        &lists,
        "classification",
        expect![[r#"
            Data: a.jsonl: `label`: 2 labels, where others have one (task = "text-multi-label-classification" would fit, or name other columns in the recipe)
        "#]],
    );
    check(
        &lists,
        "regression",
        expect![[r#"
            Data: a.jsonl: `label` is a list, which is no number (task = "text-multi-label-classification" would fit, or name other columns in the recipe)
        "#]],
    );
    let years = file("a.csv", "text,year\n", |it, _| format!("text {it},{}", 1900 + it % 30));
    years.check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-regression: `year` has 30 different whole numbers: numbers are learnt
        `text` -> `year`
        year: 1900 to 1929, mean 1914.630
        train 54 (random, seed 0)
        validation 6 (random, seed 0)
    "#]]);
    Drop::folder(&[("neg/a.txt", b"x"), ("pos/b.txt", b"y")])
        .check_as("task = 'text-regression'", expect![[r#"
            Data: folders of texts can't hold numbers (drop a table with columns of what is to be learnt)
        "#]]);
    classes.check_as(
        "data.text = ['text', 'label']",
        expect![[r#"
            Data: a.csv has no column besides `text` and `label`, so no label (add a column `label`; without labels set task: "text-generation" learns answers to questions, "preference" which answers are wanted, "causal-language-modeling" and "masked-language-modeling" texts as they are)
        "#]],
    );
}

#[test]
fn a_column_of_splits_divides() {
    file("a.csv", "text,label,split\n", |it, _| {
        format!(
            "text {it},{},{}",
            ["x", "y"][it % 2],
            ["train", "train", "dev", "test"][it / 2 % 4]
        )
    })
    .check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        x: 16 7 7
        y: 16 7 7
        train 32 (file)
        validation 14 (file)
        test 14 (file)
    "#]]);
}

#[test]
fn spellings_of_one_label_are_one_class() {
    file("a.csv", "text,label\n", |it, _| {
        format!("text {it},{}", ["Good", "good", "bad", "BAD "][it % 4])
    })
    .check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        BAD: 27 3 0
        Good: 27 3 0
        train 54 (stratified, seed 0)
        validation 6 (stratified, seed 0)
        warning: labels that are spellings of `BAD` were taken for it: `bad` (15)
        warning: labels that are spellings of `Good` were taken for it: `good` (15)
    "#]]);
}

#[test]
fn the_reason_knows_all_rows_of_a_sorted_file() {
    let rows =
        |label: &str| (0..1500).map(|it| format!("{label} {it},{label}\n")).collect::<String>();
    let csv = ["text,label\n".to_string(), rows("bad"), rows("good")].concat();
    let dataset = Drop::file("a.csv", csv.as_bytes()).load().unwrap();
    assert_eq!(dataset.reason, "`label` has 2 values that recur: classes are learnt");

    let scores = (0..1500).map(|it| format!("text {it},{}\n", it * 7)).collect::<String>();
    let csv = format!("text,score\n{scores}");
    let dataset = Drop::file("a.csv", csv.as_bytes()).load().unwrap();
    assert_eq!(
        dataset.reason,
        "`score` has 999 different whole numbers: numbers are learnt, as the first 999 rows show"
    );
}

#[test]
fn labels_that_are_ticked_joined_or_hidden_in_objects() {
    // As people fill forms in a spreadsheet.
    let tick = |is: bool| if is { "x" } else { "" };
    file("a.csv", "text,spam,urgent\n", |it, _| {
        format!("text {it},{},{}", tick(it % 2 == 0), tick(it % 3 == 0))
    })
    .check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-multi-label-classification: 2 columns of 0 and 1: several labels are learnt
        `text` -> `spam`, `urgent`
        spam: 27 3 0
        urgent: 18 2 0
        train 54 (stratified by label, seed 0)
        validation 6 (stratified by label, seed 0)
    "#]]);
    let yes = |is: bool| if is { "yes" } else { "no" };
    file("a.csv", "text,spam,urgent\n", |it, _| {
        format!("text {it},{},{}", yes(it % 2 == 0), yes(it % 3 == 0))
    })
    .check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-multi-label-classification: 2 columns of 0 and 1: several labels are learnt
        `text` -> `spam`, `urgent`
        spam: 27 3 0
        urgent: 18 2 0
        train 54 (stratified by label, seed 0)
        validation 6 (stratified by label, seed 0)
    "#]]);
    file("a.csv", "text,label\n", |it, _| {
        format!("text {it},{}", ["bug", "bug+ui", "ui", "api", "api+ui"][it % 5])
    })
    .check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-multi-label-classification: `label` holds combinations of 3 labels, divided by +: several labels are learnt
        `text` -> `label`
        api: 22 2 0
        bug: 22 2 0
        ui: 32 4 0
        train 54 (stratified by label, seed 0)
        validation 6 (stratified by label, seed 0)
    "#]]);
    // As in tables of films.
    file("a.csv", "text,genres\n", |it, _| {
        format!("text {it},\"[{{'id': {0}, 'name': 'Genre {0}'}}]\"", it % 3)
    })
    .check(expect![[r#"
        Data: a.csv: `genres` holds lists of objects, of which nobody says what the label is: write a list of the labels alone, as ['a', 'b'] or a|b
    "#]]);
    // Nothing to be learnt.
    file("a.tsv", "index\tsentence1\tsentence2\n", |it, _| format!("{it}\ttext {it}\tother {it}"))
        .check(expect![[r#"
            Data: a.tsv has no column besides `sentence1` and `sentence2`, so no label (add a column `label`; without labels set task: "text-generation" learns answers to questions, "preference" which answers are wanted, "causal-language-modeling" and "masked-language-modeling" texts as they are)
        "#]]);
}
