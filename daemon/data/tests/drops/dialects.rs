//! CSV as programs and people write it: each text and label must come out as it was meant, or what
//! is lost must be said.

use crate::support::{Drop, rows, table, texts};
use expect_test::expect;
use std::fmt::Write;

fn all_texts(csv: &str) -> Vec<String> {
    let dataset = Drop::file("a.csv", csv.as_bytes()).load().unwrap();
    let mut texts: Vec<String> = texts(&dataset).into_iter().map(str::to_string).collect();
    texts.sort();
    texts
}

#[test]
fn rows_of_nothing_are_no_rows() {
    let rows = rows("text,label\n", 20);
    let rows = [rows, b",\n ,\n".repeat(30)].concat();
    let dataset = Drop::file("a.csv", &rows).load().unwrap();
    assert_eq!((dataset.train.len(), dataset.report.quarantined.count), (18, 0));
}

#[test]
fn a_backslash_before_a_quote_escapes_it() {
    for comma in [", ", " "] {
        let csv = table("text,label", 30, |it, label| match it % 3 {
            0 => format!("\"{it} said \\\"well{comma}no\\\"{comma}yes\",{label}"),
            _ => format!("\"number {it}\",{label}"),
        });
        assert_eq!(all_texts(&csv)[0], format!("0 said \"well{comma}no\"{comma}yes"));
    }
    let csv = table("text,label", 20, |it, label| format!("\"{it} \\\"a, b\\\"\",{label}"));
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv: was read with a backslash before each quote inside of quotes
    "#]]);
}

#[test]
fn lines_that_an_open_quote_took_are_named() {
    let row = |it: usize, label: &str| match it {
        1500 => format!("\"number {it},{label}"),
        1521 => format!("\"number, {it}\",{label}"),
        _ => format!("number {it},{label}"),
    };
    Drop::file("a.csv", table("text,label", 2000, row).as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 1999 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 900 100 0
        pos: 899 100 0
        train 1799 (stratified, seed 0)
        validation 200 (stratified, seed 0)
        quarantined a.csv Some(1523): 3 fields, but the header has 2
    "#]]);
    // The quote is closed by the next stray one, and the fields fit.
    let row = |it: usize, label: &str| match it {
        1500 => format!("\"number {it},{label}"),
        1510 => format!("she said {it}\",{label}"),
        2 => format!("\"number, {it}\",{label}"),
        _ => format!("number {it},{label}"),
    };
    Drop::file("a.csv", table("text,label", 2000, row).as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 1989 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 895 99 0
        pos: 895 100 0
        train 1790 (stratified, seed 0)
        validation 199 (stratified, seed 0)
        quarantined a.csv Some(1502): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1503): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1504): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1505): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1506): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1507): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1508): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1509): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1510): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1511): a quote that line 1502 opens and does not close took this line with it, one of 11
        quarantined a.csv Some(1512): a quote that line 1502 opens and does not close took this line with it, one of 11
        warning: a.csv line 1502 opens a quote that it does not close: 11 lines went with it and were put aside; close the quote, or double it where it is meant as a character
    "#]]);
    // Too many of them are more than a broken row.
    let row = |it: usize, label: &str| match it {
        1500 => format!("\"number {it},{label}"),
        1800 | 2 => format!("\"number, {it}\",{label}"),
        _ => format!("number {it},{label}"),
    };
    Drop::file("a.csv", table("text,label", 2000, row).as_bytes()).check(expect![[r#"
        Data: 301 of 2000 examples can't be used, which is more than 10 %: 301 times lines that a quote took (first: a.csv line 1502: a quote that line 1502 opens and does not close took this line with it, one of 301) (mend or remove them, or name the right columns in the recipe)
    "#]]);
}

#[test]
fn texts_of_many_lines_are_texts() {
    let csv = table("text,label", 40, |it, label| {
        format!("\"Dear {it},\nthe chair, it broke\nneg, I must say\nYours, me\",{label}")
    });
    assert_eq!(all_texts(&csv).len(), 40);
}

#[test]
fn a_header_in_the_middle_is_no_row() {
    let mut csv = rows("text,label\n", 20);
    csv.extend(rows("text, label\n", 20));
    csv.extend(rows("text,label\n", 20));
    Drop::file("a.csv", &csv).check(expect![[r#"
        a.csv: csv utf-8 60 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 27 3 0
        pos: 27 3 0
        train 54 (stratified, seed 0)
        validation 6 (stratified, seed 0)
        warning: a.csv: lines that repeat the header were left out: 2 (first: line 22)
    "#]]);
    let mut csv = rows("text,label\n", 20);
    csv.extend(b"label,text\npos,a\n");
    Drop::file("a.csv", &csv).check(expect![[r#"
        Data: a.csv line 22: the header stands again, with its columns in another order (two files were joined: drop each as a file of its own)
    "#]]);
}

#[test]
fn excel_names_the_delimiter_in_a_line_of_its_own() {
    let csv = table("sep=;\r\ntext;label\r", 20, |it, label| format!("\"a; b, c {it}\";{label}\r"));
    let utf16: Vec<u8> = csv.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe], &utf16[..]].concat();
    for content in [csv.as_bytes(), &marked] {
        let dataset = Drop::file("a.csv", content).load().unwrap();
        assert_eq!(dataset.outputs, ["neg", "pos"]);
        assert!(texts(&dataset).contains(&"a; b, c 0"));
    }
}

#[test]
fn a_blank_may_stand_before_a_quote() {
    let csv = table("label, text", 20, |it, label| format!("{label}, \"a, b \"\"c\"\" {it}\""));
    assert_eq!(all_texts(&csv)[0], "a, b \"c\" 0");
    // Not where quotes are characters in the middle of a text.
    let csv = table("text;label", 20, |it, label| format!("a, \"b\" {it};{label}"));
    assert_eq!(all_texts(&csv)[0], "a, \"b\" 0");
}

#[test]
fn names_of_rows_have_no_name_themselves() {
    // As R writes them, and as pandas does.
    for header in ["text,label", "\"utt\",\"kind\"", ",utt,kind"] {
        let csv =
            table(header, 20, |it, label| format!("\"{}\",\"said {it}\",\"{label}\"", it + 1));
        assert_eq!(all_texts(&csv)[0], "said 0", "{header}");
    }
    let csv = table("text,label", 20, |it, label| format!("r{it},\"said {it}\",{label}"));
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv: the first column was taken for the names of rows, as the header is one name short
    "#]]);
}

#[test]
fn columns_without_name_and_content_are_none() {
    let mut csv = table("v1,v2,,,", 40, |it, label| format!("{label},what was said as {it},,,"));
    writeln!(csv, "neg,one, and more,,").unwrap();
    Drop::file("spam.csv", csv.as_bytes()).check(expect![[r#"
        spam.csv: csv utf-8 41 rows
        text-classification: `v1` has 2 values that recur: classes are learnt
        `v2` -> `v1`
        neg: 19 2 0
        pos: 18 2 0
        train 37 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: spam.csv: columns without a name that hold something in a few rows only were ignored: 1
    "#]]);
    let csv = table("text,label,", 20, |it, label| format!("said {it},{label}"));
    assert_eq!(all_texts(&csv)[0], "said 0");
    let csv = table("text,label", 20, |it, label| format!("said {it},{label},"));
    assert_eq!(all_texts(&csv)[0], "said 0");
}

#[test]
fn lines_count_alike_whatever_ends_them() {
    for end in ["\n", "\r\n"] {
        let mut csv = table("text,label", 40, |it, label| format!("text {it},{label}"));
        csv = csv.replace("text 7,", "text 7,and,more,");
        let drop = Drop::file("a.csv", csv.replace('\n', end).as_bytes());
        let report = drop.load().unwrap().report;
        assert_eq!(report.quarantined.shown[0].line, Some(9), "{end:?}");
    }
}

#[test]
fn what_stands_above_a_header_is_none() {
    let rows = table("No,Said,Kind", 20, |it, label| format!("{it},said it as {it} then,{label}"));
    for above in ["Survey 2023,,\n,,\n", "Survey 2023\n\n", "# by a tool\n# on a day\n"] {
        let csv = format!("{above}{rows}").replace("Kind", "class");
        assert_eq!(all_texts(&csv)[0], "said it as 0 then", "{above}");
    }
    let csv =
        format!("Survey 2023\n{}", table("text,label", 20, |it, label| format!("t {it},{label}")));
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv: lines above the header were left out: 1
    "#]]);
}

#[test]
fn a_conflict_of_git_is_no_row() {
    let csv = |mark: &str| {
        let line = |it, label: &str| format!("said {it},{label}");
        let (ours, theirs) = (table("text,label", 20, line), table(">>>>>>> other", 20, line));
        format!("{ours}{mark}{theirs}")
    };
    Drop::file("a.csv", csv("<<<<<<< HEAD\nsaid it,pos\n=======\n").as_bytes())
        .check(expect![[r#"
            Data: a.csv line 22: a conflict of Git that nobody resolved (resolve it and drop the file again: as it is, it holds two versions of the same rows)
        "#]]);
    let json = "{\"text\": \"a\", \"label\": \"x\"}\n<<<<<<< HEAD\n";
    Drop::file("a.jsonl", json.as_bytes()).check(expect![[r#"
        Data: a.jsonl line 2: a conflict of Git that nobody resolved (resolve it and drop the file again: as it is, it holds two versions of the same rows)
    "#]]);
}

#[test]
fn a_comma_in_a_text_makes_no_names_of_rows() {
    let csv = table("text,label", 20, |it, label| format!("said {it}, and more,{label}"));
    Drop::file("a.csv", csv.as_bytes()).check(expect![[r#"
        Data: 20 of 20 examples can't be used, which is more than 10 %: 20 times a wrong number of fields (first: a.csv line 2: 3 fields, but the header has 2) (mend or remove them; texts that hold the delimiter belong into quotes)
    "#]]);
}

#[test]
fn lines_in_quotes_as_a_whole() {
    let drop = |header: &str, line: &dyn Fn(usize, &str) -> String| {
        Drop::file("a.csv", table(header, 20, line).as_bytes())
    };
    let plain = |it: usize, label: &str| format!("\"said {it},{label}\"");
    drop("\"text,label\"", &plain).check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv: was read without the quotes around each of its lines
    "#]]);
    let quoted =
        |it: usize, label: &str| format!("\"\"\"said {it}, and \"\"\"\"so\"\"\"\"\"\",{label}\"");
    let dataset = drop("text,label", &quoted).load().unwrap();
    assert!(texts(&dataset).contains(&"said 3, and \"so\""), "{:?}", texts(&dataset));
    assert_eq!(dataset.outputs, ["neg", "pos"]);
    // Nothing but texts with commas.
    drop("text", &|it, _| format!("\"said {it}, twice\"")).check(expect![[r#"
        Data: a.csv has no column besides `text`, so no label (add a column `label`; without labels set task: "text-generation" learns answers to questions, "preference" which answers are wanted, "causal-language-modeling" and "masked-language-modeling" texts as they are)
    "#]]);
    // Two fields in quotes each.
    drop("text,label", &|it, label| format!("\"said {it}\",\"{label}\"")).check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
}

#[test]
fn formulas_that_give_a_text() {
    let bare = |it: usize, label: &str| format!("said {it},=\"{label}\"");
    Drop::file("a.csv", table("text,label", 20, bare).as_bytes()).check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: a.csv: has cells written as formulas (="…"), of which the text was read
    "#]]);
    let quoted =
        |it: usize, _: &str| format!("\"=\"\"said {it}, well\"\"\",\"=\"\"00{}\"\"\"", it % 2);
    let csv = table("\"=\"\"text\"\"\",\"=\"\"label\"\"\"", 20, quoted);
    let dataset = Drop::file("a.csv", csv.as_bytes()).load().unwrap();
    assert_eq!(dataset.outputs, ["000", "001"]);
    assert!(texts(&dataset).contains(&"said 3, well"));
}
