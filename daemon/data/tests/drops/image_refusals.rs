//! Every refusal of images, with the sentence that a user reads.

use crate::support::{Drop, gallery, image};
use expect_test::{Expect, expect};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;

#[track_caller]
fn check(drop: &Drop, expected: Expect) {
    drop.check(expected);
}

/// Where the recipe says that it is images.
#[track_caller]
fn check_as_images(drop: &Drop, expected: Expect) {
    drop.check_as("task = 'image-classification'", expected);
}

#[test]
fn nothing_to_learn() {
    check(
        &gallery(&["cat"], 5, &[]),
        expect![[r#"
        Data: all 5 examples have the label `cat` (a classifier needs two classes at least)
    "#]],
    );
    check(
        &gallery(&["cat", "dog"], 3, &[("bird/only one.png", &image(99))]),
        expect![[r#"
        Data: the class `bird` has one example only (bird/only one.png) (add examples of it or remove it; a class needs two at least)
    "#]],
    );
    check_as_images(
        &Drop::folder(&[]),
        expect![[r#"
        Data: the drop holds no images (it takes a folder of images for each class, a table of paths and labels beside the images, Parquet, or IDX)
    "#]],
    );
    check(
        &Drop::folder(&[("a.png", &image(0)), ("b.png", &image(1))]),
        expect![[r#"
        Data: the drop's images lie in no class folders (put the images of each class into a folder named after it, or add a metadata.csv with the columns file_name and label)
    "#]],
    );
    check_as_images(
        &Drop::folder(&[("a.csv", b"text,label\nx,1\n")]),
        expect![[r#"
        Data: a.csv has no column of images, or of paths to images (it takes a folder of images for each class, a table of paths and labels beside the images, Parquet, or IDX)
    "#]],
    );
    check_as_images(
        &Drop::folder(&[("neg/a.txt", b"x")]),
        expect![[r#"
        Data: the drop holds texts (neg/a.txt) and no images (it takes a folder of images for each class, a table of paths and labels beside the images, Parquet, or IDX)
    "#]],
    );
    check(
        &gallery(&["cat", "dog"], 2, &[("bird/a.png", b""), ("bird/b.png", b"")]),
        expect![[r#"
            Data: 2 of 6 examples can't be used, which is more than 10 %: 2 times not a usable image (first: bird/a.png: the file is empty) (mend or remove them, or name the right columns in the recipe)
        "#]],
    );
    // All broken but few enough.
    check(
        &gallery(&["cat", "dog"], 30, &[("bird/a.png", b""), ("bird/b.png", b"")]),
        expect![[r#"
        Data: the class `bird` has no example in train (add examples of it or remove it; a class needs two at least)
    "#]],
    );
    let same = "task = 'image-regression'";
    gallery(&["img"], 3, &[("a.csv", b"path,y\nimg/0.png,1\nimg/1.png,1\nimg/2.png,1\n")])
        .check_as(
            same,
            expect![[r#"
        Data: all 3 examples have the same numbers (there is nothing to learn)
    "#]],
        );
    gallery(&["cat", "dog"], 3, &[]).check_as(
        same,
        expect![[r#"
            Data: folders of images can't hold numbers (drop a table with columns of what is to be learnt)
        "#]],
    );
    gallery(&["cat", "dog"], 3, &[]).check_as("data.validation = 0.0", expect![[r#"
        Data: there is neither validation nor test to score the model by (set data.validation in the recipe to more than 0, or add validation data; equal images are never divided)
    "#]]);
}

#[test]
fn classes_that_can_not_be_known() {
    check(
        &gallery(&["cat", "cat/persian", "dog"], 3, &[]),
        expect![[r#"
            Data: cat/ holds images and the folder cat/persian/ with images, so the class can't be told (put each class into one folder directly below the drop or below its split, or name the labels in a metadata.csv)
        "#]],
    );
    check(
        &gallery(&["left/cat", "right/cat", "right/dog"], 3, &[]),
        expect![[r#"
            Data: left/cat/ and right/cat/ end in the same folder, so the class can't be told (put each class into one folder directly below the drop or below its split, or name the labels in a metadata.csv)
        "#]],
    );
    check(
        &gallery(&["cat/train", "cat/test", "dog/train", "dog/test"], 3, &[]),
        expect![[r#"
            cat/train/: image_folders - 3 rows train
            dog/train/: image_folders - 3 rows train
            cat/test/: image_folders - 3 rows test
            dog/test/: image_folders - 3 rows test
            image-classification: folders of images hold one class each: classes are learnt
            cat: 2 1 3
            dog: 2 1 3
            train 4 (file)
            validation 2 (stratified, seed 0)
            test 6 (file)
        "#]],
    );
    check(
        &gallery(&["train/cat", "train/dog", "bird"], 3, &[]),
        expect![[r#"
        Data: train/cat/ lies in a split and bird/ does not (put all classes into train, validation or test, or none of them)
    "#]],
    );
    check(
        &gallery(&["valid/cat", "valid/dog", "test/cat"], 3, &[]),
        expect![[r#"
        Data: valid/cat/ is there, but no train split (add the training data under a name with `train` in it)
    "#]],
    );
    check(
        &gallery(&["train/cat", "train/dog", "test/bird"], 3, &[]),
        expect![[r#"
        Data: test/bird/0.png: the class `bird` occurs in test but not in train (add examples of it to train, or remove it)
    "#]],
    );
}

#[test]
fn links_are_not_followed() {
    let drop = gallery(&["cat", "dog"], 4, &[]);
    fs::write(drop.run().join("outside.png"), image(50)).unwrap();
    symlink("../../outside.png", drop.path().join("cat/link.png")).unwrap();
    symlink("/", drop.path().join("bird")).unwrap();
    check(
        &drop,
        expect![[r#"
            cat/: image_folders - 4 rows
            dog/: image_folders - 4 rows
            image-classification: folders of images hold one class each: classes are learnt
            cat: 3 1 0
            dog: 3 1 0
            train 6 (stratified, seed 0)
            validation 2 (stratified, seed 0)
            warning: bird is a symbolic link and was not followed
            warning: cat/link.png is a symbolic link and was not followed
        "#]],
    );
    fs::write(
        drop.path().join("labels.csv"),
        "path,label\ncat/0.png,a\ncat/1.png,b\ncat/2.png,a\ndog/0.png,b\ncat/link.png,a\n",
    )
    .unwrap();
    check(
        &drop,
        expect![[r#"
            Data: 1 of 5 examples can't be used, which is more than 10 %: 1 times a symbolic link (first: labels.csv line 6: cat/link.png is a symbolic link and was not followed) (mend or remove them, or name the right columns in the recipe)
        "#]],
    );
}

#[test]
fn paths_that_lead_nowhere() {
    let mut table = String::from("path,label\n");
    for it in 0..80 {
        writeln!(table, "img/{it}.png,{}", it % 2).unwrap();
    }
    table += "../../outside.png,0\n/etc/passwd,0\nC:\\a.png,0\nimg/absent.png,1\nhttps://example.org/a.png,1\n,1\n7,1\nimg/../img/0.png,0\n";
    let drop = gallery(&["img", "more"], 80, &[("labels.csv", table.as_bytes())]);
    fs::write(drop.run().join("outside.png"), image(50)).unwrap();
    check(
        &drop,
        expect![[r#"
            labels.csv: csv utf-8 81 rows
            image-classification: `label` has 2 values that recur: classes are learnt
            `path` -> `label`
            0: 37 4 0
            1: 36 4 0
            train 73 (stratified, seed 0)
            validation 8 (stratified, seed 0)
            quarantined labels.csv Some(82): the path ../../outside.png leaves the drop
            quarantined labels.csv Some(83): /etc/passwd is an absolute path; paths begin at the table's folder
            quarantined labels.csv Some(84): C:\a.png is an absolute path; paths begin at the table's folder
            quarantined labels.csv Some(85): the drop has no file img/absent.png
            quarantined labels.csv Some(86): https://example.org/a.png is an address; files must lie in the drop
            quarantined labels.csv Some(87): no image
            quarantined labels.csv Some(88): the drop has several files called 7
            warning: images that no table names were ignored: 80 (first: more/0.png)
        "#]],
    );
    check(
        &Drop::file("a.csv", b"path,label\nx.jpg,1\ny.jpg,2\n"),
        expect![[r#"
            Data: 2 of 2 examples can't be used, which is more than 10 %: 2 times a path to no file (first: a.csv line 2: the drop has no file x.jpg) (mend or remove them, or name the right columns in the recipe)
        "#]],
    );
}

#[test]
fn columns_that_can_not_be_known() {
    let table = b"path,age,weight\nimg/0.png,1,2\nimg/1.png,3,4\nimg/2.png,5,6\n".as_slice();
    let drop = gallery(&["img"], 3, &[("a.csv", table)]);
    check(
        &drop,
        expect![[r#"
            Data: a.csv: what is to be learnt can't be told; besides `path` it has age, weight (name it in a job.toml in the drop: data.label = "age", or several as data.labels)
        "#]],
    );
    drop.check_as(
        "task = 'image-regression'",
        expect![[r#"
            Data: a.csv: what is to be learnt can't be told; besides `path` it has age, weight (name it in a job.toml in the drop: data.label = "age", or several as data.labels)
        "#]],
    );
    drop.check_as(
        "data.labels = ['wieght']",
        expect![[r#"
        Data: a.csv has no column `wieght`; its columns are path, age, weight
    "#]],
    );
    drop.check_as(
        "data.image = 'file'\ndata.labels = ['age']",
        expect![[r#"
        Data: a.csv has no column `file`; its columns are path, age, weight
    "#]],
    );
    drop.check_as(
        "data.labels = ['path']",
        expect![[r#"
        Data: a.csv: `path` can't be both image and label
    "#]],
    );
    drop.check_as(
        "data.labels = ['age', 'AGE']",
        expect![[r#"
        Data: the recipe names a target column twice
    "#]],
    );
    drop.check_as(
        "task = 'image-classification'\ndata.labels = ['age', 'weight']",
        expect![[r#"
            Data: a.csv: one class stands in one column, but several are named (task = "image-regression" would fit, or name other columns in the recipe)
        "#]],
    );
    drop.check_as(
        "task = 'image-multi-label-classification'\ndata.labels = ['age', 'weight']",
        expect![[r#"
            Data: a.csv line 3: `age` is `3`, neither 0 nor 1 (task = "image-regression" would fit, or name other columns in the recipe)
        "#]],
    );
    check(
        &gallery(&["img"], 3, &[("a.csv", b"path\nimg/0.png\nimg/1.png\n")]),
        expect![[r#"
            Data: a.csv has no column besides `path`, so no label (add a column `label`)
        "#]],
    );
    gallery(&["cat", "dog"], 3, &[]).check_as("task = 'image-multi-label-classification'", expect![[r#"
        Data: folders of images can't hold several labels to an example (drop a table with columns of what is to be learnt)
    "#]]);
}

#[test]
fn images_where_texts_are_wanted() {
    gallery(&["cat", "dog"], 3, &[]).check_as("task = 'text-classification'", expect![[r#"
        Data: the drop holds images (cat/0.png) and no texts (for images the recipe's task is image-classification)
    "#]]);
}

#[test]
fn boxes_in_a_table() {
    let rows = |again: usize| -> String {
        let row = |it| format!("{}.png,32,32,{},1,1,9,9\n", it / again, ["cat", "dog"][it % 2]);
        (0..20 * again).map(row).collect()
    };
    let table = |again| format!("filename,width,height,class,xmin,ymin,xmax,ymax\n{}", rows(again));
    let drop =
        |table: &str| gallery(&["train"], 20, &[("train/_annotations.csv", table.as_bytes())]);
    drop(&table(2)).check(expect![[r#"
        Data: the drop is a detection export (boxes in a table): _annotations.csv holds places in images, no class of a whole image (for a class of each whole image, put the images into a folder for each class, or name file and label in a metadata.csv)
    "#]]);
    // One box each, as of traffic signs, is what else is known of an image.
    let dataset = drop(&table(1)).load().unwrap();
    assert_eq!(dataset.outputs, ["cat", "dog"]);
    let warnings = dataset.report.warnings.join("\n");
    assert!(warnings.contains("has columns of a box in each image"), "{warnings}");
}
