//! Files whose names say the class, and tables that name files.

use crate::support::{Drop, folder, image, text};
use expect_test::expect;

#[test]
fn images_called_as_their_classes() {
    // As in Kaggle's cats and dogs.
    let mut files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|it| (format!("train/{}.{it}.png", ["cat", "dog"][it % 2]), image(it as u64)))
        .collect();
    files.extend((0..6).map(|it| (format!("test1/{it}.png"), image(100 + it))));
    files.push(("sampleSubmission.csv".into(), b"id,label\n1,0\n2,0\n".into()));
    // Folders of classes may have been lost: only a recipe says that names are meant.
    let drop = folder(&files);
    drop.check(expect![[r#"
        Data: test1/, train/ are splits and no class, and no folders of classes lie below; names of files begin with cat, dog (if these are the classes, set task in the recipe to that of classes, or put the files of each into a folder of its own, as in train/cat/)
    "#]]);
    drop.check_as(
        "task = 'image-classification'",
        expect![[r#"
            train/cat*: image_folders - 20 rows train
            train/dog*: image_folders - 20 rows train
            image-classification: the recipe says so
            cat: 18 2 0
            dog: 18 2 0
            train 36 (stratified, seed 0)
            validation 4 (stratified, seed 0)
            warning: sampleSubmission.csv is a form for answers, no data, and was ignored
            warning: no folders of classes are there, and names of files say the class: cat, dog
            warning: files whose names say no class were left out: 6 (first: test1/0.png)
        "#]],
    );
    let files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|it| (format!("images/{}_{it}.png", ["healthy", "rust"][it % 2]), image(it as u64)))
        .collect();
    folder(&files).check(expect![[r#"
        images/healthy*: image_folders - 20 rows
        images/rust*: image_folders - 20 rows
        image-classification: names of images hold one class each: classes are learnt
        healthy: 18 2 0
        rust: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: no folders of classes are there, and names of files say the class: healthy, rust
    "#]]);
    // Cameras call them so.
    let files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|it| (format!("{}_{it:04}.png", ["IMG", "DSC"][it % 2]), image(it as u64)))
        .collect();
    folder(&files).check(expect![[r#"
        Data: the drop's images lie in no class folders (put the images of each class into a folder named after it, or add a metadata.csv with the columns file_name and label)
    "#]]);
}

#[test]
fn masks_beside_images_are_no_examples() {
    for masks in ["masks", "labels", "gt"] {
        let both = (0..40).flat_map(|it| {
            let name = format!("{}_{it}.png", ["healthy", "rust"][it % 2]);
            let file = |folder: &str, seed| (format!("{folder}/{name}"), image(seed));
            [file("images", it as u64), file(masks, 100 + it as u64)]
        });
        let failure = folder(&both.collect::<Vec<_>>()).load().unwrap_err().to_string();
        assert!(failure.contains("are no classes by name"), "{failure}");
    }
}

#[test]
fn texts_a_line_in_files_called_as_their_class() {
    let lines = |from: usize| (from..from + 20).map(|it| text(it) + "\n").collect::<String>();
    let files = |names: &[&str]| -> Vec<(String, Vec<u8>)> {
        let of = |(at, it): (usize, &&str)| ((*it).to_string(), lines(100 * at).into_bytes());
        names.iter().enumerate().map(of).collect()
    };
    folder(&files(&["rt-polarity.neg", "rt-polarity.pos"])).check(expect![[r#"
        rt-polarity.neg: lines utf-8 20 rows
        rt-polarity.pos: lines utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 18 2 0
        pos: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: rt-polarity.neg: each line was taken for an example of `neg`, as the file is called
        warning: rt-polarity.pos: each line was taken for an example of `pos`, as the file is called
    "#]]);
    folder(&files(&["train/neg.txt", "train/pos.txt", "test/neg.txt", "test/pos.txt"]))
        .check(expect![[r#"
            train/neg.txt: lines utf-8 20 rows train
            train/pos.txt: lines utf-8 20 rows train
            test/neg.txt: lines utf-8 20 rows test
            test/pos.txt: lines utf-8 20 rows test
            text-classification: `label` has 2 values that recur: classes are learnt
            `text` -> `label`
            neg: 18 2 20
            pos: 18 2 20
            train 36 (file)
            validation 4 (stratified, seed 0)
            test 40 (file)
            warning: test/neg.txt: each line was taken for an example of `neg`, as the file is called
            warning: test/pos.txt: each line was taken for an example of `pos`, as the file is called
            warning: train/neg.txt: each line was taken for an example of `neg`, as the file is called
            warning: train/pos.txt: each line was taken for an example of `pos`, as the file is called
        "#]]);
    // Nobody says that books are classes.
    folder(&files(&["alice.txt", "moby-dick.txt"])).check(expect![[r#"
        Data: the drop's .txt files lie in no class folders (for classes put the texts of each into a folder named after it; texts without classes want task = "causal-language-modeling" or "masked-language-modeling" in a job.toml; conversations, and questions with answers, are written as JSON Lines; a table needs the extension .csv or .tsv)
    "#]]);
}

#[test]
fn tables_called_as_their_class() {
    let table = |from: usize| {
        let rows = (from..from + 20).map(|it| format!("a title,{},News {}\n", text(it), it % 2));
        format!("title,text,subject\n{}", rows.collect::<String>()).into_bytes()
    };
    let by_folder = ["neg/a.csv", "pos/a.csv"]
        .map(|it| (it.into(), table(it.len() * 7 + usize::from(it.as_bytes()[0]))));
    assert_eq!(folder(&by_folder).load().unwrap().outputs, ["neg", "pos"]);
    folder(&[("Fake.csv".into(), table(0)), ("True.csv".into(), table(100))]).check(expect![[r#"
        Fake.csv: csv utf-8 20 rows
        True.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        fake: 18 2 0
        true: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        warning: Fake.csv: each row was taken for an example of `fake`, as the file is called
        warning: True.csv: each row was taken for an example of `true`, as the file is called
        warning: columns not used: title, subject
    "#]]);
}

#[test]
fn texts_in_files_that_a_table_names() {
    let mut files: Vec<(String, Vec<u8>)> =
        (0..42).map(|it| (format!("docs/{it}.txt"), text(it).into_bytes())).collect();
    let rows: String = (0..41)
        .map(|it| format!("{}.txt,{}\n", if it == 40 { 99 } else { it }, ["neg", "pos"][it % 2]))
        .collect();
    files.push(("labels.csv".into(), format!("file,label\n{rows}").into_bytes()));
    let drop = folder(&files);
    drop.check(expect![[r#"
        labels.csv: csv utf-8 40 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `file` -> `label`
        neg: 18 2 0
        pos: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        quarantined labels.csv Some(42): the drop has no file 99.txt
        warning: texts that no table names were ignored: 2 (first: docs/40.txt)
    "#]]);
    assert!(crate::support::texts(&drop.load().unwrap()).contains(&&*text(7)));
}

#[test]
fn no_column_of_files_is_taken_for_standing_first() {
    let texts = (0..40).map(|it| (format!("docs/{it}.txt"), text(it).into_bytes()));
    let texts: Vec<(String, Vec<u8>)> = texts.collect();
    let of = |header: &str, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..40).map(|it| row(it) + "\n").collect();
        let mut files = texts.clone();
        files.push(("labels.csv".into(), format!("{header}\n{rows}").into_bytes()));
        folder(&files)
    };
    let column = |drop: Drop| drop.load().map(|it| it.report.input_columns[0].clone());
    // Classes are called 0 and 1, as files are.
    let usual = of("label,document", &|it| format!("{},docs/{it}.txt", it % 2));
    assert_eq!(column(usual).unwrap(), "document");
    let usual = of("rank,File Name,label", &|it| format!("{},{it}.txt,{}", 39 - it, it % 2));
    assert_eq!(column(usual).unwrap(), "File Name");
    // Two annotators for each file.
    let twice =
        of("file_name,annotator,label", &|it| format!("docs/{}.txt,{},{}", it / 2, it % 2, it % 3));
    assert_eq!(column(twice).unwrap(), "file_name");
    let either = of("before,after,label", &|it| format!("{},{it}.txt,{}", 39 - it, it % 2));
    let failure = column(either).unwrap_err().to_string();
    assert!(failure.contains("which column names the texts can't be told"), "{failure}");
}

#[test]
fn tagged_words_in_tables_called_as_a_class() {
    let table = |from: usize| {
        let words = (from..from + 40).flat_map(|sentence| {
            (0..4).map(move |word| {
                format!("{sentence},word{sentence}{word},{}\n", ["A", "B"][word % 2])
            })
        });
        format!("sentence_id,word,pos\n{}", words.collect::<String>()).into_bytes()
    };
    let drop = folder(&[("negative.csv".into(), table(0)), ("positive.csv".into(), table(100))]);
    assert_eq!(drop.load().unwrap().task.name, "token-classification");
}
