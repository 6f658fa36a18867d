//! A reward: a part for each tag that stands in an answer once, and the rest where they stand in
//! their order with something between and behind them. Parts are rewarded too, so that there is
//! something to learn from before all is right. Change it to what you need; `cargo test` says
//! whether it holds.

#![forbid(unsafe_code)]

use finetuned_sdk::{Answer, Error, Result, Reward};
use serde::Deserialize;

pub struct {{Type}} {
    settings: Settings,
}

/// `[plugins.settings.{{name}}]` in a recipe.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    opens: String,
    closes: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { opens: "<think>".into(), closes: "</think>".into() }
    }
}

impl Reward for {{Type}} {
    const NAME: &'static str = "{{name}}";
    type Settings = Settings;

    fn new(settings: Settings) -> Result<{{Type}}> {
        if settings.opens.is_empty() || settings.closes.is_empty() {
            return Err(Error::invalid("an empty tag stands everywhere"));
        }
        Ok({{Type}} { settings })
    }

    fn reward(&self, answer: &Answer) -> Result<f64> {
        let Settings { opens, closes } = &self.settings;
        let text = answer.text().trim();
        let once = |tag: &str| text.matches(tag).count() == 1;
        let found = [once(opens), once(closes)];
        let parts = text.strip_prefix(opens.as_str()).and_then(|it| it.split_once(closes.as_str()));
        let is_filled = |it: (&str, &str)| !it.0.trim().is_empty() && !it.1.trim().is_empty();
        let is_whole = found == [true, true] && parts.is_some_and(is_filled);
        let tags = found.into_iter().filter(|it| *it).count() as f64;
        Ok(0.25 * tags + if is_whole { 0.5 } else { 0.0 })
    }
}

finetuned_sdk::export! { rewards: [{{Type}}] }

#[cfg(test)]
mod tests {
    use super::{{Type}};
    use finetuned_sdk::testing;

    #[test]
    fn thoughts_come_first_and_an_answer_behind_them() {
        let reward = |settings: &str, answer: &str| {
            testing::reward::<{{Type}}>(settings, "2 + 2?", answer, "{}")
        };
        let of = |answer: &str| reward("{}", answer).expect("a reward");
        assert_eq!([of("<think>two and two</think> 4"), of("4")], [1.0, 0.0]);
        assert_eq!([of("<think>two"), of("<think></think>")], [0.25, 0.5]);
        assert_eq!([of("So <think>two</think> 4"), of("<think><think>2</think> 4")], [0.5, 0.25]);
        let refused = reward(r#"{"opens": ""}"#, "4").expect_err("refused");
        assert_eq!(refused.to_string(), "an empty tag stands everywhere");
    }
}
