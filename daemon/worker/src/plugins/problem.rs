//! What heads, losses and metrics claim to be made for, held against what the data have.

use super::border::Subject;
use super::opened::Functions;
use finetuned_answers::Target;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::task::Answer;
use finetuned_sdk::abi;

const ALL: [Answer; 3] = [Answer::Class, Answer::Classes, Answer::Numbers];

/// As a shape tells it. Where an example has a row of outputs for each of its places, which is one
/// of several classes, a plugin sees places as examples of one label each.
pub(super) fn number(problem: Answer) -> u64 {
    match problem {
        Answer::Classes => abi::PROBLEM_MULTI_LABEL,
        Answer::Numbers => abi::PROBLEM_REGRESSION,
        _ => abi::PROBLEM_SINGLE_LABEL,
    }
}

/// As a metric is given them: a class number for each row of outputs, or a row of `width` numbers;
/// the other one is empty.
pub(super) fn arrays(problem: Answer, targets: &[Target], width: usize) -> (Vec<u32>, Vec<f32>) {
    match problem {
        Answer::Classes => {
            let mut rows = vec![0.0; targets.len() * width];
            for (row, target) in rows.chunks_mut(width.max(1)).zip(targets) {
                target.classes().iter().for_each(|it| row[*it as usize] = 1.0);
            }
            (Vec::new(), rows)
        }
        Answer::Numbers => {
            let rows = targets.iter().flat_map(|it| it.numbers()).map(|it| *it as f32);
            (Vec::new(), rows.collect())
        }
        _ => (targets.iter().flat_map(|it| it.classes()).copied().collect(), Vec::new()),
    }
}

pub(super) fn words(problem: Answer) -> &'static str {
    match problem {
        Answer::Classes => "several labels",
        Answer::Numbers => "numbers",
        Answer::Tokens => "tokens of texts",
        Answer::Reward => "answers that are compared",
        Answer::Completion => "answers of the model's own",
        _ => "one label",
    }
}

impl Functions {
    /// What it can be created for; `None` where it sees nothing of that. Claims of a later version
    /// are unknown here and passed over.
    pub(super) fn problems(&self) -> Option<Vec<Answer>> {
        let claimed = match self {
            Functions::Head(it) => it.problems,
            Functions::Loss(it) => it.problems,
            Functions::Metric(it) => it.problems,
            Functions::Reader(_)
            | Functions::Hook(_)
            | Functions::Augmentation(_)
            | Functions::Reward(_) => return None,
        };
        // Made before there was a choice.
        let claimed = if claimed == 0 { abi::PROBLEM_SINGLE_LABEL } else { claimed };
        Some(ALL.into_iter().filter(|it| claimed & number(*it) != 0).collect())
    }

    /// # Errors
    /// It is not made for what the data have.
    pub(super) fn suit(&self, subject: &Subject, problem: Answer) -> Result<(), Failure> {
        // A loss sees tokens as examples of one label each; there are too many for anything else.
        let seen = problem != Answer::Tokens || matches!(self, Functions::Loss(_));
        let seen = seen && !matches!(problem, Answer::Reward | Answer::Completion);
        let fits = |it: &Vec<Answer>| seen && it.iter().any(|it| number(*it) == number(problem));
        let Some(claimed) = self.problems().filter(|it| !fits(it)) else { return Ok(()) };
        let claimed: Vec<&str> = claimed.into_iter().map(words).collect();
        let claimed = if claimed.is_empty() {
            "nothing that this finetuned knows".into()
        } else {
            claimed.join(" or ")
        };
        let message = format!(
            "{} is made for {claimed}, but the data have {}",
            subject.words,
            words(problem)
        );
        Err(Failure::new(FailureKind::Recipe, message)
            .with_cure("choose another one, or leave it out of the recipe"))
    }
}
