//! A text a line, with its classes before it or in a file beside it.

use crate::support::{Drop, texts};

fn text(it: usize) -> String {
    format!("what was told in words at time {it}\n")
}

fn lines(from: usize, n: usize) -> String {
    (from..from + n).map(text).collect()
}

fn labels(n: usize, of: [&str; 2]) -> String {
    (0..n).map(|it| of[it % 2].to_string() + "\n").collect()
}

fn folder(files: &[(&str, String)]) -> Drop {
    let files: Vec<(&str, &[u8])> = files.iter().map(|it| (it.0, it.1.as_bytes())).collect();
    Drop::folder(&files)
}

#[test]
fn questions_after_their_classes() {
    let lines: String =
        (0..40).map(|it| format!("{} {}", ["DESC:def", "NUM:dist"][it % 2], text(it))).collect();
    for name in ["train_5500.label", "train.txt", "questions"] {
        let dataset = Drop::file(name, lines.as_bytes()).load().unwrap();
        assert_eq!(dataset.outputs, ["DESC", "NUM"], "{name}");
        assert!(texts(&dataset).contains(&text(7).trim()));
    }
    let others = lines.replace("told", "asked");
    let drop = folder(&[("train_5500.label", lines), ("test.label", others)]);
    assert_eq!(drop.load().unwrap().test.len(), 40);
    let fine = drop.load_as("data.label = 'fine_label'", 0).unwrap();
    assert_eq!(fine.outputs, ["DESC:def", "NUM:dist"]);
}

#[test]
fn texts_beside_their_labels() {
    // As TweetEval has them.
    let tweets = folder(&[
        ("train_text.txt", lines(0, 40)),
        ("train_labels.txt", labels(40, ["0", "1"])),
        ("val_text.txt", lines(100, 8)),
        ("val_labels.txt", labels(8, ["0", "1"])),
        ("test_text.txt", lines(200, 8)),
        ("test_labels.txt", labels(8, ["0", "1"])),
        ("mapping.txt", "0\tnegative\n1\tpositive\n".into()),
    ]);
    let dataset = tweets.load().unwrap();
    assert_eq!(dataset.outputs, ["negative", "positive"]);
    assert_eq!([dataset.train.len(), dataset.validation.len(), dataset.test.len()], [40, 8, 8]);
    for example in &dataset.train {
        assert_eq!(example.target.classes(), [(example.line as u32 + 1) % 2]);
    }
    for (text, label) in [("sentences.txt", "labels.txt"), ("train.text", "train.label")] {
        // Blank lines are lines.
        let apart = format!("{}\n{}", lines(0, 20), lines(20, 20));
        let of = format!("{}\n{}", labels(20, ["b", "a"]), labels(20, ["b", "a"]));
        let dataset = folder(&[(text, apart), (label, of)]).load().unwrap();
        assert_eq!(
            (dataset.outputs.len(), dataset.train.len() + dataset.validation.len()),
            (2, 40)
        );
        for example in &dataset.train {
            let class = if example.line <= 20 { example.line } else { example.line + 1 };
            assert_eq!(u64::from(example.target.classes()[0]), class % 2, "{}", example.line);
        }
    }
}

#[test]
fn as_many_labels_as_texts_are_needed() {
    let drop = folder(&[("text.txt", lines(0, 40)), ("labels.txt", labels(39, ["a", "b"]))]);
    let failure = drop.load().unwrap_err().to_string();
    assert!(failure.contains("text.txt has 40 lines and labels.txt has 39"), "{failure}");
    let inputs = "text\n".to_string() + &lines(0, 40);
    let of = "label\n".to_string() + &labels(40, ["a", "b"]);
    let failure = folder(&[("X_train.csv", inputs), ("y_train.csv", of)]).load().unwrap_err();
    let failure = failure.to_string();
    assert!(failure.contains("y_train.csv holds the labels of another table"), "{failure}");
}

#[test]
fn conversations_are_no_texts_with_labels() {
    let row = |it: usize| {
        format!(
            r#"{{"messages": [{{"role": "user", "content": "{}"}}, {{"role": "assistant", "content": "{}"}}]}}"#,
            text(it).trim(),
            ["a", "b"][it % 2]
        ) + "\n"
    };
    let drop = Drop::file("train.jsonl", (0..40).map(row).collect::<String>().as_bytes());
    let failure = drop.load_as("task = 'text-classification'", 0).unwrap_err().to_string();
    assert!(failure.contains("`messages` holds conversations"), "{failure}");
    assert!(failure.contains(r#"{"text": "…", "label": "…"}"#), "{failure}");
}
