//! A linear probe: the linear map of what the frozen base gives for an example that fits the
//! training examples best. Decides what it learns from and how strong its penalty is; the fit is
//! `fit`'s, and what becomes of the probe is left to `training`.

mod fit; // features and targets -> a linear map

use crate::batches;
use crate::evaluate::Evaluation;
use crate::examples::ExampleSet;
use crate::failures::model_failure;
use crate::learner::Learner;
use crate::modality;
use crate::network::{self, Network};
use crate::prepare::{Data, Prepared};
use crate::source::Source;
use crate::stored::{Examples, Stored};
use crate::units::Units;
use anyhow::{Context, Result};
use finetuned_answers::Target;
use finetuned_job::outcome::{self, Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::scores::Split;
use finetuned_job::task;
use finetuned_models::{BuildOptions, HeadKind, Pass};
use fit::{Link, Map, Rows};
use tch::{Device, Kind, Tensor};

/// Of features whose variances add up to 1: from too strong a penalty to one too weak.
const STRENGTHS: [f64; 7] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
/// Where there are too few examples to tell.
const STRENGTH_DEFAULT: f64 = 1.0;
const FOLDS: usize = 5;
/// Fewer are too few to be divided.
const CROSS_VALIDATED_MIN: usize = 2 * FOLDS;
/// Up to so many each fold is held out once; of more, one says enough.
const EVERY_FOLD_MAX: usize = 2_000;
/// A probe learns little from more, and must take seconds.
const EXAMPLES_MAX: usize = 20_000;
/// Of the mean loss's gradient, while strengths are compared and in the end.
const ROUGH: f64 = 1e-4;
const EXACT: f64 = 1e-6;

pub(crate) struct Probe {
    /// (outputs, width) and (outputs), fp32: of features as they are.
    pub weight: Tensor,
    pub bias: Tensor,
    pub outcome: outcome::Probe,
}

/// Whether there is one: it is a map of one row for each example, which has one target.
pub(crate) fn is_of(plan: &Plan) -> bool {
    let rows = modality::of(plan.task.modality).rows();
    rows == finetuned_models::Rows::PerExample && !plan.task.objective.compares()
}

/// Before anything has trained.
pub(crate) fn probe(
    learner: &Learner,
    (plan, prepared): (&Plan, &Prepared),
    (train, validation): (Examples, Examples),
    mut check: impl FnMut() -> Result<()>,
) -> Result<Probe> {
    let own = frozen(learner, prepared)?;
    let network = own.as_ref().unwrap_or(&learner.network);
    // What is cached belongs to the model that learns, whose rows are others.
    let train = Examples { cache: train.cache.filter(|_| own.is_none()), ..train };
    let chosen = some(train.set);
    let targets = train.set.targets(&chosen.concat());
    let features = rows_of(network, train, chosen, |it| Ok(it.shallow_clone()), &mut check)?;
    let scale = Scale::of(&features)?;
    let units = learner.network.units.as_ref();
    let rows = rows(plan, &targets, scale.down(&features)?, units)?;
    drop(features);
    let c = strength(&rows, &keys(&targets), &mut check)?;
    let map = scale.up(&rows.fit(c, EXACT, None)?)?;

    let (split, Examples { set, cache }) = reported(&prepared.data, validation);
    let reported = Examples { set, cache: cache.filter(|_| own.is_none()) };
    let batches = set.evaluation_batches();
    let order = numbers(&batches.concat())?;
    let outputs = rows_of(network, reported, batches, |it| map.outputs(it), &mut check)?;
    let outputs = outputs.f_zeros_like()?.f_index_copy(0, &order, &outputs)?;
    let outputs = match units {
        Some(units) => units.up(&outputs.f_to(units.device())?)?,
        None => outputs,
    };
    let scores = Evaluation::of_outputs(&outputs, learner.objective.as_ref(), set)?.scores_only(
        split,
        set,
        plan,
        &prepared.extensions,
    )?;
    let mut metrics = scores.metrics;
    metrics.insert("loss".into(), scores.loss);
    let device = learner.network.device;
    let float = |it: &Tensor| it.f_to_kind(Kind::Float)?.f_to(device);
    Ok(Probe {
        weight: float(&map.weight)?,
        bias: float(&map.bias)?,
        outcome: outcome::Probe { c, metrics, start: None },
    })
}

/// Where what learns has no row for a text that a linear map could take: the base by itself.
fn frozen(learner: &Learner, prepared: &Prepared) -> Result<Option<Network>> {
    let Some(pooling) = prepared.base.checkpoint.pooling().map_err(model_failure)? else {
        return Ok(None);
    };
    if learner.takes_rows() {
        return Ok(None);
    }
    let device = learner.network.device;
    let head = BuildOptions::new(HeadKind::Linear(1, pooling));
    let options = BuildOptions { device, storage: network::storage(prepared.storage), ..head };
    let model = prepared.base.checkpoint.build(&options).map_err(model_failure)?.model;
    let parts = model.parts().clone();
    Ok(Some(Network { model, head: None, parts, outputs: 1, device, units: None }))
}

/// Batches of all examples, or of those that the lot falls on.
fn some(set: &ExampleSet) -> Vec<Vec<u32>> {
    if set.len() <= EXAMPLES_MAX {
        return set.evaluation_batches();
    }
    let mut left = EXAMPLES_MAX;
    let groups = batches::groups(&set.lengths()).into_iter();
    groups
        .take_while(|it| {
            let room = 0 < left;
            left = left.saturating_sub(it.len());
            room
        })
        .collect()
}

/// The split that is reported on; only of validation something is cached.
fn reported<'a>(data: &'a Data, validation: Examples<'a>) -> (Split, Examples<'a>) {
    match data.report_split() {
        (Split::Validation, _) => (Split::Validation, validation),
        (split, set) => (split, Examples { set, cache: None }),
    }
}

/// (n) int64
fn numbers(of: &[u32]) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(&of.iter().map(|&it| i64::from(it)).collect::<Vec<i64>>())?)
}

/// What `of` makes of the features (rows, width) of each batch, f64 on the CPU: the rows of the
/// batches in their order.
fn rows_of(
    network: &Network,
    examples: Examples,
    batches: Vec<Vec<u32>>,
    of: impl Fn(&Tensor) -> Result<Tensor>,
    check: &mut impl FnMut() -> Result<()>,
) -> Result<Tensor> {
    let total: usize = batches.iter().map(Vec::len).sum();
    let (mut all, mut from): (Option<Tensor>, i64) = (None, 0);
    let mut source = Stored::plain(examples, batches, network.device);
    while let Some(batch) = source.next(network) {
        let batch = batch?;
        let rows = tch::no_grad(|| network.model.features(&batch.input, &Pass::evaluation()))?.xs;
        let rows = rows.f_flatten(1, -1)?.f_to_device_(Device::Cpu, Kind::Double, false, false)?;
        if rows.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            let message = "the base model gives features that are no numbers";
            return Err(Failure::new(FailureKind::Model, message)
                .with_cure("fetch it again, or set model.base to another")
                .into());
        }
        let rows = of(&rows)?;
        let (n, width) = rows.size2()?;
        let all = match &mut all {
            Some(all) => all,
            none => none.insert(Tensor::f_zeros([total as i64, width], tch::kind::DOUBLE_CPU)?),
        };
        all.f_narrow(0, from, n)?.f_copy_(&rows)?;
        from += n;
        check()?;
    }
    all.context("a split is empty")
}

/// Brings features to a mean of 0 and variances that add up to 1, the same for all, so that one
/// strength means the same for every base.
struct Scale {
    /// (width)
    mean: Tensor,
    deviation: f64,
}

impl Scale {
    fn of(features: &Tensor) -> Result<Scale> {
        let mean = features.f_mean_dim([0_i64].as_slice(), false, Kind::Double)?;
        let squares = features.f_sub(&mean)?.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        let deviation = (squares / features.size()[0].max(1) as f64).sqrt();
        Ok(Scale { mean, deviation: if 0.0 < deviation { deviation } else { 1.0 } })
    }

    fn down(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_sub(&self.mean)?.f_div_scalar(self.deviation)?)
    }

    /// A map of features in this scale -> of features as they are.
    fn up(&self, map: &Map) -> Result<Map> {
        let weight = map.weight.f_div_scalar(self.deviation)?;
        let bias = map.bias.f_sub(&weight.f_mv(&self.mean)?)?;
        Ok(Map { weight, bias })
    }
}

/// `features`: of the examples that have these targets.
fn rows(plan: &Plan, of: &[&Target], features: Tensor, units: Option<&Units>) -> Result<Rows> {
    let link = match plan.task.objective {
        task::Objective::CrossEntropy
        | task::Objective::TokenCrossEntropy
        | task::Objective::MaskedTokens
        | task::Objective::NextTokens
        | task::Objective::Preferences
        | task::Objective::Rewards
        | task::Objective::GroupRelative => Link::Softmax,
        task::Objective::BinaryCrossEntropy => Link::Sigmoid,
        task::Objective::SquaredError => Link::Identity,
    };
    let outputs = plan.data.outputs().len();
    // Those of several labels weigh labels, not examples.
    let weigh = |class: usize| plan.train.class_weight_values.get(class).copied().unwrap_or(1.0);
    let positive: Vec<f64> =
        (0..outputs).map(|it| if link == Link::Sigmoid { weigh(it) } else { 1.0 }).collect();
    let mut targets = Vec::with_capacity(of.len() * outputs);
    let mut weights = Vec::with_capacity(of.len());
    for target in of {
        let mut row = vec![0.0; outputs];
        target.classes().iter().for_each(|&it| row[it as usize] = 1.0);
        targets.extend(if link == Link::Identity { target.numbers().to_vec() } else { row });
        let class = target.classes().first().map_or(0, |&it| it as usize);
        weights.push(if link == Link::Softmax { weigh(class) } else { 1.0 });
    }
    let targets = Tensor::f_from_slice(&targets)?.f_view([-1, outputs as i64])?;
    let targets = match units {
        Some(units) => units.down(&targets.f_to(units.device())?)?.f_to(Device::Cpu)?,
        None => targets,
    };
    let (weights, positive) = (Tensor::f_from_slice(&weights)?, Tensor::f_from_slice(&positive)?);
    Ok(Rows { link, features, targets, weights, positive })
}

/// What examples are divided by, so that each fold has some of each class.
fn keys(targets: &[&Target]) -> Vec<u32> {
    targets.iter().map(|it| it.classes().first().copied().unwrap_or(0)).collect()
}

/// The strength with the smallest loss on folds that were held out.
fn strength(rows: &Rows, keys: &[u32], check: &mut impl FnMut() -> Result<()>) -> Result<f64> {
    if keys.len() < CROSS_VALIDATED_MIN {
        return Ok(STRENGTH_DEFAULT);
    }
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|&it| (keys[it], batches::mix(0, it as u64)));
    let mut fold_of = vec![0; keys.len()];
    order.iter().enumerate().for_each(|(rank, &it)| fold_of[it] = rank % FOLDS);
    let number = if keys.len() <= EVERY_FOLD_MAX { FOLDS } else { 1 };
    let part = |within: &dyn Fn(usize) -> bool| {
        let of: Vec<i64> =
            (0..keys.len()).filter(|&it| within(fold_of[it])).map(|it| it as i64).collect();
        rows.select(&of)
    };
    let mut folds: Vec<(Rows, Rows, Option<Map>)> = (0..number)
        .map(|fold| Ok((part(&|it| it != fold)?, part(&|it| it == fold)?, None)))
        .collect::<Result<_>>()?;
    let mut best = (STRENGTH_DEFAULT, f64::INFINITY);
    for c in STRENGTHS {
        let mut loss = 0.0;
        for (learnt, held_out, map) in &mut folds {
            let found = learnt.fit(c, ROUGH, map.as_ref())?;
            loss += held_out.loss(&found)?;
            *map = Some(found);
            check()?;
        }
        if best.1 <= loss {
            break; // a weaker penalty is worse still
        }
        best = (c, loss);
    }
    Ok(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature_cache::FeatureCache;
    use crate::modality::Inputs;
    use crate::planning::tests::{images, plan_of, texts};
    use finetuned_job::recipe::Recipe;
    use finetuned_job::task::{Answer, Modality};
    use std::path::Path;

    fn base() -> finetuned_models::Checkpoint {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny-bert");
        finetuned_models::open(&folder).unwrap()
    }

    /// Texts, each of a class of its own.
    fn set(texts: &[&str]) -> ExampleSet {
        let texts: Vec<String> = texts.iter().map(|it| it.to_string()).collect();
        let named = finetuned_data::inputs(Modality::Text, &texts, &[]).unwrap();
        let inputs = Inputs::Named(named.into());
        let encoder = modality::of(Modality::Text).encoder(&base(), &Recipe::default()).unwrap();
        let encoded = encoder.encode(&inputs, &mut |_| Ok(())).unwrap();
        let targets = (0..inputs.len() as u32).map(|it| Target::of_classes([it])).collect();
        ExampleSet { inputs, encoded, targets, reference: std::cell::OnceCell::new() }
    }

    #[test]
    fn rows_are_those_of_the_batches_in_their_order_and_no_others() {
        let device = Device::Cpu;
        let model = base().build(&BuildOptions::new(HeadKind::Classes(2))).unwrap().model;
        let parts = model.parts().clone();
        let network = Network { model, head: None, parts, outputs: 2, device, units: None };
        let set = set(&["a good movie", "bad", "sad film", "a film", "good"]);
        let rows = |batches: &[&[u32]], of: &dyn Fn(&Tensor) -> Result<Tensor>| {
            let examples = Examples { set: &set, cache: None };
            let batches = batches.iter().map(|it| it.to_vec()).collect();
            rows_of(&network, examples, batches, of, &mut || Ok(())).unwrap()
        };
        let as_they_are = |it: &Tensor| Ok(it.shallow_clone());
        let three = rows(&[&[3], &[1, 0]], &as_they_are);
        for (at, example) in [3, 1, 0].into_iter().enumerate() {
            let alone = rows(&[&[example]], &as_they_are);
            assert!(three.get(at as i64).allclose(&alone.get(0), 1e-5, 1e-5, false), "{example}");
        }
        assert_eq!(three.size()[0], 3);
        let first = rows(&[&[3], &[1, 0]], &|it| Ok(it.narrow(1, 0, 1)));
        assert!(first.equal(&three.narrow(1, 0, 1)));
    }

    #[test]
    fn class_weights_weigh_examples_of_one_label_and_labels_of_several() {
        let targets = [&[1][..], &[0, 1], &[]].map(|it: &[u32]| Target::of_classes(it));
        let rows = |answer, targets: &[Target]| {
            let plan = plan_of("train.class_weights = 'auto'", &images(answer));
            let features = Tensor::zeros([targets.len() as i64, 1], tch::kind::DOUBLE_CPU);
            let rows = rows(&plan, &targets.iter().collect::<Vec<_>>(), features, None).unwrap();
            [rows.weights, rows.positive].map(|it| Vec::<f64>::try_from(it).unwrap())
        };
        // Of 1000 training examples 750 have the first class and 250 the second.
        assert_eq!(rows(Answer::Classes, &targets), [vec![1.0; 3], vec![1.0 / 3.0, 3.0]]);
        assert_eq!(rows(Answer::Class, &targets[..1]), [vec![2.0], vec![1.0; 2]]);
    }

    #[test]
    fn what_is_cached_of_validation_is_used_where_it_is_reported_on() {
        let cache = FeatureCache::empty();
        let data = |test: &[&str]| Data {
            report: texts().data,
            outputs: Vec::new(),
            train: set(&["a", "b"]),
            validation: set(&["good", "bad"]),
            all: None,
            test: set(test),
        };
        for (test, expected) in
            [(&[][..], (Split::Validation, true)), (&["sad"], (Split::Test, false))]
        {
            let data = data(test);
            let validation = Examples { set: &data.validation, cache: Some(&cache) };
            let (split, examples) = reported(&data, validation);
            assert_eq!((split, examples.cache.is_some()), expected);
            assert_eq!(examples.set.len(), data.report_split().1.len());
        }
    }
}
