//! Tables of every format, and what is found out about them.

use crate::support::{Drop, rows, table, texts};
use expect_test::expect;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

#[test]
fn a_plain_csv_file() {
    Drop::file("tweets.csv", &rows("text,label\n", 20)).check(expect![[r#"
        tweets.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
}

#[test]
fn quotes_line_breaks_and_other_columns() {
    let mut csv = String::from("id;Sentiment;TEXT\r\n");
    for it in 0..10 {
        write!(csv, "{it};good;\"a \"\"fine\"\" day; number {it}\r\nand night\"\r\n{it};bad;an, ugly, one {it}\r\n").unwrap();
    }
    let drop = Drop::file("a.csv", csv.as_bytes());
    drop.check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `Sentiment` has 2 values that recur: classes are learnt
        `TEXT` -> `Sentiment`
        bad: 9 1 0
        good: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: columns not used: id
    "#]]);
    let dataset = drop.load().unwrap();
    assert!(texts(&dataset).contains(&"a \"fine\" day; number 3\r\nand night"));
    assert_eq!(
        dataset.origins.of(&dataset.train[0]),
        format!("a.csv line {}", dataset.train[0].line)
    );
}

#[test]
fn tables_whose_names_do_not_say_so() {
    let rows = |row: &dyn Fn(usize, &str) -> String| -> String {
        (0..20).map(|it| row(it, ["ham", "spam"][it % 2])).collect()
    };
    // As the SMS Spam Collection and the emotions of Twitter are handed round.
    let tabs = rows(&|it, label| format!("{label}\tGo, \"now {it}\n"));
    Drop::file("SMSSpamCollection", tabs.as_bytes()).check(expect![[r#"
        SMSSpamCollection: tsv utf-8 20 rows
        text-classification: `column 1` has 2 values that recur: classes are learnt
        `column 2` -> `column 1`
        ham: 9 1 0
        spam: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: SMSSpamCollection has no header: its first row was read as data, `column 2` as text and `column 1` as label
    "#]]);
    let semicolons = rows(&|it, label| format!("i feel {it}, so;{label}\n"));
    let files = ["train.txt", "test.txt"].map(|it| (it, semicolons.as_bytes()));
    Drop::folder(&files[..1]).check(expect![[r#"
        train.txt: csv utf-8 20 rows
        text-classification: `column 2` has 2 values that recur: classes are learnt
        `column 1` -> `column 2`
        ham: 9 1 0
        spam: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: train.txt has no header: its first row was read as data, `column 1` as text and `column 2` as label
    "#]]);
    // Lines of a text are no rows.
    let prose = rows(&|it, _| format!("It was {it}; and so it went on, and on\n"));
    let failure = Drop::file("a.txt", prose.as_bytes()).load().unwrap_err();
    assert!(failure.message.contains("a.txt is no data that finetuned reads"), "{failure}");
}

#[test]
fn single_quotes_around_fields_are_no_part_of_them() {
    let mut csv = String::from("text,label\n");
    for it in 0..20 {
        writeln!(csv, "'it''s {it}, well','{}'", ["ham", "spam"][it % 2]).unwrap();
    }
    let drop = Drop::file("dump.csv", csv.as_bytes());
    drop.check(expect![[r#"
        dump.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        ham: 9 1 0
        spam: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: dump.csv: was read with single quotes around its fields
    "#]]);
    assert!(texts(&drop.load().unwrap()).contains(&"it's 3, well"));
}

#[test]
fn tsv_whose_quotes_are_only_characters() {
    let mut tsv = String::from("sentence\tlabel\n");
    for it in 0..12 {
        writeln!(tsv, "\"a quote that never closes {it}\t{}", it % 2).unwrap();
    }
    let drop = Drop::file("sst.tsv", tsv.as_bytes());
    drop.check(expect![[r#"
        sst.tsv: tsv utf-8 12 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `sentence` -> `label`
        0: 5 1 0
        1: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    assert!(drop.load().unwrap().train[0].record.texts[0].starts_with('"'));
}

#[test]
fn two_columns_without_a_header() {
    let mut csv = String::new();
    for it in 0..12 {
        writeln!(csv, "{},what was said the {it}th time", ["spam", "ham"][it % 2]).unwrap();
    }
    Drop::file("sms.csv", csv.as_bytes()).check(expect![[r#"
        sms.csv: csv utf-8 12 rows
        text-classification: `column 1` has 2 values that recur: classes are learnt
        `column 2` -> `column 1`
        ham: 5 1 0
        spam: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: sms.csv has no header: its first row was read as data, `column 2` as text and `column 1` as label
    "#]]);
}

#[test]
fn two_columns_with_unusual_names() {
    let mut csv = String::from("utt;kind_of\n");
    for it in 0..12 {
        writeln!(csv, "what was said the {it}th time;{}", ["question", "answer"][it % 2]).unwrap();
    }
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 12 rows
        text-classification: `kind_of` has 2 values that recur: classes are learnt
        `utt` -> `kind_of`
        answer: 5 1 0
        question: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
}

#[test]
fn columns_named_in_the_recipe() {
    let mut csv = String::from("a|b|c\n");
    for it in 0..12 {
        writeln!(csv, "{it}|said {it}|{}", it % 3).unwrap();
    }
    Drop::file("a.csv", csv.as_bytes()).check_as(
        "data.text = 'B'\ndata.label = 'c'",
        expect![[r#"
            a.csv: csv utf-8 12 rows
            text-classification: `c` has 3 values that recur: classes are learnt
            `b` -> `c`
            0: 3 1 0
            1: 3 1 0
            2: 3 1 0
            train 9 (stratified, seed 0)
            validation 3 (stratified, seed 0)
            warning: columns not used: a
        "#]],
    );
}

#[test]
fn json_lines_with_every_kind_of_label() {
    let mut lines = String::new();
    for it in 0..30 {
        let label = ["1", "10", "2.0"][it % 3];
        writeln!(lines, r#"{{"text": "caf\u00e9 {it}", "label": {label}, "more": {{"a": [1]}}}}"#)
            .unwrap();
    }
    // A few broken ones among many good ones.
    lines += "{\"text\": \"x\", \"label\": 0.5}\n{\"text\": \"cut off\n\n[1]\n";
    Drop::file("a.JSONL", lines.as_bytes()).check(expect![[r#"
        a.JSONL: json_lines utf-8 31 rows
        text-regression: `label` is a column of fractions: numbers are learnt
        `text` -> `label`
        label: 0.5 to 10, mean 4.446
        train 28 (random, seed 0)
        validation 3 (random, seed 0)
        quarantined a.JSONL Some(32): invalid JSON: control character (\u0000-\u001F) found while parsing a string
        quarantined a.JSONL Some(34): not a JSON object
        warning: columns not used: more
    "#]]);
}

#[test]
fn a_json_array_and_json_lines_called_json() {
    let objects: Vec<String> = (0..20)
        .map(|it| format!(r#"{{"content": "text {it}", "class": {}}}"#, it % 2 == 0))
        .collect();
    Drop::file("a.json", format!("[{}]", objects.join(",\n")).as_bytes()).check(expect![[r#"
        a.json: json utf-8 20 rows
        text-classification: `class` has 2 values that recur: classes are learnt
        `content` -> `class`
        false: 9 1 0
        true: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    Drop::file("b.json", objects.join("\n").as_bytes()).check(expect![[r#"
        b.json: json_lines utf-8 20 rows
        text-classification: `class` has 2 values that recur: classes are learnt
        `content` -> `class`
        false: 9 1 0
        true: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
}

#[test]
fn compressed_tables() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&rows("text,label\n", 20)).unwrap();
    Drop::file("a.csv.gz", &gz.finish().unwrap()).check(expect![[r#"
        a.csv.gz: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    let zst = zstd::encode_all(rows("text,label\n", 20).as_slice(), 0).unwrap();
    Drop::file("a.csv.zst", &zst).check(expect![[r#"
        a.csv.zst: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
}

#[test]
fn broken_rows_are_put_aside_while_they_are_few() {
    let mut csv = rows("text,label\n", 60);
    csv.extend(b",pos\nno label,\ntoo,many,fields\nzero \0 byte,neg\n  ,neg\n");
    let drop = Drop::file("a.csv", &csv);
    drop.check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 27 3 0
        pos: 27 3 0
        train 54 (stratified, seed 0)
        validation 6 (stratified, seed 0)
        quarantined a.csv Some(62): empty text
        quarantined a.csv Some(63): empty label
        quarantined a.csv Some(64): 3 fields, but the header has 2
        quarantined a.csv Some(65): zero bytes in the text
        quarantined a.csv Some(66): empty text
    "#]]);
    let written = std::fs::read_to_string(drop.quarantine()).unwrap();
    expect![[r#"
        {"file":"a.csv","line":62,"reason":"empty text"}
        {"file":"a.csv","line":63,"reason":"empty label"}
        {"file":"a.csv","line":64,"reason":"3 fields, but the header has 2"}
        {"file":"a.csv","line":65,"reason":"zero bytes in the text"}
        {"file":"a.csv","line":66,"reason":"empty text"}
    "#]]
    .assert_eq(&written);
    assert_eq!(drop.load().unwrap().report.empty_texts, 2);
}

/// A table of `text` and an integer `label`, whose names stand beside it as the datasets library
/// keeps them.
fn parquet(compression: Compression, from: usize, rows: usize, metadata: Option<&str>) -> Vec<u8> {
    let schema = "message schema { OPTIONAL BYTE_ARRAY text (UTF8); OPTIONAL INT64 label; REPEATED INT64 tokens; }";
    let metadata = metadata.map(|it| {
        vec![parquet::file::metadata::KeyValue::new("huggingface".to_string(), it.to_string())]
    });
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_key_value_metadata(metadata)
        .build();
    let mut out = Vec::new();
    let mut writer = SerializedFileWriter::new(
        &mut out,
        Arc::new(parse_message_type(schema).unwrap()),
        Arc::new(properties),
    )
    .unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts: Vec<ByteArray> =
        (from..from + rows).map(|it| ByteArray::from(format!("text {it}").into_bytes())).collect();
    let labels: Vec<i64> = (0..rows).map(|it| it as i64 % 3).collect();
    let there = vec![1_i16; rows];
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&texts, Some(&there), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, Some(&there), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, Some(&there), Some(&vec![0; rows])).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    out
}

#[test]
fn parquet_shards_with_class_names() {
    let names = r#"{"info": {"features": {"label": {"names": ["World", "Sports", "Business"], "_type": "ClassLabel"}, "text": {"_type": "Value"}}}}"#;
    let shard = |compression, from| parquet(compression, from, 30, Some(names));
    let drop = Drop::folder(&[
        ("README.md", b"# A set"),
        ("data/train-00000-of-00002.parquet", &shard(Compression::SNAPPY, 0)),
        ("data/train-00001-of-00002.parquet", &shard(Compression::ZSTD(Default::default()), 100)),
        (
            "data/validation-00000-of-00001.parquet",
            &shard(Compression::GZIP(Default::default()), 200),
        ),
    ]);
    drop.check(expect![[r#"
        train-00000-of-00002.parquet: parquet - 30 rows train
        train-00001-of-00002.parquet: parquet - 30 rows train
        validation-00000-of-00001.parquet: parquet - 30 rows validation
        text-classification: `label` has 3 values that recur: classes are learnt
        `text` -> `label`
        Business: 20 10 0
        Sports: 20 10 0
        World: 20 10 0
        train 60 (file)
        validation 30 (file)
        warning: columns not used: tokens
    "#]]);
    Drop::file("a.parquet", &shard(Compression::SNAPPY, 0)).check(expect![[r#"
        a.parquet: parquet - 30 rows
        text-classification: `label` has 3 values that recur: classes are learnt
        `text` -> `label`
        Business: 9 1 0
        Sports: 9 1 0
        World: 9 1 0
        train 27 (stratified, seed 0)
        validation 3 (stratified, seed 0)
        warning: columns not used: tokens
    "#]]);
    Drop::file("a.parquet", &parquet(Compression::UNCOMPRESSED, 0, 30, None)).check(expect![[r#"
        a.parquet: parquet - 30 rows
        text-classification: `label` has 3 values that recur: classes are learnt
        `text` -> `label`
        0: 9 1 0
        1: 9 1 0
        2: 9 1 0
        train 27 (stratified, seed 0)
        validation 3 (stratified, seed 0)
        warning: columns not used: tokens
    "#]]);
}

#[test]
fn damaged_parquet_is_a_sentence() {
    let whole = parquet(Compression::SNAPPY, 0, 30, None);
    Drop::file("a.parquet", &whole[..whole.len() / 2]).check(expect![[r#"
        Data: a.parquet can't be read as Parquet: Invalid Parquet file. Corrupt footer
    "#]]);
    // Any single byte changed: a sentence or a data set, never a panic.
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let _ = Drop::file("a.parquet", &bytes).load();
    }
}

// The files of tests/data are made by make.py beside them, with datasets, pandas and pyarrow.
#[test]
fn parquet_as_datasets_writes_it() {
    Drop::file("a.parquet", include_bytes!("../data/datasets.parquet")).check(expect![[r#"
        a.parquet: parquet - 12 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        no: 5 1 0
        yes: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
}

#[test]
fn parquet_called_csv() {
    let named = |name| Drop::file(name, include_bytes!("../data/decimal.parquet")).load().unwrap();
    assert_eq!(texts(&named("a.csv")), texts(&named("a.parquet")));
    assert!(named("a.csv").report.warnings[0].contains("is Parquet by its content"));
}

#[test]
fn parquet_with_decimal_numbers() {
    Drop::file("a.parquet", include_bytes!("../data/decimal.parquet")).check(expect![[r#"
        a.parquet: parquet - 12 rows
        text-regression: `score` is a column of fractions: numbers are learnt
        `text` -> `score`
        score: 0 to 2.75, mean 1.318
        train 11 (random, seed 0)
        validation 1 (random, seed 0)
    "#]]);
}

#[test]
fn parquet_as_pandas_writes_it() {
    Drop::file("a.parquet", include_bytes!("../data/pandas.parquet")).check(expect![[r#"
        a.parquet: parquet - 12 rows
        text-classification: `category` has 3 values that recur: classes are learnt
        `review` -> `category`
        a: 3 1 0
        b: 3 1 0
        c: 3 1 0
        train 9 (stratified, seed 0)
        validation 3 (stratified, seed 0)
        warning: a.parquet: `category` was taken as the label, though `stars` could be one too
        warning: columns not used: stars
    "#]]);
}

#[test]
fn parquet_with_zstd_row_groups_and_new_pages() {
    Drop::file("a.parquet", include_bytes!("../data/zstd.parquet")).check(expect![[r#"
        a.parquet: parquet - 12 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        false: 5 1 0
        true: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
}

#[test]
fn the_only_column_of_texts_is_the_text() {
    let row = |it: usize, label: &str| format!("{it},what was said as {it},{label},{}", it % 3);
    let csv = table("nr,wording,class,group", 40, row);
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 40 rows
        text-classification: `class` has 2 values that recur: classes are learnt
        `wording` -> `class`
        neg: 18 2 0
        pos: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: columns not used: nr, group
    "#]]);
}
