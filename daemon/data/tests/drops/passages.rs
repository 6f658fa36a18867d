//! Texts without labels, which are learnt as they are.

use crate::support::Drop;
use expect_test::expect;

const RECIPE: &str = "task = 'masked-language-modeling'";

#[test]
fn a_corpus_beside_a_table_of_its_titles() {
    let book = "The whole book, and every word of it.\n".repeat(20);
    let titles: String =
        (0..20).map(|it| format!("book{it}.txt,The title of book {it}\n")).collect();
    let titles = format!("file,title\n{titles}");
    for name in ["book1.txt", "books/book1.txt"] {
        let files = [(name, book.as_bytes()), ("metadata.csv", titles.as_bytes())];
        let failure = Drop::folder(&files).load_as(RECIPE, 0).unwrap_err().to_string();
        let why = format!("tables (metadata.csv) and texts ({name}) at once");
        assert!(failure.contains(&why), "{failure}");
    }
    Drop::folder(&[("metadata.csv", titles.as_bytes())]).check_as(
        RECIPE,
        expect![[r#"
        metadata.csv: csv utf-8 20 rows
        masked-language-modeling: the recipe says so
        train 18 (random, seed 0)
        validation 2 (random, seed 0)
        warning: columns not used: file
    "#]],
    );
}

#[test]
fn markdown_is_text_and_programs_are_counted() {
    let page = |it: usize| format!("# Page {it}\n\nSome words about page {it} of the book.\n");
    let mut files: Vec<(String, String)> = Vec::new();
    for it in 0..20 {
        let extension = ["txt", "md"][it % 2];
        files.push((format!("pages/{it}.{extension}"), page(it)));
    }
    files.push(("README.md".into(), "About the book".into()));
    files.push(("pages/download.py".into(), "print('x')".into()));
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    Drop::folder(&files).check_as(RECIPE, expect![[r#"
        texts: text_folders utf-8 20 rows
        masked-language-modeling: the recipe says so
        train 18 (random, seed 0)
        validation 2 (random, seed 0)
        warning: files of Markdown that are read as texts: 10 (first: pages/1.md)
        warning: files of programs and notes that are not read: 1 (first: pages/download.py); rename those that are data to .txt
    "#]]);
    let programs = Drop::folder(&files[21..]);
    let refusal = programs.load_as(RECIPE, 0).unwrap_err().to_string();
    assert!(refusal.contains("not read: 1 (first: pages/download.py)"), "{refusal}");
    assert!(refusal.contains("rename those that are data to .txt"), "{refusal}");
}

#[test]
fn a_file_of_lines_is_one_text() {
    let lines = "A line of a short file.\n".repeat(200);
    let others = "Another line.\n".repeat(200);
    let files = [("train.txt", lines.as_bytes()), ("valid.txt", others.as_bytes())];
    let refusal = Drop::folder(&files).load_as(RECIPE, 0).unwrap_err().to_string();
    assert!(refusal.contains("train has one example only (train.txt)"), "{refusal}");
    assert!(refusal.contains("a text a line is read from a table"), "{refusal}");
}
