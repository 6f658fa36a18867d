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
