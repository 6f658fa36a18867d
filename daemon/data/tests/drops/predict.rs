//! What `predict` is given.

use crate::support::Drop;
use expect_test::{Expect, expect};
use finetuned_job::task::Modality;
use std::fmt::Write;

#[track_caller]
fn check(args: &[&str], text_column: Option<&str>, expected: Expect) {
    let args: Vec<String> = args.iter().map(|it| it.to_string()).collect();
    let columns: Vec<String> = text_column.map(Into::into).into_iter().collect();
    let reported = match finetuned_data::inputs(Modality::Text, &args, &columns) {
        Ok(inputs) => inputs.into_iter().fold(String::new(), |mut out, it| {
            writeln!(out, "{}: {}", it.origin, it.record.texts[0]).unwrap();
            out
        }),
        Err(failure) => format!("{failure}\n"),
    };
    // The temporary folder has another name each time.
    let folder = args
        .iter()
        .filter_map(|it| it.rsplit_once('/'))
        .map(|it| format!("{}/", it.0))
        .next()
        .unwrap_or("\0".into());
    expected.assert_eq(&reported.replace(&folder, ""));
}

#[test]
fn texts_and_files_of_texts() {
    check(
        &["good morning", " and. night "],
        None,
        expect![[r#"
        argument 1: good morning
        argument 2: and. night
    "#]],
    );
    let drop = Drop::folder(&[
        ("a.txt", b"\xef\xbb\xbffirst\r\n\nthird caf\xe9"),
        ("b.csv", b"id,review\n1,good\n2,\n"),
        ("c.jsonl", b"{\"says\": \"one\"}\n{\"says\": \"two\"}\n"),
        ("d.csv", b"only\nx\n"),
    ]);
    let path = |name: &str| drop.path().join(name).to_str().unwrap().to_string();
    check(
        &[&path("a.txt")],
        None,
        expect![[r#"
        a.txt line 1: first
        a.txt line 2: 
        a.txt line 3: third café
    "#]],
    );
    check(
        &[&path("b.csv")],
        Some("text"),
        expect![[r#"
        b.csv line 2: good
        b.csv line 3: 
    "#]],
    );
    check(
        &[&path("c.jsonl")],
        Some("says"),
        expect![[r#"
        c.jsonl line 1: one
        c.jsonl line 2: two
    "#]],
    );
    check(
        &[&path("d.csv")],
        Some("text"),
        expect![[r#"
        d.csv line 2: x
    "#]],
    );
}

#[test]
fn lines_of_a_quoted_text_stay_together() {
    let drop = Drop::file("a.csv", b"text\n\"a\nb\nc\nd\ne\"\n\"f\ng\nh\ni\nj\"\n");
    let args = [drop.path().to_str().unwrap().to_string()];
    let inputs = finetuned_data::inputs(Modality::Text, &args, &[]).unwrap();
    let texts: Vec<&str> = inputs.iter().map(|it| &*it.record.texts[0]).collect();
    assert_eq!(texts, ["a\nb\nc\nd\ne", "f\ng\nh\ni\nj"]);
}

#[test]
fn files_that_can_not_be_predicted() {
    let drop = Drop::folder(&[
        ("a.csv", b"x,y\n1,2\n"),
        ("b.csv", b"text,y\n1,2\n1,2,3\n"),
        ("c.zip", b"PK\x03\x04"),
        ("d.txt", b"\x89PNG\r\n"),
        ("f/x.txt", b"x"),
    ]);
    let path = |name: &str| drop.path().join(name).to_str().unwrap().to_string();
    check(
        &[&path("a.csv")],
        Some("text"),
        expect![[r#"
        a.csv has no text column `text`; its columns are x, y (name the column as in the training data)
    "#]],
    );
    check(
        &[&path("b.csv")],
        Some("text"),
        expect![[r#"
        b.csv line 3: 3 fields, but the header has 2
    "#]],
    );
    check(
        &[&path("c.zip")],
        None,
        expect![[r#"
        c.zip is an archive (unpack it first)
    "#]],
    );
    check(
        &[&path("d.txt")],
        None,
        expect![[r#"
        d.txt is a PNG image, not text
    "#]],
    );
    check(
        &[&path("e.csv")],
        None,
        expect![[r#"
        e.csv does not exist
    "#]],
    );
    check(
        &[&path("f")],
        None,
        expect![[r#"
        f is a folder (name its files)
    "#]],
    );
}

#[test]
fn images_and_folders_of_images() {
    let drop = crate::support::gallery(
        &["new", "new/more"],
        2,
        &[("new/notes.txt", b"x"), ("none/notes.txt", b"x"), ("odd", b"x")],
    );
    std::os::unix::fs::symlink("/etc/passwd", drop.path().join("new/link.png")).unwrap();
    let reported = |names: &[&str]| {
        let args: Vec<String> =
            names.iter().map(|it| drop.path().join(it).to_str().unwrap().to_string()).collect();
        let reported = match finetuned_data::inputs(Modality::Image, &args, &[]) {
            Ok(inputs) => inputs
                .iter()
                .map(|it| format!("{}: {} bytes\n", it.origin, it.image_bytes().unwrap().len()))
                .collect(),
            Err(failure) => format!("{failure}\n"),
        };
        reported.replace(drop.path().to_str().unwrap(), "drop")
    };
    expect![[r#"
        drop/odd: 1 bytes
        drop/new/0.png: 361 bytes
        drop/new/1.png: 353 bytes
        drop/new/more/0.png: 349 bytes
        drop/new/more/1.png: 349 bytes
    "#]]
    .assert_eq(&reported(&["odd", "new/"]));
    expect![[r#"
        drop/absent.png does not exist
    "#]]
    .assert_eq(&reported(&["absent.png"]));
    expect![[r#"
        drop/none is a folder without images
    "#]]
    .assert_eq(&reported(&["none"]));
    let odd = drop.path().join("odd").to_str().unwrap().to_string();
    let gone = finetuned_data::inputs(Modality::Image, &[odd], &[]).unwrap();
    std::fs::remove_file(drop.path().join("odd")).unwrap();
    assert!(
        gone[0]
            .image_bytes()
            .unwrap_err()
            .message
            .ends_with("odd is gone: it was removed before it was read")
    );
}

#[test]
fn exports_are_predicted_whatever_is_labelled() {
    let check = |lines: [&str; 2], columns: Option<&str>, expected: Expect| {
        let drop = Drop::file("a.jsonl", lines.join("\n").as_bytes());
        check(&[drop.path().to_str().unwrap()], columns, expected);
    };
    let both = || {
        expect![[r#"
            a.jsonl line 1: one
            a.jsonl line 2: two
        "#]]
    };
    let doccano = [
        r#"{"id": 1, "text": "one", "label": [], "Comments": []}"#,
        r#"{"id": 2, "text": "two", "label": ["pos"], "Comments": []}"#,
    ];
    check(doccano, Some("text"), both());
    let old = [
        r#"{"text": "one", "annotations": [], "meta": {}}"#,
        r#"{"text": "two", "annotations": [{"label": 1, "user": 1}], "meta": {}}"#,
    ];
    check(old, None, both());
    let prodigy = [
        r#"{"text": "one", "label": "pos", "answer": "reject"}"#,
        r#"{"text": "two", "label": "pos", "answer": "ignore"}"#,
    ];
    check(prodigy, Some("text"), both());
    // A column of labels is there, whatever it holds.
    check(
        prodigy,
        Some("label"),
        expect![[r#"
            a.jsonl line 1: not pos
            a.jsonl line 2: 
        "#]],
    );
    let task =
        |text: &str, rest: &str| format!(r#"{{"id": 1, "data": {{"text": "{text}"}}{rest}}}"#);
    let labelled =
        r#", "annotations": [{"result": [{"from_name": "mood", "value": {"choices": ["pos"]}}]}]"#;
    let spans = r#", "annotations": [{"result": [{"from_name": "ner", "value": {"start": 0, "end": 3, "labels": ["PER"]}}]}]"#;
    for rest in [labelled, r#", "annotations": []"#, spans, ""] {
        for column in [None, Some("text"), Some("data")] {
            check([&task("one", r#", "annotations": []"#), &task("two", rest)], column, both());
            check([&task("one", rest), &task("two", rest)], column, both());
        }
    }
    let table = [
        r#"{"annotation_id": 1, "lead_time": 2, "text": "one", "mood": {"choices": []}}"#,
        r#"{"annotation_id": 2, "lead_time": 2, "text": "two", "mood": {"choices": ["pos"]}}"#,
    ];
    check(table, Some("text"), both());
}
