//! Focal loss: examples that the model is sure of count less, so that the rare and the hard are
//! heard.
//!
//! Lin, Goyal, Girshick, He and Dollár, "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4,
//! with the softmax over all classes for the probability of the true one: FL = -(1 - p_y)^gamma log
//! p_y. With two classes it is `torchvision.ops.sigmoid_focal_loss` of the logits' difference. The
//! weights alpha of eq. 5 are a recipe's `class_weights`.
//!
//! Where an example has several labels, each is asked alone: the mean over the labels of that loss
//! with sigmoid probabilities, as the built-in binary cross-entropy is a mean over them.

use finetuned_sdk::tch::{Device, Kind, Tensor};
use finetuned_sdk::{Error, Loss, LossInput, Pass, Problem, Result, Targets};
use serde::Deserialize;

pub struct Focal {
    gamma: f64,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// 0: cross-entropy.
    gamma: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { gamma: 2.0 }
    }
}

impl Loss for Focal {
    const NAME: &'static str = "focal";
    const PROBLEMS: &'static [Problem] = &[Problem::SingleLabel, Problem::MultiLabel];
    type Settings = Settings;

    fn new(settings: Settings, _outputs: i64, _: Device) -> Result<Focal> {
        // Between 0 and 1 the slope is infinite where an example is sure.
        if settings.gamma != 0.0 && !(1.0..=10.0).contains(&settings.gamma) {
            return Err(Error::invalid(format!("gamma = {}: 0, or from 1 to 10", settings.gamma)));
        }
        Ok(Focal { gamma: settings.gamma })
    }

    fn forward(&self, input: &LossInput, _: &Pass) -> Result<Tensor> {
        match input.targets() {
            Targets::Classes(labels) => {
                let log_p = input.logits.f_log_softmax(-1, None::<Kind>)?.f_gather(
                    1,
                    &labels.f_unsqueeze(1)?,
                    false,
                )?;
                Ok(self.of(&log_p.f_squeeze_dim(1)?)?)
            }
            Targets::Sets(sets) => {
                // sigmoid(x) of a label that is true, 1 - sigmoid(x) = sigmoid(-x) of another
                let sign = sets.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
                let losses = self.of(&input.logits.f_mul(&sign)?.f_log_sigmoid()?)?;
                Ok(losses.f_mean_dim(1, false, None::<Kind>)?)
            }
            Targets::Numbers(_) => Err(Error::failed("numbers have no probabilities")),
        }
    }
}

impl Focal {
    /// -(1 - p)^gamma log p, of log p.
    fn of(&self, log_p: &Tensor) -> Result<Tensor> {
        if self.gamma == 0.0 {
            return Ok(log_p.f_neg()?);
        }
        // 1 - p, without the digits that 1 - exp(log p) would lose
        let doubt = log_p.f_expm1()?.f_neg()?;
        Ok(doubt.f_pow_tensor_scalar(self.gamma)?.f_mul(log_p)?.f_neg()?)
    }
}

finetuned_sdk::export! { losses: [Focal] }

#[cfg(test)]
mod tests {
    #[cfg(feature = "doc-only")]
    #[test]
    fn forward_and_backward_with_libtorch() {
        finetuned_sdk::testing::with_libtorch();
    }

    #[cfg(not(feature = "doc-only"))]
    mod with_libtorch {
        use crate::Focal;
        use finetuned_sdk::tch::Tensor;
        use finetuned_sdk::{LossInput, Problem, testing};

        #[derive(serde::Deserialize)]
        struct Case {
            gamma: f64,
            logits: Vec<Vec<f32>>,
            labels: Vec<i64>,
            losses: Vec<f32>,
        }

        #[test]
        fn as_torchvision_and_the_formula_have_it() {
            // Made by fixtures/make.py: torchvision for two classes, the formula in f64 for more.
            let cases: Vec<Case> =
                serde_json::from_str(include_str!("../../fixtures/focal.json")).expect("cases");
            for case in cases {
                let logits =
                    Tensor::from_slice(&case.logits.concat()).view([case.logits.len() as i64, -1]);
                let labels = Tensor::from_slice(&case.labels);
                let found = testing::loss::<Focal>(
                    &format!(r#"{{"gamma": {}}}"#, case.gamma),
                    &LossInput::new(&logits, &labels, None),
                );
                let found = found.expect("losses");
                assert!(
                    found.allclose(&Tensor::from_slice(&case.losses), 1e-4, 1e-7, false),
                    "{found} {:?}",
                    case.losses
                );
            }
        }

        #[derive(serde::Deserialize)]
        struct Sets {
            gamma: f64,
            logits: Vec<Vec<f32>>,
            sets: Vec<Vec<f32>>,
            losses: Vec<f32>,
        }

        #[test]
        fn of_several_labels_as_torchvision_has_it() {
            // Made by fixtures/make.py.
            let cases: Vec<Sets> =
                serde_json::from_str(include_str!("../../fixtures/focal_sets.json"))
                    .expect("cases");
            for case in cases {
                let tensor = |rows: &[Vec<f32>]| {
                    Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1])
                };
                let (logits, sets) = (tensor(&case.logits), tensor(&case.sets));
                let input = LossInput::new(&logits, &sets, None).of(Problem::MultiLabel);
                let found =
                    testing::loss::<Focal>(&format!(r#"{{"gamma": {}}}"#, case.gamma), &input)
                        .expect("losses");
                assert!(
                    found.allclose(&Tensor::from_slice(&case.losses), 1e-5, 1e-6, false),
                    "{found} {:?}",
                    case.losses
                );
            }
        }

        #[test]
        fn numbers_are_not_for_it() {
            let (logits, numbers) = (
                Tensor::from_slice(&[0_f32, 0.0]).view([1, 2]),
                Tensor::from_slice(&[0.5_f32, 1.5]).view([1, 2]),
            );
            let refused = testing::loss::<Focal>(
                "{}",
                &LossInput::new(&logits, &numbers, None).of(Problem::Regression),
            )
            .expect_err("refused");
            assert_eq!(
                refused.to_string(),
                "focal is asked for numbers, but its PROBLEMS are one label, several labels"
            );
        }

        #[test]
        fn gamma_is_checked() {
            let (logits, labels) =
                (Tensor::from_slice(&[0_f32, 0.0]).view([1, 2]), Tensor::from_slice(&[0_i64]));
            let refused = testing::loss::<Focal>(
                r#"{"gamma": 0.5}"#,
                &LossInput::new(&logits, &labels, None),
            )
            .expect_err("refused");
            assert_eq!(refused.to_string(), "gamma = 0.5: 0, or from 1 to 10");
        }
    }
}
