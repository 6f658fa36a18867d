//! Lists that published sets of images bring: which images are train and which test.

use crate::support::{Drop, folder, image};
use expect_test::{Expect, expect};

const BIRDS: [&str; 2] = ["001.Albatross", "002.Auk"];

/// Images by these names, and files beside them.
#[track_caller]
fn check(names: &[String], beside: &[(&str, String)], expected: Expect) {
    drop_of(names, beside).check(expected);
}

fn drop_of(names: &[String], beside: &[(&str, String)]) -> Drop {
    let images = names.iter().zip(0..).map(|(name, it)| (name.clone(), image(it)));
    let beside = beside.iter().map(|(name, text)| (name.to_string(), text.clone().into_bytes()));
    folder(&images.chain(beside).collect::<Vec<_>>())
}

fn lines(of: impl Iterator<Item = String>) -> String {
    of.map(|it| it + "\n").collect()
}

/// `bird/0.jpg`
fn birds(place: &str) -> Vec<String> {
    (0..24).map(|it| format!("{place}{}/{it}.jpg", BIRDS[it % 2])).collect()
}

fn cub(class: impl Fn(usize) -> usize) -> [(&'static str, String); 5] {
    let numbered = |what: &dyn Fn(usize) -> String| {
        lines((0..24).map(|it| format!("{} {}", it + 1, what(it))))
    };
    [
        ("images.txt", numbered(&|it| birds("")[it].clone())),
        ("image_class_labels.txt", numbered(&|it| class(it).to_string())),
        ("train_test_split.txt", numbered(&|it| usize::from(it < 16).to_string())),
        ("classes.txt", "1 001.Albatross\n2 002.Auk\n".into()),
        ("bounding_boxes.txt", numbered(&|_| "60.0 27.0 325.0 304.0".into())),
    ]
}

#[test]
fn numbers_of_images() {
    check(
        &birds("images/"),
        &cub(|it| it % 2 + 1),
        expect![[r#"
        001.Albatross/: image_folders - 8 rows train
        002.Auk/: image_folders - 8 rows train
        001.Albatross/: image_folders - 4 rows test
        002.Auk/: image_folders - 4 rows test
        image-classification: folders of images hold one class each: classes are learnt
        001.Albatross: 7 1 4
        002.Auk: 7 1 4
        train 14 (file)
        validation 2 (stratified, seed 0)
        test 8 (file)
        warning: train_test_split.txt divides the images: 1 is train, 0 is test
    "#]],
    );
    // One class is called otherwise than its folder.
    check(
        &birds("images/"),
        &cub(|it| it % 3 + 1),
        expect![[r#"
            Data: train_test_split.txt divides the images into other classes than folders of images do (write the images with the classes that are meant into a metadata.csv with the columns file_name, label and split, in place of the lists)
        "#]],
    );
    // Which image has a number is not said.
    check(
        &birds("images/"),
        &cub(|it| it % 2 + 1)[1..],
        expect![[r#"
            Data: train_test_split.txt is called as a list of images that are train or test, and can't be read as one: images would be divided by chance that are divided already (write the names of the images, one a line, into train.txt and test.txt, or put the images into train/ and test/; where it divides nothing, take it out of the drop)
        "#]],
    );
}

#[test]
fn a_list_for_each_split() {
    let bare = |from: usize, to: usize| {
        let name = |it: usize| birds("")[it].trim_end_matches(".jpg").to_string();
        lines((from..to).map(name))
    };
    let json = format!("{{\"001.Albatross\": {:?}}}", bare(16, 24).lines().collect::<Vec<_>>());
    let food = [
        ("meta/train.txt", bare(0, 16)),
        ("meta/test.txt", bare(16, 24)),
        ("meta/classes.txt", BIRDS.join("\n")),
        ("meta/test.json", json.clone()),
    ];
    check(
        &birds("images/"),
        &food,
        expect![[r#"
            001.Albatross/: image_folders - 8 rows train
            002.Auk/: image_folders - 8 rows train
            001.Albatross/: image_folders - 4 rows test
            002.Auk/: image_folders - 4 rows test
            image-classification: folders of images hold one class each: classes are learnt
            001.Albatross: 7 1 4
            002.Auk: 7 1 4
            train 14 (file)
            validation 2 (stratified, seed 0)
            test 8 (file)
            warning: meta/test.json names no images and was ignored
            warning: meta/test.txt says which images are test
            warning: meta/train.txt says which images are train
        "#]],
    );
    // Of some images nothing is said, and some names are of no image.
    let less = [("TrainImages.txt", bare(0, 12) + "a/b.jpg\n"), ("TestImages.txt", bare(16, 24))];
    check(
        &birds("Images/"),
        &less,
        expect![[r#"
            001.Albatross/: image_folders - 6 rows train
            002.Auk/: image_folders - 6 rows train
            001.Albatross/: image_folders - 4 rows test
            002.Auk/: image_folders - 4 rows test
            image-classification: folders of images hold one class each: classes are learnt
            001.Albatross: 5 1 4
            002.Auk: 5 1 4
            train 10 (file)
            validation 2 (stratified, seed 0)
            test 8 (file)
            warning: TestImages.txt says which images are test
            warning: TrainImages.txt says which images are train
            warning: TrainImages.txt: lines that name no image of the drop were left out: 1 (first: a/b.jpg)
            warning: images that no list names were left out: 4 (first: Images/001.Albatross/12.jpg)
        "#]],
    );
    check(
        &birds("images/"),
        &food[1..3],
        expect![[r#"
            Data: meta/test.txt names 8 of 24 images as test, and no list says what the others are (write the names of the images, one a line, into train.txt and test.txt, or put the images into train/ and test/; where it divides nothing, take it out of the drop)
        "#]],
    );
    check(
        &birds("images/"),
        &food[2..],
        expect![[r#"
            Data: meta/test.json is called as a list of images that are train or test, and can't be read as one: images would be divided by chance that are divided already (write the names of the images, one a line, into train.txt and test.txt, or put the images into train/ and test/; where it divides nothing, take it out of the drop)
        "#]],
    );
    let twice = [("train.txt", bare(0, 16)), ("test.txt", bare(14, 24))];
    check(
        &birds(""),
        &twice,
        expect![[r#"
        Data: train.txt line 15 puts 001.Albatross/14.jpg into train, and test.txt puts it into test (leave the lists of one division in the drop, and take the others out)
    "#]],
    );
    let others = [("train.txt", "some\nwords\n".to_string())];
    check(
        &birds(""),
        &others,
        expect![[r#"
        Data: train.txt is called as a list of images that are train or test, and can't be read as one: images would be divided by chance that are divided already (write the names of the images, one a line, into train.txt and test.txt, or put the images into train/ and test/; where it divides nothing, take it out of the drop)
    "#]],
    );
    // Folders say it already, or a text is what an image shows.
    let divided = [birds("train/"), birds("test/")].concat();
    let stale = [("train.txt", bare(0, 4)), ("notes.txt", "words".to_string())];
    check(
        &divided,
        &stale,
        expect![[r#"
        train/001.Albatross/: image_folders - 12 rows train
        train/002.Auk/: image_folders - 12 rows train
        test/001.Albatross/: image_folders - 12 rows test
        test/002.Auk/: image_folders - 12 rows test
        image-classification: folders of images hold one class each: classes are learnt
        001.Albatross: 11 1 12
        002.Auk: 11 1 12
        train 22 (file)
        validation 2 (stratified, seed 0)
        test 24 (file)
        warning: texts ignored beside images: 2 (first: notes.txt)
    "#]],
    );
    check(
        &birds(""),
        &[("001.Albatross/0.txt", "a test".to_string())],
        expect![[r#"
        001.Albatross/: image_folders - 12 rows
        002.Auk/: image_folders - 12 rows
        image-classification: folders of images hold one class each: classes are learnt
        001.Albatross: 11 1 0
        002.Auk: 11 1 0
        train 22 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: texts ignored beside images: 1 (first: 001.Albatross/0.txt)
    "#]],
    );
}

#[test]
fn classes_in_lists() {
    let pets = |name: &dyn Fn(usize) -> String, class: &dyn Fn(usize) -> usize| {
        let line = |it: usize| format!("{} {} {} 1", name(it), class(it), it % 3);
        let of = |from, to| lines((from..to).map(line));
        let images = (0..24).map(|it| format!("images/{}.jpg", name(it)));
        let masks = (0..24).map(|it| format!("annotations/trimaps/{}.png", name(it)));
        let all = format!("#Image CLASS-ID SPECIES BREED ID\n{}", of(0, 24));
        let lists = [
            ("annotations/trainval.txt", of(0, 16)),
            ("annotations/test.txt", of(16, 24)),
            ("annotations/list.txt", all),
        ];
        (images.chain(masks).collect::<Vec<_>>(), lists)
    };
    let named = |it: usize| format!("{}_{it}", ["Abyssinian", "great_dane"][it % 2]);
    let (images, lists) = pets(&named, &|it| it % 2 + 1);
    check(
        &images,
        &lists,
        expect![[r#"
        Abyssinian/: image_folders - 8 rows train
        great_dane/: image_folders - 8 rows train
        Abyssinian/: image_folders - 4 rows test
        great_dane/: image_folders - 4 rows test
        image-classification: names of images hold one class each: classes are learnt
        Abyssinian: 7 1 4
        great_dane: 7 1 4
        train 14 (file)
        validation 2 (stratified, seed 0)
        test 8 (file)
        warning: annotations/test.txt says which images are test
        warning: annotations/trainval.txt says which images are not test
        warning: images that no list names were left out: 24 (first: annotations/trimaps/Abyssinian_0.png)
    "#]],
    );
    let (images, lists) = pets(&named, &|it| it % 4 + 1);
    check(
        &images,
        &lists,
        expect![[r#"
        Data: annotations/trainval.txt divides the images into other classes than names of images do (write the images with the classes that are meant into a metadata.csv with the columns file_name, label and split, in place of the lists)
    "#]],
    );
    // Nothing but the lists says the class.
    let (images, lists) = pets(&|it| format!("{it:05}"), &|it| it % 2 + 1);
    check(
        &images,
        &lists,
        expect![[r#"
        Data: annotations/trainval.txt has 3 fields behind each image, and none of them is named (write the images with the classes that are meant into a metadata.csv with the columns file_name, label and split, in place of the lists)
    "#]],
    );
    let jets = |from, to| lines((from..to).map(|it| format!("{it:05} Boeing {}", 700 + it % 2)));
    let lists = [
        ("data/images_family_train.txt", jets(0, 12)),
        ("data/images_family_val.txt", jets(12, 16)),
        ("data/images_family_trainval.txt", jets(0, 16)),
        ("data/images_family_test.txt", jets(16, 24)),
    ];
    let images: Vec<String> = (0..24).map(|it| format!("data/images/{it:05}.jpg")).collect();
    check(
        &images,
        &lists,
        expect![[r#"
        Boeing 700/: image_folders - 6 rows train
        Boeing 701/: image_folders - 6 rows train
        Boeing 700/: image_folders - 2 rows validation
        Boeing 701/: image_folders - 2 rows validation
        Boeing 700/: image_folders - 4 rows test
        Boeing 701/: image_folders - 4 rows test
        image-classification: lists of images hold one class each: classes are learnt
        Boeing 700: 6 2 4
        Boeing 701: 6 2 4
        train 12 (file)
        validation 4 (file)
        test 8 (file)
        warning: images_family_test.txt says which images are test
        warning: images_family_train.txt says which images are train
        warning: images_family_trainval.txt says which images are not test
        warning: images_family_val.txt says which images are validation
    "#]],
    );
}

#[test]
fn lists_that_only_a_program_reads() {
    let lists = [("lists/train_list.mat", "MATLAB 5.0 MAT-file".to_string())];
    check(
        &birds("Images/"),
        &lists,
        expect![[r#"
        Data: lists/train_list.mat is called as a list of images that are train or test, and can't be read as one: images would be divided by chance that are divided already (write the names of the images, one a line, into train.txt and test.txt, or put the images into train/ and test/; where it divides nothing, take it out of the drop)
    "#]],
    );
}
