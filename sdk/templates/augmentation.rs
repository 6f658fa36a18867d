//! An augmentation: another light, by a power of each value. Change it to what you need; `cargo
//! test` says whether it holds.

#![forbid(unsafe_code)]

use finetuned_sdk::{Augmentation, Error, Pixels, Random, Result};
use serde::Deserialize;

pub struct {{Type}} {
    settings: Settings,
}

/// `[plugins.settings.{{name}}]` in a recipe.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The power is between 1 / strongest, which is brighter, and strongest, which is darker.
    strongest: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { strongest: 1.5 }
    }
}

impl Augmentation for {{Type}} {
    const NAME: &'static str = "{{name}}";
    type Settings = Settings;

    fn new(settings: Settings) -> Result<{{Type}}> {
        if !(1.0..=10.0).contains(&settings.strongest) {
            return Err(Error::invalid(format!("strongest = {}: from 1 to 10", settings.strongest)));
        }
        Ok({{Type}} { settings })
    }

    fn apply(&self, pixels: &mut Pixels, random: &mut Random) -> Result<()> {
        let most = self.settings.strongest.ln();
        let power = random.between(-most, most).exp();
        let table: [u8; 256] =
            std::array::from_fn(|it| (255.0 * (it as f64 / 255.0).powf(power)).round() as u8);
        for value in pixels.rows().flatten().flatten() {
            *value = table[usize::from(*value)];
        }
        Ok(())
    }
}

finetuned_sdk::export! { augmentations: [{{Type}}] }

#[cfg(test)]
mod tests {
    use super::{{Type}};
    use finetuned_sdk::testing;

    #[test]
    fn black_and_white_stay_and_grey_moves() {
        let image = [[0, 0, 0], [255, 255, 255], [128, 128, 128], [64, 128, 192]];
        let changed = |seed| testing::augmentation::<{{Type}}>("{}", 2, &image, seed).expect("pixels");
        assert_eq!(changed(1)[..2], image[..2]);
        assert_ne!(changed(1)[2], changed(2)[2]);
        let refused = testing::augmentation::<{{Type}}>(r#"{"strongest": 0.5}"#, 2, &image, 1);
        assert_eq!(refused.expect_err("refused").to_string(), "strongest = 0.5: from 1 to 10");
    }
}
