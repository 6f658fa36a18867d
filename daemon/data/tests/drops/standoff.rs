//! Texts with their spans in a file beside each, as brat has them.

use crate::support::folder;
use expect_test::expect;

const PLACES: [&str; 4] = ["Köln", "Ulm", "New York", "Rome"];

/// The `nth` document and its spans.
fn document(nth: usize) -> (String, String) {
    let (mut text, mut spans) = (String::new(), String::new());
    for sentence in 0..3 {
        text += &format!("Person{nth} and {sentence} went to ");
        let place = PLACES[(nth + sentence) % 4];
        let from = text.chars().count();
        let to = from + place.chars().count();
        text += &format!("{place} that day.\n\n");
        spans += &format!("T{}\tPlace {from} {to}\t{place}\n", sentence + 1);
    }
    (text, spans + "R1\tNear Arg1:T1 Arg2:T2\n#1\tAnnotatorNotes T1\tsure\n")
}

fn collection(folders: &[&str], n: usize) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("annotation.conf".to_string(), b"[entities]\nPlace\n".to_vec())];
    for (at, folder) in folders.iter().enumerate() {
        for nth in 0..n {
            let (text, spans) = document(n * at + nth);
            files.push((format!("{folder}{nth}.txt"), text.into_bytes()));
            files.push((format!("{folder}{nth}.ann"), spans.into_bytes()));
        }
    }
    files
}

#[test]
fn a_collection_of_brat() {
    let mut files = collection(&[""], 8);
    files.push(("more.txt".into(), b"A text that nobody looked at.".to_vec()));
    folder(&files).check(expect![[r#"
        texts: brat utf-8 24 rows
        token-classification: nothing else is learnt of such data
        Place: 22 2 0
        train 22 (stratified by label, seed 0)
        validation 2 (stratified by label, seed 0)
        warning: annotation.conf is no data that finetuned reads and was ignored
        warning: texts that have no .ann with spans beside them were left out: 1 (first: more.txt)
    "#]]);
    folder(&collection(&["train/", "dev/"], 8)).check(expect![[r#"
        train: brat utf-8 24 rows train
        validation: brat utf-8 24 rows validation
        token-classification: nothing else is learnt of such data
        Place: 24 24 0
        train 24 (file)
        validation 24 (file)
        warning: annotation.conf is no data that finetuned reads and was ignored
    "#]]);
}

#[test]
fn one_folder_of_pairs_is_no_class() {
    folder(&collection(&["notes/"], 8)).check(expect![[r#"
        texts: brat utf-8 24 rows
        token-classification: nothing else is learnt of such data
        Place: 22 2 0
        train 22 (stratified by label, seed 0)
        validation 2 (stratified by label, seed 0)
        warning: annotation.conf is no data that finetuned reads and was ignored
    "#]]);
}

#[test]
fn spans_that_are_not_what_stands_in_the_text() {
    let mut files = collection(&[""], 8);
    let moved = files.iter_mut().filter(|it| it.0.ends_with(".txt"));
    moved.for_each(|it| it.1.insert(0, b' '));
    folder(&files).check(expect![[r#"
        Data: 8 of 8 examples can't be used, which is more than 10 %: 8 times spans that are not what stands in the text (first: 0.txt: its span T1 is `Köln`, and ` Köl` stands there) (mend or remove them)
    "#]]);
}

#[test]
fn spans_that_are_not_learnt_are_named() {
    let files = collection(&["a/", "b/"], 8);
    folder(&files).check_as(
        "task = 'text-classification'",
        expect![[r#"
        a/: text_folders utf-8 8 rows
        b/: text_folders utf-8 8 rows
        text-classification: the recipe says so
        a: 7 1 0
        b: 7 1 0
        train 14 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: annotation.conf is no data that finetuned reads and was ignored
        warning: files of spans (.ann) that are not learnt: 16 (first: a/0.ann)
    "#]],
    );
}
