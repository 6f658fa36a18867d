//! What a recipe says of answers that the model makes itself and that rewards score: how they are
//! sampled, what they are rewarded for and how that is learnt. Keys of `[grpo]` are those of TRL's
//! `GRPOConfig`. What a reward computes is left to the worker.

use super::limits::{Wrong, above_0, from_to, within, wrong};
use super::raw::{RawGrpo, RawReward};
use super::readable;
use serde::{Deserialize, Serialize};

/// Group relative policy optimisation (Shao et al. 2024).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GrpoChoice {
    /// Answers to each prompt: a group.
    pub num_generations: u32,
    /// Most tokens of an answer; absent: by the room that a model has.
    pub max_completion_length: Option<u32>,
    pub temperature: f64,
    pub top_p: f64,
    /// 0: all tokens.
    pub top_k: u32,
    /// How far the likelihood of a token may fall by one lot of answers before nothing more is
    /// learnt of it.
    pub epsilon: f64,
    /// How far it may rise.
    pub epsilon_high: f64,
    /// Of the divergence from the base; 0: nobody asks the base.
    pub beta: f64,
    pub loss_type: GrpoLoss,
    pub scale_rewards: ScaleRewards,
    /// Updates by one lot of answers.
    pub num_iterations: u32,
}

impl Default for GrpoChoice {
    fn default() -> GrpoChoice {
        grpo(RawGrpo::default()).expect("an empty table is a good one: tested in `recipe`")
    }
}

/// What the losses of tokens are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrpoLoss {
    /// Of each answer its own tokens, and then the answers (Shao et al. 2024).
    Grpo,
    /// The tokens of a forward pass.
    Bnpo,
    /// Answers, as if each were as long as it may be (Liu et al. 2025).
    DrGrpo,
    /// The tokens of an update (Yu et al. 2025).
    Dapo,
}

impl GrpoLoss {
    pub const ALL: [GrpoLoss; 4] =
        [GrpoLoss::Grpo, GrpoLoss::Bnpo, GrpoLoss::DrGrpo, GrpoLoss::Dapo];

    /// As a recipe says it.
    pub fn name(self) -> &'static str {
        match self {
            GrpoLoss::Grpo => "grpo",
            GrpoLoss::Bnpo => "bnpo",
            GrpoLoss::DrGrpo => "dr_grpo",
            GrpoLoss::Dapo => "dapo",
        }
    }
}

/// The deviation that rewards are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRewards {
    /// That of the answers to one prompt.
    Group,
    /// That of all answers of an update.
    Batch,
    None,
}

impl ScaleRewards {
    pub const ALL: [ScaleRewards; 3] =
        [ScaleRewards::Group, ScaleRewards::Batch, ScaleRewards::None];

    pub fn name(self) -> &'static str {
        match self {
            ScaleRewards::Group => "group",
            ScaleRewards::Batch => "batch",
            ScaleRewards::None => "none",
        }
    }
}

/// One of the things that answers are rewarded for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardChoice {
    pub rule: RewardRule,
    /// What it counts in the sum.
    pub weight: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum RewardRule {
    /// 1 where the answer is what stands in this column, without white space around.
    ExactMatch { field: String },
    /// 1 where the last number of the answer is the last one in this column.
    Number { field: String },
    /// 1 where a part of the answer is such.
    Regex { pattern: String },
    /// 1 where the answer has so many characters, less the further away it is.
    Length { min: u32, max: u32 },
    /// 1 where the answer is an object or a list of JSON, and nothing else.
    Json,
    /// What a reward model gives: a folder, or a name of the hub, as `model.base` is.
    Model { model: String },
    /// A plugin's.
    Plugin { reward: String },
}

impl RewardRule {
    const OURS: [&str; 5] = ["exact_match", "number", "regex", "length", "json"];

    /// As a recipe says it.
    pub fn name(&self) -> &str {
        match self {
            RewardRule::ExactMatch { .. } => "exact_match",
            RewardRule::Number { .. } => "number",
            RewardRule::Regex { .. } => "regex",
            RewardRule::Length { .. } => "length",
            RewardRule::Json => "json",
            RewardRule::Model { model } => model,
            RewardRule::Plugin { reward } => reward,
        }
    }

    /// The column that it reads.
    pub fn field(&self) -> Option<&str> {
        match self {
            RewardRule::ExactMatch { field } | RewardRule::Number { field } => Some(field),
            _ => None,
        }
    }

    /// The model that it asks.
    pub fn model(&self) -> Option<&str> {
        match self {
            RewardRule::Model { model } => Some(model),
            _ => None,
        }
    }
}

fn named<T: Copy>(
    field: &'static str,
    all: &[T],
    name: fn(T) -> &'static str,
    asked: &str,
) -> Result<T, Wrong> {
    let known: Vec<&str> = all.iter().map(|it| name(*it)).collect();
    let found = all.iter().copied().find(|it| name(*it) == asked);
    found.map_or_else(
        || wrong(field, format!("is `{asked}`, but must be one of {}", known.join(", "))),
        Ok,
    )
}

pub(super) fn grpo(raw: RawGrpo) -> Result<GrpoChoice, Wrong> {
    /// A group tells more of its answers from each other the larger it is; no memory has room for
    /// more than so many.
    const GENERATIONS_MAX: u32 = 1_024;
    let epsilon = within("grpo.epsilon", raw.epsilon.unwrap_or(0.2), 0.0..1.0)?;
    let temperature = raw.temperature.unwrap_or(1.0);
    let top_p = raw.top_p.unwrap_or(1.0);
    if !(0.0 < top_p && top_p <= 1.0) {
        return wrong("grpo.top_p", format!("is {top_p}, but must be above 0 and at most 1"));
    }
    if 100.0 < temperature {
        return wrong("grpo.temperature", format!("is {temperature}, but must be at most 100"));
    }
    Ok(GrpoChoice {
        num_generations: from_to(
            "grpo.num_generations",
            raw.num_generations.unwrap_or(8),
            2,
            GENERATIONS_MAX,
        )?,
        max_completion_length: raw
            .max_completion_length
            .map(|it| from_to("grpo.max_completion_length", it, 1, 1_000_000))
            .transpose()?,
        temperature: above_0("grpo.temperature", temperature)?,
        top_p,
        top_k: raw.top_k.unwrap_or(0),
        epsilon,
        epsilon_high: raw
            .epsilon_high
            .map_or(Ok(epsilon), |it| within("grpo.epsilon_high", it, 0.0..100.0))?,
        beta: within("grpo.beta", raw.beta.unwrap_or(0.0), 0.0..100.0)?,
        loss_type: raw.loss_type.as_deref().map_or(Ok(GrpoLoss::Dapo), |it| {
            named("grpo.loss_type", &GrpoLoss::ALL, GrpoLoss::name, it)
        })?,
        scale_rewards: raw.scale_rewards.as_deref().map_or(Ok(ScaleRewards::Group), |it| {
            named("grpo.scale_rewards", &ScaleRewards::ALL, ScaleRewards::name, it)
        })?,
        num_iterations: from_to("grpo.num_iterations", raw.num_iterations.unwrap_or(1), 1, 100)?,
    })
}

pub(super) fn rewards(raw: Vec<RawReward>) -> Result<Vec<RewardChoice>, Wrong> {
    let of = |(nth, it): (usize, RawReward)| reward(it).map_err(|wrong| wrong.of_table(nth));
    raw.into_iter().enumerate().map(of).collect()
}

fn reward(raw: RawReward) -> Result<RewardChoice, Wrong> {
    /// Where a recipe names no column.
    const FIELD: &str = "answer";
    let weight = raw.weight.unwrap_or(1.0);
    if !weight.is_finite() || weight == 0.0 {
        return wrong("reward.weight", format!("is {weight}, but must be a number other than 0"));
    }
    if let Some(model) = &raw.model {
        let rule = RewardRule::Model { model: of_model(&raw, model)? };
        return Ok(RewardChoice { rule, weight });
    }
    let Some(name) = raw.name else {
        return wrong(
            "reward.name",
            "is missing: it, or reward.model, says what answers are rewarded for",
        );
    };
    let takes = |key: &'static str, of: &[&str], is_there: bool| match is_there {
        true if !of.contains(&name.as_str()) => {
            wrong(key, format!("is for {}, but this reward is `{name}`", of.join(" and ")))
        }
        _ => Ok(()),
    };
    takes("reward.field", &["exact_match", "number"], raw.field.is_some())?;
    takes("reward.pattern", &["regex"], raw.pattern.is_some())?;
    takes("reward.min", &["length"], raw.min.is_some())?;
    takes("reward.max", &["length"], raw.max.is_some())?;
    let field = raw.field.unwrap_or_else(|| FIELD.into());
    let rule = match name.as_str() {
        "exact_match" => RewardRule::ExactMatch { field },
        "number" => RewardRule::Number { field },
        "json" => RewardRule::Json,
        "regex" => match raw.pattern {
            Some(pattern) => RewardRule::Regex { pattern },
            None => return wrong("reward.pattern", "is missing: it is what `regex` looks for"),
        },
        "length" => match (raw.min.unwrap_or(0), raw.max) {
            (min, Some(max)) if min <= max && 0 < max => RewardRule::Length { min, max },
            (min, Some(max)) => {
                return wrong(
                    "reward.max",
                    format!("is {max}, but must be at least 1 and min, {min}"),
                );
            }
            (_, None) => {
                return wrong(
                    "reward.max",
                    "is missing: it says how many characters `length` allows",
                );
            }
        },
        _ => RewardRule::Plugin { reward: name },
    };
    Ok(RewardChoice { rule, weight })
}

/// That a reward model stands alone in its table.
fn of_model(raw: &RawReward, model: &str) -> Result<String, Wrong> {
    let others = [
        ("reward.name", raw.name.is_some()),
        ("reward.field", raw.field.is_some()),
        ("reward.pattern", raw.pattern.is_some()),
        ("reward.min", raw.min.is_some()),
        ("reward.max", raw.max.is_some()),
    ];
    if let Some((key, _)) = others.iter().find(|it| it.1) {
        let message = format!(
            "is not for a reward model, {model}: give it a [[reward]] of its own, or leave reward.model out"
        );
        return wrong(key, message);
    }
    match model.trim() {
        "" => wrong("reward.model", "is empty: it is a reward model's folder, or its hf: name"),
        some => Ok(some.into()),
    }
}

/// That a reward is none of ours, and no plugin is loaded that could bring it.
pub(super) fn without_plugins(rewards: &[RewardChoice]) -> Result<(), Wrong> {
    let of_plugin = |it: &RewardChoice| matches!(it.rule, RewardRule::Plugin { .. });
    let Some(nth) = rewards.iter().position(of_plugin) else { return Ok(()) };
    let name = rewards[nth].rule.name();
    let known = RewardRule::OURS;
    let message = format!(
        "`{name}` is not known{}; there are {}, and a plugin's wants `plugins.load`",
        readable::suggestion(name, &known),
        known.join(", ")
    );
    wrong("reward.name", message).map_err(|it: Wrong| it.of_table(nth))
}
