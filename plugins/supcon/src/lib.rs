//! Supervised contrast beside cross-entropy: features of one class are drawn together, those of
//! others pushed away. Helps most with few examples. It moves the body, so some of that must train.
//!
//! Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2, on the features that the
//! head is given, each of length 1:  L_i = -1/|P(i)| sum_{p in P(i)} log( exp(z_i z_p / t) / sum_{a
//! != i} exp(z_i z_a / t) ), with P(i) the others of i's class in the batch, and 0 where there are
//! none. Joined with cross-entropy as in Gunel et al., "Supervised Contrastive Learning for
//! Pre-trained Language Model Fine-tuning", ICLR 2021, eq. 1: (1 - weight) CE_i + weight L_i.

use finetuned_sdk::tch::{Device, Kind, Tensor};
use finetuned_sdk::{Error, Loss, LossInput, Pass, Result};
use serde::Deserialize;

pub struct SupCon {
    settings: Settings,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    temperature: f64,
    /// Of the contrast; the rest is cross-entropy's, without which the head learns nothing.
    weight: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { temperature: 0.3, weight: 0.5 }
    }
}

impl Loss for SupCon {
    const NAME: &'static str = "supcon";
    type Settings = Settings;

    fn new(settings: Settings, _outputs: i64, _: Device) -> Result<SupCon> {
        let Settings { temperature, weight } = settings;
        if !(0.01..=10.0).contains(&temperature) {
            return Err(Error::invalid(format!("temperature = {temperature}: from 0.01 to 10")));
        }
        if !(0.0..1.0).contains(&weight) {
            return Err(Error::invalid(format!(
                "weight = {weight}: from 0 to below 1, so that the head learns"
            )));
        }
        Ok(SupCon { settings })
    }

    fn forward(&self, input: &LossInput, _: &Pass) -> Result<Tensor> {
        let Settings { temperature, weight } = self.settings;
        let log_p = input.logits.f_log_softmax(-1, None::<Kind>)?;
        let cross_entropy =
            log_p.f_gather(1, &input.labels.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?.f_neg()?;
        let contrast = contrast(input.features()?, input.labels, temperature)?;
        Ok(cross_entropy.f_mul_scalar(1.0 - weight)?.f_add(&contrast.f_mul_scalar(weight)?)?)
    }
}

/// (batch, width), (batch) -> (batch)
fn contrast(features: &Tensor, labels: &Tensor, temperature: f64) -> Result<Tensor> {
    const LENGTH_MIN: f64 = 1e-12;
    let batch = labels.size1()?;
    let length =
        features.f_norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true)?.f_clamp_min(LENGTH_MIN)?;
    let unit = features.f_div(&length)?;
    // (batch, batch): row i has z_i z_a / t; an example is no contrast to itself
    let itself = Tensor::f_eye(batch, (Kind::Bool, features.device()))?;
    let likeness = unit.f_matmul(&unit.f_transpose(0, 1)?)?.f_div_scalar(temperature)?;
    // Minus infinity would be NaN where a batch has one example only.
    const APART: f64 = -1e9;
    let log_p = likeness.f_masked_fill(&itself, APART)?.f_log_softmax(-1, None::<Kind>)?;
    let friends = labels
        .f_unsqueeze(0)?
        .f_eq_tensor(&labels.f_unsqueeze(1)?)?
        .f_logical_and(&itself.f_logical_not()?)?;
    let sum = log_p.f_masked_fill(&friends.f_logical_not()?, 0.0)?.f_sum_dim_intlist(
        [-1_i64].as_slice(),
        false,
        None::<Kind>,
    )?;
    let n = friends.f_sum_dim_intlist([-1_i64].as_slice(), false, Kind::Float)?.f_clamp_min(1.0)?;
    Ok(sum.f_div(&n)?.f_neg()?)
}

finetuned_sdk::export! { losses: [SupCon] }

#[cfg(test)]
mod tests {
    #[cfg(feature = "doc-only")]
    #[test]
    fn forward_and_backward_with_libtorch() {
        finetuned_sdk::testing::with_libtorch();
    }

    #[cfg(not(feature = "doc-only"))]
    mod with_libtorch {
        use crate::{SupCon, contrast};
        use finetuned_sdk::tch::{Device, Kind, Tensor};
        use finetuned_sdk::{LossInput, testing};

        #[derive(serde::Deserialize)]
        struct Case {
            temperature: f64,
            features: Vec<Vec<f32>>,
            labels: Vec<i64>,
            /// Mean over the anchors that have a friend.
            loss: f64,
        }

        #[test]
        fn as_pytorch_metric_learning_has_it() {
            // Made by fixtures/make.py.
            let cases: Vec<Case> =
                serde_json::from_str(include_str!("../../fixtures/supcon.json")).expect("cases");
            for case in cases {
                let features = Tensor::from_slice(&case.features.concat())
                    .view([case.features.len() as i64, -1]);
                let labels = Tensor::from_slice(&case.labels);
                let losses = contrast(&features, &labels, case.temperature).expect("losses");
                let friends = case
                    .labels
                    .iter()
                    .filter(|it| 1 < case.labels.iter().filter(|other| other == it).count())
                    .count();
                let found = losses.sum(Kind::Double).double_value(&[]) / friends as f64;
                assert!((found - case.loss).abs() < 1e-5, "{found} and {}", case.loss);

                let logits = Tensor::zeros([labels.size()[0], 3], (Kind::Float, Device::Cpu));
                let joined = testing::loss::<SupCon>(
                    "{}",
                    &LossInput::new(&logits, &labels, Some(&features)),
                )
                .expect("losses");
                let expected =
                    contrast(&features, &labels, 0.3).expect("losses") * 0.5 + 0.5 * 3_f64.ln();
                assert!(joined.allclose(&expected, 1e-5, 1e-6, false), "{joined}");
            }
        }

        #[test]
        fn alone_in_a_batch_there_is_no_contrast() {
            let features = Tensor::from_slice(&[1_f32, 2.0]).view([1, 2]);
            let losses = contrast(&features, &Tensor::from_slice(&[0_i64]), 0.3).expect("losses");
            assert_eq!(losses.double_value(&[0]), 0.0);
        }

        #[test]
        fn sequences_are_refused() {
            let (logits, labels) =
                (Tensor::zeros([1, 2], (Kind::Float, Device::Cpu)), Tensor::from_slice(&[0_i64]));
            let refused = testing::loss::<SupCon>("{}", &LossInput::new(&logits, &labels, None))
                .expect_err("refused")
                .to_string();
            assert!(refused.contains("choose another head"), "{refused}");
        }
    }
}
