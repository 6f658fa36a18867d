//! transformers' preprocessor_config.json. Source of the defaults: `image_processing_*.py` of each
//! model, transformers 5, base class in `image_processing_backends.py`. Numbers are those of its
//! Pillow backend. Its torchvision backend resizes with other kernels: 0.12 steps of 1/255 away on
//! average at most where compared, no value more than 1.2.

use serde_json::{Value, json};

use super::{Fit, Library, Preprocess, Wrong, side, three};
use crate::resize::Filter;

const HALF: [f64; 3] = [0.5; 3];
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// A class of transformers and what it does where the file says nothing.
struct Processor {
    name: &'static str,
    size: Size,
    crop: Option<u32>,
    resample: Filter,
    mean: [f64; 3],
    std: [f64; 3],
}

#[derive(Clone, Copy)]
enum Size {
    Shorter(u32),
    Exact { height: u32, width: u32 },
}

const fn square(side: u32) -> Size {
    Size::Exact { height: side, width: side }
}

const PROCESSORS: &[Processor] = &[
    Processor {
        name: "ViT",
        size: square(224),
        crop: None,
        resample: Filter::Bilinear,
        mean: HALF,
        std: HALF,
    },
    Processor {
        name: "DeiT",
        size: square(256),
        crop: Some(224),
        resample: Filter::Bicubic,
        mean: HALF,
        std: HALF,
    },
    Processor {
        name: "Bit",
        size: Size::Shorter(224),
        crop: Some(224),
        resample: Filter::Bicubic,
        mean: CLIP_MEAN,
        std: CLIP_STD,
    },
    Processor {
        name: "CLIP",
        size: Size::Shorter(224),
        crop: Some(224),
        resample: Filter::Bicubic,
        mean: CLIP_MEAN,
        std: CLIP_STD,
    },
    Processor {
        name: "ConvNext",
        size: Size::Shorter(384),
        crop: None,
        resample: Filter::Bicubic,
        mean: HALF,
        std: HALF,
    },
    Processor {
        name: "EfficientNet",
        size: square(346),
        crop: None,
        resample: Filter::Bicubic,
        mean: HALF,
        std: HALF,
    },
    Processor {
        name: "MobileNetV2",
        size: Size::Shorter(256),
        crop: Some(224),
        resample: Filter::Bilinear,
        mean: HALF,
        std: HALF,
    },
];

pub(super) fn read(config: &Value) -> Result<Preprocess, Wrong> {
    let processor = processor(config)?;
    if !flag(config, "do_resize", true)? {
        return Err((
            "do_resize",
            "images of different sizes don't fit in one batch; set it to true".into(),
        ));
    }
    for field in ["do_pad", "do_flip_channel_order"] {
        if flag(config, field, false)? {
            return Err((field, "this is not done here".into()));
        }
    }
    let size = size(config.get("size"), processor.size)?;
    let crop = crop(config, processor)?;
    let (fit, (height, width), crop_pct) = geometry(processor, config, size, crop)?;
    let (rescale, mean, std) = scale(config, processor)?;
    Ok(Preprocess {
        library: Library::Transformers,
        height,
        width,
        fit,
        crop_pct,
        filter: filter(config, processor)?,
        rescale,
        mean,
        std,
    })
}

/// For inputs of this height and width; what is cut off keeps its part of a side.
pub(super) fn set_size(config: &mut Value, [height, width]: [u32; 2]) -> Result<(), Wrong> {
    let processor = processor(config)?;
    let (resized, crop) = (size(config.get("size"), processor.size)?, crop(config, processor)?);
    let (_, before, _) = geometry(processor, config, resized, crop)?;
    if before == (height, width) {
        return Ok(());
    }
    let scaled =
        |side: u32, before: u32, after: u32| u64::from(side) * u64::from(after) / u64::from(before);
    config["size"] = match resized {
        Size::Shorter(_) if height != width => {
            return Err((
                "size",
                format!("it names the shorter side, so inputs are square, not {width} x {height}"),
            ));
        }
        Size::Shorter(side) => json!({ "shortest_edge": scaled(side, before.0, height) }),
        Size::Exact { height: tall, width: wide } => {
            json!({ "height": scaled(tall, before.0, height), "width": scaled(wide, before.1, width) })
        }
    };
    if crop.is_some() {
        config["crop_size"] = json!({ "height": height, "width": width });
    }
    Ok(())
}

fn processor(config: &Value) -> Result<&'static Processor, Wrong> {
    let name = ["image_processor_type", "feature_extractor_type"]
        .iter()
        .find_map(|it| config.get(*it)?.as_str());
    let name = name.ok_or_else(|| {
        (
            "image_processor_type",
            "it is missing, so nothing says what the other fields mean".to_owned(),
        )
    })?;
    let known = |it: &&Processor| {
        let rest = name.strip_prefix(it.name);
        matches!(
            rest,
            Some(
                "ImageProcessor" | "ImageProcessorFast" | "ImageProcessorPil" | "FeatureExtractor"
            )
        )
    };
    PROCESSORS.iter().find(known).ok_or_else(|| {
        let names: Vec<_> = PROCESSORS.iter().map(|it| it.name).collect();
        ("image_processor_type", format!("{name} is not known, only those of {}", names.join(", ")))
    })
}

fn size(value: Option<&Value>, default: Size) -> Result<Size, Wrong> {
    match value {
        None | Some(Value::Null) => Ok(default),
        // Before transformers 4.26 a single number, whose meaning was the class's.
        Some(Value::Number(_)) => {
            let side = side(value.unwrap_or(&Value::Null), "size")?;
            Ok(if matches!(default, Size::Shorter(_)) { Size::Shorter(side) } else { square(side) })
        }
        Some(Value::Object(size)) => {
            match (size.get("shortest_edge"), size.get("height"), size.get("width")) {
                (Some(shorter), None, None) if !size.contains_key("longest_edge") => {
                    Ok(Size::Shorter(side(shorter, "size")?))
                }
                (None, Some(height), Some(width)) => {
                    Ok(Size::Exact { height: side(height, "size")?, width: side(width, "size")? })
                }
                _ => Err(("size", "either shortest_edge or height and width are expected".into())),
            }
        }
        Some(other) => Err(("size", format!("{other} is no size"))),
    }
}

fn crop(config: &Value, processor: &Processor) -> Result<Option<(u32, u32)>, Wrong> {
    if !flag(config, "do_center_crop", processor.crop.is_some())? {
        return Ok(None);
    }
    let default = square(processor.crop.unwrap_or(224));
    match size(config.get("crop_size"), default)? {
        Size::Exact { height, width } => Ok(Some((height, width))),
        Size::Shorter(_) => Err(("crop_size", "height and width are expected".into())),
    }
}

/// Fit, (height, width) of the result, and what the cut keeps.
fn geometry(
    processor: &Processor,
    config: &Value,
    size: Size,
    crop: Option<(u32, u32)>,
) -> Result<(Fit, (u32, u32), f64), Wrong> {
    match (size, crop) {
        (Size::Shorter(side), None) if processor.name == "ConvNext" => {
            let crop_pct = config.get("crop_pct").and_then(Value::as_f64).unwrap_or(224.0 / 256.0);
            Ok((Fit::ConvNext, (side, side), crop_pct))
        }
        (Size::Shorter(_), None) => Err((
            "do_center_crop",
            "images of different shapes don't fit in one batch; set it to true".into(),
        )),
        (Size::Exact { height, width }, None) => Ok((Fit::Squash, (height, width), 1.0)),
        (Size::Shorter(resized), Some((height, width))) if height == width => {
            Ok((Fit::Center, (height, width), crop_pct(height, resized)))
        }
        (Size::Exact { height, width }, Some(crop))
            if u64::from(height) * u64::from(crop.1) == u64::from(width) * u64::from(crop.0) =>
        {
            Ok((Fit::Squash, crop, crop_pct(crop.0, height)))
        }
        (_, Some(_)) => Err(("crop_size", "it has another shape than size".into())),
    }
}

/// The fraction with `floor(crop / fraction) == resized`.
fn crop_pct(crop: u32, resized: u32) -> f64 {
    let mut fraction = f64::from(crop) / f64::from(resized);
    while ((f64::from(crop) / fraction).floor() as u32) < resized {
        fraction = fraction.next_down();
    }
    fraction
}

fn filter(config: &Value, processor: &Processor) -> Result<Filter, Wrong> {
    match config.get("resample") {
        None | Some(Value::Null) => Ok(processor.resample),
        Some(value) => value
            .as_u64()
            .and_then(Filter::from_pillow)
            .ok_or_else(|| ("resample", format!("{value} is not one of Pillow's numbers"))),
    }
}

/// The scale, mean and deviation that all steps of a processor come to.
fn scale(config: &Value, processor: &Processor) -> Result<(f64, [f64; 3], [f64; 3]), Wrong> {
    let rescale = match config.get("rescale_factor") {
        _ if !flag(config, "do_rescale", true)? => 1.0,
        None | Some(Value::Null) => 1.0 / 255.0,
        Some(value) => {
            value.as_f64().ok_or_else(|| ("rescale_factor", format!("{value} is not a number")))?
        }
    };
    let (named_mean, named_std) =
        (three(config, "image_mean", processor.mean)?, three(config, "image_std", processor.std)?);
    let (mut mean, mut std) = if flag(config, "do_normalize", true)? {
        (named_mean, named_std)
    } else {
        ([0.0; 3], [1.0; 3])
    };
    if processor.name == "EfficientNet" {
        if flag(config, "rescale_offset", false)? {
            mean = mean.map(|it| it + 1.0);
        }
        // Divided by the deviation once more, as the TensorFlow original does.
        if flag(config, "include_top", true)? {
            std = std::array::from_fn(|it| std[it] * named_std[it]);
        }
    }
    Ok((rescale, mean, std))
}

fn flag(config: &Value, field: &'static str, default: bool) -> Result<bool, Wrong> {
    match config.get(field) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err((field, format!("true or false is expected, not {other}"))),
    }
}
