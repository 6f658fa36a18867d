//! The bytes of an image -> the numbers that a model takes: decoding, the model's own
//! preprocessing, augmentation, and what a person or a check for duplicates wants to see of an
//! image.
//!
//! Invariant: this crate decodes files of strangers, so all of it is safe Rust; it knows no tensor,
//! no model, no process and no network, and reads no file but a model's preprocessing config.
//! Threads are the caller's: every function here is pure but [`Preprocess::read`], and may run on
//! as many of them as wanted.

#![forbid(unsafe_code)]

mod draws; // random numbers by place
mod format; // bytes -> which kind of file
mod broken; // why a file is no image
mod mixing; // mixup and CutMix
mod pixels; // 8-bit RGB
mod decode; // bytes -> pixels
mod resize; // Pillow's filters
mod hash; // near duplicates
mod preprocess; // the model's config, pixels -> numbers
mod augment; // pixels -> other pixels of the same class
mod sheet; // thumbnails in a grid

pub use augment::{Augment, Crop, Jitter, Preset, RandAugment};
pub use broken::{Broken, PIXELS_MAX};
pub use decode::{Colour, Facts, decode, probe};
pub use format::Format;
pub use hash::{Look, NEAR_DUPLICATE_BITS, NEAR_DUPLICATE_GREY, hash_distance};
pub use mixing::{Area, Mix, Mixing};
pub use pixels::Pixels;
pub use preprocess::{Fit, Library, Preprocess, PreprocessError};
pub use resize::Filter;
pub use sheet::contact_sheet;
