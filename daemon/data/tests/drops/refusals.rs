//! Every refusal, with the sentence that a user reads.

use crate::support::{Drop, rows, table};
use expect_test::{Expect, expect};
use std::fs;
use std::os::unix::fs::symlink;

#[track_caller]
fn check(name: &str, content: &[u8], expected: Expect) {
    Drop::file(name, content).check(expected);
}

#[test]
fn nothing_to_read() {
    check(
        "a.csv",
        b"",
        expect![[r#"
        Data: a.csv is empty
    "#]],
    );
    check(
        "a.csv",
        b" \n\n",
        expect![[r#"
        Data: a.csv is empty
    "#]],
    );
    check(
        "a.json",
        b"[]",
        expect![[r#"
            Data: a.json holds no JSON objects that can be read (it takes a list of objects, or one object a line)
        "#]],
    );
    check(
        "a.jsonl",
        b"\xef\xbb\xbf",
        expect![[r#"
        Data: a.jsonl is empty
    "#]],
    );
    check(
        "a.csv",
        b"text,label\n",
        expect![[r#"
        Data: a.csv has columns but no rows
    "#]],
    );
    Drop::folder(&[]).check(expect![[r#"
        Data: the drop holds no data (it takes CSV, TSV, JSON, JSON Lines, Parquet, Arrow or Excel files, or a folder of .txt files for each class)
    "#]]);
    Drop::folder(&[("README.md", b"x"), ("job.toml", b"")]).check(expect![[r#"
        Data: the drop holds no data (it takes CSV, TSV, JSON, JSON Lines, Parquet, Arrow or Excel files, or a folder of .txt files for each class)
    "#]]);
    Drop::folder(&[("image.png", b"x")]).check(expect![[r#"
        Data: the drop's images lie in no class folders (put the images of each class into a folder named after it, or add a metadata.csv with the columns file_name and label)
    "#]]);
    let gone = Drop::file("a.csv", b"x");
    fs::remove_file(gone.path()).unwrap();
    gone.check(expect![[r#"
        Data: a.csv is gone: it was removed before it was read (drop it again)
    "#]]);
}

#[test]
fn labels_that_are_none() {
    check(
        "a.csv",
        b"text,label\na,x\nb,x\nc,x\n",
        expect![[r#"
        Data: all 3 examples have the label `x` (a classifier needs two classes at least)
    "#]],
    );
    check(
        "a.csv",
        b"text,label\na,x\nb,x\nc,y\nd,x\n",
        expect![[r#"
        Data: the class `y` has one example only (a.csv line 4) (add examples of it or remove it; a class needs two at least)
    "#]],
    );
    check(
        "a.csv",
        b"text\na\nb\n",
        expect![[r#"
            Data: a.csv has no column besides `text`, so no label (add a column `label`)
        "#]],
    );
    check(
        "a.csv",
        b"who,text,when\n1,a,x\n2,b,y\n",
        expect![[r#"
            Data: a.csv: what is to be learnt can't be told; besides `text` it has who, when (name it in a job.toml in the drop: data.label = "who", or several as data.labels)
        "#]],
    );
    check(
        "a.csv",
        b"id,label,when\n1,a,x\n2,b,y\n",
        expect![[r#"
            Data: a.csv: which column is the text can't be told; its columns are id, label, when (drop it in a folder with a job.toml of two lines: data.text = "COLUMN" and data.label = "label")
        "#]],
    );
    check(
        "a.csv",
        b"one,two\na,b\nc,d\n",
        expect![[r#"
            Data: a.csv: which column is the text and which the label can't be told; its columns are one, two (drop it in a folder with a job.toml of two lines: data.text = "COLUMN" and data.label = "COLUMN")
        "#]],
    );
    check(
        "a.csv",
        b"1,2,3\n4,5,6\n",
        expect![[r#"
            Data: a.csv holds numbers (3 of 3 columns) and neither texts nor images, from which models learn here (such tables are learnt by other programs, as scikit-learn or XGBoost; here a column of texts, or of paths to images, is needed)
        "#]],
    );
    check(
        "a.csv",
        b"text,label,label\na,1,2\nb,2,1\n",
        expect![[r#"
        Data: a.csv has 2 columns called `label` (give each column its own name)
    "#]],
    );
    let ids: String = (0..1200).map(|it| format!("text {it},id-{it}\n")).collect();
    check(
        "a.csv",
        format!("text,label\n{ids}").as_bytes(),
        expect![[r#"
            Data: a.csv line 2: `label` has another value in each of 999 rows (`id-0`, …), as ids and names have: no class has a second example (name other columns in the recipe)
        "#]],
    );
    let measured: String =
        (0..50).map(|it| format!("{{\"text\": \"text {it}\", \"label\": {it}.5}}\n")).collect();
    check(
        "a.jsonl",
        measured.as_bytes(),
        expect![[r#"
            a.jsonl: json_lines utf-8 50 rows
            text-regression: `label` is a column of fractions: numbers are learnt
            `text` -> `label`
            label: 0.5 to 49.5, mean 25.233
            train 45 (random, seed 0)
            validation 5 (random, seed 0)
        "#]],
    );
    check(
        "a.jsonl",
        br#"{"text": "a", "label": ["x", "y"]}"#,
        expect![[r#"
            Data: all 1 examples have the same labels (there is nothing to tell apart)
        "#]],
    );
}

#[test]
fn columns_that_the_recipe_names_in_vain() {
    let drop = Drop::file("a.csv", &rows("text,label\n", 10));
    drop.check_as(
        "data.label = 'lable'",
        expect![[r#"
        Data: a.csv has no column `lable`; its columns are text, label
    "#]],
    );
    drop.check_as(
        "data.text = 'text'\ndata.label = 'text'",
        expect![[r#"
        Data: a.csv: `text` can't be both text and label
    "#]],
    );
    drop.check_as("data.validation = 0.0", expect![[r#"
        Data: there is neither validation nor test to score the model by (set data.validation in the recipe to more than 0, or add validation data; equal texts are never divided)
    "#]]);
}

#[test]
fn files_that_are_not_what_they_say() {
    check(
        "a.csv",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        expect![[r#"
        Data: a.csv is a PNG image, not CSV
    "#]],
    );
    check(
        "a.csv",
        b"<!DOCTYPE html>\n<html><body>Not found</body></html>",
        expect![[r#"
        Data: a.csv is a web page, not CSV
    "#]],
    );
    check(
        "a.txt",
        b"| text | label |\n| --- | --- |\n| good | yes |\n| bad | no |\n",
        expect![[r#"
            Data: a.txt is no data that finetuned reads (it takes .csv, .tsv, .json, .jsonl, .parquet, .arrow, .xlsx, .ods, an archive of them, or a folder of .txt files for each class)
        "#]],
    );
    Drop::folder(&[("cat/1.html", b"<p>a</p>"), ("dog/2.htm", b"<p>b</p>")]).check(expect![[r#"
        Data: the drop holds no data: cat/1.html is a web page, which is not read (write what each page says to a .txt file in a folder for each class, or to a table)
    "#]]);
    check(
        "a.jsonl",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        expect![[r#"
            Data: a.jsonl is a Git LFS pointer, not the file itself (run `git lfs pull` where it was cloned, and drop the data again)
        "#]],
    );
    check(
        "a.parquet",
        b"text,label\n",
        expect![[r#"
        Data: a.parquet can't be read as Parquet: Invalid Parquet file. Corrupt footer
    "#]],
    );
    check(
        "a.csv",
        b"PAR1....PAR1",
        expect![[r#"
            Data: a.csv can't be read as Parquet: Parquet file too small. Size is 12 but need 774778422
        "#]],
    );
    check(
        "sheet.xlsx",
        b"PK\x03\x04",
        expect![[r#"
            Data: sheet.xlsx is damaged: Missing end of central directory (copy or make it again)
        "#]],
    );
    check(
        "notes.txt",
        b"some text",
        expect![[r#"
            Data: notes.txt is no data that finetuned reads (it takes .csv, .tsv, .json, .jsonl, .parquet, .arrow, .xlsx, .ods, an archive of them, or a folder of .txt files for each class)
        "#]],
    );
    check(
        "weights.bin",
        b"\0\0",
        expect![[r#"
            Data: weights.bin is binary data (it takes .csv, .tsv, .json, .jsonl, .parquet, .arrow, .xlsx, .ods, an archive of them, or a folder of .txt files for each class)
        "#]],
    );
    check(
        "a.csv.gz",
        b"\x1f\x8b\x08\x00 no deflate stream here",
        expect![[r#"
        Data: a.csv.gz is damaged: corrupt deflate stream
    "#]],
    );
    check(
        "a.json",
        b"{\"text\": \"a\",\n \"label\": 1}\n",
        expect![[r#"
            Data: a.json holds no JSON objects that can be read (it takes a list of objects, or one object a line)
        "#]],
    );
    check(
        "a.json",
        b"[{\"text\": \"a\", \"label\": 1},\n{\"text\": \"b\", \"label\"}]",
        expect![[r#"
        Data: a.json line 2: invalid JSON after 1 rows: expected `:` (mend the file)
    "#]],
    );
    check(
        "a.json",
        b"[{\"text\": \"a\", \"label\": 1},\n{\"text\": \"b\"",
        expect![[r#"
        Data: a.json line 2: invalid JSON after 1 rows: EOF while parsing an object (mend the file)
    "#]],
    );
}

#[test]
fn tables_that_were_read_in_the_wrong_way() {
    let mut csv = rows("text,label\n", 10);
    csv.extend(b"one, two,neg\none, two, three,pos\n");
    check(
        "a.csv",
        &csv,
        expect![[r#"
            Data: 2 of 12 examples can't be used, which is more than 10 %: 2 times a wrong number of fields (first: a.csv line 12: 3 fields, but the header has 2) (mend or remove them; texts that hold the delimiter belong into quotes)
        "#]],
    );
    let unlabelled: String = (0..10).map(|it| format!("text {it},\n")).collect();
    let mut csv = rows("text,label\n", 10);
    csv.extend(unlabelled.as_bytes());
    csv.extend(b",neg\n");
    check(
        "a.csv",
        &csv,
        expect![[r#"
            Data: 11 of 21 examples can't be used, which is more than 10 %: 10 times empty label (first: a.csv line 12), 1 times empty text (first: a.csv line 22) (mend or remove them, or name the right columns in the recipe; a label that stands in the first row of its group alone, as of merged cells, belongs into each)
        "#]],
    );
}

#[test]
fn a_quote_that_never_closes() {
    let mut csv = rows("text,label\n", 4000);
    csv.extend(b"\"a quote,neg\n");
    csv.extend(rows("", 800_000));
    check(
        "a.csv",
        &csv,
        expect![[r#"
            Data: a.csv line 4002: a row is longer than 16 MiB (a quote that is opened and never closed does this)
        "#]],
    );
}

#[test]
fn files_that_do_not_go_together() {
    let set = rows("text,label\n", 10);
    let other = b"sentence,stars\na,1\nb,2\n".as_slice();
    Drop::folder(&[("train.csv", &set), ("other.csv", &set)]).check(expect![[r#"
        Data: train.csv names a split and other.csv does not (name all files train, validation or test, or none of them)
    "#]]);
    Drop::folder(&[("a.csv", &set), ("b.csv", other)]).check(expect![[r#"
        Data: b.csv has no column `text`; its columns are sentence, stars (all files of a drop need the same columns)
    "#]]);
    Drop::folder(&[("test.csv", &set), ("dev.csv", &set)]).check(expect![[r#"
        Data: dev.csv is there, but no train split (add the training data under a name with `train` in it)
    "#]]);
    Drop::folder(&[("train.csv", &set), ("test.csv", b"text\na\nb\n")]).check(expect![[r#"
        train.csv: csv utf-8 10 rows train
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 4 1 0
        pos: 4 1 0
        train 8 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: test.csv has no column `label`, so no labels: it is there to be predicted (`finetuned predict`), and was left out
    "#]]);
    Drop::folder(&[("train.csv", &set), ("test.csv", b"text,label\nanother,neutral\n")]).check(expect![[r#"
        Data: test.csv line 2: the class `neutral` occurs in test but not in train (add examples of it to train, or remove it)
    "#]]);
    Drop::folder(&[("a.csv", &set), ("neg/1.txt", b"x")]).check(expect![[r#"
        Data: the drop holds tables (a.csv) and folders of texts (neg/1.txt) at once (drop each data set by itself)
    "#]]);
    Drop::folder(&[("train.csv", &set), ("valid.csv", &set)]).check(expect![[r#"
        Data: train has no examples once the 10 that stand in validation or test too are left out
    "#]]);
    let leaky =
        b"text,label\ntext number 1,pos\ntext number 3,pos\ntext number 5,pos\ntext number 7,pos\n"
            .as_slice();
    Drop::folder(&[("train.csv", &set), ("valid.csv", leaky)]).check(expect![[r#"
        Data: the class `pos` has one example only once the 4 that stand in validation or test too are left out (train.csv line 11) (add examples of it or remove it; a class needs two at least)
    "#]]);
    Drop::folder(&[
        ("train.csv", &set),
        ("valid.csv", b"text,label\na,neg\n"),
        ("test.csv", b"text,label\na,neg\n"),
    ])
    .check(expect![[r#"
        Data: every validation example stands in test too, so none is left (remove the examples of test from validation)
    "#]]);
}

#[test]
fn links_and_rights() {
    let drop = Drop::folder(&[]);
    symlink("/etc/passwd", drop.path().join("data.csv")).unwrap();
    drop.check(expect![[r#"
        Data: the drop holds no data: data.csv is a symbolic link and was not followed (it takes CSV, TSV, JSON, JSON Lines, Parquet, Arrow or Excel files, or a folder of .txt files for each class)
    "#]]);
    fs::remove_dir_all(drop.path()).unwrap();
    symlink("/etc", drop.path()).unwrap();
    drop.check(expect![[r#"
        Data: drop is a symbolic link (drop the data themselves)
    "#]]);
    let drop = Drop::folder(&[("a.csv", &rows("text,label\n", 10))]);
    symlink("/etc/passwd", drop.path().join("job.toml")).unwrap();
    drop.check(expect![[r#"
        Data: job.toml is a symbolic link (drop the file itself)
    "#]]);
    Drop::folder(&[("a.csv", b"x"), ("job.toml", b"\xff\xfe\0")]).check(expect![[r#"
        Recipe: job.toml is not UTF-8 (save it as UTF-8)
    "#]]);
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    let drop = Drop::file("a.csv", &rows("text,label\n", 200_000));
    let opened = finetuned_data::open(&drop.path(), &drop.staging(), &mut |_, _, _| {}).unwrap();
    let mut grown = false;
    let choice = finetuned_job::recipe::Recipe::default().data;
    let request = finetuned_data::Request {
        task: None,
        choice: &choice,
        validation: crate::support::a_tenth,
        seed: 0,
        run: drop.run(),
        threads: 1,
    };
    let loaded = opened.load(&request, &mut |_, _, _| {
        if !std::mem::replace(&mut grown, true) {
            let mut file = fs::OpenOptions::new().append(true).open(drop.path()).unwrap();
            std::io::Write::write_all(&mut file, b"one more,neg\n").unwrap();
        }
    });
    assert!(grown);
    expect![[r#"
        Data: a.csv changed while it was read (drop it again when it is complete; writing it elsewhere and moving it in is safe)
    "#]]
    .assert_eq(&crate::support::reported(loaded));
    let opened = finetuned_data::open(&drop.path(), &drop.staging(), &mut |_, _, _| {}).unwrap();
    let loaded = opened.load(&request, &mut |_, _, _| {
        let _ = fs::remove_file(drop.path());
    });
    expect![[r#"
        Data: a.csv is gone: it was removed before it was read (drop it again)
    "#]]
    .assert_eq(&crate::support::reported(loaded));
}

#[test]
fn what_stands_for_texts_is_none() {
    check(
        "a.csv",
        table("tweet_id,label", 40, |it, label| format!("98765432101{it:02},{label}")).as_bytes(),
        expect![[r#"
            Data: a.csv line 2: `tweet_id` holds numbers or ids (9876543210100, …), and no texts (add a column of the texts that they stand for)
        "#]],
    );
    let pixels = |it: usize| (0..30).map(|at| format!("{} ", it * at % 256)).collect::<String>();
    for header in ["pixels,label", "label,pixels,Usage"] {
        let row = |it, label: &str| match header {
            "pixels,label" => format!("{},{label}", pixels(it)),
            _ => format!("{label},{},Training", pixels(it)),
        };
        let loaded = Drop::file("a.csv", table(header, 40, row).as_bytes()).load();
        assert!(loaded.is_err(), "{header}");
    }
    check(
        "a.csv",
        table("text,label", 40, |it, label| format!("docs/{it}.txt,{label}")).as_bytes(),
        expect![[r#"
            Data: a.csv line 2: `text` holds names of files (docs/0.txt, …), and no texts (write the texts themselves into the column)
        "#]],
    );
}

#[test]
fn literals_that_json_does_not_have() {
    let line = |it: usize, score: &str| {
        format!("{{\"text\": \"the NaN {it}\", \"label\": {}, \"score\": {score}}}", it % 2)
    };
    let lines = |odd: usize, of: &str| -> Vec<String> {
        (0..24).map(|it| line(it, if it == odd { of } else { "1.5" })).collect()
    };
    let nan = lines(3, "NaN").join("\n");
    check(
        "a.jsonl",
        nan.as_bytes(),
        expect![[r#"
        Data: a.jsonl line 4: `NaN`, which Python writes for a number that is none, is no JSON (write null in its place, as to_json of pandas does; json.dumps(..., allow_nan=False) of Python shows where one comes from)
    "#]],
    );
    let infinity = format!("[{}]", lines(0, "-Infinity").join(",\n"));
    check(
        "a.json",
        infinity.as_bytes(),
        expect![[r#"
        Data: a.json line 1: `Infinity`, which Python writes for a number that is none, is no JSON (write null in its place, as to_json of pandas does; json.dumps(..., allow_nan=False) of Python shows where one comes from)
    "#]],
    );
    let text = lines(24, "").join("\n");
    assert!(Drop::file("a.jsonl", text.as_bytes()).load().is_ok());
}

#[test]
fn pickles_without_an_extension() {
    let pickle = b"\x80\x02}q\x00(U\x04dataq\x01";
    let files: [(&str, &[u8]); 3] = [
        ("cifar/data_batch_1", pickle),
        ("cifar/test_batch", pickle),
        ("cifar/batches.meta", pickle),
    ];
    Drop::folder(&files).check(expect![[r#"
        Data: the drop holds no data: cifar/batches.meta is a Python pickle, which is not read (a pickle may run any program, and is never opened: write images to a folder for each class, and texts to CSV, JSON Lines or Parquet; CIFAR lies on the hub as Parquet too)
    "#]]);
    Drop::folder(&[("train", pickle), ("test", pickle)]).check(expect![[r#"
        Data: the drop holds no data: test is a Python pickle, which is not read (a pickle may run any program, and is never opened: write images to a folder for each class, and texts to CSV, JSON Lines or Parquet; CIFAR lies on the hub as Parquet too)
    "#]]);
}
