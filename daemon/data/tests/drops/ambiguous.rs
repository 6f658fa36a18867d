//! Drops of which two things could be meant: what is not clear is asked, and what one column alone
//! can mean is read.

use crate::support::{Drop, folder, image};
use finetuned_data::Dataset;
use finetuned_job::task::Task;
use std::fmt::Write;

fn texts(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(|it| format!("text number {it} about {}", ["rain", "sun", "wind"][it % 3]))
}

fn csv(header: &str, row: impl Fn(usize, String) -> String) -> Drop {
    let rows: String = texts(60).enumerate().map(|(nth, text)| row(nth, text) + "\n").collect();
    Drop::file("data.csv", format!("{header}\n{rows}").as_bytes())
}

fn refused(drop: &Drop, part: &str) {
    let failure = drop.load().unwrap_err().to_string();
    assert!(failure.contains(part), "{failure}");
}

fn task(dataset: &Dataset) -> Task {
    dataset.task
}

#[test]
fn folders_of_the_same_name_below_several_classes() {
    let files = |outer: [&str; 2], inner: [&str; 2]| -> Drop {
        let name = |(nth, text): (usize, String)| {
            let (outer, inner) = (outer[nth % 2], inner[nth / 2 % 2]);
            (format!("{outer}/{inner}/{nth}.txt"), text.into_bytes())
        };
        folder(&texts(40).enumerate().map(name).collect::<Vec<_>>())
    };
    let twice = "enron1/ham/ and enron2/ham/ end in the same folder";
    refused(&files(["enron1", "enron2"], ["ham", "spam"]), twice);
    refused(&files(["de", "fr"], ["neg", "pos"]), "end in the same folder");
    let other = files(["ham", "spam"], ["a", "b"]);
    refused(&other, "end in the same folder");
    let apart: Vec<(String, Vec<u8>)> = texts(40)
        .enumerate()
        .map(|(nth, text)| {
            (["neg/old/", "pos/"][nth % 2].to_string() + &format!("{nth}.txt"), text.into_bytes())
        })
        .collect();
    assert_eq!(folder(&apart).load().unwrap().outputs, ["neg", "pos"]);
}

#[test]
fn a_table_of_some_images_beside_folders_of_the_others() {
    let mut files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|it| (format!("train/{}/{it}.png", ["cat", "dog"][it % 2]), image(it as u64)))
        .collect();
    let mut table = String::from("file_name,label\n");
    for it in 0..12 {
        files.push((format!("val/images/{it}.png"), image(100 + it as u64)));
        let _ = writeln!(table, "val/images/{it}.png,{}", ["cat", "dog"][it % 2]);
    }
    files.push(("val/val.csv".into(), table.into_bytes()));
    let drop = folder(&files);
    refused(&drop, "a table names labels of 12 images, and 40 others lie in folders");
    let named = drop.load_as("data.label = 'label'", 0).unwrap();
    assert_eq!(named.train.len() + named.validation.len(), 12);
}

#[test]
fn a_score_beside_a_label() {
    let label = |it: usize| ["good", "bad"][it % 2];
    let drop = csv("text,predicted_label,score", |it, text| {
        format!("{text},{},{}.25", label(it), it * 7 % 60)
    });
    refused(&drop, "`score` could be learnt, and `predicted_label` as well");
    let alone = csv("text,score,source", |it, text| format!("{text},{}.25,{}", it % 50, label(it)));
    assert_eq!(task(&alone.load().unwrap()).name, "text-regression");
}

#[test]
fn numbers_with_units_are_numbers() {
    for (header, number) in [
        ("text;price", "{},5 €"),
        ("text;weight", "{},5 kg"),
        ("text;temperature", "{},5 °C"),
        ("text;price", "CHF {}.50"),
        ("text;balance", "{},50-"),
    ] {
        let drop = csv(header, |it, text| {
            format!("{text};{}", number.replace("{}", &(it % 9).to_string()))
        });
        let found = drop.load().unwrap();
        assert_eq!(task(&found).name, "text-regression", "{header} {number}");
    }
    let mixed = csv("text,weight", |it, text| {
        format!("{text},{}", if it % 3 == 0 { format!("{it} g") } else { format!("{it}.5 kg") })
    });
    refused(&mixed, "several units (g, kg)");
    let german = csv("text;price", |it, text| format!("{text};{}.{:03}", it + 1, it * 37 % 1000));
    refused(&german, "whether that is more than a thousand or has decimals can't be told");
    let unknown = csv("text,temperature", |it, text| {
        format!(
            "{text},{}",
            if it % 9 == 0 { "-999".into() } else { format!("3{}.{}", it % 5, it % 10) }
        )
    });
    refused(&unknown, "`temperature` is -999 in several rows");
}

#[test]
fn tags_between_blanks_stand_for_words() {
    let drop = csv("text,labels", |it, text| {
        let tags: Vec<&str> =
            text.split(' ').map(|it| if it == "sun" { "B-SKY" } else { "O" }).collect();
        let tags =
            if it % 3 == 0 { tags.join(" ").replacen('O', "B-X", 1) } else { tags.join(" ") };
        format!("{text},{tags}")
    });
    let found = drop.load().unwrap();
    assert_eq!((task(&found).name, found.outputs.len()), ("token-classification", 5));
}

#[test]
fn tags_in_other_notations_are_read() {
    for notation in [["B_SKY", "I_SKY", "W_X"], ["SKY-B", "SKY-I", "X-B"]] {
        let mut text = String::new();
        for it in 0..40 {
            let [begin, inside, alone] = notation;
            let _ = write!(text, "n{it} O\nthe {begin}\nsun {inside}\nRhine {alone}\n\n");
        }
        let found = Drop::file("data.conll", text.as_bytes()).load().unwrap();
        assert_eq!(found.outputs, ["O", "B-SKY", "I-SKY", "B-X", "I-X"]);
        assert!(found.report.warnings.join(" ").contains("another notation"));
    }
}

#[test]
fn spans_that_count_something_else_are_refused() {
    let rows: String = (0..40)
        .map(|it| {
            let text = format!("🙂🙂🙂 number {it} lives here in Paris today");
            let start = text.encode_utf16().count() - "Paris today".len();
            format!("{}\n", serde_json::json!({ "text": text, "spans": [{ "start": start, "end": start + 5, "label": "LOC" }] }))
        })
        .collect();
    refused(&Drop::file("data.jsonl", rows.as_bytes()), "of 40 spans begin or end within a word");
}

#[test]
fn finer_and_coarser_labels() {
    let (coarse, fine) = (["animal", "plant"], ["cat", "dog", "rose", "oak"]);
    let levels = |names: [&str; 2]| {
        let row = |it, text| format!("{text},{},{}", coarse[it % 4 / 2], fine[it % 4]);
        csv(&format!("text,{}", names.join(",")), row)
    };
    for names in [
        ["coarse_label", "fine_label"],
        ["label", "label-fine"],
        ["category", "subcategory"],
        ["Super Category", "category"],
        ["parent_topic", "topic"],
        ["Label Level 1", "label"],
        ["label1", "label"],
    ] {
        let drop = levels(names);
        let [a, b] = names;
        refused(&drop, &format!("`{a}` could be learnt, and the finer `{b}` as well"));
        refused(&drop, &format!("data.label = {a:?} or {b:?}"));
        let dataset = drop.load_as(&format!("data.label = {b:?}"), 0).unwrap();
        assert_eq!(dataset.outputs.len(), 4);
    }
    // Another thing, and one that the first says nothing of.
    assert_eq!(levels(["label", "subtopic"]).load().unwrap().outputs, coarse);
    let row = |it: usize, text| format!("{text},{},{}", coarse[it % 2], fine[it % 3]);
    assert_eq!(csv("text,category,subcategory", row).load().unwrap().outputs, coarse);
}
