//! A loss: cross-entropy that forgives: with probability `noise`, a label is taken to be any other
//! class. Change it to what you need; `cargo test` says whether it holds.

#![forbid(unsafe_code)]

use finetuned_sdk::tch::{Device, Kind, Tensor};
use finetuned_sdk::{Error, Loss, LossInput, Pass, Result};
use serde::Deserialize;

pub struct {{Type}} {
    settings: Settings,
    classes: i64,
}

/// `[plugins.settings.{{name}}]` in a recipe.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    noise: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { noise: 0.1 }
    }
}

impl Loss for {{Type}} {
    const NAME: &'static str = "{{name}}";
    type Settings = Settings;

    fn new(settings: Settings, classes: i64, _: Device) -> Result<{{Type}}> {
        if !(0.0..0.5).contains(&settings.noise) {
            return Err(Error::invalid(format!("noise = {}: from 0 to below 0.5", settings.noise)));
        }
        Ok({{Type}} { settings, classes })
    }

    /// (batch, classes), (batch) -> (batch)
    fn forward(&self, input: &LossInput, _: &Pass) -> Result<Tensor> {
        let probabilities = input.logits.f_softmax(-1, None::<Kind>)?;
        let p = probabilities.f_gather(1, &input.labels.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        // Seen as labelled so: it is that class and the label is right, or another and the label is
        // wrong.
        let other = self.settings.noise / (self.classes - 1).max(1) as f64;
        let seen = p.f_mul_scalar(1.0 - self.settings.noise - other)?.f_add_scalar(other)?;
        Ok(seen.f_log()?.f_neg()?)
    }
}

finetuned_sdk::export! { losses: [{{Type}}] }

#[cfg(test)]
mod tests {
    #[cfg(feature = "doc-only")]
    #[test]
    fn forward_and_backward_with_libtorch() {
        finetuned_sdk::testing::with_libtorch();
    }

    #[cfg(not(feature = "doc-only"))]
    #[test]
    fn losses_and_gradients() {
        use finetuned_sdk::tch::Tensor;
        use finetuned_sdk::{LossInput, testing};
        let logits = Tensor::from_slice(&[2_f32, 0.0, -1.0, 3.0]).view([2, 2]);
        let labels = Tensor::from_slice(&[0_i64, 0]);
        // Checks shape, finiteness, and every gradient against finite differences.
        let input = LossInput::new(&logits, &labels, None);
        let losses = testing::loss::<super::{{Type}}>(r#"{"noise": 0.1}"#, &input).expect("losses");
        // -ln(0.1 + 0.8 p), p = 1 / (1 + e^-2) and 1 / (1 + e^4)
        for (row, difference) in [(0, 2_f64), (1, -4.0)] {
            let (found, p) = (losses.double_value(&[row]), 1.0 / (1.0 + (-difference).exp()));
            assert!((found + (0.1 + 0.8 * p).ln()).abs() < 1e-6, "{found}");
        }
    }
}
