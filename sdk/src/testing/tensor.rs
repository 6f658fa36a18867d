//! Heads and losses under test, with the real libtorch.

use crate::error::{Error, Result};
use crate::head::Built;
use crate::problem::one_of;
use crate::settings::parse;
use crate::{Head, HeadInput, HeadShape, Loss, LossInput, Pass, Problem};
use tch::{Device, Kind, Tensor};

/// Step of the finite differences, which are taken in f64: the best for a difference of both sides.
const EPSILON: f64 = 1e-5;
/// Largest part by which a slope may differ from its gradient.
const TOLERANCE: f64 = 1e-4;

const TRAINING: Pass = Pass { train: true, seed: 1, step: 2, micro: 0 };
const EVALUATION: Pass = Pass { train: false, seed: 0, step: 0, micro: 0 };

/// Builds a head, fills it with `parameters` (by name; the others stay as the head made them) and
/// gives its outputs for `input`: those of evaluation, or, where there are labels, of training.
/// Checks on the way what `finetuned plugin check` checks too: the shape, that evaluation is the
/// same twice, and in f64 the gradient of every parameter and of the features against finite
/// differences; with made-up targets also of whatever else the head says that it is made for.
///
/// # Errors Those of the head; a parameter that it does not have; a problem that it does not claim.
///
/// # Panics What a head must hold does not hold.
pub fn head<H: Head>(
    settings: &str,
    shape: &HeadShape,
    parameters: &[(&str, Tensor)],
    input: &HeadInput,
) -> Result<Tensor> {
    let found = one_head::<H>(settings, shape, parameters, input)?;
    for &problem in H::PROBLEMS.iter().filter(|it| **it != input.problem) {
        let targets = made_up(problem, input.features.size()[0], shape.outputs, shape.device)?;
        let _ = one_head::<H>(
            settings,
            shape,
            parameters,
            &HeadInput { labels: Some(&targets), problem, ..*input },
        )?;
    }
    Ok(found)
}

fn one_head<H: Head>(
    settings: &str,
    shape: &HeadShape,
    parameters: &[(&str, Tensor)],
    input: &HeadInput,
) -> Result<Tensor> {
    tch::manual_seed(shape.seed as i64);
    let problem = one_of(input.problem, H::NAME, H::PROBLEMS)?;
    let mut built = Built::<H>::new(problem, parse(settings)?, shape)?;
    for (name, value) in parameters {
        let mut found = built.parameters();
        let tensor = found
            .get_mut(*name)
            .ok_or_else(|| Error::failed(format!("{} has no parameter {name}", H::NAME)))?;
        tch::no_grad(|| tensor.f_copy_(value))?;
    }
    let evaluate =
        || tch::no_grad(|| built.head.forward(&HeadInput { labels: None, ..*input }, &EVALUATION));
    let first = evaluate()?;
    assert!(
        first.equal(&evaluate()?),
        "{}: evaluation gives something else the second time",
        H::NAME
    );
    let batch = input.features.size()[0];
    assert_eq!(first.size(), [batch, shape.outputs], "{}: shape of the outputs", H::NAME);
    let outputs =
        if input.labels.is_some() { built.head.forward(input, &TRAINING)?.detach() } else { first };

    built.vars.double();
    let features = input.features.to_kind(Kind::Double).set_requires_grad(true);
    let labels = input.labels.map(double_targets);
    let input = HeadInput { features: &features, labels: labels.as_ref(), ..*input };
    let weights = Tensor::arange(batch * shape.outputs, (Kind::Double, shape.device))
        .sin()
        .view([batch, shape.outputs]);
    let value =
        || Result::Ok((built.head.forward(&input, &TRAINING)? * &weights).sum(Kind::Double));
    let mut leaves = vec![("features".to_string(), features.shallow_clone())];
    leaves.extend(built.parameters().into_iter().filter(|(_, it)| it.requires_grad()));
    slopes(H::NAME, &leaves, value)?;
    Ok(outputs)
}

/// The losses of every example. Checks the shape, that they are finite, and in f64 the gradients of
/// logits and features against finite differences; with made-up targets also of whatever else the
/// loss says that it is made for.
///
/// # Errors Those of the loss; a problem that it does not claim.
///
/// # Panics What a loss must hold does not hold.
pub fn loss<L: Loss>(settings: &str, input: &LossInput) -> Result<Tensor> {
    let found = one_loss::<L>(settings, input)?;
    for &problem in L::PROBLEMS.iter().filter(|it| **it != input.problem) {
        let (batch, outputs) = input.logits.size2()?;
        let targets = made_up(problem, batch, outputs, input.logits.device())?;
        let _ = one_loss::<L>(settings, &LossInput { labels: &targets, problem, ..*input })?;
    }
    Ok(found)
}

fn one_loss<L: Loss>(settings: &str, input: &LossInput) -> Result<Tensor> {
    let (batch, outputs) = input.logits.size2()?;
    let problem = one_of(input.problem, L::NAME, L::PROBLEMS)?;
    let loss = L::new_for(problem, parse(settings)?, outputs, input.logits.device())?;
    let losses = loss.forward(input, &TRAINING)?.detach();
    assert_eq!(losses.size(), [batch], "{}: one loss for each example", L::NAME);
    assert!(bool::try_from(losses.isfinite().all())?, "{}: {losses}", L::NAME);

    let double = |it: &Tensor| it.detach().to_kind(Kind::Double).set_requires_grad(true);
    let (logits, features, labels) =
        (double(input.logits), input.features.map(double), double_targets(input.labels));
    let weights = Tensor::arange(batch, (Kind::Double, logits.device())).cos();
    let value = || {
        let input =
            LossInput { logits: &logits, labels: &labels, features: features.as_ref(), problem };
        Result::Ok((loss.forward(&input, &TRAINING)? * &weights).sum(Kind::Double))
    };
    let mut leaves = vec![("logits".to_string(), logits.shallow_clone())];
    leaves.extend(features.iter().map(|it| ("features".to_string(), it.shallow_clone())));
    slopes(L::NAME, &leaves, value)?;
    Ok(losses)
}

/// Where logits are f64, so are numbers beside them; classes stay.
fn double_targets(targets: &Tensor) -> Tensor {
    if targets.is_floating_point() {
        targets.to_kind(Kind::Double)
    } else {
        targets.shallow_clone()
    }
}

/// Something to be true: classes in turn, sets of every third, numbers from -1 to 1.
fn made_up(problem: Problem, batch: i64, outputs: i64, device: Device) -> Result<Tensor> {
    let each =
        Tensor::f_arange(batch * outputs, (Kind::Float, device))?.f_view([batch, outputs])?;
    Ok(match problem {
        Problem::SingleLabel => {
            Tensor::f_arange(batch, (Kind::Int64, device))?.f_remainder(outputs)?
        }
        Problem::MultiLabel => each.f_remainder(3.0)?.f_eq(0.0)?.f_to_kind(Kind::Float)?,
        Problem::Regression => each.f_sin()?,
    })
}

/// Checks the gradient of `value` for each leaf, along one direction that touches all its numbers.
fn slopes(
    name: &str,
    leaves: &[(String, Tensor)],
    value: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    for (_, leaf) in leaves {
        let mut gradient = leaf.grad();
        if gradient.defined() {
            let _ = gradient.zero_();
        }
    }
    // A value that depends on no leaf has no graph, and slope 0 everywhere.
    let whole = value()?;
    if whole.requires_grad() {
        whole.f_backward()?;
    }
    for (leaf_name, leaf) in leaves {
        let direction = (Tensor::arange(leaf.numel() as i64, (Kind::Double, leaf.device())) * 1.7
            + 0.3)
            .sin()
            .view_as(leaf);
        let gradient = leaf.grad();
        let expected = if gradient.defined() {
            (&gradient * &direction).sum(Kind::Double).double_value(&[])
        } else {
            0.0
        };
        let at = |step: f64| {
            let mut leaf = leaf.shallow_clone();
            let _ = tch::no_grad(|| leaf.f_add_(&(&direction * step)))?;
            let there = tch::no_grad(&value)?.double_value(&[]);
            let _ = tch::no_grad(|| leaf.f_add_(&(&direction * -step)))?;
            Result::Ok(there)
        };
        let slope = (at(EPSILON)? - at(-EPSILON)?) / (2.0 * EPSILON);
        let tolerance = TOLERANCE * expected.abs().max(slope.abs()).max(1e-3);
        assert!(
            (slope - expected).abs() <= tolerance,
            "{name}: gradient of {leaf_name} is {expected}, finite differences say {slope}"
        );
    }
    Ok(())
}

/// Runs the tests of this crate again, linked to the libtorch of the environment variable LIBTORCH:
/// for a test of its own under `#[cfg(feature = "doc-only")]`, where nothing that computes can be
/// linked. Without libtorch it says so and passes.
///
/// # Panics The tests fail there.
#[cfg(feature = "doc-only")]
pub fn with_libtorch() {
    let Some(libtorch) = std::env::var_os("LIBTORCH").filter(|it| !it.is_empty()) else {
        eprintln!("LIBTORCH is not set: forward and backward were not tried");
        return;
    };
    let mut libraries = std::path::PathBuf::from(libtorch).join("lib").into_os_string();
    if let Some(others) = std::env::var_os("LD_LIBRARY_PATH") {
        libraries.push(":");
        libraries.push(others);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["test", "--no-default-features"])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .env("LD_LIBRARY_PATH", libraries)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the tests fail with libtorch: see above");
}
