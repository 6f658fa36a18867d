//! Augmentations: change images while training.

use crate::abi::{AugmentationFunctions, Bytes, Image, Instance, Sink, Status};
use crate::error::{Error, Result};
use crate::random::Random;
use crate::{border, guard, settings};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// Changes an image so that it still shows the same.
pub trait Augmentation: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;

    /// # Errors
    /// Settings that cannot be used.
    fn new(settings: Self::Settings) -> Result<Self>;

    /// `random` differs for each example and epoch, and is the same when a run is repeated.
    ///
    /// # Errors
    /// End the job as failed.
    fn apply(&self, pixels: &mut Pixels, random: &mut Random) -> Result<()>;
}

/// An image, 8 bits each of red, green and blue.
#[derive(Debug)]
pub struct Pixels<'a> {
    width: usize,
    rgb: &'a mut [[u8; 3]],
}

impl<'a> Pixels<'a> {
    /// `rgb` has rows of `width`, from the top.
    ///
    /// # Errors
    /// A part of a row is left over.
    pub fn new(width: usize, rgb: &'a mut [[u8; 3]]) -> Result<Pixels<'a>> {
        if width == 0 || !rgb.len().is_multiple_of(width) {
            return Err(Error::failed(format!("{} pixels in rows of {width}", rgb.len())));
        }
        Ok(Pixels { width, rgb })
    }

    /// In pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.rgb.len() / self.width
    }

    /// From the top.
    pub fn rows(&mut self) -> impl Iterator<Item = &mut [[u8; 3]]> {
        self.rgb.chunks_exact_mut(self.width)
    }
}

pub(crate) struct Functions<A>(PhantomData<A>);

impl<A: Augmentation> Functions<A> {
    pub(crate) const TABLE: &'static AugmentationFunctions = &AugmentationFunctions {
        size: size_of::<AugmentationFunctions>() as u32,
        reserved: 0,
        create: Some(create::<A>),
        destroy: Some(guard::destroy::<A>),
        apply: Some(apply::<A>),
    };
}

// The host keeps the promises of `abi` for each of these.

unsafe extern "C" fn create<A: Augmentation>(
    json: Bytes,
    out: *mut *mut Instance,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe { guard::create(out, error, || A::new(settings::parse(border::text(json)?)?)) }
}

unsafe extern "C" fn apply<A: Augmentation>(
    instance: *mut Instance,
    image: *const Image,
    seed: u64,
    error: *const Sink,
) -> Status {
    // SAFETY: see above; the pixels are for this call alone.
    unsafe {
        guard::with::<A>(instance, error, |augmentation| {
            let image = border::given(image)?;
            let (width, n) = (image.width as usize, image.width as usize * image.height as usize);
            let pixels: &mut [[u8; 3]] = if n == 0 {
                &mut []
            } else {
                std::slice::from_raw_parts_mut(image.pixels.cast(), n)
            };
            augmentation.apply(&mut Pixels::new(width, pixels)?, &mut Random::new(seed))
        })
    }
}
