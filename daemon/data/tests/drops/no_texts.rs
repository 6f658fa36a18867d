//! Tables of numbers, which nothing here learns from.

use crate::support::{Drop, table};
use expect_test::{Expect, expect};

#[track_caller]
fn check(header: &str, row: impl Fn(usize) -> String, expected: Expect) {
    let csv = table(header, 48, |it, _| row(it));
    Drop::file("a.csv", csv.as_bytes()).check(expected);
}

#[test]
fn measurements() {
    let iris = |it: usize| format!("{}.1,{}.2,0.{it},{}", it % 7, it % 5, ["a", "b"][it % 2]);
    check(
        "sepal_length,sepal_width,petal_width,species",
        iris,
        expect![[r#"
        Data: a.csv holds numbers (3 of 4 columns) and neither texts nor images, from which models learn here (such tables are learnt by other programs, as scikit-learn or XGBoost; here a column of texts, or of paths to images, is needed)
    "#]],
    );
    let homes = |it: usize| format!("{it}.5,{},{}.25", it + 3, it * 2);
    check(
        "income,age,price",
        homes,
        expect![[r#"
        Data: a.csv holds numbers (3 of 3 columns) and neither texts nor images, from which models learn here (such tables are learnt by other programs, as scikit-learn or XGBoost; here a column of texts, or of paths to images, is needed)
    "#]],
    );
    let titanic = |it: usize| {
        let name = format!("\"Braund, Mr. Owen Harris the {it}th\"");
        format!("{it},{},{},{name},{},{},{}.5", it % 2, it % 3 + 1, 20 + it, it % 4, it)
    };
    check(
        "PassengerId,Survived,Pclass,Name,Age,SibSp,Fare",
        titanic,
        expect![[r#"
        Data: a.csv holds numbers (5 of 6 columns), and of texts, from which models learn here, only `Name` (if that alone is to be learnt from, name it in a job.toml in the drop: data.text = "Name"; such tables are learnt by other programs, as scikit-learn or XGBoost; here a column of texts, or of paths to images, is needed)
    "#]],
    );
    // A text by its name, or with a few numbers beside it.
    let review = |it: usize| format!("it was a good one {it},{},{},{}", it % 5, it * 3, it + 2);
    let csv = table("text,label,votes,words", 48, |it, _| review(it));
    assert!(Drop::file("a.csv", csv.as_bytes()).load().is_ok());
    let csv = table("said,label,votes,words", 48, |it, _| review(it));
    assert!(Drop::file("a.csv", csv.as_bytes()).load().is_ok());
}

#[test]
fn essays_with_several_scores_are_asked_about() {
    let essay = |it: usize| {
        let text = format!("in essay {it} somebody thinks at length about computers and people");
        format!("{it},{},{text},{},{},{}", it % 8 + 1, it % 6, it % 5, it % 11)
    };
    check(
        "essay_id,essay_set,essay,rater1_domain1,rater2_domain1,domain1_score",
        essay,
        expect![[r#"
            Data: a.csv: what is to be learnt can't be told; besides `essay` it has essay_set, rater1_domain1, rater2_domain1, domain1_score; `essay_set` (1, 2, …) or `rater1_domain1` (0, 1, …) or `rater2_domain1` (0, 1, …) or `domain1_score` (0, 1, …) could be it (name it in a job.toml in the drop: data.label = "essay_set" or "rater1_domain1" or "rater2_domain1" or "domain1_score", or several as data.labels)
        "#]],
    );
}

#[test]
fn pixels() {
    let numbers = |it: usize, by: &str| {
        let numbers: Vec<String> = (0..80).map(|nth| (it * nth % 256).to_string()).collect();
        numbers.join(by)
    };
    let names: Vec<String> = (0..80).map(|nth| format!("pixel{nth}")).collect();
    let mnist = |it: usize| format!("{},{}", it % 10, numbers(it, ","));
    check(
        &format!("label,{}", names.join(",")),
        mnist,
        expect![[r#"
        Data: a.csv has 80 columns of numbers up to 255, as pixels of images are, and no texts or images (write each image to a PNG file in the folder of its class, or drop the data in the form of MNIST (IDX), or images in Parquet)
    "#]],
    );
    // Without a header.
    check(
        &mnist(3),
        mnist,
        expect![[r#"
        Data: a.csv has 81 columns of numbers up to 255, as pixels of images are, and no texts or images (write each image to a PNG file in the folder of its class, or drop the data in the form of MNIST (IDX), or images in Parquet)
    "#]],
    );
    let faces = |it: usize| format!("{},{},Training", it % 7, numbers(it, " "));
    check(
        "emotion,pixels,Usage",
        faces,
        expect![[r#"
        Data: a.csv: `pixels` holds the numbers of an image's pixels, which are neither a text nor an image (write each image to a PNG file in the folder of its class, or drop the data in the form of MNIST (IDX), or images in Parquet)
    "#]],
    );
}
