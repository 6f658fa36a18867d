//! What labelling tools export.

use crate::support::{CLASSES, Drop, gallery};
use expect_test::{Expect, expect};

/// One object a line.
#[track_caller]
fn check(line: impl Fn(usize) -> String, expected: Expect) {
    let lines: String = (0..12).map(|it| line(it) + "\n").collect();
    Drop::file("export.jsonl", lines.as_bytes()).check(expected);
}

#[test]
fn doccano() {
    let one = |it: usize| match it {
        0..=3 => "[]".to_string(),
        it => format!("[{:?}]", CLASSES[it % 2]),
    };
    check(
        |it| {
            format!(r#"{{"id": {it}, "text": "text {it}", "label": {}, "Comments": []}}"#, one(it))
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 8 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 3 1 0
            pos: 3 1 0
            train 6 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl was read as an export of doccano
            warning: export.jsonl: rows left out as they are not labelled: 4
        "#]],
    );
    check(
        |it| {
            format!(
                r#"{{"id": {it}, "text": "text {it}", "label": ["a", {:?}], "comments": []}}"#,
                CLASSES[it % 2]
            )
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-multi-label-classification: `label` holds lists: several labels are learnt
            `text` -> `label`
            a: 11 1 0
            neg: 6 0 0
            pos: 5 1 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: export.jsonl was read as an export of doccano
            warning: validation has no examples of neg: their scores say nothing
        "#]],
    );
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "annotations": [{{"label": {}, "user": 1}}], "meta": {{}}}}"#,
                it % 2
            )
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            0: 5 1 0
            1: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl was read as an export of doccano
        "#]],
    );
    // Places in a text are no classes.
    check(
        |it| format!(r#"{{"id": {it}, "text": "text {it}", "label": [[0, 4, "PER"]]}}"#),
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            token-classification: `label` has a tag for each word: tags are learnt
            `text` -> `label`
            PER: 11 1 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: columns not used: id
        "#]],
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
    Drop::file("export.json", format!("[{}]", json.join(",\n")).as_bytes()).check(expect![[r#"
        export.json: json utf-8 11 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 4 1 0
        pos: 5 1 0
        train 9 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: export.json was read as an export of Label Studio
        warning: export.json: rows left out as they are not labelled: 1
    "#]]);
    let own = r#""annotator": 1, "annotation_id": 7, "created_at": "x", "updated_at": "x", "lead_time": 1.5"#;
    check(
        |it| {
            format!(r#"{{"id": {it}, "text": "text {it}", "mood": {:?}, {own}}}"#, CLASSES[it % 2])
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-classification: `mood` has 2 values that recur: classes are learnt
            `text` -> `mood`
            neg: 5 1 0
            pos: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl was read as an export of Label Studio
        "#]],
    );
    check(
        |it| {
            format!(
                r#"{{"id": {it}, "text": "text {it}", "mood": {{"choices": ["a", {:?}]}}, {own}}}"#,
                CLASSES[it % 2]
            )
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-multi-label-classification: `mood` holds lists: several labels are learnt
            `text` -> `mood`
            a: 11 1 0
            neg: 6 0 0
            pos: 5 1 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: export.jsonl was read as an export of Label Studio
            warning: validation has no examples of neg: their scores say nothing
        "#]],
    );
    let csv: String =
        (0..12).map(|it| format!("{it},text {it},{},1,7,2.5\n", CLASSES[it % 2])).collect();
    Drop::file(
        "a.csv",
        format!("id,text,mood,annotator,annotation_id,lead_time\n{csv}").as_bytes(),
    )
    .check(expect![[r#"
        a.csv: csv utf-8 12 rows
        text-classification: `mood` has 2 values that recur: classes are learnt
        `text` -> `mood`
        neg: 5 1 0
        pos: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv was read as an export of Label Studio
    "#]]);
    // A remark is no choice, and may be missing.
    let csv: String = (0..12)
        .map(|it| {
            let mood = if it == 5 { "" } else { CLASSES[it % 2] };
            let remark = if it < 4 { format!("remark {it}") } else { String::new() };
            format!("{it},text {it},{remark},{mood},1,7,2.5\n")
        })
        .collect();
    Drop::file(
        "a.csv",
        format!("id,text,remark,mood,annotator,annotation_id,lead_time\n{csv}").as_bytes(),
    )
    .check_as(
        "data.label = \"mood\"",
        expect![[r#"
            a.csv: csv utf-8 11 rows
            text-classification: `mood` has 2 values that recur: classes are learnt
            `text` -> `mood`
            neg: 5 1 0
            pos: 4 1 0
            train 9 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: columns not used: remark
            warning: a.csv was read as an export of Label Studio
            warning: a.csv: rows left out as they are not labelled: 1
        "#]],
    );
    let spans = r#"{"from_name": "label", "type": "labels", "value": {"start": 0, "end": 4, "labels": ["PER"]}}"#;
    check(
        |it| task(it, spans),
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            token-classification: `annotations` has a tag for each word: tags are learnt
            `data` -> `annotations`
            PER: 11 1 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: columns not used: id, meta
        "#]],
    );
}

#[test]
fn label_studio_with_images() {
    let lines: String = (0..12)
        .map(|it| format!(r#"{{"id": {it}, "image": "/data/upload/3/{it}.png", "choice": {:?}, "annotator": 1, "annotation_id": 7, "lead_time": 2}}"#, CLASSES[it % 2]) + "\n")
        .collect();
    gallery(&["images"], 12, &[("min.jsonl", lines.as_bytes())]).check(expect![[r#"
        min.jsonl: json_lines utf-8 12 rows
        image-classification: `choice` has 2 values that recur: classes are learnt
        `image` -> `choice`
        neg: 5 1 0
        pos: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: min.jsonl was read as an export of Label Studio
    "#]]);
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
        expect![[r#"
            export.jsonl: json_lines utf-8 8 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 3 1 0
            pos: 3 1 0
            train 6 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl was read as an export of Prodigy
            warning: export.jsonl: rows left out as they are ignored by the annotator: 2
            warning: export.jsonl: rows left out as they are rejected by the annotator: 2
        "#]],
    );
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "options": [{{"id": "a"}}], "accept": [{:?}], "answer": {:?}}}"#,
                CLASSES[it % 2],
                answer(it)
            )
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 8 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 3 1 0
            pos: 3 1 0
            train 6 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl was read as an export of Prodigy
            warning: export.jsonl: rows left out as they are ignored by the annotator: 2
            warning: export.jsonl: rows left out as they are rejected by the annotator: 2
        "#]],
    );
    // One label for all: what is rejected is the other class.
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "label": "INSULT", "answer": {:?}}}"#,
                ["accept", "reject"][it % 2]
            )
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            INSULT: 5 1 0
            not INSULT: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl was read as an export of Prodigy
        "#]],
    );
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "label": "PER", "spans": [{{"start": 0, "end": 4}}], "answer": {:?}}}"#,
                answer(it)
            )
        },
        expect![[r#"
            Data: export.jsonl: `spans` holds lists of objects, of which nobody says what the label is: write a list of the labels alone, as ['a', 'b'] or a|b
        "#]],
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
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 5 1 0
            pos: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl was read as an export of spaCy
        "#]],
    );
    check(
        |it| {
            format!(
                r#"{{"text": "text {it}", "cats": {{"a": {}, "b": {}, "c": 0.0}}}}"#,
                it % 2,
                it % 3 % 2
            )
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-multi-label-classification: `label` holds lists: several labels are learnt
            `text` -> `label`
            a: 6 0 0
            b: 4 0 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: export.jsonl was read as an export of spaCy
            warning: validation has no examples of a, b: their scores say nothing
        "#]],
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
    Drop::file("a.json", format!("[{}]", old.join(",")).as_bytes()).check(expect![[r#"
        a.json: json utf-8 12 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `column 1` -> `label`
        neg: 5 1 0
        pos: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.json was read as an export of spaCy
    "#]]);
}

#[test]
fn flags_beside_a_label_are_no_labels() {
    let line = |it: usize, name: &str| {
        let label = CLASSES[it % 2];
        let short = it.is_multiple_of(3);
        format!(
            r#"{{"text": "text {it}", "label": {label:?}, {name:?}: {{"url": true, "short": {short}}}}}"#
        )
    };
    check(
        |it| line(it, "flags"),
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 5 1 0
            pos: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: columns not used: flags
        "#]],
    );
    check(
        |it| line(it, "sentiment"),
        expect![[r#"
            export.jsonl: json_lines utf-8 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 5 1 0
            pos: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl: `label` was taken as the label, though `sentiment` could be one too
            warning: columns not used: sentiment
        "#]],
    );
}

#[test]
fn fasttext() {
    let line = |it: usize| format!("__label__{} text number {it}\n", CLASSES[it % 2]);
    let lines: String = (0..12).map(line).collect();
    let test: String = (20..26).map(line).collect();
    Drop::folder(&[("train.txt", lines.as_bytes()), ("test.txt", test.as_bytes())]).check(expect![
        [r#"
            train.txt: fasttext utf-8 12 rows train
            test.txt: fasttext utf-8 6 rows test
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 5 1 3
            pos: 5 1 3
            train 10 (file)
            validation 2 (stratified, seed 0)
            test 6 (file)
        "#]
    ]);
    Drop::folder(&[("cooking.train", lines.as_bytes())]).check(expect![[r#"
        cooking.train: fasttext utf-8 12 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 5 1 0
        pos: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    let several: String = (0..12)
        .map(|it| format!("__label__{} __label__food-safety text number {it}\n", CLASSES[it % 2]))
        .collect();
    Drop::file("a.txt", several.as_bytes()).check(expect![[r#"
        a.txt: fasttext utf-8 12 rows
        text-multi-label-classification: `label` holds lists: several labels are learnt
        `text` -> `label`
        food-safety: 11 1 0
        neg: 6 0 0
        pos: 5 1 0
        train 11 (stratified by label, seed 0)
        validation 1 (stratified by label, seed 0)
        warning: validation has no examples of neg: their scores say nothing
    "#]]);
}

#[test]
fn detection() {
    let boxes = "0 0.5 0.5 0.1 0.2\n1 0.25 0.5 0.1 0.2\n";
    let labels: Vec<String> = (0..4).map(|it| format!("train/labels/{it}.txt")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("data.yaml", b"nc: 2")];
    files.extend(labels.iter().map(|it| (&**it, boxes.as_bytes())));
    gallery(&["train/images", "valid/images"], 4, &files).check(expect![[r#"
        Data: the drop is a detection export (YOLO): train/labels/0.txt holds places in images, no class of a whole image (for a class of each whole image, put the images into a folder for each class, or name file and label in a metadata.csv)
    "#]]);
    let coco = br#"{"info": {}, "images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1], "category_id": 1}], "categories": []}"#;
    gallery(&["train2017", "val2017"], 4, &[("annotations/instances.json", coco)])
        .check(expect![[r#"
            Data: the drop is a detection export (COCO): annotations/instances.json holds places in images, no class of a whole image (for a class of each whole image, put the images into a folder for each class, or name file and label in a metadata.csv)
        "#]]);
    let voc = b"<annotation><filename>0.jpg</filename><object><bndbox/></object></annotation>";
    gallery(&["JPEGImages"], 4, &[("Annotations/0.xml", voc)]).check(expect![[r#"
        Data: the drop is a detection export (Pascal VOC, CVAT): Annotations/0.xml holds places in images, no class of a whole image (for a class of each whole image, put the images into a folder for each class, or name file and label in a metadata.csv)
    "#]]);
    gallery(&["images", "masks"], 4, &[]).check(expect![[r#"
        Data: images/, masks/ are no classes by name, and there are no other folders (put the files of each class into a folder named after it, or name each file's label in a table)
    "#]]);
    gallery(&["train", "test"], 4, &[]).check(expect![[r#"
        Data: test/, train/ are splits and no class, and no folders of classes lie below (put the files of each class into a folder of its own, as in train/cat/, or name each file's label in a table)
    "#]]);
}

#[test]
fn what_most_annotators_say() {
    let answer = |label: &str| {
        format!(
            r#"{{"result": [{{"from_name": "s", "to_name": "text", "type": "choices", "value": {{"choices": [{label:?}]}}}}]}}"#
        )
    };
    let task = |it: usize| {
        let (own, other) = (["neg", "pos"][it % 2], ["pos", "neg"][it % 2]);
        let answers = match it {
            // The first one is alone.
            0 | 1 => vec![answer(other), answer(own), answer(own)],
            2 | 3 => vec![answer(own), answer(other)],
            _ => vec![answer(own), answer(own)],
        };
        let answers = answers.join(", ");
        format!(r#"{{"id": {it}, "annotations": [{answers}], "data": {{"text": "text {it}"}}}}"#)
    };
    let tasks: Vec<String> = (0..22).map(task).collect();
    Drop::file("a.json", format!("[{}]", tasks.join(",\n")).as_bytes()).check(expect![[r#"
        a.json: json utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.json was read as an export of Label Studio
        warning: a.json: rows left out as they are labelled in several ways, none by most annotators: 2
    "#]]);
}

#[test]
fn choices_are_the_same_in_any_order() {
    let answer = |labels: &str| {
        format!(
            r#"{{"result": [{{"from_name": "s", "to_name": "text", "type": "choices", "value": {{"choices": [{labels}]}}}}]}}"#
        )
    };
    let task = |it: usize| {
        let labels = match it % 3 {
            0 => [r#""a", "b""#, r#""b", "a""#],
            1 => [r#""a""#; 2],
            _ => [r#""b""#; 2],
        };
        let answers = labels.map(answer).join(", ");
        format!(r#"{{"id": {it}, "annotations": [{answers}], "data": {{"text": "text {it}"}}}}"#)
    };
    let tasks: Vec<String> = (0..24).map(task).collect();
    let drop = Drop::file("a.json", format!("[{}]", tasks.join(",\n")).as_bytes());
    assert_eq!(drop.load().unwrap().report.files[0].rows, 24);
}

/// As its search answers, and as elasticdump writes its lines.
#[test]
fn elasticsearch() {
    let hit = |it: usize| {
        let class = CLASSES[it % 2];
        format!(
            r#"{{"_index": "a", "_id": "{it}", "_score": 1.0, "_source": {{"text": "text {it}", "label": "{class}"}}}}"#
        )
    };
    let hits = (0..12).map(hit).collect::<Vec<_>>().join(", ");
    let answer = format!(r#"{{"took": 3, "hits": {{"total": 12, "hits": [{hits}]}}}}"#);
    let rows = |of: Drop| of.load().unwrap().train.len();
    assert_eq!(rows(Drop::file("answer.json", answer.as_bytes())), 10);
    check(
        hit,
        expect![[r#"
        export.jsonl: json_lines utf-8 12 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 5 1 0
        pos: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]],
    );
}

#[test]
fn argilla() {
    let record = |it: usize, text: &str, annotation: String| {
        format!(
            r#"{{"id": "{it}", {text}, "prediction": [["neg", 0.9]], "annotation": {annotation}, "status": "{}", "metrics": {{}}}}"#,
            if it == 11 { "Discarded" } else { "Validated" }
        )
    };
    let inputs = |it: usize| format!(r#""inputs": {{"text": "text {it}"}}"#);
    let label = |it: usize| match it {
        0..4 => "null".to_string(),
        it => format!("{:?}", CLASSES[it % 2]),
    };
    check(
        |it| record(it, &inputs(it), label(it)),
        expect![[r#"
            export.jsonl: json_lines utf-8 7 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 3 1 0
            pos: 2 1 0
            train 5 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: export.jsonl was read as an export of Argilla
            warning: export.jsonl: rows left out as they are not labelled: 4
            warning: export.jsonl: rows left out as they are rejected by the annotator: 1
        "#]],
    );
    check(
        |it| {
            let text = format!(r#""text": "text {it}", {}"#, inputs(it));
            record(it, &text, format!(r#"["a", {:?}]"#, CLASSES[it % 2]))
        },
        expect![[r#"
            export.jsonl: json_lines utf-8 11 rows
            text-multi-label-classification: `label` holds lists: several labels are learnt
            `text` -> `label`
            a: 10 1 0
            neg: 5 1 0
            pos: 5 0 0
            train 10 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: export.jsonl was read as an export of Argilla
            warning: export.jsonl: rows left out as they are rejected by the annotator: 1
            warning: validation has no examples of pos: their scores say nothing
        "#]],
    );
}

#[test]
fn via() {
    let image = |it: usize, regions: &str| {
        format!(
            r#""{it}.png12": {{"filename": "{it}.png", "size": 12, "regions": [{regions}], "file_attributes": {{"kind": "a"}}}}"#
        )
    };
    let images: Vec<String> = (0..12).map(|it| image(it, "")).collect();
    let json = format!("{{{}}}", images.join(", "));
    gallery(&["img"], 12, &[("via.json", json.as_bytes())]).check(expect![[r#"
        Data: via.json is an export of VIA (VGG Image Annotator), with labels of images in file_attributes and of places in regions, and is not read (for a class of each whole image, put the images into a folder for each class, or name file and label in a metadata.csv)
    "#]]);
    let csv = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n";
    let line = "0.png,12,\"{}\",1,0,\"{\"\"name\"\":\"\"rect\"\"}\",\"{}\"\n";
    Drop::file("via.csv", (csv.to_string() + &line.repeat(4)).as_bytes()).check(expect![[r#"
        Data: via.csv is an export of VIA (VGG Image Annotator), with labels of images in file_attributes and of places in regions, and is not read (for a class of each whole image, put the images into a folder for each class, or name file and label in a metadata.csv)
    "#]]);
}
