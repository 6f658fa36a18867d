//! A hook: stops when a score has reached a goal. Change it to what you need; `cargo test` says
//! whether it holds.

#![forbid(unsafe_code)]

use finetuned_sdk::{Error, Event, Hook, Progress, Result, Wish};
use serde::{Deserialize, Serialize};

pub struct {{Type}} {
    settings: Settings,
    seen: Seen,
}

/// `[plugins.settings.{{name}}]` in a recipe.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    score: String,
    goal: f64,
    /// Evaluations in a row that must reach it.
    times: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { score: "accuracy".into(), goal: 0.99, times: 1 }
    }
}

/// All that is remembered: it goes into every checkpoint.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Seen {
    reached: u64,
}

impl Hook for {{Type}} {
    const NAME: &'static str = "{{name}}";
    type Settings = Settings;
    type State = Seen;

    fn new(settings: Settings) -> Result<{{Type}}> {
        if settings.times == 0 {
            return Err(Error::invalid("times = 0: at least 1"));
        }
        Ok({{Type}} { settings, seen: Seen::default() })
    }

    fn progress(&mut self, progress: &Progress) -> Result<Wish> {
        let Event::Evaluated(scores) = progress.event else { return Ok(Wish::GO_ON) };
        let wanted = &self.settings.score;
        let score = scores
            .iter()
            .find(|it| it.name == *wanted)
            .ok_or_else(|| Error::invalid(format!("there is no score {wanted}")))?;
        let (goal, value) = (self.settings.goal, score.value);
        let reached = if score.higher_is_better { goal <= value } else { value <= goal };
        self.seen.reached = if reached { self.seen.reached + 1 } else { 0 };
        if self.seen.reached < self.settings.times {
            return Ok(Wish::GO_ON);
        }
        finetuned_sdk::info!("{wanted} is {} at step {}: stopping", score.value, progress.step);
        Ok(Wish::STOP)
    }

    fn state(&self) -> Seen {
        self.seen
    }

    fn resume(&mut self, state: Seen) {
        self.seen = state;
    }
}

finetuned_sdk::export! { hooks: [{{Type}}] }

#[cfg(test)]
mod tests {
    use super::{{Type}};
    use finetuned_sdk::{Event, Progress, Score, Wish, testing};

    #[test]
    fn stops_at_the_goal_also_if_killed_before() {
        let score = |value| Score { name: "accuracy", value, higher_is_better: true };
        let scores = [0.5, 0.9, 0.8, 0.9, 0.95].map(|value| [score(value)]);
        let at = |event| {
            let (epoch, loss, lr, gradient_norm) = (0.5, 0.3, 1e-3, 1.0);
            Progress { event, step: 1, steps: 9, epoch, loss, lr, gradient_norm }
        };
        let run: Vec<Progress> = scores.iter().map(|it| at(Event::Evaluated(it))).collect();
        let wishes = testing::hook::<{{Type}}>(r#"{"goal": 0.9, "times": 2}"#, &run).expect("wishes");
        assert_eq!(wishes, [Wish::GO_ON, Wish::GO_ON, Wish::GO_ON, Wish::GO_ON, Wish::STOP]);
    }
}
