//! A head: two linear maps with a bend between them. Change it to what you need; `cargo test` says
//! whether it holds.

#![forbid(unsafe_code)]

use finetuned_sdk::tch::nn::{self, Path};
use finetuned_sdk::tch::Tensor;
use finetuned_sdk::{Error, Head, HeadInput, HeadShape, Pass, Problem, Result};
use serde::Deserialize;

pub struct {{Type}} {
    up: nn::Linear,
    down: nn::Linear,
}

/// `[plugins.settings.{{name}}]` in a recipe.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Numbers between the two maps.
    hidden: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { hidden: 256 }
    }
}

impl Head for {{Type}} {
    const NAME: &'static str = "{{name}}";
    /// One label to an example, several, or numbers: it does not look at them.
    const PROBLEMS: &'static [Problem] = Problem::ALL;
    type Settings = Settings;

    /// Whatever is made under `p` trains, lands in checkpoints and in model.safetensors under its
    /// name.
    fn new(settings: Settings, shape: &HeadShape, p: &Path) -> Result<{{Type}}> {
        if settings.hidden < 1 {
            return Err(Error::invalid(format!("hidden = {}: at least 1", settings.hidden)));
        }
        let up = nn::linear(p / "up", shape.width, settings.hidden, Default::default());
        let down = nn::linear(p / "down", settings.hidden, shape.outputs, Default::default());
        Ok({{Type}} { up, down })
    }

    /// (batch, width) -> (batch, outputs)
    fn forward(&self, input: &HeadInput, _: &Pass) -> Result<Tensor> {
        let hidden = input.features.f_linear(&self.up.ws, self.up.bs.as_ref())?.f_gelu("none")?;
        Ok(hidden.f_linear(&self.down.ws, self.down.bs.as_ref())?)
    }
}

finetuned_sdk::export! { heads: [{{Type}}] }

#[cfg(test)]
mod tests {
    #[cfg(feature = "doc-only")]
    #[test]
    fn forward_and_backward_with_libtorch() {
        finetuned_sdk::testing::with_libtorch();
    }

    #[cfg(not(feature = "doc-only"))]
    #[test]
    fn logits_and_gradients() {
        use finetuned_sdk::tch::{Device, Kind, Tensor};
        use finetuned_sdk::{HeadInput, HeadShape, testing};
        let shape = HeadShape { width: 6, outputs: 3, device: Device::Cpu, seed: 0 };
        let features = Tensor::randn([4, 6], (Kind::Float, Device::Cpu));
        // Checks shape, repeatability, and every gradient against finite differences.
        let head = testing::head::<super::{{Type}}>;
        head(r#"{"hidden": 5}"#, &shape, &[], &HeadInput::new(&features, None, None)).expect("logits");
        let refused = head(r#"{"hidden": 0}"#, &shape, &[], &HeadInput::new(&features, None, None)).expect_err("refused");
        assert_eq!(refused.to_string(), "hidden = 0: at least 1");
    }
}
