//! Gradient checkpointing (Chen et al. 2016): lower stages keep what they were given instead of all
//! that they computed, and run once more when their gradients are wanted. Decides which stages;
//! gradients and statistics are the same bit for bit, since noise is a function of the pass and
//! batch norm's statistics move only once.

use crate::network::Network;
use anyhow::Result;
use finetuned_models::{Input, Pass};
use tch::Tensor;

/// Stages that are given less than this part of what the largest is given keep their graph:
/// together they take about as much as the largest alone, which needs its own anyway when it runs
/// again.
const SMALL: usize = 8;

/// What the lower stages of a pass were given.
pub(crate) struct Lower {
    /// The lowest stage with anything that trains.
    first: usize,
    /// Of each stage from there on.
    given: Vec<Input>,
    /// What the highest of them gave, and where the graph of all above begins.
    pub top: Input,
}

impl Lower {
    /// Runs the lower stages without a graph.
    pub(crate) fn run(
        network: &Network,
        input: &Input,
        first: usize,
        pass: &Pass,
    ) -> Result<Lower> {
        let below =
            if first == 0 { input.shallow_clone() } else { network.run(input, first, pass)? };
        let mut lower = Lower { first, given: Vec::new(), top: below };
        let mut largest = 0;
        // The last stage's graph would be wanted again at once.
        for stage in first..network.model.stages() - 1 {
            largest = largest.max(lower.top.xs.numel());
            if lower.top.xs.numel() < largest / SMALL {
                break;
            }
            let next = tch::no_grad(|| network.run(&lower.top, stage + 1, pass))?;
            lower.given.push(std::mem::replace(&mut lower.top, next));
        }
        if !lower.given.is_empty() {
            lower.top = leaf(&lower.top);
        }
        Ok(lower)
    }

    /// Adds the gradients of the lower stages, after those above them.
    pub(crate) fn backward(self, network: &Network, pass: &Pass) -> Result<()> {
        let Lower { first, mut given, top } = self;
        let pass = Pass { again: true, ..*pass };
        let mut above = top;
        while let Some(input) = given.pop() {
            let gradient = above.xs.f_grad()?;
            if !gradient.defined() {
                return Ok(()); // the head looks at nothing
            }
            let stage = first + given.len();
            above = if given.is_empty() { input } else { leaf(&input) };
            let output: Tensor = network.run(&above, stage + 1, &pass)?.xs;
            finetuned_libtorch::backward(&output, &gradient)?;
        }
        Ok(())
    }
}

/// The same numbers, where a gradient graph begins.
fn leaf(input: &Input) -> Input {
    input.after(input.stage, input.xs.detach().set_requires_grad(true))
}
