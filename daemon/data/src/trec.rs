//! TREC's form of questions: a text a line, after its class and a finer one, `DESC:manner How …`.

use crate::lines::Form;
use finetuned_answers::Cell;

pub(crate) const FORM: Form = Form { columns: &["coarse_label", "fine_label", "text"], cells };

/// Whether all of the first lines are of this form, and not of one class.
pub(crate) fn is_it(head: &str) -> bool {
    let lines: Vec<&str> = head.lines().filter(|it| !it.trim().is_empty()).take(20).collect();
    let classes: Option<Vec<&str>> = lines.iter().map(|it| Some(parts(it)?.0)).collect();
    classes.is_some_and(|it| it.iter().any(|class| *class != it[0]))
}

fn cells(line: &str) -> Vec<Cell> {
    match parts(line) {
        Some((coarse, fine, text)) => [coarse, fine, text].map(|it| Cell::Text(it.into())).into(),
        None => vec![Cell::Missing, Cell::Missing, Cell::Text(line.into())],
    }
}

/// `NUM:dist How far is it …`: a finer class is told from those of other classes by both words.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (classes, text) = line.trim().split_once(' ')?;
    let (coarse, fine) = classes.split_once(':')?;
    let is = |it: &str, letter: fn(&u8) -> bool| 2 <= it.len() && it.bytes().all(|it| letter(&it));
    let is_it = is(coarse, u8::is_ascii_uppercase) && is(fine, u8::is_ascii_lowercase);
    (is_it && !text.trim().is_empty()).then_some((coarse, classes, text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_and_a_finer_one_before_a_text() {
        assert!(is_it("DESC:manner How is it done ?\nNUM:dist How far is it ?\n"));
        assert!(!is_it("DESC:manner How is it done ?\nDESC:def What is it ?\n"));
        assert!(!is_it("DESC:manner How is it done ?\nHow far is it ?\n"));
        assert!(!is_it("http://x.org is down\nhttp://y.org is up\n"));
        assert!(!is_it(""));
        let text = |it: &str| Cell::Text(it.into());
        assert_eq!(cells("NUM:dist How far ?"), ["NUM", "NUM:dist", "How far ?"].map(text));
        assert_eq!(cells("How far ?")[0], Cell::Missing);
    }
}
