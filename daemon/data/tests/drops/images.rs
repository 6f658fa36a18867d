//! Every way in which a data set of images may lie.

use crate::support::{Drop, gallery, image, names, reported, rows};
use expect_test::{Expect, expect};
use finetuned_answers::Target;
use finetuned_data::{At, Dataset, Example};
use finetuned_job::task::Modality;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;

/// Twelve images in `img/`, and a table.
#[track_caller]
fn check_table(name: &str, table: &str, recipe: &str, expected: Expect) {
    gallery(&["img"], 12, &[(name, table.as_bytes())]).check_as(recipe, expected);
}

fn lines(header: &str, line: impl Fn(usize) -> String) -> String {
    format!("{header}\n{}\n", (0..12).map(line).collect::<Vec<_>>().join("\n"))
}

fn all(dataset: &Dataset) -> Vec<&Example> {
    [&dataset.train, &dataset.validation, &dataset.test].into_iter().flatten().collect()
}

#[test]
fn folders_are_classes_and_names_may_be_odd() {
    let drop = gallery(
        &["cat", "it's \"a\" dog \u{1f415}\n(big)"],
        10,
        &[
            (".DS_Store", b"x"),
            ("Thumbs.db", b"x"),
            ("desktop.ini", b"x"),
            ("README.md", b"about"),
            ("__MACOSX/cat/._0.png", b"x"),
            ("cat/.hidden.png", b"x"),
            ("cat/Thumbs.db", b"x"),
            ("cat/UPPER.PNG", &image(77)),
            ("cat/license 1\n.Png", &image(78)),
        ],
    );
    drop.check(expect![[r#"
        cat/: image_folders - 12 rows
        it's "a" dog 🐕
        (big)/: image_folders - 10 rows
        image-classification: folders of images hold one class each: classes are learnt
        cat: 11 1 0
        it's "a" dog 🐕
        (big): 9 1 0
        train 20 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    let dataset = drop.load().unwrap();
    assert_eq!(dataset.outputs, ["cat", "it's \"a\" dog \u{1f415}\n(big)"]);
    let odd = all(&dataset)
        .into_iter()
        .find(|it| dataset.origins.of(it) == "cat/license 1\n.Png")
        .unwrap();
    assert_eq!(
        (&odd.target, dataset.images.as_ref().unwrap().bytes(odd).unwrap()),
        (&Target::of_classes([0]), image(78))
    );
    assert_eq!(drop.modality(), Modality::Image);
}

#[test]
fn folders_below_splits_and_below_other_folders() {
    gallery(&["train/cat", "train/dog", "valid/cat", "valid/dog", "Test/cat", "Test/dog"], 4, &[])
        .check(expect![[r#"
            train/cat/: image_folders - 4 rows train
            train/dog/: image_folders - 4 rows train
            valid/cat/: image_folders - 4 rows validation
            valid/dog/: image_folders - 4 rows validation
            Test/cat/: image_folders - 4 rows test
            Test/dog/: image_folders - 4 rows test
            image-classification: folders of images hold one class each: classes are learnt
            cat: 4 4 4
            dog: 4 4 4
            train 8 (file)
            validation 8 (file)
            test 8 (file)
        "#]]);
    gallery(&["animals/pets/cat", "animals/wild/wolf"], 4, &[]).check(expect![[r#"
        pets/cat/: image_folders - 4 rows
        wild/wolf/: image_folders - 4 rows
        image-classification: folders of images hold one class each: classes are learnt
        cat: 3 1 0
        wolf: 3 1 0
        train 6 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
}

#[test]
fn metadata_as_imagefolder_has_it() {
    let metadata = |folder: usize| {
        let line = |it: usize| {
            format!(
                "{{\"file_name\": \"{it}.png\", \"label\": \"{}\", \"note\": {folder}}}\n",
                ["cat", "dog"][it % 2]
            )
        };
        (0..4).map(line).collect::<String>().into_bytes()
    };
    let drop = gallery(
        &["train", "test"],
        4,
        &[("train/metadata.jsonl", &metadata(0)), ("test/metadata.jsonl", &metadata(1))],
    );
    drop.check(expect![[r#"
        train/metadata.jsonl: json_lines utf-8 4 rows train
        test/metadata.jsonl: json_lines utf-8 4 rows test
        image-classification: `label` has 2 values that recur: classes are learnt
        `file_name` -> `label`
        cat: 1 1 2
        dog: 1 1 2
        train 2 (file)
        validation 2 (stratified, seed 0)
        test 4 (file)
        warning: columns not used: note
    "#]]);
    assert_eq!(drop.modality(), Modality::Image);
    // One table above the splits: each image lies in its own.
    let line = |it: usize| {
        format!("{}/{}.png,{}", ["train", "test"][it / 6], it % 6, ["cat", "dog"][it % 2])
    };
    let table = lines("file_name,label", line);
    gallery(&["train", "test"], 6, &[("metadata.csv", table.as_bytes())]).check(expect![[r#"
        metadata.csv: csv utf-8 12 rows
        image-classification: `label` has 2 values that recur: classes are learnt
        `file_name` -> `label`
        cat: 2 1 3
        dog: 2 1 3
        train 4 (file)
        validation 2 (stratified, seed 0)
        test 6 (file)
    "#]]);
}

#[test]
fn tables_of_paths() {
    let class = |it: usize| ["cat", "dog"][it % 2];
    check_table(
        "labels.csv",
        &lines("path,label", |it| format!("img/{it}.png,{}", class(it))),
        "",
        expect![[r#"
            labels.csv: csv utf-8 12 rows
            image-classification: `label` has 2 values that recur: classes are learnt
            `path` -> `label`
            cat: 5 1 0
            dog: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
    check_table(
        "tables/labels.tsv",
        &lines("breed\tfile", |it| format!("{}\t./../img/{it}.png", class(it))),
        "",
        expect![[r#"
            tables/labels.tsv: tsv utf-8 12 rows
            image-classification: `breed` has 2 values that recur: classes are learnt
            `file` -> `breed`
            cat: 5 1 0
            dog: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
    // Windows paths; a column of splits.
    let split = |it: usize| ["train", "train", "val"][it / 2 % 3];
    check_table(
        "labels.csv",
        &lines("image,label,split", |it| format!("img\\{it}.png,{},{}", class(it), split(it))),
        "",
        expect![[r#"
            labels.csv: csv utf-8 12 rows
            image-classification: `label` has 2 values that recur: classes are learnt
            `image` -> `label`
            cat: 4 2 0
            dog: 4 2 0
            train 8 (file)
            validation 4 (file)
        "#]],
    );
    // Names without extensions, as in Kaggle's tables.
    check_table(
        "train.csv",
        &lines("id,breed", |it| format!("{it},{}", class(it))),
        "",
        expect![[r#"
            train.csv: csv utf-8 12 rows
            image-classification: `breed` has 2 values that recur: classes are learnt
            `id` -> `breed`
            cat: 5 1 0
            dog: 5 1 0
            train 10 (stratified, seed 0)
            validation 2 (stratified, seed 0)
        "#]],
    );
}

#[test]
fn several_labels_to_an_image() {
    let multi = "task = 'image-multi-label-classification'";
    let tags = |it: usize| {
        [vec!["haze", "old town"], vec!["sea"], vec![], vec!["sea", "haze"]][it % 4].clone()
    };
    // What a `|` means needs no word in the recipe.
    check_table(
        "labels.csv",
        &lines("path,tags", |it| format!("img/{it}.png,{}", tags(it).join("|"))),
        "",
        expect![[r#"
            labels.csv: csv utf-8 12 rows
            image-multi-label-classification: `tags` holds labels divided by |: several labels are learnt
            `path` -> `tags`
            haze: 6 0 0
            old town: 3 0 0
            sea: 6 0 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: validation has no examples of haze, old town, sea: their scores say nothing
        "#]],
    );
    let joined = |separator: &str| {
        let table = lines("path\ttags", |it| format!("img/{it}.png\t{}", tags(it).join(separator)));
        let drop = gallery(&["img"], 12, &[("labels.tsv", table.as_bytes())]);
        let dataset = drop.load_as(multi, 0).unwrap();
        all(&dataset)
            .iter()
            .map(|it| (dataset.origins.of(it), it.target.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(joined("; "), joined(", "));
    assert_eq!(joined(";"), joined("|"));
    let spaced = lines("path,tags", |it| {
        format!("img/{it}.png,{}", ["haze sea", "sea", "", "road"][it % 4])
    });
    check_table(
        "labels.csv",
        &spaced,
        multi,
        expect![[r#"
            labels.csv: csv utf-8 12 rows
            image-multi-label-classification: the recipe says so
            `path` -> `tags`
            haze: 3 0 0
            road: 3 0 0
            sea: 6 0 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: validation has no examples of haze, road, sea: their scores say nothing
        "#]],
    );
    let listed: String = (0..12)
        .map(|it| format!("{{\"image\": \"img/{it}.png\", \"labels\": {:?}}}\n", tags(it)))
        .collect();
    check_table(
        "labels.jsonl",
        &listed,
        "",
        expect![[r#"
            labels.jsonl: json_lines utf-8 12 rows
            image-multi-label-classification: `labels` holds lists: several labels are learnt
            `image` -> `labels`
            haze: 6 0 0
            old town: 3 0 0
            sea: 6 0 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: validation has no examples of haze, old town, sea: their scores say nothing
        "#]],
    );
    let flags =
        lines("path,sea,haze,never", |it| format!("img/{it}.png,{},{},0", it % 2, it % 3 % 2));
    check_table(
        "labels.csv",
        &flags,
        "",
        expect![[r#"
            labels.csv: csv utf-8 12 rows
            image-multi-label-classification: 3 columns of 0 and 1: several labels are learnt
            `path` -> `sea`, `haze`, `never`
            haze: 4 0 0
            never: 0 0 0
            sea: 6 0 0
            train 11 (stratified by label, seed 0)
            validation 1 (stratified by label, seed 0)
            warning: validation has no examples of haze, never, sea: their scores say nothing
            warning: train has no examples of never: the model can't learn them
        "#]],
    );
}

#[test]
fn numbers_to_learn() {
    let regression = "task = 'image-regression'\ndata.labels = ['x', 'y']\n";
    let table = lines("path,x,y", |it| format!("img/{it}.png,{it},{}", 0.5 * it as f64 - 1.0));
    let drop = gallery(&["img"], 12, &[("labels.csv", table.as_bytes())]);
    drop.check_as(
        regression,
        expect![[r#"
            labels.csv: csv utf-8 12 rows
            image-regression: the recipe says so
            `path` -> `x`, `y`
            x: 0 to 11, mean 5.273
            y: -1 to 4.5, mean 1.636
            train 11 (random, seed 0)
            validation 1 (random, seed 0)
        "#]],
    );
    let dataset =
        drop.load_as(&format!("{regression}data.validation = 0.0\ndata.test = 0.3"), 0).unwrap();
    let seven = all(&dataset).into_iter().find(|it| dataset.origins.of(it) == "img/7.png").unwrap();
    assert_eq!(seven.target, Target::of_numbers([7.0, 2.5]));
    // One column of fractions needs no word in the recipe; whole numbers may be classes.
    check_table(
        "labels.csv",
        &lines("path,label", |it| format!("img/{it}.png,{}.5", it % 3)),
        "",
        expect![[r#"
            labels.csv: csv utf-8 12 rows
            image-regression: `label` is a column of fractions: numbers are learnt
            `path` -> `label`
            label: 0.5 to 2.5, mean 1.409
            train 11 (random, seed 0)
            validation 1 (random, seed 0)
        "#]],
    );
    check_table(
        "labels.csv",
        &lines("path,label", |it| format!("img/{it}.png,{}", it % 3)),
        "",
        expect![[r#"
            labels.csv: csv utf-8 12 rows
            image-classification: `label` has 3 values that recur: classes are learnt
            `path` -> `label`
            0: 3 1 0
            1: 3 1 0
            2: 3 1 0
            train 9 (stratified, seed 0)
            validation 3 (stratified, seed 0)
        "#]],
    );
    let numbers = dataset.report.images.unwrap().numbers;
    let train: Vec<f64> = dataset.train.iter().map(|it| it.target.numbers()[0]).collect();
    let mean = train.iter().sum::<f64>() / train.len() as f64;
    assert_eq!((numbers[0].column.as_str(), numbers[0].mean), ("x", mean));
}

#[test]
fn numbers_that_are_missing() {
    let regression = "task = 'image-regression'\ndata.labels = ['x']";
    let mut table = String::from("path,x\n");
    for it in 0..60 {
        table += &format!("img/{it}.png,{}\n", ["1.5", "2", "-3e2"][it % 3]);
    }
    table += "img/0.png,\nimg/1.png,NaN\nimg/2.png,inf\nimg/3.png,tall\n";
    let drop = gallery(&["img"], 60, &[("labels.csv", table.as_bytes())]);
    drop.check_as(
        regression,
        expect![[r#"
            labels.csv: csv utf-8 60 rows
            image-regression: the recipe says so
            `path` -> `x`
            x: -300 to 2, mean -82.074
            train 54 (random, seed 0)
            validation 6 (random, seed 0)
            quarantined labels.csv Some(62): `x` has no number
            quarantined labels.csv Some(63): `x` has no number
            quarantined labels.csv Some(64): `x` is `inf`, which is no number
            quarantined labels.csv Some(65): `x` is `tall`, which is no number
        "#]],
    );
}

#[test]
fn parquet_as_datasets_writes_it() {
    let drop = Drop::file("train.parquet", include_bytes!("../data/images.parquet"));
    drop.check(expect![[r#"
        train.parquet: parquet - 12 rows
        image-classification: `label` has 2 values that recur: classes are learnt
        `image` -> `label`
        cat: 5 1 0
        dog: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    assert_eq!(drop.modality(), Modality::Image);
    let dataset = drop.load().unwrap();
    let first = &dataset.train[0];
    assert!(matches!(first.record.image, Some(At::Part { .. })));
    assert!(dataset.images.as_ref().unwrap().bytes(first).unwrap().starts_with(b"\x89PNG"));
    Drop::file("binary.parquet", include_bytes!("../data/binary.parquet")).check(expect![[r#"
        binary.parquet: parquet - 12 rows
        image-regression: `age` is a column of fractions: numbers are learnt
        `picture` -> `age`
        age: 0 to 16.5, mean 7.909
        train 11 (random, seed 0)
        validation 1 (random, seed 0)
    "#]]);
    Drop::file("tags.parquet", include_bytes!("../data/tags.parquet")).check(expect![[r#"
        tags.parquet: parquet - 12 rows
        image-multi-label-classification: `labels` holds lists: several labels are learnt
        `image` -> `labels`
        sea: 7 1 0
        sky: 2 0 0
        town: 6 1 0
        train 11 (stratified by label, seed 0)
        validation 1 (stratified by label, seed 0)
        warning: validation has no examples of sky: their scores say nothing
    "#]]);
}

/// Magic, sizes, content.
fn idx(sizes: &[u32], content: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|it| it.to_be_bytes()).collect();
    [&[0, 0, 8, (sizes.len() / 4) as u8], &sizes[..], content].concat()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

#[test]
fn idx_as_mnist_has_it() {
    let pixels = |from: u32, n: u32| {
        (from..from + n)
            .flat_map(|it| (0..12_u32).map(move |pixel| ((it * 12 + pixel) * 37 % 251) as u8))
            .collect::<Vec<_>>()
    };
    let labels = |n: u8| (0..n).map(|it| it % 2 + 3).collect::<Vec<_>>();
    let (images, digits) = (gz(&idx(&[8, 3, 4], &pixels(0, 8))), gz(&idx(&[8], &labels(8))));
    let (test_images, test_digits) = (idx(&[4, 3, 4], &pixels(8, 4)), idx(&[4], &labels(4)));
    let drop = Drop::folder(&[
        ("train-images-idx3-ubyte.gz", &images),
        ("train-labels-idx1-ubyte.gz", &digits),
        ("t10k-images-idx3-ubyte", &test_images),
        ("t10k-labels-idx1-ubyte", &test_digits),
    ]);
    drop.check(expect![[r#"
        t10k-images-idx3-ubyte: idx - 4 rows test
        train-images-idx3-ubyte.gz: idx - 8 rows train
        image-classification: IDX files hold one class each: classes are learnt
        3: 3 1 2
        4: 3 1 2
        train 6 (file)
        validation 2 (stratified, seed 0)
        test 4 (file)
    "#]]);
    let dataset = drop.load().unwrap();
    let third = all(&dataset)
        .into_iter()
        .find(|it| dataset.origins.of(it) == "train-images-idx3-ubyte.gz line 3")
        .unwrap();
    let (facts, decoded) =
        finetuned_images::decode(&dataset.images.as_ref().unwrap().bytes(third).unwrap()).unwrap();
    assert_eq!((facts.width, facts.height, third.target.clone()), (4, 3, Target::of_classes([0])));
    assert_eq!(decoded.data().iter().copied().step_by(3).collect::<Vec<_>>(), pixels(2, 1));
    Drop::folder(&[
        ("images-idx3-ubyte", &idx(&[4, 3, 4], &pixels(0, 4))),
        ("labels-idx1-ubyte", &idx(&[3], &labels(3))),
    ])
    .check(expect![[r#"
            Data: labels-idx1-ubyte holds 3 labels, but images-idx3-ubyte holds 4 images
        "#]]);
    Drop::folder(&[
        ("images-idx3-ubyte", &idx(&[4, 3, 4], &pixels(0, 3))),
        ("labels-idx1-ubyte", &idx(&[4], &labels(4))),
    ])
    .check(expect![[r#"
            Data: images-idx3-ubyte is cut off: it ends in the middle (copy it again)
        "#]]);
    Drop::folder(&[("images-idx3-ubyte", &idx(&[4, 0, 4], b""))]).check(expect![[r#"
        Data: images-idx3-ubyte holds 4 x 0 x 4, which are no images
    "#]]);
    Drop::folder(&[("images-idx3-ubyte", &idx(&[4, 3, 4], &pixels(0, 4)))]).check(expect![[r#"
        Data: images-idx3-ubyte has no file of labels beside it (name the two alike, as train-images-idx3-ubyte and train-labels-idx1-ubyte)
    "#]],
    );
}

#[test]
fn an_archive_of_folders() {
    let drop = gallery(&["set/cat", "set/dog"], 5, &[]);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", drop.path()).unwrap();
    let archive = Drop::file("pets.tar.gz", &gz(&tar.into_inner().unwrap()));
    assert_eq!(reported(archive.load()), reported(drop.load()));
    let dataset = archive.load().unwrap();
    assert_eq!(
        dataset.images.as_ref().unwrap().bytes(&dataset.train[0]).unwrap().len(),
        image(0).len()
    );
    assert!(names(&archive.staging()).iter().any(|it| it.starts_with("unpacked-")));
}

#[test]
fn texts_are_not_taken_for_images() {
    let of = |drop: Drop| drop.modality();
    let csv = rows("text,label\n", 10);
    assert_eq!(of(Drop::file("a.csv", &csv)), Modality::Text);
    assert_eq!(of(gallery(&["figures"], 3, &[("a.csv", &csv)])), Modality::Text);
    assert_eq!(of(Drop::folder(&[("neg/a.txt", b"x"), ("pos/b.txt", b"y")])), Modality::Text);
    assert_eq!(of(Drop::folder(&[])), Modality::Text);
    assert_eq!(of(Drop::file("a.csv", b"path,label\nx.jpg,1\ny.jpg,2\n")), Modality::Image);
}

#[test]
fn the_split_and_the_hash_depend_on_seed_and_data_alone() {
    let drop = gallery(&["cat", "dog"], 20, &[]);
    let load = |seed| drop.load_as("data.validation = 0.2\ndata.test = 0.1", seed).unwrap();
    let (a, b, c) = (load(3), load(3), load(4));
    assert_eq!((a.train.len(), a.validation.len(), a.test.len()), (28, 8, 4));
    assert_eq!((&a.train, &a.report.content_hash), (&b.train, &b.report.content_hash));
    assert_ne!((&a.train, &a.report.content_hash), (&c.train, &c.report.content_hash));
    fs::write(drop.path().join("cat/0.png"), image(5000)).unwrap();
    assert_ne!(a.report.content_hash, load(3).report.content_hash);
}

#[test]
fn paths_of_the_machine_where_a_table_was_made() {
    let csv = |path: &dyn Fn(usize) -> String| {
        lines("path,label", |it| format!("{},{}", path(it), it % 2))
    };
    let windows = csv(&|it| format!(r"C:\Users\Ann\set\pics\{it}.png"));
    for (folder, table) in [
        ("pics", windows),
        ("pics", csv(&|it| format!("/content/drive/set/pics/{it}.png"))),
        ("images", csv(&|it| format!("/kaggle/input/other/{it}.png"))),
        ("deep/images/a", csv(&|it| format!("a/{it}.png"))),
    ] {
        let drop = gallery(&[folder], 12, &[("labels.csv", table.as_bytes())]);
        let report = reported(drop.load());
        assert!(report.contains("labels.csv: csv utf-8 12 rows"), "{folder}: {report}");
        assert!(report.contains("taken for it: 12"), "{folder}: {report}");
    }
    // Another folder may hold other images of the same names.
    let elsewhere = csv(&|it| format!("/data/dogs/{it}.png"));
    let drop = gallery(&["cats"], 12, &[("labels.csv", elsewhere.as_bytes())]);
    assert!(reported(drop.load()).contains("12 times an absolute path"));
}

#[test]
fn a_table_of_a_split_names_images_of_its_folder() {
    let csv = lines("image_id,breed", |it| format!("{it},{}", ["pug", "husky"][it % 2]));
    gallery(&["train", "test"], 12, &[("train.csv", csv.as_bytes())]).check(expect![[r#"
        train.csv: csv utf-8 12 rows
        image-classification: `breed` has 2 values that recur: classes are learnt
        `image_id` -> `breed`
        husky: 5 1 0
        pug: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: images that no table names were ignored: 12 (first: test/0.png)
    "#]]);
}

#[test]
fn masks_beside_images_are_no_examples() {
    let drop = gallery(&["benign", "malignant"], 6, &[]);
    for folder in ["benign", "malignant"] {
        for it in 0..6 {
            let path = drop.path().join(format!("{folder}/{it}_mask.png"));
            fs::write(path, image(500 + it)).unwrap();
        }
    }
    drop.check(expect![[r#"
        benign/: image_folders - 6 rows
        malignant/: image_folders - 6 rows
        image-classification: folders of images hold one class each: classes are learnt
        benign: 5 1 0
        malignant: 5 1 0
        train 10 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: images that are masks of others by their names were left out: 12 (first: benign/0_mask.png)
    "#]]);
}

#[test]
fn a_table_beside_images_is_what_its_content_says() {
    let rows: String = (0..20).map(|it| format!("{it}.png,{}\n", it % 2)).collect();
    let text = format!("file_name,label\n{rows}");
    let drop = gallery(&["images"], 20, &[("labels.xlsx", text.as_bytes())]);
    assert_eq!(drop.load().unwrap().report.files[0].rows, 20);
}

#[test]
fn columns_of_images_are_called_in_words_too() {
    let rows: String = (0..20).map(|it| format!("thumb{it}.png,{it}.png,{}\n", it % 2)).collect();
    let text = format!("Thumb,Image Path,label\n{rows}");
    let drop = gallery(&["images"], 20, &[("labels.csv", text.as_bytes())]);
    assert_eq!(drop.load().unwrap().report.input_columns, ["Image Path"]);
}

#[test]
fn changed_copies_of_images_are_named() {
    let files: Vec<(String, Vec<u8>)> = (0..24)
        .flat_map(|it| {
            let name = format!("{}/{it}", ["cat", "dog"][it as usize % 2]);
            [(format!("{name}.png"), image(it)), (format!("{name}_aug_1.png"), image(100 + it))]
        })
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|it| (&*it.0, &*it.1)).collect();
    let warnings = Drop::folder(&files).load().unwrap().report.warnings.join("\n");
    assert!(
        warnings.contains("changed copies of others: 24 (first: cat/0_aug_1.png)"),
        "{warnings}"
    );
}

#[test]
fn zeros_that_a_spreadsheet_took_away() {
    let images: Vec<(String, Vec<u8>)> =
        (0..20).map(|it| (format!("images/{it:05}.png"), image(it))).collect();
    let rows: String = (0..20).map(|it| format!("{},{it}\n", it % 2)).collect();
    let table = format!("label,nr\n{rows}");
    let mut files: Vec<(&str, &[u8])> = images.iter().map(|it| (&*it.0, &*it.1)).collect();
    files.push(("labels.csv", table.as_bytes()));
    let dataset = Drop::folder(&files).load().unwrap();
    assert_eq!((&*dataset.report.input_columns[0], dataset.outputs.len()), ("nr", 2));
    assert!(dataset.report.warnings.iter().any(|it| it.contains("zeros before a number")));
}

#[test]
fn no_column_of_images_is_taken_for_standing_first() {
    let rows: String = (0..20).map(|it| format!("{it}.png,{}.png,{}\n", 19 - it, it % 2)).collect();
    let text = format!("before,after,label\n{rows}");
    let drop = gallery(&["images"], 20, &[("labels.csv", text.as_bytes())]);
    let failure = drop.load().unwrap_err().to_string();
    assert!(failure.contains("`before` and `after` name images"), "{failure}");
    let dataset = drop.load_as("data.image = 'after'", 0).unwrap();
    assert_eq!(dataset.report.input_columns, ["after"]);
}
