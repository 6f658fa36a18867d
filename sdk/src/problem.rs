//! What is learnt: one label to an example, several, or numbers. Heads, losses and metrics claim it
//! and are told it.

use crate::abi;
use crate::error::{Error, Result};
use std::fmt;

/// As `problem_type` in the configs of transformers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// One class of each example is true: logits of a softmax.
    SingleLabel,
    /// Any number of classes of each example are true, also none: a logit for each.
    MultiLabel,
    /// Numbers, an output for each. Heads and losses work in the model's own units, where the
    /// training examples of each have mean 0 and deviation 1; metrics see the data's units.
    Regression,
}

impl Problem {
    /// Every one of them.
    pub const ALL: &'static [Problem] =
        &[Problem::SingleLabel, Problem::MultiLabel, Problem::Regression];

    const fn bit(self) -> u64 {
        match self {
            Problem::SingleLabel => abi::PROBLEM_SINGLE_LABEL,
            Problem::MultiLabel => abi::PROBLEM_MULTI_LABEL,
            Problem::Regression => abi::PROBLEM_REGRESSION,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Problem::SingleLabel => "one label",
            Problem::MultiLabel => "several labels",
            Problem::Regression => "numbers",
        })
    }
}

/// The field `problems` of a table.
pub(crate) const fn claim(problems: &[Problem]) -> u64 {
    assert!(!problems.is_empty(), "PROBLEMS is empty: it is made for nothing");
    let (mut all, mut i) = (0, 0);
    while i < problems.len() {
        all |= problems[i].bit();
        i += 1;
    }
    all
}

/// The field `problem` of a shape, held against what was claimed.
pub(crate) fn served(bits: u64, name: &str, claimed: &[Problem]) -> Result<Problem> {
    // An older host knows of one label only.
    let bits = if bits == 0 { abi::PROBLEM_SINGLE_LABEL } else { bits };
    let known = Problem::ALL.iter().find(|it| it.bit() == bits);
    let problem = *known.ok_or_else(|| {
        Error::failed(format!(
            "the host asked for the problem {bits}, which this SDK does not know"
        ))
    })?;
    one_of(problem, name, claimed)
}

/// # Errors
/// It was not claimed.
pub(crate) fn one_of(problem: Problem, name: &str, claimed: &[Problem]) -> Result<Problem> {
    if claimed.contains(&problem) {
        return Ok(problem);
    }
    let claimed: Vec<String> = claimed.iter().map(Problem::to_string).collect();
    Err(Error::failed(format!(
        "{name} is asked for {problem}, but its PROBLEMS are {}",
        claimed.join(", ")
    )))
}
