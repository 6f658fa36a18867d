//! What is seen when every image is decoded once.

use crate::support::{fields, gallery, image, names, reported};
use expect_test::expect;
use finetuned_images::decode;
use finetuned_job::data::SheetSubject;
use finetuned_job::outcome::FailureKind;
use std::fs;

/// A PNG of this size that holds next to nothing.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    for (kind, content) in [(b"IHDR", &header[..]), (b"IDAT", b"\x78\x01"), (b"IEND", b"")] {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(content);
        png.extend(
            [&(content.len() as u32).to_be_bytes(), &kind[..], content, &crc.sum().to_be_bytes()]
                .concat(),
        );
    }
    png
}

#[test]
fn images_that_are_none_are_put_aside() {
    let whole = image(0);
    let mut damaged = image(1);
    damaged[60] ^= 0xff;
    let drop = gallery(
        &["cat", "dog"],
        60,
        &[
            ("cat/a.png", b"this is a text\n"),
            ("cat/b.png", b""),
            ("cat/c.png", &whole[..whole.len() / 2]),
            ("dog/d.png", &png_header(30_000, 30_000)),
            ("dog/e.png", &damaged),
            ("dog/f.jpg", b"\xff\xd8\xff\xe0 no jpeg"),
            ("dog/g.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            ("dog/h.webp", b"RIFF"),
        ],
    );
    drop.check(expect![[r#"
        cat/: image_folders - 60 rows
        dog/: image_folders - 60 rows
        image-classification: folders of images hold one class each: classes are learnt
        cat: 54 6 0
        dog: 54 6 0
        train 108 (stratified, seed 0)
        validation 12 (stratified, seed 0)
        quarantined cat/a.png None: this is text, not an image
        quarantined cat/b.png None: the file is empty
        quarantined cat/c.png None: the PNG ends too early; copy the file again
        quarantined dog/d.png None: the image has 30000 x 30000 pixels, more than the 100 million that are read; make it smaller
        quarantined dog/e.png None: the PNG is damaged; copy the file again or leave it out
        quarantined dog/f.jpg None: the JPEG ends too early; copy the file again
        quarantined dog/g.svg None: this is an SVG drawing, which is not read; save it as JPEG or PNG
        quarantined dog/h.webp None: this is text, not an image
    "#]],
    );
    let listed = fs::read_to_string(drop.quarantine()).unwrap();
    assert_eq!(listed.lines().count(), 8);
    assert!(
        listed
            .lines()
            .next()
            .unwrap()
            .starts_with(r#"{"file":"cat/a.png","line":null,"reason":"this is text"#),
        "{listed}"
    );
}

#[test]
fn equal_images() {
    let drop = gallery(
        &["train/cat", "train/dog", "test/cat", "test/dog"],
        6,
        &[
            ("train/cat/again.png", &image(0)),
            ("train/dog/leaked.png", &image(3000)),
            ("train/dog/other.png", &image(1)),
        ],
    );
    drop.check_as(
        "data.validation = 0.0",
        expect![[r#"
            train/cat/: image_folders - 7 rows train
            train/dog/: image_folders - 8 rows train
            test/cat/: image_folders - 6 rows test
            test/dog/: image_folders - 6 rows test
            image-classification: folders of images hold one class each: classes are learnt
            cat: 7 0 6
            dog: 7 0 6
            train 14 (file)
            test 12 (file)
            warning: there is no validation split: the last step is taken, since none may be chosen by test; data.validation above 0 takes some out of train
            warning: images that stand under more than one label: 1
            warning: training examples left out, as their images stand in validation or test too: 1
        "#]],
    );
    let report = drop.load_as("data.validation = 0.0", 0).unwrap().report;
    let it = &report.duplicates;
    assert_eq!(
        (it.within_splits, it.leaked_dropped, it.leaked_validation_dropped, it.conflicting_labels),
        (2, 1, 0, 1)
    );
    let sheet = report
        .images
        .unwrap()
        .sheets
        .into_iter()
        .find(|it| it.subject == SheetSubject::ConflictingLabels)
        .unwrap();
    assert_eq!((sheet.shown, sheet.total), (2, 2));
}

/// As [`image`], a shade darker.
fn darker(seed: u64) -> Vec<u8> {
    let (_, pixels) = decode(&image(seed)).unwrap();
    let colour = |field: u64| {
        // The middle of the field, behind the sheet's gap of 4 pixels.
        let (x, y) = (8 * (field % 4) + 8, 8 * (field / 4) + 8);
        let at = 3 * (y * u64::from(pixels.width()) + x) as usize;
        [0, 1, 2].map(|channel| pixels.data()[at + channel].saturating_sub(3))
    };
    fields(colour)
}

#[test]
fn images_that_look_alike_and_images_of_nothing() {
    let white = fields(|_| [255; 3]);
    let drop = gallery(
        &["train/cat", "train/dog", "test/cat", "test/dog"],
        6,
        &[
            ("train/cat/like 0.png", &darker(0)),
            ("train/dog/like 1.png", &darker(1)),
            ("test/cat/like 2.png", &darker(2)),
            ("train/cat/nothing.png", &white),
        ],
    );
    drop.check_as(
        "data.validation = 0.0",
        expect![[r#"
            train/cat/: image_folders - 8 rows train
            train/dog/: image_folders - 7 rows train
            test/cat/: image_folders - 7 rows test
            test/dog/: image_folders - 6 rows test
            image-classification: folders of images hold one class each: classes are learnt
            cat: 8 0 7
            dog: 7 0 6
            train 15 (file)
            test 13 (file)
            warning: there is no validation split: the last step is taken, since none may be chosen by test; data.validation above 0 takes some out of train
            warning: pairs of images in two splits that look alike: 1; if they are copies, scores are too good
            warning: pairs of images that look alike under different labels: 1
            warning: images of one colour throughout: 1
        "#]],
    );
    let images = drop.load_as("data.validation = 0.0", 0).unwrap().report.images.unwrap();
    let it = &images.near_duplicates;
    assert_eq!(
        (it.images, it.pairs, it.across_splits, it.conflicting_labels, images.blank),
        (6, 3, 1, 1, 1)
    );
    let shown: Vec<[&str; 2]> =
        it.shown.iter().map(|it| [it.a.0.as_str(), it.b.0.as_str()]).collect();
    assert_eq!(
        shown,
        [
            ["train/cat/2.png", "test/cat/like 2.png"],
            ["train/cat/1.png", "train/dog/like 1.png"],
            ["train/cat/0.png", "train/cat/like 0.png"]
        ]
    );
    let subjects: Vec<&SheetSubject> = images.sheets.iter().map(|it| &it.subject).collect();
    let class = |name: &str| SheetSubject::Class(name.into());
    assert_eq!(
        subjects,
        [&class("cat"), &class("dog"), &SheetSubject::NearDuplicates, &SheetSubject::Blank]
    );
    assert_eq!(
        (images.formats, images.colours),
        (vec![("PNG".into(), 28)], vec![("RGB".into(), 28)])
    );
    assert_eq!((images.width.min, images.width.median, images.height.max), (40, 40, 40));
}

#[test]
fn mean_and_deviation_are_those_of_the_pixels() {
    let drop = gallery(&["cat", "dog"], 8, &[]);
    let dataset = drop.load().unwrap();
    let mut values = Vec::new();
    for it in &dataset.train {
        let (_, pixels) = decode(&dataset.images.as_ref().unwrap().bytes(it).unwrap()).unwrap();
        values.extend(pixels.data().iter().skip(1).step_by(3).map(|it| f64::from(*it) / 255.0));
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviation =
        (values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    let images = dataset.report.images.unwrap();
    assert!(
        (images.mean[1] - mean).abs() < 1e-6 && (images.deviation[1] - deviation).abs() < 1e-6,
        "{mean} {deviation} {images:?}"
    );
}

#[test]
fn contact_sheets_are_bounded_and_named_by_number() {
    let folders: Vec<String> = (0..60).map(|it| format!("x ..\\..\\{it}")).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let drop = gallery(&folders, 3, &[]);
    let sheets = drop.load().unwrap().report.images.unwrap().sheets;
    let of_classes =
        sheets.iter().filter(|it| matches!(it.subject, SheetSubject::Class(_))).count();
    assert_eq!(of_classes, 50);
    assert_eq!(sheets[0].path, "contact/class-000.png");
    let mut listed: Vec<String> = sheets.iter().map(|it| it.path.replace("contact/", "")).collect();
    listed.sort();
    assert_eq!(names(&drop.run().join("contact")), listed);
    // Two small images beside each other; the third is in validation.
    let (facts, _) = decode(&fs::read(drop.run().join(&sheets[0].path)).unwrap()).unwrap();
    assert_eq!((facts.width, facts.height, sheets[0].shown), (2 * 100 + 4, 100 + 4, 2));
}

#[test]
fn an_image_that_changes_is_not_taken_for_the_one_that_was_checked() {
    let drop = gallery(&["cat", "dog"], 5, &[]);
    let dataset = drop.load().unwrap();
    let it = &dataset.train[0];
    let name = dataset.origins.of(it);
    let path = drop.path().join(&name);
    fs::write(&path, image(4000)).unwrap();
    let refused = dataset.images.as_ref().unwrap().bytes(it).unwrap_err().to_string();
    assert_eq!(
        refused,
        format!("{name} changed after it was checked (drop the data again, and leave them alone)")
    );
    fs::remove_file(&path).unwrap();
    let failure = dataset.images.as_ref().unwrap().bytes(it).unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Data, &*format!("{name} is gone: it was removed before it was read"))
    );
}

#[test]
fn progress_counts_the_bytes_of_the_images() {
    let drop = gallery(&["cat", "dog"], 3, &[("cat/large.bmp", &vec![0; 3 << 20])]);
    let mut reports = Vec::new();
    let choice = finetuned_job::recipe::Recipe::default().data;
    let request = finetuned_data::Request {
        task: None,
        choice: &choice,
        validation: crate::support::a_tenth,
        seed: 0,
        run: drop.run(),
        threads: 2,
    };
    let loaded =
        drop.open().unwrap().load(&request, &mut |_, done, total| reports.push((done, total)));
    expect![[r#"
        Data: 1 of 7 examples can't be used, which is more than 10 %: 1 times not a usable image (first: cat/large.bmp: this is not an image: its bytes do not begin like JPEG, PNG, WebP, GIF, BMP or TIFF) (mend or remove them, or name the right columns in the recipe)
    "#]]
    .assert_eq(&reported(loaded));
    assert!(
        !reports.is_empty()
            && reports.iter().all(|it| it.1.is_some_and(|total| it.0 <= total && 3 << 20 < total)),
        "{reports:?}"
    );
}

/// Any bytes as an image: decoded or put aside, never a panic.
#[test]
fn any_byte_of_an_image_may_be_wrong() {
    let whole = image(9);
    let drop = gallery(&["cat", "dog"], 400, &[]);
    for it in 0..80 {
        let mut bytes = whole.clone();
        let place = it * whole.len() / 80;
        bytes[place] ^= 1 << (it % 8);
        fs::write(drop.path().join(format!("cat/damaged {it}.png")), bytes).unwrap();
    }
    let report = drop.load().unwrap().report;
    let held: u64 = report.splits.iter().map(|it| it.rows).sum();
    assert_eq!(held + report.quarantined.count + report.duplicates.leaked_dropped, 880);
}
