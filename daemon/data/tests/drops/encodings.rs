//! Bytes of every encoding that Windows, old databases and spreadsheets write.

use crate::support::{Drop, folder, table, texts};
use encoding_rs::{SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};
use expect_test::expect;
use proptest::prelude::*;
use std::fmt::Write;

/// Twenty rows with `word` in each text.
fn csv(word: &str) -> String {
    table("text,label", 20, |it, label| format!("\"{word} {it}, well\",{label}"))
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2], bom: bool) -> Vec<u8> {
    let bom = if bom { "\u{feff}" } else { "" };
    bom.encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
}

/// The encoding that is reported; all texts must have come through.
fn encoding_of(bytes: &[u8], word: &str) -> String {
    let dataset = Drop::file("a.csv", bytes).load().unwrap();
    let texts = texts(&dataset);
    assert_eq!(texts.len(), 20);
    assert!(texts.iter().all(|it| it.starts_with(word) && it.ends_with(", well")), "{texts:?}");
    dataset.report.files[0].encoding.clone().unwrap()
}

#[test]
fn encodings_are_detected_and_reported() {
    let text = csv("Größe");
    assert_eq!(encoding_of(text.as_bytes(), "Größe"), "utf-8");
    assert_eq!(encoding_of(format!("\u{feff}{text}").as_bytes(), "Größe"), "utf-8 with BOM");
    assert_eq!(encoding_of(&utf16(&text, u16::to_le_bytes, true), "Größe"), "utf-16le");
    assert_eq!(encoding_of(&utf16(&text, u16::to_be_bytes, true), "Größe"), "utf-16be");
    assert_eq!(encoding_of(&utf16(&text, u16::to_le_bytes, false), "Größe"), "utf-16le");
    assert_eq!(encoding_of(&utf16(&text, u16::to_be_bytes, false), "Größe"), "utf-16be");
    assert_eq!(encoding_of(&WINDOWS_1252.encode(&text).0, "Größe"), "windows-1252");
    let russian = csv("Этот фильм мне очень понравился");
    assert_eq!(
        encoding_of(&WINDOWS_1251.encode(&russian).0, "Этот фильм мне очень понравился"),
        "windows-1251"
    );
    let japanese = csv("この映画はとても面白かったです");
    assert_eq!(
        encoding_of(&SHIFT_JIS.encode(&japanese).0, "この映画はとても面白かったです"),
        "shift_jis"
    );
}

#[test]
fn a_few_foreign_bytes_among_utf_8() {
    for bom in ["", "\u{feff}"] {
        let mut bytes = format!("{bom}{}", csv("Größe")).into_bytes();
        bytes.extend(b"caf\xe9 \x93quoted\x94 and ");
        bytes.extend("ök, neg".as_bytes());
        bytes.extend(b"\n");
        let dataset = Drop::file("a.csv", &bytes).load().unwrap();
        assert!(texts(&dataset).contains(&"café “quoted” and ök"));
        let bom = if bom.is_empty() { "" } else { " with BOM" };
        assert_eq!(
            dataset.report.files[0].encoding.as_deref().unwrap(),
            format!("utf-8{bom} with windows-1252 bytes in 1 lines")
        );
    }
}

#[test]
fn a_guess_is_called_one() {
    Drop::file("a.csv", &WINDOWS_1251.encode(&csv("Этот фильм мне очень понравился")).0).check(
        expect![[r#"
            a.csv: csv windows-1251 20 rows
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 9 1 0
            pos: 9 1 0
            train 18 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: a.csv: windows-1251 is a guess; save the file as UTF-8 if texts look wrong
        "#]],
    );
}

#[test]
fn utf_16_longer_than_any_buffer() {
    let mut text = String::from("text\tlabel\n");
    for it in 0..20_000 {
        writeln!(text, "Füße und Hände {it} 🦀\t{}", it % 2).unwrap();
    }
    let dataset = Drop::file("a.tsv", &utf16(&text, u16::to_le_bytes, true)).load().unwrap();
    assert_eq!(dataset.train.len() + dataset.validation.len(), 20_000);
    assert_eq!(
        texts(&dataset)
            .iter()
            .filter(|it| it.starts_with("Füße und Hände") && it.ends_with("🦀"))
            .count(),
        20_000
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the texts, quoting them as CSV and reading them gives them back.
    #[test]
    fn quoted_texts_come_through(texts in proptest::collection::vec("[a-zà-ž,;\t|\"\r\n' ]{0,30}", 4..20)) {
        let mut csv = String::from("text,label\n");
        let mut wanted: Vec<String> = Vec::new();
        for (it, text) in texts.iter().enumerate() {
            let text = format!("{it}x{text}x");
            writeln!(csv, "\"{}\",{}", text.replace('"', "\"\""), it % 2).unwrap();
            wanted.push(text);
        }
        let dataset = Drop::file("a.csv", csv.as_bytes()).load().unwrap();
        let mut found: Vec<String> = self::texts(&dataset).into_iter().map(
            str::to_string).collect();
        found.sort();
        wanted.sort();
        prop_assert_eq!(found, wanted);
    }

    /// Any bytes under any name: a data set or a sentence, never a panic.
    #[test]
    fn any_bytes_are_a_data_set_or_a_sentence(bytes in proptest::collection::vec(any::<u8>(),
        0..400), name in "a\\.(csv|tsv|json|jsonl|parquet|zip|tar|gz|csv\\.gz)") {
        let _ = Drop::file(&name, &bytes).load();
        let _ = Drop::file(&name, &[b"text,label\na,1\nb,2\n", bytes.as_slice()].concat()).load();
    }
}

#[test]
fn encodings_of_single_files_are_guesses() {
    let texts = (0..24).map(|it| {
        let text = format!("schöne Grüße zum {it}ten Mal, wie üblich");
        let name = format!("{}/{it:02}.txt", ["neg", "pos"][it % 2]);
        let is_utf8 = !it.is_multiple_of(3);
        (name, if is_utf8 { text.into_bytes() } else { WINDOWS_1252.encode(&text).0.into_owned() })
    });
    let files: Vec<(String, Vec<u8>)> = texts.collect();
    folder(&files).check(expect![[r#"
        neg/: text_folders windows-1252, utf-8 12 rows
        pos/: text_folders utf-8, windows-1252 12 rows
        text-classification: folders of texts hold one class each: classes are learnt
        neg: 11 1 0
        pos: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: files that are not UTF-8: 8 (first: neg/00.txt); read as windows-1252 (8), which is a guess for each: save them as UTF-8 if texts look wrong
    "#]]);
    // Where a table names them, too.
    let lines: String =
        files.iter().map(|(name, _)| format!("texts/{name},{}\n", &name[..3])).collect();
    let moved = files.into_iter().map(|(name, text)| (format!("texts/{name}"), text));
    let table = ("list.csv".to_string(), format!("file,label\n{lines}").into_bytes());
    folder(&moved.chain([table]).collect::<Vec<_>>()).check(expect![[r#"
        list.csv: csv utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `file` -> `label`
        neg: 11 1 0
        pos: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: files that are not UTF-8: 8 (first: texts/neg/00.txt); read as windows-1252 (8), which is a guess for each: save them as UTF-8 if texts look wrong
    "#]]);
}
