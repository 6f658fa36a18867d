//! Decides which linear map fits features best, by scikit-learn's rules: logistic regression with
//! an L2 penalty, of one class or of each by itself, and ridge regression. Where features and
//! targets come from, and how strong the penalty is, is left to whoever asks.

use anyhow::{Context, Result};
use argmin::core::{CostFunction, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use std::cell::RefCell;
use tch::{Kind, Tensor};

/// Steps that L-BFGS remembers, as scikit-learn's.
const MEMORY: usize = 10;
/// More than any fit has needed; what is not quite at its end then is good enough.
const STEPS_MAX: u64 = 500;

/// What the outputs of a linear map are to the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Logits of one class of several.
    Softmax,
    /// Logits of each class by itself.
    Sigmoid,
    /// Numbers.
    Identity,
}

/// All in f64, on the CPU.
pub(super) struct Rows {
    pub link: Link,
    /// (rows, width)
    pub features: Tensor,
    /// (rows, outputs): ones at the classes, or numbers.
    pub targets: Tensor,
    /// (rows): of examples in the mean.
    pub weights: Tensor,
    /// (outputs): what having a class weighs against lacking it, where each stands by itself.
    pub positive: Tensor,
}

/// (outputs, width) and (outputs)
#[derive(Debug)]
pub(super) struct Map {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Rows {
    /// Those of these numbers, in f64 still.
    pub(super) fn select(&self, rows: &[i64]) -> Result<Rows> {
        let rows = Tensor::f_from_slice(rows)?;
        let of = |it: &Tensor| it.f_index_select(0, &rows);
        Ok(Rows {
            link: self.link,
            features: of(&self.features)?,
            targets: of(&self.targets)?,
            weights: of(&self.weights)?,
            positive: self.positive.shallow_clone(),
        })
    }

    fn sizes(&self) -> Result<(i64, i64)> {
        Ok((self.targets.size2()?.1, self.features.size2()?.1))
    }

    /// The map with the smallest loss and penalty; `c` is scikit-learn's, one by its alpha for
    /// numbers. `tolerance`: of the mean loss's gradient. `from`: near the map, where one is known.
    pub(super) fn fit(&self, c: f64, tolerance: f64, from: Option<&Map>) -> Result<Map> {
        if self.link == Link::Identity {
            return self.ridge(1.0 / c);
        }
        let (outputs, width) = self.sizes()?;
        let start = match from {
            Some(map) => map.numbers()?,
            None => vec![0.0; (outputs * (width + 1)) as usize],
        };
        let total = self.weights.f_sum(Kind::Double)?.f_double_value(&[])?;
        let problem =
            Problem { rows: self, penalty: 1.0 / (c * total), total, last: RefCell::default() };
        let solver =
            LBFGS::new(MoreThuenteLineSearch::new(), MEMORY).with_tolerance_grad(tolerance)?;
        let found = Executor::new(problem, solver)
            .configure(|state| state.param(start).max_iters(STEPS_MAX))
            .run()?;
        let best = found.state().get_best_param().context("L-BFGS found nothing")?;
        Map::of(best, outputs, width)
    }

    /// Least squares of centred features, the squares of the weights times `alpha` with them.
    fn ridge(&self, alpha: f64) -> Result<Map> {
        let centre = |it: &Tensor| it.f_mean_dim([0_i64].as_slice(), true, Kind::Double);
        let (middle, level) = (centre(&self.features)?, centre(&self.targets)?);
        let features = self.features.f_sub(&middle)?;
        let across = features.f_transpose(0, 1)?;
        let identity = Tensor::f_eye(middle.size2()?.1, (Kind::Double, middle.device()))?;
        let squares = across.f_matmul(&features)?.f_add(&identity.f_mul_scalar(alpha)?)?;
        let products = across.f_matmul(&self.targets.f_sub(&level)?)?;
        let weight = Tensor::f_linalg_solve(&squares, &products, true)?.f_transpose(0, 1)?;
        let bias = level.f_squeeze_dim(0)?.f_sub(&weight.f_mv(&middle.f_squeeze_dim(0)?)?)?;
        Ok(Map { weight: weight.f_contiguous()?, bias })
    }

    /// The mean over the rows of what this map is off by.
    pub(super) fn loss(&self, map: &Map) -> Result<f64> {
        let losses = self.losses(&map.outputs(&self.features)?)?;
        let weighted = losses.f_dot(&self.weights)?.f_div(&self.weights.f_sum(Kind::Double)?)?;
        Ok(weighted.f_double_value(&[])?)
    }

    /// (rows, outputs) -> (rows)
    fn losses(&self, outputs: &Tensor) -> Result<Tensor> {
        let each = match self.link {
            Link::Softmax => {
                outputs.f_log_softmax(-1, Kind::Double)?.f_mul(&self.targets)?.f_neg()?
            }
            Link::Sigmoid => {
                let losses = outputs.f_softplus()?.f_sub(&outputs.f_mul(&self.targets)?)?;
                losses.f_mul(&self.shares()?)?
            }
            Link::Identity => outputs.f_sub(&self.targets)?.f_square()?,
        };
        Ok(each.f_sum_dim_intlist(1, false, Kind::Double)?)
    }

    /// What outputs are too large by: (rows, outputs).
    fn residuals(&self, outputs: &Tensor) -> Result<Tensor> {
        let predicted = match self.link {
            Link::Softmax => outputs.f_softmax(-1, Kind::Double)?,
            Link::Sigmoid => outputs.f_sigmoid()?,
            Link::Identity => outputs.shallow_clone(),
        };
        let residuals = predicted.f_sub(&self.targets)?;
        Ok(if self.link == Link::Sigmoid { residuals.f_mul(&self.shares()?)? } else { residuals })
    }

    /// (rows, outputs): `positive` where the class is there, else 1.
    fn shares(&self) -> Result<Tensor> {
        Ok(self.targets.f_mul(&self.positive.f_sub_scalar(1.0)?)?.f_add_scalar(1.0)?)
    }
}

impl Map {
    /// From [`Map::numbers`].
    fn of(numbers: &[f64], outputs: i64, width: i64) -> Result<Map> {
        let (weight, bias) = numbers.split_at((outputs * width) as usize);
        let weight = Tensor::f_from_slice(weight)?.f_view([outputs, width])?;
        Ok(Map { weight, bias: Tensor::f_from_slice(bias)? })
    }

    fn numbers(&self) -> Result<Vec<f64>> {
        let flat = Tensor::f_cat(&[self.weight.f_reshape(-1)?, self.bias.shallow_clone()], 0)?;
        Ok(Vec::try_from(flat)?)
    }

    /// (rows, width) -> (rows, outputs)
    pub(super) fn outputs(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_linear(&self.weight, Some(&self.bias))?)
    }
}

/// Mean loss and penalty, as a function of the map's numbers.
struct Problem<'a> {
    rows: &'a Rows,
    penalty: f64,
    total: f64,
    /// Cost and gradient are asked for in turn.
    last: RefCell<Option<Point>>,
}

/// A map's numbers, and what was found there.
struct Point {
    numbers: Vec<f64>,
    cost: f64,
    gradient: Vec<f64>,
}

impl Problem<'_> {
    fn at(&self, numbers: &Vec<f64>) -> Result<(f64, Vec<f64>)> {
        if let Some(it) = self.last.borrow().as_ref().filter(|it| it.numbers == *numbers) {
            return Ok((it.cost, it.gradient.clone()));
        }
        let rows = self.rows;
        let (outputs, width) = rows.sizes()?;
        let map = Map::of(numbers, outputs, width)?;
        let logits = map.outputs(&rows.features)?;
        let share = rows.weights.f_div_scalar(self.total)?;
        let penalty =
            map.weight.f_square()?.f_sum(Kind::Double)?.f_mul_scalar(self.penalty / 2.0)?;
        let cost = rows.losses(&logits)?.f_dot(&share)?.f_add(&penalty)?.f_double_value(&[])?;
        let residuals = rows.residuals(&logits)?.f_mul(&share.f_unsqueeze(1)?)?;
        let slope = Map {
            weight: residuals
                .f_transpose(0, 1)?
                .f_matmul(&rows.features)?
                .f_add(&map.weight.f_mul_scalar(self.penalty)?)?,
            bias: residuals.f_sum_dim_intlist(0, false, Kind::Double)?,
        };
        let gradient = slope.numbers()?;
        let found = Point { numbers: numbers.clone(), cost, gradient: gradient.clone() };
        *self.last.borrow_mut() = Some(found);
        Ok((cost, gradient))
    }
}

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, numbers: &Vec<f64>) -> Result<f64> {
        self.at(numbers).map(|it| it.0)
    }
}

impl Gradient for Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, numbers: &Vec<f64>) -> Result<Vec<f64>> {
        self.at(numbers).map(|it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Fixture {
        width: i64,
        features: Vec<f64>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        c: f64,
        targets: Vec<f64>,
        weights: Vec<f64>,
        positive: Vec<f64>,
        weight: Vec<f64>,
        bias: Vec<f64>,
    }

    /// Made by tests/data/make_probe.py with scikit-learn 1.9.1 and, for `pos_weight`, torch
    /// 2.13.0.
    #[test]
    fn maps_are_those_of_scikit_learn_and_torch() {
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../tests/data/probe.json")).unwrap();
        let features = Tensor::from_slice(&fixture.features).view([-1, fixture.width]);
        for case in &fixture.cases {
            let link = match case.name.split(' ').next() {
                Some("softmax") => Link::Softmax,
                Some("sigmoid") => Link::Sigmoid,
                _ => Link::Identity,
            };
            let rows = Rows {
                link,
                features: features.shallow_clone(),
                targets: Tensor::from_slice(&case.targets).view([features.size()[0], -1]),
                weights: Tensor::from_slice(&case.weights),
                positive: Tensor::from_slice(&case.positive),
            };
            let map = rows.fit(case.c, 1e-9, None).unwrap();
            let off = |ours: &Tensor, theirs: &[f64]| {
                let theirs = Tensor::from_slice(theirs).view_as(ours);
                (ours - theirs).abs().max().double_value(&[])
            };
            let (weight, bias) = (off(&map.weight, &case.weight), off(&map.bias, &case.bias));
            assert!(weight < 1e-4 && bias < 1e-4, "{}: {weight}, {bias}", case.name);
            // From the end of a fit it is no way to its end.
            let again = rows.fit(case.c, 1e-9, Some(&map)).unwrap();
            assert!((rows.loss(&again).unwrap() - rows.loss(&map).unwrap()).abs() < 1e-9);
        }
        assert_eq!(fixture.cases.len(), 6);
    }
}
