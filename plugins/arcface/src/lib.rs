//! ArcFace: classes as directions on a sphere, held apart by an angle. For many classes that look
//! alike (faces, products, species), and features that are compared by cosine afterwards.
//!
//! Deng, Guo, Xue and Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
//! CVPR 2019, eq. 3: logits are s cos(theta_j), theta_j the angle between features and weights of
//! class j; while training, that of the true class is s cos(theta_y + m). Where theta_y + m would
//! pass pi, and cos would rise again, the logit is s (cos(theta_y) - sin(pi - m) m), as in the
//! authors' code.

use finetuned_sdk::tch::Tensor;
use finetuned_sdk::tch::nn::{Init, Path};
use finetuned_sdk::{Error, Head, HeadInput, HeadShape, Pass, Result};
use serde::Deserialize;

/// Keeps the slope of sqrt(1 - cos^2) finite where features and weights have the same direction.
const SIN_SQUARED_MIN: f64 = 1e-7;

pub struct ArcFace {
    /// (classes, width)
    weight: Tensor,
    settings: Settings,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// s: the radius of the sphere.
    scale: f64,
    /// m, in radians.
    margin: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { scale: 64.0, margin: 0.5 }
    }
}

impl Head for ArcFace {
    const NAME: &'static str = "arcface";
    type Settings = Settings;

    fn new(settings: Settings, shape: &HeadShape, p: &Path) -> Result<ArcFace> {
        if !(0.0 < settings.scale && settings.scale.is_finite()) {
            return Err(Error::invalid(format!("scale = {}: a number above 0", settings.scale)));
        }
        if !(0.0..std::f64::consts::FRAC_PI_2).contains(&settings.margin) {
            return Err(Error::invalid(format!(
                "margin = {}: radians, from 0 to below pi / 2",
                settings.margin
            )));
        }
        // Only directions count: normal numbers give every direction the same chance.
        let weight = p.f_var(
            "weight",
            &[shape.outputs, shape.width],
            Init::Randn { mean: 0.0, stdev: 0.01 },
        )?;
        Ok(ArcFace { weight, settings })
    }

    fn forward(&self, input: &HeadInput, pass: &Pass) -> Result<Tensor> {
        let Settings { scale, margin } = self.settings;
        // (batch, classes)
        let cos = unit(input.features)?.f_linear(&unit(&self.weight)?, None::<&Tensor>)?;
        let (true, Some(labels)) = (pass.train, input.labels) else {
            return Ok(cos.f_mul_scalar(scale)?);
        };

        // (batch, 1): of the true class
        let labels = labels.f_unsqueeze(1)?;
        let cos_y = cos.f_gather(1, &labels, false)?;
        let sin_y =
            cos_y.f_square()?.f_neg()?.f_add_scalar(1.0)?.f_clamp_min(SIN_SQUARED_MIN)?.f_sqrt()?;
        let beyond = cos_y.f_mul_scalar(margin.cos())?.f_sub(&sin_y.f_mul_scalar(margin.sin())?)?;
        let straight = cos_y.f_sub_scalar(margin.sin() * margin)?;
        // theta + m < pi, that is theta < pi - m
        let held = beyond.f_where_self(&cos_y.f_gt(-margin.cos())?, &straight)?;
        Ok(cos.f_scatter(1, &labels, &held)?.f_mul_scalar(scale)?)
    }
}

/// Rows of length 1, as torch's `normalize`.
fn unit(xs: &Tensor) -> Result<Tensor> {
    const LENGTH_MIN: f64 = 1e-12;
    let length =
        xs.f_norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true)?.f_clamp_min(LENGTH_MIN)?;
    Ok(xs.f_div(&length)?)
}

finetuned_sdk::export! { heads: [ArcFace] }

#[cfg(test)]
mod tests {
    #[cfg(feature = "doc-only")]
    #[test]
    fn forward_and_backward_with_libtorch() {
        finetuned_sdk::testing::with_libtorch();
    }

    #[cfg(not(feature = "doc-only"))]
    mod with_libtorch {
        use crate::ArcFace;
        use finetuned_sdk::tch::{Device, Kind, Tensor};
        use finetuned_sdk::{HeadInput, HeadShape, testing};

        #[derive(serde::Deserialize)]
        struct Case {
            scale: f64,
            margin: f64,
            features: Vec<Vec<f32>>,
            weight: Vec<Vec<f32>>,
            labels: Vec<i64>,
            /// Of the reference implementation, while training.
            logits: Vec<Vec<f32>>,
            cosines: Vec<Vec<f32>>,
        }

        #[test]
        fn as_the_authors_code_has_it() {
            // Made by fixtures/make.py; among the rows is one with theta + m beyond pi.
            let cases: Vec<Case> =
                serde_json::from_str(include_str!("../../fixtures/arcface.json")).expect("cases");
            for case in cases {
                let tensor = |rows: &[Vec<f32>]| {
                    Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1])
                };
                let (features, labels) = (tensor(&case.features), Tensor::from_slice(&case.labels));
                let shape = HeadShape {
                    width: case.features[0].len() as i64,
                    outputs: case.weight.len() as i64,
                    device: Device::Cpu,
                    seed: 0,
                };
                let settings = format!(r#"{{"scale": {}, "margin": {}}}"#, case.scale, case.margin);
                let weight = [("weight", tensor(&case.weight))];
                let trained = testing::head::<ArcFace>(
                    &settings,
                    &shape,
                    &weight,
                    &HeadInput::new(&features, None, Some(&labels)),
                );
                let trained = trained.expect("logits");
                assert!(trained.allclose(&tensor(&case.logits), 1e-5, 1e-4, false), "{trained}");
                let asked = testing::head::<ArcFace>(
                    &settings,
                    &shape,
                    &weight,
                    &HeadInput::new(&features, None, None),
                )
                .expect("logits");
                assert!(
                    asked.allclose(&(tensor(&case.cosines) * case.scale), 1e-5, 1e-4, false),
                    "{asked}"
                );
            }
        }

        #[test]
        fn settings_that_cannot_work_are_refused() {
            let shape = HeadShape { width: 2, outputs: 2, device: Device::Cpu, seed: 0 };
            let features = Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
            let refused = |settings| {
                testing::head::<ArcFace>(
                    settings,
                    &shape,
                    &[],
                    &HeadInput::new(&features, None, None),
                )
                .expect_err("refused")
            };
            assert_eq!(
                refused(r#"{"margin": 2}"#).to_string(),
                "margin = 2: radians, from 0 to below pi / 2"
            );
            assert_eq!(refused(r#"{"scale": 0}"#).to_string(), "scale = 0: a number above 0");
        }
    }
}
