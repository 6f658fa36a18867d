//! Images whose names do not say that they are images, and files beside them that are none.

use crate::support::{Drop, gallery, image};
use expect_test::expect;
use finetuned_data::inputs;
use finetuned_job::task::Modality;

/// Begins as TIFFs do.
const RAW: &[u8] = b"II*\0\x08\0\0\0 a thumbnail";

#[test]
fn first_bytes_are_asked_where_the_name_says_nothing() {
    let (names, images): (Vec<String>, Vec<Vec<u8>>) = (0..24)
        .map(|it| {
            let folder = ["cat", "dog"][it % 2];
            let name = [
                format!("{it:04}"),
                format!("img_{it}"),
                format!("{it}.jpg_large"),
                format!("2024.05.{it}"),
            ][it / 2 % 4]
                .clone();
            (format!("{folder}/{name}"), image(it as u64))
        })
        .unzip();
    let half = &image(100)[..40];
    let mut files: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(images.iter().map(Vec::as_slice)).collect();
    files.extend([
        ("README", &b"about"[..]),
        ("cat/LICENSE", b"free"),
        ("Makefile", b"all:\n"),
        ("cat/notes", b"BM, as Bitmaps begin\n"),
        ("dog/empty", b""),
        ("dog/model.bin", b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("cat/a.NEF", RAW),
        ("cat/copy.tmp", half),
        ("cat/b.png.part", half),
    ]);
    let drop = Drop::folder(&files);
    drop.check(expect![[r#"
        cat/: image_folders - 12 rows
        dog/: image_folders - 12 rows
        image-classification: folders of images hold one class each: classes are learnt
        cat: 11 1 0
        dog: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: Makefile is no data that finetuned reads and was ignored
        warning: cat/a.NEF is no data that finetuned reads and was ignored
        warning: cat/b.png.part is no data that finetuned reads and was ignored
        warning: cat/copy.tmp is no data that finetuned reads and was ignored
        warning: dog/model.bin is no data that finetuned reads and was ignored
        warning: cat/notes is no data that finetuned reads and was ignored
        warning: dog/empty is no data that finetuned reads and was ignored
    "#]]);
    assert_eq!(drop.modality(), Modality::Image);
    let folder = drop.path().join("dog").to_string_lossy().into_owned();
    let inputs = inputs(Modality::Image, &[folder], &[]).unwrap();
    assert_eq!(inputs.len(), 12);
    assert!(inputs[0].origin.ends_with("/dog/0001"), "{}", inputs[0].origin);
}

#[test]
fn what_begins_like_an_image_and_ends_too_early_is_put_aside() {
    let drop = gallery(&["cat", "dog"], 20, &[("cat/0017", &image(100)[..60])]);
    drop.check(expect![[r#"
        cat/: image_folders - 20 rows
        dog/: image_folders - 20 rows
        image-classification: folders of images hold one class each: classes are learnt
        cat: 18 2 0
        dog: 18 2 0
        train 36 (stratified, seed 0)
        validation 4 (stratified, seed 0)
        quarantined cat/0017 None: the PNG ends too early; copy the file again
    "#]]);
}

#[test]
fn tables_may_leave_extensions_away() {
    let images: Vec<(String, Vec<u8>)> = (0..12)
        .map(|it| (format!("img/{it:02}{}", ["", ".png", ".jpg_large"][it % 3]), image(it as u64)))
        .collect();
    let table: String =
        (0..12).map(|it| format!("img/{it:02},{}\n", ["cat", "dog"][it % 2])).collect();
    let table = format!("path,label\n{table}");
    let mut files: Vec<(&str, &[u8])> =
        images.iter().map(|it| (it.0.as_str(), it.1.as_slice())).collect();
    files.push(("labels.csv", table.as_bytes()));
    Drop::folder(&files).check(expect![[r#"
        labels.csv: csv utf-8 12 rows
        image-classification: `label` has 2 values that recur: classes are learnt
        `path` -> `label`
        cat: 5 1 0
        dog: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    // The file's very name is meant before any other; without one, two are too many.
    let (other, more) = (image(50), image(51));
    files.extend([("img/05", &other[..]), ("img/04.tif", &more[..])]);
    Drop::folder(&files).check(expect![[r#"
        labels.csv: csv utf-8 11 rows
        image-classification: `label` has 2 values that recur: classes are learnt
        `path` -> `label`
        cat: 4 1 0
        dog: 5 1 0
        train 9 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        quarantined labels.csv Some(6): the drop has several files called img/04
        warning: images that no table names were ignored: 3 (first: img/04.png)
    "#]]);
}

#[test]
fn texts_without_extension_are_no_images() {
    let drop = Drop::folder(&[("neg/0001", b"bad"), ("pos/0002", b"good")]);
    assert_eq!(drop.modality(), Modality::Text);
    drop.check_as("task = 'image-classification'", expect![[r#"
        Data: the drop holds texts (neg/0001) and no images (it takes a folder of images for each class, a table of paths and labels beside the images, Parquet, or IDX)
    "#]]);
}

#[test]
fn texts_without_extension_below_splits() {
    let names: Vec<String> = ["train", "test"]
        .iter()
        .flat_map(|split| (0..24).map(move |it| (split, it)))
        .map(|(split, it)| {
            format!("20news-bydate-{split}/{}/{it}", ["alt.atheism", "sci.space"][it % 2])
        })
        .collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|it| (&**it, it.as_bytes())).collect();
    Drop::folder(&files).check(expect![[r#"
        20news-bydate-train/alt.atheism/: text_folders utf-8 12 rows train
        20news-bydate-train/sci.space/: text_folders utf-8 12 rows train
        20news-bydate-test/alt.atheism/: text_folders utf-8 12 rows test
        20news-bydate-test/sci.space/: text_folders utf-8 12 rows test
        text-classification: folders of texts hold one class each: classes are learnt
        alt.atheism: 11 1 12
        sci.space: 11 1 12
        train 22 (file)
        validation 2 (stratified, seed 0)
        test 24 (file)
    "#]]);
}
