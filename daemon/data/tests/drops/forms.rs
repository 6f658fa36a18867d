//! Forms of tables beyond CSV and JSON Lines: workbooks, Arrow, documents of JSON. What is not
//! read.

use crate::archives::{gz, zip};
use crate::support::{CLASSES, Drop, gallery, reported, rows};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use expect_test::{Expect, expect};
use std::fmt::Write;
use std::fs;
use std::sync::Arc;

#[track_caller]
fn check(name: &str, content: &[u8], expected: Expect) {
    Drop::file(name, content).check(expected);
}

/// Sheets of cells as XML: a number, or a text in quotes.
fn xlsx(sheets: &[(&str, String)]) -> Vec<u8> {
    let (mut book, mut links) = (String::new(), String::new());
    let mut parts = Vec::new();
    for (at, (name, rows)) in sheets.iter().enumerate() {
        let at = at + 1;
        write!(book, r#"<sheet name="{name}" sheetId="{at}" r:id="rId{at}"/>"#).unwrap();
        write!(links, r#"<Relationship Id="rId{at}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{at}.xml"/>"#).unwrap();
        parts.push((
            format!("xl/worksheets/sheet{at}.xml"),
            format!(r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#),
        ));
    }
    parts.push(("xl/workbook.xml".into(), format!(r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{book}</sheets></workbook>"#)));
    parts.push(("xl/_rels/workbook.xml.rels".into(), format!(r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{links}</Relationships>"#)));
    parts.push(("_rels/.rels".into(), r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#.into()));
    parts.push(("[Content_Types].xml".into(), "<Types/>".into()));
    let parts: Vec<(&str, u32, bool, &[u8])> =
        parts.iter().map(|(name, xml)| (&**name, 0o644, false, xml.as_bytes())).collect();
    zip(&parts)
}

fn cell(place: &str, content: &str) -> String {
    match content.parse::<f64>() {
        Ok(_) => format!(r#"<c r="{place}"><v>{content}</v></c>"#),
        Err(_) => format!(r#"<c r="{place}" t="inlineStr"><is><t>{content}</t></is></c>"#),
    }
}

fn sheet(header: [&str; 2], from: usize, n: usize, label: impl Fn(usize) -> String) -> String {
    let row = |at: usize, it: [&str; 2]| {
        format!(
            r#"<row r="{at}">{}{}</row>"#,
            cell(&format!("B{at}"), it[0]),
            cell(&format!("C{at}"), it[1])
        )
    };
    let rows = (0..n).map(|it| row(it + 4, [&format!("text number {}", from + it), &label(it)]));
    row(3, header) + &rows.collect::<String>()
}

#[test]
fn workbooks() {
    let both = ["text", "label"];
    let one = sheet(both, 0, 12, |it| (it % 2).to_string());
    check(
        "a.xlsx",
        &xlsx(&[("Sheet1", one.clone())]),
        expect![[r#"
            a.xlsx: workbook - 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            0: 5 1 0
            1: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
    let words = |it: usize| CLASSES[it % 2].to_string();
    check(
        "a.xlsx",
        &xlsx(&[
            ("empty", String::new()),
            ("data", sheet(both, 0, 12, words)),
            ("notes", sheet(both, 0, 2, words)),
        ]),
        expect![[r#"
            a.xlsx: workbook - 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 5 1 0
            pos: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: a.xlsx has 2 sheets, of which `data` was read; others: notes
        "#]],
    );
    let titled = format!(
        r#"<row r="1">{}</row>{}"#,
        cell("B1", "Survey 2023"),
        sheet(["No", "Kind"], 0, 12, words)
    );
    let notes = format!(r#"<row r="1">{}</row>"#, cell("A1", "How to label"));
    check(
        "a.xlsx",
        &xlsx(&[("notes", notes), ("data", titled)]),
        expect![[r#"
            a.xlsx: workbook - 12 rows
            text-classification: `Kind` has 2 values that recur: classes are learnt
            `No` -> `Kind`
            neg: 5 1 0
            pos: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: a.xlsx has 2 sheets, of which `data` was read; others: notes
            warning: a.xlsx: lines above the header were left out: 1
        "#]],
    );
    // A legend comes first in the file, and is no data.
    let codes = sheet(["code", "meaning"], 0, 2, |it| (it % 2).to_string());
    let both_sheets = xlsx(&[("legend", codes), ("data", sheet(both, 0, 12, words))]);
    assert_eq!(Drop::file("a.xlsx", &both_sheets).load().unwrap().report.files[0].rows, 12);
    // More are no title, and are not left out.
    let row = |at: usize, cells: &[&str]| {
        let cells = ["A", "B"].iter().zip(cells).map(|(it, text)| cell(&format!("{it}{at}"), text));
        format!(r#"<row r="{at}">{}</row>"#, cells.collect::<String>())
    };
    let lone = (1..=11).map(|it| row(it, &[&format!("said {it}")]));
    let pairs = (12..32).map(|it| row(it, &[&format!("said {it}"), CLASSES[it % 2]]));
    let headerless: String = lone.chain(pairs).collect();
    check(
        "a.xlsx",
        &xlsx(&[("data", headerless)]),
        expect![[r#"
        Data: 11 of 31 examples can't be used, which is more than 10 %: 11 times empty label (first: a.xlsx line 1) (mend or remove them, or name the right columns in the recipe; a label that stands in the first row of its group alone, as of merged cells, belongs into each)
    "#]],
    );
    let splits = xlsx(&[("train", sheet(both, 0, 12, words)), ("test", sheet(both, 50, 4, words))]);
    check(
        "a.xlsx",
        &splits,
        expect![[r#"
            a.xlsx (sheet train): workbook - 12 rows train
            a.xlsx (sheet test): workbook - 4 rows test
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 5 1 2
            pos: 5 1 2
            train 10 (file)
            validation 2 (stratified, seed 0)
            test 4 (file)
        "#]],
    );
    // By content.
    check(
        "a.csv",
        &splits,
        expect![[r#"
            a.csv (sheet train): workbook - 12 rows train
            a.csv (sheet test): workbook - 4 rows test
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 5 1 2
            pos: 5 1 2
            train 10 (file)
            validation 2 (stratified, seed 0)
            test 4 (file)
            warning: a.csv is an Excel workbook by its content, and was read as that
        "#]],
    );
    check(
        "a.xlsx",
        &rows("text,label\n", 12),
        expect![[r#"
        a.xlsx: csv utf-8 12 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 5 1 0
        pos: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.xlsx is CSV by its content, and was read as that
    "#]],
    );
    check(
        "a.xls",
        &String::from_utf8(rows("text,label\n", 12)).unwrap().replace(',', "\t").into_bytes(),
        expect![[r#"
            a.xls: tsv utf-8 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 5 1 0
            pos: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: a.xls is TSV by its content, and was read as that
        "#]],
    );
    check(
        "a.xls",
        b"<html><table><tr><td>text</td></tr></table></html>",
        expect![[r#"
        Data: a.xls is a web page, and no workbook (save it as .xlsx or CSV)
    "#]],
    );
    check(
        "a.docx",
        &zip(&[("word/document.xml", 0o644, false, b"<w/>")]),
        expect![[r#"
        Data: a.docx is a word processor's document, which is not read (write the rows to CSV, JSON Lines or Parquet)
    "#]],
    );
}

#[test]
fn open_document() {
    let rows: String = (0..12)
        .map(|it| format!(r#"<table:table-row><table:table-cell office:value-type="string"><text:p>text number {it}</text:p></table:table-cell><table:table-cell office:value-type="float" office:value="{}"><text:p>x</text:p></table:table-cell></table:table-row>"#, it % 2))
        .collect();
    let header = r#"<table:table-row><table:table-cell office:value-type="string"><text:p>text</text:p></table:table-cell><table:table-cell office:value-type="string"><text:p>label</text:p></table:table-cell></table:table-row>"#;
    let ods = |rows: &str| {
        let content = format!(
            r#"<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x"><office:body><office:spreadsheet><table:table table:name="Sheet1">{header}{rows}</table:table></office:spreadsheet></office:body></office:document-content>"#
        );
        zip(&[
            ("mimetype", 0o644, false, b"application/vnd.oasis.opendocument.spreadsheet"),
            ("content.xml", 0o644, false, content.as_bytes()),
            ("META-INF/manifest.xml", 0o644, false, b"<manifest/>"),
        ])
    };
    check(
        "a.ods",
        &ods(&rows),
        expect![[r#"
            a.ods: workbook - 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            0: 5 1 0
            1: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
    let many = r#"<table:table-row><table:table-cell table:number-columns-repeated="16384" office:value-type="string"><text:p>x</text:p></table:table-cell></table:table-row>"#.repeat(20_000);
    check(
        "a.ods",
        &ods(&many),
        expect![[r#"
            Data: a.ods unpacks to more than is read as one workbook (1024 MiB) (save the sheet as CSV and drop that)
        "#]],
    );
}

#[test]
fn hostile_workbooks_are_a_sentence() {
    let far = |row: u32, n: usize| -> String {
        (0..n).map(|it| cell(&format!("XFD{}", row + it as u32), "x")).collect()
    };
    // Two cells far apart are two cells.
    let both = sheet(["text", "label"], 0, 12, |it| (it % 2).to_string());
    check(
        "a.xlsx",
        &xlsx(&[("a", format!(r#"{both}<row r="1048570">{}</row>"#, far(1_048_570, 1)))]),
        expect![[r#"
            a.xlsx: workbook - 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            0: 5 1 0
            1: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            quarantined a.xlsx Some(1048570): empty text
            warning: columns not used: column 3
        "#]],
    );
    check(
        "a.xlsx",
        &xlsx(&[("a", "<row><c r=\"ZZZZZZZZ1\"><v>1</v></c>".into())]),
        expect![[r#"
            Data: a.xlsx can't be read as a workbook: its parts contradict each other (save the sheet as CSV and drop that)
        "#]],
    );
    let bomb = zip(&[("xl/workbook.xml", 0o644, false, &vec![b' '; 80 << 20])]);
    check(
        "a.xlsx",
        &bomb,
        expect![[r#"
            Data: a.xlsx unpacks to more than is read as one workbook (1024 MiB) (save the sheet as CSV and drop that)
        "#]],
    );
    let good = xlsx(&[("Sheet1", both)]);
    for at in (0..good.len()).step_by(11) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        let _ = reported(Drop::file("a.xlsx", &bytes).load());
    }
}

fn batch(from: usize, n: usize) -> RecordBatch {
    let texts: Vec<String> = (from..from + n).map(|it| format!("text number {it}")).collect();
    let labels: Vec<i64> = (from..from + n).map(|it| it as i64 % 2).collect();
    RecordBatch::try_from_iter([
        ("text", Arc::new(StringArray::from(texts)) as ArrayRef),
        ("label", Arc::new(Int64Array::from(labels)) as ArrayRef),
    ])
    .unwrap()
}

fn stream(from: usize, n: usize) -> Vec<u8> {
    let batches = [batch(from, n / 2), batch(from + n / 2, n - n / 2)];
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|it| writer.write(it).unwrap());
    writer.into_inner().unwrap()
}

fn feather(compression: arrow_ipc::CompressionType) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(Some(compression)).unwrap();
    let batch = batch(0, 12);
    let mut writer =
        FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn arrow() {
    check(
        "a.feather",
        &feather(arrow_ipc::CompressionType::LZ4_FRAME),
        expect![[r#"
            a.feather: arrow - 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            0: 5 1 0
            1: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
    check(
        "a.arrow",
        &feather(arrow_ipc::CompressionType::ZSTD),
        expect![[r#"
            a.arrow: arrow - 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            0: 5 1 0
            1: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
    // As `save_to_disk` leaves it.
    Drop::folder(&[
        ("dataset_dict.json", b"{\"splits\": [\"train\", \"test\"]}"),
        ("train/data-00000-of-00001.arrow", &stream(0, 12)),
        ("train/dataset_info.json", b"{}"),
        ("train/state.json", b"{}"),
        ("test/data-00000-of-00001.arrow", &stream(50, 4)),
    ])
    .check(expect![[r#"
        train/data-00000-of-00001.arrow: arrow - 12 rows train
        test/data-00000-of-00001.arrow: arrow - 4 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        0: 5 1 2
        1: 5 1 2
        train 10 (file)
        validation 2 (stratified, seed 0)
        test 4 (file)
    "#]]);
    check(
        "a.arrow",
        b"ARROW1\0\0\xff\xff\xff\xff\xff\xff\xff\x7f",
        expect![[r#"
        Data: a.arrow is damaged: its Arrow messages contradict each other (copy or make it again)
    "#]],
    );
    let good = feather(arrow_ipc::CompressionType::LZ4_FRAME);
    check(
        "a.arrow",
        &good[..good.len() / 3],
        expect![[r#"
            Data: a.arrow is cut off: it ends in the middle (copy it again)
        "#]],
    );
    for at in (0..good.len()).step_by(3) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        let _ = reported(Drop::file("a.arrow", &bytes).load());
    }
}

#[test]
fn documents_of_json() {
    let row = |it: usize| format!(r#"{{"text": "text {it}", "label": {}}}"#, it % 2);
    let list = |from: usize, n: usize| (from..from + n).map(row).collect::<Vec<_>>().join(", ");
    let splits = format!(r#"{{"train": [{}], "test": [{}]}}"#, list(0, 12), list(50, 4));
    check(
        "a.json",
        splits.as_bytes(),
        expect![[r#"
        a.json (train): json utf-8 12 rows train
        a.json (test): json utf-8 4 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        0: 5 1 2
        1: 5 1 2
        train 10 (file)
        validation 2 (stratified, seed 0)
        test 4 (file)
    "#]],
    );
    check(
        "a.json",
        format!(r#"{{"version": 1, "data": [{}]}}"#, list(0, 12)).as_bytes(),
        expect![[r#"
            a.json: json utf-8 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            0: 5 1 0
            1: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
    let column = |of: &dyn Fn(usize) -> String| {
        (0..12).map(|it| format!(r#""{it}": {}"#, of(it))).collect::<Vec<_>>().join(", ")
    };
    let pandas = format!(
        r#"{{"text": {{{}}}, "label": {{{}}}}}"#,
        column(&|it| format!("\"text {it}\"")),
        column(&|it| (it % 2).to_string())
    );
    check(
        "a.json",
        pandas.as_bytes(),
        expect![[r#"
        a.json: json utf-8 12 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        0: 5 1 0
        1: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]],
    );
    let pairs: Vec<String> =
        (0..12).map(|it| format!(r#"["text {it}", "{}"]"#, ["a", "b"][it % 2])).collect();
    let pairs = pairs.join(", ");
    check(
        "a.json",
        format!(r#"{{"columns": ["text", "label"], "index": [], "data": [{pairs}]}}"#).as_bytes(),
        expect![[r#"
            a.json: json utf-8 12 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            a: 5 1 0
            b: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
    check(
        "a.json",
        format!("[{pairs}]").as_bytes(),
        expect![[r#"
        a.json: json utf-8 12 rows
        text-classification: `column 2` has 2 values that recur: classes are learnt
        `column 1` -> `column 2`
        a: 5 1 0
        b: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.json has no header: its first row was read as data, `column 1` as text and `column 2` as label
    "#]],
    );
    check(
        "a.json",
        br#"{"a": {"b": 1}, "c": [1, 2]}"#,
        expect![[r#"
            Data: a.json: which column is the text and which the label can't be told; its columns are a, c (drop it in a folder with a job.toml of two lines: data.text = "COLUMN" and data.label = "COLUMN")
        "#]],
    );
    check(
        "a.json",
        br#"{"data": [{"text": "a""#,
        expect![[r#"
        Data: a.json line 1: invalid JSON: EOF while parsing an object (it takes a list of objects, or one object a line)
    "#]],
    );
}

#[test]
fn compressed_json_is_no_description() {
    let row = |it: usize| format!("{{\"text\": \"text {it}\", \"label\": {}}}\n", it % 2);
    let train: String = (0..12).map(row).collect();
    Drop::folder(&[
        ("train.json.gz", &gz(train.as_bytes())),
        ("validation.csv.gz", &gz(b"text,label\nx,0\ny,1\n")),
        ("dataset_info.json", b"{}"),
        ("training_args.json", b"{\"epochs\": 1}"),
    ])
    .check(expect![[r#"
        train.json.gz: json_lines utf-8 12 rows train
        validation.csv.gz: csv utf-8 2 rows validation
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        0: 6 1 0
        1: 6 1 0
        train 12 (file)
        validation 2 (file)
        warning: training_args.json stands beside other tables and was ignored
    "#]]);
}

#[test]
fn what_is_not_read_is_named() {
    for name in [
        "a.7z",
        "a.rar",
        "a.pdf",
        "a.pkl",
        "a.npz",
        "a.tfrecord",
        "a.h5",
        "a.sqlite",
        "a.xml",
        "a.docx",
    ] {
        let refused = reported(Drop::file(name, b"\0\x01\x02").load());
        assert!(refused.contains("which is not read ("), "{refused}");
        assert_eq!(
            reported(Drop::folder(&[(name, b"\0\x01\x02")]).load()),
            refused.replace(name, &format!("the drop holds no data: {name}"))
        );
    }
}

#[test]
fn pointers_of_git_lfs() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    for name in ["a.csv", "a.parquet", "a.xlsx", "a.zip", "a.arrow", "a.json"] {
        let refused = reported(Drop::file(name, pointer).load());
        assert!(refused.contains(&format!("{name} is a Git LFS pointer")), "{refused}");
    }
    let drop = gallery(&["a", "b"], 4, &[]);
    fs::write(drop.path().join("a/1.png"), pointer).unwrap();
    drop.check(expect![[r#"
        Data: a/1.png is a Git LFS pointer, not the file itself (run `git lfs pull` where it was cloned, and drop the data again)
    "#]]);
}

#[test]
fn paths_in_another_spelling() {
    let csv: String = (0..8).map(|it| format!("pics/{it}.JPG,{}\n", it % 2)).collect();
    let csv = format!("file_name,label\n{csv}");
    gallery(&["Pics"], 8, &[("labels.csv", csv.as_bytes())]).check(expect![[r#"
        labels.csv: csv utf-8 8 rows
        image-classification: `label` has 2 values that recur: classes are learnt
        `file_name` -> `label`
        0: 3 1 0
        1: 3 1 0
        train 6 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: paths that name an image but for case, extension, zeros before a number or the folders above were taken for it: 8 (first: pics/0.JPG)
    "#]]);
    let drop = gallery(&["Pics"], 8, &[("labels.csv", csv.as_bytes())]);
    fs::copy(drop.path().join("Pics/1.png"), drop.path().join("Pics/1.bmp")).unwrap();
    fs::copy(drop.path().join("Pics/2.png"), drop.path().join("Pics/2.PNG")).unwrap();
    drop.check(expect![[r#"
        Data: 2 of 8 examples can't be used, which is more than 10 %: 2 times a name of several files, but for the case of letters (first: labels.csv line 3: the drop has several files called pics/1.JPG but for the case of letters) (mend or remove them, or name the right columns in the recipe)
    "#]]);
}

#[test]
fn json_of_labels_and_their_texts() {
    let text = |it: usize| format!("what was told the {it}th time");
    let list = |from: usize, n: usize| {
        let texts: Vec<String> = (from..from + n).map(|it| format!("{:?}", text(it))).collect();
        format!("[{}]", texts.join(", "))
    };
    let by_label = format!(r#"{{"greet": {}, "part": {}}}"#, list(0, 12), list(50, 14));
    check(
        "a.json",
        by_label.as_bytes(),
        expect![[r#"
        a.json: json utf-8 26 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        greet: 11 1 0
        part: 13 1 0
        train 24 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]],
    );
    let pairs: Vec<String> =
        (0..20).map(|it| format!("{:?}: {:?}", text(it), CLASSES[it % 2])).collect();
    check(
        "a.json",
        format!("{{{}}}", pairs.join(",\n")).as_bytes(),
        expect![[r#"
        a.json: json utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]],
    );
    // As people write them for a chatbot.
    let intents = format!(
        r#"{{"intents": [{{"tag": "greet", "patterns": {}, "responses": ["hi"]}}, {{"tag": "part", "patterns": {}, "responses": ["bye"]}}]}}"#,
        list(0, 12),
        list(50, 12)
    );
    check(
        "intents.json",
        intents.as_bytes(),
        expect![[r#"
        intents.json: json utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        greet: 11 1 0
        part: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]],
    );
    let listed = format!(
        r#"[{{"tag": "greet", "patterns": {}}}, {{"tag": "part", "patterns": {}}}]"#,
        list(0, 12),
        list(50, 12)
    );
    check(
        "intents.json",
        listed.as_bytes(),
        expect![[r#"
        intents.json: json utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        greet: 11 1 0
        part: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]],
    );
    let examples: Vec<String> = (0..20)
        .map(|it| {
            format!(
                r#"{{"text": {:?}, "intent": {:?}, "entities": []}}"#,
                text(it),
                CLASSES[it % 2]
            )
        })
        .collect();
    let rasa = format!(
        r#"{{"rasa_nlu_data": {{"common_examples": [{}], "regex_features": []}}}}"#,
        examples.join(",")
    );
    let equal = format!(r#"{{"one": {}, "two": {}}}"#, list(0, 12), list(50, 12));
    check(
        "a.json",
        equal.as_bytes(),
        expect![[r#"
        Data: a.json holds lists of texts of equal length, and whether their keys are columns or labels can't be told (it takes a list of objects, or one object a line)
    "#]],
    );
    check(
        "nlu.json",
        rasa.as_bytes(),
        expect![[r#"
        nlu.json: json utf-8 20 rows
        text-classification: `intent` has 2 values that recur: classes are learnt
        `text` -> `intent`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: columns not used: entities
    "#]],
    );
}

#[test]
fn hidden_sheets_are_not_read() {
    let words = |it: usize| CLASSES[it % 2].to_string();
    let names = ["text", "label"];
    let (old, new) = (sheet(names, 100, 30, words), sheet(names, 0, 24, words));
    let hidden = r#"old" state="hidden"#;
    let book = xlsx(&[(hidden, old.clone()), ("new", new)]);
    let report = Drop::file("a.xlsx", &book).load().unwrap().report;
    assert_eq!((report.files[0].rows, report.warnings.len()), (24, 0));
    let all = Drop::file("a.xlsx", &xlsx(&[(hidden, old)])).load().unwrap();
    assert_eq!(all.report.files[0].rows, 30);
}

#[test]
fn a_workbook_without_a_header() {
    let words = |it: usize| CLASSES[it % 2].to_string();
    let rows = sheet(["text number 100", "pos"], 0, 24, words);
    let book = xlsx(&[("data", rows)]);
    let dataset = Drop::file("a.xlsx", &book).load().unwrap();
    assert_eq!(dataset.report.files[0].rows, 25);
    let recipe = "data.text = 'column 1'\ndata.label = 'column 2'";
    assert_eq!(Drop::file("a.xlsx", &book).load_as(recipe, 0).unwrap().report.files[0].rows, 25);
}

#[test]
fn a_key_is_a_split_only_where_it_is_called_nothing_else() {
    let list = |from: usize| -> Vec<String> {
        (from..from + 12).map(|it| format!("text number {it} of many")).collect()
    };
    let load = |json: serde_json::Value| {
        Drop::file("a.json", json.to_string().as_bytes()).load().map(|it| it.report)
    };
    let marks: Vec<&str> = (0..12).map(|it| ["good", "bad"][it % 2]).collect();
    let columns = serde_json::json!({ "text": list(0), "evaluation": marks });
    assert_eq!(load(columns).unwrap().target_columns, ["evaluation"]);
    let intents = serde_json::json!({ "test_drive": list(0), "service": list(20)[..9] });
    assert_eq!(load(intents).unwrap().outputs, ["service", "test_drive"]);
    let splits = serde_json::json!({ "train": list(0), "test": list(20)[..9] });
    let failure = load(splits).unwrap_err().to_string();
    assert!(failure.contains("which is a split and no label"), "{failure}");
}
