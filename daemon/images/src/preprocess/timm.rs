//! timm's config.json. Source of the defaults: `timm/data/config.py` (`resolve_data_config`), timm
//! 1.0.

use serde_json::{Value, json};

use super::{Fit, IMAGENET_MEAN, IMAGENET_STD, Library, Preprocess, Wrong, side, three};
use crate::resize::Filter;

pub(super) fn read(config: &Value) -> Result<Preprocess, Wrong> {
    let Some(config) = place(config).and_then(|it| config.pointer(it)) else {
        return Err(("pretrained_cfg", "timm's is expected here, or a preprocessor_config.json of transformers beside this file".into()));
    };
    let (height, width) = match config.get("input_size") {
        None | Some(Value::Null) => (224, 224),
        Some(Value::Array(size)) if size.len() == 3 && size[0] == 3 => {
            (side(&size[1], "input_size")?, side(&size[2], "input_size")?)
        }
        Some(other) => {
            return Err(("input_size", format!("[3, height, width] is expected, not {other}")));
        }
    };
    Ok(Preprocess {
        library: Library::Timm,
        height,
        width,
        fit: fit(config)?,
        crop_pct: number(config, "crop_pct", 0.875)?,
        filter: filter(config)?,
        rescale: 1.0 / 255.0,
        mean: three(config, "mean", IMAGENET_MEAN)?,
        std: three(config, "std", IMAGENET_STD)?,
    })
}

/// For inputs of this height and width, what it says of other sizes goes. A config that is not
/// timm's stays as it is.
pub(super) fn set_size(config: &mut Value, [height, width]: [u32; 2]) {
    const STALE: &[&str] = &["test_input_size", "test_crop_pct", "test_pool_size", "pool_size"];
    let size = json!([3, height, width]);
    let fields = place(config).and_then(|it| config.pointer_mut(it)?.as_object_mut());
    if let Some(fields) = fields.filter(|it| it.get("input_size") != Some(&size)) {
        fields.retain(|key, _| !STALE.contains(&key.as_str()));
        fields.insert("input_size".into(), size);
    }
}

/// Where the fields stand, as a JSON pointer: before timm 0.9 beside `architecture`.
fn place(config: &Value) -> Option<&'static str> {
    match config.get("pretrained_cfg") {
        Some(Value::Object(_)) => Some("/pretrained_cfg"),
        _ => config.get("architecture").map(|_| ""),
    }
}

fn fit(config: &Value) -> Result<Fit, Wrong> {
    match text(config, "crop_mode")?.unwrap_or("center") {
        "squash" => Ok(Fit::Squash),
        "border" => Ok(Fit::Border),
        "center" => Ok(Fit::Center),
        other => Err((
            "crop_mode",
            format!("{other:?} is not known, only \"center\", \"squash\" and \"border\""),
        )),
    }
}

fn filter(config: &Value) -> Result<Filter, Wrong> {
    let name = text(config, "interpolation")?.unwrap_or("bicubic");
    Filter::from_name(name)
        .ok_or_else(|| ("interpolation", format!("{name:?} is not a filter of Pillow")))
}

fn text<'a>(config: &'a Value, field: &'static str) -> Result<Option<&'a str>, Wrong> {
    match config.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err((field, format!("a name is expected, not {other}"))),
    }
}

fn number(config: &Value, field: &'static str, default: f64) -> Result<f64, Wrong> {
    match config.get(field) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => {
            value.as_f64().ok_or_else(|| (field, format!("a number is expected, not {value}")))
        }
    }
}
