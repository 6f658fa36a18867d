//! A metric: how often the true class is among the `k` most probable. Change it to what you need;
//! `cargo test` says whether it holds.

#![forbid(unsafe_code)]

use finetuned_sdk::{Error, Metric, Predictions, Result};
use serde::Deserialize;

pub struct {{Type}} {
    k: usize,
    hits: u64,
    seen: u64,
}

/// `[plugins.settings.{{name}}]` in a recipe.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    k: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { k: 3 }
    }
}

impl Metric for {{Type}} {
    const NAME: &'static str = "{{name}}";
    const HIGHER_IS_BETTER: bool = true;
    type Settings = Settings;

    fn new(settings: Settings, _classes: &[&str]) -> Result<{{Type}}> {
        if settings.k == 0 {
            return Err(Error::invalid("k = 0: at least 1"));
        }
        Ok({{Type}} { k: settings.k, hits: 0, seen: 0 })
    }

    fn update(&mut self, batch: &Predictions) -> Result<()> {
        for (row, label) in batch.rows() {
            let more_probable = row.iter().filter(|&&it| row[label] < it).count();
            self.hits += u64::from(more_probable < self.k);
            self.seen += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: &{{Type}}) -> Result<()> {
        self.hits += other.hits;
        self.seen += other.seen;
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        if self.seen == 0 {
            return Err(Error::invalid("no examples were seen"));
        }
        Ok(self.hits as f64 / self.seen as f64)
    }
}

finetuned_sdk::export! { metrics: [{{Type}}] }

#[cfg(test)]
mod tests {
    use super::{{Type}};
    use finetuned_sdk::testing;

    #[test]
    fn counts_however_the_examples_are_divided() {
        let first = vec![0.5, 0.3, 0.2];
        let examples = [(first.clone(), 1), (first, 2), (vec![0.1, 0.1, 0.8], 2)];
        let score = |settings| testing::metric::<{{Type}}>(settings, &["a", "b", "c"], &examples);
        assert_eq!(score(r#"{"k": 2}"#).expect("a score"), 2.0 / 3.0);
        assert_eq!(score(r#"{"k": 0}"#).expect_err("refused").to_string(), "k = 0: at least 1");
    }
}
