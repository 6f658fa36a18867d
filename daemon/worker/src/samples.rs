//! Beginnings of some held-out texts, and how a model goes on with them: what a person reads to see
//! what training has changed. Always the likeliest token, so that it is the same again.

use crate::attempt::Attempt;
use crate::examples::ExampleSet;
use crate::generate::generate;
use crate::modality::Encoder;
use crate::network::Network;
use crate::rules;
use anyhow::Result;
use finetuned_job::outcome::Sample;
use finetuned_job::plan::Plan;
use finetuned_job::spec::Sampling;
use std::ops::Range;

/// Beginnings, evenly spread over the examples.
const SAMPLES: usize = 20;
/// Tokens that are gone on with, and shown of what stands there.
const TOKENS: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Beginning<'a> {
    prompt: &'a [u32],
    reference: Reference<'a>,
}

/// What stands there in the data.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference<'a> {
    Tokens(&'a [u32]),
    /// Beside a prompt that the model answers itself; may be empty.
    Field(String),
}

/// Up to the last part that is learnt; a text that is learnt as a whole is halved.
fn beginning<'a>(tokens: &'a [u32], learnt: &[Range<u32>]) -> Option<Beginning<'a>> {
    let last = learnt.last()?;
    let (start, end) = (last.start as usize, last.end as usize);
    let start = if start <= 1 { end / 2 } else { start };
    let reference = tokens.get(start..end.min(start + TOKENS))?;
    let is_there = 0 < start && !reference.is_empty();
    let reference = Reference::Tokens(reference);
    is_there.then_some(Beginning { prompt: &tokens[..start], reference })
}

/// A prompt as it is, with what the first reward holds its answer against.
fn asked<'a>(set: &'a ExampleSet, index: u32, plan: &Plan) -> Option<Beginning<'a>> {
    let asked = set.encoded.asked(index)?;
    let rewards = plan.train.grpo.iter().flat_map(|it| &it.rewards);
    let field = rewards.filter_map(|it| it.rule.field()).next();
    let reference = field.map_or_else(String::new, |it| rules::text_of(&asked.fields, it));
    Some(Beginning { prompt: set.encoded.tokens(index), reference: Reference::Field(reference) })
}

fn beginnings<'a>(set: &'a ExampleSet, plan: &Plan) -> Vec<Beginning<'a>> {
    let count = set.len().min(SAMPLES);
    let of = |it: u32| {
        let begun = || beginning(set.encoded.tokens(it), &set.encoded.learnt(it));
        asked(set, it, plan).or_else(begun)
    };
    (0..count).filter_map(|it| of((it * set.len() / count) as u32)).collect()
}

/// What the model says to each beginning; nothing where texts are not gone on with.
///
/// # Errors
/// A stop signal; whatever the model refuses.
pub(crate) fn continued(
    network: &Network,
    (plan, encoder): (&Plan, &dyn Encoder),
    set: &ExampleSet,
    attempt: &mut Attempt,
) -> Result<Vec<String>> {
    if !plan.task.objective.goes_on() {
        return Ok(Vec::new());
    }
    let prompts: Vec<Vec<u32>> =
        beginnings(set, plan).iter().map(|it| it.prompt.to_vec()).collect();
    let most = plan.train.grpo.as_ref().map_or(TOKENS as u32, |it| it.max_completion_length);
    let sampling = Sampling { max_new_tokens: most, ..Sampling::default() };
    let how = (&sampling, plan.data.max_tokens);
    let found = generate(network, &prompts, encoder.ends(), how, &mut |_, _| attempt.stop.check())?;
    Ok(found.iter().map(|it| encoder.text(&it.tokens)).collect())
}

/// All that is known of each, in the order of `before` and `after`.
pub(crate) fn samples(
    (plan, encoder): (&Plan, &dyn Encoder),
    set: &ExampleSet,
    before: &[String],
    after: Vec<String>,
) -> Vec<Sample> {
    let sample = |((of, before), after): ((Beginning, &String), String)| Sample {
        prompt: encoder.text(of.prompt),
        reference: match of.reference {
            Reference::Tokens(tokens) => encoder.text(tokens),
            Reference::Field(text) => text,
        },
        before: before.clone(),
        after,
    };
    beginnings(set, plan).into_iter().zip(before).zip(after).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_asked_for_and_a_text_is_halved() {
        let tokens: Vec<u32> = (0..300).collect();
        let of = |learnt: &[(u32, u32)]| {
            let learnt: Vec<Range<u32>> = learnt.iter().map(|it| it.0..it.1).collect();
            let reference = |it: Reference| match it {
                Reference::Tokens(tokens) => tokens.len(),
                Reference::Field(text) => text.len(),
            };
            beginning(&tokens, &learnt).map(|it| (it.prompt.len(), reference(it.reference)))
        };
        assert_eq!(of(&[(5, 8), (20, 30)]), Some((20, 10)));
        assert_eq!(of(&[(1, 20)]), Some((10, 10)));
        assert_eq!(of(&[(20, 300)]), Some((20, TOKENS)));
        assert_eq!(of(&[(0, 1)]), None, "one token begins nothing");
        assert_eq!(of(&[]), None);
    }
}
