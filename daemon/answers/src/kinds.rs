//! Every kind of answer, and which of them columns are taken for where nobody says it.

use crate::columnless::Columnless;
use crate::kind::AnswerKind;
use crate::reading::{Columns, Look, TargetKind};
use crate::{class, classes, completion, numbers, reward, tags, tokens};
use finetuned_job::task::Answer;

/// In the order in which columns are shown to them.
const KINDS: &[&dyn TargetKind] = &[
    &classes::read::Kind,
    &numbers::read::Kind,
    &class::read::Kind,
    &tags::read::Kind,
    &Columnless {
        answer: Answer::Tokens,
        instead: "this task learns from the texts alone: leave data.label out of the recipe",
    },
    &reward::read::Kind,
    &Columnless {
        answer: Answer::Completion,
        instead: "this task learns from rewards alone: leave data.label out of the recipe, and let a [[reward]] read it by `field`",
    },
];

/// What a model with these outputs answers.
pub fn of(answer: Answer, outputs: &[String]) -> Box<dyn AnswerKind> {
    with_thresholds(answer, outputs, &[])
}

/// The same, each output predicted from its threshold on as [`AnswerKind::tuned`] gave them; none
/// where there are none.
pub fn with_thresholds(
    answer: Answer,
    outputs: &[String],
    thresholds: &[f32],
) -> Box<dyn AnswerKind> {
    let (outputs, thresholds) = (outputs.to_vec(), thresholds.to_vec());
    match answer {
        Answer::Class => Box::new(class::Class { outputs, thresholds }),
        Answer::Classes => Box::new(classes::Classes { outputs, thresholds }),
        Answer::Numbers => Box::new(numbers::Numbers { outputs }),
        Answer::Tags => Box::new(tags::Tags { outputs }),
        Answer::Tokens => Box::new(tokens::Tokens),
        Answer::Reward => Box::new(reward::Reward { outputs }),
        Answer::Completion => Box::new(completion::Completion),
    }
}

/// The reading side of a kind of answer; none for what is never learnt from cells.
pub fn target_kind(answer: Answer) -> Option<&'static dyn TargetKind> {
    KINDS.iter().copied().find(|it| it.answer() == answer)
}

/// What folders hold: one class for each example.
pub fn folder_kind() -> &'static dyn TargetKind {
    &class::read::Kind
}

/// What the columns are taken for, and the sentence why.
///
/// # Errors
/// They can't be learnt, or what is meant can't be told: the sentence.
pub fn infer(columns: &Columns<'_>) -> Result<(&'static dyn TargetKind, String), String> {
    for kind in KINDS {
        match kind.look(columns) {
            Look::No => {}
            Look::Yes(why) => return Ok((*kind, why)),
            Look::Doubt(why) => return Err(why),
        }
    }
    let names = columns.names.join("`, `");
    Err(format!("`{names}` are to be learnt, and they are neither all 0 and 1 nor all numbers"))
}

/// As [`TargetKind::unnamed`], where nobody says of which kind the columns are either.
pub fn unnamed(columns: &Columns<'_>, usual: Option<usize>) -> Vec<usize> {
    classes::read::Kind.unnamed(columns, usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::reading::Refused;

    fn column<'a>(name: &'a str, cells: &'a [Cell]) -> Columns<'a> {
        Columns { names: vec![name], rows: cells.iter().map(|it| vec![it]).collect() }
    }

    fn texts(cells: &[&str]) -> Vec<Cell> {
        cells.iter().map(|it| Cell::Text((*it).into())).collect()
    }

    /// The kind that is inferred, or the sentence; and which kinds take the columns when told to.
    #[track_caller]
    fn check(cells: &[Cell], inferred: Result<Answer, &str>, fit: &[Answer]) {
        let columns = column("x", cells);
        match (infer(&columns), inferred) {
            (Ok((kind, _)), Ok(answer)) => assert_eq!(kind.answer(), answer),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (Ok((kind, why)), _) => panic!("{:?}: {why}", kind.answer()),
            (Err(why), _) => panic!("{why}"),
        }
        let takes = |it: &Answer| target_kind(*it).unwrap().reader(&columns).is_ok();
        let all = [Answer::Class, Answer::Classes, Answer::Numbers];
        assert_eq!(all.into_iter().filter(takes).collect::<Vec<_>>(), fit);
    }

    #[test]
    fn a_column_is_taken_for_what_it_looks_like() {
        use Answer::{Class, Classes, Numbers};
        check(&texts(&["a", "b", "a", "b"]), Ok(Class), &[Class]);
        check(&texts(&["0", "1", "1", "0"]), Ok(Class), &[Class, Classes, Numbers]);
        check(&texts(&["1", "3", "5", "3"]), Ok(Class), &[Class, Numbers]);
        check(&texts(&["0.5", "1.25", "", "3"]), Ok(Numbers), &[Numbers]);
        check(&texts(&["0,5", "1,25", "2,75", "3"]), Ok(Numbers), &[Classes, Numbers]);
        check(&texts(&["1.5", "2.5", "1.5", "2.5"]), Ok(Numbers), &[Class, Numbers]);
        check(&texts(&["a|b", "a", "b|c", "", "c"]), Ok(Classes), &[Class, Classes]);
        check(&texts(&["a,b", "a", "b,c", "", "c"]), Ok(Classes), &[Class, Classes]);
        check(&texts(&["['a', 'b']", "[]", "['b']"]), Ok(Classes), &[Class, Classes]);
        let list = |it: &[&str]| Cell::List(texts(it));
        check(&[list(&["a", "b"]), list(&[]), list(&["b"])], Ok(Classes), &[Classes]);
        check(&[list(&["a"]), list(&["b"]), list(&["b"])], Ok(Class), &[Class, Classes]);
    }

    #[test]
    fn one_odd_cell_flips_no_column() {
        let mut cells = texts(&["sport", "news", "art", "sport", "news", "art"]);
        cells.extend(texts(&["rock|roll"]));
        check(&cells, Ok(Answer::Class), &[Answer::Class, Answer::Classes]);
    }

    #[test]
    fn numbers_beyond_64_bits_are_numbers() {
        let large: Vec<Cell> = (0..40).map(|it| Cell::Fraction(1e30 * f64::from(it))).collect();
        check(&large, Ok(Answer::Numbers), &[Answer::Numbers]);
        let large: Vec<Cell> = (0..40).map(|it| Cell::Integer((1 << 100) * it)).collect();
        check(&large, Ok(Answer::Numbers), &[Answer::Numbers]);
    }

    #[test]
    fn a_missing_flag_is_no_zero() {
        let rows = [["0", "1"], ["1", "0"], ["1", "1"]].map(|it| texts(&it));
        let columns = Columns {
            names: vec!["a", "b"],
            rows: rows.iter().map(|it| it.iter().collect()).collect(),
        };
        let (kind, why) = infer(&columns).unwrap();
        assert_eq!(
            (kind.answer(), &*why),
            (Answer::Classes, "2 columns of 0 and 1: several labels are learnt")
        );
        let mut reader = kind.reader(&columns).unwrap();
        let Err(Refused::Row(reason)) = reader.read(texts(&["1", ""])) else { panic!() };
        assert_eq!(reason.to_string(), "`b` is empty, where others are 0 or 1");
        assert_eq!(reader.read(texts(&["0", "1"])).unwrap().classes(), [1]);
    }

    #[test]
    fn words_for_yes_and_no_are_labels_where_there_is_nothing_else() {
        let of = |names: &[&str], rows: &[&[&str]]| {
            let rows: Vec<Vec<Cell>> = rows.iter().map(|it| texts(it)).collect();
            let columns = Columns {
                names: names.to_vec(),
                rows: rows.iter().map(|it| it.iter().collect()).collect(),
            };
            unnamed(&columns, None)
        };
        let names = ["verified", "helpful", "outcome"];
        assert_eq!(of(&names, &[&["yes", "no", "a"], &["no", "yes", "b"]]), [0; 0]);
        assert_eq!(of(&names, &[&["x", "", "a"], &["", "x", "b"]]), [0; 0]);
        assert_eq!(of(&names, &[&["yes", "no", "no"], &["no", "yes", "yes"]]), [0, 1, 2]);
        assert_eq!(of(&names, &[&["1", "0", "a"], &["0", "1", "b"]]), [0, 1]);
        assert_eq!(of(&names, &[&["True", "False", "a"], &["False", "True", "b"]]), [0, 1]);
    }

    #[test]
    fn a_column_of_ticks_holds_nothing_else() {
        let rows = [["x", ""], ["", "x"], ["X", ""]].map(|it| texts(&it));
        let columns = Columns {
            names: vec!["a", "b"],
            rows: rows.iter().map(|it| it.iter().collect()).collect(),
        };
        let mut reader = target_kind(Answer::Classes).unwrap().reader(&columns).unwrap();
        assert_eq!(reader.read(texts(&["\u{2713}", "no"])).unwrap().classes(), [0]);
        let Err(Refused::Row(reason)) = reader.read(texts(&["", "see note"])) else { panic!() };
        assert_eq!(reason.to_string(), "`b` is `see note`, neither 0 nor 1");
    }

    #[test]
    fn what_is_no_label_is_left_out_of_lists() {
        let cells = texts(&["a|b", "a|b|c", "c|b"]);
        let mut reader =
            target_kind(Answer::Classes).unwrap().reader(&column("x", &cells)).unwrap();
        for missing in [
            Cell::Missing,
            Cell::Text("NaN".into()),
            Cell::Fraction(f64::NAN),
            Cell::Text(" ".into()),
        ] {
            assert_eq!(reader.read(vec![missing]).unwrap().classes(), [0; 0]);
        }
    }
}
