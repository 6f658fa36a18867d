//! What labelling tools export.

use crate::support::{Drop, gallery};
use expect_test::{Expect, expect};

/// One object a line.
#[track_caller]
fn check(line: impl Fn(usize) -> String, expected: Expect) {
    let lines: String = (0..12).map(|it| line(it) + "\n").collect();
    Drop::file("export.jsonl", lines.as_bytes()).check(expected);
}

const CLASSES: [&str; 2] = ["neg", "pos"];

#[test]
fn doccano() {
    let one = |it: usize| match it {
        0 | 1 | 2 | 3 => "[]".to_string(),
        it => format!("[{:?}]", CLASSES[it % 2]),
    };
    check(
        |it| {
            format!(r#"{{"id": {it}, "text": "text {it}", "label": {}, "Comments": []}}"#, one(it))
        },
        expect![[r#""#]],
    );
    check(
        |it| {
            format!(
                r#"{{"id": {it}, "text": "text {it}", "label": ["a", {:?}], "comments": []}}"#,
                CLASSES[it % 2]
            )
        },
        expect![[r#""#]],
    );
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "annotations": [{{"label": {}, "user": 1}}], "meta": {{}}}}"#,
                it % 2
            )
        },
        expect![[r#""#]],
    );
    // Places in a text are no classes.
    check(
        |it| format!(r#"{{"id": {it}, "text": "text {it}", "label": [[0, 4, "PER"]]}}"#),
        expect![[r#""#]],
    );
}

#[test]
fn label_studio() {
    let task = |it: usize, result: &str| {
        format!(
            r#"{{"id": {it}, "annotations": [{{"id": 1, "was_cancelled": false, "result": [{result}]}}], "data": {{"text": "text {it}"}}, "meta": {{}}}}"#
        )
    };
    let choice = |it: usize| match it {
        0 => String::new(),
        it => format!(
            r#"{{"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {{"choices": [{:?}]}}}}"#,
            CLASSES[it % 2]
        ),
    };
    let json: Vec<String> = (0..12).map(|it| task(it, &choice(it))).collect();
    Drop::file("export.json", format!("[{}]", json.join(",\n")).as_bytes()).check(expect![[r#""#]]);
    let own = r#""annotator": 1, "annotation_id": 7, "created_at": "x", "updated_at": "x", "lead_time": 1.5"#;
    check(
        |it| {
            format!(r#"{{"id": {it}, "text": "text {it}", "mood": {:?}, {own}}}"#, CLASSES[it % 2])
        },
        expect![[r#""#]],
    );
    check(
        |it| {
            format!(
                r#"{{"id": {it}, "text": "text {it}", "mood": {{"choices": ["a", {:?}]}}, {own}}}"#,
                CLASSES[it % 2]
            )
        },
        expect![[r#""#]],
    );
    let csv: String =
        (0..12).map(|it| format!("{it},text {it},{},1,7,2.5\n", CLASSES[it % 2])).collect();
    Drop::file(
        "a.csv",
        format!("id,text,mood,annotator,annotation_id,lead_time\n{csv}").as_bytes(),
    )
    .check(expect![[r#""#]]);
    let spans = r#"{"from_name": "label", "type": "labels", "value": {"start": 0, "end": 4, "labels": ["PER"]}}"#;
    check(|it| task(it, spans), expect![[r#""#]]);
}

#[test]
fn label_studio_with_images() {
    let lines: String = (0..12)
        .map(|it| format!(r#"{{"id": {it}, "image": "/data/upload/3/{it}.png", "choice": {:?}, "annotator": 1, "annotation_id": 7, "lead_time": 2}}"#, CLASSES[it % 2]) + "\n")
        .collect();
    gallery(&["images"], 12, &[("min.jsonl", lines.as_bytes())]).check(expect![[r#""#]]);
}

#[test]
fn prodigy() {
    let answer = |it: usize| ["accept", "accept", "accept", "reject", "ignore", "accept"][it % 6];
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "label": {:?}, "answer": {:?}, "_input_hash": {it}}}"#,
                CLASSES[it % 2],
                answer(it)
            )
        },
        expect![[r#""#]],
    );
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "options": [{{"id": "a"}}], "accept": [{:?}], "answer": {:?}}}"#,
                CLASSES[it % 2],
                answer(it)
            )
        },
        expect![[r#""#]],
    );
    // One label for all: what is rejected is the other class.
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "label": "INSULT", "answer": {:?}}}"#,
                ["accept", "reject"][it % 2]
            )
        },
        expect![[r#""#]],
    );
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "label": "PER", "spans": [{{"start": 0, "end": 4}}], "answer": {:?}}}"#,
                answer(it)
            )
        },
        expect![[r#""#]],
    );
}

#[test]
fn spacy() {
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "cats": {{"neg": {}.0, "pos": {}.0}}}}"#,
                (it + 1) % 2,
                it % 2
            )
        },
        expect![[r#""#]],
    );
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "cats": {{"a": {}, "b": {}, "c": 0.0}}}}"#,
                it % 2,
                it % 3 % 2
            )
        },
        expect![[r#""#]],
    );
    let old: Vec<String> = (0..12)
        .map(|it| {
            format!(
                r#"["text {it}", {{"cats": {{"neg": {}.0, "pos": {}.0}}}}]"#,
                (it + 1) % 2,
                it % 2
            )
        })
        .collect();
    Drop::file("a.json", format!("[{}]", old.join(",")).as_bytes()).check(expect![[r#""#]]);
}

#[test]
fn fasttext() {
    let line = |it: usize| format!("__label__{} text number {it}\n", CLASSES[it % 2]);
    let lines: String = (0..12).map(line).collect();
    let test: String = (20..26).map(line).collect();
    Drop::folder(&[("train.txt", lines.as_bytes()), ("test.txt", test.as_bytes())])
        .check(expect![[r#""#]]);
    Drop::folder(&[("cooking.train", lines.as_bytes())]).check(expect![[r#""#]]);
    let several: String = (0..12)
        .map(|it| format!("__label__{} __label__food-safety text number {it}\n", CLASSES[it % 2]))
        .collect();
    Drop::file("a.txt", several.as_bytes()).check(expect![[r#""#]]);
}

#[test]
fn detection() {
    let boxes = "0 0.5 0.5 0.1 0.2\n1 0.25 0.5 0.1 0.2\n";
    let labels: Vec<String> = (0..4).map(|it| format!("train/labels/{it}.txt")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("data.yaml", b"nc: 2")];
    files.extend(labels.iter().map(|it| (&**it, boxes.as_bytes())));
    gallery(&["train/images", "valid/images"], 4, &files).check(expect![[r#""#]]);
    let coco = br#"{"info": {}, "images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1], "category_id": 1}], "categories": []}"#;
    gallery(&["train2017", "val2017"], 4, &[("annotations/instances.json", coco)])
        .check(expect![[r#""#]]);
    let voc = b"<annotation><filename>0.jpg</filename><object><bndbox/></object></annotation>";
    gallery(&["JPEGImages"], 4, &[("Annotations/0.xml", voc)]).check(expect![[r#""#]]);
    gallery(&["images", "masks"], 4, &[]).check(expect![[r#""#]]);
    gallery(&["train", "test"], 4, &[]).check(expect![[r#""#]]);
}
