//! What answers are rewarded for by rules: pure functions of an answer's text and of the fields
//! that stand beside its prompt. Rewards of plugins are `rewards`'.

use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::recipe::RewardRule;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

/// Bytes of a pattern that was made ready: a page of a person's own.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What stands beside a prompt.
pub(crate) type Fields = Map<String, Value>;

/// One of ours.
pub(crate) enum Rule {
    ExactMatch(String),
    Number(String),
    Regex(Regex),
    Length { min: f64, max: f64 },
    Json,
}

impl Rule {
    /// None where a plugin or a model has it.
    ///
    /// # Errors
    /// A pattern that is none.
    pub(crate) fn of(asked: &RewardRule) -> Result<Option<Rule>, Failure> {
        Ok(Some(match asked {
            RewardRule::ExactMatch { field } => Rule::ExactMatch(field.clone()),
            RewardRule::Number { field } => Rule::Number(field.clone()),
            RewardRule::Regex { pattern } => Rule::Regex(compiled(pattern)?),
            RewardRule::Length { min, max } => {
                Rule::Length { min: f64::from(*min), max: f64::from(*max) }
            }
            RewardRule::Json => Rule::Json,
            RewardRule::Plugin { .. } | RewardRule::Model { .. } => return Ok(None),
        }))
    }

    /// Why nothing can be rewarded beside these fields; none where it can.
    pub(crate) fn lacks(&self, fields: &Fields) -> Option<String> {
        match self {
            Rule::ExactMatch(field) => match fields.get(field) {
                Some(Value::Object(_) | Value::Array(_)) => {
                    Some(format!("`{field}` is no text: name the part that is the answer"))
                }
                _ => text_of(fields, field).is_empty().then(|| format!("`{field}` is empty")),
            },
            Rule::Number(field) => last_number(&text_of(fields, field))
                .is_none()
                .then(|| format!("`{field}` has no number")),
            Rule::Regex(_) | Rule::Length { .. } | Rule::Json => None,
        }
    }

    /// From 0 to 1.
    pub(crate) fn reward(&self, answer: &str, fields: &Fields) -> f64 {
        let answer = answer.trim();
        match self {
            Rule::ExactMatch(field) => f64::from(answer == text_of(fields, field)),
            Rule::Number(field) => {
                let wanted = last_number(&text_of(fields, field));
                f64::from(wanted.is_some() && last_number(answer) == wanted)
            }
            Rule::Regex(pattern) => f64::from(pattern.is_match(answer)),
            Rule::Length { min, max } => {
                let length = answer.chars().count() as f64;
                if length < *min { length / min } else { (max / length.max(1.0)).min(1.0) }
            }
            Rule::Json => {
                let found = serde_json::from_str::<Value>(answer);
                f64::from(found.is_ok_and(|it| it.is_object() || it.is_array()))
            }
        }
    }
}

fn compiled(pattern: &str) -> Result<Regex, Failure> {
    let made = RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build();
    made.map_err(|err| {
        // The crate's message has lines, the last of which says what is wrong.
        let why = err.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let message = format!("reward.pattern is `{pattern}`, which is no regular expression: {why}");
        Failure::new(FailureKind::Recipe, message)
            .with_cure("write it as Rust's crate `regex` does: without look-around and back references; in TOML a pattern stands best between single quotes")
    })
}

/// As a person reads it; of what is no text, its JSON.
pub(crate) fn text_of(fields: &Fields, name: &str) -> String {
    match fields.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(other) => other.to_string(),
    }
}

/// Decimal digits, with commas between thousands, a sign and a fraction where there are any: the
/// last such number of a text.
fn last_number(text: &str) -> Option<f64> {
    let is_part = |it: char| it.is_ascii_digit() || it == ',' || it == '.';
    let (mut last, mut at) = (None, 0);
    while let Some(start) = text[at..].find(|it: char| it.is_ascii_digit()) {
        let (before, from) = text.split_at(at + start);
        let end = from.find(|it| !is_part(it)).unwrap_or(from.len());
        // A dash between words or digits is no sign.
        let signed = before.ends_with(['-', '\u{2212}'])
            && !before.trim_end_matches(['-', '\u{2212}']).ends_with(char::is_alphanumeric);
        let digits = from[..end].trim_end_matches([',', '.']);
        let whole = digits.split('.').next().unwrap_or_default();
        let digits = match whole.split(',').skip(1).all(|it| it.len() == 3) {
            true => digits.replace(',', ""),
            // Of a list, the last.
            false => digits.rsplit(',').next().unwrap_or_default().to_owned(),
        };
        // Of a date or a version, the part behind the last dot.
        let digits = match digits.matches('.').count() {
            0 | 1 => digits,
            _ => digits.rsplit('.').next().unwrap_or_default().to_owned(),
        };
        let value: Option<f64> = digits.parse().ok();
        last = value.map(|it| if signed { -it } else { it }).or(last);
        at += start + end;
    }
    last.filter(|it| it.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(answer: Value) -> Fields {
        Fields::from_iter([("answer".to_owned(), answer)])
    }

    fn rule(of: RewardRule) -> Rule {
        Rule::of(&of).unwrap().unwrap()
    }

    #[test]
    fn the_last_number_of_a_text_counts() {
        assert_eq!(last_number("So 3 and 4 make 7."), Some(7.0));
        assert_eq!(last_number("#### 1,234"), Some(1234.0), "GSM8K");
        assert_eq!(last_number("It is -2.50 €"), Some(-2.5));
        assert_eq!(last_number("5 - 3 = \u{2212}2"), Some(-2.0));
        assert_eq!([last_number("pages 3-4"), last_number("3,4")], [Some(4.0); 2]);
        assert_eq!(last_number("version 1.2.3"), Some(3.0));
        assert_eq!(last_number("\\boxed{42}"), Some(42.0));
        assert_eq!(last_number("none"), None);
        assert_eq!(last_number(&"9".repeat(400)), None);
    }

    #[test]
    fn numbers_and_texts_are_those_of_the_field() {
        let number = rule(RewardRule::Number { field: "answer".into() });
        let of = |answer: &str, wanted: Value| number.reward(answer, &fields(wanted));
        assert_eq!(of("It is 4.0", json!(4)), 1.0);
        assert_eq!(of("It is 5, not 4", json!("2 + 3 = 5")), 0.0);
        assert_eq!(of("I do not know", json!("4")), 0.0);
        let exact = rule(RewardRule::ExactMatch { field: "answer".into() });
        assert_eq!(exact.reward(" good\n", &fields(json!("good"))), 1.0);
        assert_eq!(exact.reward("good!", &fields(json!("good"))), 0.0);
        assert_eq!(exact.reward("true", &fields(json!(true))), 1.0);
    }

    #[test]
    fn forms_are_rewarded_whatever_is_asked() {
        let none = Fields::new();
        let regex = rule(RewardRule::Regex { pattern: r"^<a>.*</a>$".into() });
        assert_eq!([" <a>x</a> ", "x"].map(|it| regex.reward(it, &none)), [1.0, 0.0]);
        let length = rule(RewardRule::Length { min: 4, max: 8 });
        let of = |n: usize| length.reward(&"ü".repeat(n), &none);
        assert_eq!([0, 2, 4, 8, 16].map(of), [0.0, 0.5, 1.0, 1.0, 0.5]);
        let json = rule(RewardRule::Json);
        let answers = [r#"{"a": [1]}"#, "[]", "5", "{a: 1}", "{} and more"];
        assert_eq!(answers.map(|it| json.reward(it, &none)), [1.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_no_answer_could_be_held_against_is_named() {
        let number = rule(RewardRule::Number { field: "answer".into() });
        assert_eq!(number.lacks(&fields(json!("four"))).unwrap(), "`answer` has no number");
        let exact = rule(RewardRule::ExactMatch { field: "answer".into() });
        assert_eq!(exact.lacks(&fields(Value::Null)).unwrap(), "`answer` is empty");
        assert!(exact.lacks(&fields(json!({ "a": 1 }))).unwrap().contains("is no text"));
        assert!(number.lacks(&fields(json!(0))).is_none());
        let Err(wrong) = Rule::of(&RewardRule::Regex { pattern: "(".into() }) else { panic!() };
        assert!(wrong.message.contains("unclosed group"), "{wrong}");
        let huge = RewardRule::Regex { pattern: r"\w{1000}{1000}".into() };
        assert!(Rule::of(&huge).is_err());
    }
}
