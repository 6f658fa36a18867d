//! The model's own preprocessing for evaluation: decoded pixels -> what `forward` takes. It is read
//! from the model's folder (`preprocess/timm.rs`, `preprocess/transformers.rs`) and part of the
//! plan.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::Pixels;
use crate::resize::{Filter, Window, resize};

mod timm;
mod transformers;

/// transformers' own; timm has it in `config.json`.
const PREPROCESSOR_CONFIG: &str = "preprocessor_config.json";

/// Longest side of an input, in pixels: no image classifier is trained on more, and a config is a
/// stranger's file.
const SIDE_MAX: u32 = 4096;

/// A config has some kilobytes, with the names of 21,000 classes a megabyte.
const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// From any image to `(3, height, width)`: resize, cut from the centre, `(value * rescale - mean) /
/// std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    pub library: Library,
    pub height: u32,
    pub width: u32,
    pub fit: Fit,
    /// What the centre cut keeps of each side: images are first resized to `floor(side /
    /// crop_pct)`.
    pub crop_pct: f64,
    pub filter: Filter,
    pub rescale: f64,
    /// Red, green, blue.
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

/// Whose rounding is reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Library {
    /// Also torchvision's: the centre of an odd rest is rounded half to even.
    Timm,
    /// The centre of an odd rest is rounded down.
    Transformers,
}

/// How an image of another shape comes to the shape of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The shorter side fits and what the longer one has too much is cut off.
    Center,
    /// Each side fits by itself, proportions are lost.
    Squash,
    /// The longer side fits and the rest is filled with the mean colour.
    Border,
    /// ConvNeXt's in transformers: `Center` below 384 pixels, from there on `Squash` without a cut.
    ConvNext,
}

#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PreprocessError {
    #[error("{}: it can't be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: it is not JSON: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{}: it is larger than {} MB", path.display(), CONFIG_BYTES_MAX >> 20)]
    TooLong { path: PathBuf },
    #[error("{}: {field}: {why}", path.display())]
    Field { path: PathBuf, field: &'static str, why: String },
    #[error("{}: neither preprocessor_config.json of transformers nor a config.json of timm is there, so nothing says how images are prepared", folder.display())]
    Missing { folder: PathBuf },
}

impl Preprocess {
    /// From a model folder: `preprocessor_config.json` as transformers writes it, else
    /// `config.json` as timm does. What they leave open is as in timm 1.0 and transformers 5.
    pub fn read(folder: &Path) -> Result<Preprocess, PreprocessError> {
        Preprocess::read_at_size(folder, None)
    }

    /// The same for inputs of another height and width, where there are some.
    pub fn read_at_size(
        folder: &Path,
        size: Option<[u32; 2]>,
    ) -> Result<Preprocess, PreprocessError> {
        let theirs = folder.join(PREPROCESSOR_CONFIG);
        let is_theirs = theirs.is_file();
        let path = if is_theirs { theirs } else { folder.join("config.json") };
        if !path.is_file() {
            return Err(PreprocessError::Missing { folder: folder.into() });
        }
        let mut config = config(&path)?;
        let mut read = || match (is_theirs, size) {
            (true, Some(size)) => {
                transformers::set_size(&mut config, size).and_then(|()| transformers::read(&config))
            }
            (true, None) => transformers::read(&config),
            (false, size) => {
                size.into_iter().for_each(|it| timm::set_size(&mut config, it));
                timm::read(&config)
            }
        };
        read().and_then(Preprocess::checked).map_err(|(field, why)| PreprocessError::Field {
            path,
            field,
            why,
        })
    }

    /// What `preprocessor_config.json` of a folder should say for these inputs; none where there is
    /// no such file.
    pub fn preprocessor_config(&self, folder: &Path) -> Result<Option<Value>, PreprocessError> {
        let path = folder.join(PREPROCESSOR_CONFIG);
        if !path.is_file() {
            return Ok(None);
        }
        let mut config = config(&path)?;
        let size = [self.height, self.width];
        transformers::set_size(&mut config, size)
            .map_err(|(field, why)| PreprocessError::Field { path, field, why })?;
        Ok(Some(config))
    }

    /// Has timm's `config.json` of a model speak of these inputs; every other is left as it is.
    pub fn enter_in_config(&self, config: &mut Value) {
        timm::set_size(config, [self.height, self.width]);
    }

    fn checked(self) -> Result<Preprocess, Wrong> {
        if [self.height, self.width].iter().any(|it| !(1..=SIDE_MAX).contains(it)) {
            return Err((
                "size",
                format!("{} x {} is not between 1 and {SIDE_MAX}", self.width, self.height),
            ));
        }
        // Above one, all sides are padded, as timm does. Beyond these limits it is a typing error.
        if !(0.1..=2.0).contains(&self.crop_pct) {
            return Err(("crop_pct", format!("{} is not between 0.1 and 2", self.crop_pct)));
        }
        let mut numbers =
            self.mean.iter().chain(&self.std).chain(std::slice::from_ref(&self.rescale));
        let usable = numbers.all(|it| it.is_finite())
            && self.std.iter().all(|it| *it != 0.0)
            && 0.0 < self.rescale;
        if !usable {
            return Err((
                "std",
                "mean, deviation and scale must be finite, and the last two not zero".into(),
            ));
        }
        Ok(self)
    }

    /// How many numbers [`Preprocess::prepare`] gives: `3 * height * width`.
    pub fn numbers(&self) -> usize {
        3 * self.height as usize * self.width as usize
    }

    /// `(3, height, width)`, red first.
    pub fn prepare(&self, pixels: &Pixels) -> Vec<f32> {
        let mut out = vec![0.0; self.numbers()];
        self.prepare_into(pixels, &mut out);
        out
    }

    /// # Panics
    /// If `out` is not [`Preprocess::numbers`] long.
    pub fn prepare_into(&self, pixels: &Pixels, out: &mut [f32]) {
        self.normalize_into(&self.fit(pixels), out);
    }

    /// Resized and cut, not yet normalised.
    pub fn fit(&self, pixels: &Pixels) -> Pixels {
        let (resized_width, resized_height) = self.resized(pixels);
        let across = Axis::new(pixels.width(), resized_width, self.width, self.library);
        let down = Axis::new(pixels.height(), resized_height, self.height, self.library);
        let window = Window {
            left: across.start,
            top: down.start,
            width: across.length,
            height: down.length,
        };
        let seen = resize(pixels, window, (across.seen, down.seen), self.filter);
        if (seen.width(), seen.height()) == (self.width, self.height) {
            return seen;
        }
        let mut canvas = Pixels::filled(self.width, self.height, self.border());
        canvas.paste(&seen, i64::from(across.padding), i64::from(down.padding));
        canvas
    }

    /// Width and height of the whole image before the cut. Sources:
    /// `timm/data/transforms_factory.py` (`transforms_imagenet_eval`), torchvision's `Resize`,
    /// transformers' `get_resize_output_image_size`.
    fn resized(&self, pixels: &Pixels) -> (u32, u32) {
        let cut = |side: u32| (f64::from(side) / self.crop_pct).floor() as u32;
        let (width, height) = (pixels.width(), pixels.height());
        let fit = match self.fit {
            Fit::ConvNext if 384 <= self.height => return (self.width, self.height),
            Fit::ConvNext => Fit::Center,
            other => other,
        };
        let (to_width, to_height) = (cut(self.width).max(1), cut(self.height).max(1));
        match fit {
            Fit::Squash => (to_width, to_height),
            Fit::Center | Fit::ConvNext if to_width == to_height => {
                let longer = |long: u32, short: u32| {
                    (u64::from(to_width) * u64::from(long) / u64::from(short)) as u32
                };
                if width <= height {
                    (to_width, longer(height, width))
                } else {
                    (longer(width, height), to_width)
                }
            }
            Fit::Center | Fit::ConvNext | Fit::Border => {
                let (across, down) = (
                    f64::from(width) / f64::from(to_width),
                    f64::from(height) / f64::from(to_height),
                );
                let ratio = if fit == Fit::Border { across.max(down) } else { across.min(down) };
                let scaled =
                    |side: u32| ((f64::from(side) / ratio).round_ties_even() as u32).max(1);
                (scaled(width), scaled(height))
            }
        }
    }

    fn border(&self) -> [u8; 3] {
        match self.fit {
            Fit::Border => self.mean_colour(),
            Fit::Center | Fit::Squash | Fit::ConvNext => [0; 3],
        }
    }

    /// The colour that becomes zero, as near as 8 bits come.
    pub(crate) fn mean_colour(&self) -> [u8; 3] {
        self.mean.map(|it| (it / self.rescale).round_ties_even().clamp(0.0, 255.0) as u8)
    }

    /// # Panics
    /// If the sizes differ.
    pub(crate) fn normalize_into(&self, pixels: &Pixels, out: &mut [f32]) {
        assert_eq!(
            (pixels.width(), pixels.height()),
            (self.width, self.height),
            "pixels were fitted before"
        );
        assert_eq!(out.len(), self.numbers(), "room for (3, {}, {})", self.height, self.width);
        let table = self.table();
        let (red, rest) = out.split_at_mut(out.len() / 3);
        let (green, blue) = rest.split_at_mut(red.len());
        for (((rgb, red), green), blue) in
            pixels.data().as_chunks::<3>().0.iter().zip(red).zip(green).zip(blue)
        {
            *red = table[0][usize::from(rgb[0])];
            *green = table[1][usize::from(rgb[1])];
            *blue = table[2][usize::from(rgb[2])];
        }
    }

    /// Each value's number, for each channel, in the precision and order of torchvision's
    /// `ToTensor` and `Normalize`.
    fn table(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|channel| {
            let (mean, std) = (self.mean[channel] as f32, self.std[channel] as f32);
            std::array::from_fn(|value| ((value as f64 * self.rescale) as f32 - mean) / std)
        })
    }

    /// Back from `(3, height, width)` to pixels, for people to look at.
    ///
    /// # Panics
    /// If `numbers` is not [`Preprocess::numbers`] long.
    pub fn restore(&self, numbers: &[f32]) -> Pixels {
        assert_eq!(numbers.len(), self.numbers(), "(3, {}, {})", self.height, self.width);
        let plane = numbers.len() / 3;
        let value = |at: usize, channel: usize| {
            let number =
                f64::from(numbers[channel * plane + at]) * self.std[channel] + self.mean[channel];
            (number / self.rescale).round().clamp(0.0, 255.0) as u8
        };
        let data = (0..plane)
            .flat_map(|at| std::array::from_fn::<u8, 3, _>(|channel| value(at, channel)))
            .collect();
        Pixels::new(self.width, self.height, data)
    }
}

fn config(path: &Path) -> Result<Value, PreprocessError> {
    let unread = |source| PreprocessError::Read { path: path.into(), source };
    let metadata = fs::metadata(path).map_err(unread)?;
    if !metadata.is_file() {
        // Opening a pipe would wait for its other end.
        return Err(unread(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not an ordinary file",
        )));
    }
    if CONFIG_BYTES_MAX < metadata.len() {
        return Err(PreprocessError::TooLong { path: path.into() });
    }
    let bytes = fs::read(path).map_err(unread)?;
    serde_json::from_slice(&bytes)
        .map_err(|source| PreprocessError::Json { path: path.into(), source })
}

/// One side of an image: which part of the source is seen, how many pixels it becomes, and what is
/// padded before them.
struct Axis {
    start: f64,
    length: f64,
    seen: u32,
    padding: u32,
}

impl Axis {
    fn new(source: u32, resized: u32, wanted: u32, library: Library) -> Axis {
        let source = f64::from(source);
        if resized <= wanted {
            return Axis {
                start: 0.0,
                length: source,
                seen: resized,
                padding: (wanted - resized) / 2,
            };
        }
        let rest = resized - wanted;
        let first = match library {
            Library::Timm => (f64::from(rest) / 2.0).round_ties_even(),
            Library::Transformers => f64::from(rest / 2),
        };
        let scale = source / f64::from(resized);
        let start = first * scale;
        Axis {
            start,
            length: (f64::from(wanted) * scale).min(source - start),
            seen: wanted,
            padding: 0,
        }
    }
}

/// A field, and what is wrong with it.
type Wrong = (&'static str, String);

/// ImageNet's, which both libraries call the default.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// A field with three numbers, or with one for all.
fn three(config: &Value, field: &'static str, default: [f64; 3]) -> Result<[f64; 3], Wrong> {
    let wrong = || (field, "three numbers are expected, one for each colour".to_owned());
    match config.get(field) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Number(one)) => Ok([one.as_f64().ok_or_else(wrong)?; 3]),
        Some(Value::Array(values)) => {
            let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
            numbers.and_then(|it| <[f64; 3]>::try_from(it).ok()).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

/// A side in pixels.
fn side(value: &Value, field: &'static str) -> Result<u32, Wrong> {
    value
        .as_u64()
        .and_then(|it| u32::try_from(it).ok())
        .ok_or_else(|| (field, format!("{value} is not a number of pixels")))
}
