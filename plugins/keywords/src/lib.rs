//! A reward: the part of the words of the column `keywords`, a list or a text, that an answer uses.

#![forbid(unsafe_code)]

use finetuned_sdk::{Answer, Error, NoSettings, Result, Reward};

pub struct Keywords;

impl Reward for Keywords {
    const NAME: &'static str = "keywords";
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Keywords> {
        Ok(Keywords)
    }

    fn reward(&self, answer: &Answer) -> Result<f64> {
        let column = answer.field("keywords")?;
        let words: Vec<&str> = match column.as_array() {
            Some(list) => list.iter().filter_map(|it| it.as_str()).collect(),
            None => column.as_str().unwrap_or_default().split_whitespace().collect(),
        };
        if words.is_empty() {
            return Err(Error::invalid(format!("`keywords` is {column}, which holds no words")));
        }
        let used = words.iter().filter(|it| answer.text().contains(**it)).count();
        Ok(used as f64 / words.len() as f64)
    }
}

finetuned_sdk::export! { rewards: [Keywords] }

#[cfg(test)]
mod tests {
    use super::Keywords;
    use finetuned_sdk::testing;

    fn reward(answer: &str, fields: &str) -> finetuned_sdk::Result<f64> {
        testing::reward::<Keywords>("{}", "Who?", answer, fields)
    }

    #[test]
    fn used_words_are_counted_in_lists_and_texts() {
        for fields in [r#"{"keywords": ["ada", "engine"]}"#, r#"{"keywords": "ada engine"}"#] {
            assert_eq!(reward("ada and her engine", fields).expect("a reward"), 1.0);
            assert_eq!(reward("it was ada", fields).expect("a reward"), 0.5);
            assert_eq!(reward("", fields).expect("a reward"), 0.0);
        }
    }

    #[test]
    fn a_row_without_words_ends_the_job() {
        let refused = |fields| reward("ada", fields).expect_err("refused").to_string();
        assert_eq!(refused(r#"{"keywords": []}"#), "`keywords` is [], which holds no words");
        assert_eq!(refused(r#"{"keywords": null}"#), "`keywords` is null, which holds no words");
        assert_eq!(refused("{}"), "the data have no column `keywords`");
    }
}
