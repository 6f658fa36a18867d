//! A folder of .txt files for each class.

use crate::support::{Drop, gallery};
use expect_test::expect;
use std::fs;
use std::os::unix::fs::symlink;

fn texts(folders: &[&str], n: usize) -> Drop {
    let files: Vec<(String, String)> = folders
        .iter()
        .flat_map(|folder| {
            (0..n).map(move |it| (format!("{folder}/{it}.txt"), format!("{folder} text {it}\n")))
        })
        .collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    Drop::folder(&files)
}

#[test]
fn folders_are_classes() {
    let drop = texts(&["neg", "pos"], 10);
    fs::write(drop.path().join("neg/b.TXT"), b"caf\xe9").unwrap();
    drop.check(expect![[r#"
        neg/: text_folders utf-8, windows-1252 11 rows
        pos/: text_folders utf-8 10 rows
        text-classification: folders of texts hold one class each: classes are learnt
        neg: 10 1 0
        pos: 9 1 0
        train 19 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: files that are not UTF-8: 1 (first: neg/b.TXT); read as windows-1252 (1), which is a guess for each: save them as UTF-8 if texts look wrong
    "#]]);
    let dataset = drop.load().unwrap();
    let it = dataset
        .train
        .iter()
        .find(|it| &*it.record.texts[0] == "café")
        .or_else(|| dataset.validation.iter().find(|it| &*it.record.texts[0] == "café"))
        .unwrap();
    assert_eq!(dataset.origins.of(it), "neg/b.TXT");
}

#[test]
fn folders_below_splits() {
    texts(&["aclImdb/train/neg", "aclImdb/train/pos", "aclImdb/test/neg", "aclImdb/test/pos"], 5)
        .check(expect![[r#"
            train/neg/: text_folders utf-8 5 rows train
            train/pos/: text_folders utf-8 5 rows train
            test/neg/: text_folders utf-8 5 rows test
            test/pos/: text_folders utf-8 5 rows test
            text-classification: folders of texts hold one class each: classes are learnt
            neg: 4 1 5
            pos: 4 1 5
            train 8 (file)
            validation 2 (stratified, seed 0)
            test 10 (file)
        "#]]);
}

#[test]
fn a_class_may_be_called_train() {
    texts(&["train", "car", "plane"], 4).check(expect![[r#"
        car/: text_folders utf-8 4 rows
        plane/: text_folders utf-8 4 rows
        train/: text_folders utf-8 4 rows
        text-classification: folders of texts hold one class each: classes are learnt
        car: 3 1 0
        plane: 3 1 0
        train: 3 1 0
        train 9 (stratified, seed 0)
        validation 3 (stratified, seed 0)
    "#]]);
}

#[test]
fn unusable_and_foreign_files() {
    let drop = texts(&["neg", "pos"], 12);
    fs::write(drop.path().join("neg/empty.txt"), b" \n").unwrap();
    fs::write(drop.path().join("neg/image.txt"), b"\x89PNG\r\n\x1a\n\0\0\0").unwrap();
    fs::write(drop.path().join("README.txt"), b"about").unwrap();
    fs::write(drop.path().join("notes.txt"), b"to do").unwrap();
    fs::write(drop.path().join("model.bin"), b"x").unwrap();
    fs::write(drop.path().join(".DS_Store"), b"x").unwrap();
    symlink("/etc/passwd", drop.path().join("pos/passwd.txt")).unwrap();
    symlink("/etc", drop.path().join("etc")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        drop.path().join("neg/pipe.txt"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    drop.check(expect![[r#"
        neg/: text_folders utf-8 12 rows
        pos/: text_folders utf-8 12 rows
        text-classification: folders of texts hold one class each: classes are learnt
        neg: 11 1 0
        pos: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        quarantined neg/empty.txt None: empty text
        quarantined neg/image.txt None: is a PNG image, not text
        warning: etc is a symbolic link and was not followed
        warning: model.bin is no data that finetuned reads and was ignored
        warning: neg/pipe.txt is no ordinary file and was ignored
        warning: pos/passwd.txt is a symbolic link and was not followed
        warning: notes.txt lies in no class folder and was ignored
    "#]]);
}

#[test]
fn classes_in_splits_and_beside_them() {
    texts(&["train/neg", "train/pos", "other"], 3).check(expect![[r#"
        Data: train/neg/ lies in a split and other/ does not (put all classes into train, validation or test, or none of them)
    "#]]);
    texts(&["test/neg", "test/pos"], 3).check(expect![[r#"
        neg/: text_folders utf-8 3 rows
        pos/: text_folders utf-8 3 rows
        text-classification: folders of texts hold one class each: classes are learnt
        neg: 2 1 0
        pos: 2 1 0
        train 4 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    texts(&["."], 3).check(expect![[r#"
        Data: the drop's .txt files lie in no class folders (for classes put the texts of each into a folder named after it; texts without classes want task = "causal-language-modeling" or "masked-language-modeling" in a job.toml; conversations, and questions with answers, are written as JSON Lines; a table needs the extension .csv or .tsv)
    "#]]);
    texts(&["only"], 3).check(expect![[r#"
        Data: all 3 examples have the label `only` (a classifier needs two classes at least)
    "#]]);
}

/// Processor time of this thread in hundredths of a second: other work on the machine does not
/// count.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime, counted from the state behind the name.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn many_small_files_take_time_in_proportion() {
    let cost = |n| {
        let drop = texts(&["neg", "pos"], n);
        let start = ticks();
        assert_eq!(drop.load().unwrap().train.len(), 2 * n - 2 * n / 10);
        ticks() - start
    };
    let (few, many) = (cost(1_000), cost(8_000));
    // Eight times as many: quadratic behaviour would cost 64 times as much.
    assert!(many < 24 * (few + 2), "{few} ticks, then {many}");
}

#[test]
fn splits_without_classes_are_refused() {
    texts(&["train", "test"], 5).check(expect![[r#"
        Data: test/, train/ are splits and no class, and no folders of classes lie below (put the files of each class into a folder of its own, as in train/cat/, or name each file's label in a table)
    "#]]);
    texts(&["training_set"], 5).check(expect![[r#"
        Data: training_set/ is a split and no class, and no folders of classes lie below (put the files of each class into a folder of its own, as in train/cat/, or name each file's label in a table)
    "#]]);
    let drop = Drop::folder(&[]);
    for class in ["cat", "dog"] {
        for it in 0..2 {
            for split in ["train", "test1"] {
                fs::create_dir_all(drop.path().join(split)).unwrap();
                fs::write(drop.path().join(format!("{split}/{class}.{it}.txt")), "a text").unwrap();
            }
        }
    }
    drop.check(expect![[r#"
        Data: test1/, train/ are splits and no class, and no folders of classes lie below; names of files begin with cat, dog (if these are the classes, put the files of each into a folder of its own, as in train/cat/)
    "#]]);
}

#[test]
fn splits_of_other_names_and_in_other_places() {
    texts(
        &[
            "training_set/training_set/neg",
            "training_set/training_set/pos",
            "test_set/neg",
            "test_set/pos",
        ],
        6,
    )
    .check(expect![[r#"
        training_set/training_set/neg/: text_folders utf-8 6 rows train
        training_set/training_set/pos/: text_folders utf-8 6 rows train
        test_set/neg/: text_folders utf-8 6 rows test
        test_set/pos/: text_folders utf-8 6 rows test
        text-classification: folders of texts hold one class each: classes are learnt
        neg: 5 1 6
        pos: 5 1 6
        train 10 (file)
        validation 2 (stratified, seed 0)
        test 12 (file)
    "#]]);
    texts(&["neg/train", "pos/train", "neg/test", "pos/test"], 6).check(expect![[r#"
        neg/train/: text_folders utf-8 6 rows train
        pos/train/: text_folders utf-8 6 rows train
        neg/test/: text_folders utf-8 6 rows test
        pos/test/: text_folders utf-8 6 rows test
        text-classification: folders of texts hold one class each: classes are learnt
        neg: 5 1 6
        pos: 5 1 6
        train 10 (file)
        validation 2 (stratified, seed 0)
        test 12 (file)
    "#]]);
    // IMDB.
    texts(&["train/neg", "train/pos", "train/unsup", "test/neg", "test/pos"], 6).check(expect![[
        r#"
            train/neg/: text_folders utf-8 6 rows train
            train/pos/: text_folders utf-8 6 rows train
            test/neg/: text_folders utf-8 6 rows test
            test/pos/: text_folders utf-8 6 rows test
            text-classification: folders of texts hold one class each: classes are learnt
            neg: 5 1 6
            pos: 5 1 6
            train 10 (file)
            validation 2 (stratified, seed 0)
            test 12 (file)
            warning: train/unsup/ holds no labelled files by its name: 6 were left out
        "#
    ]]);
}

#[test]
fn parts_of_an_export_are_no_classes() {
    texts(&["images", "labels"], 5).check(expect![[r#"
        Data: images/, labels/ are no classes by name, and there are no other folders (put the files of each class into a folder named after it, or name each file's label in a table)
    "#]]);
}

#[test]
fn a_lone_text_of_a_class_stands_below_no_header() {
    let files = [("a/1.txt", "one"), ("a/2.txt", "two"), ("b/1.txt", "three")];
    let failure = Drop::folder(&files.map(|it| (it.0, it.1.as_bytes()))).load().unwrap_err();
    let failure = failure.to_string();
    assert!(failure.contains("`b` has one example only (b/1.txt)"), "{failure}");
    assert!(!failure.contains("header"), "{failure}");
}

#[test]
fn folders_called_by_when_their_files_came() {
    for folders in [["batch1", "batch2"], ["100CANON", "101CANON"], ["2024-01-03", "2024-01-04"]] {
        let drop = gallery(&folders, 10, &[]);
        let failure = drop.load().unwrap_err().to_string();
        assert!(failure.contains("say when or in which turn their files came"), "{failure}");
        let asked = drop.load_as("task = 'image-classification'", 0).unwrap();
        assert_eq!(asked.outputs, folders);
    }
    assert_eq!(gallery(&["batch1", "cat"], 10, &[]).load().unwrap().outputs, ["batch1", "cat"]);
}
